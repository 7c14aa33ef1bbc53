/*
 * s3list - what a bucket holds: objects, open uploads, parts. Internal to s3.
 *
 * Depends on: net/s3req, fmt/xml.  Threads: as s3.
 */
#ifndef LLMR_NET_S3LIST_H
#define LLMR_NET_S3LIST_H

#include "net/s3req.h"

enum s3_outcome s3list_objects(struct s3 *, const struct s3_list *, struct s3_info *, struct err *e);
enum s3_outcome s3list_uploads(struct s3 *, const char *prefix,
	int (*on_upload)(void *ctx, const struct s3_upload *, struct err *e), void *ctx, struct s3_info *,
	struct err *e);

struct s3_part {
	unsigned number;
	uint64_t size_bytes;
	char etag[S3_ETAG];
	bool has_sha256;
	uint8_t sha256[32];
};
/* Parts of an open upload. */
enum s3_outcome s3list_parts(struct s3 *, const char *key, const char *id,
	int (*on_part)(void *ctx, const struct s3_part *, struct err *e), void *ctx, struct err *e);

/*
 * One page of an answer, as text. The callbacks may be NULL. more and next (to be freed; the
 * token, or key and upload id joined by a line end) tell how to go on. Exported for the fuzzer.
 */
struct s3list_page {
	const char *prefix;		/* keys that do not begin with it are refused */
	int (*on_entry)(void *ctx, const struct s3_entry *, struct err *e);
	int (*on_upload)(void *ctx, const struct s3_upload *, struct err *e);
	int (*on_part)(void *ctx, const struct s3_part *, struct err *e);
	void *ctx;
	bool more, encoded;
	struct buf next, next_id;
	bool stopped;			/* by a callback */
};
int s3list_parse(struct s3list_page *, const char *p, size_t n, struct err *e);

#endif
