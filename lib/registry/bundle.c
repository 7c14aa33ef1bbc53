#include "registry/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "registry/tar.h"

#define DOMAIN "llmr-bundle-1"
#define INDEX "llmr-bundle.json"
#define INDEX_MAX ((uint64_t)16 << 20)
#define PIECE ((size_t)256 * 1024)

struct member {
	const char *name;
	uint8_t sha256[32];
	uint64_t size_bytes;
	uint64_t offset;	/* of the content in the archive, when read */
	const struct buf *bytes;	/* content, when written: one of these three */
	const char *local;
	size_t file;		/* of the version, MEMBER_NONE none */
};
#define MEMBER_NONE ((size_t)-1)

struct index {
	char name[LAYOUT_NAME], version[LAYOUT_NAME];
	uint8_t digest[32];
	struct member *m;
	size_t n, cap;
	struct arena arena;
};

static void
index_finish(struct index *x)
{
	free(x->m);
	arena_finish(&x->arena);
}

static struct member *
add(struct index *x, const char *prefix, const char *name, struct err *e)
{
	void *p = x->m;
	char *text = arena_alloc(&x->arena, strlen(prefix) + strlen(name) + 1, e);

	if (text == NULL || mem_grow(&p, &x->cap, x->n + 1, sizeof *x->m, e) < 0)
		return NULL;
	(void)sprintf(text, "%s%s", prefix, name);
	x->m = p;
	x->m[x->n] = (struct member){ .name = text, .file = MEMBER_NONE };
	return &x->m[x->n++];
}

/* ---- writing --------------------------------------------------------------------- */

static int
hash_fd(int fd, uint64_t *size, uint8_t out[32], struct err *e)
{
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	struct sha256 h;
	size_t got;
	int r = piece == NULL ? -1 : 0;

	*size = 0;
	sha256_init(&h);
	while (r == 0 && (r = io_read_full(fd, piece, PIECE, &got, e)) == 0 && got > 0) {
		sha256_add(&h, piece, got);
		*size += got;
	}
	sha256_final(&h, out);
	free(piece);
	return r;
}

static int
add_bytes(struct index *x, const char *name, const struct buf *b, struct err *e)
{
	struct member *m = add(x, "", name, e);

	if (m == NULL)
		return -1;
	m->bytes = b;
	m->size_bytes = b->len;
	sha256_bytes(b->p, b->len, m->sha256);
	return 0;
}

static int
add_extra(struct index *x, const struct bundle_extra *extra, struct err *e)
{
	struct member *m = add(x, "extra/", extra->name, e);
	int fd, r;

	if (m == NULL || (fd = io_open_read(extra->local, e)) < 0)
		return -1;
	m->local = extra->local;
	r = hash_fd(fd, &m->size_bytes, m->sha256, e);
	(void)close(fd);
	return r;
}

static int
add_file(struct index *x, struct registry *r, const struct version *v, size_t i, struct err *e)
{
	const struct version_file *f = &v->files[i];
	struct member *m = add(x, "files/", f->path, e);
	struct store_info info;
	char key[STORE_KEY_MAX];

	if (m == NULL)
		return -1;
	memcpy(m->sha256, f->sha256, 32);
	m->size_bytes = f->size_bytes;
	m->file = i;
	if (m->size_bytes != UINT64_MAX)
		return 0;
	layout_object(f->sha256, key);
	if (store_head(r->store, key, &info, e) != STORE_OK)
		return -1;
	m->size_bytes = info.size_bytes;
	return 0;
}

static int
format_index(const struct index *x, const struct secret_key *key, struct buf *out, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];
	int r;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "format", DOMAIN);
	hex_format(x->digest, 32, hex);
	jsonw_kstr(&w, "manifest_sha256", hex);
	jsonw_key(&w, "members");
	jsonw_array(&w);
	for (size_t i = 0; i < x->n; i++) {
		jsonw_object(&w);
		jsonw_kstr(&w, "name", x->m[i].name);
		hex_format(x->m[i].sha256, 32, hex);
		jsonw_kstr(&w, "sha256", hex);
		jsonw_key(&w, "size");
		jsonw_uint(&w, x->m[i].size_bytes);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_kstr(&w, "name", x->name);
	jsonw_kstr(&w, "version", x->version);
	jsonw_end_object(&w);
	r = seal_close(DOMAIN, &b, key, out, e);
	buf_finish(&b);
	return r;
}

