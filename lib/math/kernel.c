#include "math/kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/lanes.h"

#define TILE 512		/* rows and columns of a tile: one MiB, fits the second-level cache */

size_t
kernel_padded(size_t n)
{
	return (n + KERNEL_LANES - 1) / KERNEL_LANES * KERNEL_LANES;
}

/* ---- elementwise ------------------------------------------------------------ */

#define ROUNDER 12582912.0f	/* 1.5 * 2^23: adding it rounds to a whole number */

/* e^x = 2^k e^r, |r| <= ln 2 / 2, by the Taylor polynomial of degree 7. */
LANES_BODY void
exp16(lanes_f *px)
{
	lanes_f x = *px, k, r, p;
	lanes_i tiny = x < -87.0f, huge = x > 88.0f, bits;

	x = LANES_PICK(tiny, x * 0 - 87.0f, x);
	x = LANES_PICK(huge, x * 0 + 88.0f, x);
	k = x * 1.44269504f + ROUNDER;
	bits = (lanes_i)k << 23;		/* the whole number, in the exponent's place */
	k = k - ROUNDER;
	r = x - k * 0.693145752f;
	r = r - k * 1.42860677e-6f;
	p = r * (1.0f / 5040) + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	p = (lanes_f)((lanes_i)p + bits);
	*px = (lanes_f)((lanes_i)p & ~tiny);
}

/* Load and store fewer than 16 at the end of an array. */
#define LOAD(v, p, i, n) do {									\
	if ((i) + LANES <= (n))									\
		(v) = *(const lanes_fu *)((p) + (i));						\
	else {											\
		(v) = (lanes_f){ 0 };								\
		memcpy(&(v), (p) + (i), ((n) - (i)) * sizeof *(p));				\
	}											\
} while (0)
#define STORE(v, p, i, n) do {									\
	if ((i) + LANES <= (n))									\
		*(lanes_fu *)((p) + (i)) = (v);							\
	else											\
		memcpy((p) + (i), &(v), ((n) - (i)) * sizeof *(p));				\
} while (0)

LANES_BODY void
exp_body(float *x, size_t n)
{
	for (size_t i = 0; i < n; i += LANES) {
		lanes_f v;

		LOAD(v, x, i, n);
		exp16(&v);
		STORE(v, x, i, n);
	}
}
LANES_VARIANTS(void,, exp, (float *x, size_t n), (x, n))

void
kernel_exp(float *x, size_t n)
{
	LANES_CALL(exp, (x, n));
}

void
kernel_exp_ref(float *x, size_t n)
{
	exp_plain(x, n);
}

LANES_BODY void
map_body(const struct kernel *k, float *x, size_t n, const float *half, float own)
{
	if (k->type == KERNEL_LINEAR)
		return;
	for (size_t i = 0; i < n; i += LANES) {
		lanes_f v, h;

		LOAD(v, x, i, n);
		if (k->type == KERNEL_RBF) {
			LOAD(h, half, i, n);
			v = 2 * k->gamma * (v - h - own);
			v = LANES_PICK(v > 0.0f, v * 0, v);	/* rounding: no distance is below 0 */
			exp16(&v);
		} else {
			h = k->gamma * v + k->coef0;
			v = h * 0 + 1.0f;
			for (unsigned p = 0; p < k->degree; p++)
				v = v * h;
		}
		STORE(v, x, i, n);
	}
}
LANES_VARIANTS(void,, map, (const struct kernel *k, float *x, size_t n, const float *half, float own),
	(k, x, n, half, own))

void
kernel_map(const struct kernel *k, float *dots, size_t n, const float *half_norm,
	float query_half_norm)
{
	LANES_CALL(map, (k, dots, n, half_norm, query_half_norm));
}

void
kernel_map_ref(const struct kernel *k, float *dots, size_t n, const float *half_norm,
	float query_half_norm)
{
	map_plain(k, dots, n, half_norm, query_half_norm);
}

