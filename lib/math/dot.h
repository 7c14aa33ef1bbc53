/*
 * dot - inner products of many stored rows with one vector.
 *
 * A scan for nearest neighbours is bound by memory, so rows are kept in IEEE
 * 754 binary16 and widened in registers, and may be screened by 8-bit codes
 * first. The kernel is chosen once, by what the CPU has; for binary16 they
 * agree within a few units in the last place of float (they add in different
 * orders), for codes exactly.
 * Depends on: nothing.  Threads: pure functions.
 */
#ifndef LLMR_MATH_DOT_H
#define LLMR_MATH_DOT_H

#include <stddef.h>
#include <stdint.h>

enum dot_kernel { DOT_PORTABLE, DOT_AVX2, DOT_AVX512, DOT_KERNELS };

/* The fastest kernel of this CPU; whether it has a given one; a name for people. */
enum dot_kernel dot_best(void);
int dot_supported(enum dot_kernel);
const char *dot_name(enum dot_kernel);

/*
 * out[i] = sum over j of rows[i x d + j] * q[j].
 *   rows [n x d] binary16, row-major, any alignment     q [d]     out [n]
 */
void dot_half(enum dot_kernel, const uint16_t *rows, size_t n, size_t d, const float *q,
	float *out);

/* The same for the rows of the given numbers only: out[i] belongs to row index[i]. */
void dot_half_at(enum dot_kernel, const uint16_t *rows, const uint32_t *index, size_t n, size_t d,
	const float *q, float *out);

/*
 * Rows as 8-bit codes: row = (code - 128) * scale, nearly. Unsigned rows against
 * a signed query are what the CPU multiplies, and only the query's sum corrects
 * for the 128.
 */
struct dot_codes {
	size_t n, stride;		/* stride a multiple of 64 */
	const uint8_t *code;		/* [n x stride] 1..255, 128 beyond the dimensions; 64-byte aligned */
	const float *scale;		/* [n] */
};
struct dot_query {
	const int8_t *code;		/* [stride] -127..127, 0 beyond the dimensions */
	float scale;
	int32_t sum;			/* of code */
};
/*
 * out[i] = scale[i] * q.scale * sum over j of (code[i x stride + j] - 128) * q.code[j]:
 * integers but for the scales, and therefore the same in every kernel.
 */
void dot_code(enum dot_kernel, const struct dot_codes *, const struct dot_query *q, float *out);
/* The same for the rows of the given numbers only: out[i] belongs to row index[i]. */
void dot_code_at(enum dot_kernel, const struct dot_codes *, const uint32_t *index, size_t n,
	const struct dot_query *q, float *out);
/* x [d] to codes out[i] = round(x[i] / scale), -127..127; returns scale (0 for a zero vector). */
float dot_encode(const float *x, size_t d, int8_t *out);
/* The codes of x [d] in code [stride], which the query borrows; the codes of a row. */
struct dot_query dot_query(const float *x, size_t d, size_t stride, int8_t *code);
struct dot_query dot_row(const struct dot_codes *, size_t row, int8_t *code);

/* Conversion to the nearest binary16 (ties to even, overflow to infinity) and back (exact). */
uint16_t dot_to_half(float x);
float dot_from_half(uint16_t h);
/* Rows of both, n elements: as the above. */
void dot_widen(const uint16_t *from, size_t n, float *to);

#endif
