#include "model/svmfit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/mat.h"
#include "math/rff.h"
#include "math/smo.h"
#include "model/svmpair.h"

#define SCORE_C 0.05
#define BEST_C 1.0

size_t
svmfit_slots(size_t n)
{
	return (n + SVMFIT_PAD - 1) / SVMFIT_PAD * SVMFIT_PAD;
}

static float *
floats(size_t n, struct err *e)
{
	return mem_aligned(n, sizeof(float), e);
}

/* ---- preparation --------------------------------------------------------------- */

static double
resolve_gamma(const struct svm_params *p, const struct scorer_data *data)
{
	size_t cells = data->n * data->d;
	double sum = 0, sum2 = 0, variance;

	if (p->gamma_rule == SVM_GAMMA_NUMBER)
		return p->gamma;
	if (p->gamma_rule == SVM_GAMMA_AUTO)
		return 1 / (double)data->d;
	for (size_t i = 0; i < data->n; i++) {
		const float *x = data->x + i * data->d;
		double s = 0, s2 = 0;

		for (size_t j = 0; j < data->d; j++) {
			s += (double)x[j];
			s2 += (double)x[j] * (double)x[j];
		}
		sum += s;
		sum2 += s2;
	}
	variance = sum2 / (double)cells - sum / (double)cells * (sum / (double)cells);
	if (!(variance > 1e-12))
		return 1;
	return fmin(fmax(1 / ((double)data->d * variance), 1e-6), 1e6);
}

/* Weighted means of the columns of x: of known cells into mean [m]; none where a column has no cell. */
static void
column_means(const struct scorer_data *data, const float *x, float none, float *mean)
{
	size_t m = data->m;

	for (size_t j = 0; j < m; j++) {
		double sum = 0, total = 0;

		for (size_t i = 0; x != NULL && i < data->n; i++)
			if (!isnan(x[i * m + j])) {
				sum += (double)svmfit_weight(data, i) * (double)x[i * m + j];
				total += (double)svmfit_weight(data, i);
			}
		mean[j] = total > 0 ? (float)(sum / total) : none;
	}
}

static int
check(const struct svm_params *p, const struct scorer_data *data, struct err *e)
{
	double reach = p->gamma + fabs(p->coef0);

	if (data->n == 0 || data->m == 0 || data->d == 0 || data->d > SVM_MAX_DIM)
		return err_set(e, ERR_INPUT, "svm: %zu rows of %zu dimensions, %zu models", data->n,
		    data->d, data->m);
	if (p->kernel == KERNEL_POLY && pow(reach, (double)p->degree) > 1e6)
		return err_set(e, ERR_USAGE, "svm: (gamma + |coef0|)^degree is %g, beyond a million: "
		    "lower gamma, coef0 or degree", pow(reach, (double)p->degree));
	return 0;
}

float
svmfit_weight(const struct scorer_data *data, size_t row)
{
	return data->weight != NULL ? data->weight[row] : 1;
}

int
svmfit_pack(struct svmfit *f, const float *coef, size_t lines, size_t total, const size_t *order,
	uint32_t *keep)
{
	struct svm *s = f->svm;
	size_t d = f->data->d, n = 0, cells;
	uint16_t *rows;
	float *out;

	for (size_t i = 0; i < total; i++) {
		bool used = false;

		for (size_t l = 0; l < lines && !used; l++)
			used = coef[l * total + i] != 0;
		if (used)
			keep[n++] = (uint32_t)i;
	}
	s->n = n;
	if (n == 0)
		return 0;
	if (!mem_mul(n, d, &cells))
		return err_nomem(f->e);
	s->rows = rows = s->owned[2] = mem_aligned(cells, sizeof *rows, f->e);
	s->coef = out = s->owned[3] = floats(lines * n, f->e);
	if (rows == NULL || out == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const float *x = f->data->x + (order != NULL ? order[keep[i]] : keep[i]) * d;

		for (size_t j = 0; j < d; j++)
			rows[i * d + j] = dot_to_half(x[j]);
		for (size_t l = 0; l < lines; l++)
			out[l * n + i] = coef[l * total + keep[i]];
	}
	return 0;
}

/* ---- objective score: a regression per model -------------------------------------- */

/*
 * How hard a query is moves all models' scores together, and the margin that
 * regression ignores then hides what tells the models apart. So one machine
 * learns the mean of a row (the level) and one per model what it scores above
 * it; their sum is the model's. Where cells are missing the level that was
 * learned stands for the mean that is not known.
 */
