/*
 * s3 - objects in a bucket over the S3 protocol.
 *
 * Requests are signed by net/sigv4, always with the SHA-256 of their body
 * (never UNSIGNED-PAYLOAD), and sent over net/http: kept-alive connections, no
 * redirects followed (a redirect to another host is an error that shows the
 * Location; nothing is sent there). Tries are repeated with back-off, jitter
 * and Retry-After; each operation ends in one enum s3_outcome. Keys are given
 * relative to the prefix of the opened URL and sent as they are: "a//b", "..",
 * "+", blanks and UTF-8 are part of the name; a key that the store refuses is
 * S3_FAILED.
 * Sources: Amazon S3 API reference 2006-03-01; RFC 9110 (conditions, ranges).
 * Depends on: net/http, net/sigv4, net/awsconf, net/retry, fmt/xml, fmt/hash.
 * Threads: one struct s3 serves many threads, each with its own err; the
 * operations marked "parallel" start threads of their own and end them.
 */
#ifndef LLMR_NET_S3_H
#define LLMR_NET_S3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "net/http.h"
#include "net/retry.h"

struct awsconf;
struct s3;

/*
 * What became of an operation. err is set for all but S3_OK and
 * S3_NOT_MODIFIED, with the exit status that fits when it is not expected.
 */
enum s3_outcome {
	S3_OK,
	S3_NOT_MODIFIED,	/* 304: if_none_match still holds */
	S3_NOT_FOUND,		/* 404 of the key, upload or bucket (ERR_NOINPUT) */
	S3_PRECONDITION,	/* 412: if_match or if_none_match did not hold (ERR_NO) */
	S3_CONFLICT,		/* 409 to the last try: somebody else is writing it (ERR_TEMPFAIL) */
	S3_REFUSED,		/* 401, 403, clock off, bad key, redirected, host not allowed (ERR_NOPERM);
				   wrong region (ERR_CONFIG) */
	S3_UNAVAILABLE,		/* refused, reset, timed out, 429, 5xx after all tries (ERR_UNAVAILABLE) */
	S3_CHANGED,		/* the bytes are not those of the digest or length named (ERR_INPUT) */
	S3_FAILED		/* everything else: see err, among it ERR_INTR, ERR_IO, ERR_INPUT */
};

enum s3_style {
	S3_STYLE_AUTO,		/* virtual at AWS and GCS where the bucket's name allows, else path */
	S3_STYLE_PATH,		/* https://endpoint/bucket/key */
	S3_STYLE_VIRTUAL	/* https://bucket.endpoint/key */
};

#define S3_PARALLEL 16			/* connections at most */
#define S3_MULTIPART_ABOVE ((uint64_t)64 << 20)
#define S3_PART_MIN ((uint64_t)16 << 20)	/* max(this, size / 9000, rounded to MiB) is a part's size */

struct s3_opts {
	/* CA, time-outs, allowed hosts, proxy, cancel; no user and no bearer. total_timeout is raised
	   for large bodies so that 32 KiB/s still pass. */
	struct http_opts http;
	enum s3_style style;
	struct retry_policy retry;	/* tries == 0: retry_default() */
	unsigned parallel;		/* connections of one parallel operation, 0: S3_PARALLEL (parts: 4) */
	uint64_t multipart_above, part_bytes;	/* 0: as above */
	const struct log *log;		/* retries and requests at LOG_DEBUG; no secrets */
};

/*
 * url "s3://bucket" or "s3://bucket/prefix" (a "/" is put between prefix and
 * key); conf gives credentials, region and endpoint and is borrowed. No request
 * is sent. NULL and ERR_USAGE (URL), ERR_CONFIG (endpoint, options, libcurl).
 */
struct s3 *s3_open(const char *url, const struct s3_opts *, struct awsconf *conf, struct err *e);
void s3_free(struct s3 *);		/* NULL is fine; no operation may be running */
/* Borrowed: "s3://bucket/prefix" without a slash at its end, for messages. */
const char *s3_name(const struct s3 *);

