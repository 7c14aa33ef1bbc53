#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "math/bootstrap.h"
#include "model/calibration.h"
#include "model/evaluation.h"
#include "model/frontier.h"
#include "model/gate.h"
#include "model/policy.h"
#include "model/routellm.h"

static bool
near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void
mean_of(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	const double *x = arg;

	(void)worker;
	out[0] = out[1] = 0;
	for (size_t i = 0; i < 4; i++)
		out[0] += count[i] * x[i] / 4;
	out[1] = NAN;
}

Test(bootstrap, any_statistic)
{
	double x[4] = { 1, 2, 3, 6 }, zero[4] = { -1, 1, -1, 1 }, p[2];
	struct bootstrap_ci ci[2];
	struct err e = ERR_INIT;

	cr_assert(bootstrap_stats(mean_of, x, 4, 2, 500, 1, NULL, ci, p, &e) == 0);
	cr_expect(near(ci[0].value, 3));
	cr_expect(ci[0].lo >= 1 && ci[0].lo < 3 && ci[0].hi > 3 && ci[0].hi <= 6);
	cr_expect(near(p[0], 2.0 / 501), "all draws above 0: p %g", p[0]);
	cr_expect(isnan(ci[1].value) && isnan(ci[1].lo) && isnan(p[1]), "undefined stays so");
	cr_assert(bootstrap_stats(mean_of, zero, 4, 2, 500, 1, NULL, ci, p, &e) == 0);
	cr_expect(p[0] > 0.5, "no difference: p %g", p[0]);
}

