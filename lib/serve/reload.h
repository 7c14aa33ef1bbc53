/*
 * reload - one path by which config and model are replaced.
 *
 * Depends on: serve/gateway.  Threads: HTTP threads.
 */
#ifndef LLMR_SERVE_RELOAD_H
#define LLMR_SERVE_RELOAD_H

#include "serve/gateway.h"

/*
 * Load anew on the background thread, swap, then answer. POST /config/reload
 * (also /llmrouter/reload): {"status","message","synced_from_remote"}; POST
 * /router/reload {"strategy"}: {"status","reloaded","errors"}. 422 when what was
 * loaded is refused: the old one serves on.
 */
void reload_config(struct gateway *, struct gateway_worker *, struct exchange *);
void reload_router(struct gateway *, struct gateway_worker *, struct exchange *);
/* GET /router/info: what is in service. */
void reload_info(struct gateway *, struct gateway_worker *, struct exchange *);

#endif
