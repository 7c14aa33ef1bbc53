/*
 * prepare - the next generation: config, candidates and model, loaded and verified beside the one that serves.
 *
 * Depends on: serve/gateway, serve/source, serve/lastgood.  Threads: with gateway.reloading held.
 */
#ifndef LLMR_SERVE_PREPARE_H
#define LLMR_SERVE_PREPARE_H

#include "serve/gateway.h"
#include "serve/source.h"

struct prepared {
	struct generation *next;
	struct source_model kept;	/* the model and its signature when it came from where the config says */
};

/*
 * config: read the config's file anew, else the text that serves now is taken
 * with a new model. At the start (nothing serves yet) a model that cannot be
 * used is no failure, unless gateway_opts.test: the last known good one stands
 * in, else none (degraded); candidates that cannot be read are done without.
 * 0; -1 and err. Release with prepared_finish.
 */
int prepare(struct gateway *, bool config, struct prepared *out, struct err *e);
void prepared_finish(struct prepared *);	/* what was not taken out of it */

#endif
