#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "math/adam.h"
#include "math/mat.h"
#include "model/mlp.h"

enum { N = 600, D = 6, M = 3 };

struct made { float x[N * D], score[N * M], cost[N * M], weight[N]; };

/*
 * Unit vectors. Scores: m0 is good where the first two signs agree, which no
 * linear function tells; m1 where they do not; m2 never known unless full.
 */
static struct scorer_data
make(struct made *t, bool full)
{
	struct rng g;

	rng_seed(&g, 5);
	for (size_t i = 0; i < N; i++) {
		float *x = t->x + i * D;
		double norm = 0;
		bool agree;

		for (size_t j = 0; j < D; j++) {
			x[j] = (float)rng_normal(&g);
			norm += (double)x[j] * (double)x[j];
		}
		for (size_t j = 0; j < D; j++)
			x[j] = (float)((double)x[j] / sqrt(norm));
		agree = x[0] * x[1] > 0;
		t->score[i * M] = agree ? 0.9f : 0.1f;
		t->score[i * M + 1] = rng_below(&g, 3) == 0 ? NAN : agree ? 0.1f : 0.9f;
		t->score[i * M + 2] = full ? 0.3f : NAN;
		t->cost[i * M] = 0.002f + 0.001f * x[2];
		t->cost[i * M + 1] = rng_below(&g, 2) == 0 ? NAN : 0.01f;
		t->cost[i * M + 2] = NAN;
		t->weight[i] = 1 + (float)rng_below(&g, 3);
	}
	return (struct scorer_data){ .n = N, .d = D, .m = M, .x = t->x, .score = t->score,
		.cost = t->cost, .seed = 3 };
}

static void
set(struct mlp_params *p, const char *name, const char *value)
{
	struct err e = ERR_INIT;

	cr_assert(mlp_kind.params_set(p, name, value, &e) == 0, "%s=%s: %s", name, value, e.msg);
}

static struct mlp_params
small(const char *activation)
{
	struct mlp_params p;

	mlp_kind.params_init(&p);
	set(&p, "hidden_layer_sizes", "24,13");
	set(&p, "activation", activation);
	set(&p, "learning_rate_init", "0.01");
	set(&p, "batch_size", "50");
	set(&p, "n_nets", "1");
	set(&p, "early_stopping", "false");
	set(&p, "max_iter", "60");
	set(&p, "n_iter_no_change", "1000");
	return p;
}

/* Labels as objective best has them: 1 for the best model of a row that is known. */
static void
make_labels(struct made *t)
{
	for (size_t i = 0; i < N; i++) {
		float *s = t->score + i * M;
		bool first = isnan(s[1]) || s[0] > s[1];

		s[0] = first;
		s[1] = isnan(s[1]) ? NAN : !first;
	}
}

/* Share of rows whose better model of the first two is told. */
static double
told(const void *model, const struct scorer_data *d)
{
	void *s = mlp_kind.scratch_new(model, NULL);
	float score[M], cost[M];
	size_t right = 0;

	for (size_t i = 0; i < d->n; i++) {
		mlp_kind.score(model, d->x + i * D, SCORER_NO_ROW, s, score, cost);
		right += (score[0] > score[1]) == (d->x[i * D] * d->x[i * D + 1] > 0);
	}
	mlp_kind.scratch_free(s);
	return (double)right / (double)d->n;
}

Test(mlp, learns_what_no_line_divides)
{
	static struct made t;
	struct scorer_data d = make(&t, false);
	static const struct { const char *activation, *extra, *value; double lo, hi; } cases[] = {
		{ "relu", "tol", "0", 0.93, 1 },
		{ "tanh", "tol", "0", 0.93, 1 },
		{ "logistic", "max_iter", "200", 0.93, 1 },
		{ "identity", "tol", "0", 0.3, 0.7 },	/* a line after all */
		{ "relu", "early_stopping", "true", 0.85, 1 },
		{ "relu", "dropout", "0.1", 0.85, 1 },
		{ "tanh", "dropout", "0.05", 0.85, 1 },
		{ "relu", "n_nets", "3", 0.93, 1 },
		{ "relu", "batch_size", "300", 0.85, 1 },
	};

	for (int best = 0; best < 2; best++) {
		if (best)
			make_labels(&t);
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			struct mlp_params p = small(cases[i].activation);
			struct err e = ERR_INIT;
			double share;
			void *m;

			set(&p, cases[i].extra, cases[i].value);
			d.best = best != 0;
			m = mlp_kind.fit(&p, &d, &e);
			cr_assert(m != NULL, "case %zu: %s", i, e.msg);
			share = told(m, &d);
			cr_expect(share >= cases[i].lo && share <= cases[i].hi,
				"case %zu, best %d: %g of the rows", i, best, share);
			mlp_kind.free(m);
		}
	}
}

