/*
 * importers - known data sets as a stream of routing records.
 *
 *   dcrouter	[{"question", "scores": {model: 0..1}, "cluster_id"?, "task"?}], or one such
 *		object a line: a record per question and model
 *   routerbench	wide CSV: prompt, eval_name, a column per model (0..1) and its
 *		"MODEL|total_cost" (USD)
 *   routellm	CSV: prompt, then True/False (or 0..1) per model
 *   llmrouter	JSON Lines of LLMRouter and its like: query, model_name, performance, ...
 *   flat	JSON Lines of span extractors, either shape; lines that hold a decision
 *		and no query are counted, not written
 * Nothing is held but one row. Numbers may stand in strings; times in seconds,
 * milliseconds or microseconds (record_epoch_us); unknown members are kept.
 * Depends on: fmt/csv, fmt/jread, fmt/stream, data/record.  Threads: one call a thread.
 */
#ifndef LLMR_DATA_IMPORTERS_H
#define LLMR_DATA_IMPORTERS_H

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "data/record.h"
#include "fmt/stream.h"

enum import_kind {
	IMPORT_NONE, IMPORT_DCROUTER, IMPORT_ROUTERBENCH, IMPORT_ROUTELLM, IMPORT_LLMROUTER,
	IMPORT_FLAT
};

/* IMPORT_NONE when the name is none of them. */
enum import_kind importers_kind(const char *name);

struct import_opts {
	/* A record, borrowed for the call; query_id is not set. Nonzero stops. */
	int (*on_record)(void *ctx, struct record *, struct err *e);
	/* A row that cannot be read; what->msg is "NAME:LINE: ...". 0 to go on. NULL: stop there. */
	int (*on_bad)(void *ctx, const struct err *what, struct err *e);
	void *ctx;
	struct cancel *cancel;
};

struct import_stats {
	uint64_t rows, records, bad;
	uint64_t decisions;		/* lines without a query that hold a routing decision */
	uint64_t no_query;		/* other lines without a query */
	uint64_t missing;		/* cells without a score */
};

/*
 * Read a whole stream; name is for messages. A file that is not of that kind
 * (no JSON array, no header row with a prompt) is ERR_INPUT. stats may be NULL.
 */
int importers_read(enum import_kind, struct stream_in *, const char *name,
	const struct import_opts *, struct import_stats *, struct err *e);

#endif
