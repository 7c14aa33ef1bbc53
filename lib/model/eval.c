#include "model/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static int
table_allocate(struct eval_table *t, size_t n, size_t m, struct err *e)
{
	size_t cells, all;

	if (!mem_mul(n, m, &cells) || !mem_mul(cells, 4, &all))
		return err_nomem(e);
	t->m = m;
	t->score = mem_calloc(all, sizeof *t->score, e);
	t->row = mem_calloc(n, 4 * sizeof *t->row, e);
	t->candidate = mem_calloc(m, sizeof *t->candidate, e);
	if (t->score == NULL || t->row == NULL || t->candidate == NULL)
		return -1;
	t->cost = t->score + cells;
	t->predicted = t->cost + cells;
	t->expected = t->predicted + cells;
	t->choice = t->row + n;
	t->best = t->choice + n;
	t->oracle = t->best + n;
	return 0;
}

int
eval_table_make(const struct eval_input *in, const float *predicted, const float *expected,
	struct eval_table *t, struct err *e)
{
	size_t m = in->m, bytes = m * sizeof *t->score, oracle;
	double mean;
	bool tie;

	if (table_allocate(t, in->n, m, e) < 0)
		return -1;
	t->costs = true;
	for (size_t j = 0; j < m; j++)
		t->candidate[j] = is_candidate(in, j);
	for (size_t i = 0; i < in->n; i++) {
		if ((oracle = oracle_of(in, i, &mean, &tie)) == POLICY_NONE ||
		    in->choice[i] == POLICY_NONE)
			continue;
		memcpy(t->score + t->n * m, in->score + i * m, bytes);
		memcpy(t->cost + t->n * m, in->cost + i * m, bytes);
		memcpy(t->predicted + t->n * m, predicted + i * m, bytes);
		memcpy(t->expected + t->n * m, expected + i * m, bytes);
		for (size_t j = 0; j < m; j++)
			t->costs = t->costs && !(t->candidate[j] && isnan(in->cost[i * m + j]));
		t->row[t->n] = i;
		t->choice[t->n] = in->choice[i];
		t->best[t->n] = in->best[i];
		t->oracle[t->n++] = oracle;
	}
	return 0;
}

void
eval_table_finish(struct eval_table *t)
{
	free(t->score);
	free(t->row);
	free(t->candidate);
	*t = (struct eval_table){ 0 };
}

enum { R_ROUTER, R_BEST, R_ORACLE, R_AGREE, R_COST, R_BEST_COST, R_ORACLE_COST, R_RANDOM, R_N };
enum { S_SCORE, S_COST, S_DELTA, S_GAP, S_REGRET, S_AGREE, S_PERF, S_SAVE, S_N };

struct group_rows {
	size_t n;
	double (*row)[R_N];
};

static void
group_row(const struct eval_table *t, size_t i, double out[R_N])
{
	const float *s = t->score + i * t->m, *c = t->cost + i * t->m;
	size_t candidates = 0;

	out[R_ROUTER] = (double)s[t->choice[i]];
	out[R_BEST] = (double)s[t->best[i]];
	out[R_ORACLE] = (double)s[t->oracle[i]];
	out[R_AGREE] = out[R_ORACLE] - out[R_ROUTER] <= BASELINE_TIE;
	out[R_COST] = (double)c[t->choice[i]];
	out[R_BEST_COST] = (double)c[t->best[i]];
	out[R_ORACLE_COST] = (double)c[t->oracle[i]];
	out[R_RANDOM] = 0;
	for (size_t j = 0; j < t->m; j++)
		if (t->candidate[j]) {
			out[R_RANDOM] += (double)s[j];
			candidates++;
		}
	out[R_RANDOM] /= (double)candidates;
}

