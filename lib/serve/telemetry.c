#include "serve/telemetry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http.h"
#include "serve/otlp.h"
#include "serve/outbox.h"

#define DEFAULT_ENDPOINT "http://localhost:4318"
#define MAX_HEADERS 16
#define BATCH_RECORDS 512
#define BATCH_BYTES ((size_t)512 * 1024)

/* One of the three signals. */
struct channel {
	struct telemetry *t;
	enum otlp_signal signal;
	char *url;
	struct outbox *box;
	bool failing;		/* the last batch was not taken, and that was told */
};

struct telemetry {
	struct telemetry_opts o;
	struct channel channel[3];
	struct http *http;
	char *header[MAX_HEADERS];
	size_t n_headers;
	atomic_uint_fast64_t serial;	/* of ids */
	uint64_t seed, threshold;	/* a trace whose id is below it is recorded */
	int64_t start_us;
};

static const char *const signal_names[] = { "traces", "metrics", "logs" };

/* ---- settings ---- */

/* gRPC's port: what is sent here would hang or be refused there. */
static int
check_endpoint(const char *name, const char *url, struct err *e)
{
	const char *host, *end, *at;

	if (url == NULL)
		return 0;
	host = strstr(url, "://");
	host = host == NULL ? url : host + 3;
	end = host + strcspn(host, "/?#");
	for (at = end; at > host && at[-1] >= '0' && at[-1] <= '9'; at--)
		continue;
	if (at > host && at[-1] == ':' && end - at == 4 && strncmp(at, "4317", 4) == 0)
		return err_set(e, ERR_CONFIG, "%s: port 4317 takes gRPC; give the port that takes OTLP over HTTP, "
			"usually 4318", name);
	if (http_check_url(url, NULL, 0, e) == 0)
		return 0;
	return err_set(e, ERR_CONFIG, "%s: %s: an http:// or https:// URL is expected", name, url);
}

static int
exporter(const char *name, const char *value, bool *on, struct err *e)
{
	*on = value != NULL && strcmp(value, "otlp") == 0;
	if (*on || value == NULL || value[0] == '\0' || strcmp(value, "none") == 0)
		return 0;
	return err_set(e, ERR_CONFIG, "%s: '%s' is not offered: otlp or none", name, value);
}

static int
sampler(struct telemetry_opts *o, const char *name, const char *arg, struct err *e)
{
	static const struct { const char *name; bool parent; double ratio; } known[] = {
		{ "always_on", false, 1 }, { "always_off", false, 0 }, { "traceidratio", false, -1 },
		{ "parentbased_always_on", true, 1 }, { "parentbased_always_off", true, 0 },
		{ "parentbased_traceidratio", true, -1 },
	};

	o->ratio = 1;
	o->parent_based = true;
	if (name == NULL || name[0] == '\0')
		return 0;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(name, known[i].name) != 0)
			continue;
		o->parent_based = known[i].parent;
		if (known[i].ratio >= 0) {
			o->ratio = known[i].ratio;
			return 0;
		}
		return arg == NULL || arg[0] == '\0' ? 0 : str_double("OTEL_TRACES_SAMPLER_ARG", arg, 0, 1, &o->ratio, e);
	}
	return err_set(e, ERR_CONFIG, "OTEL_TRACES_SAMPLER: '%s' is not known: always_on, always_off, traceidratio, "
		"or one of these behind parentbased_", name);
}

static bool
is_true(const char *v, bool otherwise)
{
	if (v == NULL || v[0] == '\0')
		return otherwise;
	return strcasecmp(v, "true") == 0 || strcmp(v, "1") == 0 || strcasecmp(v, "yes") == 0 || strcasecmp(v, "on") == 0;
}

static int
milliseconds(const char *name, const char *v, double otherwise, double *seconds, struct err *e)
{
	double ms = otherwise;

	if (v != NULL && v[0] != '\0' && str_double(name, v, 1, 1e9, &ms, e) < 0)
		return -1;
	*seconds = ms / 1000;
	return 0;
}

