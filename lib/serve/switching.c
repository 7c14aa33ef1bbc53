#include "serve/switching.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "fmt/jsonw.h"

#define TICK_MS 200
#define SLOTS 16384		/* requests that feedback may still come for */

/* A request that a version decided. */
struct slot {
	uint64_t hash;
	struct arm_stats *stats;
	bool counted, failed;
};

struct switching {
	struct gateway *g;
	struct switchdb *db;
	struct versions *versions;
	struct switcher *engine;
	struct generation *base;	/* that a reload is about to put in; NULL: the one in service */
	char *models_dir, *webhook;
	char *parked;			/* file of the configured model while others serve */
	bool require_signature, enabled;
	char failed_router[65], failed_version[65];	/* of the last build */

	pthread_mutex_t slots_lock;
	struct slot *slot;
	uint64_t seed;

	pthread_t ticker;
	pthread_mutex_t tick_lock;
	pthread_cond_t tick_stop;
	bool ticking, stop;
};

struct switcher *
switching_engine(struct gateway *g)
{
	return g->switching == NULL || !g->switching->enabled ? NULL : g->switching->engine;
}

struct versions *
switching_versions(struct gateway *g)
{
	return g->switching == NULL ? NULL : g->switching->versions;
}

/* ---- references ---- */

static int
open_ref(void *ctx, const char *ref, bool *is_signed, struct err *e)
{
	struct switching *s = ctx;
	const struct gateway_opts *o = &s->g->o;
	int fd = -2;

	*is_signed = false;
	if (o->open_ref != NULL)
		fd = o->open_ref(o->open_ref_ctx, ref, is_signed, e);
	if (fd == -2 && s->models_dir == NULL)
		return err_set(e, ERR_CONFIG, "general_settings.models_dir is not set, so no file may be named");
	if (fd == -2)
		fd = versions_open_beneath(s->models_dir, ref, e);
	if (fd >= 0 && s->require_signature && !*is_signed) {
		(void)close(fd);
		return err_set(e, ERR_NOPERM, "%s: no signature was verified, and require_signature is set", ref);
	}
	return fd;
}

/* ---- what the engine says, put into a generation ---- */

/* The model of a version that is in memory already; NULL none. */
static struct loaded *
in_service(struct gateway *g, const char *router, const char *version)
{
	struct generation *live = atomic_load(&g->live.value);
	const struct lineup *l = live == NULL ? NULL : generation_lineup(live, router);

	for (size_t i = 0; l != NULL && i < l->n; i++) {
		if (strcmp(l->arm[i].version, version) == 0 && l->arm[i].bind.model != NULL &&
		    strcmp(version, SWITCH_CONFIGURED) != 0)
			return loaded_ref(l->arm[i].bind.model);
	}
	if (l != NULL && l->shadow != NULL && strcmp(l->shadow->version, version) == 0)
		return loaded_ref(l->shadow->bind.model);
	return NULL;
}

static bool
is_static(const char *name, enum strategy *out)
{
	for (int i = 0; i < STRATEGY_ML; i++) {
		if (strcmp(strategy_name((enum strategy)i), name) == 0) {
			*out = (enum strategy)i;
			return true;
		}
	}
	return false;
}

static char *
keep(struct generation *d, const char *s, struct err *e)
{
	return arena_dup(&d->arena, s, strlen(s), e);
}

/* A registered version: its model in memory, bound to the deployments. */
static int
bind_version(struct switching *s, struct generation *d, const char *router, struct arm *a, struct err *e)
{
	struct loaded *l = in_service(s->g, router, a->version);
	const struct log *log = l == NULL ? &s->g->o.log : NULL;	/* told once, when it comes in */
	char name[48];
	int r;

	if (l == NULL && (l = versions_load(s->versions, router, a->version, e)) == NULL)
		return -1;
	(void)snprintf(name, sizeof name, "llmrouter-%s", l->router->kind->name);
	r = (a->strategy = keep(d, name, e)) == NULL ? -1 : generation_bind(d, l, log, &a->bind, e);
	loaded_unref(l);
	return r;
}

/*
 * The configured model waits in a file while others serve, so that it costs no
 * memory; it stays where it is when that cannot be written.
 */
