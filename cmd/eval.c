/* llmr eval - judge a router against the baselines on records with known scores. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "fmt/jsonw.h"
#include "load.h"
#include "model/eval.h"
#include "runlog.h"

#define NAMED_LEAKS 5
#define NAMED_MODELS 5

struct judging {
	struct router *router;
	struct dataset *all, *data;	/* data: without leaks; may be the same as all */
	size_t leaks;
	float *score, *cost;		/* [n x m] in the router's order of models */
	bool *candidate;		/* [m] */
	size_t candidates;
	size_t *choice, *best;		/* [n] */
	size_t best_single, cheapest;
	struct eval_result result;
};

/* Leave out what the router was trained on, and say so. */
static int
drop_leaks(struct ctx *c, struct judging *j)
{
	size_t *rows = mem_calloc(j->all->n, sizeof *rows, &c->err), kept = 0;

	if (rows == NULL)
		return -1;
	for (size_t i = 0; i < j->all->n; i++) {
		if (!router_knows(j->router, j->all->query_id[i])) {
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
	j->choice = mem_calloc(n, 2 * sizeof *j->choice, e);
	if (j->score == NULL || j->cost == NULL || j->candidate == NULL || j->choice == NULL)
		return -1;
	j->best = j->choice + n;
	return 0;
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
	return 0;
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

static int
judge(struct ctx *c, struct judging *j)
{
	struct policy policy = POLICY_INIT;
	struct pool *pool = pool_new(c->threads, &c->err);
	struct eval_input in = { .n = j->data->n, .m = j->router->models.len, .score = j->score,
		.cost = j->cost, .candidate = j->candidate, .choice = j->choice, .best = j->best,
		.cheapest = j->cheapest, .min_full = (size_t)opt_int(c, "min-full"),
		.draws = (size_t)opt_int(c, "bootstrap"), .seed = (uint64_t)opt_int(c, "seed") };
	int r = -1;

	if (pool == NULL)
		return -1;
	policy.allowed = j->candidate;
	policy.cost_weight = opt_num(c, "cost-weight");
	if (router_batch(j->router, &policy, j->data->query, j->data->n, j->choice, NULL, pool,
	    &c->err) == 0)
		r = eval_run(&in, pool, &j->result, &c->err);
	pool_free(pool);
	return r;
}

static void
put_ci(struct jsonw *w, const char *key, const struct bootstrap_ci *ci)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kdouble(w, "value", ci->value);
	jsonw_key(w, "ci95");
	if (isnan(ci->lo))
		jsonw_null(w);
	else {
		jsonw_array(w);
		jsonw_double(w, ci->lo);
		jsonw_double(w, ci->hi);
		jsonw_end_array(w);
	}
	jsonw_end_object(w);
}

/* {model, score, cost}; model left out when NULL and cost when told. */
static void
put_arm(struct jsonw *w, const char *key, const char *model, double score, double cost,
	bool has_cost)
{
	jsonw_key(w, key);
	jsonw_object(w);
	if (model != NULL)
		jsonw_kstr(w, "model", model);
	jsonw_kdouble(w, "score", score);
	if (has_cost)
		jsonw_kdouble(w, "cost", cost);
	jsonw_end_object(w);
}

static void
put_shares(struct jsonw *w, const struct judging *j)
{
	size_t m = j->router->models.len;

	jsonw_key(w, "chosen");
	jsonw_object(w);
	for (size_t k = 0; k < m; k++) {
		size_t times = 0;

		for (size_t i = 0; i < j->data->n; i++)
			times += j->choice[i] == k;
		jsonw_key_n(w, j->router->models.keys[k], j->router->models.key_len[k]);
		jsonw_int(w, (int64_t)times);
	}
	jsonw_end_object(w);
}

static void
report_json(const struct judging *j, struct buf *b)
{
	const struct eval_result *r = &j->result;
	const char *const *name = (const char *const *)j->router->models.keys;
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_kint(&w, "queries", (int64_t)j->data->n);
	jsonw_kint(&w, "full_queries", (int64_t)r->full);
	jsonw_kint(&w, "dropped_leaks", (int64_t)j->leaks);
	jsonw_kint(&w, "models", (int64_t)j->candidates);
	put_arm(&w, "router", NULL, r->router, r->router_cost, true);
	put_arm(&w, "best_single", name[j->best_single], r->best, r->best_cost, true);
	put_arm(&w, "random", NULL, r->random, NAN, false);
	jsonw_key(&w, "cheapest");
	if (j->cheapest == POLICY_NONE)
		jsonw_null(&w);
	else {
		jsonw_object(&w);
		jsonw_kstr(&w, "model", name[j->cheapest]);
		jsonw_kdouble(&w, "score", r->cheapest);
		jsonw_kdouble(&w, "cost", r->cheapest_cost);
		jsonw_end_object(&w);
	}
	put_arm(&w, "oracle", NULL, r->oracle, r->oracle_cost, true);
	put_ci(&w, "delta_best_single", &r->delta);
	put_ci(&w, "gap_closed", &r->gap);
	jsonw_kdouble(&w, "tie_rate", r->tie_rate);
	put_shares(&w, j);
	jsonw_end_object(&w);
}

static void
print_arm(const char *what, const char *model, double score, double cost)
{
	char money[32] = "-";

	if (!isnan(cost))
		(void)snprintf(money, sizeof money, "%.6f", cost);
	out_printf("%-12s %8.4f %12s  %s\n", what, score, money, model);
}

static void
report_people(const struct judging *j)
{
	const struct eval_result *r = &j->result;
	const char *const *name = (const char *const *)j->router->models.keys;

	out_printf("%zu queries judged, %zu dropped as seen in training, %zu models\n", r->full,
	    j->leaks, j->candidates);
	if (!r->compared)
		return;
	out_printf("%-12s %8s %12s  %s\n", "", "score", "USD/query", "model");
	print_arm("router", "", r->router, r->router_cost);
	print_arm("best single", name[j->best_single], r->best, r->best_cost);
	if (j->cheapest != POLICY_NONE)
		print_arm("cheapest", name[j->cheapest], r->cheapest, r->cheapest_cost);
	print_arm("random", "", r->random, NAN);
	print_arm("oracle", "", r->oracle, r->oracle_cost);
	out_printf("router - best single %+.4f [%+.4f, %+.4f] (95 %%)\n", r->delta.value,
	    r->delta.lo, r->delta.hi);
	if (!isnan(r->gap.value))
		out_printf("gap closed           %+.1f %% [%+.1f, %+.1f]\n", 100 * r->gap.value,
		    100 * r->gap.lo, 100 * r->gap.hi);
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
	free(j->choice);
}

int
cmd_eval(struct ctx *c)
{
	struct judging j = { 0 };
	struct buf report = BUF_INIT;
	int r = -1;

	runlog_begin(c, "eval", NULL);
	j.router = load_router(c);
	j.all = j.router == NULL ? NULL : load_data(c, opt_str(c, "from"));
	if (j.all == NULL || drop_leaks(c, &j) < 0 || allocate(&j, &c->err) < 0 ||
	    match_models(c, &j) < 0)
		goto out;
	find_baselines(c, &j);
	if (judge(c, &j) < 0)
		goto out;
	if (!j.result.compared)
		log_warn(&c->log, "%zu queries have every model's score, fewer than %lld "
		    "(--min-full): nothing can be compared", j.result.full,
		    opt_int(c, "min-full"));
	else if (!(j.result.delta.value > 0))
		log_warn(&c->log, "the router does not beat always calling '%s'",
		    j.router->models.keys[j.best_single]);
	report_json(&j, &report);
	runlog_eval(c, j.router->file, j.data->digest, &report);
	if (c->json)
		out_printf("%s\n", buf_cstr(&report));
	else
		report_people(&j);
	r = buf_ok(&report, &c->err);
out:
	buf_finish(&report);
	finish(&j);
	return r;
}
