#include "serve/otlp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fmt/jsonw.h"
#include "serve/accesslog.h"

#define EVENT "routeiq.router_decision.v1"
#define MAX_CANDIDATES 64

/* ---- values ---- */

static void
nanos(struct jsonw *w, const char *key, int64_t us)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%lld000", (long long)us);
	jsonw_kstr(w, key, text);
}

static void
whole(struct jsonw *w, const char *key, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
	jsonw_kstr(w, key, text);
}

static void
begin_attr(struct jsonw *w, const char *key)
{
	jsonw_object(w);
	jsonw_kstr(w, "key", key);
	jsonw_key(w, "value");
	jsonw_object(w);
}

static void
end_attr(struct jsonw *w)
{
	jsonw_end_object(w);
	jsonw_end_object(w);
}

static void
attr_text(struct jsonw *w, const char *key, const char *v)
{
	if (v == NULL || v[0] == '\0')
		return;
	begin_attr(w, key);
	jsonw_kstr(w, "stringValue", v);
	end_attr(w);
}

static void
attr_double(struct jsonw *w, const char *key, double v)
{
	if (!isfinite(v))
		return;
	begin_attr(w, key);
	jsonw_kdouble(w, "doubleValue", v);
	end_attr(w);
}

static void
attr_int(struct jsonw *w, const char *key, int64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)v);
	begin_attr(w, key);
	jsonw_kstr(w, "intValue", text);
	end_attr(w);
}

static void
attr_bool(struct jsonw *w, const char *key, bool v)
{
	begin_attr(w, key);
	jsonw_kbool(w, "boolValue", v);
	end_attr(w);
}

/* ---- the decision ---- */

static const char *
outcome(const struct event *v)
{
	return v->d->deployment == NULL ? "error" : v->d->fallback != NULL || v->hops > 0 ? "fallback" : "success";
}

/* What the deployment is called at its provider: the name that calls and decisions are joined by. */
static const char *
chosen(const struct event *v)
{
	const struct deployment *d = v->d->deployment;

	return d == NULL ? NULL : d->upstream_model[0] != '\0' ? d->upstream_model : d->model;
}

static void
candidate(struct jsonw *w, const char *name, const char *provider, double score)
{
	jsonw_object(w);
	jsonw_kstr(w, "model_name", name);
	if (provider != NULL && provider[0] != '\0')
		jsonw_kstr(w, "provider", provider);
	if (isfinite(score))
		jsonw_kdouble(w, "score", score);
	jsonw_end_object(w);
}

static void
candidates(struct jsonw *w, const struct event *v)
{
	const struct decision *d = v->d;
	const struct route_set *within;

	jsonw_key(w, "candidate_deployments");
	jsonw_array(w);
	if (d->model != NULL) {
		const struct map *labels = &d->model->router->models;

		for (size_t i = 0; i < labels->len && i < MAX_CANDIDATES; i++)
			candidate(w, labels->keys[i], NULL, d->score == NULL ? NAN : (double)d->score[i]);
	} else if (v->generation != NULL && !decide_is_auto(v->group) &&
	    (within = generation_group(v->generation, v->group)) != NULL) {
		for (size_t i = 0; i < within->n && i < MAX_CANDIDATES; i++)
			candidate(w, within->pick[i].d->upstream_model, within->pick[i].d->provider, NAN);
	} else if (v->generation != NULL) {
		for (size_t i = 0; i < v->generation->config->n && i < MAX_CANDIDATES; i++)
			candidate(w, v->generation->all[i].d->upstream_model, v->generation->all[i].d->provider, NAN);
	}
	jsonw_end_array(w);
}

