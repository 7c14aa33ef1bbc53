/*
 * offpolicy - what a router would have scored, from calls that another policy chose.
 *
 * A log holds, for each query, the outcome of the one model that was called and
 * the probability with which it was (its propensity). A call counts for the
 * router where both agree, weighted by w = 1 / propensity:
 *   ips    mean of w * score, unbiased
 *   snips  sum of w * score / sum of w: a little bias, less variance
 *   dr     doubly robust: the router's own prediction for its choice, corrected
 *          by w * (score - prediction) on the calls that agree; right when either
 *          the propensities or the predictions are
 * Intervals resample queries. The effective sample size (sum w)^2 / sum w^2
 * says how many calls the estimate really rests on.
 * Source: Dudik, Langford & Li 2011, arXiv:1103.4601; Swaminathan & Joachims
 * 2015, NIPS (snips); Kong 1992 (effective sample size).
 * Depends on: data/record, fmt/stream, math/bootstrap.  Threads: safe.
 */
#ifndef LLMR_MODEL_OFFPOLICY_H
#define LLMR_MODEL_OFFPOLICY_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/str.h"
#include "math/bootstrap.h"

#define OFFPOLICY_MIN_ESS 30

/* Logged calls with a score, in the order of the files. */
struct offpolicy_log {
	size_t n;
	struct slice *query;		/* [n] text, owned by the arena */
	size_t *id;			/* [n] index of the distinct query, in ids */
	size_t *model;			/* [n] index of the model called, in models */
	double *score, *propensity;	/* [n] 0..1; (0, 1] */
	double *cost;			/* [n] USD, NaN = unknown */
	struct map ids, models;		/* query_id (16 hex digits) and name, by first appearance */
	uint64_t null_records;		/* without a score, left out */
	uint8_t digest[32];		/* SHA-256 of all that is kept */
	size_t cap[6];
	struct arena arena;
};

/*
 * Read routing records (JSON Lines, .gz/.zst, "-"). ERR_INPUT names file and
 * line of a bad record and of the first one without a propensity. Fills a
 * zeroed log; offpolicy_log_finish releases it, on failure too.
 */
int offpolicy_read(const char *const *paths, size_t n_paths, struct cancel *,
	struct offpolicy_log *, struct err *e);
void offpolicy_log_finish(struct offpolicy_log *);

#define OFFPOLICY_NONE ((size_t)-1)
/*
 * Leave out the calls of some queries: renumber [ids.len] gives each query's
 * new index or OFFPOLICY_NONE.
 */
void offpolicy_keep(struct offpolicy_log *, const size_t *renumber);

struct offpolicy_input {
	size_t n, n_ids, m;
	const size_t *id;		/* [n] < n_ids */
	/* [n] models of the router; called is OFFPOLICY_NONE when it does not know that model */
	const size_t *called, *choice;
	const double *score, *cost, *propensity;	/* [n] */
	const float *predicted;		/* [n x m] */
	double min_ess;
	size_t draws;
	uint64_t seed;
};

struct offpolicy {
	size_t matched;			/* calls that agree with the router */
	double ess, mean_weight, max_weight;
	double weight_error;		/* standard error of the mean weight, which should be 1 */
	struct bootstrap_ci logged;	/* mean score of the log itself */
	struct bootstrap_ci ips, snips, dr;
	struct bootstrap_ci delta;	/* dr - logged */
	double p;			/* two-sided, that delta is 0 */
	struct bootstrap_ci cost, logged_cost;	/* snips and mean, USD; NaN unless all are known */
};

/* ERR_INPUT when the effective sample size is below min_ess; the sizes are in *out then. */
int offpolicy_run(const struct offpolicy_input *, struct pool *, struct offpolicy *out,
	struct err *e);

#endif
