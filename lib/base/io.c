#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define OUT_BUFFER ((size_t)256 * 1024)

/*
 * Names of the temporaries that exist right now, for the signal handler: the
 * one piece of process-wide state in the library, since a handler can reach
 * nothing else. Slots are claimed and released by atomic exchange.
 */
#define CLEANUP_SLOTS 32
static _Atomic(char *) cleanup_paths[CLEANUP_SLOTS];

static int
cleanup_add(char *path)
{
	for (int i = 0; i < CLEANUP_SLOTS; i++) {
		char *empty = NULL;

		if (atomic_compare_exchange_strong(&cleanup_paths[i], &empty, path))
			return i;
	}
	return -1;
}

static void
cleanup_remove(int slot)
{
	if (slot >= 0)
		atomic_store(&cleanup_paths[slot], NULL);
}

void
io_cleanup(void)
{
	for (int i = 0; i < CLEANUP_SLOTS; i++) {
		const char *path = atomic_exchange(&cleanup_paths[i], NULL);

		if (path != NULL)
			(void)unlink(path);
	}
}

int
io_open_read(const char *path, struct err *e)
{
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0) {
		if (isatty(STDIN_FILENO))
			return err_set(e, ERR_USAGE,
				"data is expected on standard input, but that is a terminal: name a file or use a pipe");
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_sys(e, ERR_NOINPUT, "standard input");
	} else {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return err_sys(e, ERR_NOINPUT, "%s", path);
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)close(fd);
		return err_set(e, ERR_NOINPUT, "%s: is a directory, a file is needed", path);
	}
	return fd;
}

int
io_read_full(int fd, void *p, size_t n, size_t *got, struct err *e)
{
	*got = 0;
	while (*got < n) {
		ssize_t k = read(fd, (char *)p + *got, n - *got);

		if (k == 0)
			break;
		if (k < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, errno == EISDIR ? ERR_NOINPUT : ERR_IO, "read");
		}
		*got += (size_t)k;
	}
	return 0;
}

int
io_write_full(int fd, const void *p, size_t n, struct err *e)
{
	const char *q = p;

	while (n > 0) {
		ssize_t k = write(fd, q, n);

		if (k < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, ERR_IO, "write");
		}
		q += k;
		n -= (size_t)k;
	}
	return 0;
}

int
io_read_file(const char *path, size_t max, struct buf *out, struct err *e)
{
	size_t got, start = out->len;
	struct stat st;
	int fd, r = -1;

	if ((fd = io_open_read(path, e)) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	    (uintmax_t)st.st_size <= max)
		(void)buf_reserve(out, (size_t)st.st_size + 1);
	do {
		if (!buf_reserve(out, 65536)) {
			err_nomem(e);
			goto out;
		}
		if (io_read_full(fd, out->p + out->len, out->cap - out->len - 1, &got, e) < 0) {
			err_wrap(e, "%s", path);
			goto out;
		}
		out->len += got;
		out->p[out->len] = '\0';
		if (out->len - start > max) {
			err_set(e, ERR_INPUT, "%s: larger than %zu bytes", path, max);
			goto out;
		}
	} while (got > 0);
	r = 0;
out:
	(void)close(fd);
	return r;
}

bool
io_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* True when the path names something that must be written in place: a device, a FIFO. */
static bool
written_in_place(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int
open_tmp(struct io_out *o, unsigned mode, struct err *e)
{
	static atomic_uint serial;
	struct buf name = BUF_INIT;
	const char *slash = strrchr(o->path, '/');
	size_t dir = slash == NULL ? 0 : (size_t)(slash - o->path) + 1;

	buf_add(&name, o->path, dir);
	buf_printf(&name, ".%s.tmp%ld-%u", o->path + dir, (long)getpid(),
		atomic_fetch_add(&serial, 1));
	if ((o->tmp = buf_take(&name, e)) == NULL) {
		buf_finish(&name);
		return -1;
	}
	o->slot = cleanup_add(o->tmp);
	o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
	if (o->fd < 0)
		return err_sys(e, ERR_CANTCREAT, "cannot create %s", o->path);
	return 0;
}

int
io_out_open(struct io_out *o, const char *path, unsigned mode, struct err *e)
{
	struct stat st;

	*o = (struct io_out){ .fd = -1, .slot = -1 };
	if ((o->path = mem_strdup(path, e)) == NULL ||
	    (o->buf = mem_realloc(NULL, OUT_BUFFER, 1, e)) == NULL)
		goto fail;
	if (strcmp(path, "-") == 0) {
		o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (o->fd < 0) {
			err_sys(e, ERR_CANTCREAT, "standard output");
			goto fail;
		}
		return 0;
	}
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		err_set(e, ERR_CANTCREAT, "cannot create %s: is a directory", path);
		goto fail;
	}
	if (written_in_place(path)) {
		o->fd = open(path, O_WRONLY | O_CLOEXEC);
		if (o->fd < 0) {
			err_sys(e, ERR_CANTCREAT, "%s", path);
			goto fail;
		}
		return 0;
	}
	if (open_tmp(o, mode, e) == 0)
		return 0;
fail:
	io_out_abort(o);
	return -1;
}

