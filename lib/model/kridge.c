#include "model/kridge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/dot.h"
#include "math/kernel.h"
#include "math/mat.h"
#include "model/target.h"

#define MAX_COEF 1e6f

struct kridge {
	struct kridge_params params;
	struct target target;
	size_t n, d, m, outputs;
	const uint16_t *rows;		/* [n x d] binary16 */
	const float *coef;		/* [outputs x n], 0 where a cell was not known */
	uint16_t *own_rows;		/* both when fitted, NULL when borrowed */
	float *own_coef;
	float *half_norm;		/* [n] |row|^2 / 2 */
	enum dot_kernel kernel;
};

/* ---- hyperparameters ---- */

static void
params_init(void *params)
{
	*(struct kridge_params *)params = (struct kridge_params){ 2, 3, 8192 };
}

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct kridge_params *p = params;
	long long v;

	if (strcmp(name, "gamma") == 0)
		return str_double(name, value, 1e-6, 1e4, &p->gamma, e);
	if (strcmp(name, "lambda") == 0 || strcmp(name, "alpha") == 0)
		return str_double(name, value, 1e-4, 1e9, &p->lambda, e);
	if (strcmp(name, "max_rows") != 0)
		return 1;
	if (str_int(name, value, 1, 40000, &v, e) < 0)
		return -1;
	p->max_rows = (size_t)v;
	return 0;
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct kridge_params *p = params;

	jsonw_kdouble(w, "gamma", p->gamma);
	jsonw_kdouble(w, "lambda", p->lambda);
	jsonw_kint(w, "max_rows", (int64_t)p->max_rows);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

static const void *
params_of(const void *model)
{
	return &((const struct kridge *)model)->params;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	const struct kridge_params *p = params;
	uint64_t rows = n < p->max_rows ? n : p->max_rows;

	return rows * (4 * rows + 6 * (uint64_t)d + 16 * (uint64_t)m);
}

/* ---- fit ---- */

struct fit {
	const struct scorer_data *data;
	struct kridge *k;
	uint32_t *pick;			/* [k->n] the rows taken, ascending */
	size_t *group;			/* [outputs] */
	uint32_t *row;			/* [k->n] places in pick of the group's rows */
	float *x, *half_norm;		/* [k->n x d], [k->n] of the group's rows */
	float *gram, *side;		/* [n x padded n], [outputs x n] */
};

static float
cell(const struct fit *f, size_t output, size_t place)
{
	const struct scorer_data *ds = f->data;
	size_t at = (size_t)f->pick[place] * ds->m;

	return output < ds->m ? ds->score[at + output] : ds->cost[at + output - ds->m];
}

static bool
same_pattern(const struct fit *f, size_t a, size_t b)
{
	for (size_t i = 0; i < f->k->n; i++)
		if (isnan(cell(f, a, i)) != isnan(cell(f, b, i)))
			return false;
	return true;
}

static size_t
make_groups(struct fit *f)
{
	size_t groups = 0;

	for (size_t o = 0; o < f->k->outputs; o++) {
		size_t p = 0;

		while (p < o && !same_pattern(f, p, o))
			p++;
		f->group[o] = p < o ? f->group[p] : groups++;
	}
	return groups;
}

/* All rows, or max_rows of them: row i is taken when the share taken so far is due one more. */
static void
pick_rows(struct fit *f)
{
	size_t n = f->data->n, want = f->k->n, got = 0;
	struct rng g;

	rng_seed(&g, f->data->seed);
	for (size_t i = 0; i < n && got < want; i++)
		if (rng_below(&g, n - i) < want - got)
			f->pick[got++] = (uint32_t)i;
}

static double
unit_of(const struct kridge *k, size_t output)
{
	return output < k->m ? 1 : (double)k->target.cost_spread[output - k->m];
}

static double
mean_of(const struct kridge *k, size_t output)
{
	return (double)(output < k->m ? k->target.score_mean[output] :
	    k->target.cost_mean[output - k->m]);
}

/* Rows on which the group's outputs are known, and their targets. Returns how many rows. */
static size_t
gather(struct fit *f, size_t group, size_t *outputs)
{
	size_t d = f->data->d, rows = 0, first = 0;

	while (f->group[first] != group)
		first++;
	for (size_t i = 0; i < f->k->n; i++)
		if (!isnan(cell(f, first, i))) {
			memcpy(f->x + rows * d, f->data->x + (size_t)f->pick[i] * d, d * sizeof *f->x);
			f->row[rows++] = (uint32_t)i;
		}
	*outputs = 0;
	for (size_t o = 0; o < f->k->outputs; o++) {
		float *side = f->side + *outputs * rows;

		if (f->group[o] != group)
			continue;
		for (size_t i = 0; i < rows; i++)
			side[i] = (float)(((double)cell(f, o, f->row[i]) - mean_of(f->k, o)) /
			    unit_of(f->k, o));
		++*outputs;
	}
	return rows;
}

