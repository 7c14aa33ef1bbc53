#include "serve/gateway.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/endpoint.h"
#include "serve/lastgood.h"
#include "serve/observe.h"
#include "serve/outlier.h"
#include "serve/prepare.h"
#include "serve/switching.h"

/* ---- server threads ---- */

static void
worker_free(void *p)
{
	struct gateway_worker *k = p;

	body_scratch_finish(&k->scratch);
	free(k->choose.allowed);
	free(k);
}

struct gateway_worker *
gateway_worker(struct gateway *g)
{
	struct gateway_worker *k = pthread_getspecific(g->worker_key);
	unsigned index;

	if (k != NULL)
		return k;
	if ((index = atomic_fetch_add(&g->workers, 1)) >= LIVE_READERS || (k = calloc(1, sizeof *k)) == NULL)
		return NULL;
	k->g = g;
	k->choose.index = index;
	rng_seed(&k->choose.rng, (uint64_t)clock_wall_us() ^ ((uint64_t)index << 56));
	if (pthread_setspecific(g->worker_key, k) != 0) {
		worker_free(k);
		return NULL;
	}
	return k;
}

const struct generation *
gateway_enter(struct gateway *g, const struct gateway_worker *k)
{
	return live_enter(&g->live, k->choose.index);
}

void
gateway_leave(struct gateway *g, const struct gateway_worker *k)
{
	live_leave(&g->live, k->choose.index);
}

/* ---- config and model ---- */

/* A model to keep for a start without one. */
struct keeping {
	struct gateway *g;
	struct source_model m;
};

static void
keep_now(void *ctx)
{
	struct keeping *k = ctx;
	struct err e = ERR_INIT;

	if (lastgood_keep(k->g->o.state_dir, k->m.model, &k->m.proof, &e) < 0)
		log_warn(&k->g->o.log, "the model cannot be kept for a start without it: %s", e.msg);
	loaded_unref(k->m.model);
	proof_finish(&k->m.proof);
	free(k);
}

/* Behind the answer: writing takes its time. */
static void
keep(struct gateway *g, struct prepared *p)
{
	struct keeping *k;

	if (g->o.state_dir == NULL || g->o.test || p->kept.model == NULL || (k = calloc(1, sizeof *k)) == NULL)
		return;
	k->g = g;
	k->m = p->kept;
	p->kept = (struct source_model){ 0 };
	if (jobs_ask(g->jobs, keep_now, k, NULL) < 0) {
		loaded_unref(k->m.model);
		proof_finish(&k->m.proof);
		free(k);
	}
}

/* What is told from now on: what the command line asked for, else what the config says. */
static void
set_log_level(struct gateway *g, const struct config *c)
{
	bool by_default = g->told.level == LOG_WARN;

	atomic_store(&g->log_level, by_default && c->log_level >= 0 ? c->log_level : (int)g->told.level);
}

static void
calibrate(void *ctx)
{
	outlier_calibrate(ctx);
	loaded_unref(ctx);
}

/* Look at a new model at leisure. Without memory or a thread for it, nothing is an outlier. */
static void
calibrate_later(struct gateway *g, const struct generation *n)
{
	struct err e = ERR_INIT;

	if (n->active.model == NULL || g->jobs == NULL)
		return;
	if (jobs_ask(g->jobs, calibrate, loaded_ref(n->active.model), &e) < 0)
		loaded_unref(n->active.model);
}

static void
count_reload(struct gateway *g, const char *strategy, const char *result, int64_t start)
{
	metrics_add(g->metrics, M_RELOADS, (const char *[]){ strategy, result }, 1);
	metrics_add(g->metrics, M_RELOAD_SECONDS, NULL, (double)(clock_mono_ns() - start) / 1e9);
}

int
gateway_reload_as(struct gateway *g, const struct gateway_reload *ask, struct err *e)
{
	int64_t start = clock_mono_ns();
	struct generation *next = NULL;
	struct prepared p;
	int r;

	pthread_mutex_lock(&g->reloading);
	if ((r = prepare(g, ask->config, &p, e)) == 0 && (next = switching_dress(g, p.next, e)) == NULL)
		r = -1;
	if (r == 0) {
		p.next = NULL;		/* next holds it */
		set_log_level(g, next->config);
		if (atomic_load(&g->live.value) != NULL) {
			count_reload(g, next->config->router.strategy_name, "ok", start);
			log_info(&g->o.log, "reloaded by %s%s%s", ask->cause, p.kept.model == NULL ? "" : ": model ",
				p.kept.model == NULL ? "" : p.kept.model->sha256);
		}
		calibrate_later(g, next);
		generation_unref(live_replace(&g->live, next));
		keep(g, &p);
	} else if (ask->may_wait && e->code == ERR_NOPERM) {
		log_warn(&g->o.log, "pending: %s", e->msg);
		r = 1;
	} else if (atomic_load(&g->live.value) != NULL) {
		const struct generation *now = atomic_load(&g->live.value);

		count_reload(g, now->config->router.strategy_name, "rejected", start);
		refusals_add(&g->refusals, ask->cause, e->msg);
		log_at(&g->o.log, LOG_ERROR, "reload by %s refused, the old config and model serve on: %s", ask->cause, e->msg);
	}
	prepared_finish(&p);
	pthread_mutex_unlock(&g->reloading);
	return r;
}

