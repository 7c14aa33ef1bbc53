#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/mode.h"

/* A table of two models whose gap is known to follow the lead, and a third that is never known. */
enum { N = 1000, M = 3 };
static float predicted[N * M], score[N * M];
static const float mean[M] = { 0.4f, 0.8f, 0.5f };

static struct mode_table
make_table(double slope, double offset)
{
	struct rng g;

	rng_seed(&g, 7);
	for (size_t i = 0; i < N; i++) {
		double lead = rng_double(&g) - 0.7;
		bool weak_serves = rng_double(&g) < 1 / (1 + exp(-(slope * lead + offset)));

		predicted[i * M] = (float)(0.5 + lead);
		predicted[i * M + 1] = 0.5f;
		predicted[i * M + 2] = 0.1f;
		score[i * M] = weak_serves;
		score[i * M + 1] = 1;
		score[i * M + 2] = -1;
	}
	return (struct mode_table){ N, M, predicted, score };
}

static void
make_models(struct map *models, size_t n)
{
	static const char *const name[] = { "a", "b", "c" };

	for (size_t j = 0; j < n; j++)
		cr_assert(map_intern(models, name[j], 1, NULL, NULL) != MAP_NONE);
}

static void
set(struct mode_params *p, const char *name, const char *value)
{
	struct err e = ERR_INIT;

	cr_assert(mode_params_set(p, name, value, &e) == 0, "%s=%s: %s", name, value, e.msg);
}

/* The share of strong calls that the policy makes over the table, drawn where it draws. */
static double
share_of(const struct policy_mode *m)
{
	struct policy p = POLICY_INIT;
	struct rng g;
	double strong = 0;
	float cost[M] = { NAN, NAN, NAN };

	rng_seed(&g, 3);
	p.mode = *m;
	for (size_t i = 0; i < N; i++) {
		struct policy_choice c;

		if (policy_explores(&p))
			policy_draw(&p, M, predicted + i * M, cost, mean, rng_double(&g), &c);
		else
			policy_choose(&p, M, predicted + i * M, cost, mean, &c);
		cr_assert(c.model < 2 && c.runner_up == 1 - c.model);
		strong += c.model == 1;
	}
	return strong / N;
}

Test(mode, share_of_strong_calls)
{
	static const char *const kinds[] = { "deterministic", "probabilistic", "transformed" };
	static const double shares[] = { 0, 0.1, 0.3, 0.5, 0.9, 1 };
	struct mode_table t = make_table(4, 1);
	struct map models = MAP_INIT;

	make_models(&models, M);
	for (size_t k = 0; k < 3; k++)
		for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
			struct mode_params p;
			struct policy_mode m;
			struct err e = ERR_INIT;
			char text[16];

			mode_params_init(&p);
			(void)snprintf(text, sizeof text, "%g", shares[s]);
			set(&p, "router_mode", kinds[k]);
			set(&p, "weak", "a");
			set(&p, "strong", "b");
			set(&p, "strong_share", text);
			cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0, "%s", e.msg);
			cr_assert(m.pair && m.weak == 0 && m.strong == 1);
			cr_expect_float_eq(mode_share(&m, &t, NULL), shares[s], 1e-3, "%s %g: %g expected",
				kinds[k], shares[s], mode_share(&m, &t, NULL));
			/* Of a draw the standard error is at most 0.016. */
			cr_expect_float_eq(share_of(&m), shares[s], k == 1 ? 0.06 : 1e-3, "%s %g: %g made",
				kinds[k], shares[s], share_of(&m));
		}
	map_finish(&models);
}

