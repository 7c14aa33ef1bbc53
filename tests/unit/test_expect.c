#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/mat.h"
#include "model/expect.h"

enum { D = 8, M = 3, TRAIN = 600, ALL = 900 };

/*
 * Rows with vectors and lengths: model 0 costs by length and first dimension
 * with noise, model 1 has a cost that nothing explains, model 2 none; times
 * follow the second dimension for model 0 alone, the others' are unknown.
 */
struct rows {
	struct dataset ds;
	float *x;
};

static void
make(struct rows *r, size_t from, size_t to)
{
	static char text[2000];
	size_t n = to - from;

	memset(text, 'x', sizeof text);
	*r = (struct rows){ .ds = { .n = n, .m = M } };
	r->x = mem_calloc(n * D, sizeof *r->x, NULL);
	r->ds.query = mem_calloc(n, sizeof *r->ds.query, NULL);
	r->ds.cost = mem_calloc(n * M, sizeof(float), NULL);
	r->ds.latency = mem_calloc(n * M, sizeof(float), NULL);
	for (size_t i = 0; i < n; i++) {
		struct rng g = rng_split(11, from + i);
		float *x = r->x + i * D, norm = 0;
		size_t bytes = 20 + (size_t)rng_below(&g, 1900);
		double noise;

		for (size_t k = 0; k < D; k++) {
			x[k] = (float)rng_normal(&g);
			norm += x[k] * x[k];
		}
		for (size_t k = 0; k < D; k++)
			x[k] /= sqrtf(norm);
		noise = exp(0.2 * rng_normal(&g));
		r->ds.query[i] = (struct slice){ text, bytes };
		r->ds.cost[i * M] = (float)(1e-6 * (double)bytes * exp((double)x[0]) * noise);
		r->ds.cost[i * M + 1] = (float)(0.002 * exp(0.5 * rng_normal(&g)));
		r->ds.cost[i * M + 2] = NAN;
		r->ds.latency[i * M] = (float)(exp(2 * (double)x[1]) * noise);
		r->ds.latency[i * M + 1] = r->ds.latency[i * M + 2] = NAN;
	}
}

static void
drop(struct rows *r)
{
	free(r->x);
	free(r->ds.query);
	free(r->ds.cost);
	free(r->ds.latency);
}

/* Squared error of the head over that of the training mean, on rows that it has not seen. */
static double
ratio(const struct expect *h, const struct rows *train, const struct rows *test, size_t model,
	bool time)
{
	struct expect_scratch *s = expect_scratch_new(h, NULL);
	const float *seen = time ? train->ds.latency : train->ds.cost;
	double mean = 0, own = 0, base = 0;

	cr_assert(s != NULL);
	for (size_t i = 0; i < train->ds.n; i++)
		mean += (double)seen[i * M + model] / (double)train->ds.n;
	for (size_t i = 0; i < test->ds.n; i++) {
		float cost[M], seconds[M];
		double truth = (double)(time ? test->ds.latency : test->ds.cost)[i * M + model], p;

		expect_score(h, test->x + i * D, test->ds.query[i].n, s, cost, seconds);
		cr_assert(isnan(cost[2]) && isnan(seconds[1]) && isnan(seconds[2]), "unknown stays unknown");
		p = (double)(time ? seconds : cost)[model];
		cr_assert(p >= 0 && isfinite(p));
		own += (p - truth) * (p - truth);
		base += (mean - truth) * (mean - truth);
	}
	expect_scratch_free(s);
	return own / base;
}

Test(expect, beats_the_mean_or_is_the_mean)
{
	struct rows train, test;
	struct expect *h;
	struct err e = ERR_INIT;

	cr_assert(mat_open(&e) == 0, "%s", e.msg);
	make(&train, 0, TRAIN);
	make(&test, TRAIN, ALL);
	cr_assert(expect_wanted(&train.ds));
	cr_assert(expect_fit(&train.ds, train.x, D, NULL, NULL, &h, &e) == 0 && h != NULL, "%s", e.msg);
	cr_expect(expect_weight(h, 0, false) > 0.8, "%g", expect_weight(h, 0, false));
	cr_expect(expect_weight(h, 0, true) > 0.8, "%g", expect_weight(h, 0, true));
	cr_expect(expect_weight(h, 1, false) == 0, "noise has nothing to follow: %g",
		expect_weight(h, 1, false));
	cr_expect(ratio(h, &train, &test, 0, false) < 0.3, "%g", ratio(h, &train, &test, 0, false));
	cr_expect(ratio(h, &train, &test, 0, true) < 0.3, "%g", ratio(h, &train, &test, 0, true));
	cr_expect_float_eq(ratio(h, &train, &test, 1, false), 1, 1e-6, "%g",
		ratio(h, &train, &test, 1, false));
	expect_free(h);
	drop(&train);
	drop(&test);
}

