/*
 * health - is it alive, may it be sent traffic?
 *
 * Depends on: serve/gateway.  Threads: HTTP threads.
 */
#ifndef LLMR_SERVE_HEALTH_H
#define LLMR_SERVE_HEALTH_H

#include "serve/gateway.h"

/* GET /_health/live */
void health_live(struct gateway *, struct gateway_worker *, struct exchange *);
/* GET /_health/ready: 503 while draining or without a usable config; degraded where a fallback decides. */
void health_ready(struct gateway *, struct gateway_worker *, struct exchange *);
/* GET /health/liveliness, /health/liveness and /health/readiness, as LiteLLM answers them. */
void health_liveliness(struct gateway *, struct gateway_worker *, struct exchange *);
void health_readiness(struct gateway *, struct gateway_worker *, struct exchange *);

#endif
