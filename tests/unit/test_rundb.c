#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "data/gitrev.h"
#include "data/rundb.h"
#include "base/io.h"
#include "fmt/jflat.h"

static char folder[64];

static void
enter(void)
{
	(void)snprintf(folder, sizeof folder, "/tmp/llmr-rundb-XXXXXX");
	cr_assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
}

static void
leave(void)
{
	char cmd[96];

	(void)snprintf(cmd, sizeof cmd, "rm -rf %s", folder);
	cr_assert(chdir("/") == 0 && system(cmd) == 0);
}

TestSuite(rundb, .init = enter, .fini = leave);

static struct rundb_run
sample(const char *kind, int64_t time_us)
{
	return (struct rundb_run){ .time_us = time_us, .seconds = 0.5, .command = "train", .kind = kind,
		.status = "finished", .params = "{\"k\":5}", .version = "1" };
}

static int
count(void *ctx, const struct rundb_run *run, struct err *e)
{
	(void)run, (void)e;
	++*(int *)ctx;
	return 0;
}

static int
rows(const char *path)
{
	struct err e = ERR_INIT;
	struct rundb *db = rundb_open(path, RUNDB_READ, &e);
	const struct rundb_query all = { 0 };
	int n = 0;

	cr_assert_not_null(db, "%s", e.msg);
	cr_assert_eq(rundb_each(db, &all, count, &n, &e), 0, "%s", e.msg);
	rundb_close(db);
	return n;
}

struct last {
	char id[RUNDB_ID], kind[16];
	int n;
	double seconds;
};

static int
keep(void *ctx, const struct rundb_run *run, struct err *e)
{
	struct last *l = ctx;

	(void)e;
	(void)snprintf(l->id, sizeof l->id, "%s", run->id);
	(void)snprintf(l->kind, sizeof l->kind, "%s", run->kind);
	l->seconds = run->seconds;
	l->n++;
	return 0;
}

Test(rundb, add_and_find)
{
	struct err e = ERR_INIT;
	struct rundb *db = rundb_open("a/b/runs.db", RUNDB_WRITE, &e);
	char first[RUNDB_ID], second[RUNDB_ID], prefix[RUNDB_ID];
	struct rundb_run run = sample("knn", 2000000);
	struct last l = { 0 };

	cr_assert_not_null(db, "%s", e.msg);
	cr_assert_eq(rundb_add(db, &run, first, &e), 0, "%s", e.msg);
	run = sample("svm", 1000000);
	cr_assert_eq(rundb_add(db, &run, second, &e), 0, "%s", e.msg);
	/* Oldest first, the newest when limited. */
	cr_assert_eq(rundb_each(db, &(struct rundb_query){ 0 }, keep, &l, &e), 0);
	cr_assert(l.n == 2 && strcmp(l.id, first) == 0);
	l = (struct last){ 0 };
	cr_assert_eq(rundb_each(db, &(struct rundb_query){ .limit = 1 }, keep, &l, &e), 0);
	cr_assert(l.n == 1 && strcmp(l.id, first) == 0);
	l = (struct last){ 0 };
	cr_assert_eq(rundb_each(db, &(struct rundb_query){ .kind = "svm" }, keep, &l, &e), 0);
	cr_assert(l.n == 1 && strcmp(l.kind, "svm") == 0 && l.seconds > 0.4);
	l = (struct last){ 0 };
	cr_assert_eq(rundb_each(db, &(struct rundb_query){ .command = "eval" }, keep, &l, &e), 0);
	cr_assert_eq(l.n, 0);
	(void)snprintf(prefix, sizeof prefix, "%.12s", second);
	cr_assert_eq(rundb_find(db, prefix, keep, &l, &e), 0, "%s", e.msg);
	cr_assert_str_eq(l.id, second);
	cr_assert_eq(rundb_find(db, "0000000000000000", keep, &l, &e), -1);
	cr_assert_eq(e.code, ERR_NOINPUT);
	for (const char *const *bad = (const char *const[]){ "", "*", "xyz", "ABC", "00000000000000000",
	    "' OR 1=1 --", NULL }; *bad != NULL; bad++) {
		cr_assert_eq(rundb_find(db, *bad, keep, &l, &e), -1, "'%s'", *bad);
		cr_assert_eq(e.code, ERR_USAGE, "'%s'", *bad);
	}
	rundb_close(db);
}

static void
sql(const char *path, const char *text)
{
	sqlite3 *db = NULL;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
}

