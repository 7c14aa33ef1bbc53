/*
 * decode - trace documents of any supported format, one piece at a time.
 *
 * Formats, told apart by their first bytes: Jaeger query API and UI JSON
 * ({"data":[{"traceID",...}]}), Jaeger /api/v3 ({"result":{"resourceSpans"...}}),
 * OTLP JSON (one document, or JSON Lines as the OpenTelemetry file exporter
 * writes), OTLP protobuf (ExportTraceServiceRequest; trace/v1), each plain,
 * gzipped or Zstandard. A document is never held whole: a Jaeger document goes
 * by one trace, OTLP by one resourceSpans; memory is bounded by the largest
 * piece (max_piece_bytes).
 * Depends on: fmt/stream, fmt/jread, fmt/jscan, trace/span.  Threads: a run uses
 * up to opts.threads threads; separate runs are independent.
 */
#ifndef LLMR_TRACE_DECODE_H
#define LLMR_TRACE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "fmt/stream.h"
#include "trace/span.h"

enum trace_format { TRACE_AUTO, TRACE_JAEGER, TRACE_OTLP_V3, TRACE_OTLP_JSON, TRACE_OTLP_JSONL, TRACE_OTLP_PROTOBUF };
const char *trace_format_name(enum trace_format);

/*
 * What the reader needs of a span, so that the rest can be skipped unread.
 * NULL in decode_opts means everything.
 */
struct span_want {
	/* Attribute keys to deliver: exact, or a prefix when it ends in '*'. Others are dropped. */
	const char *const *keys;
	size_t n_keys;
	/*
	 * A span is delivered only if one of its attribute or event keys, or event
	 * names, equals one of these markers (prefix when it ends in '*'), written
	 * with escapes or without.
	 */
	const char *const *markers;
	size_t n_markers;
};

/*
 * A group of spans that came together. Jaeger: the wanted spans of one trace,
 * whole (trace_whole). OTLP: the wanted spans of one resourceSpans, perhaps of
 * several traces, each perhaps only a part of its trace.
 */
struct span_batch {
	const struct span *spans;
	size_t n;
	uint64_t seen;		/* spans read, wanted or not */
	uint64_t traces_seen;	/* Jaeger: 1; OTLP: 0 */
	bool trace_whole;
	uint64_t line;		/* of JSON Lines, else 0 */
	uint64_t offset;	/* decoded byte offset of the piece */
};

/*
 * Either on_batch, or on_work with on_output, is given.
 *
 * on_batch is the plain form: called in the calling thread, batch after batch
 * in input order, whatever threads says.
 *
 * on_work is the parallel form. The calling thread reads and splits; up to
 * `threads` threads (itself included) decode pieces and call on_work at the
 * same time for different batches. `worker` (0..threads-1) names the running
 * thread, for its own state and counters, merged by the caller after the run.
 * What a batch comes to is appended to `out`. on_output is then called in the
 * calling thread, in input order, with what some batches in sequence appended
 * (never when that is nothing): so what is written, and whatever depends on
 * order (joins over batches, duplicates), is the same for any number of
 * threads. It may consume or take the buffer, which is emptied after.
 *
 * Every piece read gives a batch, n = 0 when no span of it is wanted, so that
 * counts can be kept. Nonzero from any callback stops the run with that error.
 */
struct decode_opts {
	enum trace_format format;
	const struct span_want *want;
	size_t max_piece_bytes;		/* 0: 256 MiB; a larger trace is a bad piece */
	unsigned threads;		/* for on_work; 0 and 1: only the calling thread */
	int (*on_batch)(void *ctx, const struct span_batch *, struct err *e);
	int (*on_work)(void *ctx, unsigned worker, const struct span_batch *, struct buf *out,
		struct err *e);
	int (*on_output)(void *ctx, struct buf *out, struct err *e);
	/*
	 * A piece that cannot be read (bad line of JSON Lines, too large or
	 * malformed trace, partial-success "errors" beside "data"): what->msg names
	 * line or offset; its code is ERR_UNAVAILABLE for an error that a server
	 * reports, else ERR_INPUT. Called in the calling thread in input order.
	 * Return 0 to go on with the next piece. NULL: the first ends the run.
	 */
	int (*on_bad)(void *ctx, const struct err *what, struct err *e);
	void *ctx;
	struct cancel *cancel;
};

/* Totals of a run. */
struct decode_stats {
	enum trace_format format;
	uint64_t bytes, pieces, spans, bad;
};

/*
 * Decode a whole stream. A document whose brackets do not match, that ends
 * early or is followed by something else is ERR_INPUT naming the byte offset
 * (in JSON Lines: a bad line); the batches before that place were delivered.
 * What is skipped is still checked: balanced brackets of the right kind, valid
 * UTF-8, no control bytes in strings; the full grammar holds for what is read.
 * stats may be NULL.
 */
int decode_stream(struct stream_in *, const struct decode_opts *, struct decode_stats *, struct err *e);

#endif
