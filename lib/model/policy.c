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

void
policy_choose(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior, struct policy_choice *out)
{
	const struct inputs in = inputs_of(p, m, score, cost, prior);

	*out = (struct policy_choice){ .propensity = 1 };
	best_two(&in, POLICY_NONE, &out->model, &out->runner_up);
}

bool
policy_explores(const struct policy *p)
{
	return p->epsilon > 0 || p->temperature > 0;
}

static bool
explorable(const struct inputs *in, size_t best, size_t j)
{
	if (j == best)
		return true;
	return eligible(in, j) &&
	    (isinf(in->p->explore_cost) || (double)in->cost[j] <= in->p->explore_cost);
}

/* Share of model j before it is divided by the sum over all: 1 at the best. */
static double
softmax_share(const struct inputs *in, size_t best, size_t j)
{
	if (in->p->temperature > 0)
		return exp((value(in, j) - value(in, best)) / in->p->temperature);
	return j == best;
}

void
policy_draw(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior, double u, struct policy_choice *out)
{
	const struct inputs in = inputs_of(p, m, score, cost, prior);
	double total = 0, count = 0, below = 0;
	size_t best, unused;

	policy_choose(p, m, score, cost, prior, out);
	best = out->model;
	if (best == POLICY_NONE || !policy_explores(p))
		return;
	for (size_t j = 0; j < m; j++)
		if (explorable(&in, best, j)) {
			total += softmax_share(&in, best, j);
			count++;
		}
	/* The first whose part of the unit interval holds u; the last one when rounding leaves a gap. */
	for (size_t j = 0; j < m; j++) {
		double share;

		if (!explorable(&in, best, j))
			continue;
		share = (1 - p->epsilon) * softmax_share(&in, best, j) / total + p->epsilon / count;
		if (share <= 0)
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
