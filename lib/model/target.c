#include "model/target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jread.h"

#define MAX_COST 1e9f

/* Weighted mean and standard deviation of a column's known cells; their number. */
static size_t
column(const float *cells, const struct scorer_data *d, size_t j, double *mean, double *spread)
{
	double total = 0, sum = 0, square = 0;
	size_t known = 0;

	for (size_t i = 0; i < d->n; i++) {
		double x = (double)cells[i * d->m + j];
		double w = d->weight != NULL ? (double)d->weight[i] : 1;

		if (isnan(x))
			continue;
		total += w;
		sum += w * x;
		known++;
	}
	*mean = total > 0 ? sum / total : 0;
	for (size_t i = 0; i < d->n; i++) {
		double x = (double)cells[i * d->m + j] - *mean;
		double w = d->weight != NULL ? (double)d->weight[i] : 1;

		if (!isnan(x))
			square += w * x * x;
	}
	*spread = total > 0 ? sqrt(square / total) : 0;
	return known;
}

int
target_init(struct target *t, const struct scorer_data *d, struct err *e)
{
	double mean, spread;

	*t = (struct target){ .m = d->m };
	t->owned = mem_aligned(d->m, 2 * sizeof *t->owned, e);
	t->cost_spread = mem_calloc(d->m, sizeof *t->cost_spread, e);
	t->seen = mem_calloc(d->m, sizeof *t->seen, e);
	if (t->owned == NULL || t->cost_spread == NULL || t->seen == NULL) {
		target_finish(t);
		return -1;
	}
	for (size_t j = 0; j < d->m; j++) {
		t->seen[j] = column(d->score, d, j, &mean, &spread) > 0;
		t->owned[j] = t->seen[j] ? (float)mean : 0.5f;
		t->owned[d->m + j] = -1;
		t->cost_spread[j] = 1;
		if (d->cost == NULL || column(d->cost, d, j, &mean, &spread) == 0)
			continue;
		t->costs = true;
		t->owned[d->m + j] = (float)mean;
		/* A constant cost has nothing to learn, but must not be divided by zero. */
		t->cost_spread[j] = (float)fmax(spread, fmax(1e-6 * mean, 1e-12));
	}
	t->score_mean = t->owned;
	t->cost_mean = t->owned + d->m;
	return 0;
}

void
target_finish(struct target *t)
{
	free(t->owned);
	free(t->cost_spread);
	free(t->seen);
	*t = (struct target){ 0 };
}

const char *
target_name(char out[TARGET_NAME], const char *prefix, const char *name, const char *suffix)
{
	(void)snprintf(out, TARGET_NAME, "%s%s%s", prefix, name, suffix);
	return out;
}

int
target_save(const struct target *t, const char *prefix, const char *name,
	struct tensorfile_writer *w, struct err *e)
{
	const uint64_t shape[] = { t->m };
	char key[TARGET_NAME];

	if (tensorfile_writer_add(w, target_name(key, prefix, name, ".score_mean"), DTYPE_F32, 1,
	    shape, t->score_mean, e) < 0)
		return -1;
	if (!t->costs)
		return 0;
	return tensorfile_writer_add(w, target_name(key, prefix, name, ".cost_mean"), DTYPE_F32, 1,
	    shape, t->cost_mean, e);
}

static int
check_means(const char *name, const float *x, size_t m, float hi, bool gaps, struct err *e)
{
	for (size_t i = 0; i < m; i++)
		if (!(x[i] >= 0 && x[i] <= hi) && !(gaps && x[i] == -1))
			return err_set(e, ERR_INPUT, "tensor '%s': element %zu is %g, outside 0..%g",
			    name, i, (double)x[i], (double)hi);
	return 0;
}

int
target_load(struct target *t, const struct tensorfile *f, const char *prefix, const char *name,
	size_t m, struct err *e)
{
	const uint64_t shape[] = { m };
	const struct tensor *x;
	char key[TARGET_NAME];

	*t = (struct target){ .m = m };
	x = tensorfile_need(f, target_name(key, prefix, name, ".score_mean"), DTYPE_F32, 1, shape, e);
	if (x == NULL || check_means(key, x->data, m, 1, false, e) < 0)
		return -1;
	t->score_mean = x->data;
	if (tensorfile_find(f, target_name(key, prefix, name, ".cost_mean")) == NULL)
		return 0;
	x = tensorfile_need(f, key, DTYPE_F32, 1, shape, e);
	if (x == NULL || check_means(key, x->data, m, MAX_COST, true, e) < 0)
		return -1;
	t->cost_mean = x->data;
	t->costs = true;
	return 0;
}

void
target_means(const struct target *t, float *score, float *cost)
{
	for (size_t j = 0; j < t->m; j++) {
		score[j] = t->score_mean[j];
		cost[j] = t->costs && t->cost_mean[j] >= 0 ? t->cost_mean[j] : NAN;
	}
}

void
target_predict(const struct target *t, const float *y, float *score, float *cost)
{
	target_means(t, score, cost);
	for (size_t j = 0; j < t->m; j++) {
		if (!isnan(y[j]))
			score[j] = y[j] < -1 ? -1 : y[j] > 2 ? 2 : y[j];
		if (!isnan(cost[j]) && isfinite(y[t->m + j]))
			cost[j] = y[t->m + j] > 0 ? y[t->m + j] : 0;
	}
}

int
target_check(const struct tensor *t, float limit, struct err *e)
{
	const float *x = t->data;

	for (uint64_t i = 0; i < t->elements; i++)
		if (!(fabsf(x[i]) <= limit))
			return err_set(e, ERR_INPUT, "tensor '%.*s': element %llu is %g, outside %g..%g",
			    (int)t->name.n, t->name.p, (unsigned long long)i, (double)x[i],
			    (double)-limit, (double)limit);
	return 0;
}

bool
target_zero(const float *x, size_t d)
{
	for (size_t j = 0; j < d; j++)
		if (x[j] != 0)
			return false;
	return true;
}

#define MAX_TEXT 160

/* Text of a value without its quotes; false when it is too long or of another type. */
static bool
value_text(struct jread *r, char out[MAX_TEXT])
{
	enum jread_type type = jread_peek(r);
	struct slice raw;

	if (type == JREAD_OBJECT || type == JREAD_NULL || !jread_skip_raw(r, &raw))
		return false;
	if (type == JREAD_STRING)
		raw = (struct slice){ raw.p + 1, raw.n - 2 };
	if (raw.n >= MAX_TEXT || memchr(raw.p, '\\', raw.n) != NULL)
		return false;
	memcpy(out, raw.p, raw.n);
	out[raw.n] = '\0';
	return true;
}

int
target_params_read(void *params, struct slice json,
	int (*set)(void *params, const char *name, const char *value, struct err *e), struct err *e)
{
	struct jread r;
	struct slice key;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			char name[64], value[MAX_TEXT];
			struct err why = ERR_INIT;

			if (key.n >= sizeof name) {
				jread_skip(&r);
				continue;
			}
			memcpy(name, key.p, key.n);
			name[key.n] = '\0';
			/* What the name means is asked first: others may hold any value. */
			if (set(params, name, "", &why) > 0) {
				jread_skip(&r);
				continue;
			}
			if (!value_text(&r, value))
				return err_set(e, ERR_INPUT, "llmr.hparams: bad value of %s", name);
			if (set(params, name, value, e) < 0) {
				if (e != NULL)
					e->code = ERR_INPUT;
				return err_wrap(e, "llmr.hparams");
			}
		}
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "llmr.hparams");
	return 0;
}
