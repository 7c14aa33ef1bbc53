/* lib/registry: names, documents, the folder as a store, leases, archives. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "fmt/hash.h"
#include "registry/alias.h"
#include "registry/bundle.h"
#include "registry/cache.h"
#include "registry/known.h"
#include "registry/lease.h"
#include "registry/pointer.h"
#include "registry/registry.h"
#include "registry/store_dir.h"
#include "registry/tar.h"
#include "registry/version.h"

static char *
folder(void)
{
	char *dir = strdup("/tmp/llmr-unit-XXXXXX");

	cr_assert_not_null(mkdtemp(dir));
	return dir;
}

static void
remove_folder(char *dir)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	cr_assert_eq(system(cmd), 0);
	free(dir);
}

Test(registry, names_and_paths)
{
	static const struct { const char *text; bool name, path; } cases[] = {
		{ "router", true, true }, { "v2.0_x-1", true, true }, { "", false, false },
		{ ".hidden", false, true }, { "-x", false, true }, { "a/b", false, true }, { "a//b", false, false },
		{ "/a", false, false }, { "a/", false, false }, { "a/../b", false, false }, { "..", false, false },
		{ ".", false, false }, { "a/./b", false, false }, { "a\\b", false, false }, { "a\nb", false, false },
		{ "a b", false, true }, { "\xc3\xa4", false, true }, { "\xff", false, false }, { "...", false, true },
		{ "0123456789012345678901234567890123456789012345678901234567890123", true, true },
		{ "01234567890123456789012345678901234567890123456789012345678901234", false, true } };
	char name[LAYOUT_NAME], item[LAYOUT_NAME];
	const char *rest;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		cr_expect_eq(layout_name_ok(slice_str(cases[i].text)), cases[i].name, "name %s", cases[i].text);
		cr_expect_eq(layout_path_ok(slice_str(cases[i].text)), cases[i].path, "path %s", cases[i].text);
	}
	cr_expect(layout_parse("models/m/versions/v/manifest.json", "versions", name, item, &rest));
	cr_expect_str_eq(name, "m");
	cr_expect_str_eq(item, "v");
	cr_expect_str_eq(rest, "manifest.json");
	cr_expect_not(layout_parse("models/m/channels/c", "versions", name, item, &rest));
	cr_expect_not(layout_parse("models/../versions/v/x", "versions", name, item, &rest));
}

static struct pointer
sample(void)
{
	struct pointer p = { .registry_id = "0123456789abcdef0123456789abcdef", .name = "router",
		.channel = "latest", .version = "20260101T000000Z-00000000", .previous = "", .seq = 7, .fence = 3,
		.updated_us = 1767225600000000 };

	memset(p.manifest_sha256, 0xab, 32);
	return p;
}

Test(registry, pointer_is_bound_to_every_bit)
{
	struct err e = ERR_INIT;
	struct secret_key *key = secret_key_new(&e);
	struct pointer p = sample(), q;
	struct public_key pk;
	struct seal_trust t = { .keys = &pk, .n = 1 };
	struct buf doc = BUF_INIT;

	secret_key_public(key, &pk);
	cr_assert_eq(pointer_format(&p, key, &doc, &e), 0, "%s", e.msg);
	cr_assert_eq(pointer_parse((struct slice){ doc.p, doc.len }, &t, &q, &e), 0, "%s", e.msg);
	cr_expect_eq(q.seq, 7);
	cr_expect_eq(q.fence, 3);
	cr_expect_eq(q.updated_us, p.updated_us);
	cr_expect_eq(q.expires_us, 0);
	cr_expect_eq(pointer_expect(&q, p.registry_id, "router", "latest", &e), 0);
	cr_expect_eq(pointer_expect(&q, "", "router", "latest", &e), 0);
	cr_expect_eq(pointer_expect(&q, p.registry_id, "router", "stable", &e), -1);
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_eq(pointer_expect(&q, p.registry_id, "other", "latest", &e), -1);
	cr_expect_eq(pointer_expect(&q, "ffffffffffffffffffffffffffffffff", "router", "latest", &e), -1);
	for (size_t i = 0; i < doc.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			doc.p[i] = (char)(doc.p[i] ^ 1 << bit);
			cr_expect_eq(pointer_parse((struct slice){ doc.p, doc.len }, &t, &q, NULL), -1, "byte %zu bit %d", i,
			    bit);
			doc.p[i] = (char)(doc.p[i] ^ 1 << bit);
		}
	for (size_t n = 0; n < doc.len; n++)
		cr_expect_eq(pointer_parse((struct slice){ doc.p, n }, &t, &q, NULL), -1, "cut at %zu", n);
	buf_finish(&doc);
	secret_key_free(key);
}

Test(registry, a_document_is_none_of_another_kind)
{
	struct err e = ERR_INIT;
	struct secret_key *key = secret_key_new(&e);
	struct public_key pk;
	struct seal_trust t = { .keys = &pk, .n = 1 }, open = { .allow_unsigned = true }, none = { .n = 0 };
	struct buf payload = BUF_INIT, doc = BUF_INIT, got = BUF_INIT;

	secret_key_public(key, &pk);
	buf_str(&payload, "{\"a\":1}");
	cr_assert_eq(seal_close("one", &payload, key, &doc, &e), 0);
	cr_expect_eq(seal_open("one", (struct slice){ doc.p, doc.len }, &t, &got, NULL, &e), 0);
	cr_expect_str_eq(got.p, "{\"a\":1}");
	cr_expect_eq(seal_open("two", (struct slice){ doc.p, doc.len }, &t, &got, NULL, &e), -1);
	cr_expect_eq(e.code, ERR_NOPERM);
	cr_expect_eq(seal_open("one", (struct slice){ doc.p, doc.len }, &none, &got, NULL, &e), -1);
	buf_reset(&doc);
	cr_assert_eq(seal_close("one", &payload, NULL, &doc, &e), 0);
	cr_expect_eq(seal_open("one", (struct slice){ doc.p, doc.len }, &open, &got, NULL, &e), 0);
	/* Unsigned never counts where a key is configured. */
	t.allow_unsigned = true;
	cr_expect_eq(seal_open("one", (struct slice){ doc.p, doc.len }, &t, &got, NULL, &e), -1);
	cr_expect_eq(e.code, ERR_NOPERM);
	buf_finish(&payload);
	buf_finish(&doc);
	buf_finish(&got);
	secret_key_free(key);
}

