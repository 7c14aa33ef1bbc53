/*
 * spendlogs - LiteLLM_SpendLogs, the table in which LiteLLM's proxy books its calls.
 *
 * Source: litellm/proxy/schema.prisma and spend_tracking_utils.py. Columns that
 * a version lacks read as absent; startTime and request_id must be there. A
 * request_id is the id of the answer, or LiteLLM's call id where no model
 * answered; what a cache answered has "_cache_hit" and a time behind it.
 * Prompts are in proxy_server_request (or messages) only when LiteLLM was told
 * to store them.
 * Depends on: net/pqconn, trace/callspan, net/retry.  Threads: one at a time.
 */
#ifndef LLMR_NET_SPENDLOGS_H
#define LLMR_NET_SPENDLOGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "net/pqconn.h"
#include "net/retry.h"
#include "trace/callspan.h"

struct spendlogs;

struct spendlogs_opts {
	struct pqconn_opts server;
	struct retry_policy retry;	/* of connecting, and of a connection that breaks */
	uint64_t seed;			/* of the jitter */
	const char *table;		/* NULL: LiteLLM_SpendLogs */
};

struct spendlogs_stats {
	uint64_t rows, statements, retries, bytes;
};

/* Connect and look at the table's columns. NULL and err as pqconn_open. */
struct spendlogs *spendlogs_open(const struct spendlogs_opts *, struct err *e);
void spendlogs_free(struct spendlogs *);		/* NULL is fine */
const struct spendlogs_stats *spendlogs_stats(const struct spendlogs *);

struct spendlogs_read {
	int64_t start_us, end_us;	/* rows that begin at or after start and before end */
	size_t rows;			/* fetched at once at most; fewer when they are large */
	/* One row, in order of startTime, then request_id; borrowed. Nonzero stops. */
	int (*on_call)(void *ctx, const struct callspan *, struct err *e);
	/* All that begins before this time was delivered. NULL is fine. */
	int (*on_upto)(void *ctx, int64_t upto_us, struct err *e);
	void *ctx;
};
/*
 * Read a range through a cursor on the server: memory holds one fetch. A
 * connection that breaks is made anew and the reading goes on behind the last
 * row.
 */
int spendlogs_read(struct spendlogs *, const struct spendlogs_read *, struct err *e);

/*
 * The rows of these request ids, in any order; on_call as above. Ids longer
 * than the table's are simply not found.
 */
int spendlogs_find(struct spendlogs *, const struct slice *ids, size_t n,
	int (*on_call)(void *ctx, const struct callspan *, struct err *e), void *ctx, struct err *e);

#endif
