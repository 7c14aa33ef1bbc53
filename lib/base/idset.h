/*
 * idset - a set of 16-byte identifiers (trace ids).
 *
 * Open addressing, 16 bytes a slot, at most three quarters full: 22 to 43
 * bytes for each id held.
 * Depends on: base/map (its hash).  Threads: concurrent lookups are safe.
 */
#ifndef LLMR_BASE_IDSET_H
#define LLMR_BASE_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct idset {
	uint8_t (*slots)[16];	/* all-zero bytes: free */
	size_t cap;		/* power of two, 0 when empty */
	size_t len;
	bool has_zero;		/* the all-zero id is kept apart */
};
#define IDSET_INIT { NULL, 0, 0, false }

/* Add; *added tells whether it was new (may be NULL). -1 when memory lacks. */
int idset_add(struct idset *, const uint8_t id[16], bool *added, struct err *e);
bool idset_has(const struct idset *, const uint8_t id[16]);
void idset_finish(struct idset *);

/* 1 to 32 hexadecimal digits, either case, to 16 bytes, zeros put in front. */
bool idset_parse(struct slice hex, uint8_t out[16]);

#endif
