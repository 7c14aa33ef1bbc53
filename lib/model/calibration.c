#include "model/calibration.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct rows {
	const double *predicted, *actual;
	size_t n;
	uint8_t *bin;		/* [n] */
};

struct sums {
	double n, predicted, actual;
};

static double
clamp(double x)
{
	return x < 0 ? 0 : x > 1 ? 1 : x;
}

static void
add_up(const struct rows *r, const uint32_t *count, struct sums sum[CALIBRATION_BINS])
{
	for (size_t k = 0; k < CALIBRATION_BINS; k++)
		sum[k] = (struct sums){ 0, 0, 0 };
	for (size_t i = 0; i < r->n; i++) {
		struct sums *s = &sum[r->bin[i]];

		s->n += count[i];
		s->predicted += count[i] * clamp(r->predicted[i]);
		s->actual += count[i] * r->actual[i];
	}
}

static void
error_of(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	const struct rows *r = arg;
	struct sums sum[CALIBRATION_BINS];

	(void)worker;
	add_up(r, count, sum);
	*out = 0;
	for (size_t k = 0; k < CALIBRATION_BINS; k++)
		*out += fabs(sum[k].predicted - sum[k].actual);
	*out /= (double)r->n;
}

/* What the report shows: each bin of the sample itself. */
static int
describe(const struct rows *r, struct calibration *c, struct err *e)
{
	uint32_t *one = mem_calloc(r->n, sizeof *one, e);
	struct sums sum[CALIBRATION_BINS];

	if (one == NULL)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		one[i] = 1;
	add_up(r, one, sum);
	for (size_t k = 0; k < CALIBRATION_BINS; k++) {
		c->bin[k].n = (size_t)sum[k].n;
		c->bin[k].predicted = sum[k].predicted / sum[k].n;
		c->bin[k].actual = sum[k].actual / sum[k].n;
	}
	free(one);
	return 0;
}

int
calibration_run(const double *predicted, const double *actual, size_t n, size_t draws,
	uint64_t seed, struct pool *pool, struct calibration *c, struct err *e)
{
	struct rows r = { predicted, actual, n, mem_calloc(n, 1, e) };
	int status = -1;

	*c = (struct calibration){ 0 };
	if (r.bin == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t k = (size_t)(clamp(predicted[i]) * CALIBRATION_BINS);

		r.bin[i] = (uint8_t)(k < CALIBRATION_BINS ? k : CALIBRATION_BINS - 1);
	}
	if (describe(&r, c, e) == 0)
		status = bootstrap_stats(error_of, &r, n, 1, draws, seed, pool, &c->ece, NULL, e);
	free(r.bin);
	return status;
}
