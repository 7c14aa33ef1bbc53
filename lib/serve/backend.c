#include "serve/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define TIMEOUT_SAMPLE 1000.0	/* seconds noted for a call that timed out, as LiteLLM does */

struct backends {
	pthread_mutex_t lock;
	struct backend *first;
};

struct backends *
backends_new(struct err *e)
{
	struct backends *t = mem_calloc(1, sizeof *t, e);

	if (t != NULL)
		pthread_mutex_init(&t->lock, NULL);
	return t;
}

void
backends_free(struct backends *t)
{
	if (t == NULL)
		return;
	while (t->first != NULL) {
		struct backend *b = t->first;

		t->first = b->next;
		pthread_mutex_destroy(&b->lock);
		free(b->id);
		free(b);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct backend *
backends_get(struct backends *t, const char *id, struct err *e)
{
	struct backend *b;

	pthread_mutex_lock(&t->lock);
	for (b = t->first; b != NULL && strcmp(b->id, id) != 0; b = b->next)
		;
	if (b == NULL && (b = mem_calloc(1, sizeof *b, e)) != NULL) {
		if ((b->id = mem_strdup(id, e)) == NULL) {
			free(b);
			b = NULL;
		} else {
			pthread_mutex_init(&b->lock, NULL);
			b->next = t->first;
			t->first = b;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return b;
}

/* Figures of another minute are forgotten. b->lock is held. */
static void
turn(struct backend *b)
{
	int64_t minute = clock_wall_us() / 60000000;

	if (b->minute == minute)
		return;
	b->minute = minute;
	b->tokens = b->requests = 0;
	b->ok = b->failed = 0;
}

void
backend_begin(struct backend *b)
{
	atomic_fetch_add(&b->in_flight, 1);
	pthread_mutex_lock(&b->lock);
	turn(b);
	b->requests++;
	pthread_mutex_unlock(&b->lock);
}

static void
push(double *ring, size_t *n, size_t *at, size_t cap, double v)
{
	if (cap == 0 || cap > BACKEND_SAMPLES)
		cap = BACKEND_SAMPLES;
	if (*at >= cap)
		*at = 0;
	ring[*at] = v;
	*at = (*at + 1) % cap;
	if (*n < cap)
		(*n)++;
	if (*n > cap)
		*n = cap;
}

static void
note_latency(struct backend *b, const struct router_settings *s, const struct outcome *o)
{
	int64_t now = clock_mono_ns();
	double per = o->completion_tokens > 0 ? o->seconds / o->completion_tokens : o->seconds;

	if (now > b->samples_until_ns)
		b->n_samples = b->n_ttft = b->at_sample = b->at_ttft = 0;
	if (o->ok || o->timed_out)
		push(b->sample, &b->n_samples, &b->at_sample, s->latency_samples, o->timed_out ? TIMEOUT_SAMPLE : per);
	if (o->ok && !isnan(o->ttft_seconds))
		push(b->ttft, &b->n_ttft, &b->at_ttft, s->latency_samples, o->ttft_seconds);
	b->samples_until_ns = now + (int64_t)(s->latency_ttl * 1e9);
}

/* LiteLLM's rules; figures of this minute hold the outcome already. b->lock is held. */
static bool
must_cool(const struct backend *b, const struct router_settings *s, const struct outcome *o)
{
	unsigned all = b->ok + b->failed;

	if (o->ok || !s->cooldowns)
		return false;
	if (s->allowed_fails >= 0)
		return b->failed > (unsigned)s->allowed_fails;
	if (all >= 1000 && b->ok == 0)
		return true;
	if (o->alone)
		return false;
	return o->status == 429 || o->status == 401 || o->status == 404 || o->status == 408 ||
		(all >= 5 && b->failed * 2 > all);
}

void
backend_end(struct backend *b, const struct router_settings *s, const struct outcome *o)
{
	bool cool;

	pthread_mutex_lock(&b->lock);
	turn(b);
	b->tokens += o->tokens;
	if (o->ok)
		b->ok++;
	else
		b->failed++;
	note_latency(b, s, o);
	cool = must_cool(b, s, o);
	pthread_mutex_unlock(&b->lock);
	atomic_fetch_add(o->ok ? &b->successes : &b->failures, 1);
	if (cool) {
		atomic_store(&b->cool_until_ns, clock_mono_ns() + (int64_t)(s->cooldown_time * 1e9));
		atomic_fetch_add(&b->cooldowns, 1);
	}
	atomic_fetch_sub(&b->in_flight, 1);
}

bool
backend_in_service(const struct backend *b, int64_t now_ns)
{
	return atomic_load_explicit(&b->cool_until_ns, memory_order_relaxed) <= now_ns;
}

void
backend_usage(struct backend *b, double *tokens, double *requests)
{
	pthread_mutex_lock(&b->lock);
	turn(b);
	*tokens = b->tokens;
	*requests = b->requests;
	pthread_mutex_unlock(&b->lock);
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Mean, or the percentile (0..100, nearest rank) of n > 0 values. */
static double
summary(const double *v, size_t n, double percentile)
{
	double sorted[BACKEND_SAMPLES], sum = 0;
	size_t rank;

	if (percentile < 0) {
		for (size_t i = 0; i < n; i++)
			sum += v[i];
		return sum / (double)n;
	}
	memcpy(sorted, v, n * sizeof *v);
	qsort(sorted, n, sizeof *sorted, ascending);
	rank = (size_t)ceil(percentile / 100 * (double)n);
	return sorted[rank == 0 ? 0 : rank > n ? n - 1 : rank - 1];
}

double
backend_latency(struct backend *b, const struct router_settings *s, bool stream)
{
	double v = 0;

	pthread_mutex_lock(&b->lock);
	if (clock_mono_ns() <= b->samples_until_ns) {
		if (stream && b->n_ttft > 0)
			v = summary(b->ttft, b->n_ttft, s->ttft_percentile);
		else if (b->n_samples > 0)
			v = summary(b->sample, b->n_samples, -1);
	}
	pthread_mutex_unlock(&b->lock);
	return v;
}
