/* llmr eval - judge a router against the baselines on records with known scores. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "cmd.h"
#include "common/evaloff.h"
#include "common/evalout.h"
#include "fmt/hash.h"
#include "common/limits.h"
#include "common/load.h"
#include "model/artifact.h"
#include "model/evaluation.h"
#include "model/gate.h"
#include "model/predict.h"
#include "model/report.h"
#include "common/runlog.h"

#define NAMED_LEAKS 5
#define NAMED_MODELS 5

struct judging {
	struct router *router;
	struct dataset *all, *data;	/* data: without leaks; may be the same as all */
	size_t leaks;
	float *score, *cost;		/* [n x m] in the router's order of models */
	bool *candidate;		/* [m] */
	size_t candidates;
	size_t *best;			/* [n] best single in each row */
	size_t best_single, cheapest;
	size_t weak, strong;		/* POLICY_NONE: no pair */
	struct limits limits;
	size_t unmet;			/* queries for which no model meets the limits */
	struct predict predict;
	struct router *other;		/* of --against */
	float *other_score, *other_cost;	/* [n] true outcome of its choices, NaN = unknown; one block */
	struct gate *gate;
	struct evaluation evaluation;
};

/* Leave out what the router was trained on, and say so. */
static int
drop_leaks(struct ctx *c, struct judging *j)
{
	size_t *rows = mem_calloc(j->all->n, sizeof *rows, &c->err), kept = 0;

	if (rows == NULL)
		return -1;
	for (size_t i = 0; i < j->all->n; i++) {
		if (!router_knows(j->router, j->all->query_id[i]) &&
		    (j->other == NULL || !router_knows(j->other, j->all->query_id[i]))) {
			rows[kept++] = i;
			continue;
		}
		if (j->leaks++ < NAMED_LEAKS)
			log_warn(&c->log, "query %s occurs in training", j->all->query_id[i]);
	}
	j->data = j->all;
	if (j->leaks > 0 && !opt_flag(c, "allow-leaks")) {
		log_warn(&c->log, "%zu of %zu queries occur in training and were dropped",
		    j->leaks, j->all->n);
		j->data = kept == 0 ? NULL : dataset_subset(j->all, rows, kept, &c->err);
		if (kept == 0)
			err_set(&c->err, ERR_INPUT, "every query occurs in training: nothing "
			    "is left to judge on");
	} else if (j->leaks > 0) {
		log_warn(&c->log, "%zu of %zu queries occur in training; kept: the outcome is "
		    "too good", j->leaks, j->all->n);
		j->leaks = 0;
	}
	free(rows);
	return j->data == NULL ? -1 : 0;
}

static int
allocate(struct judging *j, struct err *e)
{
	size_t n = j->data->n, m = j->router->models.len, cells;

	if (!mem_mul(n, m, &cells))
		return err_nomem(e);
	j->score = mem_calloc(cells, sizeof *j->score, e);
	j->cost = mem_calloc(cells, sizeof *j->cost, e);
	j->candidate = mem_calloc(m, sizeof *j->candidate, e);
	j->best = mem_calloc(n, sizeof *j->best, e);
	return j->score == NULL || j->cost == NULL || j->candidate == NULL || j->best == NULL ?
	    -1 : 0;
}

/* One warning for a list of models, the first few by name. */
static void
warn_models(struct ctx *c, const struct buf *names, size_t n, const char *what)
{
	if (n > 0)
		log_warn(&c->log, "%zu model%s %s:%s", n, n == 1 ? "" : "s", what, buf_cstr(names));
}

static void
note_model(struct buf *names, size_t *n, const char *name)
{
	if ((*n)++ < NAMED_MODELS)
		buf_printf(names, "%s %s", *n == 1 ? "" : ",", name);
	else if (*n == NAMED_MODELS + 1)
		buf_str(names, ", ...");
}

/* Models on one side only are named. */
static void
compare_models(struct ctx *c, const struct judging *j)
{
	const struct router *r = j->router;
	const struct dataset *ds = j->data;
	struct buf names = BUF_INIT;
	size_t n = 0;

	for (size_t k = 0; k < ds->m; k++)
		if (map_find(&r->models, ds->models.keys[k], ds->models.key_len[k]) == MAP_NONE)
			note_model(&names, &n, ds->models.keys[k]);
	warn_models(c, &names, n, "of the data unknown to the router, left out");
	buf_reset(&names);
	n = 0;
	for (size_t k = 0; k < r->models.len; k++)
		if (!j->candidate[k])
			note_model(&names, &n, r->models.keys[k]);
	warn_models(c, &names, n, "of the router without a score in the data, not chosen");
	buf_finish(&names);
}

