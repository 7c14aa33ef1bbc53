#include "serve/rollout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fmt/jread.h"

#define MINUTE 60.0
#define HOUR 3600.0
#define EARLY_SAMPLES 5
#define DEFAULT_SAMPLES 50

static const char *const names[] = { "immediate", "gradual", "canary", "ab_test", "shadow" };

const char *
rollout_name(enum rollout_kind k)
{
	return names[k];
}

bool
rollout_parse(struct slice s, enum rollout_kind *out)
{
	for (int i = 0; i <= ROLLOUT_SHADOW; i++) {
		if (strlen(names[i]) == s.n && strncasecmp(names[i], s.p, s.n) == 0) {
			*out = (enum rollout_kind)i;
			return true;
		}
	}
	*out = ROLLOUT_AB;
	return s.n == 10 && strncasecmp("ab_testing", s.p, s.n) == 0;
}

/* ---- parameters ---- */

/* One reading: what the names of the parameters fill. */
struct given {
	double duration_minutes, watch_minutes, initial, step, period_minutes, max_error_rate, p95_ms, samples;
	double traffic, test_hours;
	double steps;				/* a number of them, or */
	double list[ROLLOUT_STAGES];		/* a list of shares */
	size_t n_list;
	bool promote, watched;
};

/* Strategies that take a parameter, a bit each. */
#define OF(k) (1u << (k))
#define WATCHED (OF(ROLLOUT_IMMEDIATE) | OF(ROLLOUT_GRADUAL) | OF(ROLLOUT_CANARY) | OF(ROLLOUT_AB))

static const struct parameter {
	const char *name;
	unsigned of;
	double lo, hi;
	size_t at;
} parameters[] = {
	{ "watch_minutes", OF(ROLLOUT_IMMEDIATE), 0, 1e6, offsetof(struct given, watch_minutes) },
	{ "duration_minutes", OF(ROLLOUT_GRADUAL), 0, 1e6, offsetof(struct given, duration_minutes) },
	{ "initial_percentage", OF(ROLLOUT_CANARY), 0.01, 100, offsetof(struct given, initial) },
	{ "step_percentage", OF(ROLLOUT_CANARY), 1, 100, offsetof(struct given, step) },
	{ "evaluation_period_minutes", OF(ROLLOUT_CANARY), 0, 1e6, offsetof(struct given, period_minutes) },
	{ "traffic_percentage", OF(ROLLOUT_AB), 0.01, 100, offsetof(struct given, traffic) },
	{ "test_duration_hours", OF(ROLLOUT_AB) | OF(ROLLOUT_SHADOW), 0, 1e5, offsetof(struct given, test_hours) },
	{ "max_error_rate_threshold", WATCHED, 0, 1, offsetof(struct given, max_error_rate) },
	{ "max_latency_p95_ms", WATCHED, 0, 1e9, offsetof(struct given, p95_ms) },
	{ "min_samples", WATCHED, 1, 1e9, offsetof(struct given, samples) },
	{ NULL, 0, 0, 0, 0 }
};

static int
wrong(struct err *e, struct slice key, const char *what)
{
	return err_set(e, ERR_USAGE, "strategy_config.%.*s: %s", (int)(key.n > 40 ? 40 : key.n), key.p, what);
}

/* steps: 3, or [10, 25, 50, 100]. */
static int
read_steps(struct jread *r, struct slice key, struct given *g, struct err *e)
{
	double last = 0;

	g->n_list = 0;
	g->steps = 0;
	if (jread_peek(r) == JREAD_NUMBER) {
		if (!jread_double(r, &g->steps) || g->steps < 1 || g->steps > ROLLOUT_STAGES || fmod(g->steps, 1) != 0)
			return wrong(e, key, "1 to 100 steps are needed");
		return 0;
	}
	if (!jread_array(r))
		return wrong(e, key, "a number, or a list of growing percentages up to 100 is needed");
	while (jread_element(r)) {
		double p = 0;

		if (g->n_list == ROLLOUT_STAGES || !jread_double(r, &p) || p <= last || p > 100)
			return wrong(e, key, "percentages must grow, up to 100, and be at most 100");
		g->list[g->n_list++] = last = p;
	}
	return last == 100 ? 0 : wrong(e, key, "the last percentage must be 100");
}

static int
read_on_end(struct jread *r, struct slice key, struct given *g, struct err *e)
{
	struct slice s;
	bool escaped;

	if (jread_peek(r) != JREAD_STRING || !jread_string_raw(r, &s, &escaped) ||
	    (!slice_is(s, "promote") && !slice_is(s, "return")))
		return wrong(e, key, "\"promote\" or \"return\" is needed");
	g->promote = slice_is(s, "promote");
	return 0;
}