Test(frontier, hull)
{
	static const struct {
		const char *name;
		struct frontier_xy in[5], out[5];
		size_t n, left;
	} cases[] = {
		{ "one", { { 1, .5 } }, { { 1, .5 } }, 1, 1 },
		{ "below the line", { { 1, .2 }, { 2, .3 }, { 3, .8 } }, { { 1, .2 }, { 3, .8 } }, 3, 2 },
		{ "above the line", { { 3, .8 }, { 2, .7 }, { 1, .2 } },
		  { { 1, .2 }, { 2, .7 }, { 3, .8 } }, 3, 3 },
		{ "never down", { { 1, .6 }, { 2, .4 }, { 3, .6 }, { 4, .7 } }, { { 1, .6 }, { 4, .7 } }, 4, 2 },
		{ "same cost", { { 1, .1 }, { 1, .4 }, { 2, .4 }, { 2, .5 } }, { { 1, .4 }, { 2, .5 } }, 4, 2 },
		{ "all the same", { { 1, .4 }, { 1, .4 }, { 1, .4 } }, { { 1, .4 } }, 3, 1 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct frontier_xy p[5];
		size_t n;

		memcpy(p, cases[i].in, sizeof p);
		n = frontier_hull(p, cases[i].n);
		cr_assert(n == cases[i].left, "%s: %zu points", cases[i].name, n);
		for (size_t k = 0; k < n; k++)
			cr_expect(near(p[k].x, cases[i].out[k].x) && near(p[k].y, cases[i].out[k].y),
			    "%s: point %zu", cases[i].name, k);
	}
}

Test(frontier, area)
{
	const struct frontier_xy p[] = { { 1, .4 }, { 3, .8 } };

	cr_expect(near(frontier_area(p, 2, 1, 3), .6), "trapezium");
	cr_expect(near(frontier_area(p, 2, 1, 5), .7), "flat to the right");
	cr_expect(near(frontier_area(p, 2, 2, 3), .7), "part of it");
	cr_expect(near(frontier_area(p, 2, 0, 1), .2), "towards nothing at no cost to the left");
	cr_expect(near(frontier_area(p, 2, 5, 6), .8), "beyond");
	cr_expect(isnan(frontier_area(p, 2, 2, 2)), "no range");
}

/* Two models, four queries: the dear one is right on rows 0, 1, 2, the cheap one on 2, 3. */
static const float score[] = { 0, 1, 0, 1, 1, 1, 1, 0 }, cost[] = { 1, 3, 1, 3, 1, 3, 1, 3 };
/* The router knows where the dear one helps, but for row 1. */
static const float said[] = { .1f, .95f, .8f, .75f, .8f, .95f, .8f, .2f }, price[] = { 1, 3, 1, 3, 1, 3, 1, 3 };

Test(evaluation, by_hand)
{
	const float prior[] = { .4f, .6f }, other[] = { 1, 1, 1, 0 }, dear[] = { 3, 3, 3, 3 };
	const size_t choice[] = { 1, 0, 1, 0 }, best[] = { 1, 1, 1, 1 };
	const uint32_t task[] = { 0, 0, 1, 1 };
	struct map tasks = MAP_INIT;
	struct err e = ERR_INIT;
	struct evaluation v = { 0 };
	struct evaluation_input x = { .in = { 4, 2, score, cost, NULL, choice, best, 0, 1, 200, 1 },
		.predicted = said, .expected = price, .prior = prior, .task = task, .tasks = &tasks,
		.weak = 0, .strong = 1, .other_score = other, .other_cost = dear };

	map_intern(&tasks, "a", 1, NULL, &e);
	map_intern(&tasks, "b", 1, NULL, &e);
	cr_assert(evaluation_run(&x, NULL, &v, &e) == 0, "%s", e.msg);
	cr_expect(near(v.result.router, .75) && near(v.result.best, .75) && near(v.result.oracle, 1));
	cr_expect(near(v.all.regret.value, .25));
	cr_expect(near(v.all.agreement.value, .75));
	cr_expect(near(v.all.perf_gain.value, 0));
	cr_expect(near(v.all.cost_save.value, 1 - 2.0 / 3));
	cr_expect(near(v.all.model_score[0], .5) && near(v.all.model_cost[1], 3));
	/* .95 and .95 were right; .8 wrong, .8 right: |1.9 - 2| / 4 + |1.6 - 1| / 4. */
	cr_expect(fabs(v.calibration.ece.value - .175) < 1e-6, "ece %g", v.calibration.ece.value);
	/* Cheapest (1, .5); rows 0 (lead .85), 2 (.15) and 1 (-.05) may pay: at a high price (1.5, .75)
	 * by row 0, then (2, .75) with row 2, row 1 never. Single models (1, .5), (3, .75). */
	cr_assert(v.frontier.known);
	cr_expect(near(v.frontier.single.value, .625), "single %g", v.frontier.single.value);
	cr_expect(near(v.frontier.aiq.value, (.5 * .625 + 1.5 * .75) / 2), "aiq %g", v.frontier.aiq.value);
	cr_expect(near(v.frontier.at_best.cost, 1.5) && near(v.frontier.at_best.share, .5));
	cr_expect(near(v.frontier.point[0].score, .5) && isinf(v.frontier.point[60].wtp));
	cr_assert(v.n_tasks == 2 && strcmp(v.task[1].name, "b") == 0);
	cr_expect(near(v.task[0].group.delta.value, -.5) && near(v.task[1].group.delta.value, .5));
	cr_expect(v.against.n == 4 && v.against.wins == 1 && v.against.losses == 1);
	cr_expect(near(v.against.delta.value, 0) && near(v.against.sign_p, 1));
	cr_expect(near(v.against.cost_delta.value, -1));
	evaluation_finish(&v);
	map_finish(&tasks);
}

Test(evaluation, sign_test)
{
	cr_expect(near(evaluation_sign_test(0, 0), 1));
	cr_expect(near(evaluation_sign_test(5, 0), 2.0 / 32));
	cr_expect(near(evaluation_sign_test(1, 5), 14.0 / 64));
	cr_expect(near(evaluation_sign_test(4, 4), 1));
	cr_expect(evaluation_sign_test(100000, 101000) < .05);
}

Test(routellm, by_hand)
{
	/* Ten queries; strong is better on the three with the highest lead, equal elsewhere. */
	double lead[11], weak[11], strong[11];
	struct routellm r;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < 11; i++) {
		lead[i] = (double)(i * 7 % 11);
		weak[i] = lead[i] < 6 ? 1 : 0;
		strong[i] = lead[i] < 6 || lead[i] > 7 ? 1 : 0;
	}
	cr_assert(routellm_run(lead, weak, strong, 11, 200, 1, NULL, &r, &e) == 0);
	cr_expect(near(r.weak, 6.0 / 11) && near(r.strong, 9.0 / 11));
	/* Thresholds 0..10: shares 0, 2/11, 3/11 ... 1; PGR 0, 2/3, 1, 1 ... */
	cr_expect(near(r.curve[0].share, 0) && near(r.curve[1].share, 2.0 / 11));
	cr_expect(near(r.apgr.value, (2 * (1.0 / 3) + 1 * (5.0 / 6) + 8) / 11), "%g", r.apgr.value);
	cr_expect(near(r.cpt50.value, 2.0 / 11 * .75), "%g", r.cpt50.value);
	cr_expect(near(r.cpt80.value, 2.0 / 11 + 1.0 / 11 * .4), "%g", r.cpt80.value);
	for (size_t i = 0; i < 11; i++)
		lead[i] = .25;
	cr_assert(routellm_run(lead, weak, strong, 11, 200, 1, NULL, &r, &e) == 0);
	cr_expect(near(r.apgr.value, .5) && near(r.cpt80.value, .8), "no knowledge is chance");
	cr_assert(routellm_run(lead, strong, weak, 11, 200, 1, NULL, &r, &e) == 0);
	cr_expect(isnan(r.apgr.value) && isnan(r.cpt50.value), "strong is the weaker: undefined");
}

Test(calibration, edges)
{
	const double said_[] = { -1, 0, 1, 2, .1, .95 }, truth[] = { 0, 0, 1, 1, .1, 1 };
	struct calibration c;
	struct err e = ERR_INIT;

	cr_assert(calibration_run(said_, truth, 6, 100, 1, NULL, &c, &e) == 0);
	cr_expect(c.bin[0].n == 2 && c.bin[1].n == 1 && c.bin[9].n == 3);
	cr_expect(near(c.ece.value, .05 / 6));
	cr_expect(isnan(c.bin[5].predicted));
}

