#include "registry/store_dir.h"

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
#define HASHED_ETAG ((uint64_t)1 << 20)	/* largest file whose ETag is of its content */
#define TMP ".tmp"
#define LOCK ".lock"

struct folder {
	char *path;
	int fd;			/* of the folder */
	struct cancel *cancel;
	int64_t nonce;		/* of temporary names: process numbers come again, and on other hosts too */
	unsigned serial;
};

static int64_t
modified_us(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
}

static enum store_outcome
failed(const struct folder *f, const char *key, enum err_code code, struct err *e)
{
	err_sys(e, code, "dir:%s: %s", f->path, key);
	return STORE_FAILED;
}

static enum store_outcome
no_such_key(const struct folder *f, const char *key, struct err *e)
{
	err_set(e, ERR_NOINPUT, "dir:%s: no %s", f->path, key);
	return STORE_ABSENT;
}

/* Open the file of a key, which is never a symbolic link or a folder. */
static enum store_outcome
open_key(const struct folder *f, const char *key, int *fd, struct stat *st, struct err *e)
{
	*fd = openat(f->fd, key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? no_such_key(f, key, e) :
			failed(f, key, errno == EACCES ? ERR_NOPERM : ERR_IO, e);
	if (fstat(*fd, st) == 0 && S_ISREG(st->st_mode))
		return STORE_OK;
	(void)close(*fd);
	*fd = -1;
	return no_such_key(f, key, e);
}

static void
etag_of_bytes(const void *p, size_t n, char etag[STORE_ETAG])
{
	uint8_t d[32];
	char hex[65];

	sha256_bytes(p, n, d);
	hex_format(d, 16, hex);
	(void)snprintf(etag, STORE_ETAG, "\"%s\"", hex);
}

static int
etag_of(int fd, const struct stat *st, char etag[STORE_ETAG], struct err *e)
{
	char *p;
	size_t got, n = (size_t)st->st_size;
	int r;

	if ((uint64_t)st->st_size > HASHED_ETAG) {
		(void)snprintf(etag, STORE_ETAG, "\"%llx-%llx-%llx.%lx\"", (unsigned long long)st->st_ino,
			(unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
			(unsigned long)st->st_mtim.tv_nsec);
		return 0;
	}
	if ((p = mem_realloc(NULL, n + 1, 1, e)) == NULL)
		return -1;
	r = lseek(fd, 0, SEEK_SET) < 0 ? err_sys(e, ERR_IO, "seek") : io_read_full(fd, p, n, &got, e);
	if (r == 0)
		etag_of_bytes(p, got, etag);
	free(p);
	return r;
}

static int
fill(int fd, const struct stat *st, struct store_info *info, struct err *e)
{
	if (info == NULL)
		return 0;
	*info = (struct store_info){ .size_bytes = (uint64_t)st->st_size, .modified_us = modified_us(st),
		.server_us = clock_wall_us() };
	return etag_of(fd, st, info->etag, e);
}

static enum store_outcome
dir_get(void *impl, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct store_info *info, struct err *e)
{
	struct folder *f = impl;
	struct store_info mine;
	struct stat st;
	size_t got = 0;
	int fd;
	enum store_outcome o = open_key(f, key, &fd, &st, e);

	if (o != STORE_OK)
		return o;
	o = STORE_FAILED;
	if ((uint64_t)st.st_size > max) {
		err_set(e, ERR_NOPERM, "dir:%s: %s: larger than %zu bytes", f->path, key, max);
		o = STORE_CHANGED;
	} else if (fill(fd, &st, &mine, e) == 0) {
		if (info != NULL)
			*info = mine;
		if (if_none_match != NULL && strcmp(if_none_match, mine.etag) == 0)
			o = STORE_NOT_MODIFIED;
		else if (!buf_reserve(out, (size_t)st.st_size + 1))
			err_nomem(e);
		else if (lseek(fd, 0, SEEK_SET) < 0)
			(void)failed(f, key, ERR_IO, e);
		else if (io_read_full(fd, out->p + out->len, (size_t)st.st_size, &got, e) == 0)
			o = STORE_OK;
		if (o == STORE_OK) {
			out->len += got;
			out->p[out->len] = '\0';
		}
	}
	(void)close(fd);
	return o;
}

static enum store_outcome
dir_head(void *impl, const char *key, struct store_info *info, struct err *e)
{
	struct stat st;
	int fd, r;
	enum store_outcome o = open_key(impl, key, &fd, &st, e);

	if (o != STORE_OK)
		return o;
	r = fill(fd, &st, info, e);
	(void)close(fd);
	return r < 0 ? STORE_FAILED : STORE_OK;
}

/* Add bytes [from, to) of fd to the digest. */
static int
hash_range(int fd, uint64_t from, uint64_t to, char *piece, struct sha256 *h, struct err *e)
{
	while (from < to) {
		size_t want = to - from < PIECE ? (size_t)(to - from) : PIECE;
		ssize_t k = pread(fd, piece, want, (off_t)from);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_sys(e, ERR_IO, "read");
		sha256_add(h, piece, (size_t)k);
		from += (uint64_t)k;
	}
	return 0;
}

static int
write_at(int fd, const char *p, size_t n, uint64_t at, struct err *e)
{
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, ERR_IO, "write");
		p += k;
		n -= (size_t)k;
		at += (uint64_t)k;
	}
	return 0;
}

