#include "serve/observe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "serve/endpoint.h"
#include "serve/metrics.h"
#include "serve/procstat.h"
#include "serve/switching.h"

#define LOW_CONFIDENCE 0.01	/* of predicted score between the best two */

static void
observe_upstream(struct gateway *g, const struct event *v)
{
	const char *id = v->d->deployment->id;
	bool ok = v->status >= 200 && v->status < 300;

	metrics_add(g->metrics, M_UPSTREAM,
		(const char *[]){ id, ok ? "ok" : v->error == NULL ? "upstream" : v->error }, 1);
	if (!isnan(v->upstream_seconds))
		metrics_add(g->metrics, M_UPSTREAM_SECONDS, (const char *[]){ id }, v->upstream_seconds);
	if (!isnan(v->ttft_seconds))
		metrics_add(g->metrics, M_UPSTREAM_TTFT, (const char *[]){ id }, v->ttft_seconds);
	if (v->prompt_tokens > 0)
		metrics_add(g->metrics, M_UPSTREAM_TOKENS, (const char *[]){ id, "prompt" }, v->prompt_tokens);
	if (v->completion_tokens > 0)
		metrics_add(g->metrics, M_UPSTREAM_TOKENS, (const char *[]){ id, "completion" }, v->completion_tokens);
	if (v->retries > 0)
		metrics_add(g->metrics, M_RETRIES, (const char *[]){ "retry" }, v->retries);
	if (v->hops > 0)
		metrics_add(g->metrics, M_RETRIES, (const char *[]){ "fallback" }, v->hops);
}

/* Are the best two labels predicted to be almost equal? */
static bool
unsure(const struct decision *d)
{
	return d->score != NULL && d->runner_up != POLICY_NONE &&
		fabsf(d->score[d->label] - d->score[d->runner_up]) < (float)LOW_CONFIDENCE;
}

void
observe(struct gateway *g, const struct event *v)
{
	const struct decision *d = v->d;
	const char *labels[] = { d->strategy, d->deployment == NULL ? "" : d->deployment->group,
		d->deployment == NULL ? "none" : d->fallback != NULL ? "fallback" : d->explored ? "explored" : "ok" };

	metrics_add(g->metrics, M_DECISIONS, labels, 1);
	metrics_add(g->metrics, M_DECISIONS_ALIAS, labels, 1);
	metrics_add(g->metrics, M_DECISION_SECONDS, labels, v->decision_seconds);
	if (d->fallback != NULL)
		metrics_add(g->metrics, M_FALLBACKS, (const char *[]){ d->fallback }, 1);
	if (d->outlier)
		metrics_add(g->metrics, M_OOD, labels, 1);
	if (unsure(d))
		metrics_add(g->metrics, M_LOW_CONFIDENCE, labels, 1);
	if (v->forwarded && d->deployment != NULL)
		observe_upstream(g, v);
	if (g->logs != NULL)
		accesslog_decision(g->logs, v);
	if (g->telemetry != NULL)
		telemetry_event(g->telemetry, v);
	switching_observe(g, v);
}

void
observe_answer(struct gateway *g, struct exchange *x)
{
	const char *known = endpoint_known(exchange_path(x)), *path = known == NULL ? "other" : known;
	unsigned status = exchange_status(x);
	char code[8];

	(void)snprintf(code, sizeof code, "%u", status);
	metrics_add(g->metrics, M_REQUESTS, (const char *[]){ path, code }, 1);
	metrics_add(g->metrics, M_REQUEST_SECONDS, (const char *[]){ path },
		(double)(clock_mono_ns() - exchange_started_ns(x)) / 1e9);
	if (g->logs != NULL)
		accesslog_answer(g->logs, x);
}

static void
refresh_http(struct gateway *g)
{
	struct httpd_counts c;

	httpd_counts(g->http, &c);
	metrics_set(g->metrics, M_IN_FLIGHT, NULL, (double)httpd_in_flight(g->http));
	metrics_set(g->metrics, M_CONNECTIONS, (const char *[]){ "open" }, (double)c.open);
	metrics_set(g->metrics, M_HTTP_REFUSED, (const char *[]){ "malformed" }, (double)c.refused);
	metrics_set(g->metrics, M_HTTP_REFUSED, (const char *[]){ "timeout" }, (double)c.timed_out);
	metrics_set(g->metrics, M_HTTP_REFUSED, (const char *[]){ "evicted" }, (double)c.evicted);
}

static void
refresh_process(struct gateway *g)
{
	struct procstat p;

	procstat_read(&p);
	metrics_set(g->metrics, M_PROCESS_CPU, NULL, p.cpu_seconds);
	metrics_set(g->metrics, M_PROCESS_START, NULL, p.start_seconds);
	if (p.resident_bytes > 0) {
		metrics_set(g->metrics, M_PROCESS_RESIDENT, NULL, (double)p.resident_bytes);
		metrics_set(g->metrics, M_PROCESS_VIRTUAL, NULL, (double)p.virtual_bytes);
	}
	if (p.open_fds > 0)
		metrics_set(g->metrics, M_PROCESS_FDS, NULL, (double)p.open_fds);
	if (p.max_fds > 0)
		metrics_set(g->metrics, M_PROCESS_MAX_FDS, NULL, (double)p.max_fds);
}

/* What is known only when asked. */
static void
refresh(struct gateway *g, const struct generation *n)
{
	const struct loaded *l = n->active.model;

	if (g->http != NULL)
		refresh_http(g);
	refresh_process(g);
	metrics_set(g->metrics, M_DEGRADED, NULL, n->degraded != NULL);
	metrics_clear(g->metrics, M_MODEL_INFO);
	metrics_clear(g->metrics, M_BACKEND_IN_FLIGHT);
	if (l != NULL) {
		const char *labels[] = { n->config->router.strategy_name, l->sha256, l->version };

		metrics_set(g->metrics, M_MODEL_INFO, labels, 1);
		metrics_set(g->metrics, M_MODEL_LOADED, labels, (double)l->loaded_us / 1e6);
	}
	switching_metrics(g, n);
	for (size_t i = 0; i < n->config->n; i++) {
		metrics_set(g->metrics, M_BACKEND_IN_FLIGHT, (const char *[]){ n->all[i].d->id },
			(double)atomic_load(&n->all[i].b->in_flight));
		metrics_set(g->metrics, M_COOLDOWNS, (const char *[]){ n->all[i].d->id },
			(double)atomic_load(&n->all[i].b->cooldowns));
	}
}

void
observe_refresh(struct gateway *g, struct gateway_worker *k)
{
	const struct generation *n = gateway_enter(g, k);

	if (n != NULL)
		refresh(g, n);
	gateway_leave(g, k);
}

void
observe_metrics(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const char *accept = exchange_header(x, "Accept");
	bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	struct buf b = BUF_INIT;

	observe_refresh(g, k);
	metrics_write(g->metrics, open, &b);
	exchange_reply(x, 200, open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		: "text/plain; version=0.0.4; charset=utf-8", b.p, b.len);
	buf_finish(&b);
}