static int
pad(struct io_out *o, uint64_t size, struct err *e)
{
	static const char zeros[TAR_BLOCK];

	return io_out_write(o, zeros, tar_padding(size), e);
}

static int
write_header(struct io_out *o, const char *name, uint64_t size, struct err *e)
{
	char block[TAR_BLOCK];

	if (tar_header(name, size, strncmp(name, "extra/bin/", 10) == 0, block, e) < 0)
		return -1;
	return io_out_write(o, block, sizeof block, e);
}

/* All of fd to the archive, checked against the member. */
static int
copy_in(struct io_out *o, int fd, const struct member *m, struct err *e)
{
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	struct sha256 h;
	uint64_t size = 0;
	uint8_t d[32];
	size_t got;
	int r = piece == NULL ? -1 : 0;

	sha256_init(&h);
	while (r == 0 && (r = io_read_full(fd, piece, PIECE, &got, e)) == 0 && got > 0) {
		sha256_add(&h, piece, got);
		size += got;
		r = io_out_write(o, piece, got, e);
	}
	sha256_final(&h, d);
	free(piece);
	if (r == 0 && (size != m->size_bytes || memcmp(d, m->sha256, 32) != 0))
		r = err_set(e, ERR_INPUT, "%s changed while it was read", m->name);
	return r;
}

static int
write_member(struct io_out *o, struct registry *r, const struct member *m, struct err *e)
{
	int fd = -1, ret;

	if (write_header(o, m->name, m->size_bytes, e) < 0)
		return -1;
	if (m->bytes != NULL)
		return io_out_write(o, m->bytes->p, m->bytes->len, e) < 0 ? -1 : pad(o, m->size_bytes, e);
	if (m->local != NULL)
		fd = io_open_read(m->local, e);
	else {
		char key[STORE_KEY_MAX];
		struct store_fetch q = { .key = key, .size_bytes = m->size_bytes, .sha256 = m->sha256 };

		layout_object(m->sha256, key);
		if ((q.fd = io_tmpfile(e)) < 0)
			return -1;
		if (store_fetch(r->store, &q, NULL, NULL, e) != STORE_OK || lseek(q.fd, 0, SEEK_SET) < 0) {
			(void)close(q.fd);
			return -1;
		}
		fd = q.fd;
	}
	if (fd < 0)
		return -1;
	ret = copy_in(o, fd, m, e);
	(void)close(fd);
	return ret < 0 ? -1 : pad(o, m->size_bytes, e);
}

static int
write_all(struct registry *r, const struct index *x, const struct buf *doc, const char *out, struct err *e)
{
	static const char zeros[2 * TAR_BLOCK];
	struct io_out o;
	int ret;

	if (io_out_open(&o, out, 0644, e) < 0)
		return -1;
	ret = write_header(&o, INDEX, doc->len, e) < 0 || io_out_write(&o, doc->p, doc->len, e) < 0 ? -1 :
		pad(&o, doc->len, e);
	for (size_t i = 0; ret == 0 && i < x->n; i++) {
		ret = write_member(&o, r, &x->m[i], e);
		if (ret == 0)
			ret = cancel_check(r->cancel, e);
	}
	if (ret == 0)
		ret = io_out_write(&o, zeros, sizeof zeros, e);
	if (ret == 0)
		return io_out_commit(&o, e);
	io_out_abort(&o);
	return -1;
}

int
bundle_write(struct registry *r, const struct version *v, const struct bundle_extra *extras,
	size_t n_extras, const struct secret_key *key, const char *out, struct err *e)
{
	struct index x = { .name = "" };
	struct buf doc = BUF_INIT;
	int ret;

	memcpy(x.name, v->name, sizeof x.name);
	memcpy(x.version, v->version, sizeof x.version);
	memcpy(x.digest, v->digest, 32);
	ret = add_bytes(&x, "manifest.json", &v->manifest, e);
	if (ret == 0 && v->minisig.len > 0)
		ret = add_bytes(&x, "manifest.json.minisig", &v->minisig, e);
	for (size_t i = 0; ret == 0 && i < v->n; i++)
		ret = add_file(&x, r, v, i, e);
	for (size_t i = 0; ret == 0 && i < n_extras; i++)
		ret = add_extra(&x, &extras[i], e);
	if (ret == 0)
		ret = format_index(&x, key, &doc, e);
	if (ret == 0)
		ret = write_all(r, &x, &doc, out, e);
	buf_finish(&doc);
	index_finish(&x);
	return ret;
}

