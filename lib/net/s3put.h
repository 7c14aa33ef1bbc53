/*
 * s3put - objects into the store, whole or in parts. Internal to s3.
 *
 * Depends on: net/s3req, net/s3list.  Threads: as s3; an upload in parts starts threads of its own.
 */
#ifndef LLMR_NET_S3PUT_H
#define LLMR_NET_S3PUT_H

#include "net/s3req.h"

/* The digest of what p names into *out, computed unless p brings it. */
enum s3_outcome s3put_digest(const struct s3_put *, uint8_t out[32], struct err *e);
/* One request. */
enum s3_outcome s3put_whole(struct s3 *, const struct s3_put *, const uint8_t sha256[32], struct s3_info *,
	struct err *e);
/* Headers that describe the object: type, metadata, our digest (hex, which must live as long as rq). */
void s3put_describe(struct s3req *, const struct s3_put *, const char *hex, struct buf *names);
/* Headers that say when. */
void s3put_conditions(struct s3req *, const struct s3_put *);
/* Digest of a range of a file by pread. */
int s3put_hash_range(int fd, uint64_t offset, uint64_t n, uint8_t out[32], struct err *e);
/* Part of a file for a request: read(ctx = struct s3put_range). */
struct s3put_range {
	int fd;
	uint64_t offset;
	const struct s3_put *p;		/* for progress, NULL none */
	bool changed;			/* the file ended early */
};
ptrdiff_t s3put_read(void *ctx, void *to, size_t n, uint64_t at, struct err *e);

#endif
