#include "net/s3req.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/awsconf.h"

#define BIG_BODY ((uint64_t)1 << 20)
#define BIG_BUFFER ((size_t)256 << 10)
#define CLEAR_UP 5.0			/* seconds for what is done after a cancel */
#define SLOWEST 32768.0			/* bytes a second that still pass */

void
s3req_header(struct s3req *rq, const char *name, const char *value)
{
	if (rq->n_extra == S3REQ_HEADERS)
		BUG("more than %d headers in a request", S3REQ_HEADERS);
	rq->extra[rq->n_extra++] = (struct sigv4_header){ name, value };
}

void
s3req_what(const struct s3 *s, const char *method, const char *key, char *out, size_t cap)
{
	if (key == NULL)
		snprintf(out, cap, "%s s3://%s", method, s->bucket);
	else
		snprintf(out, cap, "%s s3://%s/%s%s", method, s->bucket, s->prefix, key);
}

void
s3req_path(const struct s3 *s, const char *key, struct buf *out)
{
	buf_str(out, s->base);
	if (key == NULL && s->base[0] != '\0')
		return;
	buf_byte(out, '/');
	if (key != NULL) {
		sigv4_encode(out, s->prefix, strlen(s->prefix), true);
		sigv4_encode(out, key, strlen(key), true);
	}
}

/* What a request needs while it is sent. */
struct sending {
	struct s3 *s;
	const struct s3req *rq;
	struct s3ans *ans;
	struct http_response rs;
	struct sigv4_header h[S3REQ_HEADERS + 4];
	size_t n;
	struct buf text, path, auth;	/* header lines, each with a NUL; path; authorization */
	const char *line[S3REQ_HEADERS + 6];
	bool told;			/* on_head was called */
};

static void
take_header(void *ctx, const char *line, size_t n)
{
	struct sending *x = ctx;

	const char *p = memchr(line, ' ', n);

	s3head_line(&x->ans->head, line, n);
	if (n < 5 || memcmp(line, "HTTP/", 5) != 0 || p == NULL || line + n - p < 4)
		return;
	x->ans->status = 0;
	for (p++; p < line + n && *p >= '0' && *p <= '9' && x->ans->status < 1000; p++)
		x->ans->status = x->ans->status * 10 + (*p - '0');
}

static int
tell_head(struct sending *x, struct err *e)
{
	if (x->told || x->rq->on_head == NULL)
		return 0;
	x->told = true;
	return x->rq->on_head(x->rq->ctx, x->ans->status, &x->ans->head, e);
}

static int
take_body(void *ctx, const void *p, size_t n, struct err *e)
{
	struct sending *x = ctx;

	if (tell_head(x, e) != 0)
		return -1;
	return x->rq->on_body == NULL ? 0 : x->rq->on_body(x->rq->ctx, p, n, e);
}

static ptrdiff_t
give_body(void *ctx, void *p, size_t n, uint64_t at, struct err *e)
{
	struct sending *x = ctx;

	return x->rq->read(x->rq->ctx, p, n, at, e);
}

static void
add(struct sending *x, const char *name, const char *value)
{
	x->h[x->n++] = (struct sigv4_header){ name, value };
}

static int
sign(struct sending *x, const struct aws_credentials *cred, const char *now, struct err *e)
{
	const struct s3req *rq = x->rq;
	struct sigv4 sv = { .key_id = cred->key_id, .secret = cred->secret, .region = x->s->region,
		.service = "s3", .time = now, .method = rq->method, .path = buf_cstr(&x->path),
		.query = rq->query, .headers = x->h, .n_headers = x->n,
		.payload = rq->payload == NULL ? SIGV4_EMPTY : rq->payload };

	return sigv4_authorization(&sv, &x->auth, e);
}

