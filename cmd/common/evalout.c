#include "common/evalout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "model/policy.h"

/* The members of a figure with its interval, in an object that the caller opened. */
static void
ci_members(struct jsonw *w, const struct bootstrap_ci *ci)
{
	jsonw_kdouble(w, "value", ci->value);
	jsonw_key(w, "ci95");
	if (isnan(ci->lo)) {
		jsonw_null(w);
		return;
	}
	jsonw_array(w);
	jsonw_double(w, ci->lo);
	jsonw_double(w, ci->hi);
	jsonw_end_array(w);
}

void
evalout_ci(struct jsonw *w, const char *key, const struct bootstrap_ci *ci)
{
	jsonw_key(w, key);
	jsonw_object(w);
	ci_members(w, ci);
	jsonw_end_object(w);
}

/* null in place of the object when there is no such figure. */
static void
ci_or_null(struct jsonw *w, const char *key, const struct bootstrap_ci *ci, bool known)
{
	if (known && !isnan(ci->value))
		evalout_ci(w, key, ci);
	else {
		jsonw_key(w, key);
		jsonw_null(w);
	}
}

/* A name from the data, without what would move a terminal's cursor; out holds 256 bytes. */
static const char *
plain(const char *name, char out[256])
{
	size_t n = 0;

	for (; name[n] != '\0' && n < 255; n++)
		out[n] = (unsigned char)name[n] < 0x20 || name[n] == 0x7f ? '?' : name[n];
	out[n] = '\0';
	return out;
}

/* {model, score, cost}; model left out when NULL and cost when told. */
static void
put_arm(struct jsonw *w, const char *key, const char *model, double score, double cost, bool has_cost)
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
put_shares(struct jsonw *w, const struct evalout *o)
{
	jsonw_key(w, "chosen");
	jsonw_object(w);
	for (size_t k = 0; k < o->m; k++) {
		size_t times = 0;

		for (size_t i = 0; i < o->queries; i++)
			times += o->choice[i] == k;
		jsonw_kint(w, o->model[k], (int64_t)times);
	}
	jsonw_end_object(w);
}

static void
put_target(struct jsonw *w, const char *key, const struct frontier_target *t, bool known)
{
	jsonw_key(w, key);
	if (!known || isnan(t->cost)) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	jsonw_kdouble(w, "target", t->target);
	jsonw_kdouble(w, "score", t->score);
	jsonw_kdouble(w, "cost", t->cost);
	jsonw_kdouble(w, "share", t->share);
	jsonw_kdouble(w, "cost_weight", t->cost_weight);
	jsonw_end_object(w);
}