/* ---- reading --------------------------------------------------------------------- */

struct bundle {
	int fd;
	struct index index;
	struct version v;
	uint64_t *offset;	/* [v.n] of the version's files */
	struct cancel *cancel;
};

static bool
read_member(struct jread *r, struct index *x, struct err *e)
{
	struct slice key, name = SLICE_NONE, hex = SLICE_NONE, number = SLICE_NONE;
	struct member *m;
	char *text;
	long long size = -1;

	if (jread_peek(r) == JREAD_OBJECT && jread_object(r))
		while (jread_member(r, &key)) {
			if (slice_is(key, "name") && jread_peek(r) == JREAD_STRING)
				(void)jread_string(r, &x->arena, &name);
			else if (slice_is(key, "sha256") && jread_peek(r) == JREAD_STRING)
				(void)jread_string(r, &x->arena, &hex);
			else if (slice_is(key, "size") && jread_peek(r) == JREAD_NUMBER)
				(void)jread_number(r, &number);
			else {
				err_set(e, ERR_INPUT, INDEX ": a member of the list has the wrong form");
				return false;
			}
		}
	if (!jread_well(r) || !layout_path_ok(name) || !slice_int(number, &size) || size < 0 ||
	    name.n >= TAR_NAME) {
		err_set(e, ERR_INPUT, INDEX ": a member of the list has the wrong form");
		return false;
	}
	if ((text = arena_dup(&x->arena, name.p, name.n, e)) == NULL || (m = add(x, "", text, e)) == NULL)
		return false;
	m->size_bytes = (uint64_t)size;
	if (layout_hex(hex, m->sha256))
		return true;
	err_set(e, ERR_INPUT, INDEX ": %s: bad digest", m->name);
	return false;
}

static int
read_list(struct slice json, struct index *x, struct err *e)
{
	struct jread r;

	jread_init(&r, json.p, json.n);
	if (jread_peek(&r) != JREAD_ARRAY)
		return err_set(e, ERR_INPUT, INDEX ": members is not a list");
	if (jread_array(&r))
		while (jread_element(&r))
			if (!read_member(&r, x, e))
				return -1;
	return jread_done(&r, e);
}

static int
read_index(struct slice doc, const struct seal_trust *t, struct index *x, struct err *e)
{
	struct seal_member m[] = { { .name = "format" }, { .name = "manifest_sha256" }, { .name = "@members" },
		{ .name = "name" }, { .name = "version" } };
	struct buf payload = BUF_INIT;
	int r = -1;

	if (seal_open(DOMAIN, doc, t, &payload, NULL, e) < 0 ||
	    seal_read((struct slice){ payload.p, payload.len }, m, 5, &x->arena, e) < 0)
		err_wrap(e, INDEX);
	else if (!slice_is(m[0].value, DOMAIN) || !layout_hex(m[1].value, x->digest) ||
	    !layout_name_ok(m[3].value) || !layout_name_ok(m[4].value))
		err_set(e, ERR_INPUT, INDEX ": is not the index of a bundle");
	else {
		memcpy(x->name, m[3].value.p, m[3].value.n);
		memcpy(x->version, m[4].value.p, m[4].value.n);
		r = read_list(m[2].value, x, e);
	}
	buf_finish(&payload);
	return r;
}

int
bundle_index_check(struct slice doc, const struct seal_trust *t, struct err *e)
{
	struct index x = { .name = "" };
	int r = read_index(doc, t, &x, e);

	index_finish(&x);
	return r;
}

/* The next header: its name must be `want' (NULL: the end). */
static int
expect_header(int fd, const char *want, uint64_t *size, struct err *e)
{
	char block[TAR_BLOCK], name[TAR_NAME];
	size_t got;
	int r;

	if (io_read_full(fd, block, sizeof block, &got, e) < 0)
		return -1;
	if (got != sizeof block)
		return err_set(e, ERR_INPUT, "the archive is cut short");
	if ((r = tar_parse(block, name, size, e)) < 0)
		return -1;
	if (want == NULL)
		return r == 0 ? 0 : err_set(e, ERR_INPUT, "the archive holds %s, which its index does not name", name);
	if (r == 0 || strcmp(name, want) != 0)
		return err_set(e, ERR_INPUT, "the archive holds %s where %s should be", r == 0 ? "nothing" : name,
		    want);
	return 0;
}

