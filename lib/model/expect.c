#include "model/expect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/ridge.h"
#include "model/target.h"

#define FOLDS 4
#define FEWEST 20		/* known cells of a model below which its mean serves */
#define SURE 1.645		/* standard errors: one-sided 95 % */
#define LAMBDA 5.0
#define OFFSET 0.01		/* of the mean, added before the logarithm, so that 0 has one */
#define FARTHEST 16		/* times the largest value seen: predictions end there */
#define MOST 1e6f		/* USD or seconds */
#define PREFIX "expect."

/* log(value + OFFSET * mean) = BASE + SLOPE * log(length) + LOW + RANGE * ridge; times FACTOR, drawn by WEIGHT. */
enum { BASE, SLOPE, LOW, RANGE, FACTOR, WEIGHT, MEAN, LARGEST, TERMS };

struct expect {
	size_t m, d, columns;		/* columns of the ridge: the outputs that are known */
	void *ridge;			/* NULL when every weight is 0 */
	const float *terms;		/* [2 m x TERMS] costs, then times; MEAN -1: unknown */
	float *owned;
};

struct expect_scratch {
	void *ridge;
	float *raw;			/* [2 x columns] of the ridge: scores, and costs that it does not have */
};

struct fitting {
	const struct dataset *ds;
	const float *x;
	size_t n, d, m, columns;
	size_t *of;			/* [columns] output */
	float *terms;			/* [2 m x TERMS] */
	float *len, *y, *part, *outside;	/* [n] log length; [n x columns] logs, targets of the ridge, predictions */
	struct pool *pool;
	struct cancel *cancel;
};

static double
length_of(size_t bytes)
{
	return log(1 + (double)bytes);
}

static float
cell(const struct fitting *f, size_t i, size_t output)
{
	return output < f->m ? f->ds->cost[i * f->m + output] :
	    f->ds->latency[i * f->m + output - f->m];
}

static double
weight_of(const struct fitting *f, size_t i)
{
	return f->ds->weight != NULL ? (double)f->ds->weight[i] : 1;
}

static float *
terms_of(const struct fitting *f, size_t column)
{
	return f->terms + f->of[column] * TERMS;
}

static bool
left_in(size_t i, size_t fold)
{
	return i % FOLDS != fold;
}

/* Mean and largest of each output; those known often enough get a column. */
static void
find_columns(struct fitting *f)
{
	for (size_t o = 0; o < 2 * f->m; o++) {
		float *t = f->terms + o * TERMS;
		size_t known = 0;
		double sum = 0, all = 0;

		t[MEAN] = -1;
		t[FACTOR] = 1;
		for (size_t i = 0; i < f->n; i++) {
			float v = cell(f, i, o);

			if (isnan(v))
				continue;
			sum += weight_of(f, i) * (double)v;
			all += weight_of(f, i);
			t[LARGEST] = v > t[LARGEST] ? v : t[LARGEST];
			known++;
		}
		if (known == 0)
			continue;
		t[MEAN] = fminf((float)(sum / all), MOST);
		t[LARGEST] = fminf(t[LARGEST], MOST);
		if (known >= FEWEST && t[MEAN] > 0)
			f->of[f->columns++] = o;
	}
}

static void
take_logs(struct fitting *f)
{
	for (size_t i = 0; i < f->n; i++)
		f->len[i] = (float)length_of(f->ds->query[i].n);
	for (size_t c = 0; c < f->columns; c++) {
		float offset = (float)OFFSET * terms_of(f, c)[MEAN];

		for (size_t i = 0; i < f->n; i++)
			f->y[i * f->columns + c] = logf(cell(f, i, f->of[c]) + offset);
	}
}

/* Least squares of a column's logs over length, on the rows left in. */
static void
fit_line(const struct fitting *f, size_t c, size_t fold, float *t)
{
	double n = 0, x = 0, y = 0, xx = 0, xy = 0;

	for (size_t i = 0; i < f->n; i++) {
		double l = (double)f->len[i], v = (double)f->y[i * f->columns + c], w = weight_of(f, i);

		if (isnan(v) || !left_in(i, fold))
			continue;
		n += w;
		x += w * l;
		y += w * v;
		xx += w * l * l;
		xy += w * l * v;
	}
	t[SLOPE] = t[BASE] = 0;
	if (n == 0)
		return;
	if (xx - x * x / n > 1e-3 * n)
		t[SLOPE] = (float)((xy - x * y / n) / (xx - x * x / n));
	t[BASE] = (float)((y - (double)t[SLOPE] * x) / n);
}

