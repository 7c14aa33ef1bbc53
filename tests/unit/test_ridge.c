#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/mat.h"
#include "model/ridge.h"

enum { N = 6000, D = 12, M = 3 };

struct sample {
	float x[N * D], score[N * M], cost[N * M], weight[N];
	struct scorer_data data;
};

/* Scores that are affine in x and a little noise; gaps leave a third of the cells out. */
static struct sample *
make_sample(bool gaps, bool weights)
{
	struct sample *s = mem_calloc(1, sizeof *s, NULL);
	struct rng g;

	rng_seed(&g, 5);
	for (size_t i = 0; i < N; i++) {
		double norm = 0;

		for (size_t j = 0; j < D; j++) {
			s->x[i * D + j] = (float)(rng_normal(&g) + (j == 0));
			norm += (double)s->x[i * D + j] * (double)s->x[i * D + j];
		}
		for (size_t j = 0; j < D; j++)
			s->x[i * D + j] /= (float)sqrt(norm);
		for (size_t j = 0; j < M; j++) {
			bool gap = gaps && rng_below(&g, 3) == 0;

			s->score[i * M + j] = gap ? NAN : (float)(0.5 + 0.3 *
			    (double)s->x[i * D + j] + 0.05 * rng_normal(&g));
			s->cost[i * M + j] = j == 1 ? NAN : (float)(2 + (double)s->x[i * D + 1]);
		}
		s->weight[i] = (float)(0.5 + rng_double(&g));
	}
	s->data = (struct scorer_data){ .n = N, .d = D, .m = M, .x = s->x, .score = s->score,
		.cost = s->cost, .weight = weights ? s->weight : NULL };
	cr_assert(mat_open(NULL) == 0);
	return s;
}

/* The gradient of the penalised squares vanishes at the weights w [D + 1] of model j. */
static double
worst_gradient(const struct sample *s, const float *w, size_t j, double lambda)
{
	double gradient[D + 1] = { 0 }, worst = 0;

	for (size_t i = 0; i < N; i++) {
		double r = (double)w[D] - (double)s->score[i * M + j];
		double weight = s->data.weight != NULL ? (double)s->weight[i] : 1;

		if (isnan(r))
			continue;
		for (size_t k = 0; k < D; k++)
			r += (double)w[k] * (double)s->x[i * D + k];
		for (size_t k = 0; k < D; k++)
			gradient[k] += weight * r * (double)s->x[i * D + k];
		gradient[D] += weight * r;
	}
	for (size_t k = 0; k <= D; k++) {
		if (k < D)
			gradient[k] += lambda * (double)w[k];
		worst = fmax(worst, fabs(gradient[k]));
	}
	return worst;
}

/* Weights of model j from its predictions at zero-adjacent points: it is affine. */
static void
read_weights(const void *model, float *w, size_t j)
{
	void *scratch = ridge_kind.scratch_new(model, NULL);
	float q[D] = { 0 }, one[M], two[M], cost[M];

	for (size_t k = 0; k < D; k++) {
		q[k] = 0.25f;
		ridge_kind.score(model, q, SCORER_NO_ROW, scratch, one, cost);
		q[k] = 0.5f;
		ridge_kind.score(model, q, SCORER_NO_ROW, scratch, two, cost);
		w[k] = (two[j] - one[j]) * 4;
		w[D] = 2 * one[j] - two[j];
		q[k] = 0;
	}
	ridge_kind.scratch_free(scratch);
}

Test(ridge, least_squares)
{
	static const struct { const char *name; bool gaps, weights; } cases[] = {
		{ "plain", false, false }, { "gaps", true, false }, { "weights", false, true },
		{ "gaps and weights", true, true },
	};
	const struct ridge_params p = { 3 };

	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct sample *s = make_sample(cases[c].gaps, cases[c].weights);
		void *model = ridge_kind.fit(&p, &s->data, NULL);
		float w[D + 1];

		cr_assert(model != NULL, "%s", cases[c].name);
		for (size_t j = 0; j < M; j++) {
			double worst;

			read_weights(model, w, j);
			worst = worst_gradient(s, w, j, p.lambda);
			cr_assert(worst < 0.02, "%s: gradient %g", cases[c].name, worst);
		}
		ridge_kind.free(model);
		free(s);
	}
}

Test(ridge, threads_and_artifact)
{
	const struct ridge_params p = { 10 };
	struct sample *s = make_sample(true, false);
	struct pool *pool = pool_new(4, NULL);
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[] = "/tmp/ridge.XXXXXX";
	float zero[D] = { 0 }, score[3][M], cost[3][M];
	struct tensorfile *f;
	void *model[3], *scratch;

	model[0] = ridge_kind.fit(&p, &s->data, NULL);
	s->data.pool = pool;
	model[1] = ridge_kind.fit(&p, &s->data, NULL);
	close(mkstemp(path));
	cr_assert(ridge_kind.save(model[0], "a.", w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
	f = tensorfile_load(path, NULL);
	cr_assert(f != NULL);
	model[2] = ridge_kind.load(f, "a.", M, D, SLICE_LIT("{\"lambda\":10}"), NULL);
	for (size_t i = 0; i < 3; i++) {
		cr_assert(model[i] != NULL, "model %zu", i);
		scratch = ridge_kind.scratch_new(model[i], NULL);
		ridge_kind.score(model[i], s->x, SCORER_NO_ROW, scratch, score[i], cost[i]);
		ridge_kind.scratch_free(scratch);
		cr_assert(memcmp(score[i], score[0], sizeof score[0]) == 0, "model %zu", i);
		cr_assert(isnan(cost[i][1]) && fabsf(cost[i][0] - 2 - s->x[1]) < 0.05f,
		    "cost %g", (double)cost[i][0]);
	}
	scratch = ridge_kind.scratch_new(model[2], NULL);
	ridge_kind.score(model[2], zero, SCORER_NO_ROW, scratch, score[0], cost[0]);
	ridge_kind.scratch_free(scratch);
	cr_assert(fabsf(score[0][0] - 0.5f) < 0.1f);
	cr_assert(ridge_kind.load(f, "a.", M + 1, D, SLICE_LIT("{}"), NULL) == NULL);
	cr_assert(ridge_kind.load(f, "b.", M, D, SLICE_LIT("{}"), NULL) == NULL);
	cr_assert(ridge_kind.load(f, "a.", M, D, SLICE_LIT("{\"lambda\":-1}"), NULL) == NULL);
	for (size_t i = 0; i < 3; i++)
		ridge_kind.free(model[i]);
	tensorfile_free(f);
	tensorfile_writer_free(w);
	unlink(path);
	pool_free(pool);
	free(s);
}
