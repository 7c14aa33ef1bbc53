/*
 * vectors - a cache of embeddings by content, kept between runs.
 *
 * One sqlite3 file: the key is a digest of the text and of what embeds it, so
 * that nothing is ever out of date; the value is a row of floats. Several
 * processes may share the file.
 * Depends on: sqlite3, base.  Threads: one at a time.
 */
#ifndef LLMR_DATA_VECTORS_H
#define LLMR_DATA_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define VECTORS_KEY 32
#define VECTORS_VERSION 1

struct vectors;

/* Created when absent. ERR_INPUT for another program's file or a newer one, ERR_CANTCREAT, ERR_IO. */
struct vectors *vectors_open(const char *path, struct err *e);
/* 1: out [dim] is filled; 0: not there (or of another size); -1 and err. */
int vectors_get(struct vectors *, const uint8_t key[VECTORS_KEY], float *out, size_t dim, struct err *e);
/* Between begin and commit; an existing key is left as it is. */
int vectors_begin(struct vectors *, struct err *e);
int vectors_put(struct vectors *, const uint8_t key[VECTORS_KEY], const float *v, size_t dim, struct err *e);
int vectors_commit(struct vectors *, struct err *e);
void vectors_close(struct vectors *);		/* NULL is fine; what was not committed is lost */

#endif
