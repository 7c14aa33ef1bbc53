#include "serve/switchdb.h"

#include <stdlib.h>

#include "base/mem.h"
#include "data/sqldb.h"

#define APPLICATION_ID 0x6c6d7377	/* "lmsw" */

struct switchdb {
	struct sqldb *db;
};

static const char *const steps[SWITCHDB_VERSION] = {
	"CREATE TABLE version ("
	" name TEXT NOT NULL, version TEXT NOT NULL, ref TEXT NOT NULL, metadata TEXT, sha256 TEXT NOT NULL,"
	" kind TEXT NOT NULL, bytes INTEGER NOT NULL, registered_us INTEGER NOT NULL, is_signed INTEGER NOT NULL,"
	" PRIMARY KEY (name, version));"
	"CREATE TABLE router (name TEXT PRIMARY KEY NOT NULL, active TEXT, previous TEXT);"
	"CREATE TABLE op ("
	" id TEXT PRIMARY KEY NOT NULL, router TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, strategy TEXT NOT NULL,"
	" config TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, report TEXT, stage INTEGER NOT NULL,"
	" elapsed_us INTEGER NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, counts TEXT);"
	"CREATE INDEX op_started ON op (started_us);",
};

struct switchdb *
switchdb_open(const char *path, struct err *e)
{
	static const struct sqldb_schema schema = { steps, SWITCHDB_VERSION, APPLICATION_ID };
	struct switchdb *d = mem_calloc(1, sizeof *d, e);

	if (d != NULL && (d->db = sqldb_open(path, SQLDB_WRITE, &schema, e)) == NULL) {
		free(d);
		d = NULL;
	}
	return d;
}

void
switchdb_close(struct switchdb *d)
{
	if (d == NULL)
		return;
	sqldb_close(d->db);
	free(d);
}

int
switchdb_put_version(struct switchdb *d, const struct switchdb_version *v, struct err *e)
{
	return sqldb_run(d->db, e, "INSERT OR REPLACE INTO version (name, version, ref, metadata, sha256, kind, bytes,"
		" registered_us, is_signed) VALUES (?,?,?,?,?,?,?,?,?)", "ttttttiii", v->name, v->version, v->ref,
		v->metadata, v->sha256, v->kind, v->bytes, v->registered_us, v->is_signed);
}

struct each {
	int (*version)(void *, const struct switchdb_version *, struct err *);
	int (*router)(void *, const struct switchdb_router *, struct err *);
	int (*op)(void *, const struct switchdb_op *, struct err *);
	void *ctx;
};

static const char *
text(const struct sqldb_row *row, int i)
{
	const char *s = sqldb_text(row, i);

	return s == NULL ? "" : s;
}

static int
version_row(void *ctx, const struct sqldb_row *row, struct err *e)
{
	const struct each *x = ctx;
	struct switchdb_version v = { .name = text(row, 0), .version = text(row, 1), .ref = text(row, 2),
		.metadata = sqldb_text(row, 3), .sha256 = text(row, 4), .kind = text(row, 5), .bytes = sqldb_int(row, 6),
		.registered_us = sqldb_int(row, 7), .is_signed = sqldb_int(row, 8) };

	return x->version(x->ctx, &v, e);
}

int
switchdb_each_version(struct switchdb *d, int (*fn)(void *, const struct switchdb_version *, struct err *), void *ctx,
	struct err *e)
{
	struct each x = { .version = fn, .ctx = ctx };

	return sqldb_each(d->db, version_row, &x, e, "SELECT name, version, ref, metadata, sha256, kind, bytes,"
		" registered_us, is_signed FROM version ORDER BY registered_us, rowid", "");
}

int
switchdb_put_router(struct switchdb *d, const struct switchdb_router *r, struct err *e)
{
	return sqldb_run(d->db, e, "INSERT OR REPLACE INTO router (name, active, previous) VALUES (?,?,?)", "ttt", r->name,
		r->active, r->previous);
}

static int
router_row(void *ctx, const struct sqldb_row *row, struct err *e)
{
	const struct each *x = ctx;
	struct switchdb_router r = { text(row, 0), text(row, 1), text(row, 2) };

	return x->router(x->ctx, &r, e);
}

int
switchdb_each_router(struct switchdb *d, int (*fn)(void *, const struct switchdb_router *, struct err *), void *ctx,
	struct err *e)
{
	struct each x = { .router = fn, .ctx = ctx };

	return sqldb_each(d->db, router_row, &x, e, "SELECT name, active, previous FROM router ORDER BY rowid", "");
}

int
switchdb_put_op(struct switchdb *d, const struct switchdb_op *o, struct err *e)
{
	return sqldb_run(d->db, e, "INSERT INTO op (id, router, old, new, strategy, config, state, reason, report, stage,"
		" elapsed_us, started_us, ended_us, counts) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)"
		" ON CONFLICT (id) DO UPDATE SET state = ?7, reason = ?8, report = ?9, stage = ?10, elapsed_us = ?11,"
		" ended_us = ?13, counts = ?14", "tttttttttiiiit", o->id, o->router, o->from, o->to, o->strategy,
		o->config, o->state, o->reason, o->report, o->stage, o->elapsed_us, o->started_us, o->ended_us, o->counts);
}

static int
op_row(void *ctx, const struct sqldb_row *row, struct err *e)
{
	const struct each *x = ctx;
	struct switchdb_op o = { .id = text(row, 0), .router = text(row, 1), .from = text(row, 2), .to = text(row, 3),
		.strategy = text(row, 4), .config = text(row, 5), .state = text(row, 6), .reason = text(row, 7),
		.report = sqldb_text(row, 8), .stage = sqldb_int(row, 9), .elapsed_us = sqldb_int(row, 10),
		.started_us = sqldb_int(row, 11), .ended_us = sqldb_int(row, 12), .counts = sqldb_text(row, 13) };

	return x->op(x->ctx, &o, e);
}

int
switchdb_each_op(struct switchdb *d, int64_t limit, int (*fn)(void *, const struct switchdb_op *, struct err *),
	void *ctx, struct err *e)
{
	struct each x = { .op = fn, .ctx = ctx };

	/* What still runs is wanted however long ago it began. */
	return sqldb_each(d->db, op_row, &x, e, "SELECT id, router, old, new, strategy, config, state, reason, report,"
		" stage, elapsed_us, started_us, ended_us, counts FROM (SELECT rowid AS row, * FROM op"
		" ORDER BY state = 'running' DESC, started_us DESC, row DESC LIMIT ?1) ORDER BY started_us, row", "i", limit);
}