LANES_BODY float
dot_body(const float *a, const float *b, size_t n)
{
	lanes_f s = { 0 }, t = { 0 }, x, y;
	float sum = 0;
	size_t i = 0;

	for (; i + 2 * LANES <= n; i += 2 * LANES) {
		s += *(const lanes_fu *)(a + i) * *(const lanes_fu *)(b + i);
		t += *(const lanes_fu *)(a + i + LANES) * *(const lanes_fu *)(b + i + LANES);
	}
	for (; i < n; i += LANES) {
		LOAD(x, a, i, n);
		LOAD(y, b, i, n);
		s += x * y;
	}
	s += t;
	for (size_t l = 0; l < LANES; l++)
		sum += s[l];
	return sum;
}
LANES_VARIANTS(float, return, dot, (const float *a, const float *b, size_t n), (a, b, n))

float
kernel_dot(const float *a, const float *b, size_t n)
{
	return LANES_CALL(dot, (a, b, n));
}

float
kernel_dot_ref(const float *a, const float *b, size_t n)
{
	return dot_plain(a, b, n);
}

/* cos(x) = +-cos(r), x = k pi + r, |r| <= pi / 2; the Taylor polynomial of degree 12. */
LANES_BODY void
cos_body(float *x, size_t n, float scale)
{
	for (size_t i = 0; i < n; i += LANES) {
		lanes_f v, k, r, p;
		lanes_i odd;

		LOAD(v, x, i, n);
		k = v * 0.318309886f + ROUNDER;
		odd = (lanes_i)k << 31;
		k = k - ROUNDER;
		r = v - k * 3.140625f;
		r = r - k * 9.67502594e-4f;
		r = r - k * 1.50995799e-7f;
		r = r * r;
		p = r * 2.08767570e-9f - 2.75573192e-7f;
		p = p * r + 2.48015873e-5f;
		p = p * r - 1.38888889e-3f;
		p = p * r + 4.16666667e-2f;
		p = p * r - 0.5f;
		p = (p * r + 1.0f) * scale;
		v = (lanes_f)((lanes_i)p ^ odd);
		STORE(v, x, i, n);
	}
}
LANES_VARIANTS(void,, cos, (float *x, size_t n, float scale), (x, n, scale))

void
kernel_cos(float *x, size_t n, float scale)
{
	LANES_CALL(cos, (x, n, scale));
}

void
kernel_half_norms(struct mat x, float *half)
{
	for (size_t i = 0; i < x.rows; i++)
		half[i] = kernel_dot(x.x + i * x.ld, x.x + i * x.ld, x.cols) / 2;
}

void
kernel_diagonal(const struct kernel *k, struct kernel_rows r, float *out)
{
	for (size_t i = 0; i < r.x.rows; i++) {
		out[i] = 2 * r.half_norm[i];
		kernel_map(k, out + i, 1, r.half_norm + i, r.half_norm[i]);
	}
}

/* ---- blocks ----------------------------------------------------------------- */

struct kernel_range
kernel_range(const struct kernel *k, float norm2)
{
	float low = 0, high = 1, at;

	if (k->type == KERNEL_LINEAR) {
		low = -norm2;
		high = norm2;
	} else if (k->type == KERNEL_POLY) {
		high = powf(k->gamma * norm2 + fabsf(k->coef0), (float)k->degree);
		at = powf(fabsf(k->coef0 - k->gamma * norm2), (float)k->degree);
		high = fmaxf(high, at);
		low = k->degree % 2 == 0 ? 0 : -high;
	}
	/* A little room for rounding. */
	return (struct kernel_range){ low, (high - low) * 1.00001f / 65535 };
}

