/*
 * dataset - queries x models with missing cells.
 *
 * Built from routing records or by an importer. Queries are distinct by
 * query_id. The outcome is a function of the set of records, whatever their
 * order or the files they came in, so that shards may arrive in any order and
 * the same data give the same router: rows are sorted by query_id, models and
 * tasks by name; repeated cells are sorted, then averaged; of texts with the
 * same id the shortest is kept, then the first by bytes; of several task names
 * the first by bytes.
 * Depends on: data/record, data/importers, fmt/stream, base/map.  Threads: immutable after
 * dataset_finish_build.
 */
#ifndef LLMR_DATA_DATASET_H
#define LLMR_DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/importers.h"
#include "data/record.h"

#define DATASET_MAX_MODELS 1024
#define DATASET_MAX_LINE ((size_t)64 * 1024 * 1024)

struct dataset_build;

struct dataset {
	size_t n;			/* distinct queries */
	size_t m;			/* models */
	struct slice *query;		/* [n] text, owned by the arena */
	char (*query_id)[17];		/* [n], ascending */
	uint32_t *task;			/* [n] index into tasks */
	float *score;			/* [n x m] row-major, 0..1, NaN = missing */
	float *cost;			/* [n x m] USD, NaN = unknown */
	float *latency;			/* [n x m] seconds, NaN = unknown */
	float *weight;			/* [n] what a query counts for in training, > 0; NULL = all 1 */
	struct map models, tasks;	/* names by index, ascending; task "" = none given */
	uint64_t records;		/* with a score, duplicates counted */
	uint64_t cells;			/* of the matrix that are known */
	uint64_t null_records;		/* without a usable performance, left out */
	uint64_t duplicate_cells;	/* records - cells */
	uint64_t conflicts;		/* cells whose repeated records have different scores */
	uint64_t bad_costs;		/* records whose cost is negative or infinite: taken as unknown */
	uint8_t digest[32];		/* SHA-256 over models, queries, tasks and cells in the order above */
	struct arena arena;
	struct dataset_build *build;	/* NULL once finished */
};

/*
 * Read routing records (JSON Lines, .gz/.zst, "-") into a new dataset. A bad
 * line is ERR_INPUT naming file and line. Records without a usable performance
 * are counted in null_records; when none has any: ERR_INPUT with a clear word.
 */
struct dataset *dataset_load(const char *const *paths, size_t n_paths, struct err *e);
/* The same for files of a known data set (data/importers.h). */
struct dataset *dataset_import(enum import_kind kind, const char *const *paths, size_t n_paths,
	struct cancel *, struct err *e);
void dataset_free(struct dataset *);		/* NULL is fine */

/* Builder, used by dataset_load and the importers. */
struct dataset *dataset_new(struct err *e);
/*
 * Copies what it keeps. A record without query or model, or a performance
 * outside 0..1, is ERR_INPUT.
 */
int dataset_add(struct dataset *, const struct record *, struct err *e);
/* Sort, average repeated cells, make the matrices, digest. No cell at all: ERR_INPUT. */
int dataset_finish_build(struct dataset *, struct err *e);

/*
 * A new dataset of the given rows (ascending), all models kept. Texts are
 * borrowed: the parent must outlive it. The digest is that of the subset.
 */
struct dataset *dataset_subset(const struct dataset *, const size_t *rows, size_t n,
	struct err *e);
/*
 * What queries count for. DATASET_WEIGHTS_RECORD keeps what the records say (a
 * query's weight is the mean of its records', 1 where one says nothing);
 * UNIFORM makes all 1; TASK makes the tasks count the same in all, and queries
 * the same within a task (the mean weight is 1; no task is a task, too). The digest stays.
 */
enum dataset_weights { DATASET_WEIGHTS_RECORD, DATASET_WEIGHTS_UNIFORM, DATASET_WEIGHTS_TASK };
int dataset_weigh(struct dataset *, enum dataset_weights, struct err *e);
/* Is every model's cell of that row known? */
bool dataset_row_full(const struct dataset *, size_t row);

#endif