/* What the line leaves, as the ridge's targets in 0..1; NaN on rows left out. */
static void
make_targets(const struct fitting *f, size_t c, size_t fold, float *t)
{
	float lo = INFINITY, hi = -INFINITY;

	for (size_t i = 0; i < f->n; i++) {
		float v = f->y[i * f->columns + c] - t[BASE] - t[SLOPE] * f->len[i];

		f->part[i * f->columns + c] = left_in(i, fold) ? v : NAN;
		if (isnan(v) || !left_in(i, fold))
			continue;
		lo = fminf(lo, v);
		hi = fmaxf(hi, v);
	}
	t[LOW] = lo <= hi ? lo : 0;
	t[RANGE] = lo <= hi ? fmaxf(hi - lo, 1e-6f) : 1e-6f;
	for (size_t i = 0; i < f->n; i++) {
		float *v = &f->part[i * f->columns + c];

		if (!isnan(*v))
			*v = fminf(fmaxf((*v - t[LOW]) / t[RANGE], 0), 1);
	}
}

/* Line and ridge on the rows that a fold leaves in (FOLDS: all). NULL and err on failure. */
static void *
fit_part(struct fitting *f, size_t fold, struct err *e)
{
	const struct scorer_data data = { .n = f->n, .d = f->d, .m = f->columns, .x = f->x,
		.score = f->part, .weight = f->ds->weight, .pool = f->pool, .cancel = f->cancel };
	const struct ridge_params params = { LAMBDA };

	for (size_t c = 0; c < f->columns; c++) {
		float *t = terms_of(f, c);

		fit_line(f, c, fold, t);
		make_targets(f, c, fold, t);
	}
	return ridge_kind.fit(&params, &data, e);
}

/* On the plain scale, before factor and weight; raw is the ridge's. */
static double
back(const float *t, double length, float raw)
{
	double r = raw > 0 ? raw < 1 ? (double)raw : 1 : 0;

	return exp(fmin((double)t[BASE] + (double)t[SLOPE] * length + (double)t[LOW] +
	    (double)t[RANGE] * r, 700));
}

static int
predict_part(const struct fitting *f, const void *ridge, size_t fold, struct err *e)
{
	struct expect_scratch s = { ridge_kind.scratch_new(ridge, e),
		mem_calloc(2 * f->columns, sizeof(float), e) };
	int r = s.ridge == NULL || s.raw == NULL ? -1 : 0;

	for (size_t i = fold; r == 0 && i < f->n; i += FOLDS) {
		ridge_kind.score(ridge, f->x + i * f->d, SCORER_NO_ROW, s.ridge, s.raw,
		    s.raw + f->columns);
		for (size_t c = 0; c < f->columns; c++)
			f->outside[i * f->columns + c] = (float)fmin(back(terms_of(f, c),
			    (double)f->len[i], s.raw[c]), 1e30);
	}
	ridge_kind.scratch_free(s.ridge);
	free(s.raw);
	return r;
}

/* On a row left out: what the prediction, times factor, and the truth are above the mean. False: not known. */
static bool
outcome(const struct fitting *f, size_t c, const float *t, size_t i, double *p, double *v)
{
	double mean = (double)t[MEAN], most = FARTHEST * (double)t[LARGEST];

	if (isnan(f->y[i * f->columns + c]))
		return false;
	*p = fmin((double)f->outside[i * f->columns + c], most) * (double)t[FACTOR] - OFFSET * mean - mean;
	*v = (double)cell(f, i, f->of[c]) - mean;
	return true;
}

/* Does a column's weight surely leave smaller squared errors than the mean does? */
static bool
is_sure(const struct fitting *f, size_t c, const float *t)
{
	double n = 0, weights = 0, gain = 0, square = 0, p, v;

	for (size_t i = 0; i < f->n; i++)
		if (outcome(f, c, t, i, &p, &v)) {
			double left = v - (double)t[WEIGHT] * p, g = v * v - left * left;
			double w = weight_of(f, i);

			n += w;
			weights += w * w;
			gain += w * g;
			square += w * g * g;
		}
	/* Rows of unequal weight tell as much as n^2 / weights equal ones. */
	return gain / n > SURE * sqrt(fmax(square / n - gain / n * (gain / n), 0) / (n * n / weights));
}