/* Solve the 7 normal equations of one column, weighted, over known cells, by elimination. */
static void
least_squares(const struct scorer_data *d, size_t column, double out[D + 1])
{
	double a[D + 1][D + 2] = { { 0 } };

	for (size_t i = 0; i < d->n; i++) {
		double y = (double)d->score[i * M + column], x[D + 1];

		if (isnan(y))
			continue;
		for (size_t j = 0; j <= D; j++)
			x[j] = j < D ? (double)d->x[i * D + j] : 1;
		for (size_t j = 0; j <= D; j++) {
			for (size_t k = 0; k <= D; k++)
				a[j][k] += (double)d->weight[i] * x[j] * x[k];
			a[j][D + 1] += (double)d->weight[i] * x[j] * y;
		}
	}
	for (size_t j = 0; j <= D; j++)
		for (size_t k = 0; k <= D; k++) {
			double f = k == j ? 0 : a[k][j] / a[j][j];

			for (size_t l = 0; l <= D + 1 && k != j; l++)
				a[k][l] -= f * a[j][l];
		}
	for (size_t j = 0; j <= D; j++)
		out[j] = a[j][D + 1] / a[j][j];
}

Test(mlp, without_hidden_layers_is_least_squares)
{
	static struct made t;
	struct scorer_data d = make(&t, true);
	struct mlp_params p = small("relu");
	double want[D + 1];
	void *m, *s;

	d.weight = t.weight;
	for (size_t i = 0; i < N; i++)		/* something to regress on, noise beside */
		t.score[i * M + 1] *= 0.5f + 0.5f * t.x[i * D + 3];
	set(&p, "hidden_layer_sizes", "[]");
	set(&p, "alpha", "0");
	set(&p, "tol", "0");
	set(&p, "batch_size", "600");
	set(&p, "max_iter", "1500");
	set(&p, "n_iter_no_change", "1500");
	m = mlp_kind.fit(&p, &d, NULL);
	s = mlp_kind.scratch_new(m, NULL);
	for (size_t j = 0; j < M; j++) {
		least_squares(&d, j, want);
		for (size_t i = 0; i < 50; i++) {
			float score[M], cost[M];
			double y = want[D];

			for (size_t k = 0; k < D; k++)
				y += want[k] * (double)t.x[i * D + k];
			mlp_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
			cr_expect(fabs((double)score[j] - y) < 2e-3, "row %zu model %zu: %g, not %g", i,
				j, (double)score[j], y);
		}
	}
	mlp_kind.scratch_free(s);
	mlp_kind.free(m);
}

Test(mlp, means_and_models_without_data)
{
	static struct made t;
	struct scorer_data d = make(&t, false);
	struct mlp_params p = small("relu");
	float score[M], cost[M], zero[D] = { 0 };
	double sum = 0;
	void *m, *s;

	set(&p, "max_iter", "100");
	set(&p, "tol", "0");
	set(&p, "n_iter_no_change", "100");
	m = mlp_kind.fit(&p, &d, NULL);
	s = mlp_kind.scratch_new(m, NULL);
	for (size_t i = 0; i < N; i++) {
		mlp_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
		sum += (double)t.score[i * M] / N;
		cr_assert(isnan(cost[0]) && isnan(cost[2]), "costs are not its matter");
		cr_assert_eq(score[2], 0.5f, "a model without data");
	}
	mlp_kind.score(m, zero, SCORER_NO_ROW, s, score, cost);
	cr_expect(fabs((double)score[0] - sum) < 1e-6, "zero vector: %g, not the mean %g",
		(double)score[0], sum);
	cr_expect(score[2] == 0.5f && isnan(cost[1]), "zero vector");
	mlp_kind.scratch_free(s);
	mlp_kind.free(m);
}

