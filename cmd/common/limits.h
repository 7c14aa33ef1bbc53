/* limits - the options by which a choice is made, as a policy: limits, weights, candidates, chance, mode. */
#ifndef LLMR_CMD_LIMITS_H
#define LLMR_CMD_LIMITS_H

#include <stdbool.h>

#include "model/policy.h"
#include "model/router.h"

struct ctx;

struct limits {
	struct policy policy;
	struct mode_params mode;	/* as trained, with what the options change */
	double expected_share;		/* of strong calls on the training data; NaN no pair */
	bool *allowed;			/* [m] by --candidates and --require; NULL all */
	float *prior;			/* [m] their quality_score; NULL none */
};

/*
 * For a command with the options LIMIT_OPTS, MODE_OPTS and seed of table.c.
 * named: --weak and --strong alone ask for a choice between these two; else
 * they name the pair only where the mode is asked for. 0, or -1 and ctx->err;
 * limits_finish releases it in both cases.
 */
int limits_read(struct ctx *, const struct router *, bool named, struct limits *);
void limits_finish(struct limits *);

#endif