static int
fit_group(struct fit *f, size_t group, struct err *e)
{
	const struct kernel kernel = { .type = KERNEL_RBF, .gamma = (float)f->k->params.gamma };
	size_t outputs, n = gather(f, group, &outputs), d = f->data->d, ld = kernel_padded(n), at = 0;
	struct kernel_rows rows = { { f->x, n, d, d }, f->half_norm };

	if (n == 0)
		return 0;
	kernel_half_norms(rows.x, f->half_norm);
	if (kernel_block(&kernel, rows, rows, (struct kernel_range){ 0, 0 },
	    (struct kernel_out){ .f32 = f->gram, .ld = ld }, NULL, f->data->pool, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const float *w = f->data->weight;
		double weight = w == NULL ? 1 : (double)w[f->pick[f->row[i]]];

		f->gram[i * ld + i] += (float)(f->k->params.lambda / weight);
	}
	if (mat_solve_float(f->gram, n, ld, f->side, outputs, e) < 0)
		return -1;
	for (size_t o = 0; o < f->k->outputs; o++) {
		if (f->group[o] != group)
			continue;
		for (size_t i = 0; i < n; i++)
			f->k->own_coef[o * f->k->n + f->row[i]] = f->side[at * n + i] *
			    (float)unit_of(f->k, o);
		at++;
	}
	return 0;
}

static void
kridge_free(void *model)
{
	struct kridge *k = model;

	if (k == NULL)
		return;
	target_finish(&k->target);
	free(k->own_rows);
	free(k->own_coef);
	free(k->half_norm);
	free(k);
}

/* Norms of the rows as they are stored. */
static int
prepare(struct kridge *k, struct err *e)
{
	k->kernel = dot_best();
	k->half_norm = mem_aligned(k->n, sizeof *k->half_norm, e);
	if (k->half_norm == NULL)
		return -1;
	for (size_t i = 0; i < k->n; i++) {
		double s = 0;

		for (size_t j = 0; j < k->d; j++) {
			double x = (double)dot_from_half(k->rows[i * k->d + j]);

			s += x * x;
		}
		k->half_norm[i] = (float)(s / 2);
	}
	return 0;
}

static int
fit_begin(struct fit *f, struct err *e)
{
	struct kridge *k = f->k;
	size_t n = k->n, square, cells;

	if (!mem_mul(n, kernel_padded(n), &square) || !mem_mul(n, k->d, &cells))
		return err_nomem(e);
	f->pick = mem_calloc(n, sizeof *f->pick, e);
	f->row = mem_calloc(n, sizeof *f->row, e);
	f->group = mem_calloc(k->outputs, sizeof *f->group, e);
	f->x = mem_aligned(cells, sizeof *f->x, e);
	f->half_norm = mem_aligned(n, sizeof *f->half_norm, e);
	f->gram = mem_aligned(square, sizeof *f->gram, e);
	f->side = mem_aligned(n, k->outputs * sizeof *f->side, e);
	k->rows = k->own_rows = mem_aligned(cells, sizeof *k->own_rows, e);
	k->coef = k->own_coef = mem_aligned(n, k->outputs * sizeof *k->own_coef, e);
	if (f->pick == NULL || f->row == NULL || f->group == NULL || f->x == NULL ||
	    f->half_norm == NULL || f->gram == NULL || f->side == NULL || k->own_rows == NULL ||
	    k->own_coef == NULL)
		return -1;
	pick_rows(f);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < k->d; j++)
			k->own_rows[i * k->d + j] = dot_to_half(f->data->x[f->pick[i] * k->d + j]);
	return 0;
}

static int
fit_all(struct fit *f, struct err *e)
{
	size_t groups;

	if (fit_begin(f, e) < 0)
		return -1;
	groups = make_groups(f);
	for (size_t g = 0; g < groups; g++)
		if (cancel_check(f->data->cancel, e) < 0 || fit_group(f, g, e) < 0)
			return -1;
	return prepare(f->k, e);
}

