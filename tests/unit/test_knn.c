#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "math/topk.h"
#include "model/baseline.h"
#include "model/eval.h"
#include "model/knn.h"
#include "model/policy.h"

enum { N = 700, D = 40, M = 4 };

/* A dataset of n queries, M models, about a third of the cells missing, and unit vectors. */
static struct dataset *
make_data(size_t n, float *x, bool gaps)
{
	struct dataset *ds = dataset_new(NULL);
	struct rng g;

	rng_seed(&g, 11);
	for (size_t i = 0; i < n; i++) {
		char query[48];
		double norm = 0;

		(void)snprintf(query, sizeof query, "query number %zu", i);
		for (size_t j = 0; j < M; j++) {
			struct record r;
			char model[8];

			record_init(&r);
			(void)snprintf(model, sizeof model, "m%zu", j);
			r.query = slice_str(query);
			r.model_name = slice_str(model);
			r.performance = rng_double(&g);
			r.cost_usd = rng_double(&g) < 0.5 ? NAN : rng_double(&g);
			if (!gaps || rng_below(&g, 3) > 0)
				cr_assert(dataset_add(ds, &r, NULL) == 0);
		}
		for (size_t j = 0; j < D; j++) {
			x[i * D + j] = (float)rng_normal(&g);
			norm += (double)x[i * D + j] * (double)x[i * D + j];
		}
		for (size_t j = 0; j < D; j++)
			x[i * D + j] = (float)((double)x[i * D + j] / sqrt(norm));
	}
	cr_assert(dataset_finish_build(ds, NULL) == 0);
	return ds;
}

struct pair { double sim; size_t row; };

static int
nearest_first(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return x->sim != y->sim ? (x->sim < y->sim ? 1 : -1) : (x->row > y->row) - (x->row < y->row);
}

/* The plain definition, in double, by sorting everything. */
static void
reference(const struct knn *knn, const struct dataset *ds, const float *q, size_t skip, double *score)
{
	struct pair *p = mem_calloc(knn->n, sizeof *p, NULL);
	double q2 = 0;
	size_t n = 0;

	for (size_t j = 0; j < knn->d; j++)
		q2 += (double)q[j] * (double)q[j];
	for (size_t i = 0; i < knn->n; i++) {
		double dot = 0, x2 = 0;

		for (size_t j = 0; j < knn->d; j++) {
			double x = (double)dot_from_half(knn->rows[i * knn->d + j]);

			dot += x * (double)q[j];
			x2 += x * x;
		}
		if (i != skip)
			p[n++] = (struct pair){ knn->params.metric == KNN_COSINE ? dot : dot - x2 / 2, i };
	}
	qsort(p, n, sizeof *p, nearest_first);
	if (n > knn->params.n_neighbors)
		n = knn->params.n_neighbors;
	for (size_t j = 0; j < M; j++) {
		double sum = 0, total = 0;

		for (size_t i = 0; i < n; i++) {
			double s = (double)ds->score[p[i].row * M + j], w = 1;
			double dist = knn->params.metric == KNN_COSINE ? 1 - p[i].sim :
				sqrt(fmax(0, q2 - 2 * p[i].sim));

			if (knn->params.weights == KNN_DISTANCE)
				w = 1 / fmax(dist, 1e-6);
			else if (knn->params.weights == KNN_SOFTMAX)
				w = exp((p[i].sim - p[0].sim) / knn->params.temperature);
			if (!isnan(s)) {
				sum += w * s;
				total += w;
			}
		}
		score[j] = total == 0 ? (double)knn->score_mean[j] :
			(sum + knn->params.prior_weight * (double)knn->score_mean[j]) /
			(total + knn->params.prior_weight);
	}
	free(p);
}

Test(knn, agrees_with_the_plain_definition)
{
	static float x[N * D];
	struct dataset *ds = make_data(N, x, true);

	for (int weights = KNN_UNIFORM; weights <= KNN_SOFTMAX; weights++)
		for (int metric = KNN_COSINE; metric <= KNN_EUCLIDEAN; metric++)
			for (size_t k = 1; k <= N; k = k * 7 + 2) {
				struct knn_params p = { .temperature = 0.2, .prior_weight = 1, .given = true };
				struct knn *knn;
				struct knn_scratch *s;

				p.n_neighbors = k;
				p.weights = (enum knn_weights)weights;
				p.metric = (enum knn_metric)metric;
				knn = knn_fit(&p, ds, x, D, NULL);
				s = knn_scratch_new(knn, NULL);
				for (size_t i = 0; i < 40; i++) {
					float q[D], score[M], cost[M];
					double want[M];
					size_t skip = i % 2 == 0 ? KNN_NO_ROW : i;

					/* Half of the queries lie near a row, half on one that is left out. */
					for (size_t j = 0; j < D; j++)
						q[j] = skip == i ? dot_from_half(knn->rows[i * D + j]) :
							x[i * D + j] * 0.8f + x[(i + 1) * D + j] * 0.6f;
					reference(knn, ds, q, skip, want);
					knn_score(knn, q, skip, s, score, cost);
					for (size_t j = 0; j < M; j++)
						cr_expect(fabs(want[j] - (double)score[j]) < 2e-4,
							"weights %d metric %d k %zu query %zu model %zu: %g, not %g",
							weights, metric, k, i, j, (double)score[j], want[j]);
				}
				knn_scratch_free(s);
				knn_free(knn);
			}
	dataset_free(ds);
}

