#include "serve/versions.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"

#define CHUNK ((size_t)1 << 20)

struct versions {
	struct versions_opts o;
	char *dir;
	struct model_version **v;
	size_t n, cap;
	size_t max_files;
	uint64_t max_bytes, used;
};

bool
versions_is_name(struct slice s)
{
	if (s.n == 0 || s.n >= VERSIONS_NAME || !isalnum((unsigned char)s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
			return false;
	}
	return true;
}

/* ---- files ---- */

/* No name holds '@', so no two versions share a file. */
static char *
file_of(const struct versions *s, const struct model_version *v, struct err *e)
{
	size_t n = strlen(s->dir) + 2 * VERSIONS_NAME + 16;
	char *path = mem_calloc(n, 1, e);

	if (path != NULL)
		(void)snprintf(path, n, "%s/%s@%s.safetensors", s->dir, v->name, v->version);
	return path;
}

int
versions_open_beneath(const char *dir, const char *ref, struct err *e)
{
	char *root = NULL, *path = NULL, *real = NULL, *part, *rest;
	struct stat st;
	size_t n;
	int at = -1, fd = -1;

	if (ref[0] == '\0' || (root = realpath(dir, NULL)) == NULL) {
		err_sys(e, ERR_CONFIG, "models_dir %s", dir);
		return -1;
	}
	n = strlen(root);
	if ((path = mem_calloc(n + strlen(ref) + 2, 1, e)) == NULL)
		goto out;
	if (ref[0] == '/')
		strcpy(path, ref);
	else
		(void)sprintf(path, "%s/%s", root, ref);
	if ((real = realpath(path, NULL)) == NULL) {
		err_sys(e, ERR_NOINPUT, "%s", ref);
		goto out;
	}
	if (strncmp(real, root, n) != 0 || (real[n] != '/' && n > 1)) {
		err_set(e, ERR_NOPERM, "%s leads out of models_dir", ref);
		goto out;
	}
	/* Whoever puts a link there from now on is not followed. */
	at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (part = strtok_r(real + n, "/", &rest); at >= 0 && part != NULL;) {
		char *next = strtok_r(NULL, "/", &rest);
		int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (next != NULL ? O_DIRECTORY : O_NONBLOCK);

		fd = openat(at, part, flags);
		(void)close(at);
		at = fd;
		part = next;
	}
	fd = at;
	if (fd < 0)
		err_sys(e, ERR_NOINPUT, "%s", ref);
	else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_set(e, ERR_NOINPUT, "%s: not a regular file", ref);
		(void)close(fd);
		fd = -1;
	}
out:
	free(root);
	free(path);
	free(real);
	return fd;
}

/* Copy a descriptor to a private file; its digest and length into v. */
static int
copy(int fd, const char *path, struct model_version *v, struct err *e)
{
	struct io_out out = { .fd = -1 };
	struct sha256 h;
	uint8_t digest[32];
	char *p = mem_calloc(CHUNK, 1, e);
	size_t got = CHUNK;

	if (p == NULL || io_out_open(&out, path, 0600, e) < 0) {
		free(p);
		return -1;
	}
	sha256_init(&h);
	v->bytes = 0;
	while (got == CHUNK) {
		if (io_read_full(fd, p, CHUNK, &got, e) < 0 || io_out_write(&out, p, got, e) < 0) {
			io_out_abort(&out);
			free(p);
			return -1;
		}
		sha256_add(&h, p, got);
		v->bytes += got;
	}
	free(p);
	sha256_final(&h, digest);
	hex_format(digest, 32, v->sha256);
	return io_out_commit(&out, e);
}

/* Fetch what the reference names into the private file. */
static int
fetch(struct versions *s, struct model_version *v, struct err *e)
{
	char *path = file_of(s, v, e);
	int fd, r;

	if (path == NULL || (fd = s->o.open(s->o.ctx, v->ref, &v->is_signed, e)) < 0) {
		free(path);
		return -1;
	}
	r = copy(fd, path, v, e);
	(void)close(fd);
	v->cached = r == 0;
	free(path);
	return r;
}

static void
drop_file(struct versions *s, struct model_version *v)
{
	char *path = file_of(s, v, NULL);

	if (path != NULL)
		(void)unlink(path);
	v->cached = false;
	free(path);
}

