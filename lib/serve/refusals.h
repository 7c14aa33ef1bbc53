/*
 * refusals - the last reloads that were refused, for people who look later.
 *
 * Depends on: base.  Threads: safe.
 */
#ifndef LLMR_SERVE_REFUSALS_H
#define LLMR_SERVE_REFUSALS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "fmt/jsonw.h"

#define REFUSALS_KEPT 8

struct refusal {
	int64_t at_us;		/* wall clock */
	char cause[16];		/* "api", "signal", "watch", "start", "sync" */
	char why[512];
};
struct refusals {
	pthread_mutex_t lock;
	struct refusal v[REFUSALS_KEPT];
	uint64_t n;		/* ever; the last ones are kept */
};
void refusals_init(struct refusals *);
void refusals_finish(struct refusals *);
void refusals_add(struct refusals *, const char *cause, const char *why);
/* An array of {"at", "cause", "error"}, the latest first. */
void refusals_write(struct refusals *, struct jsonw *);

#endif
