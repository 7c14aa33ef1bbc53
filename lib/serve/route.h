/*
 * route - the decision alone: POST /v1/route, and what it shares with forwarding.
 *
 * Depends on: serve/gateway.  Threads: HTTP threads.
 */
#ifndef LLMR_SERVE_ROUTE_H
#define LLMR_SERVE_ROUTE_H

#include "serve/gateway.h"

/*
 * What a body asks for, as decide wants it. worker's scratch holds what it
 * borrows. id: of the request, seeds what is drawn.
 */
void route_want(const struct body *, struct slice id, struct want *out);
/* POST /v1/route: {"model", "deployment", "scores", "runner_up", "propensity", "timings_us" ...}. */
void route_post(struct gateway *, struct gateway_worker *, struct exchange *);
/* GET /v1/models and /models: the groups and aliases, as OpenAI lists models. */
void route_models(struct gateway *, struct gateway_worker *, struct exchange *);

#endif
