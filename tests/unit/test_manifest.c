#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "trust/manifest.h"

static const char *const paths[] = { "b", "a/b", "a", "B", "a-b" };

static struct manifest *
made(struct err *e)
{
	struct manifest *m = manifest_new("2026-01-30T10:00:00+00:00", "a \"b\" \\ /\n\t\x7f caf\xc3\xa9 \xf0\x9f\x98\x80", e);
	uint8_t d[32];

	cr_assert_not_null(m);
	for (size_t i = 0; i < 5; i++) {
		sha256_bytes(paths[i], strlen(paths[i]), d);
		cr_assert_eq(manifest_add(m, slice_str(paths[i]), d, e), 0, "%s", e->msg);
	}
	return m;
}

Test(manifest, canonical_bytes_are_sorted_and_ascii)
{
	struct err e = ERR_INIT;
	struct manifest *m = made(&e);
	struct buf b = BUF_INIT;
	const char *tail = "],\"created_at\":\"2026-01-30T10:00:00+00:00\",\"description\":"
		"\"a \\\"b\\\" \\\\ /\\n\\t\\u007f caf\\u00e9 \\ud83d\\ude00\",\"version\":\"1.0\"}";
	const char *order[] = { "\"B\"", "\"a\"", "\"a-b\"", "\"a/b\"", "\"b\"" };
	const char *at;

	cr_assert_eq(manifest_canonical(m, &b, &e), 0);
	at = b.p;
	for (size_t i = 0; i < 5; i++) {
		at = strstr(at, order[i]);
		cr_assert_not_null(at, "%s", order[i]);
	}
	cr_expect_str_eq(b.p + b.len - strlen(tail), tail);
	cr_expect_eq(strncmp(b.p, "{\"artifacts\":[{\"path\":\"B\",\"sha256\":\"df7e70e5021544f4834bbee64a9e3789", 66), 0);
	cr_expect_eq(manifest_add(m, slice_str("a"), (const uint8_t *)b.p, &e), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	buf_finish(&b);
	manifest_free(m);
}

Test(manifest, paths_that_leave_are_refused)
{
	static const char *const bad[] = { "", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\nb",
		"caf\xc3", "\x7f" };
	struct err e = ERR_INIT;
	struct manifest *m = manifest_new(NULL, NULL, &e);
	const uint8_t d[32] = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect_eq(manifest_add(m, slice_str(bad[i]), d, &e), -1, "%s", bad[i]);
		cr_expect_eq(e.code, ERR_INPUT);
	}
	cr_expect_eq(manifest_add(m, SLICE_LIT("a\0b"), d, &e), -1);
	cr_expect_eq(manifest_add(m, SLICE_LIT("..a/b.."), d, &e), 0);
	manifest_free(m);
}

Test(manifest, what_is_signed_reads_back_and_verifies)
{
	struct err e = ERR_INIT;
	struct manifest *m = made(&e), *again;
	struct secret_key *k = secret_key_new(&e), *other = secret_key_new(&e);
	struct public_key keys[2];
	struct buf b = BUF_INIT, c = BUF_INIT;
	struct slice secret = SLICE_LIT("s3cr\xc3\xa9t");
	size_t which = 9;

	secret_key_public(other, &keys[0]);
	secret_key_public(k, &keys[1]);
	cr_assert_eq(manifest_sign(m, k, &e), 0);
	cr_assert_eq(manifest_format(m, &b, &e), 0);
	again = manifest_parse(b.p, b.len, "m", &e);
	cr_assert_not_null(again, "%s", e.msg);
	cr_expect_eq(manifest_format(again, &c, &e), 0);
	cr_expect_eq(b.len, c.len);
	cr_expect_eq(memcmp(b.p, c.p, b.len), 0);
	cr_expect_eq(manifest_verify(again, keys, 2, SLICE_NONE, &which, &e), 0, "%s", e.msg);
	cr_expect_eq(which, 1);
	cr_expect_eq(manifest_verify(again, keys, 1, SLICE_NONE, &which, &e), -1);
	cr_expect_eq(e.code, ERR_NO);
	cr_expect_eq(manifest_verify(again, NULL, 0, secret, NULL, &e), -1);
	cr_expect_eq(manifest_verify(again, NULL, 0, SLICE_NONE, NULL, &e), -1);
	cr_expect_not_null(manifest_sha256(again, slice_str("a/b")));
	cr_expect_null(manifest_sha256(again, slice_str("x/a/b")));
	cr_expect_null(manifest_sha256(again, slice_str("a/")));
	manifest_free(again);

	cr_assert_eq(manifest_sign_hmac(m, secret, &e), 0);
	cr_expect_eq(manifest_verify(m, NULL, 0, secret, NULL, &e), 0);
	cr_expect_eq(manifest_verify(m, NULL, 0, SLICE_LIT("other"), NULL, &e), -1);
	cr_expect_eq(manifest_verify(m, keys, 2, secret, NULL, &e), -1);
	cr_expect_eq(manifest_sign_hmac(m, SLICE_NONE, &e), -1);
	buf_finish(&b);
	buf_finish(&c);
	secret_key_free(k);
	secret_key_free(other);
	manifest_free(m);
}

