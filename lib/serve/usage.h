/*
 * usage - the tokens that an answer says it took, out of JSON or an event stream.
 *
 * Fed as bytes arrive; keeps at most one line of a stream, or the tail of a
 * whole answer. Server-sent events: "data: {...}" lines, the last that holds
 * "usage" counts.
 * Depends on: fmt/jread, base/buf.  Threads: one at a time.
 */
#ifndef LLMR_SERVE_USAGE_H
#define LLMR_SERVE_USAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define USAGE_MAX_LINE ((size_t)256 * 1024)

struct usage {
	bool stream;
	struct buf line;		/* of a stream, not yet whole */
	bool overlong;			/* that line is too long to look at */
	double prompt_tokens, completion_tokens, total_tokens;	/* 0 unknown */
	size_t events;			/* data lines seen */
	bool done;			/* "data: [DONE]" was seen */
};
void usage_init(struct usage *, bool stream);
void usage_finish(struct usage *);
/* The next bytes of a stream. */
void usage_feed(struct usage *, const char *p, size_t n);
/* A whole JSON answer. */
void usage_read(struct usage *, const char *p, size_t n);

#endif
