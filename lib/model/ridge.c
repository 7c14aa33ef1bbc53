#include "model/ridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/affine.h"
#include "math/gram.h"
#include "math/mat.h"
#include "model/target.h"

#define BLOCK 4096		/* rows added up in single precision */
#define WAVE 4			/* blocks held at a time; fixed, so that sums do not depend on threads */
#define MAX_WEIGHT 1e6f

struct ridge {
	struct ridge_params params;
	struct target target;
	size_t d, m, outputs, stride;	/* outputs: scores, then costs where known */
	enum dot_kernel kernel;
	float *w;			/* [(d + 1) x stride] as affine_apply wants them */
	float *tensor;			/* [outputs x (d + 1)] as saved; NULL when loaded */
};

/* ---- hyperparameters ---- */

static void
params_init(void *params)
{
	*(struct ridge_params *)params = (struct ridge_params){ 10 };
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct ridge_params *p = params;

	if (strcmp(name, "lambda") == 0 || strcmp(name, "alpha") == 0)
		return str_double(name, value, 1e-6, 1e9, &p->lambda, e);
	return 1;
}

static void
params_write(const void *params, struct jsonw *w)
{
	jsonw_kdouble(w, "lambda", ((const struct ridge_params *)params)->lambda);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

static const void *
params_of(const void *model)
{
	return &((const struct ridge *)model)->params;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	uint64_t k = d, outputs = 2 * (uint64_t)m, wide = gram_padded(d + 2 * m + 1);

	(void)params;
	(void)n;
	return 8 * k * (k + outputs + 1) + WAVE * 4 * wide * (wide + GRAM_ROWS + 1) +
	    8 * outputs * (k + 1 + AFFINE_PAD);
}

/* ---- fit ---- */

/* One output: a column of scores or of costs. */
struct column {
	const float *cells;		/* [n x m], the column's first */
	double mean, unit, per_unit;
	size_t group;
};

struct part {
	float *chunk, *gram;		/* of rows [x, y]: see math/gram */
	float *row;			/* [d + k] */
	double weight;
};

struct fit {
	const struct scorer_data *data;
	struct column *column;		/* [outputs] */
	size_t outputs, groups;
	struct part part[WAVE];
	enum dot_kernel kernel;
	/* Of the group at work: */
	size_t *member, k;		/* its outputs; k = 1 + their number: the first y is all ones */
	size_t first;			/* block of part 0 */
	double *gram, *cross;		/* [d x d] upper triangle, [k x d] */
	double weight;
};

static bool
known(const struct fit *f, const struct column *c, size_t i)
{
	return !isnan(c->cells[i * f->data->m]);
}

static bool
same_pattern(const struct fit *f, const struct column *a, const struct column *b)
{
	for (size_t i = 0; i < f->data->n; i++)
		if (known(f, a, i) != known(f, b, i))
			return false;
	return true;
}

/* Outputs that are known on the same rows share a group. */
static void
make_groups(struct fit *f)
{
	for (size_t o = 0; o < f->outputs; o++) {
		size_t p = 0;

		while (p < o && !same_pattern(f, &f->column[p], &f->column[o]))
			p++;
		f->column[o].group = p < o ? f->column[p].group : f->groups++;
	}
}

/* Row i of the data as row `at' of the chunk. */
static void
pack_row(const struct fit *f, struct part *p, size_t at, size_t i)
{
	const struct scorer_data *ds = f->data;
	float w = ds->weight == NULL ? 1 : sqrtf(ds->weight[i]), *y = p->row + ds->d;
	const float *x = ds->x + i * ds->d;

	y[0] = w;
	for (size_t o = 1; o < f->k; o++) {
		const struct column *c = &f->column[f->member[o - 1]];

		y[o] = w * (float)(((double)c->cells[i * ds->m] - c->mean) * c->per_unit);
	}
	p->weight += (double)w * (double)w;
	if (ds->weight == NULL) {
		gram_pack(p->chunk, at, 0, x, ds->d);
		gram_pack(p->chunk, at, ds->d, y, f->k);
		return;
	}
	for (size_t j = 0; j < ds->d; j++)
		p->row[j] = w * x[j];
	gram_pack(p->chunk, at, 0, p->row, ds->d + f->k);
}

static void
run_part(void *arg, size_t part, unsigned worker)
{
	struct fit *f = arg;
	struct part *p = &f->part[part];
	size_t cols = f->data->d + f->k, wide = gram_padded(cols), rows = 0;
	size_t from = (f->first + part) * BLOCK, to = f->data->n - from < BLOCK ? f->data->n : from + BLOCK;

	(void)worker;
	p->weight = 0;
	memset(p->gram, 0, wide * wide * sizeof *p->gram);
	for (size_t i = from; i < to; i++) {
		if (known(f, &f->column[f->member[0]], i))
			pack_row(f, p, rows++, i);
		if (rows == GRAM_ROWS || (i + 1 == to && rows > 0)) {
			gram_add(f->kernel, p->chunk, rows, cols, p->gram);
			rows = 0;
		}
	}
}

static void
add_part(struct fit *f, const struct part *p)
{
	size_t d = f->data->d, wide = gram_padded(d + f->k);

	f->weight += p->weight;
	for (size_t i = 0; i < d; i++) {
		const float *row = p->gram + i * wide;

		for (size_t j = i; j < d; j++)
			f->gram[i * d + j] += (double)row[j];
		for (size_t o = 0; o < f->k; o++)
			f->cross[o * d + i] += (double)row[d + o];
	}
}

/* Centre by the mean of x, penalise, solve; weights of the group's outputs to w [outputs x (d + 1)]. */
static int
solve_group(struct fit *f, double lambda, float *w, struct err *e)
{
	size_t d = f->data->d;
	const double *sum = f->cross;

	for (size_t i = 0; i < d; i++) {
		for (size_t j = i; j < d; j++)
			f->gram[i * d + j] -= sum[i] * sum[j] / f->weight;
		f->gram[i * d + i] += lambda;
	}
	/* Targets are deviations from their weighted mean, so their products need no centring. */
	if (mat_solve(f->gram, d, f->cross + d, f->k - 1, e) < 0)
		return -1;
	for (size_t o = 1; o < f->k; o++) {
		const struct column *c = &f->column[f->member[o - 1]];
		float *to = w + f->member[o - 1] * (d + 1);
		const double *v = f->cross + o * d;
		double bias = c->mean;

		for (size_t j = 0; j < d; j++) {
			to[j] = (float)(v[j] * c->unit);
			bias -= v[j] * c->unit * sum[j] / f->weight;
		}
		to[d] = (float)bias;
	}
	return 0;
}

static int
fit_group(struct fit *f, size_t group, double lambda, float *w, struct err *e)
{
	size_t d = f->data->d, blocks = (f->data->n + BLOCK - 1) / BLOCK;

	f->k = 1;
	for (size_t o = 0; o < f->outputs; o++)
		if (f->column[o].group == group)
			f->member[f->k++ - 1] = o;
	f->weight = 0;
	memset(f->gram, 0, d * d * sizeof *f->gram);
	memset(f->cross, 0, f->k * d * sizeof *f->cross);
	for (f->first = 0; f->first < blocks; f->first += WAVE) {
		size_t wave = blocks - f->first < WAVE ? blocks - f->first : WAVE;

		if (cancel_check(f->data->cancel, e) < 0)
			return -1;
		pool_run(f->data->pool, wave, run_part, f);
		for (size_t p = 0; p < wave; p++)
			add_part(f, &f->part[p]);
	}
	if (f->weight == 0) {
		for (size_t o = 1; o < f->k; o++)
			w[f->member[o - 1] * (d + 1) + d] = (float)f->column[f->member[o - 1]].mean;
		return 0;
	}
	return solve_group(f, lambda, w, e);
}

static void
fit_finish(struct fit *f)
{
	for (size_t p = 0; p < WAVE; p++) {
		free(f->part[p].chunk);
		free(f->part[p].gram);
		free(f->part[p].row);
	}
	free(f->column);
	free(f->member);
	free(f->gram);
	free(f->cross);
}

static int
fit_begin(struct fit *f, const struct ridge *r, struct err *e)
{
	const struct scorer_data *ds = f->data;
	size_t d = ds->d, k = r->outputs + 1, square, wide = gram_padded(d + k), whole;

	if (!mem_mul(d, d, &square) || !mem_mul(wide, wide, &whole))
		return err_nomem(e);
	f->kernel = dot_best();
	f->outputs = r->outputs;
	f->column = mem_calloc(r->outputs, sizeof *f->column, e);
	f->member = mem_calloc(r->outputs, sizeof *f->member, e);
	f->gram = mem_calloc(square, sizeof *f->gram, e);
	f->cross = mem_calloc(k, d * sizeof *f->cross, e);
	if (f->column == NULL || f->member == NULL || f->gram == NULL || f->cross == NULL)
		return -1;
	for (size_t p = 0; p < WAVE && (p == 0 || p * BLOCK < ds->n); p++) {
		struct part *q = &f->part[p];

		q->chunk = mem_aligned(gram_chunk(d + k), sizeof *q->chunk, e);
		q->gram = mem_aligned(whole, sizeof *q->gram, e);
		q->row = mem_aligned(d + k, sizeof *q->row, e);
		if (q->chunk == NULL || q->gram == NULL || q->row == NULL)
			return -1;
	}
	for (size_t o = 0; o < f->outputs; o++) {
		size_t j = o < ds->m ? o : o - ds->m;

		f->column[o] = o < ds->m ?
		    (struct column){ ds->score + j, (double)r->target.score_mean[j], 1, 1, 0 } :
		    (struct column){ ds->cost + j, (double)r->target.cost_mean[j],
			(double)r->target.cost_spread[j], 1 / (double)r->target.cost_spread[j], 0 };
	}
	make_groups(f);
	return 0;
}

static void
ridge_free(void *model)
{
	struct ridge *r = model;

	if (r == NULL)
		return;
	target_finish(&r->target);
	free(r->w);
	free(r->tensor);
	free(r);
}

/* Room for the weights as they are scored, and those of a tensor [outputs x (d + 1)] put there. */
static int
place(struct ridge *r, const float *tensor, struct err *e)
{
	r->stride = AFFINE_STRIDE(r->outputs);
	r->kernel = dot_best();
	r->w = mem_aligned(r->d + 1, r->stride * sizeof *r->w, e);
	if (r->w == NULL)
		return -1;
	for (size_t o = 0; o < r->outputs; o++)
		for (size_t j = 0; j <= r->d; j++)
			r->w[j * r->stride + o] = tensor[o * (r->d + 1) + j];
	return 0;
}

static void *
fit(const void *params, const struct scorer_data *data, struct err *e)
{
	struct ridge *r = mem_calloc(1, sizeof *r, e);
	struct fit f = { .data = data };

	if (r == NULL)
		return NULL;
	r->params = *(const struct ridge_params *)params;
	r->d = data->d;
	r->m = data->m;
	if (mat_open(e) < 0 || target_init(&r->target, data, e) < 0)
		goto fail;
	r->outputs = data->m * (r->target.costs ? 2 : 1);
	r->tensor = mem_aligned(r->outputs, (r->d + 1) * sizeof *r->tensor, e);
	if (r->tensor == NULL || fit_begin(&f, r, e) < 0)
		goto fail;
	for (size_t g = 0; g < f.groups; g++)
		if (fit_group(&f, g, r->params.lambda, r->tensor, e) < 0)
			goto fail;
	if (place(r, r->tensor, e) < 0)
		goto fail;
	fit_finish(&f);
	return r;
fail:
	fit_finish(&f);
	ridge_free(r);
	return NULL;
}

/* ---- artifact ---- */

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct ridge *r = model;
	const uint64_t shape[] = { r->outputs, r->d + 1 };
	char name[TARGET_NAME];

	if (r->tensor == NULL)
		return err_set(e, ERR_BUG, "a loaded ridge cannot be saved");
	if (target_save(&r->target, prefix, "ridge", w, e) < 0)
		return -1;
	return tensorfile_writer_add(w, target_name(name, prefix, "ridge", ".weight"), DTYPE_F32, 2,
	    shape, r->tensor, e);
}

