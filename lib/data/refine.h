/*
 * refine - what every record passes before it is written, wherever it came from.
 *
 * In this order: the model's name (--alias, then --strip-provider), redaction of
 * query, response, ground truth, error, user and unknown members, digest of the
 * user's name, query_id of the text that is
 * left, performance: a label in the data first, then the labels file,
 * then the first score rule that can say something.
 * Depends on: data/labels, data/redact, data/score.  Threads: one struct refine a thread;
 * options and labels are shared.
 */
#ifndef LLMR_DATA_REFINE_H
#define LLMR_DATA_REFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/labels.h"
#include "data/record.h"
#include "data/score.h"

struct refine_opts {
	const char *const *alias;	/* [n_alias] "A=B": model A is called B */
	size_t n_alias;
	bool strip_provider;		/* drop what is before the first slash */
	const char *const *redact;	/* [n_redact] as redact_new takes them */
	size_t n_redact;
	bool hash_users;		/* first 16 hex digits of SHA-256 of salt and name */
	const char *user_salt;		/* NULL: none */
	struct labels *labels;		/* NULL: none; shared */
	const struct score_rule *rules;
	size_t n_rules;
};

struct refine_counts {
	uint64_t redactions, labels_in_data, labels_in_file, scored, unscored, bad_labels;
};

struct refine;

/* Check "A=B" forms and patterns. NULL and ERR_USAGE when one is wrong. Options are borrowed. */
struct refine *refine_new(const struct refine_opts *, struct err *e);
void refine_free(struct refine *);		/* NULL is fine */
/*
 * Refine one record in place. New texts live in the refine until refine_reset
 * (query_id too). *query_hash: record_query_hash of the final query.
 */
int refine_record(struct refine *, struct record *, uint64_t *query_hash, struct err *e);
/* Only performance, for a record whose label or signals came later. */
void refine_score(struct refine *, struct record *, uint64_t query_hash);
/* Forget the texts of the records so far. */
void refine_reset(struct refine *);
const struct refine_counts *refine_counts(const struct refine *);
/* Add b to a. */
void refine_counts_add(struct refine_counts *a, const struct refine_counts *b);

#endif
