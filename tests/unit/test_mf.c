#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "model/mf.h"

enum { N = 800, D = 8, M = 4 };

struct made { float x[N * D], score[N * M], cost[N * M], weight[N]; };

/*
 * Unit vectors. m0 does better where x[0] > 0, m1 elsewhere, both with noise; m2
 * is always tied with m0 or missing; m3 is never known.
 */
static struct scorer_data
make(struct made *t)
{
	struct rng g;

	rng_seed(&g, 5);
	for (size_t i = 0; i < N; i++) {
		float *x = t->x + i * D, *s = t->score + i * M;
		double norm = 0;

		for (size_t j = 0; j < D; j++) {
			x[j] = (float)rng_normal(&g);
			norm += (double)x[j] * (double)x[j];
		}
		for (size_t j = 0; j < D; j++)
			x[j] = (float)((double)x[j] / sqrt(norm));
		s[0] = rng_double(&g) < 0.5 + 0.45 * (double)(x[0] > 0 ? 1 : -1) ? 1 : 0;
		s[1] = rng_double(&g) < 0.5 - 0.45 * (double)(x[0] > 0 ? 1 : -1) ? 1 : 0;
		s[2] = rng_below(&g, 2) == 0 ? NAN : s[0];
		s[3] = NAN;
		for (size_t j = 0; j < M; j++)
			t->cost[i * M + j] = j == 3 ? NAN : 0.01f * (float)(j + 1) + 0.001f * x[1];
		t->weight[i] = 1;
	}
	return (struct scorer_data){ .n = N, .d = D, .m = M, .x = t->x, .score = t->score,
		.cost = t->cost, .seed = 3 };
}

static void
set(struct mf_params *p, const char *name, const char *value)
{
	struct err e = ERR_INIT;

	cr_assert(mf_kind.params_set(p, name, value, &e) == 0, "%s=%s: %s", name, value, e.msg);
}

static struct mf_params
small(void)
{
	struct mf_params p;

	mf_kind.params_init(&p);
	set(&p, "latent_dim", "16");
	set(&p, "lr", "0.02");
	return p;
}

Test(mf, learns_the_order_and_its_level)
{
	static struct made t;
	struct scorer_data d = make(&t);
	static const struct { const char *name, *value; } cases[] = { { "epochs", "5" },
		{ "noise_alpha", "0.05" }, { "regularization", "0.001" }, { "batch_size", "800" },
		{ "n_factors", "1" } };

	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct mf_params p = small();
		float score[M], cost[M];
		size_t right = 0;
		double mean[2] = { 0 }, want[2] = { 0 };
		void *m, *s;

		set(&p, "epochs", "30");
		set(&p, cases[k].name, cases[k].value);
		m = mf_kind.fit(&p, &d, NULL);
		s = mf_kind.scratch_new(m, NULL);
		for (size_t i = 0; i < N; i++) {
			mf_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
			right += (score[0] > score[1]) == (t.x[i * D] > 0);
			for (size_t j = 0; j < 2; j++) {
				mean[j] += (double)score[j] / N;
				want[j] += (double)t.score[i * M + j] / N;
			}
			cr_assert(score[3] == 0.5f && isnan(cost[3]), "a model without data: %g",
				(double)score[3]);
		}
		cr_expect(right > N * 9 / 10, "%s: %zu of %d", cases[k].name, right, N);
		for (size_t j = 0; j < 2; j++)
			cr_expect(fabs(mean[j] - want[j]) < 0.1, "%s: mean of model %zu is %g, not %g",
				cases[k].name, j, mean[j], want[j]);
		mf_kind.scratch_free(s);
		mf_kind.free(m);
	}
}

/* Nothing but ties: no pair to learn from, so no model is told from another but by its mean. */
Test(mf, ties_teach_nothing)
{
	static struct made t;
	struct scorer_data d = make(&t);
	struct mf_params p = small();
	float score[M], cost[M], zero[D] = { 0 };
	void *m, *s;

	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < 3; j++)
			t.score[i * M + j] = i % 2 == 0 ? 1 : 0;
	d.cost = NULL;
	m = mf_kind.fit(&p, &d, NULL);
	s = mf_kind.scratch_new(m, NULL);
	for (size_t i = 0; i < N; i++) {
		mf_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
		for (size_t j = 0; j < M; j++)
			cr_assert(fabsf(score[j] - 0.5f) < 0.05f && isnan(cost[j]), "row %zu: %g", i,
				(double)score[j]);
	}
	mf_kind.score(m, zero, SCORER_NO_ROW, s, score, cost);
	cr_expect(score[0] == 0.5f && score[3] == 0.5f);
	mf_kind.scratch_free(s);
	mf_kind.free(m);
}