static void
park(struct switching *s, struct generation *base, const struct generation *d)
{
	struct loaded *l = base->active.model;
	struct err e = ERR_INIT;
	bool serves = d->active.model == NULL || d->active.model == l;

	for (size_t i = 0; i < d->n_lineups; i++) {
		for (size_t k = 0; k < d->lineup[i].n; k++)
			serves = serves || d->lineup[i].arm[k].bind.model == l;
	}
	if (l == NULL || serves)
		return;
	memcpy(base->parked.sha256, l->sha256, sizeof base->parked.sha256);
	base->parked.is_signed = l->is_signed;
	base->parked.loaded_us = l->loaded_us;
	base->parked.origin = keep(base, l->origin, &e);
	base->parked.version = keep(base, l->version, &e);
	if (base->parked.origin == NULL || base->parked.version == NULL || loaded_save(l, s->parked, &e) < 0) {
		base->parked.version = NULL;
		log_warn(&s->g->o.log, "switching: the configured model stays in memory: %s", e.msg);
		return;
	}
	base->active.model = NULL;
	loaded_unref(l);
}

/* And comes back. */
static int
unpark(struct switching *s, struct generation *base, struct err *e)
{
	struct loaded_opts o = { NULL, s->g->o.embedder };
	struct loaded *l;
	char *origin, *version;

	if (base->parked.version == NULL || (l = loaded_read(s->parked, &o, 0, e)) == NULL)
		return base->parked.version == NULL ? 0 : -1;
	origin = mem_strdup(base->parked.origin, e);
	version = mem_strdup(base->parked.version, e);
	if (origin == NULL || version == NULL || strcmp(l->sha256, base->parked.sha256) != 0) {
		if (origin != NULL && version != NULL)
			err_set(e, ERR_INPUT, "%s: the private file was changed", s->parked);
		free(origin);
		free(version);
		loaded_unref(l);
		return -1;
	}
	free(l->origin);
	free(l->version);
	l->origin = origin;
	l->version = version;
	l->is_signed = base->parked.is_signed;
	l->loaded_us = base->parked.loaded_us;
	base->active.model = l;
	base->parked.version = NULL;
	return 0;
}

/* What the default router has in service is what the generation has. */
static void
set_active(struct generation *d)
{
	for (size_t i = 0; i < d->n_lineups; i++) {
		const struct lineup *l = &d->lineup[i];

		if (!l->is_default || l->arm[0].bind.model == NULL || l->arm[0].bind.model == d->active.model)
			continue;
		loaded_unref(d->active.model);
		d->active = l->arm[0].bind;
		(void)loaded_ref(d->active.model);
	}
}

static int
bind_arm(struct switching *s, struct generation *d, const struct switch_view *v, const char *version, struct arm *a,
	struct err *e)
{
	const struct router_settings *set = &d->config->router;
	bool own = v->is_default && (strcmp(version, SWITCH_CONFIGURED) == 0 || strcmp(version, set->strategy_name) == 0);

	if ((a->version = keep(d, version, e)) == NULL ||
	    (a->stats = switcher_stats(s->engine, v->router, version, e)) == NULL)
		return -1;
	if (own) {
		if (unpark(s, d->base, e) < 0)
			return -1;
		a->bind = d->base->active;
		if (a->bind.model != NULL)
			(void)loaded_ref(a->bind.model);
		return 0;
	}
	if (versions_find(s->versions, v->router, version) != NULL)
		return bind_version(s, d, v->router, a, e);
	if (is_static(version, &a->bind.strategy)) {
		a->bind.fixed = true;
		return 0;
	}
	return err_set(e, ERR_CONFIG, "%s has no version %s", v->router, version);
}

static int
fill_lineup(struct switching *s, struct generation *d, const struct switch_view *v, struct lineup *l, struct err *e)
{
	const char *version = "";

	if ((l->router = keep(d, v->router, e)) == NULL ||
	    (l->arm = generation_take(d, v->n + 1, sizeof *l->arm, e)) == NULL)
		return -1;
	l->is_default = v->is_default;
	for (size_t i = 0; i < v->n; i++) {
		version = v->version[i];
		l->arm[i].weight = v->weight[i];
		l->total += v->weight[i];
		if (bind_arm(s, d, v, version, &l->arm[i], e) < 0)
			goto fail;
		l->n++;
	}
	if (v->shadow == NULL)
		return 0;
	version = v->shadow;
	if (bind_arm(s, d, v, version, &l->arm[v->n], e) < 0)
		goto fail;
	l->shadow = &l->arm[v->n];
	return 0;
fail:
	(void)snprintf(s->failed_router, sizeof s->failed_router, "%s", v->router);
	(void)snprintf(s->failed_version, sizeof s->failed_version, "%s", version);
	return -1;
}