/* Factor and weight of a column from the rows left out. */
static void
weigh(const struct fitting *f, size_t c, float *t)
{
	double offset = OFFSET * (double)t[MEAN], most = FARTHEST * (double)t[LARGEST];
	double truth = 0, guess = 0, pp = 0, pt = 0, p, v;

	for (size_t i = 0; i < f->n; i++)
		if (!isnan(f->y[i * f->columns + c])) {
			truth += weight_of(f, i) * ((double)cell(f, i, f->of[c]) + offset);
			guess += weight_of(f, i) * fmin((double)f->outside[i * f->columns + c], most);
		}
	t[WEIGHT] = 0;
	t[FACTOR] = guess > 0 ? (float)fmin(fmax(truth / guess, 1e-3), 1e3) : 1;
	for (size_t i = 0; i < f->n; i++)
		if (outcome(f, c, t, i, &p, &v)) {
			pp += weight_of(f, i) * p * p;
			pt += weight_of(f, i) * p * v;
		}
	if (!(pp > 0) || !(pt > 0))
		return;
	t[WEIGHT] = (float)fmin(pt / pp, 1);
	if (!is_sure(f, c, t))
		t[WEIGHT] = 0;
}

static int
fit_all(struct fitting *f, struct expect *h, struct err *e)
{
	bool follows = false;

	for (size_t fold = 0; fold < FOLDS; fold++) {
		void *ridge = cancel_check(f->cancel, e) < 0 ? NULL : fit_part(f, fold, e);
		int r = ridge == NULL ? -1 : predict_part(f, ridge, fold, e);

		ridge_kind.free(ridge);
		if (r < 0)
			return -1;
	}
	for (size_t c = 0; c < f->columns; c++) {
		weigh(f, c, terms_of(f, c));
		follows = follows || terms_of(f, c)[WEIGHT] > 0;
	}
	if (!follows)
		return 0;
	h->ridge = fit_part(f, FOLDS, e);
	return h->ridge == NULL ? -1 : 0;
}

/* Outputs of the ridge in order, from the terms. */
static size_t
count_columns(const struct expect *h)
{
	size_t n = 0;

	for (size_t o = 0; o < 2 * h->m; o++)
		n += h->terms[o * TERMS + RANGE] > 0;
	return n;
}

int
expect_fit(const struct dataset *ds, const float *x, size_t d, struct pool *pool,
	struct cancel *cancel, struct expect **out, struct err *e)
{
	struct fitting f = { .ds = ds, .x = x, .n = ds->n, .d = d, .m = ds->m, .pool = pool,
		.cancel = cancel };
	struct expect *h = mem_calloc(1, sizeof *h, e);
	bool known = false;
	int r = -1;

	*out = NULL;
	if (h == NULL)
		return -1;
	h->m = ds->m;
	h->d = d;
	h->terms = h->owned = f.terms = mem_calloc(2 * ds->m, TERMS * sizeof *f.terms, e);
	f.of = mem_calloc(2 * ds->m, sizeof *f.of, e);
	if (f.terms == NULL || f.of == NULL)
		goto out;
	find_columns(&f);
	for (size_t o = 0; o < 2 * ds->m; o++)
		known = known || f.terms[o * TERMS + MEAN] >= 0;
	f.len = mem_calloc(ds->n, sizeof *f.len, e);
	f.y = mem_calloc(ds->n, (f.columns + 1) * sizeof *f.y, e);
	f.part = mem_calloc(ds->n, (f.columns + 1) * sizeof *f.part, e);
	f.outside = mem_calloc(ds->n, (f.columns + 1) * sizeof *f.outside, e);
	if (f.len == NULL || f.y == NULL || f.part == NULL || f.outside == NULL)
		goto out;
	take_logs(&f);
	if (f.columns > 0 && fit_all(&f, h, e) < 0)
		goto out;
	h->columns = h->ridge == NULL ? 0 : f.columns;
	r = 0;
out:
	free(f.of);
	free(f.len);
	free(f.y);
	free(f.part);
	free(f.outside);
	if (r < 0 || !known) {
		expect_free(h);
		return r;
	}
	*out = h;
	return 0;
}

void
expect_free(struct expect *h)
{
	if (h == NULL)
		return;
	ridge_kind.free(h->ridge);
	free(h->owned);
	free(h);
}

bool
expect_wanted(const struct dataset *ds)
{
	for (size_t i = 0; i < ds->n * ds->m; i++)
		if (!isnan(ds->cost[i]) || !isnan(ds->latency[i]))
			return true;
	return false;
}

