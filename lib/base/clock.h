/*
 * clock - monotonic, CPU and wall time; a seeded generator; cancellation.
 *
 * Threads: clocks are pure reads; a struct rng belongs to one thread; a struct
 * cancel is shared, set from a signal handler.
 */
#ifndef LLMR_BASE_CLOCK_H
#define LLMR_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

int64_t clock_mono_ns(void);
int64_t clock_cpu_ns(void);		/* of the whole process */
int64_t clock_wall_us(void);		/* since 1970, or SOURCE_DATE_EPOCH's value is NOT consulted here */
void clock_sleep_ns(int64_t ns);	/* returns early on a signal */

/* xoshiro256** (Blackman & Vigna 2018) seeded by splitmix64: same seed, same stream everywhere. */
struct rng { uint64_t s[4]; };
void rng_seed(struct rng *, uint64_t seed);
uint64_t rng_u64(struct rng *);
double rng_double(struct rng *);			/* [0, 1), 53 bits */
uint64_t rng_below(struct rng *, uint64_t n);		/* [0, n), unbiased; n > 0 */
double rng_normal(struct rng *);			/* mean 0, variance 1 */
/* An independent stream for part number i: the parts do not depend on order or threads. */
struct rng rng_split(uint64_t seed, uint64_t i);

struct cancel { atomic_int flag; };
/* 0, or -1 with ERR_INTR when the flag is set; c may be NULL. */
int cancel_check(struct cancel *c, struct err *e);

#endif
