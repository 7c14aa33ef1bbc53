/*
 * tar - a plain, reproducible tape archive: regular files, nothing else.
 *
 * Written: ustar headers (POSIX.1-2017, pax: ustar interchange format) with
 * owner 0, time 0 and mode 0644 or 0755, so that the same files give the same
 * bytes. Read: these alone; anything else in an archive is an error.
 * Depends on: base.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_TAR_H
#define LLMR_REGISTRY_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TAR_BLOCK 512
#define TAR_NAME 256	/* longest name and its NUL */

/* The header of a file of that size. ERR_INPUT for a name that does not fit (100, or 155/100 at a slash). */
int tar_header(const char *name, uint64_t size_bytes, bool executable, char out[TAR_BLOCK], struct err *e);
/* Zero bytes after a file of that size. */
size_t tar_padding(uint64_t size_bytes);
/*
 * Read a header: 1 and its name and size, 0 at the end (a block of zeros), -1
 * and ERR_INPUT for a wrong checksum or anything but a regular file.
 */
int tar_parse(const char block[TAR_BLOCK], char name[TAR_NAME], uint64_t *size_bytes, struct err *e);

#endif
