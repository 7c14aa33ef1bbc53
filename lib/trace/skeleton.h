/*
 * skeleton - a trace document without its traces.
 *
 * What stands around the traces of a document, small, as one JSON text: its
 * grammar is checked and the errors that a server reports beside (or instead
 * of) data are taken out of it: Jaeger's "errors", the v3 API's "error".
 * Depends on: fmt/jread.  Threads: pure but for its arguments.
 */
#ifndef LLMR_TRACE_SKELETON_H
#define LLMR_TRACE_SKELETON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct skeleton {
	const char *why;	/* static text: what is wrong with it; NULL when nothing is */
	bool known;		/* a member of a trace document is in it, or it is no object or empty */
};

/* Is it the name of an array of OTLP resource spans? */
bool skeleton_is_otlp(struct slice key);
/*
 * Read n bytes at p. told is called for each error reported in it (at most 64),
 * with its message (JSON text, escapes kept) and trace id, perhaps empty;
 * nonzero ends the reading. -1 then, else 0.
 */
int skeleton_read(const char *p, size_t n, struct skeleton *out,
	int (*told)(void *ctx, struct slice msg, struct slice trace_id), void *ctx);

#endif
