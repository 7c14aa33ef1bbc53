#include "model/baseline.h"

#include <math.h>

/* Mean of the known cells of column j; NaN when none is known. */
static double
column_mean(const float *x, size_t n, size_t m, size_t j)
{
	double sum = 0;
	size_t known = 0;

	for (size_t i = 0; i < n; i++)
		if (!isnan(x[i * m + j])) {
			sum += (double)x[i * m + j];
			known++;
		}
	return known == 0 ? NAN : sum / (double)known;
}

struct row { double sum, max, min; size_t at_max; };

/* 0 when a cell is missing. */
static int
read_row(const float *x, size_t m, struct row *r)
{
	*r = (struct row){ 0, -INFINITY, INFINITY, 0 };
	for (size_t j = 0; j < m; j++) {
		double v = (double)x[j];

		if (isnan(v))
			return 0;
		r->sum += v;
		r->max = fmax(r->max, v);
		r->min = fmin(r->min, v);
	}
	for (size_t j = 0; j < m; j++)
		r->at_max += (double)x[j] >= r->max - BASELINE_TIE;
	return 1;
}

static void
pick_columns(const float *score, const float *cost, size_t n, size_t m, struct baseline *b)
{
	double least = INFINITY;

	for (size_t j = 0; j < m; j++) {
		double s = column_mean(score, n, m, j);
		double c = cost == NULL ? NAN : column_mean(cost, n, m, j);

		if (b->best == BASELINE_NONE || s > b->best_score + BASELINE_TIE) {
			b->best = j;
			b->best_score = isnan(s) ? -1 : s;
		}
		if (c < least) {
			least = c;
			b->cheapest = j;
			b->cheapest_score = s;
		}
	}
}

void
baseline_compute(const float *score, const float *cost, size_t n, size_t m, struct baseline *b)
{
	size_t ties = 0, equal = 0;
	double random = 0, oracle = 0, full;
	struct row r;

	*b = (struct baseline){ 0, BASELINE_NONE, BASELINE_NONE, -1, NAN, NAN, NAN, NAN, NAN };
	pick_columns(score, cost, n, m, b);
	for (size_t i = 0; i < n; i++) {
		if (!read_row(score + i * m, m, &r))
			continue;
		b->full++;
		random += r.sum / (double)m;
		oracle += r.max;
		ties += r.at_max > 1;
		equal += r.max - r.min < BASELINE_TIE;
	}
	if (b->full == 0)
		return;
	full = (double)b->full;
	b->random = random / full;
	b->oracle = oracle / full;
	b->tie_rate = (double)ties / full;
	b->equal_rate = (double)equal / full;
}
