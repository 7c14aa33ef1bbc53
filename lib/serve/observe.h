/*
 * observe - what is told of each request: metrics, logs, spans, the arms of a switch.
 *
 * One call at the end of a request, from whichever thread ends it; everything
 * that wants to know is fed from here.
 * Depends on: serve/gateway, serve/metrics, serve/accesslog, serve/telemetry.  Threads: safe.
 */
#ifndef LLMR_SERVE_OBSERVE_H
#define LLMR_SERVE_OBSERVE_H

#include "serve/gateway.h"
#include "serve/tracectx.h"

/* A request that was decided (or could not be). Borrowed for the call. */
struct event {
	const char *path;		/* "/v1/route" */
	const char *request_id;
	const char *group;		/* asked for; "" none */
	const struct generation *generation;
	const struct decision *d;	/* deployment NULL: nothing could be chosen */
	struct slice prompt;		/* never logged unless asked for */
	unsigned status;		/* of the answer */
	const char *error;		/* kind: "timeout", "connect", "upstream", "none_available"; NULL none */
	bool forwarded, stream;
	unsigned retries, hops;
	int64_t start_us;		/* wall clock */
	double total_seconds, decision_seconds;
	double upstream_seconds, ttft_seconds;	/* NAN: not forwarded, unknown */
	double prompt_tokens, completion_tokens;	/* 0 unknown */
	const char *user;		/* NULL unknown */
	struct tracectx trace;		/* zeroed: none */
};
void observe(struct gateway *, const struct event *);
/* Every HTTP answer, whatever its path. */
void observe_answer(struct gateway *, struct exchange *);
/* Bring the gauges up to date; called before they are shown or sent. */
void observe_refresh(struct gateway *, struct gateway_worker *);
/* GET /metrics */
void observe_metrics(struct gateway *, struct gateway_worker *, struct exchange *);

#endif
