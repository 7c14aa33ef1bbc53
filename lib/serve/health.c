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

/* "NAME":{"status":STATUS, left open for more. */
static void
begin_check(struct jsonw *w, const char *name, const char *status)
{
	jsonw_key(w, name);
	jsonw_object(w);
	jsonw_kstr(w, "status", status);
}

static void
check(struct jsonw *w, const char *name, const char *status)
{
	begin_check(w, name, status);
	jsonw_end_object(w);
}

/* Only what is known already: a probe waits for no disk, no store and no other request. */
static void
write_checks(struct gateway *g, const struct generation *n, bool draining, enum disk_state disk, struct jsonw *w)
{
	const struct loaded *model = n->active.model;
	bool needs = n->config->router.strategy == STRATEGY_ML;

	jsonw_key(w, "checks");
	jsonw_object(w);
	check(w, "config", "healthy");
	begin_check(w, "model", !needs ? "not_needed" : model == NULL ? "missing"
		: n->degraded != NULL ? "last_known_good" : "healthy");
	if (n->degraded != NULL)
		jsonw_kstr(w, "reason", n->degraded);
	if (model != NULL)
		jsonw_kstr(w, "sha256", model->sha256);
	jsonw_end_object(w);
	check(w, "store", metrics_sum(g->metrics, M_STORE_BREAKER) > 0 ? "unreachable" :
		n->config->router.model_s3_bucket == NULL ? "not_needed" : "healthy");
	check(w, "disk", disk_state_name(disk));
	begin_check(w, "drain_status", draining ? "draining" : "accepting");
	jsonw_kint(w, "active_requests", (int64_t)httpd_in_flight(g->http));
	jsonw_end_object(w);
	jsonw_end_object(w);
}

void
health_ready(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const struct generation *n = gateway_enter(g, k);
	bool draining = atomic_load(&g->draining);
	enum disk_state disk = diskcheck_state(&g->disk, g->jobs);
	bool degraded = n->degraded != NULL || disk > DISK_HEALTHY || metrics_sum(g->metrics, M_STORE_BREAKER) > 0;
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "status", draining ? "not_ready" : degraded ? "degraded" : "ready");
	jsonw_kstr(&w, "service", "llmr");
	jsonw_kbool(&w, "is_degraded", degraded);
	write_checks(g, n, draining, disk, &w);
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
