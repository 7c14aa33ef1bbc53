#include "common/runlog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/gitrev.h"
#include "data/rundb.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "opt.h"
#include "table.h"
#include "common/track.h"

struct runlog {
	const char *command;
	char *kind, *params, *metrics, *artifact;
	char data[65], digest[65];	/* "" unknown */
	int64_t time_us, begun_ns;
};

static void
replace(char **to, const char *text)
{
	if (text == NULL)
		return;
	free(*to);
	*to = mem_strdup(text, NULL);
}

void
runlog_begin(struct ctx *c, const char *command, const char *kind)
{
	if (opt_flag(c, "no-runs") || c->run != NULL)
		return;
	c->run = mem_calloc(1, sizeof *c->run, NULL);
	if (c->run == NULL)
		return;
	c->run->command = command;
	c->run->time_us = clock_wall_us();
	c->run->begun_ns = clock_mono_ns();
	replace(&c->run->kind, kind);
}

void
runlog_note(struct ctx *c, const struct runlog_note *note)
{
	struct runlog *l = c->run;

	if (l == NULL)
		return;
	replace(&l->kind, note->kind);
	replace(&l->params, note->params);
	replace(&l->metrics, note->metrics);
	replace(&l->artifact, note->artifact);
	if (note->data != NULL)
		hex_format(note->data, 32, l->data);
	if (note->digest != NULL)
		hex_format(note->digest, 32, l->digest);
}

void
runlog_eval(struct ctx *c, const struct tensorfile *artifact, const uint8_t data[32],
	const struct buf *metrics)
{
	struct slice kind = tensorfile_meta(artifact, "llmr.kind");
	char *name;
	uint8_t digest[32];

	if (c->run == NULL || metrics->failed)
		return;
	tensorfile_digest(artifact, digest);
	name = mem_dup(kind.n > 0 ? kind.p : "", kind.n, NULL);
	runlog_note(c, &(struct runlog_note){ .kind = name, .metrics = buf_cstr(metrics), .data = data,
		.artifact = opt_str(c, "model"), .digest = digest });
	free(name);
}

static bool
is_global(const struct opt *o)
{
	for (const struct opt *g = global_opts; g->l != NULL; g++)
		if (g == o)
			return true;
	return strcmp(o->l, "no-runs") == 0 || strcmp(o->l, "output") == 0;
}

static void
put_value(struct jsonw *w, const struct opt *o, const char *text)
{
	double v;

	if ((o->type == OPT_INT || o->type == OPT_NUM) && slice_double(slice_str(text), &v))
		jsonw_double(w, v);
	else if (o->type == OPT_FLAG)
		jsonw_bool(w, true);
	else
		jsonw_string(w, text);
}

/* The command's own options, given or by default. */
static void
put_options(const struct ctx *c, struct jsonw *w)
{
	jsonw_object(w);
	for (size_t i = 0; i < c->opts->n; i++) {
		const struct opt_value *v = &c->opts->values[i];

		if (v->n == 0 || is_global(v->opt))
			continue;
		jsonw_key(w, v->opt->l);
		if (v->opt->many && v->opt->type != OPT_FLAG)
			jsonw_array(w);
		for (size_t k = 0; k < (v->opt->many ? v->n : 1); k++)
			put_value(w, v->opt, v->v[v->opt->many ? k : v->n - 1]);
		if (v->opt->many && v->opt->type != OPT_FLAG)
			jsonw_end_array(w);
	}
	jsonw_end_object(w);
}

/* Hyperparameters as noted, then the options under the command's name: {"n_neighbors":200,"train":{...}}. */
static void
write_params(const struct ctx *c, const struct runlog *l, struct buf *out)
{
	struct jsonw w;
	struct jread r;
	struct slice key, raw;

	jsonw_init(&w, out);
	jsonw_object(&w);
	if (l->params != NULL) {
		jread_init(&r, l->params, strlen(l->params));
		if (jread_object(&r))
			while (jread_member(&r, &key) && jread_skip_raw(&r, &raw)) {
				jsonw_key_n(&w, key.p, key.n);
				jsonw_raw(&w, raw.p, raw.n);
			}
	}
	jsonw_key(&w, l->command);
	put_options(c, &w);
	jsonw_end_object(&w);
}

