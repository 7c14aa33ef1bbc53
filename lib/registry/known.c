#include "registry/known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"

#define MAX_FILE ((size_t)1 << 20)

struct known {
	char *dir;
};

struct known *
known_open(const char *dir, const char *store_name, struct err *e)
{
	struct known *k = mem_calloc(1, sizeof *k, e);
	struct buf path = BUF_INIT;
	uint8_t d[32];
	char hex[33];

	if (k == NULL)
		return NULL;
	sha256_bytes(store_name, strlen(store_name), d);
	hex_format(d, 16, hex);
	buf_printf(&path, "%s/registry/%s", dir, hex);
	k->dir = buf_take(&path, e);
	buf_finish(&path);
	if (k->dir == NULL || io_mkdirs(k->dir, e) < 0) {
		known_free(k);
		return NULL;
	}
	return k;
}

void
known_free(struct known *k)
{
	if (k == NULL)
		return;
	free(k->dir);
	free(k);
}

/* A file of the folder into out; *there false when absent. */
static int
read_one(const struct known *k, const char *name, struct buf *out, bool *there, struct err *e)
{
	struct buf path = BUF_INIT;
	int r;

	buf_printf(&path, "%s/%s", k->dir, name);
	r = buf_ok(&path, e);
	*there = r == 0 && io_exists(path.p);
	if (*there)
		r = io_read_file(path.p, MAX_FILE, out, e);
	buf_finish(&path);
	return r;
}

static int
write_one(const struct known *k, const char *name, const void *p, size_t n, struct err *e)
{
	struct buf path = BUF_INIT;
	int r;

	buf_printf(&path, "%s/%s", k->dir, name);
	r = buf_ok(&path, e);
	if (r == 0)
		r = io_write_file(path.p, p, n, 0600, e);
	buf_finish(&path);
	return r;
}

int
known_registry(const struct known *k, char id[POINTER_ID], bool *cas, struct err *e)
{
	struct seal_member m[] = { { .name = "cas" }, { .name = "registry_id" } };
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;
	bool there;
	int r = read_one(k, "registry", &b, &there, e);

	id[0] = '\0';
	*cas = false;
	/* What is damaged counts as not known: it is found out anew. */
	if (r == 0 && there && seal_read((struct slice){ b.p, b.len }, m, 2, &a, NULL) == 0 &&
	    m[1].value.n == POINTER_ID - 1) {
		memcpy(id, m[1].value.p, POINTER_ID - 1);
		id[POINTER_ID - 1] = '\0';
		*cas = slice_is(m[0].value, "yes");
	}
	arena_finish(&a);
	buf_finish(&b);
	return r;
}

int
known_set_registry(const struct known *k, const char *id, bool cas, struct err *e)
{
	char text[128];
	int n = snprintf(text, sizeof text, "{\"cas\":\"%s\",\"registry_id\":\"%s\"}\n", cas ? "yes" : "no", id);

	return write_one(k, "registry", text, (size_t)n, e);
}

static void
pointer_file(const char *name, const char *channel, char out[2 * LAYOUT_NAME + 16])
{
	(void)snprintf(out, 2 * LAYOUT_NAME + 16, "%s@%s.pointer", name, channel);
}

static int
load_pointer(const struct known *k, const char *name, const char *channel, struct known_pointer *out,
	struct err *e)
{
	struct seal_member m[] = { { .name = "etag" }, { .name = "pointer" }, { .name = "#seq" } };
	struct arena a = ARENA_INIT;
	struct buf b = BUF_INIT;
	char file[2 * LAYOUT_NAME + 16];
	long long seq = 0;
	bool there;
	int r;

