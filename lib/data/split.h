/*
 * split - which fold a query belongs to.
 *
 * By a hash of the query's id and the seed: a query never falls on both sides
 * of a split, and stays where it was when data is appended.
 * Depends on: base/map (hash).  Threads: pure.
 */
#ifndef LLMR_DATA_SPLIT_H
#define LLMR_DATA_SPLIT_H

#include <stddef.h>
#include <stdint.h>

/* 0..folds-1 for a query id of 16 hex digits; folds > 0. The same on every machine. */
size_t split_fold(const char *query_id, uint64_t seed, size_t folds);

#endif
