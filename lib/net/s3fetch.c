#include "net/s3fetch.h"

#include <stdio.h>
#include <string.h>

#include "fmt/hash.h"
#include "net/sink.h"

#define UNKNOWN_BYTES ((uint64_t)16 << 30)	/* the time-out of an object whose size nobody told */
#define PROGRESS ((uint64_t)1 << 20)		/* this much more begins the tries anew */

/* One object on its way, over several connections if need be. */
struct getting {
	const struct s3_get *g;
	struct s3_info *info;
	uint64_t at;			/* next byte wanted */
	uint64_t end;			/* one behind the last, once known */
	bool end_known, begun;
};

/* What the head of a 2xx answer must say for its body to be the bytes wanted. */
static int
check_head(struct getting *x, long status, const struct s3head *h, const struct s3_info *now, struct err *e)
{
	const struct s3_get *g = x->g;
	bool ranged = x->at > 0 || g->length > 0;

	if (ranged && (status != 206 || !h->has_range || h->first != x->at))
		return err_set(e, ERR_INPUT, "the server does not give the range asked for");
	if (!ranged && status != 200)
		return err_set(e, ERR_INPUT, "the server gives a part where the whole was asked for");
	if (x->begun && strcmp(now->etag, x->info->etag) != 0)
		return err_set(e, ERR_INPUT, "the object changed while it was read");
	if (ranged || h->has_length) {
		uint64_t end = ranged ? h->last + 1 : h->length;

		if (x->end_known && end != x->end)
			return err_set(e, ERR_INPUT, "the object's length changed while it was read");
		x->end_known = true;
		x->end = end;
		if (g->max_bytes > 0 && end - g->offset > g->max_bytes)
			return err_set(e, ERR_INPUT, "the object is larger than %llu bytes",
				(unsigned long long)g->max_bytes);
	}
	return 0;
}

static int
got_head(void *ctx, long status, const struct s3head *h, struct err *e)
{
	struct getting *x = ctx;
	struct s3ans ans = { .head = *h };
	struct s3_info now;

	s3req_info(&ans, &now);
	if (check_head(x, status, h, &now, e) < 0)
		return -1;
	if (x->begun)
		return 0;
	x->begun = true;
	*x->info = now;
	return x->g->on_head == NULL ? 0 : x->g->on_head(x->g->ctx, x->info, e);
}

static int
got_bytes(void *ctx, const void *p, size_t n, struct err *e)
{
	struct getting *x = ctx;

	if ((x->end_known && n > x->end - x->at) ||
	    (x->g->max_bytes > 0 && x->at + n - x->g->offset > x->g->max_bytes))
		return err_set(e, ERR_INPUT, "more bytes came than the object has");
	if (x->g->on_body(x->g->ctx, p, n, e) != 0)
		return -1;
	x->at += n;
	return 0;
}

static void
set_conditions(struct s3req *rq, const struct getting *x, char range[64])
{
	const struct s3_get *g = x->g;

	rq->n_extra = 0;
	if (g->length > 0)
		snprintf(range, 64, "bytes=%llu-%llu", (unsigned long long)x->at,
			(unsigned long long)(g->offset + g->length - 1));
	else if (x->at > 0)
		snprintf(range, 64, "bytes=%llu-", (unsigned long long)x->at);
	if (range[0] != '\0')
		s3req_header(rq, "range", range);
	if (x->begun)
		s3req_header(rq, "if-match", x->info->etag);
	else if (g->if_match != NULL)
		s3req_header(rq, "if-match", g->if_match);
	if (g->if_none_match != NULL && !x->begun)
		s3req_header(rq, "if-none-match", g->if_none_match);
}

/* After a failed try: is there sense in another, from where this one stopped? */
static bool
may_resume(struct getting *x, struct err *e)
{
	if (!x->begun || x->info->etag[0] != '\0')
		return true;
	err_wrap(e, "cannot resume without an ETag");
	return false;
}

