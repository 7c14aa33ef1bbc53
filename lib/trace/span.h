/*
 * span - one model of a span for every trace format.
 *
 * Names follow the OpenTelemetry data model (opentelemetry-proto trace/v1).
 * All slices borrow from the decoder's memory and live until its callback
 * returns.
 * Depends on: base/str.  Threads: plain data.
 */
#ifndef LLMR_TRACE_SPAN_H
#define LLMR_TRACE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum attr_type {
	ATTR_STRING,		/* text, decoded UTF-8 */
	ATTR_BOOL,
	ATTR_INT,		/* int64, whether the source wrote a number or a string of digits */
	ATTR_DOUBLE,
	ATTR_JSON		/* array, key-value list or bytes, as JSON text in OTLP's form of an AnyValue */
};

struct attr {
	struct slice key;
	enum attr_type type;
	struct slice text;	/* ATTR_STRING, ATTR_JSON */
	int64_t i;		/* ATTR_INT; ATTR_BOOL 0 or 1 */
	double d;		/* ATTR_DOUBLE */
};

struct attrs {
	const struct attr *v;
	size_t n;
};

struct span_event {
	struct slice name;
	uint64_t time_ns;
	struct attrs attrs;
};

struct span_link {
	struct slice trace_id, span_id;
	struct attrs attrs;
};

enum span_status { SPAN_UNSET = 0, SPAN_OK = 1, SPAN_ERROR = 2 };

struct span {
	struct slice trace_id;		/* 32 lower-case hex digits (left-padded with zeros) */
	struct slice span_id;		/* 16 */
	struct slice parent_id;		/* 16, n == 0 for a root */
	struct slice name;
	int kind;			/* 0 unspecified .. 5 consumer */
	uint64_t start_ns, end_ns;	/* since 1970 */
	enum span_status status;
	struct slice status_message;
	struct attrs attrs;
	struct attrs resource;		/* shared by the spans of one resource */
	struct slice scope_name, scope_version;
	const struct span_event *events;
	size_t n_events;
	const struct span_link *links;
	size_t n_links;
};

/* The attribute of that key, or NULL. Linear. */
const struct attr *attrs_find(struct attrs, const char *key);

#endif
