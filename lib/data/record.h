/*
 * record - the routing record: one call of one model on one query.
 *
 * The JSON Lines form is llmr-records(5). Keys that llmr does not know survive
 * a round trip in extra.
 * Depends on: fmt/jread, fmt/jsonw.  Threads: plain data.
 */
#ifndef LLMR_DATA_RECORD_H
#define LLMR_DATA_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* Absent: slices with p == NULL, doubles NaN, integers RECORD_NO_INT. */
#define RECORD_NO_INT INT64_MIN

#define RECORD_WEIGHT_LEAST 1e-9
#define RECORD_WEIGHT_MOST 1e9

struct record {
	struct slice query;		/* UTF-8 */
	struct slice model_name;
	struct slice query_id;		/* 16 hex digits; record_query_id */
	double performance;		/* 0..1 */
	double response_time_s, ttft_s;
	double cost_usd;
	int64_t token_num, input_tokens, output_tokens;
	int64_t embedding_id;
	struct slice task_name, ground_truth, metric;
	struct slice response;
	struct slice status;		/* "ok" or "error" */
	int64_t status_code;
	struct slice error_type;
	struct slice trace_id, span_id;
	int64_t timestamp_us;		/* since 1970 */
	struct slice requested_model;	/* what the client asked for: the gateway's alias */
	struct slice user;		/* end user's id, or its digest */
	struct slice strategy_name, strategy_version, outcome_status;
	struct slice candidates;	/* JSON array of names, raw text */
	double propensity;
	double weight;			/* what the query counts for in training, > 0 */
	struct slice system_digest;	/* 16 hex digits of SHA-256 of the system prompt */
	struct slice extra;		/* raw text of unknown members: "\"k\":v,\"k2\":v2", n 0 none */
};

void record_init(struct record *);
/*
 * Parse one line. Strings borrow from the line or the arena. A known key of
 * the wrong type is ERR_INPUT naming it; performance outside 0..1 likewise; a
 * line without model_name too. null means absent. A timestamp may also be a
 * number (record_epoch_us). The last of two equal known keys counts.
 */
int record_parse(const char *line, size_t n, struct arena *, struct record *, struct err *e);
/*
 * Append the record as one line with its newline; absent members are left out,
 * query, model_name and performance are always there (performance null when
 * absent). Members come in the order of llmr-records(5), unknown ones last.
 */
void record_format(const struct record *, struct buf *out);
/*
 * The query's id: first 16 hex digits of SHA-256 of the normalised text
 * (invalid UTF-8 replaced by U+FFFD, runs of ASCII white space folded to one
 * space, trimmed).
 */
void record_query_id(struct slice query, char out[17]);
/* The same digest as a number: its first 8 bytes, big-endian. */
uint64_t record_query_hash(struct slice query);
/*
 * Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
 * size (below 1e11, 1e14, 1e17, above), to microseconds. RECORD_NO_INT when
 * not finite or negative.
 */
int64_t record_epoch_us(double t);

#endif
