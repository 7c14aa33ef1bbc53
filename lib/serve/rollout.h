/*
 * rollout - how traffic goes from one version to another: stages, and who may pass from one to the next.
 *
 * Every strategy is a list of shares for the new version, each held for a time.
 *   immediate  100 %, watched for watch_minutes (0: over at once)
 *   gradual    a share after the other by the clock
 *   canary     a share after the other, each only when error rate, P95 and
 *              minimum sample of the share before all hold
 *   ab_test    one share for the whole time, then back (or on: on_end promote)
 *   shadow     no traffic: the new version scores what the old one decides
 * While a version is watched (health checks), a bad error rate or P95 takes it
 * out at once: with the minimum sample at hand the figures count as they are,
 * with 5 or more the lower bound of the error rate's 95 % interval (Wilson 1927,
 * doi:10.1080/01621459.1927.10502953) does.
 * Depends on: fmt/jread, fmt/jsonw.  Threads: pure.
 */
#ifndef LLMR_SERVE_ROLLOUT_H
#define LLMR_SERVE_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "fmt/jsonw.h"

#define ROLLOUT_STAGES 100
#define ROLLOUT_WHY 200

enum rollout_kind { ROLLOUT_IMMEDIATE, ROLLOUT_GRADUAL, ROLLOUT_CANARY, ROLLOUT_AB, ROLLOUT_SHADOW };

struct rollout {
	enum rollout_kind kind;
	size_t n_stages;
	double percent[ROLLOUT_STAGES];	/* 0..100, of the new version */
	double stage_seconds;		/* of each; INFINITY: until it is stopped */
	bool gated;			/* passes on by its figures, not by the clock alone */
	bool watched;			/* bad figures take it out */
	bool promote;			/* the new version stays at the end */
	double max_error_rate;		/* 0..1 */
	double max_p95_seconds;		/* 0: none */
	uint64_t min_samples;
	/* As they were given, for people. */
	double initial, step;		/* of canary, percent */
};

/* What the config says when a request does not. */
struct rollout_defaults {
	bool watched;
	double max_error_rate, max_p95_seconds;
};

const char *rollout_name(enum rollout_kind);
/* "immediate", "gradual", "canary", "ab_test" (also "ab_testing"), "shadow"; capitals as well. */
bool rollout_parse(struct slice name, enum rollout_kind *);
/*
 * Parameters as a JSON object (n 0: none), by the names of the man page; an
 * unknown name, one of another strategy or a value out of bounds is ERR_USAGE.
 */
int rollout_read(struct rollout *, enum rollout_kind, const struct rollout_defaults *, struct slice json,
	struct err *e);
/* The object that rollout_read makes the same value of. */
void rollout_write(struct jsonw *, const struct rollout *);
/* Parts of traffic that the shares are counted in: 100, or 10000 when a share is no whole percent. */
unsigned rollout_total(const struct rollout *);

/* What is known of the new version since the stage began. */
struct rollout_sample {
	uint64_t n, errors;
	double p95_seconds;
};
enum rollout_verdict {
	ROLLOUT_STAY,
	ROLLOUT_NEXT,		/* the next stage */
	ROLLOUT_PROMOTE,	/* over: the new version stays */
	ROLLOUT_RETURN,		/* over: the old one is back, as was planned */
	ROLLOUT_BACK		/* bad figures: the old one is back */
};
/* why is told with everything but ROLLOUT_STAY. */
enum rollout_verdict rollout_judge(const struct rollout *, size_t stage, double elapsed_seconds,
	const struct rollout_sample *, char why[ROLLOUT_WHY]);
/* The 95 % interval of a rate of k in n; 0 and 1 when n is 0. */
void rollout_interval(uint64_t k, uint64_t n, double *lo, double *hi);

#endif
