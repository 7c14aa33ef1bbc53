#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "model/offpolicy.h"

static bool
near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

Test(offpolicy, by_hand)
{
	/* Four calls of three queries; the router agrees with calls 0 and 3. */
	const size_t id[] = { 0, 1, 1, 2 }, called[] = { 0, 1, OFFPOLICY_NONE, 1 }, choice[] = { 0, 0, 0, 1 };
	const double score[] = { 1, .5, 0, .5 }, cost[] = { 1, 2, 3, 4 }, propensity[] = { .5, .5, .5, .25 };
	const float predicted[] = { .75f, 0, .5f, 0, .5f, 0, 0, .25f };
	struct offpolicy_input x = { .n = 4, .n_ids = 3, .m = 2, .id = id, .called = called,
		.choice = choice, .score = score, .cost = cost, .propensity = propensity,
		.predicted = predicted, .min_ess = 1, .draws = 100, .seed = 1 };
	struct offpolicy o;
	struct err e = ERR_INIT;

	cr_assert(offpolicy_run(&x, NULL, &o, &e) == 0, "%s", e.msg);
	cr_expect(o.matched == 2 && near(o.max_weight, 4) && near(o.mean_weight, 1.5));
	cr_expect(near(o.ess, 36.0 / 20));
	cr_expect(near(o.logged.value, .5));
	cr_expect(near(o.ips.value, (2 * 1 + 4 * .5) / 4));
	cr_expect(near(o.snips.value, 4.0 / 6));
	/* predictions .75 .5 .5 .25; corrections 2 * .25 and 4 * .25 */
	cr_expect(near(o.dr.value, (2 + .5 + 1) / 4));
	cr_expect(near(o.delta.value, .375));
	cr_expect(near(o.cost.value, (2 * 1 + 4 * 4) / 6.0) && near(o.logged_cost.value, 2.5));
	x.min_ess = 2;
	cr_expect(offpolicy_run(&x, NULL, &o, &e) < 0 && e.code == ERR_INPUT);
	cr_expect(strstr(e.msg, "2 of 4 logged calls agree") != NULL && strstr(e.msg, "1.8") != NULL,
	    "%s", e.msg);
}

/* Two models, scores known: the estimates must find the router's true value. */
Test(offpolicy, finds_the_truth)
{
	enum { N = 20000 };
	static size_t id[N], called[N], choice[N];
	static double score[N], cost[N], propensity[N];
	static float predicted[2 * N];
	struct offpolicy_input x = { .n = N, .n_ids = N, .m = 2, .id = id, .called = called,
		.choice = choice, .score = score, .cost = cost, .propensity = propensity,
		.predicted = predicted, .min_ess = 30, .draws = 200, .seed = 1 };
	struct offpolicy o;
	struct err e = ERR_INIT;
	struct rng g;
	double truth = 0;

	rng_seed(&g, 3);
	for (size_t i = 0; i < N; i++) {
		double kind = rng_double(&g), first = .1 + .3 * kind;	/* chance that model 0 is called */
		double value[2] = { rng_double(&g) < kind, rng_double(&g) < .6 };

		id[i] = i;
		choice[i] = kind > .6 ? 0 : 1;
		called[i] = rng_double(&g) < first ? 0 : 1;
		propensity[i] = called[i] == 0 ? first : 1 - first;
		score[i] = value[called[i]];
		cost[i] = NAN;
		predicted[2 * i] = .3f;		/* wrong on purpose */
		predicted[2 * i + 1] = .9f;
		truth += value[choice[i]] / N;
	}
	cr_assert(offpolicy_run(&x, NULL, &o, &e) == 0);
	cr_expect(fabs(o.ips.value - truth) < .02, "ips %g, truth %g", o.ips.value, truth);
	cr_expect(fabs(o.snips.value - truth) < .02, "snips %g, truth %g", o.snips.value, truth);
	cr_expect(fabs(o.dr.value - truth) < .03, "dr %g, truth %g", o.dr.value, truth);
	cr_expect(fabs(o.mean_weight - 1) < 3 * o.weight_error && isnan(o.cost.value));
	cr_expect(o.dr.lo < truth && truth < o.dr.hi && o.delta.lo > 0);
}