static enum store_outcome
put(struct store *s, const char *text, const char *if_match, bool if_absent, struct store_info *info)
{
	const struct store_put p = { .key = "a/b/c", .data = text, .n = strlen(text), .fd = -1,
		.if_match = if_match, .if_absent = if_absent };
	struct err e = ERR_INIT;

	return store_put(s, &p, info, &e);
}

static int
count(void *ctx, const struct store_entry *t, struct err *e)
{
	(void)e;
	cr_expect_str_eq(t->key, "a/b/c");
	return ++*(int *)ctx < 0;
}

Test(registry, a_folder_keeps_conditions)
{
	char *dir = folder();
	struct err e = ERR_INIT;
	struct store *s = store_dir_open(dir, true, NULL, &e);
	struct store_info one, two, got;
	struct buf b = BUF_INIT;
	bool ok;
	int n = 0;

	cr_assert_not_null(s, "%s", e.msg);
	cr_expect_eq(store_get(s, "a/b/c", NULL, 10, &b, NULL, &e), STORE_ABSENT);
	cr_expect_eq(e.code, ERR_NOINPUT);
	cr_expect_eq(put(s, "x", "\"nothing\"", false, NULL), STORE_LOST);
	cr_expect_eq(put(s, "one", NULL, true, &one), STORE_OK);
	cr_expect_eq(put(s, "two", NULL, true, NULL), STORE_LOST);
	cr_expect_eq(put(s, "two", one.etag, false, &two), STORE_OK);
	cr_expect_eq(put(s, "three", one.etag, false, NULL), STORE_LOST);
	cr_expect_str_neq(one.etag, two.etag);
	cr_expect_eq(store_get(s, "a/b/c", two.etag, 10, &b, NULL, &e), STORE_NOT_MODIFIED);
	cr_expect_eq(store_get(s, "a/b/c", one.etag, 10, &b, &got, &e), STORE_OK);
	cr_expect_str_eq(b.p, "two");
	cr_expect_str_eq(got.etag, two.etag);
	cr_expect_eq(store_get(s, "a/b/c", NULL, 2, &b, NULL, &e), STORE_CHANGED);
	cr_expect_eq(store_list(s, "a/", count, &n, &e), 0);
	cr_expect_eq(store_list(s, "a/b/x", count, &n, &e), 0);
	cr_expect_eq(n, 1);
	cr_expect_eq(store_probe(s, "probe/", &ok, &e), 0);
	cr_expect(ok);
	cr_expect_eq(store_delete(s, "a/b/c", &e), STORE_OK);
	cr_expect_eq(store_delete(s, "a/b/c", &e), STORE_OK);
	cr_expect_eq(store_head(s, "a/b/c", NULL, &e), STORE_ABSENT);
	buf_finish(&b);
	store_free(s);
	remove_folder(dir);
}