int
gateway_reload(struct gateway *g, struct err *e)
{
	return gateway_reload_as(g, &(struct gateway_reload){ true, false, "signal" }, e);
}

/* On the watcher's thread. */
static bool
on_change(void *ctx, bool last)
{
	struct gateway *g = ctx;
	struct err e = ERR_INIT;

	return gateway_reload_as(g, &(struct gateway_reload){ g->o.watch_config, !last, "watch" }, &e) <= 0;
}

/* ---- what is told ---- */

static void
tell_line(void *ctx, enum log_level level, const char *line)
{
	struct gateway *g = ctx;

	if ((int)level > atomic_load_explicit(&g->log_level, memory_order_relaxed))
		return;
	if (g->told.sink != NULL)
		g->told.sink(g->told.ctx, level, line);
	if (g->telemetry != NULL)
		telemetry_line(g->telemetry, level, line);
}

static void
refresh(void *ctx)
{
	struct gateway *g = ctx;
	struct gateway_worker *k = gateway_worker(g);

	if (k != NULL)
		observe_refresh(g, k);
}

static int
start_telling(struct gateway *g, struct err *e)
{
	struct accesslog_opts *a = &g->o.logs;
	struct telemetry_opts *t = &g->o.telemetry;

	a->metrics = t->counts = g->metrics;
	a->log = t->log = g->told;	/* not by way of telemetry, which would feed itself */
	t->refresh = refresh;
	t->ctx = g;
	if ((a->access != NULL || a->decision != NULL) && (g->logs = accesslog_new(a, e)) == NULL)
		return -1;
	if ((g->telemetry = telemetry_new(t, e)) == NULL && e->code != ERR_NONE)
		return -1;
	g->prompts = (g->logs != NULL && a->prompts) || telemetry_wants_prompts(g->telemetry);
	return 0;
}

/* ---- life ---- */

static void
handle(void *ctx, struct exchange *x)
{
	endpoint_dispatch(ctx, x);
}

static void
done(void *ctx, struct exchange *x)
{
	observe_answer(ctx, x);
}

struct gateway *
gateway_new(const struct gateway_opts *o, struct err *e)
{
	struct gateway *g = mem_aligned(1, sizeof *g, e);

	if (g == NULL)
		return NULL;
	g->o = *o;
	g->told = o->log;
	atomic_init(&g->log_level, (int)o->log.level);
	g->o.log = (struct log){ tell_line, g, LOG_DEBUG };
	g->started_us = clock_wall_us();
	pthread_mutex_init(&g->reloading, NULL);
	refusals_init(&g->refusals);
	diskcheck_init(&g->disk, o->state_dir);
	if ((g->backends = backends_new(e)) == NULL || (g->metrics = metrics_new(e)) == NULL ||
	    pthread_key_create(&g->worker_key, worker_free) != 0) {
		free(g);
		return NULL;
	}
	metrics_set(g->metrics, M_BUILD_INFO, (const char *[]){ LLMR_VERSION }, 1);
	if ((g->jobs = jobs_start(e)) == NULL ||
	    (!o->test && (g->watch = watch_start(&(struct watch_opts){ .grace_seconds = o->grace_seconds,
	    .changed = on_change, .ctx = g }, e)) == NULL) ||
	    gateway_reload_as(g, &(struct gateway_reload){ true, false, "start" }, e) < 0 ||
	    start_telling(g, e) < 0 || (g->relay = relay_start(&g->o.relay, e)) == NULL) {
		gateway_free(g);
		return NULL;
	}
	return g;
}

int
gateway_start(struct gateway *g, struct err *e)
{
	g->o.http.handle = handle;
	g->o.http.done = done;
	g->o.http.exempt = endpoint_is_probe;
	g->o.http.ctx = g;
	if ((g->http = httpd_start(&g->o.http, e)) == NULL)
		return -1;
	switching_run(g);
	return 0;
}

size_t
gateway_drain(struct gateway *g, double seconds)
{
	int64_t until = clock_mono_ns() + (int64_t)(seconds * 1e9);

	atomic_store(&g->draining, true);
	httpd_quiesce(g->http);
	while (httpd_in_flight(g->http) > 0 && clock_mono_ns() < until)
		clock_sleep_ns(10000000);
	return httpd_in_flight(g->http);
}

void
gateway_free(struct gateway *g)
{
	if (g == NULL)
		return;
	watch_stop(g->watch);
	jobs_stop(g->jobs);
	relay_stop(g->relay);
	httpd_stop(g->http);
	telemetry_free(g->telemetry);
	g->telemetry = NULL;
	accesslog_free(g->logs);
	switching_stop(g);
	generation_unref(live_replace(&g->live, NULL));
	backends_free(g->backends);
	metrics_free(g->metrics);
	(void)pthread_key_delete(g->worker_key);
	refusals_finish(&g->refusals);
	pthread_mutex_destroy(&g->reloading);
	free(g);
}
