/*
 * strategy - which deployment of a group answers, by LiteLLM's rules.
 *
 * Before the strategy: those in cooldown, those whose context window is too
 * small (enable_pre_call_checks) and those that were tried already are left
 * out, then all but the lowest `order` present. Ties, weights and limits are
 * LiteLLM's; its off-by-one of rpm (a limit of N admits N - 1) is not copied.
 * Depends on: serve/backend, serve/config.  Threads: safe; an rng belongs to one thread.
 */
#ifndef LLMR_SERVE_STRATEGY_H
#define LLMR_SERVE_STRATEGY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "serve/backend.h"
#include "serve/config.h"

#define STRATEGY_MAX 256	/* deployments of one group */
#define STRATEGY_NONE ((size_t)-1)

/* One that may be chosen. */
struct pick {
	const struct deployment *d;
	struct backend *b;
	bool tried;		/* in this request, and failed */
};

struct ask {
	const struct router_settings *settings;
	enum strategy strategy;
	bool stream;
	double input_tokens;	/* estimated */
	struct rng *rng;
};

/* Why there is none. */
enum none { NONE_EMPTY, NONE_COOLING, NONE_CONTEXT, NONE_LIMIT };

/*
 * Index into pick [n], n <= STRATEGY_MAX; STRATEGY_NONE with *why. propensity
 * (NULL: not wanted): the probability with which this one was chosen, given
 * what was known at that moment; 1 where nothing was drawn.
 */
size_t strategy_choose(const struct ask *, const struct pick *, size_t n, enum none *why, double *propensity);

#endif
