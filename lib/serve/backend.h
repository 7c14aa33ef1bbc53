/*
 * backend - what is known of a deployment at run time: load, latency, use, cooldown.
 *
 * Kept by the deployment's id, over reloads of the config. Windows are minutes
 * of UTC, as LiteLLM counts them.
 * Depends on: serve/config, base.  Threads: safe.
 */
#ifndef LLMR_SERVE_BACKEND_H
#define LLMR_SERVE_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "serve/config.h"

#define BACKEND_SAMPLES 64	/* at most max_latency_list_size */

struct backend {
	char *id;
	struct backend *next;
	atomic_uint in_flight;
	_Atomic int64_t cool_until_ns;	/* monotone; 0: in service */
	atomic_uint_fast64_t successes, failures, cooldowns;
	atomic_long wrr;		/* smooth weighted round robin: current weight in thousandths */

	pthread_mutex_t lock;		/* over all below */
	double sample[BACKEND_SAMPLES], ttft[BACKEND_SAMPLES];	/* latest first overwritten, rings */
	size_t n_samples, at_sample, n_ttft, at_ttft;
	int64_t samples_until_ns;	/* they count until then */
	int64_t minute;			/* of the figures below */
	double tokens, requests;	/* used in this minute */
	unsigned ok, failed;		/* outcomes in this minute */
};

struct backends;
struct backends *backends_new(struct err *e);
void backends_free(struct backends *);		/* NULL is fine */
/* The one of this id, made at first use; lives as long as the table. NULL and err when memory lacks. */
struct backend *backends_get(struct backends *, const char *id, struct err *e);

/* A call goes out: counts as in flight, and as a request of this minute. */
void backend_begin(struct backend *);

/* What became of a call. */
struct outcome {
	bool ok;
	bool timed_out;
	unsigned status;		/* of the upstream's answer, 0 none came */
	double seconds;			/* of the whole call */
	double ttft_seconds;		/* of a stream, NAN unknown */
	double tokens, completion_tokens;	/* 0 unknown */
	bool alone;			/* the only deployment of its group */
};
/*
 * It came back: latency and tokens are noted, and the deployment is set aside
 * for cooldown_time by LiteLLM's rules: at once for 429, 401, 404, 408; when
 * more than half of five or more calls of the minute failed (both unless it is
 * alone); when all of a thousand did. With allowed_fails: when more than
 * that failed in the minute.
 */
void backend_end(struct backend *, const struct router_settings *, const struct outcome *);
/* May it be asked now? */
bool backend_in_service(const struct backend *, int64_t now_ns);
/* Tokens and requests of this minute. */
void backend_usage(struct backend *, double *tokens, double *requests);
/* Seconds (per completion token where known) that a call takes: LiteLLM's figure; 0 when it was never asked. */
double backend_latency(struct backend *, const struct router_settings *, bool stream);

#endif
