/*
 * rundb - the local database of trainings and evaluations.
 *
 * One sqlite3 file in write-ahead mode, one row per run. The schema's version
 * is PRAGMA user_version; an older one is upgraded in one transaction at the
 * first opening for writing, a newer one is refused by its number and left
 * alone. Any number of processes may open it at once, its creation included.
 * Depends on: data/sqldb.  Threads: one at a time.
 */
#ifndef LLMR_DATA_RUNDB_H
#define LLMR_DATA_RUNDB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RUNDB_VERSION 2		/* of the schema */
#define RUNDB_ID 17		/* bytes of an id: 16 hex digits and a NUL */

struct rundb;

/* One run. Strings are NULL where nothing is known; JSON texts are objects. */
struct rundb_run {
	const char *id;			/* 16 hex digits */
	int64_t time_us;		/* begin, since 1970 */
	double seconds;			/* wall time */
	const char *command;		/* "train", "eval" */
	const char *kind;		/* of router: "knn" */
	const char *status;		/* "finished", "failed", "killed" */
	const char *error;		/* why not finished */
	const char *params, *metrics;	/* JSON */
	const char *data_digest;	/* hex SHA-256 */
	const char *artifact;		/* path as given */
	const char *artifact_digest;	/* hex SHA-256 */
	const char *git;		/* revision of the working directory */
	const char *host;
	const char *version;		/* of llmr */
	const char *mlflow_run;		/* its id on the MLflow server it was logged to */
};

enum rundb_mode {
	RUNDB_READ,	/* must exist (ERR_NOINPUT); everything read comes from one moment */
	RUNDB_WRITE	/* created when absent, its folder too */
};

/*
 * NULL and err: ERR_CONFIG for a schema that is newer or not ours, ERR_INPUT
 * for a damaged file, ERR_CANTCREAT, ERR_TEMPFAIL when others hold it too long.
 */
struct rundb *rundb_open(const char *path, enum rundb_mode, struct err *e);
void rundb_close(struct rundb *);		/* NULL is fine */

/* Add a row; its id is drawn here (run->id is not read). */
int rundb_add(struct rundb *, const struct rundb_run *, char id[RUNDB_ID], struct err *e);

/* Note where else the run was logged. */
int rundb_set_mlflow(struct rundb *, const char *id, const char *mlflow_run, struct err *e);

struct rundb_query {
	const char *kind, *command;	/* NULL any */
	const char *id;			/* begins with, NULL any */
	size_t limit;			/* newest only; 0 all */
};
/*
 * Rows that fit, oldest first, to fn; strings are borrowed for the call;
 * nonzero stops with its error.
 */
int rundb_each(struct rundb *, const struct rundb_query *,
	int (*fn)(void *ctx, const struct rundb_run *, struct err *e), void *ctx, struct err *e);
/* The one run whose id begins so: none is ERR_NOINPUT, several ERR_USAGE. */
int rundb_find(struct rundb *, const char *prefix,
	int (*fn)(void *ctx, const struct rundb_run *, struct err *e), void *ctx, struct err *e);

#endif
