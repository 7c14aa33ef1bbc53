#include "math/rff.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/kernel.h"

#define PIECE 8192	/* rows whose features are held at a time */
#define TWO_PI 6.283185307179586

void
rff_draw(double gamma, size_t d, size_t dims, uint64_t seed, float *omega, float *phase)
{
	double sd = sqrt(2 * gamma);

	for (size_t i = 0; i < dims; i++) {
		struct rng g = rng_split(seed, i);

		for (size_t j = 0; j < d; j++)
			omega[i * d + j] = (float)(sd * rng_normal(&g));
		phase[i] = (float)(TWO_PI * rng_double(&g));
	}
}

void
rff_one(const float *omega, const float *phase, size_t d, size_t dims, const float *x, float *out)
{
	for (size_t i = 0; i < dims; i++)
		out[i] = kernel_dot(omega + i * d, x, d) + phase[i];
	kernel_cos(out, dims, (float)sqrt(2 / (double)dims));
}

uint64_t
rff_memory(size_t n, size_t dims, size_t m)
{
	uint64_t k = dims + 1 + m, rows = n < PIECE ? n : PIECE, d = dims;

	return rows * (k + d + 1) * 4 + k * k * (8 * 4 + 2 * 8);
}

/* Columns [from, from + count) of the targets, over the rows where the first is known. */
struct ridge {
	const struct rff_problem *p;
	size_t from, count, k;		/* k = dims + 1 + count columns of a piece */
	float *piece, *picked;		/* [PIECE x k], [PIECE x d] */
	double *gram, *sum;		/* [k x k] */
	struct pool *pool;
};

/* Finish the features of a row: the map, the constant, the targets, the weight. */
static void
finish_row(const struct ridge *r, size_t row, float *z)
{
	const struct rff_problem *p = r->p;
	float w = p->weight != NULL ? sqrtf(p->weight[row]) : 1;

	if (p->omega != NULL) {
		for (size_t j = 0; j < p->dims; j++)
			z[j] += p->phase[j];
		kernel_cos(z, p->dims, (float)sqrt(2 / (double)p->dims));
	}
	z[p->dims] = 1;
	for (size_t j = 0; j < r->count; j++)
		z[p->dims + 1 + j] = p->y[row * p->m + r->from + j];
	if (p->weight != NULL)
		for (size_t j = 0; j < r->k; j++)
			z[j] *= w;
}

struct finish { const struct ridge *r; const size_t *row; size_t n; };

static void
finish_part(void *arg, size_t part, unsigned worker)
{
	const struct finish *f = arg;

	(void)worker;
	for (size_t i = part * 256; i < f->n && i < (part + 1) * 256; i++)
		finish_row(f->r, f->row[i], f->r->piece + i * f->r->k);
}

/* Add the Gram matrix of the given rows. */
static int
add_piece(struct ridge *r, const size_t *row, size_t n, struct err *e)
{
	const struct rff_problem *p = r->p;
	size_t d = p->x.cols;
	struct finish f = { r, row, n };

	for (size_t i = 0; i < n; i++)
		memcpy(p->omega != NULL ? r->picked + i * d : r->piece + i * r->k,
			p->x.x + row[i] * p->x.ld, d * sizeof(float));
	if (p->omega != NULL)
		mat_mul_nt(1, (struct mat){ r->picked, n, d, d },
			(struct mat){ (float *)(uintptr_t)p->omega, p->dims, d, d }, 0,
			(struct mat){ r->piece, n, p->dims, r->k }, r->pool);
	pool_run(r->pool, (n + 255) / 256, finish_part, &f);
	if (mat_gram(1, (struct mat){ r->piece, n, r->k, r->k }, r->gram, r->pool, e) < 0)
		return -1;
	for (size_t i = 0; i < r->k * r->k; i++)
		r->sum[i] += r->gram[i];
	return 0;
}

