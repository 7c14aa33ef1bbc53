#include "registry/checkout.h"

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
#include "fmt/hash.h"

#define VERSIONS "versions"
#define DEPTH 40

/* Remove a name below the folder fd, with all that is in it. Best effort. */
static void
remove_tree(int fd, const char *name, unsigned depth)
{
	int sub;
	DIR *d;

	if (unlinkat(fd, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth == 0)
		return;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (sub < 0)
		return;
	if ((d = fdopendir(sub)) == NULL) {
		(void)close(sub);
		return;
	}
	for (const struct dirent *t; (t = readdir(d)) != NULL;)
		if (strcmp(t->d_name, ".") != 0 && strcmp(t->d_name, "..") != 0)
			remove_tree(dirfd(d), t->d_name, depth - 1);
	(void)closedir(d);
	(void)unlinkat(fd, name, AT_REMOVEDIR);
}

/* Remove versions: those that a crash left half made, and with keep those that no link names. */
static void
prune(const struct checkout *c, bool unused)
{
	char current[LAYOUT_NAME], previous[LAYOUT_NAME];
	int fd = openat(c->fd, VERSIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	checkout_link(c, "current", current);
	checkout_link(c, "previous", previous);
	for (const struct dirent *t; (t = readdir(d)) != NULL;) {
		if (strcmp(t->d_name, ".") == 0 || strcmp(t->d_name, "..") == 0)
			continue;
		if (t->d_name[0] == '.' || (unused && strcmp(t->d_name, current) != 0 &&
		    strcmp(t->d_name, previous) != 0))
			remove_tree(dirfd(d), t->d_name, DEPTH);
	}
	(void)closedir(d);
}

int
checkout_open(const char *path, struct cancel *cancel, struct checkout *c, struct err *e)
{
	*c = (struct checkout){ .fd = -1, .lock = -1 };
	if (io_mkdirs(path, e) < 0 || (c->path = mem_strdup(path, e)) == NULL)
		return -1;
	c->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd >= 0)
		c->lock = openat(c->fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (c->lock < 0) {
		err_sys(e, ERR_CANTCREAT, "%s", path);
		goto fail;
	}
	while (flock(c->lock, LOCK_EX) != 0) {
		if (errno == EINTR && cancel_check(cancel, e) == 0)
			continue;
		if (errno != EINTR)
			err_sys(e, ERR_CONFIG, "%s: this file system has no locks", path);
		goto fail;
	}
	if (mkdirat(c->fd, VERSIONS, 0777) != 0 && errno != EEXIST) {
		err_sys(e, ERR_CANTCREAT, "%s/" VERSIONS, path);
		goto fail;
	}
	prune(c, false);
	return 0;
fail:
	checkout_close(c);
	return -1;
}

void
checkout_close(struct checkout *c)
{
	if (c->lock >= 0)
		(void)close(c->lock);
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->path);
	*c = (struct checkout){ .fd = -1, .lock = -1 };
}

void
checkout_link(const struct checkout *c, const char *link, char version[LAYOUT_NAME])
{
	char to[LAYOUT_NAME + 16];
	ssize_t n = readlinkat(c->fd, link, to, sizeof to - 1);
	struct slice s;

	version[0] = '\0';
	if (n <= 0)
		return;
	to[n] = '\0';
	if (strncmp(to, VERSIONS "/", sizeof VERSIONS) != 0)
		return;
	s = slice_str(to + sizeof VERSIONS);
	if (layout_name_ok(s))
		memcpy(version, s.p, s.n + 1);
}

static int
same_bytes(int dir, const char *name, const struct buf *want, struct err *e)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;
	char *p;
	size_t got;

	if (fd < 0)
		return want->len == 0 ? 1 : 0;
	p = mem_realloc(NULL, want->len + 1, 1, e);
	r = p == NULL ? -1 : io_read_full(fd, p, want->len + 1, &got, e);
	if (r == 0)
		r = got == want->len && (got == 0 || memcmp(p, want->p, got) == 0);
	free(p);
	(void)close(fd);
	return r;
}

