#include "net/s3.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/awsconf.h"
#include "net/s3fetch.h"
#include "net/s3list.h"
#include "net/s3many.h"
#include "net/s3multi.h"
#include "net/s3put.h"
#include "net/s3req.h"

#define MAX_PRESIGN 604800u

/* ---- where the bucket is ---------------------------------------------------------- */

static bool
bucket_ok(struct slice b)
{
	if (b.n == 0 || b.n > 255 || slice_is(b, ".") || slice_is(b, ".."))
		return false;
	for (size_t i = 0; i < b.n; i++) {
		if (!isalnum((unsigned char)b.p[i]) && strchr("-._", b.p[i]) == NULL)
			return false;
	}
	return true;
}

static int
split_url(struct s3 *s, const char *url, struct err *e)
{
	struct slice bucket;
	const char *p;
	size_t n;
	struct buf prefix = BUF_INIT, name = BUF_INIT;

	if (strncmp(url, "s3://", 5) != 0)
		return err_set(e, ERR_USAGE, "'%s': s3://bucket/prefix is expected", url);
	p = url + 5;
	bucket = (struct slice){ p, strcspn(p, "/") };
	if (!bucket_ok(bucket))
		return err_set(e, ERR_USAGE, "'%s': '%.*s' is no name of a bucket", url, (int)bucket.n, bucket.p);
	p += bucket.n;
	while (*p == '/')
		p++;
	for (n = strlen(p); n > 0 && p[n - 1] == '/'; n--)
		;
	if (utf8_valid(p, n) != n)
		return err_set(e, ERR_USAGE, "'%s': the prefix is not UTF-8", url);
	buf_add(&prefix, p, n);
	buf_str(&prefix, n > 0 ? "/" : "");
	buf_printf(&name, "s3://%.*s%s%.*s", (int)bucket.n, bucket.p, n > 0 ? "/" : "", (int)n, p);
	if ((s->prefix = buf_take(&prefix, e)) == NULL || (s->name = buf_take(&name, e)) == NULL ||
	    (s->bucket = mem_dup(bucket.p, bucket.n, e)) == NULL) {
		buf_finish(&name);
		return -1;
	}
	return 0;
}

static bool
ends_with(const char *s, size_t n, const char *end)
{
	size_t k = strlen(end);

	return n >= k && strncasecmp(s + n - k, end, k) == 0;
}

/* May the bucket stand in front of the host? A dot in it would not fit the certificate. */
static bool
virtual_ok(const struct s3 *s, bool tls)
{
	size_t n = strlen(s->bucket);

	return n >= 3 && n <= 63 && strchr(s->bucket, '_') == NULL && (!tls || strchr(s->bucket, '.') == NULL);
}

static bool
wants_virtual(const struct s3 *s, const char *host, size_t n, bool tls)
{
	if (s->o.style != S3_STYLE_AUTO)
		return s->o.style == S3_STYLE_VIRTUAL;
	return virtual_ok(s, tls) && (ends_with(host, n, ".amazonaws.com") ||
		ends_with(host, n, ".amazonaws.com.cn") || ends_with(host, n, "storage.googleapis.com"));
}

static int
aws_endpoint(const struct s3 *s, struct buf *out, struct err *e)
{
	for (const char *p = s->region; *p != '\0'; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-')
			return err_set(e, ERR_CONFIG, "region '%s': letters, digits and '-' are expected", s->region);
	}
	buf_printf(out, "https://s3.%s.amazonaws.com%s", s->region,
		strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "");
	return buf_ok(out, e);
}