/* A store that takes every write, as one without conditional writes does. */
static enum store_outcome
careless_put(void *impl, const struct store_put *p, struct store_info *info, struct err *e)
{
	(void)impl, (void)p, (void)e;
	if (info != NULL)
		*info = (struct store_info){ .etag = "\"1\"" };
	return STORE_OK;
}

static enum store_outcome
careless_get(void *impl, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct store_info *info, struct err *e)
{
	(void)impl, (void)key, (void)if_none_match, (void)max, (void)out, (void)info;
	err_set(e, ERR_NOINPUT, "nothing");
	return STORE_ABSENT;
}

static enum store_outcome
careless_delete(void *impl, const char *key, struct err *e)
{
	(void)impl, (void)key, (void)e;
	return STORE_OK;
}

static void
careless_free(void *impl)
{
	(void)impl;
}

Test(registry, a_store_without_conditions_is_found_out)
{
	static const struct store_ops ops = { .get = careless_get, .put = careless_put, .del = careless_delete,
		.free = careless_free };
	char *dir = folder();
	struct err e = ERR_INIT;
	struct store *s = store_new(&ops, NULL, "careless", &e);
	struct registry r = { .store = s, .allow_unsigned = true, .trust = { .allow_unsigned = true } };
	bool ok = true;

	r.known = known_open(dir, "careless", &e);
	cr_expect_eq(store_probe(s, "probe/", &ok, &e), 0);
	cr_expect_not(ok);
	cr_expect_eq(registry_begin_write(&r, &e), -1);
	cr_expect_eq(e.code, ERR_CONFIG);
	r.no_cas = true;
	cr_expect_eq(registry_begin_write(&r, &e), 0, "%s", e.msg);
	known_free(r.known);
	store_free(s);
	remove_folder(dir);
}

Test(registry, a_fetch_goes_on_and_checks)
{
	char *dir = folder(), path[64];
	struct err e = ERR_INIT;
	struct store *s = store_dir_open(dir, true, NULL, &e);
	struct store_fetch q = { .key = "a/b/c", .size_bytes = 11, .offset = 6 };
	uint8_t d[32];
	char text[12] = "";

	cr_assert_eq(put(s, "hello world", NULL, false, NULL), STORE_OK);
	sha256_bytes("hello world", 11, d);
	q.sha256 = d;
	(void)snprintf(path, sizeof path, "%s/part", dir);
	q.fd = open(path, O_RDWR | O_CREAT, 0600);
	cr_assert_eq(write(q.fd, "hello ", 6), 6);
	cr_expect_eq(store_fetch(s, &q, NULL, NULL, &e), STORE_OK, "%s", e.msg);
	cr_expect_eq(pread(q.fd, text, 11, 0), 11);
	cr_expect_str_eq(text, "hello world");
	cr_assert_eq(pwrite(q.fd, "H", 1, 0), 1);
	cr_expect_eq(store_fetch(s, &q, NULL, NULL, &e), STORE_CHANGED);
	cr_expect_eq(e.code, ERR_NOPERM);
	q.if_match = "\"another\"";
	cr_expect_eq(store_fetch(s, &q, NULL, NULL, &e), STORE_LOST);
	(void)close(q.fd);
	store_free(s);
	remove_folder(dir);
}

