#include "model/crossval.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/split.h"

struct run {
	const struct crossval_plan *plan;
	const struct dataset *ds;
	struct pool *pool;
	struct crossval *out;
	struct err first;		/* why a fold could not be learned */
	/* Of one fold: */
	size_t *row, n;			/* its rows; [ds->n] */
	size_t *choice;			/* [ds->n] */
	float *score;			/* [ds->n x m] */
	struct slice *text;		/* [ds->n] */
	struct { size_t best, learned, chosen; } head;
};

static size_t
fold_rows(const struct run *r, size_t fold, bool inside, size_t *row)
{
	size_t n = 0;

	for (size_t i = 0; i < r->ds->n; i++)
		if ((r->out->fold[i] == fold) == inside)
			row[n++] = i;
	return n;
}

/* A router that knows nothing: means, and the best of them. */
static int
know_means(struct run *r, const struct dataset *train, const struct err *why, size_t fold,
	struct err *e)
{
	float *mean = fit_column_means(train->score, train->n, train->m, 0.5f, e);
	struct baseline b;

	if (mean == NULL)
		return -1;
	baseline_compute(train->score, train->cost, train->n, train->m, &b);
	for (size_t i = 0; i < r->n; i++) {
		memcpy(r->score + i * train->m, mean, train->m * sizeof *mean);
		r->choice[i] = b.best;
	}
	free(mean);
	r->head.best = b.best;
	r->head.learned = 0;
	if (r->first.code == ERR_NONE)
		r->first = *why;
	if (r->plan->log != NULL)
		log_warn(r->plan->log, "fold %zu of %zu: nothing could be learned without it (%s): "
		    "its %zu queries are judged by the best single model", fold + 1, r->plan->folds,
		    why->msg, r->n);
	return 0;
}

static int
learn(struct run *r, const struct dataset *train, size_t fold, struct fit_params *p, struct err *e)
{
	struct policy policy;
	struct err why = ERR_INIT;
	struct router *router = NULL;
	int status = 0;

	r->head.chosen = 0;
	if (r->plan->choose != NULL)
		status = r->plan->choose(r->plan->ctx, train, p, &r->head.chosen, &why);
	if (status == 0)
		router = fit_router(p, train, r->pool, &why);
	if (router == NULL) {
		if (why.code == ERR_INPUT)
			return know_means(r, train, &why, fold, e);
		if (e != NULL)
			*e = why;
		return -1;
	}
	for (size_t i = 0; i < r->n; i++)
		r->text[i] = r->ds->query[r->row[i]];
	policy = router_policy(router);
	status = router_batch(router, &policy, r->text, r->n, r->choice, r->score, r->pool, e);
	r->head.best = router->best_single;
	r->head.learned = 1;
	router_free(router);
	return status;
}

/* What was read back must be usable: choices are indices. */
static bool
restored(struct run *r, const struct checkpoint_at *at, const struct checkpoint_part *part, size_t n)
{
	if (!checkpoint_get(at, part, n))
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (r->choice[i] >= r->ds->m && r->choice[i] != POLICY_NONE)
			return false;
	return r->head.best < r->ds->m && r->head.learned <= 1 &&
	    (r->head.chosen == 0 || r->head.chosen < r->plan->choices);
}

static int
one_fold(struct run *r, size_t fold, struct err *e)
{
	struct fit_params p = *r->plan->params;
	struct dataset *train;
	size_t n = fold_rows(r, fold, false, r->row), m = r->ds->m;
	int status = 0;

	p.keep = checkpoint_below(&p.keep, "cv.%zu", fold);
	p.scores_alone = true;
	if (n == 0 || n == r->ds->n)
		return 0;
	train = dataset_subset(r->ds, r->row, n, e);
	if (train == NULL)
		return -1;
	r->n = fold_rows(r, fold, true, r->row);
	const struct checkpoint_part part[] = { { &r->head, sizeof r->head },
		{ r->choice, r->n * sizeof *r->choice }, { r->score, r->n * m * sizeof *r->score } };

	if (!restored(r, &p.keep, part, 3)) {
		const struct checkpoint_at at = p.keep;

		status = learn(r, train, fold, &p, e);
		if (status == 0)
			status = checkpoint_put(&at, part, 3, e);
		if (status == 0)
			checkpoint_drop(&at);
	}
	for (size_t i = 0; i < r->n && status == 0; i++) {
		r->out->choice[r->row[i]] = r->choice[i];
		r->out->best[r->row[i]] = r->head.best;
		memcpy(r->out->score + r->row[i] * m, r->score + i * m, m * sizeof *r->score);
	}
	r->out->chosen[fold] = r->head.chosen;
	r->out->unlearned += r->head.learned == 0;
	dataset_free(train);
	return status;
}

static int
allocate(struct run *r, struct err *e)
{
	struct crossval *out = r->out;
	size_t cells;

	if (!mem_mul(out->n, out->m, &cells))
		return err_nomem(e);
	out->fold = mem_calloc(out->n, sizeof *out->fold, e);
	out->choice = mem_calloc(out->n, sizeof *out->choice, e);
	out->best = mem_calloc(out->n, sizeof *out->best, e);
	out->chosen = mem_calloc(out->folds, sizeof *out->chosen, e);
	out->score = mem_calloc(cells, sizeof *out->score, e);
	r->row = mem_calloc(out->n, sizeof *r->row, e);
	r->choice = mem_calloc(out->n, sizeof *r->choice, e);
	r->score = mem_calloc(cells, sizeof *r->score, e);
	r->text = mem_calloc(out->n, sizeof *r->text, e);
	return out->fold == NULL || out->choice == NULL || out->best == NULL || out->chosen == NULL ||
	    out->score == NULL || r->row == NULL || r->choice == NULL || r->score == NULL || r->text == NULL ? -1 : 0;
}

static int
all_folds(struct run *r, struct err *e)
{
	const struct crossval_plan *plan = r->plan;
	struct crossval *out = r->out;

	for (size_t i = 0; i < out->n; i++) {
		out->fold[i] = split_fold(r->ds->query_id[i], plan->params->seed, plan->folds);
		out->choice[i] = out->best[i] = POLICY_NONE;
	}
	for (size_t k = 0; k < plan->folds; k++) {
		if (plan->progress != NULL)
			progress_show(plan->progress, "cross-validation", (double)k,
			    (double)plan->folds, "folds");
		if (cancel_check(plan->params->cancel, e) < 0 || one_fold(r, k, e) < 0)
			return -1;
	}
	if (out->unlearned == plan->folds) {
		if (e != NULL)
			*e = r->first;
		return err_wrap(e, "cross-validation: no fold could be learned");
	}
	return fit_judge(r->ds, out->choice, out->best, plan->params->seed, r->pool, &out->result, e);
}

int
crossval_run(const struct crossval_plan *plan, const struct dataset *ds, struct pool *pool,
	struct crossval *out, struct err *e)
{
	struct run r = { .plan = plan, .ds = ds, .pool = pool, .out = out, .first = ERR_INIT };
	int status;

	*out = (struct crossval){ .n = ds->n, .m = ds->m, .folds = plan->folds };
	if (plan->folds > ds->n)
		return err_set(e, ERR_INPUT, "%zu folds, but only %zu queries", plan->folds, ds->n);
	status = allocate(&r, e) < 0 ? -1 : all_folds(&r, e);
	free(r.row);
	free(r.choice);
	free(r.score);
	free(r.text);
	return status;
}

void
crossval_finish(struct crossval *c)
{
	free(c->fold);
	free(c->choice);
	free(c->best);
	free(c->chosen);
	free(c->score);
	*c = (struct crossval){ 0 };
}