/* "name: value" lines of all headers but host, which libcurl writes. */
static int
write_lines(struct sending *x, bool authorized, size_t *n_lines, struct err *e)
{
	size_t at[S3REQ_HEADERS + 6], n = 0;

	for (size_t i = 0; i < x->n; i++) {
		if (strcmp(x->h[i].name, "host") == 0)
			continue;
		at[n++] = x->text.len;
		/* libcurl takes "name;" for a header without a value. */
		if (x->h[i].value[0] == '\0')
			buf_printf(&x->text, "%s;", x->h[i].name);
		else
			buf_printf(&x->text, "%s: %s", x->h[i].name, x->h[i].value);
		buf_byte(&x->text, '\0');
	}
	if (authorized) {
		at[n++] = x->text.len;
		buf_printf(&x->text, "authorization: %s", buf_cstr(&x->auth));
		buf_byte(&x->text, '\0');
	}
	if (buf_ok(&x->text, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		x->line[i] = x->text.p + at[i];
	*n_lines = n;
	return 0;
}

static int
send_it(struct sending *x, struct err *e)
{
	const struct s3req *rq = x->rq;
	bool anonymous = awsconf_anonymous(x->s->conf);
	struct aws_credentials cred = { .secret = "" };
	struct buf url = BUF_INIT;
	char now[SIGV4_TIME];
	size_t n_lines = 0;
	int r = -1;

	if (!anonymous && awsconf_get(x->s->conf, false, &cred, e) < 0)
		return -1;
	sigv4_time(clock_wall_us(), now);
	add(x, "host", x->s->host);
	add(x, "x-amz-content-sha256", rq->payload == NULL ? SIGV4_EMPTY : rq->payload);
	if (!anonymous)
		add(x, "x-amz-date", now);
	if (cred.token[0] != '\0')
		add(x, "x-amz-security-token", cred.token);
	for (size_t i = 0; i < rq->n_extra; i++)
		add(x, rq->extra[i].name, rq->extra[i].value);
	s3req_path(x->s, rq->key, &x->path);
	buf_printf(&url, "%s%s", x->s->origin, buf_cstr(&x->path));
	if (rq->query != NULL)
		buf_printf(&url, "?%s", rq->query);
	if (buf_ok(&url, e) == 0 && buf_ok(&x->path, e) == 0 && (anonymous || sign(x, &cred, now, e) == 0) &&
	    write_lines(x, !anonymous, &n_lines, e) == 0) {
		struct http_request hr = { .method = rq->method, .url = buf_cstr(&url), .headers = x->line,
			.n_headers = n_lines, .body = rq->body, .n_body = rq->n_body,
			.max_bytes = rq->max_bytes, .on_body = take_body, .on_header = take_header,
			.read = rq->read == NULL ? NULL : give_body, .ctx = x, .verbatim = true,
			.ignore_cancel = rq->ignore_cancel,
			.total_timeout = rq->ignore_cancel ? CLEAR_UP :
				x->s->o.http.total_timeout + (double)rq->expect_bytes / SLOWEST,
			.buffer_bytes = rq->expect_bytes >= BIG_BODY ? BIG_BUFFER : 0 };

		r = http_do(x->s->http, &hr, &x->rs, e);
	}
	explicit_bzero(&cred, sizeof cred);
	buf_finish(&url);
	return r;
}

/* A transfer that ended without a whole answer. */
static enum s3_outcome
no_answer(const struct s3req *rq, struct sending *x, struct err *e)
{
	x->ans->transient = x->rs.fault == HTTP_TRANSIENT;
	if (x->ans->transient && strcmp(rq->method, "GET") != 0 && strcmp(rq->method, "HEAD") != 0)
		x->ans->lost = true;
	switch (x->rs.fault) {
	case HTTP_TRANSIENT:
		return S3_UNAVAILABLE;
	case HTTP_TOO_LARGE:
		return S3_CHANGED;
	default:
		return e->code == ERR_NOPERM ? S3_REFUSED : e->code == ERR_UNAVAILABLE ? S3_UNAVAILABLE : S3_FAILED;
	}
}

static enum s3_outcome
judge(struct s3 *s, const struct s3req *rq, struct sending *x, struct err *e)
{
	struct s3ans *ans = x->ans;
	char what[400];
	struct s3err_context c = { what, s->region, s->origin, x->rs.content_type, clock_wall_us() };

	ans->status = x->rs.status;
	ans->retry_after = x->rs.retry_after;
	s3req_what(s, rq->method, rq->key, what, sizeof what);
	if (ans->status >= 200 && ans->status < 300)
		return tell_head(x, e) == 0 ? S3_OK : S3_FAILED;
	s3err_parse(x->rs.head, x->rs.n_head, &ans->error);
	if (ans->error.code[0] == '\0')
		memcpy(ans->error.code, ans->head.code, sizeof ans->error.code);
	ans->transient = s3err_transient(ans->status, &ans->error);
	if (ans->transient && ans->status >= 500 && strcmp(rq->method, "GET") != 0 && strcmp(rq->method, "HEAD") != 0)
		ans->lost = true;
	return s3err_outcome(ans->status, &ans->error, &ans->head, &c, e);
}

enum s3_outcome
s3req_try(struct s3 *s, const struct s3req *rq, struct s3ans *ans, struct err *e)
{
	struct sending x = { .s = s, .rq = rq, .ans = ans, .text = BUF_INIT, .path = BUF_INIT, .auth = BUF_INIT,
		.rs = { .fault = HTTP_FATAL } };
	enum s3_outcome out;
	bool lost = ans->lost;

	*ans = (struct s3ans){ .lost = lost, .retry_after = -1 };
	if (send_it(&x, e) < 0)
		out = no_answer(rq, &x, e);
	else
		out = judge(s, rq, &x, e);
	log_debug(s->o.log, "%s %s/%s%s%s%s: %ld%s%s", rq->method, s->name, rq->key == NULL ? "" : rq->key,
		rq->query == NULL ? "" : "?", rq->query == NULL ? "" : rq->query, "", ans->status,
		ans->error.code[0] == '\0' ? "" : " ", ans->error.code);
	buf_finish(&x.text);
	buf_finish(&x.path);
	buf_finish(&x.auth);
	return out;
}

int
s3req_wait(struct s3 *s, unsigned tries, unsigned n, const struct s3ans *ans, struct err *e)
{
	struct retry_policy p = s->o.retry;
	struct err interrupted = ERR_INIT;
	struct rng rng;
	double wait;

	if (tries > 0)
		p.tries = tries;
	/* Seeded by time and place: clients that failed together do not come back together. */
	rng_seed(&rng, (uint64_t)clock_mono_ns() ^ (uint64_t)(uintptr_t)&rng ^ n);
	if (!ans->transient || (wait = retry_delay(&p, n, ans->retry_after, &rng)) < 0) {
		if (ans->transient && n > 1)
			err_wrap(e, "after %u tries", n);
		return -1;
	}
	log_debug(s->o.log, "%s; next try in %.1f s", e->msg, wait);
	if (retry_sleep(wait, s->o.http.cancel, &interrupted) < 0) {
		*e = interrupted;
		return -1;
	}
	return 0;
}

enum s3_outcome
s3req_do(struct s3 *s, const struct s3req *rq, struct s3ans *ans, struct err *e)
{
	bool fresh = false;

	ans->lost = false;
	for (unsigned n = 1;; n++) {
		enum s3_outcome out = s3req_try(s, rq, ans, e);
		struct aws_credentials cred;

		if (out == S3_OK || out == S3_NOT_MODIFIED)
			return out;
		if (out == S3_REFUSED && !fresh && s3err_expired(&ans->error)) {
			fresh = true;
			if (awsconf_get(s->conf, true, &cred, e) < 0)
				return S3_REFUSED;
			explicit_bzero(&cred, sizeof cred);
			continue;
		}
		if (s3req_wait(s, rq->tries, n, ans, e) < 0)
			return e->code == ERR_INTR ? S3_FAILED : out;
		if (rq->on_retry != NULL)
			rq->on_retry(rq->ctx);
	}
}

static int
to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	struct buf *b = ctx;

	buf_add(b, p, n);
	return buf_ok(b, e);
}

static void
empty_buf(void *ctx)
{
	buf_reset(ctx);
}

enum s3_outcome
s3req_buf(struct s3 *s, struct s3req *rq, struct buf *out, struct s3ans *ans, struct err *e)
{
	buf_reset(out);
	rq->on_body = to_buf;
	rq->on_retry = empty_buf;
	rq->ctx = out;
	return s3req_do(s, rq, ans, e);
}

void
s3req_info(const struct s3ans *ans, struct s3_info *out)
{
	const struct s3head *h = &ans->head;

	if (out == NULL)
		return;
	/* The length of an error's text is not the object's. */
	*out = (struct s3_info){ .size_bytes = h->has_range && h->total != UINT64_MAX ? h->total :
		h->has_length && ans->status < 300 ? h->length : 0, .modified_us = h->modified_s * 1000000,
		.server_us = h->date_s * 1000000, .has_sha256 = h->has_checksum || h->has_meta,
		.uncertain = ans->lost, .no_bucket = strcmp(ans->error.code, "NoSuchBucket") == 0 };
	memcpy(out->etag, h->etag, sizeof out->etag);
	memcpy(out->request_id, h->request_id, sizeof out->request_id);
	memcpy(out->sha256, h->has_checksum ? h->checksum : h->meta, sizeof out->sha256);
}
