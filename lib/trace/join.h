/*
 * join - calls, decisions and evaluations of one trace brought together.
 *
 * join_match does it for what is in memory. struct join does it over pieces:
 * traces stay open in a window of N, in the order in which they were first
 * seen; a trace leaves when N newer ones have come, or at join_flush. So pieces
 * of a trace are joined when fewer than N other traces begin between them;
 * a decision that comes later is counted as unjoined, and its call went out
 * without it. Records leave in the order in which their traces were first
 * seen. Texts that wait are held in memory up to JOIN_MEMORY bytes, those that
 * come then in unlinked files in TMPDIR; 80 bytes a waiting item stay in memory.
 * Depends on: base/io, data/record.  Threads: one thread at a time.
 */
#ifndef LLMR_TRACE_JOIN_H
#define LLMR_TRACE_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "data/record.h"

#define JOIN_MEMORY ((size_t)4 << 20)

enum join_kind {
	JOIN_DONE,	/* a record that needs nothing more */
	JOIN_CALL,	/* a record whose decision may come in another piece */
	JOIN_DECISION,	/* a record that holds only what a decision says; model_name is its choice */
	JOIN_EVAL	/* performance of a call, said by another span; model is the metric */
};

struct join_item {
	enum join_kind kind;
	uint64_t trace[2], span, parent;	/* parent 0: root */
	uint64_t start_ns;
	uint64_t query;			/* record_query_hash; JOIN_DONE, JOIN_CALL */
	double performance;		/* NaN none */
	struct slice model;
	struct slice line;		/* record_format's text, newline included */
	unsigned taken;			/* private to join_match: bit of each kind that found this call */
};

/* Append an item as bytes; read one back (slices borrow). False at the end. */
void join_put(struct buf *, const struct join_item *);
bool join_get(const char **p, const char *end, struct join_item *);

/*
 * For each decision (or evaluation) of one trace the call it belongs to, -1
 * none: the same span, else a parent or child, else the model it chose, else
 * the next to begin; each call takes one decision and one evaluation at most.
 * taken of the calls is 0 before. to [n_others]. In a trace of more than four
 * million pairs the last decisions stay without a call.
 */
void join_match(struct join_item *calls, size_t n_calls, const struct join_item *others,
	size_t n_others, int *to);
/* Copy what a decision says into a call's record, where the call does not say it itself. */
void join_apply(struct record *call, const struct record *decision);

struct join_opts {
	size_t window;		/* traces, at least 1 */
	/* A finished record; nonzero stops. */
	int (*emit)(void *ctx, const struct join_item *, struct err *e);
	void *ctx;
};

struct join_counts {
	uint64_t joined, unjoined;	/* decisions */
	uint64_t evals, evals_unjoined;
	uint64_t spilled_bytes;
};

struct join;
struct join *join_new(const struct join_opts *, struct err *e);
/* Take one item: JOIN_DONE is emitted at once, the others wait. Texts are copied. */
int join_add(struct join *, const struct join_item *, struct err *e);
/* Close all open traces. */
int join_flush(struct join *, struct err *e);
const struct join_counts *join_counts(const struct join *);
void join_free(struct join *);		/* NULL is fine */

#endif
