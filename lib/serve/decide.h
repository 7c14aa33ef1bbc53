/*
 * decide - from a request to a deployment.
 *
 * With a static strategy the group that was asked for is the field. With a
 * model (llmrouter-*) the router scores its labels on the prompt, the policy
 * chooses among those that have a deployment in service within the group that
 * was asked for ("auto": any group), and a label's deployments share its load
 * by simple-shuffle. When no model can decide, the fallback strategy does, and
 * the decision says why.
 * Depends on: serve/generation, model/policy.  Threads: a worker belongs to one thread.
 */
#ifndef LLMR_SERVE_DECIDE_H
#define LLMR_SERVE_DECIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "model/router.h"
#include "serve/generation.h"

/* Names that ask for the router's choice among all groups. */
bool decide_is_auto(const char *group);

/* What is asked for. */
struct want {
	const char *group;		/* NULL or "auto": all */
	struct slice prompt;		/* what the router reads */
	double input_tokens;		/* estimated, 0 unknown */
	bool stream;
	double max_cost, max_latency;	/* USD and seconds; INFINITY none */
	double cost_weight, latency_weight;	/* NAN: the config's */
	const struct slice *require;	/* capabilities */
	size_t n_require;
	struct slice request_id;	/* seeds what is drawn */
	struct slice user, tenant;	/* p NULL unknown */
	const struct arm *arm;		/* the version that decides, in place of the binding; NULL none */
	const struct backend *const *tried;	/* deployments that failed in this request */
	size_t n_tried;
};

struct decision {
	const struct deployment *deployment;
	struct backend *backend;
	bool alone;			/* no other deployment in the field */
	const char *strategy;		/* "llmrouter-knn", "least-busy" */
	const char *fallback;		/* why the model did not decide: "no_model", "deadline"; NULL */
	const struct loaded *model;	/* that decided; NULL: none */
	const struct arm *arm;		/* of a switch; NULL none */
	size_t label, runner_up;	/* of the model; POLICY_NONE */
	const char *runner_up_name;	/* NULL none */
	double propensity;
	bool explored;
	bool outlier;			/* far from all training prompts */
	const float *score, *cost, *latency;	/* [labels] in the worker's scratch; NULL without a model */
	struct router_times times;	/* us */
	size_t field;			/* deployments that it chose among */
	enum none why;			/* there was none to choose, where decide failed with ERR_NO */
};

/* A server thread's own. */
struct worker {
	unsigned index;
	struct rng rng;
	struct pick pick[STRATEGY_MAX];
	bool *allowed;			/* [labels] */
	size_t cap_allowed;
};

/*
 * Choose. binding: the model that decides, unless w->arm does. 0; -1: ERR_NO when no deployment can take it
 * (the message says why), ERR_NOINPUT when there is no such group.
 */
int decide(struct worker *, const struct generation *, const struct binding *, const struct want *,
	struct decision *out, struct err *e);
/* Would a model, asked the same, come to that deployment's label? 1, 0, or -1 when it cannot decide. */
int decide_would(struct worker *, const struct generation *, const struct binding *, const struct want *,
	const struct deployment *);

#endif
