/*
 * s3err - what an answer that is no success means: outcome, exit status, one line for people.
 *
 * Source: Amazon S3 API reference, "Error responses"; the codes that MinIO and
 * versitygw send in addition.
 * Depends on: fmt/xml, net/s3head.  Threads: pure.
 */
#ifndef LLMR_NET_S3ERR_H
#define LLMR_NET_S3ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/s3.h"
#include "net/s3head.h"

/* The <Error> element of an answer; empty strings where it says nothing. */
struct s3err {
	char code[64], message[256], region[64], server_time[40];
	bool is_error;		/* the text is an <Error>, whole or cut off */
};

/* Read what is there of an <Error> document: a text that is cut off gives its first fields. */
void s3err_parse(const char *p, size_t n, struct s3err *out);

/* Another try may go better: 408, 425, 429, 5xx but 501 and 505, 409 of a race, RequestTimeout. */
bool s3err_transient(long status, const struct s3err *);
/* The credentials are no longer valid: worth fetching them anew. */
bool s3err_expired(const struct s3err *);

struct s3err_context {
	const char *what;	/* "PUT s3://bucket/key" */
	const char *region;	/* the one that was signed for */
	const char *endpoint;	/* scheme and host that were asked */
	const char *content_type;
	int64_t now_us;		/* this machine's clock */
};
/* Outcome of an answer with status >= 300 (or an <Error> under another status), err set. */
enum s3_outcome s3err_outcome(long status, const struct s3err *, const struct s3head *,
	const struct s3err_context *, struct err *e);

#endif