/* A generation like base with the lineups of the engine. */
static struct generation *
build(struct switching *s, struct generation *base, struct err *e)
{
	size_t n = switcher_views(s->engine);
	struct generation *d = generation_derive(base, n, e);
	struct switch_view v;

	s->failed_version[0] = '\0';
	if (d == NULL)
		return NULL;
	d->n_lineups = 0;
	for (size_t i = 0; i < n; i++) {
		switcher_view(s->engine, i, &v);
		if (v.n == 0 || (!v.is_default && generation_group(base, v.router) != NULL))
			continue;	/* what model_list names is model_list's */
		d->n_lineups++;
		if (fill_lineup(s, d, &v, &d->lineup[d->n_lineups - 1], e) < 0) {
			generation_unref(d);
			return NULL;
		}
	}
	set_active(d);
	return d;
}

static bool
needed(void *ctx, const struct model_version *v)
{
	return switcher_needs(ctx, v->name, v->version);
}

void
switching_evict(struct gateway *g)
{
	versions_evict(g->switching->versions, needed, g->switching->engine);
}

static int
publish(void *ctx, struct err *e)
{
	struct switching *s = ctx;
	struct generation *live = atomic_load(&s->g->live.value), *d;

	if ((d = build(s, live->base == NULL ? live : live->base, e)) == NULL)
		return -1;
	generation_unref(live_replace(&s->g->live, d));
	park(s, d->base, d);
	switching_evict(s->g);
	return 0;
}

/* ---- hooks ---- */

static int64_t
mono_us(void *ctx)
{
	(void)ctx;
	return clock_mono_ns() / 1000;
}

static int64_t
wall_us(void *ctx)
{
	(void)ctx;
	return clock_wall_us();
}

static bool
exists(void *ctx, const char *router, const char *version)
{
	struct switching *s = ctx;
	const char *active = switcher_active(s->engine, NULL);
	struct switch_view v = { 0 };

	for (size_t i = 0; active != NULL && i < switcher_views(s->engine); i++) {
		switcher_view(s->engine, i, &v);
		if (v.is_default && strcmp(v.router, router) == 0 && strcmp(version, SWITCH_CONFIGURED) == 0)
			return true;
	}
	return versions_find(s->versions, router, version) != NULL;
}

static void
webhook_head(void *ctx, const struct relay_head *h)
{
	(void)ctx;
	(void)h;
}

static bool
webhook_body(void *ctx, const void *p, size_t n)
{
	(void)ctx;
	(void)p;
	(void)n;
	return true;
}

static void
webhook_done(void *ctx, enum relay_end end, const char *why)
{
	const struct gateway *g = ctx;

	if (end != RELAY_OK && end != RELAY_CANCELLED)
		log_warn(&g->o.log, "alert_webhook: %s", why);
}

static void
post_alert(struct switching *s, const struct switch_alert *a)
{
	static const char *const headers[] = { "Content-Type: application/json" };
	struct buf b = BUF_INIT, text = BUF_INIT;
	struct err e = ERR_INIT;
	struct jsonw w;

	buf_printf(&text, "llmr: %s %s: %s: %s", a->router, a->version, switch_alert_name(a->kind), a->text);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "text", buf_cstr(&text));
	jsonw_kstr(&w, "alert", switch_alert_name(a->kind));
	jsonw_kstr(&w, "router", a->router);
	jsonw_kstr(&w, "version", a->version);
	jsonw_kstr(&w, "operation_id", a->operation);
	jsonw_kstr(&w, "reason", a->text);
	jsonw_kint(&w, "time_us", clock_wall_us());
	jsonw_end_object(&w);
	if (b.failed || relay_submit(s->g->relay, &(struct relay_request){ .url = s->webhook, .headers = headers,
	    .n_headers = 1, .body = b.p, .n_body = b.len, .connect_timeout = 5, .total_timeout = 10,
	    .on_head = webhook_head, .on_body = webhook_body, .on_done = webhook_done, .ctx = s->g }, &e) == NULL)
		log_warn(&s->g->o.log, "alert_webhook: %s", e.msg);
	buf_finish(&b);
	buf_finish(&text);
}

