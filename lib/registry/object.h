/*
 * object - one plain object of a store into one file, for who has no registry.
 *
 * Depends on: registry/store, trust.  Threads: one at a time.
 */
#ifndef LLMR_REGISTRY_OBJECT_H
#define LLMR_REGISTRY_OBJECT_H

#include <stdbool.h>

#include "registry/seal.h"
#include "registry/store.h"

/*
 * Fetch key into file when its ETag is not etag (in and out, "" none); the file
 * changes by rename, when the object is whole and, with keys, KEY.minisig holds
 * (ERR_NOPERM). Without keys and without allow_unsigned: ERR_NOPERM. *changed
 * tells whether the file is new.
 */
int object_pull(struct store *, const struct seal_trust *, const char *key, const char *file,
	char etag[STORE_ETAG], bool *changed, struct err *e);

#endif