int
runlog_path(struct ctx *c, struct buf *out)
{
	const char *dir = opt_str(c, "state-dir"), *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (dir != NULL)
		buf_printf(out, "%s/runs.db", dir);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(out, "%s/llmr/runs.db", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(out, "%s/.local/state/llmr/runs.db", home);
	else
		return err_set(&c->err, ERR_CONFIG, "no folder for the runs database: set HOME, "
		    "XDG_STATE_HOME or --state-dir");
	return buf_ok(out, &c->err);
}

static const char *
none_if_empty(const char *s)
{
	return s == NULL || s[0] == '\0' ? NULL : s;
}

/* Locally first: that is quick and sure. */
static void
store(struct ctx *c, struct rundb_run *run)
{
	char id[RUNDB_ID] = "";
	struct buf path = BUF_INIT;
	struct rundb *db = NULL;
	char mlflow_run[MLFLOW_ID] = "";
	int r = -1;

	if (runlog_path(c, &path) == 0 &&
	    (db = rundb_open(buf_cstr(&path), RUNDB_WRITE, &c->err)) != NULL)
		r = rundb_add(db, run, id, &c->err);
	if (r == 0)
		log_info(&c->log, "recorded as run %s", id);
	else
		log_warn(&c->log, "this run was not recorded: %s", c->err.msg);
	run->id = id;
	/* Who interrupts wants an end, not a conversation. */
	if (strcmp(run->status, "killed") != 0 && track_run(c, run, mlflow_run) < 0)
		log_warn(&c->log, "this run was not logged to MLflow: %s", c->err.msg);
	if (r == 0 && mlflow_run[0] != '\0' &&
	    rundb_set_mlflow(db, id, mlflow_run, &c->err) < 0)
		log_warn(&c->log, "run %s: %s", id, c->err.msg);
	rundb_close(db);
	buf_finish(&path);
}

static void
release(struct ctx *c)
{
	struct runlog *l = c->run;

	c->run = NULL;
	free(l->kind);
	free(l->params);
	free(l->metrics);
	free(l->artifact);
	free(l);
}

static bool
is_run(const struct ctx *c, int result)
{
	return result == 0 || (c->err.code != ERR_USAGE && c->err.code != ERR_CONFIG &&
	    c->err.code != ERR_NOINPUT);
}

void
runlog_end(struct ctx *c, int result)
{
	const struct err outcome = c->err;
	const bool done = result == 0 || c->err.code == ERR_NO;
	struct runlog *l = c->run;
	struct rundb_run run = { 0 };
	struct buf params = BUF_INIT;
	char git[65], host[256] = "";

	if (l == NULL)
		return;
	if (!is_run(c, result)) {
		release(c);
		return;
	}
	write_params(c, l, &params);
	(void)gethostname(host, sizeof host - 1);
	run = (struct rundb_run){ .time_us = l->time_us,
		.seconds = (double)((clock_mono_ns() - l->begun_ns) / 1000) / 1e6,
		.command = l->command, .kind = l->kind,
		.status = done ? "finished" : c->err.code == ERR_INTR ? "killed" : "failed",
		.error = done ? NULL : outcome.msg, .params = buf_cstr(&params), .metrics = l->metrics,
		.data_digest = none_if_empty(l->data), .artifact = l->artifact,
		.artifact_digest = none_if_empty(l->digest),
		.git = gitrev_read(".", git) ? git : NULL, .host = none_if_empty(host),
		.version = LLMR_VERSION };
	store(c, &run);
	c->err = outcome;
	buf_finish(&params);
	release(c);
}
