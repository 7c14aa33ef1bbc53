#include "model/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "data/split.h"

#define FULL_ENOUGH 50		/* full rows from which on choices are judged, not predictions */

/* ---- the grid ---- */

static int
set_value(struct fit_params *p, const char *name, const char *value, struct err *e)
{
	if (strcmp(name, "embedder") != 0)
		return fit_params_set(p, name, value, e);
	if (embed_check_kind(value, e) < 0) {
		if (e != NULL)
			e->code = ERR_USAGE;
		return -1;
	}
	p->embed.kind = value;
	return 0;
}

/* The next value of a list in place; NULL at its end. */
static char *
next_value(char **list, char part)
{
	char *value = *list, *end;

	if (value == NULL)
		return NULL;
	end = strchr(value, part);
	*list = end == NULL ? NULL : end + 1;
	if (end != NULL)
		*end = '\0';
	return value;
}

static int
add_values(struct search_grid *g, struct search_axis *axis, char *list, const struct fit_params *params,
	struct err *e)
{
	char part = strchr(list, '|') != NULL ? '|' : ',', *value;
	struct fit_params scratch = *params;
	size_t most = 1;

	for (const char *p = list; *p != '\0'; p++)
		most += *p == part;
	if (part == '|' && list[strlen(list) - 1] == part)	/* so that one value with commas can stand alone */
		list[strlen(list) - 1] = '\0';
	axis->value = arena_alloc(&g->own, most * sizeof *axis->value, e);
	if (axis->value == NULL)
		return -1;
	while ((value = next_value(&list, part)) != NULL) {
		for (size_t i = 0; i < axis->n; i++)
			if (strcmp(axis->value[i], value) == 0)
				return err_set(e, ERR_USAGE, "%s: the value '%s' is there twice", axis->name,
				    value);
		if (set_value(&scratch, axis->name, value, e) < 0)
			return -1;
		axis->value[axis->n++] = value;
	}
	return 0;
}

int
search_grid_add(struct search_grid *g, const char *spec, const struct fit_params *params,
	struct err *e)
{
	char *name = arena_dup(&g->own, spec, strlen(spec), e), *eq;
	struct search_axis axis = { NULL, NULL, 0 };
	struct mode_params mode;

	if (name == NULL)
		return -1;
	eq = strchr(name, '=');
	if (eq == NULL || eq == name || eq[1] == '\0')
		return err_set(e, ERR_USAGE, "'%s' is not NAME=VALUE,VALUE,...", spec);
	*eq = '\0';
	axis.name = name;
	mode_params_init(&mode);
	if (mode_params_set(&mode, name, "", NULL) != 1)
		return err_set(e, ERR_USAGE, "%s says what becomes of predictions, and a search compares "
		    "these: set it by --hparam, or try it with eval", name);
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->axis[i].name, name) == 0)
			return err_set(e, ERR_USAGE, "%s is there twice: give all its values at once", name);
	if (g->n == SEARCH_MAX_AXES)
		return err_set(e, ERR_USAGE, "more than %d hyperparameters", SEARCH_MAX_AXES);
	if (add_values(g, &axis, eq + 1, params, e) < 0)
		return -1;
	if (g->n == 0)
		g->candidates = 1;
	if (g->candidates > SEARCH_MAX_CANDIDATES / axis.n)
		return err_set(e, ERR_USAGE, "more than %d combinations", SEARCH_MAX_CANDIDATES);
	g->candidates *= axis.n;
	g->axis[g->n++] = axis;
	return 0;
}

static const struct { const char *kind, *axis; } defaults[] = {
	{ "knn", "n_neighbors=50,100,200,400" }, { "knn", "temperature=0.1,0.2,0.4" },
	{ "svm", "C=0.1,0.3,1" }, { "svm", "epsilon=0.1,0.2,0.3" },
	{ "mlp", "hidden_layer_sizes=64|128,64|256" }, { "mlp", "alpha=0.0001|0.01|1" },
	{ "mf", "latent_dim=32,128" }, { "mf", "epochs=5,10,20" },
	{ "ridge", "lambda=1,3,10,30,100" },
	{ "kridge", "lambda=1,3,10" }, { "kridge", "gamma=1,2,4" },
	{ "trees", "min_samples_leaf=5,10,20" }, { "trees", "max_features=0.2,0.4,0.8" },
	{ "hybrid", "members=knn,ridge,trees|ridge,kridge|knn,kridge,trees" },
};

