/*
 * records - spans to routing records.
 *
 * A span counts as a call of a model by its operation, else its kind, else
 * because it holds a prompt or the model that answered. It gives a record when
 * it also has a query and a model. What gives none is counted by reason.
 * A worker takes batches and appends items (trace/join.h) to a buffer: calls
 * of a whole trace are joined with its decisions at once and come out as
 * JOIN_DONE; of pieces, calls, decisions and evaluations come out apart, and
 * struct join brings them together.
 * Depends on: trace/attrmap, trace/message, trace/join, data/refine.
 * Threads: one struct records a thread; options are shared.
 */
#ifndef LLMR_TRACE_RECORDS_H
#define LLMR_TRACE_RECORDS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "data/refine.h"
#include "trace/attrmap.h"
#include "trace/message.h"
#include "trace/span.h"

struct records_opts {
	const struct attrmap *map;
	enum message_pick pick;
	uint64_t shard, shards;		/* only traces of part `shard` (0-based) of `shards`; 0 or 1 shards: all */
	bool keep_zero_cost;		/* else a cost of 0 counts as unknown */
	struct refine_opts refine;
};

enum records_count {
	RECORDS_TRACES,			/* Jaeger documents: traces read */
	RECORDS_SPANS,			/* spans read, wanted or not */
	RECORDS_MADE,			/* records handed on */
	RECORDS_REJECTED,		/* the gateway refused, no provider was asked */
	RECORDS_NO_PROMPT,		/* calls whose trace keeps no query text */
	RECORDS_NO_MODEL,
	RECORDS_OTHER_OPERATION,	/* embeddings, tools, agents, chains */
	RECORDS_REPEATED,		/* spans that repeat another (raw_gen_ai_request) */
	RECORDS_OTHER_SHARD,
	RECORDS_DECISIONS,
	RECORDS_DECISIONS_JOINED,	/* within whole traces; struct join counts the others */
	RECORDS_BAD_DECISIONS,		/* payloads that are no JSON object */
	RECORDS_EVALUATIONS,		/* said by a span of their own */
	RECORDS_ALIAS_ONLY,		/* records whose model may be only the gateway's alias */
	RECORDS_ERRORS,			/* records of failed calls */
	RECORDS_ZERO_COST,		/* successful calls that the trace says cost nothing */
	RECORDS_OTHER_PARTS,		/* images and the like, left out of queries */
	RECORDS_N
};
/* Name of a counter as in summaries ("spans", "no_prompt"). */
const char *records_count_name(enum records_count);

struct records;

/* Options are copied; what they point to is borrowed. NULL and err. */
struct records *records_new(const struct records_opts *, struct err *e);
void records_free(struct records *);		/* NULL is fine */
/* Items of one batch, appended to out. */
int records_batch(struct records *, const struct span_batch *, struct buf *out, struct err *e);
/* [RECORDS_N] */
const uint64_t *records_counts(const struct records *);
const struct refine_counts *records_refine_counts(const struct records *);
/* Part of n that an id belongs to (traces by trace id). */
uint64_t records_shard_of(struct slice trace_id, uint64_t n);

#endif
