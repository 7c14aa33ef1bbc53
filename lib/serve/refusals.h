/*
 * refusals - the last reloads that were refused, for whoever looks.
 *
 * Depends on: fmt/jsonw.  Threads: safe.
 */
#ifndef LLMR_SERVE_REFUSALS_H
#define LLMR_SERVE_REFUSALS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "fmt/jsonw.h"

#define REFUSALS_KEPT 8

struct refusals {
	pthread_mutex_t lock;
	struct { int64_t at_us; char why[256]; } v[REFUSALS_KEPT];
	size_t n;	/* ever */
};
void refusals_init(struct refusals *);
void refusals_finish(struct refusals *);
void refusals_note(struct refusals *, int64_t at_us, const char *why);
/* [{"time","reason"}], latest first. */
void refusals_write(struct refusals *, struct jsonw *);

#endif
