/*
 * cache - contents that were fetched, by their digest, for every process of a user.
 *
 *	objects/ab/abcd...     whole and verified once; read-only
 *	partial/abcd...        begun, .etag beside it; gone on with by the next fetch
 *	locks/...              flock files
 *
 * An object is verified again each time it is taken; a damaged one is removed
 * and counts as absent. Objects least recently used go when the limit is passed.
 * Depends on: base/io, fmt/hash.  Threads: one at a time; several processes.
 */
#ifndef LLMR_REGISTRY_CACHE_H
#define LLMR_REGISTRY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "registry/store.h"

struct cache;

/* limit_bytes: of objects together. cancel is borrowed. NULL and err. */
struct cache *cache_open(const char *dir, uint64_t limit_bytes, struct cancel *, struct err *e);
void cache_free(struct cache *);	/* NULL is fine */

/*
 * Wait until no other process fetches what goes by that name (digits and
 * letters). A descriptor to close when done, or -1.
 */
int cache_lock(struct cache *, const char *what, struct err *e);

/* Is that content here and undamaged? 1, 0, or -1 and err. */
int cache_has(struct cache *, const uint8_t sha256[32], uint64_t size_bytes, struct err *e);
/* Make path (absent) that content: a hard link, or a synced copy where that cannot be. ERR_NOINPUT when absent. */
int cache_place(struct cache *, const uint8_t sha256[32], const char *path, struct err *e);

/* A fetch into the cache. */
struct cache_part {
	int fd;			/* open for reading and writing, -1 closed */
	uint64_t have_bytes;	/* of an earlier try */
	char etag[STORE_ETAG];	/* of that, "" none */
	uint8_t sha256[32];
};
int cache_part_open(struct cache *, const uint8_t sha256[32], struct cache_part *, struct err *e);
/* Note the ETag that the bytes are of. */
int cache_part_etag(struct cache *, const struct cache_part *, const char *etag, struct err *e);
/* The bytes are verified: sync them and make them an object. Closes. */
int cache_part_commit(struct cache *, struct cache_part *, struct err *e);
/* Close, keeping the bytes for the next try, or not. */
void cache_part_close(struct cache *, struct cache_part *, bool keep);

/* Remove what was used least recently until the limit holds. */
int cache_trim(struct cache *, struct err *e);

#endif
