/* llmr runs - the recorded trainings and evaluations. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"
#include "cmd.h"
#include "data/rundb.h"
#include "fmt/jflat.h"
#include "fmt/jsonw.h"
#include "common/runlog.h"

#define LIST_LIMIT 20
#define MAX_COMPARED 16

/* ---- rows as JSON ---- */

static void
put_json(struct jsonw *w, const char *key, const char *json)
{
	jsonw_key(w, key);
	if (json == NULL || json[0] == '\0')
		jsonw_null(w);
	else
		jsonw_raw(w, json, strlen(json));
}

static void
put_run(struct jsonw *w, const struct rundb_run *run)
{
	char when[28];

	str_iso8601(run->time_us, when);
	jsonw_object(w);
	jsonw_kstr(w, "id", run->id);
	jsonw_kstr(w, "time", when);
	jsonw_kdouble(w, "seconds", run->seconds);
	jsonw_kstr(w, "command", run->command);
	jsonw_kstr(w, "kind", run->kind);
	jsonw_kstr(w, "status", run->status);
	jsonw_kstr(w, "error", run->error);
	put_json(w, "params", run->params);
	put_json(w, "metrics", run->metrics);
	jsonw_kstr(w, "data_digest", run->data_digest);
	jsonw_kstr(w, "artifact", run->artifact);
	jsonw_kstr(w, "artifact_digest", run->artifact_digest);
	jsonw_kstr(w, "git", run->git);
	jsonw_kstr(w, "host", run->host);
	jsonw_kstr(w, "version", run->version);
	jsonw_kstr(w, "mlflow_run", run->mlflow_run);
	jsonw_end_object(w);
}

static int
json_line(void *ctx, const struct rundb_run *run, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	int r;

	(void)ctx;
	jsonw_init(&w, &b);
	put_run(&w, run);
	buf_byte(&b, '\n');
	r = buf_ok(&b, e);
	if (r == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	return r;
}

/* ---- flattened: an ordered table of name and text ---- */

struct flat {
	struct map names;	/* "params.k", in order of first appearance */
	struct map values;	/* interned texts */
	size_t *value;		/* [columns x names] index into values, MAP_NONE absent */
	size_t cap, columns, column;
	const char *prefix;
	char ids[MAX_COMPARED][RUNDB_ID];
};

static int
flat_put(struct flat *f, const char *name, struct slice text, struct err *e)
{
	size_t i = map_intern(&f->names, name, strlen(name), NULL, e), v;

	if (i == MAP_NONE || (v = map_intern(&f->values, text.n > 0 ? text.p : "", text.n, NULL,
	    e)) == MAP_NONE)
		return -1;
	while (f->cap < f->names.len) {
		size_t more = f->cap == 0 ? 64 : 2 * f->cap;
		size_t *p = mem_realloc(f->value, more * f->columns, sizeof *p, e);

		if (p == NULL)
			return -1;
		for (size_t k = f->cap * f->columns; k < more * f->columns; k++)
			p[k] = MAP_NONE;
		f->value = p;
		f->cap = more;
	}
	f->value[i * f->columns + f->column] = v;
	return 0;
}

static int
flat_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct flat *f = ctx;
	struct buf full = BUF_INIT;
	int r;

	if (type == JREAD_NULL)
		return 0;
	buf_printf(&full, "%s.%s", f->prefix, name);
	r = buf_ok(&full, e) < 0 ? -1 : flat_put(f, buf_cstr(&full), text, e);
	buf_finish(&full);
	return r;
}

static int
flat_json(struct flat *f, const char *prefix, const char *json, struct err *e)
{
	if (json == NULL || json[0] == '\0')
		return 0;
	f->prefix = prefix;
	return jflat_each(slice_str(json), flat_leaf, f, e);
}

/* One run into column f->column. */
static int
flat_run(struct flat *f, const struct rundb_run *run, struct err *e)
{
	char when[28], seconds[32];
	const struct { const char *name, *text; } facts[] = { { "id", run->id }, { "time", when },
		{ "seconds", seconds }, { "command", run->command }, { "kind", run->kind },
		{ "status", run->status }, { "error", run->error },
		{ "data_digest", run->data_digest }, { "artifact", run->artifact },
		{ "artifact_digest", run->artifact_digest }, { "git", run->git },
		{ "host", run->host }, { "version", run->version },
		{ "mlflow_run", run->mlflow_run } };

	str_iso8601(run->time_us, when);
	(void)snprintf(seconds, sizeof seconds, "%.3f", run->seconds);
	for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
		if (facts[i].text != NULL && flat_put(f, facts[i].name, slice_str(facts[i].text), e) < 0)
			return -1;
	if (flat_json(f, "params", run->params, e) < 0 || flat_json(f, "metrics", run->metrics, e) < 0)
		return err_wrap(e, "run %s", run->id);
	return 0;
}

