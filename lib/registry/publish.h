/*
 * publish - put a version into a registry, and point a channel at it.
 *
 * In this order: objects, minisig, manifest, alias, pointer, plain copies. A
 * crash at any place leaves readers with the version before; the same call
 * again goes on from there. An object that is old is written anew, so that gc,
 * which goes by age, never takes it from under a version that is being made.
 * Depends on: registry.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_PUBLISH_H
#define LLMR_REGISTRY_PUBLISH_H

#include "base/log.h"
#include "registry/lease.h"
#include "registry/registry.h"
#include "registry/version.h"

struct publish {
	const char *channel;		/* NULL: no pointer is moved */
	const char *alias;		/* second name of the version, NULL none */
	const char *const *meta;	/* [n_meta] "key=value" of the alias, ascending */
	size_t n_meta;
	const char *expect_previous;	/* as registry_move */
	int64_t expires_us;
	bool plain;			/* also current/FILE */
	struct lease *lease;		/* kept alive on the way; NULL none */
	const struct progress *progress;
	/* out */
	struct pointer pointer;
	bool changed;			/* the channel's pointer moved */
	size_t sent, there;		/* objects */
	uint64_t sent_bytes;
};

/* The files of the version lie here (local). */
int publish(struct registry *, const struct version *, struct publish *, struct err *e);

/*
 * Where the bytes of a file come from in another way: a descriptor and an
 * offset, such as in a bundle. publish() opens version_file.local.
 */
struct publish_source {
	int (*open)(void *ctx, size_t file, int *fd, uint64_t *offset, struct err *e);
	void (*close)(void *ctx, int fd);
	void *ctx;
};
int publish_from(struct registry *, const struct version *, const struct publish_source *,
	struct publish *, struct err *e);

/* Point the channel at a version that is there: checked whole (manifest, signature), every object present. */
int publish_promote(struct registry *, const char *name, const char *version_or_alias,
	struct publish *, struct err *e);
/* Point it back at the version before (or at `to', NULL: previous). */
int publish_rollback(struct registry *, const char *name, const char *to, struct publish *, struct err *e);

#endif
