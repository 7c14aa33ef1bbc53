/*
 * gc - remove what nothing needs any more.
 *
 * Kept are versions that a channel names (or named before), that an alias
 * names, the newest `keep' of each model, and whatever is younger than the
 * grace period, by the store's clock. Objects go when no manifest that stays
 * names them. Objects are listed before manifests are read, and each is looked
 * at once more right before it goes: publish writes an old object anew before
 * it relies on it. Two at once do each other no harm. A manifest that cannot be read stops everything: nothing is
 * deleted on a guess.
 * Depends on: registry.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_GC_H
#define LLMR_REGISTRY_GC_H

#include "registry/registry.h"

struct gc {
	int64_t grace_us;
	size_t keep;		/* newest versions of each model */
	bool dry_run;
	/* Told of everything that goes (or would go), before it does. NULL none. */
	void (*report)(void *ctx, const char *key, uint64_t size_bytes);
	void *ctx;
	/* out */
	size_t versions, objects, uploads;	/* removed, or with dry_run to be removed */
	size_t kept_versions, kept_objects;
	uint64_t bytes;
};

int gc_run(struct registry *, struct gc *, struct err *e);

#endif
