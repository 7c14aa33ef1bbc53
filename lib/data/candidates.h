/*
 * candidates - the models that a router may choose from: price, abilities, prior.
 *
 * File: llmr-records(5), "Candidates"; LLMRouter's llm_data.json is read too.
 * Depends on: fmt/jread, base/map.  Threads: a loaded table is immutable.
 */
#ifndef LLMR_DATA_CANDIDATES_H
#define LLMR_DATA_CANDIDATES_H

#include <stddef.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

struct candidate {
	struct slice provider;			/* p NULL unknown */
	struct slice capabilities[16];
	size_t n_capabilities;
	double usd_per_1k_input, usd_per_1k_output;	/* NaN unknown */
	double quality_score;			/* 0..1, NaN unknown */
	double context_window;			/* tokens, NaN unknown */
};

struct candidates {
	struct map names;			/* in the order of the file */
	struct candidate *v;			/* [names.len] */
	struct arena arena;
};

/*
 * Load (at most 16 MiB). NULL and err: ERR_INPUT naming file and model when a
 * value is of the wrong type or out of range, or a model stands twice.
 */
struct candidates *candidates_load(const char *path, struct err *e);
struct candidates *candidates_parse(const char *json, size_t n, const char *name, struct err *e);
void candidates_free(struct candidates *);	/* NULL is fine */
/* By name; NULL when it is not among them. */
const struct candidate *candidates_find(const struct candidates *, struct slice model);

#endif
