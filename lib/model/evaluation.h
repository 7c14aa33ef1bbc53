/*
 * evaluation - everything eval finds out about a router on labelled data.
 *
 * Depends on: model/eval, model/frontier, model/routellm, model/calibration.
 * Threads: one caller; work is spread over the pool and does not depend on it.
 */
#ifndef LLMR_MODEL_EVALUATION_H
#define LLMR_MODEL_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/pool.h"
#include "math/bootstrap.h"
#include "model/calibration.h"
#include "model/eval.h"
#include "model/frontier.h"
#include "model/routellm.h"

struct evaluation_input {
	struct eval_input in;
	const float *predicted, *expected;	/* [n x m] the router's scores and costs */
	const float *prior;			/* [m] mean scores in training */
	const uint32_t *task;			/* [n] index into tasks */
	const struct map *tasks;		/* "" means no task */
	size_t weak, strong;			/* POLICY_NONE: no pair */
	const float *time_us;			/* [n] of each decision; may be NULL */
	/* Another router's outcome, NaN where unknown; NULL when there is none. */
	const float *other_score, *other_cost;	/* [n] */
};

struct evaluation_task {
	const char *name;			/* borrowed from the input's tasks */
	struct eval_group group;
};

/* This router (a) against another (b) on the rows that both can be judged on. */
struct evaluation_against {
	size_t n, wins, losses, ties;
	double score, cost;			/* of the other; cost NaN unless all are known */
	struct bootstrap_ci delta, cost_delta;	/* a - b */
	double p, sign_p;			/* two-sided: paired bootstrap; exact sign test, ties left out */
};

struct evaluation {
	struct eval_result result;
	/* The rest is set only when result.compared. */
	struct eval_table table;
	struct eval_group all;
	struct frontier frontier;
	struct calibration calibration;
	struct routellm pair;
	bool has_pair, has_against;
	struct evaluation_task *task;		/* [n_tasks] by name; none when no row has a task */
	size_t n_tasks;
	struct evaluation_against against;
	double p50_us, p90_us, p99_us;		/* of a decision; NaN when not timed */
};

/* Fill a zeroed evaluation; release it with evaluation_finish, on failure too. */
int evaluation_run(const struct evaluation_input *, struct pool *, struct evaluation *,
	struct err *e);
void evaluation_finish(struct evaluation *);

/* Exact two-sided sign test: the chance of a split at least as uneven as a : b. */
double evaluation_sign_test(size_t a, size_t b);

#endif