int
telemetry_settings(struct telemetry_opts *o, const char *(*env)(void *, const char *), void *ctx, struct err *e)
{
	static const char *const endpoints[] = { "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" };
	const char **to[] = { &o->endpoint, &o->traces_endpoint, &o->metrics_endpoint, &o->logs_endpoint };
	const char *protocol = env(ctx, "OTEL_EXPORTER_OTLP_PROTOCOL");

	if (exporter("OTEL_TRACES_EXPORTER", env(ctx, "OTEL_TRACES_EXPORTER"), &o->traces, e) < 0 ||
	    exporter("OTEL_METRICS_EXPORTER", env(ctx, "OTEL_METRICS_EXPORTER"), &o->metrics, e) < 0 ||
	    exporter("OTEL_LOGS_EXPORTER", env(ctx, "OTEL_LOGS_EXPORTER"), &o->logs, e) < 0)
		return -1;
	if (!is_true(env(ctx, "OTEL_ENABLED"), true) || is_true(env(ctx, "OTEL_SDK_DISABLED"), false))
		o->traces = o->metrics = o->logs = false;
	for (int i = 0; i < 4; i++) {
		const char *v = env(ctx, endpoints[i]);

		*to[i] = v == NULL || v[0] == '\0' ? NULL : v;
		if ((o->traces || o->metrics || o->logs) && check_endpoint(endpoints[i], *to[i], e) < 0)
			return -1;
	}
	if ((o->traces || o->metrics || o->logs) && protocol != NULL && strcmp(protocol, "grpc") == 0)
		return err_set(e, ERR_CONFIG, "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not offered: http/json");
	o->headers = env(ctx, "OTEL_EXPORTER_OTLP_HEADERS");
	o->ca_file = env(ctx, "OTEL_EXPORTER_OTLP_CERTIFICATE");
	o->attributes = env(ctx, "OTEL_RESOURCE_ATTRIBUTES");
	o->service = env(ctx, "OTEL_SERVICE_NAME");
	if (o->service == NULL || o->service[0] == '\0')
		o->service = "litellm-gateway";
	o->prompts = is_true(env(ctx, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"), false);
	if (milliseconds("OTEL_METRIC_EXPORT_INTERVAL", env(ctx, "OTEL_METRIC_EXPORT_INTERVAL"), 60000,
	    &o->metric_interval, e) < 0 || milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT",
	    env(ctx, "OTEL_EXPORTER_OTLP_TIMEOUT"), 10000, &o->timeout, e) < 0)
		return -1;
	return sampler(o, env(ctx, "OTEL_TRACES_SAMPLER"), env(ctx, "OTEL_TRACES_SAMPLER_ARG"), e);
}

/* ---- sending ---- */

static int
ignore_body(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)n;
	(void)e;
	return 0;
}

static bool
post(struct channel *c, const struct buf *body, struct err *e)
{
	struct telemetry *t = c->t;
	const struct http_request q = { .url = c->url, .headers = (const char *const *)t->header,
		.n_headers = t->n_headers, .body = body->p, .n_body = body->len, .on_body = ignore_body };
	struct http_response r;

	if (http_do(t->http, &q, &r, e) < 0)
		return false;
	if (r.status >= 200 && r.status < 300)
		return true;
	(void)err_set(e, ERR_UNAVAILABLE, "status %ld", r.status);
	return false;
}

static void
count_dropped(struct channel *c, double n)
{
	if (n > 0)
		metrics_add(c->t->o.counts, M_SPANS_DROPPED, (const char *[]){ signal_names[c->signal] }, n);
}