static int
read_one(struct jread *r, struct slice key, enum rollout_kind kind, struct given *g, struct err *e)
{
	const struct parameter *p = parameters;
	double v;

	if (slice_is(key, "steps") && kind == ROLLOUT_GRADUAL)
		return read_steps(r, key, g, e);
	if (slice_is(key, "on_end") && kind == ROLLOUT_AB)
		return read_on_end(r, key, g, e);
	if (slice_is(key, "health_checks") && kind != ROLLOUT_SHADOW)
		return jread_bool(r, &g->watched) ? 0 : wrong(e, key, "true or false is needed");
	while (p->name != NULL && (!slice_is(key, p->name) || (p->of & OF(kind)) == 0))
		p++;
	if (p->name == NULL)
		return err_set(e, ERR_USAGE, "strategy_config.%.*s: no parameter of %s", (int)(key.n > 40 ? 40 : key.n),
			key.p, names[kind]);
	if (jread_peek(r) != JREAD_NUMBER || !jread_double(r, &v) || v < p->lo || v > p->hi)
		return err_set(e, ERR_USAGE, "strategy_config.%s: a number from %g to %g is needed", p->name, p->lo, p->hi);
	*(double *)(void *)((char *)g + p->at) = v;
	return 0;
}

static int
read_all(struct slice json, enum rollout_kind kind, struct given *g, struct err *e)
{
	struct jread r;
	struct slice key;

	if (json.n == 0 || slice_is(json, "null"))
		return 0;
	jread_init(&r, json.p, json.n);
	if (!jread_object(&r))
		return err_set(e, ERR_USAGE, "strategy_config: an object is needed");
	while (jread_member(&r, &key)) {
		if (read_one(&r, key, kind, g, e) < 0)
			return -1;
	}
	if (jread_done(&r, e) < 0) {
		err_wrap(e, "strategy_config");
		if (e != NULL)
			e->code = ERR_USAGE;
		return -1;
	}
	return 0;
}

static void
gradual(struct rollout *o, const struct given *g)
{
	if (g->steps > 0) {
		o->n_stages = (size_t)g->steps;
		for (size_t i = 0; i < o->n_stages; i++)
			o->percent[i] = floor(100 * (double)(i + 1) / g->steps);
	} else {
		o->n_stages = g->n_list;
		memcpy(o->percent, g->list, g->n_list * sizeof *g->list);
	}
	o->stage_seconds = g->duration_minutes * MINUTE / (double)o->n_stages;
}

static void
canary(struct rollout *o, const struct given *g)
{
	o->initial = g->initial;
	o->step = g->step;
	o->gated = true;
	for (double p = g->initial; p < 100 && o->n_stages < ROLLOUT_STAGES; p += g->step)
		o->percent[o->n_stages++] = p;
	if (o->n_stages == 0)
		o->percent[o->n_stages++] = 100;
	o->stage_seconds = g->period_minutes * MINUTE;
}

static void
one_stage(struct rollout *o, double percent, double seconds)
{
	o->n_stages = 1;
	o->percent[0] = percent;
	o->stage_seconds = seconds;
}

int
rollout_read(struct rollout *o, enum rollout_kind kind, const struct rollout_defaults *d, struct slice json,
	struct err *e)
{
	struct given g = { .duration_minutes = 60, .initial = 5, .step = 15, .period_minutes = 15,
		.max_error_rate = d->max_error_rate, .p95_ms = d->max_p95_seconds * 1000, .samples = DEFAULT_SAMPLES,
		.traffic = 50, .test_hours = kind == ROLLOUT_SHADOW ? INFINITY : 24, .list = { 10, 25, 50, 100 },
		.n_list = 4, .watched = d->watched };

	if (read_all(json, kind, &g, e) < 0)
		return -1;
	*o = (struct rollout){ .kind = kind, .watched = g.watched && kind != ROLLOUT_SHADOW,
		.promote = kind == ROLLOUT_AB ? g.promote : kind != ROLLOUT_SHADOW, .max_error_rate = g.max_error_rate,
		.max_p95_seconds = g.p95_ms / 1000, .min_samples = (uint64_t)g.samples };
	switch (kind) {
	case ROLLOUT_IMMEDIATE:
		one_stage(o, 100, g.watch_minutes * MINUTE);
		break;
	case ROLLOUT_GRADUAL:
		gradual(o, &g);
		break;
	case ROLLOUT_CANARY:
		canary(o, &g);
		break;
	case ROLLOUT_AB:
		one_stage(o, g.traffic, g.test_hours * HOUR);
		break;
	case ROLLOUT_SHADOW:
		one_stage(o, 0, g.test_hours * HOUR);
		break;
	}
	return 0;
}

