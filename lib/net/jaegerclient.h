/*
 * jaegerclient - every trace of a time range, once, out of a Jaeger server, or one like it (net/tempoquery).
 *
 * The query API has no paging, and what its limit keeps is an arbitrary choice
 * that no field of the answer admits to. So a window of time that comes back
 * with as many traces as were asked for counts as full: it is thrown away and
 * cut into 2, then 4, then 8 smaller ones (at the quantiles of the times that
 * came back, so that bursts are found quickly), until all come back with fewer.
 * Neighbouring windows share one microsecond, as spans carry nanoseconds;
 * traces that come twice are told by their ids. A window of one microsecond
 * that is still full is asked for with growing limits; when the server allows
 * no larger one, what came is kept and the window counted as truncated.
 * Windows are fetched in parallel and delivered in order of time, the traces
 * of each by start and id: the same server content gives the same output.
 * Depends on: net/jaegerquery, net/retry, base/idset, base/pool.
 */
#ifndef LLMR_NET_JAEGERCLIENT_H
#define LLMR_NET_JAEGERCLIENT_H

#include <stdint.h>

#include "base/idset.h"
#include "base/log.h"
#include "net/jaegerquery.h"
#include "net/retry.h"

struct jaegerclient_stats {
	uint64_t traces, spans;		/* delivered */
	uint64_t duplicates;		/* came again and were dropped */
	uint64_t requests, retries;
	uint64_t windows;		/* finished */
	uint64_t full;			/* answers thrown away for being full */
	uint64_t truncated;		/* windows that could not be had whole */
	uint64_t partial;		/* answers with errors beside the data */
	uint64_t bad;			/* traces left out: too large or malformed */
	uint64_t bytes;			/* received, decoded */
	uint64_t limit;			/* in use at the end */
};

struct jaegerclient_opts {
	struct jaegerquery query;
	/*
	 * Who answers when it is no Jaeger: called from several threads, as
	 * jaegerquery_ask with ask_ctx in the place of the query (which then gives
	 * cancel alone). Windows are whole multiples of unit_us (0: 1); start_us and
	 * end_us must be.
	 */
	enum jaegeroutcome (*ask)(const void *ask_ctx, int64_t start_us, int64_t end_us, uint64_t limit,
		struct jaegeranswer *, double *retry_after, struct err *e);
	const void *ask_ctx;
	int64_t unit_us;
	int64_t start_us, end_us;	/* range; start < end */
	uint64_t limit;			/* traces of one request, at least 1 */
	unsigned concurrency;		/* requests in flight, at least 1 */
	struct retry_policy retry;
	uint64_t seed;			/* of the jitter */
	const struct log *log;		/* warnings, from any thread */
	struct idset *seen;		/* traces not to deliver; grows. NULL: a set of its own */
	/*
	 * One trace as an OTLP JSON line (newline included), borrowed. Calls come
	 * one at a time, from different threads. Nonzero ends the run with err.
	 */
	int (*on_trace)(void *ctx, const struct jaegertrace *, const char *line, struct err *e);
	/* All that begins before this time has been delivered. */
	int (*on_upto)(void *ctx, int64_t upto_us, struct err *e);
	void *ctx;
};

/*
 * Run to the end. 0 also when windows were truncated or partial: stats tells.
 * On -1 everything up to the last on_upto is delivered and stays good.
 */
int jaegerclient_run(const struct jaegerclient_opts *, struct jaegerclient_stats *, struct err *e);

#endif
