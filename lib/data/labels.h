/*
 * labels - performance labels from a file, joined by trace or by query.
 *
 * JSON Lines or CSV (told apart by the first byte; a CSV has a header row), plain
 * or compressed; llmr-records(5) gives the columns. A row is looked up by the most
 * specific key that it has:
 *   trace_id and span_id; trace_id and model_name; trace_id;
 *   query_id (or query) and model_name; query_id (or query)
 * A row with a trace id alone speaks of the answer that the trace ended with: a
 * failed call takes it only when it is 0.
 * Memory: 24 bytes a row at a load of at most 0.8.
 * Depends on: fmt/csv, fmt/jread, data/record, data/redact.
 * Threads: labels_find is safe from several threads.
 */
#ifndef LLMR_DATA_LABELS_H
#define LLMR_DATA_LABELS_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "data/record.h"
#include "data/redact.h"

struct labels;

struct label {
	double performance;		/* 0..1, NaN when the row gives only the others */
	struct slice task_name, metric;	/* borrowed from the labels; p NULL none */
};

/*
 * Load. Queries are redacted before they are hashed, as those of the records
 * are (redact may be NULL). A bad row is ERR_INPUT naming file and line. Of two
 * rows with the same key the later counts.
 */
struct labels *labels_load(const char *path, struct redact *, struct err *e);
void labels_free(struct labels *);		/* NULL is fine */
/* Look a record up by trace_id, span_id, model_name, its query's hash and status. */
bool labels_find(struct labels *, const struct record *, uint64_t query_hash, struct label *out);
uint64_t labels_rows(const struct labels *);
/* Rows that no record met so far. */
uint64_t labels_unused(const struct labels *);

#endif
