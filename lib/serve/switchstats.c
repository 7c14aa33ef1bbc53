#include "serve/switchstats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"

#define MOST 1e15	/* of any counter that is believed */
#define Z 1.959963984540054

/* ---- to remember ---- */

static void
save_count(struct jsonw *w, const char *key, const struct arm_count *c)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kint(w, "n", (int64_t)c->n);
	jsonw_kint(w, "errors", (int64_t)c->errors);
	jsonw_kint(w, "scored", (int64_t)c->scored);
	jsonw_kdouble(w, "sum", c->score_sum);
	jsonw_kdouble(w, "squares", c->score_squares);
	jsonw_kdouble(w, "total", c->latency.sum);
	jsonw_key(w, "hist");
	jsonw_array(w);
	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		if (c->latency.count[i] == 0)
			continue;
		jsonw_uint(w, i);
		jsonw_uint(w, c->latency.count[i]);
	}
	jsonw_end_array(w);
	jsonw_kint(w, "min", (int64_t)(c->latency.n == 0 ? 0 : c->latency.min));
	jsonw_kint(w, "max", (int64_t)c->latency.max);
	jsonw_end_object(w);
}

void
switchstats_save(struct buf *out, struct arm_stats *from, struct arm_stats *to)
{
	struct arm_stats *arm[] = { from, to };
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_array(&w);
	for (int i = 0; i < 2; i++) {
		jsonw_object(&w);
		if (arm[i] != NULL) {
			pthread_mutex_lock(&arm[i]->lock);
			save_count(&w, "stage", &arm[i]->stage);
			save_count(&w, "run", &arm[i]->run);
			pthread_mutex_unlock(&arm[i]->lock);
			jsonw_kint(&w, "shadowed", (int64_t)atomic_load(&arm[i]->shadowed));
			jsonw_kint(&w, "agreed", (int64_t)atomic_load(&arm[i]->agreed));
		}
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
}

static void
load_hist(struct jread *r, struct hist *h)
{
	double i, n;

	hist_init(h);
	if (!jread_array(r))
		return;
	while (jread_element(r) && jread_double(r, &i) && jread_element(r) && jread_double(r, &n)) {
		if (i < 0 || i >= HIST_BUCKETS || n < 0 || n > MOST)
			continue;
		h->count[(size_t)i] = (uint64_t)n;
		h->n += (uint64_t)n;
	}
}

static void
load_count(struct jread *r, struct arm_count *c)
{
	struct slice key;
	double v, total = 0, min = 0, max = 0;

	if (!jread_object(r))
		return;
	while (jread_member(r, &key)) {
		if (slice_is(key, "hist")) {
			load_hist(r, &c->latency);
			continue;
		}
		if (!jread_double(r, &v) || v < 0 || v > MOST)
			return;
		if (slice_is(key, "n"))
			c->n = (uint64_t)v;
		else if (slice_is(key, "errors"))
			c->errors = (uint64_t)v;
		else if (slice_is(key, "scored"))
			c->scored = (uint64_t)v;
		else if (slice_is(key, "sum"))
			c->score_sum = v;
		else if (slice_is(key, "squares"))
			c->score_squares = v;
		else if (slice_is(key, "total"))
			total = v;
		else if (slice_is(key, "min"))
			min = v;
		else if (slice_is(key, "max"))
			max = v;
	}
	c->latency.sum = total;
	c->latency.min = (uint64_t)min;
	c->latency.max = (uint64_t)max;
}

static void
load_arm(struct jread *r, struct arm_stats *a)
{
	struct slice key;
	double v;

	if (!jread_object(r))
		return;
	while (jread_member(r, &key)) {
		if (a == NULL)
			(void)jread_skip(r);
		else if (slice_is(key, "stage"))
			load_count(r, &a->stage);
		else if (slice_is(key, "run"))
			load_count(r, &a->run);
		else if (!jread_double(r, &v) || v < 0 || v > MOST)
			return;
		else if (slice_is(key, "shadowed"))
			atomic_store(&a->shadowed, (uint64_t)v);
		else if (slice_is(key, "agreed"))
			atomic_store(&a->agreed, (uint64_t)v);
	}
}

int
switchstats_load(const char *json, struct arm_stats *from, struct arm_stats *to)
{
	struct arm_stats *arm[] = { from, to };
	struct jread r;

	jread_init(&r, json, strlen(json));
	if (!jread_array(&r))
		return 0;
	for (int i = 0; i < 2 && jread_element(&r); i++) {
		if (arm[i] != NULL)
			pthread_mutex_lock(&arm[i]->lock);
		load_arm(&r, arm[i]);
		if (arm[i] != NULL)
			pthread_mutex_unlock(&arm[i]->lock);
	}
	return 0;
}

/* ---- to show ---- */

static void
write_interval(struct jsonw *w, const char *key, double value, double lo, double hi)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kdouble(w, "value", value);
	jsonw_kdouble(w, "lo", lo);
	jsonw_kdouble(w, "hi", hi);
	jsonw_end_object(w);
}

