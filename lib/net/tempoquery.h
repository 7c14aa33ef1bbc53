/*
 * tempoquery - one question to a Grafana Tempo, and what came of it.
 *
 * GET BASE/api/search?q=TRACEQL&start=&end=&limit=  (unix seconds), then each
 * trace by GET BASE/api/v2/traces/ID, or BASE/api/traces/ID of servers before
 * 2.7. As in Jaeger, which traces a limit keeps is arbitrary and search has no
 * pages: net/jaegerclient cuts the time range. A search whose jobs did not all
 * run, and a trace that the server calls PARTIAL or cannot find again, make
 * the answer partial. Ids come as base64 or as hex.
 * Source: "Tempo HTTP API" and "TraceQL" (Grafana Tempo documentation, 2.x).
 * Depends on: net/jaegerquery (its answer), net/http, trace/decode.
 * Threads: a question is shared, an answer belongs to one thread.
 */
#ifndef LLMR_NET_TEMPOQUERY_H
#define LLMR_NET_TEMPOQUERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"
#include "net/jaegerquery.h"

struct tempoquery {
	struct http *http;
	const char *url;		/* base: http://host:3200[/tempo] */
	const char *service;
	const char *operation;		/* NULL any */
	const char *const *tags;	/* "key=value" */
	size_t n_tags;
	const char *query;		/* TraceQL in the place of the three; NULL none */
	const char *tenant;		/* X-Scope-OrgID, NULL none */
	size_t max_trace_bytes;		/* of one trace; 0: 256 MiB */
	struct cancel *cancel;
};

/* 0 when the parts are well formed. ERR_USAGE otherwise. */
int tempoquery_check(const struct tempoquery *, struct err *e);
/* Append the TraceQL that the parts come to. */
void tempoquery_traceql(const struct tempoquery *, struct buf *out);
/*
 * Ask once; ctx is a struct tempoquery. The window is in µs, whole seconds. As
 * jaegerquery_ask: an answer of `limit` traces or more to a window wider than
 * one second has times but no lines.
 */
enum jaegeroutcome tempoquery_ask(const void *ctx, int64_t start_us, int64_t end_us, uint64_t limit,
	struct jaegeranswer *a, double *retry_after, struct err *e);

/* What a search answered. Exported for the tests. */
struct tempohit {
	uint8_t id[16];
	int64_t start_us, end_us;
};
struct temposearch {
	struct tempohit *v;
	size_t n, cap;
	uint64_t found;			/* traces named, also those with a bad id */
	int64_t jobs, jobs_done;	/* -1 not said */
};
int temposearch_parse(const char *p, size_t n, struct temposearch *, struct err *e);
void temposearch_finish(struct temposearch *);

#endif
