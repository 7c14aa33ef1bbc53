#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "serve/accesslog.h"
#include "serve/observe.h"
#include "serve/otlp.h"
#include "serve/outbox.h"
#include "serve/procstat.h"
#include "serve/refusals.h"
#include "serve/telemetry.h"
#include "trace/decode.h"
#include "trace/records.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* ---- traceparent ---- */

Test(tracectx, reads_what_the_recommendation_allows)
{
	struct tracectx t;
	char out[TRACECTX_HEADER];

	cr_assert(tracectx_parse(PARENT, &t));
	cr_expect_eq(t.trace_hi, 0x0af7651916cd43ddu);
	cr_expect_eq(t.trace_lo, 0x8448eb211c80319cu);
	cr_expect_eq(t.parent, 0xb7ad6b7169203331u);
	cr_expect(t.sampled);
	tracectx_header(&t, out);
	cr_expect_str_eq(out, PARENT, "without a span of our own it is passed on as it is");
	t.span = 0x1234;
	t.sampled = false;
	tracectx_header(&t, out);
	cr_expect_str_eq(out, "00-0af7651916cd43dd8448eb211c80319c-0000000000001234-00");
	cr_expect(tracectx_parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-later", &t),
		"a later version may say more");
	cr_expect_not(t.sampled);
}

Test(tracectx, refuses_the_rest)
{
	static const char *const bad[] = { "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01" };
	struct tracectx t;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		cr_expect_not(tracectx_parse(bad[i], &t), "%s", bad[i]);
		cr_expect_eq(t.trace_hi | t.trace_lo | t.parent, 0u);
	}
	cr_expect_not(tracectx_parse(NULL, &t));
}

/* ---- the outbox ---- */

struct taken {
	pthread_mutex_t lock;
	struct buf all;
	size_t records, calls;
	uint64_t dropped;
};

static void
take(void *ctx, const char *p, size_t n, size_t records, uint64_t dropped)
{
	struct taken *t = ctx;

	pthread_mutex_lock(&t->lock);
	buf_add(&t->all, p, n);
	t->records += records;
	t->dropped += dropped;
	t->calls++;
	pthread_mutex_unlock(&t->lock);
}

Test(outbox, keeps_order_and_counts_what_it_drops)
{
	struct taken t = { .lock = PTHREAD_MUTEX_INITIALIZER };
	const struct outbox_opts o = { .max_bytes = 100, .interval = 3600, .deliver = take, .ctx = &t };
	struct err e = ERR_INIT;
	struct outbox *b = outbox_start(&o, &e);
	char text[64];
	size_t kept = 0;

	cr_assert_not_null(b, "%s", e.msg);
	pthread_mutex_lock(&t.lock);	/* a delivery that began hangs from here */
	for (int i = 0; i < 60; i++) {
		(void)snprintf(text, sizeof text, "%02d%.8s", i, "--------");
		kept += outbox_put(b, text, 10);
	}
	pthread_mutex_unlock(&t.lock);
	outbox_flush(b);
	cr_expect_leq(kept, 20u, "one batch on its way, one waiting");
	cr_expect_geq(kept, 10u);
	cr_expect_eq(t.records, kept);
	cr_expect_eq(t.dropped, 60 - kept);
	cr_expect_eq(t.all.len, 10 * kept);
	for (size_t i = 1; i < kept; i++)
		cr_expect_lt(memcmp(t.all.p + 10 * (i - 1), t.all.p + 10 * i, 2), 0);
	cr_expect_not(outbox_put(b, t.all.p, 101), "larger than all of it");
	(void)outbox_put(b, "last", 4);
	outbox_stop(b);
	cr_expect_eq(memcmp(t.all.p + t.all.len - 4, "last", 4), 0, "what waits at the end is delivered");
	buf_finish(&t.all);
}

/* ---- an event ---- */

struct made {
	struct deployment d;
	struct decision decision;
	struct event v;
};

static void
make(struct made *m)
{
	m->d = (struct deployment){ .id = "d1", .group = "small", .model = "openai/gpt-s", .provider = "openai",
		.upstream_model = "gpt-s", .input_cost = 1e-6, .output_cost = 2e-6 };
	m->decision = (struct decision){ .deployment = &m->d, .strategy = "simple-shuffle", .propensity = 0.25,
		.label = POLICY_NONE, .runner_up = POLICY_NONE, .field = 2 };
	m->v = (struct event){ .path = "/v1/chat/completions", .request_id = "r\"1", .group = "small",
		.d = &m->decision, .prompt = SLICE_LIT("a \"secret\" question"), .status = 200, .forwarded = true,
		.start_us = 1700000000000000, .total_seconds = 1.5, .decision_seconds = 1e-5, .upstream_seconds = 1.25,
		.ttft_seconds = 0.5, .prompt_tokens = 10, .completion_tokens = 5 };
	(void)tracectx_parse(PARENT, &m->v.trace);
	m->v.trace.span = 0x77;
}

