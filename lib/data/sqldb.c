#include "data/sqldb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#define BUSY_MS 5000

struct sqldb {
	sqlite3 *db;
	char *path;
	struct sqldb_schema schema;	/* while it is opened */
};

/* ERR_* of what sqlite said. */
static enum err_code
code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
		return ERR_TEMPFAIL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_INPUT;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return ERR_CANTCREAT;
	default:
		return ERR_IO;
	}
}

static int
fail(const struct sqldb *r, int rc, struct err *e)
{
	return err_set(e, code_of(rc), "%s: %s", r->path,
	    r->db != NULL ? sqlite3_errmsg(r->db) : sqlite3_errstr(rc));
}

static int
run_sql(struct sqldb *r, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(r->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(r, rc, e);
}

static int
prepare(struct sqldb *r, const char *sql, sqlite3_stmt **out, struct err *e)
{
	int rc = sqlite3_prepare_v2(r->db, sql, -1, out, NULL);

	return rc == SQLITE_OK ? 0 : fail(r, rc, e);
}

/* The one integer that a statement gives. */
static int
ask(struct sqldb *r, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (prepare(r, sql, &s, e) < 0)
		return -1;
	rc = sqlite3_step(s);
	*out = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	(void)sqlite3_finalize(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : fail(r, rc, e);
}

/* The schema's version; a newer one or another program's database is refused. */
static int
check_version(struct sqldb *r, int64_t *version, struct err *e)
{
	int64_t objects = 0, app = 0;

	if (ask(r, "PRAGMA user_version", version, e) < 0)
		return -1;
	if (*version > r->schema.version)
		return err_set(e, ERR_CONFIG, "%s: schema version %lld is newer than this llmr's %d: "
		    "use a newer llmr, or another --state-dir", r->path, (long long)*version,
		    r->schema.version);
	/* In this order: another process may fill an empty file between the two. */
	if (ask(r, "SELECT count(*) FROM sqlite_master", &objects, e) < 0 ||
	    ask(r, "PRAGMA application_id", &app, e) < 0)
		return -1;
	if (*version < 0 || (objects > 0 && app != r->schema.application))
		return err_set(e, ERR_CONFIG, "%s: a database of something else", r->path);
	return 0;
}

/* Bring the schema up to date, whoever else is doing the same right now. */
static int
upgrade(struct sqldb *r, struct err *e)
{
	int64_t version;
	char sql[96];

	if (check_version(r, &version, e) < 0)
		return -1;
	if (version == r->schema.version)
		return 0;
	if (run_sql(r, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	/* Another process may have been quicker: what counts is what stands behind the lock. */
	if (check_version(r, &version, e) < 0)
		goto undo;
	for (; version < r->schema.version; version++)
		if (run_sql(r, r->schema.step[version], e) < 0)
			goto undo;
	(void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
	    (int)r->schema.application, r->schema.version);
	if (run_sql(r, sql, e) == 0)
		return 0;
undo:
	(void)sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

/*
 * Write-ahead mode is a property of the file, set once. Setting it takes a
 * lock that the busy timeout does not wait for, hence the loop; where the file
 * system cannot have it, the old journal serves.
 */
static int
set_wal(struct sqldb *r, struct err *e)
{
	int rc = SQLITE_BUSY;

	for (int i = 0; i < BUSY_MS / 20 && (rc & 0xff) == SQLITE_BUSY; i++) {
		rc = sqlite3_exec(r->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
		if ((rc & 0xff) == SQLITE_BUSY)
			clock_sleep_ns(20000000);
	}
	if (rc != SQLITE_OK)
		return fail(r, rc, e);
	return run_sql(r, "PRAGMA synchronous = NORMAL", e);
}

static int
make_folder(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int r;

	if (slash == NULL || slash == path)
		return 0;
	folder = mem_dup(path, (size_t)(slash - path), e);
	if (folder == NULL)
		return -1;
	r = io_mkdirs(folder, e);
	free(folder);
	return r;
}

static int
open_file(struct sqldb *r, enum sqldb_mode mode, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, rc;
	int64_t version;

	if (mode == SQLDB_WRITE) {
		if (make_folder(r->path, e) < 0)
			return -1;
		flags |= SQLITE_OPEN_CREATE;
	} else if (access(r->path, R_OK) != 0)
		return err_sys(e, ERR_NOINPUT, "%s", r->path);
	rc = sqlite3_open_v2(r->path, &r->db, flags, NULL);
	if (rc != SQLITE_OK)
		return fail(r, rc, e);
	(void)sqlite3_extended_result_codes(r->db, 1);
	(void)sqlite3_busy_timeout(r->db, BUSY_MS);
	(void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (mode == SQLDB_WRITE) {
		/* Refuse before anything of a foreign file is touched. */
		if (check_version(r, &version, e) < 0 || set_wal(r, e) < 0)
			return -1;
		return upgrade(r, e);
	}
	/* An older schema is upgraded where that may be written. */
	if (sqlite3_db_readonly(r->db, "main") == 0 && upgrade(r, e) < 0)
		return -1;
	if (run_sql(r, "BEGIN", e) < 0 || check_version(r, &version, e) < 0)
		return -1;
	if (version < r->schema.version)
		return err_set(e, ERR_CANTCREAT, "%s: schema version %lld must be upgraded to %d, "
		    "but the file cannot be written", r->path, (long long)version, r->schema.version);
	return 0;
}

struct sqldb *
sqldb_open(const char *path, enum sqldb_mode mode, const struct sqldb_schema *schema, struct err *e)
{
	struct sqldb *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	r->schema = *schema;
	r->path = mem_strdup(path, e);
	if (r->path != NULL && open_file(r, mode, e) == 0)
		return r;
	sqldb_close(r);
	return NULL;
}

void
sqldb_close(struct sqldb *r)
{
	if (r == NULL)
		return;
	(void)sqlite3_close_v2(r->db);
	free(r->path);
	free(r);
}

/* ---- statements ---- */

static void
bind(sqlite3_stmt *s, const char *types, va_list ap)
{
	for (int i = 1; *types != '\0'; types++, i++) {
		const char *text;

		switch (*types) {
		case 't':
			text = va_arg(ap, const char *);
			if (text == NULL)
				(void)sqlite3_bind_null(s, i);
			else
				(void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
			break;
		case 'i':
			(void)sqlite3_bind_int64(s, i, va_arg(ap, int64_t));
			break;
		case 'd':
			(void)sqlite3_bind_double(s, i, va_arg(ap, double));	/* NaN becomes NULL */
			break;
		default:
			BUG("a parameter of type '%c'", *types);
		}
	}
}

int
sqldb_run(struct sqldb *r, struct err *e, const char *sql, const char *types, ...)
{
	sqlite3_stmt *s = NULL;
	va_list ap;
	int rc;

	if (prepare(r, sql, &s, e) < 0)
		return -1;
	va_start(ap, types);
	bind(s, types, ap);
	va_end(ap);
	rc = sqlite3_step(s);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		(void)fail(r, rc, e);
	(void)sqlite3_finalize(s);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : -1;
}

static sqlite3_stmt *
statement(const struct sqldb_row *row)
{
	return (sqlite3_stmt *)(uintptr_t)row;
}

const char *
sqldb_text(const struct sqldb_row *row, int i)
{
	return (const char *)sqlite3_column_text(statement(row), i);
}

int64_t
sqldb_int(const struct sqldb_row *row, int i)
{
	return sqlite3_column_int64(statement(row), i);
}

double
sqldb_double(const struct sqldb_row *row, int i)
{
	return sqlite3_column_double(statement(row), i);
}

int
sqldb_each(struct sqldb *r, int (*fn)(void *ctx, const struct sqldb_row *, struct err *e), void *ctx, struct err *e,
	const char *sql, const char *types, ...)
{
	sqlite3_stmt *s = NULL;
	int rc = SQLITE_DONE, stopped = 0;
	va_list ap;

	if (prepare(r, sql, &s, e) < 0)
		return -1;
	va_start(ap, types);
	bind(s, types, ap);
	va_end(ap);
	while (!stopped && (rc = sqlite3_step(s)) == SQLITE_ROW)
		stopped = fn(ctx, (const struct sqldb_row *)(uintptr_t)s, e) != 0;
	if (!stopped && rc != SQLITE_DONE) {
		(void)fail(r, rc, e);
		stopped = 1;
	}
	(void)sqlite3_finalize(s);
	return stopped ? -1 : 0;
}

uint64_t
sqldb_random(void)
{
	uint64_t v;

	sqlite3_randomness(sizeof v, &v);
	return v;
}
