/*
 * telemetry - traces, metrics and logs sent to a collector by OTLP over HTTP (JSON).
 *
 * Nothing is sent unless an exporter is set to otlp. Requests only add to
 * bounded queues; background threads send batches; what does not fit, or is
 * not taken, is dropped and counted (llmr_telemetry_dropped_total).
 * Depends on: serve/otlp, serve/outbox, net/http.  Threads: safe.
 */
#ifndef LLMR_SERVE_TELEMETRY_H
#define LLMR_SERVE_TELEMETRY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "serve/metrics.h"
#include "serve/tracectx.h"

struct event;

/* Strings are borrowed until telemetry_free. */
struct telemetry_opts {
	bool traces, metrics, logs;		/* send them */
	const char *endpoint;			/* of all; /v1/traces and so on is put behind it */
	const char *traces_endpoint, *metrics_endpoint, *logs_endpoint;	/* whole URLs; NULL: by endpoint */
	const char *headers;			/* "name=value,..."; NULL none */
	const char *service, *attributes;	/* of the resource; attributes "key=value,..." or NULL */
	const char *ca_file;			/* NULL: the system's */
	double ratio;				/* of new traces that are recorded, 0..1 */
	bool parent_based;			/* a caller's decision to record counts first */
	bool prompts;				/* spans carry the prompt */
	double metric_interval, timeout;	/* seconds */
	struct metrics *counts;
	void (*refresh)(void *ctx);		/* before metrics are sent; NULL none */
	void *ctx;
	struct log log;
};

/*
 * What the OTEL_ variables say, through env (NULL when unset): the exporters,
 * endpoints, headers, names, sampler, intervals. ERR_CONFIG in one line for
 * gRPC (port 4317, or the protocol), an unknown exporter or sampler, a bad number.
 */
int telemetry_settings(struct telemetry_opts *, const char *(*env)(void *ctx, const char *name), void *ctx,
	struct err *e);
/* NULL without an err when nothing is to be sent. ERR_CONFIG for a bad URL or without libcurl. */
struct telemetry *telemetry_new(const struct telemetry_opts *, struct err *e);
void telemetry_free(struct telemetry *);	/* sends what waits; NULL is fine */

/*
 * Where a request stands: its caller's traceparent honoured, else a new trace.
 * t NULL: the caller's as it is, so that it can be passed on.
 */
void telemetry_begin(struct telemetry *t, const char *traceparent, struct tracectx *out);
/* A request is over. */
void telemetry_event(struct telemetry *, const struct event *);
/* A line of the program's own log. */
void telemetry_line(struct telemetry *, enum log_level, const char *line);
bool telemetry_wants_prompts(const struct telemetry *);	/* NULL: no */

#endif
