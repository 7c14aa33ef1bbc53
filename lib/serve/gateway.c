#include "serve/gateway.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/endpoint.h"
#include "serve/observe.h"
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

static struct loaded *
load_model(const struct gateway *g, const struct config *c, struct err *e)
{
	const struct router_settings *s = &c->router;
	struct loaded_opts o = { s->kind, g->o.embedder };

	if (s->strategy != STRATEGY_ML)
		return NULL;
	if (s->model_path == NULL) {
		err_set(e, ERR_CONFIG, "routing_strategy_args.model_path: missing");
		return NULL;
	}
	return loaded_read(s->model_path, &o, 0, e);
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
		err_set(e, ERR_CONFIG, "%s: %zu problem%s", c->name, c->n_errors, c->n_errors == 1 ? "" : "s");
		goto out;
	}
	if (c->router.llm_data_path != NULL && (k = candidates_load(c->router.llm_data_path, e)) == NULL)
		goto out;
	model = load_model(g, c, e);
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

int
gateway_reload(struct gateway *g, struct err *e)
{
	struct generation *n, *dressed = NULL;

	pthread_mutex_lock(&g->reloading);
	if ((n = gateway_prepare(g, e)) != NULL && (dressed = switching_dress(g, n, e)) == NULL)
		generation_unref(n);
	if (dressed != NULL)
		generation_unref(live_replace(&g->live, dressed));
	pthread_mutex_unlock(&g->reloading);
	return dressed == NULL ? -1 : 0;
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
	g->started_us = clock_wall_us();
	pthread_mutex_init(&g->reloading, NULL);
	if ((g->backends = backends_new(e)) == NULL || (g->metrics = metrics_new(e)) == NULL ||
	    pthread_key_create(&g->worker_key, worker_free) != 0) {
		free(g);
		return NULL;
	}
	metrics_set(g->metrics, M_BUILD_INFO, (const char *[]){ LLMR_VERSION }, 1);
	if (gateway_reload(g, e) < 0 || (g->jobs = jobs_start(e)) == NULL ||
	    (g->relay = relay_start(&g->o.relay, e)) == NULL) {
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
	jobs_stop(g->jobs);
	relay_stop(g->relay);
	httpd_stop(g->http);
	switching_stop(g);
	generation_unref(live_replace(&g->live, NULL));
	backends_free(g->backends);
	metrics_free(g->metrics);
	(void)pthread_key_delete(g->worker_key);
	pthread_mutex_destroy(&g->reloading);
	free(g);
}