Test(accesslog, says_what_was_decided_and_no_prompt)
{
	struct buf b = BUF_INIT;
	struct made m;

	make(&m);
	accesslog_write(&m.v, false, &b);
	cr_expect_str_eq(buf_cstr(&b), "{\"time\":\"2023-11-14T22:13:20.000000Z\",\"request_id\":\"r\\\"1\","
		"\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"path\":\"/v1/chat/completions\","
		"\"requested_model\":\"small\",\"status\":200,\"model\":\"small\",\"upstream_model\":\"openai/gpt-s\","
		"\"deployment\":\"d1\",\"strategy\":\"simple-shuffle\",\"propensity\":0.25,\"decision_us\":10,"
		"\"duration_us\":1500000,\"upstream_us\":1250000,\"ttft_us\":500000,\"prompt_tokens\":10,"
		"\"completion_tokens\":5}");
	buf_reset(&b);
	accesslog_write(&m.v, true, &b);
	cr_expect_not_null(strstr(b.p, "\"prompt\":\"a \\\"secret\\\" question\""));
	buf_reset(&b);
	m.decision.deployment = NULL;
	m.v.error = "none_available";
	accesslog_write(&m.v, false, &b);
	cr_expect_not_null(strstr(b.p, "\"error\":\"none_available\""), "nothing could be chosen");
	buf_finish(&b);
}

/* Lines of a file. */
static size_t
lines(const char *path)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	size_t n = 0;

	cr_assert_eq(io_read_file(path, 1 << 20, &b, &e), 0, "%s", e.msg);
	for (size_t i = 0; i < b.len; i++)
		n += b.p[i] == '\n';
	buf_finish(&b);
	return n;
}

Test(accesslog, writes_and_opens_anew)
{
	char path[] = "/tmp/llmr-unit-XXXXXX", old[64];
	struct accesslog_opts o = { .decision = path };
	struct err e = ERR_INIT;
	struct accesslog *a;
	struct made m;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	(void)close(fd);
	(void)snprintf(old, sizeof old, "%s.1", path);
	make(&m);
	o.metrics = metrics_new(&e);
	a = accesslog_new(&o, &e);
	cr_assert_not_null(a, "%s", e.msg);
	accesslog_decision(a, &m.v);
	accesslog_decision(a, &m.v);
	accesslog_flush(a);
	cr_expect_eq(lines(path), 2u);
	cr_assert_eq(rename(path, old), 0);
	accesslog_decision(a, &m.v);	/* still to the old one */
	cr_expect_eq(accesslog_reopen(a, &e), 0, "%s", e.msg);
	accesslog_decision(a, &m.v);
	accesslog_free(a);
	cr_expect_eq(lines(old), 3u);
	cr_expect_eq(lines(path), 1u);
	cr_expect_eq(metrics_sum(o.metrics, M_LOG_LINES), 4);
	(void)unlink(path);
	(void)unlink(old);
	metrics_free(o.metrics);
	o.decision = "/nonexistent/log";
	cr_expect_null(accesslog_new(&o, &e));
	cr_expect_eq(e.code, ERR_CANTCREAT);
}

/* ---- telemetry ---- */

static const char *
from_list(void *ctx, const char *name)
{
	const char *const *v = ctx;

	for (; *v != NULL; v += 2) {
		if (strcmp(v[0], name) == 0)
			return v[1];
	}
	return NULL;
}

