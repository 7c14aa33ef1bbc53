#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "math/mat.h"
#include "math/platt.h"
#include "math/rff.h"
#include "math/smo.h"
#include "model/svm.h"

enum { N = 600, ROWS = 1200, D = 24, M = 4 };

static float *
unit_rows(size_t n, size_t d, uint64_t seed)
{
	float *x = mem_aligned(n * d, sizeof *x, NULL);
	struct rng g;

	rng_seed(&g, seed);
	for (size_t i = 0; i < n; i++) {
		double norm = 0;

		for (size_t j = 0; j < d; j++) {
			x[i * d + j] = (float)rng_normal(&g);
			norm += (double)x[i * d + j] * (double)x[i * d + j];
		}
		for (size_t j = 0; j < d; j++)
			x[i * d + j] = (float)((double)x[i * d + j] / sqrt(norm));
	}
	return x;
}

/* ---- elementwise -------------------------------------------------------------------- */

Test(svm, maps_agree_with_libm_and_with_their_plain_forms)
{
	enum { COUNT = 1003 };
	float x[COUNT], a[COUNT], b[COUNT], half[COUNT];
	const struct kernel kernels[] = { { KERNEL_RBF, 0.7f, 0, 0 }, { KERNEL_LINEAR, 1, 0, 0 },
		{ KERNEL_POLY, 0.5f, 1, 3 } };

	for (size_t i = 0; i < COUNT; i++) {
		x[i] = -90 + (float)i * 0.18f;
		half[i] = 0.5f + (float)(i % 7) * 0.01f;
	}
	memcpy(a, x, sizeof a);
	memcpy(b, x, sizeof b);
	kernel_exp(a, COUNT);
	kernel_exp_ref(b, COUNT);
	cr_expect(memcmp(a, b, sizeof a) == 0, "exp: bits differ between instruction sets");
	for (size_t i = 0; i < COUNT; i++) {
		double want = exp((double)x[i]);

		if (x[i] < -87)
			cr_expect(a[i] == 0, "exp(%g) = %g", (double)x[i], (double)a[i]);
		else if (x[i] < 88)
			cr_expect(fabs((double)a[i] / want - 1) < 3e-7, "exp(%g) = %.9g, not %.9g",
			    (double)x[i], (double)a[i], want);
	}
	memcpy(a, x, sizeof a);
	kernel_cos(a, COUNT, 2);
	for (size_t i = 0; i < COUNT; i++)
		cr_expect(fabs((double)a[i] - 2 * cos((double)x[i])) < 2e-6, "cos(%g)", (double)x[i]);
	for (size_t k = 0; k < 3; k++) {
		for (size_t i = 0; i < COUNT; i++)
			a[i] = b[i] = x[i] / 90;
		kernel_map(&kernels[k], a, COUNT, half, 0.5f);
		kernel_map_ref(&kernels[k], b, COUNT, half, 0.5f);
		cr_expect(memcmp(a, b, sizeof a) == 0, "kernel %zu: bits differ", k);
	}
	cr_expect(kernel_dot(x, half, COUNT) == kernel_dot_ref(x, half, COUNT));
}

static double
plain_kernel(const struct kernel *k, const float *a, const float *b, size_t d)
{
	double dot = 0, dist = 0;

	for (size_t j = 0; j < d; j++) {
		double gap = (double)a[j] - (double)b[j];

		dot += (double)a[j] * (double)b[j];
		dist += gap * gap;
	}
	return k->type == KERNEL_RBF ? exp(-(double)k->gamma * dist) : k->type == KERNEL_LINEAR ? dot :
	    pow((double)k->gamma * dot + (double)k->coef0, (double)k->degree);
}

