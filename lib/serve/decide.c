#include "serve/decide.h"

#include <math.h>
#include <string.h>

#include "model/policy.h"
#include "serve/outlier.h"

#define SPARE_NS 1000000000	/* that a model is not asked after it missed its deadline */

bool
decide_is_auto(const char *group)
{
	return group == NULL || strcmp(group, "auto") == 0 || strcmp(group, "llmr") == 0 ||
		strncmp(group, "llmrouter-", 10) == 0;
}

static bool
was_tried(const struct want *w, const struct backend *b)
{
	for (size_t i = 0; i < w->n_tried; i++) {
		if (w->tried[i] == b)
			return true;
	}
	return false;
}

/* Has the deployment, by model_info or candidates, all that is asked for? */
static bool
able(const struct generation *g, const struct deployment *d, const struct want *w)
{
	const struct candidate *c = NULL;

	if (w->n_require == 0)
		return true;
	if (g->candidates != NULL) {
		c = candidates_find(g->candidates, slice_str(d->group));
		if (c == NULL)
			c = candidates_find(g->candidates, slice_str(d->model));
		if (c == NULL)
			c = candidates_find(g->candidates, slice_str(d->upstream_model));
	}
	for (size_t r = 0; r < w->n_require; r++) {
		bool has = false;

		for (size_t i = 0; i < d->n_capabilities && !has; i++)
			has = slice_is(w->require[r], d->capabilities[i]);
		for (size_t i = 0; c != NULL && i < c->n_capabilities && !has; i++)
			has = slice_eq(w->require[r], c->capabilities[i]);
		if (!has)
			return false;
	}
	return true;
}

static bool
in_set(const struct route_set *s, const struct deployment *d)
{
	for (size_t i = 0; s != NULL && i < s->n; i++) {
		if (s->pick[i].d == d)
			return true;
	}
	return s == NULL;
}

/* The deployments of n picks that may take the request, into the worker's field. */
static size_t
field(struct worker *k, const struct generation *g, const struct pick *p, size_t n, const struct route_set *within,
	const struct want *w)
{
	size_t m = 0;

	for (size_t i = 0; i < n && m < STRATEGY_MAX; i++) {
		if (!in_set(within, p[i].d) || !able(g, p[i].d, w))
			continue;
		k->pick[m] = p[i];
		k->pick[m++].tried = was_tried(w, p[i].b);
	}
	return m;
}

static int
none(enum none why, const struct want *w, struct err *e)
{
	static const char *const text[] = {
		[NONE_EMPTY] = "no deployment can take this request",
		[NONE_COOLING] = "every deployment is cooling down after failures; try again later",
		[NONE_CONTEXT] = "the prompt is longer than the context window of every deployment",
		[NONE_LIMIT] = "every deployment has reached its limit for this minute",
	};

	return err_set(e, ERR_NO, "%s%s%s", text[why], w->group == NULL ? "" : ": ", w->group == NULL ? "" : w->group);
}

static int
by_strategy(struct worker *k, const struct generation *g, enum strategy s, const struct pick *p, size_t n,
	const struct route_set *within, const struct want *w, struct decision *out, struct err *e)
{
	struct ask a = { &g->config->router, s, w->stream, w->input_tokens, &k->rng };
	size_t m = field(k, g, p, n, within, w), i;
	double propensity;

	if ((i = strategy_choose(&a, k->pick, m, &out->why, &propensity)) == STRATEGY_NONE)
		return none(out->why, w, e);
	out->deployment = k->pick[i].d;
	out->backend = k->pick[i].b;
	/* Of the model in an answer: with a router, its label's; the deployments of a label are one model. */
	if (out->model == NULL)
		out->propensity = propensity;
	out->field = m;
	out->alone = m == 1;
	return 0;
}

/* Which labels the policy may choose: those with a deployment in service, within the group. */
static size_t
available(struct worker *k, const struct generation *g, const struct binding *b, const struct route_set *within,
	const struct want *w)
{
	size_t m = b->model->router->models.len, n = 0;
	int64_t now = clock_mono_ns();

	for (size_t i = 0; i < m; i++) {
		k->allowed[i] = false;
		for (size_t j = 0; j < b->label[i].n && !k->allowed[i]; j++) {
			const struct pick *p = &b->label[i].pick[j];

			k->allowed[i] = in_set(within, p->d) && !was_tried(w, p->b) && backend_in_service(p->b, now) &&
				able(g, p->d, w) && (!g->config->router.pre_call_checks || p->d->context_tokens == 0 ||
				w->input_tokens <= (double)p->d->context_tokens);
		}
		n += k->allowed[i];
	}
	return n;
}

/* NULL; or why this decision does not count. */
static const char *
timed_route(struct loaded *l, double deadline, const struct policy *p, struct slice prompt,
	struct router_scratch *scratch, struct policy_choice *c)
{
	int64_t start = clock_mono_ns();

	if (deadline > 0 && start < atomic_load_explicit(&l->slow_until_ns, memory_order_relaxed))
		return "deadline";
	router_route(l->router, p, prompt, scratch, c);
	if (c->model != POLICY_NONE && !isfinite(scratch->score[c->model]))
		return "scoring_failed";
	if (deadline <= 0 || (double)(clock_mono_ns() - start) <= deadline * 1e9)
		return NULL;
	/* Too late to wait for it again: the next ones go without, for a while. */
	atomic_store_explicit(&l->slow_until_ns, clock_mono_ns() + SPARE_NS, memory_order_relaxed);
	return "deadline";
}