struct svr {
	struct svmfit *f;
	size_t n, count;		/* slots; problems: the models, then the level */
	float *store;			/* [count x 5n] z, lo, hi, b, f */
	float *work;			/* [threads x 2n] */
	size_t first;			/* problem of part 0 */
	struct smo_matrix matrix;
	struct smo_problem *p;
	struct smo_state *state;
	struct smo_outcome *out;
	struct err *error;		/* [count] */
	bool *failed;
};

static void
svr_problem(struct svr *r, size_t j)
{
	float *z = r->store + j * 5 * r->n, *lo = z + r->n, *hi = lo + r->n;

	r->p[j] = (struct smo_problem){ r->n, z, lo, hi, (float)r->f->svm->params.epsilon,
		r->f->svm->params.tol, 0, r->f->data->cancel };
	r->state[j] = (struct smo_state){ hi + r->n, hi + 2 * r->n };
}

/* A row's target; NaN: it takes no part. */
static void
svr_target(struct svr *r, size_t j, size_t row, double y)
{
	float *z = r->store + j * 5 * r->n, *lo = z + r->n, *hi = lo + r->n;

	if (isnan(y))
		return;
	z[row] = (float)y;
	hi[row] = (float)r->f->svm->params.C * svmfit_weight(r->f->data, row);
	lo[row] = -hi[row];
}

/* Mean of a row's cells above their models' means; *full: every cell is known. */
static double
row_level(const struct svr *r, size_t row, bool *full)
{
	const struct scorer_data *data = r->f->data;
	const float *y = data->score + row * data->m;
	double sum = 0;
	size_t known = 0;

	for (size_t j = 0; j < data->m; j++)
		if (!isnan(y[j])) {
			sum += (double)y[j] - (double)r->f->svm->mean[j];
			known++;
		}
	*full = known == data->m;
	return known > 0 ? sum / (double)known : NAN;
}

static void
svr_level_targets(struct svr *r)
{
	size_t level = r->count - 1;
	bool full;

	for (size_t i = 0; i < r->f->data->n; i++)
		svr_target(r, level, i, row_level(r, i, &full));
	smo_start(&r->p[level], &r->state[level]);
}

static void
svr_model_targets(struct svr *r)
{
	const struct scorer_data *data = r->f->data;
	size_t level = r->count - 1;
	bool full;

	for (size_t i = 0; i < data->n; i++) {
		double base = row_level(r, i, &full);

		if (!full)
			base = (double)r->state[level].f[i] + (double)r->p[level].z[i] +
			    r->out[level].bias;
		for (size_t j = 0; j < data->m; j++)
			svr_target(r, j, i, (double)data->score[i * data->m + j] - base);
	}
	for (size_t j = 0; j < data->m; j++)
		smo_start(&r->p[j], &r->state[j]);
}

/* Problem j's solution in a checkpoint: coefficients, gradient, bias. */
static struct checkpoint_at
svr_piece(struct svr *r, size_t j, struct checkpoint_part out[3])
{
	out[0] = (struct checkpoint_part){ r->state[j].b, r->n * sizeof(float) };
	out[1] = (struct checkpoint_part){ r->state[j].f, r->n * sizeof(float) };
	out[2] = (struct checkpoint_part){ &r->out[j], sizeof r->out[j] };
	return checkpoint_below(r->f->data->keep, "svm.%zu", j);
}

static bool
svr_restored(struct svr *r, size_t j)
{
	struct checkpoint_part part[3];
	const struct checkpoint_at at = svr_piece(r, j, part);

	return checkpoint_get(&at, part, 3);
}

static int
svr_keep(struct svr *r, size_t j, struct err *e)
{
	struct checkpoint_part part[3];
	const struct checkpoint_at at = svr_piece(r, j, part);

	return checkpoint_put(&at, part, 3, e);
}

static void
svr_solve(void *arg, size_t part, unsigned worker)
{
	struct svr *r = arg;
	size_t j = r->first + part;

	if (svr_restored(r, j))
		return;
	r->failed[j] = smo_solve(&r->matrix, &r->p[j], &r->state[j], r->work + worker * smo_work(r->n),
	    &r->out[j], &r->error[j]) < 0 || svr_keep(r, j, &r->error[j]) < 0;
}

/* The level, then the models; parts(r, first, n) solves n problems. */
static int
svr_stages(struct svr *r, int (*parts)(struct svr *, size_t first, size_t n))
{
	svr_level_targets(r);
	if (parts(r, r->count - 1, 1) < 0)
		return -1;
	svr_model_targets(r);
	return parts(r, 0, r->f->data->m);
}

