#include "model/outoffold.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FOLDS 3
#define BLOCK 32

struct run {
	const struct scorer_kind *kind;
	const void *model;
	const struct scorer_data *data;
	size_t rows, fold;		/* fold FOLDS: each row without itself */
	void **scratch;			/* by worker */
	float *cost;			/* [workers x m] which nobody asks for */
	float *out;
};

bool
outoffold_cheap(const struct scorer_kind *kind, const void *model)
{
	return kind->can_skip || (kind->outside != NULL && kind->outside(model) != NULL);
}

static void
score_block(void *arg, size_t part, unsigned worker)
{
	struct run *r = arg;
	size_t m = r->data->m;

	for (size_t i = part * BLOCK; i < (part + 1) * BLOCK && i < r->rows; i++)
		if (r->fold == FOLDS || i % FOLDS == r->fold)
			r->kind->score(r->model, r->data->x + i * r->data->d,
			    r->fold == FOLDS ? i : SCORER_NO_ROW, r->scratch[worker], r->out + i * m,
			    r->cost + worker * m);
}

static int
score_rows(struct run *r, struct err *e)
{
	unsigned workers = pool_threads(r->data->pool);
	int status = -1;

	r->scratch = mem_calloc(workers, sizeof *r->scratch, e);
	r->cost = mem_calloc(workers, r->data->m * sizeof *r->cost, e);
	if (r->scratch == NULL || r->cost == NULL)
		goto out;
	for (unsigned i = 0; i < workers; i++)
		if ((r->scratch[i] = r->kind->scratch_new(r->model, e)) == NULL)
			goto out;
	pool_run(r->data->pool, (r->rows + BLOCK - 1) / BLOCK, score_block, r);
	status = 0;
out:
	for (unsigned i = 0; r->scratch != NULL && i < workers; i++)
		r->kind->scratch_free(r->scratch[i]);
	free(r->scratch);
	free(r->cost);
	return status;
}

/* The rows outside a fold, copied. */
struct part {
	float *x, *score, *weight;
	struct scorer_data data;
};

static int
take_part(const struct scorer_data *from, size_t fold, struct part *p, struct err *e)
{
	size_t n = 0, d = from->d, m = from->m;

	*p = (struct part){ .data = *from };
	p->x = mem_aligned(from->n, d * sizeof *p->x, e);
	p->score = mem_aligned(from->n, m * sizeof *p->score, e);
	p->weight = mem_aligned(from->n, sizeof *p->weight, e);
	if (p->x == NULL || p->score == NULL || p->weight == NULL)
		return -1;
	for (size_t i = 0; i < from->n; i++) {
		if (i % FOLDS == fold)
			continue;
		memcpy(p->x + n * d, from->x + i * d, d * sizeof *p->x);
		memcpy(p->score + n * m, from->score + i * m, m * sizeof *p->score);
		p->weight[n++] = from->weight == NULL ? 1 : from->weight[i];
	}
	p->data.n = n;
	p->data.x = p->x;
	p->data.score = p->score;
	p->data.cost = NULL;
	p->data.weight = from->weight == NULL ? NULL : p->weight;
	return 0;
}

static int
one_fold(struct run *r, const void *params, struct err *e)
{
	struct part p;
	void *model = NULL;
	int status = -1;

	if (cancel_check(r->data->cancel, e) < 0)
		return -1;
	if (take_part(r->data, r->fold, &p, e) == 0)
		model = r->kind->fit(params, &p.data, e);
	r->model = model;
	if (model != NULL)
		status = score_rows(r, e);
	r->kind->free(model);
	free(p.x);
	free(p.score);
	free(p.weight);
	return status;
}

int
outoffold_scores(const struct scorer_kind *kind, const void *params, const void *model,
	const struct scorer_data *data, size_t rows, float *out, struct err *e)
{
	struct run r = { .kind = kind, .model = model, .data = data, .rows = rows, .fold = FOLDS,
		.out = out };
	const float *made = kind->outside == NULL ? NULL : kind->outside(model);

	if (made != NULL) {
		memcpy(out, made, rows * data->m * sizeof *out);
		return 0;
	}
	if (kind->can_skip)
		return score_rows(&r, e);
	if (data->n < 2 * FOLDS)
		return err_set(e, ERR_INPUT, "%zu queries are too few to leave some out", data->n);
	for (r.fold = 0; r.fold < FOLDS; r.fold++)
		if (one_fold(&r, params, e) < 0)
			return -1;
	return 0;
}