static const char doc[] = "{\"gap_closed\":{\"value\":0.2,\"ci95\":[-0.1,0.4]},\"aiq\":null,\"ece\":"
	"{\"value\":0.1,\"ci95\":null},\"n\":50,\"best\":{\"model\":\"m\"},\"per_model\":{\"gpt-3.5\":"
	"{\"score\":0.5},\"a b\":{\"score\":0.25}}}";

Test(gate, judges)
{
	static const struct { const char *text; bool met; const char *why; } cases[] = {
		{ "gap_closed>=0.15", true, "" },
		{ "gap_closed.value >= 0.15 && gap_closed.hi > .3", true, "" },
		{ "gap_closed >= 0.25", false, "gap_closed >= 0.25: 0.2" },
		{ "gap_closed >= 0.15 && gap_closed.lo > 0", false, "gap_closed.lo > 0: -0.1" },
		{ "n == 50 && n != 49 && n <= 50 && n < 51", true, "" },
		{ "50 <= n", true, "" },
		{ "gap_closed > ece", true, "" },
		{ "ece > gap_closed", false, "ece > gap_closed: 0.1 and 0.2" },
		{ "n > 60 || n < 40", false, "n > 60: 50; n < 40: 50" },
		{ "n > 60 || n < 51", true, "" },
		{ "!(n > 40)", false, "not n > 40: 50" },
		{ "!n>60", true, "" },
		{ "n > 60 && n > 70 || n > 10", true, "" },
		{ "n > 10 || n > 60 && n > 70", true, "" },
		{ "(n > 10 || n > 60) && n > 70", false, "n > 70: 50" },
		{ "aiq > 0.5", false, "aiq > 0.5: null" },
		{ "!(aiq > 0.5)", false, "not aiq > 0.5: null" },
		{ "aiq.lo > 0.5 || n > 1", true, "" },
		{ "ece.lo > 0", false, "ece.lo > 0: null" },
		{ "per_model.gpt-3.5.score > .4", true, "" },
		{ "per_model.\"a b\".score > .4", false, "per_model.a b.score > 0.4: 0.25" },
		{ "1e1 < 2.0E1", true, "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = ERR_INIT;
		struct buf why = BUF_INIT;
		struct gate *g = gate_parse(cases[i].text, &e);
		bool met;

		cr_assert(g != NULL, "%s: %s", cases[i].text, e.msg);
		cr_assert(gate_check(g, doc, sizeof doc - 1, &met, &why, &e) == 0, "%s: %s",
		    cases[i].text, e.msg);
		cr_expect(met == cases[i].met, "%s", cases[i].text);
		cr_expect(strcmp(buf_cstr(&why), cases[i].why) == 0, "%s: '%s'", cases[i].text,
		    buf_cstr(&why));
		buf_finish(&why);
		gate_free(g);
	}
}

Test(gate, refuses)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "", "missing" }, { "n", "comparison" }, { "n >", "missing" },
		{ "n > 1 &", "'&&'" }, { "(n > 1", "')'" }, { "n > 1)", "'&&'" }, { "n = 1", "comparison" },
		{ "n > 1 n > 2", "'&&'" }, { "n > 1.2.3", "not a number" }, { "n > inf", NULL },
		{ "n > 1e999", "not a number" }, { "n > \"x", "not closed" }, { "n > $", "expected" },
		{ "n > 5x", "not a number" },
	};
	static const struct { const char *text, *says; } unknown[] = {
		{ "gap > 1", "'gap' is not a key" }, { "gap_closed.mean > 1", "'gap_closed.mean' is not a key" },
		{ "best > 1", "'best' is not a number" }, { "best.model > 1", "'best.model' is not a number" },
		{ "n > inf", "'inf' is not a key" }, { "n.x > 1 || n > 1", "'n.x' is not a key" },
		{ "per_model > 1", "is not a number" },
	};
	char deep[4000];
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct gate *g = gate_parse(bad[i].text, &e);

		cr_expect((g == NULL) == (bad[i].says != NULL), "%s", bad[i].text);
		if (g == NULL)
			cr_expect(e.code == ERR_USAGE && strstr(e.msg, bad[i].says) != NULL, "%s: %s",
			    bad[i].text, e.msg);
		gate_free(g);
	}
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		struct gate *g = gate_parse(unknown[i].text, &e);
		struct buf why = BUF_INIT;
		bool met;

		cr_assert(g != NULL, "%s", unknown[i].text);
		cr_expect(gate_check(g, doc, sizeof doc - 1, &met, &why, &e) < 0, "%s", unknown[i].text);
		cr_expect(e.code == ERR_USAGE && strstr(e.msg, unknown[i].says) != NULL, "%s: %s",
		    unknown[i].text, e.msg);
		buf_finish(&why);
		gate_free(g);
	}
	memset(deep, '(', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	cr_expect(gate_parse(deep, &e) == NULL && strstr(e.msg, "nested") != NULL);
	memset(deep, '!', sizeof deep - 1);
	cr_expect(gate_parse(deep, &e) == NULL && strstr(e.msg, "nested") != NULL);
}
