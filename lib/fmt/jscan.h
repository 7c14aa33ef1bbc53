/*
 * jscan - where the brackets of JSON text are, 64 bytes at a time.
 *
 * One pass over the bytes finds the quotes that open and close strings (an odd
 * run of backslashes escapes), and from them which brackets are structure, after
 * Langdale & Lemire 2019, "Parsing gigabytes of JSON per second",
 * doi:10.1007/s00778-019-00578-5. Besides it marks the strings that may begin
 * with one of a set of texts, by their bytes 0, 3 and 7, so that a caller finds
 * those without a second pass.
 * The portable form is the reference; the others find the same, but for which
 * strings they mark beyond those that are asked for.
 * Depends on: base/str.  Threads: pure; a state belongs to one thread.
 */
#ifndef LLMR_FMT_JSCAN_H
#define LLMR_FMT_JSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSCAN_BLOCK 64		/* bytes of a block */
#define JSCAN_BATCH 64		/* blocks of a call at most */
#define JSCAN_AHEAD 8		/* bytes behind the last block that must be readable */

enum jscan_level { JSCAN_PORTABLE, JSCAN_SSE2, JSCAN_AVX2, JSCAN_AVX512 };

/* Carried from block to block; zeroed memory is the start of a text. */
struct jscan_state {
	uint64_t in_string;	/* all ones inside a string, else 0 */
	uint64_t escaped;	/* 1: the next byte is escaped */
};

/*
 * Sets of bytes at three places, 8 groups: byte b may stand at place k of a text
 * of group g when bit g is set in both low[k][b & 15] and high[k][b >> 4], and
 * in six[k][b & 63]. A superset of what was added.
 */
#define JSCAN_PLACES 3
struct jscan_marks {
	uint8_t low[JSCAN_PLACES][16], high[JSCAN_PLACES][16], six[JSCAN_PLACES][64];
};

struct jscan_found {
	/*
	 * Where something is, ascending, counted from the first byte: {}[] outside
	 * strings, opening quotes of marked strings, backslashes that begin \u00 (its
	 * digits may spell a marked text), and bytes below 0x20 inside strings (and
	 * newlines outside, when asked for).
	 */
	uint16_t place[JSCAN_BATCH * JSCAN_BLOCK + JSCAN_BLOCK];
	size_t n;
	uint64_t low;			/* bit b: block b holds a byte below 0x20; else the next two are not set */
	uint64_t control[JSCAN_BATCH];	/* bit i of block b: a byte below 0x20 inside a string */
	uint64_t newline[JSCAN_BATCH];	/* newlines anywhere */
	uint64_t high;			/* bit b: block b holds a byte above 0x7f */
};

/* The best form for this CPU, and whether it can run a given one. */
enum jscan_level jscan_best(void);
bool jscan_can(enum jscan_level);
const char *jscan_name(enum jscan_level);

/*
 * Add a text that strings may begin with (n bytes as they stand in JSON,
 * without escapes; with its closing quote when it is the whole string) to group
 * i % 8. n == 0 marks every string.
 */
void jscan_mark(struct jscan_marks *, unsigned i, const char *text, size_t n);

/*
 * Scan n blocks (1..JSCAN_BATCH) at p; JSCAN_AHEAD bytes behind them are read.
 * marks NULL: no quotes and backslashes among the places. newlines: with those.
 */
void jscan_run(enum jscan_level, const char *p, size_t n, const struct jscan_marks *marks,
	bool newlines, struct jscan_state *, struct jscan_found *out);

/* First byte in p..end that is a quote, a backslash or below 0x20; end when there is none. */
const char *jscan_special(const char *p, const char *end);

/*
 * Copy from *p to q up to the first such byte or the end; *p is set there, and
 * the end of the copy returned. Up to 15 bytes behind it may be overwritten.
 */
char *jscan_copy(char *q, const char **p, const char *end);

/* As utf8_valid (base/str), faster: offset of the first bad byte, or n. */
size_t jscan_utf8(const char *p, size_t n);

#endif