int
search_grid_default(struct search_grid *g, const struct fit_params *params, struct err *e)
{
	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		if (strcmp(defaults[i].kind, params->kind->name) == 0 &&
		    search_grid_add(g, defaults[i].axis, params, e) < 0)
			return -1;
	if (g->n == 0)
		return err_set(e, ERR_USAGE, "%s: there is nothing to search without --grid",
		    params->kind->name);
	return 0;
}

void
search_grid_finish(struct search_grid *g)
{
	arena_finish(&g->own);
	*g = (struct search_grid){ 0 };
}

/* Which of axis a's values candidate i has. */
static size_t
digit(const struct search_grid *g, size_t i, size_t a)
{
	for (size_t k = g->n - 1; k > a; k--)
		i /= g->axis[k].n;
	return i % g->axis[a].n;
}

int
search_apply(const struct search_grid *g, size_t i, struct fit_params *p, struct err *e)
{
	for (size_t a = 0; a < g->n; a++)
		if (set_value(p, g->axis[a].name, g->axis[a].value[digit(g, i, a)], e) < 0)
			return -1;
	return 0;
}

void
search_write_candidate(const struct search_grid *g, size_t i, struct jsonw *w)
{
	for (size_t a = 0; a < g->n; a++)
		jsonw_kstr(w, g->axis[a].name, g->axis[a].value[digit(g, i, a)]);
}

void
search_name(const struct search_grid *g, size_t i, struct buf *b)
{
	for (size_t a = 0; a < g->n; a++)
		buf_printf(b, "%s%s=%s", a > 0 ? " " : "", g->axis[a].name,
		    g->axis[a].value[digit(g, i, a)]);
}

/* ---- one rung ---- */

struct cell_sum { double sum, n; };

struct contender {
	size_t candidate;
	struct fit_params params;
	struct cell_sum of;		/* on the rung under way */
	bool failed;
};

struct rung {
	const struct search_plan *plan;
	struct pool *pool;
	bool by_error;
	struct contender *c;		/* [n] those that are left, in the grid's order */
	size_t n, index, queries;
	struct err first;		/* why one could not be learned */
};

/* A fold of a rung: both sides, their vectors by the embedder of the contender under way. */
struct sides {
	struct dataset *train, *test;
	struct fit_space space;		/* of the training side */
	float *x;			/* [test->n x d] */
	float *mean;			/* [m] of the training side's scores */
	bool failed;			/* no embedder could be learned */
};

struct judging {
	const struct rung *rung;
	const struct sides *s;
	const struct scorer_kind *kind;
	const void *model;
	void **scratch;
	float *work;			/* [threads x 2 m] */
	struct cell_sum *row;		/* [test->n] */
};

static struct cell_sum
judge_row(const struct rung *r, const struct sides *s, size_t i, const float *score, const float *cost)
{
	const struct policy policy = POLICY_INIT;
	const float *truth = s->test->score + i * s->test->m;
	struct cell_sum of = { 0, 0 };
	struct policy_choice choice;

	if (!r->by_error) {
		if (!dataset_row_full(s->test, i))
			return of;
		policy_choose(&policy, s->test->m, score, cost, s->mean, &choice);
		return (struct cell_sum){ (double)truth[choice.model], 1 };
	}
	for (size_t j = 0; j < s->test->m; j++)
		if (!isnan(truth[j])) {
			double miss = (double)score[j] - (double)truth[j];

			of.sum -= miss * miss;
			of.n++;
		}
	return of;
}

#define ROWS 32

static void
judge_rows(void *arg, size_t part, unsigned worker)
{
	struct judging *j = arg;
	size_t m = j->s->test->m, d = j->s->space.d;
	float *score = j->work + worker * 2 * m;

	for (size_t i = part * ROWS; i < (part + 1) * ROWS && i < j->s->test->n; i++) {
		j->kind->score(j->model, j->s->x + i * d, SCORER_NO_ROW, j->scratch[worker], score,
		    score + m);
		j->row[i] = judge_row(j->rung, j->s, i, score, score + m);
	}
}