/* ---- the list ---- */

static void
version_free(struct model_version *v)
{
	if (v == NULL)
		return;
	free(v->ref);
	free(v->metadata);
	free(v);
}

static struct model_version *
version_new(const char *name, const char *version, const char *ref, const char *metadata, struct err *e)
{
	struct model_version *v = mem_calloc(1, sizeof *v, e);

	if (v == NULL)
		return NULL;
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	(void)snprintf(v->version, sizeof v->version, "%s", version);
	if ((v->ref = mem_strdup(ref, e)) == NULL ||
	    (metadata != NULL && (v->metadata = mem_strdup(metadata, e)) == NULL)) {
		version_free(v);
		return NULL;
	}
	return v;
}

static int
add(struct versions *s, struct model_version *v, struct err *e)
{
	if (mem_grow((void **)&s->v, &s->cap, s->n + 1, sizeof *s->v, e) < 0)
		return -1;
	s->v[s->n++] = v;
	return 0;
}

static int
remembered(void *ctx, const struct switchdb_version *d, struct err *e)
{
	struct versions *s = ctx;
	struct model_version *v = version_new(d->name, d->version, d->ref, d->metadata, e);
	char *path;

	if (v == NULL || (path = file_of(s, v, e)) == NULL) {
		version_free(v);
		return -1;
	}
	(void)snprintf(v->sha256, sizeof v->sha256, "%s", d->sha256);
	(void)snprintf(v->kind, sizeof v->kind, "%s", d->kind);
	v->bytes = (uint64_t)d->bytes;
	v->registered_us = d->registered_us;
	v->is_signed = d->is_signed != 0;
	v->cached = io_exists(path);
	v->used = ++s->used;
	free(path);
	if (add(s, v, e) == 0)
		return 0;
	version_free(v);
	return -1;
}

struct versions *
versions_new(const struct versions_opts *o, struct err *e)
{
	struct versions *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->o = *o;
	s->max_files = 5;
	s->max_bytes = UINT64_MAX;
	if ((s->dir = mem_strdup(o->dir, e)) == NULL || io_mkdirs(s->dir, e) < 0 || chmod(s->dir, 0700) != 0 ||
	    (o->db != NULL && switchdb_each_version(o->db, remembered, s, e) < 0)) {
		if (e != NULL && e->code == ERR_NONE)
			err_sys(e, ERR_CANTCREAT, "%s", o->dir);
		versions_free(s);
		return NULL;
	}
	return s;
}

void
versions_free(struct versions *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		version_free(s->v[i]);
	free(s->v);
	free(s->dir);
	free(s);
}

void
versions_limit(struct versions *s, size_t max_files, uint64_t max_bytes)
{
	s->max_files = max_files;
	s->max_bytes = max_bytes;
}

size_t
versions_count(const struct versions *s)
{
	return s->n;
}

const struct model_version *
versions_nth(const struct versions *s, size_t i)
{
	return s->v[i];
}

static struct model_version *
find(const struct versions *s, const char *name, const char *version)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->v[i]->name, name) == 0 && strcmp(s->v[i]->version, version) == 0)
			return s->v[i];
	}
	return NULL;
}

const struct model_version *
versions_find(const struct versions *s, const char *name, const char *version)
{
	return find(s, name, version);
}

/* ---- in and out of memory ---- */

/* The private file into memory, its digest as it must be. */
static struct loaded *
load_file(struct versions *s, struct model_version *v, struct err *e)
{
	char *path = file_of(s, v, e);
	struct loaded_opts o = { NULL, s->o.embedder };
	struct loaded *l = path == NULL ? NULL : loaded_read(path, &o, 0, e);
	char *name;

	free(path);
	if (l == NULL)
		return NULL;
	if (strcmp(l->sha256, v->sha256) != 0) {
		err_set(e, ERR_INPUT, "%s %s: the private file was changed: SHA-256 %.16s is not %.16s", v->name, v->version,
			l->sha256, v->sha256);
		loaded_unref(l);
		return NULL;
	}
	if ((name = mem_strdup(v->version, e)) == NULL) {
		loaded_unref(l);
		return NULL;
	}
	free(l->version);
	l->version = name;
	l->is_signed = v->is_signed;
	return l;
}

