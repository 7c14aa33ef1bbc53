/*
 * router - an embedder, a scorer and a policy put together: text in, model out.
 *
 * Depends on: embed, model/scorer, model/policy.  Threads: a router is immutable
 * and shared; each thread brings a scratch, so that a decision allocates
 * nothing.
 */
#ifndef LLMR_MODEL_ROUTER_H
#define LLMR_MODEL_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "embed/embed.h"
#include "embed/encoder.h"
#include "fmt/safetensors.h"
#include "model/expect.h"
#include "model/knn.h"
#include "model/mode.h"
#include "model/policy.h"

struct router {
	struct tensorfile *file;	/* what everything below borrows from; NULL when just fitted */
	struct embedder *embed;
	struct encoder *encoder;	/* what embed borrows, when the router is to free it; else NULL */
	const struct scorer_kind *kind;
	void *scorer;			/* a fitted model of that kind */
	size_t d;			/* dimensions of a vector */
	struct map models;		/* names by index, ascending */
	/*
	 * [m] which of the scorer's models each is; MODE_NO_COLUMN: none, its score is
	 * always score_mean (its quality_score), since it has no data. NULL: the same.
	 */
	size_t *column;
	size_t scored;			/* models that the scorer knows */
	struct expect *expect;		/* cost and response time; NULL: the scorer's cost, the means */
	struct mode_params mode_params;	/* as trained */
	struct mode_table table;	/* n 0: none */
	float *table_owned;
	struct policy_mode mode;	/* what mode_params come to */
	float *score_mean;		/* [m] mean observed score in training; else quality_score, 0.5 */
	float *cost_mean;		/* [m] mean known cost in training, USD; -1 = unknown */
	float *latency_mean;		/* [m] mean known response time in training, s; -1 = unknown; NULL when none is */
	size_t best_single;		/* chosen on the training rows */
	size_t cheapest;		/* POLICY_NONE when no cost was known */
	uint64_t seed;			/* of the training run */
	size_t n_queries;		/* training queries */
	const uint8_t *query_digest;	/* [n_queries x 8] first bytes of SHA-256, ascending */
	const uint8_t *text;		/* stored texts end to end, NULL unless kept */
	const uint64_t *text_offset;	/* [n_queries + 1] */
};

/* Release all of it, the file too; NULL is fine. */
void router_free(struct router *);

/* Microseconds of the last decision. */
struct router_times {
	double tokenize, embed, score, policy, total;
};

struct router_scratch {
	struct embed_scratch *embed;
	const struct scorer_kind *kind;
	void *scorer;			/* scratch of the kind */
	float *vector;			/* [d] of the last text */
	float *score, *cost, *latency;	/* [m] predictions for it; USD, seconds; NaN = unknown */
	struct expect_scratch *expect;
	float *raw;			/* [3 x scored] of the scorer's models, where they are fewer */
	struct router_times times;
};
struct router_scratch *router_scratch_new(const struct router *, struct err *e);
void router_scratch_free(struct router_scratch *);

/* The scorer when its kind is knn, or the knn within a hybrid, else NULL; and its scratch, for its neighbours. */
const struct knn *router_knn(const struct router *);
const struct knn_scratch *router_knn_scratch(const struct router *, const struct router_scratch *);
/* Does it know any cost? */
bool router_knows_cost(const struct router *);
/* Any latency? */
bool router_knows_latency(const struct router *);

/* A policy that chooses as the router was trained to: no limits, its mode. */
struct policy router_policy(const struct router *);
/*
 * Take models without any data in: score is their quality_score, cost and
 * response time are unknown. names ascending, none of them the router's.
 */
int router_widen(struct router *, const char *const *names, const float *score, size_t n,
	struct err *e);

/* Decide for one text (any bytes). Scores, costs and latencies are left in the scratch. */
void router_route(const struct router *, const struct policy *, struct slice text,
	struct router_scratch *, struct policy_choice *);

/*
 * Choices for n texts in parallel: choice [n]; score [n x m] predictions, may
 * be NULL. The same for any number of threads.
 */
int router_batch(const struct router *, const struct policy *, const struct slice *text, size_t n,
	size_t *choice, float *score, struct pool *, struct err *e);

/* Training query i as 16 hex digits; the stored text, SLICE_NONE when not kept. */
void router_query_id(const struct router *, size_t i, char out[17]);
struct slice router_query_text(const struct router *, size_t i);
/* Was this query (16 hex digits) trained on? */
bool router_knows(const struct router *, const char *query_id);

#endif
