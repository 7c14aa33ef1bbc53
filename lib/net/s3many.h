/*
 * s3many - one operation each on many objects, on several connections at once. Internal to s3.
 *
 * Depends on: base.  Threads: starts its own and ends them.
 */
#ifndef LLMR_NET_S3MANY_H
#define LLMR_NET_S3MANY_H

#include <stddef.h>

#include "net/s3.h"

struct s3many {
	unsigned threads;
	size_t slot_bytes;	/* scratch of one thread, zeroed: the item between the calls */
	/* Called one at a time. 1: there is an item, 0: no more, -1: stop. */
	int (*next)(void *ctx, size_t i, void *slot, struct err *e);
	/* Called at once by many threads. */
	enum s3_outcome (*work)(void *ctx, void *slot, struct err *e);
	/* Called one at a time. 0: taken. */
	int (*done)(void *ctx, size_t i, enum s3_outcome, void *slot, struct err *e);
	void *ctx;
};
enum s3_outcome s3many_run(const struct s3many *, struct err *e);

#endif
