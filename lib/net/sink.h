/*
 * sink - bytes that come from the network into a file, their SHA-256 taken from the buffers they came in.
 *
 * The caller's thread copies and writes, a second one digests and starts the
 * write-back, so that a later fsync finds little left. What was in the file
 * before is read for the digest once. At most SINK_MEMORY bytes of buffers.
 * Depends on: base/err, fmt/hash.  Threads: a sink belongs to the thread that opened it.
 */
#ifndef LLMR_NET_SINK_H
#define LLMR_NET_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SINK_MEMORY ((size_t)1 << 20)

struct sink;

/*
 * fd: written from the byte offset on, and with digest and offset > 0 read up to
 * there. expect_bytes: of the whole, decides whether a thread pays. fd stays the
 * caller's. NULL: out of memory.
 */
struct sink *sink_open(int fd, uint64_t offset, uint64_t expect_bytes, bool digest, struct err *e);
/* ERR_IO with the system's reason when the file cannot be written. p is copied. */
int sink_add(struct sink *, const void *p, size_t n, struct err *e);
/*
 * Writes what is left, ends the thread, frees the sink; NULL is fine. After a
 * failure of sink_add too: what was added lies in the file as far as it could be
 * written, without a gap. out gets the digest of the whole file, when it was
 * asked for; NULL: not wanted after all.
 */
int sink_close(struct sink *, uint8_t out[32], struct err *e);

#endif
