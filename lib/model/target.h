/*
 * target - what the trained nets aim at: means of the cells that are known.
 *
 * A net learns deviations from each model's mean score, and costs in units of
 * their spread; where it has nothing to go by (a zero vector, a model without
 * a known cell) the means are the prediction.
 * Depends on: model/scorer.  Threads: immutable once made.
 */
#ifndef LLMR_MODEL_TARGET_H
#define LLMR_MODEL_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "model/scorer.h"

struct target {
	size_t m;
	bool costs;			/* some cost is known */
	const float *score_mean;	/* [m] over known cells, weighted; 0.5 when a model has none */
	const float *cost_mean;		/* [m] USD; -1 = unknown */
	float *cost_spread;		/* [m] standard deviation, > 0; NULL when loaded */
	bool *seen;			/* [m] some score is known; NULL when loaded */
	float *owned;			/* [2 x m] the means when fitted */
};

/* 0 / -1 and err; release with target_finish (zeroed memory is fine). */
int target_init(struct target *, const struct scorer_data *, struct err *e);
void target_finish(struct target *);
/* Tensors PREFIX NAME ".score_mean" and, with costs, ".cost_mean", both F32 [m]; and back, checked. */
int target_save(const struct target *, const char *prefix, const char *name,
	struct tensorfile_writer *, struct err *e);
int target_load(struct target *, const struct tensorfile *, const char *prefix, const char *name,
	size_t m, struct err *e);

/* The means as a prediction: score [m], cost [m] (NaN = unknown). */
void target_means(const struct target *, float *score, float *cost);
/*
 * A net's raw outputs y as a prediction: the first m are scores, held to -1..2,
 * the next m, with costs, are USD, held to 0 and above. What is no number
 * becomes the mean.
 */
void target_predict(const struct target *, const float *y, float *score, float *cost);

/* F32 elements that are all finite and at most limit in size; else ERR_INPUT naming the tensor. */
int target_check(const struct tensor *, float limit, struct err *e);

/*
 * A JSON object into params by the set function of a kind: strings, numbers,
 * true, false and arrays of numbers by their text; names that set does not know
 * are skipped. ERR_INPUT when one is wrong.
 */
int target_params_read(void *params, struct slice json,
	int (*set)(void *params, const char *name, const char *value, struct err *e), struct err *e);

/* Is x [d] zero throughout? */
bool target_zero(const float *x, size_t d);

/* PREFIX NAME SUFFIX in out; returns out. All are ours and short. */
#define TARGET_NAME 96
const char *target_name(char out[TARGET_NAME], const char *prefix, const char *name,
	const char *suffix);

#endif
