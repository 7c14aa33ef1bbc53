/*
 * hnsw - approximate nearest neighbours of many rows by a navigable graph.
 *
 * Each row is linked to rows near it in different directions; few rows stand on
 * higher levels too, where a search descends greedily before it widens on the
 * lowest. Source: Malkov & Yashunin 2018, doi:10.1109/TPAMI.2018.2889473, with
 * their heuristic choice of neighbours (algorithm 4).
 * Nearness is the inner product of 8-bit codes (math/dot), so rows should be of
 * one length; a caller that wants exact order compares the rows found again.
 * Rows are inserted in an order drawn from the seed, in batches: a batch is
 * searched in parallel against the graph before it, then linked, each row's
 * list by one thread in a fixed order. So the graph is the same for any number
 * of threads, and codes being integers, on any CPU.
 * Depends on: math/dot, base.  Threads: a finished graph is immutable; each
 * searching thread brings its scratch. One caller per builder.
 */
#ifndef LLMR_MATH_HNSW_H
#define LLMR_MATH_HNSW_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pool.h"
#include "math/dot.h"

#define HNSW_NONE UINT32_MAX
#define HNSW_MAX_ROWS ((size_t)1 << 31)
#define HNSW_MAX_LEVEL 15
#define HNSW_MIN_M 4
#define HNSW_MAX_M 128
#define HNSW_BEAM 4			/* rows whose links are followed at once */

/* Lists end at their first HNSW_NONE or when they are full. */
struct hnsw {
	size_t n, m;			/* rows; links of a row on each level above 0 (twice as many on 0) */
	size_t room;			/* links from row to row of base: 2 m, more while it is built */
	const uint32_t *base;		/* [n x room] links on level 0 */
	const uint8_t *level;		/* [n] highest level of a row */
	size_t n_upper;			/* sum of level */
	const uint32_t *upper;		/* [n_upper x m] links on levels 1, 2 ... of the rows in turn */
	const uint32_t *first;		/* [n] where a row's lists begin in upper */
	uint32_t entry;			/* where a search begins: the first row of the highest level */
};

struct hnsw_params {
	size_t m;			/* HNSW_MIN_M..HNSW_MAX_M */
	size_t ef_construction;		/* rows kept in view while the neighbours of a new one are sought; > 0 */
	uint64_t seed;
};

/* Peak bytes of a build over n rows, beside the codes. */
uint64_t hnsw_memory(size_t m, size_t n);

/* Building. The codes are borrowed and must not change; pool and cancel may be NULL. */
struct hnsw_builder;
struct hnsw_builder *hnsw_begin(const struct hnsw_params *, const struct dot_codes *, enum dot_kernel,
	struct pool *, struct cancel *, struct err *e);
/* Insert rows until count of them are in the graph. ERR_INTR when cancelled. */
int hnsw_insert(struct hnsw_builder *, size_t count, struct err *e);
/* Shorten lists to what they have at the end (hnsw_end does so too): then the graph so far is like the whole. */
void hnsw_trim(struct hnsw_builder *);
/* The graph so far; the rows in the order in which they are inserted [n]. Borrowed. */
const struct hnsw *hnsw_graph(const struct hnsw_builder *);
const uint32_t *hnsw_order(const struct hnsw_builder *);
/* The whole graph in out, whose arrays the caller releases with hnsw_finish. Frees the builder. */
void hnsw_end(struct hnsw_builder *, struct hnsw *out);
void hnsw_builder_free(struct hnsw_builder *);	/* NULL is fine */
/* Release arrays made by hnsw_end. */
void hnsw_finish(struct hnsw *);

/*
 * Check a graph that came from a file: n, m, base, level, n_upper and upper are
 * set (borrowed, shapes as above, room 2 m). Sets entry, and first, which the
 * caller frees. ERR_INPUT when a link leaves the rows or their levels, follows
 * the end of its list, or the levels do not make n_upper.
 */
int hnsw_adopt(struct hnsw *, struct err *e);

struct hnsw_scratch {
	size_t ef;			/* the most that hnsw_search may be asked for */
	struct hnsw_near { float sim; uint32_t row; } *near;	/* [ef + 1] most similar first */
	uint64_t *seen;			/* [n / 64 rounded up] */
	uint32_t *touched;		/* words of seen that are not 0 */
	size_t n_words, n_touched;
	uint32_t link[HNSW_BEAM * 3 * HNSW_MAX_M];
	float sim[HNSW_BEAM * 3 * HNSW_MAX_M];
};
struct hnsw_scratch *hnsw_scratch_new(size_t n, size_t ef, struct err *e);
void hnsw_scratch_free(struct hnsw_scratch *);	/* NULL is fine */

/*
 * About the ef rows most similar to q in s->near, most similar first; returns
 * how many (fewer than ef where the graph holds fewer). Allocates nothing.
 * ef 1..s->ef.
 */
size_t hnsw_search(const struct hnsw *, const struct dot_codes *, enum dot_kernel,
	const struct dot_query *q, size_t ef, struct hnsw_scratch *s);

#endif
