/*
 * scorer - what a kind of router must do: a vector in, a score per model out.
 *
 * A kind (knn, svm, mlp, mf, ridge, hybrid ...) is a table of functions over
 * its own hyperparameters and its own fitted model; router, cross-validation
 * and artifact know only this table. A fitted model is immutable and shared by
 * threads; each thread brings a scratch, so that scoring allocates nothing.
 * Depends on: model/checkpoint, fmt/safetensors, fmt/jsonw, base.  Threads: as said per member.
 */
#ifndef LLMR_MODEL_SCORER_H
#define LLMR_MODEL_SCORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "model/checkpoint.h"

/* What a kind learns from; all borrowed. */
struct scorer_data {
	size_t n, d, m;			/* rows, dimensions, models */
	const float *x;			/* [n x d] row-major; rows of unit length or zero; finite */
	const float *score;		/* [n x m] 0..1, NaN = not observed (never zero) */
	const float *cost;		/* [n x m] USD, NaN = unknown; NULL when none is known */
	const float *weight;		/* [n] sample weights > 0; NULL = all 1 */
	bool best;			/* objective best: score holds 1 for the best model of a row, else 0 */
	uint64_t seed;
	struct pool *pool;		/* NULL = one thread; the outcome never depends on it */
	struct cancel *cancel;		/* asked now and then during long fits; may be NULL */
	const struct checkpoint_at *keep;	/* where a long fit keeps its pieces; may be NULL */
};

#define SCORER_NO_ROW ((size_t)-1)
#define SCORER_MAX_PARAMS 2048

struct scorer_kind {
	const char *name;		/* "knn": the operand of train, llmr.kind of the artifact */
	const char *hparams;		/* names for messages: "n_neighbors, weights, metric" */
	size_t params_bytes;		/* sizeof its params struct, at most SCORER_MAX_PARAMS */
	void (*params_init)(void *params);
	/* Set one by name (aliases too). 0; 1 when the name is not one of this kind; -1 and ERR_USAGE for a bad value. */
	int (*params_set)(void *params, const char *name, const char *value, struct err *e);
	/* As members of an open JSON object; params_read takes them back (other names skipped; ERR_INPUT when wrong). */
	void (*params_write)(const void *params, struct jsonw *w);
	int (*params_read)(void *params, struct slice json, struct err *e);
	/* Bytes that a fit holds at its peak beside the data itself. */
	uint64_t (*memory)(const void *params, size_t n, size_t d, size_t m);

	/* Learn. NULL and err on failure (ERR_INTR when cancelled). Same bytes for any number of threads. */
	void *(*fit)(const void *params, const struct scorer_data *data, struct err *e);
	void (*free)(void *model);	/* NULL is fine */
	/* Parameters as fitted (lowered, resolved), for the artifact. */
	const void *(*params)(const void *model);
	/* Tensors named PREFIX "something" into an artifact; data is borrowed until it is saved. */
	int (*save)(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e);
	/*
	 * Back from an artifact, every shape, range and value checked against m and
	 * d; hparams is the JSON object that params_write made. Borrows from the
	 * file. NULL and ERR_INPUT on anything wrong.
	 */
	void *(*load)(const struct tensorfile *f, const char *prefix, size_t m, size_t d,
		struct slice hparams, struct err *e);

	void *(*scratch_new)(const void *model, struct err *e);
	void (*scratch_free)(void *scratch);	/* NULL is fine */
	/*
	 * Predict for one vector q [d] (unit length, or zero: then the models'
	 * overall means). score [m] finite, about 0..1; cost [m] USD, NaN = unknown.
	 * skip: a training row to leave out, SCORER_NO_ROW none; a kind that cannot
	 * leave one out ignores it and says so by can_skip.
	 * Allocates nothing.
	 */
	void (*score)(const void *model, const float *q, size_t skip, void *scratch, float *score,
		float *cost);
	bool can_skip;
	bool uses_blas;			/* fit calls math/mat: the caller has called mat_open before threads start */
};

/* PREFIX and a tensor's own name in out; returns out. Prefixes are ours and short. */
#define SCORER_NAME 64
const char *scorer_tensor(char out[SCORER_NAME], const char *prefix, const char *name);

/* Every kind that train offers, ending with NULL; by name, NULL when there is none. */
extern const struct scorer_kind *const scorer_kinds[];
const struct scorer_kind *scorer_find(const char *name, size_t n);

#endif
