/*
 * pull - bring a version here, verified, and put it to use in one step.
 *
 * The pointer is asked for with its ETag; then manifest and signature, then the
 * contents that the cache lacks, hashed while they come, gone on with where an
 * earlier try ended. What is refused at any place leaves the version in use.
 * Depends on: registry, cache, checkout.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_PULL_H
#define LLMR_REGISTRY_PULL_H

#include "registry/cache.h"
#include "registry/registry.h"
#include "registry/version.h"

struct pull {
	const char *name, *channel;
	const char *version;		/* this one (or an alias) and no pointer; NULL: the channel's */
	const char *out;		/* folder, see checkout.h */
	uint64_t min_seq;		/* a lower seq is ERR_NOPERM */
	int64_t max_age_us;		/* an older pointer is ERR_TEMPFAIL; 0 none */
	bool offline;			/* from what is remembered and cached alone; expired is fine */
	bool lease;			/* fetch under a lease in the store, one host at a time */
	const char *owner;		/* of the lease */
	bool poll;			/* an unchanged pointer whose version is in use is all: one request */
	const struct progress *progress;
	/* out */
	struct pointer pointer;		/* name "" when version was given */
	char got[LAYOUT_NAME], before[LAYOUT_NAME];	/* version in use now, and before ("" none) */
	bool changed;			/* another version than before is in use */
	size_t fetched;			/* contents that came from the store */
	uint64_t fetched_bytes;
};

int pull(struct registry *, struct cache *, struct pull *, struct err *e);

#endif
