#include "math/hist.h"

#include <math.h>
#include <string.h>

#define SUB (1u << HIST_SUB_BITS)

static size_t
index_of(uint64_t v)
{
	unsigned msb, shift;

	if (v < 2 * SUB)
		return (size_t)v;
	msb = 63 - (unsigned)__builtin_clzll(v);
	shift = msb - HIST_SUB_BITS;
	return ((size_t)shift << HIST_SUB_BITS) + (size_t)(v >> shift);
}

/* Middle of a bucket. */
static double
value_of(size_t i)
{
	unsigned shift;

	if (i < 2 * SUB)
		return (double)i;
	shift = (unsigned)(i >> HIST_SUB_BITS) - 1;
	return ldexp((double)(i - ((size_t)shift << HIST_SUB_BITS)) + 0.5, (int)shift);
}

void
hist_init(struct hist *h)
{
	memset(h, 0, sizeof *h);
	h->min = UINT64_MAX;
}

void
hist_add(struct hist *h, uint64_t v)
{
	h->count[index_of(v)]++;
	h->n++;
	h->sum += (double)v;
	if (v > h->max)
		h->max = v;
	if (v < h->min)
		h->min = v;
}

void
hist_merge(struct hist *h, const struct hist *o)
{
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		h->count[i] += o->count[i];
	h->n += o->n;
	h->sum += o->sum;
	if (o->max > h->max)
		h->max = o->max;
	if (o->min < h->min)
		h->min = o->min;
}

double
hist_quantile(const struct hist *h, double q)
{
	uint64_t want, seen = 0;
	double v;

	if (h->n == 0)
		return 0;
	want = (uint64_t)ceil(q * (double)h->n);
	if (want < 1)
		want = 1;
	if (want >= h->n)
		return (double)h->max;
	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen < want)
			continue;
		v = value_of(i);
		if (v > (double)h->max)
			v = (double)h->max;
		return v < (double)h->min ? (double)h->min : v;
	}
	return (double)h->max;
}

double
hist_mean(const struct hist *h)
{
	return h->n == 0 ? 0 : h->sum / (double)h->n;
}
