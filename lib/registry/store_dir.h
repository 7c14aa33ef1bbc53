/*
 * store_dir - a folder as a store.
 *
 * An object is a file. It is written under .tmp/, synced and renamed into its
 * place, the check of a condition and the rename both under one flock of the
 * file .lock; so writers of several processes, and of several hosts where the
 * file system carries locks between them, see each other. ETag: from the
 * SHA-256 of the content up to 1 MiB, above that from inode, size and time.
 * The store's clock is the file system's.
 * Depends on: base/io, fmt/hash.  Threads: as store.h.
 */
#ifndef LLMR_REGISTRY_STORE_DIR_H
#define LLMR_REGISTRY_STORE_DIR_H

#include "registry/store.h"

/*
 * Open the folder; create: make it where it is absent, else that is
 * ERR_NOINPUT. cancel is borrowed. NULL and err on failure.
 */
struct store *store_dir_open(const char *path, bool create, struct cancel *, struct err *e);

#endif