Test(mf, weights_count)
{
	static struct made t;
	struct scorer_data d = make(&t);
	struct mf_params p = small();
	float score[M], cost[M];
	size_t second = 0;
	void *m, *s;

	/* Where m0 is better hardly counts, so m1 wins nearly everywhere. */
	for (size_t i = 0; i < N; i++)
		t.weight[i] = t.score[i * M] > t.score[i * M + 1] ? 0.001f : 1;
	d.weight = t.weight;
	set(&p, "epochs", "30");
	m = mf_kind.fit(&p, &d, NULL);
	s = mf_kind.scratch_new(m, NULL);
	for (size_t i = 0; i < N; i++) {
		mf_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
		second += score[1] > score[0];
	}
	cr_expect(second > N * 3 / 5, "%zu of %d", second, N);
	mf_kind.scratch_free(s);
	mf_kind.free(m);
}

Test(mf, few_rows_and_cancel)
{
	static struct made t;
	struct scorer_data d = make(&t);
	struct mf_params p = small();
	struct cancel cancel;
	struct err e = ERR_INIT;

	for (d.n = 1; d.n < 8; d.n++) {
		void *m = mf_kind.fit(&p, &d, &e);

		cr_expect(m != NULL, "%zu rows: %s", d.n, e.msg);
		mf_kind.free(m);
	}
	atomic_init(&cancel.flag, 1);
	d.cancel = &cancel;
	cr_expect(mf_kind.fit(&p, &d, &e) == NULL && e.code == ERR_INTR, "code %d", e.code);
	d.n = 0;
	cr_expect(mf_kind.fit(&p, &d, &e) == NULL && e.code == ERR_INPUT, "no rows: %d", e.code);
}

Test(mf, hyperparameters)
{
	static const struct { const char *name, *value; int r; } cases[] = { { "latent_dim", "50", 0 },
		{ "n_factors", "0", -1 }, { "latent_dim", "4097", -1 }, { "lr", "0.01", 0 },
		{ "learning_rate", "0", -1 }, { "epochs", "100", 0 }, { "epochs", "1.5", -1 },
		{ "noise_alpha", "-1", -1 }, { "noise_alpha", "inf", -1 }, { "regularization", "0.02", 0 },
		{ "batch_size", "64", 0 }, { "text_dim", "768", 1 } };
	struct mf_params p;

	mf_kind.params_init(&p);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = ERR_INIT;
		int r = mf_kind.params_set(&p, cases[i].name, cases[i].value, &e);

		cr_expect(r == cases[i].r && (r >= 0 || e.code == ERR_USAGE), "%s=%s: %d", cases[i].name,
			cases[i].value, r);
	}
	cr_expect(p.latent_dim == 50 && p.rate == 0.01 && p.epochs == 100 && p.batch_size == 64);
}

Test(mf, comes_back_from_a_file_and_checks_it)
{
	static struct made t;
	struct scorer_data d = make(&t);
	struct mf_params p = small();
	char path[] = "/tmp/test_mf.XXXXXX";
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	struct tensorfile *f;
	struct buf b = BUF_INIT;
	struct jsonw j;
	struct slice json;
	float a[M], ac[M], c[M], cc[M];
	void *m, *back, *s, *s2;

	cr_assert(close(mkstemp(path)) == 0);
	m = mf_kind.fit(&p, &d, NULL);
	cr_assert(mf_kind.save(m, "x.", w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
	f = tensorfile_load(path, NULL);
	jsonw_init(&j, &b);
	jsonw_object(&j);
	mf_kind.params_write(mf_kind.params(m), &j);
	jsonw_end_object(&j);
	json = (struct slice){ b.p, b.len };
	back = mf_kind.load(f, "x.", M, D, json, NULL);
	cr_assert(back != NULL);
	cr_expect(((const struct mf_params *)mf_kind.params(back))->latent_dim == 16);
	s = mf_kind.scratch_new(m, NULL);
	s2 = mf_kind.scratch_new(back, NULL);
	for (size_t i = 0; i < N; i++) {
		mf_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, a, ac);
		mf_kind.score(back, t.x + i * D, SCORER_NO_ROW, s2, c, cc);
		cr_assert(memcmp(a, c, sizeof a) == 0 && memcmp(ac, cc, 3 * sizeof *ac) == 0, "row %zu", i);
	}
	cr_expect(mf_kind.load(f, "x.", M - 1, D, json, NULL) == NULL, "another number of models");
	cr_expect(mf_kind.load(f, "x.", M, D + 1, json, NULL) == NULL, "another dimension");
	cr_expect(mf_kind.load(f, "y.", M, D, json, NULL) == NULL, "another prefix");
	cr_expect(mf_kind.load(f, "x.", M, D, SLICE_LIT("{\"lr\":-1}"), NULL) == NULL, "a bad value");
	mf_kind.scratch_free(s);
	mf_kind.scratch_free(s2);
	mf_kind.free(back);
	mf_kind.free(m);
	tensorfile_free(f);
	tensorfile_writer_free(w);
	buf_finish(&b);
	cr_expect(unlink(path) == 0);
}
