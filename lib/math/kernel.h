/*
 * kernel - kernel functions of support vector machines, in blocks and for one query.
 *
 *   linear  x.y      rbf  exp(-gamma |x - y|^2)      poly  (gamma x.y + coef0)^degree
 *
 * A block is one BLAS product per tile of fixed size and then an elementwise
 * map while the tile is in cache, so no bit depends on the number of threads.
 * A block may be kept in single precision or, where memory is short, in 16-bit
 * fixed point over the kernel's range: the error, at most a 131,000th of the
 * range, stays below what the solver's tolerance can see.
 * The elementwise maps and sums are written once over vectors of 16 floats and
 * compiled for AVX-512, for AVX2 and for the plain machine: the same bits in each.
 * Depends on: math/mat.  Threads: pure functions; one caller at a time per pool.
 */
#ifndef LLMR_MATH_KERNEL_H
#define LLMR_MATH_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "math/mat.h"

enum kernel_type { KERNEL_RBF, KERNEL_LINEAR, KERNEL_POLY };

struct kernel {
	enum kernel_type type;
	float gamma;		/* > 0 */
	float coef0;
	unsigned degree;
};

/* Rows of blocks are padded to this many columns; the padding holds zeros or any finite value. */
#define KERNEL_LANES 16
size_t kernel_padded(size_t n);

/* Rows and half their squared lengths. */
struct kernel_rows { struct mat x; const float *half_norm; };

/* half [n] = |x_i|^2 / 2. */
void kernel_half_norms(struct mat x, float *half);

/* Where a block goes: f32 or u16 (the other NULL); ld in elements. */
struct kernel_out {
	float *f32;
	uint16_t *u16;
	size_t ld;
};

/* Value of a 16-bit cell c: low + step * c. */
struct kernel_range { float low, step; };
/* The range that the kernel takes on rows whose squared length is at most norm2. */
struct kernel_range kernel_range(const struct kernel *, float norm2);

/*
 * out [na x nb] = K(a, b); and, unless across is NULL, across [nb x na] its
 * transpose. When a and b are the same rows (a.x.x == b.x.x) only half is
 * worked out. range is for u16. ERR_TEMPFAIL when memory lacks.
 */
int kernel_block(const struct kernel *, struct kernel_rows a, struct kernel_rows b,
	struct kernel_range range, struct kernel_out out, const struct kernel_out *across,
	struct pool *, struct err *e);
/* K(x_i, x_i) of every row. */
void kernel_diagonal(const struct kernel *, struct kernel_rows, float *out);

/* In place: inner products [n] of rows with one query to kernel values. */
void kernel_map(const struct kernel *, float *dots, size_t n, const float *half_norm,
	float query_half_norm);
/* Sum of a[i] b[i] in a fixed order. Any alignment. */
float kernel_dot(const float *a, const float *b, size_t n);
/* In place e^x, relative error below 3e-7; below -87 it gives 0, above 88 e^88. */
void kernel_exp(float *x, size_t n);
/* In place scale * cos(x), absolute error below 1e-6 * scale for |x| < 1e4. */
void kernel_cos(float *x, size_t n, float scale);

/* The same maps compiled for the plain machine, for tests. */
void kernel_exp_ref(float *x, size_t n);
void kernel_map_ref(const struct kernel *, float *dots, size_t n, const float *half_norm,
	float query_half_norm);
float kernel_dot_ref(const float *a, const float *b, size_t n);

#endif