/* With labels 1[gap >= 0] the logistic curve that the scores were drawn by is found again. */
Test(mode, probabilities_are_calibrated)
{
	struct mode_table t = make_table(4, 1);
	struct mode_params p;
	struct policy_mode m;
	struct map models = MAP_INIT;
	struct err e = ERR_INIT;

	make_models(&models, M);
	mode_params_init(&p);
	set(&p, "router_mode", "deterministic");
	set(&p, "weak", "a");
	set(&p, "strong", "b");
	cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0, "%s", e.msg);
	cr_expect(fabs(m.slope - 4) < 0.8 && fabs(m.offset - 1) < 0.3, "%g %g", m.slope, m.offset);
	cr_expect(!m.draw);
	set(&p, "router_threshold", "0.8");
	cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0);
	/* The weak model from P = 0.8 on, where the odds are 4. */
	cr_expect(fabs(m.offset - (1 - log(4))) < 0.3, "%g", m.offset);
	/* Maximum likelihood with an offset: the mean probability is the mean label. */
	set(&p, "router_threshold", "0.5");
	set(&p, "router_mode", "probabilistic");
	cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0);
	cr_expect(m.draw && m.slope > 0);
	{
		double label = 0, fitted = 0;

		for (size_t i = 0; i < N; i++) {
			double gap = (double)score[i * M] - 1;

			label += 1 / (1 + exp(-gap / 0.1)) / N;
			fitted += 1 / (1 + exp(-(m.slope * ((double)predicted[i * M] - 0.5) +
			    m.offset))) / N;
		}
		cr_expect_float_eq(label, fitted, 2e-3, "mean label %g, mean probability %g", label, fitted);
	}
	map_finish(&models);
}

/* Without a pair: of temperatures on a grid none fits better than the one that was found. */
Test(mode, temperature_without_a_pair)
{
	enum { K = 400 };
	static float guess[K * M], truth[K * M];
	struct mode_table t = { K, M, guess, truth };
	struct mode_params p;
	struct policy_mode m;
	struct map models = MAP_INIT;
	struct err e = ERR_INIT;
	struct rng g;
	double wanted = 0.25, seen = 0;

	rng_seed(&g, 5);
	for (size_t i = 0; i < K; i++) {
		double z[M], sum = 0, u = rng_double(&g);
		size_t best = 0;

		for (size_t j = 0; j < M; j++) {
			guess[i * M + j] = (float)rng_double(&g);
			truth[i * M + j] = 0;
			z[j] = exp((double)guess[i * M + j] / wanted);
			sum += z[j];
		}
		for (u *= sum; best + 1 < M && u >= z[best]; best++)
			u -= z[best];
		truth[i * M + best] = 1;
	}
	make_models(&models, M);
	mode_params_init(&p);
	set(&p, "router_mode", "probabilistic");
	set(&p, "router_tau", "0.01");
	cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0, "%s", e.msg);
	cr_expect(m.draw && !m.pair && fabs(m.temperature - wanted) < 0.06, "%g", m.temperature);
	/* What it draws is what it says: frequencies over one row. */
	{
		struct policy policy = POLICY_INIT;
		struct policy_choice c;
		float cost[M] = { NAN, NAN, NAN };
		double stated = 0;

		policy.mode = m;
		for (size_t k = 0; k < 4000; k++) {
			policy_draw(&policy, M, guess, cost, mean, ((double)k + 0.5) / 4000, &c);
			if (c.model == 1) {
				seen += 1.0 / 4000;
				stated = c.propensity;
			}
		}
		cr_expect_float_eq(seen, stated, 1e-3, "%g seen, %g stated", seen, stated);
	}
	map_finish(&models);
}

