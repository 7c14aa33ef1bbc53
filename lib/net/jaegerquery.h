/*
 * jaegerquery - one question to a Jaeger query API, and what came of it.
 *
 * GET BASE/api/traces?service=..&start=..&end=..&limit=..  (Jaeger 1.x and 2.x;
 * undocumented upstream, so the answer is judged by its bytes: errors are JSON
 * under text/plain, and a wrong path gives 200 with the user interface's HTML).
 * The answer is spooled whole first, then decoded trace by trace, so memory
 * does not grow with it and a cut answer can be asked for again.
 * Depends on: net/http, trace/decode, trace/otlpwrite, base/spool.
 * Threads: a query is shared and immutable, an answer belongs to one thread.
 */
#ifndef LLMR_NET_JAEGERQUERY_H
#define LLMR_NET_JAEGERQUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/spool.h"
#include "net/http.h"

struct jaegerquery {
	struct http *http;
	const char *url;		/* base of the query API: http://host:16686[/base] */
	const char *service;
	const char *operation;		/* NULL any */
	const char *const *tags;	/* "key=value" */
	size_t n_tags;
	size_t max_trace_bytes;		/* of one trace in the answer; 0: 256 MiB */
	uint64_t max_answer_bytes;	/* of one answer; 0: 4 GiB */
	struct cancel *cancel;
};

struct jaegertrace {
	uint8_t id[16];
	int64_t start_us;	/* earliest span */
	int64_t hit_us;		/* earliest span inside the window asked for; INT64_MIN none */
	uint64_t spans;
	uint64_t at;		/* its OTLP JSON line in the answer's lines */
	size_t n_bytes;
};

struct jaegeranswer {
	struct spool body, lines;
	struct buf line;		/* scratch */
	struct jaegertrace *traces;
	size_t n, cap;
	uint64_t found;			/* traces in the answer, readable or not: compared with limit */
	uint64_t guess;			/* the same by counting a key as the body comes in */
	char tail[16];			/* last bytes of the body so far, for that */
	size_t n_tail;
	uint64_t bad;			/* traces left out: too large or malformed */
	char bad_why[256];		/* of the first of them */
	bool partial;			/* "errors" stood beside the data */
	char partial_why[256];
	uint64_t bytes;			/* of the body */
};

enum jaegeroutcome {
	JAEGER_DONE,		/* the answer is filled */
	JAEGER_AGAIN,		/* may go better later; err says what happened */
	JAEGER_LOWER_LIMIT,	/* "search depth": this store takes no such limit */
	JAEGER_SPLIT,		/* more bytes than max_answer_bytes: ask for less time */
	JAEGER_FAILED		/* err says why */
};

void jaegeranswer_init(struct jaegeranswer *);
void jaegeranswer_reset(struct jaegeranswer *);		/* empty, the memory kept */
void jaegeranswer_finish(struct jaegeranswer *);

/* Append the URL that asks for the window start_us..end_us (both inclusive, µs since 1970). */
int jaegerquery_url(const struct jaegerquery *, int64_t start_us, int64_t end_us, uint64_t limit,
	struct buf *out, struct err *e);

/*
 * Ask once. *retry_after as in struct http_response. Anything but JAEGER_DONE
 * sets err. An answer with `limit` traces or more to a window wider than one
 * microsecond has times but no lines: nobody keeps it.
 */
enum jaegeroutcome jaegerquery_ask(const struct jaegerquery *, int64_t start_us, int64_t end_us,
	uint64_t limit, struct jaegeranswer *, double *retry_after, struct err *e);

/* 0 when every tag is "key=value" with a key. ERR_USAGE otherwise. */
int jaegerquery_check(const struct jaegerquery *, struct err *e);

#endif
