/*
 * known - what this host remembers of a registry: its id, that conditional
 * writes were tried, and the newest pointer seen of each channel.
 *
 * Kept under the state folder, by the name of the store; the memory of the
 * highest seq is what makes an old signed pointer worthless. Writers of
 * several processes are kept apart by flock.
 * Depends on: base/io, fmt.  Threads: one at a time; several processes.
 */
#ifndef LLMR_REGISTRY_KNOWN_H
#define LLMR_REGISTRY_KNOWN_H

#include "registry/pointer.h"
#include "registry/store.h"

struct known;

/* dir: the state folder, made where absent. NULL and err. */
struct known *known_open(const char *dir, const char *store_name, struct err *e);
void known_free(struct known *);	/* NULL is fine */

/* The id ("" when not known yet) and whether conditional writes were found to hold. */
int known_registry(const struct known *, char id[POINTER_ID], bool *cas, struct err *e);
int known_set_registry(const struct known *, const char *id, bool cas, struct err *e);

struct known_pointer {
	uint64_t seq;		/* 0: none seen */
	char etag[STORE_ETAG];
	struct buf doc;		/* the document as it came */
};
/* The newest pointer; seq 0 when there is none. Release doc with buf_finish, on failure too. */
int known_pointer(const struct known *, const char *name, const char *channel, struct known_pointer *out,
	struct err *e);
/* Remember one, unless a newer one is remembered already. */
int known_set_pointer(const struct known *, const struct pointer *, const char *etag, struct slice doc,
	struct err *e);

/* Manifest and signature of a version, for use without the store. ERR_NOINPUT when not remembered. */
int known_version(const struct known *, const char *name, const char *version, struct buf *manifest,
	struct buf *minisig, struct err *e);
int known_set_version(const struct known *, const char *name, const char *version, struct slice manifest,
	struct slice minisig, struct err *e);

#endif
