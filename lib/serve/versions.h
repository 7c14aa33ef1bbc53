/*
 * versions - models registered by name and version, and their private files.
 *
 * Registering copies what a reference names into a file of the state directory
 * that nobody else writes, judged as a whole (digest, layout, probe). Only what
 * is in service is in memory; the others wait as files, so that five cost no
 * more memory than one. Files are kept up to a number and a sum of bytes, the
 * least recently used go first; a version without its file is fetched again by
 * its reference when it is wanted, and must have the digest it had.
 * Depends on: serve/loaded, serve/switchdb, base/io.  Threads: one at a time.
 */
#ifndef LLMR_SERVE_VERSIONS_H
#define LLMR_SERVE_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "serve/loaded.h"
#include "serve/switchdb.h"

#define VERSIONS_NAME 65	/* bytes of a name with its NUL */

struct model_version {
	char name[VERSIONS_NAME], version[VERSIONS_NAME];
	char sha256[65], kind[32];
	char *ref, *metadata;		/* metadata NULL: none */
	uint64_t bytes;
	int64_t registered_us;
	uint64_t used;			/* the higher, the later */
	bool is_signed, cached;
};

struct versions_opts {
	const char *dir;		/* for the private files; made when absent */
	struct switchdb *db;		/* NULL: nothing is remembered */
	/*
	 * A descriptor of the file that a reference names, to be copied; -1 and
	 * err. *is_signed: its signature was verified, and the bytes cannot
	 * change. ERR_NOPERM where that is asked for and not so.
	 */
	int (*open)(void *ctx, const char *ref, bool *is_signed, struct err *e);
	void *ctx;
	const char *embedder;		/* as in struct loaded_opts; borrowed */
};
struct versions;
/* Reads what the database remembers. */
struct versions *versions_new(const struct versions_opts *, struct err *e);
void versions_free(struct versions *);		/* NULL is fine */
void versions_limit(struct versions *, size_t max_files, uint64_t max_bytes);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
bool versions_is_name(struct slice);
size_t versions_count(const struct versions *);
const struct model_version *versions_nth(const struct versions *, size_t i);	/* in the order of registration */
const struct model_version *versions_find(const struct versions *, const char *name, const char *version);
/*
 * Register. The same bytes once more are well (*out is what was there); others
 * under a name and version that are taken are ERR_NO.
 */
int versions_register(struct versions *, const char *name, const char *version, const char *ref, const char *metadata,
	int64_t now_us, const struct model_version **out, struct err *e);
/* Load into memory, fetched again if its file is gone. */
struct loaded *versions_load(struct versions *, const char *name, const char *version, struct err *e);
/* Remove files over the limits, but for those in use. */
void versions_evict(struct versions *, bool (*in_use)(void *ctx, const struct model_version *), void *ctx);

/*
 * Open what a reference names beneath a folder: no part of it may lead out, by
 * "..", by an absolute path or by a symbolic link. -1: ERR_NOPERM, ERR_NOINPUT.
 */
int versions_open_beneath(const char *dir, const char *ref, struct err *e);

#endif