Test(manifest, no_flipped_bit_passes)
{
	struct err e = ERR_INIT;
	struct manifest *m = made(&e);
	struct secret_key *k = secret_key_new(&e);
	struct public_key key;
	struct buf b = BUF_INIT;
	struct rng r;

	rng_seed(&r, 7);
	secret_key_public(k, &key);
	cr_assert_eq(manifest_sign(m, k, &e), 0);
	cr_assert_eq(manifest_format(m, &b, &e), 0);
	for (size_t i = 0; i < 4000; i++) {
		size_t bit = (size_t)rng_below(&r, b.len * 8);
		struct manifest *x;

		b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
		x = manifest_parse(b.p, b.len, "m", &e);
		cr_expect(x == NULL || manifest_verify(x, &key, 1, SLICE_NONE, NULL, &e) < 0, "bit %zu of byte %zu", bit % 8,
			bit / 8);
		manifest_free(x);
		b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
	}
	buf_finish(&b);
	secret_key_free(k);
	manifest_free(m);
}

/* ---- the vectors that a gateway's own code made ---- */

struct one_case {
	struct slice manifest, artifact, pub, pubpath, hmac, result;
	bool lenient;		/* enforce: false */
};

static void
read_key(struct jread *r, struct arena *a, struct one_case *c)
{
	struct slice key;
	bool b;

	if (jread_object(r))
		while (jread_member(r, &key)) {
			if (slice_is(key, "pub"))
				jread_string(r, a, &c->pub);
			else if (slice_is(key, "pubpath"))
				jread_string(r, a, &c->pubpath);
			else if (slice_is(key, "hm"))
				jread_string(r, a, &c->hmac);
			else {
				jread_bool(r, &b);
				c->lenient = !b;
			}
		}
}

static char home[512];

static const char *
in_home(struct slice name)
{
	static char path[1024];

	(void)snprintf(path, sizeof path, "%s/%.*s", home, (int)name.n, name.p);
	return path;
}

/* The reader refuses on purpose what the other takes: see manifest.h. */
static bool
stricter(const struct one_case *c)
{
	return slice_starts(c->manifest, "attack_") || slice_starts(c->manifest, "unsigned_none") ||
		(slice_starts(c->manifest, "odd_") && !slice_is(c->manifest, "odd_yaml_unquoted_version.yaml"));
}

static bool
passes(const struct one_case *c)
{
	struct err e = ERR_INIT;
	struct manifest *m = manifest_read(in_home(c->manifest), &e);
	struct public_key key;
	size_t n = c->pub.p != NULL || c->pubpath.p != NULL;
	const uint8_t *want;
	uint8_t got[32];
	uint64_t bytes;
	bool ok = m != NULL;
	int fd;

	if (c->pub.p != NULL)
		cr_assert_eq(public_key_parse(c->pub, &key, &e), 0, "%s", e.msg);
	if (c->pubpath.p != NULL)
		cr_assert_eq(public_key_read(in_home(c->pubpath), &key, &e), 0, "%s", e.msg);
	ok = ok && manifest_verify(m, &key, n, c->hmac, NULL, &e) == 0;
	if (ok) {
		struct buf a = BUF_INIT, b = BUF_INIT;
		char name[600];

		(void)snprintf(name, sizeof name, "%.*s.canonical", (int)c->manifest.n, c->manifest.p);
		cr_assert_eq(manifest_canonical(m, &a, &e), 0);
		cr_assert_eq(io_read_file(in_home(slice_str(name)), 1 << 20, &b, &e), 0, "%s", e.msg);
		cr_expect(a.len == b.len && memcmp(a.p, b.p, a.len) == 0, "%s: canonical bytes differ", name);
		buf_finish(&a);
		buf_finish(&b);
	}
	if (ok && !c->lenient) {
		want = manifest_sha256(m, c->artifact);
		/* Damaged copies stand under another name; what is listed is looked for. */
		if (want == NULL && (slice_starts(c->artifact, "models/bitflip/") || slice_starts(c->artifact, "models/truncated/")))
			want = manifest_sha256(m, SLICE_LIT("models/knn_router.bin"));
		ok = want != NULL;
		if (ok) {
			fd = io_open_read(in_home(c->artifact), &e);
			cr_assert_geq(fd, 0, "%s", e.msg);
			cr_assert_eq(tree_hash_fd(fd, got, &bytes, &e), 0);
			(void)close(fd);
			ok = memcmp(got, want, 32) == 0;
		}
	}
	manifest_free(m);
	return ok;
}