/* Origin, Host header and path in front of keys out of the endpoint. */
static int
place(struct s3 *s, const char *endpoint, struct err *e)
{
	bool tls = strncasecmp(endpoint, "https:", 6) == 0;
	const char *host = strstr(endpoint, "://"), *path;
	size_t n, path_n;
	struct buf origin = BUF_INIT, header = BUF_INIT, base = BUF_INIT;
	const char *front = "", *dot = "", *port = tls ? ":443" : ":80";

	if (http_check_url(endpoint, NULL, 0, e) < 0) {
		e->code = ERR_CONFIG;
		return err_wrap(e, "endpoint");
	}
	host += 3;
	n = strcspn(host, "/?#");
	path = host + n;
	if (strpbrk(path, "?#%") != NULL)
		return err_set(e, ERR_CONFIG, "endpoint '%s': a query, fragment or '%%' is not taken", endpoint);
	for (path_n = strlen(path); path_n > 0 && path[path_n - 1] == '/'; path_n--)
		;
	if (wants_virtual(s, host, strcspn(host, ":/"), tls)) {
		front = s->bucket;
		dot = ".";
	}
	if (ends_with(host, n, port))
		n -= strlen(port);	/* libcurl leaves it out of the Host header */
	buf_printf(&header, "%s%s%.*s", front, dot, (int)n, host);
	buf_printf(&origin, "%s://%s", tls ? "https" : "http", buf_cstr(&header));
	sigv4_encode(&base, path, path_n, true);
	if (front[0] == '\0')
		buf_printf(&base, "/%s", s->bucket);
	buf_byte(&base, '\0');
	s->origin = buf_take(&origin, e);
	s->host = buf_take(&header, e);
	s->base = buf_take(&base, e);
	return s->origin == NULL || s->host == NULL || s->base == NULL ? -1 : 0;
}

static int
locate(struct s3 *s, struct err *e)
{
	const char *endpoint = awsconf_endpoint(s->conf), *region = awsconf_region(s->conf);
	struct buf aws = BUF_INIT;
	int r = -1;

	/* Google's takes any region in a signature; "auto" is its own word. */
	if (endpoint != NULL && !awsconf_region_known(s->conf) && strstr(endpoint, "storage.googleapis.com") != NULL)
		region = "auto";
	if ((s->region = mem_strdup(region, e)) == NULL)
		return -1;
	if (endpoint != NULL)
		return place(s, endpoint, e);
	if (aws_endpoint(s, &aws, e) == 0)
		r = place(s, buf_cstr(&aws), e);
	buf_finish(&aws);
	return r;
}

struct s3 *
s3_open(const char *url, const struct s3_opts *o, struct awsconf *conf, struct err *e)
{
	struct s3 *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->o = *o;
	s->conf = conf;
	if (s->o.retry.tries == 0)
		s->o.retry = retry_default();
	if (s->o.multipart_above == 0)
		s->o.multipart_above = S3_MULTIPART_ABOVE;
	if (s->o.part_bytes == 0)
		s->o.part_bytes = S3_PART_MIN;
	if (s->o.http.total_timeout <= 0)
		s->o.http.total_timeout = 300;
	if (o->http.user != NULL || o->http.bearer != NULL)
		err_set(e, ERR_CONFIG, "S3 takes no user name and no bearer token");
	else if (split_url(s, url, e) == 0 && locate(s, e) == 0 &&
	         http_check_url(s->origin, o->http.allowed_hosts, o->http.n_allowed_hosts, e) == 0 &&
	         (s->http = http_new(&s->o.http, e)) != NULL)
		return s;
	s3_free(s);
	return NULL;
}

void
s3_free(struct s3 *s)
{
	if (s == NULL)
		return;
	http_free(s->http);
	free(s->bucket);
	free(s->prefix);
	free(s->name);
	free(s->origin);
	free(s->host);
	free(s->base);
	free(s->region);
	free(s);
}

const char *
s3_name(const struct s3 *s)
{
	return s->name;
}

/* ---- reading ---------------------------------------------------------------- */

enum s3_outcome
s3_get(struct s3 *s, const struct s3_get *g, struct s3_info *info, struct err *e)
{
	return s3fetch_get(s, g, g->length > 0 ? g->length : g->max_bytes, info, e);
}

static int
append(void *ctx, const void *p, size_t n, struct err *e)
{
	struct buf *b = ctx;

	buf_add(b, p, n);
	return buf_ok(b, e);
}

enum s3_outcome
s3_get_buf(struct s3 *s, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct s3_info *info, struct err *e)
{
	struct s3_get g = { .key = key, .if_none_match = if_none_match, .max_bytes = max, .on_body = append,
		.ctx = out };

	return s3_get(s, &g, info, e);
}

enum s3_outcome
s3_fetch(struct s3 *s, const struct s3_fetch *f, uint8_t got[32], struct s3_info *info, struct err *e)
{
	return s3fetch_file(s, f, got, info, e);
}

