/*
 * mode - how predicted scores become a choice: the best of all, one of a pair, or a draw.
 *
 * What is needed to tell is a table: for a sample of the training rows the
 * scores that were predicted without them, and the true ones. From it come
 *   - for a weak and a strong model, P(weak does) = 1 / (1 + exp(-(slope lead +
 *     offset))) with lead = predicted weak - predicted strong, fitted to the
 *     labels of the mode;
 *   - the bound on it that sends a given share of calls to the strong model;
 *   - without a pair, the temperature at which a softmax of the predictions is
 *     nearest to the labels (Guo et al. 2017, arXiv:1706.04599).
 * Labels (Ding et al. 2024, Hybrid LLM, arXiv:2404.14618, as LLMRouter has
 * them), gap = true weak - true strong:
 *   deterministic  1 where gap >= 0            weak where P >= threshold
 *   probabilistic  1 / (1 + exp(-gap / tau))   weak with probability P, its odds
 *                                              divided by those of the threshold
 *   transformed    1 where gap >= -t, t such that the labels are as even as can be
 * A pair that is named, and nothing else asked for: the higher prediction.
 * Depends on: model/policy, base.  Threads: pure functions over plain data.
 */
#ifndef LLMR_MODEL_MODE_H
#define LLMR_MODEL_MODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "model/policy.h"

#define MODE_ROWS ((size_t)2048)	/* of a table; a share is then within about 1 % */
#define MODE_FEWEST ((size_t)20)	/* rows with both scores that a fit needs */
#define MODE_NAME 512

enum mode_kind { MODE_DETERMINISTIC, MODE_PROBABILISTIC, MODE_TRANSFORMED };

/* What was asked for; zeroed but for tau and threshold (mode_params_init): nothing. */
#define MODE_HPARAMS "router_mode, router_tau, router_threshold, weak, strong, strong_share, calibrate"
struct mode_params {
	enum mode_kind kind;
	bool kind_given, threshold_given;
	bool calibrate;			/* a table is wanted, so that a mode may be asked for later */
	double tau, threshold;		/* > 0; 0..1 */
	double share;			/* of strong calls, 0..1; NaN not asked for */
	char weak[MODE_NAME], strong[MODE_NAME];	/* "" not named */
};
void mode_params_init(struct mode_params *);
/*
 * router_mode, router_tau, router_threshold, weak, strong, strong_share, calibrate. 0; 1
 * when the name is none of these; -1 and ERR_USAGE for a bad value.
 */
int mode_params_set(void *params, const char *name, const char *value, struct err *e);
const char *mode_kind_name(enum mode_kind);
/* What was asked for as members of an open JSON object; and back (other names are skipped). */
void mode_params_write(const struct mode_params *, struct jsonw *);
int mode_params_read(struct mode_params *, struct slice json, struct err *e);
/* Names of MODE_NAME bytes or more cannot be asked for: nothing is changed. */
void mode_name_pair(struct mode_params *, const char *weak, const char *strong);
/* Is anything but the best of all asked for? */
bool mode_asked(const struct mode_params *);
/* What `over' asks for counts more than what `under' does. */
struct mode_params mode_params_over(const struct mode_params *under, const struct mode_params *over);

/* Can it be had with these models, whatever the table? As mode_resolve. */
int mode_check(const struct mode_params *, const struct map *models, struct err *e);

/* Predictions without the row, and true scores, -1 missing; borrowed. */
struct mode_table {
	size_t n, m;
	const float *predicted, *score;	/* [n x m] */
};

/*
 * models: names, and for each its column of the table (column NULL: the same
 * number; MODE_NO_COLUMN: none). mean [models->len]: of two models the higher is
 * the strong one. On success *out is what policy.mode takes. ERR_USAGE where
 * what is asked for needs what is not there.
 */
#define MODE_NO_COLUMN ((size_t)-1)
int mode_resolve(const struct mode_params *, const struct mode_table *, const struct map *models,
	const size_t *column, const float *mean, struct policy_mode *out, struct err *e);

/* Over the table: the share of strong calls to be expected, and P(weak) for a lead. */
double mode_share(const struct policy_mode *, const struct mode_table *, const size_t *column);

#endif
