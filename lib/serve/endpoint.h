/*
 * endpoint - which path is whose.
 *
 * Depends on: serve/auth, serve/gateway.  Threads: constant.
 */
#ifndef LLMR_SERVE_ENDPOINT_H
#define LLMR_SERVE_ENDPOINT_H

#include "serve/auth.h"
#include "serve/gateway.h"

struct endpoint {
	const char *method;	/* "GET" answers HEAD too */
	const char *path;	/* whole; a trailing '/' takes all below */
	enum auth auth;
	void (*run)(struct gateway *, struct gateway_worker *, struct exchange *);
};
/* Ends with path NULL. */
extern const struct endpoint endpoints[];

/* Answer a request: find its endpoint, ask for the key, run it; 404 and 405 otherwise. */
void endpoint_dispatch(struct gateway *, struct exchange *);
/* Probes: answered whatever the load. */
bool endpoint_is_probe(const char *path);
/* The entry that a path is counted under; NULL: with all others, so that a client cannot make series. */
const char *endpoint_known(const char *path);

#endif