/* Sizes that leave part tiles and part vectors. */
Test(svm, blocks_agree_with_the_definition)
{
	enum { NA = 530, NB = 37, LD = 544 };
	const struct kernel kernels[] = { { KERNEL_RBF, 0.7f, 0, 0 }, { KERNEL_LINEAR, 1, 0, 0 },
		{ KERNEL_POLY, 0.5f, 1, 3 } };
	float *x = unit_rows(NA, D, 3), half[NA];
	float *out = mem_aligned(NA * LD, sizeof *out, NULL), *turned = mem_aligned(NB * LD, sizeof *out, NULL);
	uint16_t *coarse = mem_aligned(NA * LD, sizeof *coarse, NULL);
	struct pool *pool = pool_new(2, NULL);

	cr_assert(mat_open(NULL) == 0);
	kernel_half_norms((struct mat){ x, NA, D, D }, half);
	for (size_t k = 0; k < 3; k++) {
		struct kernel_rows a = { { x, NA, D, D }, half };
		struct kernel_rows b = { { x + 5 * D, NB, D, D }, half + 5 };
		struct kernel_range range = kernel_range(&kernels[k], 1.001f);
		struct kernel_out back = { turned, NULL, LD };

		cr_assert(kernel_block(&kernels[k], a, b, range, (struct kernel_out){ out, NULL, LD },
		    &back, pool, NULL) == 0);
		for (size_t i = 0; i < NA; i++)
			for (size_t j = 0; j < NB; j++) {
				double want = plain_kernel(&kernels[k], x + i * D, x + (5 + j) * D, D);

				cr_assert(fabs((double)out[i * LD + j] - want) < 1e-5, "kernel %zu "
				    "cell %zu %zu", k, i, j);
				cr_assert(turned[j * LD + i] == out[i * LD + j], "transpose %zu %zu", i, j);
			}
		cr_assert(kernel_block(&kernels[k], a, a, range, (struct kernel_out){ NULL, coarse, LD },
		    NULL, pool, NULL) == 0);
		for (size_t i = 0; i < NA; i++)
			for (size_t j = 0; j < NA; j++) {
				double want = plain_kernel(&kernels[k], x + i * D, x + j * D, D);
				double got = (double)range.low + (double)range.step * coarse[i * LD + j];

				cr_assert(fabs(got - want) < (double)range.step * 0.6 + 1e-5,
				    "kernel %zu 16-bit cell %zu %zu: %g, not %g", k, i, j, got, want);
			}
	}
	pool_free(pool);
	free(x);
	free(out);
	free(turned);
	free(coarse);
}

/* ---- the solver ----------------------------------------------------------------------- */

struct small {
	float *x, *half, *k, *z, *lo, *hi, *b, *f, *work;
	uint16_t *k16;
	struct kernel kernel;
	struct smo_matrix m;
	struct smo_problem p;
	struct smo_state s;
};

static void
small_open(struct small *t, float eps, float c, bool coarse)
{
	enum { P = 608 };
	struct kernel_out out = { NULL, NULL, P };
	struct rng g;

	memset(t, 0, sizeof *t);
	cr_assert(mat_open(NULL) == 0);
	rng_seed(&g, 5);
	t->kernel = (struct kernel){ KERNEL_RBF, 1, 0, 0 };
	t->x = unit_rows(N, D, 9);
	t->half = mem_aligned(P, sizeof(float), NULL);
	kernel_half_norms((struct mat){ t->x, N, D, D }, t->half);
	if (coarse)
		out.u16 = t->k16 = mem_aligned(P * P, sizeof *t->k16, NULL);
	else
		out.f32 = t->k = mem_aligned(P * P, sizeof *t->k, NULL);
	t->z = mem_aligned(P * 7, sizeof *t->z, NULL);
	t->lo = t->z + P;
	t->hi = t->lo + P;
	t->b = t->hi + P;
	t->f = t->b + P;
	t->work = t->f + P;
	for (size_t i = 0; i < N; i++) {
		double y = (double)t->x[i * D] * 2 + 0.3 * rng_normal(&g);

		t->z[i] = eps > 0 ? (float)y : y > 0 ? 1 : -1;
		t->hi[i] = eps > 0 || y > 0 ? c : 0;
		t->lo[i] = eps > 0 || y <= 0 ? -c : 0;
	}
	t->m = (struct smo_matrix){ P, P, { { out } }, kernel_range(&t->kernel, 1), NULL };
	t->p = (struct smo_problem){ P, t->z, t->lo, t->hi, eps, 1e-3, 0, NULL };
	t->s = (struct smo_state){ t->b, t->f };
	cr_assert(kernel_block(&t->kernel, (struct kernel_rows){ { t->x, N, D, D }, t->half },
	    (struct kernel_rows){ { t->x, N, D, D }, t->half }, t->m.range, out, NULL, NULL, NULL) == 0);
	smo_start(&t->p, &t->s);
}

