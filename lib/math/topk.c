#include "math/topk.h"

#include <string.h>

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

static size_t
bucket_of(float x, float lo, double scale)
{
	return (size_t)(((double)x - (double)lo) * scale);
}

float
topk_value(const float *x, size_t n, size_t k, float *work)
{
	uint32_t count[BUCKETS];

	for (;;) {
		float lo = x[0], hi = x[0];
		double scale;
		size_t b = BUCKETS, above = 0, kept = 0;

		for (size_t i = 1; i < n; i++) {
			lo = x[i] < lo ? x[i] : lo;
			hi = x[i] > hi ? x[i] : hi;
		}
		if (!(lo < hi))
			return hi;
		scale = (BUCKETS - 1) / ((double)hi - (double)lo);
		memset(count, 0, sizeof count);
		for (size_t i = 0; i < n; i++)
			count[bucket_of(x[i], lo, scale)]++;
		while (above + count[b - 1] < k)
			above += count[--b];
		b--;
		/* In place when x is work already: kept never runs ahead of i. */
		for (size_t i = 0; i < n; i++)
			if (bucket_of(x[i], lo, scale) == b)
				work[kept++] = x[i];
		k -= above;
		n = kept;
		x = work;
		if (n <= FEW)
			return kth_of_few(work, n, k);
	}
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