/* The contender's model on the rows left out; their sums in order. */
static int
judge(const struct rung *r, const struct sides *s, const struct scorer_kind *kind, const void *model,
	struct cell_sum *out, struct err *e)
{
	unsigned threads = pool_threads(r->pool);
	struct judging j = { r, s, kind, model, NULL, NULL, NULL };
	int status = -1;

	*out = (struct cell_sum){ 0, 0 };
	j.scratch = mem_calloc(threads, sizeof *j.scratch, e);
	j.work = mem_calloc(threads, 2 * s->test->m * sizeof *j.work, e);
	j.row = mem_calloc(s->test->n, sizeof *j.row, e);
	if (j.scratch == NULL || j.work == NULL || j.row == NULL)
		goto out;
	for (unsigned i = 0; i < threads; i++)
		if ((j.scratch[i] = kind->scratch_new(model, e)) == NULL)
			goto out;
	pool_run(r->pool, (s->test->n + ROWS - 1) / ROWS, judge_rows, &j);
	for (size_t i = 0; i < s->test->n; i++) {
		out->sum += j.row[i].sum;
		out->n += j.row[i].n;
	}
	status = 0;
out:
	for (unsigned i = 0; j.scratch != NULL && i < threads; i++)
		kind->scratch_free(j.scratch[i]);
	free(j.scratch);
	free(j.work);
	free(j.row);
	return status;
}

static bool
same_embedder(const struct embed_params *a, const struct embed_params *b)
{
	return strcmp(a->kind, b->kind) == 0 && a->dim == b->dim && a->min_df == b->min_df &&
	    a->max_features == b->max_features && a->max_bytes == b->max_bytes;
}

/* What could not be learned is out of the race; anything else ends the search. */
static int
out_of_race(struct rung *r, const struct err *why, struct err *e)
{
	if (why->code == ERR_INPUT || why->code == ERR_USAGE) {
		if (r->first.code == ERR_NONE)
			r->first = *why;
		return 0;
	}
	if (e != NULL)
		*e = *why;
	return -1;
}

static int
embed_sides(struct rung *r, struct sides *s, const struct fit_params *p, struct err *e)
{
	struct err why = ERR_INIT;

	fit_space_finish(&s->space);
	free(s->x);
	s->x = NULL;
	s->failed = fit_embed(p, s->train, r->pool, &s->space, &why) < 0;
	if (s->failed)
		return out_of_race(r, &why, e);
	s->x = mem_aligned(s->test->n, s->space.d * sizeof *s->x, e);
	if (s->x == NULL)
		return -1;
	return embed_batch(s->space.embed, s->test->query, s->test->n, s->x, r->pool, e);
}

/* One contender on one fold. *embedded: the sides have the vectors of its embedder. */
static int
contend(struct rung *r, struct sides *s, struct contender *c, size_t fold, bool *embedded,
	struct err *e)
{
	struct fit_params p = c->params;
	struct cell_sum of = { 0, 0 };
	struct { struct cell_sum of; uint64_t failed; } kept = { { 0, 0 }, 0 };
	const struct checkpoint_part part[] = { { &kept, sizeof kept } };
	struct err why = ERR_INIT;
	void *model;

	p.keep = checkpoint_below(&r->plan->params->keep, "r%zu.f%zu.c%zu", r->index, fold, c->candidate);
	if (!checkpoint_get(&p.keep, part, 1)) {
		if (!*embedded && embed_sides(r, s, &p, e) < 0)
			return -1;
		*embedded = true;
		model = s->failed ? NULL : fit_scorer(&p, s->train, &s->space, r->pool, &why);
		if (model == NULL && !s->failed && out_of_race(r, &why, e) < 0)
			return -1;
		if (model != NULL && judge(r, s, p.kind, model, &of, e) < 0) {
			p.kind->free(model);
			return -1;
		}
		kept.of = of;
		kept.failed = model == NULL;
		if (model != NULL)
			p.kind->free(model);
		checkpoint_drop(&p.keep);
		if (checkpoint_put(&p.keep, part, 1, e) < 0)
			return -1;
	}
	c->of.sum += kept.of.sum;
	c->of.n += kept.of.n;
	c->failed = c->failed || kept.failed != 0;
	return 0;
}

/* Rows of the rung that are in the fold, or not in it, as a dataset; NULL with ERR_NONE when there are none. */
static struct dataset *
side(const struct dataset *ds, const bool *in, const size_t *of, size_t fold, bool inside,
	size_t *row, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < ds->n; i++)
		if (in[i] && (of[i] == fold) == inside)
			row[n++] = i;
	return n == 0 ? NULL : dataset_subset(ds, row, n, e);
}

