/*
 * s3fetch - objects out of the store: ranges, resuming, digest beside the transfer. Internal to s3.
 *
 * Depends on: net/s3req.  Threads: as s3.
 */
#ifndef LLMR_NET_S3FETCH_H
#define LLMR_NET_S3FETCH_H

#include "net/s3req.h"

/* s3_get and s3_fetch. */
enum s3_outcome s3fetch_get(struct s3 *, const struct s3_get *, uint64_t expect_bytes, struct s3_info *,
	struct err *e);
enum s3_outcome s3fetch_file(struct s3 *, const struct s3_fetch *, uint8_t got[32], struct s3_info *,
	struct err *e);

#endif
