/*
 * alias - a name of the user's own for a version, such as v2.0, with metadata.
 *
 * Written once, sealed (domain "llmr-alias-1"), never moved: what it named it
 * names for ever.
 * Depends on: registry/seal, registry/layout.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_ALIAS_H
#define LLMR_REGISTRY_ALIAS_H

#include "registry/pointer.h"

struct alias {
	char registry_id[POINTER_ID];
	char name[LAYOUT_NAME], alias[LAYOUT_NAME], version[LAYOUT_NAME];
	uint8_t manifest_sha256[32];
};

/* meta: n texts "key=value" in ascending order of key. Appended to out. */
int alias_format(const struct alias *, const char *const *meta, size_t n,
	const struct secret_key *key, struct buf *out, struct err *e);
/* meta (NULL is fine) gets the metadata as a JSON object. Errors as pointer_parse. */
int alias_parse(struct slice doc, const struct seal_trust *, struct alias *out, struct buf *meta,
	struct err *e);

#endif