static void
alert(void *ctx, const struct switch_alert *a)
{
	struct switching *s = ctx;

	log_warn(&s->g->o.log, "switching: %s %s: %s: %s", a->router, a->version, switch_alert_name(a->kind), a->text);
	if (s->webhook != NULL && s->g->relay != NULL)
		post_alert(s, a);
}

static void
ended(void *ctx, const struct switch_op *o)
{
	struct switching *s = ctx;
	const char *labels[] = { rollout_name(o->rollout.kind), switch_state_name(o->state) };

	metrics_add(s->g->metrics, M_SWITCHES, labels, 1);
	metrics_add(s->g->metrics, M_SWITCH_DURATION, labels, (double)(o->ended_us - o->started_us) / 1e6);
	log_info(&s->g->o.log, "switching: %s from %s to %s: %s: %s", o->router, o->from, o->to,
		switch_state_name(o->state), o->reason);
}

/* ---- life ---- */

static void
settings_of(const struct config *c, struct switch_settings *out)
{
	const struct switching_settings *s = &c->switching;

	*out = (struct switch_settings){ .rollout = { s->health_checks, s->error_rate_warning, s->latency_p95_ms / 1000 },
		.kind = ROLLOUT_GRADUAL, .alert_error_rate = s->error_rate_warning,
		.alert_p95_seconds = s->latency_p95_ms / 1000 };
	(void)rollout_parse(slice_str(s->default_strategy), &out->kind);
	(void)snprintf(out->router, sizeof out->router, "%s", c->router.strategy_name);
}

/* What the config says now. */
static int
configure(struct switching *s, const struct config *c, struct err *e)
{
	char *dir = NULL, *hook = NULL;
	struct switch_settings set;

	if ((c->general.models_dir != NULL && (dir = mem_strdup(c->general.models_dir, e)) == NULL) ||
	    (c->general.alert_webhook != NULL && (hook = mem_strdup(c->general.alert_webhook, e)) == NULL)) {
		free(dir);
		return -1;
	}
	free(s->models_dir);
	free(s->webhook);
	s->models_dir = dir;
	s->webhook = hook;
	s->require_signature = c->general.require_signature;
	s->enabled = c->switching.enabled;
	settings_of(c, &set);
	versions_limit(s->versions, c->switching.max_cached_models, c->switching.cache_bytes);
	switcher_set(s->engine, &set);
	return 0;
}

static void
switching_free(struct switching *s)
{
	if (s == NULL)
		return;
	switcher_free(s->engine);
	versions_free(s->versions);
	switchdb_close(s->db);
	free(s->slot);
	free(s->models_dir);
	free(s->webhook);
	free(s->parked);
	pthread_mutex_destroy(&s->slots_lock);
	pthread_mutex_destroy(&s->tick_lock);
	pthread_cond_destroy(&s->tick_stop);
	free(s);
}

/* NULL or "" when there are none. */
static const char *
standing_weights(const struct gateway *g)
{
	return g->o.source.env == NULL ? NULL : g->o.source.env(g->o.source.ctx, "LLMROUTER_STRATEGY_WEIGHTS");
}

static struct switching *
switching_new(struct gateway *g, const struct config *c, struct err *e)
{
	struct switching *s = mem_calloc(1, sizeof *s, e);
	struct switch_hooks h = { mono_us, wall_us, exists, publish, alert, ended, s };
	const char *weights = standing_weights(g);
	struct buf db = BUF_INIT, dir = BUF_INIT, parked = BUF_INIT;
	struct switch_settings set;

	if (s == NULL)
		return NULL;
	s->g = g;
	s->seed = (uint64_t)clock_mono_ns();
	pthread_mutex_init(&s->slots_lock, NULL);
	pthread_mutex_init(&s->tick_lock, NULL);
	pthread_cond_init(&s->tick_stop, NULL);
	if (g->o.state_dir == NULL) {
		err_set(e, ERR_CONFIG, "model_switching needs a folder for its state: --state-dir");
		goto fail;
	}
	buf_printf(&db, "%s/switching.db", g->o.state_dir);
	buf_printf(&dir, "%s/versions", g->o.state_dir);
	buf_printf(&parked, "%s/versions/.configured", g->o.state_dir);
	settings_of(c, &set);
	if ((s->parked = buf_take(&parked, e)) == NULL || (s->slot = mem_calloc(SLOTS, sizeof *s->slot, e)) == NULL ||
	    (s->db = switchdb_open(buf_cstr(&db), e)) == NULL ||
	    (s->versions = versions_new(&(struct versions_opts){ buf_cstr(&dir), s->db, open_ref, s, g->o.embedder },
	    e)) == NULL ||
	    (s->engine = switcher_new(s->db, &h, &set, e)) == NULL || switcher_weights(s->engine, weights, e) < 0)
		goto fail;
	buf_finish(&db);
	buf_finish(&dir);
	return s;
fail:
	buf_finish(&db);
	buf_finish(&dir);
	switching_free(s);
	return NULL;
}

