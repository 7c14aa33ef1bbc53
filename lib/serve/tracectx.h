/*
 * tracectx - where a request stands in a distributed trace (W3C Trace Context, level 1).
 *
 * Depends on: base.  Threads: pure.
 */
#ifndef LLMR_SERVE_TRACECTX_H
#define LLMR_SERVE_TRACECTX_H

#include <stdbool.h>
#include <stdint.h>

#define TRACECTX_HEADER 56	/* "00-" 32 "-" 16 "-" 2 and NUL */

/* Zeroed: no trace. */
struct tracectx {
	uint64_t trace_hi, trace_lo;	/* the trace's id */
	uint64_t parent;		/* span of the caller; 0 none */
	uint64_t span;			/* our own; 0 none */
	bool sampled;
};

/* Read a traceparent header; false (and zeroed) when it is not one. span stays 0. */
bool tracectx_parse(const char *header, struct tracectx *);
/* What is sent on: our span, or the caller's when we have none. */
void tracectx_header(const struct tracectx *, char out[TRACECTX_HEADER]);
/* Hex digits, as OTLP's JSON has them. */
void tracectx_trace_hex(const struct tracectx *, char out[33]);
void tracectx_span_hex(uint64_t span, char out[17]);

#endif
