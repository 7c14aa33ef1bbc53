/*
 * stream - bytes in and out, gzip and Zstandard seen through.
 *
 * Input is recognised by its first bytes, never by its name (RFC 1952, RFC
 * 8878; concatenated members and frames are read on). Output is compressed by
 * its name's suffix (.gz, .zst), deterministically (no time, no name).
 * Truncated or corrupt input is ERR_INPUT with the byte offset. Errors of reading
 * do not name the path: the caller, who knows it, puts it before (err_wrap).
 * Depends on: base/io, zlib, libzstd.  Threads: a stream belongs to one thread.
 */
#ifndef LLMR_FMT_STREAM_H
#define LLMR_FMT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct stream_in;
struct stream_out;

/* Path or "-". NULL and err on failure. */
struct stream_in *stream_in_open(const char *path, struct err *e);
/* Bytes in memory, borrowed for the stream's life (tests, fuzzers). */
struct stream_in *stream_in_memory(const void *p, size_t n, struct err *e);
/* From where descriptor fd stands; it stays the caller's to close. */
struct stream_in *stream_in_fd(int fd, struct err *e);
/* Up to n decoded bytes; *got = 0 only at the end. 0 / -1. */
int stream_in_read(struct stream_in *, void *p, size_t n, size_t *got, struct err *e);
/* Compressed bytes consumed so far, for progress; and the size of the file (0 unknown). */
uint64_t stream_in_consumed(const struct stream_in *);
uint64_t stream_in_size(const struct stream_in *);
void stream_in_close(struct stream_in *);	/* NULL is fine */

/* Path or "-"; becomes visible at commit (base/io). */
struct stream_out *stream_out_open(const char *path, struct err *e);
int stream_out_write(struct stream_out *, const void *p, size_t n, struct err *e);
/* Push everything so far to the file, readable by a reader now (block flush). */
int stream_out_flush(struct stream_out *, struct err *e);
int stream_out_commit(struct stream_out *, struct err *e);	/* closes, also on failure */
void stream_out_abort(struct stream_out *);			/* NULL is fine */

/*
 * Append p to out as one gzip member or Zstandard frame of its own, or as it is,
 * by the suffix of path. Such pieces one after the other are one valid file.
 */
int stream_pack(const char *path, const void *p, size_t n, struct buf *out, struct err *e);

/*
 * Lines of a stream: *line is borrowed until the next call, without its "\n"
 * (and "\r\n"). A line longer than max_bytes is ERR_INPUT. 1 = a line, 0 = end,
 * -1 = err. number counts from 1.
 */
struct stream_lines;
struct stream_lines *stream_lines_new(struct stream_in *, size_t max_bytes, struct err *e);
int stream_lines_next(struct stream_lines *, const char **line, size_t *n, uint64_t *number, struct err *e);
void stream_lines_free(struct stream_lines *);	/* does not close the stream */

#endif