#define S3_ETAG 128
/* What the server said of an object. */
struct s3_info {
	char etag[S3_ETAG];	/* with its quotes, ready for if_match; "" when the server names none */
	uint64_t size_bytes;	/* of the whole object, also after a ranged get */
	int64_t modified_us;	/* since 1970, 0 unknown */
	bool has_sha256;	/* by x-amz-checksum-sha256 of the whole object, else by our own metadata
				   x-amz-meta-llmr-sha256: what the store says, not yet verified */
	uint8_t sha256[32];
	int64_t server_us;	/* the server's Date (full seconds), 0 when absent: for leases */
	char request_id[64];
	bool no_bucket;		/* of S3_NOT_FOUND: it is the bucket that is not there */
	bool uncertain;		/* an earlier try's answer was lost: S3_PRECONDITION may be our own write.
				   Read the object to know. */
};

/* ---- reading ---------------------------------------------------------------- */

struct s3_get {
	const char *key;
	const char *if_match, *if_none_match;	/* an ETag with quotes; NULL none */
	uint64_t offset;	/* first byte wanted */
	uint64_t length;	/* 0: to the end */
	uint64_t max_bytes;	/* an answer with more is S3_CHANGED; 0: no limit */
	/*
	 * The bytes in order, in the caller's thread. A connection that breaks is
	 * resumed with Range and If-Match, so no byte comes twice. Nonzero stops.
	 */
	int (*on_body)(void *ctx, const void *p, size_t n, struct err *e);
	/* Before the first byte: etag, size, Date. NULL is fine. Nonzero stops. */
	int (*on_head)(void *ctx, const struct s3_info *, struct err *e);
	void *ctx;
};

/*
 * GET. info may be NULL. S3_OK with on_body called 0 or more times (an empty
 * object: none). A range beyond the end of the object: S3_CHANGED.
 */
enum s3_outcome s3_get(struct s3 *, const struct s3_get *, struct s3_info *, struct err *e);

/* GET a small object whole into memory: out gets appended. More than max bytes: S3_CHANGED. */
struct buf;
enum s3_outcome s3_get_buf(struct s3 *, const char *key, const char *if_none_match, size_t max,
	struct buf *out, struct s3_info *, struct err *e);

struct s3_fetch {
	const char *key;
	int fd;			/* open for writing (and reading when offset > 0); written at its byte offsets */
	uint64_t offset;	/* bytes that are in the file already; they are read again for the digest */
	const char *if_match;	/* of the earlier part; NULL: the object is whole or content-addressed */
	uint64_t size_bytes;	/* expected of the whole object; UINT64_MAX unknown */
	const uint8_t *sha256;	/* [32] expected of the whole object, NULL: not checked */
	void (*on_bytes)(void *ctx, uint64_t done);	/* progress, any thread; NULL none */
	void *ctx;
};

/*
 * GET into a file, the digest computed in a thread beside the transfer, out of
 * at most 1 MiB of buffers. got (NULL is fine) gets the digest of the whole. S3_CHANGED
 * when size or digest differ: the file's content is then not to be used.
 * The file is not synced. On S3_UNAVAILABLE or ERR_INTR what came is in the
 * file, its length a valid offset for the next call.
 */
enum s3_outcome s3_fetch(struct s3 *, const struct s3_fetch *, uint8_t got[32], struct s3_info *,
	struct err *e);

enum s3_outcome s3_head(struct s3 *, const char *key, struct s3_info *, struct err *e);

/* ---- writing ---------------------------------------------------------------- */

struct s3_put {
	const char *key;
	const void *data;	/* from memory, when fd is negative */
	size_t n;
	int fd;			/* from a regular file: bytes [offset, offset + size_bytes); -1: from memory */
	uint64_t offset, size_bytes;
	const uint8_t *sha256;	/* [32] of these bytes; NULL: computed here, one pass more */
	const char *if_match;	/* an ETag; NULL none */
	bool if_absent;		/* If-None-Match: * */
	bool resume;		/* multipart: go on with an upload of this key that was left open, taking
				   the parts whose checksums fit. For keys that name their content. */
	const char *content_type;	/* NULL: application/octet-stream */
	const char *const *meta;	/* "name: value" each, sent as x-amz-meta-name; ASCII */
	size_t n_meta;
	void (*on_bytes)(void *ctx, uint64_t done);	/* progress, any thread; NULL none */
	void *ctx;
};

