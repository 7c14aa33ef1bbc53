/*
 * hashed - signed feature hashing of n-grams; nothing is learned.
 *
 * Each distinct term of a text (embed/terms) adds +-(1 + ln tf) to one of dim
 * places, both chosen by its hash (Weinberger et al. 2009, arXiv:0902.2206);
 * words and characters are scaled to the same length, the sum to unit length.
 * Depends on: embed/terms.  Threads: immutable; one scratch for each thread.
 */
#ifndef LLMR_EMBED_HASHED_H
#define LLMR_EMBED_HASHED_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "embed/embed.h"

#define HASHED_MAX_DIM 65536

struct hashed_scratch;

struct hashed_scratch *hashed_scratch_new(size_t dim, size_t max_bytes, struct err *e);
void hashed_scratch_free(struct hashed_scratch *);
/* out [dim]. */
void hashed_text(size_t dim, struct slice text, struct hashed_scratch *, float *out,
	struct embed_times *);

#endif
