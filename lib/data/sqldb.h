/*
 * sqldb - an sqlite3 file with a schema that has a number.
 *
 * Write-ahead mode where the file system has it. The schema's version is
 * PRAGMA user_version; an older one is upgraded in one transaction at the first
 * opening for writing, a newer one is refused by its number and left alone, and
 * so is another program's file. Any number of processes may open it at once,
 * its creation included.
 * Depends on: sqlite3 (this is its only home), base.  Threads: one at a time.
 */
#ifndef LLMR_DATA_SQLDB_H
#define LLMR_DATA_SQLDB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sqldb;
struct sqldb_row;		/* valid within the callback */

/*
 * Step i brings a database from version i to i + 1. Steps that were released
 * are never edited: a change is a new step at the end.
 */
struct sqldb_schema {
	const char *const *step;
	int version;		/* steps there are */
	int32_t application;	/* PRAGMA application_id */
};

enum sqldb_mode {
	SQLDB_READ,	/* must exist (ERR_NOINPUT); everything read comes from one moment */
	SQLDB_WRITE	/* created when absent, its folder too */
};

/*
 * NULL and err: ERR_CONFIG for a schema that is newer or not ours, ERR_INPUT
 * for a damaged file, ERR_CANTCREAT, ERR_TEMPFAIL when others hold it too long.
 * The schema is borrowed for the call.
 */
struct sqldb *sqldb_open(const char *path, enum sqldb_mode, const struct sqldb_schema *, struct err *e);
void sqldb_close(struct sqldb *);		/* NULL is fine */

/*
 * Run one statement with the values of its parameters: a letter each in types,
 * t const char * (NULL is NULL), i int64_t, d double (NaN is NULL).
 */
int sqldb_run(struct sqldb *, struct err *e, const char *sql, const char *types, ...);
/* Each row to fn; nonzero stops with its error. */
int sqldb_each(struct sqldb *, int (*fn)(void *ctx, const struct sqldb_row *, struct err *e), void *ctx,
	struct err *e, const char *sql, const char *types, ...);
/* Column i: borrowed text (NULL for NULL), number (0 for NULL). */
const char *sqldb_text(const struct sqldb_row *, int i);
int64_t sqldb_int(const struct sqldb_row *, int i);
double sqldb_double(const struct sqldb_row *, int i);
/* Random bits, for ids. */
uint64_t sqldb_random(void);

#endif