static void
flat_finish(struct flat *f)
{
	map_finish(&f->names);
	map_finish(&f->values);
	free(f->value);
}

/* Text of a cell, NULL when absent. */
static const char *
flat_at(const struct flat *f, size_t name, size_t column)
{
	size_t v = f->value[name * f->columns + column];

	return v == MAP_NONE ? NULL : f->values.keys[v];
}

/* Stored text for a terminal: control bytes must not move its cursor. */
static void
put_plain(struct buf *b, const char *text)
{
	for (; *text != '\0'; text++)
		buf_byte(b, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

/* ---- list ---- */

struct listing {
	struct ctx *c;
	size_t n;
	struct buf json;
	struct jsonw w;
};

struct figures {
	const char *const *score, *const *best;	/* names in order of preference */
	size_t score_rank, best_rank;
	double score_value, best_value;
};

static void
prefer(const char *const *names, const char *name, struct slice text, size_t *rank, double *value)
{
	for (size_t i = 0; names[i] != NULL && i < *rank; i++)
		if (strcmp(names[i], name) == 0 && slice_double(text, value))
			*rank = i;
}

static int
figure_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct figures *f = ctx;

	(void)e;
	if (type == JREAD_NUMBER) {
		prefer(f->score, name, text, &f->score_rank, &f->score_value);
		prefer(f->best, name, text, &f->best_rank, &f->best_value);
	}
	return 0;
}

static void
put_figure(size_t rank, double value)
{
	if (rank == SIZE_MAX)
		out_printf(" %7s", "-");
	else
		out_printf(" %7.4f", value);
}

static int
list_row(void *ctx, const struct rundb_run *run, struct err *e)
{
	static const char *const score[] = { "router.score", "cv.score", "loo.score", NULL };
	static const char *const best[] = { "best_single.score", "cv.best_single", "loo.best_single",
		"baselines.best_single.score", NULL };
	struct figures f = { score, best, SIZE_MAX, SIZE_MAX, NAN, NAN };
	struct listing *l = ctx;
	struct buf kind = BUF_INIT;
	char when[28];

	if (l->n++ == 0 && !l->c->json)
		out_printf("%-16s %-19s %-7s %-7s %9s %7s %7s  %s\n", "id", "time (UTC)", "command",
		    "kind", "seconds", "score", "single", "status");
	if (l->c->json) {
		put_run(&l->w, run);
		return buf_ok(&l->json, e);
	}
	if (run->metrics != NULL && jflat_each(slice_str(run->metrics), figure_leaf, &f, e) < 0)
		return err_wrap(e, "run %s: metrics", run->id);
	str_iso8601(run->time_us, when);
	when[10] = ' ';
	put_plain(&kind, run->kind == NULL ? "-" : run->kind);
	out_printf("%-16s %.19s %-7s %-7s %9.3f", run->id, when, run->command, buf_cstr(&kind),
	    run->seconds);
	put_figure(f.score_rank, f.score_value);
	put_figure(f.best_rank, f.best_value);
	out_printf("  %s\n", run->status);
	buf_finish(&kind);
	return 0;
}

static struct rundb_query
query(struct ctx *c, size_t limit)
{
	return (struct rundb_query){ .kind = opt_str(c, "kind"), .command = opt_str(c, "command"),
		.limit = opt_given(c, "limit") ? (size_t)opt_int(c, "limit") : limit };
}

static int
list(struct ctx *c, struct rundb *db)
{
	const struct rundb_query q = query(c, LIST_LIMIT);
	struct listing l = { .c = c, .json = BUF_INIT };
	int r = 0;

	jsonw_init(&l.w, &l.json);
	jsonw_object(&l.w);
	jsonw_key(&l.w, "runs");
	jsonw_array(&l.w);
	if (db != NULL)
		r = rundb_each(db, &q, list_row, &l, &c->err);
	jsonw_end_array(&l.w);
	jsonw_end_object(&l.w);
	if (r == 0 && c->json) {
		buf_byte(&l.json, '\n');
		out_write(l.json.p, l.json.len);
	}
	if (r == 0 && l.n == 0)
		say(c, "no runs recorded");
	buf_finish(&l.json);
	return r;
}

/* ---- show and compare ---- */

static int
take_column(void *ctx, const struct rundb_run *run, struct err *e)
{
	struct flat *f = ctx;

	(void)snprintf(f->ids[f->column], RUNDB_ID, "%s", run->id);
	if (flat_run(f, run, e) < 0)
		return -1;
	f->column++;
	return 0;
}

static int
load_columns(struct ctx *c, struct rundb *db, struct flat *f)
{
	f->columns = c->n_args - 1;
	for (size_t i = 1; i < c->n_args; i++)
		if (rundb_find(db, c->args[i], take_column, f, &c->err) < 0)
			return -1;
	return 0;
}

static bool
differs(const struct flat *f, size_t name)
{
	for (size_t k = 1; k < f->columns; k++)
		if (f->value[name * f->columns + k] != f->value[name * f->columns])
			return true;
	return false;
}

/* Side by side there is room for the begin of a digest only. */
static void
put_cell(struct buf *b, const struct flat *f, const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text), at = b->len;

	buf_str(b, "  ");
	put_plain(b, text == NULL ? "-" : text);
	if (f->columns > 1 && n >= 40 && strspn(text, "0123456789abcdef") == n && !b->failed)
		b->len -= n - 12;
	while (f->columns > 1 && b->len < at + 22 && !b->failed)
		buf_byte(b, ' ');
}

