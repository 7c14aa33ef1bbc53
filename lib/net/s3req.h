/*
 * s3req - one signed request to an S3 store, tried until it answers. Internal to s3.
 *
 * Depends on: net/http, net/sigv4, net/awsconf.  Threads: as s3.
 */
#ifndef LLMR_NET_S3REQ_H
#define LLMR_NET_S3REQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "net/s3.h"
#include "net/s3err.h"
#include "net/s3head.h"
#include "net/sigv4.h"

struct s3 {
	struct s3_opts o;
	struct http *http;
	struct awsconf *conf;
	char *bucket, *prefix;		/* prefix with a slash at its end, or "" */
	char *name;			/* "s3://bucket/prefix" */
	char *origin;			/* "https://host:port" */
	char *host;			/* of the Host header */
	char *base;			/* path in front of the key: "", "/bucket", "/base/bucket" */
	char *region;
};

#define S3REQ_HEADERS 24
struct s3req {
	const char *method;
	const char *key;		/* relative to the prefix; NULL: the bucket */
	const char *query;		/* encoded; NULL none */
	const char *payload;		/* hex SHA-256 of the body; NULL: of nothing */
	struct sigv4_header extra[S3REQ_HEADERS];	/* signed headers beside host and x-amz-date */
	size_t n_extra;
	const void *body;		/* NULL: read gives n_body bytes, when set */
	size_t n_body;
	ptrdiff_t (*read)(void *ctx, void *p, size_t n, uint64_t at, struct err *e);
	/* Before the first byte of a 2xx body; nonzero stops. */
	int (*on_head)(void *ctx, long status, const struct s3head *, struct err *e);
	int (*on_body)(void *ctx, const void *p, size_t n, struct err *e);
	void (*on_retry)(void *ctx);	/* forget what on_body got */
	void *ctx;
	uint64_t max_bytes;		/* of the answer; 0: 64 MiB */
	uint64_t expect_bytes;		/* of the answer or body, for the time-out and buffers */
	bool ignore_cancel;
	unsigned tries;			/* 0: by the policy */
};

struct s3ans {
	long status;
	struct s3head head;
	struct s3err error;
	bool transient;			/* another try may go better */
	bool lost;			/* a try before this one got no answer: it may have worked */
	double retry_after;
};

void s3req_header(struct s3req *, const char *name, const char *value);
/* One try. */
enum s3_outcome s3req_try(struct s3 *, const struct s3req *, struct s3ans *, struct err *e);
/* All tries. */
enum s3_outcome s3req_do(struct s3 *, const struct s3req *, struct s3ans *, struct err *e);
/* After failed try number n (from 1): sleep and 0, or -1 when that was the last one. err keeps its reason. */
int s3req_wait(struct s3 *, unsigned tries, unsigned n, const struct s3ans *, struct err *e);
/* As s3req_do, the body of the answer into out (replaced). */
enum s3_outcome s3req_buf(struct s3 *, struct s3req *, struct buf *out, struct s3ans *, struct err *e);
void s3req_info(const struct s3ans *, struct s3_info *out);
/* "METHOD s3://bucket/prefix/key", for messages. */
void s3req_what(const struct s3 *, const char *method, const char *key, char *out, size_t cap);
/* The path of a URL for key (NULL: the bucket), encoded. */
void s3req_path(const struct s3 *, const char *key, struct buf *out);

#endif