Test(registry, a_lease_has_one_owner_and_a_growing_fence)
{
	char *dir = folder();
	struct err e = ERR_INIT;
	struct store *s = store_dir_open(dir, true, NULL, &e);
	struct lease a, b;

	cr_assert_eq(lease_take(s, "locks/x", "alice", 60000000, &a, &e), 0, "%s", e.msg);
	cr_expect_eq(a.fence, 1);
	cr_expect_eq(lease_take(s, "locks/x", "bob", 60000000, &b, &e), -1);
	cr_expect_eq(e.code, ERR_TEMPFAIL);
	cr_expect_not_null(strstr(e.msg, "alice"));
	lease_release(s, &a);
	cr_expect_eq(lease_take(s, "locks/x", "bob", 1000, &b, &e), 0, "%s", e.msg);
	cr_expect_eq(b.fence, 2);
	clock_sleep_ns(20000000);
	/* It has ended, and somebody takes it: the former owner is told. */
	cr_expect_eq(lease_take(s, "locks/x", "carol", 60000000, &a, &e), 0, "%s", e.msg);
	cr_expect_eq(a.fence, 3);
	cr_expect_eq(lease_keep(s, &b, &e), -1);
	cr_expect_eq(e.code, ERR_TEMPFAIL);
	lease_release(s, &b);
	cr_expect_eq(lease_take(s, "locks/x", "bob", 1000, &b, &e), -1, "what was lost is not given back");
	store_free(s);
	remove_folder(dir);
}

Test(registry, a_pointer_under_an_older_lease_is_refused)
{
	char *dir = folder(), state[64];
	struct err e = ERR_INIT;
	struct store *s = store_dir_open(dir, true, NULL, &e);
	struct registry r = { .store = s, .allow_unsigned = true, .trust = { .allow_unsigned = true } };
	struct registry_move m = { .name = "m", .channel = "c", .version = "v1", .fence = 5 };

	(void)snprintf(state, sizeof state, "%s/state", dir);
	r.known = known_open(state, store_name(s), &e);
	cr_assert_not_null(r.known, "%s", e.msg);
	cr_assert_eq(registry_open(&r, NULL, &e), 0);
	cr_assert_eq(registry_begin_write(&r, &e), 0, "%s", e.msg);
	cr_expect_eq(registry_move(&r, &m, &e), 0, "%s", e.msg);
	cr_expect(m.changed);
	cr_expect_eq(m.result.seq, 1);
	memcpy(m.version, "v2", 3);
	m.fence = 4;
	cr_expect_eq(registry_move(&r, &m, &e), -1);
	cr_expect_eq(e.code, ERR_TEMPFAIL);
	m.fence = 0;
	cr_expect_eq(registry_move(&r, &m, &e), 0);
	cr_expect_eq(m.result.fence, 5, "a writer without a lease keeps the fence");
	cr_expect_str_eq(m.result.previous, "v1");
	cr_expect_eq(registry_move(&r, &m, &e), 0);
	cr_expect_not(m.changed);
	m.expect_previous = "v9";
	memcpy(m.version, "v3", 3);
	cr_expect_eq(registry_move(&r, &m, &e), -1);
	cr_expect_eq(e.code, ERR_NO);
	known_free(r.known);
	store_free(s);
	remove_folder(dir);
}

Test(registry, memory_never_goes_back)
{
	char *dir = folder();
	struct err e = ERR_INIT;
	struct known *k = known_open(dir, "dir:x", &e);
	struct pointer p = sample();
	struct known_pointer got;

	cr_assert_not_null(k, "%s", e.msg);
	cr_expect_eq(known_set_pointer(k, &p, "\"e7\"", SLICE_LIT("seven"), &e), 0);
	p.seq = 6;
	cr_expect_eq(known_set_pointer(k, &p, "\"e6\"", SLICE_LIT("six"), &e), 0);
	cr_expect_eq(known_pointer(k, "router", "latest", &got, &e), 0);
	cr_expect_eq(got.seq, 7);
	cr_expect_str_eq(got.etag, "\"e7\"");
	cr_expect_str_eq(got.doc.p, "seven");
	buf_finish(&got.doc);
	cr_expect_eq(known_pointer(k, "router", "stable", &got, &e), 0);
	cr_expect_eq(got.seq, 0);
	buf_finish(&got.doc);
	known_free(k);
	remove_folder(dir);
}

