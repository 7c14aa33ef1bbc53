#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "fmt/jread.h"
#include "trust/crypto.h"
#include "trust/minisig.h"

Test(minisig, what_is_signed_verifies)
{
	struct err e = ERR_INIT;
	struct secret_key *k = secret_key_new(&e), *other = secret_key_new(&e);
	struct public_key keys[2];
	struct buf b = BUF_INIT;
	struct minisig s;
	uint8_t d[64];

	secret_key_public(other, &keys[0]);
	secret_key_public(k, &keys[1]);
	minisig_digest("text", 4, d);
	cr_assert_eq(minisig_sign(k, d, "caf\xc3\xa9\tby\tme", NULL, &b, &e), 0, "%s", e.msg);
	cr_assert_eq(minisig_parse(b.p, b.len, &s, &e), 0, "%s", e.msg);
	cr_expect_not(s.legacy);
	cr_expect_str_eq(s.trusted, "caf\xc3\xa9\tby\tme");
	cr_expect_eq(minisig_key(&s, keys, 2), 1);
	cr_expect_eq(minisig_key(&s, keys, 1), 1);
	cr_expect_eq(minisig_verify(&s, &keys[1], "text", 4, &e), 0, "%s", e.msg);
	cr_expect_eq(minisig_verify(&s, &keys[1], "texT", 4, &e), -1);
	cr_expect_eq(e.code, ERR_NO);
	cr_expect_eq(minisig_verify(&s, &keys[0], "text", 4, &e), -1);
	s.trusted[0] = 'C';
	cr_expect_eq(minisig_verify(&s, &keys[1], "text", 4, &e), -1);
	cr_expect_eq(e.code, ERR_NO);
	cr_expect_eq(minisig_sign(k, d, "a\nb", NULL, &b, &e), -1);
	cr_expect_eq(minisig_sign(k, d, "\x1b[2J", NULL, &b, &e), -1);
	cr_expect_eq(minisig_sign(k, d, "ok", "\xff", &b, &e), -1);
	buf_finish(&b);
	secret_key_free(k);
	secret_key_free(other);
}

/* Every flip in signature file or message is refused, but in the untrusted comment. */
Test(minisig, no_flipped_bit_passes)
{
	struct err e = ERR_INIT;
	struct secret_key *k = secret_key_new(&e);
	struct public_key key;
	struct buf b = BUF_INIT;
	uint8_t d[64];
	char text[4096];
	size_t prefix = strlen("untrusted comment: "), first;
	struct rng r;

	rng_seed(&r, 5);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)rng_u64(&r);
	secret_key_public(k, &key);
	minisig_digest(text, sizeof text, d);
	cr_assert_eq(minisig_sign(k, d, "name:x\tsha256:0", "words", &b, &e), 0);
	first = (size_t)(strchr(b.p, '\n') - b.p);
	for (size_t i = 0; i < 6000; i++) {
		bool in_file = i % 3 == 0;
		char *p = in_file ? text : b.p;
		size_t bit = (size_t)rng_below(&r, (in_file ? sizeof text : b.len) * 8);
		struct minisig s;
		bool ok;

		if (!in_file && bit / 8 >= prefix && bit / 8 < first)
			continue;
		p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
		ok = minisig_parse(b.p, b.len, &s, &e) == 0 && minisig_key(&s, &key, 1) == 0 &&
			minisig_verify(&s, &key, text, sizeof text, &e) == 0;
		cr_expect_not(ok, "bit %zu of byte %zu of the %s", bit % 8, bit / 8, in_file ? "file" : "signature");
		p[bit / 8] = (char)(p[bit / 8] ^ 1 << bit % 8);
	}
	buf_finish(&b);
	secret_key_free(k);
}

/* ---- what stock minisign says of its own and of damaged files ---- */

