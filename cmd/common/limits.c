#include "common/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "data/candidates.h"

static bool
has_capability(const struct candidate *k, struct slice name)
{
	for (size_t i = 0; i < k->n_capabilities; i++)
		if (slice_eq(k->capabilities[i], name))
			return true;
	return false;
}

/* Every one of a comma-separated list. */
static bool
has_all(const struct candidate *k, struct slice list)
{
	while (list.n > 0) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma == NULL ? list.n : (size_t)(comma - list.p);

		if (!has_capability(k, slice_trim((struct slice){ list.p, n })))
			return false;
		list = comma == NULL ? SLICE_NONE : (struct slice){ comma + 1, list.n - n - 1 };
	}
	return true;
}

static int
read_candidates(struct ctx *c, const struct router *r, struct limits *l)
{
	const struct map *models = &r->models;
	const char *path = opt_str(c, "candidates");
	struct slice list = slice_str(opt_str(c, "require"));
	struct candidates *all;

	if (path == NULL)
		return list.p == NULL ? 0 : err_set(&c->err, ERR_USAGE,
		    "--require: give the models' capabilities by --candidates FILE");
	all = candidates_load(path, &c->err);
	l->allowed = mem_calloc(models->len, sizeof *l->allowed, &c->err);
	l->prior = mem_calloc(models->len, sizeof *l->prior, &c->err);
	if (all == NULL || l->allowed == NULL || l->prior == NULL) {
		candidates_free(all);
		return -1;
	}
	for (size_t i = 0; i < all->names.len; i++)
		if (map_find(models, all->names.keys[i], all->names.key_len[i]) == MAP_NONE)
			log_warn(&c->log, "%s: '%s' is left out: the router never saw it", path,
			    all->names.keys[i]);
	for (size_t j = 0; j < models->len; j++) {
		const struct candidate *k = candidates_find(all,
		    (struct slice){ models->keys[j], models->key_len[j] });

		l->allowed[j] = k != NULL && has_all(k, list);
		l->prior[j] = k == NULL ? NAN : (float)k->quality_score;
	}
	l->policy.allowed = l->allowed;
	l->policy.prior = l->prior;
	candidates_free(all);
	return 0;
}

static int
set_mode(struct ctx *c, const char *option, const char *name, struct mode_params *p)
{
	if (!opt_given(c, option))
		return 0;
	if (mode_params_set(p, name, opt_str(c, option), &c->err) == 0)
		return 0;
	return err_wrap(&c->err, "--%s", option);
}

static int
read_mode(struct ctx *c, const struct router *r, bool named, struct limits *l)
{
	struct mode_params p;

	mode_params_init(&p);
	if (set_mode(c, "router-mode", "router_mode", &p) < 0 ||
	    set_mode(c, "router-tau", "router_tau", &p) < 0 ||
	    set_mode(c, "router-threshold", "router_threshold", &p) < 0 ||
	    set_mode(c, "strong-share", "strong_share", &p) < 0)
		return -1;
	if ((named || mode_asked(&p) || mode_asked(&r->mode_params)) &&
	    (set_mode(c, "weak", "weak", &p) < 0 || set_mode(c, "strong", "strong", &p) < 0))
		return -1;
	l->mode = mode_params_over(&r->mode_params, &p);
	if (mode_resolve(&l->mode, &r->table, &r->models, r->column, r->score_mean, &l->policy.mode,
	    &c->err) < 0)
		return -1;
	if (l->policy.mode.pair)
		l->expected_share = mode_share(&l->policy.mode, &r->table, r->column);
	return 0;
}

/* Two options that decide the same thing. */
static int
check(struct ctx *c, const struct router *r, const struct limits *l)
{
	const struct policy *p = &l->policy;

	if (!router_knows_cost(r) && (opt_given(c, "max-cost") || p->cost_weight > 0))
		return err_set(&c->err, ERR_INPUT, "the training data held no costs: "
		    "--max-cost and --cost-weight have nothing to go by");
	if (!router_knows_latency(r) && (opt_given(c, "max-latency") || p->latency_weight > 0))
		return err_set(&c->err, ERR_INPUT, "the training data held no response times: "
		    "--max-latency and --latency-weight have nothing to go by");
	if (p->mode.pair && !isnan(l->mode.share) && (p->cost_weight > 0 || p->latency_weight > 0))
		return err_set(&c->err, ERR_USAGE, "a share of strong calls and %s decide the same: "
		    "give one of them", p->cost_weight > 0 ? "--cost-weight" : "--latency-weight");
	if ((p->mode.pair || p->mode.draw) && p->temperature > 0)
		return err_set(&c->err, ERR_USAGE, "--explore-temperature does not go with %s",
		    p->mode.pair ? "a pair of models: --router-mode probabilistic draws between them" :
		    "--router-mode probabilistic, which has its own");
	return 0;
}

int
limits_read(struct ctx *c, const struct router *r, bool named, struct limits *l)
{
	*l = (struct limits){ .policy = router_policy(r), .expected_share = NAN };
	l->policy.cost_weight = opt_num(c, "cost-weight");
	if (opt_given(c, "max-cost"))
		l->policy.max_cost = opt_num(c, "max-cost");
	l->policy.latency_weight = opt_num(c, "latency-weight");
	if (opt_given(c, "max-latency"))
		l->policy.max_latency = opt_duration(c, "max-latency");
	l->policy.epsilon = opt_num(c, "explore-epsilon");
	l->policy.temperature = opt_num(c, "explore-temperature");
	if (opt_given(c, "explore-max-cost"))
		l->policy.explore_cost = opt_num(c, "explore-max-cost");
	l->policy.seed = (uint64_t)opt_int(c, "seed");
	if (read_mode(c, r, named, l) < 0 || check(c, r, l) < 0)
		return -1;
	return read_candidates(c, r, l);
}

void
limits_finish(struct limits *l)
{
	free(l->allowed);
	free(l->prior);
	l->allowed = NULL;
	l->prior = NULL;
}
