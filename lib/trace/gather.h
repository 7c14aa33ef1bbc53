/*
 * gather - the spans of one piece while they are being decoded.
 *
 * Everything of a piece lives in one arena, forgotten at the next piece.
 * Depends on: base/mem, fmt/jread, trace/span, trace/want.  Threads: one thread
 * at a time.
 */
#ifndef LLMR_TRACE_GATHER_H
#define LLMR_TRACE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/jread.h"
#include "trace/span.h"
#include "trace/want.h"

struct gather {
	struct arena arena;
	const struct want *want;
	struct attr *attrs;		/* being collected; moved to the arena when complete */
	size_t n_attrs, attrs_cap;
	struct span_event *events;
	size_t n_events, events_cap;
	struct span_link *links;
	size_t n_links, links_cap;
	struct span *spans;		/* the outcome */
	size_t n_spans, spans_cap;
	uint64_t seen;
	bool marked;			/* the open span has a marker */
};

/* Start a piece. */
void gather_reset(struct gather *);
void gather_finish(struct gather *);

int gather_attr(struct gather *, const struct attr *, struct err *e);
int gather_event(struct gather *, const struct span_event *, struct err *e);
int gather_link(struct gather *, const struct span_link *, struct err *e);
/* What was collected from position `from` on, moved to the arena. */
int gather_attrs(struct gather *, size_t from, struct attrs *out, struct err *e);
/* Complete a span: takes the collected events and links; kept only if wanted. */
int gather_span(struct gather *, struct span *, struct err *e);
/* Count a span that was skipped, or one that begins; forgets half-collected parts. */
void gather_begin(struct gather *);

/* An id as `digits` lower-case hex digits, left-padded; "" gives n == 0. ERR_INPUT when it is none. */
int gather_id(struct gather *, struct slice raw, size_t digits, struct slice *out, struct err *e);
/* What want_find says of the key; notes a marker. */
unsigned gather_key(struct gather *, struct slice key);
/* JSON text without white space between its tokens, in the arena when any had to go. */
int gather_compact(struct gather *, struct slice raw, struct slice *out, struct err *e);
/*
 * Decode the text of a JSON string, p..end between its quotes, whose UTF-8 was
 * checked: borrowed when it holds no escape, else in the arena. 1; 0 when it is
 * malformed (a quote, a control byte, a bad escape); -1 err when memory lacks.
 */
int gather_string(struct gather *, const char *p, const char *end, struct slice *out,
	struct err *e);
/* A copy in the arena. */
int gather_text(struct gather *, const void *p, size_t n, struct slice *out, struct err *e);

#endif
