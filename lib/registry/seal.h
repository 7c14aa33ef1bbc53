/*
 * seal - a small signed document: one JSON object on one line.
 *
 *	{MEMBERS,"key_id":"16 digits","signature":"128 hexadecimal digits"}
 *
 * Signed are the domain with its NUL and "{MEMBERS}", so that no document can
 * be shown for one of another kind. Members stand in the order of their names,
 * without white space. Without a key both texts are empty.
 * Source: Ed25519, RFC 8032.  Depends on: trust/key, fmt/jread.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_SEAL_H
#define LLMR_REGISTRY_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "trust/key.h"

#define SEAL_MAX ((size_t)64 << 10)	/* bytes of a document */

/* Whose signatures count. */
struct seal_trust {
	const struct public_key *keys;
	size_t n;
	bool allow_unsigned;	/* counts only where there are no keys at all */
};

/* Close the object in payload ("{...}") with the signature; key NULL: unsigned. */
int seal_close(const char *domain, const struct buf *payload, const struct secret_key *key,
	struct buf *out, struct err *e);
/*
 * Check a document and give back its payload: the members as an object, copied
 * to payload. ERR_INPUT for what is no such document, ERR_NOPERM for one that
 * is not signed, signed by a key that is not trusted, or changed.
 */
int seal_open(const char *domain, struct slice doc, const struct seal_trust *, struct buf *payload,
	char key_id[KEY_ID_TEXT], struct err *e);

/*
 * Members of a payload, strictly: each of the n texts must be there once and be
 * a string or null (SLICE_NONE), or for "#name" a whole number (its text);
 * "@name" takes any value as its JSON text. Others, twice or missing: ERR_INPUT.
 * Values are borrowed from the payload where no escape is in them, else from the arena.
 */
struct arena;
struct seal_member {
	const char *name;
	struct slice value;
	bool seen;
};
int seal_read(struct slice payload, struct seal_member *, size_t n, struct arena *, struct err *e);

#endif