struct loaded *
versions_load(struct versions *s, const char *name, const char *version, struct err *e)
{
	struct model_version *v = find(s, name, version);
	struct loaded *l;
	char wanted[65];

	if (v == NULL) {
		err_set(e, ERR_NOINPUT, "%s has no version %s", name, version);
		return NULL;
	}
	v->used = ++s->used;
	if (v->cached) {
		struct err first = ERR_INIT;

		if ((l = load_file(s, v, &first)) != NULL)
			return l;
		drop_file(s, v);	/* spoiled: once more from where it came */
	}
	memcpy(wanted, v->sha256, sizeof wanted);
	if (fetch(s, v, e) < 0)
		return NULL;
	if (strcmp(wanted, v->sha256) != 0) {
		err_set(e, ERR_INPUT, "%s %s: %s is not what was registered: SHA-256 %.16s is not %.16s", name, version, v->ref,
			v->sha256, wanted);
		memcpy(v->sha256, wanted, sizeof wanted);
		drop_file(s, v);
		return NULL;
	}
	return load_file(s, v, e);
}

/* Fetch, judge and remember a new one. */
static int
take(struct versions *s, struct model_version *v, struct err *e)
{
	struct loaded *l;
	int r = 0;

	if (fetch(s, v, e) < 0)
		return -1;
	if ((l = load_file(s, v, e)) == NULL) {
		drop_file(s, v);
		return -1;
	}
	(void)snprintf(v->kind, sizeof v->kind, "%s", l->router->kind->name);
	loaded_unref(l);
	if (s->o.db != NULL)
		r = switchdb_put_version(s->o.db, &(struct switchdb_version){ .name = v->name, .version = v->version,
			.ref = v->ref, .metadata = v->metadata, .sha256 = v->sha256, .kind = v->kind,
			.bytes = (int64_t)v->bytes, .registered_us = v->registered_us, .is_signed = v->is_signed }, e);
	if (r < 0 || add(s, v, e) < 0) {
		drop_file(s, v);
		return -1;
	}
	v->used = ++s->used;
	return 0;
}

/* Are the bytes of a reference those of a version that is there? */
static int
compare(struct versions *s, const struct model_version *have, const char *ref, struct err *e)
{
	bool is_signed;
	int fd = s->o.open(s->o.ctx, ref, &is_signed, e);
	struct model_version v = { .bytes = 0 };
	char *path;
	int r;

	if (fd < 0)
		return -1;
	if ((path = mem_calloc(strlen(s->dir) + 8, 1, e)) == NULL) {
		(void)close(fd);
		return -1;
	}
	(void)sprintf(path, "%s/.new", s->dir);
	r = copy(fd, path, &v, e);
	(void)unlink(path);
	(void)close(fd);
	free(path);
	if (r == 0 && strcmp(v.sha256, have->sha256) != 0)
		r = err_set(e, ERR_NO, "%s %s is registered with other bytes (SHA-256 %.16s); give the new ones a new version",
			have->name, have->version, have->sha256);
	return r;
}

int
versions_register(struct versions *s, const char *name, const char *version, const char *ref, const char *metadata,
	int64_t now_us, const struct model_version **out, struct err *e)
{
	struct model_version *v = find(s, name, version);

	if (v != NULL) {
		*out = v;
		return compare(s, v, ref, e);
	}
	if ((v = version_new(name, version, ref, metadata, e)) == NULL)
		return -1;
	v->registered_us = now_us;
	if (take(s, v, e) < 0) {
		version_free(v);
		return -1;
	}
	*out = v;
	return 0;
}

void
versions_evict(struct versions *s, bool (*in_use)(void *ctx, const struct model_version *), void *ctx)
{
	for (;;) {
		struct model_version *oldest = NULL;
		uint64_t bytes = 0;
		size_t files = 0;

		for (size_t i = 0; i < s->n; i++) {
			struct model_version *v = s->v[i];

			if (!v->cached)
				continue;
			files++;
			bytes += v->bytes;
			if (!in_use(ctx, v) && (oldest == NULL || v->used < oldest->used))
				oldest = v;
		}
		if (oldest == NULL || (files <= s->max_files && bytes <= s->max_bytes))
			return;
		drop_file(s, oldest);
	}
}
