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
	bool fixed;			/* a static strategy decides, whatever the config's */
	enum strategy strategy;		/* then */
};

/* A version that decides a share of a router's requests, and all of them of a router (serve/arm). */
struct arm_stats;
struct arm {
	const char *version;
	const char *strategy;		/* what decisions of its model are called: "llmrouter-mf" */
	struct binding bind;
	unsigned weight;		/* of the lineup's total */
	struct arm_stats *stats;	/* outlives every generation */
};
struct lineup {
	const char *router;		/* what clients ask for, beside groups */
	bool is_default;		/* decides for "auto" and groups too */
	struct arm *arm;		/* [n] */
	size_t n;
	unsigned total;			/* of the weights */
	struct arm *shadow;		/* scores, decides nothing; NULL none */
};

struct generation {
	struct config *config;		/* owned */
	struct candidates *candidates;	/* owned; NULL: none */
	struct route_set *group;	/* [config->n_groups] */
	struct pick *all;		/* [config->n] every deployment */
	struct binding active;
	const char *degraded;		/* why it is not the model of the config that decides; NULL: it is */
	struct lineup *lineup;		/* [n_lineups] routers whose versions are switched */
	size_t n_lineups;
	/* The active model's, while switching has another in service and it waits in a file; version NULL: it does not. */
	struct { char sha256[65]; const char *origin, *version; bool is_signed; int64_t loaded_us; } parked;
	struct generation *base;	/* whose config and deployments these are; NULL: its own */
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
/*
 * The same config, deployments and active model as base (counted), with room
 * for n lineups: their arms are bound by the caller, before it is shared.
 */
struct generation *generation_derive(struct generation *base, size_t n, struct err *e);
/* Zeroed memory of the generation's own. */
void *generation_take(struct generation *, size_t n, size_t size, struct err *e);
/* The router of that name among the lineups; NULL none. */
const struct lineup *generation_lineup(const struct generation *, const char *name);
/* Aliases followed; NULL when there is no such group. */
const struct route_set *generation_group(const struct generation *, const char *name);

#endif