Test(manifest, every_vector_of_the_gateway)
{
	const char *shared = getenv("LLMR_SHARED");
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct jread r;
	struct slice key;
	size_t n = 0, passed = 0;

	if (shared == NULL || access(shared, R_OK) != 0)
		cr_skip_test("LLMR_SHARED is not here");
	(void)snprintf(home, sizeof home, "%s/fixtures/signing/seeds-manifest", shared);
	cr_assert_eq(io_read_file(in_home(SLICE_LIT("cases.json")), 1 << 20, &b, &e), 0, "%s", e.msg);
	jread_init(&r, b.p, b.len);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (!slice_is(key, "cases")) {
				jread_skip(&r);
				continue;
			}
			if (jread_array(&r))
				while (jread_element(&r)) {
					struct one_case c = { .result = SLICE_NONE };
					bool want, got;

					if (jread_object(&r))
						while (jread_member(&r, &key)) {
							if (slice_is(key, "manifest"))
								jread_string(&r, &a, &c.manifest);
							else if (slice_is(key, "artifact"))
								jread_string(&r, &a, &c.artifact);
							else if (slice_is(key, "seeds_verifier_result"))
								jread_string(&r, &a, &c.result);
							else if (slice_is(key, "key"))
								read_key(&r, &a, &c);
							else
								jread_skip(&r);
						}
					/* A file of base64 is a key here. */
					want = (slice_is(c.result, "ok") || slice_is(c.pubpath, "keys/public_key.b64")) && !stricter(&c);
					got = passes(&c);
					cr_expect_eq(got, want, "%.*s with %.*s: %s", (int)c.manifest.n, c.manifest.p,
						(int)c.artifact.n, c.artifact.p, got ? "passes" : "is refused");
					n++;
					passed += got;
				}
		}
	cr_assert_eq(jread_done(&r, &e), 0, "%s", e.msg);
	cr_expect_eq(n, 57);
	cr_expect_gt(passed, 10);
	arena_finish(&a);
	buf_finish(&b);
}

Test(tree, a_folder_is_compared_file_by_file)
{
	char dir[] = "/tmp/llmr-tree-XXXXXX", cmd[128];
	struct err e = ERR_INIT;
	struct tree want = { 0 }, report = { 0 };
	bool same;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	cr_assert_eq(io_mkdirs("d/sub", &e), 0);
	cr_assert_eq(io_write_file("d/a", "a", 1, 0644, &e), 0);
	cr_assert_eq(io_write_file("d/sub/b", "b", 1, 0644, &e), 0);
	cr_assert_eq(io_write_file("d/sub/c", "c", 1, 0644, &e), 0);
	cr_assert_eq(tree_scan(&want, "d", NULL, NULL, &e), 0, "%s", e.msg);
	cr_assert_eq(want.n, 3);
	cr_assert_eq(tree_hash_all(&want, "d", &e), 0);
	cr_assert_eq(tree_compare(&want, "d", true, NULL, NULL, &report, &same, &e), 0);
	cr_expect(same);
	tree_free(&report);

	cr_assert_eq(io_write_file("d/a", "A", 1, 0644, &e), 0);
	cr_assert_eq(unlink("d/sub/b"), 0);
	cr_assert_eq(io_write_file("d/sub/x", "x", 1, 0644, &e), 0);
	cr_assert_eq(rename("d/sub/c", "c"), 0);
	cr_assert_eq(symlink("../../c", "d/sub/c"), 0);
	cr_assert_eq(tree_compare(&want, "d", false, NULL, NULL, &report, &same, &e), 0);
	cr_expect_not(same);
	cr_expect_eq(report.files[0].state, TREE_CHANGED);
	cr_expect_eq(report.files[1].state, TREE_MISSING);
	cr_expect_eq(report.files[2].state, TREE_CHANGED, "a link, though to the same bytes");
	tree_free(&report);
	cr_expect_eq(tree_compare(&want, "d", true, NULL, NULL, &report, &same, &e), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	tree_free(&report);
	cr_assert_eq(unlink("d/sub/c"), 0);
	cr_assert_eq(tree_compare(&want, "d", true, NULL, NULL, &report, &same, &e), 0);
	cr_assert_eq(report.n, 4);
	cr_expect_eq(report.files[3].state, TREE_EXTRA);
	cr_expect_str_eq(report.files[3].path, "sub/x");
	tree_free(&report);
	tree_free(&want);
	(void)!chdir("/");
	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	(void)!system(cmd);
}
