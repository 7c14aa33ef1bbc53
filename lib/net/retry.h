/*
 * retry - when to try again, and how long to wait.
 *
 * Exponential back-off with jitter: before try number n the wait is between
 * half of and the whole of min(cap, base * 2^(n-1)), so that many clients do
 * not come back together; a server's Retry-After is a lower bound.
 * Retry-After: RFC 9110, 10.2.3 (seconds or one of the three HTTP dates).
 * Depends on: base/clock.  Threads: pure; a struct rng belongs to one thread.
 */
#ifndef LLMR_NET_RETRY_H
#define LLMR_NET_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct retry_policy {
	unsigned tries;		/* in all, the first included; at least 1 */
	double base, cap;	/* seconds */
	double max_wait;	/* a longer Retry-After means giving up */
};

/* 5 tries, 0.5 s doubling to at most 30 s, up to 300 s of Retry-After. */
struct retry_policy retry_default(void);

/* True for statuses that a later try may cure: 408, 425, 429, 500, 502, 503, 504. */
bool retry_status(long status);

/*
 * Seconds to wait after failed try number n (from 1); retry_after is negative
 * when the server named none. Negative when there is no further try.
 */
double retry_delay(const struct retry_policy *, unsigned n, double retry_after, struct rng *);

/* Seconds from a Retry-After value at wall time now (µs since 1970); a date in the past gives 0. */
bool retry_after_parse(const char *value, int64_t now_us, double *seconds);

/* One of the three date forms of RFC 9110, 5.6.7, in seconds since 1970; false when it is none. */
bool retry_http_date(const char *text, int64_t *out);

/* Sleep in short naps; -1 and ERR_INTR as soon as cancelled. */
int retry_sleep(double seconds, struct cancel *, struct err *e);

#endif
