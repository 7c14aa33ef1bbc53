/*
 * sigv4 - AWS Signature Version 4 as a pure function.
 *
 * Source: "AWS Signature Version 4 for API requests" (IAM user guide). The
 * caller hands in the request as it will be sent; nothing is added to it: what
 * is to be signed (host, x-amz-date, x-amz-content-sha256, x-amz-security-token)
 * stands among the headers. Every header given is signed, so leave out what
 * changes on the way: expect, user-agent, content-length, connection.
 * Depends on: fmt/hash.  Threads: pure.
 */
#ifndef LLMR_NET_SIGV4_H
#define LLMR_NET_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define SIGV4_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_HEX 65		/* a digest in hexadecimal and its NUL */
#define SIGV4_TIME 17		/* "20260130T100000Z" and its NUL */

struct sigv4_header {
	const char *name, *value;	/* any case; blanks around and runs of blanks are folded */
};

struct sigv4 {
	const char *key_id, *secret;
	const char *region, *service;
	const char *time;		/* "20260130T100000Z", as in x-amz-date */
	const char *method;
	const char *path;		/* as sent; what is not percent-encoded yet counts as encoded */
	const char *query;		/* as sent, without '?'; NULL or "" none */
	const struct sigv4_header *headers;	/* in any order; of one name, in that order */
	size_t n_headers;
	const char *payload;		/* SHA-256 of the body in hexadecimal, or "UNSIGNED-PAYLOAD" */
	bool encode_twice;		/* path: every service but S3 */
	bool normalise;			/* path: undo "." and "..": every service but S3 */
};

/* Append the canonical request. */
int sigv4_canonical(const struct sigv4 *, struct buf *out, struct err *e);
/* Append the string to sign of a canonical request. */
int sigv4_string_to_sign(const struct sigv4 *, const struct buf *canonical, struct buf *out, struct err *e);
/* The signature of a string to sign. */
void sigv4_signature(const struct sigv4 *, const struct buf *string_to_sign, char out[SIGV4_HEX]);
/* All three: append the value of the Authorization header. */
int sigv4_authorization(const struct sigv4 *, struct buf *out, struct err *e);
/*
 * Append the query of a presigned request: that of s, then X-Amz-Algorithm to
 * X-Amz-Signature. token may be NULL or "". s->payload is "UNSIGNED-PAYLOAD" for S3.
 */
int sigv4_presign(const struct sigv4 *, unsigned seconds, const char *token, struct buf *out, struct err *e);

/* Append s percent-encoded: all but unreserved characters, and '/' only where slash is true. */
void sigv4_encode(struct buf *out, const char *s, size_t n, bool slash);
void sigv4_time(int64_t wall_us, char out[SIGV4_TIME]);

#endif
