#include "registry/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"

#define PIECE ((size_t)256 * 1024)

struct cache {
	int fd;			/* of the folder */
	char *path;
	uint64_t limit_bytes;
	struct cancel *cancel;
};

struct cache *
cache_open(const char *dir, uint64_t limit_bytes, struct cancel *cancel, struct err *e)
{
	static const char *const parts[] = { "objects", "partial", "locks" };
	struct cache *c;

	if (io_mkdirs(dir, e) < 0 || (c = mem_calloc(1, sizeof *c, e)) == NULL)
		return NULL;
	*c = (struct cache){ .fd = -1, .limit_bytes = limit_bytes, .cancel = cancel };
	c->path = mem_strdup(dir, e);
	if (c->path == NULL)
		goto fail;
	if ((c->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		err_sys(e, ERR_CANTCREAT, "cache %s", dir);
		goto fail;
	}
	for (size_t i = 0; i < 3; i++)
		if (mkdirat(c->fd, parts[i], 0777) != 0 && errno != EEXIST) {
			err_sys(e, ERR_CANTCREAT, "cache %s/%s", dir, parts[i]);
			goto fail;
		}
	return c;
fail:
	cache_free(c);
	return NULL;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->path);
	free(c);
}

static int
lock_file(struct cache *c, const char *name, int how, struct err *e)
{
	int fd = openat(c->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_sys(e, ERR_CANTCREAT, "cache %s/%s", c->path, name);
	while (flock(fd, how) != 0) {
		if (errno == EINTR && cancel_check(c->cancel, e) == 0)
			continue;
		if (errno == EWOULDBLOCK)
			err_set(e, ERR_TEMPFAIL, "cache %s is in use", c->path);
		else if (errno != EINTR)
			err_sys(e, ERR_CONFIG, "cache %s: this file system has no locks", c->path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
cache_lock(struct cache *c, const char *what, struct err *e)
{
	char name[128];

	(void)snprintf(name, sizeof name, "locks/%s", what);
	return lock_file(c, name, LOCK_EX, e);
}

static void
object_name(const uint8_t sha256[32], char out[96])
{
	char hex[65];

	hex_format(sha256, 32, hex);
	(void)snprintf(out, 96, "objects/%.2s/%s", hex, hex);
}

static void
partial_name(const uint8_t sha256[32], const char *suffix, char out[96])
{
	char hex[65];

	hex_format(sha256, 32, hex);
	(void)snprintf(out, 96, "partial/%s%s", hex, suffix);
}

/* Digest of a file from its beginning. */
static int
hash_file(struct cache *c, int fd, uint8_t out[32], struct err *e)
{
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	struct sha256 h;
	int r = -1;

	if (piece == NULL)
		return -1;
	sha256_init(&h);
	for (off_t at = 0;;) {
		ssize_t k = pread(fd, piece, PIECE, at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			err_sys(e, ERR_IO, "cache %s: read", c->path);
			break;
		}
		if (k == 0) {
			sha256_final(&h, out);
			r = 0;
			break;
		}
		sha256_add(&h, piece, (size_t)k);
		at += k;
		if (cancel_check(c->cancel, e) < 0)
			break;
	}
	free(piece);
	return r;
}

int
cache_has(struct cache *c, const uint8_t sha256[32], uint64_t size_bytes, struct err *e)
{
	char name[96];
	struct stat st;
	uint8_t d[32];
	int fd, r = 0;

	object_name(sha256, name);
	fd = openat(c->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_IO, "cache %s/%s", c->path, name);
	if (fstat(fd, &st) == 0 && (size_bytes == UINT64_MAX || (uint64_t)st.st_size == size_bytes)) {
		if (hash_file(c, fd, d, e) < 0)
			r = -1;
		else
			r = memcmp(d, sha256, 32) == 0;
	}
	if (r == 1) {
		const struct timespec t[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };

		(void)futimens(fd, t);	/* used now: it will not be the next to go */
	} else if (r == 0)
		(void)unlinkat(c->fd, name, 0);
	(void)close(fd);
	return r;
}

static int
copy_out(int in, const char *path, struct err *e)
{
	char *piece = mem_realloc(NULL, PIECE, 1, e);
	int fd, r = -1;
	size_t got;

	if (piece == NULL)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (fd < 0)
		err_sys(e, ERR_CANTCREAT, "cannot create %s", path);
	else {
		while ((r = io_read_full(in, piece, PIECE, &got, e)) == 0 && got > 0)
			if ((r = io_write_full(fd, piece, got, e)) < 0)
				break;
		if (r == 0 && fsync(fd) != 0)
			r = err_sys(e, ERR_IO, "%s: fsync", path);
		if (close(fd) != 0 && r == 0)
			r = err_sys(e, ERR_IO, "%s: close", path);
	}
	free(piece);
	return r;
}

int
cache_place(struct cache *c, const uint8_t sha256[32], const char *path, struct err *e)
{
	char name[96];
	int fd, r;

	object_name(sha256, name);
	if (linkat(c->fd, name, AT_FDCWD, path, 0) == 0)
		return 0;
	fd = openat(c->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOINPUT : ERR_IO, "cache %s/%s", c->path, name);
	r = copy_out(fd, path, e);
	(void)close(fd);
	return r;
}

int
cache_part_open(struct cache *c, const uint8_t sha256[32], struct cache_part *p, struct err *e)
{
	char name[96];
	struct stat st;
	ssize_t k;
	int fd;

	*p = (struct cache_part){ .fd = -1 };
	memcpy(p->sha256, sha256, 32);
	partial_name(sha256, "", name);
	p->fd = openat(c->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (p->fd < 0 || fstat(p->fd, &st) != 0) {
		err_sys(e, ERR_CANTCREAT, "cache %s/%s", c->path, name);
		cache_part_close(c, p, true);
		return -1;
	}
	partial_name(sha256, ".etag", name);
	fd = openat(c->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		k = read(fd, p->etag, sizeof p->etag - 1);
		p->etag[k > 0 ? k : 0] = '\0';
		(void)close(fd);
	}
	/* Bytes of nobody knows what are not gone on with. */
	if (p->etag[0] != '\0')
		p->have_bytes = (uint64_t)st.st_size;
	else if (st.st_size > 0 && ftruncate(p->fd, 0) != 0) {
		err_sys(e, ERR_IO, "cache %s/%s", c->path, name);
		cache_part_close(c, p, false);
		return -1;
	}
	return 0;
}

int
cache_part_etag(struct cache *c, const struct cache_part *p, const char *etag, struct err *e)
{
	char name[96];
	int fd, r;

	partial_name(p->sha256, ".etag", name);
	fd = openat(c->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		return err_sys(e, ERR_CANTCREAT, "cache %s/%s", c->path, name);
	r = io_write_full(fd, etag, strlen(etag), e);
	(void)close(fd);
	return r;
}

int
cache_part_commit(struct cache *c, struct cache_part *p, struct err *e)
{
	char from[96], to[96], folder[16];
	int r = 0, fd;

	partial_name(p->sha256, "", from);
	object_name(p->sha256, to);
	(void)snprintf(folder, sizeof folder, "%.10s", to);
	if (fsync(p->fd) != 0)
		r = err_sys(e, ERR_IO, "cache %s: fsync", c->path);
	else if (mkdirat(c->fd, folder, 0777) != 0 && errno != EEXIST)
		r = err_sys(e, ERR_CANTCREAT, "cache %s/%s", c->path, folder);
	else if (fchmod(p->fd, 0444) != 0 || renameat(c->fd, from, c->fd, to) != 0)
		r = err_sys(e, ERR_CANTCREAT, "cache %s/%s", c->path, to);
	else if ((fd = openat(c->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	cache_part_close(c, p, r < 0);
	return r;
}

void
cache_part_close(struct cache *c, struct cache_part *p, bool keep)
{
	char name[96];

	if (p->fd < 0)
		return;
	(void)close(p->fd);
	p->fd = -1;
	if (keep)
		return;
	partial_name(p->sha256, ".etag", name);
	(void)unlinkat(c->fd, name, 0);
	partial_name(p->sha256, "", name);
	(void)unlinkat(c->fd, name, 0);
}

struct used {
	char name[96];
	uint64_t size_bytes;
	struct timespec at;
};

struct all {
	struct used *v;
	size_t n, cap;
	uint64_t bytes;
};

static int
older_first(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	if (x->at.tv_sec != y->at.tv_sec)
		return x->at.tv_sec < y->at.tv_sec ? -1 : 1;
	return x->at.tv_nsec < y->at.tv_nsec ? -1 : x->at.tv_nsec > y->at.tv_nsec;
}

/* Files of a folder, and of those in it to that depth. */
static int
gather(struct cache *c, const char *folder, unsigned depth, struct all *out, struct err *e)
{
	int fd = openat(c->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return 0;
	}
	for (const struct dirent *t; r == 0 && (t = readdir(d)) != NULL;) {
		struct used u;
		struct stat st;
		void *v = out->v;

		if (t->d_name[0] == '.' || snprintf(u.name, sizeof u.name, "%s/%s", folder, t->d_name) >=
		    (int)sizeof u.name || fstatat(c->fd, u.name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth > 0) {
			r = gather(c, u.name, depth - 1, out, e);
			continue;
		}
		u.size_bytes = (uint64_t)st.st_size;
		u.at = st.st_atim;
		if ((r = mem_grow(&v, &out->cap, out->n + 1, sizeof *out->v, e)) == 0) {
			out->v = v;
			out->v[out->n++] = u;
			out->bytes += u.size_bytes;
		}
	}
	(void)closedir(d);
	return r;
}

int
cache_trim(struct cache *c, struct err *e)
{
	struct all all = { 0 };
	int r = gather(c, "objects", 1, &all, e);

	if (r == 0 && all.bytes > c->limit_bytes) {
		qsort(all.v, all.n, sizeof *all.v, older_first);
		for (size_t i = 0; i < all.n && all.bytes > c->limit_bytes; i++) {
			if (unlinkat(c->fd, all.v[i].name, 0) == 0)
				all.bytes -= all.v[i].size_bytes;
		}
	}
	free(all.v);
	return r;
}