Test(rundb, refuses_what_is_not_its_own)
{
	static const struct { const char *name, *sql; enum err_code code; const char *says; } cases[] = {
		{ "newer.db", "PRAGMA user_version = 99", ERR_CONFIG, "schema version 99 is newer" },
		{ "other.db", "CREATE TABLE notes (x)", ERR_CONFIG, "a database of something else" },
	};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf before = BUF_INIT, after = BUF_INIT;

		sql(cases[i].name, cases[i].sql);
		cr_assert_eq(io_read_file(cases[i].name, 1 << 20, &before, &e), 0);
		for (int mode = RUNDB_READ; mode <= RUNDB_WRITE; mode++) {
			cr_assert_null(rundb_open(cases[i].name, (enum rundb_mode)mode, &e));
			cr_assert_eq(e.code, cases[i].code, "%s: %s", cases[i].name, e.msg);
			cr_assert(strstr(e.msg, cases[i].says) != NULL, "%s", e.msg);
		}
		cr_assert_eq(io_read_file(cases[i].name, 1 << 20, &after, &e), 0);
		cr_assert(before.len == after.len && memcmp(before.p, after.p, after.len) == 0,
		    "%s was changed", cases[i].name);
		buf_finish(&before);
		buf_finish(&after);
	}
	cr_assert_eq(io_write_file("junk.db", "this is not a database, but long enough to be read as one "
	    "by somebody who believes what a file is called: so it goes on for a while", 120, 0644, &e), 0);
	cr_assert_null(rundb_open("junk.db", RUNDB_WRITE, &e));
	cr_assert_eq(e.code, ERR_INPUT, "%s", e.msg);
	cr_assert_null(rundb_open("absent.db", RUNDB_READ, &e));
	cr_assert_eq(e.code, ERR_NOINPUT, "%s", e.msg);
	cr_assert_null(rundb_open(".", RUNDB_WRITE, &e));
	cr_assert_null(rundb_open("junk.db/runs.db", RUNDB_WRITE, &e));
}

/* What the first version of the schema left behind. */
#define VERSION_1 "CREATE TABLE run (id TEXT PRIMARY KEY NOT NULL, time_us INTEGER NOT NULL, " \
	"seconds REAL, command TEXT NOT NULL, kind TEXT, status TEXT NOT NULL, error TEXT, params TEXT, " \
	"metrics TEXT, data_digest TEXT, artifact TEXT, artifact_digest TEXT, git TEXT, host TEXT, " \
	"version TEXT); CREATE INDEX run_time ON run (time_us);" \
	"INSERT INTO run (id, time_us, seconds, command, kind, status) VALUES " \
	"('00000000000000aa', 5, 1.5, 'train', 'knn', 'finished');" \
	"PRAGMA application_id = 1819045234; PRAGMA user_version = 1"

Test(rundb, upgrades_an_older_schema)
{
	for (int mode = RUNDB_READ; mode <= RUNDB_WRITE; mode++) {
		const char *path = mode == RUNDB_READ ? "r.db" : "w.db";
		struct err e = ERR_INIT;
		struct last l = { 0 };
		struct rundb *db;

		sql(path, VERSION_1);
		db = rundb_open(path, (enum rundb_mode)mode, &e);
		cr_assert_not_null(db, "%s", e.msg);
		cr_assert_eq(rundb_find(db, "00000000000000aa", keep, &l, &e), 0, "%s", e.msg);
		cr_assert(l.n == 1 && strcmp(l.kind, "knn") == 0 && l.seconds > 1.4);
		if (mode == RUNDB_WRITE)
			cr_assert_eq(rundb_set_mlflow(db, l.id, "abc", &e), 0, "%s", e.msg);
		rundb_close(db);
		cr_assert_eq(rows(path), 1);
	}
}

Test(rundb, a_failed_upgrade_changes_nothing)
{
	struct err e = ERR_INIT;

	/* The column of the second step is there already, so that step fails. */
	sql("half.db", VERSION_1 "; ALTER TABLE run ADD COLUMN mlflow_run TEXT");
	cr_assert_null(rundb_open("half.db", RUNDB_WRITE, &e));
	cr_assert(strstr(e.msg, "duplicate column") != NULL, "%s", e.msg);
	sql("half.db", "UPDATE run SET kind = 'svm'");	/* no lock, no transaction left open */
}

Test(rundb, many_processes_begin_at_once)
{
	enum { PROCESSES = 8, EACH = 5, ROUNDS = 4 };

	for (int round = 0; round < ROUNDS; round++) {
		char path[32];
		pid_t pid[PROCESSES];
		int gate[2], status;

		(void)snprintf(path, sizeof path, "state%d/runs.db", round);
		/* From nothing, or all upgrading the same. */
		if (round % 2 == 1) {
			struct err e = ERR_INIT;

			path[6] = '\0';
			cr_assert_eq(io_mkdirs(path, &e), 0);
			path[6] = '/';
			sql(path, VERSION_1);
		}
		cr_assert_eq(pipe(gate), 0);
		for (int i = 0; i < PROCESSES; i++)
			if ((pid[i] = fork()) == 0) {
				struct err e = ERR_INIT;
				struct rundb_run run = sample("knn", i);
				struct rundb *db;
				char id[RUNDB_ID], c;

				(void)close(gate[1]);
				(void)!read(gate[0], &c, 1);	/* end of file: all start together */
				for (int k = 0; k < EACH; k++) {
					db = rundb_open(path, RUNDB_WRITE, &e);
					if (db == NULL || rundb_add(db, &run, id, &e) < 0) {
						(void)fprintf(stderr, "%s\n", e.msg);
						_exit(1);
					}
					rundb_close(db);
				}
				_exit(0);
			}
		(void)close(gate[0]);
		(void)close(gate[1]);
		for (int i = 0; i < PROCESSES; i++) {
			cr_assert_eq(waitpid(pid[i], &status, 0), pid[i]);
			cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process %d failed", i);
		}
		cr_assert_eq(rows(path), PROCESSES * EACH + round % 2);
	}
}

