/*
 * jflat - the leaves of a JSON document under dotted names.
 *
 * {"a":{"b":1},"c":[2,3]} gives a.b = 1, c.0 = 2, c.1 = 3. An interval is named
 * as gates name it: {"gap":{"value":1,"ci95":[0,2]}} gives gap.value, gap.lo,
 * gap.hi. Keys are taken as they are written, escapes not decoded.
 * Depends on: fmt/jread, base/buf.  Threads: safe.
 */
#ifndef LLMR_FMT_JFLAT_H
#define LLMR_FMT_JFLAT_H

#include "base/err.h"
#include "base/str.h"
#include "fmt/jread.h"

/* Strings come decoded, other leaves as they are written ("1e3", "true", "null"); nonzero stops. */
typedef int jflat_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e);

/* Call fn for each leaf in order. Not one JSON value: ERR_INPUT. */
int jflat_each(struct slice json, jflat_leaf *fn, void *ctx, struct err *e);

#endif
