/*
 * buf - growable bytes.
 *
 * A failed append sets a sticky flag instead of returning an error at every
 * call: build freely, then ask buf_ok once. The contents are always followed
 * by a NUL that len does not count.
 * Depends on: base/mem.  Threads: one thread at a time.
 */
#ifndef LLMR_BASE_BUF_H
#define LLMR_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
	char *p;		/* NULL until the first append */
	size_t len, cap;
	bool failed;		/* memory ran out at some append */
};
#define BUF_INIT { NULL, 0, 0, false }

/* Room for n bytes more. On success b->p + b->len may be written, then b->len raised. */
bool buf_reserve(struct buf *, size_t n);
void buf_add(struct buf *, const void *p, size_t n);
void buf_str(struct buf *, const char *s);
void buf_byte(struct buf *, int c);
void buf_printf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Little-endian integers. */
void buf_le32(struct buf *, uint32_t v);
void buf_le64(struct buf *, uint64_t v);
/* Empty it, keeping the memory. */
void buf_reset(struct buf *);
/* Release the memory; the buffer may be used again. */
void buf_finish(struct buf *);
/* 0, or -1 with "out of memory" when an append failed. */
int buf_ok(const struct buf *, struct err *e);
/* The contents as a C string ("" when empty); borrowed. */
const char *buf_cstr(const struct buf *);
/* Hand over the memory (NUL-terminated, release with free); the buffer is empty after. */
char *buf_take(struct buf *, struct err *e);

#endif
