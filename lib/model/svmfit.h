/*
 * svmfit - training of support vector machines (model/svm).
 *
 * Depends on: model/svm, math/smo, math/rff, math/platt.  Threads: one caller; work is
 * spread over the pool of the data, and the outcome is the same for any number.
 */
#ifndef LLMR_MODEL_SVMFIT_H
#define LLMR_MODEL_SVMFIT_H

#include "model/svm.h"

/* NULL and err on failure; release with svm_free. */
struct svm *svmfit_run(const struct svm_params *, const struct scorer_data *, struct err *e);
/* Bytes that it holds at its peak. */
uint64_t svmfit_memory(const struct svm_params *, size_t n, size_t d, size_t m);

#endif