static void
group_sums(const struct group_rows *g, const uint32_t *count, double sum[R_N])
{
	memset(sum, 0, R_N * sizeof *sum);
	for (size_t i = 0; i < g->n; i++)
		if (count == NULL || count[i] > 0)
			for (size_t k = 0; k < R_N; k++)
				sum[k] += (count == NULL ? 1 : count[i]) * g->row[i][k];
	for (size_t k = 0; k < R_N; k++)
		sum[k] /= (double)g->n;
}

static void
group_stats(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	double sum[R_N], room;

	(void)worker;
	group_sums(arg, count, sum);
	room = sum[R_ORACLE] - sum[R_BEST];
	out[S_SCORE] = sum[R_ROUTER];
	out[S_COST] = sum[R_COST];
	out[S_DELTA] = sum[R_ROUTER] - sum[R_BEST];
	out[S_GAP] = fabs(room) < 1e-9 ? NAN : out[S_DELTA] / room;
	out[S_REGRET] = sum[R_ORACLE] - sum[R_ROUTER];
	out[S_AGREE] = sum[R_AGREE];
	out[S_PERF] = sum[R_BEST] > 0 ? out[S_DELTA] / sum[R_BEST] : NAN;
	out[S_SAVE] = sum[R_BEST_COST] > 0 ? 1 - sum[R_COST] / sum[R_BEST_COST] : NAN;
}

/* Means of each model alone. */
static int
group_models(const struct eval_table *t, const size_t *rows, struct eval_group *g, struct err *e)
{
	g->model_score = mem_calloc(t->m, sizeof *g->model_score, e);
	g->model_cost = mem_calloc(t->m, sizeof *g->model_cost, e);
	g->chosen = mem_calloc(t->m, sizeof *g->chosen, e);
	if (g->model_score == NULL || g->model_cost == NULL || g->chosen == NULL)
		return -1;
	for (size_t k = 0; k < g->n; k++) {
		size_t i = rows == NULL ? k : rows[k];

		g->chosen[t->choice[i]]++;
		for (size_t j = 0; j < t->m; j++) {
			g->model_score[j] += (double)t->score[i * t->m + j];
			g->model_cost[j] += (double)t->cost[i * t->m + j];
		}
	}
	for (size_t j = 0; j < t->m; j++) {
		g->model_score[j] = t->candidate[j] ? g->model_score[j] / (double)g->n : NAN;
		g->model_cost[j] = t->candidate[j] ? g->model_cost[j] / (double)g->n : NAN;
	}
	return 0;
}

int
eval_group_make(const struct eval_table *t, const size_t *rows, size_t n, size_t draws,
	uint64_t seed, struct pool *pool, struct eval_group *g, struct err *e)
{
	struct group_rows r = { n, NULL };
	struct bootstrap_ci ci[S_N];
	double mean[R_N];
	int status = -1;

	g->n = n;
	if (group_models(t, rows, g, e) < 0)
		return -1;
	r.row = mem_calloc(n, sizeof *r.row, e);
	if (r.row == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		group_row(t, rows == NULL ? i : rows[i], r.row[i]);
	if (bootstrap_stats(group_stats, &r, n, S_N, draws, seed, pool, ci, NULL, e) < 0)
		goto out;
	group_sums(&r, NULL, mean);
	g->router = mean[R_ROUTER];
	g->best = mean[R_BEST];
	g->random = mean[R_RANDOM];
	g->oracle = mean[R_ORACLE];
	g->router_cost = mean[R_COST];
	g->best_cost = mean[R_BEST_COST];
	g->oracle_cost = mean[R_ORACLE_COST];
	g->score = ci[S_SCORE];
	g->cost = ci[S_COST];
	g->delta = ci[S_DELTA];
	g->gap = ci[S_GAP];
	g->regret = ci[S_REGRET];
	g->agreement = ci[S_AGREE];
	g->perf_gain = ci[S_PERF];
	g->cost_save = ci[S_SAVE];
	status = 0;
out:
	free(r.row);
	return status;
}

void
eval_group_finish(struct eval_group *g)
{
	free(g->model_score);
	free(g->model_cost);
	free(g->chosen);
	*g = (struct eval_group){ 0 };
}
