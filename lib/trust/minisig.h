/*
 * minisig - detached signatures of one file, as minisign 0.11 reads and writes them.
 *
 * Four lines: an untrusted comment, which nothing covers; base64 of algorithm,
 * key number and signature; a trusted comment; the signature over signature and
 * trusted comment. Written prehashed ("ED": Ed25519 over BLAKE2b-512 of the
 * file); read also in the legacy form ("Ed": Ed25519 over the file itself, which
 * then is held in memory). Format: jedisct1.github.io/minisign.
 * Depends on: trust/key, trust/crypto, base.  Threads: pure functions.
 */
#ifndef LLMR_TRUST_MINISIG_H
#define LLMR_TRUST_MINISIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "trust/key.h"

#define MINISIG_MAX_COMMENT 1024	/* of the untrusted line, with its prefix */
#define MINISIG_MAX_TRUSTED 8192	/* of the trusted line, with its prefix */
#define MINISIG_MAX_LEGACY ((uint64_t)1 << 30)	/* bytes of a file signed in the legacy form */

struct minisig {
	uint8_t id[KEY_ID_BYTES];	/* of the key that signed, as the file says */
	uint8_t sig[KEY_SIG_BYTES], global[KEY_SIG_BYTES];
	bool legacy;
	char trusted[MINISIG_MAX_TRUSTED];	/* trusted comment, UTF-8, to be believed after minisig_verify alone */
};

/* ERR_INPUT naming what is wrong; what follows the fourth line is ignored, as minisign does. */
int minisig_parse(const char *p, size_t n, struct minisig *out, struct err *e);
int minisig_read(const char *path, struct minisig *out, struct err *e);

/*
 * Append a signature file over a BLAKE2b-512 digest. Comments: printable UTF-8
 * (tabs too) within the limits, else ERR_INPUT; untrusted NULL says whose it is.
 */
int minisig_sign(const struct secret_key *, const uint8_t digest[64], const char *trusted, const char *untrusted,
	struct buf *out, struct err *e);
/* BLAKE2b-512 of n bytes. */
void minisig_digest(const void *p, size_t n, uint8_t digest[64]);

/* The index of the key whose number the signature names, or n. */
size_t minisig_key(const struct minisig *, const struct public_key *keys, size_t n);
/*
 * Check with that key over n bytes, or over what a descriptor has still to give.
 * 0; -1 with ERR_NO when file or trusted comment is not what was signed.
 */
int minisig_verify(const struct minisig *, const struct public_key *, const void *p, size_t n, struct err *e);
int minisig_verify_fd(const struct minisig *, const struct public_key *, int fd, struct err *e);

#endif