static void
small_close(struct small *t)
{
	free(t->x);
	free(t->half);
	free(t->k);
	free(t->k16);
	free(t->z);
}

/* Feasible, and no pair of rows can lower the objective by moving: checked in double from b alone. */
static double
violation(const struct small *t, double *objective, double *sum)
{
	double top = -INFINITY, bottom = INFINITY;

	*objective = *sum = 0;
	for (size_t i = 0; i < N; i++) {
		double g = 0, b = (double)t->b[i], eps = (double)t->p.eps;

		cr_assert(t->b[i] >= t->lo[i] && t->b[i] <= t->hi[i], "row %zu left its box", i);
		for (size_t j = 0; j < N; j++)
			g += (double)t->b[j] * plain_kernel(&t->kernel, t->x + i * D, t->x + j * D, D);
		*objective += b * (g / 2 - (double)t->z[i]) + eps * fabs(b);
		*sum += b;
		g -= (double)t->z[i];
		if (t->b[i] < t->hi[i])
			top = fmax(top, -g + (b < 0 ? eps : -eps));
		if (t->b[i] > t->lo[i])
			bottom = fmin(bottom, -g + (b > 0 ? -eps : eps));
	}
	return top - bottom;
}

Test(svm, solver_meets_the_optimality_conditions)
{
	const struct { const char *name; float eps, c; bool coarse; double room; } cases[] = {
		{ "classes", 0, 1, false, 1.1e-3 },
		{ "classes, hard", 0, 100, false, 1.3e-3 },
		{ "classes, 16 bits", 0, 1, true, 3e-3 },
		{ "regression", 0.1f, 1, false, 1.1e-3 },
		{ "regression, no margin", 1e-6f, 0.05f, false, 1.1e-3 },
		{ "regression, wide margin", 5, 1, false, 1.1e-3 },
		{ "regression, 16 bits", 0.1f, 1, true, 3e-3 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		double objective, sum, wide;
		struct smo_outcome o, blocks;
		struct smo_state other;
		struct small t;

		small_open(&t, cases[i].eps, cases[i].c, cases[i].coarse);
		cr_assert(smo_solve(&t.m, &t.p, &t.s, t.work, &o, NULL) == 0);
		wide = violation(&t, &objective, &sum);
		cr_expect(o.converged, "%s: %llu steps", cases[i].name, (unsigned long long)o.steps);
		cr_expect(wide < cases[i].room, "%s: violation %g", cases[i].name, wide);
		cr_expect(fabs(sum) < 1e-3, "%s: sum %g", cases[i].name, sum);
		cr_expect(fabs(objective - o.objective) < 2e-3 + 1e-4 * fabs(objective), "%s: objective %g, "
		    "really %g", cases[i].name, o.objective, objective);
		/* Many rows at a time end in the same place. */
		other.b = mem_aligned(t.p.n, sizeof(float), NULL);
		other.f = mem_aligned(t.p.n, sizeof(float), NULL);
		smo_start(&t.p, &other);
		cr_assert(smo_solve_blocks(&t.kernel, (struct kernel_rows){ { t.x, N, D, D }, t.half },
		    &t.p, &other, 1, 300000, &blocks, NULL, NULL) == 0);
		cr_expect(blocks.converged, "%s: blocks did not converge", cases[i].name);
		cr_expect(fabs(blocks.objective - o.objective) < 2e-3 + 1e-3 * fabs(o.objective),
		    "%s: blocks %g, whole %g", cases[i].name, blocks.objective, o.objective);
		free(other.b);
		free(other.f);
		small_close(&t);
	}
}

Test(svm, solver_stops_when_cancelled)
{
	struct cancel cancel = { 1 };
	struct err e = ERR_INIT;
	struct smo_outcome o;
	struct small t;

	small_open(&t, 0, 1, false);
	t.p.cancel = &cancel;
	cr_expect(smo_solve(&t.m, &t.p, &t.s, t.work, &o, &e) == -1);
	cr_expect(e.code == ERR_INTR);
	small_close(&t);
}

/* ---- probabilities -------------------------------------------------------------------- */

Test(svm, sigmoid_finds_the_curve_that_made_the_labels)
{
	enum { COUNT = 20000 };
	double *v = mem_calloc(COUNT, sizeof *v, NULL);
	bool *yes = mem_calloc(COUNT, sizeof *yes, NULL);
	struct platt s;
	struct rng g;

	rng_seed(&g, 2);
	for (size_t i = 0; i < COUNT; i++) {
		v[i] = 2 * rng_normal(&g);
		yes[i] = rng_double(&g) < 1 / (1 + exp(-1.5 * v[i] + 0.5));
	}
	s = platt_fit(v, yes, COUNT);
	cr_expect(fabs(s.a + 1.5) < 0.08 && fabs(s.b - 0.5) < 0.08, "a %g b %g", s.a, s.b);
	cr_expect(platt_probability(s, 1e300) > 0.99 && platt_probability(s, -1e300) < 0.01);
	s = platt_fit(v, yes, 0);
	cr_expect(s.a == -1 && s.b == 0);
	for (size_t i = 0; i < COUNT; i++)
		yes[i] = true;
	s = platt_fit(v, yes, COUNT);
	cr_expect(platt_probability(s, 0) > 0.9, "one class only: %g", platt_probability(s, 0));
	free(v);
	free(yes);
}

/* Pairs that come from probabilities give them back. */
Test(svm, coupling_inverts_consistent_pairs)
{
	const double want[] = { 0.5, 0.3, 0.15, 0.05 };
	double r[16] = { 0 }, work[20], p[4];

	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++)
			if (i != j)
				r[i * 4 + j] = want[i] / (want[i] + want[j]);
	platt_couple(r, 4, work, p);
	for (size_t i = 0; i < 4; i++)
		cr_expect(fabs(p[i] - want[i]) < 0.005, "p[%zu] = %g", i, p[i]);
}

