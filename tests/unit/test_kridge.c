#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/mat.h"
#include "model/kridge.h"

enum { N = 300, D = 8, M = 3 };

struct sample {
	float x[N * D], score[N * M], cost[N * M];
	struct scorer_data data;
};

static struct sample *
make_sample(bool gaps)
{
	struct sample *s = mem_calloc(1, sizeof *s, NULL);
	struct rng g;

	rng_seed(&g, 3);
	for (size_t i = 0; i < N; i++) {
		double norm = 0;

		for (size_t j = 0; j < D; j++) {
			s->x[i * D + j] = (float)rng_normal(&g);
			norm += (double)s->x[i * D + j] * (double)s->x[i * D + j];
		}
		for (size_t j = 0; j < D; j++)
			s->x[i * D + j] /= (float)sqrt(norm);
		for (size_t j = 0; j < M; j++) {
			s->score[i * M + j] = gaps && rng_below(&g, 3) == 0 ? NAN : (float)rng_double(&g);
			s->cost[i * M + j] = j == 0 ? NAN : 0.25f;
		}
	}
	s->data = (struct scorer_data){ .n = N, .d = D, .m = M, .x = s->x, .score = s->score,
		.cost = s->cost, .seed = 1 };
	cr_assert(mat_open(NULL) == 0);
	return s;
}

/*
 * Where K a + lambda a = y the prediction of a training row is y - lambda a,
 * so sum of K(i, j) (y_j - f_j) / lambda = f_i - mean for each row that is known.
 */
static double
worst_residual(const struct sample *s, const void *model, const struct kridge_params *p, size_t j)
{
	void *scratch = kridge_kind.scratch_new(model, NULL);
	double mean = 0, f[N], worst = 0;
	size_t known = 0;

	for (size_t i = 0; i < N; i++) {
		float score[M], cost[M];

		kridge_kind.score(model, s->x + i * D, SCORER_NO_ROW, scratch, score, cost);
		cr_assert(isnan(cost[0]) && fabsf(cost[1] - 0.25f) < 1e-5f);
		f[i] = (double)score[j];
		if (!isnan(s->score[i * M + j])) {
			mean += (double)s->score[i * M + j];
			known++;
		}
	}
	mean /= (double)known;
	for (size_t i = 0; i < N; i++) {
		double sum = 0;

		for (size_t k = 0; k < N; k++) {
			double square = 0;

			if (isnan(s->score[k * M + j]))
				continue;
			for (size_t c = 0; c < D; c++)
				square += pow((double)s->x[i * D + c] - (double)s->x[k * D + c], 2);
			sum += exp(-p->gamma * square) * ((double)s->score[k * M + j] - f[k]) / p->lambda;
		}
		worst = fmax(worst, fabs(sum + mean - f[i]));
	}
	kridge_kind.scratch_free(scratch);
	return worst;
}

Test(kridge, solves_its_equations)
{
	const struct kridge_params p = { 1.5, 2, 1000 };

	for (int gaps = 0; gaps < 2; gaps++) {
		struct sample *s = make_sample(gaps);
		void *model = kridge_kind.fit(&p, &s->data, NULL);

		cr_assert(model != NULL);
		for (size_t j = 0; j < M; j++)
			cr_assert(worst_residual(s, model, &p, j) < 0.01, "gaps %d model %zu: %g", gaps, j,
			    worst_residual(s, model, &p, j));
		kridge_kind.free(model);
		free(s);
	}
}

Test(kridge, threads_artifact_and_fewer_rows)
{
	const struct kridge_params p = { 2, 3, 100 };
	struct sample *s = make_sample(true);
	struct pool *pool = pool_new(4, NULL);
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[] = "/tmp/kridge.XXXXXX";
	float score[3][M], cost[3][M];
	struct tensorfile *f;
	void *model[3];

	model[0] = kridge_kind.fit(&p, &s->data, NULL);
	s->data.pool = pool;
	model[1] = kridge_kind.fit(&p, &s->data, NULL);
	close(mkstemp(path));
	cr_assert(model[0] != NULL && kridge_kind.save(model[0], "", w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
	f = tensorfile_load(path, NULL);
	model[2] = kridge_kind.load(f, "", M, D, SLICE_LIT("{\"gamma\":2,\"lambda\":3}"), NULL);
	for (size_t i = 0; i < 3; i++) {
		void *scratch;

		cr_assert(model[i] != NULL, "model %zu", i);
		scratch = kridge_kind.scratch_new(model[i], NULL);
		kridge_kind.score(model[i], s->x, SCORER_NO_ROW, scratch, score[i], cost[i]);
		kridge_kind.scratch_free(scratch);
		cr_assert(memcmp(score[i], score[0], sizeof score[0]) == 0, "model %zu", i);
	}
	cr_assert(kridge_kind.load(f, "", M, D + 1, SLICE_LIT("{}"), NULL) == NULL);
	for (size_t i = 0; i < 3; i++)
		kridge_kind.free(model[i]);
	tensorfile_free(f);
	tensorfile_writer_free(w);
	unlink(path);
	pool_free(pool);
	free(s);
}
