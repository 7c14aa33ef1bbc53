/*
 * want - which keys and spans a reader asked for, prepared for fast look-up.
 *
 * Depends on: fmt/jscan, trace/decode.  Threads: immutable after want_new.
 */
#ifndef LLMR_TRACE_WANT_H
#define LLMR_TRACE_WANT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "fmt/jscan.h"
#include "trace/decode.h"

/* What want_find says of a key. */
#define WANT_KEY 1u		/* deliver the attribute */
#define WANT_MARKER 2u		/* its presence makes the span wanted */
#define WANT_ROLE(found) ((enum want_role)((found) >> 8))

/* Keys that stand for a field of struct span in Jaeger's JSON, or of the resource. */
enum want_role {
	ROLE_NONE, ROLE_KIND, ROLE_STATUS, ROLE_STATUS_TEXT, ROLE_ERROR, ROLE_SCOPE_NAME,
	ROLE_SCOPE_VERSION, ROLE_FORMAT, ROLE_SERVICE
};

struct want;

/* asked NULL: everything. The texts of asked are borrowed. */
struct want *want_new(const struct span_want *asked, struct err *e);
void want_free(struct want *);
unsigned want_find(const struct want *, struct slice key);
/* True when spans without a marker are not wanted. */
bool want_filters(const struct want *);
/* The markers as nibble tables, NULL when nothing is filtered. */
const struct jscan_marks *want_marks(const struct want *);
/* A string whose content begins at p (raw JSON text, p < end) may be a marker. */
bool want_marker_at(const struct want *, const char *p, const char *end);

#endif