static int
same_digest(int dir, const struct version_file *f, struct cancel *cancel, struct err *e)
{
	int fd = openat(dir, f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	struct sha256 h;
	uint8_t d[32];
	char *p;
	size_t got;

	if (fd < 0)
		return 0;
	if ((p = mem_realloc(NULL, 65536, 1, e)) == NULL)
		r = -1;
	sha256_init(&h);
	while (r == 0 && (r = io_read_full(fd, p, 65536, &got, e)) == 0 && got > 0) {
		sha256_add(&h, p, got);
		r = cancel_check(cancel, e);
	}
	sha256_final(&h, d);
	free(p);
	(void)close(fd);
	return r < 0 ? -1 : memcmp(d, f->sha256, 32) == 0;
}

static int
open_version(const struct checkout *c, const char *version)
{
	char name[LAYOUT_NAME + 16];

	(void)snprintf(name, sizeof name, VERSIONS "/%s", version);
	return openat(c->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int
checkout_has(const struct checkout *c, const struct version *v, struct cancel *cancel, struct err *e)
{
	int dir = open_version(c, v->version), r;

	if (dir < 0)
		return 0;
	r = same_bytes(dir, "manifest.json", &v->manifest, e);
	if (r == 1)
		r = same_bytes(dir, "manifest.json.minisig", &v->minisig, e);
	for (size_t i = 0; r == 1 && i < v->n; i++)
		r = same_digest(dir, &v->files[i], cancel, e);
	(void)close(dir);
	return r;
}

static int
write_document(const char *folder, const char *name, const struct buf *b, struct err *e)
{
	struct buf path = BUF_INIT;
	int r;

	if (b->len == 0)
		return 0;
	buf_printf(&path, "%s/%s", folder, name);
	r = buf_ok(&path, e);
	if (r == 0)
		r = io_write_file(path.p, b->p, b->len, 0644, e);
	buf_finish(&path);
	return r;
}

static int
place_file(const char *folder, const struct version_file *f, struct cache *cache, struct err *e)
{
	struct buf path = BUF_INIT;
	const char *slash = strrchr(f->path, '/');
	int r = 0;

	if (slash != NULL) {
		buf_printf(&path, "%s/%.*s", folder, (int)(slash - f->path), f->path);
		r = buf_ok(&path, e);
		if (r == 0)
			r = io_mkdirs(path.p, e);
		buf_reset(&path);
	}
	buf_printf(&path, "%s/%s", folder, f->path);
	if (r == 0)
		r = buf_ok(&path, e);
	if (r == 0)
		r = cache_place(cache, f->sha256, path.p, e);
	buf_finish(&path);
	return r;
}

/* Sync a folder and those in it, so that names are durable before the rename shows them. */
static int
sync_tree(int parent, const char *name, unsigned depth, struct err *e)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return err_sys(e, ERR_IO, "%s", name);
	}
	for (const struct dirent *t; r == 0 && depth > 0 && (t = readdir(d)) != NULL;) {
		struct stat st;

		if (strcmp(t->d_name, ".") != 0 && strcmp(t->d_name, "..") != 0 &&
		    fstatat(dirfd(d), t->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
			r = sync_tree(dirfd(d), t->d_name, depth - 1, e);
	}
	if (r == 0 && fsync(dirfd(d)) != 0 && errno != EINVAL)
		r = err_sys(e, ERR_IO, "%s: fsync", name);
	(void)closedir(d);
	return r;
}

int
checkout_make(const struct checkout *c, const struct version *v, struct cache *cache, struct err *e)
{
	char tmp[LAYOUT_NAME + 48], to[LAYOUT_NAME + 16];
	struct buf folder = BUF_INIT;
	int r, fd;

	(void)snprintf(to, sizeof to, VERSIONS "/%s", v->version);
	(void)snprintf(tmp, sizeof tmp, VERSIONS "/.%s.%ld", v->version, (long)getpid());
	buf_printf(&folder, "%s/%s", c->path, tmp);
	if ((r = buf_ok(&folder, e)) == 0)
		r = io_mkdirs(folder.p, e);
	for (size_t i = 0; r == 0 && i < v->n; i++)
		r = place_file(folder.p, &v->files[i], cache, e);
	if (r == 0)
		r = write_document(folder.p, "manifest.json", &v->manifest, e);
	if (r == 0)
		r = write_document(folder.p, "manifest.json.minisig", &v->minisig, e);
	if (r == 0)
		r = sync_tree(c->fd, tmp, DEPTH, e);
	if (r == 0) {
		/* One that is there was found damaged: out of the way, its name with a dot, so that it is swept. */
		char old[LAYOUT_NAME + 48];

		(void)snprintf(old, sizeof old, VERSIONS "/.%s.%ld.old", v->version, (long)getpid());
		(void)renameat(c->fd, to, c->fd, old);
		if (renameat(c->fd, tmp, c->fd, to) != 0)
			r = err_sys(e, ERR_CANTCREAT, "%s/%s", c->path, to);
		remove_tree(c->fd, old, DEPTH);
	}
	if (r < 0)
		remove_tree(c->fd, tmp, DEPTH);
	else if ((fd = openat(c->fd, VERSIONS, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	buf_finish(&folder);
	return r;
}

/* Let link name the version, in one step. */
static int
set_link(const struct checkout *c, const char *link, const char *version, struct err *e)
{
	char to[LAYOUT_NAME + 16], tmp[64];

	(void)snprintf(to, sizeof to, VERSIONS "/%s", version);
	(void)snprintf(tmp, sizeof tmp, ".%s.tmp", link);
	/* Ours alone: the folder is locked. */
	(void)unlinkat(c->fd, tmp, 0);
	if (symlinkat(to, c->fd, tmp) != 0 || renameat(c->fd, tmp, c->fd, link) != 0) {
		err_sys(e, ERR_CANTCREAT, "%s/%s", c->path, link);
		(void)unlinkat(c->fd, tmp, 0);
		return -1;
	}
	return 0;
}

int
checkout_use(const struct checkout *c, const char *version, bool *changed, struct err *e)
{
	char now[LAYOUT_NAME];

	checkout_link(c, "current", now);
	*changed = strcmp(now, version) != 0;
	if (*changed) {
		if (now[0] != '\0' && set_link(c, "previous", now, e) < 0)
			return -1;
		if (set_link(c, "current", version, e) < 0)
			return -1;
		(void)fsync(c->fd);
	}
	prune(c, true);
	return 0;
}
