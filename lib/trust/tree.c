#include "trust/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "trust/crypto.h"

#define MAX_PATH ((size_t)4096)
#define MAX_DEPTH 64

bool
tree_name_ok(struct slice path)
{
	size_t start = 0;

	if (path.n == 0 || path.n > MAX_PATH || utf8_valid(path.p, path.n) != path.n)
		return false;
	for (size_t i = 0; i <= path.n; i++) {
		if (i < path.n && ((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f))
			return false;
		if (i < path.n && path.p[i] != '/')
			continue;
		if (i == start || (i - start == 1 && path.p[start] == '.') ||
		    (i - start == 2 && path.p[start] == '.' && path.p[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

const char *
tree_state_name(enum tree_state s)
{
	static const char *const names[] = { "unseen", "ok", "changed", "missing", "extra" };

	return names[s];
}

int
tree_add(struct tree *t, struct slice path, const uint8_t sha256[32], struct err *e)
{
	struct tree_file *f;

	if (!tree_name_ok(path))
		return err_set(e, ERR_INPUT, "path '%.*s' is not a plain relative one", (int)(path.n < 200 ? path.n : 200),
			path.p == NULL ? "" : path.p);
	if (mem_grow((void **)&t->files, &t->cap, t->n + 1, sizeof *t->files, e) < 0)
		return -1;
	f = &t->files[t->n];
	memset(f, 0, sizeof *f);
	if ((f->path = mem_dup(path.p, path.n, e)) == NULL)
		return -1;
	if (sha256 != NULL)
		memcpy(f->sha256, sha256, sizeof f->sha256);
	t->n++;
	return 0;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

void
tree_sort(struct tree *t)
{
	if (t->n > 1)
		qsort(t->files, t->n, sizeof *t->files, by_path);
}

const char *
tree_duplicate(const struct tree *t)
{
	for (size_t i = 1; i < t->n; i++)
		if (strcmp(t->files[i - 1].path, t->files[i].path) == 0)
			return t->files[i].path;
	return NULL;
}

const struct tree_file *
tree_find(const struct tree *t, struct slice path)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, n = strlen(t->files[mid].path);
		int c = memcmp(t->files[mid].path, path.p, n < path.n ? n : path.n);

		if (c == 0 && n == path.n)
			return &t->files[mid];
		if (c < 0 || (c == 0 && n < path.n))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void
tree_free(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->files[i].path);
	free(t->files);
	memset(t, 0, sizeof *t);
}

/* ---- what is there ---- */

struct scan {
	struct tree *t;
	const char *root;
	tree_skip *skip;
	const void *ctx;
	struct buf path;	/* of what is looked at, relative */
	unsigned depth;
};

static int scan_folder(struct scan *s, int fd, struct err *e);

static int
scan_entry(struct scan *s, int dir, const char *name, struct err *e)
{
	struct stat st;
	int fd, r;

	if (s->skip != NULL && s->skip(s->ctx, s->path.p))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, ERR_IO, "%s/%s", s->root, s->path.p);
	if (S_ISREG(st.st_mode))
		return tree_add(s->t, (struct slice){ s->path.p, s->path.len }, NULL, e);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_INPUT, "%s/%s is %s: only files and folders can be signed", s->root, s->path.p,
			S_ISLNK(st.st_mode) ? "a symbolic link" : "no regular file");
	if (s->depth == MAX_DEPTH)
		return err_set(e, ERR_INPUT, "%s/%s: folders nest deeper than %d", s->root, s->path.p, MAX_DEPTH);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_NOINPUT, "%s/%s", s->root, s->path.p);
	s->depth++;
	r = scan_folder(s, fd, e);
	s->depth--;
	return r;
}

/* Everything below an open folder, which is closed. */
static int
scan_folder(struct scan *s, int fd, struct err *e)
{
	DIR *d = fdopendir(fd);
	size_t base = s->path.len;
	struct dirent *x;
	int r = 0;

	if (d == NULL) {
		(void)close(fd);
		return err_sys(e, ERR_IO, "%s/%s", s->root, buf_cstr(&s->path));
	}
	while (r == 0 && (errno = 0, x = readdir(d)) != NULL) {
		if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
			continue;
		if (base > 0)
			buf_byte(&s->path, '/');
		buf_str(&s->path, x->d_name);
		r = buf_ok(&s->path, e) < 0 ? -1 : scan_entry(s, dirfd(d), x->d_name, e);
		s->path.len = base;
		if (s->path.p != NULL)
			s->path.p[base] = '\0';
	}
	if (r == 0 && errno != 0)
		r = err_sys(e, ERR_IO, "%s", s->root);
	(void)closedir(d);
	return r;
}

int
tree_scan(struct tree *t, const char *root, tree_skip *skip, const void *ctx, struct err *e)
{
	struct scan s = { .t = t, .root = root, .skip = skip, .ctx = ctx, .path = BUF_INIT };
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return err_sys(e, ERR_NOINPUT, "%s", root);
	r = scan_folder(&s, fd, e);
	buf_finish(&s.path);
	tree_sort(t);
	return r;
}

/* ---- reading ---- */

static int
cannot_open(const char *root, const char *path, struct err *e)
{
	if (errno == ELOOP || errno == ENOTDIR || errno == ENXIO)
		return err_set(e, ERR_INPUT, "%s/%s: a symbolic link or no regular file stands there", root, path);
	return err_sys(e, ERR_NOINPUT, "%s/%s", root, path);
}

int
tree_open(const char *root, const char *path, struct err *e)
{
	const char *p = path, *slash;
	struct stat st;
	int at, fd;

	if (!tree_name_ok(slice_str(path)))
		return err_set(e, ERR_INPUT, "path '%s' is not a plain relative one", path);
	if ((at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(e, ERR_NOINPUT, "%s", root);
	while ((slash = strchr(p, '/')) != NULL) {
		char part[256];

		if ((size_t)(slash - p) >= sizeof part) {
			(void)close(at);
			return err_set(e, ERR_NOINPUT, "%s/%s: a part of the path is too long", root, path);
		}
		memcpy(part, p, (size_t)(slash - p));
		part[slash - p] = '\0';
		fd = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			(void)cannot_open(root, path, e);
		(void)close(at);
		if ((at = fd) < 0)
			return -1;
		p = slash + 1;
	}
	fd = openat(at, p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		(void)cannot_open(root, path, e);
	(void)close(at);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		(void)close(fd);
		return err_set(e, ERR_INPUT, "%s/%s: no regular file", root, path);
	}
	return fd;
}

int
tree_hash_fd(int fd, uint8_t sha256[32], uint64_t *bytes, struct err *e)
{
	return crypto_digest_fd(fd, sha256, NULL, bytes, e);
}

int
tree_hash(const char *root, struct tree_file *f, struct err *e)
{
	int fd = tree_open(root, f->path, e), r;

	if (fd < 0)
		return -1;
	if ((r = tree_hash_fd(fd, f->sha256, &f->bytes, e)) < 0)
		err_wrap(e, "%s/%s", root, f->path);
	(void)close(fd);
	return r;
}

int
tree_hash_all(struct tree *t, const char *root, struct err *e)
{
	for (size_t i = 0; i < t->n; i++)
		if (tree_hash(root, &t->files[i], e) < 0)
			return -1;
	return 0;
}

/* ---- comparing ---- */

static int
compare_one(const struct tree_file *want, const char *root, struct tree *report, struct err *e)
{
	struct tree_file *f;
	struct err why = ERR_INIT;

	if (tree_add(report, slice_str(want->path), NULL, e) < 0)
		return -1;
	f = &report->files[report->n - 1];
	if (tree_hash(root, f, &why) == 0)
		f->state = memcmp(f->sha256, want->sha256, sizeof f->sha256) == 0 ? TREE_OK : TREE_CHANGED;
	else if (why.code == ERR_NOINPUT && (why.sys == ENOENT || why.sys == ENAMETOOLONG))
		f->state = TREE_MISSING;
	else if (why.code == ERR_INPUT)
		f->state = TREE_CHANGED;	/* a link or folder in place of the file */
	else {
		*e = why;
		return -1;
	}
	return 0;
}

static int
find_extras(const struct tree *want, const char *root, tree_skip *skip, const void *ctx, struct tree *report,
	bool *same, struct err *e)
{
	struct tree there = { 0 };
	int r = tree_scan(&there, root, skip, ctx, e);

	for (size_t i = 0; r == 0 && i < there.n; i++) {
		if (tree_find(want, slice_str(there.files[i].path)) != NULL)
			continue;
		if ((r = tree_add(report, slice_str(there.files[i].path), NULL, e)) == 0)
			report->files[report->n - 1].state = TREE_EXTRA;
		*same = false;
	}
	tree_free(&there);
	return r;
}

int
tree_compare(const struct tree *want, const char *root, bool scan, tree_skip *skip, const void *ctx,
	struct tree *report, bool *same, struct err *e)
{
	*same = true;
	for (size_t i = 0; i < want->n; i++) {
		if (compare_one(&want->files[i], root, report, e) < 0)
			return -1;
		if (report->files[report->n - 1].state != TREE_OK)
			*same = false;
	}
	return scan ? find_extras(want, root, skip, ctx, report, same, e) : 0;
}