static int
load_all(struct ridge *r, const struct tensorfile *f, const char *prefix, struct err *e)
{
	uint64_t shape[2];
	const struct tensor *t;
	char name[TARGET_NAME];

	if (r->d == 0 || r->m == 0)
		return err_set(e, ERR_INPUT, "%zu models, %zu dimensions", r->m, r->d);
	if (target_load(&r->target, f, prefix, "ridge", r->m, e) < 0)
		return -1;
	r->outputs = r->m * (r->target.costs ? 2 : 1);
	shape[0] = r->outputs;
	shape[1] = r->d + 1;
	t = tensorfile_need(f, target_name(name, prefix, "ridge", ".weight"), DTYPE_F32, 2, shape, e);
	if (t == NULL || target_check(t, MAX_WEIGHT, e) < 0)
		return -1;
	return place(r, t->data, e);
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct ridge *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	params_init(&r->params);
	r->m = m;
	r->d = d;
	if (params_read(&r->params, hparams, e) < 0 || load_all(r, f, prefix, e) < 0) {
		ridge_free(r);
		return NULL;
	}
	return r;
}

/* ---- scoring ---- */

static void *
scratch_new(const void *model, struct err *e)
{
	const struct ridge *r = model;

	return mem_aligned(r->stride, sizeof(float), e);
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct ridge *r = model;

	(void)skip;
	if (target_zero(q, r->d)) {
		target_means(&r->target, out, cost);
		return;
	}
	affine_apply(r->kernel, r->w, r->d, r->stride, q, scratch);
	target_predict(&r->target, scratch, out, cost);
}

const struct scorer_kind ridge_kind = {
	.name = "ridge",
	.hparams = "lambda",
	.params_bytes = sizeof(struct ridge_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = ridge_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = free,
	.score = score,
	.uses_blas = true,
};