/* Send what is in list, which is emptied. Told by the log of the program alone, so that it cannot feed itself. */
static void
send_list(struct channel *c, struct buf *list, size_t records)
{
	struct telemetry *t = c->t;
	struct buf body = BUF_INIT;
	struct err e = ERR_INIT;
	bool taken;

	otlp_request(c->signal, t->o.service, t->o.attributes, buf_cstr(list), list->len, &body);
	taken = !list->failed && !body.failed && post(c, &body, &e);
	if (!taken && !c->failing)
		log_warn(&t->o.log, "%s are not taken by %s and are dropped: %s", signal_names[c->signal], c->url,
			e.code == ERR_NONE ? "out of memory" : e.msg);
	if (taken && c->failing)
		log_info(&t->o.log, "%s are taken by %s again", signal_names[c->signal], c->url);
	c->failing = !taken;
	if (!taken)
		count_dropped(c, (double)records);
	buf_finish(&body);
	buf_finish(list);
}

/* On the channel's own thread. Each record has its length before it; a request is one that any collector takes. */
static void
deliver(void *ctx, const char *p, size_t n, size_t records, uint64_t dropped)
{
	struct channel *c = ctx;
	struct telemetry *t = c->t;
	struct buf list = BUF_INIT;
	size_t in_list = 0;

	(void)records;
	count_dropped(c, (double)dropped);
	if (c->signal == OTLP_METRICS) {
		if (t->o.refresh != NULL)
			t->o.refresh(t->o.ctx);
		otlp_metrics(t->o.counts, t->start_us, clock_wall_us(), &list);
		send_list(c, &list, 1);
		return;
	}
	for (const char *end = p + n; p < end; ) {
		uint32_t size;

		memcpy(&size, p, sizeof size);
		if (in_list > 0)
			buf_byte(&list, ',');
		buf_add(&list, p + sizeof size, size);
		p += sizeof size + size;
		if (++in_list == BATCH_RECORDS || list.len >= BATCH_BYTES || p == end) {
			send_list(c, &list, in_list);
			in_list = 0;
		}
	}
}

/* ---- life ---- */

static char *
url_of(const struct telemetry_opts *o, const char *whole, const char *signal, struct err *e)
{
	const char *base = o->endpoint == NULL ? DEFAULT_ENDPOINT : o->endpoint;
	size_t n = strlen(base);
	struct buf b = BUF_INIT;

	while (n > 0 && base[n - 1] == '/')
		n--;
	if (whole != NULL)
		buf_str(&b, whole);
	else
		buf_printf(&b, "%.*s/v1/%s", (int)n, base, signal);
	return buf_take(&b, e);
}

/* "name=value,name=value", values percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has them. */
static int
read_headers(struct telemetry *t, struct err *e)
{
	if ((t->header[t->n_headers++] = mem_strdup("Content-Type: application/json", e)) == NULL)
		return -1;
	for (const char *p = t->o.headers; p != NULL && *p != '\0' && t->n_headers < MAX_HEADERS; ) {
		size_t n = strcspn(p, ","), k = strcspn(p, "=,");
		struct buf b = BUF_INIT;

		buf_add(&b, p, k);
		buf_str(&b, ": ");
		for (size_t i = k + 1; i < n; i++) {
			unsigned v;

			if (p[i] == '%' && i + 2 < n && sscanf(p + i + 1, "%2x", &v) == 1 && v >= 0x20) {
				buf_byte(&b, (int)v);
				i += 2;
			} else
				buf_byte(&b, p[i]);
		}
		if (k > 0 && k < n && (t->header[t->n_headers++] = buf_take(&b, e)) == NULL)
			return -1;
		buf_finish(&b);
		p += n;
		p += *p == ',';
	}
	return 0;
}

static int
open_channel(struct telemetry *t, enum otlp_signal s, const char *whole, double interval, struct err *e)
{
	struct channel *c = &t->channel[s];
	const struct outbox_opts o = { .max_bytes = (size_t)4 << 20, .interval = interval,
		.always = s == OTLP_METRICS, .deliver = deliver, .ctx = c };

	*c = (struct channel){ .t = t, .signal = s };
	if ((c->url = url_of(&t->o, whole, signal_names[s], e)) == NULL)
		return -1;
	if (http_check_url(c->url, NULL, 0, e) < 0) {
		e->code = ERR_CONFIG;
		return -1;
	}
	return (c->box = outbox_start(&o, e)) == NULL ? -1 : 0;
}