/*
 * PUT; above multipart_above bytes from a file, an upload in parts, in parallel,
 * each read from the file twice (digest, then body: no part is held in memory).
 * The digest goes along in x-amz-content-sha256, x-amz-checksum-sha256 and
 * x-amz-meta-llmr-sha256. A file that changes meanwhile: S3_CHANGED, nothing
 * stored. Interrupted (cancel): the open upload is aborted, ERR_INTR; otherwise
 * failed: left open where resume is set, else aborted. info: etag and Date.
 */
enum s3_outcome s3_put(struct s3 *, const struct s3_put *, struct s3_info *, struct err *e);

/* An object that is absent is deleted already: S3_OK. if_match: some stores ignore it. */
enum s3_outcome s3_delete(struct s3 *, const char *key, const char *if_match, struct err *e);

/* ---- many small objects, parallel ---------------------------------------------- */

/*
 * One operation each on up to S3_PARALLEL kept-alive connections. next fills
 * the item (its strings and ctx live until done returns) and returns 1, 0 when
 * there is no more, -1 and err to stop; done is told each outcome with the same
 * number. Both are called one at a time, from any thread. All that were begun
 * end before the call returns. Returns the first outcome that done did not take
 * (done returns 0: taken, go on; nonzero: stop), S3_OK when all were taken.
 */
struct s3_batch_put {
	int (*next)(void *ctx, size_t i, struct s3_put *, struct err *e);
	int (*done)(void *ctx, size_t i, enum s3_outcome, const struct s3_info *, struct err *e);
	void *ctx;
};
enum s3_outcome s3_put_many(struct s3 *, const struct s3_batch_put *, struct err *e);

struct s3_batch_fetch {
	int (*next)(void *ctx, size_t i, struct s3_fetch *, struct err *e);
	int (*done)(void *ctx, size_t i, enum s3_outcome, const uint8_t sha256[32],
		const struct s3_info *, struct err *e);
	void *ctx;
};
enum s3_outcome s3_fetch_many(struct s3 *, const struct s3_batch_fetch *, struct err *e);

struct s3_batch_head {
	int (*next)(void *ctx, size_t i, const char **key, struct err *e);
	int (*done)(void *ctx, size_t i, enum s3_outcome, const struct s3_info *, struct err *e);
	void *ctx;
};
enum s3_outcome s3_head_many(struct s3 *, const struct s3_batch_head *, struct err *e);

/* ---- listing ---------------------------------------------------------------- */

struct s3_entry {
	const char *key;	/* relative to the opened prefix */
	bool is_prefix;		/* a common prefix (ends in the delimiter); the rest is then empty */
	uint64_t size_bytes;
	int64_t modified_us;
	char etag[S3_ETAG];
};
struct s3_list {
	const char *prefix;	/* relative, "" or NULL all */
	const char *delimiter;	/* NULL: every key; usually "/" */
	const char *start_after;	/* relative key; NULL from the beginning */
	/* In the byte order of the keys; nonzero stops (and is S3_FAILED with the err it set,
	   or S3_OK when it left err->code 0). The entry is borrowed. */
	int (*on_entry)(void *ctx, const struct s3_entry *, struct err *e);
	void *ctx;
	unsigned page;		/* keys asked for at once, 0: the server's 1000 */
};
/* ListObjectsV2 over all pages. info (NULL is fine) gets the Date. S3_NOT_FOUND: no such bucket. */
enum s3_outcome s3_list(struct s3 *, const struct s3_list *, struct s3_info *, struct err *e);

/* Uploads in parts that are still open. */
struct s3_upload {
	const char *key, *id;	/* key relative */
	int64_t begun_us;
};
enum s3_outcome s3_list_uploads(struct s3 *, const char *prefix,
	int (*on_upload)(void *ctx, const struct s3_upload *, struct err *e), void *ctx,
	struct s3_info *, struct err *e);
/* Throw one away with its parts; gone already: S3_OK. */
enum s3_outcome s3_abort_upload(struct s3 *, const char *key, const char *id, struct err *e);

/* ---- presigned URLs ---------------------------------------------------------- */

/* A URL that grants method ("GET", "PUT", "HEAD") on key for seconds (1 to 604800). Free it. */
char *s3_presign(struct s3 *, const char *method, const char *key, unsigned seconds, struct err *e);

#endif
