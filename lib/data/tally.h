/*
 * tally - what a stream of records amounts to: distinct queries, models, labels, ties.
 *
 * Memory: at most 32 bytes a distinct query (16 of facts in blocks, 4 at a load of
 * 0.4 to 0.8 in the index); with tally_seen in use 8 bytes at the same load a
 * distinct key. Models and their names are few.
 * Depends on: base/map.  Threads: one thread at a time.
 */
#ifndef LLMR_DATA_TALLY_H
#define LLMR_DATA_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct tally;

struct tally_totals {
	uint64_t records, queries, models;
	uint64_t labelled;	/* records with a performance */
	uint64_t comparable;	/* queries for which at least two models have one */
	uint64_t tied;		/* of these: two models or more share the best */
};

struct tally *tally_new(struct err *e);
void tally_free(struct tally *);	/* NULL is fine */
/*
 * One record: the query's hash, its model, its performance (NaN none). *index,
 * when wanted: number of the query in order of first appearance.
 */
int tally_add(struct tally *, uint64_t query, struct slice model, double performance,
	uint32_t *index, struct err *e);
/* 1 when this key came before, 0 when it is new (and is kept), -1 err. */
int tally_seen(struct tally *, uint64_t key, struct err *e);
/* Hash of the query with that index. */
uint64_t tally_query(const struct tally *, uint32_t index);
struct tally_totals tally_totals(const struct tally *);
/* Models by index, in order of first appearance, with the number of their records. */
size_t tally_models(const struct tally *);
struct slice tally_model(const struct tally *, size_t i, uint64_t *records);

#endif
