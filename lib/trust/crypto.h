/*
 * crypto - bulk digests and ECDSA by libcrypto. The only caller of OpenSSL.
 *
 * libcrypto (3.0 or later) is loaded by dlopen at the first use, so that nothing
 * else pays for it: by ECDSA, and by SHA-256 of much on a CPU without
 * instructions for it. Elsewhere, and where libcrypto is absent, fmt/hash gives
 * the same result; BLAKE2b is always fmt/blake2b's.
 * Depends on: libcrypto, fmt/hash, fmt/blake2b, base.  Threads: safe; a digest belongs to one thread.
 */
#ifndef LLMR_TRUST_CRYPTO_H
#define LLMR_TRUST_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Whether libcrypto is there (it is loaded when it was not). */
bool crypto_available(void);

enum crypto_kind { CRYPTO_SHA256, CRYPTO_BLAKE2B512 };	/* 32 bytes; 64 bytes */
struct crypto_digest;
/* bytes: about how much will come; much (CRYPTO_BULK) may be given to libcrypto. NULL and err on failure. */
#define CRYPTO_BULK ((uint64_t)8 << 20)
struct crypto_digest *crypto_digest_new(enum crypto_kind, uint64_t bytes, struct err *e);
void crypto_digest_add(struct crypto_digest *, const void *p, size_t n);
void crypto_digest_final(struct crypto_digest *, uint8_t *out);	/* 32 or 64 bytes; only free it after */
void crypto_digest_free(struct crypto_digest *);		/* NULL is fine */

/*
 * What a descriptor has still to give, read once: SHA-256 and BLAKE2b-512, each
 * unless its out is NULL, and how many bytes there were. Memory: 64 KiB.
 */
int crypto_digest_fd(int fd, uint8_t sha256[32], uint8_t blake2b[64], uint64_t *bytes, struct err *e);

/* An ECDSA key on P-256, P-384 or P-521 (FIPS 186-5), with its secret or without. */
struct ec_key;
struct ec_key *ec_key_new(struct err *e);	/* a new secret on P-256 */
/*
 * From PEM: PKCS#8 (encrypted too: password may be NULL) or SEC 1 for a secret, or
 * SubjectPublicKeyInfo. ERR_INPUT: no such key, or a curve that is none of them;
 * ERR_NOPERM: a wrong password.
 */
struct ec_key *ec_key_parse(const char *p, size_t n, bool secret, const char *password, struct err *e);
bool ec_key_is_encrypted(const char *p, size_t n);	/* a secret that needs a password */
void ec_key_free(struct ec_key *);		/* NULL is fine */
/* Append PEM: PKCS#8, encrypted (AES-256-CBC) when a password is given; SubjectPublicKeyInfo. */
int ec_key_secret_pem(const struct ec_key *, const char *password, struct buf *out, struct err *e);
int ec_key_public_pem(const struct ec_key *, struct buf *out, struct err *e);
/* Append DER of SubjectPublicKeyInfo. */
int ec_key_public_der(const struct ec_key *, struct buf *out, struct err *e);
/* Over n bytes, with the SHA-2 as wide as the curve; the signature is DER, appended. */
int ec_key_sign(const struct ec_key *, const void *p, size_t n, struct buf *out, struct err *e);
bool ec_key_verify(const struct ec_key *, const void *p, size_t n, const void *sig, size_t sig_n);

#endif