/* ---- the kind ------------------------------------------------------------------------- */

struct made { float *x, *score, *cost, *weight; struct scorer_data data; };

/* Model j is good where coordinate j is large; a fifth of the cells missing if asked. */
static void
made_open(struct made *t, bool best, bool gaps)
{
	struct rng g;

	rng_seed(&g, 21);
	t->x = unit_rows(ROWS, D, 4);
	t->score = mem_calloc(ROWS * M, sizeof(float), NULL);
	t->cost = mem_calloc(ROWS * M, sizeof(float), NULL);
	t->weight = mem_calloc(ROWS, sizeof(float), NULL);
	for (size_t i = 0; i < ROWS; i++) {
		size_t top = 0;

		t->weight[i] = 1 + (float)(i % 3);
		for (size_t j = 0; j < M; j++) {
			double y = 0.5 + 1.2 * (double)t->x[i * D + j] + 0.05 * rng_normal(&g);

			t->score[i * M + j] = (float)fmin(fmax(y, 0), 1);
			t->cost[i * M + j] = j == 1 ? NAN : (float)(j + 1) * 0.01f;
			if (gaps && rng_below(&g, 5) == 0)
				t->score[i * M + j] = NAN;
			if (t->x[i * D + j] > t->x[i * D + top])
				top = j;
		}
		for (size_t j = 0; best && j < M; j++)
			t->score[i * M + j] = j == top;
	}
	t->data = (struct scorer_data){ .n = ROWS, .d = D, .m = M, .x = t->x, .score = t->score,
		.cost = t->cost, .best = best, .seed = 7 };
}