/* The model's choice among its labels. 0; 1 when it cannot choose (*why says so). */
static int
score(struct worker *k, const struct generation *g, const struct binding *b, const struct route_set *within,
	const struct want *w, struct policy_choice *c, const char **why)
{
	const struct router_settings *s = &g->config->router;
	struct router_scratch *scratch = loaded_scratch(b->model, k->index);
	size_t m = b->model->router->models.len;
	struct policy p = router_policy(b->model->router);

	if (scratch == NULL || mem_grow((void **)&k->allowed, &k->cap_allowed, m, sizeof *k->allowed, NULL) < 0) {
		*why = "out_of_memory";
		return 1;
	}
	if (available(k, g, b, within, w) == 0) {
		*why = "no_label_available";
		return 1;
	}
	p.allowed = k->allowed;
	p.cost_weight = isnan(w->cost_weight) ? s->cost_weight : w->cost_weight;
	p.latency_weight = isnan(w->latency_weight) ? s->latency_weight : w->latency_weight;
	p.max_cost = fmin(w->max_cost, s->max_cost);
	p.max_latency = fmin(w->max_latency, s->max_latency);
	p.request = w->request_id;
	if (b->prior != NULL)
		p.prior = b->prior;
	return (*why = timed_route(b->model, s->deadline, &p, w->prompt, scratch, c)) != NULL;
}

/* The model decides. 0; 1 when it cannot (*why says so); -1 and err when nothing meets the limits. */
static int
by_model(struct worker *k, const struct generation *g, const struct binding *b, const struct route_set *within,
	const struct want *w, struct decision *out, const char **why, struct err *e)
{
	const struct router_scratch *scratch;
	struct policy_choice c;

	if (score(k, g, b, within, w, &c, why) != 0)
		return 1;
	scratch = loaded_scratch(b->model, k->index);
	if (c.model == POLICY_NONE)
		return err_set(e, ERR_NO, "no model meets max_cost, max_latency and the capabilities that are asked for");
	out->model = b->model;
	if (w->arm != NULL && w->arm->strategy != NULL)
		out->strategy = w->arm->strategy;
	out->label = c.model;
	out->runner_up = c.runner_up;
	out->runner_up_name = c.runner_up == POLICY_NONE ? NULL : b->model->router->models.keys[c.runner_up];
	out->propensity = c.propensity;
	out->explored = c.explored;
	out->outlier = outlier_is(b->model, scratch);
	out->score = scratch->score;
	out->cost = scratch->cost;
	out->latency = scratch->latency;
	out->times = scratch->times;
	return by_strategy(k, g, STRATEGY_SHUFFLE, b->label[c.model].pick, b->label[c.model].n, within, w, out, e);
}

/* Is it the router's choice among all groups? */
static bool
any_group(const struct generation *g, const char *group)
{
	return decide_is_auto(group) || generation_lineup(g, group) != NULL;
}

/* Does a model decide? One in an arm does under a config with a static strategy too. */
static bool
is_scored(const struct router_settings *s, const struct binding *b)
{
	return s->strategy == STRATEGY_ML || (b != NULL && b->model != NULL);
}

int
decide_would(struct worker *k, const struct generation *g, const struct binding *b, const struct want *w,
	const struct deployment *d)
{
	const struct route_set *within = any_group(g, w->group) ? NULL : generation_group(g, w->group);
	struct policy_choice c;
	const char *why;

	if (b->model == NULL || score(k, g, b, within, w, &c, &why) != 0 || c.model == POLICY_NONE)
		return -1;
	return in_set(&b->label[c.model], d);
}

int
decide(struct worker *k, const struct generation *g, const struct binding *b, const struct want *w,
	struct decision *out, struct err *e)
{
	const struct router_settings *s = &g->config->router;
	const struct route_set *within = NULL;
	enum strategy static_one = s->strategy;
	const char *why = NULL;
	int r;

	*out = (struct decision){ .strategy = s->strategy_name, .propensity = 1, .label = POLICY_NONE,
		.runner_up = POLICY_NONE, .arm = w->arm };
	if (w->arm != NULL)
		b = &w->arm->bind;
	if (!any_group(g, w->group) && (within = generation_group(g, w->group)) == NULL)
		return err_set(e, ERR_NOINPUT, "there is no model '%s'; GET /v1/models lists them", w->group);
	if (b != NULL && b->fixed) {
		static_one = b->strategy;
		out->strategy = strategy_name(static_one);
	} else if (is_scored(s, b) && (within == NULL || within->n > 1)) {
		if (b == NULL || b->model == NULL)
			why = "no_model";
		else if ((r = by_model(k, g, b, within, w, out, &why, e)) <= 0)
			return r;
		out->fallback = why;
		static_one = s->fallback_strategy;
		out->strategy = strategy_name(static_one);
	} else if (s->strategy == STRATEGY_ML)
		static_one = s->fallback_strategy;
	if (within != NULL)
		return by_strategy(k, g, static_one, within->pick, within->n, NULL, w, out, e);
	return by_strategy(k, g, static_one, g->all, g->config->n, NULL, w, out, e);
}