static int
parts_whole(struct svr *r, size_t first, size_t n)
{
	r->first = first;
	pool_run(r->f->data->pool, n, svr_solve, r);
	for (size_t j = first; j < first + n; j++)
		if (r->failed[j]) {
			if (r->f->e != NULL)
				*r->f->e = r->error[j];
			return -1;
		}
	return 0;
}

static struct kernel_rows
svr_rows(const struct svr *r)
{
	const struct scorer_data *data = r->f->data;

	return (struct kernel_rows){ { (float *)(uintptr_t)data->x, data->n, data->d, data->d },
		r->f->half };
}

static int
parts_blocks(struct svr *r, size_t first, size_t n)
{
	size_t had = 0;

	while (had < n && svr_restored(r, first + had))
		had++;
	if (had == n)
		return 0;
	/* They are solved together: some alone are of no use, and what was read of them is forgotten. */
	for (size_t j = first; j < first + had; j++)
		smo_start(&r->p[j], &r->state[j]);
	if (smo_solve_blocks(&r->f->k, svr_rows(r), r->p + first, r->state + first, n, r->f->cache,
	    r->out + first, r->f->data->pool, r->f->e) < 0)
		return -1;
	for (size_t j = first; j < first + n; j++)
		if (svr_keep(r, j, r->f->e) < 0)
			return -1;
	return 0;
}

/* The whole kernel matrix in memory, as floats or 16-bit cells. */
static int
svr_whole(struct svr *r, bool fine)
{
	struct svmfit *f = r->f;
	struct kernel_rows rows = svr_rows(r);
	struct kernel_out *k = &r->matrix.block[0][0];
	float *diagonal = floats(r->n, f->e);
	int result = -1;

	*k = (struct kernel_out){ NULL, NULL, r->n };
	r->matrix.n = r->matrix.split = r->n;
	r->matrix.range = kernel_range(&f->k, 1.001f);
	r->matrix.diagonal = diagonal;
	r->work = floats(pool_threads(f->data->pool) * smo_work(r->n), f->e);
	if (fine)
		k->f32 = floats(r->n * r->n, f->e);
	else
		k->u16 = mem_aligned(r->n * r->n, sizeof *k->u16, f->e);
	if (diagonal == NULL || r->work == NULL || (k->f32 == NULL && k->u16 == NULL))
		goto out;
	kernel_diagonal(&f->k, rows, diagonal);
	if (kernel_block(&f->k, rows, rows, r->matrix.range, *k, NULL, f->data->pool, f->e) < 0)
		goto out;
	result = svr_stages(r, parts_whole);
out:
	free(diagonal);
	free(r->work);
	free(k->f32);
	free(k->u16);
	return result;
}

static int
svr_finish(struct svr *r)
{
	const struct scorer_data *data = r->f->data;
	float *coef = floats(data->n * data->m, r->f->e), *bias = floats(data->m, r->f->e);
	uint32_t *keep = mem_calloc(data->n, sizeof *keep, r->f->e);
	int result = -1;

	r->f->svm->bias = r->f->svm->owned[4] = bias;
	if (coef != NULL && bias != NULL && keep != NULL) {
		for (size_t j = 0; j < data->m; j++) {
			const float *own = r->state[j].b, *level = r->state[r->count - 1].b;

			for (size_t i = 0; i < data->n; i++)
				coef[j * data->n + i] = own[i] + level[i];
			bias[j] = (float)(r->out[j].bias + r->out[r->count - 1].bias);
		}
		result = svmfit_pack(r->f, coef, data->m, data->n, NULL, keep);
	}
	free(coef);
	free(keep);
	return result;
}

static int
svr_fit(struct svmfit *f)
{
	const struct scorer_data *data = f->data;
	struct svr r = { .f = f, .n = svmfit_slots(data->n), .count = data->m + 1 };
	uint64_t cells = (uint64_t)r.n * r.n;
	int result = -1;

	r.store = floats(r.count * 5 * r.n, f->e);
	r.p = mem_calloc(r.count, sizeof *r.p, f->e);
	r.state = mem_calloc(r.count, sizeof *r.state, f->e);
	r.out = mem_calloc(r.count, sizeof *r.out, f->e);
	r.error = mem_calloc(r.count, sizeof *r.error, f->e);
	r.failed = mem_calloc(r.count, sizeof *r.failed, f->e);
	if (r.store == NULL || r.p == NULL || r.state == NULL || r.out == NULL || r.error == NULL ||
	    r.failed == NULL)
		goto out;
	for (size_t j = 0; j < r.count; j++)
		svr_problem(&r, j);
	if (cells * 2 <= f->cache) {
		if (svr_whole(&r, cells * 4 <= f->cache) < 0)
			goto out;
	} else if (svr_stages(&r, parts_blocks) < 0) {
		goto out;
	}
	result = svr_finish(&r);
out:
	free(r.store);
	free(r.p);
	free(r.state);
	free(r.out);
	free(r.error);
	free(r.failed);
	return result;
}

