/*
 * dataset - queries x models with missing cells.
 *
 * Built from routing records or by an importer; queries are distinct by
 * query_id, in order of first appearance; repeated cells are averaged.
 * Depends on: data/record, base/map.  Threads: immutable after dataset_finish_build.
 */
#ifndef LLMR_DATA_DATASET_H
#define LLMR_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/record.h"

struct dataset {
	size_t n;			/* distinct queries */
	size_t m;			/* models */
	struct slice *query;		/* [n] text, owned by the arena */
	char (*query_id)[17];		/* [n] */
	uint32_t *task;			/* [n] index into tasks */
	float *score;			/* [n x m] row-major, 0..1, NaN = missing */
	float *cost;			/* [n x m] USD, NaN = unknown */
	float *latency;			/* [n x m] seconds, NaN = unknown */
	float *weight;			/* [n] sample weight, 1 by default */
	struct map models, tasks;	/* names by index; models sorted by name */
	uint64_t records, cells, null_records, duplicate_cells;
	uint8_t digest[32];		/* SHA-256 over queries, models, cells in canonical order */
	struct arena arena;
};

/*
 * Read routing records (JSON Lines, .gz/.zst, "-") into a new dataset. A bad
 * line is ERR_INPUT naming file and line. Records without a usable
 * performance are counted in null_records; when none has any: ERR_INPUT with a clear word.
 */
struct dataset *dataset_load(const char *const *paths, size_t n_paths, struct err *e);
void dataset_free(struct dataset *);

/* Builder, used by dataset_load and the importers. */
struct dataset *dataset_new(struct err *e);
int dataset_add(struct dataset *, const struct record *, struct err *e);
/* Sort models, average repeated cells, make the matrices. */
int dataset_finish_build(struct dataset *, struct err *e);
/* A new dataset of the given rows, all models kept. */
struct dataset *dataset_subset(const struct dataset *, const size_t *rows, size_t n, struct err *e);

#endif