/* Hash `size' bytes from here (into keep as well, when not NULL), and pass over the padding. */
static int
read_content(struct bundle *b, uint64_t size, struct buf *keep, uint8_t out[32], struct err *e)
{
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	struct sha256 h;
	int r = piece == NULL ? -1 : 0;
	size_t got;

	sha256_init(&h);
	for (uint64_t left = size; r == 0 && left > 0; left -= got) {
		r = io_read_full(b->fd, piece, left < PIECE ? (size_t)left : PIECE, &got, e);
		if (r == 0 && got == 0)
			r = err_set(e, ERR_INPUT, "the archive is cut short");
		if (r == 0)
			r = cancel_check(b->cancel, e);
		sha256_add(&h, piece, got);
		if (keep != NULL)
			buf_add(keep, piece, got);
	}
	sha256_final(&h, out);
	if (r == 0 && io_read_full(b->fd, piece, tar_padding(size), &got, e) == 0 && got != tar_padding(size))
		r = err_set(e, ERR_INPUT, "the archive is cut short");
	for (size_t i = 0; r == 0 && i < tar_padding(size); i++)
		if (piece[i] != 0)
			r = err_set(e, ERR_INPUT, "the archive holds bytes between its members");
	free(piece);
	return r == 0 && keep != NULL ? buf_ok(keep, e) : r;
}

static int
check_member(struct bundle *b, struct member *m, struct buf *manifest, struct buf *minisig, struct err *e)
{
	bool is_manifest = strcmp(m->name, "manifest.json") == 0;
	bool is_minisig = strcmp(m->name, "manifest.json.minisig") == 0;
	struct buf *keep = is_manifest ? manifest : is_minisig ? minisig : NULL;
	uint64_t size;
	uint8_t d[32];
	off_t at;

	if (expect_header(b->fd, m->name, &size, e) < 0)
		return -1;
	if (size != m->size_bytes || (keep != NULL && size > VERSION_MANIFEST_MAX))
		return err_set(e, ERR_NOPERM, "%s has another size than the index says", m->name);
	if ((at = lseek(b->fd, 0, SEEK_CUR)) < 0)
		return err_sys(e, ERR_INPUT, "a bundle must be a file");
	m->offset = (uint64_t)at;
	if (read_content(b, size, keep, d, e) < 0)
		return -1;
	if (memcmp(d, m->sha256, 32) != 0)
		return err_set(e, ERR_NOPERM, "%s is not what the index says: the bundle was changed", m->name);
	return 0;
}

/* The version's files, by their places; every one must be there, and nothing that is no part of it. */
static int
find_files(struct bundle *b, struct err *e)
{
	struct index *x = &b->index;
	size_t files = 0;

	b->offset = mem_calloc(b->v.n, sizeof *b->offset, e);
	if (b->offset == NULL)
		return -1;
	for (size_t i = 0; i < x->n; i++) {
		const struct member *m = &x->m[i];
		struct version_file *f;

		if (strncmp(m->name, "files/", 6) != 0) {
			if (strncmp(m->name, "extra/", 6) != 0 && i > 1)
				return err_set(e, ERR_INPUT, "%s is no part of a bundle", m->name);
			continue;
		}
		f = files < b->v.n ? &b->v.files[files] : NULL;
		if (f == NULL || strcmp(f->path, m->name + 6) != 0 || memcmp(f->sha256, m->sha256, 32) != 0 ||
		    (f->size_bytes != UINT64_MAX && f->size_bytes != m->size_bytes))
			return err_set(e, ERR_NOPERM, "%s is not what the manifest says", m->name);
		f->size_bytes = m->size_bytes;
		b->offset[files++] = m->offset;
	}
	return files == b->v.n ? 0 : err_set(e, ERR_INPUT, "the bundle lacks %s", b->v.files[files].path);
}