uint64_t
expect_memory(size_t n, size_t d, size_t m)
{
	const struct ridge_params params = { LAMBDA };

	return ridge_kind.memory(&params, n, d, 2 * m) + 4 * (uint64_t)n * (6 * (uint64_t)m + 1);
}

int
expect_save(const struct expect *h, struct tensorfile_writer *w, struct err *e)
{
	const uint64_t shape[] = { 2 * h->m, TERMS };

	if (tensorfile_writer_add(w, PREFIX "terms", DTYPE_F32, 2, shape, h->terms, e) < 0)
		return -1;
	return h->ridge == NULL ? 0 : ridge_kind.save(h->ridge, PREFIX, w, e);
}

/* Each output's terms within what fitting makes. */
static int
check_terms(const struct expect *h, struct err *e)
{
	for (size_t o = 0; o < 2 * h->m; o++) {
		const float *t = h->terms + o * TERMS;
		bool fits = t[MEAN] == -1 || (t[MEAN] >= 0 && t[MEAN] <= MOST);

		for (size_t k = 0; k < TERMS; k++)
			fits = fits && isfinite(t[k]) && fabsf(t[k]) <= 1e6f;
		if (!fits || t[WEIGHT] < 0 || t[WEIGHT] > 1 || t[RANGE] < 0 || t[FACTOR] < 0 ||
		    t[LARGEST] < 0)
			return err_set(e, ERR_INPUT, "tensor '" PREFIX "terms': row %zu is out of range",
			    o);
	}
	return 0;
}

int
expect_load(const struct tensorfile *f, size_t m, size_t d, struct expect **out, struct err *e)
{
	const uint64_t shape[] = { 2 * m, TERMS };
	const struct tensor *t;
	struct expect *h;

	*out = NULL;
	if (tensorfile_find(f, PREFIX "terms") == NULL)
		return 0;
	t = tensorfile_need(f, PREFIX "terms", DTYPE_F32, 2, shape, e);
	if (t == NULL || (h = mem_calloc(1, sizeof *h, e)) == NULL)
		return -1;
	h->m = m;
	h->d = d;
	h->terms = t->data;
	if (check_terms(h, e) < 0)
		goto fail;
	if (tensorfile_find(f, PREFIX "ridge.weight") != NULL) {
		h->columns = count_columns(h);
		h->ridge = ridge_kind.load(f, PREFIX, h->columns, d, SLICE_LIT("{}"), e);
		if (h->ridge == NULL)
			goto fail;
	}
	*out = h;
	return 0;
fail:
	expect_free(h);
	return -1;
}

struct expect_scratch *
expect_scratch_new(const struct expect *h, struct err *e)
{
	struct expect_scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL || h->ridge == NULL)
		return s;
	s->ridge = ridge_kind.scratch_new(h->ridge, e);
	s->raw = mem_calloc(2 * h->columns, sizeof *s->raw, e);
	if (s->ridge != NULL && s->raw != NULL)
		return s;
	expect_scratch_free(s);
	return NULL;
}

void
expect_scratch_free(struct expect_scratch *s)
{
	if (s == NULL)
		return;
	ridge_kind.scratch_free(s->ridge);
	free(s->raw);
	free(s);
}

void
expect_score(const struct expect *h, const float *q, size_t bytes, struct expect_scratch *s,
	float *cost, float *seconds)
{
	double length = length_of(bytes);
	size_t c = 0;

	if (h->ridge != NULL)
		ridge_kind.score(h->ridge, q, SCORER_NO_ROW, s->ridge, s->raw, s->raw + h->columns);
	for (size_t o = 0; o < 2 * h->m; o++) {
		const float *t = h->terms + o * TERMS;
		float *out = o < h->m ? &cost[o] : &seconds[o - h->m];
		double mean = (double)t[MEAN], most = FARTHEST * (double)t[LARGEST], v;
		size_t column = t[RANGE] > 0 ? c++ : 0;

		*out = t[MEAN] < 0 ? NAN : t[MEAN];
		if (h->ridge == NULL || !(t[WEIGHT] > 0) || !(t[RANGE] > 0))
			continue;
		v = fmin(back(t, length, s->raw[column]), most) * (double)t[FACTOR] - OFFSET * mean;
		*out = (float)fmin(fmax(mean + (double)t[WEIGHT] * (v - mean), 0), most);
	}
}

double
expect_weight(const struct expect *h, size_t j, bool time)
{
	return (double)h->terms[((time ? h->m : 0) + j) * TERMS + WEIGHT];
}
