/*
 * store - where a registry's bytes lie: a folder or a bucket, seen alike.
 *
 * Keys are relative, parts joined by '/'. An object appears whole or not at
 * all; a conditional put is one step against every other writer; an ETag is
 * the name of one content of one key. What a store cannot promise
 * (store_probe) a registry does without only when told to.
 * Depends on: base.  Threads: a store serves one thread, several processes.
 */
#ifndef LLMR_REGISTRY_STORE_H
#define LLMR_REGISTRY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#define STORE_ETAG 128
#define STORE_KEY_MAX 900

/* err is set for all but the first two, with the exit status that fits where it is not expected. */
enum store_outcome {
	STORE_OK,
	STORE_NOT_MODIFIED,	/* if_none_match still holds */
	STORE_ABSENT,		/* no such key (ERR_NOINPUT) */
	STORE_LOST,		/* a condition did not hold: somebody else was first (ERR_NO) */
	STORE_CHANGED,		/* the bytes are not those of digest and size that were named (ERR_NOPERM) */
	STORE_FAILED		/* everything else, see err */
};

struct store_info {
	char etag[STORE_ETAG];	/* quoted */
	uint64_t size_bytes;
	int64_t modified_us;	/* since 1970, 0 unknown */
	int64_t server_us;	/* the store's own clock, 0 unknown */
	bool uncertain;		/* an answer was lost: STORE_LOST may be our own write */
};

struct store_put {
	const char *key;
	const void *data;	/* from memory when fd < 0 */
	size_t n;
	int fd;			/* else bytes [offset, offset + size_bytes) of this file */
	uint64_t offset, size_bytes;
	const uint8_t *sha256;	/* [32] of these bytes, checked while they are sent; NULL: not known */
	const char *if_match;	/* replace only this; NULL none */
	bool if_absent;		/* only when there is none */
};

struct store_fetch {
	const char *key;
	int fd;			/* gets the bytes, at their offsets */
	uint64_t offset;	/* that many are there already; they are read again for the digest */
	const char *if_match;	/* ETag of those; NULL none */
	uint64_t size_bytes;	/* expected, UINT64_MAX unknown */
	const uint8_t *sha256;	/* [32] expected; NULL: any */
};

struct store_entry {
	const char *key;
	uint64_t size_bytes;
	int64_t modified_us;
};

/* Many at once: next fills item i and returns 1, or 0 at the end, -1 to stop; done returns 0 to go on. */
struct store_many_put {
	int (*next)(void *ctx, size_t i, struct store_put *, struct err *e);
	int (*done)(void *ctx, size_t i, enum store_outcome, struct err *e);
	void *ctx;
};
struct store_many_fetch {
	int (*next)(void *ctx, size_t i, struct store_fetch *, struct err *e);
	int (*done)(void *ctx, size_t i, enum store_outcome, const struct store_info *, struct err *e);
	void *ctx;
};
struct store_many_head {
	int (*next)(void *ctx, size_t i, const char **key, struct err *e);
	int (*done)(void *ctx, size_t i, enum store_outcome, const struct store_info *, struct err *e);
	void *ctx;
};

typedef int store_on_entry(void *ctx, const struct store_entry *, struct err *e);

/* What a kind of store does; info may be NULL everywhere. See the functions below. */
struct store_ops {
	enum store_outcome (*get)(void *impl, const char *key, const char *if_none_match, size_t max,
		struct buf *out, struct store_info *, struct err *e);
	enum store_outcome (*fetch)(void *impl, const struct store_fetch *, uint8_t got[32],
		struct store_info *, struct err *e);
	enum store_outcome (*head)(void *impl, const char *key, struct store_info *, struct err *e);
	enum store_outcome (*put)(void *impl, const struct store_put *, struct store_info *, struct err *e);
	enum store_outcome (*del)(void *impl, const char *key, struct err *e);
	int (*list)(void *impl, const char *prefix, store_on_entry *, void *ctx, struct err *e);
	int (*now)(void *impl, int64_t *us, struct err *e);
	int (*sweep)(void *impl, int64_t before_us, bool dry_run, size_t *n, struct err *e);
	/* NULL: one after the other by the functions above */
	int (*put_many)(void *impl, const struct store_many_put *, struct err *e);
	int (*fetch_many)(void *impl, const struct store_many_fetch *, struct err *e);
	int (*head_many)(void *impl, const struct store_many_head *, struct err *e);
	void (*free)(void *impl);
};

struct store;

/* impl belongs to the store. name is copied: "dir:/srv/models", "s3://bucket/prefix". */
struct store *store_new(const struct store_ops *, void *impl, const char *name, struct err *e);
/* A store that has a name and nothing else: every operation is ERR_UNAVAILABLE. For work offline. */
struct store *store_closed(const char *name, struct err *e);
void store_free(struct store *);		/* NULL is fine */
const char *store_name(const struct store *);

/* A whole object of at most max bytes, appended to out; more is STORE_CHANGED. */
enum store_outcome store_get(struct store *, const char *key, const char *if_none_match, size_t max,
	struct buf *out, struct store_info *, struct err *e);
/*
 * An object into a file, hashed on the way; got (NULL is fine) the digest of the
 * whole. On STORE_FAILED what came is in the file and its length a valid offset
 * for the next try. The file is not synced.
 */
enum store_outcome store_fetch(struct store *, const struct store_fetch *, uint8_t got[32],
	struct store_info *, struct err *e);
enum store_outcome store_head(struct store *, const char *key, struct store_info *, struct err *e);
/* Durable when it returns STORE_OK. */
enum store_outcome store_put(struct store *, const struct store_put *, struct store_info *, struct err *e);
/* Absent already is STORE_OK. */
enum store_outcome store_delete(struct store *, const char *key, struct err *e);
/* Every key that begins with prefix, in no certain order; nonzero from on_entry stops (-1 with its err). */
int store_list(struct store *, const char *prefix, store_on_entry *, void *ctx, struct err *e);
/* Time by the store's clock, microseconds since 1970. */
int store_now(struct store *, int64_t *us, struct err *e);
/* Throw away (dry_run: count) unfinished uploads that began before that time. */
int store_sweep(struct store *, int64_t before_us, bool dry_run, size_t *n, struct err *e);
int store_put_many(struct store *, const struct store_many_put *, struct err *e);
int store_fetch_many(struct store *, const struct store_many_fetch *, struct err *e);
int store_head_many(struct store *, const struct store_many_head *, struct err *e);
/*
 * Do conditional writes hold here? Tries them on a key of its own under prefix
 * and removes it. *ok tells; -1 and err when the store cannot be written at all.
 */
int store_probe(struct store *, const char *prefix, bool *ok, struct err *e);

#endif
