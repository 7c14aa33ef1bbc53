#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/mat.h"
#include "model/hybrid.h"
#include "model/trees.h"

enum { N = 900, D = 16, M = 3 };

struct sample {
	float x[N * D], score[N * M], cost[N * M];
	struct scorer_data data;
};

static void
draw_row(struct rng *g, float *x)
{
	double norm = 0;

	for (size_t j = 0; j < D; j++) {
		x[j] = j < D / 2 ? (float)rng_normal(g) : 0;
		norm += (double)x[j] * (double)x[j];
	}
	for (size_t j = 0; j < D; j++)
		x[j] /= (float)sqrt(norm);
}

/* Where x[0] and x[1] have the same sign model 1 is right, else model 2; model 0 is right 7 times of 10 by chance. */
static size_t
right_model(const float *x)
{
	return (x[0] > 0) == (x[1] > 0) ? 1 : 2;
}

/* Rows vary in the first half of the dimensions only. */
static struct sample *
make_sample(bool gaps)
{
	struct sample *s = mem_calloc(1, sizeof *s, NULL);
	struct rng g;

	rng_seed(&g, 8);
	for (size_t i = 0; i < N; i++) {
		float *x = s->x + i * D, *t = s->score + i * M;

		draw_row(&g, x);
		t[0] = rng_double(&g) < 0.7;
		t[1] = right_model(x) == 1;
		t[2] = right_model(x) == 2;
		for (size_t j = 0; j < M; j++) {
			s->cost[i * M + j] = j == 2 ? NAN : (float)(0.5 * (double)(j + 1));
			if (gaps && rng_below(&g, 4) == 0)
				t[j] = NAN;
		}
	}
	s->data = (struct scorer_data){ .n = N, .d = D, .m = M, .x = s->x, .score = s->score,
		.cost = s->cost, .seed = 42 };
	cr_assert(mat_open(NULL) == 0);
	return s;
}

/* Share of new rows on which the kind's first choice is right. */
static double
accuracy(const struct scorer_kind *kind, const void *model)
{
	void *scratch = kind->scratch_new(model, NULL);
	size_t right = 0;
	struct rng g;

	rng_seed(&g, 99);
	for (size_t i = 0; i < 500; i++) {
		float x[D], score[M], cost[M];

		draw_row(&g, x);
		kind->score(model, x, SCORER_NO_ROW, scratch, score, cost);
		right += score[right_model(x)] > score[3 - right_model(x)];
		cr_assert(fabsf(cost[0] - 0.5f) < 1e-4f && isnan(cost[2]), "%g", (double)cost[0]);
	}
	kind->scratch_free(scratch);
	return (double)right / 500;
}

Test(hybrid, trees_see_what_a_line_cannot)
{
	for (int gaps = 0; gaps < 2; gaps++) {
		struct sample *s = make_sample(gaps);
		struct trees_params p;
		void *model;

		trees_kind.params_init(&p);
		model = trees_kind.fit(&p, &s->data, NULL);
		cr_assert(model != NULL);
		cr_assert(accuracy(&trees_kind, model) > 0.85, "gaps %d: %g", gaps,
		    accuracy(&trees_kind, model));
		trees_kind.free(model);
		free(s);
	}
}

Test(hybrid, prefers_the_member_that_is_right)
{
	struct sample *s = make_sample(false);
	struct hybrid_params p;
	void *model;

	hybrid_kind.params_init(&p);
	model = hybrid_kind.fit(&p, &s->data, NULL);
	cr_assert(model != NULL);
	cr_assert(accuracy(&hybrid_kind, model) > 0.85, "%g", accuracy(&hybrid_kind, model));
	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (strcmp(hybrid_member_name(i), "trees") == 0)
			cr_assert(hybrid_weight(model, i) > 0.4, "%g", hybrid_weight(model, i));
		else if (strcmp(hybrid_member_name(i), "ridge") == 0)
			cr_assert(hybrid_weight(model, i) < 0.3, "%g", hybrid_weight(model, i));
	hybrid_kind.free(model);
	free(s);
}