/* Flip every bit from byte `from` on: how many of the versions are believed. */
static size_t
believed(const struct version *v, struct buf *b, size_t from, const struct seal_trust *t)
{
	size_t n = 0;

	for (size_t i = from; i < b->len; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct version got;

			b->p[i] = (char)(b->p[i] ^ 1 << bit);
			if (version_read(v->name, v->version, (struct slice){ v->manifest.p, v->manifest.len },
			    (struct slice){ v->minisig.p, v->minisig.len }, NULL, t, &got, NULL) == 0)
				n++;
			version_finish(&got);
			b->p[i] = (char)(b->p[i] ^ 1 << bit);
		}
	return n;
}

Test(registry, version_is_bound_to_every_bit)
{
	char *dir = folder(), path[64];
	struct err e = ERR_INIT;
	struct secret_key *key = secret_key_new(&e);
	struct version v, got;
	struct public_key pk;
	const struct seal_trust t = { .keys = &pk, .n = 1 };
	const char *line;

	secret_key_public(key, &pk);
	(void)snprintf(path, sizeof path, "%s/a", dir);
	cr_assert_eq(io_write_file(path, "text", 4, 0644, &e), 0);
	cr_assert_eq(version_build("m", dir, 1767225600000000, key, NULL, &v, &e), 0, "%s", e.msg);
	cr_expect_eq(strncmp(v.version, "20260101T000000Z-", 17), 0);
	cr_assert_eq(version_read("m", v.version, (struct slice){ v.manifest.p, v.manifest.len },
	    (struct slice){ v.minisig.p, v.minisig.len }, v.digest, &t, &got, &e), 0, "%s", e.msg);
	cr_expect_eq(got.n, 1);
	cr_expect_str_eq(got.files[0].path, "a");
	version_finish(&got);
	cr_expect_eq(version_read("other", v.version, (struct slice){ v.manifest.p, v.manifest.len },
	    (struct slice){ v.minisig.p, v.minisig.len }, v.digest, &t, &got, &e), -1, "another model's name");
	cr_expect_eq(e.code, ERR_NOPERM);
	version_finish(&got);
	cr_expect_eq(believed(&v, &v.manifest, 0, &t), 0);
	/* Nothing covers the untrusted comment, the first line; nor the end of the last. */
	line = strchr(v.minisig.p, '\n');
	v.minisig.len--;
	cr_expect_eq(believed(&v, &v.minisig, (size_t)(line - v.minisig.p) + 1, &t), 0);
	version_finish(&v);
	secret_key_free(key);
	remove_folder(dir);
}

Test(registry, archive_headers)
{
	static const char *const bad[] = {
		"this-name-is-longer-than-one-hundred-characters-and-has-no-slash-at-which-it-could-be-cut-in-two-parts-x" };
	char block[TAR_BLOCK], name[TAR_NAME], text[TAR_NAME];
	struct err e = ERR_INIT;
	uint64_t size;

	cr_assert_eq(tar_header("files/a", 12345, true, block, &e), 0);
	cr_expect_eq(tar_parse(block, name, &size, &e), 1, "%s", e.msg);
	cr_expect_str_eq(name, "files/a");
	cr_expect_eq(size, 12345);
	(void)snprintf(text, sizeof text, "%0100d/%090d", 1, 2);
	cr_assert_eq(tar_header(text, 1, false, block, &e), 0);
	cr_expect_eq(tar_parse(block, name, &size, &e), 1);
	cr_expect_str_eq(name, text);
	cr_expect_eq(tar_header(bad[0], 1, false, block, &e), -1);
	cr_expect_eq(tar_header("x", (uint64_t)1 << 33, false, block, &e), -1);
	cr_assert_eq(tar_header("x", 5, false, block, &e), 0);
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		/* What ends the checksum may be one of two characters. */
		if (i == 155)
			continue;
		block[i] ^= 1;
		cr_expect_eq(tar_parse(block, name, &size, NULL), -1, "byte %zu", i);
		block[i] ^= 1;
	}
	memset(block, 0, sizeof block);
	cr_expect_eq(tar_parse(block, name, &size, &e), 0);
	cr_expect_eq(tar_padding(0), 0);
	cr_expect_eq(tar_padding(1), 511);
	cr_expect_eq(tar_padding(512), 0);
}
