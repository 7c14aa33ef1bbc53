/*
 * s3multi - an upload in parts, in parallel, that survives a crash. Internal to s3.
 *
 * The state is the store's alone: an upload that was left open is found by
 * ListMultipartUploads and its parts by ListParts; a part counts as done when
 * its size and SHA-256 are those of the file's. Nothing is kept on disk.
 * Depends on: net/s3put, net/s3list.  Threads: starts its own and ends them.
 */
#ifndef LLMR_NET_S3MULTI_H
#define LLMR_NET_S3MULTI_H

#include "net/s3req.h"

enum s3_outcome s3multi_put(struct s3 *, const struct s3_put *, const uint8_t sha256[32], struct s3_info *,
	struct err *e);
/* Size of a part for an object of this size: at most 9000 of them, whole MiB, at least part_min. */
uint64_t s3multi_part_bytes(uint64_t size_bytes, uint64_t part_min);
/* DELETE of an open upload. */
enum s3_outcome s3multi_abort(struct s3 *, const char *key, const char *id, bool ignore_cancel, struct err *e);

#endif
