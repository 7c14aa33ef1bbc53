/*
 * arm - a version that decides a share of a router's requests, what is counted of it, and who gets it.
 *
 * Sticky: the bucket is the big-endian number of the first 8 bytes of
 * SHA-256(key), modulo the sum of the weights; the arms take it in their order,
 * each as many buckets as its weight. The key is the first of
 * tenant:T:user:U:model:M, user:U:model:M, request:R:model:M whose parts the
 * request has; M is the model that was asked for. So a user stays with a
 * version for as long as the weights do, and moves at most once while one grows.
 * Depends on: serve/decide, math/hist, fmt/hash.  Threads: safe.
 */
#ifndef LLMR_SERVE_ARM_H
#define LLMR_SERVE_ARM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "math/hist.h"
#include "serve/decide.h"
#include "serve/generation.h"

/* Outcomes of a stretch of time. */
struct arm_count {
	uint64_t n, errors;
	struct hist latency;		/* us */
	uint64_t scored;		/* feedback that carries a score */
	double score_sum, score_squares;
};
struct arm_stats {
	char router[65], version[65];
	atomic_uint in_flight;
	/* Since the switch began: decisions; those of the other that it scored as a shadow, and would have made. */
	atomic_uint_fast64_t decided, shadowed, agreed;
	pthread_mutex_t lock;			/* over all below */
	struct arm_count stage, run;		/* since the stage, since the switch began */
	uint64_t n, errors;			/* since this process began */
	bool rate_alert, latency_alert;		/* told already; the switcher's */
};
struct arm_stats *arm_stats_new(const char *router, const char *version, struct err *e);
void arm_stats_free(struct arm_stats *);	/* NULL is fine */
/* Begin to count anew: the stage alone, or the run too. */
void arm_reset(struct arm_stats *, bool run);
/* What an outcome is: seconds NAN unknown, score NAN none. */
struct arm_outcome {
	bool counts;			/* it is a sample: not what the client asked wrongly, nor what is unknown */
	bool failed;
	bool correction;		/* failed, though it was counted as well before */
	double seconds, score;
};
void arm_count(struct arm_stats *, const struct arm_outcome *);

/* The bucket of a key below total (> 0). */
uint64_t arm_bucket(const char *key, size_t n, uint64_t total);
/* The key of a request, cut at cap bytes; its length. */
size_t arm_key(const struct want *, char *out, size_t cap);
/* The router that a group's requests belong to; NULL when nothing is switched. */
const struct lineup *arm_lineup(const struct generation *, const char *group);
/* Choose w->arm among the lineup (NULL: none). Counts as in flight until arm_end. */
void arm_choose(const struct lineup *, struct want *w);
void arm_end(const struct arm *);		/* NULL is fine */
/* Let the lineup's shadow, if any, score what was decided. 1 it agrees, 0 not, -1 there is none. */
int arm_shadow(struct worker *, const struct generation *, const struct lineup *, const struct want *,
	const struct decision *);

#endif
