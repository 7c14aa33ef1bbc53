/*
 * oms - OpenSSF model signatures: a sigstore bundle v0.3 with a DSSE envelope, by an ECDSA key.
 *
 * The bundle (one JSON file, "model.sig") holds an in-toto statement v1 of
 * predicate type https://model_signing/signature/v1.0: each file's SHA-256. It
 * is what `model_signing sign key` writes and `model_signing verify key` reads.
 * The envelope is checked first, then exactly the bytes that were verified are
 * parsed. Specifications: github.com/secure-systems-lab/dsse,
 * github.com/sigstore/protobuf-specs, github.com/ossf/model-signing-spec.
 * Depends on: trust/crypto, trust/tree, fmt.  Threads: pure functions.
 */
#ifndef LLMR_TRUST_OMS_H
#define LLMR_TRUST_OMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "trust/crypto.h"
#include "trust/tree.h"

#define OMS_MAX_BYTES ((size_t)64 << 20)

/* Append DSSE's pre-authentication encoding: the bytes that are signed. */
void dsse_encode(struct buf *out, struct slice type, struct slice payload);

/* What a verified bundle says. */
struct oms {
	struct tree files;		/* sorted; of a model that is one file: empty, and single is set */
	bool single;
	uint8_t sha256[32];		/* of that one file */
	struct slice *ignored;		/* [n_ignored] paths that signing left out, with all below */
	size_t n_ignored;
	struct arena own;
};
void oms_finish(struct oms *);
/* A tree_skip over a struct oms: what was left out while signing. */
bool oms_ignores(const void *oms, const char *path);

/*
 * Append a bundle over a sorted, digested tree; name is the model's (folder
 * name), ignored the paths left out.
 */
int oms_sign(const struct ec_key *, const struct tree *, const char *name, const char *const *ignored,
	size_t n_ignored, struct buf *out, struct err *e);
/*
 * Check a bundle's envelope with the key, then read it. public_pem is the key's
 * file as it is, whose digest the bundle may name. 0; -1 with ERR_NO (not by this key, or
 * changed) or ERR_INPUT (no such bundle).
 */
int oms_verify(const char *p, size_t n, const struct ec_key *, struct slice public_pem, struct oms *out,
	struct err *e);
/* A bare DSSE envelope: 0 and its payload (appended) when one of its signatures is by the key. */
int dsse_verify(const char *p, size_t n, const struct ec_key *, struct slice type, struct buf *payload,
	struct err *e);

#endif
