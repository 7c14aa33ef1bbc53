/*
 * walk - a piece of JSON read with the help of its bracket index.
 *
 * A struct jread walks the text; where a container is not wanted, the index
 * tells where it ends, so that its text is never touched.
 * Depends on: fmt/jread, trace/split.  Threads: one thread at a time.
 */
#ifndef LLMR_TRACE_WALK_H
#define LLMR_TRACE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "fmt/jread.h"
#include "trace/split.h"

/* A key is this literal: the length known at compile time makes it one or two comparisons. */
#define WALK_KEY(key, literal) \
	((key).n == sizeof(literal) - 1 && memcmp((key).p, (literal), sizeof(literal) - 1) == 0)

struct walk {
	const char *text;		/* of the chunk */
	const uint32_t *index;		/* of the piece, [n] */
	size_t n;
	size_t k;			/* the next bracket of the index that the reader meets */
	uint64_t base;			/* stream offset of text[0] */
	struct jread r;
};

/* Where a container stands: its opening bracket in the index. */
struct place {
	size_t k;
	bool set;
};

void walk_init(struct walk *, const struct chunk *, const struct piece *);
/* The reader is before a container: jump behind it. *at its place (NULL is fine). False: not there. */
bool walk_jump(struct walk *, struct place *at);
/* Skip any value, containers by the index. */
bool walk_skip(struct walk *);
/* The index entry of the bracket that closes the one at k. */
size_t walk_close(const struct walk *, size_t k);
/* Put the reader before the container at a place. */
void walk_to(struct walk *, struct place);
/* Keep in step: the reader goes into the container before it. */
bool walk_object(struct walk *);
bool walk_array(struct walk *);
/* Member or element as jread does; false at the end (the closing bracket is taken) or on error. */
bool walk_member(struct walk *, struct slice *key);
bool walk_element(struct walk *);
/* ERR_INPUT "trace at byte N: why at byte M". Returns -1. */
int walk_fail(const struct walk *, struct err *e);

/* Fail for a reason, at a place that the reader itself did not come to. Returns -1. */
int walk_malformed(struct walk *, const char *at, const char *why, struct err *e);

/* Only a comma (and white space) stands between two elements. Inline: asked for every tag. */
static inline bool
walk_comma_between(const char *p, const char *q)
{
	if (q - p == 1)
		return *p == ',';
	return slice_is(slice_trim((struct slice){ p, (size_t)(q - p) }), ",");
}

/* Only white space stands there. */
static inline bool
walk_blank_between(const char *p, const char *q)
{
	return q == p || slice_trim((struct slice){ p, (size_t)(q - p) }).n == 0;
}

#endif
