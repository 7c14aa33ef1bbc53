/*
 * key - Ed25519 keys (RFC 8032) in minisign's files, and raw signatures with them.
 *
 * A secret key lives in locked memory and is wiped by secret_key_free. Files are
 * those of minisign 0.11 (jedisct1.github.io/minisign): encrypted ones by scrypt
 * (RFC 7914), which is what every minisign reads.
 * Depends on: libsodium, base.  Threads: keys are immutable and shared.
 */
#ifndef LLMR_TRUST_KEY_H
#define LLMR_TRUST_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define KEY_SIG_BYTES 64
#define KEY_ID_BYTES 8
/* As minisign prints it: 16 upper hexadecimal digits and a NUL. */
#define KEY_ID_TEXT 17

struct public_key {
	uint8_t id[KEY_ID_BYTES];	/* minisign's key number, little-endian */
	uint8_t pk[32];
};

struct secret_key;	/* id, seed and public key */

/*
 * A public key from a file (minisign's two lines, PEM SubjectPublicKeyInfo, 32
 * raw bytes) or from text (the base64 line of a minisign key, base64 of 32 raw
 * bytes or of a PEM). A key without a number of its own gets the first 8 bytes
 * of BLAKE2b-256 of its 32 bytes. ERR_NOINPUT, ERR_INPUT.
 */
int public_key_read(const char *path, struct public_key *out, struct err *e);
int public_key_parse(struct slice text, struct public_key *out, struct err *e);
void key_id_format(const uint8_t id[KEY_ID_BYTES], char out[KEY_ID_TEXT]);

/* minisign's two lines. A comment that is NULL says the key's number. ERR_CANTCREAT where the path exists. */
int public_key_write(const struct public_key *, const char *path, const char *comment, struct err *e);
/* The base64 line of minisign's file (56 digits) and a NUL. */
#define PUBLIC_KEY_TEXT 57
void public_key_format(const struct public_key *, char out[PUBLIC_KEY_TEXT]);

/* Where a password comes from: asked for once, at the first need. NULL from get: none. */
struct key_password {
	/* Bytes into buf (at most cap), their number, or -1 and err. */
	int (*get)(void *ctx, const char *prompt, char *buf, size_t cap, struct err *e);
	void *ctx;
};
#define KEY_PASSWORD_MAX 1024

/*
 * From minisign's secret key file, or from an unencrypted PKCS#8 PEM of RFC 8410.
 * A wrong password is ERR_NOPERM, and so is a key that needs one where the caller
 * has none. NULL and err on failure.
 */
struct secret_key *secret_key_read(const char *path, const struct key_password *, struct err *e);
/* The same from n bytes; name is put before messages. */
struct secret_key *secret_key_parse(const char *p, size_t n, const char *name,
	const struct key_password *, struct err *e);
struct secret_key *secret_key_new(struct err *e);	/* random */
void secret_key_free(struct secret_key *);		/* NULL is fine */
void secret_key_public(const struct secret_key *, struct public_key *out);
/*
 * minisign's secret key file, mode 0600, encrypted by scrypt over kdf_bytes of
 * memory (what minisign takes: KEY_KDF_BYTES; halved down to 16 MiB where the
 * system grants less) with n bytes of password; password NULL writes it
 * unencrypted. An existing path is refused (ERR_CANTCREAT).
 */
#define KEY_KDF_BYTES ((uint64_t)1 << 30)
int secret_key_write(const struct secret_key *, const char *path, const void *password, size_t n,
	uint64_t kdf_bytes, struct err *e);

/* A key file of any kind: must not be there yet (ERR_CANTCREAT); removed again when writing fails. */
int key_file_write(const char *path, const char *p, size_t n, unsigned mode, struct err *e);

/* Ed25519 over n bytes as they are. */
void key_sign(const struct secret_key *, const void *p, size_t n, uint8_t sig[KEY_SIG_BYTES]);
bool key_verify(const struct public_key *, const void *p, size_t n, const uint8_t sig[KEY_SIG_BYTES]);

#endif