static void
payload(const struct event *v, struct buf *out)
{
	const struct decision *d = v->d;
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kstr(&w, "contract_name", "routeiq.router_decision.v1");
	jsonw_kstr(&w, "contract_version", "v1");
	jsonw_kstr(&w, "strategy_name", d->strategy);
	jsonw_kstr(&w, "strategy_version", d->model == NULL ? LLMR_VERSION : d->model->version[0] != '\0'
		? d->model->version : d->model->sha256);
	jsonw_key(&w, "input");
	jsonw_object(&w);
	jsonw_kstr(&w, "requested_model", v->group);
	jsonw_kstr(&w, "user_id", v->user);
	jsonw_end_object(&w);
	candidates(&w, v);
	jsonw_kstr(&w, "selected_deployment", chosen(v));
	if (d->runner_up_name != NULL)
		jsonw_kstr(&w, "runner_up", d->runner_up_name);
	jsonw_kdouble(&w, "propensity", d->propensity);
	jsonw_kbool(&w, "explored", d->explored);
	jsonw_key(&w, "timings");
	jsonw_object(&w);
	jsonw_kdouble(&w, "total_ms", v->decision_seconds * 1e3);
	jsonw_end_object(&w);
	jsonw_key(&w, "outcome");
	jsonw_object(&w);
	jsonw_kstr(&w, "status", outcome(v));
	if (d->fallback != NULL)
		jsonw_kstr(&w, "reason", d->fallback);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
}

static void
router_attributes(struct jsonw *w, const struct event *v)
{
	const struct decision *d = v->d;

	attr_text(w, "router.strategy", d->strategy);
	if (d->model != NULL)
		attr_text(w, "router.strategy_version", d->model->version[0] != '\0' ? d->model->version : d->model->sha256);
	attr_text(w, "router.model_selected", chosen(v));
	if (d->score != NULL && d->label != POLICY_NONE)
		attr_double(w, "router.score", d->score[d->label]);
	attr_int(w, "router.candidates_evaluated", (int64_t)d->field);
	attr_text(w, "router.decision_outcome", outcome(v));
	attr_text(w, "router.decision_reason", d->fallback);
	attr_double(w, "router.latency_ms", v->decision_seconds * 1e3);
	attr_double(w, "router.propensity", d->propensity);
	attr_bool(w, "router.fallback_triggered", d->fallback != NULL || v->hops > 0);
	attr_text(w, "router.error_type", d->deployment == NULL ? v->error : NULL);
	attr_text(w, "llm.routing.strategy", d->strategy);
	attr_text(w, "llm.routing.selected_model", chosen(v));
	attr_double(w, "llm.routing.latency_ms", v->decision_seconds * 1e3);
}

static void
decision_event(struct jsonw *w, const struct event *v)
{
	struct buf text = BUF_INIT;

	payload(v, &text);
	jsonw_key(w, "events");
	jsonw_array(w);
	jsonw_object(w);
	nanos(w, "timeUnixNano", v->start_us + (int64_t)(v->decision_seconds * 1e6));
	jsonw_kstr(w, "name", EVENT);
	jsonw_key(w, "attributes");
	jsonw_array(w);
	attr_text(w, "routeiq.router_decision.payload", buf_cstr(&text));
	jsonw_end_array(w);
	jsonw_end_object(w);
	jsonw_end_array(w);
	buf_finish(&text);
}

/* ---- spans ---- */

static void
begin_span(struct jsonw *w, const struct event *v, uint64_t span, uint64_t parent, const char *name, int kind)
{
	char hex[33];

	jsonw_object(w);
	tracectx_trace_hex(&v->trace, hex);
	jsonw_kstr(w, "traceId", hex);
	tracectx_span_hex(span, hex);
	jsonw_kstr(w, "spanId", hex);
	if (parent != 0) {
		tracectx_span_hex(parent, hex);
		jsonw_kstr(w, "parentSpanId", hex);
	}
	jsonw_kstr(w, "name", name);
	jsonw_kint(w, "kind", kind);
}

static void
end_span(struct jsonw *w, const struct event *v)
{
	jsonw_key(w, "status");
	jsonw_object(w);
	if (v->status >= 500 || v->error != NULL) {
		jsonw_kint(w, "code", 2);
		if (v->error != NULL)
			jsonw_kstr(w, "message", v->error);
	}
	jsonw_end_object(w);
	jsonw_end_object(w);
}

