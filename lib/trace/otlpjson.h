/*
 * otlpjson - one resourceSpans object of OTLP's JSON mapping to spans.
 *
 * opentelemetry-proto trace/v1 in JSON: camelCase or snake_case names, ids in
 * hex, 64-bit integers as numbers or strings, enums as numbers or names.
 * Depends on: trace/gather, trace/walk.  Threads: pure but for its arguments.
 */
#ifndef LLMR_TRACE_OTLPJSON_H
#define LLMR_TRACE_OTLPJSON_H

#include "base/err.h"
#include "trace/gather.h"
#include "trace/split.h"

/* Add the piece's wanted spans to the gather. ERR_INPUT: the piece is bad. */
int otlpjson_decode(struct gather *, const struct chunk *, const struct piece *, struct err *e);

#endif
