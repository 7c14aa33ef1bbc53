/*
 * otlp - decisions, calls, metrics and log lines in the JSON form of OTLP.
 *
 * The JSON mapping of opentelemetry-proto: hex ids, 64-bit integers as text,
 * lowerCamelCase. A decision is a server span with the router's attributes
 * and the event routeiq.router_decision.v1; a forwarded request has the call
 * of the model below it as a span of its own, by the GenAI conventions. What
 * is written here is what trace/records reads.
 * Depends on: serve/observe, serve/metrics, fmt/jsonw.  Threads: pure.
 */
#ifndef LLMR_SERVE_OTLP_H
#define LLMR_SERVE_OTLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/log.h"
#include "serve/metrics.h"
#include "serve/observe.h"

/* The spans of one request, parted by commas; call_span: the id of the second one. */
void otlp_spans(const struct event *, uint64_t call_span, bool prompt, struct buf *out);
/* A decision as a log record. */
void otlp_decision_log(const struct event *, bool prompt, struct buf *out);
/* A line of the program's own as a log record. */
void otlp_line_log(int64_t now_us, enum log_level, const char *line, struct buf *out);
/* Every series, cumulative since start_us. */
void otlp_metrics(struct metrics *, int64_t start_us, int64_t now_us, struct buf *out);

enum otlp_signal { OTLP_TRACES, OTLP_METRICS, OTLP_LOGS };
/* A whole request around n bytes of spans, metrics or records. attributes: "key=value,..." beside the name, or NULL. */
void otlp_request(enum otlp_signal, const char *service, const char *attributes, const char *p, size_t n,
	struct buf *out);

#endif
