#include "serve/endpoint.h"

#include <string.h>

#include "serve/chat.h"
#include "serve/health.h"
#include "serve/observe.h"
#include "serve/page.h"
#include "serve/reload.h"
#include "serve/reply.h"
#include "serve/route.h"
#include "serve/switchapi.h"

const struct endpoint endpoints[] = {
	{ "POST", "/v1/route", AUTH_USER, route_post },
	{ "POST", "/v1/chat/completions", AUTH_USER, chat_post },
	{ "POST", "/chat/completions", AUTH_USER, chat_post },
	{ "GET", "/v1/models", AUTH_USER, route_models },
	{ "GET", "/models", AUTH_USER, route_models },
	{ "GET", "/metrics", AUTH_METRICS, observe_metrics },
	{ "GET", "/_health/live", AUTH_OPEN, health_live },
	{ "GET", "/_health/ready", AUTH_OPEN, health_ready },
	{ "GET", "/health/liveliness", AUTH_OPEN, health_liveliness },
	{ "GET", "/health/liveness", AUTH_OPEN, health_liveliness },
	{ "GET", "/health/readiness", AUTH_OPEN, health_readiness },
	{ "POST", "/config/reload", AUTH_ADMIN, reload_config },
	{ "POST", "/llmrouter/reload", AUTH_ADMIN, reload_config },
	{ "POST", "/router/reload", AUTH_ADMIN, reload_router },
	{ "GET", "/router/info", AUTH_ADMIN, reload_info },
	{ "GET", "/router/stats", AUTH_ADMIN, page_stats },
	{ "GET", "/ui", AUTH_OPEN, page_get },
	{ "POST", "/v1/feedback", AUTH_USER, switchapi_feedback },
	{ "POST", "/router/versions", AUTH_ADMIN, switchapi_register },
	{ "GET", "/router/versions", AUTH_ADMIN, switchapi_versions },
	{ "POST", "/router/switch", AUTH_ADMIN, switchapi_start },
	{ "GET", "/router/switch", AUTH_ADMIN, switchapi_status },
	{ "GET", "/router/switch/stats", AUTH_ADMIN, switchapi_stats },
	{ "POST", "/router/rollback", AUTH_ADMIN, switchapi_rollback },
	{ "POST", "/router/switch/", AUTH_ADMIN, switchapi_abort },
	{ "GET", "/router/switch/", AUTH_ADMIN, switchapi_operation },
	{ NULL, NULL, AUTH_OPEN, NULL }
};

bool
endpoint_is_probe(const char *path)
{
	return strncmp(path, "/_health/", 9) == 0 || strncmp(path, "/health/", 8) == 0;
}

static bool
path_fits(const struct endpoint *p, const char *path)
{
	size_t n = strlen(p->path);

	if (p->path[n - 1] == '/')
		return strncmp(path, p->path, n) == 0;
	return strcmp(path, p->path) == 0;
}

const char *
endpoint_known(const char *path)
{
	for (const struct endpoint *p = endpoints; p->path != NULL; p++) {
		if (path_fits(p, path))
			return p->path;
	}
	return NULL;
}

static bool
method_fits(const struct endpoint *p, const char *method)
{
	return strcmp(p->method, method) == 0 || (strcmp(p->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

void
endpoint_dispatch(struct gateway *g, struct exchange *x)
{
	struct gateway_worker *k = gateway_worker(g);
	const struct endpoint *p, *same_path = NULL;
	bool may;

	if (k == NULL) {
		reply_error(x, 503, NULL, NULL, "out of memory");
		return;
	}
	for (p = endpoints; p->path != NULL; p++) {
		if (!path_fits(p, exchange_path(x)))
			continue;
		same_path = p;
		if (method_fits(p, exchange_method(x)))
			break;
	}
	if (p->path == NULL && same_path != NULL) {
		exchange_set(x, "Allow", same_path->method);
		reply_error(x, 405, NULL, NULL, "this path has another method");
		return;
	}
	if (p->path == NULL) {
		reply_error(x, 404, NULL, NULL, "Not Found");
		return;
	}
	may = auth_check(x, p->auth, gateway_enter(g, k)->config, g->o.no_auth);
	gateway_leave(g, k);
	if (may)
		p->run(g, k, x);
}