Test(knn, edges)
{
	static float x[20 * D];
	struct dataset *ds = make_data(20, x, true);
	struct knn_params p = { .n_neighbors = 200, .weights = KNN_SOFTMAX, .temperature = 0.2,
		.prior_weight = 1, .given = true };
	struct knn *knn = knn_fit(&p, ds, x, D, NULL);
	struct knn_scratch *s = knn_scratch_new(knn, NULL);
	float zero[D] = { 0 }, score[M], cost[M];

	cr_expect(knn->params.n_neighbors == 20, "k is lowered to the rows there are");
	knn_score(knn, zero, KNN_NO_ROW, s, score, cost);
	cr_expect(s->k == 0);
	for (size_t j = 0; j < M; j++)
		cr_expect(score[j] == knn->score_mean[j], "a vector without terms gets the means");
	knn_score(knn, x, KNN_NO_ROW, s, score, cost);
	cr_expect(s->k == 20);
	cr_expect(knn_neighbors(&(struct knn_params)KNN_PARAMS_INIT, 20) == KNN_FEW_NEIGHBORS);
	cr_expect(knn_neighbors(&(struct knn_params)KNN_PARAMS_INIT, 700) == 100);
	cr_expect(knn_neighbors(&(struct knn_params)KNN_PARAMS_INIT, 5000) == 200);
	knn_scratch_free(s);
	knn_free(knn);
	dataset_free(ds);
}

Test(knn, parameters)
{
	static const struct { const char *name, *value; int want; } cases[] = {
		{ "n_neighbors", "5", 0 }, { "k", "7", 0 }, { "k", "0", -1 }, { "k", "100001", -1 },
		{ "k", "5.5", -1 }, { "weights", "uniform", 0 }, { "weights", "nearly", -1 },
		{ "metric", "euclidean", 0 }, { "distance_metric", "cosine", 0 },
		{ "metric", "l2", -1 }, { "temperature", "0.1", 0 }, { "temperature", "0", -1 },
		{ "temperature", "nan", -1 }, { "prior_weight", "-1", -1 }, { "depth", "3", 1 },
	};
	struct knn_params p = KNN_PARAMS_INIT, back = KNN_PARAMS_INIT;
	struct buf b = BUF_INIT;
	struct jsonw w;
	struct err e;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect(knn_params_set(&p, cases[i].name, cases[i].value, &e) == cases[i].want,
			"%s=%s", cases[i].name, cases[i].value);
	p.metric = KNN_EUCLIDEAN;
	jsonw_init(&w, &b);
	jsonw_object(&w);
	knn_params_write(&p, &w);
	jsonw_end_object(&w);
	cr_assert(knn_params_read(&back, (struct slice){ b.p, b.len }, &e) == 0, "%s", e.msg);
	cr_expect(back.n_neighbors == 7 && back.metric == KNN_EUCLIDEAN &&
		back.weights == KNN_UNIFORM && back.temperature == 0.1);
	cr_expect(knn_params_read(&back, SLICE_LIT("{\"n_neighbors\":[]}"), &e) < 0);
	cr_expect(knn_params_read(&back, SLICE_LIT("{\"n_neighbors\":0}"), &e) < 0 &&
		e.code == ERR_INPUT);
	cr_expect(knn_params_read(&back, SLICE_LIT("{\"n_neigh"), &e) < 0);
	buf_finish(&b);
}