/* The data's matrices in the router's order of models. */
static int
match_models(struct ctx *c, struct judging *j)
{
	const struct router *r = j->router;
	const struct dataset *ds = j->data;
	size_t m = r->models.len;

	for (size_t k = 0; k < m; k++) {
		size_t from = map_find(&ds->models, r->models.keys[k], r->models.key_len[k]);

		for (size_t i = 0; i < ds->n; i++) {
			j->score[i * m + k] = from == MAP_NONE ? NAN : ds->score[i * ds->m + from];
			j->cost[i * m + k] = from == MAP_NONE ? NAN : ds->cost[i * ds->m + from];
			j->candidate[k] = j->candidate[k] || !isnan(j->score[i * m + k]);
		}
		j->candidates += j->candidate[k];
	}
	if (j->candidates == 0)
		return err_set(&c->err, ERR_INPUT, "no model of the router occurs in the data");
	compare_models(c, j);
	j->candidates = 0;
	for (size_t k = 0; k < m; k++) {
		j->candidate[k] = j->candidate[k] && (j->limits.allowed == NULL || j->limits.allowed[k]);
		j->candidates += j->candidate[k];
	}
	return j->candidates > 0 ? 0 : err_set(&c->err, ERR_INPUT,
	    "no model of the data is a candidate with the capabilities required");
}

/* Best single and cheapest as the training data had them, among the candidates. */
static void
find_baselines(struct ctx *c, struct judging *j)
{
	const struct router *r = j->router;

	j->best_single = r->best_single;
	if (!j->candidate[r->best_single]) {
		j->best_single = POLICY_NONE;
		for (size_t k = 0; k < r->models.len; k++)
			if (j->candidate[k] && (j->best_single == POLICY_NONE ||
			    r->score_mean[k] > r->score_mean[j->best_single]))
				j->best_single = k;
		log_warn(&c->log, "best single of training is not in the data; '%s' stands for it",
		    r->models.keys[j->best_single]);
	}
	j->cheapest = r->cheapest != POLICY_NONE && j->candidate[r->cheapest] ? r->cheapest :
	    POLICY_NONE;
	for (size_t i = 0; i < j->data->n; i++)
		j->best[i] = j->best_single;
}

/* A model of the router by the name that an option gives; POLICY_NONE and ctx->err when there is none. */
static size_t
named_model(struct ctx *c, const struct judging *j, const char *option)
{
	const char *name = opt_str(c, option);
	size_t k = map_find(&j->router->models, name, strlen(name));

	if (k != MAP_NONE && j->candidate[k])
		return k;
	err_set(&c->err, ERR_USAGE, "--%s: '%s' is not a model of %s", option, name,
	    k == MAP_NONE ? "the router" : "the data");
	return POLICY_NONE;
}

/* Of two models the one that scored higher in training is the strong one, unless options say. */
static int
find_pair(struct ctx *c, struct judging *j)
{
	const float *mean = j->router->score_mean;
	size_t two[2] = { POLICY_NONE, POLICY_NONE }, n = 0;
	bool weak = opt_given(c, "weak"), strong = opt_given(c, "strong");
	const struct policy_mode *mode = &j->limits.policy.mode;

	j->weak = j->strong = POLICY_NONE;
	for (size_t k = 0; k < j->router->models.len; k++)
		if (j->candidate[k] && n++ < 2)
			two[n - 1] = k;
	if (weak != strong && n != 2)
		return err_set(&c->err, ERR_USAGE, "--weak and --strong go together: "
		    "there are %zu models", n);
	if (mode->pair) {
		if (!j->candidate[mode->weak] || !j->candidate[mode->strong])
			return err_set(&c->err, ERR_INPUT, "'%s' has no score in the data, but the router "
			    "chooses between it and another", j->router->models.keys[
			    j->candidate[mode->weak] ? mode->strong : mode->weak]);
		j->weak = mode->weak;
		j->strong = mode->strong;
		return 0;
	}
	if (!weak && !strong && n != 2)
		return 0;
	if (weak && (j->weak = named_model(c, j, "weak")) == POLICY_NONE)
		return -1;
	if (strong && (j->strong = named_model(c, j, "strong")) == POLICY_NONE)
		return -1;
	if (!weak && !strong)
		j->strong = mean[two[1]] > mean[two[0]] ? two[1] : two[0];
	if (j->strong == POLICY_NONE)
		j->strong = j->weak == two[0] ? two[1] : two[0];
	if (j->weak == POLICY_NONE)
		j->weak = j->strong == two[0] ? two[1] : two[0];
	if (j->weak == j->strong)
		return err_set(&c->err, ERR_USAGE, "--weak and --strong name the same model");
	return 0;
}