static void
made_close(struct made *t)
{
	free(t->x);
	free(t->score);
	free(t->cost);
	free(t->weight);
}

/* "a=b c=d" */
static struct svm_params
params_of(const char *text)
{
	struct svm_params p;
	char copy[200], *save = NULL;

	svm_kind.params_init(&p);
	(void)snprintf(copy, sizeof copy, "%s", text);
	for (char *s = strtok_r(copy, " ", &save); s != NULL; s = strtok_r(NULL, " ", &save)) {
		char *value = strchr(s, '=');

		*value++ = '\0';
		cr_assert(svm_kind.params_set(&p, s, value, NULL) == 0, "%s", s);
	}
	return p;
}

/* Share of rows whose best model is chosen. */
static double
agreement(const void *model, const struct made *t)
{
	void *s = svm_kind.scratch_new(model, NULL);
	size_t right = 0;

	for (size_t i = 0; i < ROWS; i++) {
		float score[M], cost[M], sum = 0;
		size_t got = 0, want = 0;

		svm_kind.score(model, t->x + i * D, SCORER_NO_ROW, s, score, cost);
		for (size_t j = 0; j < M; j++) {
			cr_assert(isfinite(score[j]));
			sum += score[j];
			got = score[j] > score[got] ? j : got;
			want = t->x[i * D + j] > t->x[i * D + want] ? j : want;
		}
		if (t->data.best)
			cr_assert(fabsf(sum - 1) < 1e-3f, "row %zu: probabilities sum to %g", i, (double)sum);
		cr_assert(fabsf(cost[0] - 0.01f) < 1e-6f && isnan(cost[1]));
		right += got == want;
	}
	svm_kind.scratch_free(s);
	return (double)right / ROWS;
}

/* The artifact's bytes; and what loads from them scores the same. */
static size_t
saved(const struct svm *model, const struct made *t, uint8_t digest[32])
{
	char path[] = "/tmp/llmr-test-svm-XXXXXX";
	int fd = mkstemp(path);
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	struct buf b = BUF_INIT;
	struct tensorfile *f;
	struct jsonw json;
	struct svm *back;
	struct err e = ERR_INIT;
	void *s1, *s2;

	cr_assert(fd >= 0 && svm_kind.save(model, "r0.", w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, digest, NULL) == 0);
	tensorfile_writer_free(w);
	jsonw_init(&json, &b);
	jsonw_object(&json);
	svm_kind.params_write(svm_kind.params(model), &json);
	jsonw_end_object(&json);
	cr_assert((f = tensorfile_load(path, NULL)) != NULL);
	back = svm_kind.load(f, "r0.", M, D, (struct slice){ buf_cstr(&b), b.len }, &e);
	cr_assert(back != NULL, "%s", e.msg);
	s1 = svm_kind.scratch_new(model, NULL);
	s2 = svm_kind.scratch_new(back, NULL);
	for (size_t i = 0; i < 50; i++) {
		float a[M], c[M], a2[M], c2[M];

		svm_kind.score(model, t->x + i * D, SCORER_NO_ROW, s1, a, c);
		svm_kind.score(back, t->x + i * D, SCORER_NO_ROW, s2, a2, c2);
		cr_assert(memcmp(a, a2, sizeof a) == 0, "row %zu scores otherwise once loaded", i);
	}
	cr_expect(svm_kind.load(f, "r0.", M + 1, D, (struct slice){ buf_cstr(&b), b.len }, &e) == NULL);
	cr_expect(svm_kind.load(f, "r0.", M, D + 1, (struct slice){ buf_cstr(&b), b.len }, &e) == NULL);
	cr_expect(svm_kind.load(f, "r1.", M, D, (struct slice){ buf_cstr(&b), b.len }, &e) == NULL);
	cr_expect(svm_kind.load(f, "r0.", M, D, SLICE_LIT("{\"kernel\":7}"), &e) == NULL);
	svm_kind.scratch_free(s1);
	svm_kind.scratch_free(s2);
	svm_kind.free(back);
	tensorfile_free(f);
	buf_finish(&b);
	(void)close(fd);
	(void)unlink(path);
	return model->n;
}