Test(telemetry, settings)
{
	static const struct { const char *v[9]; const char *why; } bad[] = {
		{ { "OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317" }, "4318" },
		{ { "OTEL_LOGS_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://[::1]:4317/x" }, "4318" },
		{ { "OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318" }, "http" },
		{ { "OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc" }, "http/json" },
		{ { "OTEL_METRICS_EXPORTER", "prometheus" }, "otlp or none" },
		{ { "OTEL_TRACES_SAMPLER", "sometimes" }, "traceidratio" },
		{ { "OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "2" }, "OTEL_TRACES_SAMPLER_ARG" },
		{ { "OTEL_METRIC_EXPORT_INTERVAL", "soon" }, "OTEL_METRIC_EXPORT_INTERVAL" },
	};
	const char *const none[] = { NULL };
	const char *const off[] = { "OTEL_TRACES_EXPORTER", "otlp", "OTEL_ENABLED", "false", NULL };
	const char *const some[] = { "OTEL_TRACES_EXPORTER", "otlp", "OTEL_TRACES_SAMPLER", "parentbased_traceidratio",
		"OTEL_TRACES_SAMPLER_ARG", "0.01", "OTEL_SERVICE_NAME", "me", NULL };
	const char *const unused[] = { "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", NULL };
	struct telemetry_opts o = { 0 };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		e = (struct err)ERR_INIT;
		cr_expect_eq(telemetry_settings(&o, from_list, (void *)(uintptr_t)bad[i].v, &e), -1, "case %zu", i);
		cr_expect(e.code == ERR_CONFIG || e.code == ERR_USAGE);
		cr_expect_not_null(strstr(e.msg, bad[i].why), "%s", e.msg);
	}
	cr_expect_eq(telemetry_settings(&o, from_list, (void *)(uintptr_t)none, &e), 0);
	cr_expect_not(o.traces || o.metrics || o.logs);
	cr_expect_str_eq(o.service, "litellm-gateway");
	cr_expect_null(telemetry_new(&o, &e), "nothing to send");
	cr_expect_eq(telemetry_settings(&o, from_list, (void *)(uintptr_t)off, &e), 0);
	cr_expect_not(o.traces);
	cr_expect_eq(telemetry_settings(&o, from_list, (void *)(uintptr_t)some, &e), 0);
	cr_expect(o.traces && o.parent_based && fabs(o.ratio - 0.01) < 1e-12);
	cr_expect_str_eq(o.service, "me");
	cr_expect_eq(telemetry_settings(&o, from_list, (void *)(uintptr_t)unused, &e), 0, "it is not used");
}

/* A collector: keeps what is posted. */
struct collector {
	pthread_mutex_t lock;
	struct buf body[3];
	unsigned status;
};

static void
collect(void *ctx, struct exchange *x)
{
	struct collector *c = ctx;
	const char *path = exchange_path(x), *type = exchange_header(x, "Content-Type");
	struct slice body = exchange_body(x);
	int i = strcmp(path, "/v1/traces") == 0 ? 0 : strcmp(path, "/v1/metrics") == 0 ? 1 : 2;

	pthread_mutex_lock(&c->lock);
	if (type != NULL && strcmp(type, "application/json") == 0 && exchange_header(x, "x-team") != NULL) {
		buf_add(&c->body[i], body.p, body.n);
		buf_byte(&c->body[i], '\n');
	}
	pthread_mutex_unlock(&c->lock);
	exchange_reply(x, c->status, "application/json", "{}", 2);
}

static int
on_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	void **both = ctx;

	return records_batch(both[0], b, both[1], e);
}

/* What convert would make of the bytes. */
static void
convert(const struct buf *json, struct buf *out, uint64_t counts[RECORDS_N])
{
	struct err e = ERR_INIT;
	struct attrmap *map = attrmap_open(NULL, &e);
	const struct records_opts o = { .map = map };
	struct records *r = records_new(&o, &e);
	void *both[] = { r, out };
	const struct decode_opts d = { .format = TRACE_OTLP_JSONL, .on_batch = on_batch, .ctx = both };
	struct stream_in *in = stream_in_memory(json->p, json->len, &e);

	cr_assert_not_null(r, "%s", e.msg);
	cr_assert_not_null(in, "%s", e.msg);
	cr_assert_eq(decode_stream(in, &d, NULL, &e), 0, "%s", e.msg);
	memcpy(counts, records_counts(r), RECORDS_N * sizeof *counts);
	stream_in_close(in);
	records_free(r);
	attrmap_free(map);
}

/* Items of records lie between other bytes. */
static bool
holds(const struct buf *b, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + n <= b->len; i++) {
		if (memcmp(b->p + i, text, n) == 0)
			return true;
	}
	return false;
}

static void
send_all(struct collector *c, struct metrics *counts, double ratio, int requests)
{
	struct httpd_opts h = { .listen = "127.0.0.1:0", .listen_fd = -1, .handle = collect, .ctx = c };
	struct err e = ERR_INIT;
	struct httpd *server = httpd_start(&h, &e);
	struct telemetry_opts o = { .traces = true, .metrics = true, .logs = true, .service = "gateway",
		.attributes = "deployment.environment=test", .headers = "x-team=a%20b", .ratio = ratio, .prompts = true,
		.metric_interval = 3600, .timeout = 5, .counts = counts };
	struct telemetry *t;
	struct made m;
	char url[64];

	cr_assert_not_null(server, "%s", e.msg);
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", httpd_port(server));
	o.endpoint = url;
	t = telemetry_new(&o, &e);
	cr_assert_not_null(t, "%s", e.msg);
	make(&m);
	for (int i = 0; i < requests; i++) {
		telemetry_begin(t, i == 0 && ratio > 0 ? PARENT : NULL, &m.v.trace);
		telemetry_event(t, &m.v);
	}
	telemetry_line(t, LOG_WARN, "something is odd");
	telemetry_free(t);
	httpd_stop(server);
}

