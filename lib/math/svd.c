#include "math/svd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/gather.h"

#define SPARSE_BLOCK 64		/* output rows of one part; any size gives the same bytes */
#define RANK_TOLERANCE 1e-7	/* squared length left of a direction, relative, that still counts */

void
svd_sparse_finish(struct sparse *x)
{
	free(x->start);
	free(x->col);
	free(x->val);
	*x = (struct sparse){ 0 };
}

int
svd_transpose(const struct sparse *x, struct sparse *out, struct err *e)
{
	size_t n = x->start[x->rows];

	*out = (struct sparse){ .rows = x->cols, .cols = x->rows };
	out->start = mem_calloc(x->cols + 2, sizeof(*out->start), e);
	out->col = mem_calloc(n, sizeof(*out->col), e);
	out->val = mem_calloc(n, sizeof(*out->val), e);
	if (out->start == NULL || out->col == NULL || out->val == NULL) {
		svd_sparse_finish(out);
		return -1;
	}
	/* Counted two places up, so that filling leaves start[c] where row c begins. */
	for (size_t i = 0; i < n; i++)
		out->start[x->col[i] + 2]++;
	for (size_t c = 0; c < x->cols; c++)
		out->start[c + 2] += out->start[c + 1];
	for (size_t r = 0; r < x->rows; r++) {
		for (size_t i = x->start[r]; i < x->start[r + 1]; i++) {
			size_t at = out->start[x->col[i] + 1]++;

			out->col[at] = (uint32_t)r;
			out->val[at] = x->val[i];
		}
	}
	return 0;
}

struct spmm {
	const struct sparse *x;
	const float *b;		/* [x->cols x width] */
	float *c;		/* [x->rows x width] */
	size_t width;
};

static void
spmm_part(void *arg, size_t part, unsigned worker)
{
	const struct spmm *m = arg;
	size_t from = part * SPARSE_BLOCK, to = from + SPARSE_BLOCK;

	(void)worker;
	if (to > m->x->rows)
		to = m->x->rows;
	for (size_t r = from; r < to; r++) {
		size_t at = m->x->start[r];

		gather_f32(m->b, m->width, m->x->col + at, m->x->val + at, m->x->start[r + 1] - at,
			m->c + r * m->width);
	}
}

/* c = x b, rows of b and c padded to GATHER_COLS. */
static void
spmm(const struct sparse *x, const float *b, float *c, size_t width, struct pool *pool)
{
	struct spmm m = { x, b, c, width };

	pool_run(pool, (x->rows + SPARSE_BLOCK - 1) / SPARSE_BLOCK, spmm_part, &m);
}

/*
 * Upper Cholesky factor g = R^T R in place (row-major, upper triangle); a
 * direction without a part of its own gets a zero row and column.
 */
static void
cholesky(double *g, size_t n)
{
	double top = 0;

	for (size_t i = 0; i < n; i++)
		top = g[i * n + i] > top ? g[i * n + i] : top;
	for (size_t i = 0; i < n; i++) {
		double *gi = g + i * n, pivot = gi[i], scale;

		if (!(pivot > RANK_TOLERANCE * top)) {
			for (size_t j = i; j < n; j++)
				gi[j] = 0;
			continue;
		}
		scale = 1 / sqrt(pivot);
		for (size_t j = i; j < n; j++)
			gi[j] *= scale;
		for (size_t k = i + 1; k < n; k++) {
			double f = gi[k], *gk = g + k * n;

			for (size_t j = k; j < n; j++)
				gk[j] -= f * gi[j];
		}
	}
}

/* inv [n x n] = inverse of the upper triangle r; zero columns where r has none. */
static void
invert_upper(const double *r, size_t n, double *inv)
{
	memset(inv, 0, n * n * sizeof(*inv));
	for (size_t i = n; i-- > 0;) {
		double *row = inv + i * n, d = r[i * n + i];

		if (d == 0)
			continue;
		row[i] = 1;
		for (size_t k = i + 1; k < n; k++) {
			double f = r[i * n + k];
			const double *below = inv + k * n;

			for (size_t j = k; j < n; j++)
				row[j] -= f * below[j];
		}
		for (size_t j = i; j < n; j++)
			row[j] /= d;
	}
}

/* Memory of one run: n = rows, m = columns of x, l = width of the sketch. */
struct work {
	struct mat y, q;	/* [n x l] */
	struct mat b;		/* [m x l] */
	double *g, *h;		/* [l x l] */
	float *t;		/* [l x l] */
	double *w;		/* [l] */
	struct sparse xt;
};

static void
work_finish(struct work *w)
{
	free(w->y.x);
	free(w->q.x);
	free(w->b.x);
	free(w->g);
	free(w->h);
	free(w->t);
	free(w->w);
	svd_sparse_finish(&w->xt);
}

