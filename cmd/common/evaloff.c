#include "common/evaloff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "common/evalout.h"
#include "common/limits.h"
#include "common/load.h"
#include "model/offpolicy.h"
#include "model/predict.h"
#include "common/runlog.h"

#define MAX_FILES 64
/* A mean weight this many standard errors from 1 was not drawn with the propensities that are logged. */
#define FAR 4

struct logged {
	struct router *router;
	struct gate *gate;
	struct offpolicy_log log;
	size_t n_ids, leaks;		/* queries judged; queries dropped */
	size_t *called;			/* [log.n] models of the router */
	bool *candidate;		/* [m] called at least once, and within the limits */
	struct limits limits;
	size_t candidates;
	struct predict predict;
	struct offpolicy outcome;
};

static int
prepare(struct ctx *c, struct logged *l)
{
	static const char *const alone[] = { "against", "weak", "strong", "report" };
	const char *gate = opt_str(c, "gate");

	for (size_t k = 0; k < sizeof alone / sizeof alone[0]; k++)
		if (opt_given(c, alone[k]))
			return err_set(&c->err, ERR_USAGE, "--%s needs every model's score: "
			    "it does not go with --off-policy", alone[k]);
	if (strcmp(opt_str(c, "from"), "records") != 0)
		return err_set(&c->err, ERR_USAGE, "--off-policy reads routing records: "
		    "data of the format '%s' have no propensities", opt_str(c, "from"));
	if (gate != NULL && (l->gate = gate_parse(gate, &c->err)) == NULL)
		return -1;
	runlog_begin(c, "eval", NULL);
	l->router = load_router(c);
	if (l->router == NULL || limits_read(c, l->router, false, &l->limits) < 0)
		return -1;
	return !policy_explores(&l->limits.policy) ? 0 : err_set(&c->err, ERR_USAGE,
	    "--off-policy judges a choice without chance: no --explore-..., and --router-mode "
	    "deterministic");
}

static int
read_log(struct ctx *c, struct logged *l)
{
	const char *paths[MAX_FILES];
	size_t n = opt_count(c, "data");

	if (n == 0 || n > MAX_FILES)
		return err_set(&c->err, ERR_USAGE, n == 0 ? "no data: give --data FILE" :
		    "more than 64 data files: join them with cat");
	for (size_t i = 0; i < n; i++)
		paths[i] = opt_nth(c, "data", i);
	if (offpolicy_read(paths, n, c->cancel, &l->log, &c->err) < 0)
		return -1;
	if (l->log.null_records > 0)
		log_warn(&c->log, "%llu records without a performance were left out",
		    (unsigned long long)l->log.null_records);
	return 0;
}

static int
drop_leaks(struct ctx *c, struct logged *l)
{
	size_t n = l->log.ids.len, *renumber = mem_calloc(n, sizeof *renumber, &c->err);
	bool keep = opt_flag(c, "allow-leaks");

	if (renumber == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		bool known = router_knows(l->router, l->log.ids.keys[i]);

		l->leaks += known;
		renumber[i] = known && !keep ? OFFPOLICY_NONE : l->n_ids++;
	}
	offpolicy_keep(&l->log, renumber);
	free(renumber);
	if (l->n_ids == 0)
		return err_set(&c->err, ERR_INPUT, "every query occurs in training: nothing is "
		    "left to judge on");
	if (l->leaks > 0)
		log_warn(&c->log, keep ? "%zu of %zu queries occur in training; kept: the outcome "
		    "is too good" : "%zu of %zu queries occur in training and were dropped",
		    l->leaks, n);
	l->leaks = keep ? 0 : l->leaks;
	return 0;
}

/* The router may choose what the log has tried. */
static int
match_models(struct ctx *c, struct logged *l)
{
	const struct router *r = l->router;
	size_t unknown = 0, m = r->models.len;

	l->called = mem_calloc(l->log.n, sizeof *l->called, &c->err);
	l->candidate = mem_calloc(m, sizeof *l->candidate, &c->err);
	if (l->called == NULL || l->candidate == NULL)
		return -1;
	for (size_t i = 0; i < l->log.n; i++) {
		size_t k = l->log.model[i], at = map_find(&r->models, l->log.models.keys[k],
		    l->log.models.key_len[k]);

		l->called[i] = at == MAP_NONE ? OFFPOLICY_NONE : at;
		unknown += at == MAP_NONE;
		if (at != MAP_NONE)
			l->candidate[at] = true;
	}
	for (size_t k = 0; k < m; k++) {
		if (!l->candidate[k])
			log_warn(&c->log, "'%s' was never called in the log, not chosen",
			    r->models.keys[k]);
		l->candidate[k] = l->candidate[k] &&
		    (l->limits.allowed == NULL || l->limits.allowed[k]);
		l->candidates += l->candidate[k];
	}
	if (l->candidates == 0)
		return err_set(&c->err, ERR_INPUT, "no model of the router occurs in the data");
	if (unknown > 0)
		log_warn(&c->log, "%zu of %zu calls went to models that the router does not know",
		    unknown, l->log.n);
	return 0;
}

