#include "serve/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jsonw.h"

#define MAX_LABELS 3
#define MAX_BUCKETS 20
#define MAX_SERIES 2000		/* of one family: a client's text must not fill memory */

static const double decision_buckets[] = { 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3,
	1e-2, 5e-2, 0 };
static const double request_buckets[] = { 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5,
	1, 2, 5, 10, 0 };
static const double upstream_buckets[] = { 1e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 0 };
static const double switch_buckets[] = { 0.1, 1, 10, 60, 300, 900, 3600, 14400, 43200, 86400, 259200, 604800, 0 };

static const struct family {
	const char *name;	/* without _total */
	enum metric_type type;
	const char *help;
	const char *label[MAX_LABELS + 1];
	const double *bucket;
	const char *unit;	/* for OpenMetrics: the name ends with it */
} families[M_COUNT] = {
	[M_BUILD_INFO] = { "llmr_build_info", METRIC_GAUGE, "Version of the program.", { "version" }, NULL, NULL },
	[M_REQUESTS] = { "llmr_requests", METRIC_COUNTER, "Requests answered.", { "path", "code" }, NULL, NULL },
	[M_IN_FLIGHT] = { "llmr_requests_in_flight", METRIC_GAUGE, "Requests being answered.", { NULL }, NULL, NULL },
	[M_REQUEST_SECONDS] = { "llmr_http_request_duration_seconds", METRIC_HISTOGRAM,
		"From a request's header to the end of its answer.", { "path" }, request_buckets, "seconds" },
	[M_CONNECTIONS] = { "llmr_connections", METRIC_GAUGE, "Connections by state.", { "state" }, NULL, NULL },
	[M_HTTP_REFUSED] = { "llmr_http_refused", METRIC_COUNTER, "Requests and connections that were refused.",
		{ "reason" }, NULL, NULL },
	[M_DECISIONS] = { "llmr_routing_decisions", METRIC_COUNTER, "Decisions.", { "strategy", "model", "outcome" }, NULL,
		NULL },
	[M_DECISIONS_ALIAS] = { "llmrouter_routing_decisions", METRIC_COUNTER,
		"Decisions; the name that earlier dashboards look for.", { "strategy", "model", "outcome" }, NULL, NULL },
	[M_DECISION_SECONDS] = { "llmr_routing_decision_duration_seconds", METRIC_HISTOGRAM,
		"Time that a decision took.", { "strategy" }, decision_buckets, "seconds" },
	[M_FALLBACKS] = { "llmr_routing_fallbacks", METRIC_COUNTER, "Decisions that the model could not make.",
		{ "reason" }, NULL, NULL },
	[M_OOD] = { "llmr_routing_out_of_distribution", METRIC_COUNTER,
		"Decisions on prompts far from all training prompts.", { "strategy" }, NULL, NULL },
	[M_LOW_CONFIDENCE] = { "llmr_routing_low_confidence", METRIC_COUNTER,
		"Decisions whose best two models are predicted to be almost equal.", { "strategy" }, NULL, NULL },
	[M_UPSTREAM] = { "llmr_upstream_requests", METRIC_COUNTER, "Calls of deployments.", { "deployment", "outcome" },
		NULL, NULL },
	[M_UPSTREAM_SECONDS] = { "llmr_upstream_duration_seconds", METRIC_HISTOGRAM, "Time that a deployment took.",
		{ "deployment" }, upstream_buckets, "seconds" },
	[M_UPSTREAM_TTFT] = { "llmr_upstream_time_to_first_byte_seconds", METRIC_HISTOGRAM,
		"Time to the first byte of a deployment's answer.", { "deployment" }, upstream_buckets, "seconds" },
	[M_UPSTREAM_TOKENS] = { "llmr_upstream_tokens", METRIC_COUNTER, "Tokens that deployments reported.",
		{ "deployment", "kind" }, NULL, NULL },
	[M_RETRIES] = { "llmr_upstream_retries", METRIC_COUNTER, "Further attempts.", { "kind" }, NULL, NULL },
	[M_COOLDOWNS] = { "llmr_deployment_cooldowns", METRIC_COUNTER, "Times that a deployment was set aside.",
		{ "deployment" }, NULL, NULL },
	[M_BACKEND_IN_FLIGHT] = { "llmr_deployment_requests_in_flight", METRIC_GAUGE, "Calls being answered.",
		{ "deployment" }, NULL, NULL },
	[M_MODEL_INFO] = { "llmr_model_info", METRIC_GAUGE, "The model in service.", { "strategy", "sha256", "version" },
		NULL, NULL },
	[M_MODEL_LOADED] = { "llmr_model_loaded_timestamp_seconds", METRIC_GAUGE, "When it was loaded.", { "strategy" },
		NULL, "seconds" },
	[M_RELOADS] = { "llmr_reloads", METRIC_COUNTER, "Reloads of config or model.", { "strategy", "result" }, NULL,
		NULL },
	[M_RELOAD_SECONDS] = { "llmr_reload_duration_seconds", METRIC_HISTOGRAM, "Time that a reload took.", { NULL },
		upstream_buckets, "seconds" },
	[M_DEGRADED] = { "llmr_degraded", METRIC_GAUGE, "1 while a fallback stands in for the model.", { NULL }, NULL,
		NULL },
	[M_SYNCS] = { "llmr_config_syncs", METRIC_COUNTER, "Polls of the config's store.", { "result" }, NULL, NULL },
	[M_STORE_BREAKER] = { "llmr_store_breaker_open", METRIC_GAUGE, "1 while the store is not asked.", { NULL }, NULL,
		NULL },
	[M_SWITCH_RATIO] = { "llmr_switch_traffic_ratio", METRIC_GAUGE, "Share of a router's traffic that a version has.",
		{ "router", "arm" }, NULL, NULL },
	[M_SWITCH_REQUESTS] = { "llmr_switch_requests", METRIC_COUNTER, "Requests decided by a version.",
		{ "router", "arm" }, NULL, NULL },
	[M_SWITCH_ERRORS] = { "llmr_switch_errors", METRIC_COUNTER, "Of these, failed.", { "router", "arm" }, NULL, NULL },
	[M_SWITCH_SECONDS] = { "llmr_switch_request_duration_seconds", METRIC_HISTOGRAM, "Their duration.",
		{ "router", "arm" }, request_buckets, "seconds" },
	[M_SWITCH_IN_FLIGHT] = { "llmr_switch_requests_in_flight", METRIC_GAUGE, "Requests of a version being answered.",
		{ "router", "arm" }, NULL, NULL },
	[M_SWITCHES] = { "llmr_switches", METRIC_COUNTER, "Switches that ended.", { "strategy", "result" }, NULL, NULL },
	[M_SWITCH_DURATION] = { "llmr_switch_duration_seconds", METRIC_HISTOGRAM, "Time that a switch took.",
		{ "strategy", "result" }, switch_buckets, "seconds" },
	[M_SHADOW] = { "llmr_shadow_decisions", METRIC_COUNTER, "Decisions that a shadow version scored.",
		{ "router", "version", "agrees" }, NULL, NULL },
	[M_SPANS_DROPPED] = { "llmr_telemetry_dropped", METRIC_COUNTER, "Telemetry that was not sent.", { "signal" }, NULL,
		NULL },
	[M_LOG_LINES] = { "llmr_log_lines", METRIC_COUNTER, "Lines of the access and decision logs.", { "result" }, NULL,
		NULL },
	[M_PROCESS_CPU] = { "process_cpu_seconds", METRIC_COUNTER, "User and system time.", { NULL }, NULL, "seconds" },
	[M_PROCESS_START] = { "process_start_time_seconds", METRIC_GAUGE, "When the process started.", { NULL }, NULL,
		"seconds" },
	[M_PROCESS_RESIDENT] = { "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.", { NULL }, NULL,
		"bytes" },
	[M_PROCESS_VIRTUAL] = { "process_virtual_memory_bytes", METRIC_GAUGE, "Virtual memory.", { NULL }, NULL, "bytes" },
	[M_PROCESS_FDS] = { "process_open_fds", METRIC_GAUGE, "Open file descriptors.", { NULL }, NULL, NULL },
	[M_PROCESS_MAX_FDS] = { "process_max_fds", METRIC_GAUGE, "File descriptors that may be open.", { NULL }, NULL,
		NULL },
};