LANES_BODY void
quantise_body(const float *x, size_t n, float low, float inverse, uint16_t *out)
{
	for (size_t i = 0; i < n; i += LANES) {
		lanes_f v;
		lanes_i c;
		lanes_h h;

		LOAD(v, x, i, n);
		v = (v - low) * inverse + 0.5f;
		v = LANES_PICK(v < 0.0f, v * 0, v);
		v = LANES_PICK(v > 65535.0f, v * 0 + 65535.0f, v);
		c = __builtin_convertvector(v, lanes_i);
		h = __builtin_convertvector(c, lanes_h);
		if (i + LANES <= n)
			*(lanes_h *)(out + i) = h;
		else
			memcpy(out + i, &h, (n - i) * sizeof *out);
	}
}
LANES_VARIANTS(void,, quantise, (const float *x, size_t n, float low, float inverse, uint16_t *out),
	(x, n, low, inverse, out))

struct job {
	const struct kernel *k;
	struct kernel_rows a, b;
	struct kernel_range range;
	struct kernel_out out;
	const struct kernel_out *across;
	size_t wide;		/* tiles in a row of them */
	bool half;		/* a and b are the same rows */
	float *scratch;		/* [threads x 2 x TILE x TILE] */
};

static struct mat
rows_of(struct mat x, size_t from, size_t n)
{
	return (struct mat){ x.x + from * x.ld, n, x.cols, x.ld };
}

static void
transpose(const float *from, size_t rows, size_t cols, float *to)
{
	for (size_t i = 0; i < rows; i += LANES)
		for (size_t j = 0; j < cols; j += LANES) {
			size_t ni = rows - i < LANES ? rows - i : LANES;
			size_t nj = cols - j < LANES ? cols - j : LANES;

			for (size_t y = 0; y < nj; y++)
				for (size_t x = 0; x < ni; x++)
					to[(j + y) * TILE + i + x] = from[(i + x) * TILE + j + y];
		}
}

static void
put(const struct job *job, const float *tile, size_t rows, size_t cols,
	const struct kernel_out *out, size_t row, size_t col)
{
	for (size_t i = 0; i < rows; i++) {
		size_t at = (row + i) * out->ld + col;

		if (out->f32 != NULL)
			memcpy(out->f32 + at, tile + i * TILE, cols * sizeof *tile);
		else
			LANES_CALL(quantise, (tile + i * TILE, cols, job->range.low,
			    1 / job->range.step, out->u16 + at));
	}
}

static void
tile(void *arg, size_t part, unsigned worker)
{
	struct job *job = arg;
	size_t r = part / job->wide * TILE, c = part % job->wide * TILE;
	float *t = job->scratch + (size_t)worker * 2 * TILE * TILE, *turned = t + TILE * TILE;
	size_t nr, nc;

	if (job->half && c < r)
		return;
	nr = job->a.x.rows - r < TILE ? job->a.x.rows - r : TILE;
	nc = job->b.x.rows - c < TILE ? job->b.x.rows - c : TILE;
	mat_mul_nt(1, rows_of(job->a.x, r, nr), rows_of(job->b.x, c, nc), 0,
		(struct mat){ t, nr, nc, TILE }, NULL);
	for (size_t i = 0; i < nr; i++)
		kernel_map(job->k, t + i * TILE, nc, job->b.half_norm + c,
			job->a.half_norm[r + i]);
	put(job, t, nr, nc, &job->out, r, c);
	if (job->across == NULL && (!job->half || r == c))
		return;
	transpose(t, nr, nc, turned);
	put(job, turned, nc, nr, job->half ? &job->out : job->across, c, r);
}

int
kernel_block(const struct kernel *k, struct kernel_rows a, struct kernel_rows b,
	struct kernel_range range, struct kernel_out out, const struct kernel_out *across,
	struct pool *pool, struct err *e)
{
	struct job job = { k, a, b, range, out, across, (b.x.rows + TILE - 1) / TILE,
		a.x.x == b.x.x && a.x.rows == b.x.rows, NULL };
	size_t tall = (a.x.rows + TILE - 1) / TILE;

	job.scratch = mem_aligned((size_t)pool_threads(pool) * 2 * TILE * TILE,
		sizeof *job.scratch, e);
	if (job.scratch == NULL)
		return -1;
	pool_run(pool, tall * job.wide, tile, &job);
	free(job.scratch);
	return 0;
}
