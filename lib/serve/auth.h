/*
 * auth - who may ask what.
 *
 * Keys are compared in constant time, as digests, so that neither content nor
 * length shows.
 * Depends on: serve/httpd, serve/config, fmt/hash.  Threads: pure.
 */
#ifndef LLMR_SERVE_AUTH_H
#define LLMR_SERVE_AUTH_H

#include <stdbool.h>

#include "serve/config.h"
#include "serve/httpd.h"

enum auth {
	AUTH_OPEN,	/* anybody: probes */
	AUTH_METRICS,	/* anybody, unless metrics_auth */
	AUTH_USER,	/* the master key, when there is one */
	AUTH_ADMIN	/* the master key; without one configured nobody */
};

/*
 * True when the request may go on. Otherwise it has been answered: 401 without
 * a key or with a wrong one, 403 where no key is configured and one is needed.
 */
bool auth_check(struct exchange *, enum auth, const struct config *, bool no_auth);

#endif
