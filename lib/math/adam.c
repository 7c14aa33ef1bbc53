#include "math/adam.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define EPSILON 1e-8f

int
adam_init(struct adam *a, size_t n, double rate, struct err *e)
{
	*a = (struct adam){ .n = n, .rate = rate, .beta1 = 0.9, .beta2 = 0.999,
		.kernel = dot_best() };
	a->m = mem_aligned(n, sizeof *a->m, e);
	a->v = mem_aligned(n, sizeof *a->v, e);
	if (a->m == NULL || a->v == NULL) {
		adam_finish(a);
		return -1;
	}
	return 0;
}

void
adam_finish(struct adam *a)
{
	free(a->m);
	free(a->v);
	a->m = a->v = NULL;
}

void
adam_next(struct adam *a)
{
	double t = (double)++a->t;

	a->step = (float)(a->rate * sqrt(1 - pow(a->beta2, t)) / (1 - pow(a->beta1, t)));
}

static void
apply_portable(const struct adam *a, float *w, float *const *part, size_t parts, float scale,
	float decay, size_t from, size_t to)
{
	const float b1 = (float)a->beta1, b2 = (float)a->beta2;

	for (size_t i = from; i < to; i++) {
		float g = part[0][i];

		for (size_t k = 1; k < parts; k++)
			g += part[k][i];
		g = scale * g + decay * w[i];
		a->m[i] = b1 * a->m[i] + (1 - b1) * g;
		a->v[i] = b2 * a->v[i] + (1 - b2) * g * g;
		w[i] -= a->step * a->m[i] / (sqrtf(a->v[i]) + EPSILON);
	}
}

#if defined(__x86_64__)

__attribute__((target("avx2,fma"))) static void
apply_avx2(const struct adam *a, float *w, float *const *part, size_t parts, float scale,
	float decay, size_t from, size_t to)
{
	const __m256 b1 = _mm256_set1_ps((float)a->beta1), c1 = _mm256_set1_ps(1 - (float)a->beta1);
	const __m256 b2 = _mm256_set1_ps((float)a->beta2), c2 = _mm256_set1_ps(1 - (float)a->beta2);
	const __m256 sc = _mm256_set1_ps(scale), de = _mm256_set1_ps(decay);
	const __m256 st = _mm256_set1_ps(a->step), eps = _mm256_set1_ps(EPSILON);
	size_t i = from;

	for (; i + 8 <= to; i += 8) {
		__m256 g = _mm256_load_ps(part[0] + i), x = _mm256_load_ps(w + i), m, v;

		for (size_t k = 1; k < parts; k++)
			g = _mm256_add_ps(g, _mm256_load_ps(part[k] + i));
		g = _mm256_fmadd_ps(sc, g, _mm256_mul_ps(de, x));
		m = _mm256_fmadd_ps(b1, _mm256_load_ps(a->m + i), _mm256_mul_ps(c1, g));
		v = _mm256_fmadd_ps(b2, _mm256_load_ps(a->v + i),
		    _mm256_mul_ps(c2, _mm256_mul_ps(g, g)));
		_mm256_store_ps(a->m + i, m);
		_mm256_store_ps(a->v + i, v);
		x = _mm256_sub_ps(x, _mm256_div_ps(_mm256_mul_ps(st, m),
		    _mm256_add_ps(_mm256_sqrt_ps(v), eps)));
		_mm256_store_ps(w + i, x);
	}
	apply_portable(a, w, part, parts, scale, decay, i, to);
}

__attribute__((target("avx512f"))) static void
apply_avx512(const struct adam *a, float *w, float *const *part, size_t parts, float scale,
	float decay, size_t from, size_t to)
{
	const __m512 b1 = _mm512_set1_ps((float)a->beta1), c1 = _mm512_set1_ps(1 - (float)a->beta1);
	const __m512 b2 = _mm512_set1_ps((float)a->beta2), c2 = _mm512_set1_ps(1 - (float)a->beta2);
	const __m512 sc = _mm512_set1_ps(scale), de = _mm512_set1_ps(decay);
	const __m512 st = _mm512_set1_ps(a->step), eps = _mm512_set1_ps(EPSILON);
	size_t i = from;

	for (; i + 16 <= to; i += 16) {
		__m512 g = _mm512_load_ps(part[0] + i), x = _mm512_load_ps(w + i), m, v;

		for (size_t k = 1; k < parts; k++)
			g = _mm512_add_ps(g, _mm512_load_ps(part[k] + i));
		g = _mm512_fmadd_ps(sc, g, _mm512_mul_ps(de, x));
		m = _mm512_fmadd_ps(b1, _mm512_load_ps(a->m + i), _mm512_mul_ps(c1, g));
		v = _mm512_fmadd_ps(b2, _mm512_load_ps(a->v + i),
		    _mm512_mul_ps(c2, _mm512_mul_ps(g, g)));
		_mm512_store_ps(a->m + i, m);
		_mm512_store_ps(a->v + i, v);
		x = _mm512_sub_ps(x, _mm512_div_ps(_mm512_mul_ps(st, m),
		    _mm512_add_ps(_mm512_sqrt_ps(v), eps)));
		_mm512_store_ps(w + i, x);
	}
	apply_portable(a, w, part, parts, scale, decay, i, to);
}

#endif

void
adam_apply(const struct adam *a, float *w, float *const *part, size_t parts, float scale,
	float decay, size_t from, size_t to)
{
#if defined(__x86_64__)
	if (a->kernel == DOT_AVX512) {
		apply_avx512(a, w, part, parts, scale, decay, from, to);
		return;
	}
	if (a->kernel == DOT_AVX2) {
		apply_avx2(a, w, part, parts, scale, decay, from, to);
		return;
	}
#endif
	apply_portable(a, w, part, parts, scale, decay, from, to);
}
