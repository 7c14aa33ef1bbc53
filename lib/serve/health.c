#include "serve/health.h"

#include "fmt/jsonw.h"
#include "serve/reply.h"

void
health_live(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	static const char body[] = "{\"status\":\"alive\",\"service\":\"llmr\"}";

	(void)g;
	(void)k;
	exchange_reply(x, 200, "application/json", body, sizeof body - 1);
}

void
health_ready(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const struct generation *n = gateway_enter(g, k);
	bool draining = atomic_load(&g->draining), needs = n->config->router.strategy == STRATEGY_ML;
	bool degraded = n->degraded != NULL;
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "status", draining ? "not_ready" : degraded ? "degraded" : "ready");
	jsonw_kstr(&w, "service", "llmr");
	jsonw_kbool(&w, "is_degraded", degraded);
	jsonw_key(&w, "checks");
	jsonw_object(&w);
	jsonw_key(&w, "config");
	jsonw_object(&w);
	jsonw_kstr(&w, "status", "healthy");
	jsonw_end_object(&w);
	jsonw_key(&w, "model");
	jsonw_object(&w);
	jsonw_kstr(&w, "status", !needs ? "not_needed" : n->active.model == NULL ? "missing"
		: degraded ? "last_known_good" : "healthy");
	if (degraded)
		jsonw_kstr(&w, "reason", n->degraded);
	if (n->active.model != NULL)
		jsonw_kstr(&w, "sha256", n->active.model->sha256);
	jsonw_end_object(&w);
	jsonw_key(&w, "drain_status");
	jsonw_object(&w);
	jsonw_kstr(&w, "status", draining ? "draining" : "accepting");
	jsonw_kint(&w, "active_requests", (int64_t)httpd_in_flight(g->http));
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	gateway_leave(g, k);
	reply_json(x, draining ? 503 : 200, &b);
}

void
health_liveliness(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	static const char body[] = "\"I'm alive!\"";

	(void)g;
	(void)k;
	exchange_reply(x, 200, "application/json", body, sizeof body - 1);
}

void
health_readiness(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	static const char well[] = "{\"status\":\"healthy\",\"db\":\"Not connected\"}";
	static const char leaving[] = "{\"status\":\"draining\",\"db\":\"Not connected\"}";

	(void)k;
	if (atomic_load(&g->draining))
		exchange_reply(x, 503, "application/json", leaving, sizeof leaving - 1);
	else
		exchange_reply(x, 200, "application/json", well, sizeof well - 1);
}