struct generation *
switching_dress(struct gateway *g, struct generation *n, struct err *e)
{
	const char *weights = standing_weights(g);
	bool starts = g->switching == NULL;
	struct generation *d;

	if (!n->config->switching.enabled && (weights == NULL || weights[0] == '\0')) {
		if (g->switching != NULL)
			g->switching->enabled = false;
		return n;
	}
	if (starts && (g->switching = switching_new(g, n->config, e)) == NULL) {
		/* A full disk must not keep the gateway down; the next reload tries again. */
		if (e->code != ERR_IO && e->code != ERR_CANTCREAT && e->code != ERR_TEMPFAIL)
			return NULL;
		log_at(&g->o.log, LOG_ERROR, "model switching is off, the configured model serves: %s", e->msg);
		*e = (struct err)ERR_INIT;
		return n;
	}
	if (configure(g->switching, n->config, e) < 0)
		return NULL;
	/* What was in service before a restart and cannot be now gives way; it must not keep the gateway down. */
	while ((d = build(g->switching, n, e)) == NULL && starts && g->switching->failed_version[0] != '\0' &&
	    strcmp(g->switching->failed_version, SWITCH_CONFIGURED) != 0 && (weights == NULL || weights[0] == '\0')) {
		switcher_give_up(g->switching->engine, g->switching->failed_router, g->switching->failed_version, e->msg);
		*e = (struct err)ERR_INIT;
	}
	if (d == NULL) {
		const struct generation *live = atomic_load(&g->live.value);
		struct err ignored = ERR_INIT;

		if (live != NULL)
			(void)configure(g->switching, live->config, &ignored);	/* the old config serves on, here too */
		return NULL;
	}
	generation_unref(n);	/* d holds it */
	park(g->switching, n, d);
	if (starts && g->http != NULL)
		switching_run(g);
	return d;
}

/* ---- time ---- */

static void *
tick(void *arg)
{
	struct switching *s = arg;
	struct timespec until;

	pthread_mutex_lock(&s->tick_lock);
	while (!s->stop) {
		pthread_mutex_unlock(&s->tick_lock);
		pthread_mutex_lock(&s->g->reloading);
		if (s->enabled)
			switcher_tick(s->engine);
		pthread_mutex_unlock(&s->g->reloading);
		pthread_mutex_lock(&s->tick_lock);
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (!s->stop)
			(void)pthread_cond_timedwait(&s->tick_stop, &s->tick_lock, &until);
	}
	pthread_mutex_unlock(&s->tick_lock);
	return NULL;
}

void
switching_run(struct gateway *g)
{
	struct switching *s = g->switching;

	if (s == NULL || s->ticking)
		return;
	s->ticking = pthread_create(&s->ticker, NULL, tick, s) == 0;
	if (!s->ticking)
		log_at(&g->o.log, LOG_ERROR, "switching: no thread could be started: switches stand still");
}

void
switching_stop(struct gateway *g)
{
	struct switching *s = g->switching;

	if (s == NULL)
		return;
	if (s->ticking) {
		pthread_mutex_lock(&s->tick_lock);
		s->stop = true;
		pthread_cond_signal(&s->tick_stop);
		pthread_mutex_unlock(&s->tick_lock);
		(void)pthread_join(s->ticker, NULL);
	}
	g->switching = NULL;
	switching_free(s);
}

/* ---- requests ---- */

