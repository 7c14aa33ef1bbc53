/*
 * split - JSON trace documents cut into pieces, without holding a document.
 *
 * A piece is one Jaeger trace or one OTLP resourceSpans object. The splitter
 * scans every byte once, checks that brackets match (and, for what lies outside
 * of pieces, the whole grammar), and hands on chunks of text with their pieces
 * and, for each piece, where its brackets are; of the spans that cannot hold a
 * wanted marker only the outer two brackets are kept.
 * Depends on: fmt/stream, fmt/jscan, fmt/jread, trace/skeleton, trace/want.  Threads: a splitter
 * belongs to one thread; a filled chunk to whoever works on it.
 */
#ifndef LLMR_TRACE_SPLIT_H
#define LLMR_TRACE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "fmt/stream.h"
#include "trace/decode.h"
#include "trace/want.h"

enum piece_kind { PIECE_UNKNOWN, PIECE_JAEGER, PIECE_OTLP };

struct piece {
	size_t start, end;		/* in the chunk's text: from '{' to behind '}' */
	size_t first, n_index;		/* its brackets in the chunk's index */
	enum piece_kind kind;
	uint64_t line, offset;
	size_t high_from, high_to;	/* bytes above 0x7f are here, from its start; none when high_to is 0 */
	size_t control;			/* 1 + place of a raw control byte in a string, else 0 */
};

/* Something bad found while splitting, to be told before piece number `before`. */
struct note {
	size_t before;
	struct err what;
};

struct chunk {
	char *text;			/* [cap], len used */
	size_t len, cap;
	uint32_t *index;		/* places of brackets in text, ascending */
	size_t n_index, index_cap;
	struct piece *pieces;
	size_t n_pieces, pieces_cap;
	struct note *notes;
	size_t n_notes, notes_cap;
	uint64_t bytes;			/* of the stream, scanned with this chunk */
};
void chunk_finish(struct chunk *);

struct splitter;

/*
 * head: the n bytes already read from the stream (for detection), copied.
 * max_piece 0 is the default; level for tests, else jscan_best().
 */
struct splitter *split_new(struct stream_in *, const void *head, size_t n, const struct want *,
	size_t max_piece, enum jscan_level level, struct err *e);
/*
 * Empty the chunk, then fill it with the next pieces and notes. 1: something is
 * in it; 0: the end; -1: the document is malformed at the place that err names
 * (everything before it has been handed on).
 */
int split_next(struct splitter *, struct chunk *, struct err *e);
/* Before the first call: the input is JSON Lines, whatever it looks like. */
void split_set_lines(struct splitter *);
/* OTLP and not Jaeger came, JSON Lines and not a document: what was seen so far. */
enum trace_format split_format(const struct splitter *);
void split_free(struct splitter *);

#endif
