/*
 * registry - a store with the layout of llmr-registry(5), opened for use.
 *
 * Knows its own id, whose signatures count, and what this host remembers.
 * Depends on: registry/store, known, pointer.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_REGISTRY_H
#define LLMR_REGISTRY_REGISTRY_H

#include "base/clock.h"
#include "base/log.h"
#include "registry/alias.h"
#include "registry/known.h"
#include "registry/pointer.h"
#include "registry/store.h"

struct registry {
	struct store *store;		/* borrowed, as all here */
	struct known *known;
	struct seal_trust trust;
	const struct secret_key *key;	/* NULL: writes are unsigned, or refused */
	bool allow_unsigned, no_cas;
	char id[POINTER_ID];		/* expected; "" not known yet */
	bool cas;			/* conditional writes were seen to hold */
	const struct log *log;
	struct cancel *cancel;
};

/* Fill id and cas from what is remembered; want (NULL none) is the id that the user expects. */
int registry_open(struct registry *, const char *want, struct err *e);
/*
 * Before the first write: conditional writes are probed once per host
 * (ERR_CONFIG where they do not hold, unless no_cas), the registry gets its id
 * when it has none. A writer without a key is ERR_NOPERM unless unsigned is allowed.
 */
int registry_begin_write(struct registry *, struct err *e);

/* A pointer with what is needed to replace it. */
struct registry_head {
	bool there;
	struct pointer p;
	char etag[STORE_ETAG];
	struct buf doc;
};
void registry_head_finish(struct registry_head *);
/*
 * The channel's pointer as it is now, checked: signature, names, registry, and
 * that its seq is not below (or the same with other content as) what was seen
 * here before. there false when there is none. ERR_NOPERM, ERR_INPUT.
 */
int registry_head(struct registry *, const char *name, const char *channel, struct registry_head *,
	struct err *e);
/* As registry_head, with if_none_match: *same tells that the remembered one still holds. */
int registry_head_if(struct registry *, const char *name, const char *channel, const char *etag,
	struct registry_head *, bool *same, struct err *e);
/* The remembered pointer, checked in the same way. ERR_NOINPUT when there is none. */
int registry_head_known(struct registry *, const char *name, const char *channel, struct registry_head *,
	struct err *e);

/*
 * Change the channel to what `to' names (version, digest, fence, expires_us;
 * the rest is filled in): seq one above, previous = the version until now.
 * expect_previous (NULL: whatever it is; "": none yet): otherwise ERR_NO.
 * Beaten by another writer, it is tried again on what that one wrote, unless
 * expect_previous is given. A pointer that names the version already is left.
 */
struct registry_move {
	const char *name, *channel, *expect_previous;
	char version[LAYOUT_NAME];
	uint8_t manifest_sha256[32];
	uint64_t fence;
	int64_t expires_us;
	struct pointer result;		/* out */
	bool changed;			/* out: false when it pointed there already */
};
int registry_move(struct registry *, struct registry_move *, struct err *e);

/* Put a small document once; the same bytes there already are fine, others ERR_NO. */
int registry_put_once(struct registry *, const char *key, struct slice doc, struct err *e);
/*
 * The version that a text names: its own name, or an alias, checked. digest gets
 * the manifest's digest where an alias tells it (*have_digest).
 */
int registry_resolve(struct registry *, const char *name, const char *text, char version[LAYOUT_NAME],
	uint8_t digest[32], bool *have_digest, struct err *e);

#endif
