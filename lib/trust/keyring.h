/*
 * keyring - the public keys that are trusted, with names, and the numbers of keys that no longer are.
 *
 * A folder of trust holds NAME.pub files, and in "revoked" one key number a line.
 * A new key may come signed by an old one: NEW.pub with NEW.pub.minisig, whose
 * trusted comment begins with KEYRING_ROTATION, so that no other signature of a
 * file can be taken for one that hands trust on.
 * Depends on: trust/key, trust/minisig, base.  Threads: one thread at a time.
 */
#ifndef LLMR_TRUST_KEYRING_H
#define LLMR_TRUST_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "trust/key.h"

#define KEYRING_ROTATION "llmr-key-rotation"
#define KEYRING_REVOKED "revoked"

/* Zeroed memory is an empty keyring. */
struct keyring {
	struct public_key *keys;	/* [n], no key twice, none revoked */
	char **names;			/* [n] where each came from */
	size_t n, cap, names_cap;
	uint8_t (*revoked)[KEY_ID_BYTES];
	size_t n_revoked, revoked_cap;
};
void keyring_free(struct keyring *);

/* One key; name is copied. A key that is there already is left out. A revoked one is ERR_NO. */
int keyring_add(struct keyring *, const struct public_key *, const char *name, struct err *e);
int keyring_add_file(struct keyring *, const char *path, struct err *e);
/*
 * Every NAME.pub of a folder, but the revoked ones (its list is read first). A
 * folder that is missing is an empty one.
 */
int keyring_add_dir(struct keyring *, const char *dir, struct err *e);
/* Numbers as minisign prints them, one a line; blanks and what follows them, and lines of '#', are passed over. */
int keyring_revoke_file(struct keyring *, const char *path, struct err *e);
int keyring_revoke(struct keyring *, const char *id, struct err *e);
bool keyring_is_revoked(const struct keyring *, const uint8_t id[KEY_ID_BYTES]);
/*
 * A key file that a key of the ring has signed for rotation: checked, and added.
 * *by is the index of the old key. ERR_NO when it is not signed so.
 */
int keyring_rotate(struct keyring *, const char *path, size_t *by, struct err *e);

#endif
