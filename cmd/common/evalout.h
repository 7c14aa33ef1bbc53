/* evalout - an evaluation as JSON and as a table for people. */
#ifndef LLMR_CMD_EVALOUT_H
#define LLMR_CMD_EVALOUT_H

#include <stddef.h>

#include "base/buf.h"
#include "fmt/jsonw.h"
#include "model/evaluation.h"
#include "model/gate.h"
#include "model/mode.h"

struct ctx;

/* An evaluation and the names around it; all borrowed. */
struct evalout {
	const struct evaluation *v;
	const char *const *model;	/* [m] names */
	size_t m, candidates;		/* models of the router; of them with scores in the data */
	size_t queries, leaks;
	const size_t *choice;		/* [queries] */
	size_t best_single, cheapest;	/* cheapest may be POLICY_NONE */
	size_t weak, strong;		/* POLICY_NONE: no pair */
	const char *against;		/* path of the other artifact, NULL when none */
	const struct mode_params *mode;	/* asked for, and what it came to */
	const struct policy_mode *chosen_by;
	double expected_share;		/* of strong calls on the training data; NaN no pair */
};

/* {"value":, "ci95":[lo, hi] or null} */
void evalout_ci(struct jsonw *, const char *key, const struct bootstrap_ci *);
/* "name  x.xxxx [lo, hi]" to standard output, nothing when undefined; in per cent, with its sign. */
void evalout_print(const char *name, const struct bootstrap_ci *, bool percent, bool sign);
/*
 * Is the gate (NULL: always) met by that object? 0, with ERR_NO set where not;
 * -1 and ERR_USAGE for a name that it does not hold.
 */
int evalout_gate(struct ctx *, const struct gate *, const struct buf *json, bool *met);
/* One object. */
void evalout_json(const struct evalout *, struct buf *);
/* How the router chooses, a line for people in the buffer; NULL: by the highest prediction. */
const char *evalout_mode(const struct evalout *, struct buf *);
/* To standard output. */
void evalout_people(const struct evalout *);

#endif
