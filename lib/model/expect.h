/*
 * expect - what a call to each model is expected to cost and how long it takes.
 *
 * One head beside the scorer, whatever its kind. The logarithm of a model's
 * cost (or response time) is a line over the logarithm of the prompt's length,
 * plus a ridge regression of what is left on the prompt's vector. Back on the
 * plain scale the prediction is drawn towards the model's mean by a weight that
 * is fitted on rows left out in turn; where it does not surely (one-sided 95 %)
 * leave smaller squared errors there than the mean, the weight is 0 and the
 * mean is the prediction. What a query counts for (ds->weight) holds here, too.
 * Depends on: model/ridge, model/target, data/dataset.
 * Threads: immutable once fitted or loaded; each thread brings its scratch.
 */
#ifndef LLMR_MODEL_EXPECT_H
#define LLMR_MODEL_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "fmt/safetensors.h"

struct expect;

/*
 * Learn from a dataset and its vectors x [ds->n x d]. *out NULL when neither a
 * cost nor a response time is known. 0 / -1 and err (needs OpenBLAS).
 */
int expect_fit(const struct dataset *ds, const float *x, size_t d, struct pool *pool,
	struct cancel *cancel, struct expect **out, struct err *e);
void expect_free(struct expect *);	/* NULL is fine */
/* Is a cost or a response time known? */
bool expect_wanted(const struct dataset *);
/* Bytes that fitting holds beside the data. */
uint64_t expect_memory(size_t n, size_t d, size_t m);

/* Tensors "expect.terms", "expect.ridge..."; borrowed until saved. Back, checked; *out NULL when there are none. */
int expect_save(const struct expect *, struct tensorfile_writer *, struct err *e);
int expect_load(const struct tensorfile *, size_t m, size_t d, struct expect **out, struct err *e);

struct expect_scratch;
struct expect_scratch *expect_scratch_new(const struct expect *, struct err *e);
void expect_scratch_free(struct expect_scratch *);	/* NULL is fine */
/*
 * For a prompt of so many bytes and its vector q [d]: cost [m] USD, seconds
 * [m]; NaN where none was known in training. Allocates nothing.
 */
void expect_score(const struct expect *, const float *q, size_t bytes, struct expect_scratch *,
	float *cost, float *seconds);

/* How far model j's cost (or, with time, its response time) follows the prompt: 0 the mean alone .. 1. */
double expect_weight(const struct expect *, size_t j, bool time);

#endif
