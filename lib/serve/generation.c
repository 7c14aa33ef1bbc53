#include "serve/generation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void *
generation_take(struct generation *g, size_t n, size_t size, struct err *e)
{
	size_t bytes;
	void *p = mem_mul(n == 0 ? 1 : n, size, &bytes) ? arena_alloc(&g->arena, bytes, e) : NULL;

	if (p != NULL)
		memset(p, 0, bytes);
	return p;
}

/* Does deployment d answer to a label by rule 0, 1 or 2? */
static bool
fits(const struct deployment *d, const char *label, int rule)
{
	const char *slash = strchr(label, '/');

	switch (rule) {
	case 0:
		return strcmp(d->model, label) == 0;
	case 1:
		return strcmp(d->group, label) == 0;
	default:
		return strcmp(d->upstream_model, label) == 0 ||
			(slash != NULL && (strcmp(d->upstream_model, slash + 1) == 0 || strcmp(d->group, slash + 1) == 0));
	}
}

/* The deployments of a label by the first rule that finds any. */
static int
bind_label(struct generation *g, const char *label, struct route_set *out, struct err *e)
{
	const struct config *c = g->config;

	out->name = label;
	for (int rule = 0; rule < 3 && out->n == 0; rule++) {
		if ((out->pick = generation_take(g, c->n, sizeof *out->pick, e)) == NULL)
			return -1;
		for (size_t i = 0; i < c->n; i++) {
			if (!fits(&c->deployment[i], label, rule))
				continue;
			if (rule == 2 && out->n > 0 && strcmp(out->pick[0].d->model, c->deployment[i].model) != 0)
				return err_set(e, ERR_CONFIG, "%s: the model's label '%s' fits '%s' and '%s'; name one of them so",
					c->name, label, out->pick[0].d->model, c->deployment[i].model);
			out->pick[out->n++] = g->all[i];
		}
	}
	return 0;
}

/* A candidate by any name that the deployment goes by. */
static const struct candidate *
candidate_of(const struct candidates *k, const struct deployment *d)
{
	const struct candidate *c = NULL;
	const char *names[] = { d->group, d->model, d->upstream_model };

	for (size_t i = 0; k != NULL && c == NULL && i < 3; i++)
		c = candidates_find(k, slice_str(names[i]));
	return c;
}

/* What model_list leaves open, from the candidates. */
static void
complete(struct config *c, const struct candidates *k)
{
	for (size_t i = 0; i < c->n; i++) {
		struct deployment *d = &c->deployment[i];
		const struct candidate *m = candidate_of(k, d);

		if (m == NULL)
			continue;
		if (isnan(d->input_cost))
			d->input_cost = m->usd_per_1k_input / 1000;
		if (isnan(d->output_cost))
			d->output_cost = m->usd_per_1k_output / 1000;
		if (d->context_tokens == 0 && m->context_window > 0)
			d->context_tokens = (size_t)m->context_window;
	}
}

static int
take_priors(struct generation *g, const struct map *models, struct binding *out, struct err *e)
{
	if (g->candidates == NULL)
		return 0;
	if ((out->prior = generation_take(g, models->len, sizeof *out->prior, e)) == NULL)
		return -1;
	for (size_t i = 0; i < models->len; i++) {
		const struct candidate *c = candidates_find(g->candidates,
			(struct slice){ models->keys[i], models->key_len[i] });

		out->prior[i] = c == NULL ? NAN : (float)c->quality_score;
	}
	return 0;
}

int
generation_bind(struct generation *g, struct loaded *l, const struct log *log, struct binding *out, struct err *e)
{
	size_t m = l->router->models.len, available = 0;

	if ((out->label = generation_take(g, m, sizeof *out->label, e)) == NULL)
		return -1;
	for (size_t i = 0; i < m; i++) {
		if (bind_label(g, l->router->models.keys[i], &out->label[i], e) < 0)
			return -1;
		if (out->label[i].n == 0)
			log_warn(log, "%s: no deployment for the model's label '%s'", g->config->name,
				l->router->models.keys[i]);
		available += out->label[i].n > 0;
	}
	if (available == 0)
		return err_set(e, ERR_INPUT, "%s: none of the model's %zu labels has a deployment in model_list",
			l->origin, m);
	if (take_priors(g, &l->router->models, out, e) < 0)
		return -1;
	out->model = loaded_ref(l);
	return 0;
}

