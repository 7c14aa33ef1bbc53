/*
 * strategyname - the names of the routing strategies, LiteLLM's and llmrouter-KIND.
 *
 * Depends on: nothing.  Threads: pure.
 */
#ifndef LLMR_SERVE_STRATEGYNAME_H
#define LLMR_SERVE_STRATEGYNAME_H

#include <stdbool.h>

enum strategy {
	STRATEGY_SHUFFLE,	/* simple-shuffle, LiteLLM's default */
	STRATEGY_LEAST_BUSY, STRATEGY_LATENCY, STRATEGY_COST, STRATEGY_USAGE, STRATEGY_WEIGHTED,
	STRATEGY_ML		/* llmrouter-*: an artifact decides */
};
/* "simple-shuffle" ...; STRATEGY_ML has the names llmrouter-KIND. */
const char *strategy_name(enum strategy);
/* A strategy that needs no model, by its name; usage-based-routing is the newer one of that name. */
bool strategy_parse(const char *s, enum strategy *out);
/* "knn" of "llmrouter-knn" when it is a kind of router or "custom", NULL otherwise. */
const char *strategy_ml_kind(const char *s);

#endif