/* ---- the approximation -------------------------------------------------------- */

static int
rff_fit(struct svmfit *f)
{
	const struct scorer_data *data = f->data;
	struct svm *s = f->svm;
	bool linear = s->params.kernel == KERNEL_LINEAR;
	struct rff_problem p = { .x = { (float *)(uintptr_t)data->x, data->n, data->d, data->d },
		.m = data->m, .y = data->score, .weight = data->weight, .alpha = s->params.alpha,
		.cancel = data->cancel };
	float *omega, *phase, *coef, *bias;

	if (s->params.kernel == KERNEL_POLY)
		return err_set(f->e, ERR_USAGE, "svm: %zu rows are more than exact_rows %zu, and the poly "
		    "kernel has no approximation: raise exact_rows or take rbf", data->n,
		    s->params.exact_rows);
	s->n = linear ? data->d : s->params.n_components;
	if (!linear) {
		s->omega = omega = s->owned[2] = floats(s->n * data->d, f->e);
		s->phase = phase = s->owned[5] = floats(s->n, f->e);
		if (omega == NULL || phase == NULL)
			return -1;
		rff_draw(s->params.gamma, data->d, s->n, data->seed, omega, phase);
	}
	p.omega = s->omega;
	p.phase = s->phase;
	p.dims = s->n;
	s->coef = coef = s->owned[3] = floats(data->m * s->n, f->e);
	s->bias = bias = s->owned[4] = floats(data->m, f->e);
	if (coef == NULL || bias == NULL)
		return -1;
	return rff_ridge(&p, coef, bias, data->pool, f->e);
}

uint64_t
svmfit_memory(const struct svm_params *p, size_t n, size_t d, size_t m)
{
	/* Twice: pairs of classes side by side have their blocks in both directions. */
	uint64_t slots = svmfit_slots(n), cache = (uint64_t)p->cache_mb << 20, whole = slots * slots * 8;

	if (n > p->exact_rows)
		return rff_memory(n, p->kernel == KERNEL_LINEAR ? d : p->n_components, m) +
		    (uint64_t)p->n_components * (d + m) * 4;
	/* Kernel values, copies of the rows in both forms, and a few vectors per model. */
	return (whole < cache ? whole : cache) + (uint64_t)n * d * 6 + slots * m * 40 + (16 << 20);
}

struct svm *
svmfit_run(const struct svm_params *params, const struct scorer_data *data, struct err *e)
{
	struct svm *s = mem_calloc(1, sizeof *s, e);
	struct svmfit f = { .svm = s, .data = data, .e = e };
	float *mean, *cost_mean;
	int r;

	if (s == NULL)
		return NULL;
	s->params = *params;
	s->d = data->d;
	s->m = data->m;
	if (s->params.C == 0)
		s->params.C = data->best ? BEST_C : SCORE_C;
	s->params.approximated = data->n > s->params.exact_rows;
	s->params.gamma = resolve_gamma(params, data);
	s->params.gamma_rule = SVM_GAMMA_NUMBER;
	if (check(&s->params, data, e) < 0 || mat_open(e) < 0)
		goto fail;
	f.k = (struct kernel){ s->params.kernel, (float)s->params.gamma, (float)s->params.coef0,
		(unsigned)s->params.degree };
	f.cache = (uint64_t)s->params.cache_mb << 20;
	s->mean = mean = s->owned[0] = floats(data->m, e);
	s->cost_mean = cost_mean = s->owned[1] = floats(data->m, e);
	if (mean == NULL || cost_mean == NULL || (f.half = floats(data->n, e)) == NULL)
		goto fail;
	column_means(data, data->score, data->best ? 0 : 0.5f, mean);
	column_means(data, data->cost, -1, cost_mean);
	kernel_half_norms((struct mat){ (float *)(uintptr_t)data->x, data->n, data->d, data->d }, f.half);
	r = s->params.approximated ? rff_fit(&f) : data->best ? svmpair_fit(&f) : svr_fit(&f);
	free(f.half);
	if (r < 0 || svm_prepare(s, e) < 0)
		goto fail;
	return s;
fail:
	svm_free(s);
	return NULL;
}
