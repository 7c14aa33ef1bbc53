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