void
rollout_write(struct jsonw *w, const struct rollout *o)
{
	jsonw_object(w);
	switch (o->kind) {
	case ROLLOUT_IMMEDIATE:
		jsonw_kdouble(w, "watch_minutes", o->stage_seconds / MINUTE);
		break;
	case ROLLOUT_GRADUAL:
		jsonw_kdouble(w, "duration_minutes", o->stage_seconds * (double)o->n_stages / MINUTE);
		jsonw_key(w, "steps");
		jsonw_array(w);
		for (size_t i = 0; i < o->n_stages; i++)
			jsonw_double(w, o->percent[i]);
		jsonw_end_array(w);
		break;
	case ROLLOUT_CANARY:
		jsonw_kdouble(w, "initial_percentage", o->initial);
		jsonw_kdouble(w, "step_percentage", o->step);
		jsonw_kdouble(w, "evaluation_period_minutes", o->stage_seconds / MINUTE);
		break;
	case ROLLOUT_AB:
		jsonw_kdouble(w, "traffic_percentage", o->percent[0]);
		jsonw_kstr(w, "on_end", o->promote ? "promote" : "return");
		jsonw_kdouble(w, "test_duration_hours", o->stage_seconds / HOUR);
		break;
	case ROLLOUT_SHADOW:
		if (isfinite(o->stage_seconds))
			jsonw_kdouble(w, "test_duration_hours", o->stage_seconds / HOUR);
		break;
	}
	if (o->kind != ROLLOUT_SHADOW) {
		jsonw_kbool(w, "health_checks", o->watched);
		jsonw_kdouble(w, "max_error_rate_threshold", o->max_error_rate);
		jsonw_kdouble(w, "max_latency_p95_ms", o->max_p95_seconds * 1000);
		jsonw_kint(w, "min_samples", (int64_t)o->min_samples);
	}
	jsonw_end_object(w);
}

unsigned
rollout_total(const struct rollout *o)
{
	for (size_t i = 0; i < o->n_stages; i++) {
		if (fmod(o->percent[i], 1) != 0)
			return 10000;
	}
	return 100;
}

/* ---- judgement ---- */

void
rollout_interval(uint64_t k, uint64_t n, double *lo, double *hi)
{
	const double z = 1.959963984540054;
	double m = (double)n, p, centre, half;

	*lo = 0;
	*hi = 1;
	if (n == 0)
		return;
	p = (double)k / m;
	centre = (p + z * z / (2 * m)) / (1 + z * z / m);
	half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / (1 + z * z / m);
	*lo = k == 0 ? 0 : fmax(0, centre - half);
	*hi = k == n ? 1 : fmin(1, centre + half);
}

/* Are the figures bad enough to take the version out? */
static bool
bad(const struct rollout *o, const struct rollout_sample *s, char why[ROLLOUT_WHY])
{
	double rate = s->n == 0 ? 0 : (double)s->errors / (double)s->n, lo, hi;

	rollout_interval(s->errors, s->n, &lo, &hi);
	if ((s->n >= o->min_samples && rate > o->max_error_rate) || (s->n >= EARLY_SAMPLES && lo > o->max_error_rate)) {
		(void)snprintf(why, ROLLOUT_WHY, "error rate %.4g of %llu requests is above %.4g", rate,
			(unsigned long long)s->n, o->max_error_rate);
		return true;
	}
	if (s->n >= o->min_samples && o->max_p95_seconds > 0 && s->p95_seconds > o->max_p95_seconds) {
		(void)snprintf(why, ROLLOUT_WHY, "P95 %.4g s of %llu requests is above %.4g s", s->p95_seconds,
			(unsigned long long)s->n, o->max_p95_seconds);
		return true;
	}
	return false;
}

enum rollout_verdict
rollout_judge(const struct rollout *o, size_t stage, double elapsed, const struct rollout_sample *s,
	char why[ROLLOUT_WHY])
{
	bool over = elapsed >= o->stage_seconds;

	if (o->watched && bad(o, s, why))
		return ROLLOUT_BACK;
	if (!over)
		return ROLLOUT_STAY;
	if (o->gated) {
		if (s->n < o->min_samples)
			return ROLLOUT_STAY;
		if (bad(o, s, why))
			return ROLLOUT_BACK;
	}
	if (stage + 1 < o->n_stages) {
		(void)snprintf(why, ROLLOUT_WHY, "%g %% were well", o->percent[stage]);
		return ROLLOUT_NEXT;
	}
	(void)snprintf(why, ROLLOUT_WHY, o->promote ? "every stage was well" : "the time is over");
	return o->promote ? ROLLOUT_PROMOTE : ROLLOUT_RETURN;
}
