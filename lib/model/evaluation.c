#include "model/evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/baseline.h"
#include "model/policy.h"

static int
calibrate(const struct evaluation_input *x, struct pool *pool, struct evaluation *v, struct err *e)
{
	const struct eval_table *t = &v->table;
	double *predicted = mem_calloc(t->n, 2 * sizeof *predicted, e), *actual;
	int r;

	if (predicted == NULL)
		return -1;
	actual = predicted + t->n;
	for (size_t i = 0; i < t->n; i++) {
		predicted[i] = (double)t->predicted[i * t->m + t->choice[i]];
		actual[i] = (double)t->score[i * t->m + t->choice[i]];
	}
	r = calibration_run(predicted, actual, t->n, x->in.draws, x->in.seed, pool,
	    &v->calibration, e);
	free(predicted);
	return r;
}

static int
split_pair(const struct evaluation_input *x, struct pool *pool, struct evaluation *v, struct err *e)
{
	const struct eval_table *t = &v->table;
	double *lead, *weak, *strong;
	int r;

	if (x->weak == POLICY_NONE || x->strong == POLICY_NONE)
		return 0;
	lead = mem_calloc(t->n, 3 * sizeof *lead, e);
	if (lead == NULL)
		return -1;
	weak = lead + t->n;
	strong = weak + t->n;
	for (size_t i = 0; i < t->n; i++) {
		const float *p = t->predicted + i * t->m, *s = t->score + i * t->m;

		lead[i] = (double)p[x->strong] - (double)p[x->weak];
		weak[i] = (double)s[x->weak];
		strong[i] = (double)s[x->strong];
	}
	r = routellm_run(lead, weak, strong, t->n, x->in.draws, x->in.seed, pool, &v->pair, e);
	v->has_pair = true;
	free(lead);
	return r;
}

static int
by_task(const struct evaluation_input *x, struct pool *pool, struct evaluation *v, struct err *e)
{
	const struct eval_table *t = &v->table;
	size_t *rows = mem_calloc(t->n, sizeof *rows, e), n_named = 0;
	int r = -1;

	if (rows == NULL)
		return -1;
	v->task = mem_calloc(x->tasks->len, sizeof *v->task, e);
	if (v->task == NULL)
		goto out;
	for (size_t k = 0; k < x->tasks->len; k++) {
		struct evaluation_task *task = &v->task[v->n_tasks];
		size_t n = 0;

		for (size_t i = 0; i < t->n; i++)
			if (x->task[t->row[i]] == k)
				rows[n++] = i;
		if (n == 0)
			continue;
		v->n_tasks++;
		task->name = x->tasks->keys[k];
		n_named += task->name[0] != '\0';
		if (eval_group_make(t, rows, n, x->in.draws, x->in.seed, pool, &task->group, e) < 0)
			goto out;
	}
	while (n_named == 0 && v->n_tasks > 0)
		eval_group_finish(&v->task[--v->n_tasks].group);
	r = 0;
out:
	free(rows);
	return r;
}

double
evaluation_sign_test(size_t a, size_t b)
{
	size_t n = a + b, few = a < b ? a : b;
	double p = 0;

	for (size_t k = 0; k <= few; k++)
		p += exp(lgamma((double)n + 1) - lgamma((double)k + 1) -
		    lgamma((double)(n - k) + 1) - (double)n * log(2));
	p *= 2;
	return p > 1 ? 1 : p;
}

struct pairs {
	const double *score, *cost;	/* [n] a - b */
	size_t n;
};

static void
pair_means(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	const struct pairs *p = arg;

	(void)worker;
	out[0] = out[1] = 0;
	for (size_t i = 0; i < p->n; i++) {
		out[0] += count[i] * p->score[i];
		out[1] += count[i] * p->cost[i];
	}
	out[0] /= (double)p->n;
	out[1] /= (double)p->n;
}

static int
compare(const struct evaluation_input *x, struct pool *pool, struct evaluation *v, struct err *e)
{
	const struct eval_table *t = &v->table;
	struct evaluation_against *a = &v->against;
	double *block, p[2];
	struct bootstrap_ci ci[2];
	struct pairs pairs;
	int r;

	if (x->other_score == NULL)
		return 0;
	block = mem_calloc(t->n, 2 * sizeof *block, e);
	if (block == NULL)
		return -1;
	v->has_against = true;
	for (size_t i = 0; i < t->n; i++) {
		size_t own = i * t->m + t->choice[i];
		double other = (double)x->other_score[t->row[i]], d = (double)t->score[own] - other;

		if (isnan(other))
			continue;
		a->score += other;
		a->cost += (double)x->other_cost[t->row[i]];
		a->wins += d > BASELINE_TIE;
		a->losses += d < -BASELINE_TIE;
		block[t->n + a->n] = (double)t->cost[own] - (double)x->other_cost[t->row[i]];
		block[a->n++] = d;
	}
	a->ties = a->n - a->wins - a->losses;
	a->score /= (double)a->n;
	a->cost /= (double)a->n;
	a->sign_p = evaluation_sign_test(a->wins, a->losses);
	pairs = (struct pairs){ block, block + t->n, a->n };
	p[0] = NAN;
	r = bootstrap_stats(pair_means, &pairs, a->n, 2, x->in.draws, x->in.seed, pool, ci, p, e);
	a->delta = ci[0];
	a->cost_delta = ci[1];
	a->p = p[0];
	free(block);
	return r;
}

static int
by_value(const void *x, const void *y)
{
	float a = *(const float *)x, b = *(const float *)y;

	return (a > b) - (a < b);
}

static int
time_decisions(const struct evaluation_input *x, struct evaluation *v, struct err *e)
{
	size_t n = x->in.n;
	float *t;

	v->p50_us = v->p90_us = v->p99_us = NAN;
	if (x->time_us == NULL || n == 0)
		return 0;
	t = mem_calloc(n, sizeof *t, e);
	if (t == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		t[i] = x->time_us[i];
	qsort(t, n, sizeof *t, by_value);
	v->p50_us = (double)t[(n - 1) / 2];
	v->p90_us = (double)t[(n - 1) * 9 / 10];
	v->p99_us = (double)t[(n - 1) * 99 / 100];
	free(t);
	return 0;
}

int
evaluation_run(const struct evaluation_input *x, struct pool *pool, struct evaluation *v,
	struct err *e)
{
	if (eval_run(&x->in, pool, &v->result, e) < 0)
		return -1;
	if (!v->result.compared)
		return 0;
	if (eval_table_make(&x->in, x->predicted, x->expected, &v->table, e) < 0 ||
	    eval_group_make(&v->table, NULL, v->table.n, x->in.draws, x->in.seed, pool, &v->all,
	    e) < 0 ||
	    frontier_run(&v->table, &v->all, x->prior, x->in.draws, x->in.seed, pool,
	    &v->frontier, e) < 0)
		return -1;
	if (calibrate(x, pool, v, e) < 0 || split_pair(x, pool, v, e) < 0 ||
	    by_task(x, pool, v, e) < 0 || compare(x, pool, v, e) < 0)
		return -1;
	return time_decisions(x, v, e);
}

void
evaluation_finish(struct evaluation *v)
{
	for (size_t k = 0; k < v->n_tasks; k++)
		eval_group_finish(&v->task[k].group);
	free(v->task);
	eval_group_finish(&v->all);
	eval_table_finish(&v->table);
	*v = (struct evaluation){ 0 };
}