/* Does what the upstream answered tell against the version: not what the client asked wrongly? */
static bool
tells(const struct event *v, bool *failed)
{
	*failed = v->d->fallback != NULL;
	if (v->status >= 200 && v->status < 400)
		return v->forwarded || *failed;
	*failed = true;
	if (v->error != NULL && strcmp(v->error, "cancelled") == 0)
		return false;
	if (!v->forwarded)
		return v->status >= 500;
	return v->status >= 500 || v->status == 401 || v->status == 403 || v->status == 404 || v->status == 408 ||
		v->status == 429;
}

static void
remember(struct switching *s, const char *id, struct arm_stats *a, bool counted, bool failed)
{
	uint64_t h = map_hash(id, strlen(id), s->seed);

	pthread_mutex_lock(&s->slots_lock);
	s->slot[h % SLOTS] = (struct slot){ h, a, counted, failed };
	pthread_mutex_unlock(&s->slots_lock);
}

void
switching_observe(struct gateway *g, const struct event *v)
{
	const struct arm *a = v->d->arm;
	const char *labels[2];
	struct arm_outcome o = { .seconds = v->total_seconds, .score = NAN };

	if (a == NULL)
		return;
	arm_end(a);
	labels[0] = a->stats->router;
	labels[1] = a->version;
	metrics_add(g->metrics, M_SWITCH_REQUESTS, labels, 1);
	metrics_add(g->metrics, M_SWITCH_SECONDS, labels, v->total_seconds);
	o.counts = tells(v, &o.failed);
	if (o.counts) {
		arm_count(a->stats, &o);
		if (o.failed)
			metrics_add(g->metrics, M_SWITCH_ERRORS, labels, 1);
	}
	remember(g->switching, v->request_id, a->stats, o.counts, o.counts && o.failed);
}

int
switching_feedback(struct gateway *g, const struct switching_feedback *f, struct err *e)
{
	struct switching *s = g->switching;
	uint64_t h = s == NULL ? 0 : map_hash(f->request_id.p, f->request_id.n, s->seed);
	struct arm_outcome o = { .seconds = f->latency_seconds, .score = f->score };
	struct slot *at = s == NULL ? NULL : &s->slot[h % SLOTS];
	struct arm_stats *a = NULL;

	if (s == NULL)
		return err_set(e, ERR_NO, "model switching is off");
	pthread_mutex_lock(&s->slots_lock);
	if (at->hash == h && at->stats != NULL) {
		a = at->stats;
		if (f->success >= 0) {
			o.counts = !at->counted;
			o.failed = f->success == 0;
			o.correction = at->counted && !at->failed && o.failed;
			at->counted = true;
			at->failed = at->failed || o.failed;
		}
	}
	pthread_mutex_unlock(&s->slots_lock);
	if (a == NULL)
		return err_set(e, ERR_NOINPUT, "no version decided a request of that request_id lately");
	arm_count(a, &o);
	if (o.correction || (o.counts && o.failed))
		metrics_add(g->metrics, M_SWITCH_ERRORS, (const char *[]){ a->router, a->version }, 1);
	return 0;
}

void
switching_shadow(struct gateway *g, struct worker *k, const struct generation *n, const struct want *w,
	const struct decision *d)
{
	const struct lineup *l = n->n_lineups == 0 ? NULL : arm_lineup(n, w->group);
	int agrees = arm_shadow(k, n, l, w, d);

	if (agrees >= 0)
		metrics_add(g->metrics, M_SHADOW, (const char *[]){ l->router, l->shadow->version, agrees ? "yes" : "no" }, 1);
}

void
switching_metrics(struct gateway *g, const struct generation *n)
{
	metrics_clear(g->metrics, M_SWITCH_RATIO);
	metrics_clear(g->metrics, M_SWITCH_IN_FLIGHT);
	for (size_t i = 0; i < n->n_lineups; i++) {
		const struct lineup *l = &n->lineup[i];

		for (size_t k = 0; k < l->n; k++) {
			const char *labels[] = { l->router, l->arm[k].version };

			metrics_set(g->metrics, M_SWITCH_RATIO, labels, (double)l->arm[k].weight / (double)l->total);
			metrics_set(g->metrics, M_SWITCH_IN_FLIGHT, labels,
				(double)atomic_load(&l->arm[k].stats->in_flight));
		}
	}
}
