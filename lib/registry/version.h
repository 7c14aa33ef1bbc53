/*
 * version - one version of a model: its files, manifest and signature.
 *
 * The manifest is the one that gateways read (trust/manifest), so its bytes
 * hold paths and digests; the minisig beside it covers those bytes, and its
 * trusted comment names model and version: a manifest cannot be shown as
 * another's. A version is called after the time of its newest file and the
 * first 8 digits of its manifest's digest: the same files, with the same times,
 * give the same version.
 * Depends on: trust, registry/layout, registry/seal.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_VERSION_H
#define LLMR_REGISTRY_VERSION_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "registry/layout.h"
#include "registry/seal.h"

#define VERSION_MANIFEST_MAX ((size_t)16 << 20)
#define VERSION_MINISIG_MAX ((size_t)16 << 10)

struct version_file {
	const char *path;	/* relative, '/' between parts; in the version's arena */
	const char *local;	/* where it lies here; NULL when the version was read from a store */
	uint8_t sha256[32];
	uint64_t size_bytes;	/* UINT64_MAX: the manifest does not tell */
};

struct version {
	char name[LAYOUT_NAME], version[LAYOUT_NAME];
	struct version_file *files;	/* [n] in ascending order of path, none twice */
	size_t n, cap;
	struct buf manifest, minisig;	/* the minisig is empty when unsigned */
	uint8_t digest[32];		/* SHA-256 of the manifest */
	struct arena arena;
};

/*
 * Of a file (with NAME.yaml beside NAME.safetensors) or a folder: every regular
 * file in it but manifest.json, *.minisig and names that begin with a dot.
 * Links out of the folder and names that are no good paths are ERR_INPUT.
 * created_us 0: the time of the newest file. key NULL: unsigned.
 */
int version_build(const char *name, const char *path, int64_t created_us, const struct secret_key *key,
	struct cancel *, struct version *out, struct err *e);
/*
 * From the bytes of manifest and minisig: signature, names, form of every path.
 * ERR_INPUT or ERR_NOPERM. digest (NULL is fine): what the manifest must have.
 * version NULL: the one that the signature tells, or when unsigned one made of
 * the digest.
 */
int version_read(const char *name, const char *version, struct slice manifest, struct slice minisig,
	const uint8_t *digest, const struct seal_trust *, struct version *out, struct err *e);
/* From the store. ERR_NOINPUT when there is no such version. */
int version_load(struct store *, const char *name, const char *version, const uint8_t *digest,
	const struct seal_trust *, struct version *out, struct err *e);
void version_finish(struct version *);		/* zeroed memory is fine */

#endif
