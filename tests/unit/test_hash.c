#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "fmt/hash.h"

Test(hash, vectors_of_fips_180)
{
	static const struct { const char *text, *hex; } cases[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t d[32];
		char hex[65];

		sha256_bytes(cases[i].text, strlen(cases[i].text), d);
		hex_format(d, 32, hex);
		cr_expect_str_eq(hex, cases[i].hex, "case %zu", i);
	}
}

/* Whatever way the CPU takes: the library's digest, however the bytes are cut. */
Test(hash, agrees_with_the_library_in_any_pieces)
{
	struct rng rng;
	uint8_t bytes[1500], want[32], got[32];

	rng_seed(&rng, 3);
	for (int round = 0; round < 1500; round++) {
		size_t n = (size_t)rng_below(&rng, sizeof bytes), at = 0;
		struct sha256 s;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)rng_u64(&rng);
		crypto_hash_sha256(want, bytes, n);
		sha256_init(&s);
		while (at < n) {
			size_t k = 1 + (size_t)rng_below(&rng, round % 3 == 0 ? 1500 : 130);

			k = k < n - at ? k : n - at;
			sha256_add(&s, bytes + at, k);
			at += k;
		}
		sha256_final(&s, got);
		cr_assert_eq(memcmp(want, got, 32), 0, "round %d, %zu bytes", round, n);
	}
}
