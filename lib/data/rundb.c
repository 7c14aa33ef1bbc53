#include "data/rundb.h"

#include <errno.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#define BUSY_MS 5000
#define APPLICATION_ID 0x6c6c6d72	/* "llmr" */

struct rundb {
	sqlite3 *db;
	char *path;
};

/*
 * Step i brings a database from version i to i + 1. Steps that were released
 * are never edited: a change is a new step at the end.
 */
static const char *const steps[RUNDB_VERSION] = {
	"CREATE TABLE run ("
	" id TEXT PRIMARY KEY NOT NULL,"
	" time_us INTEGER NOT NULL,"
	" seconds REAL,"
	" command TEXT NOT NULL,"
	" kind TEXT,"
	" status TEXT NOT NULL,"
	" error TEXT,"
	" params TEXT,"
	" metrics TEXT,"
	" data_digest TEXT,"
	" artifact TEXT,"
	" artifact_digest TEXT,"
	" git TEXT,"
	" host TEXT,"
	" version TEXT);"
	"CREATE INDEX run_time ON run (time_us);",
	"ALTER TABLE run ADD COLUMN mlflow_run TEXT;",
};

#define COLUMNS "id, time_us, seconds, command, kind, status, error, params, metrics, data_digest, " \
	"artifact, artifact_digest, git, host, version, mlflow_run"

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
fail(const struct rundb *r, int rc, struct err *e)
{
	return err_set(e, code_of(rc), "%s: %s", r->path,
	    r->db != NULL ? sqlite3_errmsg(r->db) : sqlite3_errstr(rc));
}

