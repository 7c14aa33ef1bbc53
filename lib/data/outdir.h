/*
 * outdir - the folder that LLMRouter's trainer and the gateway's scripts read.
 *
 *   routing_train.jsonl, routing_test.jsonl	records with embedding_id, the number of the
 *						distinct query in order of first appearance
 *   llm_data.json				{model: {"name", "provider"}}
 *   conversion_metadata.json			counts, seed and share of the split
 * The side of a query follows from its hash and the seed alone: it stays where
 * it was when data is appended, whatever the order. Files appear by rename at
 * commit, the metadata last.
 * Depends on: base/io, data/tally.  Threads: one thread at a time.
 */
#ifndef LLMR_DATA_OUTDIR_H
#define LLMR_DATA_OUTDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/tally.h"

struct outdir;

/* Make the folder and open its files. test_share in 0..1. */
struct outdir *outdir_open(const char *path, double test_share, uint64_t seed, struct err *e);
/* Is that query on the test side? */
bool outdir_is_test(uint64_t query_hash, double test_share, uint64_t seed);
/* One line of record_format without an embedding_id; the query's hash and number. */
int outdir_add(struct outdir *, struct slice line, uint64_t query_hash, uint32_t query_index,
	bool with_decision, struct err *e);
/* Write the two JSON files from the tally and make all four visible. */
int outdir_commit(struct outdir *, const struct tally *, struct err *e);
/* Throw away what was not committed, and release. NULL is fine. */
void outdir_free(struct outdir *);

#endif
