/*
 * generation - config, candidates and model as one value, swapped as one.
 *
 * Binds the model's labels to deployments: by litellm_params.model, then
 * model_name, then what follows the first '/'. A label that fits several
 * groups by one rule is an error (ambiguous); one without a deployment is
 * unavailable and named once. What model_list does not tell of a deployment
 * (prices, context window) is taken from the candidates.
 * Depends on: serve/config, serve/loaded, serve/backend, serve/strategy, data/candidates.
 * Threads: immutable once built.
 */
#ifndef LLMR_SERVE_GENERATION_H
#define LLMR_SERVE_GENERATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "data/candidates.h"
#include "serve/backend.h"
#include "serve/config.h"
#include "serve/loaded.h"
#include "serve/strategy.h"

/* Deployments that may answer for one another. */
struct route_set {
	const char *name;
	struct pick *pick;
	size_t n;
};

/* A model's labels against the deployments. */
struct binding {
	struct loaded *model;		/* counted; NULL: none in service */
	struct route_set *label;	/* [models]; n 0: unavailable */
	float *prior;			/* [models] quality_score of the candidates, NaN unknown; NULL: no candidates */
};

struct generation {
	struct config *config;		/* owned */
	struct candidates *candidates;	/* owned; NULL: none */
	struct route_set *group;	/* [config->n_groups] */
	struct pick *all;		/* [config->n] every deployment */
	struct binding active;
	const char *degraded;		/* why it is not the model of the config that decides; NULL: it is */
	atomic_uint refs;
	struct arena arena;
};

/*
 * Owns config and candidates on success. model may be NULL (counted when
 * not). ERR_CONFIG for an ambiguous label, ERR_INPUT when no label has a deployment;
 * config and candidates stay the caller's then.
 */
struct generation *generation_new(struct config *, struct candidates *, struct loaded *model, struct backends *,
	const struct log *, struct err *e);
struct generation *generation_ref(const struct generation *);	/* hold it beyond gateway_leave */
void generation_unref(struct generation *);	/* NULL is fine; the last one frees */
/* Bind another model against the same deployments, as switching needs. Owned by the generation's arena. */
int generation_bind(struct generation *, struct loaded *, const struct log *, struct binding *out, struct err *e);
/* Aliases followed; NULL when there is no such group. */
const struct route_set *generation_group(const struct generation *, const char *name);

#endif
