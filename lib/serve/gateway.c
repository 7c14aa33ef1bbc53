#include "serve/gateway.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/endpoint.h"
#include "serve/observe.h"
#include "serve/outlier.h"
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

static void
tell_notes(const struct gateway *g, const struct config *c)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		const struct note *n = &c->note[i];

		log_at(&g->o.log, n->level == NOTE_ERROR ? LOG_ERROR : LOG_WARN, "%s:%zu: %s: %s", c->name, n->line,
			n->key, n->text);
	}
}

/* The first problem in full: who asked for a reload may not see the log. */
static void
refuse_config(const struct config *c, struct err *e)
{
	size_t i = 0;

	while (c->note[i].level != NOTE_ERROR)
		i++;
	err_set(e, ERR_CONFIG, "%s:%zu: %s: %s", c->name, c->note[i].line, c->note[i].key, c->note[i].text);
	if (c->n_errors > 1)
		err_set(e, ERR_CONFIG, "%s:%zu: %s: %s (the first of %zu problems)", c->name, c->note[i].line,
			c->note[i].key, c->note[i].text, c->n_errors);
}

static struct loaded *
load_model(const struct config *c, struct err *e)
{
	const struct router_settings *s = &c->router;

	if (s->strategy != STRATEGY_ML)
		return NULL;
	if (s->model_path == NULL) {
		err_set(e, ERR_CONFIG, "routing_strategy_args.model_path: missing");
		return NULL;
	}
	return loaded_read(s->model_path, s->kind, 0, e);
}

struct generation *
gateway_prepare(struct gateway *g, struct err *e)
{
	struct config *c = config_load(g->o.config_path, &g->o.source, e);
	struct candidates *k = NULL;
	struct loaded *model = NULL;
	struct generation *n = NULL;

	if (c == NULL)
		return NULL;
	tell_notes(g, c);
	if (c->n_errors > 0) {
		refuse_config(c, e);
		goto out;
	}
	if (c->router.llm_data_path != NULL && (k = candidates_load(c->router.llm_data_path, e)) == NULL)
		goto out;
	model = load_model(c, e);
	if (model == NULL && e->code != ERR_NONE)
		goto out;
	n = generation_new(c, k, model, g->backends, &g->o.log, e);
out:
	loaded_unref(model);
	if (n == NULL) {
		config_free(c);
		candidates_free(k);
	}
	return n;
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

/* The lock of reloading keeps what is served. */
static void
note_reload(struct gateway *g, bool well, double seconds, const struct err *e)
{
	const struct generation *served = atomic_load(&g->live.value);
	const char *labels[] = { served == NULL ? "" : served->config->router.strategy_name,
		well ? "success" : "rejected" };

	if (!well)
		refusals_note(&g->refusals, clock_wall_us(), e->msg);
	metrics_add(g->metrics, M_RELOADS, labels, 1);
	metrics_add(g->metrics, M_RELOAD_SECONDS, NULL, seconds);
}

int
gateway_reload(struct gateway *g, struct err *e)
{
	int64_t start = clock_mono_ns();
	struct generation *n, *dressed = NULL;

	pthread_mutex_lock(&g->reloading);
	if ((n = gateway_prepare(g, e)) != NULL && (dressed = switching_dress(g, n, e)) == NULL)
		generation_unref(n);
	if (dressed != NULL) {
		set_log_level(g, dressed->config);
		calibrate_later(g, dressed);
		generation_unref(live_replace(&g->live, dressed));
	}
	note_reload(g, dressed != NULL, (double)(clock_mono_ns() - start) / 1e9, e);
	pthread_mutex_unlock(&g->reloading);
	return dressed == NULL ? -1 : 0;
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
	if (gateway_reload(g, e) < 0 || start_telling(g, e) < 0 || (g->jobs = jobs_start(e)) == NULL ||
	    (g->relay = relay_start(&g->o.relay, e)) == NULL) {
		gateway_free(g);
		return NULL;
	}
	calibrate_later(g, atomic_load(&g->live.value));
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
	pthread_mutex_destroy(&g->reloading);
	refusals_finish(&g->refusals);
	free(g);
}
