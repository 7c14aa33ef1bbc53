/*
 * checkout - a folder that holds the versions of one model, and which is in use.
 *
 *	OUT/versions/VERSION/FILES, manifest.json, manifest.json.minisig
 *	OUT/current -> versions/VERSION     changed in one step (rename of a link)
 *	OUT/previous -> versions/VERSION    what current was before
 *
 * A version is made under a name with a dot, synced, and renamed when whole.
 * Versions that neither link names are removed after a change.
 * Depends on: registry/version, cache.  Threads: one at a time; processes by a lock.
 */
#ifndef LLMR_REGISTRY_CHECKOUT_H
#define LLMR_REGISTRY_CHECKOUT_H

#include "registry/cache.h"
#include "registry/version.h"

struct checkout {
	char *path;	/* owned */
	int fd, lock;
};

/* Open (made where absent) and lock; waits for other processes. Leftovers of a crash are removed. */
int checkout_open(const char *path, struct cancel *, struct checkout *, struct err *e);
void checkout_close(struct checkout *);

/* The version that a link ("current", "previous") names, "" when none. */
void checkout_link(const struct checkout *, const char *link, char version[LAYOUT_NAME]);
/* Is that version there, every file with its digest and the manifest the same? 1, 0, -1. */
int checkout_has(const struct checkout *, const struct version *, struct cancel *, struct err *e);
/* Make it from the cache, which holds every content of it. */
int checkout_make(const struct checkout *, const struct version *, struct cache *, struct err *e);
/* Make it the one in use. *changed tells whether another was. */
int checkout_use(const struct checkout *, const char *version, bool *changed, struct err *e);

#endif