static bool
has_model(const struct dataset *ds, size_t k)
{
	for (size_t i = 0; i < ds->n; i++)
		if (!isnan(ds->score[i * ds->m + k]))
			return true;
	return false;
}

/* What the other router's choices came to, from the data's own matrices. */
static int
judge_other(struct ctx *c, struct judging *j, struct policy policy, struct pool *pool)
{
	const struct dataset *ds = j->data;
	const struct map *models = &j->other->models;
	size_t n = ds->n, m = models->len;
	bool *allowed = mem_calloc(m, sizeof *allowed, &c->err);
	size_t *column = mem_calloc(m, sizeof *column, &c->err);
	struct predict p = { 0 };
	int r = -1;

	j->other_score = mem_calloc(n, 2 * sizeof *j->other_score, &c->err);
	if (allowed == NULL || column == NULL || j->other_score == NULL)
		goto out;
	j->other_cost = j->other_score + n;
	for (size_t k = 0; k < m; k++) {
		column[k] = map_find(&ds->models, models->keys[k], models->key_len[k]);
		allowed[k] = column[k] != MAP_NONE && has_model(ds, column[k]);
	}
	/* What is left out for one is left out for the other; each chooses as it was trained to. */
	for (size_t k = 0; k < m; k++) {
		size_t at = map_find(&j->router->models, models->keys[k], models->key_len[k]);

		allowed[k] = allowed[k] && (at == MAP_NONE || j->candidate[at]);
	}
	policy.allowed = allowed;
	policy.prior = NULL;
	policy.mode = j->other->mode;
	if (predict_run(j->other, &policy, ds->query, n, pool, &p, &c->err) < 0)
		goto out;
	for (size_t i = 0; i < n; i++) {
		size_t at = p.choice[i] == POLICY_NONE ? 0 : i * ds->m + column[p.choice[i]];

		j->other_score[i] = p.choice[i] == POLICY_NONE ? NAN : ds->score[at];
		j->other_cost[i] = p.choice[i] == POLICY_NONE ? NAN : ds->cost[at];
	}
	r = 0;
out:
	predict_finish(&p);
	free(allowed);
	free(column);
	return r;
}

static int
judge(struct ctx *c, struct judging *j)
{
	struct policy policy = j->limits.policy;
	struct pool *pool = pool_new(c->threads, &c->err);
	struct evaluation_input x = { .in = { .n = j->data->n, .m = j->router->models.len,
		.score = j->score, .cost = j->cost, .candidate = j->candidate, .best = j->best,
		.cheapest = j->cheapest, .min_full = (size_t)opt_int(c, "min-full"),
		.draws = (size_t)opt_int(c, "bootstrap"), .seed = (uint64_t)opt_int(c, "seed") },
		.prior = j->router->score_mean, .task = j->data->task, .tasks = &j->data->tasks,
		.weak = j->weak, .strong = j->strong };
	int r = -1;

	if (pool == NULL)
		return -1;
	policy.allowed = j->candidate;
	if (predict_run(j->router, &policy, j->data->query, j->data->n, pool, &j->predict,
	    &c->err) < 0 || (j->other != NULL && judge_other(c, j, policy, pool) < 0))
		goto out;
	for (size_t i = 0; i < j->data->n; i++)
		j->unmet += j->predict.choice[i] == POLICY_NONE;
	x.in.choice = j->predict.choice;
	x.predicted = j->predict.score;
	x.expected = j->predict.cost;
	x.time_us = j->predict.time_us;
	x.other_score = j->other_score;
	x.other_cost = j->other_cost;
	r = evaluation_run(&x, pool, &j->evaluation, &c->err);
out:
	pool_free(pool);
	return r;
}

static void
finish(struct judging *j)
{
	if (j->data != j->all)
		dataset_free(j->data);
	dataset_free(j->all);
	router_free(j->router);
	free(j->score);
	free(j->cost);
	free(j->candidate);
	free(j->best);
	free(j->other_score);
	limits_finish(&j->limits);
	predict_finish(&j->predict);
	router_free(j->other);
	gate_free(j->gate);
	evaluation_finish(&j->evaluation);
}

/* What can be wrong on the command line is found before the work. */
static int
prepare(struct ctx *c, struct judging *j)
{
	const char *gate = opt_str(c, "gate"), *against = opt_str(c, "against");
	const char *report = opt_str(c, "report");
	struct io_out probe = { .fd = -1 };

	if (gate != NULL && (j->gate = gate_parse(gate, &c->err)) == NULL)
		return -1;
	if (report != NULL && strcmp(report, "-") == 0)
		return err_set(&c->err, ERR_USAGE, "a report is a file: give --report FILE.html");
	if (report != NULL && io_out_open(&probe, report, 0644, &c->err) < 0)
		return -1;
	io_out_abort(&probe);
	runlog_begin(c, "eval", NULL);
	j->router = load_router(c);
	if (j->router == NULL)
		return -1;
	if (limits_read(c, j->router, false, &j->limits) < 0)
		return -1;
	if (against != NULL && (j->other = load_artifact(c, against, j->router->encoder)) == NULL)
		return -1;
	return 0;
}