Test(mode, what_cannot_be_is_refused)
{
	static const struct { const char *set[6]; size_t models; const char *says; } cases[] = {
		{ { "strong_share", "0.3" }, 3, "name a weak and a strong" },
		{ { "router_mode", "transformed" }, 3, "name a weak and a strong" },
		{ { "router_threshold", "0.7" }, 3, "name a weak and a strong" },
		{ { "weak", "a" }, 3, "go together" },
		{ { "weak", "a", "strong", "a" }, 3, "the same model" },
		{ { "weak", "a", "strong", "z" }, 3, "not one of the models" },
		{ { "weak", "a", "strong", "c", "router_mode", "deterministic" }, 3, "tell no probability" },
		{ { "router_threshold", "0.7", "strong_share", "0.3" }, 2, "decide the same" },
	};
	struct mode_table t = make_table(4, 1);

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct map models = MAP_INIT;
		struct mode_params p;
		struct policy_mode m;
		struct err e = ERR_INIT;

		make_models(&models, cases[i].models);
		mode_params_init(&p);
		for (size_t k = 0; k < 6 && cases[i].set[k] != NULL; k += 2)
			set(&p, cases[i].set[k], cases[i].set[k + 1]);
		cr_expect(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) < 0 && e.code == ERR_USAGE &&
			strstr(e.msg, cases[i].says) != NULL, "case %zu: %s", i, e.msg);
		map_finish(&models);
	}
	{
		struct mode_params p;
		struct err e = ERR_INIT;

		mode_params_init(&p);
		cr_expect(mode_params_set(&p, "router_mode", "random", &e) < 0 && e.code == ERR_USAGE);
		cr_expect(mode_params_set(&p, "router_tau", "0", &e) < 0);
		cr_expect(mode_params_set(&p, "strong_share", "1.5", &e) < 0);
		cr_expect(mode_params_set(&p, "weak", "", &e) < 0);
		cr_expect(mode_params_set(&p, "lambda", "1", &e) == 1);
		cr_expect(!mode_asked(&p));
	}
}

Test(mode, pairs_without_truth_and_without_a_table)
{
	struct mode_table t = make_table(4, 1), none = { 0, 0, NULL, NULL };
	struct map models = MAP_INIT;
	struct mode_params p;
	struct policy_mode m;
	struct err e = ERR_INIT;

	make_models(&models, M);
	mode_params_init(&p);
	set(&p, "weak", "c");
	set(&p, "strong", "b");
	cr_assert(mode_resolve(&p, &none, &models, NULL, mean, &m, &e) == 0, "the better of two: %s", e.msg);
	cr_expect(m.pair && !m.draw && m.offset == 0 && m.slope == 1);
	set(&p, "strong_share", "0.25");
	cr_assert(mode_resolve(&p, &none, &models, NULL, mean, &m, &e) < 0 &&
		strstr(e.msg, "calibrate=true") != NULL, "%s", e.msg);
	/* Nobody knows c's scores, and all its leads are the same: no such share is to be had. */
	cr_assert(mode_resolve(&p, &t, &models, NULL, mean, &m, &e) == 0, "%s", e.msg);
	cr_expect(mode_share(&m, &t, NULL) == 0, "%g", mode_share(&m, &t, NULL));
	map_finish(&models);
}

Test(mode, hyperparameters_come_back)
{
	struct mode_params p, q;
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct jsonw w;

	mode_params_init(&p);
	set(&p, "router_mode", "probabilistic");
	set(&p, "router_tau", "0.25");
	set(&p, "weak", "vendor/\"quoted\" \\ model");
	set(&p, "strong", "\xc3\xa9");
	set(&p, "strong_share", "0.125");
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "lambda", 3);
	mode_params_write(&p, &w);
	jsonw_end_object(&w);
	mode_params_init(&q);
	cr_assert(mode_params_read(&q, (struct slice){ b.p, b.len }, &e) == 0, "%s", e.msg);
	cr_expect(q.kind == MODE_PROBABILISTIC && q.kind_given && !q.threshold_given && q.tau == 0.25 &&
		q.share == 0.125 && strcmp(p.weak, q.weak) == 0 && strcmp(p.strong, q.strong) == 0);
	mode_params_init(&q);
	cr_expect(mode_params_read(&q, SLICE_LIT("{\"router_tau\":\"x\"}"), &e) < 0 && e.code == ERR_INPUT);
	cr_expect(mode_params_read(&q, SLICE_LIT("{\"weak\":3,\"strong\":"), &e) < 0);
	buf_finish(&b);
}
