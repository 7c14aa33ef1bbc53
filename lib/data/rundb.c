#include "data/rundb.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/sqldb.h"

#define APPLICATION_ID 0x6c6c6d72	/* "llmr" */

struct rundb {
	struct sqldb *db;
};

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

struct rundb *
rundb_open(const char *path, enum rundb_mode mode, struct err *e)
{
	static const struct sqldb_schema schema = { steps, RUNDB_VERSION, APPLICATION_ID };
	struct rundb *r = mem_calloc(1, sizeof *r, e);

	if (r != NULL && (r->db = sqldb_open(path, mode == RUNDB_READ ? SQLDB_READ : SQLDB_WRITE, &schema, e)) == NULL) {
		free(r);
		r = NULL;
	}
	return r;
}

void
rundb_close(struct rundb *r)
{
	if (r == NULL)
		return;
	sqldb_close(r->db);
	free(r);
}

int
rundb_add(struct rundb *r, const struct rundb_run *run, char id[RUNDB_ID], struct err *e)
{
	(void)snprintf(id, RUNDB_ID, "%016llx", (unsigned long long)sqldb_random());
	return sqldb_run(r->db, e, "INSERT INTO run (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		"tidttttttttttttt", id, run->time_us, run->seconds, run->command, run->kind, run->status, run->error,
		run->params, run->metrics, run->data_digest, run->artifact, run->artifact_digest, run->git, run->host,
		run->version, run->mlflow_run);
}

int
rundb_set_mlflow(struct rundb *r, const char *id, const char *mlflow_run, struct err *e)
{
	return sqldb_run(r->db, e, "UPDATE run SET mlflow_run = ?1 WHERE id = ?2", "tt", mlflow_run, id);
}

static void
read_row(const struct sqldb_row *s, struct rundb_run *run)
{
	const char **const text[] = { &run->command, &run->kind, &run->status, &run->error,
		&run->params, &run->metrics, &run->data_digest, &run->artifact, &run->artifact_digest,
		&run->git, &run->host, &run->version, &run->mlflow_run };

	run->id = sqldb_text(s, 0);
	run->time_us = sqldb_int(s, 1);
	run->seconds = sqldb_double(s, 2);
	for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
		*text[i] = sqldb_text(s, (int)i + 3);
}

/* Hexadecimal digits only, so that the text can stand in a pattern. */
static bool
is_prefix(const char *id)
{
	size_t n = strlen(id);

	return n > 0 && n < RUNDB_ID && strspn(id, "0123456789abcdef") == n;
}

struct each {
	int (*fn)(void *, const struct rundb_run *, struct err *);
	void *ctx;
};

static int
each_row(void *ctx, const struct sqldb_row *row, struct err *e)
{
	const struct each *x = ctx;
	struct rundb_run run = { 0 };

	read_row(row, &run);
	return x->fn(x->ctx, &run, e);
}

int
rundb_each(struct rundb *r, const struct rundb_query *q,
	int (*fn)(void *, const struct rundb_run *, struct err *), void *ctx, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM (SELECT rowid AS row, * FROM run"
		" WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR command = ?2)"
		" AND (?3 IS NULL OR id GLOB ?3 || '*')"
		" ORDER BY time_us DESC, rowid DESC LIMIT ?4) ORDER BY time_us, row";
	struct each x = { fn, ctx };

	if (q->id != NULL && !is_prefix(q->id))
		return err_set(e, ERR_USAGE, "'%s' is not the begin of an id (hexadecimal digits, "
		    "at most 16)", q->id);
	return sqldb_each(r->db, each_row, &x, e, sql, "ttti", q->kind, q->command, q->id,
		q->limit == 0 ? (int64_t)-1 : (int64_t)q->limit);
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
