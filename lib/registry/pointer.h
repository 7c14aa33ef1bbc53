/*
 * pointer - which version a channel stands for.
 *
 * A sealed document (registry/seal.h, domain "llmr-pointer-1") that names
 * registry, model and channel, so that none can be shown in another's place.
 * seq grows with every change: whoever remembers the highest he saw cannot be
 * led back. fence is that of the lease the writer held, 0 without one.
 * Depends on: registry/seal, registry/layout.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_POINTER_H
#define LLMR_REGISTRY_POINTER_H

#include <stdint.h>

#include "registry/layout.h"
#include "registry/seal.h"

#define POINTER_ID 33		/* registry id: 32 hexadecimal digits and a NUL */

struct pointer {
	char registry_id[POINTER_ID];
	char name[LAYOUT_NAME], channel[LAYOUT_NAME];
	char version[LAYOUT_NAME];
	uint8_t manifest_sha256[32];
	char previous[LAYOUT_NAME];	/* version before this one, "" none */
	uint64_t seq, fence;
	int64_t updated_us;		/* since 1970 */
	int64_t expires_us;		/* 0 never */
	char key_id[KEY_ID_TEXT];	/* of the signature, "" unsigned; not part of what is signed */
};

/* The document; key NULL: unsigned. Appended to out. */
int pointer_format(const struct pointer *, const struct secret_key *key, struct buf *out, struct err *e);
/*
 * From a document whose signature counts. Any bytes give a pointer with good
 * names, or one error: ERR_INPUT (form), ERR_NOPERM (signature).
 */
int pointer_parse(struct slice doc, const struct seal_trust *, struct pointer *out, struct err *e);
/* Is it the one that was asked for? ERR_NOPERM for another model, channel or registry ("" is any). */
int pointer_expect(const struct pointer *, const char *registry_id, const char *name,
	const char *channel, struct err *e);

#endif
