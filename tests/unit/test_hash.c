#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "fmt/blake2b.h"
#include "fmt/hash.h"

Test(hash, sha256_of_known_texts)
{
	/* FIPS 180-4's examples (NIST, "SHA256.pdf") and the empty text. */
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

Test(hash, sha256_agrees_with_libsodium_however_it_is_fed)
{
	static uint8_t text[1000];
	struct rng r;

	rng_seed(&r, 1);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)rng_u64(&r);
	for (size_t n = 0; n <= sizeof text; n++) {
		uint8_t want[32], got[32];
		struct sha256 s;
		size_t at = 0;

		(void)crypto_hash_sha256(want, text, n);
		sha256_init(&s);
		while (at < n) {
			size_t part = 1 + (size_t)rng_below(&r, 150);

			part = part < n - at ? part : n - at;
			sha256_add(&s, text + at, part);
			at += part;
		}
		sha256_final(&s, got);
		cr_assert_eq(memcmp(want, got, 32), 0, "%zu bytes", n);
	}
}

Test(hash, blake2b_of_abc)
{
	/* RFC 7693, appendix A. */
	struct blake2b s;
	uint8_t d[64];
	char hex[129];

	blake2b_init(&s);
	blake2b_add(&s, "abc", 3);
	blake2b_final(&s, d);
	hex_format(d, 64, hex);
	cr_expect_str_eq(hex, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
		"7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
}

Test(hash, blake2b_agrees_with_libsodium_however_it_is_fed)
{
	static uint8_t text[1000];
	struct rng r;

	rng_seed(&r, 2);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t)rng_u64(&r);
	for (size_t n = 0; n <= sizeof text; n++) {
		uint8_t want[64], got[64];
		struct blake2b s;
		size_t at = 0;

		(void)crypto_generichash(want, 64, text, n, NULL, 0);
		blake2b_init(&s);
		while (at < n) {
			size_t part = (size_t)rng_below(&r, 300);

			part = part < n - at ? part : n - at;
			blake2b_add(&s, text + at, part);
			at += part;
		}
		blake2b_final(&s, got);
		cr_assert_eq(memcmp(want, got, 64), 0, "%zu bytes", n);
	}
}
