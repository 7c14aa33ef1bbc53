/*
 * tree - files by relative path with their SHA-256, and how a folder compares with such a list.
 *
 * Paths are relative, with '/', matched whole: no empty, "." or ".." part, no
 * control bytes, valid UTF-8. No symbolic link below the root is ever followed,
 * so that no path leads out of it.
 * Depends on: trust/crypto, base.  Threads: separate values are independent.
 */
#ifndef LLMR_TRUST_TREE_H
#define LLMR_TRUST_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum tree_state {
	TREE_UNSEEN,		/* not compared yet */
	TREE_OK,
	TREE_CHANGED,		/* other bytes than listed */
	TREE_MISSING,
	TREE_EXTRA		/* there, but not listed */
};

struct tree_file {
	char *path;		/* owned */
	uint8_t sha256[32];
	uint64_t bytes;		/* size, where the file was read */
	enum tree_state state;
};

/* Zeroed memory is an empty tree. */
struct tree {
	struct tree_file *files;	/* [n], by path in byte order after tree_sort */
	size_t n, cap;
};

/* Whether a path is of the form above (at most 4096 bytes). */
bool tree_name_ok(struct slice path);
/* "ok", "changed", "missing", "extra" */
const char *tree_state_name(enum tree_state);

/* Add a path with its digest (NULL: zeros for now). ERR_INPUT for a path that is not ok. */
int tree_add(struct tree *, struct slice path, const uint8_t sha256[32], struct err *e);
void tree_sort(struct tree *);
/* The first path that occurs twice in a sorted tree, NULL when none does. */
const char *tree_duplicate(const struct tree *);
/* By binary search in a sorted tree; NULL when absent. */
const struct tree_file *tree_find(const struct tree *, struct slice path);
void tree_free(struct tree *);

/* Whether a scan passes over a path; called with folders too (then nothing below is looked at). */
typedef bool tree_skip(const void *ctx, const char *path);
/*
 * Add every regular file under root, sorted, without digests. A symbolic link,
 * device or name that is not ok is ERR_INPUT naming it, unless skipped.
 */
int tree_scan(struct tree *, const char *root, tree_skip *skip, const void *ctx, struct err *e);

/*
 * Open root/path for reading without following a link below root. Descriptor,
 * or -1: ERR_NOINPUT when it is missing, ERR_INPUT when it is a link or no
 * regular file.
 */
int tree_open(const char *root, const char *path, struct err *e);
/* SHA-256 and size of what a descriptor has still to give. */
int tree_hash_fd(int fd, uint8_t sha256[32], uint64_t *bytes, struct err *e);
/* Digest (and size) of root/path. */
int tree_hash(const char *root, struct tree_file *, struct err *e);
int tree_hash_all(struct tree *, const char *root, struct err *e);

/*
 * Compare a sorted list with the folder: report (an empty tree) gets each of
 * its files with a state, and with scan the files that are not listed as
 * TREE_EXTRA, unless skip has them. Returns 0 with *same telling whether all
 * are TREE_OK; -1 and err when something could not be read.
 */
int tree_compare(const struct tree *want, const char *root, bool scan, tree_skip *skip, const void *ctx,
	struct tree *report, bool *same, struct err *e);

#endif
