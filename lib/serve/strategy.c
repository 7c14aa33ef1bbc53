#include "serve/strategy.h"

#include <math.h>

#define UNKNOWN_COST 5.0	/* USD per token where none is told, as LiteLLM assumes */

/* What weighs: the first property that any of them has. */
static double
weight_of(const struct deployment *d, int what)
{
	return what == 0 ? d->weight : what == 1 ? d->rpm : d->tpm;
}

/* The first property that any of them has weighs; those without it are never drawn. */
static size_t
shuffle(const struct ask *a, const struct pick *p, const size_t *in, size_t n, double *propensity)
{
	for (int what = 0; what < 3; what++) {
		size_t last = 0;
		double sum = 0, u;

		for (size_t i = 0; i < n; i++)
			sum += weight_of(p[in[i]].d, what);
		if (sum <= 0)
			continue;
		u = rng_double(a->rng) * sum;
		for (size_t i = 0; i < n; i++) {
			double w = weight_of(p[in[i]].d, what);

			if (w <= 0)
				continue;
			last = i;	/* by rounding none may be hit: then the last that has a weight */
			if (u < w)
				break;
			u -= w;
		}
		*propensity = weight_of(p[in[last]].d, what) / sum;
		return in[last];
	}
	*propensity = 1 / (double)n;
	return in[rng_below(a->rng, n)];
}

/* One of n that are equally good. */
static size_t
draw(const struct ask *a, const size_t *near, size_t n, double *propensity)
{
	*propensity = 1 / (double)n;
	return near[n == 1 ? 0 : rng_below(a->rng, n)];
}

static size_t
least_busy(const struct pick *p, const size_t *in, size_t n)
{
	size_t best = in[0];
	unsigned least = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		unsigned f = atomic_load_explicit(&p[in[i]].b->in_flight, memory_order_relaxed);

		if (f < least) {
			least = f;
			best = in[i];
		}
	}
	return best;
}

static size_t
quickest(const struct ask *a, const struct pick *p, const size_t *in, size_t n, double *propensity)
{
	double latency[STRATEGY_MAX], low = INFINITY;
	size_t near[STRATEGY_MAX], n_near = 0;

	for (size_t i = 0; i < n; i++) {
		latency[i] = backend_latency(p[in[i]].b, a->settings, a->stream);
		low = fmin(low, latency[i]);
	}
	for (size_t i = 0; i < n; i++) {
		if (latency[i] <= low + a->settings->lowest_latency_buffer * low)
			near[n_near++] = in[i];
	}
	return draw(a, near, n_near, propensity);
}

/* USD of a token in and a token out; 0 counts as not told. */
static double
price(const struct deployment *d)
{
	double in = d->input_cost > 0 ? d->input_cost : UNKNOWN_COST;
	double out = d->output_cost > 0 ? d->output_cost : UNKNOWN_COST;

	return in + out;
}

static size_t
cheapest(const struct pick *p, const size_t *in, size_t n)
{
	size_t best = in[0];

	for (size_t i = 1; i < n; i++) {
		if (price(p[in[i]].d) < price(p[best].d))
			best = in[i];
	}
	return best;
}

static size_t
least_used(const struct ask *a, const struct pick *p, const size_t *in, size_t n, double *propensity)
{
	double tokens, requests, low = INFINITY;
	size_t near[STRATEGY_MAX], n_near = 0;

	for (size_t i = 0; i < n; i++) {
		backend_usage(p[in[i]].b, &tokens, &requests);
		if (tokens < low) {
			low = tokens;
			n_near = 0;
		}
		if (tokens <= low)
			near[n_near++] = in[i];
	}
	return draw(a, near, n_near, propensity);
}

/* Smooth weighted round robin, as nginx's: each gains its weight, the highest is taken and pays the sum. */
static size_t
round_robin(const struct pick *p, const size_t *in, size_t n)
{
	size_t best = in[0];
	long sum = 0, high = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pick *k = &p[in[i]];
		long w = (long)(1000 * (k->d->weight > 0 ? k->d->weight : 1));
		long now = atomic_fetch_add(&k->b->wrr, w) + w;

		sum += w;
		if (i == 0 || now > high) {
			high = now;
			best = in[i];
		}
	}
	atomic_fetch_sub(&p[best].b->wrr, sum);
	return best;
}

/* Room under the limits of this minute? */
static bool
within(const struct pick *k, double input_tokens)
{
	double tokens, requests;

	if (k->d->tpm <= 0 && k->d->rpm <= 0)
		return true;
	backend_usage(k->b, &tokens, &requests);
	return (k->d->tpm <= 0 || tokens + input_tokens <= k->d->tpm) &&
		(k->d->rpm <= 0 || requests + 1 <= k->d->rpm);
}

static bool
counts_limits(enum strategy s)
{
	return s == STRATEGY_LATENCY || s == STRATEGY_COST || s == STRATEGY_USAGE;
}

/* Those that may be chosen, into in; their number, or 0 with *why. */
static size_t
usable(const struct ask *a, const struct pick *p, size_t n, size_t *in, enum none *why)
{
	int64_t now = clock_mono_ns();
	int order = INT32_MAX;
	size_t m = 0, k = 0;

	*why = NONE_EMPTY;
	for (size_t i = 0; i < n && m < STRATEGY_MAX; i++) {
		if (p[i].tried)
			continue;
		if (!backend_in_service(p[i].b, now)) {
			*why = NONE_COOLING;
			continue;
		}
		if (a->settings->pre_call_checks && p[i].d->context_tokens > 0 &&
		    a->input_tokens > (double)p[i].d->context_tokens) {
			*why = NONE_CONTEXT;
			continue;
		}
		if (counts_limits(a->strategy) && !within(&p[i], a->input_tokens)) {
			*why = NONE_LIMIT;
			continue;
		}
		in[m++] = i;
		if (p[i].d->order < order)
			order = p[i].d->order;
	}
	for (size_t i = 0; i < m; i++) {
		if (p[in[i]].d->order == order)
			in[k++] = in[i];
	}
	return k;
}

size_t
strategy_choose(const struct ask *a, const struct pick *p, size_t n, enum none *why, double *propensity)
{
	size_t in[STRATEGY_MAX], m = usable(a, p, n, in, why);
	double unwanted;

	if (m == 0)
		return STRATEGY_NONE;
	if (propensity == NULL)
		propensity = &unwanted;
	*propensity = 1;
	switch (a->strategy) {
	case STRATEGY_LEAST_BUSY:
		return least_busy(p, in, m);
	case STRATEGY_LATENCY:
		return quickest(a, p, in, m, propensity);
	case STRATEGY_COST:
		return cheapest(p, in, m);
	case STRATEGY_USAGE:
		return least_used(a, p, in, m, propensity);
	case STRATEGY_WEIGHTED:
		return round_robin(p, in, m);
	case STRATEGY_SHUFFLE:
	case STRATEGY_ML:
		break;
	}
	return shuffle(a, p, in, m, propensity);
}