/* From in (at its offsets) to out, hashing; the number of bytes of the whole in *size. */
static int
copy_from(struct folder *f, int in, const struct store_fetch *q, char *piece, struct sha256 *h,
	uint64_t *size, struct err *e)
{
	uint64_t at = q->offset;

	if (hash_range(q->fd, 0, at, piece, h, e) < 0)
		return -1;
	for (;;) {
		ssize_t k = pread(in, piece, PIECE, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, ERR_IO, "dir:%s: %s", f->path, q->key);
		if (k == 0)
			break;
		sha256_add(h, piece, (size_t)k);
		if (write_at(q->fd, piece, (size_t)k, at, e) < 0 || cancel_check(f->cancel, e) < 0)
			return -1;
		at += (uint64_t)k;
		if (at > q->size_bytes)
			break;
	}
	*size = at;
	return 0;
}

static enum store_outcome
dir_fetch(void *impl, const struct store_fetch *q, uint8_t got[32], struct store_info *info,
	struct err *e)
{
	struct folder *f = impl;
	struct store_info mine;
	struct sha256 h;
	struct stat st;
	uint64_t size = 0;
	uint8_t d[32];
	char *piece = NULL;
	int fd;
	enum store_outcome o = open_key(f, q->key, &fd, &st, e);

	if (o != STORE_OK)
		return o;
	o = STORE_FAILED;
	sha256_init(&h);
	if (fill(fd, &st, &mine, e) < 0 || (piece = mem_realloc(NULL, PIECE, 1, e)) == NULL)
		goto out;
	if (info != NULL)
		*info = mine;
	if (q->if_match != NULL && strcmp(q->if_match, mine.etag) != 0) {
		err_set(e, ERR_NO, "dir:%s: %s: changed meanwhile", f->path, q->key);
		o = STORE_LOST;
		goto out;
	}
	if (copy_from(f, fd, q, piece, &h, &size, e) < 0)
		goto out;
	sha256_final(&h, d);
	if (got != NULL)
		memcpy(got, d, sizeof d);
	o = STORE_OK;
	if ((q->size_bytes != UINT64_MAX && size != q->size_bytes) ||
	    (q->sha256 != NULL && memcmp(d, q->sha256, sizeof d) != 0)) {
		err_set(e, ERR_NOPERM, "dir:%s: %s: the bytes are not those that its digest names", f->path,
			q->key);
		o = STORE_CHANGED;
	}
out:
	free(piece);
	(void)close(fd);
	return o;
}