int
io_out_flush(struct io_out *o, struct err *e)
{
	if (o->used > 0 && io_write_full(o->fd, o->buf, o->used, e) < 0)
		return err_wrap(e, "%s", strcmp(o->path, "-") == 0 ? "standard output" : o->path);
	o->used = 0;
	return 0;
}

int
io_out_write(struct io_out *o, const void *p, size_t n, struct err *e)
{
	o->written_bytes += n;
	if (n >= OUT_BUFFER - o->used) {
		if (io_out_flush(o, e) < 0)
			return -1;
		if (n >= OUT_BUFFER) {
			if (io_write_full(o->fd, p, n, e) < 0)
				return err_wrap(e, "%s", o->path);
			return 0;
		}
	}
	if (n > 0)
		memcpy(o->buf + o->used, p, n);
	o->used += n;
	return 0;
}

/* Make the rename itself durable. Best effort: some file systems refuse fsync on a folder. */
static void
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? mem_strdup(".", NULL) :
		mem_dup(path, slash == path ? 1 : (size_t)(slash - path), NULL);
	int fd;

	if (dir == NULL)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	free(dir);
}

int
io_out_commit(struct io_out *o, struct err *e)
{
	int fd = o->fd;

	if (io_out_flush(o, e) < 0)
		goto fail;
	if (o->tmp != NULL && fsync(fd) != 0) {
		err_sys(e, ERR_IO, "%s: fsync", o->path);
		goto fail;
	}
	o->fd = -1;
	if (close(fd) != 0) {
		err_sys(e, ERR_IO, "%s: close", o->path);
		goto fail;
	}
	if (o->tmp != NULL) {
		if (rename(o->tmp, o->path) != 0) {
			err_sys(e, ERR_CANTCREAT, "cannot create %s", o->path);
			goto fail;
		}
		cleanup_remove(o->slot);
		o->slot = -1;
		sync_folder(o->path);
		free(o->tmp);
		o->tmp = NULL;
	}
	io_out_abort(o);
	return 0;
fail:
	io_out_abort(o);
	return -1;
}

void
io_out_abort(struct io_out *o)
{
	if (o->fd >= 0)
		(void)close(o->fd);
	if (o->tmp != NULL) {
		(void)unlink(o->tmp);
		cleanup_remove(o->slot);
	}
	free(o->tmp);
	free(o->path);
	free(o->buf);
	*o = (struct io_out){ .fd = -1, .slot = -1 };
}

int
io_write_file(const char *path, const void *p, size_t n, unsigned mode, struct err *e)
{
	struct io_out o;

	if (io_out_open(&o, path, mode, e) < 0)
		return -1;
	if (io_out_write(&o, p, n, e) < 0) {
		io_out_abort(&o);
		return -1;
	}
	return io_out_commit(&o, e);
}

int
io_mkdirs(const char *path, struct err *e)
{
	char *copy = mem_strdup(path, e);
	struct stat st;
	int r = 0;

	if (copy == NULL)
		return -1;
	for (char *p = copy + 1; r == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0777) != 0 && errno != EEXIST)
			r = err_sys(e, ERR_CANTCREAT, "cannot create folder %s", copy);
		*p = c;
		if (c == '\0')
			break;
	}
	if (r == 0 && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
		r = err_set(e, ERR_CANTCREAT, "%s: is not a folder", path);
	free(copy);
	return r;
}

int
io_tmpfile(struct err *e)
{
	const char *dir = getenv("TMPDIR");
	struct buf name = BUF_INIT;
	char *path;
	int fd;

	buf_printf(&name, "%s/llmr-XXXXXX", dir != NULL && dir[0] != '\0' ? dir : "/tmp");
	if ((path = buf_take(&name, e)) == NULL) {
		buf_finish(&name);
		return -1;
	}
	fd = mkstemp(path);
	if (fd < 0)
		err_sys(e, ERR_CANTCREAT, "cannot create a temporary file %s: set TMPDIR", path);
	else {
		(void)unlink(path);
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	free(path);
	return fd < 0 ? -1 : fd;
}
