/*
 * s3head - what an S3 server says in the headers of an answer.
 *
 * Lines are fed as they come; anything malformed counts as absent.
 * Sources: Amazon S3 API reference, common response headers; RFC 9110.
 * Depends on: net/retry (dates).  Threads: a value belongs to one thread.
 */
#ifndef LLMR_NET_S3HEAD_H
#define LLMR_NET_S3HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3HEAD_BASE64 45	/* 32 bytes in base64 and a NUL */

struct s3head {
	char etag[128];			/* with quotes; "" when absent or weak */
	char request_id[64];
	char region[64];		/* x-amz-bucket-region */
	char code[64];			/* of an error without a body (x-minio-error-code) */
	char location[512];
	int64_t date_s, modified_s;	/* since 1970, 0 absent */
	bool has_length, has_range;
	uint64_t length;		/* Content-Length */
	uint64_t first, last, total;	/* Content-Range; total UINT64_MAX when not told */
	bool has_checksum, has_meta;
	uint8_t checksum[32], meta[32];	/* x-amz-checksum-sha256 of the whole, x-amz-meta-llmr-sha256 */
};

/* One header line without its line end; a status line forgets everything of before. */
void s3head_line(struct s3head *, const char *line, size_t n);

/* 32 bytes to base64 and back; false when it is not the base64 of 32 bytes. */
void s3head_encode(const uint8_t in[32], char out[S3HEAD_BASE64]);
bool s3head_decode(const char *text, size_t n, uint8_t out[32]);
/* 64 hexadecimal digits. */
bool s3head_hex(const char *text, size_t n, uint8_t out[32]);

#endif