/* The answer to a HEAD has no body that says why: ask again for one byte. */
static enum s3_outcome
why_head(struct s3 *s, const char *key, enum s3_outcome was, struct err *e)
{
	struct s3req rq = { .method = "GET", .key = key, .max_bytes = 1 << 16 };
	struct err second = ERR_INIT;
	struct s3ans ans;
	enum s3_outcome out;

	s3req_header(&rq, "range", "bytes=0-0");
	out = s3req_do(s, &rq, &ans, &second);
	if (out == S3_OK || out == S3_NOT_MODIFIED || ans.status == 0)
		return was;
	*e = second;
	return out;
}

enum s3_outcome
s3_head(struct s3 *s, const char *key, struct s3_info *info, struct err *e)
{
	struct s3req rq = { .method = "HEAD", .key = key };
	struct s3ans ans;
	enum s3_outcome out;

	/* The whole object's checksum is told on request only. */
	s3req_header(&rq, "x-amz-checksum-mode", "ENABLED");
	out = s3req_do(s, &rq, &ans, e);
	s3req_info(&ans, info);
	if ((out == S3_REFUSED || out == S3_FAILED) && ans.status >= 300 && ans.status < 500 &&
	    ans.error.code[0] == '\0')
		return why_head(s, key, out, e);
	return out;
}

/* ---- writing ---------------------------------------------------------------- */

static bool
meta_ok(const struct s3_put *p, struct err *e)
{
	if (p->n_meta > S3REQ_HEADERS - 8) {
		err_set(e, ERR_USAGE, "%s: more than %d pieces of metadata", p->key, S3REQ_HEADERS - 8);
		return false;
	}
	for (size_t i = 0; i < p->n_meta; i++) {
		const char *m = p->meta[i], *colon = strchr(m, ':');
		bool ok = colon != NULL && colon > m;

		for (const char *c = m; ok && *c != '\0'; c++) {
			if (c < colon ? !isalnum((unsigned char)*c) && *c != '-' : *c < 0x20 || *c > 0x7e)
				ok = false;
		}
		if (!ok) {
			err_set(e, ERR_USAGE, "%s: metadata '%s': name: value in ASCII is expected", p->key, m);
			return false;
		}
	}
	return true;
}

enum s3_outcome
s3_put(struct s3 *s, const struct s3_put *p, struct s3_info *info, struct err *e)
{
	enum s3_outcome out;
	uint8_t digest[32];

	if (!meta_ok(p, e))
		return S3_FAILED;
	if ((out = s3put_digest(p, digest, e)) != S3_OK)
		return out;
	if (p->fd >= 0 && p->size_bytes > s->o.multipart_above)
		return s3multi_put(s, p, digest, info, e);
	return s3put_whole(s, p, digest, info, e);
}

enum s3_outcome
s3_delete(struct s3 *s, const char *key, const char *if_match, struct err *e)
{
	struct s3req rq = { .method = "DELETE", .key = key };
	struct s3ans ans;
	enum s3_outcome out;

	if (if_match != NULL)
		s3req_header(&rq, "if-match", if_match);
	out = s3req_do(s, &rq, &ans, e);
	return out == S3_NOT_FOUND && strcmp(ans.error.code, "NoSuchBucket") != 0 ? S3_OK : out;
}

/* ---- many at once ---------------------------------------------------------------- */

static unsigned
connections(const struct s3 *s)
{
	return s->o.parallel == 0 || s->o.parallel > S3_PARALLEL ? S3_PARALLEL : s->o.parallel;
}

struct many {
	struct s3 *s;
	const struct s3_batch_put *put;
	const struct s3_batch_fetch *fetch;
	const struct s3_batch_head *head;
};

struct slot {
	struct s3_put put;
	struct s3_fetch fetch;
	const char *key;
	struct s3_info info;
	uint8_t sha256[32];
};

static int
next_put(void *ctx, size_t i, void *slot, struct err *e)
{
	struct many *m = ctx;
	struct slot *x = slot;

	x->put.fd = -1;
	return m->put->next(m->put->ctx, i, &x->put, e);
}

static enum s3_outcome
work_put(void *ctx, void *slot, struct err *e)
{
	struct slot *x = slot;

	return s3_put(((struct many *)ctx)->s, &x->put, &x->info, e);
}

static int
done_put(void *ctx, size_t i, enum s3_outcome out, void *slot, struct err *e)
{
	struct many *m = ctx;

	return m->put->done(m->put->ctx, i, out, &((struct slot *)slot)->info, e);
}

static int
next_fetch(void *ctx, size_t i, void *slot, struct err *e)
{
	struct many *m = ctx;
	struct slot *x = slot;

	x->fetch.fd = -1;
	x->fetch.size_bytes = UINT64_MAX;
	return m->fetch->next(m->fetch->ctx, i, &x->fetch, e);
}

