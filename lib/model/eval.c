#include "model/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/baseline.h"
#include "model/policy.h"

/* Per-query outcomes of the full rows. */
struct outcome {
	double *router, *best, *oracle;		/* [full] */
	size_t n;
};

static bool
is_candidate(const struct eval_input *in, size_t j)
{
	return in->candidate == NULL || in->candidate[j];
}

/* The best model of a row (cheapest of equals); POLICY_NONE when a candidate's cell is missing. */
static size_t
oracle_of(const struct eval_input *in, size_t i, double *mean, bool *tie)
{
	const float *s = in->score + i * in->m, *c = in->cost + i * in->m;
	size_t best = POLICY_NONE, n = 0;
	double sum = 0;

	*tie = false;
	for (size_t j = 0; j < in->m; j++) {
		if (!is_candidate(in, j))
			continue;
		if (isnan(s[j]))
			return POLICY_NONE;
		sum += (double)s[j];
		n++;
		if (best == POLICY_NONE || (double)s[j] > (double)s[best] + BASELINE_TIE) {
			best = j;
			*tie = false;
		} else if (fabs((double)s[j] - (double)s[best]) <= BASELINE_TIE) {
			*tie = true;
			if (c[j] < c[best])
				best = j;
		}
	}
	*mean = n == 0 ? NAN : sum / (double)n;
	return best;
}

static void
add_row(const struct eval_input *in, size_t i, size_t oracle, struct outcome *o,
	struct eval_result *r)
{
	const float *s = in->score + i * in->m, *c = in->cost + i * in->m;

	o->router[o->n] = (double)s[in->choice[i]];
	o->best[o->n] = (double)s[in->best[i]];
	o->oracle[o->n] = (double)s[oracle];
	r->router += o->router[o->n];
	r->best += o->best[o->n];
	r->oracle += o->oracle[o->n];
	r->router_cost += (double)c[in->choice[i]];
	r->best_cost += (double)c[in->best[i]];
	r->oracle_cost += (double)c[oracle];
	if (in->cheapest != POLICY_NONE) {
		r->cheapest += (double)s[in->cheapest];
		r->cheapest_cost += (double)c[in->cheapest];
	}
	o->n++;
}

static void
undefined(struct eval_result *r)
{
	const struct bootstrap_ci none = { NAN, NAN, NAN };

	r->router = r->best = r->random = r->cheapest = r->oracle = NAN;
	r->router_cost = r->best_cost = r->cheapest_cost = r->oracle_cost = r->tie_rate = NAN;
	r->delta = r->gap = none;
}

static void
make_means(struct eval_result *r, bool cheapest)
{
	double n = (double)r->full;

	r->router /= n;
	r->best /= n;
	r->random /= n;
	r->oracle /= n;
	r->tie_rate /= n;
	r->router_cost /= n;
	r->best_cost /= n;
	r->oracle_cost /= n;
	r->cheapest = cheapest ? r->cheapest / n : NAN;
	r->cheapest_cost = cheapest ? r->cheapest_cost / n : NAN;
}

int
eval_run(const struct eval_input *in, struct pool *pool, struct eval_result *r, struct err *e)
{
	double *block = mem_calloc(in->n, 3 * sizeof *block, e), mean;
	struct outcome o = { block, block + in->n, block + 2 * in->n, 0 };
	bool tie;
	int status = 0;

	*r = (struct eval_result){ 0 };
	if (block == NULL)
		return -1;
	for (size_t i = 0; i < in->n; i++) {
		size_t oracle = oracle_of(in, i, &mean, &tie);

		if (oracle == POLICY_NONE || in->choice[i] == POLICY_NONE)
			continue;
		add_row(in, i, oracle, &o, r);
		r->random += mean;
		r->tie_rate += tie;
	}
	r->full = o.n;
	r->compared = o.n > 0 && o.n >= in->min_full;
	if (!r->compared)
		undefined(r);
	else {
		make_means(r, in->cheapest != POLICY_NONE);
		status = bootstrap_paired(o.router, o.best, o.oracle, o.n, in->draws, in->seed,
		    pool, &r->delta, &r->gap, e);
	}
	free(block);
	return status;
}