Test(mlp, threads_do_not_show)
{
	static struct made t;
	struct scorer_data d = make(&t, false);
	static const char *const nets[] = { "1", "3" };

	for (size_t k = 0; k < 2; k++) {
		float want[64][M];

		for (unsigned threads = 1; threads <= 4; threads++) {
			struct mlp_params p = small("relu");
			float score[M], cost[M];
			void *m, *s;

			set(&p, "n_nets", nets[k]);
			set(&p, "batch_size", "400");
			set(&p, "early_stopping", "true");
			set(&p, "dropout", "0.1");
			set(&p, "max_iter", "10");
			d.pool = pool_new(threads, NULL);
			m = mlp_kind.fit(&p, &d, NULL);
			s = mlp_kind.scratch_new(m, NULL);
			for (size_t i = 0; i < 64; i++) {
				mlp_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, score, cost);
				if (threads == 1)
					memcpy(want[i], score, sizeof score);
				cr_expect(memcmp(want[i], score, sizeof score) == 0,
					"%s nets, %u threads, row %zu", nets[k], threads, i);
			}
			mlp_kind.scratch_free(s);
			mlp_kind.free(m);
			pool_free(d.pool);
		}
	}
}

Test(mlp, is_cancelled)
{
	static struct made t;
	struct scorer_data d = make(&t, false);
	struct cancel cancel;
	struct err e = ERR_INIT;
	struct mlp_params p = small("identity");

	atomic_init(&cancel.flag, 1);
	d.cancel = &cancel;
	cr_expect(mlp_kind.fit(&p, &d, &e) == NULL && e.code == ERR_INTR, "code %d", e.code);
	set(&p, "n_nets", "2");
	cr_expect(mlp_kind.fit(&p, &d, &e) == NULL && e.code == ERR_INTR, "code %d", e.code);
}

Test(mlp, hyperparameters)
{
	static const struct { const char *name, *value; int r; } cases[] = {
		{ "hidden_layer_sizes", "[256, 128, 64]", 0 }, { "hidden_dims", "(100,)", 0 },
		{ "hidden_layer_sizes", "", 0 }, { "hidden_layer_sizes", "0", -1 },
		{ "hidden_layer_sizes", "1,2,3,4,5,6,7,8,9", -1 }, { "hidden_layer_sizes", "8193", -1 },
		{ "hidden_layer_sizes", "12,,3", -1 }, { "activation", "logistic", 0 },
		{ "activation", "softplus", -1 }, { "alpha", "-1", -1 }, { "alpha", "nan", -1 },
		{ "lr", "0.01", 0 }, { "learning_rate", "adaptive", 0 }, { "learning_rate", "0.5", 0 },
		{ "learning_rate", "fast", -1 }, { "solver", "adam", 0 }, { "solver", "lbfgs", -1 },
		{ "optimizer", "sgd", -1 }, { "batch_size", "auto", 0 }, { "batch_size", "0", -1 },
		{ "epochs", "3", 0 }, { "early_stopping", "True", 0 }, { "early_stopping", "yes", -1 },
		{ "early_stopping_patience", "4", 0 }, { "dropout", "1", -1 }, { "n_nets", "65", -1 },
		{ "n_neighbors", "3", 1 }, { "", "3", 1 },
	};
	struct mlp_params p = { .n_hidden = 0 }, q;
	struct buf b = BUF_INIT;
	struct jsonw w;

	mlp_kind.params_init(&p);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = ERR_INIT;
		int r = mlp_kind.params_set(&p, cases[i].name, cases[i].value, &e);

		cr_expect(r == cases[i].r, "%s=%s: %d", cases[i].name, cases[i].value, r);
		cr_expect(r >= 0 || (e.code == ERR_USAGE && strstr(e.msg, cases[i].name) != NULL),
			"%s=%s: %s", cases[i].name, cases[i].value, e.msg);
	}
	set(&p, "hidden_layer_sizes", "7, 5");
	set(&p, "activation", "tanh");
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "objective", "score");
	mlp_kind.params_write(&p, &w);
	jsonw_end_object(&w);
	mlp_kind.params_init(&q);
	cr_expect(mlp_kind.params_read(&q, (struct slice){ b.p, b.len }, NULL) == 0);
	cr_expect(q.n_hidden == 2 && q.hidden[0] == 7 && q.hidden[1] == 5 && q.activation == MLP_TANH);
	cr_expect(q.batch_size == p.batch_size && q.rate == p.rate && q.n_iter_no_change == 4);
	buf_finish(&b);
}