static int
new_mat(struct mat *m, size_t rows, size_t cols, struct err *e)
{
	*m = (struct mat){ .rows = rows, .cols = cols, .ld = cols };
	size_t bytes;

	if (!mem_mul(cols, sizeof(float), &bytes))
		return err_nomem(e);
	m->x = mem_aligned(rows, bytes, e);
	return m->x == NULL ? -1 : 0;
}

static int
work_init(struct work *w, const struct sparse *x, size_t l, struct err *e)
{
	if (new_mat(&w->y, x->rows, l, e) < 0 || new_mat(&w->q, x->rows, l, e) < 0 ||
		new_mat(&w->b, x->cols, l, e) < 0 || svd_transpose(x, &w->xt, e) < 0)
		return -1;
	w->g = mem_calloc(l * l, sizeof(*w->g), e);
	w->h = mem_calloc(l * l, sizeof(*w->h), e);
	w->t = mem_calloc(l * l, sizeof(*w->t), e);
	w->w = mem_calloc(l, sizeof(*w->w), e);
	return w->g == NULL || w->h == NULL || w->t == NULL || w->w == NULL ? -1 : 0;
}

/* q = y R^-1 with R from y^T y: Cholesky QR. One round is enough for a sketch. */
static int
orthonormalise(struct work *w, struct pool *pool, struct err *e)
{
	size_t l = w->y.cols;

	if (mat_gram(1, w->y, w->g, pool, e) < 0)
		return -1;
	cholesky(w->g, l);
	invert_upper(w->g, l, w->h);
	for (size_t i = 0; i < l * l; i++)
		w->t[i] = (float)w->h[i];
	mat_mul_nn(1, w->y, (struct mat){ w->t, l, l, l }, 0, w->q, pool);
	return 0;
}

/* Random signs: as good as normal numbers for a sketch, and cheap. */
static void
fill_signs(struct mat m, uint64_t seed)
{
	struct rng rng;
	uint64_t bits = 0;

	rng_seed(&rng, seed);
	for (size_t i = 0; i < m.rows * m.cols; i++) {
		if (i % 64 == 0)
			bits = rng_u64(&rng);
		m.x[i] = bits >> (i % 64) & 1 ? 1.0f : -1.0f;
	}
}

/*
 * v = b W S^-1 from the eigenvectors W and values S^2 of b^T b. An eigenvector's
 * sign is arbitrary: its largest entry is made positive.
 */
static int
finish(struct work *w, struct mat v, float *sigma, struct pool *pool, struct err *e)
{
	size_t l = w->b.cols, k = v.cols;

	if (mat_gram(1, w->b, w->g, pool, e) < 0 || mat_eigen(w->g, l, w->w, e) < 0)
		return -1;
	memset(w->t, 0, l * l * sizeof(*w->t));
	for (size_t j = 0; j < k; j++) {
		double value = j < l ? w->w[l - 1 - j] : 0, sign = 1, most = 0;
		const double *row = w->g + (l - 1 - j) * l;

		sigma[j] = 0;
		if (j >= l || !(value > RANK_TOLERANCE * w->w[l - 1]))
			continue;
		for (size_t i = 0; i < l; i++) {
			if (fabs(row[i]) > most) {
				most = fabs(row[i]);
				sign = row[i] < 0 ? -1 : 1;
			}
		}
		sigma[j] = (float)sqrt(value);
		for (size_t i = 0; i < l; i++)
			w->t[i * l + j] = (float)(sign * row[i] / sqrt(value));
	}
	/* Columns beyond l, if the caller wants more than there are, stay zero. */
	if (k > l) {
		for (size_t r = 0; r < v.rows; r++)
			memset(v.x + r * v.ld + l, 0, (k - l) * sizeof(*v.x));
	}
	mat_mul_nn(1, w->b, (struct mat){ w->t, l, k < l ? k : l, l }, 0,
		(struct mat){ v.x, v.rows, k < l ? k : l, v.ld }, pool);
	return 0;
}

int
svd_right(const struct sparse *x, const struct svd_params *p, struct mat v, float *sigma,
	struct pool *pool, struct err *e)
{
	size_t l = p->rank + p->oversample;
	struct work w = { 0 };
	int r = -1;

	/* More directions than rows or columns are never needed. */
	if (l > x->rows)
		l = x->rows;
	if (l > x->cols)
		l = x->cols;
	l = (l + GATHER_COLS - 1) / GATHER_COLS * GATHER_COLS;
	if (work_init(&w, x, l, e) < 0)
		goto out;
	fill_signs(w.q, p->seed);
	for (size_t i = 0; i <= p->passes; i++) {
		spmm(&w.xt, w.q.x, w.b.x, l, pool);
		spmm(x, w.b.x, w.y.x, l, pool);
		if (orthonormalise(&w, pool, e) < 0)
			goto out;
	}
	spmm(&w.xt, w.q.x, w.b.x, l, pool);
	r = finish(&w, v, sigma, pool, e);
out:
	work_finish(&w);
	return r;
}
