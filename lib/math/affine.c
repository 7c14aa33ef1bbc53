#include "math/affine.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void
apply_portable(const float *w, size_t in, size_t stride, const float *x, float *y)
{
	memcpy(y, w + in * stride, stride * sizeof *y);
	for (size_t i = 0; i < in; i++) {
		const float *row = w + i * stride, xi = x[i];

		if (xi == 0)
			continue;
		for (size_t j = 0; j < stride; j++)
			y[j] += xi * row[j];
	}
}

#if defined(__x86_64__)

/* Eight accumulators hide the latency of the fused multiply-add. */
__attribute__((target("avx2,fma"))) static void
apply_avx2(const float *w, size_t in, size_t stride, const float *x, float *y)
{
	const float *bias = w + in * stride;
	size_t j = 0;

	for (; j + 64 <= stride; j += 64) {
		__m256 a[8];

		for (size_t k = 0; k < 8; k++)
			a[k] = _mm256_load_ps(bias + j + 8 * k);
		for (size_t i = 0; i < in; i++) {
			const float *row = w + i * stride + j;
			__m256 xi = _mm256_set1_ps(x[i]);

			if (x[i] == 0)
				continue;
			for (size_t k = 0; k < 8; k++)
				a[k] = _mm256_fmadd_ps(xi, _mm256_load_ps(row + 8 * k), a[k]);
		}
		for (size_t k = 0; k < 8; k++)
			_mm256_store_ps(y + j + 8 * k, a[k]);
	}
	for (; j < stride; j += 16) {
		__m256 a = _mm256_load_ps(bias + j), b = _mm256_load_ps(bias + j + 8);

		for (size_t i = 0; i < in; i++) {
			const float *row = w + i * stride + j;
			__m256 xi = _mm256_set1_ps(x[i]);

			a = _mm256_fmadd_ps(xi, _mm256_load_ps(row), a);
			b = _mm256_fmadd_ps(xi, _mm256_load_ps(row + 8), b);
		}
		_mm256_store_ps(y + j, a);
		_mm256_store_ps(y + j + 8, b);
	}
}

__attribute__((target("avx512f"))) static void
narrow_avx512(const float *w, size_t in, size_t stride, const float *x, float *y)
{
	__m512 a = _mm512_load_ps(w + in * stride), b = _mm512_setzero_ps(), c = b, d = b;
	size_t i = 0;

	for (; i + 4 <= in; i += 4) {
		const float *row = w + i * stride;

		a = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), _mm512_load_ps(row), a);
		b = _mm512_fmadd_ps(_mm512_set1_ps(x[i + 1]), _mm512_load_ps(row + stride), b);
		c = _mm512_fmadd_ps(_mm512_set1_ps(x[i + 2]), _mm512_load_ps(row + 2 * stride), c);
		d = _mm512_fmadd_ps(_mm512_set1_ps(x[i + 3]), _mm512_load_ps(row + 3 * stride), d);
	}
	for (; i < in; i++)
		a = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), _mm512_load_ps(w + i * stride), a);
	_mm512_store_ps(y, _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
}

__attribute__((target("avx512f"))) static void
apply_avx512(const float *w, size_t in, size_t stride, const float *x, float *y)
{
	const float *bias = w + in * stride;
	size_t j = 0;

	for (; j + 128 <= stride; j += 128) {
		__m512 a[8];

		for (size_t k = 0; k < 8; k++)
			a[k] = _mm512_load_ps(bias + j + 16 * k);
		for (size_t i = 0; i < in; i++) {
			const float *row = w + i * stride + j;
			__m512 xi = _mm512_set1_ps(x[i]);

			if (x[i] == 0)
				continue;
			for (size_t k = 0; k < 8; k++)
				a[k] = _mm512_fmadd_ps(xi, _mm512_load_ps(row + 16 * k), a[k]);
		}
		for (size_t k = 0; k < 8; k++)
			_mm512_store_ps(y + j + 16 * k, a[k]);
	}
	for (; j < stride; j += 16)
		narrow_avx512(w + j, in, stride, x, y + j);
}

#endif

void
affine_apply(enum dot_kernel k, const float *w, size_t in, size_t stride, const float *x, float *y)
{
#if defined(__x86_64__)
	if (k == DOT_AVX512) {
		apply_avx512(w, in, stride, x, y);
		return;
	}
	if (k == DOT_AVX2) {
		apply_avx2(w, in, stride, x, y);
		return;
	}
#endif
	(void)k;
	apply_portable(w, in, stride, x, y);
}
