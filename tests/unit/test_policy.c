#include <criterion/criterion.h>

#include <math.h>

#include "model/policy.h"

#define M 4

static const float score[M] = { 0.7f, 0.9f, 0.5f, 0.9f };
static const float cost[M] = { 0.01f, 0.04f, 0.001f, NAN };
static const float prior[M] = { 0.5f, 0.6f, 0.5f, 0.4f };

struct wanted {
	const char *name;
	struct policy p;
	double share[M];		/* by hand; epsilon 0.2 gives each of n its 0.2 / n */
};

Test(policy, propensity_is_the_frequency)
{
	/* Leads are differences of floats: -0.2f. */
	const double weak = 1 / (1 + exp(-(3 * ((double)score[0] - (double)score[1]) + 0.2)));
	const double e1 = exp(-0.2 / 0.5), e2 = exp(-0.4 / 0.5), sum = 2 + e1 + e2;
	struct wanted cases[] = {
		{ "nothing random", POLICY_INIT, { 0, 1, 0, 0 } },
		{ "epsilon", POLICY_INIT, { 0.05, 0.85, 0.05, 0.05 } },
		{ "temperature", POLICY_INIT, { e1 / sum, 1 / sum, e2 / sum, 1 / sum } },
		{ "epsilon within a cost", POLICY_INIT, { 0.2 / 3, 0.8 + 0.2 / 3, 0.2 / 3, 0 } },
		{ "always explore", POLICY_INIT, { 0.25, 0.25, 0.25, 0.25 } },
		{ "under a limit", POLICY_INIT, { 0.9, 0, 0.1, 0 } },
		{ "a pair, drawn", POLICY_INIT, { weak, 1 - weak, 0, 0 } },
		{ "a pair, drawn, epsilon", POLICY_INIT, { 0.8 * weak + 0.1, 0.8 * (1 - weak) + 0.1, 0, 0 } },
		{ "a pair, bound, epsilon", POLICY_INIT, { 0.1, 0.9, 0, 0 } },
		{ "a pair, one too dear", POLICY_INIT, { 1, 0, 0, 0 } },
		{ "a pair, explored within a cost", POLICY_INIT, { 0.8 * weak, 0.8 * (1 - weak) + 0.2, 0, 0 } },
		{ "drawn from all", POLICY_INIT, { e1 / sum, 1 / sum, e2 / sum, 1 / sum } },
		{ "drawn from all, explored within a cost", POLICY_INIT, { 0.8 * e1 / sum + 0.2 / 3,
			0.8 / sum + 0.2 / 3, 0.8 * e2 / sum + 0.2 / 3, 0.8 / sum } },
	};
	const struct policy_mode pair = { .pair = true, .draw = true, .weak = 0, .strong = 1, .slope = 3,
		.offset = 0.2 };
	enum { DRAWS = 10000 };

	cases[1].p.epsilon = 0.2;
	cases[2].p.temperature = 0.5;
	cases[3].p.epsilon = 0.2;
	cases[3].p.explore_cost = 0.02;
	cases[4].p.epsilon = 1;
	cases[5].p.epsilon = 0.2;
	cases[5].p.max_cost = 0.02;
	for (size_t i = 6; i <= 10; i++)
		cases[i].p.mode = pair;
	cases[7].p.epsilon = cases[8].p.epsilon = cases[10].p.epsilon = 0.2;
	cases[8].p.mode.draw = false;
	cases[9].p.max_cost = 0.02;
	cases[10].p.explore_cost = 0.001;
	cases[11].p.mode = cases[12].p.mode = (struct policy_mode){ .draw = true, .temperature = 0.5 };
	cases[12].p.epsilon = 0.2;
	cases[12].p.explore_cost = 0.02;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct wanted *w = &cases[i];
		size_t seen[M] = { 0 };
		double total = 0, stated[M] = { 0 };

		for (size_t k = 0; k < DRAWS; k++) {
			struct policy_choice c;

			policy_draw(&w->p, M, score, cost, prior, ((double)k + 0.5) / DRAWS, &c);
			cr_assert(c.model < M, "%s", w->name);
			cr_assert(c.runner_up != c.model, "%s: runner-up", w->name);
			seen[c.model]++;
			stated[c.model] = c.propensity;
		}
		for (size_t j = 0; j < M; j++) {
			total += stated[j];
			cr_assert_float_eq(stated[j], w->share[j], 1e-6, "%s: model %zu: %g", w->name,
			    j, stated[j]);
			cr_assert_float_eq((double)seen[j] / DRAWS, w->share[j], 2.0 / DRAWS,
			    "%s: model %zu drawn %zu times", w->name, j, seen[j]);
		}
		cr_assert_float_eq(total, 1, 1e-12, "%s: sum %g", w->name, total);
	}
}

Test(policy, limits_and_weights)
{
	const float latency[M] = { 0.2f, 3, 0.1f, NAN }, other[M] = { NAN, 0.1f, NAN, 0.8f };
	const bool allowed[M] = { true, false, true, false };
	struct policy_choice c;
	struct policy p = POLICY_INIT;

	policy_choose(&p, M, score, cost, prior, &c);
	cr_assert_eq(c.model, 1, "equal scores: the higher prior");
	p.prior = other;
	policy_choose(&p, M, score, cost, prior, &c);
	cr_assert_eq(c.model, 3, "a prior of one's own");
	p.latency = latency;
	p.max_latency = 1;
	policy_choose(&p, M, score, cost, prior, &c);
	cr_assert_eq(c.model, 0, "too slow, and unknown");
	p.max_latency = INFINITY;
	p.latency_weight = 0.1;
	policy_choose(&p, M, score, cost, prior, &c);
	cr_assert_eq(c.model, 0, "latency weighs");
	p.max_latency = 0.01;
	p.epsilon = 1;
	policy_draw(&p, M, score, cost, prior, 0.5, &c);
	cr_assert_eq(c.model, POLICY_NONE, "none may be chosen");
	p = (struct policy)POLICY_INIT;
	p.allowed = allowed;
	p.temperature = 1e-9;
	policy_draw(&p, M, score, cost, prior, 0.999, &c);
	cr_assert_eq(c.model, 0, "a temperature near zero takes the best");
	cr_assert_float_eq(c.propensity, 1, 1e-12, "%g", c.propensity);
	p.temperature = 0;
	p.epsilon = 1;
	policy_draw(&p, M, score, cost, prior, nextafter(1, 0), &c);
	cr_assert_eq(c.model, 2, "only those allowed");
	cr_assert(c.explored, "it is told");
}