/* Four running sums: the order is fixed and the compiler can overlap them. */
static double
dot(const double *a, const double *b, size_t n)
{
	double s[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t l = 0; l < 4; l++)
			s[l] += a[i + l] * b[i + l];
	for (; i < n; i++)
		s[0] += a[i] * b[i];
	return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Cholesky in place of the lower triangle of the first n rows, ld k. */
static int
cholesky(double *a, size_t n, size_t k, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j <= i; j++) {
			double s = a[i * k + j] - dot(a + i * k, a + j * k, j);

			if (j < i)
				a[i * k + j] = s / a[j * k + j];
			else if (!(s > 0))
				return err_set(e, ERR_INPUT, "ridge: the features are dependent, "
				    "raise alpha");
			else
				a[i * k + i] = sqrt(s);
		}
	return 0;
}

/* Solve for target t: its row of the sum holds Z'y, and becomes the answer. */
static void
substitute(const double *a, size_t n, size_t k, double *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (y[i] - dot(a + i * k, y, i)) / a[i * k + i];
	for (size_t i = n; i-- > 0;) {
		y[i] /= a[i * k + i];
		for (size_t j = 0; j < i; j++)
			y[j] -= a[i * k + j] * y[i];
	}
}

static int
solve(struct ridge *r, float *coef, float *bias, struct err *e)
{
	size_t n = r->p->dims + 1;

	for (size_t i = 0; i < r->p->dims; i++)
		r->sum[i * r->k + i] += r->p->alpha;
	r->sum[r->p->dims * r->k + r->p->dims] += 1e-9;
	if (cholesky(r->sum, n, r->k, e) < 0)
		return -1;
	for (size_t t = 0; t < r->count; t++) {
		double *y = r->sum + (n + t) * r->k;

		substitute(r->sum, n, r->k, y);
		for (size_t j = 0; j < r->p->dims; j++)
			coef[(r->from + t) * r->p->dims + j] = (float)y[j];
		bias[r->from + t] = (float)y[r->p->dims];
	}
	return 0;
}

static int
run(struct ridge *r, size_t *row, float *coef, float *bias, struct err *e)
{
	const struct rff_problem *p = r->p;
	size_t n = 0;

	memset(r->sum, 0, r->k * r->k * sizeof *r->sum);
	for (size_t i = 0; i <= p->x.rows; i++) {
		if (n == PIECE || (i == p->x.rows && n > 0)) {
			if (cancel_check(p->cancel, e) < 0 || add_piece(r, row, n, e) < 0)
				return -1;
			n = 0;
		}
		if (i < p->x.rows && !isnan(p->y[i * p->m + r->from]))
			row[n++] = i;
	}
	return solve(r, coef, bias, e);
}

int
rff_ridge(const struct rff_problem *p, float *coef, float *bias, struct pool *pool, struct err *e)
{
	struct ridge r = { .p = p, .count = p->m, .pool = pool };
	size_t *row = mem_calloc(PIECE, sizeof *row, e);
	int result = -1;

	for (size_t i = 0; i < p->x.rows * p->m && r.count > 1; i++)
		if (isnan(p->y[i]))
			r.count = 1;
	r.k = p->dims + 1 + r.count;
	r.piece = mem_aligned(PIECE * r.k, sizeof *r.piece, e);
	r.picked = mem_aligned(PIECE * p->x.cols, sizeof *r.picked, e);
	r.gram = mem_aligned(r.k * r.k, sizeof *r.gram, e);
	r.sum = mem_aligned(r.k * r.k, sizeof *r.sum, e);
	if (row == NULL || r.piece == NULL || r.picked == NULL || r.gram == NULL || r.sum == NULL)
		goto out;
	for (; r.from < p->m; r.from += r.count)
		if (run(&r, row, coef, bias, e) < 0)
			goto out;
	result = 0;
out:
	free(row);
	free(r.piece);
	free(r.picked);
	free(r.gram);
	free(r.sum);
	return result;
}
