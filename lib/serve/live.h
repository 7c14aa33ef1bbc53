/*
 * live - a pointer that many threads read and one replaces while they do.
 *
 * Hazard pointers (Michael 2004, doi:10.1109/TPDS.2004.8): a reader announces
 * what it holds; who replaces the value waits until nobody holds the old one,
 * then may free it. A reader pays one store and one fence, and never waits.
 * Depends on: base.  Threads: as said per function.
 */
#ifndef LLMR_SERVE_LIVE_H
#define LLMR_SERVE_LIVE_H

#include <stdatomic.h>
#include <stddef.h>

#define LIVE_READERS 256

struct live {
	_Atomic(void *) value;
	struct {
		_Alignas(64) _Atomic(void *) held;
	} reader[LIVE_READERS];
};

/* Reader number i (each thread has its own, below LIVE_READERS) takes the value; NULL when there is none. */
void *live_enter(struct live *, unsigned i);
void live_leave(struct live *, unsigned i);
/* Put a value in its place; one thread at a time. Returns the old one, which no reader holds any more. */
void *live_replace(struct live *, void *value);

#endif
