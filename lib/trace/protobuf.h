/*
 * protobuf - OTLP's ExportTraceServiceRequest in protocol buffers to spans.
 *
 * opentelemetry-proto collector/trace/v1 and trace/v1; the wire format as in
 * protobuf.dev/programming-guides/encoding. Unknown fields are skipped. A piece
 * is one ResourceSpans message.
 * Depends on: fmt/stream, fmt/jsonw, trace/gather, trace/split.  Threads: as
 * trace/split and trace/gather.
 */
#ifndef LLMR_TRACE_PROTOBUF_H
#define LLMR_TRACE_PROTOBUF_H

#include <stddef.h>

#include "base/err.h"
#include "fmt/stream.h"
#include "trace/gather.h"
#include "trace/split.h"

struct protobuf;

/* Reads a request from the stream; head holds the n bytes already read from it, copied. */
struct protobuf *protobuf_new(struct stream_in *, const void *head, size_t n, size_t max_piece,
	struct err *e);
/* As split_next; the chunk has no index. */
int protobuf_next(struct protobuf *, struct chunk *, struct err *e);
void protobuf_free(struct protobuf *);

/* Add the piece's wanted spans to the gather. ERR_INPUT: the piece is bad. */
int protobuf_decode(struct gather *, const struct chunk *, const struct piece *, struct err *e);

#endif
