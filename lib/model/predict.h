/*
 * predict - what a router says about many texts: choices, predictions, timings.
 *
 * Depends on: model/router, model/policy, base/pool.  Threads: one caller; work
 * is spread over the pool and the outcome, timings apart, does not depend on it.
 */
#ifndef LLMR_MODEL_PREDICT_H
#define LLMR_MODEL_PREDICT_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "model/policy.h"
#include "model/router.h"

struct predict {
	size_t n, m;
	size_t *choice;		/* [n] POLICY_NONE when no model may be chosen */
	float *score, *cost;	/* [n x m] predicted; cost USD, NaN = unknown */
	float *time_us;		/* [n] of the whole decision */
};

/* Fill a zeroed predict; release it with predict_finish, on failure too. */
int predict_run(const struct router *, const struct policy *, const struct slice *text, size_t n,
	struct pool *, struct predict *out, struct err *e);
void predict_finish(struct predict *);

#endif