Test(expect, round_trip_and_damage)
{
	struct rows train;
	struct expect *h, *back = NULL;
	struct err e = ERR_INIT;
	struct tensorfile_writer *w = tensorfile_writer_new(&e);
	char path[] = "/tmp/llmr-expect-XXXXXX";
	int fd = mkstemp(path);
	struct tensorfile *f;
	uint8_t digest[32];

	cr_assert(fd >= 0 && mat_open(&e) == 0);
	make(&train, 0, TRAIN);
	cr_assert(expect_fit(&train.ds, train.x, D, NULL, NULL, &h, &e) == 0, "%s", e.msg);
	cr_assert(expect_save(h, w, &e) == 0 && tensorfile_writer_save(w, path, digest, &e) == 0, "%s",
		e.msg);
	tensorfile_writer_free(w);
	f = tensorfile_load(path, &e);
	cr_assert(f != NULL && expect_load(f, M, D, &back, &e) == 0 && back != NULL, "%s", e.msg);
	{
		struct expect_scratch *a = expect_scratch_new(h, NULL), *b = expect_scratch_new(back, NULL);

		for (size_t i = 0; i < 50; i++) {
			float ca[M], cb[M], ta[M], tb[M];

			expect_score(h, train.x + i * D, i * 40, a, ca, ta);
			expect_score(back, train.x + i * D, i * 40, b, cb, tb);
			cr_expect(memcmp(ca, cb, sizeof ca) == 0 && memcmp(ta, tb, sizeof ta) == 0, "%zu", i);
		}
		/* A prompt far longer than any that was seen stays within bounds. */
		{
			float c[M], t[M];

			expect_score(back, train.x, (size_t)1 << 40, b, c, t);
			cr_expect(c[0] <= 16 * 0.01f && isfinite(c[0]), "%g", (double)c[0]);
		}
		expect_scratch_free(a);
		expect_scratch_free(b);
	}
	expect_free(back);
	cr_expect(expect_load(f, M + 1, D, &back, &e) < 0 && e.code == ERR_INPUT, "another number of models");
	cr_expect(expect_load(f, M, D + 1, &back, &e) < 0 && e.code == ERR_INPUT, "another dimension");
	/* A weight beyond 1 is refused. */
	{
		const struct tensor *t = tensorfile_find(f, "expect.terms");
		float *terms = (float *)(uintptr_t)t->data;

		terms[5] = 1.5f;
		cr_expect(expect_load(f, M, D, &back, &e) < 0 && e.code == ERR_INPUT, "a weight of 1.5");
		terms[5] = NAN;
		cr_expect(expect_load(f, M, D, &back, &e) < 0 && e.code == ERR_INPUT, "no number");
	}
	tensorfile_free(f);
	expect_free(h);
	drop(&train);
	(void)remove(path);
}

Test(expect, nothing_known_and_little_known)
{
	struct rows r;
	struct expect *h;
	struct err e = ERR_INIT;

	cr_assert(mat_open(&e) == 0);
	make(&r, 0, 60);
	for (size_t i = 0; i < 60 * M; i++)
		r.ds.latency[i] = NAN;
	for (size_t i = 3 * M; i < 60 * M; i++)
		r.ds.cost[i] = NAN;
	cr_assert(expect_fit(&r.ds, r.x, D, NULL, NULL, &h, &e) == 0 && h != NULL, "%s", e.msg);
	{
		struct expect_scratch *s = expect_scratch_new(h, NULL);
		float c[M], t[M];
		float mean = (r.ds.cost[0] + r.ds.cost[M] + r.ds.cost[2 * M]) / 3;

		expect_score(h, r.x, 100, s, c, t);
		cr_expect_float_eq(c[0], mean, 1e-9f, "three costs: their mean, %g", (double)c[0]);
		cr_expect(isnan(t[0]));
		expect_scratch_free(s);
	}
	expect_free(h);
	for (size_t i = 0; i < 3 * M; i++)
		r.ds.cost[i] = NAN;
	cr_expect(!expect_wanted(&r.ds));
	cr_assert(expect_fit(&r.ds, r.x, D, NULL, NULL, &h, &e) == 0 && h == NULL, "nothing known, no head");
	drop(&r);
}

/* Rows that count for next to nothing say the opposite of the others: the head follows the others. */
Test(expect, respects_weights)
{
	struct rows train, test;
	struct expect *h;
	struct err e = ERR_INIT;

	cr_assert(mat_open(&e) == 0, "%s", e.msg);
	make(&train, 0, TRAIN);
	make(&test, TRAIN, ALL);
	train.ds.weight = mem_calloc(TRAIN, sizeof(float), NULL);
	for (size_t i = 0; i < TRAIN; i++) {
		bool odd = i / 8 % 2 == 1;

		train.ds.weight[i] = odd ? 1e-6f : 1;
		if (odd)
			train.ds.cost[i * M] = 1e-5f / train.ds.cost[i * M];
	}
	cr_assert(expect_fit(&train.ds, train.x, D, NULL, NULL, &h, &e) == 0 && h != NULL, "%s", e.msg);
	for (size_t i = 0; i < TRAIN; i++)	/* the mean is to be that of the rows that count */
		if (train.ds.weight[i] < 1)
			train.ds.cost[i * M] = 1e-5f / train.ds.cost[i * M];
	cr_expect(expect_weight(h, 0, false) > 0.8, "%g", expect_weight(h, 0, false));
	cr_expect(ratio(h, &train, &test, 0, false) < 0.3, "%g", ratio(h, &train, &test, 0, false));
	expect_free(h);
	free(train.ds.weight);
	train.ds.weight = NULL;
	drop(&train);
	drop(&test);
}
