#include "model/fittable.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/split.h"

#define FOLDS ((size_t)5)
#define TABLE_CELLS ((size_t)1 << 18)
#define TABLE_FEWEST ((size_t)64)

struct work {
	const struct dataset *ds;
	struct fit_params params;	/* without mode and head */
	size_t *fold;			/* [n] */
	size_t *rows;			/* [n] of one side */
	size_t *choice;			/* [n] which nobody asks for */
	struct slice *text;		/* [n] */
	float *predicted;		/* [n x m] of one fold */
	struct pool *pool;
};

bool
fittable_wanted(const struct fit_params *p, const struct dataset *ds)
{
	return mode_asked(&p->mode) || (!p->scores_alone && (ds->m == 2 || p->mode.calibrate));
}

static size_t
table_rows(const struct dataset *ds)
{
	size_t most = TABLE_CELLS / ds->m;

	most = most > MODE_ROWS ? MODE_ROWS : most < TABLE_FEWEST ? TABLE_FEWEST : most;
	return ds->n < most ? ds->n : most;
}

size_t
fittable_fits(const struct dataset *ds)
{
	size_t fits = (table_rows(ds) * FOLDS + ds->n - 1) / ds->n;

	return fits < FOLDS ? fits : FOLDS;
}

static size_t
side(const struct work *w, size_t fold, bool inside)
{
	size_t n = 0;

	for (size_t i = 0; i < w->ds->n; i++)
		if ((w->fold[i] == fold) == inside)
			w->rows[n++] = i;
	return n;
}

/* Fit without a fold and predict it; into the table from row t->n on, as far as there is room. */
static int
add_fold(struct work *w, size_t fold, size_t room, struct mode_table *t, float *predicted,
	float *score, struct err *e)
{
	const struct policy policy = POLICY_INIT;
	const struct dataset *ds = w->ds;
	struct fit_params params = w->params;
	struct err why = ERR_INIT;
	size_t n = side(w, fold, false), m = ds->m;
	struct dataset *train;
	struct router *r = NULL;
	int status = -1;

	if (n == 0 || n == ds->n)
		return 0;
	params.keep = checkpoint_below(&w->params.keep, "table.%zu", fold);
	train = dataset_subset(ds, w->rows, n, e);
	if (train == NULL)
		goto out;
	if ((r = fit_router(&params, train, w->pool, &why)) == NULL) {
		/* A handful of texts from which nothing can be learned: the other folds serve. */
		status = why.code == ERR_INPUT ? 0 : -1;
		if (status < 0 && e != NULL)
			*e = why;
		goto out;
	}
	n = side(w, fold, true);
	n = n < room - t->n ? n : room - t->n;
	for (size_t i = 0; i < n; i++)
		w->text[i] = ds->query[w->rows[i]];
	if (router_batch(r, &policy, w->text, n, w->choice, w->predicted, w->pool, e) < 0)
		goto out;
	memcpy(predicted + t->n * m, w->predicted, n * m * sizeof *predicted);
	for (size_t i = 0; i < n * m; i++) {
		float s = ds->score[w->rows[i / m] * m + i % m];

		score[t->n * m + i] = isnan(s) ? -1 : s;
	}
	t->n += n;
	status = 0;
out:
	router_free(r);
	dataset_free(train);
	return status;
}

static int
fill(struct work *w, struct router *r, struct err *e)
{
	size_t room = table_rows(w->ds), cells = room * w->ds->m;
	struct mode_table t = { 0, w->ds->m, NULL, NULL };

	if ((r->table_owned = mem_calloc(cells, 2 * sizeof *r->table_owned, e)) == NULL)
		return -1;
	for (size_t k = 0; k < FOLDS && t.n < room; k++)
		if (cancel_check(w->params.cancel, e) < 0 ||
		    add_fold(w, k, room, &t, r->table_owned, r->table_owned + cells, e) < 0)
			return -1;
	t.predicted = r->table_owned;
	t.score = r->table_owned + cells;
	r->table = t;
	return 0;
}

int
fittable_run(const struct fit_params *p, const struct dataset *ds, struct router *r,
	struct pool *pool, struct err *e)
{
	struct work w = { .ds = ds, .params = *p, .pool = pool };
	int status = 0;

	r->mode_params = p->mode;
	if (fittable_wanted(p, ds)) {
		mode_params_init(&w.params.mode);
		w.params.scores_alone = true;
		w.fold = mem_calloc(ds->n, 3 * sizeof *w.fold, e);
		w.text = mem_calloc(ds->n, sizeof *w.text, e);
		w.predicted = mem_calloc(ds->n, ds->m * sizeof *w.predicted, e);
		status = w.fold == NULL || w.text == NULL || w.predicted == NULL ? -1 : 0;
		w.rows = status < 0 ? NULL : w.fold + ds->n;
		w.choice = status < 0 ? NULL : w.fold + 2 * ds->n;
		for (size_t i = 0; status == 0 && i < ds->n; i++)
			w.fold[i] = split_fold(ds->query_id[i], p->seed, FOLDS);
		status = status < 0 ? -1 : fill(&w, r, e);
	}
	free(w.fold);
	free(w.text);
	free(w.predicted);
	if (status < 0 ||
	    mode_resolve(&p->mode, &r->table, &r->models, NULL, r->score_mean, &r->mode, e) < 0)
		return -1;
	/* Of two models the pair is plain, but others may join them. */
	if (r->mode.pair)
		mode_name_pair(&r->mode_params, r->models.keys[r->mode.weak],
		    r->models.keys[r->mode.strong]);
	return 0;
}