Test(telemetry, what_is_sent_is_what_convert_reads)
{
	struct collector c = { .lock = PTHREAD_MUTEX_INITIALIZER, .status = 200 };
	struct err e = ERR_INIT;
	struct metrics *counts = metrics_new(&e);
	uint64_t n[RECORDS_N];
	struct buf out = BUF_INIT;

	metrics_add(counts, M_DECISION_SECONDS, (const char *[]){ "simple-shuffle" }, 3e-5);
	send_all(&c, counts, 1, 2);
	convert(&c.body[0], &out, n);
	cr_expect_eq(n[RECORDS_DECISIONS], 2u);
	cr_expect_eq(n[RECORDS_BAD_DECISIONS], 0u);
	cr_expect(holds(&out, "\"query\":\"a \\\"secret\\\" question\",\"model_name\":\"gpt-s\""));
	cr_expect(holds(&out, "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""), "the caller's trace goes on");
	cr_expect(holds(&out, "\"input_tokens\":10,\"output_tokens\":5,\"cost\":1.99"));
	cr_expect(holds(&out, "\"status\":\"ok\""));
	cr_expect(holds(&out, "\"propensity\":0.25"));
	cr_expect_not_null(strstr(buf_cstr(&c.body[0]), "\"parentSpanId\":\"b7ad6b7169203331\""));
	cr_expect_not_null(strstr(buf_cstr(&c.body[0]), "deployment.environment"));
	cr_expect_not_null(strstr(buf_cstr(&c.body[1]), "gateway.routing.decision.duration"));
	cr_expect_not_null(strstr(buf_cstr(&c.body[2]), "something is odd"));
	cr_expect_eq(metrics_sum(counts, M_SPANS_DROPPED), 0);
	for (int i = 0; i < 3; i++)
		buf_finish(&c.body[i]);
	buf_finish(&out);
	metrics_free(counts);
}

Test(telemetry, samples_and_counts_what_is_not_taken)
{
	struct collector c = { .lock = PTHREAD_MUTEX_INITIALIZER, .status = 200 };
	struct err e = ERR_INIT;
	struct metrics *counts = metrics_new(&e);
	size_t spans = 0;

	send_all(&c, counts, 0, 20);
	cr_expect_eq(c.body[0].len, 0u, "no span is recorded");
	buf_reset(&c.body[0]);
	buf_reset(&c.body[2]);
	send_all(&c, counts, 0.25, 2000);
	for (const char *p = buf_cstr(&c.body[0]); (p = strstr(p, "\"kind\":2")) != NULL; p++)
		spans++;
	cr_expect(spans > 400 && spans < 600, "%zu of 2000 at a quarter", spans);
	c.status = 503;
	send_all(&c, counts, 1, 3);
	cr_expect_eq(metrics_sum(counts, M_SPANS_DROPPED), 3 + 1 + 4, "three requests' spans, the metrics, four records");
	for (int i = 0; i < 3; i++)
		buf_finish(&c.body[i]);
	metrics_free(counts);
}

/* ---- figures ---- */

Test(refusals, latest_first_and_not_for_ever)
{
	static const char first[] = "\"cause\":\"api\",\"error\":\"reason 10\"}";
	struct refusals r;
	struct buf b = BUF_INIT;
	struct jsonw w;
	char why[20];

	refusals_init(&r);
	for (int i = 0; i < 11; i++) {
		(void)snprintf(why, sizeof why, "reason %d", i);
		refusals_add(&r, "api", why);
	}
	jsonw_init(&w, &b);
	refusals_write(&r, &w);
	cr_expect_not_null(strstr(b.p, first), "%s", b.p);
	cr_expect_lt(strstr(b.p, first), strchr(b.p, '}'), "the latest comes first");
	cr_expect_not_null(strstr(b.p, "reason 3\""));
	cr_expect_null(strstr(b.p, "reason 2\""));
	buf_finish(&b);
	refusals_finish(&r);
}

Test(procstat, is_plausible)
{
	struct procstat p;

	procstat_read(&p);
	cr_expect_geq(p.cpu_seconds, 0);
	cr_expect(p.resident_bytes > 1 << 20 && p.virtual_bytes > p.resident_bytes);
	cr_expect_geq(p.open_fds, 3u);
	cr_expect_gt(p.start_seconds, 1.7e9);
}
