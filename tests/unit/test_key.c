#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "trust/key.h"

static char dir[64];

static void
setup(void)
{
	(void)strcpy(dir, "/tmp/llmr-key-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void
teardown(void)
{
	char cmd[96];

	(void)!chdir("/");
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	(void)!system(cmd);
}

TestSuite(key, .init = setup, .fini = teardown);

static int
say(void *ctx, const char *prompt, char *buf, size_t cap, struct err *e)
{
	const char *text = ctx;

	(void)prompt;
	(void)e;
	cr_assert_leq(strlen(text), cap);
	memcpy(buf, text, strlen(text));
	return (int)strlen(text);
}

static int
refuse(void *ctx, const char *prompt, char *buf, size_t cap, struct err *e)
{
	(void)ctx;
	(void)prompt;
	(void)buf;
	(void)cap;
	return err_set(e, ERR_USAGE, "no password here");
}

Test(key, a_secret_key_comes_back_from_its_file)
{
	struct err e = ERR_INIT;
	struct secret_key *k = secret_key_new(&e), *again;
	struct key_password right = { say, "open sesame" }, wrong = { say, "open sesam" }, none = { refuse, NULL };
	struct public_key a, b;
	uint8_t s1[KEY_SIG_BYTES], s2[KEY_SIG_BYTES];
	struct stat st;

	cr_assert_not_null(k);
	secret_key_public(k, &a);
	cr_assert_eq(secret_key_write(k, "plain", NULL, 0, 0, &e), 0, "%s", e.msg);
	cr_assert_eq(secret_key_write(k, "locked", "open sesame", 11, (uint64_t)16 << 20, &e), 0, "%s", e.msg);
	cr_assert_eq(stat("locked", &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_expect_eq(secret_key_write(k, "plain", NULL, 0, 0, &e), -1);
	cr_expect_eq(e.code, ERR_CANTCREAT);

	again = secret_key_read("plain", NULL, &e);
	cr_assert_not_null(again, "%s", e.msg);
	key_sign(k, "text", 4, s1);
	key_sign(again, "text", 4, s2);
	cr_expect_eq(memcmp(s1, s2, sizeof s1), 0);
	secret_key_free(again);

	again = secret_key_read("locked", &right, &e);
	cr_assert_not_null(again, "%s", e.msg);
	secret_key_public(again, &b);
	cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
	cr_expect(key_verify(&b, "text", 4, s1));
	cr_expect_not(key_verify(&b, "texT", 4, s1));
	secret_key_free(again);

	cr_expect_null(secret_key_read("locked", &wrong, &e));
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_null(secret_key_read("locked", NULL, &e));
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_null(secret_key_read("locked", &none, &e));
	cr_expect_eq(e.code, ERR_USAGE);
	cr_expect_null(secret_key_read("absent", NULL, &e));
	cr_expect_eq(e.code, ERR_NOINPUT);
	secret_key_free(k);
}

Test(key, a_public_key_comes_in_every_dress)
{
	/* RFC 8032, 7.1, test 1. */
	static const char raw_b64[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
		"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
	static const char secret[] = "-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
	struct err e = ERR_INIT;
	struct public_key a, b, c, d;
	struct secret_key *k;
	char text[PUBLIC_KEY_TEXT], id[KEY_ID_TEXT];
	uint8_t sig[KEY_SIG_BYTES];

	cr_assert_eq(public_key_parse(slice_str(raw_b64), &a, &e), 0, "%s", e.msg);
	cr_assert_eq(public_key_parse(slice_str(pem), &b, &e), 0, "%s", e.msg);
	cr_expect_eq(memcmp(&a, &b, sizeof a), 0);
	public_key_format(&a, text);
	cr_assert_eq(public_key_parse(slice_str(text), &c, &e), 0, "%s", e.msg);
	cr_expect_eq(memcmp(&a, &c, sizeof a), 0);
	cr_assert_eq(public_key_write(&a, "a.pub", NULL, &e), 0, "%s", e.msg);
	cr_assert_eq(public_key_read("a.pub", &d, &e), 0, "%s", e.msg);
	cr_expect_eq(memcmp(&a, &d, sizeof a), 0);
	cr_assert_eq(io_write_file("a.raw", a.pk, 32, 0644, &e), 0);
	cr_assert_eq(public_key_read("a.raw", &d, &e), 0, "%s", e.msg);
	cr_expect_eq(memcmp(&a, &d, sizeof a), 0);
	key_id_format(a.id, id);
	cr_expect_eq(strlen(id), 16);

	/* The same test's signature of nothing begins with e5564300c360ac72. */
	k = secret_key_parse(secret, sizeof secret - 1, "pem", NULL, &e);
	cr_assert_not_null(k, "%s", e.msg);
	key_sign(k, "", 0, sig);
	cr_expect_eq(memcmp(sig, "\xe5\x56\x43\x00\xc3\x60\xac\x72", 8), 0);
	cr_expect(key_verify(&a, "", 0, sig));
	secret_key_free(k);
}

Test(key, what_is_no_key_is_refused)
{
	static const char *const bad[] = { "", "x", "untrusted comment: x", "untrusted comment: x\n",
		"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp=",
		/* the neutral element */
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct err e = ERR_INIT;
		struct public_key k;

		cr_expect_eq(public_key_parse(slice_str(bad[i]), &k, &e), -1, "%s", bad[i]);
		cr_expect_eq(e.code, ERR_INPUT);
		cr_expect_null(secret_key_parse(bad[i], strlen(bad[i]), "it", NULL, &e));
		cr_expect_eq(e.code, ERR_INPUT);
	}
}

/* Made by stock minisign without a password; one with takes 1 GiB and seconds: tests/integ/signing.sh. */
Test(key, a_stock_key_is_read)
{
	static const char secret[] = "untrusted comment: minisign encrypted secret key\n"
		"RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAkMDaXMxFUPO3nZGxPRmd963gPP/y"
		"z1J/yMl/iZOQDdd2SA1P5Edl3SCBCR00SDnHpf5GaTl/jnso2MQ/5LffNjW46Ak5X0z2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAAAAAA=\n";
	struct err e = ERR_INIT;
	struct secret_key *k = secret_key_parse(secret, sizeof secret - 1, "stock", NULL, &e);
	struct public_key p;
	char id[KEY_ID_TEXT];

	cr_assert_not_null(k, "%s", e.msg);
	secret_key_public(k, &p);
	key_id_format(p.id, id);
	cr_expect_str_eq(id, "F35045CC5CDAC090");
	secret_key_free(k);
}
