/*
 * switching - the engine of switching within a gateway: what it says is loaded, bound and swapped in.
 *
 * Its state is in STATE_DIR/switching.db, the versions' private files in
 * STATE_DIR/versions. Off until model_switching.enabled (or the standing shares
 * of LLMROUTER_STRATEGY_WEIGHTS) asks for it.
 * Depends on: serve/gateway, serve/switch, serve/versions.  Threads: as said;
 * "locked" means that the caller holds the gateway's lock over reloads.
 */
#ifndef LLMR_SERVE_SWITCHING_H
#define LLMR_SERVE_SWITCHING_H

#include <stdbool.h>

#include "base/err.h"
#include "serve/gateway.h"
#include "serve/observe.h"
#include "serve/switch.h"
#include "serve/versions.h"

struct switching;

/*
 * A new generation with what is switched put into it, in place of n; n itself
 * where nothing is. NULL and err when a version cannot serve under the new
 * config (n stays the caller's then). Locked.
 */
struct generation *switching_dress(struct gateway *, struct generation *n, struct err *e);
/* Let time pass for it, once the gateway listens. */
void switching_run(struct gateway *);
void switching_stop(struct gateway *);		/* remembers where switches were */
/* NULL while it is off. Locked. */
struct switcher *switching_engine(struct gateway *);
struct versions *switching_versions(struct gateway *);
/* Files over the limits go. Locked. */
void switching_evict(struct gateway *);

/* A request is over: what became of it counts for the version that decided it. */
void switching_observe(struct gateway *, const struct event *);
/* What a client tells of an earlier request. ERR_NOINPUT: it is not known (any more). */
struct switching_feedback {
	struct slice request_id;
	int success;			/* 1, 0; -1 not said */
	double latency_seconds, score;	/* NAN not said */
};
int switching_feedback(struct gateway *, const struct switching_feedback *, struct err *e);
/* Gauges, for an exposition. */
void switching_metrics(struct gateway *, const struct generation *);
/* Let a shadow score what was decided, and count it. */
void switching_shadow(struct gateway *, struct worker *, const struct generation *, const struct want *,
	const struct decision *);

#endif