/* Take the lock of the whole store; the descriptor, or -1. */
static int
lock_store(struct folder *f, struct err *e)
{
	int fd = openat(f->fd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0)
		return err_sys(e, errno == EACCES || errno == EROFS ? ERR_NOPERM : ERR_CANTCREAT,
			"dir:%s: cannot lock", f->path);
	while (flock(fd, LOCK_EX) != 0) {
		if (errno == EINTR && cancel_check(f->cancel, e) == 0)
			continue;
		if (errno != EINTR)
			err_sys(e, ERR_CONFIG, "dir:%s: this file system has no locks", f->path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Make every folder above the key, each durable in its parent. */
static int
make_folders(struct folder *f, const char *key, struct err *e)
{
	char part[STORE_KEY_MAX];

	for (const char *s = strchr(key, '/'); s != NULL; s = strchr(s + 1, '/')) {
		size_t n = (size_t)(s - key);
		char *up;
		int fd;

		if (n >= sizeof part)
			return err_set(e, ERR_USAGE, "the key '%s' is too long", key);
		memcpy(part, key, n);
		part[n] = '\0';
		if (mkdirat(f->fd, part, 0777) != 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(e, errno == EACCES || errno == EROFS ? ERR_NOPERM : ERR_CANTCREAT,
				"dir:%s: cannot create %s", f->path, part);
		}
		up = strrchr(part, '/');
		if (up != NULL)
			*up = '\0';
		fd = up == NULL ? f->fd : openat(f->fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			(void)fsync(fd);
		if (fd >= 0 && fd != f->fd)
			(void)close(fd);
	}
	return 0;
}

static void
sync_folder_of(struct folder *f, const char *key)
{
	const char *s = strrchr(key, '/');
	char part[STORE_KEY_MAX];
	int fd;

	if (s == NULL) {
		(void)fsync(f->fd);
		return;
	}
	(void)snprintf(part, sizeof part, "%.*s", (int)(s - key), key);
	if ((fd = openat(f->fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
}

static int
write_content(struct folder *f, int fd, const struct store_put *p, struct err *e)
{
	char *piece = NULL;
	struct sha256 h;
	uint8_t d[32];
	int r = -1;

	if (p->fd < 0)
		return io_write_full(fd, p->data, p->n, e);
	if ((piece = mem_realloc(NULL, PIECE, 1, e)) == NULL)
		return -1;
	sha256_init(&h);
	for (uint64_t done = 0; done < p->size_bytes;) {
		size_t want = p->size_bytes - done < PIECE ? (size_t)(p->size_bytes - done) : PIECE;
		ssize_t k = pread(p->fd, piece, want, (off_t)(p->offset + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			err_set(e, ERR_INPUT, "%s: the file became shorter while it was read", p->key);
			goto out;
		}
		sha256_add(&h, piece, (size_t)k);
		if (io_write_full(fd, piece, (size_t)k, e) < 0 || cancel_check(f->cancel, e) < 0)
			goto out;
		done += (uint64_t)k;
	}
	sha256_final(&h, d);
	r = p->sha256 != NULL && memcmp(d, p->sha256, sizeof d) != 0 ?
		err_set(e, ERR_INPUT, "%s: the file changed while it was read", p->key) : 0;
out:
	free(piece);
	return r;
}

/* A synced temporary with the content; its name in tmp. */
static int
write_tmp(struct folder *f, const struct store_put *p, char tmp[64], struct err *e)
{
	int fd, r;

	(void)snprintf(tmp, 64, TMP "/%ld-%llx-%u", (long)getpid(), (unsigned long long)f->nonce, f->serial++);
	if (mkdirat(f->fd, TMP, 0777) != 0 && errno != EEXIST)
		return err_sys(e, errno == EACCES || errno == EROFS ? ERR_NOPERM : ERR_CANTCREAT,
			"dir:%s: cannot create " TMP, f->path);
	fd = openat(f->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		return err_sys(e, errno == EACCES || errno == EROFS ? ERR_NOPERM : ERR_CANTCREAT,
			"dir:%s: cannot create %s", f->path, tmp);
	r = write_content(f, fd, p, e);
	if (r == 0 && fsync(fd) != 0)
		r = err_sys(e, ERR_IO, "dir:%s: fsync", f->path);
	if (close(fd) != 0 && r == 0)
		r = err_sys(e, ERR_IO, "dir:%s: close", f->path);
	if (r < 0)
		(void)unlinkat(f->fd, tmp, 0);
	return r;
}

/* Does the condition of p hold right now? The store is locked. */
static enum store_outcome
condition(struct folder *f, const struct store_put *p, struct err *e)
{
	char etag[STORE_ETAG];
	struct stat st;
	int fd, r;
	enum store_outcome o;

	if (p->if_match == NULL && !p->if_absent)
		return STORE_OK;
	o = open_key(f, p->key, &fd, &st, e);
	if (o == STORE_FAILED)
		return o;
	if (o == STORE_ABSENT) {
		if (p->if_absent)
			return STORE_OK;
		err_set(e, ERR_NO, "dir:%s: %s: is not there any more", f->path, p->key);
		return STORE_LOST;
	}
	r = p->if_match != NULL ? etag_of(fd, &st, etag, e) : 0;
	(void)close(fd);
	if (r < 0)
		return STORE_FAILED;
	if (p->if_match != NULL && strcmp(etag, p->if_match) == 0)
		return STORE_OK;
	err_set(e, ERR_NO, "dir:%s: %s: %s", f->path, p->key, p->if_absent ? "is there already" :
		"changed meanwhile");
	return STORE_LOST;
}

static enum store_outcome
put_locked(struct folder *f, const struct store_put *p, const char *tmp, struct err *e)
{
	enum store_outcome o = condition(f, p, e);

	if (o != STORE_OK)
		return o;
	if (make_folders(f, p->key, e) < 0)
		return STORE_FAILED;
	if (renameat(f->fd, tmp, f->fd, p->key) != 0)
		return failed(f, p->key, ERR_CANTCREAT, e);
	return STORE_OK;
}

static enum store_outcome
dir_put(void *impl, const struct store_put *p, struct store_info *info, struct err *e)
{
	struct folder *f = impl;
	char tmp[64];
	int lock;
	enum store_outcome o;

	if (strlen(p->key) >= STORE_KEY_MAX) {
		err_set(e, ERR_USAGE, "the key '%s' is too long", p->key);
		return STORE_FAILED;
	}
	if (write_tmp(f, p, tmp, e) < 0)
		return STORE_FAILED;
	if ((lock = lock_store(f, e)) < 0) {
		(void)unlinkat(f->fd, tmp, 0);
		return STORE_FAILED;
	}
	o = put_locked(f, p, tmp, e);
	if (o == STORE_OK && info != NULL && dir_head(f, p->key, info, e) != STORE_OK)
		o = STORE_FAILED;
	(void)close(lock);
	if (o == STORE_OK)
		sync_folder_of(f, p->key);
	else
		(void)unlinkat(f->fd, tmp, 0);
	return o;
}

static enum store_outcome
dir_delete(void *impl, const char *key, struct err *e)
{
	struct folder *f = impl;

	if (unlinkat(f->fd, key, 0) != 0 && errno != ENOENT && errno != ENOTDIR)
		return failed(f, key, errno == EACCES || errno == EPERM ? ERR_NOPERM : ERR_IO, e);
	return STORE_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **v;
	size_t n, cap;
};

static void
names_finish(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

/* Names in a folder, sorted, without those that begin with a dot; an absent folder has none. */
static int
read_names(struct folder *f, const char *path, struct names *out, struct err *e)
{
	int fd = openat(f->fd, path[0] == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, ERR_IO, "dir:%s: %s", f->path, path);
	if ((d = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return err_nomem(e);
	}
	for (const struct dirent *t; r == 0 && (t = readdir(d)) != NULL;) {
		void *v = out->v;

		if (t->d_name[0] == '.')
			continue;
		if (mem_grow(&v, &out->cap, out->n + 1, sizeof *out->v, e) < 0) {
			r = -1;
			break;
		}
		out->v = v;
		if ((out->v[out->n] = mem_strdup(t->d_name, e)) == NULL)
			r = -1;
		else
			out->n++;
	}
	(void)closedir(d);
	if (out->n > 0)
		qsort(out->v, out->n, sizeof *out->v, by_name);
	return r;
}

struct walk {
	struct folder *f;
	const char *prefix;
	store_on_entry *on_entry;
	void *ctx;
};

static int
walk_folder(const struct walk *w, const char *path, unsigned depth, struct err *e)
{
	struct names l = { 0 };
	size_t n = strlen(w->prefix);
	int r = read_names(w->f, path, &l, e);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		char key[STORE_KEY_MAX];
		struct store_entry t = { .key = key };
		struct stat st;
		size_t k;

		if (snprintf(key, sizeof key, "%s%s%s", path, path[0] == '\0' ? "" : "/", l.v[i]) >=
		    (int)sizeof key)
			continue;
		k = strlen(key);
		if (strncmp(key, w->prefix, k < n ? k : n) != 0)
			continue;
		if (fstatat(w->f->fd, key, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;	/* gone meanwhile */
		if (S_ISDIR(st.st_mode) && depth < 16) {
			r = walk_folder(w, key, depth + 1, e);
		} else if (S_ISREG(st.st_mode) && k >= n) {
			t.size_bytes = (uint64_t)st.st_size;
			t.modified_us = modified_us(&st);
			r = w->on_entry(w->ctx, &t, e) != 0 ? -1 : 0;
		}
	}
	names_finish(&l);
	return r;
}

static int
dir_list(void *impl, const char *prefix, store_on_entry *on_entry, void *ctx, struct err *e)
{
	const struct walk w = { impl, prefix, on_entry, ctx };
	char start[STORE_KEY_MAX];
	const char *s = strrchr(prefix, '/');

	(void)snprintf(start, sizeof start, "%.*s", s == NULL ? 0 : (int)(s - prefix), prefix);
	return walk_folder(&w, start, 0, e);
}

/* The file system's clock, which may be another host's: the time of a file made now. */
static int
dir_now(void *impl, int64_t *us, struct err *e)
{
	struct folder *f = impl;
	const struct store_put p = { .key = "clock", .data = "", .fd = -1 };
	struct stat st;
	char tmp[64];
	int r = 0;

	if (write_tmp(f, &p, tmp, e) < 0)
		return -1;
	if (fstatat(f->fd, tmp, &st, AT_SYMLINK_NOFOLLOW) != 0)
		r = err_sys(e, ERR_IO, "dir:%s: %s", f->path, tmp);
	else
		*us = modified_us(&st);
	(void)unlinkat(f->fd, tmp, 0);
	return r;
}

static int
dir_sweep(void *impl, int64_t before_us, bool dry_run, size_t *n, struct err *e)
{
	struct folder *f = impl;
	struct names l = { 0 };
	int r = read_names(f, TMP, &l, e);

	*n = 0;
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		char key[STORE_KEY_MAX];
		struct stat st;

		(void)snprintf(key, sizeof key, TMP "/%s", l.v[i]);
		if (fstatat(f->fd, key, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
		    modified_us(&st) >= before_us)
			continue;
		(*n)++;
		if (!dry_run && dir_delete(f, key, e) != STORE_OK)
			r = -1;
	}
	names_finish(&l);
	return r;
}

static void
dir_free(void *impl)
{
	struct folder *f = impl;

	(void)close(f->fd);
	free(f->path);
	free(f);
}

static const struct store_ops dir_ops = {
	.get = dir_get, .fetch = dir_fetch, .head = dir_head, .put = dir_put, .del = dir_delete,
	.list = dir_list, .now = dir_now, .sweep = dir_sweep, .free = dir_free,
};

struct store *
store_dir_open(const char *path, bool create, struct cancel *cancel, struct err *e)
{
	struct folder *f;
	struct store *s = NULL;
	struct buf name = BUF_INIT;

	if (create && io_mkdirs(path, e) < 0)
		return NULL;
	if ((f = mem_calloc(1, sizeof *f, e)) == NULL)
		return NULL;
	*f = (struct folder){ .fd = -1, .cancel = cancel, .path = mem_strdup(path, e),
		.nonce = clock_wall_us() };
	if (f->path == NULL) {
		free(f);
		return NULL;
	}
	f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0)
		err_sys(e, ERR_NOINPUT, "dir:%s", path);
	else {
		buf_printf(&name, "dir:%s", path);
		if (buf_ok(&name, e) == 0)
			s = store_new(&dir_ops, f, name.p, e);
	}
	buf_finish(&name);
	if (s == NULL)
		dir_free(f);
	return s;
}
