#include "math/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

struct draws {
	const double *a, *b, *c;
	size_t n;
	uint64_t seed;
	double *delta, *gap;		/* [draws] */
};

static double
ratio(double a, double b, double c)
{
	/* Sums of scores 0..1: below this the ideal and the baseline are the same choice. */
	return fabs(c - b) < 1e-9 ? NAN : (a - b) / (c - b);
}

static void
one_draw(void *arg, size_t part, unsigned worker)
{
	struct draws *d = arg;
	struct rng g = rng_split(d->seed, part);
	double a = 0, b = 0, c = 0;

	(void)worker;
	for (size_t i = 0; i < d->n; i++) {
		size_t j = (size_t)rng_below(&g, d->n);

		a += d->a[j];
		b += d->b[j];
		c += d->c[j];
	}
	d->delta[part] = (a - b) / (double)d->n;
	d->gap[part] = ratio(a, b, c);
}

static int
by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

/* Percentile interval of the finite draws; NaN when most draws are undefined. */
static void
interval(double *x, size_t n, struct bootstrap_ci *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(x[i]))
			x[kept++] = x[i];
	out->lo = out->hi = NAN;
	if (kept < 2 || kept < n / 2)
		return;
	qsort(x, kept, sizeof *x, by_value);
	out->lo = x[(size_t)(0.025 * (double)(kept - 1) + 0.5)];
	out->hi = x[(size_t)(0.975 * (double)(kept - 1) + 0.5)];
}

int
bootstrap_paired(const double *a, const double *b, const double *c, size_t n, size_t n_draws,
	uint64_t seed, struct pool *pool, struct bootstrap_ci *delta, struct bootstrap_ci *gap,
	struct err *e)
{
	struct draws d = { a, b, c, n, seed, NULL, NULL };
	double sa = 0, sb = 0, sc = 0;

	*delta = *gap = (struct bootstrap_ci){ NAN, NAN, NAN };
	if (n == 0)
		return 0;
	d.delta = mem_calloc(n_draws, 2 * sizeof *d.delta, e);
	if (d.delta == NULL)
		return -1;
	d.gap = d.delta + n_draws;
	for (size_t i = 0; i < n; i++) {
		sa += a[i];
		sb += b[i];
		sc += c[i];
	}
	pool_run(pool, n_draws, one_draw, &d);
	interval(d.delta, n_draws, delta);
	interval(d.gap, n_draws, gap);
	delta->value = (sa - sb) / (double)n;
	gap->value = ratio(sa, sb, sc);
	if (isnan(gap->value))
		gap->lo = gap->hi = NAN;
	free(d.delta);
	return 0;
}

struct stats {
	bootstrap_fn *fn;
	void *arg;
	size_t n, k, n_draws;
	uint64_t seed;
	uint32_t *count;	/* [workers x n] */
	double *out;		/* [draws x k] */
};

static void
stats_draw(void *arg, size_t part, unsigned worker)
{
	struct stats *s = arg;
	struct rng g = rng_split(s->seed, part);
	uint32_t *count = s->count + worker * s->n;

	for (size_t i = 0; i < s->n; i++)
		count[i] = 0;
	for (size_t i = 0; i < s->n; i++)
		count[rng_below(&g, s->n)]++;
	s->fn(s->arg, count, worker, s->out + part * s->k);
}

/* Twice the smaller share of draws on one side of 0, the observed outcome counted as a draw. */
static double
two_sided(const double *x, size_t n)
{
	size_t below = 1, above = 1, kept = 1;
	double p;

	for (size_t i = 0; i < n; i++) {
		if (isnan(x[i]))
			continue;
		below += x[i] <= 0;
		above += x[i] >= 0;
		kept++;
	}
	p = 2 * (double)(below < above ? below : above) / (double)kept;
	return p > 1 ? 1 : p;
}

int
bootstrap_stats(bootstrap_fn *fn, void *arg, size_t n, size_t k, size_t n_draws, uint64_t seed,
	struct pool *pool, struct bootstrap_ci *ci, double *p, struct err *e)
{
	struct stats s = { fn, arg, n, k, n_draws, seed, NULL, NULL };
	double *column = NULL, *value = NULL;
	size_t cells, counts;
	int r = -1;

	for (size_t j = 0; j < k; j++)
		ci[j] = (struct bootstrap_ci){ NAN, NAN, NAN };
	if (n == 0)
		return 0;
	if (!mem_mul(n_draws, k, &cells) || !mem_mul(n, pool_threads(pool), &counts))
		return err_nomem(e);
	s.count = mem_calloc(counts, sizeof *s.count, e);
	s.out = mem_calloc(cells, sizeof *s.out, e);
	column = mem_calloc(n_draws, sizeof *column, e);
	value = mem_calloc(k, sizeof *value, e);
	if (s.count == NULL || s.out == NULL || column == NULL || value == NULL)
		goto out;
	pool_run(pool, n_draws, stats_draw, &s);
	for (size_t i = 0; i < n; i++)
		s.count[i] = 1;
	fn(arg, s.count, 0, value);
	for (size_t j = 0; j < k; j++) {
		for (size_t i = 0; i < n_draws; i++)
			column[i] = s.out[i * k + j];
		if (p != NULL)
			p[j] = isnan(value[j]) ? NAN : two_sided(column, n_draws);
		if (!isnan(value[j]))
			interval(column, n_draws, &ci[j]);
		ci[j].value = value[j];
	}
	r = 0;
out:
	free(s.count);
	free(s.out);
	free(column);
	free(value);
	return r;
}