static void
warn_outcome(struct ctx *c, const struct judging *j)
{
	const struct evaluation *v = &j->evaluation;
	const char *const *name = j->router->models.keys;

	if (j->unmet > 0)
		log_warn(&c->log, "%zu of %zu queries are left out: no model meets the limits", j->unmet,
		    j->data->n);
	if (!v->result.compared) {
		log_warn(&c->log, "%zu queries have every model's score, fewer than %lld "
		    "(--min-full): nothing can be compared; --off-policy judges on logged calls",
		    v->result.full, opt_int(c, "min-full"));
		return;
	}
	if (!(v->result.delta.value > 0))
		log_warn(&c->log, "the router does not beat always calling '%s'",
		    name[j->best_single]);
	if (v->has_pair && isnan(v->pair.apgr.value))
		log_warn(&c->log, "'%s' does not score higher than '%s' here: no APGR",
		    name[j->strong], name[j->weak]);
	if (v->frontier.known && v->frontier.draws < (size_t)opt_int(c, "bootstrap"))
		log_warn(&c->log, "the interval of the AIQ comes from %zu draws",
		    v->frontier.draws);
}

/* met false: ctx->err says why the gate was missed. */
static int
write_report(struct ctx *c, const struct judging *j, const struct evalout *o, bool met)
{
	const char *path = opt_str(c, "report"), *missed = strchr(c->err.msg, ':');
	struct err e = ERR_INIT;
	struct buf page = BUF_INIT, mode = BUF_INIT;
	char digest[65];
	struct report report = { .v = &j->evaluation, .model = j->router->models.keys,
		.m = j->router->models.len, .queries = j->data->n, .leaks = j->leaks,
		.best_single = j->best_single, .weak = j->weak, .strong = j->strong,
		.artifact = opt_str(c, "model"), .against = opt_str(c, "against"),
		.gate = opt_str(c, "gate"), .data_digest = digest, .version = LLMR_VERSION };
	int r;

	if (path == NULL)
		return 0;
	if (!met)
		report.missed = missed == NULL ? "" : missed + 2;
	hex_format(j->data->digest, 32, digest);
	report.mode = evalout_mode(o, &mode);
	report_write(&report, &page);
	r = buf_ok(&mode, &e) < 0 ? -1 : buf_ok(&page, &e);
	buf_finish(&mode);
	if (r == 0)
		r = io_write_file(path, page.p, page.len, 0644, &e);
	buf_finish(&page);
	if (r < 0)
		c->err = e;
	return r;
}

static int
publish(struct ctx *c, const struct judging *j)
{
	const struct evalout o = { .v = &j->evaluation, .model = j->router->models.keys,
		.m = j->router->models.len, .candidates = j->candidates, .queries = j->data->n,
		.leaks = j->leaks, .choice = j->predict.choice, .best_single = j->best_single,
		.cheapest = j->cheapest, .weak = j->weak, .strong = j->strong,
		.against = opt_str(c, "against"), .mode = &j->limits.mode,
		.chosen_by = &j->limits.policy.mode, .expected_share = j->limits.expected_share };
	struct buf json = BUF_INIT;
	bool met = false;
	int r = -1;

	evalout_json(&o, &json);
	if (buf_ok(&json, &c->err) < 0 || evalout_gate(c, j->gate, &json, &met) < 0 ||
	    write_report(c, j, &o, met) < 0)
		goto out;
	runlog_eval(c, j->router->file, j->data->digest, &json);
	if (c->json)
		out_printf("%s\n", buf_cstr(&json));
	else
		evalout_people(&o);
	r = met ? 0 : -1;
out:
	buf_finish(&json);
	return r;
}

int
cmd_eval(struct ctx *c)
{
	struct judging j = { 0 };
	int r = -1;

	if (opt_flag(c, "off-policy"))
		return evaloff_run(c);
	if (prepare(c, &j) < 0)
		goto out;
	j.all = load_data(c, opt_str(c, "from"));
	if (j.all == NULL || drop_leaks(c, &j) < 0 || allocate(&j, &c->err) < 0 ||
	    match_models(c, &j) < 0)
		goto out;
	find_baselines(c, &j);
	if (find_pair(c, &j) < 0 || judge(c, &j) < 0)
		goto out;
	warn_outcome(c, &j);
	r = publish(c, &j);
out:
	finish(&j);
	return r;
}
