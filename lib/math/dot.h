/*
 * dot - inner products of many half-precision rows with one vector.
 *
 * The scan of an exact nearest-neighbour search is bound by memory, so rows
 * are kept in IEEE 754 binary16 and widened in registers. The kernel is chosen
 * once, by what the CPU has; all of them agree within a few units in the last
 * place of float (they add in different orders).
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

/* Conversion to the nearest binary16 (ties to even, overflow to infinity) and back (exact). */
uint16_t dot_to_half(float x);
float dot_from_half(uint16_t h);

#endif
