/*
 * io - whole files, atomic output, TMPDIR spill files.
 *
 * Output becomes visible only when it is whole: written to a temporary name in
 * the same folder, fsync, rename, fsync of the folder. Temporary names are
 * removed on failure, and on SIGINT by io_cleanup (async-signal-safe).
 * Depends on: base/buf, base/err.  Threads: separate values are independent.
 */
#ifndef LLMR_BASE_IO_H
#define LLMR_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Open a regular file, FIFO or stdin ("-") for reading. Refuses a directory
 * (ERR_NOINPUT) and a terminal on "-" ("expects data on standard input").
 * Returns the descriptor, or -1.
 */
int io_open_read(const char *path, struct err *e);
/* Append a whole file ("-" is stdin) to out; more than max bytes is ERR_INPUT. */
int io_read_file(const char *path, size_t max, struct buf *out, struct err *e);
/* read(2) until n bytes or end of file, retrying EINTR; -1 and err on failure. */
int io_read_full(int fd, void *p, size_t n, size_t *got, struct err *e);
/* write(2) all of it, retrying EINTR and short writes. ENOSPC and the rest: ERR_IO; EPIPE: ERR_IO with sys EPIPE. */
int io_write_full(int fd, const void *p, size_t n, struct err *e);
bool io_exists(const char *path);

/* An output that appears by rename. "-" is stdout, "/dev/..." and FIFOs are written in place. */
struct io_out {
	int fd;			/* -1 when closed */
	char *path, *tmp;	/* owned; tmp NULL when written in place */
	char *buf;		/* write buffer, owned */
	size_t used;
	uint64_t written_bytes;
	int slot;		/* in the clean-up table, -1 none */
};
/* Create; mode for example 0644. An existing path is replaced at commit. ERR_CANTCREAT on failure. */
int io_out_open(struct io_out *, const char *path, unsigned mode, struct err *e);
int io_out_write(struct io_out *, const void *p, size_t n, struct err *e);
int io_out_flush(struct io_out *, struct err *e);
/* Flush, fsync, rename. After it (even on failure) the value is closed and no temporary is left. */
int io_out_commit(struct io_out *, struct err *e);
/* Throw away what was written. Safe on a closed or zeroed-with-fd--1 value. */
void io_out_abort(struct io_out *);
/* Write a whole file atomically. */
int io_write_file(const char *path, const void *p, size_t n, unsigned mode, struct err *e);

/* Remove the temporaries of all open outputs; callable from a signal handler. */
void io_cleanup(void);

/* mkdir -p. */
int io_mkdirs(const char *path, struct err *e);
/* An unlinked temporary file in TMPDIR (or /tmp), read-write. Descriptor or -1. */
int io_tmpfile(struct err *e);

#endif
