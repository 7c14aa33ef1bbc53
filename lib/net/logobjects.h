/*
 * logobjects - the calls that LiteLLM's S3 logger left in a bucket.
 *
 * One JSON object a call (trace/logpayload) under
 *   [s3_path/][TEAM/][KEY/]YYYY-MM-DD/time-HH-MM-SS-ffffff_ID.json
 * with date and time as the gateway's own clock and zone had them. So a day's
 * folders of a day before and after the range are looked into too; an object
 * last changed before the range began is left unread, and what was read counts
 * by its own startTime. Folders of days are found below the prefix, at most
 * four levels down, days in order, folders of one day in the order of their
 * names, objects in the order of theirs. Objects are fetched by many threads,
 * a chunk at a time, and delivered in order.
 * Source: litellm/integrations/s3.py, s3_v2.py (get_s3_object_key).
 * Depends on: net/s3, trace/logpayload, base/pool, base/idset.  Threads: its own.
 */
#ifndef LLMR_NET_LOGOBJECTS_H
#define LLMR_NET_LOGOBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/idset.h"
#include "base/log.h"
#include "net/s3.h"
#include "trace/callspan.h"

struct logobjects_stats {
	uint64_t folders;	/* of days */
	uint64_t listed;	/* objects with a name like the logger's */
	uint64_t fetched, bytes;
	uint64_t known;		/* in the output already */
	uint64_t other;		/* outside of the range, or of no call */
	uint64_t gone;		/* deleted in between */
	uint64_t bad;		/* too large or malformed */
};

struct logobjects_opts {
	struct s3 *bucket;
	int64_t start_us, end_us;	/* calls that begin at or after start, before end */
	int64_t from_us;		/* days before this one are done: start_us, or where a run stopped */
	unsigned concurrency;		/* objects fetched at once, at least 1 */
	size_t max_object_bytes;
	const struct idset *seen;	/* keys (logobjects_id) not to fetch again; NULL none */
	const struct log *log;
	struct cancel *cancel;
	/* One call; id is its key's. Borrowed. Nonzero stops. */
	int (*on_call)(void *ctx, const uint8_t id[16], const struct callspan *, struct err *e);
	/* All of the days before this time was delivered, and all calls so far. Nonzero stops. */
	int (*on_upto)(void *ctx, int64_t upto_us, struct err *e);
	void *ctx;
};

/* Run to the end. Errors as net/s3 gives them. */
int logobjects_run(const struct logobjects_opts *, struct logobjects_stats *, struct err *e);

/* What stands for a key in sets of ids. */
void logobjects_id(const char *key, uint8_t out[16]);
/* Midnight UTC of a folder's last part "YYYY-MM-DD/"; false when it is none. Exported for the tests. */
bool logobjects_day(const char *folder, int64_t *us);

#endif