static void
input_messages(struct jsonw *w, struct slice prompt)
{
	struct buf text = BUF_INIT;
	struct jsonw m;

	jsonw_init(&m, &text);
	jsonw_array(&m);
	jsonw_object(&m);
	jsonw_kstr(&m, "role", "user");
	jsonw_key(&m, "parts");
	jsonw_array(&m);
	jsonw_object(&m);
	jsonw_kstr(&m, "type", "text");
	jsonw_kstr_n(&m, "content", prompt.p, prompt.n);
	jsonw_end_object(&m);
	jsonw_end_array(&m);
	jsonw_end_object(&m);
	jsonw_end_array(&m);
	attr_text(w, "gen_ai.input.messages", buf_cstr(&text));
	buf_finish(&text);
}

static void
call_attributes(struct jsonw *w, const struct event *v, bool prompt)
{
	const struct deployment *d = v->d->deployment;
	double cost = v->prompt_tokens * d->input_cost + v->completion_tokens * d->output_cost;

	attr_text(w, "gen_ai.operation.name", "chat");
	attr_text(w, "gen_ai.provider.name", d->provider);
	attr_text(w, "gen_ai.request.model", chosen(v));
	attr_text(w, "litellm.provider.model", chosen(v));
	attr_text(w, "litellm.model_group", v->group[0] == '\0' ? d->group : v->group);
	if (prompt && v->prompt.p != NULL)
		input_messages(w, v->prompt);
	if (v->prompt_tokens > 0)
		attr_int(w, "gen_ai.usage.input_tokens", (int64_t)v->prompt_tokens);
	if (v->completion_tokens > 0)
		attr_int(w, "gen_ai.usage.output_tokens", (int64_t)v->completion_tokens);
	if (v->prompt_tokens + v->completion_tokens > 0)
		attr_double(w, "gen_ai.cost.total_cost", cost);
	attr_double(w, "gen_ai.server.time_to_first_token", v->ttft_seconds);
	attr_text(w, "user.id", v->user);
	attr_int(w, "http.response.status_code", v->status);
	attr_text(w, "error.type", v->error);
}

void
otlp_spans(const struct event *v, uint64_t call_span, bool prompt, struct buf *out)
{
	int64_t end = v->start_us + (int64_t)(v->total_seconds * 1e6);
	struct jsonw w;
	char name[160];

	jsonw_init(&w, out);
	(void)snprintf(name, sizeof name, "POST %s", v->path);
	begin_span(&w, v, v->trace.span, v->trace.parent, name, 2);
	nanos(&w, "startTimeUnixNano", v->start_us);
	nanos(&w, "endTimeUnixNano", end);
	jsonw_key(&w, "attributes");
	jsonw_array(&w);
	attr_text(&w, "http.request.method", "POST");
	attr_text(&w, "url.path", v->path);
	attr_int(&w, "http.response.status_code", v->status);
	attr_text(&w, "llmr.request_id", v->request_id);
	router_attributes(&w, v);
	jsonw_end_array(&w);
	decision_event(&w, v);
	end_span(&w, v);
	if (!v->forwarded || v->d->deployment == NULL)
		return;
	buf_byte(out, ',');
	jsonw_init(&w, out);
	(void)snprintf(name, sizeof name, "chat %s", chosen(v));
	begin_span(&w, v, call_span, v->trace.span, name, 3);
	nanos(&w, "startTimeUnixNano", isnan(v->upstream_seconds) ? v->start_us : end -
		(int64_t)(fmin(v->upstream_seconds, v->total_seconds) * 1e6));
	nanos(&w, "endTimeUnixNano", end);
	jsonw_key(&w, "attributes");
	jsonw_array(&w);
	call_attributes(&w, v, prompt);
	jsonw_end_array(&w);
	end_span(&w, v);
}

/* ---- log records ---- */

