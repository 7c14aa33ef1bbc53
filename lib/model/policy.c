#include "model/policy.h"

#include <math.h>

struct ranked {
	double value, prior;
	size_t model;
};

/* What is asked about one model. */
struct inputs {
	const struct policy *p;
	const float *score, *cost, *prior;
	size_t m;
	double dearest, slowest;	/* known; 0 none */
};

/* Models come in ascending order of name, so equal in all else means the earlier stays. */
static bool
better(struct ranked a, struct ranked b)
{
	if (b.model == POLICY_NONE)
		return true;
	if (a.value != b.value)
		return a.value > b.value;
	return a.prior > b.prior;
}

static double
largest(size_t m, const float *v)
{
	double max = 0;

	for (size_t j = 0; v != NULL && j < m; j++)
		if (!isnan(v[j]) && (double)v[j] > max)
			max = (double)v[j];
	return max;
}

static struct inputs
inputs_of(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior)
{
	return (struct inputs){ p, score, cost, prior, m, p->cost_weight > 0 ? largest(m, cost) : 0,
		p->latency_weight > 0 ? largest(m, p->latency) : 0 };
}

static bool
eligible(const struct inputs *in, size_t j)
{
	const struct policy *p = in->p;

	if (p->allowed != NULL && !p->allowed[j])
		return false;
	if (p->mode.pair && j != p->mode.weak && j != p->mode.strong)
		return false;
	if (!isinf(p->max_cost) && !((double)in->cost[j] <= p->max_cost))
		return false;
	return isinf(p->max_latency) ||
	    (p->latency != NULL && p->latency[j] >= 0 && (double)p->latency[j] <= p->max_latency);
}

static double
value(const struct inputs *in, size_t j)
{
	const struct policy *p = in->p;
	double v = (double)in->score[j];

	if (p->cost_weight > 0)
		v -= p->cost_weight * (isnan(in->cost[j]) ? in->dearest : (double)in->cost[j]);
	if (p->latency_weight > 0)
		v -= p->latency_weight * (p->latency == NULL || !(p->latency[j] >= 0) ? in->slowest :
		    (double)p->latency[j]);
	return v;
}

static double
prior_of(const struct inputs *in, size_t j)
{
	const float *own = in->p->prior;

	return (double)(own != NULL && !isnan(own[j]) ? own[j] : in->prior[j]);
}

/* The best two of the eligible, one of them left out or POLICY_NONE. */
static void
best_two(const struct inputs *in, size_t without, size_t *first_out, size_t *second_out)
{
	struct ranked first = { 0, 0, POLICY_NONE }, second = first;

	for (size_t j = 0; j < in->m; j++) {
		struct ranked r;

		if (j == without || !eligible(in, j))
			continue;
		r = (struct ranked){ value(in, j), prior_of(in, j), j };
		if (better(r, first)) {
			second = first;
			first = r;
		} else if (better(r, second))
			second = r;
	}
	*first_out = first.model;
	*second_out = second.model;
}

/* Chance of the weak model of a pair of which both may be chosen. */
static double
weak_share(const struct inputs *in)
{
	const struct policy_mode *m = &in->p->mode;

	return 1 / (1 + exp(-(m->slope * (value(in, m->weak) - value(in, m->strong)) + m->offset)));
}

static bool
both(const struct inputs *in)
{
	const struct policy_mode *m = &in->p->mode;

	return m->pair && eligible(in, m->weak) && eligible(in, m->strong);
}

void
policy_choose(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior, struct policy_choice *out)
{
	const struct inputs in = inputs_of(p, m, score, cost, prior);

	*out = (struct policy_choice){ .propensity = 1 };
	if (!both(&in)) {
		best_two(&in, POLICY_NONE, &out->model, &out->runner_up);
		return;
	}
	out->model = weak_share(&in) >= 0.5 ? p->mode.weak : p->mode.strong;
	out->runner_up = out->model == p->mode.weak ? p->mode.strong : p->mode.weak;
}

bool
policy_explores(const struct policy *p)
{
	return p->epsilon > 0 || p->temperature > 0 || p->mode.draw;
}

static bool
explorable(const struct inputs *in, size_t best, size_t j)
{
	if (j == best)
		return true;
	return eligible(in, j) &&
	    (isinf(in->p->explore_cost) || (double)in->cost[j] <= in->p->explore_cost);
}

/* Who is drawn when nothing is explored uniformly. */
struct base {
	size_t best;
	double temperature;		/* 0: the best */
	double total;			/* of the softmax */
	double weak;			/* share of a pair's weak model; NaN no such pair */
	double count;			/* models that may be explored */
};

/* May a draw by the mode or by temperature come to model j? A mode draws from all that are eligible. */
static bool
drawable(const struct inputs *in, const struct base *b, size_t j)
{
	return in->p->temperature > 0 ? explorable(in, b->best, j) : eligible(in, j);
}

static double
softmax_term(const struct inputs *in, const struct base *b, size_t j)
{
	if (b->temperature > 0)
		return exp((value(in, j) - value(in, b->best)) / b->temperature);
	return j == b->best;
}

static struct base
base_of(const struct inputs *in, size_t best)
{
	const struct policy *p = in->p;
	struct base b = { best, 0, 0, NAN, 0 };

	if (p->mode.pair)
		b.weak = p->mode.draw && both(in) ? weak_share(in) : NAN;
	else
		b.temperature = p->temperature > 0 ? p->temperature :
		    p->mode.draw ? p->mode.temperature : 0;
	for (size_t j = 0; j < in->m; j++) {
		if (drawable(in, &b, j))
			b.total += softmax_term(in, &b, j);
		b.count += explorable(in, best, j);
	}
	return b;
}

/* The exact chance of model j. */
static double
chance(const struct inputs *in, const struct base *b, size_t j)
{
	const struct policy *p = in->p;
	double share = 0;

	if (!isnan(b->weak))
		share = j == p->mode.weak ? b->weak : j == p->mode.strong ? 1 - b->weak : 0;
	else if (drawable(in, b, j))
		share = softmax_term(in, b, j) / b->total;
	return (1 - p->epsilon) * share +
	    (explorable(in, b->best, j) ? p->epsilon / b->count : 0);
}

void
policy_draw(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior, double u, struct policy_choice *out)
{
	const struct inputs in = inputs_of(p, m, score, cost, prior);
	double below = 0;
	struct base b;
	size_t best, unused;

	policy_choose(p, m, score, cost, prior, out);
	best = out->model;
	if (best == POLICY_NONE || !policy_explores(p))
		return;
	b = base_of(&in, best);
	/* The first whose part of the unit interval holds u; the last one when rounding leaves a gap. */
	for (size_t j = 0; j < m; j++) {
		double share = chance(&in, &b, j);

		if (!(share > 0))
			continue;
		out->model = j;
		out->propensity = share;
		below += share;
		if (u < below)
			break;
	}
	out->explored = out->model != best;
	best_two(&in, out->model, &out->runner_up, &unused);
}