Test(minisig, every_vector_of_stock_minisign)
{
	const char *shared = getenv("LLMR_SHARED");
	char home[512], path[1024];
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct jread r;
	struct slice key;
	size_t n = 0, passed = 0;

	if (shared == NULL || access(shared, R_OK) != 0)
		cr_skip_test("LLMR_SHARED is not here");
	(void)snprintf(home, sizeof home, "%s/fixtures/signing/minisign", shared);
	(void)snprintf(path, sizeof path, "%s/cases.json", home);
	cr_assert_eq(io_read_file(path, 1 << 20, &b, &e), 0, "%s", e.msg);
	jread_init(&r, b.p, b.len);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (!slice_is(key, "cases")) {
				jread_skip(&r);
				continue;
			}
			if (jread_array(&r))
				while (jread_element(&r)) {
					struct slice sig = SLICE_NONE, message = SLICE_NONE, pub = SLICE_NONE, number = SLICE_NONE;
					struct public_key k;
					struct minisig s;
					bool strict = false, got;
					int fd;

					if (jread_object(&r))
						while (jread_member(&r, &key)) {
							if (slice_is(key, "sig"))
								jread_string(&r, &a, &sig);
							else if (slice_is(key, "message"))
								jread_string(&r, &a, &message);
							else if (slice_is(key, "pub"))
								jread_string(&r, &a, &pub);
							else if (slice_is(key, "exit"))
								jread_number(&r, &number);
							else if (slice_is(key, "flags")) {
								struct slice raw;

								jread_skip_raw(&r, &raw);
								strict = memchr(raw.p, 'H', raw.n) != NULL;
							} else
								jread_skip(&r);
						}
					if (strict)
						continue;	/* -H, refuse legacy: for the command */
					(void)snprintf(path, sizeof path, "%s/%.*s", home, (int)pub.n, pub.p);
					cr_assert_eq(public_key_read(path, &k, &e), 0, "%s", e.msg);
					(void)snprintf(path, sizeof path, "%s/%.*s", home, (int)message.n, message.p);
					fd = io_open_read(path, &e);
					cr_assert_geq(fd, 0, "%s", e.msg);
					(void)snprintf(path, sizeof path, "%s/%.*s", home, (int)sig.n, sig.p);
					got = minisig_read(path, &s, &e) == 0 && minisig_key(&s, &k, 1) == 0 &&
						minisig_verify_fd(&s, &k, fd, &e) == 0;
					(void)close(fd);
					cr_expect_eq(got, slice_is(number, "0"), "%.*s of %.*s", (int)sig.n, sig.p, (int)message.n, message.p);
					n++;
					passed += got;
				}
		}
	cr_assert_eq(jread_done(&r, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 23);
	cr_expect_eq(passed, 10);
	arena_finish(&a);
	buf_finish(&b);
}

/* libcrypto and our own code digest alike. */
Test(crypto, digests_agree_large_and_small)
{
	static uint8_t text[100000];
	struct err e = ERR_INIT;

	for (unsigned kind = 0; kind < 2; kind++) {
		uint8_t a[64] = { 0 }, b[64] = { 0 };
		struct crypto_digest *x = crypto_digest_new(kind == 0 ? CRYPTO_SHA256 : CRYPTO_BLAKE2B512, 0, &e);
		struct crypto_digest *y = crypto_digest_new(kind == 0 ? CRYPTO_SHA256 : CRYPTO_BLAKE2B512, CRYPTO_BULK, &e);

		for (size_t at = 0; at < sizeof text; at += 1000) {
			crypto_digest_add(x, text + at, 1000);
			crypto_digest_add(y, text + at, 1000);
		}
		crypto_digest_final(x, a);
		crypto_digest_final(y, b);
		cr_expect_eq(memcmp(a, b, 64), 0);
		crypto_digest_free(x);
		crypto_digest_free(y);
	}
}

Test(crypto, ec_keys_come_back_from_pem)
{
	struct err e = ERR_INIT;
	struct ec_key *k, *pub, *again;
	struct buf plain = BUF_INIT, locked = BUF_INIT, p = BUF_INIT, sig = BUF_INIT;

	if (!crypto_available())
		cr_skip_test("no libcrypto here");
	k = ec_key_new(&e);
	cr_assert_not_null(k, "%s", e.msg);
	cr_assert_eq(ec_key_secret_pem(k, NULL, &plain, &e), 0);
	cr_assert_eq(ec_key_secret_pem(k, "pass", &locked, &e), 0);
	cr_assert_eq(ec_key_public_pem(k, &p, &e), 0);
	cr_expect_not(ec_key_is_encrypted(plain.p, plain.len));
	cr_expect(ec_key_is_encrypted(locked.p, locked.len));
	cr_assert_eq(ec_key_sign(k, "text", 4, &sig, &e), 0);
	pub = ec_key_parse(p.p, p.len, false, NULL, &e);
	cr_assert_not_null(pub, "%s", e.msg);
	cr_expect(ec_key_verify(pub, "text", 4, sig.p, sig.len));
	cr_expect_not(ec_key_verify(pub, "texT", 4, sig.p, sig.len));
	cr_expect_not(ec_key_verify(pub, "text", 4, sig.p, sig.len - 1));
	again = ec_key_parse(locked.p, locked.len, true, "pass", &e);
	cr_expect_not_null(again, "%s", e.msg);
	cr_expect_null(ec_key_parse(locked.p, locked.len, true, "past", &e));
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_null(ec_key_parse(locked.p, locked.len, true, NULL, &e));
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_null(ec_key_parse("x", 1, true, NULL, &e));
	cr_expect_eq(e.code, ERR_INPUT);
	ec_key_free(k);
	ec_key_free(pub);
	ec_key_free(again);
	buf_finish(&plain);
	buf_finish(&locked);
	buf_finish(&p);
	buf_finish(&sig);
}
