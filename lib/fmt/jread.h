/*
 * jread - pull reader of one JSON text held in memory (RFC 8259, strict).
 *
 * The reader never builds a tree: the caller walks the text and takes what it
 * wants; the rest is skipped, yet still checked to be well formed. Errors are
 * sticky: after the first one every call returns false / JREAD_ERROR, so the
 * caller asks jread_done or jread_fail once, at the end.
 * Strict: UTF-8 must be valid, control bytes in strings are refused, numbers
 * follow the grammar, nesting is at most JREAD_MAX_DEPTH, lone surrogates in \u
 * escapes become U+FFFD when decoded (they cannot be said in UTF-8).
 * Depends on: base/str, base/mem.  Threads: a reader belongs to one thread.
 */
#ifndef LLMR_FMT_JREAD_H
#define LLMR_FMT_JREAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define JREAD_MAX_DEPTH 512

enum jread_type {
	JREAD_ERROR, JREAD_OBJECT, JREAD_ARRAY, JREAD_STRING, JREAD_NUMBER, JREAD_TRUE, JREAD_FALSE,
	JREAD_NULL
};

struct jread {
	const char *start, *p, *end;
	unsigned depth;
	bool first;		/* no member of the open container was read yet */
	const char *why;	/* static text of the first error, NULL while well */
	const char *at;		/* where it was */
};

void jread_init(struct jread *, const char *p, size_t n);
/* Type of the value that comes next; consumes white space only. */
enum jread_type jread_peek(struct jread *);

/*
 * Walk an object:  if (jread_object(r)) while (jread_member(r, &key)) { consume one value }
 * key is the raw text between the quotes (escapes not decoded, which no key we
 * look for has); every value must be consumed by one call below.
 */
bool jread_object(struct jread *);
bool jread_member(struct jread *, struct slice *key);
/* Walk an array:  if (jread_array(r)) while (jread_element(r)) { consume one value } */
bool jread_array(struct jread *);
bool jread_element(struct jread *);

/* Decoded string: borrowed from the text when it holds no escape, else a copy in the arena. */
bool jread_string(struct jread *, struct arena *, struct slice *out);
/* Text between the quotes, escapes kept; *escaped tells whether there are any. */
bool jread_string_raw(struct jread *, struct slice *out, bool *escaped);
/* Decode what jread_string_raw gave (raw is valid). False only when memory lacks. */
bool jread_unescape(struct slice raw, struct arena *, struct slice *out);
/* Text of a number. */
bool jread_number(struct jread *, struct slice *out);
bool jread_double(struct jread *, double *out);		/* infinity on overflow is an error */
bool jread_bool(struct jread *, bool *out);
bool jread_null(struct jread *);
/* Skip one value of any type; jread_skip_raw gives its whole text. */
bool jread_skip(struct jread *);
bool jread_skip_raw(struct jread *, struct slice *raw);

/* True when no error so far. */
bool jread_well(const struct jread *);
/* 0 when the text was one whole value with only white space behind; else -1 and err. */
int jread_done(struct jread *, struct err *e);
/* Turn the sticky error into ERR_INPUT "byte N: why". Returns -1. */
int jread_fail(const struct jread *, struct err *e);
/* Byte offset of the reader (or of the error). */
size_t jread_offset(const struct jread *);

#endif