Test(policy, choices)
{
	static const float prior[3] = { 0.5f, 0.6f, 0.6f };
	static const struct {
		float score[3], cost[3];
		double weight, max;
		size_t model, runner_up;
	} cases[] = {
		{ { 0.1f, 0.9f, 0.5f }, { NAN, NAN, NAN }, 0, INFINITY, 1, 2 },
		{ { 0.9f, 0.9f, 0.9f }, { NAN, NAN, NAN }, 0, INFINITY, 1, 2 },	/* prior, then name */
		{ { 0.9f, 0.8f, 0.7f }, { 0.5f, 0.1f, 0.01f }, 0, INFINITY, 0, 1 },
		{ { 0.9f, 0.8f, 0.7f }, { 0.5f, 0.1f, 0.01f }, 1, INFINITY, 1, 2 },
		{ { 0.9f, 0.8f, 0.7f }, { 0.5f, 0.1f, 0.01f }, 0, 0.05, 2, POLICY_NONE },
		{ { 0.9f, 0.8f, 0.7f }, { NAN, 0.1f, 0.01f }, 0, 0.2, 1, 2 },	/* unknown meets no limit */
		{ { 0.9f, 0.8f, 0.7f }, { NAN, 0.5f, 0.01f }, 1, INFINITY, 2, 0 },	/* unknown = dearest */
		{ { 0.9f, 0.8f, 0.7f }, { 0.5f, 0.1f, 0.01f }, 0, 0.001, POLICY_NONE, POLICY_NONE },
	};
	const bool allowed[3] = { true, false, false };
	struct policy p = POLICY_INIT;
	struct policy_choice c;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		p.cost_weight = cases[i].weight;
		p.max_cost = cases[i].max;
		policy_choose(&p, 3, cases[i].score, cases[i].cost, prior, &c);
		cr_expect(c.model == cases[i].model && c.runner_up == cases[i].runner_up &&
			c.propensity == 1, "case %zu: %zu, %zu", i, c.model, c.runner_up);
	}
	p = (struct policy)POLICY_INIT;
	p.allowed = allowed;
	policy_choose(&p, 3, cases[0].score, cases[0].cost, prior, &c);
	cr_expect(c.model == 0 && c.runner_up == POLICY_NONE);
}

Test(baseline, means_ties_and_missing)
{
	static const float score[4 * 2] = { 1, 0, 1, 1, 0, 0, NAN, 0.5f };
	static const float cost[4 * 2] = { 2, 1, 2, 1, 2, NAN, NAN, 1 };
	struct baseline b;

	baseline_compute(score, cost, 4, 2, &b);
	cr_expect(b.full == 3 && b.best == 0 && fabs(b.best_score - 2.0 / 3) < 1e-9);
	cr_expect(b.cheapest == 1 && fabs(b.cheapest_score - 0.375) < 1e-9);
	cr_expect(fabs(b.random - 0.5) < 1e-9 && fabs(b.oracle - 2.0 / 3) < 1e-9);
	cr_expect(fabs(b.tie_rate - 2.0 / 3) < 1e-9 && fabs(b.equal_rate - 2.0 / 3) < 1e-9);
	baseline_compute(score, NULL, 4, 2, &b);
	cr_expect(b.cheapest == BASELINE_NONE && isnan(b.cheapest_score));
}

Test(eval, outcome)
{
	static const float score[4 * 2] = { 1, 0, 0, 1, 0, 0, 1, NAN };
	static const float cost[4 * 2] = { 2, 1, 2, 1, 2, 1, 2, 1 };
	static const size_t choice[4] = { 0, 1, 1, 0 }, best[4] = { 0, 0, 0, 0 };
	const bool only_first[2] = { true, false };
	struct eval_input in = { .n = 4, .m = 2, .score = score, .cost = cost, .choice = choice,
		.best = best, .cheapest = 1, .min_full = 2, .draws = 200, .seed = 1 };
	struct eval_result r;

	cr_assert(eval_run(&in, NULL, &r, NULL) == 0);
	cr_expect(r.full == 3 && r.compared);
	cr_expect(fabs(r.router - 2.0 / 3) < 1e-9 && fabs(r.best - 1.0 / 3) < 1e-9);
	cr_expect(fabs(r.oracle - 2.0 / 3) < 1e-9 && fabs(r.random - 1.0 / 3) < 1e-9);
	cr_expect(fabs(r.router_cost - 4.0 / 3) < 1e-9 && fabs(r.best_cost - 2) < 1e-9);
	cr_expect(fabs(r.delta.value - 1.0 / 3) < 1e-9 && fabs(r.gap.value - 1) < 1e-9);
	in.min_full = 4;
	cr_assert(eval_run(&in, NULL, &r, NULL) == 0);
	cr_expect(!r.compared && r.full == 3 && isnan(r.router) && isnan(r.delta.value));
	in.min_full = 1;
	in.candidate = only_first;
	cr_assert(eval_run(&in, NULL, &r, NULL) == 0);
	cr_expect(r.full == 4, "only candidates' cells must be known");
}