static void
put_frontier(struct jsonw *w, const struct evalout *o)
{
	const struct frontier *f = &o->v->frontier;

	jsonw_key(w, "aiq");
	if (!f->known)
		jsonw_null(w);
	else {
		jsonw_object(w);
		ci_members(w, &f->aiq);
		evalout_ci(w, "single_models", &f->single);
		evalout_ci(w, "delta", &f->delta);
		jsonw_kdouble(w, "cost_from", f->lo);
		jsonw_kdouble(w, "cost_to", f->hi);
		jsonw_kint(w, "draws", (int64_t)f->draws);
		jsonw_end_object(w);
	}
	put_target(w, "cost_at_95", &f->at95, f->known);
	put_target(w, "cost_at_best", &f->at_best, f->known);
	jsonw_key(w, "frontier");
	jsonw_array(w);
	for (size_t k = 0; f->known && k < FRONTIER_POINTS; k++) {
		jsonw_object(w);
		jsonw_kdouble(w, "willingness_to_pay", f->point[k].wtp);
		jsonw_kdouble(w, "score", f->point[k].score);
		jsonw_kdouble(w, "cost", f->point[k].cost);
		jsonw_kbool(w, "hull", f->point[k].hull);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_pair(struct jsonw *w, const struct evalout *o)
{
	const struct routellm *p = &o->v->pair;

	jsonw_key(w, "pair");
	if (!o->v->has_pair)
		jsonw_null(w);
	else {
		jsonw_object(w);
		put_arm(w, "weak", o->model[o->weak], p->weak, NAN, false);
		put_arm(w, "strong", o->model[o->strong], p->strong, NAN, false);
		jsonw_key(w, "curve");
		jsonw_array(w);
		for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
			jsonw_object(w);
			jsonw_kdouble(w, "strong_share", p->curve[k].share);
			jsonw_kdouble(w, "score", p->curve[k].score);
			jsonw_end_object(w);
		}
		jsonw_end_array(w);
		jsonw_end_object(w);
	}
	ci_or_null(w, "apgr", &p->apgr, o->v->has_pair);
	ci_or_null(w, "cpt50", &p->cpt50, o->v->has_pair);
	ci_or_null(w, "cpt80", &p->cpt80, o->v->has_pair);
}

/* Share of calls that went to the strong model of the pair that the router chooses between; NaN no pair. */
static double
share_of_strong(const struct evalout *o)
{
	size_t strong = 0, all = 0;

	for (size_t i = 0; i < o->queries; i++) {
		strong += o->choice[i] == o->chosen_by->strong;
		all += o->choice[i] != POLICY_NONE;
	}
	return o->chosen_by->pair && all > 0 ? (double)strong / (double)all : NAN;
}

static void
put_mode(struct jsonw *w, const struct evalout *o)
{
	const struct policy_mode *m = o->chosen_by;

	jsonw_key(w, "mode");
	if (!m->pair && !m->draw) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	jsonw_kstr(w, "router_mode", mode_kind_name(o->mode->kind));
	jsonw_kstr(w, "weak", m->pair ? o->model[m->weak] : NULL);
	jsonw_kstr(w, "strong", m->pair ? o->model[m->strong] : NULL);
	jsonw_kdouble(w, "asked_strong_share", o->mode->share);
	jsonw_kdouble(w, "expected_strong_share", o->expected_share);
	jsonw_kdouble(w, "strong_share", share_of_strong(o));
	jsonw_end_object(w);
}

static void
print_mode(const struct evalout *o)
{
	const struct policy_mode *m = o->chosen_by;
	char weak[256], strong[256];

	if (m->pair)
		out_printf("%-24s %.1f %% of calls (%.1f %% expected), else %s: %s\n",
		    plain(o->model[m->strong], strong), 100 * share_of_strong(o),
		    100 * o->expected_share, plain(o->model[m->weak], weak),
		    mode_kind_name(o->mode->kind));
	else if (m->draw)
		out_printf("%-24s by a softmax of the scores over %.4g\n", "drawn", m->temperature);
}

const char *
evalout_mode(const struct evalout *o, struct buf *b)
{
	const struct policy_mode *m = o->chosen_by;

	if (m->pair) {
		buf_printf(b, "%s, between %s and %s, which got %.1f %% of the calls (%.1f %% expected",
		    mode_kind_name(o->mode->kind), o->model[m->weak], o->model[m->strong],
		    100 * share_of_strong(o), 100 * o->expected_share);
		if (!isnan(o->mode->share))
			buf_printf(b, ", %.1f %% asked for", 100 * o->mode->share);
		buf_str(b, ")");
	} else if (m->draw)
		buf_printf(b, "drawn by a softmax of the predicted scores over %.4g", m->temperature);
	return b->len > 0 ? buf_cstr(b) : NULL;
}

static void
put_models(struct jsonw *w, const struct evalout *o, const char *key, const struct eval_group *g)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t k = 0; g->model_score != NULL && k < o->m; k++) {
		if (isnan(g->model_score[k]))
			continue;
		jsonw_key(w, o->model[k]);
		jsonw_object(w);
		jsonw_kdouble(w, "score", g->model_score[k]);
		jsonw_kdouble(w, "cost", g->model_cost[k]);
		jsonw_kint(w, "chosen", (int64_t)g->chosen[k]);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
}