static int
run_fold(struct rung *r, struct sides *s, size_t fold, struct err *e)
{
	bool embedded = false;

	for (size_t k = 0; k < r->n; k++) {
		struct contender *c = &r->c[k];

		if (cancel_check(c->params.cancel, e) < 0)
			return -1;
		if (k > 0 && !same_embedder(&r->c[k - 1].params.embed, &c->params.embed))
			embedded = false;
		if (!c->failed && contend(r, s, c, fold, &embedded, e) < 0)
			return -1;
		if (r->plan->progress != NULL)
			progress_show(r->plan->progress, "search", (double)(fold * r->n + k),
			    (double)(r->n * SEARCH_FOLDS), "fits");
	}
	return 0;
}

static int
run_rung(struct rung *r, const struct dataset *ds, const bool *in, const size_t *of, size_t *row,
	struct err *e)
{
	for (size_t k = 0; k < r->n; k++)
		r->c[k].of = (struct cell_sum){ 0, 0 };
	for (size_t fold = 0; fold < SEARCH_FOLDS; fold++) {
		struct sides s = { 0 };
		struct err why = ERR_INIT;
		int status = 0;

		s.train = side(ds, in, of, fold, false, row, &why);
		if (s.train != NULL)
			s.test = side(ds, in, of, fold, true, row, &why);
		if (s.test != NULL) {
			s.mean = fit_column_means(s.train->score, s.train->n, s.train->m, 0.5f, e);
			status = s.mean == NULL ? -1 : run_fold(r, &s, fold, e);
		} else if (why.code != ERR_NONE) {
			status = -1;
			if (e != NULL)
				*e = why;
		}
		fit_space_finish(&s.space);
		free(s.x);
		free(s.mean);
		dataset_free(s.train);
		dataset_free(s.test);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* ---- the race ---- */

/* Rows in an order that no count of rows changes: those of a rung are the first of them. */
struct ticket { uint64_t hash; size_t row; };

static int
by_ticket(const void *a, const void *b)
{
	const struct ticket *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

static double
score_of(const struct contender *c)
{
	double score = c->failed || c->of.n == 0 ? -INFINITY : c->of.sum / c->of.n;

	return isfinite(score) ? score : -INFINITY;
}

/* Best first; of equals the one that stands first in the grid. */
static int
by_score(const void *a, const void *b)
{
	const struct contender *x = a, *y = b;
	double s = score_of(x), t = score_of(y);

	if (s != t)
		return s > t ? -1 : 1;
	return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

static int
by_candidate(const void *a, const void *b)
{
	const struct contender *x = a, *y = b;

	return (x->candidate > y->candidate) - (x->candidate < y->candidate);
}

static size_t
rungs_for(size_t candidates)
{
	size_t rungs = 1;

	for (size_t n = candidates; n >= SEARCH_FACTOR; n = (n + SEARCH_FACTOR - 1) / SEARCH_FACTOR)
		rungs++;
	return rungs;
}

/* All on the last rung, a third of that on the one before, but no fewer than serve. */
static size_t
queries_of(size_t n, size_t rungs, size_t rung)
{
	size_t q = n, least = n < SEARCH_LEAST ? n : SEARCH_LEAST;

	for (size_t k = rung + 1; k < rungs; k++)
		q /= SEARCH_FACTOR;
	return q < least ? least : q;
}

struct race {
	struct rung rung;
	const struct dataset *ds;
	struct ticket *ticket;		/* [n] in order */
	bool *in;			/* [n] rows of the rung */
	size_t *of, *row;		/* [n] fold of a row; scratch */
	struct search_result *out;
};

static int
race_begin(struct race *s, const struct search_plan *plan, const struct dataset *ds,
	struct pool *pool, struct search_result *out, struct err *e)
{
	size_t n = plan->grid->candidates, full = 0;

	*s = (struct race){ .ds = ds, .out = out,
		.rung = { .plan = plan, .pool = pool, .n = n, .first = ERR_INIT } };
	out->rungs = rungs_for(n);
	s->ticket = mem_calloc(ds->n, sizeof *s->ticket, e);
	s->in = mem_calloc(ds->n, sizeof *s->in, e);
	s->of = mem_calloc(ds->n, 2 * sizeof *s->of, e);
	s->rung.c = mem_calloc(n, sizeof *s->rung.c, e);
	out->cell = mem_calloc(n, out->rungs * sizeof *out->cell, e);
	if (s->ticket == NULL || s->in == NULL || s->of == NULL || s->rung.c == NULL ||
	    out->cell == NULL)
		return -1;
	s->row = s->of + ds->n;
	for (size_t i = 0; i < ds->n; i++) {
		const char *id = ds->query_id[i];

		full += dataset_row_full(ds, i);
		s->ticket[i] = (struct ticket){ map_hash(id, 16, plan->params->seed + 1), i };
		/* Other folds than those of an outer cross-validation by the same seed. */
		s->of[i] = split_fold(id, ~plan->params->seed, SEARCH_FOLDS);
	}
	qsort(s->ticket, ds->n, sizeof *s->ticket, by_ticket);
	s->rung.by_error = out->by_error = full < FULL_ENOUGH;
	for (size_t i = 0; i < n; i++) {
		s->rung.c[i].candidate = i;
		s->rung.c[i].params = *plan->params;
		if (search_apply(plan->grid, i, &s->rung.c[i].params, e) < 0)
			return -1;
	}
	return 0;
}

static int
race_rung(struct race *s, size_t index, struct err *e)
{
	struct rung *r = &s->rung;

	r->index = index;
	r->queries = queries_of(s->ds->n, s->out->rungs, index);
	for (size_t i = 0; i < s->ds->n; i++)
		s->in[s->ticket[i].row] = i < r->queries;
	if (run_rung(r, s->ds, s->in, s->of, s->row, e) < 0)
		return -1;
	for (size_t k = 0; k < r->n; k++) {
		double score = score_of(&r->c[k]);

		s->out->cell[s->out->n_cells++] = (struct search_cell){ r->c[k].candidate, index,
			r->queries, isfinite(score) ? score : NAN };
	}
	qsort(r->c, r->n, sizeof *r->c, by_score);
	if (!isfinite(score_of(&r->c[0]))) {
		if (e != NULL && r->first.code != ERR_NONE)
			*e = r->first;
		else
			err_set(e, ERR_INPUT, "too little data to compare hyperparameters on");
		return err_wrap(e, "search: no candidate could be learned");
	}
	s->out->winner = r->c[0].candidate;
	s->out->score = score_of(&r->c[0]);
	r->n = (r->n + SEARCH_FACTOR - 1) / SEARCH_FACTOR;
	qsort(r->c, r->n, sizeof *r->c, by_candidate);
	return 0;
}

int
search_run(const struct search_plan *plan, const struct dataset *ds, struct pool *pool,
	struct search_result *out, struct err *e)
{
	struct race s;
	int status = race_begin(&s, plan, ds, pool, out, e);

	for (size_t i = 0; i < out->rungs && status == 0; i++)
		status = race_rung(&s, i, e);
	free(s.ticket);
	free(s.in);
	free(s.of);
	free(s.rung.c);
	return status;
}

void
search_finish(struct search_result *r)
{
	free(r->cell);
	*r = (struct search_result){ 0 };
}

int
search_choose(void *ctx, const struct dataset *train, struct fit_params *p, size_t *chosen,
	struct err *e)
{
	const struct search_nested *nested = ctx;
	struct search_plan plan = *nested->plan;
	struct fit_params params = *p;
	struct search_result found = { 0 };
	int status;

	params.keep = checkpoint_below(&p->keep, "search");
	plan.params = &params;
	status = search_run(&plan, train, nested->pool, &found, e);
	*chosen = found.winner;
	search_finish(&found);
	return status < 0 ? -1 : search_apply(plan.grid, *chosen, p, e);
}

uint64_t
search_memory(const struct search_plan *plan, const struct dataset *ds)
{
	uint64_t most = 0;

	for (size_t i = 0; i < plan->grid->candidates; i++) {
		struct fit_params p = *plan->params;
		uint64_t one;

		if (search_apply(plan->grid, i, &p, NULL) < 0)
			continue;
		one = fit_memory(&p, ds);
		most = one > most ? one : most;
	}
	return most + (uint64_t)ds->n * (12 * (uint64_t)ds->m + 160) +
	    plan->grid->candidates * sizeof(struct contender);
}
