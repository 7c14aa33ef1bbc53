/*
 * svmpair - classification by a support vector machine per pair of models.
 *
 * Rows are sorted by class. Kernel blocks are per pair of classes; those within
 * a class are shared by its pairs where memory allows. The rows held out for
 * calibration cost one warm start: the machine without them is the start of
 * the machine with them.
 * Depends on: model/svmfit, math/smo, math/platt.  Threads: as svmfit_run.
 */
#ifndef LLMR_MODEL_SVMPAIR_H
#define LLMR_MODEL_SVMPAIR_H

#include "model/svmfit.h"

/* Fill the model's classes, rows, coef, bias and sigmoid. 0 / -1 and the err of f. */
int svmpair_fit(struct svmfit *f);

#endif
