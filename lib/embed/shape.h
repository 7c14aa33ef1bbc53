/*
 * shape - what a prompt looks like, whatever it is about.
 *
 * Length, words, lines, digits, capitals, punctuation, scripts, marks of code
 * and mathematics, form of the question: SHAPE_FEATURES numbers of a text,
 * standardised by the training texts. Each comes clipped to three standard
 * deviations; the last place of a vector holds what is lacking to unit length,
 * so that the size of a deviation survives where only unit vectors are told apart.
 * Depends on: base/str, embed/embed (times), fmt/safetensors.  Threads: immutable once fitted or loaded.
 */
#ifndef LLMR_EMBED_SHAPE_H
#define LLMR_EMBED_SHAPE_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"

struct tensorfile;		/* fmt/safetensors.h */
struct tensorfile_writer;

/* Part of every artifact that uses it: raised when the same text would give other numbers. */
#define SHAPE_VERSION 1
#define SHAPE_FEATURES 28
#define SHAPE_DIM (SHAPE_FEATURES + 1)

struct shape;

/* The numbers of a text before they are standardised; of a long text its first and last half of max_bytes. */
void shape_features(struct slice text, size_t max_bytes, double out[SHAPE_FEATURES]);

/* Name of feature i < SHAPE_FEATURES, for people: "words", "share of digits". */
const char *shape_name(size_t i);

/* Means and deviations over n texts. NULL and err when memory lacks. */
struct shape *shape_fit(const struct slice *texts, size_t n, size_t max_bytes, struct pool *,
	struct err *e);
void shape_free(struct shape *);	/* NULL is fine */
/* out [SHAPE_DIM] of unit length; zero for an empty text. Allocates nothing. */
void shape_text(const struct shape *, struct slice text, float *out);

/* Tensor embedder.shape F32 [2 x SHAPE_FEATURES]: means, then inverse deviations (0 for a constant one). */
int shape_save(const struct shape *, struct tensorfile_writer *, struct err *e);
struct shape *shape_load(const struct tensorfile *, size_t max_bytes, struct err *e);

#endif