static int
run_sql(struct rundb *r, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(r->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(r, rc, e);
}

static int
prepare(struct rundb *r, const char *sql, sqlite3_stmt **out, struct err *e)
{
	int rc = sqlite3_prepare_v2(r->db, sql, -1, out, NULL);

	return rc == SQLITE_OK ? 0 : fail(r, rc, e);
}

/* The one integer that a statement gives. */
static int
ask(struct rundb *r, const char *sql, int64_t *out, struct err *e)
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
check_version(struct rundb *r, int64_t *version, struct err *e)
{
	int64_t objects = 0, app = 0;

	if (ask(r, "PRAGMA user_version", version, e) < 0)
		return -1;
	if (*version > RUNDB_VERSION)
		return err_set(e, ERR_CONFIG, "%s: schema version %lld is newer than this llmr's %d: "
		    "use a newer llmr, or another --state-dir", r->path, (long long)*version,
		    RUNDB_VERSION);
	/* In this order: another process may fill an empty file between the two. */
	if (ask(r, "SELECT count(*) FROM sqlite_master", &objects, e) < 0 ||
	    ask(r, "PRAGMA application_id", &app, e) < 0)
		return -1;
	if (*version < 0 || (objects > 0 && app != APPLICATION_ID))
		return err_set(e, ERR_CONFIG, "%s: a database of something else", r->path);
	return 0;
}

/* Bring the schema up to date, whoever else is doing the same right now. */
static int
upgrade(struct rundb *r, struct err *e)
{
	int64_t version;
	char sql[96];

	if (check_version(r, &version, e) < 0)
		return -1;
	if (version == RUNDB_VERSION)
		return 0;
	if (run_sql(r, "BEGIN IMMEDIATE", e) < 0)
		return -1;
	/* Another process may have been quicker: what counts is what stands behind the lock. */
	if (check_version(r, &version, e) < 0)
		goto undo;
	for (; version < RUNDB_VERSION; version++)
		if (run_sql(r, steps[version], e) < 0)
			goto undo;
	(void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
	    APPLICATION_ID, RUNDB_VERSION);
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
set_wal(struct rundb *r, struct err *e)
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
open_file(struct rundb *r, enum rundb_mode mode, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, rc;
	int64_t version;

	if (mode == RUNDB_WRITE) {
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
	if (mode == RUNDB_WRITE) {
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
	if (version < RUNDB_VERSION)
		return err_set(e, ERR_CANTCREAT, "%s: schema version %lld must be upgraded to %d, "
		    "but the file cannot be written", r->path, (long long)version, RUNDB_VERSION);
	return 0;
}

struct rundb *
rundb_open(const char *path, enum rundb_mode mode, struct err *e)
{
	struct rundb *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	r->path = mem_strdup(path, e);
	if (r->path != NULL && open_file(r, mode, e) == 0)
		return r;
	rundb_close(r);
	return NULL;
}

void
rundb_close(struct rundb *r)
{
	if (r == NULL)
		return;
	(void)sqlite3_close_v2(r->db);
	free(r->path);
	free(r);
}

static void
bind(sqlite3_stmt *s, int i, const char *text)
{
	if (text == NULL)
		(void)sqlite3_bind_null(s, i);
	else
		(void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

int
rundb_add(struct rundb *r, const struct rundb_run *run, char id[RUNDB_ID], struct err *e)
{
	const char *const text[] = { run->command, run->kind, run->status, run->error, run->params,
		run->metrics, run->data_digest, run->artifact, run->artifact_digest, run->git, run->host,
		run->version, run->mlflow_run };
	sqlite3_stmt *s = NULL;
	uint64_t random;
	int rc;

	if (prepare(r, "INSERT INTO run (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", &s,
	    e) < 0)
		return -1;
	sqlite3_randomness(sizeof random, &random);
	(void)snprintf(id, RUNDB_ID, "%016llx", (unsigned long long)random);
	bind(s, 1, id);
	(void)sqlite3_bind_int64(s, 2, run->time_us);
	(void)sqlite3_bind_double(s, 3, run->seconds);	/* NaN becomes NULL */
	for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
		bind(s, (int)i + 4, text[i]);
	rc = sqlite3_step(s);
	if (rc != SQLITE_DONE) {
		(void)fail(r, rc, e);
		(void)sqlite3_finalize(s);
		return -1;
	}
	(void)sqlite3_finalize(s);
	return 0;
}

int
rundb_set_mlflow(struct rundb *r, const char *id, const char *mlflow_run, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (prepare(r, "UPDATE run SET mlflow_run = ?1 WHERE id = ?2", &s, e) < 0)
		return -1;
	bind(s, 1, mlflow_run);
	bind(s, 2, id);
	rc = sqlite3_step(s);
	if (rc != SQLITE_DONE)
		(void)fail(r, rc, e);
	(void)sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : -1;
}

static const char *
text_at(sqlite3_stmt *s, int i)
{
	return (const char *)sqlite3_column_text(s, i);
}

static void
read_row(sqlite3_stmt *s, struct rundb_run *run)
{
	const char **const text[] = { &run->command, &run->kind, &run->status, &run->error,
		&run->params, &run->metrics, &run->data_digest, &run->artifact, &run->artifact_digest,
		&run->git, &run->host, &run->version, &run->mlflow_run };

	run->id = text_at(s, 0);
	run->time_us = sqlite3_column_int64(s, 1);
	run->seconds = sqlite3_column_double(s, 2);
	for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
		*text[i] = text_at(s, (int)i + 3);
}

/* Hexadecimal digits only, so that the text can stand in a pattern. */
static bool
is_prefix(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n < RUNDB_ID && strspn(id, "0123456789abcdef") == n;
}

int
rundb_each(struct rundb *r, const struct rundb_query *q,
	int (*fn)(void *, const struct rundb_run *, struct err *), void *ctx, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM (SELECT rowid AS row, * FROM run"
		" WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR command = ?2)"
		" AND (?3 IS NULL OR id GLOB ?3 || '*')"
		" ORDER BY time_us DESC, rowid DESC LIMIT ?4) ORDER BY time_us, row";
	sqlite3_stmt *s = NULL;
	struct rundb_run run = { 0 };
	int rc, stopped = 0;

	if (q->id != NULL && !is_prefix(q->id))
		return err_set(e, ERR_USAGE, "'%s' is not the begin of an id (hexadecimal digits, "
		    "at most 16)", q->id);
	if (prepare(r, sql, &s, e) < 0)
		return -1;
	bind(s, 1, q->kind);
	bind(s, 2, q->command);
	bind(s, 3, q->id);
	(void)sqlite3_bind_int64(s, 4, q->limit == 0 ? -1 : (int64_t)q->limit);
	while (!stopped && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		read_row(s, &run);
		stopped = fn(ctx, &run, e) != 0;
	}
	if (!stopped && rc != SQLITE_DONE) {
		(void)fail(r, rc, e);
		stopped = 1;
	}
	(void)sqlite3_finalize(s);
	return stopped ? -1 : 0;
}

static int
count(void *ctx, const struct rundb_run *run, struct err *e)
{
	(void)run, (void)e;
	++*(size_t *)ctx;
	return 0;
}

int
rundb_find(struct rundb *r, const char *prefix,
	int (*fn)(void *, const struct rundb_run *, struct err *), void *ctx, struct err *e)
{
	const struct rundb_query q = { .id = prefix, .limit = 2 };
	size_t n = 0;

	if (rundb_each(r, &q, count, &n, e) < 0)
		return -1;
	if (n == 0)
		return err_set(e, ERR_NOINPUT, "no run with an id that begins with '%s'", prefix);
	if (n > 1)
		return err_set(e, ERR_USAGE, "several runs have an id that begins with '%s': "
		    "give more digits", prefix);
	return rundb_each(r, &q, fn, ctx, e);
}