/* Each way to fit learns, survives an artifact, and does not depend on threads. */
Test(svm, every_way_learns_and_gives_the_same_bytes)
{
	const struct { const char *params; bool best, gaps, weighted; double least; } cases[] = {
		{ "", false, false, false, 0.9 },
		{ "", false, true, false, 0.85 },
		{ "C=1 gamma=2 epsilon=0.05", false, false, true, 0.9 },
		{ "kernel=linear C=1", false, false, false, 0.9 },
		{ "kernel=poly gamma=1 coef0=1 degree=2", false, false, false, 0.9 },
		{ "exact_rows=0 n_components=400 alpha=0.1", false, false, false, 0.85 },
		{ "exact_rows=0 n_components=400 alpha=0.1", false, true, true, 0.8 },
		{ "exact_rows=0 kernel=linear", false, false, false, 0.9 },
		{ "C=1", true, false, false, 0.85 },
		{ "C=1 probability=false", true, false, true, 0.9 },
		{ "C=1 kernel=linear", true, false, false, 0.8 },
		{ "exact_rows=0", true, false, false, 0.8 },
	};
	struct pool *pools[] = { NULL, pool_new(2, NULL), pool_new(4, NULL) };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint8_t digest[3][32];
		struct made t;

		made_open(&t, cases[i].best, cases[i].gaps);
		t.data.weight = cases[i].weighted ? t.weight : NULL;
		for (size_t p = 0; p < 3; p++) {
			struct svm_params params = params_of(cases[i].params);
			struct err e = ERR_INIT;
			struct svm *model;
			double share;

			t.data.pool = pools[p];
			model = svm_kind.fit(&params, &t.data, &e);
			cr_assert(model != NULL, "case %zu: %s", i, e.msg);
			share = agreement(model, &t);
			cr_expect(share >= cases[i].least, "case %zu (%s): right in %g", i, cases[i].params,
			    share);
			cr_expect(model->params.approximated == (strstr(cases[i].params, "exact_rows=0") != NULL));
			cr_expect(saved(model, &t, digest[p]) > 0);
			svm_kind.free(model);
			cr_expect(memcmp(digest[0], digest[p], 32) == 0, "case %zu: other bytes, pool %zu", i, p);
		}
		made_close(&t);
	}
	pool_free(pools[1]);
	pool_free(pools[2]);
}

