#include "serve/arm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/hash.h"

struct arm_stats *
arm_stats_new(const char *router, const char *version, struct err *e)
{
	struct arm_stats *a = mem_calloc(1, sizeof *a, e);

	if (a == NULL)
		return NULL;
	(void)snprintf(a->router, sizeof a->router, "%s", router);
	(void)snprintf(a->version, sizeof a->version, "%s", version);
	pthread_mutex_init(&a->lock, NULL);
	hist_init(&a->stage.latency);
	hist_init(&a->run.latency);
	return a;
}

void
arm_stats_free(struct arm_stats *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void
empty(struct arm_count *c)
{
	memset(c, 0, sizeof *c);
	hist_init(&c->latency);
}

void
arm_reset(struct arm_stats *a, bool run)
{
	pthread_mutex_lock(&a->lock);
	empty(&a->stage);
	if (run) {
		empty(&a->run);
		atomic_store(&a->decided, 0);
		atomic_store(&a->shadowed, 0);
		atomic_store(&a->agreed, 0);
	}
	pthread_mutex_unlock(&a->lock);
}

static void
add(struct arm_count *c, const struct arm_outcome *o)
{
	c->n += o->counts;
	c->errors += (o->counts && o->failed) || o->correction;
	if (c->errors > c->n)
		c->errors = c->n;	/* corrected after the stage had begun anew */
	if (o->counts && o->seconds >= 0)
		hist_add(&c->latency, (uint64_t)fmin(o->seconds * 1e6, 1e15));
	if (!isnan(o->score)) {
		c->scored++;
		c->score_sum += o->score;
		c->score_squares += o->score * o->score;
	}
}

void
arm_count(struct arm_stats *a, const struct arm_outcome *o)
{
	pthread_mutex_lock(&a->lock);
	add(&a->stage, o);
	add(&a->run, o);
	a->n += o->counts;
	a->errors += (o->counts && o->failed) || o->correction;
	pthread_mutex_unlock(&a->lock);
}

/* ---- who gets it ---- */

uint64_t
arm_bucket(const char *key, size_t n, uint64_t total)
{
	uint8_t digest[32];
	uint64_t v = 0;

	sha256_bytes(key, n, digest);
	for (int i = 0; i < 8; i++)
		v = v << 8 | digest[i];
	return v % total;
}

/* Append up to what there is room for. */
static size_t
put(char *out, size_t cap, size_t at, const char *p, size_t n)
{
	if (n > cap - at)
		n = cap - at;
	memcpy(out + at, p, n);
	return at + n;
}

size_t
arm_key(const struct want *w, char *out, size_t cap)
{
	struct slice model = slice_str(w->group == NULL ? "auto" : w->group);
	size_t n = 0;

	if (w->user.n > 0 && w->tenant.n > 0) {
		n = put(out, cap, n, "tenant:", 7);
		n = put(out, cap, n, w->tenant.p, w->tenant.n);
		n = put(out, cap, n, ":", 1);
	}
	if (w->user.n > 0) {
		n = put(out, cap, n, "user:", 5);
		n = put(out, cap, n, w->user.p, w->user.n);
	} else {
		n = put(out, cap, n, "request:", 8);
		n = put(out, cap, n, w->request_id.p == NULL ? "" : w->request_id.p, w->request_id.n);
	}
	n = put(out, cap, n, ":model:", 7);
	return put(out, cap, n, model.p, model.n);
}

const struct lineup *
arm_lineup(const struct generation *g, const char *group)
{
	const struct lineup *own = generation_lineup(g, group);

	for (size_t i = 0; own == NULL && i < g->n_lineups; i++) {
		if (g->lineup[i].is_default)
			own = &g->lineup[i];
	}
	return own;
}

void
arm_choose(const struct lineup *l, struct want *w)
{
	uint64_t bucket, sum = 0;
	char key[2048];
	size_t i = 0;

	w->arm = NULL;
	if (l == NULL || l->n == 0 || l->total == 0)
		return;
	if (l->n > 1) {
		bucket = arm_bucket(key, arm_key(w, key, sizeof key), l->total);
		while (i + 1 < l->n && bucket >= (sum += l->arm[i].weight))
			i++;
	}
	w->arm = &l->arm[i];
	atomic_fetch_add(&w->arm->stats->in_flight, 1);
	atomic_fetch_add(&w->arm->stats->decided, 1);
}

void
arm_end(const struct arm *a)
{
	if (a != NULL)
		atomic_fetch_sub(&a->stats->in_flight, 1);
}

int
arm_shadow(struct worker *k, const struct generation *g, const struct lineup *l, const struct want *w,
	const struct decision *d)
{
	int agrees;

	if (l == NULL || l->shadow == NULL || d->deployment == NULL)
		return -1;
	if ((agrees = decide_would(k, g, &l->shadow->bind, w, d->deployment)) < 0)
		agrees = 0;
	atomic_fetch_add(&l->shadow->stats->shadowed, 1);
	atomic_fetch_add(&l->shadow->stats->agreed, (unsigned)agrees);
	return agrees;
}