	pointer_file(name, channel, file);
	r = read_one(k, file, &b, &there, e);
	if (r == 0 && there) {
		if (seal_read((struct slice){ b.p, b.len }, m, 3, &a, e) < 0 ||
		    !slice_int(m[2].value, &seq) || seq < 0 || m[0].value.n >= STORE_ETAG) {
			r = err_set(e, ERR_CONFIG, "%s/%s is damaged: it remembers the newest pointer seen, so "
			    "remove it only when the registry is to be trusted anew", k->dir, file);
		} else {
			out->seq = (uint64_t)seq;
			if (m[0].value.n > 0)
				memcpy(out->etag, m[0].value.p, m[0].value.n);
			out->etag[m[0].value.n] = '\0';
			buf_add(&out->doc, m[1].value.p, m[1].value.n);
			r = buf_ok(&out->doc, e);
		}
	}
	arena_finish(&a);
	buf_finish(&b);
	return r;
}

int
known_pointer(const struct known *k, const char *name, const char *channel, struct known_pointer *out,
	struct err *e)
{
	*out = (struct known_pointer){ .doc = BUF_INIT };
	return load_pointer(k, name, channel, out, e);
}

static int
lock(const struct known *k, struct err *e)
{
	struct buf path = BUF_INIT;
	int fd = -1;

	buf_printf(&path, "%s/.lock", k->dir);
	if (buf_ok(&path, e) == 0) {
		fd = open(path.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			err_sys(e, ERR_CANTCREAT, "%s", path.p);
		while (fd >= 0 && flock(fd, LOCK_EX) != 0)
			if (errno != EINTR) {
				err_sys(e, ERR_IO, "%s: flock", path.p);
				(void)close(fd);
				fd = -1;
			}
	}
	buf_finish(&path);
	return fd;
}

int
known_set_pointer(const struct known *k, const struct pointer *p, const char *etag, struct slice doc,
	struct err *e)
{
	struct known_pointer old = { .doc = BUF_INIT };
	struct buf b = BUF_INIT;
	struct jsonw w;
	char file[2 * LAYOUT_NAME + 16];
	int fd = lock(k, e), r = -1;

	if (fd < 0)
		return -1;
	if (load_pointer(k, p->name, p->channel, &old, e) == 0) {
		r = 0;
		if (old.seq < p->seq || (old.seq == p->seq && strcmp(old.etag, etag) != 0)) {
			jsonw_init(&w, &b);
			jsonw_object(&w);
			jsonw_kstr(&w, "etag", etag);
			jsonw_kstr_n(&w, "pointer", doc.p, doc.n);
			jsonw_key(&w, "seq");
			jsonw_uint(&w, p->seq);
			jsonw_end_object(&w);
			pointer_file(p->name, p->channel, file);
			r = buf_ok(&b, e);
			if (r == 0)
				r = write_one(k, file, b.p, b.len, e);
		}
	}
	(void)close(fd);
	buf_finish(&b);
	buf_finish(&old.doc);
	return r;
}

int
known_version(const struct known *k, const char *name, const char *version, struct buf *manifest,
	struct buf *minisig, struct err *e)
{
	char file[2 * LAYOUT_NAME + 32];
	bool there, signed_there;

	(void)snprintf(file, sizeof file, "%s@%s.manifest", name, version);
	if (read_one(k, file, manifest, &there, e) < 0)
		return -1;
	(void)snprintf(file, sizeof file, "%s@%s.minisig", name, version);
	if (read_one(k, file, minisig, &signed_there, e) < 0)
		return -1;
	if (!there)
		return err_set(e, ERR_NOINPUT, "version %s of %s was never pulled here", version, name);
	return 0;
}

int
known_set_version(const struct known *k, const char *name, const char *version, struct slice manifest,
	struct slice minisig, struct err *e)
{
	char file[2 * LAYOUT_NAME + 32];

	(void)snprintf(file, sizeof file, "%s@%s.minisig", name, version);
	if (minisig.n > 0 && write_one(k, file, minisig.p, minisig.n, e) < 0)
		return -1;
	(void)snprintf(file, sizeof file, "%s@%s.manifest", name, version);
	return write_one(k, file, manifest.p, manifest.n, e);
}