static int
judge(struct ctx *c, struct logged *l)
{
	struct policy policy = l->limits.policy;
	struct pool *pool = pool_new(c->threads, &c->err);
	struct offpolicy_input x = { .n = l->log.n, .n_ids = l->n_ids, .m = l->router->models.len,
		.id = l->log.id, .called = l->called, .score = l->log.score, .cost = l->log.cost,
		.propensity = l->log.propensity, .min_ess = opt_num(c, "min-ess"),
		.draws = (size_t)opt_int(c, "bootstrap"), .seed = (uint64_t)opt_int(c, "seed") };
	const struct offpolicy *o = &l->outcome;
	int r = -1;

	if (pool == NULL)
		return -1;
	policy.allowed = l->candidate;
	if (predict_run(l->router, &policy, l->log.query, l->log.n, pool, &l->predict, &c->err) < 0)
		goto out;
	x.choice = l->predict.choice;
	x.predicted = l->predict.score;
	if (offpolicy_run(&x, pool, &l->outcome, &c->err) < 0)
		goto out;
	if (fabs(o->mean_weight - 1) > FAR * o->weight_error)
		log_warn(&c->log, "the mean weight is %.3f where 1 is expected: the calls were not "
		    "drawn with the propensities that are logged", o->mean_weight);
	r = 0;
out:
	pool_free(pool);
	return r;
}

static void
write_json(const struct logged *l, struct buf *b)
{
	const struct offpolicy *o = &l->outcome;
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_kint(&w, "queries", (int64_t)l->n_ids);
	jsonw_kint(&w, "records", (int64_t)l->log.n);
	jsonw_kint(&w, "dropped_leaks", (int64_t)l->leaks);
	jsonw_kint(&w, "models", (int64_t)l->candidates);
	jsonw_key(&w, "off_policy");
	jsonw_object(&w);
	jsonw_kint(&w, "matched", (int64_t)o->matched);
	jsonw_kdouble(&w, "ess", o->ess);
	jsonw_kdouble(&w, "mean_weight", o->mean_weight);
	jsonw_kdouble(&w, "max_weight", o->max_weight);
	evalout_ci(&w, "logged", &o->logged);
	evalout_ci(&w, "ips", &o->ips);
	evalout_ci(&w, "snips", &o->snips);
	evalout_ci(&w, "dr", &o->dr);
	evalout_ci(&w, "delta", &o->delta);
	jsonw_kdouble(&w, "p", o->p);
	evalout_ci(&w, "cost", &o->cost);
	evalout_ci(&w, "logged_cost", &o->logged_cost);
	jsonw_end_object(&w);
	jsonw_key(&w, "chosen");
	jsonw_object(&w);
	for (size_t k = 0; k < l->router->models.len; k++) {
		size_t times = 0;

		for (size_t i = 0; i < l->log.n; i++)
			times += l->predict.choice[i] == k;
		jsonw_kint(&w, l->router->models.keys[k], (int64_t)times);
	}
	jsonw_end_object(&w);
	jsonw_end_object(&w);
}

static void
print_people(const struct logged *l)
{
	const struct offpolicy *o = &l->outcome;

	out_printf("%zu logged calls of %zu queries, %zu queries dropped as seen in training\n",
	    l->log.n, l->n_ids, l->leaks);
	out_printf("%zu calls agree with the router, worth %.1f; largest weight %.3g\n", o->matched,
	    o->ess, o->max_weight);
	evalout_print("logged policy", &o->logged, false, false);
	evalout_print("router, IPS", &o->ips, false, false);
	evalout_print("router, SNIPS", &o->snips, false, false);
	evalout_print("router, doubly robust", &o->dr, false, false);
	evalout_print("router - logged", &o->delta, false, true);
	out_printf("%-24s p %.4g\n", "", o->p);
	if (!isnan(o->cost.value))
		out_printf("%-24s %.6f USD a call, logged %.6f\n", "cost", o->cost.value,
		    o->logged_cost.value);
}

static int
publish(struct ctx *c, const struct logged *l)
{
	struct buf json = BUF_INIT;
	bool met = false;
	int r = -1;

	write_json(l, &json);
	if (buf_ok(&json, &c->err) < 0 || evalout_gate(c, l->gate, &json, &met) < 0)
		goto out;
	runlog_eval(c, l->router->file, l->log.digest, &json);
	if (c->json)
		out_printf("%s\n", buf_cstr(&json));
	else
		print_people(l);
	if (!(l->outcome.delta.value > 0))
		log_warn(&c->log, "the router does not beat the policy that was logged");
	r = met ? 0 : -1;
out:
	buf_finish(&json);
	return r;
}

int
evaloff_run(struct ctx *c)
{
	struct logged l = { 0 };
	int r = -1;

	if (prepare(c, &l) == 0 && read_log(c, &l) == 0 && drop_leaks(c, &l) == 0 &&
	    match_models(c, &l) == 0 && judge(c, &l) == 0)
		r = publish(c, &l);
	limits_finish(&l.limits);
	router_free(l.router);
	gate_free(l.gate);
	offpolicy_log_finish(&l.log);
	free(l.called);
	free(l.candidate);
	predict_finish(&l.predict);
	return r;
}