static void
put_line(struct buf *b, const struct flat *f, size_t name, size_t wide)
{
	buf_byte(b, differs(f, name) ? '*' : ' ');
	buf_byte(b, ' ');
	put_plain(b, f->names.keys[name]);
	for (size_t n = f->names.key_len[name]; n < wide; n++)
		buf_byte(b, ' ');
	for (size_t k = 0; k < f->columns; k++)
		put_cell(b, f, flat_at(f, name, k));
	while (b->len > 0 && b->p[b->len - 1] == ' ')
		b->len--;
	buf_byte(b, '\n');
}

/* 0 facts, 1 parameters, 2 metrics. */
static int
group_of(const char *name)
{
	return strncmp(name, "params.", 7) == 0 ? 1 : strncmp(name, "metrics.", 8) == 0 ? 2 : 0;
}

/* One line a name: the value in each run; '*' marks what differs. */
static int
print_table(const struct flat *f, struct err *e)
{
	struct buf b = BUF_INIT;
	size_t wide = 0;
	int r;

	for (size_t i = 0; i < f->names.len; i++)
		wide = f->names.key_len[i] > wide ? f->names.key_len[i] : wide;
	for (int g = 0; g < 3; g++)
		for (size_t i = 0; i < f->names.len; i++)
			if (group_of(f->names.keys[i]) == g)
				put_line(&b, f, i, wide);
	r = buf_ok(&b, e);
	if (r == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	return r;
}

/* {"runs":[id ...],"values":{name:[text ...]},"differs":[name ...]} */
static int
print_comparison(const struct flat *f, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	int r;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_key(&w, "runs");
	jsonw_array(&w);
	for (size_t k = 0; k < f->columns; k++)
		jsonw_string(&w, f->ids[k]);
	jsonw_end_array(&w);
	jsonw_key(&w, "values");
	jsonw_object(&w);
	for (size_t i = 0; i < f->names.len; i++) {
		jsonw_key(&w, f->names.keys[i]);
		jsonw_array(&w);
		for (size_t k = 0; k < f->columns; k++)
			jsonw_string(&w, flat_at(f, i, k));
		jsonw_end_array(&w);
	}
	jsonw_end_object(&w);
	jsonw_key(&w, "differs");
	jsonw_array(&w);
	for (size_t i = 0; i < f->names.len; i++)
		if (differs(f, i))
			jsonw_string(&w, f->names.keys[i]);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	r = buf_ok(&b, e);
	if (r == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	return r;
}

static int
show(struct ctx *c, struct rundb *db)
{
	struct flat f = { 0 };
	int r = -1;

	if (c->n_args != 2)
		return err_set(&c->err, ERR_USAGE, "usage: llmr runs show ID");
	if (c->json)
		return rundb_find(db, c->args[1], json_line, NULL, &c->err);
	if (load_columns(c, db, &f) == 0)
		r = print_table(&f, &c->err);
	flat_finish(&f);
	return r;
}

static int
compare(struct ctx *c, struct rundb *db)
{
	struct flat f = { 0 };
	int r = -1;

	if (c->n_args < 3 || c->n_args - 1 > MAX_COMPARED)
		return err_set(&c->err, ERR_USAGE, "usage: llmr runs compare ID ID ... (2 to %d runs)",
		    MAX_COMPARED);
	if (load_columns(c, db, &f) == 0)
		r = c->json ? print_comparison(&f, &c->err) : print_table(&f, &c->err);
	flat_finish(&f);
	return r;
}

/* ---- export ---- */

/* RFC 4180: quoted where it must be. */
static void
put_csv(struct buf *b, const char *text)
{
	if (text == NULL)
		return;
	if (strpbrk(text, ",\"\r\n") == NULL) {
		buf_str(b, text);
		return;
	}
	buf_byte(b, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			buf_byte(b, '"');
		buf_byte(b, *text);
	}
	buf_byte(b, '"');
}

static int
collect_names(void *ctx, const struct rundb_run *run, struct err *e)
{
	return flat_run(ctx, run, e);
}

static int
csv_row(void *ctx, const struct rundb_run *run, struct err *e)
{
	struct flat *f = ctx;
	struct buf b = BUF_INIT;
	int r;

	for (size_t i = 0; i < f->cap * f->columns; i++)
		f->value[i] = MAP_NONE;
	r = flat_run(f, run, e);
	for (size_t i = 0; r == 0 && i < f->names.len; i++) {
		buf_str(&b, i > 0 ? "," : "");
		put_csv(&b, flat_at(f, i, 0));
	}
	buf_str(&b, "\r\n");
	if (r == 0 && (r = buf_ok(&b, e)) == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	return r;
}

/* Columns are the union of all names, so the rows are read twice, of one moment. */
static int
export_csv(struct ctx *c, struct rundb *db, const struct rundb_query *q)
{
	struct flat f = { .columns = 1 };
	struct buf head = BUF_INIT;
	int r = rundb_each(db, q, collect_names, &f, &c->err);

	if (r < 0)
		goto out;
	for (size_t i = 0; i < f.names.len; i++) {
		buf_str(&head, i > 0 ? "," : "");
		put_csv(&head, f.names.keys[i]);
	}
	buf_str(&head, "\r\n");
	out_write(head.p, head.len);
	r = rundb_each(db, q, csv_row, &f, &c->err);
out:
	buf_finish(&head);
	flat_finish(&f);
	return r;
}

static int
export_runs(struct ctx *c, struct rundb *db)
{
	const struct rundb_query q = query(c, 0);

	if (strcmp(opt_str(c, "format"), "csv") == 0)
		return export_csv(c, db, &q);
	return rundb_each(db, &q, json_line, NULL, &c->err);
}

static int
act(struct ctx *c, struct rundb *db)
{
	const char *what = c->args[0];

	if (strcmp(what, "show") == 0)
		return show(c, db);
	if (strcmp(what, "compare") == 0)
		return compare(c, db);
	if (c->n_args > 1)
		return err_set(&c->err, ERR_USAGE, "unexpected operand '%s'", c->args[1]);
	return strcmp(what, "list") == 0 ? list(c, db) : export_runs(c, db);
}

int
cmd_runs(struct ctx *c)
{
	const char *what = c->args[0];
	struct buf path = BUF_INIT;
	struct rundb *db = NULL;
	int r = -1;

	if (strcmp(what, "list") != 0 && strcmp(what, "show") != 0 && strcmp(what, "compare") != 0 &&
	    strcmp(what, "export") != 0)
		return err_set(&c->err, ERR_USAGE, "'%s' is not list, show, compare or export", what);
	if (runlog_path(c, &path) < 0)
		goto out;
	db = rundb_open(buf_cstr(&path), RUNDB_READ, &c->err);
	/* Nothing was recorded yet: an empty list. */
	if (db == NULL && c->err.code == ERR_NOINPUT && c->err.sys == ENOENT &&
	    strcmp(what, "list") == 0 && c->n_args == 1) {
		c->err = (struct err)ERR_INIT;
		r = list(c, NULL);
	} else if (db != NULL)
		r = act(c, db);
out:
	rundb_close(db);
	buf_finish(&path);
	return r;
}
