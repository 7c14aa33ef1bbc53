#include "math/topk.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define X86 1
#define AVX512 __attribute__((target("avx512f,popcnt")))
#else
#define X86 0
#endif

#define BUCKETS 1024
#define FEW 24

/* k-th largest of a few values, by insertion into descending order. */
static float
kth_of_few(float *x, size_t n, size_t k)
{
	for (size_t i = 1; i < n; i++) {
		float v = x[i];
		size_t j = i;

		for (; j > 0 && x[j - 1] < v; j--)
			x[j] = x[j - 1];
		x[j] = v;
	}
	return x[k - 1];
}

/* Ascending in x, whatever the rounding; at most BUCKETS - 1 by the choice of scale. */
static uint32_t
bucket_of(float x, float lo, float scale)
{
	return (uint32_t)(int32_t)((x - lo) * scale);
}

#define LANES 8

/* Extremes, in lanes that the compiler can keep in one register. */
static void
extremes(const float *x, size_t n, float *least, float *most)
{
	float lo[LANES], hi[LANES];
	size_t i = 0;

	for (size_t l = 0; l < LANES; l++)
		lo[l] = hi[l] = x[0];
	for (; i + LANES <= n; i += LANES)
		for (size_t l = 0; l < LANES; l++) {
			lo[l] = x[i + l] < lo[l] ? x[i + l] : lo[l];
			hi[l] = x[i + l] > hi[l] ? x[i + l] : hi[l];
		}
	for (; i < n; i++) {
		lo[0] = x[i] < lo[0] ? x[i] : lo[0];
		hi[0] = x[i] > hi[0] ? x[i] : hi[0];
	}
	for (size_t l = 1; l < LANES; l++) {
		lo[0] = lo[l] < lo[0] ? lo[l] : lo[0];
		hi[0] = hi[l] > hi[0] ? hi[l] : hi[0];
	}
	*least = lo[0];
	*most = hi[0];
}

/*
 * Buckets per unit; 0 when the values are so near to each other, or so far
 * apart, that float cannot tell: then they are sorted.
 */
static float
scale_for(float lo, float hi)
{
	float scale = (float)(BUCKETS - 1) / (hi - lo);

	if (!isfinite(scale) || scale == 0 || !isfinite(hi - lo) ||
	    !((hi - lo) * scale < (float)BUCKETS))
		return 0;
	return scale;
}

/* Histogram selection; x may be work. */
static float
select_value(const float *x, size_t n, size_t k, float *work)
{
	uint32_t count[BUCKETS];

	for (;;) {
		float lo, hi, scale;
		size_t b = BUCKETS, above = 0, kept = 0;

		extremes(x, n, &lo, &hi);
		if (!(lo < hi))
			return hi;
		scale = scale_for(lo, hi);
		if (scale == 0)
			return kth_of_few(memmove(work, x, n * sizeof *x), n, k);
		memset(count, 0, sizeof count);
		for (size_t i = 0; i < n; i++)
			count[bucket_of(x[i], lo, scale)]++;
		while (above + count[b - 1] < k)
			above += count[--b];
		b--;
		/* Without a branch, and in place when x is work: kept never runs ahead of i. */
		for (size_t i = 0; i < n; i++) {
			float v = x[i];

			work[kept] = v;
			kept += bucket_of(v, lo, scale) == b;
		}
		k -= above;
		n = kept;
		x = work;
		if (n <= FEW)
			return kth_of_few(work, n, k);
	}
}

#if X86
/* The values above a bound, pressed together; out has room for n. */
AVX512 static size_t
above_512(const float *x, size_t n, float bound, float *out)
{
	size_t kept = 0, i = 0;

	for (; i + 16 <= n; i += 16) {
		__m512 v = _mm512_loadu_ps(x + i);
		__mmask16 m = _mm512_cmp_ps_mask(v, _mm512_set1_ps(bound), _CMP_GT_OQ);

		if (m == 0)
			continue;
		/* Never past x + i + 16: kept <= i. */
		_mm512_storeu_ps(out + kept, _mm512_maskz_compress_ps(m, v));
		kept += (size_t)__builtin_popcount(m);
	}
	for (; i < n; i++)
		if (x[i] > bound)
			out[kept++] = x[i];
	return kept;
}

AVX512 static size_t
at_least_512(const float *x, size_t n, float bound, uint32_t *out)
{
	const __m512i first = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	size_t kept = 0, i = 0;

	for (; i + 16 <= n; i += 16) {
		__mmask16 m = _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), _mm512_set1_ps(bound),
		    _CMP_GE_OQ);

		if (m == 0)
			continue;
		_mm512_storeu_si512(out + kept, _mm512_maskz_compress_epi32(m,
		    _mm512_add_epi32(_mm512_set1_epi32((int32_t)(uint32_t)i), first)));
		kept += (size_t)__builtin_popcount(m);
	}
	for (; i < n; i++)
		if (x[i] >= bound)
			out[kept++] = (uint32_t)i;
	return kept;
}
#endif

static size_t
above(const float *x, size_t n, float bound, float *out)
{
	size_t kept = 0;

#if X86
	if (__builtin_cpu_supports("avx512f"))
		return above_512(x, n, bound, out);
#endif
	for (size_t i = 0; i < n; i++) {
		float v = x[i];

		out[kept] = v;
		kept += v > bound;
	}
	return kept;
}

size_t
topk_at_least(const float *x, size_t n, float bound, uint32_t *out)
{
	size_t kept = 0;

#if X86
	if (__builtin_cpu_supports("avx512f"))
		return at_least_512(x, n, bound, out);
#endif
	for (size_t i = 0; i < n; i++) {
		out[kept] = (uint32_t)i;
		kept += x[i] >= bound;
	}
	return kept;
}

#define SAMPLE 16

/*
 * Of many values most are far below the k-th largest. Every 16th tells a value
 * that a few more than k exceed, as a rule; only these are looked at closely.
 * Returns how many exceed it (in work), 0 when the guess was too high.
 */
static size_t
prune(const float *x, size_t n, size_t k, float *work)
{
	size_t sampled = n / SAMPLE, rank = k / SAMPLE + k / (2 * SAMPLE) + 8, kept;
	float guess;

	for (size_t i = 0; i < sampled; i++)
		work[i] = x[i * SAMPLE];
	guess = select_value(work, sampled, rank, work);
	kept = above(x, n, guess, work);
	return kept >= k ? kept : 0;
}

float
topk_value(const float *x, size_t n, size_t k, float *work)
{
	size_t kept = n >= 128 * SAMPLE && k <= n / 4 ? prune(x, n, k, work) : 0;

	if (kept > 0)
		return select_value(work, kept, k, work);
	return select_value(x, n, k, work);
}

size_t
topk_select(const float *x, size_t n, size_t k, float *work, uint32_t *out)
{
	size_t got = 0, larger = 0, ties;
	float t;

	if (k >= n) {
		for (size_t i = 0; i < n; i++)
			out[i] = (uint32_t)i;
		return n;
	}
	if (k == 0)
		return 0;
	t = topk_value(x, n, k, work);
	for (size_t i = 0; i < n; i++)
		larger += x[i] > t;
	ties = k - larger;
	for (size_t i = 0; i < n && got < k; i++) {
		if (x[i] > t)
			out[got++] = (uint32_t)i;
		else if (x[i] == t && ties > 0) {
			out[got++] = (uint32_t)i;
			ties--;
		}
	}
	return got;
}
