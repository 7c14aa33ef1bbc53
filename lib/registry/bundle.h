/*
 * bundle - one version in one signed file, to carry across an air gap.
 *
 * A tar archive (registry/tar), in this order:
 *
 *	llmr-bundle.json              sealed index (registry/seal.h, domain "llmr-bundle-1"):
 *	                              model, version, every other member with digest and size
 *	manifest.json, manifest.json.minisig
 *	files/...                     the version's files
 *	extra/...                     what was put in beside: program, man pages, keys;
 *	                              executable below extra/bin/
 *
 * The same version and extras give the same bytes. Read: every member must be
 * what the index says, the index must be signed by a trusted key, and nothing
 * else may be in the archive; extras never reach a registry.
 * Depends on: registry, trust.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_BUNDLE_H
#define LLMR_REGISTRY_BUNDLE_H

#include "registry/publish.h"

struct bundle_extra {
	const char *name;	/* path below extra/ */
	const char *local;
};

/*
 * Write version v, whose files come from the registry, verified on the way.
 * extras in ascending order of name. out "-" is standard output.
 */
int bundle_write(struct registry *, const struct version *v, const struct bundle_extra *, size_t n_extras,
	const struct secret_key *, const char *out, struct err *e);

struct bundle;
/*
 * Open and verify the whole file. NULL and ERR_INPUT (form), ERR_NOPERM
 * (signature, digest), ERR_NOINPUT.
 */
struct bundle *bundle_open(const char *path, const struct seal_trust *, struct cancel *, struct err *e);
void bundle_free(struct bundle *);		/* NULL is fine */
/* The version it carries; borrowed. */
const struct version *bundle_version(const struct bundle *);
/* Where its files lie in it, for publish_from. */
struct publish_source bundle_source(struct bundle *);
/* Write the extras below a folder; those that are there are replaced. */
int bundle_unpack(const struct bundle *, const char *folder, struct err *e);

/* Any bytes as an index: for the fuzzer. 0 or -1. */
int bundle_index_check(struct slice doc, const struct seal_trust *, struct err *e);

#endif