struct series {
	struct series *next;
	char *label[MAX_LABELS];
	double value;			/* counter, gauge; sum of a histogram */
	uint64_t count, bucket[MAX_BUCKETS];
};

struct metrics {
	pthread_mutex_t lock;
	struct series *first[M_COUNT];
	size_t n[M_COUNT];
};

struct metrics *
metrics_new(struct err *e)
{
	struct metrics *m = mem_calloc(1, sizeof *m, e);

	if (m != NULL)
		pthread_mutex_init(&m->lock, NULL);
	return m;
}

static void
series_free(struct series *s)
{
	for (size_t i = 0; i < MAX_LABELS; i++)
		free(s->label[i]);
	free(s);
}

void
metrics_clear(struct metrics *m, enum metric f)
{
	pthread_mutex_lock(&m->lock);
	while (m->first[f] != NULL) {
		struct series *s = m->first[f];

		m->first[f] = s->next;
		series_free(s);
	}
	m->n[f] = 0;
	pthread_mutex_unlock(&m->lock);
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	for (int f = 0; f < M_COUNT; f++)
		metrics_clear(m, (enum metric)f);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* The series, made when it is new; moved to the front, so that what is busy is found at once. Locked. */
static struct series *
find(struct metrics *m, enum metric f, const char *const *labels)
{
	const struct family *k = &families[f];
	struct series **at, *s;

	for (at = &m->first[f]; (s = *at) != NULL; at = &s->next) {
		size_t i = 0;

		while (i < MAX_LABELS && k->label[i] != NULL &&
		    strcmp(s->label[i], labels == NULL || labels[i] == NULL ? "" : labels[i]) == 0)
			i++;
		if (i == MAX_LABELS || k->label[i] == NULL)
			break;
	}
	if (s != NULL) {
		*at = s->next;
	} else {
		if (m->n[f] >= MAX_SERIES || (s = calloc(1, sizeof *s)) == NULL)
			return NULL;
		for (size_t i = 0; i < MAX_LABELS && k->label[i] != NULL; i++) {
			if ((s->label[i] = mem_strdup(labels == NULL || labels[i] == NULL ? "" : labels[i], NULL)) == NULL) {
				series_free(s);
				return NULL;
			}
		}
		m->n[f]++;
	}
	s->next = m->first[f];
	m->first[f] = s;
	return s;
}

void
metrics_add(struct metrics *m, enum metric f, const char *const *labels, double v)
{
	const double *b = families[f].bucket;
	struct series *s;

	pthread_mutex_lock(&m->lock);
	if ((s = find(m, f, labels)) != NULL) {
		s->value += v;
		s->count++;
		for (size_t i = 0; b != NULL && b[i] > 0; i++) {
			if (v <= b[i]) {
				s->bucket[i]++;
				break;
			}
		}
	}
	pthread_mutex_unlock(&m->lock);
}

void
metrics_set(struct metrics *m, enum metric f, const char *const *labels, double v)
{
	struct series *s;

	pthread_mutex_lock(&m->lock);
	if ((s = find(m, f, labels)) != NULL)
		s->value = v;
	pthread_mutex_unlock(&m->lock);
}

double
metrics_sum(struct metrics *m, enum metric f)
{
	double sum = 0;

	pthread_mutex_lock(&m->lock);
	for (struct series *s = m->first[f]; s != NULL; s = s->next)
		sum += families[f].type == METRIC_HISTOGRAM ? (double)s->count : s->value;
	pthread_mutex_unlock(&m->lock);
	return sum;
}

double
metrics_quantile(struct metrics *m, enum metric f, double q)
{
	const double *b = families[f].bucket;
	uint64_t bucket[MAX_BUCKETS] = { 0 }, count = 0;
	double rank, seen = 0, low = 0;

	pthread_mutex_lock(&m->lock);
	for (struct series *s = m->first[f]; s != NULL; s = s->next) {
		count += s->count;
		for (size_t i = 0; b != NULL && b[i] > 0; i++)
			bucket[i] += s->bucket[i];
	}
	pthread_mutex_unlock(&m->lock);
	if (count == 0 || b == NULL)
		return NAN;
	rank = q * (double)count;
	for (size_t i = 0; b[i] > 0; i++) {
		if (bucket[i] > 0 && seen + (double)bucket[i] >= rank)
			return low + (b[i] - low) * (rank - seen) / (double)bucket[i];
		seen += (double)bucket[i];
		low = b[i];
	}
	return low;
}

void
metrics_each(struct metrics *m, void (*fn)(void *ctx, const struct metric_sample *), void *ctx)
{
	pthread_mutex_lock(&m->lock);
	for (int i = 0; i < M_COUNT; i++) {
		const struct family *f = &families[i];
		struct metric_sample out = { .metric = (enum metric)i, .name = f->name, .help = f->help, .unit = f->unit,
			.type = f->type, .label_name = f->label, .bound = f->bucket };

		while (out.n_labels < MAX_LABELS && f->label[out.n_labels] != NULL)
			out.n_labels++;
		while (f->bucket != NULL && f->bucket[out.n_bounds] > 0)
			out.n_bounds++;
		for (const struct series *s = m->first[i]; s != NULL; s = s->next) {
			out.label = (const char *const *)s->label;
			out.value = s->value;
			out.count = s->count;
			out.bucket = s->bucket;
			fn(ctx, &out);
		}
	}
	pthread_mutex_unlock(&m->lock);
}

/* ---- the text ---- */

static void
write_labels(struct buf *out, const struct family *f, const struct series *s, const char *le)
{
	bool any = false;

	for (size_t i = 0; i < MAX_LABELS && f->label[i] != NULL; i++, any = true) {
		buf_printf(out, "%s%s=\"", any ? "," : "{", f->label[i]);
		for (const char *p = s->label[i]; *p != '\0'; p++) {
			if (*p == '\\' || *p == '"')
				buf_byte(out, '\\');
			if (*p == '\n')
				buf_str(out, "\\n");
			else
				buf_byte(out, *p);
		}
		buf_byte(out, '"');
	}
	if (le != NULL)
		buf_printf(out, "%sle=\"%s\"", any ? "," : "{", le);
	if (any || le != NULL)
		buf_byte(out, '}');
	buf_byte(out, ' ');
}

static void
write_histogram(struct buf *out, const struct family *f, const struct series *s)
{
	uint64_t sum = 0;
	char le[32];

	for (size_t i = 0; f->bucket[i] > 0; i++) {
		sum += s->bucket[i];
		(void)snprintf(le, sizeof le, "%g", f->bucket[i]);
		buf_printf(out, "%s_bucket", f->name);
		write_labels(out, f, s, le);
		buf_printf(out, "%llu\n", (unsigned long long)sum);
	}
	buf_printf(out, "%s_bucket", f->name);
	write_labels(out, f, s, "+Inf");
	buf_printf(out, "%llu\n%s_sum", (unsigned long long)s->count, f->name);
	write_labels(out, f, s, NULL);
	jsonw_number(out, s->value);
	buf_printf(out, "\n%s_count", f->name);
	write_labels(out, f, s, NULL);
	buf_printf(out, "%llu\n", (unsigned long long)s->count);
}

void
metrics_write(struct metrics *m, bool openmetrics, struct buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	pthread_mutex_lock(&m->lock);
	for (int i = 0; i < M_COUNT; i++) {
		const struct family *f = &families[i];
		const char *total = f->type == METRIC_COUNTER ? "_total" : "";

		if (m->first[i] == NULL)
			continue;
		buf_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, openmetrics ? "" : total, f->help, f->name,
			openmetrics ? "" : total, types[f->type]);
		if (openmetrics && f->unit != NULL)
			buf_printf(out, "# UNIT %s %s\n", f->name, f->unit);
		for (const struct series *s = m->first[i]; s != NULL; s = s->next) {
			if (f->type == METRIC_HISTOGRAM) {
				write_histogram(out, f, s);
				continue;
			}
			buf_printf(out, "%s%s", f->name, total);
			write_labels(out, f, s, NULL);
			jsonw_number(out, s->value);
			buf_byte(out, '\n');
		}
	}
	pthread_mutex_unlock(&m->lock);
	if (openmetrics)
		buf_str(out, "# EOF\n");
}
