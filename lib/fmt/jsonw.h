/*
 * jsonw - JSON text into a buf, commas placed by the writer.
 *
 * Strings: invalid UTF-8 becomes U+FFFD, control bytes \u00XX, others as they
 * are. Numbers: shortest text that reads back as the same double; NaN and
 * infinity become null. Nesting to 63.
 * Depends on: base/buf.  Threads: one thread at a time.
 */
#ifndef LLMR_FMT_JSONW_H
#define LLMR_FMT_JSONW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct jsonw {
	struct buf *b;
	unsigned depth;
	uint64_t nonempty;	/* bit d: a member was written at depth d */
	bool after_key;
};

void jsonw_init(struct jsonw *, struct buf *);
void jsonw_object(struct jsonw *);		/* { */
void jsonw_array(struct jsonw *);		/* [ */
void jsonw_end_object(struct jsonw *);		/* } */
void jsonw_end_array(struct jsonw *);		/* ] */
void jsonw_key(struct jsonw *, const char *key);
void jsonw_key_n(struct jsonw *, const char *key, size_t n);
void jsonw_string(struct jsonw *, const char *s);	/* NULL gives null */
void jsonw_string_n(struct jsonw *, const char *s, size_t n);
void jsonw_double(struct jsonw *, double v);
void jsonw_int(struct jsonw *, int64_t v);
void jsonw_uint(struct jsonw *, uint64_t v);
void jsonw_bool(struct jsonw *, bool v);
void jsonw_null(struct jsonw *);
void jsonw_raw(struct jsonw *, const char *json, size_t n);	/* text that is already JSON */
/* key and value in one */
void jsonw_kstr(struct jsonw *, const char *key, const char *v);
void jsonw_kstr_n(struct jsonw *, const char *key, const char *v, size_t n);
void jsonw_kdouble(struct jsonw *, const char *key, double v);
void jsonw_kint(struct jsonw *, const char *key, int64_t v);
void jsonw_kbool(struct jsonw *, const char *key, bool v);

/* Quoted, escaped string appended to a buf, without comma keeping. */
void jsonw_quote(struct buf *, const char *s, size_t n);
/* Shortest round-trip text of a finite double (else "null"). */
void jsonw_number(struct buf *, double v);

#endif
