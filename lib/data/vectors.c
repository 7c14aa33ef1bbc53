#include "data/vectors.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/mem.h"

#define BUSY_MS 10000
#define APPLICATION_ID 0x6c6c6d76	/* "llmv" */
#define TEXT_OF(n) #n
#define TEXT(n) TEXT_OF(n)

struct vectors {
	sqlite3 *db;
	sqlite3_stmt *get, *put;
	char *path;
};

static int
fail(const struct vectors *c, int rc, struct err *e)
{
	enum err_code code = ERR_IO;

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
		code = ERR_TEMPFAIL;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		code = ERR_INPUT;
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		code = ERR_CANTCREAT;
		break;
	}
	return err_set(e, code, "%s: %s", c->path, c->db != NULL ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
}

static int
run_sql(struct vectors *c, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(c, rc, e);
}

static int
ask(struct vectors *c, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);

	*out = 0;
	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		*out = sqlite3_column_int64(s, 0);
		rc = SQLITE_OK;
	}
	(void)sqlite3_finalize(s);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : fail(c, rc, e);
}

static int
set_up(struct vectors *c, struct err *e)
{
	int64_t version, app, objects;

	if (ask(c, "PRAGMA user_version", &version, e) < 0 || ask(c, "PRAGMA application_id", &app, e) < 0 ||
	    ask(c, "SELECT count(*) FROM sqlite_master", &objects, e) < 0)
		return -1;
	if ((objects > 0 && app != APPLICATION_ID) || version > VECTORS_VERSION)
		return err_set(e, ERR_INPUT, "%s: is no cache of vectors, or of a newer llmr", c->path);
	if (run_sql(c, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;", e) < 0)
		return -1;
	if (version == 0 && run_sql(c, "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, "
	    "row BLOB NOT NULL) WITHOUT ROWID; PRAGMA application_id = " TEXT(APPLICATION_ID) "; "
	    "PRAGMA user_version = " TEXT(VECTORS_VERSION) "; COMMIT;", e) < 0)
		return -1;
	return 0;
}

struct vectors *
vectors_open(const char *path, struct err *e)
{
	struct vectors *c = mem_calloc(1, sizeof *c, e);
	int rc;

	if (c == NULL)
		return NULL;
	if ((c->path = mem_strdup(path, e)) == NULL)
		goto fail;
	rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (rc != SQLITE_OK) {
		fail(c, rc, e);
		goto fail;
	}
	(void)sqlite3_busy_timeout(c->db, BUSY_MS);
	if (set_up(c, e) < 0)
		goto fail;
	if ((rc = sqlite3_prepare_v2(c->db, "SELECT row FROM vector WHERE key = ?", -1, &c->get, NULL)) != SQLITE_OK ||
	    (rc = sqlite3_prepare_v2(c->db, "INSERT OR IGNORE INTO vector VALUES (?, ?)", -1, &c->put, NULL)) !=
	    SQLITE_OK) {
		fail(c, rc, e);
		goto fail;
	}
	return c;
fail:
	vectors_close(c);
	return NULL;
}

int
vectors_get(struct vectors *c, const uint8_t key[VECTORS_KEY], float *out, size_t dim, struct err *e)
{
	size_t bytes = dim * sizeof *out;
	int rc, found = 0;

	(void)sqlite3_bind_blob(c->get, 1, key, VECTORS_KEY, SQLITE_STATIC);
	rc = sqlite3_step(c->get);
	if (rc == SQLITE_ROW && (size_t)sqlite3_column_bytes(c->get, 0) == bytes) {
		memcpy(out, sqlite3_column_blob(c->get, 0), bytes);
		found = 1;
	}
	(void)sqlite3_reset(c->get);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? found : fail(c, rc, e);
}

int
vectors_begin(struct vectors *c, struct err *e)
{
	return run_sql(c, "BEGIN IMMEDIATE", e);
}

int
vectors_put(struct vectors *c, const uint8_t key[VECTORS_KEY], const float *v, size_t dim, struct err *e)
{
	int rc;

	(void)sqlite3_bind_blob(c->put, 1, key, VECTORS_KEY, SQLITE_STATIC);
	(void)sqlite3_bind_blob(c->put, 2, v, (int)(dim * sizeof *v), SQLITE_STATIC);
	rc = sqlite3_step(c->put);
	(void)sqlite3_reset(c->put);
	return rc == SQLITE_DONE ? 0 : fail(c, rc, e);
}

int
vectors_commit(struct vectors *c, struct err *e)
{
	return run_sql(c, "COMMIT", e);
}

void
vectors_close(struct vectors *c)
{
	if (c == NULL)
		return;
	(void)sqlite3_finalize(c->get);
	(void)sqlite3_finalize(c->put);
	(void)sqlite3_close(c->db);
	free(c->path);
	free(c);
}