static char *
hparams_of(const void *model, struct buf *b)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	mlp_kind.params_write(mlp_kind.params(model), &w);
	jsonw_end_object(&w);
	return b->p;
}

Test(mlp, comes_back_from_a_file_and_checks_it)
{
	static struct made t;
	struct scorer_data d = make(&t, false);
	char path[] = "/tmp/test_mlp.XXXXXX";
	struct buf b = BUF_INIT;
	struct slice json;

	cr_assert(close(mkstemp(path)) == 0);
	for (int best = 0; best < 2; best++) {
		struct mlp_params p = small("relu");
		struct tensorfile_writer *w = tensorfile_writer_new(NULL);
		struct tensorfile *f;
		void *m, *back, *s, *s2;
		float a[M], ac[M], c[M], cc[M];
		static const char *const wrong[] = { "{\"hidden_layer_sizes\":[24,14],\"n_nets\":2}",
			"{\"hidden_layer_sizes\":[8192,8192,8192,8192,8192,8192,8192,8192],\"n_nets\":64}",
			"{\"hidden_layer_sizes\":[24,13],\"n_nets\":3}", "{\"n_nets\":[]}", "[]", "{",
			"{\"hidden_layer_sizes\":{}}", "{\"activation\":\"re\\u006cu\"}" };

		set(&p, "n_nets", "2");
		set(&p, "max_iter", "3");
		d.best = best != 0;
		m = mlp_kind.fit(&p, &d, NULL);
		cr_assert(mlp_kind.save(m, "x.", w, NULL) == 0);
		cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
		f = tensorfile_load(path, NULL);
		buf_reset(&b);
		json.p = hparams_of(m, &b);
		json.n = b.len;
		back = mlp_kind.load(f, "x.", M, D, json, NULL);
		cr_assert(back != NULL);
		s = mlp_kind.scratch_new(m, NULL);
		s2 = mlp_kind.scratch_new(back, NULL);
		for (size_t i = 0; i < N; i++) {
			mlp_kind.score(m, t.x + i * D, SCORER_NO_ROW, s, a, ac);
			mlp_kind.score(back, t.x + i * D, SCORER_NO_ROW, s2, c, cc);
			cr_assert(memcmp(a, c, sizeof a) == 0, "row %zu", i);
		}
		for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
			struct err e = ERR_INIT;

			cr_expect(mlp_kind.load(f, "x.", M, D, slice_str(wrong[i]), &e) == NULL &&
				e.code == ERR_INPUT, "%s", wrong[i]);
		}
		cr_expect(mlp_kind.load(f, "x.", M + 1, D, json, NULL) == NULL, "another number of models");
		cr_expect(mlp_kind.load(f, "x.", M, D + 1, json, NULL) == NULL, "another dimension");
		cr_expect(mlp_kind.load(f, "", M, D, json, NULL) == NULL, "another prefix");
		mlp_kind.scratch_free(s);
		mlp_kind.scratch_free(s2);
		mlp_kind.free(back);
		mlp_kind.free(m);
		tensorfile_free(f);
		tensorfile_writer_free(w);
	}
	buf_finish(&b);
	cr_expect(unlink(path) == 0);
}

Test(mlp, softmax_leaves_out_the_unknown)
{
	float y[] = { 1000, 2000, 1000 - logf(3) }, known[] = { 1, NAN, 0 };

	mlp_softmax(y, known, 3);
	cr_expect(fabsf(y[0] - 0.75f) < 1e-4f && y[1] == 0 && fabsf(y[2] - 0.25f) < 1e-4f);
}