/* Mean of the scores and half its 95 % interval; NaN without two. */
static double
score_mean(const struct arm_count *c, double *half)
{
	double n = (double)c->scored, mean = n > 0 ? c->score_sum / n : NAN;

	*half = n > 1 ? Z * sqrt(fmax(0, (c->score_squares - n * mean * mean) / (n - 1)) / n) : NAN;
	return mean;
}

static void
write_count(struct jsonw *w, const struct arm_count *c)
{
	double lo, hi, half, mean = score_mean(c, &half), rate = c->n == 0 ? NAN : (double)c->errors / (double)c->n;
	bool timed = c->latency.n > 0;

	rollout_interval(c->errors, c->n, &lo, &hi);
	jsonw_kint(w, "outcomes", (int64_t)c->n);
	jsonw_kint(w, "errors", (int64_t)c->errors);
	write_interval(w, "error_rate", rate, lo, hi);
	jsonw_key(w, "latency_seconds");
	jsonw_object(w);
	jsonw_kint(w, "samples", (int64_t)c->latency.n);
	jsonw_kdouble(w, "mean", timed ? c->latency.sum / (double)c->latency.n / 1e6 : NAN);
	jsonw_kdouble(w, "p50", timed ? (double)hist_quantile(&c->latency, 0.5) / 1e6 : NAN);
	jsonw_kdouble(w, "p95", timed ? (double)hist_quantile(&c->latency, 0.95) / 1e6 : NAN);
	jsonw_end_object(w);
	jsonw_kint(w, "scored", (int64_t)c->scored);
	write_interval(w, "score", mean, mean - half, mean + half);
}

void
switchstats_write(struct jsonw *w, struct arm_stats *a)
{
	uint64_t shadowed = atomic_load(&a->shadowed), agreed = atomic_load(&a->agreed);

	jsonw_object(w);
	jsonw_kstr(w, "version", a->version);
	jsonw_kint(w, "decided", (int64_t)atomic_load(&a->decided));
	jsonw_kint(w, "in_flight", (int64_t)atomic_load(&a->in_flight));
	pthread_mutex_lock(&a->lock);
	write_count(w, &a->run);
	jsonw_key(w, "stage");
	jsonw_object(w);
	jsonw_kint(w, "outcomes", (int64_t)a->stage.n);
	jsonw_kint(w, "errors", (int64_t)a->stage.errors);
	jsonw_kdouble(w, "p95_seconds", a->stage.latency.n > 0 ? hist_quantile(&a->stage.latency, 0.95) / 1e6 : NAN);
	jsonw_end_object(w);
	pthread_mutex_unlock(&a->lock);
	if (shadowed > 0) {
		double lo, hi;

		rollout_interval(agreed, shadowed, &lo, &hi);
		jsonw_kint(w, "shadowed", (int64_t)shadowed);
		write_interval(w, "agreement", (double)agreed / (double)shadowed, lo, hi);
	}
	jsonw_end_object(w);
}

/* new - old of the error rates: the hybrid of two Wilson intervals (Newcombe 1998, method 10). */
static void
write_difference(struct jsonw *w, const struct arm_count *from, const struct arm_count *to)
{
	double p1, p2, l1, u1, l2, u2, d, half1, half2, m1 = score_mean(to, &half1), m2 = score_mean(from, &half2);
	double half = sqrt(half1 * half1 + half2 * half2);

	rollout_interval(to->errors, to->n, &l1, &u1);
	rollout_interval(from->errors, from->n, &l2, &u2);
	jsonw_key(w, "difference");
	jsonw_object(w);
	if (to->n > 0 && from->n > 0) {
		p1 = (double)to->errors / (double)to->n;
		p2 = (double)from->errors / (double)from->n;
		d = p1 - p2;
		write_interval(w, "error_rate", d, d - sqrt((p1 - l1) * (p1 - l1) + (u2 - p2) * (u2 - p2)),
			d + sqrt((u1 - p1) * (u1 - p1) + (p2 - l2) * (p2 - l2)));
	}
	if (to->scored > 1 && from->scored > 1)
		write_interval(w, "score", m1 - m2, m1 - m2 - half, m1 - m2 + half);
	jsonw_end_object(w);
}

char *
switchstats_report(const struct switch_op *o, struct arm_stats *from, struct arm_stats *to)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	struct arm_count *c = from == NULL || to == NULL ? NULL : malloc(2 * sizeof *c);

	if (c == NULL)
		return NULL;
	pthread_mutex_lock(&from->lock);
	c[0] = from->run;
	pthread_mutex_unlock(&from->lock);
	pthread_mutex_lock(&to->lock);
	c[1] = to->run;
	pthread_mutex_unlock(&to->lock);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "old", o->from);
	jsonw_kstr(&w, "new", o->to);
	jsonw_key(&w, "arms");
	jsonw_array(&w);
	switchstats_write(&w, from);
	switchstats_write(&w, to);
	jsonw_end_array(&w);
	write_difference(&w, &c[0], &c[1]);
	jsonw_end_object(&w);
	free(c);
	return buf_take(&b, NULL);
}