static void
begin_record(struct jsonw *w, int64_t us, int severity, const char *name, const char *body)
{
	jsonw_object(w);
	nanos(w, "timeUnixNano", us);
	jsonw_kint(w, "severityNumber", severity);
	jsonw_kstr(w, "severityText", name);
	jsonw_key(w, "body");
	jsonw_object(w);
	jsonw_kstr(w, "stringValue", body);
	jsonw_end_object(w);
}

void
otlp_decision_log(const struct event *v, bool prompt, struct buf *out)
{
	struct buf line = BUF_INIT;
	struct jsonw w;
	char hex[33];

	accesslog_write(v, prompt, &line);
	jsonw_init(&w, out);
	begin_record(&w, v->start_us, v->error == NULL ? 9 : 17, v->error == NULL ? "INFO" : "ERROR", buf_cstr(&line));
	buf_finish(&line);
	jsonw_kstr(&w, "eventName", EVENT);
	if (v->trace.span != 0) {
		tracectx_trace_hex(&v->trace, hex);
		jsonw_kstr(&w, "traceId", hex);
		tracectx_span_hex(v->trace.span, hex);
		jsonw_kstr(&w, "spanId", hex);
	}
	jsonw_end_object(&w);
}

void
otlp_line_log(int64_t now_us, enum log_level level, const char *line, struct buf *out)
{
	static const struct { int number; const char *name; } severity[] = {
		[LOG_ERROR] = { 17, "ERROR" }, [LOG_WARN] = { 13, "WARN" }, [LOG_INFO] = { 9, "INFO" },
		[LOG_DEBUG] = { 5, "DEBUG" }
	};
	struct jsonw w;

	jsonw_init(&w, out);
	begin_record(&w, now_us, severity[level].number, severity[level].name, line);
	jsonw_end_object(&w);
}

/* ---- metrics ---- */

struct metric_writer {
	struct jsonw w;
	const char *name;	/* of the family that is open; NULL none */
	enum metric_type type;
	int64_t start_us, now_us;
};

/* The names that dashboards of the same signals already ask for; others keep theirs. */
static const char *
otel_name(enum metric m, const char *name)
{
	switch (m) {
	case M_REQUESTS: return "gateway.request.total";
	case M_IN_FLIGHT: return "gateway.request.active";
	case M_DECISIONS: return "gateway.routing.strategy.usage";
	case M_DECISION_SECONDS: return "gateway.routing.decision.duration";
	case M_UPSTREAM_SECONDS: return "gen_ai.client.operation.duration";
	case M_UPSTREAM_TTFT: return "gen_ai.server.time_to_first_token";
	default: return name;
	}
}

static void
close_family(struct metric_writer *m)
{
	if (m->name == NULL)
		return;
	jsonw_end_array(&m->w);
	if (m->type != METRIC_GAUGE)
		jsonw_kint(&m->w, "aggregationTemporality", 2);
	if (m->type == METRIC_COUNTER)
		jsonw_kbool(&m->w, "isMonotonic", true);
	jsonw_end_object(&m->w);
	jsonw_end_object(&m->w);
}

static void
open_family(struct metric_writer *m, const struct metric_sample *s)
{
	static const char *const kinds[] = { "sum", "gauge", "histogram" };

	m->name = s->name;
	m->type = s->type;
	jsonw_object(&m->w);
	jsonw_kstr(&m->w, "name", otel_name(s->metric, s->name));
	jsonw_kstr(&m->w, "description", s->help);
	jsonw_kstr(&m->w, "unit", s->unit == NULL ? "1" : strcmp(s->unit, "seconds") == 0 ? "s" : "By");
	jsonw_key(&m->w, kinds[s->type]);
	jsonw_object(&m->w);
	jsonw_key(&m->w, "dataPoints");
	jsonw_array(&m->w);
}