Test(affine, agrees_with_the_plain_definition)
{
	static const size_t shapes[][2] = { { 1, 1 }, { 7, 9 }, { 384, 128 }, { 128, 64 }, { 63, 9 },
		{ 5, 300 }, { 0, 20 } };
	struct rng g;

	rng_seed(&g, 1);
	for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
		for (int kernel = DOT_PORTABLE; kernel < DOT_KERNELS; kernel++) {
			size_t in = shapes[k][0], stride = AFFINE_STRIDE(shapes[k][1]);
			float *w = mem_aligned((in + 1) * stride, sizeof *w, NULL);
			float *y = mem_aligned(stride, sizeof *y, NULL), x[384];

			for (size_t i = 0; i < (in + 1) * stride; i++)
				w[i] = (float)rng_normal(&g);
			for (size_t i = 0; i < in; i++)
				x[i] = i % 3 == 0 ? 0 : (float)rng_normal(&g);
			if (dot_supported((enum dot_kernel)kernel))
				affine_apply((enum dot_kernel)kernel, w, in, stride, x, y);
			for (size_t j = 0; j < stride && dot_supported((enum dot_kernel)kernel); j++) {
				double want = (double)w[in * stride + j];

				for (size_t i = 0; i < in; i++)
					want += (double)x[i] * (double)w[i * stride + j];
				cr_expect(fabs(want - (double)y[j]) < 1e-4, "%zu x %zu, %s: %g, not %g", in,
					stride, dot_name((enum dot_kernel)kernel), (double)y[j], want);
			}
			free(w);
			free(y);
		}
}

/* By the paper's algorithm 1, in double; n no multiple of any vector, two partial gradients. */
Test(adam, agrees_with_the_plain_definition)
{
	enum { COUNT = 83 };
	struct rng g;

	for (int kernel = DOT_PORTABLE; kernel < DOT_KERNELS; kernel++) {
		struct adam a;
		float *w = mem_aligned(COUNT, sizeof *w, NULL), *part[2];
		double x[COUNT], m[COUNT] = { 0 }, v[COUNT] = { 0 };

		if (!dot_supported((enum dot_kernel)kernel)) {
			free(w);
			continue;
		}
		rng_seed(&g, 2);
		cr_assert(adam_init(&a, COUNT, 0.01, NULL) == 0);
		a.kernel = (enum dot_kernel)kernel;
		part[0] = mem_aligned(COUNT, sizeof **part, NULL);
		part[1] = mem_aligned(COUNT, sizeof **part, NULL);
		for (size_t i = 0; i < COUNT; i++)
			x[i] = (double)(w[i] = (float)rng_normal(&g));
		for (int t = 1; t <= 20; t++) {
			adam_next(&a);
			for (size_t i = 0; i < COUNT; i++) {
				double d;

				part[0][i] = (float)rng_normal(&g);
				part[1][i] = (float)rng_normal(&g);
				d = 0.5 * ((double)part[0][i] + (double)part[1][i]) + 0.1 * x[i];
				m[i] = 0.9 * m[i] + 0.1 * d;
				v[i] = 0.999 * v[i] + 0.001 * d * d;
				x[i] -= 0.01 * (m[i] / (1 - pow(0.9, t))) /
					(sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
			}
			adam_apply(&a, w, part, 2, 0.5f, 0.1f, 0, 48);
			adam_apply(&a, w, part, 2, 0.5f, 0.1f, 48, COUNT);
		}
		for (size_t i = 0; i < COUNT; i++)
			cr_expect(fabs(x[i] - (double)w[i]) < 1e-5, "%s, %zu: %g, not %g",
				dot_name((enum dot_kernel)kernel), i, (double)w[i], x[i]);
		adam_finish(&a);
		free(w);
		free(part[0]);
		free(part[1]);
	}
}

Test(mat, transposed_product)
{
	enum { K = 37, P = 5, Q = 3 };
	float a[K * P], b[K * Q], c[P * Q];
	struct rng g;

	cr_assert(mat_open(NULL) == 0);
	rng_seed(&g, 9);
	for (size_t i = 0; i < K * P; i++)
		a[i] = (float)rng_normal(&g);
	for (size_t i = 0; i < K * Q; i++)
		b[i] = (float)rng_normal(&g);
	mat_mul_tn(2, (struct mat){ a, K, P, P }, (struct mat){ b, K, Q, Q }, 0,
		(struct mat){ c, P, Q, Q });
	for (size_t i = 0; i < P; i++)
		for (size_t j = 0; j < Q; j++) {
			double want = 0;

			for (size_t k = 0; k < K; k++)
				want += 2 * (double)a[k * P + i] * (double)b[k * Q + j];
			cr_expect(fabs(want - (double)c[i * Q + j]) < 1e-4, "%zu %zu", i, j);
		}
}
