/*
 * gemm - products of activations with constant weights that were packed beforehand.
 *
 * Weights W [n x k] (a row for each output) lie in panels of GEMM_COLS outputs:
 * a panel is k / per steps of GEMM_COLS cells of 32 bits, a cell being one
 * float, two bfloat16 or four 8-bit integers of one output that follow each
 * other in k. So one kernel shape (rows of activations broadcast cell by cell
 * against 16-cell vectors of weights, sums kept in registers) serves all three
 * types and every instruction set, and packing does not depend on the machine.
 *
 * 8-bit weights have one scale for each output; activations are quantised
 * row by row as x = low + step * u, u in 0..255.
 * Sums run along k in one order whatever the number of rows: a row's outcome
 * does not depend on its neighbours.
 * Depends on: math/lanes, math/mat.  Threads: pure.
 */
#ifndef LLMR_MATH_GEMM_H
#define LLMR_MATH_GEMM_H

#include <stddef.h>
#include <stdint.h>

#define GEMM_COLS 64
#define GEMM_ROWS 6		/* rows of a tile; twice as many where it is at most 32 wide */
#define GEMM_MAX_ROWS 48

enum gemm_type { GEMM_F32, GEMM_BF16, GEMM_I8 };
/* Values in a cell: 1, 2, 4. */
size_t gemm_per_cell(enum gemm_type);

struct gemm_weights {
	size_t n, k;			/* multiples of 16 */
	const void *panels;		/* [gemm_padded(n) x k], 64-byte aligned */
	const float *bias;		/* [gemm_padded(n)] */
	const float *scale, *sum;	/* [gemm_padded(n)] of 8-bit weights: scale, and scale * sum of a row */
};
size_t gemm_padded(size_t n);	/* to whole panels */
size_t gemm_packed_bytes(enum gemm_type, size_t n, size_t k);
/* Pack w [n x k]; scale and sum [gemm_padded(n)] for GEMM_I8, else NULL. Same bytes on every machine. */
void gemm_pack(enum gemm_type, const float *w, size_t n, size_t k, void *panels, float *scale,
	float *sum);
/* The weight of output i and input j as it was packed. */
float gemm_unpacked(enum gemm_type, const struct gemm_weights *, size_t i, size_t j);
/* Round to nearest even. */
uint16_t gemm_to_bf16(float);
float gemm_from_bf16(uint16_t);

/* Rows of activations as kernels take them. */
struct gemm_rows {
	const void *x;			/* float, bfloat16 or uint8_t */
	size_t ld;			/* bytes from row to row */
	const float *step, *low;	/* [rows] of 8-bit rows */
};

/* out [rows x cols] = a b, cells as they are; lda, ldb in bytes, ldo in cells; cols 16, 32, 48 or 64. */
typedef void gemm_tile(const void *a, size_t lda, size_t rows, const void *b, size_t ldb,
	size_t steps, size_t cols, void *out, size_t ldo);

enum gemm_then {
	GEMM_STORE,			/* out = x w + bias */
	GEMM_ADD,			/* out += x w + bias */
	GEMM_GELU,			/* out = gelu(x w + bias) */
	GEMM_RELU
};

struct gemm_finish {
	const struct gemm_weights *w;
	struct gemm_rows rows;
	enum gemm_then then;
	float *out;			/* [rows x ldo] */
	size_t ldo;
};

/* What an instruction set brings along for weights of one type. */
struct gemm_kernels {
	const char *name;		/* "avx512-vnni" */
	enum gemm_type type;		/* of the weights */
	enum gemm_type rows;		/* of the activations that tile takes */
	size_t tile_rows;		/* at most GEMM_MAX_ROWS */
	gemm_tile *tile;
	/* Bias and the rest over a tile [rows x GEMM_COLS] whose first row and column these are. */
	void (*finish)(const struct gemm_finish *, const void *tile, size_t row, size_t rows, size_t col);
	/* Convert x [m x k], floats from row to row ldx, into out: k values of the rows' type each. */
	void (*convert)(const float *x, size_t ldx, size_t m, size_t k, void *out, float *step, float *low);
	enum gemm_type pairs;		/* of attention: GEMM_F32 or GEMM_BF16 */
	gemm_tile *pair_tile;
	/*
	 * e^(scale (x - max)) of s [n] with n rounded up to 16, zeros behind n; written
	 * as floats to s or, for bfloat16, to half (a multiple of 32 wide). Returns the sum.
	 */
	float (*softmax)(float *s, size_t n, float scale, uint16_t *half);
	/* In place (x - mean) / sqrt(var + eps) * gamma + beta over n, a multiple of 16. */
	void (*normalize)(float *x, size_t n, const float *gamma, const float *beta, float eps);
	/* dst [cols x ldd] = transposed src [rows x lds] of 32-bit cells; rows beyond are zeroed up to a multiple of 16. */
	void (*transpose)(const uint32_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst,
		size_t ldd);
	/*
	 * Rows 2i and 2i + 1 of bfloat16 src [rows x lds] as pairs: dst [(rows + 1) / 2 x cols],
	 * the missing last row as zeros; cols a multiple of 16. NULL where pairs is GEMM_F32.
	 */
	void (*interleave)(const uint16_t *src, size_t lds, size_t rows, size_t cols, uint32_t *dst);
};

/*
 * The i-th way of this CPU for weights of a type, best first; NULL when i is too large. The last is the
 * plain one; before it, for floats, OpenBLAS once mat_open has found it (with it, and with nothing else,
 * a row's last bits may depend on its neighbours).
 */
const struct gemm_kernels *gemm_kernels_at(enum gemm_type, size_t i);

/* rows [m] times weights, into out as finish says (then, out, ldo). */
void gemm_mul(const struct gemm_kernels *, const struct gemm_weights *, struct gemm_rows, size_t m,
	enum gemm_then, float *out, size_t ldo);

/* Exact gelu, x Phi(x), by erf; what kernels come near to. */
double gemm_gelu(double x);

#endif