/* Half of the dimensions was never seen in training: there each model's mean is the answer. */
Test(hybrid, far_away_falls_back)
{
	struct sample *s = make_sample(false);
	struct hybrid_params p;
	float far[D] = { 0 }, score[M], cost[M], zero[M];
	void *model, *scratch;

	hybrid_kind.params_init(&p);
	model = hybrid_kind.fit(&p, &s->data, NULL);
	scratch = hybrid_kind.scratch_new(model, NULL);
	hybrid_kind.score(model, far, SCORER_NO_ROW, scratch, zero, cost);
	far[D - 1] = 1;
	hybrid_kind.score(model, far, SCORER_NO_ROW, scratch, score, cost);
	for (size_t j = 0; j < M; j++)
		cr_assert(fabsf(score[j] - zero[j]) < 1e-6f, "%g %g", (double)score[j],
		    (double)zero[j]);
	hybrid_kind.scratch_free(scratch);
	hybrid_kind.free(model);
	free(s);
}

static void
write_params(struct buf *b)
{
	struct hybrid_params p;
	struct jsonw w;

	hybrid_kind.params_init(&p);
	jsonw_init(&w, b);
	jsonw_object(&w);
	hybrid_kind.params_write(&p, &w);
	jsonw_end_object(&w);
}

Test(hybrid, threads_and_artifact)
{
	struct sample *s = make_sample(true);
	struct pool *pool = pool_new(4, NULL);
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[] = "/tmp/hybrid.XXXXXX";
	float score[3][M], cost[3][M];
	struct buf json = BUF_INIT;
	struct hybrid_params p;
	struct tensorfile *f;
	void *model[3];

	hybrid_kind.params_init(&p);
	write_params(&json);
	model[0] = hybrid_kind.fit(&p, &s->data, NULL);
	s->data.pool = pool;
	model[1] = hybrid_kind.fit(&p, &s->data, NULL);
	close(mkstemp(path));
	cr_assert(model[0] != NULL && hybrid_kind.save(model[0], "", w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
	f = tensorfile_load(path, NULL);
	cr_assert(f != NULL);
	model[2] = hybrid_kind.load(f, "", M, D, (struct slice){ json.p, json.len }, NULL);
	for (size_t i = 0; i < 3; i++) {
		void *scratch;

		cr_assert(model[i] != NULL, "model %zu", i);
		scratch = hybrid_kind.scratch_new(model[i], NULL);
		hybrid_kind.score(model[i], s->x, SCORER_NO_ROW, scratch, score[i], cost[i]);
		hybrid_kind.scratch_free(scratch);
		cr_assert(memcmp(score[i], score[0], sizeof score[0]) == 0, "model %zu", i);
	}
	cr_assert(hybrid_kind.load(f, "", M + 1, D, (struct slice){ json.p, json.len }, NULL) == NULL);
	cr_assert(hybrid_kind.load(f, "", M, D, SLICE_LIT("{\"members\":[\"ridge\"]}"), NULL) == NULL);
	cr_assert(hybrid_kind.load(f, "", M, D, SLICE_LIT("{\"members\":[\"none\"]}"), NULL) == NULL);
	for (size_t i = 0; i < 3; i++)
		hybrid_kind.free(model[i]);
	tensorfile_free(f);
	tensorfile_writer_free(w);
	buf_finish(&json);
	unlink(path);
	pool_free(pool);
	free(s);
}

Test(hybrid, parameters)
{
	static const struct { const char *name, *value; int want; } cases[] = {
		{ "members", "knn,ridge", 0 }, { "members", "[\"trees\"]", 0 }, { "members", "", -1 },
		{ "members", "bert", -1 }, { "folds", "5", 0 }, { "folds", "1", -1 },
		{ "guard", "false", 0 }, { "guard", "perhaps", -1 }, { "ridge.lambda", "2", 0 },
		{ "ridge.lambda", "x", -1 }, { "ridge.k", "2", 1 }, { "bert.k", "2", 1 }, { "k", "3", 1 },
	};
	struct hybrid_params p;

	hybrid_kind.params_init(&p);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_assert(hybrid_kind.params_set(&p, cases[i].name, cases[i].value, NULL) ==
		    cases[i].want, "%s=%s", cases[i].name, cases[i].value);
}
