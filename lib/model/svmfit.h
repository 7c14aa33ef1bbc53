/*
 * svmfit - training of support vector machines (model/svm).
 *
 * Depends on: model/svm, math/smo, math/rff, math/platt.  Threads: one caller; work is
 * spread over the pool of the data, and the outcome is the same for any number.
 */
#ifndef LLMR_MODEL_SVMFIT_H
#define LLMR_MODEL_SVMFIT_H

#include "model/svm.h"

#define SVMFIT_PAD 32		/* slots of a problem come in multiples of this (math/gather) */

/* A fit under way: what its parts share. */
struct svmfit {
	struct svm *svm;
	const struct scorer_data *data;
	struct kernel k;
	uint64_t cache;			/* bytes of kernel values */
	float *half;			/* [n] half squared lengths of the rows */
	struct err *e;
};

/* NULL and err on failure; release with svm_free. */
struct svm *svmfit_run(const struct svm_params *, const struct scorer_data *, struct err *e);
/* Bytes that it holds at its peak. */
uint64_t svmfit_memory(const struct svm_params *, size_t n, size_t d, size_t m);

/* n rounded up to SVMFIT_PAD; the weight of a row, 1 when there are none. */
size_t svmfit_slots(size_t n);
float svmfit_weight(const struct scorer_data *, size_t row);
/*
 * The model's rows and coef from dense weights coef [lines x total], whose column
 * i belongs to training row order[i] (NULL: i): rows without any weight go.
 * keep [total]: the columns that stayed, model->n of them.
 */
int svmfit_pack(struct svmfit *, const float *coef, size_t lines, size_t total, const size_t *order,
	uint32_t *keep);

#endif