struct telemetry *
telemetry_new(const struct telemetry_opts *o, struct err *e)
{
	struct http_opts h = { .ca_file = o->ca_file, .connect_timeout = o->timeout, .stall_timeout = o->timeout,
		.total_timeout = o->timeout };
	struct telemetry *t;
	struct rng r;

	if (!o->traces && !o->metrics && !o->logs)
		return NULL;
	if ((t = mem_calloc(1, sizeof *t, e)) == NULL)
		return NULL;
	t->o = *o;
	t->start_us = clock_wall_us();
	t->threshold = (uint64_t)(o->ratio * 9223372036854775808.0);
	rng_seed(&r, (uint64_t)clock_wall_us() ^ (uint64_t)clock_mono_ns() << 20 ^ (uint64_t)(uintptr_t)t);
	t->seed = rng_u64(&r);
	if ((t->http = http_new(&h, e)) == NULL || read_headers(t, e) < 0 ||
	    (o->traces && open_channel(t, OTLP_TRACES, o->traces_endpoint, 1, e) < 0) ||
	    (o->metrics && open_channel(t, OTLP_METRICS, o->metrics_endpoint, o->metric_interval, e) < 0) ||
	    (o->logs && open_channel(t, OTLP_LOGS, o->logs_endpoint, 1, e) < 0)) {
		telemetry_free(t);
		return NULL;
	}
	return t;
}

void
telemetry_free(struct telemetry *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < 3; i++) {
		outbox_stop(t->channel[i].box);
		free(t->channel[i].url);
	}
	http_free(t->http);
	for (size_t i = 0; i < t->n_headers; i++)
		free(t->header[i]);
	free(t);
}

/* ---- requests ---- */

/* A number that does not repeat: the steps of splitmix64 are a bijection. Never 0. */
static uint64_t
new_id(struct telemetry *t)
{
	uint64_t z = t->seed + atomic_fetch_add(&t->serial, 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z == 0 ? 1 : z;
}

void
telemetry_begin(struct telemetry *t, const char *traceparent, struct tracectx *out)
{
	bool child = tracectx_parse(traceparent, out);

	if (t == NULL)
		return;
	if (!child) {
		out->trace_hi = new_id(t);
		out->trace_lo = new_id(t);
	}
	out->span = new_id(t);
	if (!child || !t->o.parent_based)
		out->sampled = t->threshold != 0 && (out->trace_lo >> 1) < t->threshold;
}

/* A record is built behind room for its length. */
static void
begin_record(struct buf *b)
{
	buf_reset(b);
	buf_add(b, "\0\0\0", sizeof(uint32_t));
}

static void
put(struct channel *c, struct buf *b)
{
	uint32_t size = (uint32_t)(b->len - sizeof size);

	if (!b->failed)
		memcpy(b->p, &size, sizeof size);
	if (b->failed)
		count_dropped(c, 1);
	else
		(void)outbox_put(c->box, b->p, b->len);
}

void
telemetry_event(struct telemetry *t, const struct event *v)
{
	struct buf b = BUF_INIT;

	if (t->o.traces && v->trace.sampled) {
		begin_record(&b);
		otlp_spans(v, v->forwarded ? new_id(t) : 0, t->o.prompts, &b);
		put(&t->channel[OTLP_TRACES], &b);
	}
	if (t->o.logs) {
		begin_record(&b);
		otlp_decision_log(v, t->o.prompts, &b);
		put(&t->channel[OTLP_LOGS], &b);
	}
	buf_finish(&b);
}

void
telemetry_line(struct telemetry *t, enum log_level level, const char *line)
{
	struct buf b = BUF_INIT;

	if (!t->o.logs)
		return;
	begin_record(&b);
	otlp_line_log(clock_wall_us(), level, line, &b);
	put(&t->channel[OTLP_LOGS], &b);
	buf_finish(&b);
}

bool
telemetry_wants_prompts(const struct telemetry *t)
{
	return t != NULL && t->o.prompts;
}