enum s3_outcome
s3fetch_get(struct s3 *s, const struct s3_get *g, uint64_t expect_bytes, struct s3_info *info, struct err *e)
{
	struct s3_info own;
	struct getting x = { .g = g, .info = info == NULL ? &own : info, .at = g->offset };
	struct s3req rq = { .method = "GET", .key = g->key, .on_head = got_head, .on_body = got_bytes, .ctx = &x,
		.max_bytes = UINT64_MAX, .expect_bytes = expect_bytes > 0 ? expect_bytes : UNKNOWN_BYTES };
	struct s3ans ans = { .lost = false };
	char range[64] = "", what[400];
	enum s3_outcome out;
	uint64_t before;
	unsigned n = 0;

	*x.info = (struct s3_info){ .has_sha256 = false };
	do {
		n++;
		before = x.at;
		set_conditions(&rq, &x, range);
		/* The first goes through all the care of s3req_do: credentials that expired meanwhile. */
		rq.tries = 1;
		out = s3req_do(s, &rq, &ans, e);
		if (out == S3_OK && x.end_known && x.at != x.end) {
			out = S3_UNAVAILABLE;
			ans.transient = true;
			err_set(e, ERR_UNAVAILABLE, "the answer is shorter than it said");
		}
		if (out == S3_FAILED && e->code == ERR_INPUT && ans.status < 300)
			out = S3_CHANGED;
		if (x.at - before >= PROGRESS)
			n = 1;
	} while (out != S3_OK && out != S3_NOT_MODIFIED && may_resume(&x, e) && s3req_wait(s, 0, n, &ans, e) == 0);
	if (e->code == ERR_INTR && out != S3_OK)
		return S3_FAILED;
	if (out == S3_PRECONDITION && x.begun) {
		out = S3_CHANGED;
		err_set(e, ERR_INPUT, "the object changed while it was read");
	}
	if (out == S3_CHANGED && ans.error.code[0] == '\0') {
		s3req_what(s, "GET", g->key, what, sizeof what);
		err_wrap(e, "%s", what);
	}
	if (!x.begun)
		s3req_info(&ans, x.info);
	return out;
}

/* ---- into a file ---------------------------------------------------------------- */

struct filing {
	const struct s3_fetch *f;
	struct sink *sink;		/* NULL before the head of an answer */
	uint64_t got;			/* bytes of the file that came, in the file or in the sink */
	bool wants_digest;
};

static int
file_head(void *ctx, const struct s3_info *info, struct err *e)
{
	struct filing *x = ctx;
	const struct s3_fetch *f = x->f;

	if (f->size_bytes != UINT64_MAX && info->size_bytes != f->size_bytes)
		return err_set(e, ERR_INPUT, "the object has %llu bytes, %llu are expected",
			(unsigned long long)info->size_bytes, (unsigned long long)f->size_bytes);
	x->sink = sink_open(f->fd, f->offset, info->size_bytes, x->wants_digest, e);
	return x->sink == NULL ? -1 : 0;
}

static int
file_bytes(void *ctx, const void *p, size_t n, struct err *e)
{
	struct filing *x = ctx;

	if (sink_add(x->sink, p, n, e) < 0)
		return err_wrap(e, "%s", x->f->key);
	x->got += n;
	if (x->f->on_bytes != NULL)
		x->f->on_bytes(x->f->ctx, x->got);
	return 0;
}

static enum s3_outcome
check_digest(const struct filing *x, const uint8_t digest[32], uint8_t got[32], struct err *e)
{
	if (got != NULL)
		memcpy(got, digest, 32);
	if (x->f->sha256 != NULL && memcmp(digest, x->f->sha256, 32) != 0) {
		char hex[65];

		hex_format(digest, 32, hex);
		err_set(e, ERR_INPUT, "%s: its SHA-256 is %s: not the bytes expected", x->f->key, hex);
		return S3_CHANGED;
	}
	return S3_OK;
}

/* Everything is in the file already: only its digest and what the server says are wanted. */
static enum s3_outcome
whole_already(struct s3 *s, struct filing *x, struct s3_info *info, struct err *e)
{
	struct s3_info own;
	enum s3_outcome out = s3_head(s, x->f->key, info == NULL ? &own : info, e);

	if (out == S3_OK && file_head(x, info == NULL ? &own : info, e) < 0)
		return e->code == ERR_INPUT ? S3_CHANGED : S3_FAILED;
	return out;
}

enum s3_outcome
s3fetch_file(struct s3 *s, const struct s3_fetch *f, uint8_t got[32], struct s3_info *info, struct err *e)
{
	struct filing x = { .f = f, .got = f->offset, .wants_digest = got != NULL || f->sha256 != NULL };
	struct s3_get g = { .key = f->key, .if_match = f->if_match, .offset = f->offset, .on_head = file_head,
		.on_body = file_bytes, .ctx = &x };
	struct err later = ERR_INIT;
	uint8_t digest[32];
	enum s3_outcome out;

	sha256_bytes("", 0, digest);
	if (f->size_bytes != UINT64_MAX && f->offset > 0 && f->offset >= f->size_bytes)
		out = whole_already(s, &x, info, e);
	else
		out = s3fetch_get(s, &g, f->size_bytes == UINT64_MAX ? 0 : f->size_bytes, info, e);
	if (sink_close(x.sink, digest, &later) < 0 && out == S3_OK) {
		*e = later;
		err_wrap(e, "%s", f->key);
		out = S3_FAILED;
	}
	return out == S3_OK && x.wants_digest ? check_digest(&x, digest, got, e) : out;
}
