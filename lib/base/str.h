/*
 * str - slices, checked numbers, durations, times, UTF-8.
 *
 * Depends on: base/err.  Threads: pure functions.
 */
#ifndef LLMR_BASE_STR_H
#define LLMR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A borrowed run of bytes, not NUL-terminated; p is NULL when absent. */
struct slice {
	const char *p;
	size_t n;
};
#define SLICE_NONE ((struct slice){ NULL, 0 })
#define SLICE_LIT(s) ((struct slice){ (s), sizeof(s) - 1 })

struct slice slice_str(const char *s);		/* NULL gives SLICE_NONE */
bool slice_is(struct slice, const char *s);	/* equal bytes */
bool slice_eq(struct slice, struct slice);
bool slice_starts(struct slice, const char *prefix);
struct slice slice_trim(struct slice);		/* ASCII white space off both ends */

/*
 * Whole-string numbers: no leading blanks, no trailing bytes, no overflow, no
 * NaN or infinity. 0, or -1 with an err "WHAT: ..." naming value and limits.
 */
int str_int(const char *what, const char *s, long long lo, long long hi, long long *out, struct err *e);
int str_double(const char *what, const char *s, double lo, double hi, double *out, struct err *e);
/* Slice forms without err: false when the whole slice is not such a number. */
bool slice_int(struct slice, long long *out);
bool slice_double(struct slice, double *out);

/* "90", "1.5s", "200ms", "50us", "24h", "7d" to seconds; a bare number means seconds. */
int str_duration(const char *what, const char *s, double *seconds, struct err *e);
/* "512", "64KiB", "16M", "2GB" to bytes (K, M, G, T are powers of 1024; kB, MB of 1000). */
int str_bytes(const char *what, const char *s, uint64_t *bytes, struct err *e);
/*
 * RFC 3339 ("2026-11-20T10:00:00.5Z", "+01:00" zones, date alone = midnight
 * UTC), "@unix seconds", or "now" to microseconds since the epoch.
 */
int str_time(const char *what, const char *s, int64_t now_us, int64_t *us, struct err *e);
/* Format as ISO 8601 UTC with microseconds: "2026-11-20T10:00:00.000000Z" (28 bytes with NUL). */
void str_iso8601(int64_t us, char out[28]);

/* Number of edits (insert, delete, substitute, swap) between two short strings. */
size_t str_distance(const char *a, const char *b);

/*
 * UTF-8 (RFC 3629: no overlong forms, no surrogates, up to U+10FFFF).
 * utf8_valid: offset of the first bad byte, or n when all is valid.
 * utf8_next: decode at p (end - p > 0); a bad byte gives U+FFFD and advances 1.
 * utf8_put: encode; returns the number of bytes (1..4).
 */
size_t utf8_valid(const char *p, size_t n);
uint32_t utf8_next(const char **p, const char *end);
size_t utf8_put(uint32_t cp, char out[4]);

#endif