static void *
fit(const void *params, const struct scorer_data *data, struct err *e)
{
	struct kridge *k = mem_calloc(1, sizeof *k, e);
	struct fit f = { .data = data, .k = k };
	int r = -1;

	if (k == NULL)
		return NULL;
	k->params = *(const struct kridge_params *)params;
	k->d = data->d;
	k->m = data->m;
	k->n = data->n < k->params.max_rows ? data->n : k->params.max_rows;
	if (mat_open(e) < 0 || target_init(&k->target, data, e) < 0)
		goto out;
	k->outputs = data->m * (k->target.costs ? 2 : 1);
	r = fit_all(&f, e);
out:
	free(f.pick);
	free(f.row);
	free(f.group);
	free(f.x);
	free(f.half_norm);
	free(f.gram);
	free(f.side);
	if (r < 0) {
		kridge_free(k);
		return NULL;
	}
	return k;
}

/* ---- artifact ---- */

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct kridge *k = model;
	const uint64_t rows[] = { k->n, k->d }, coef[] = { k->outputs, k->n };
	char name[TARGET_NAME];

	if (target_save(&k->target, prefix, "kridge", w, e) < 0 ||
	    tensorfile_writer_add(w, target_name(name, prefix, "kridge", ".rows"), DTYPE_F16, 2,
	    rows, k->rows, e) < 0)
		return -1;
	return tensorfile_writer_add(w, target_name(name, prefix, "kridge", ".coef"), DTYPE_F32, 2,
	    coef, k->coef, e);
}

static int
load_all(struct kridge *k, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const uint64_t any[] = { 0, k->d };
	const struct tensor *rows, *coef;
	uint64_t shape[2];
	char name[TARGET_NAME];

	if (k->d == 0 || k->m == 0)
		return err_set(e, ERR_INPUT, "%zu models, %zu dimensions", k->m, k->d);
	if (target_load(&k->target, f, prefix, "kridge", k->m, e) < 0)
		return -1;
	k->outputs = k->m * (k->target.costs ? 2 : 1);
	rows = tensorfile_need(f, target_name(name, prefix, "kridge", ".rows"), DTYPE_F16, 2, any, e);
	if (rows == NULL)
		return -1;
	k->n = (size_t)rows->shape[0];
	k->rows = rows->data;
	if (k->n == 0 || k->n > UINT32_MAX)
		return err_set(e, ERR_INPUT, "tensor '%s' has %zu rows", name, k->n);
	for (size_t i = 0; i < rows->elements; i++)
		if ((k->rows[i] & 0x7fff) > 0x4000)	/* unit vectors: no element is beyond 2 */
			return err_set(e, ERR_INPUT, "tensor '%s': element %zu is outside -2..2",
			    name, i);
	shape[0] = k->outputs;
	shape[1] = k->n;
	coef = tensorfile_need(f, target_name(name, prefix, "kridge", ".coef"), DTYPE_F32, 2, shape, e);
	if (coef == NULL || target_check(coef, MAX_COEF, e) < 0)
		return -1;
	k->coef = coef->data;
	return prepare(k, e);
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct kridge *k = mem_calloc(1, sizeof *k, e);

	if (k == NULL)
		return NULL;
	params_init(&k->params);
	k->m = m;
	k->d = d;
	if (params_read(&k->params, hparams, e) < 0 || load_all(k, f, prefix, e) < 0) {
		kridge_free(k);
		return NULL;
	}
	return k;
}

/* ---- scoring ---- */

/* [n] kernel values, then [outputs]. */
static void *
scratch_new(const void *model, struct err *e)
{
	const struct kridge *k = model;

	return mem_aligned(kernel_padded(k->n) + k->outputs, sizeof(float), e);
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct kridge *k = model;
	const struct kernel kernel = { .type = KERNEL_RBF, .gamma = (float)k->params.gamma };
	float *near = scratch, *y = near + kernel_padded(k->n);
	double squares = 0;

	(void)skip;
	if (target_zero(q, k->d)) {
		target_means(&k->target, out, cost);
		return;
	}
	for (size_t j = 0; j < k->d; j++)
		squares += (double)q[j] * (double)q[j];
	dot_half(k->kernel, k->rows, k->n, k->d, q, near);
	kernel_map(&kernel, near, k->n, k->half_norm, (float)(squares / 2));
	for (size_t o = 0; o < k->outputs; o++)
		y[o] = kernel_dot(near, k->coef + o * k->n, k->n) + (o < k->m ?
		    k->target.score_mean[o] : k->target.cost_mean[o - k->m]);
	target_predict(&k->target, y, out, cost);
}

const struct scorer_kind kridge_kind = {
	.name = "kridge",
	.hparams = "gamma, lambda, max_rows",
	.params_bytes = sizeof(struct kridge_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = kridge_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = free,
	.score = score,
	.uses_blas = true,
};
