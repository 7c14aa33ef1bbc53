/*
 * spendjoin - traces brought together with the spend log, by request id.
 *
 * Traces are read a piece at a time; the ids of some hundred of their calls are
 * asked for at once, so memory holds some megabytes whatever the sizes of
 * traces and table. A row counts for a span when it has its id and its time
 * overlaps the span's within a minute: an answer from a cache carries the id of
 * the call that was cached.
 * Depends on: net/spendlogs, trace/decode, trace/otlpwrite.  Threads: one at a time.
 */
#ifndef LLMR_NET_SPENDJOIN_H
#define LLMR_NET_SPENDJOIN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "fmt/stream.h"
#include "net/spendlogs.h"

struct spendjoin_opts {
	struct spendlogs *log;
	size_t max_trace_bytes;		/* 0: 256 MiB */
	struct cancel *cancel;
	/* OTLP JSON lines in the order of the input. Nonzero stops. */
	int (*on_lines)(void *ctx, const char *p, size_t n, struct err *e);
	/* A piece of the input that cannot be read. 0: go on. */
	int (*on_bad)(void *ctx, const struct err *what, struct err *e);
	void *ctx;
};

struct spendjoin_stats {
	uint64_t lines, spans;
	uint64_t calls;		/* spans with a request id */
	uint64_t joined;	/* of them, with a row */
	uint64_t other_time;	/* a row of the id, but of another time */
};

/* Join one input; stats are added to. */
int spendjoin_run(const struct spendjoin_opts *, struct stream_in *, struct spendjoin_stats *, struct err *e);

#endif