static void
write_buckets(struct jsonw *w, const struct metric_sample *s)
{
	uint64_t below = 0;
	char text[24];

	whole(w, "count", s->count);
	jsonw_kdouble(w, "sum", s->value);
	jsonw_key(w, "bucketCounts");
	jsonw_array(w);
	for (size_t i = 0; i <= s->n_bounds; i++) {
		uint64_t v = i < s->n_bounds ? s->bucket[i] : s->count - below;

		below += v;
		(void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
		jsonw_string(w, text);
	}
	jsonw_end_array(w);
	jsonw_key(w, "explicitBounds");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_bounds; i++)
		jsonw_double(w, s->bound[i]);
	jsonw_end_array(w);
}

static void
write_sample(void *ctx, const struct metric_sample *s)
{
	struct metric_writer *m = ctx;

	if (s->metric == M_DECISIONS_ALIAS)
		return;
	if (m->name != s->name) {
		close_family(m);
		open_family(m, s);
	}
	jsonw_object(&m->w);
	jsonw_key(&m->w, "attributes");
	jsonw_array(&m->w);
	for (size_t i = 0; i < s->n_labels; i++)
		attr_text(&m->w, s->label_name[i], s->label[i]);
	jsonw_end_array(&m->w);
	if (s->type != METRIC_GAUGE)
		nanos(&m->w, "startTimeUnixNano", m->start_us);
	nanos(&m->w, "timeUnixNano", m->now_us);
	if (s->type == METRIC_HISTOGRAM)
		write_buckets(&m->w, s);
	else
		jsonw_kdouble(&m->w, "asDouble", s->value);
	jsonw_end_object(&m->w);
}

void
otlp_metrics(struct metrics *metrics, int64_t start_us, int64_t now_us, struct buf *out)
{
	struct metric_writer m = { .start_us = start_us, .now_us = now_us };
	struct buf list = BUF_INIT;

	jsonw_init(&m.w, &list);
	jsonw_array(&m.w);	/* so that the writer parts the families by commas; taken off below */
	metrics_each(metrics, write_sample, &m);
	close_family(&m);
	if (list.len > 1)
		buf_add(out, list.p + 1, list.len - 1);
	buf_finish(&list);
}

/* ---- the request ---- */

static void
resource(struct jsonw *w, const char *service, const char *attributes)
{
	jsonw_key(w, "resource");
	jsonw_object(w);
	jsonw_key(w, "attributes");
	jsonw_array(w);
	attr_text(w, "service.name", service);
	attr_text(w, "service.version", LLMR_VERSION);
	attr_text(w, "telemetry.sdk.name", "llmr");
	for (const char *p = attributes; p != NULL && *p != '\0'; ) {
		size_t n = strcspn(p, ","), k = strcspn(p, "=,");
		char key[128], value[512];

		if (k > 0 && k < n && k < sizeof key && n - k - 1 < sizeof value) {
			(void)snprintf(key, sizeof key, "%.*s", (int)k, p);
			(void)snprintf(value, sizeof value, "%.*s", (int)(n - k - 1), p + k + 1);
			if (strcmp(key, "service.name") != 0)
				attr_text(w, key, value);
		}
		p += n;
		p += *p == ',';
	}
	jsonw_end_array(w);
	jsonw_end_object(w);
}

void
otlp_request(enum otlp_signal signal, const char *service, const char *attributes, const char *p, size_t n,
	struct buf *out)
{
	static const char *const names[][3] = {
		[OTLP_TRACES] = { "resourceSpans", "scopeSpans", "spans" },
		[OTLP_METRICS] = { "resourceMetrics", "scopeMetrics", "metrics" },
		[OTLP_LOGS] = { "resourceLogs", "scopeLogs", "logRecords" },
	};
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, names[signal][0]);
	jsonw_array(&w);
	jsonw_object(&w);
	resource(&w, service, attributes);
	jsonw_key(&w, names[signal][1]);
	jsonw_array(&w);
	jsonw_object(&w);
	jsonw_key(&w, "scope");
	jsonw_object(&w);
	jsonw_kstr(&w, "name", "llmr");
	jsonw_kstr(&w, "version", LLMR_VERSION);
	jsonw_end_object(&w);
	jsonw_key(&w, names[signal][2]);
	jsonw_array(&w);
	jsonw_raw(&w, p, n);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
}
