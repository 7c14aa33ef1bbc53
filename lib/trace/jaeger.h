/*
 * jaeger - one trace of Jaeger's JSON (query API, UI download) to spans.
 *
 * Tags that Jaeger makes up from fields of OpenTelemetry's model are put back:
 * span.kind, otel.status_code, otel.status_description, error, otel.scope.*;
 * a log's field "event" is the event's name; the process is the resource, with
 * serviceName as service.name; the CHILD_OF reference of the same trace is the
 * parent and the others are links.
 * Depends on: trace/gather, trace/walk.  Threads: pure but for its arguments.
 */
#ifndef LLMR_TRACE_JAEGER_H
#define LLMR_TRACE_JAEGER_H

#include "base/err.h"
#include "trace/gather.h"
#include "trace/split.h"

/* Add the piece's wanted spans to the gather. ERR_INPUT: the piece is bad. */
int jaeger_decode(struct gather *, const struct chunk *, const struct piece *, struct err *e);

#endif
