/*
 * outbox - records handed to a background thread, which delivers them in batches.
 *
 * Who puts a record in copies it and goes on: nothing waits for a disk or a
 * peer. What does not fit while a delivery takes long is dropped and counted.
 * Depends on: base.  Threads: safe; deliver runs on the outbox's own thread.
 */
#ifndef LLMR_SERVE_OUTBOX_H
#define LLMR_SERVE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct outbox_opts {
	size_t max_bytes;		/* waiting; 0: 4 MiB */
	double interval;		/* seconds between deliveries; sooner when half full. 0: 0.2 */
	bool always;			/* deliver at each interval, even nothing */
	/* n bytes, the records one after another; dropped: how many were lost since the last call. */
	void (*deliver)(void *ctx, const char *p, size_t n, size_t records, uint64_t dropped);
	void *ctx;
};

struct outbox;
struct outbox *outbox_start(const struct outbox_opts *, struct err *e);
/* False when it is full: the record is dropped. */
bool outbox_put(struct outbox *, const char *p, size_t n);
/* Wait until what was put in before has been delivered. */
void outbox_flush(struct outbox *);
/* Deliver what waits, then end. NULL is fine. */
void outbox_stop(struct outbox *);

#endif
