#include "serve/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "serve/reply.h"

/* A reload that somebody waits for. */
struct waiting {
	struct gateway *g;
	struct exchange *x;
	bool router;
};

static void
write_config_answer(struct jsonw *w, const struct err *e)
{
	jsonw_kstr(w, "status", e->code == ERR_NONE ? "success" : "failed");
	if (e->code == ERR_NONE)
		jsonw_kstr(w, "message", "Config reloaded");
	else {
		jsonw_kstr(w, "error", "config_reload_failed");
		jsonw_kstr(w, "message", e->msg);
	}
	jsonw_kbool(w, "synced_from_remote", false);
}

static void
write_router_answer(struct jsonw *w, const char *strategy, const struct err *e)
{
	jsonw_kstr(w, "status", e->code == ERR_NONE ? "success" : "failed");
	jsonw_key(w, "reloaded");
	jsonw_array(w);
	if (e->code == ERR_NONE)
		jsonw_string(w, strategy);
	jsonw_end_array(w);
	jsonw_key(w, "errors");
	jsonw_array(w);
	if (e->code != ERR_NONE) {
		jsonw_object(w);
		jsonw_kstr(w, "strategy", strategy);
		jsonw_kstr(w, "error", e->msg);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

/* On the background thread. */
static void
reload_now(void *ctx)
{
	struct waiting *r = ctx;
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	struct jsonw w;
	char strategy[64];

	(void)gateway_reload_as(r->g, &(struct gateway_reload){ !r->router, false, "api" }, &e);
	pthread_mutex_lock(&r->g->reloading);	/* nobody replaces the generation meanwhile */
	(void)snprintf(strategy, sizeof strategy, "%s",
		((const struct generation *)atomic_load(&r->g->live.value))->config->router.strategy_name);
	pthread_mutex_unlock(&r->g->reloading);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	if (r->router)
		write_router_answer(&w, strategy, &e);
	else
		write_config_answer(&w, &e);
	jsonw_end_object(&w);
	reply_json(r->x, e.code == ERR_NONE ? 200 : 422, &b);
	free(r);
}

static void
ask(struct gateway *g, struct exchange *x, bool router)
{
	struct waiting *r = calloc(1, sizeof *r);
	struct err e = ERR_INIT;

	if (r == NULL) {
		reply_error(x, 503, NULL, NULL, "out of memory");
		return;
	}
	*r = (struct waiting){ g, x, router };
	exchange_defer(x);
	if (jobs_ask(g->jobs, reload_now, r, &e) < 0) {
		free(r);
		reply_error(x, 503, NULL, NULL, e.msg);
	}
}

void
reload_config(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	(void)k;
	ask(g, x, false);
}

/* {"strategy": NAME}: the one in service, or none named. */
static bool
names_strategy(struct slice body, const char *have, char named[64])
{
	struct jread r;
	struct slice key, value;
	bool escaped;

	named[0] = '\0';
	if (body.n == 0)
		return true;
	jread_init(&r, body.p, body.n);
	if (!jread_object(&r))
		return false;
	while (jread_member(&r, &key)) {
		if (!slice_is(key, "strategy") || jread_peek(&r) != JREAD_STRING) {
			(void)jread_skip(&r);
			continue;
		}
		if (!jread_string_raw(&r, &value, &escaped) || value.n >= 64)
			return false;
		memcpy(named, value.p, value.n);
		named[value.n] = '\0';
	}
	return jread_done(&r, NULL) == 0 && (named[0] == '\0' || strcmp(named, have) == 0);
}

void
reload_router(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const char *have = gateway_enter(g, k)->config->router.strategy_name;
	char named[64];
	bool known = names_strategy(exchange_body(x), have, named);

	gateway_leave(g, k);
	if (!known && named[0] == '\0') {
		reply_error(x, 400, NULL, "request_body", "Invalid JSON payload: {\"strategy\": NAME} is expected");
		return;
	}
	if (!known) {
		reply_error(x, 404, NULL, "strategy", "no such strategy is in service");
		return;
	}
	ask(g, x, true);
}

void
reload_info(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const struct generation *n = gateway_enter(g, k);
	struct buf b = BUF_INIT;
	struct jsonw w;
	char when[28];

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key(&w, "registered_strategies");
	jsonw_array(&w);
	jsonw_string(&w, n->config->router.strategy_name);
	jsonw_end_array(&w);
	jsonw_kint(&w, "strategy_count", 1);
	jsonw_kbool(&w, "hot_reload_enabled", n->config->router.hot_reload);
	jsonw_key(&w, "model");
	if (n->active.model != NULL) {
		jsonw_object(&w);
		jsonw_kstr(&w, "sha256", n->active.model->sha256);
		jsonw_kstr(&w, "kind", n->active.model->router->kind->name);
		jsonw_kstr(&w, "origin", n->active.model->origin);
		jsonw_kbool(&w, "signed", n->active.model->is_signed);
		jsonw_kstr(&w, "version", n->active.model->version[0] == '\0' ? NULL : n->active.model->version);
		jsonw_kint(&w, "bytes", (int64_t)n->active.model->bytes);
		str_iso8601(n->active.model->loaded_us, when);
		jsonw_kstr(&w, "loaded", when);
		jsonw_end_object(&w);
	} else
		jsonw_null(&w);
	jsonw_kstr(&w, "degraded", n->degraded);
	jsonw_kbool(&w, "draining", atomic_load(&g->draining));
	jsonw_key(&w, "refused_reloads");
	refusals_write(&g->refusals, &w);
	jsonw_end_object(&w);
	gateway_leave(g, k);
	reply_json(x, 200, &b);
}
