/*
 * mem - checked allocation and arenas.
 *
 * Every size that is a product goes through mem_mul. The allocation hook lets
 * a test fail the n-th allocation in turn.
 * Depends on: base/err.  Threads: safe; an arena belongs to one thread.
 */
#ifndef LLMR_BASE_MEM_H
#define LLMR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* *out = a * b; false on overflow (then *out = 0). */
bool mem_mul(size_t a, size_t b, size_t *out);

/*
 * n elements of size bytes each, zeroed (mem_calloc) or resized (mem_realloc,
 * contents kept, old block untouched on failure). NULL and err on overflow or
 * lack of memory; n == 0 gives a valid 1-byte block. Release with free(3).
 */
void *mem_calloc(size_t n, size_t size, struct err *e);
void *mem_realloc(void *p, size_t n, size_t size, struct err *e);
/* size bytes at a 64-byte boundary, zeroed; release with free(3). */
void *mem_aligned(size_t n, size_t size, struct err *e);
char *mem_strdup(const char *s, struct err *e);
/* Copy of n bytes with a NUL behind. */
char *mem_dup(const void *p, size_t n, struct err *e);
/* Make room for one element more: doubles *cap as needed. 0 / -1. */
int mem_grow(void **p, size_t *cap, size_t need, size_t size, struct err *e);

/* Highest resident set of this process so far, in bytes (0 when unknown). */
size_t mem_peak_rss(void);

/* A region: many small allocations, released together. Zeroed memory is a valid, empty arena. */
struct arena_block;
struct arena {
	struct arena_block *head;
	size_t used_bytes;	/* handed out since the last reset */
};
#define ARENA_INIT { 0 }

/* size bytes, 16-aligned, not zeroed; NULL and err when memory lacks. */
void *arena_alloc(struct arena *, size_t size, struct err *e);
/* Copy of n bytes with a NUL behind. */
char *arena_dup(struct arena *, const void *p, size_t n, struct err *e);
/* Forget everything but keep the largest block for the next round. */
void arena_reset(struct arena *);
void arena_finish(struct arena *);

#endif
