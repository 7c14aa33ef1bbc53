/*
 * otlpwrite - spans as OTLP JSON Lines.
 *
 * The JSON mapping of opentelemetry-proto's ExportTraceServiceRequest as the
 * OpenTelemetry collector's file exporter writes it: hex ids, 64-bit integers
 * as strings, kind and status code as numbers. Reading the line back with
 * trace/decode gives the same spans.
 * Depends on: base/buf, fmt/jsonw, trace/span.  Threads: pure.
 */
#ifndef LLMR_TRACE_OTLPWRITE_H
#define LLMR_TRACE_OTLPWRITE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "trace/span.h"

/*
 * Append one line, newline included, with the n spans in one request, grouped
 * by resource, then by scope, in order of first appearance. n == 0 appends
 * nothing. Everything that struct span holds is kept. -1 when memory lacks.
 */
int otlpwrite_line(const struct span *spans, size_t n, struct buf *out, struct err *e);

#endif
