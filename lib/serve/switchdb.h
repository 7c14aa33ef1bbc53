/*
 * switchdb - what switching remembers over a restart: versions, what is in service, switches, alerts.
 *
 * Depends on: data/sqldb.  Threads: one at a time.
 */
#ifndef LLMR_SERVE_SWITCHDB_H
#define LLMR_SERVE_SWITCHDB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SWITCHDB_VERSION 1

struct switchdb;
struct switchdb *switchdb_open(const char *path, struct err *e);
void switchdb_close(struct switchdb *);		/* NULL is fine */

/* Strings are borrowed for the callbacks. */
struct switchdb_version {
	const char *name, *version, *ref, *metadata;	/* metadata: a JSON object, NULL none */
	const char *sha256, *kind;
	int64_t bytes, registered_us;
	int64_t is_signed;
};
int switchdb_put_version(struct switchdb *, const struct switchdb_version *, struct err *e);
int switchdb_each_version(struct switchdb *, int (*fn)(void *, const struct switchdb_version *, struct err *), void *,
	struct err *e);

struct switchdb_router {
	const char *name, *active, *previous;
};
int switchdb_put_router(struct switchdb *, const struct switchdb_router *, struct err *e);
int switchdb_each_router(struct switchdb *, int (*fn)(void *, const struct switchdb_router *, struct err *), void *,
	struct err *e);

struct switchdb_op {
	const char *id, *router, *from, *to, *strategy, *config, *state, *reason, *report;
	int64_t stage, elapsed_us, started_us, ended_us;
	const char *counts;	/* of the running stage and switch, JSON */
};
int switchdb_put_op(struct switchdb *, const struct switchdb_op *, struct err *e);
/* The last so many, oldest first. */
int switchdb_each_op(struct switchdb *, int64_t limit, int (*fn)(void *, const struct switchdb_op *, struct err *),
	void *, struct err *e);

#endif