/* Whatever fits into memory, the machine is the same within the tolerance. */
Test(svm, less_memory_gives_the_same_machine)
{
	const struct { bool best; size_t cache_mb; const char *name; } cases[] = {
		{ false, 3, "regression, 16 bits" }, { false, 2, "regression, blocks" },
		{ true, 2, "pairs made anew" }, { true, 1, "pairs, 16 bits" }, { true, 0, "pairs, blocks" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct svm_params p = params_of("C=1");
		struct svm *plenty, *little;
		struct err e = ERR_INIT;
		struct made t;
		void *s1, *s2;
		float worst = 0;

		made_open(&t, cases[i].best, false);
		plenty = svm_kind.fit(&p, &t.data, &e);
		p.cache_mb = cases[i].cache_mb;
		little = svm_kind.fit(&p, &t.data, &e);
		cr_assert(plenty != NULL && little != NULL, "%s", e.msg);
		s1 = svm_kind.scratch_new(plenty, NULL);
		s2 = svm_kind.scratch_new(little, NULL);
		for (size_t r = 0; r < ROWS; r++) {
			float a[M], b[M], cost[M];

			svm_kind.score(plenty, t.x + r * D, SCORER_NO_ROW, s1, a, cost);
			svm_kind.score(little, t.x + r * D, SCORER_NO_ROW, s2, b, cost);
			for (size_t j = 0; j < M; j++)
				worst = fmaxf(worst, fabsf(a[j] - b[j]));
		}
		cr_expect(worst < 0.01f, "%s: scores differ by %g", cases[i].name, (double)worst);
		cr_expect(svm_kind.memory(&p, ROWS, D, M) > 0);
		svm_kind.scratch_free(s1);
		svm_kind.scratch_free(s2);
		svm_kind.free(plenty);
		svm_kind.free(little);
		made_close(&t);
	}
}

Test(svm, corner_cases_have_an_answer)
{
	struct err e = ERR_INIT;
	struct svm_params p = params_of("");
	float zero[D] = { 0 }, score[M], cost[M];
	struct svm *model;
	struct made t;
	void *s;

	/* A zero vector gets the means. */
	made_open(&t, false, false);
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "%s", e.msg);
	s = svm_kind.scratch_new(model, NULL);
	svm_kind.score(model, zero, SCORER_NO_ROW, s, score, cost);
	for (size_t j = 0; j < M; j++)
		cr_expect(score[j] == model->mean[j]);
	svm_kind.scratch_free(s);
	svm_kind.free(model);
	/* A model without a score anywhere, one row, all scores equal. */
	for (size_t i = 0; i < ROWS; i++)
		t.score[i * M + 2] = NAN;
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "no score: %s", e.msg);
	svm_kind.free(model);
	t.data.n = 1;
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "one row: %s", e.msg);
	svm_kind.free(model);
	t.data.n = ROWS;
	for (size_t i = 0; i < ROWS * M; i++)
		t.score[i] = 0.5f;
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "equal scores: %s", e.msg);
	s = svm_kind.scratch_new(model, NULL);
	svm_kind.score(model, t.x, SCORER_NO_ROW, s, score, cost);
	cr_expect(fabsf(score[0] - 0.5f) < 0.11f, "equal scores: %g", (double)score[0]);
	svm_kind.scratch_free(s);
	svm_kind.free(model);
	made_close(&t);
	/* One model is always best; two rows of one class beside many of another. */
	made_open(&t, true, false);
	for (size_t i = 0; i < ROWS; i++)
		for (size_t j = 0; j < M; j++)
			t.score[i * M + j] = j == 3;
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "one class: %s", e.msg);
	s = svm_kind.scratch_new(model, NULL);
	svm_kind.score(model, t.x, SCORER_NO_ROW, s, score, cost);
	cr_expect(score[3] == 1 && score[0] == 0);
	svm_kind.scratch_free(s);
	svm_kind.free(model);
	for (size_t i = 0; i < 2; i++) {
		t.score[i * M + 3] = 0;
		t.score[i * M + 1] = 1;
	}
	model = svm_kind.fit(&p, &t.data, &e);
	cr_assert(model != NULL, "two rows: %s", e.msg);
	svm_kind.free(model);
	made_close(&t);
}

Test(svm, hyperparameters_are_checked)
{
	const struct { const char *name, *value; int want; } cases[] = {
		{ "C", "1.0", 0 }, { "C", "0", -1 }, { "C", "nan", -1 }, { "kernel", "sigmoid", -1 },
		{ "gamma", "auto", 0 }, { "gamma", "-1", -1 }, { "gamma", "0.5", 0 },
		{ "degree", "0", -1 }, { "probability", "maybe", -1 }, { "probability", "true", 0 },
		{ "cache_size", "200", 0 }, { "cache_mb", "1", -1 }, { "n_neighbors", "5", 1 },
	};
	struct svm_params p = params_of("kernel=poly gamma=100 degree=9");
	struct err e = ERR_INIT;
	struct made t;

	made_open(&t, false, false);
	cr_expect(svm_kind.fit(&p, &t.data, &e) == NULL && e.code == ERR_USAGE, "overflow");
	p = params_of("kernel=poly exact_rows=0");
	cr_expect(svm_kind.fit(&p, &t.data, &e) == NULL && e.code == ERR_USAGE, "poly approximated");
	made_close(&t);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect(svm_kind.params_set(&p, cases[i].name, cases[i].value, &e) == cases[i].want,
		    "%s=%s", cases[i].name, cases[i].value);
}