static void
put_tasks(struct jsonw *w, const struct evalout *o)
{
	jsonw_key(w, "per_task");
	jsonw_object(w);
	for (size_t k = 0; k < o->v->n_tasks; k++) {
		const struct eval_group *g = &o->v->task[k].group;

		jsonw_key(w, o->v->task[k].name);
		jsonw_object(w);
		jsonw_kint(w, "queries", (int64_t)g->n);
		put_arm(w, "router", NULL, g->router, g->router_cost, true);
		put_arm(w, "best_single", NULL, g->best, g->best_cost, true);
		put_arm(w, "random", NULL, g->random, NAN, false);
		put_arm(w, "oracle", NULL, g->oracle, g->oracle_cost, true);
		evalout_ci(w, "delta_best_single", &g->delta);
		ci_or_null(w, "gap_closed", &g->gap, true);
		evalout_ci(w, "regret", &g->regret);
		evalout_ci(w, "oracle_agreement", &g->agreement);
		ci_or_null(w, "perf_gain", &g->perf_gain, true);
		ci_or_null(w, "cost_save", &g->cost_save, true);
		put_models(w, o, "models", g);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
}

static void
put_calibration(struct jsonw *w, const struct evalout *o)
{
	const struct calibration *c = &o->v->calibration;

	ci_or_null(w, "ece", &c->ece, o->v->result.compared);
	jsonw_key(w, "calibration");
	jsonw_array(w);
	for (size_t k = 0; o->v->result.compared && k < CALIBRATION_BINS; k++) {
		jsonw_object(w);
		jsonw_kdouble(w, "from", (double)k / CALIBRATION_BINS);
		jsonw_kdouble(w, "to", (double)(k + 1) / CALIBRATION_BINS);
		jsonw_kint(w, "queries", (int64_t)c->bin[k].n);
		jsonw_kdouble(w, "predicted", c->bin[k].predicted);
		jsonw_kdouble(w, "actual", c->bin[k].actual);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_against(struct jsonw *w, const struct evalout *o)
{
	const struct evaluation_against *a = &o->v->against;

	if (o->against == NULL)
		return;
	jsonw_key(w, "against");
	if (!o->v->has_against || a->n == 0) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	jsonw_kstr(w, "model", o->against);
	jsonw_kint(w, "queries", (int64_t)a->n);
	jsonw_kdouble(w, "score", a->score);
	jsonw_kdouble(w, "cost", a->cost);
	evalout_ci(w, "delta", &a->delta);
	jsonw_kdouble(w, "p", a->p);
	ci_or_null(w, "cost_delta", &a->cost_delta, true);
	jsonw_kint(w, "wins", (int64_t)a->wins);
	jsonw_kint(w, "losses", (int64_t)a->losses);
	jsonw_kint(w, "ties", (int64_t)a->ties);
	jsonw_kdouble(w, "sign_p", a->sign_p);
	jsonw_end_object(w);
}

void
evalout_json(const struct evalout *o, struct buf *b)
{
	const struct eval_result *r = &o->v->result;
	const struct eval_group *g = &o->v->all;
	struct jsonw json, *w = &json;

	jsonw_init(w, b);
	jsonw_object(w);
	jsonw_kint(w, "queries", (int64_t)o->queries);
	jsonw_kint(w, "full_queries", (int64_t)r->full);
	jsonw_kint(w, "dropped_leaks", (int64_t)o->leaks);
	jsonw_kint(w, "models", (int64_t)o->candidates);
	put_arm(w, "router", NULL, r->router, r->router_cost, true);
	put_arm(w, "best_single", o->model[o->best_single], r->best, r->best_cost, true);
	put_arm(w, "random", NULL, r->random, NAN, false);
	if (o->cheapest != POLICY_NONE)
		put_arm(w, "cheapest", o->model[o->cheapest], r->cheapest, r->cheapest_cost, true);
	else {
		jsonw_key(w, "cheapest");
		jsonw_null(w);
	}
	put_arm(w, "oracle", NULL, r->oracle, r->oracle_cost, true);
	evalout_ci(w, "delta_best_single", &r->delta);
	evalout_ci(w, "gap_closed", &r->gap);
	jsonw_kdouble(w, "tie_rate", r->tie_rate);
	put_shares(w, o);
	ci_or_null(w, "regret", &g->regret, r->compared);
	ci_or_null(w, "oracle_agreement", &g->agreement, r->compared);
	ci_or_null(w, "perf_gain", &g->perf_gain, r->compared);
	ci_or_null(w, "cost_save", &g->cost_save, r->compared);
	put_calibration(w, o);
	put_frontier(w, o);
	put_mode(w, o);
	put_pair(w, o);
	put_models(w, o, "per_model", g);
	put_tasks(w, o);
	put_against(w, o);
	jsonw_end_object(w);
}

static void
print_arm(const char *what, const char *model, double score, double cost)
{
	char money[32] = "-", name[256];

	if (!isnan(cost))
		(void)snprintf(money, sizeof money, "%.6f", cost);
	out_printf("%-12s %8.4f %12s  %s\n", what, score, money, plain(model, name));
}

void
evalout_print(const char *name, const struct bootstrap_ci *ci, bool percent, bool sign)
{
	double f = percent ? 100 : 1;
	const char *unit = percent ? " %" : "";
	int digits = percent ? 1 : 4;

	if (isnan(ci->value))
		return;
	if (sign)
		out_printf("%-24s %+.*f%s [%+.*f, %+.*f]\n", name, digits, f * ci->value, unit,
		    digits, f * ci->lo, digits, f * ci->hi);
	else
		out_printf("%-24s %.*f%s [%.*f, %.*f]\n", name, digits, f * ci->value, unit, digits,
		    f * ci->lo, digits, f * ci->hi);
}

static void
print_target(const char *name, const struct frontier_target *t)
{
	if (isnan(t->cost))
		out_printf("%-24s never (a score of %.4f)\n", name, t->target);
	else
		out_printf("%-24s %.6f USD, %.1f %% of that model's (cost weight %g)\n", name, t->cost,
		    100 * t->share, t->cost_weight);
}

/* Columns as wide as the longest name, in bytes. */
static int
name_width(const char *const *name, size_t n, int width)
{
	for (size_t k = 0; k < n; k++)
		if (strlen(name[k]) > (size_t)width)
			width = strlen(name[k]) < 255 ? (int)strlen(name[k]) : 255;
	return width;
}

static void
print_tasks(const struct evalout *o)
{
	int width = 8;

	if (o->v->n_tasks == 0)
		return;
	for (size_t k = 0; k < o->v->n_tasks; k++)
		width = name_width(&o->v->task[k].name, 1, width);
	out_printf("\n%-*s %7s %8s %8s %8s  %s\n", width, "task", "queries", "router", "best",
	    "oracle", "router - best single");
	for (size_t k = 0; k < o->v->n_tasks; k++) {
		const struct eval_group *g = &o->v->task[k].group;
		const char *name = o->v->task[k].name;
		char text[256];

		out_printf("%-*s %7zu %8.4f %8.4f %8.4f  %+.4f [%+.4f, %+.4f]\n", width,
		    name[0] != '\0' ? plain(name, text) : "(none)", g->n, g->router,
		    g->best, g->oracle, g->delta.value, g->delta.lo, g->delta.hi);
	}
}

static void
print_models(const struct evalout *o)
{
	const struct eval_group *g = &o->v->all;
	int width = name_width(o->model, o->m, 8);

	out_printf("\n%-*s %8s %12s %8s\n", width, "model", "score", "USD/query", "chosen");
	for (size_t k = 0; k < o->m; k++) {
		char money[32] = "-", name[256];

		if (isnan(g->model_score[k]))
			continue;
		if (!isnan(g->model_cost[k]))
			(void)snprintf(money, sizeof money, "%.6f", g->model_cost[k]);
		out_printf("%-*s %8.4f %12s %6.1f %%\n", width, plain(o->model[k], name),
		    g->model_score[k], money,
		    100 * (double)g->chosen[k] / (double)g->n);
	}
}

static void
print_against(const struct evalout *o)
{
	const struct evaluation_against *a = &o->v->against;

	if (!o->v->has_against || a->n == 0)
		return;
	out_printf("\nagainst %s: %.4f on %zu queries\n", o->against, a->score, a->n);
	evalout_print("this - that", &a->delta, false, true);
	out_printf("%-24s p %.4g; better on %zu, worse on %zu, equal on %zu (sign test p %.4g)\n", "",
	    a->p, a->wins, a->losses, a->ties, a->sign_p);
}

static void
print_figures(const struct evalout *o)
{
	const struct evaluation *v = o->v;

	evalout_print("regret", &v->all.regret, false, false);
	evalout_print("agreement with oracle", &v->all.agreement, true, false);
	evalout_print("calibration error", &v->calibration.ece, false, false);
	evalout_print("performance gain", &v->all.perf_gain, true, true);
	evalout_print("cost saved", &v->all.cost_save, true, true);
	if (v->frontier.known) {
		evalout_print("AIQ", &v->frontier.aiq, false, false);
		evalout_print("AIQ, single models", &v->frontier.single, false, false);
		evalout_print("AIQ, difference", &v->frontier.delta, false, true);
		print_target("95 % of strongest for", &v->frontier.at95);
		print_target("best single's score for", &v->frontier.at_best);
	}
	if (v->has_pair) {
		char weak[256], strong[256];

		out_printf("weak %s, strong %s\n", plain(o->model[o->weak], weak),
		    plain(o->model[o->strong], strong));
		evalout_print("APGR", &v->pair.apgr, false, false);
		evalout_print("CPT(50 %)", &v->pair.cpt50, true, false);
		evalout_print("CPT(80 %)", &v->pair.cpt80, true, false);
	}
}

void
evalout_people(const struct evalout *o)
{
	const struct eval_result *r = &o->v->result;

	out_printf("%zu queries judged, %zu dropped as seen in training, %zu models\n", r->full,
	    o->leaks, o->candidates);
	if (!r->compared)
		return;
	out_printf("%-12s %8s %12s  %s\n", "", "score", "USD/query", "model");
	print_arm("router", "", r->router, r->router_cost);
	print_arm("best single", o->model[o->best_single], r->best, r->best_cost);
	if (o->cheapest != POLICY_NONE)
		print_arm("cheapest", o->model[o->cheapest], r->cheapest, r->cheapest_cost);
	print_arm("random", "", r->random, NAN);
	print_arm("oracle", "", r->oracle, r->oracle_cost);
	out_printf("router - best single %+.4f [%+.4f, %+.4f] (95 %%)\n", r->delta.value,
	    r->delta.lo, r->delta.hi);
	if (!isnan(r->gap.value))
		out_printf("gap closed           %+.1f %% [%+.1f, %+.1f]\n", 100 * r->gap.value,
		    100 * r->gap.lo, 100 * r->gap.hi);
	print_mode(o);
	print_figures(o);
	print_models(o);
	print_tasks(o);
	print_against(o);
}

int
evalout_gate(struct ctx *c, const struct gate *gate, const struct buf *json, bool *met)
{
	struct buf why = BUF_INIT;
	int r;

	*met = true;
	if (gate == NULL)
		return 0;
	r = gate_check(gate, json->p, json->len, met, &why, &c->err);
	if (r == 0 && !*met)
		err_set(&c->err, ERR_NO, "gate missed: %s", buf_cstr(&why));
	buf_finish(&why);
	return r;
}
