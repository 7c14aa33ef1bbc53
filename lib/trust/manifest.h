/*
 * manifest - a signed list of files: manifest.json as LLM gateways read it.
 *
 * Signed are version, created_at, description and each file's path and SHA-256,
 * as canonical JSON: keys sorted, no white space, ASCII only, files by path in
 * byte order. Nothing else of the file is signed, so nothing else is kept or
 * written. The signature is Ed25519 (RFC 8032) or HMAC-SHA256 (RFC 2104); which
 * one is required follows from the caller's keys, never from the file.
 * The reader takes JSON and YAML, and refuses what canonical JSON could not say
 * in one way, or what a slip could hide in: keys that come twice or are unknown,
 * other than strings, lone surrogates, paths that are not plain relative ones or
 * come twice, digests and escapes in capitals.
 * Depends on: trust/key, trust/tree, fmt.  Threads: a finished manifest is immutable.
 */
#ifndef LLMR_TRUST_MANIFEST_H
#define LLMR_TRUST_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "trust/key.h"
#include "trust/tree.h"

#define MANIFEST_MAX_BYTES ((size_t)64 << 20)

enum manifest_type { MANIFEST_UNSIGNED, MANIFEST_ED25519, MANIFEST_HMAC };

struct manifest {
	char *version;			/* text of the JSON string, "1.0" by default */
	bool version_bare;		/* YAML's unquoted 1.0: signed without quotes */
	char *created_at, *description;	/* NULL none */
	struct tree files;		/* sorted, no path twice */
	enum manifest_type type;
	uint8_t signature[64];		/* 64 bytes of Ed25519 or 32 of HMAC */
};

/* Version "1.0". created_at as RFC 3339, description: NULL none; both are copied. */
struct manifest *manifest_new(const char *created_at, const char *description, struct err *e);
/* Add one file; ERR_INPUT for a path that is not plain or is there already. Unsigns the manifest. */
int manifest_add(struct manifest *, struct slice path, const uint8_t sha256[32], struct err *e);
/* Take over what a scanned and digested tree holds (it is empty after). */
int manifest_add_tree(struct manifest *, struct tree *, struct err *e);
/* From n bytes of JSON, or of YAML when name ends so; name is put before messages. */
struct manifest *manifest_parse(const char *p, size_t n, const char *name, struct err *e);
struct manifest *manifest_read(const char *path, struct err *e);
void manifest_free(struct manifest *);		/* NULL is fine */

/* Append the bytes that are signed. */
int manifest_canonical(const struct manifest *, struct buf *out, struct err *e);
int manifest_sign(struct manifest *, const struct secret_key *, struct err *e);
int manifest_sign_hmac(struct manifest *, struct slice secret, struct err *e);
/* Append manifest.json's bytes: the same for the same contents. */
int manifest_format(const struct manifest *, struct buf *out, struct err *e);

/*
 * Whether the signature is by one of n keys (*which tells the index; may be
 * NULL) or, with n == 0, by the HMAC secret. With keys configured an HMAC is
 * refused. ERR_NO: not signed so, or the signature is wrong.
 */
int manifest_verify(const struct manifest *, const struct public_key *keys, size_t n, struct slice hmac_secret,
	size_t *which, struct err *e);
/* SHA-256 listed for a path, matched whole; NULL when it is not listed. */
const uint8_t *manifest_sha256(const struct manifest *, struct slice path);

#endif
