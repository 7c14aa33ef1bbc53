/*
 * page - the page at /ui, and the figures that it shows.
 *
 * The page is a shell without data, the same for everybody: one file, no
 * request but to this server, and a content security policy that names its
 * script and style by their SHA-256.
 * Depends on: serve/gateway, fmt/hash.  Threads: HTTP threads.
 */
#ifndef LLMR_SERVE_PAGE_H
#define LLMR_SERVE_PAGE_H

#include "serve/gateway.h"

/* GET /ui */
void page_get(struct gateway *, struct gateway_worker *, struct exchange *);
/* GET /router/stats */
void page_stats(struct gateway *, struct gateway_worker *, struct exchange *);

#endif