static int
make_groups(struct generation *g, struct backends *b, struct err *e)
{
	const struct config *c = g->config;

	if ((g->all = generation_take(g, c->n, sizeof *g->all, e)) == NULL ||
	    (g->group = generation_take(g, c->n_groups, sizeof *g->group, e)) == NULL)
		return -1;
	for (size_t i = 0; i < c->n; i++) {
		g->all[i].d = &c->deployment[i];
		if ((g->all[i].b = backends_get(b, c->deployment[i].id, e)) == NULL)
			return -1;
	}
	for (size_t k = 0; k < c->n_groups; k++) {
		struct route_set *s = &g->group[k];

		s->name = c->group[k];
		if ((s->pick = generation_take(g, c->n, sizeof *s->pick, e)) == NULL)
			return -1;
		for (size_t i = 0; i < c->n; i++) {
			if (strcmp(c->deployment[i].group, s->name) == 0)
				s->pick[s->n++] = g->all[i];
		}
		if (s->n > STRATEGY_MAX)
			return err_set(e, ERR_CONFIG, "%s: group '%s' has %zu deployments, at most %d are served", c->name,
				s->name, s->n, STRATEGY_MAX);
	}
	return 0;
}

struct generation *
generation_new(struct config *c, struct candidates *k, struct loaded *model, struct backends *b,
	const struct log *log, struct err *e)
{
	struct generation *g = mem_calloc(1, sizeof *g, e);

	if (g == NULL)
		return NULL;
	atomic_init(&g->refs, 1);
	g->config = c;
	g->candidates = k;
	complete(c, k);
	if (make_groups(g, b, e) < 0 || (model != NULL && generation_bind(g, model, log, &g->active, e) < 0)) {
		g->config = NULL;
		g->candidates = NULL;
		generation_unref(g);
		return NULL;
	}
	return g;
}

struct generation *
generation_ref(const struct generation *g)
{
	struct generation *h = (struct generation *)(uintptr_t)g;

	atomic_fetch_add(&h->refs, 1);
	return h;
}

void
generation_unref(struct generation *g)
{
	if (g == NULL || atomic_fetch_sub(&g->refs, 1) > 1)
		return;
	for (size_t i = 0; i < g->n_lineups; i++) {
		for (size_t k = 0; k < g->lineup[i].n; k++)
			loaded_unref(g->lineup[i].arm[k].bind.model);
		if (g->lineup[i].shadow != NULL)
			loaded_unref(g->lineup[i].shadow->bind.model);
	}
	loaded_unref(g->active.model);
	if (g->base == NULL) {
		config_free(g->config);
		candidates_free(g->candidates);
	}
	generation_unref(g->base);
	arena_finish(&g->arena);
	free(g);
}

struct generation *
generation_derive(struct generation *base, size_t n, struct err *e)
{
	struct generation *g = mem_calloc(1, sizeof *g, e);

	if (g == NULL)
		return NULL;
	atomic_init(&g->refs, 1);
	g->config = base->config;
	g->candidates = base->candidates;
	g->group = base->group;
	g->all = base->all;
	g->active = base->active;
	g->degraded = base->degraded;
	if (g->active.model != NULL)
		(void)loaded_ref(g->active.model);
	g->base = generation_ref(base);
	if ((g->lineup = generation_take(g, n, sizeof *g->lineup, e)) == NULL) {
		generation_unref(g);
		return NULL;
	}
	g->n_lineups = n;
	return g;
}

const struct lineup *
generation_lineup(const struct generation *g, const char *name)
{
	for (size_t i = 0; name != NULL && i < g->n_lineups; i++) {
		if (strcmp(g->lineup[i].router, name) == 0)
			return &g->lineup[i];
	}
	return NULL;
}

const struct route_set *
generation_group(const struct generation *g, const char *name)
{
	const char *group = config_group(g->config, name);

	for (size_t i = 0; group != NULL && i < g->config->n_groups; i++) {
		if (strcmp(g->group[i].name, group) == 0)
			return &g->group[i];
	}
	return NULL;
}
