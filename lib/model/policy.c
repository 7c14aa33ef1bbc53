#include "model/policy.h"

#include <math.h>

struct ranked {
	double value, prior;
	size_t model;
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
dearest(size_t m, const float *cost)
{
	double max = 0;

	for (size_t j = 0; j < m; j++)
		if (!isnan(cost[j]) && (double)cost[j] > max)
			max = (double)cost[j];
	return max;
}

void
policy_choose(const struct policy *p, size_t m, const float *score, const float *cost,
	const float *prior, struct policy_choice *out)
{
	struct ranked first = { 0, 0, POLICY_NONE }, second = first;
	double max = p->cost_weight > 0 ? dearest(m, cost) : 0;

	for (size_t j = 0; j < m; j++) {
		struct ranked r = { (double)score[j], (double)prior[j], j };

		if (p->allowed != NULL && !p->allowed[j])
			continue;
		if (!isinf(p->max_cost) && !((double)cost[j] <= p->max_cost))
			continue;
		if (p->cost_weight > 0)
			r.value -= p->cost_weight * (isnan(cost[j]) ? max : (double)cost[j]);
		if (better(r, first)) {
			second = first;
			first = r;
		} else if (better(r, second))
			second = r;
	}
	*out = (struct policy_choice){ first.model, second.model, 1 };
}
