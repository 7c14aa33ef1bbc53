/*
 * map - string keys to size_t indexes, in order of insertion.
 *
 * Open addressing; keys are copied. For interning names (models, tasks, terms).
 * Hash: seeded with the process's random value, so hostile keys cannot collide
 * on purpose; iteration is by insertion index, so it does not show.
 * Depends on: base/mem.  Threads: concurrent lookups are safe, changes are not.
 */
#ifndef LLMR_BASE_MAP_H
#define LLMR_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct map {
	struct map_slot *slots;
	size_t cap;		/* power of two, 0 when empty */
	size_t len;		/* number of keys = next index */
	const char **keys;	/* [len] in insertion order, NUL-terminated */
	size_t *key_len;	/* [len] */
	size_t keys_cap, key_len_cap;
	struct arena arena;
	uint64_t seed;
};
#define MAP_INIT { 0 }
#define MAP_NONE ((size_t)-1)

/* Index of the key, added when new (*added tells, may be NULL). MAP_NONE and err when memory lacks. */
size_t map_intern(struct map *, const char *key, size_t n, bool *added, struct err *e);
/* Index or MAP_NONE. */
size_t map_find(const struct map *, const char *key, size_t n);
void map_finish(struct map *);
/* 64-bit hash of bytes, the same on every machine for the same seed (not cryptographic). */
uint64_t map_hash(const void *p, size_t n, uint64_t seed);

#endif