static enum s3_outcome
work_fetch(void *ctx, void *slot, struct err *e)
{
	struct slot *x = slot;

	return s3_fetch(((struct many *)ctx)->s, &x->fetch, x->sha256, &x->info, e);
}

static int
done_fetch(void *ctx, size_t i, enum s3_outcome out, void *slot, struct err *e)
{
	struct many *m = ctx;
	struct slot *x = slot;

	return m->fetch->done(m->fetch->ctx, i, out, x->sha256, &x->info, e);
}

static int
next_head(void *ctx, size_t i, void *slot, struct err *e)
{
	struct many *m = ctx;

	return m->head->next(m->head->ctx, i, &((struct slot *)slot)->key, e);
}

static enum s3_outcome
work_head(void *ctx, void *slot, struct err *e)
{
	struct slot *x = slot;

	return s3_head(((struct many *)ctx)->s, x->key, &x->info, e);
}

static int
done_head(void *ctx, size_t i, enum s3_outcome out, void *slot, struct err *e)
{
	struct many *m = ctx;

	return m->head->done(m->head->ctx, i, out, &((struct slot *)slot)->info, e);
}

enum s3_outcome
s3_put_many(struct s3 *s, const struct s3_batch_put *b, struct err *e)
{
	struct many m = { .s = s, .put = b };

	return s3many_run(&(struct s3many){ connections(s), sizeof(struct slot), next_put, work_put, done_put, &m }, e);
}

enum s3_outcome
s3_fetch_many(struct s3 *s, const struct s3_batch_fetch *b, struct err *e)
{
	struct many m = { .s = s, .fetch = b };

	return s3many_run(&(struct s3many){ connections(s), sizeof(struct slot), next_fetch, work_fetch, done_fetch,
		&m }, e);
}

enum s3_outcome
s3_head_many(struct s3 *s, const struct s3_batch_head *b, struct err *e)
{
	struct many m = { .s = s, .head = b };

	return s3many_run(&(struct s3many){ connections(s), sizeof(struct slot), next_head, work_head, done_head, &m }, e);
}

/* ---- listing, presigning ----------------------------------------------------------- */

enum s3_outcome
s3_list(struct s3 *s, const struct s3_list *l, struct s3_info *info, struct err *e)
{
	return s3list_objects(s, l, info, e);
}

enum s3_outcome
s3_list_uploads(struct s3 *s, const char *prefix,
	int (*on_upload)(void *ctx, const struct s3_upload *, struct err *e), void *ctx, struct s3_info *info,
	struct err *e)
{
	return s3list_uploads(s, prefix, on_upload, ctx, info, e);
}

enum s3_outcome
s3_abort_upload(struct s3 *s, const char *key, const char *id, struct err *e)
{
	return s3multi_abort(s, key, id, false, e);
}

char *
s3_presign(struct s3 *s, const char *method, const char *key, unsigned seconds, struct err *e)
{
	struct sigv4_header host = { "host", s->host };
	struct buf path = BUF_INIT, url = BUF_INIT;
	struct aws_credentials cred;
	char now[SIGV4_TIME], *out = NULL;

	if (seconds < 1 || seconds > MAX_PRESIGN) {
		err_set(e, ERR_USAGE, "a presigned URL is valid for 1 to %u seconds", MAX_PRESIGN);
		return NULL;
	}
	if (awsconf_anonymous(s->conf)) {
		err_set(e, ERR_CONFIG, "a URL cannot be presigned without credentials");
		return NULL;
	}
	if (awsconf_get(s->conf, false, &cred, e) < 0)
		return NULL;
	sigv4_time(clock_wall_us(), now);
	s3req_path(s, key, &path);
	buf_printf(&url, "%s%s?", s->origin, buf_cstr(&path));
	if (sigv4_presign(&(struct sigv4){ .key_id = cred.key_id, .secret = cred.secret, .region = s->region,
		.service = "s3", .time = now, .method = method, .path = buf_cstr(&path), .headers = &host,
		.n_headers = 1, .payload = "UNSIGNED-PAYLOAD" }, seconds, cred.token, &url, e) == 0)
		out = buf_take(&url, e);
	explicit_bzero(&cred, sizeof cred);
	buf_finish(&path);
	buf_finish(&url);
	return out;
}