static void
put(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	cr_assert_eq(io_write_file(path, text, strlen(text), 0644, &e), 0, "%s", e.msg);
}

#define SHA "0123456789abcdef0123456789abcdef01234567"
#define SHA2 "89abcdef0123456789abcdef0123456789abcdef"

Test(rundb, git_revision)
{
	struct err e = ERR_INIT;
	char rev[65];

	cr_assert_eq(gitrev_read(".", rev), false);
	cr_assert_eq(io_mkdirs("r/.git/refs/heads", &e), 0);
	cr_assert_eq(io_mkdirs("r/sub/deep", &e), 0);
	cr_assert_eq(gitrev_read("r", rev), false, "no HEAD");
	put("r/.git/HEAD", "ref: refs/heads/main\n");
	cr_assert_eq(gitrev_read("r", rev), false, "no commit yet");
	put("r/.git/packed-refs", "# pack-refs with: peeled\n" SHA2 " refs/heads/mainly\n" SHA2
	    " refs/heads/main\n^" SHA "\n");
	cr_assert(gitrev_read("r", rev));
	cr_assert_str_eq(rev, SHA2, "packed");
	put("r/.git/refs/heads/main", SHA "\n");
	cr_assert(gitrev_read("r/sub/deep", rev));
	cr_assert_str_eq(rev, SHA, "a loose reference beats a packed one");
	put("r/.git/HEAD", SHA2 "\n");
	cr_assert(gitrev_read("r/sub", rev));
	cr_assert_str_eq(rev, SHA2, "detached");
	/* A linked work tree: .git is a file, references are the main folder's. */
	cr_assert_eq(io_mkdirs("r/.git/worktrees/w", &e), 0);
	cr_assert_eq(io_mkdirs("w", &e), 0);
	put("w/.git", "gitdir: ../r/.git/worktrees/w\n");
	put("r/.git/worktrees/w/commondir", "../..\n");
	put("r/.git/worktrees/w/HEAD", "ref: refs/heads/main\n");
	cr_assert(gitrev_read("w", rev));
	cr_assert_str_eq(rev, SHA, "linked work tree");
	for (const char *const *bad = (const char *const[]){ "ref: ../../etc/passwd\n",
	    "ref: refs/../../../secret\n", "zz\n", "", "ref: \n", "0123\n", NULL }; *bad != NULL; bad++) {
		put("r/.git/HEAD", *bad);
		cr_assert_eq(gitrev_read("r", rev), false, "'%s'", *bad);
		cr_assert_str_eq(rev, "");
	}
}

static int
append(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	(void)e;
	buf_printf(ctx, "%s=%.*s%s;", name, (int)text.n, text.n > 0 ? text.p : "",
	    type == JREAD_STRING ? "$" : "");
	return 0;
}

Test(rundb, flat_names)
{
	static const struct { const char *json, *flat; } cases[] = {
		{ "{}", "" },
		{ "{\"a\":1,\"b\":{\"c\":\"x\\u0041\",\"d\":[true,null]}}", "a=1;b.c=xA$;b.d.0=true;b.d.1=null;" },
		{ "{\"gap\":{\"value\":2,\"ci95\":[1,3]},\"z\":0}", "gap.value=2;gap.lo=1;gap.hi=3;z=0;" },
		{ "{\"delta_ci95\":[1,3]}", "delta_ci95.lo=1;delta_ci95.hi=3;" },
		{ "{\"ci95\":[1,3]}", "ci95.lo=1;ci95.hi=3;" },
		{ "[[1],[2,{\"k\":3}]]", "0.0=1;1.0=2;1.1.k=3;" },
		{ "{\"a\":", NULL }, { "{\"a\":1}x", NULL }, { "", NULL },
	};
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = ERR_INIT;
		int r;

		buf_reset(&out);
		r = jflat_each(slice_str(cases[i].json), append, &out, &e);
		cr_assert_eq(r, cases[i].flat == NULL ? -1 : 0, "%s: %s", cases[i].json, e.msg);
		if (r == 0)
			cr_assert_str_eq(buf_cstr(&out), cases[i].flat, "%s", cases[i].json);
	}
	buf_finish(&out);
}