static int
read_bundle(struct bundle *b, const struct seal_trust *t, struct err *e)
{
	struct buf doc = BUF_INIT, manifest = BUF_INIT, minisig = BUF_INIT;
	struct index *x = &b->index;
	uint64_t size;
	uint8_t d[32];
	char rest;
	size_t got;
	int r;

	r = expect_header(b->fd, INDEX, &size, e);
	if (r == 0 && size > INDEX_MAX)
		r = err_set(e, ERR_INPUT, INDEX " is too large");
	if (r == 0)
		r = read_content(b, size, &doc, d, e);
	if (r == 0)
		r = read_index((struct slice){ doc.p, doc.len }, t, x, e);
	for (size_t i = 0; r == 0 && i < x->n; i++)
		r = check_member(b, &x->m[i], &manifest, &minisig, e);
	if (r == 0 && (r = expect_header(b->fd, NULL, &size, e)) == 0 &&
	    (r = expect_header(b->fd, NULL, &size, e)) == 0 &&
	    (r = io_read_full(b->fd, &rest, 1, &got, e)) == 0 && got != 0)
		r = err_set(e, ERR_INPUT, "the archive goes on behind its end");
	if (r == 0)
		r = version_read(x->name, x->version, (struct slice){ manifest.p, manifest.len },
		    (struct slice){ minisig.p, minisig.len }, x->digest, t, &b->v, e);
	if (r == 0)
		r = find_files(b, e);
	buf_finish(&doc);
	buf_finish(&manifest);
	buf_finish(&minisig);
	return r;
}

struct bundle *
bundle_open(const char *path, const struct seal_trust *t, struct cancel *cancel, struct err *e)
{
	struct bundle *b = mem_calloc(1, sizeof *b, e);

	if (b == NULL)
		return NULL;
	b->cancel = cancel;
	b->fd = io_open_read(path, e);
	if (b->fd >= 0 && read_bundle(b, t, e) == 0)
		return b;
	if (b->fd >= 0)
		err_wrap(e, "%s", path);
	bundle_free(b);
	return NULL;
}

void
bundle_free(struct bundle *b)
{
	if (b == NULL)
		return;
	if (b->fd >= 0)
		(void)close(b->fd);
	index_finish(&b->index);
	version_finish(&b->v);
	free(b->offset);
	free(b);
}

const struct version *
bundle_version(const struct bundle *b)
{
	return &b->v;
}

static int
open_member(void *ctx, size_t file, int *fd, uint64_t *offset, struct err *e)
{
	const struct bundle *b = ctx;

	*offset = b->offset[file];
	*fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);
	return *fd < 0 ? err_sys(e, ERR_IO, "the bundle") : 0;
}

static void
close_member(void *ctx, int fd)
{
	(void)ctx;
	(void)close(fd);
}

struct publish_source
bundle_source(struct bundle *b)
{
	return (struct publish_source){ open_member, close_member, b };
}

/* Written once more with its digest in view: the file may have changed since it was verified. */
static int
write_extra(const struct bundle *b, const struct member *m, const char *path, struct err *e)
{
	bool executable = strncmp(m->name, "extra/bin/", 10) == 0;
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	struct io_out o = { .fd = -1, .slot = -1 };
	struct sha256 h;
	uint8_t d[32];
	int r = piece == NULL ? -1 : io_out_open(&o, path, executable ? 0755 : 0644, e);

	sha256_init(&h);
	for (uint64_t done = 0; r == 0 && done < m->size_bytes;) {
		uint64_t left = m->size_bytes - done;
		ssize_t k = pread(b->fd, piece, left < PIECE ? (size_t)left : PIECE, (off_t)(m->offset + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			r = err_set(e, ERR_IO, "the bundle became shorter");
			break;
		}
		sha256_add(&h, piece, (size_t)k);
		r = io_out_write(&o, piece, (size_t)k, e);
		done += (uint64_t)k;
	}
	sha256_final(&h, d);
	free(piece);
	if (r == 0 && memcmp(d, m->sha256, 32) != 0)
		r = err_set(e, ERR_NOPERM, "%s changed while it was read", m->name);
	if (r == 0)
		return io_out_commit(&o, e);
	io_out_abort(&o);
	return -1;
}

int
bundle_unpack(const struct bundle *b, const char *folder, struct err *e)
{
	for (size_t i = 0; i < b->index.n; i++) {
		const struct member *m = &b->index.m[i];
		struct buf path = BUF_INIT;
		char *slash;
		int r;

		if (strncmp(m->name, "extra/", 6) != 0)
			continue;
		buf_printf(&path, "%s/%s", folder, m->name + 6);
		r = buf_ok(&path, e);
		if (r == 0) {
			slash = strrchr(path.p, '/');
			*slash = '\0';
			r = io_mkdirs(path.p, e);
			*slash = '/';
		}
		if (r == 0)
			r = write_extra(b, m, path.p, e);
		buf_finish(&path);
		if (r < 0)
			return -1;
	}
	return 0;
}
