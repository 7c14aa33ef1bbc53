#define _GNU_SOURCE	/* memmem */
#include "net/jaegerquery.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/idset.h"
#include "base/mem.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "net/retry.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

#define DEFAULT_TRACE_BYTES ((size_t)256 << 20)
#define DEFAULT_ANSWER_BYTES ((uint64_t)4 << 30)

void
jaegeranswer_init(struct jaegeranswer *a)
{
	*a = (struct jaegeranswer){ .body = SPOOL_INIT, .lines = SPOOL_INIT };
}

void
jaegeranswer_finish(struct jaegeranswer *a)
{
	spool_finish(&a->body);
	spool_finish(&a->lines);
	buf_finish(&a->line);
	free(a->traces);
	jaegeranswer_init(a);
}

void
jaegeranswer_reset(struct jaegeranswer *a)
{
	spool_reset(&a->body);
	spool_reset(&a->lines);
	a->n = a->n_tail = 0;
	a->found = a->guess = a->bad = a->bytes = 0;
	a->partial = false;
	a->bad_why[0] = a->partial_why[0] = '\0';
}

/* Percent-encode all but the unreserved characters of RFC 3986. */
static void
add_encoded(struct buf *b, const char *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '.' || c == '_' || c == '~') {
			buf_byte(b, c);
		} else {
			buf_byte(b, '%');
			buf_byte(b, hex[c >> 4]);
			buf_byte(b, hex[c & 15]);
		}
	}
}

int
jaegerquery_check(const struct jaegerquery *q, struct err *e)
{
	if (q->service == NULL || q->service[0] == '\0')
		return err_set(e, ERR_USAGE, "--service: a name is needed");
	for (size_t i = 0; i < q->n_tags; i++) {
		const char *eq = strchr(q->tags[i], '=');

		if (eq == NULL || eq == q->tags[i])
			return err_set(e, ERR_USAGE, "--tag: '%s' is not KEY=VALUE", q->tags[i]);
	}
	return 0;
}

/* Tags are one JSON object of strings: other types are refused by the server. */
static void
add_tags(const struct jaegerquery *q, struct buf *out)
{
	struct buf json = BUF_INIT;
	struct jsonw w;

	if (q->n_tags == 0)
		return;
	jsonw_init(&w, &json);
	jsonw_object(&w);
	for (size_t i = 0; i < q->n_tags; i++) {
		const char *eq = strchr(q->tags[i], '=');

		jsonw_key_n(&w, q->tags[i], (size_t)(eq - q->tags[i]));
		jsonw_string(&w, eq + 1);
	}
	jsonw_end_object(&w);
	buf_str(out, "&tags=");
	add_encoded(out, buf_cstr(&json), json.len);
	if (json.failed)
		out->failed = true;
	buf_finish(&json);
}

/* The base of the API without a trailing "/", "/api" or "/api/traces", which people paste. */
static size_t
base_length(const char *url)
{
	static const char *const tails[] = { "/", "/api/traces", "/api", "/" };
	size_t n = strcspn(url, "?#");

	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		size_t k = strlen(tails[i]);

		if (n > k && memcmp(url + n - k, tails[i], k) == 0)
			n -= k;
	}
	return n;
}

int
jaegerquery_url(const struct jaegerquery *q, int64_t start_us, int64_t end_us, uint64_t limit,
	struct buf *out, struct err *e)
{
	buf_add(out, q->url, base_length(q->url));
	buf_str(out, "/api/traces?service=");
	add_encoded(out, q->service, strlen(q->service));
	if (q->operation != NULL) {
		buf_str(out, "&operation=");
		add_encoded(out, q->operation, strlen(q->operation));
	}
	buf_printf(out, "&start=%" PRId64 "&end=%" PRId64 "&limit=%" PRIu64, start_us, end_us, limit);
	/* Times as they were sent, and no warnings added to what the store keeps. */
	buf_str(out, "&raw=true");
	add_tags(q, out);
	return buf_ok(out, e);
}

/* The server's own word: "msg" of its JSON errors, else the first line of the body. */
static void
server_says(const struct http_response *rs, char out[200])
{
	const char *p = strstr(rs->head, "\"msg\":");
	size_t n;

	if (p != NULL && (p = strchr(p + 6, '"')) != NULL)
		n = strcspn(++p, "\"\n");
	else
		n = strcspn(p = rs->head, "\r\n");
	(void)snprintf(out, 200, "%.*s", (int)(n < 180 ? n : 180), p);
}

static enum jaegeroutcome
judge_status(const struct jaegerquery *q, const struct http_response *rs, struct err *e)
{
	char says[200];
	int n = (int)base_length(q->url);

	server_says(rs, says);
	if (rs->status >= 200 && rs->status < 300)
		return JAEGER_DONE;
	if (rs->status == 401 || rs->status == 403) {
		err_set(e, ERR_NOPERM,
			"%.*s answered %ld%s%s (see --auth-file and --token-file)", n, q->url, rs->status,
			says[0] != '\0' ? ": " : "", says);
		return JAEGER_FAILED;
	}
	if (rs->status == 404) {
		err_set(e, ERR_UNAVAILABLE,
			"%.*s answered 404: is --url the base of the query API (base path)?", n, q->url);
		return JAEGER_FAILED;
	}
	if (strstr(rs->head, "search depth") != NULL) {
		err_set(e, ERR_UNAVAILABLE, "%.*s refuses the limit: %s", n, q->url, says);
		return JAEGER_LOWER_LIMIT;
	}
	if (rs->status >= 300 && rs->status < 400) {
		err_set(e, ERR_UNAVAILABLE, "%.*s answered %ld, a redirect elsewhere: give the address that "
			"it leads to as --url", n, q->url, rs->status);
		return JAEGER_FAILED;
	}
	if (rs->status == 400) {
		err_set(e, ERR_USAGE, "%.*s refuses the query: %s", n, q->url, says);
		return JAEGER_FAILED;
	}
	err_set(e, ERR_UNAVAILABLE, "%.*s answered %ld%s%s", n, q->url, rs->status,
		says[0] != '\0' ? ": " : "", says);
	return retry_status(rs->status) ? JAEGER_AGAIN : JAEGER_FAILED;
}

/* Judge a 2xx answer by its first bytes. */
static enum jaegeroutcome
judge_body(const struct jaegerquery *q, const struct http_response *rs, struct err *e)
{
	const unsigned char *p = (const unsigned char *)rs->head;
	int n = (int)base_length(q->url);

	while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')
		p++;
	if (*p == '{' || (p[0] == 0x1f && p[1] == 0x8b))
		return JAEGER_DONE;
	if (rs->bytes == 0) {
		err_set(e, ERR_UNAVAILABLE, "%.*s answered nothing", n, q->url);
		return JAEGER_AGAIN;
	}
	if (*p == '<')
		err_set(e, ERR_UNAVAILABLE,
			"%.*s answered HTML: is --url the base of the query API (base path)?", n, q->url);
	else
		err_set(e, ERR_UNAVAILABLE,
			"%.*s answered something that is not JSON: is --url the base of the query API?", n,
			q->url);
	return JAEGER_FAILED;
}

static uint64_t
occurrences(const char *p, size_t n, const char *key, size_t k)
{
	uint64_t count = 0;
	const char *end = p + n;

	while ((p = memmem(p, (size_t)(end - p), key, k)) != NULL) {
		count++;
		p += k;
	}
	return count;
}

/*
 * Each trace has this key once, and inside of strings its quotes would be
 * escaped: a count that is nearly free and tells full answers before they are
 * decoded. A wrong one costs time only.
 */
static void
guess_traces(struct jaegeranswer *a, const char *p, size_t n)
{
	static const char key[] = "\"processes\":{";
	const size_t k = sizeof key - 1;
	char seam[2 * sizeof a->tail];
	size_t more = n < k - 1 ? n : k - 1;

	memcpy(seam, a->tail, a->n_tail);
	memcpy(seam + a->n_tail, p, more);
	a->guess += occurrences(seam, a->n_tail + more, key, k) + occurrences(p, n, key, k);
	if (n >= k - 1) {
		a->n_tail = k - 1;
		memcpy(a->tail, p + n - a->n_tail, a->n_tail);
	} else {
		size_t all = a->n_tail + n, drop = all > k - 1 ? all - (k - 1) : 0;

		memcpy(a->tail, seam + drop, all - drop);
		a->n_tail = all - drop;
	}
}

static int
spool_body(void *ctx, const void *p, size_t n, struct err *e)
{
	struct jaegeranswer *a = ctx;

	guess_traces(a, p, n);
	return spool_write(&a->body, p, n, e);
}

static int
spool_restart(void *ctx, struct err *e)
{
	struct jaegeranswer *a = ctx;

	(void)e;
	jaegeranswer_reset(a);
	return 0;
}

/* The decoder's view of one answer. */
struct reading {
	struct jaegeranswer *a;
	int64_t start_us, end_us;
	bool times_only;		/* the answer is full and will be thrown away */
};

static struct jaegertrace *
new_trace(struct jaegeranswer *a, struct err *e)
{
	void *p = a->traces;

	if (mem_grow(&p, &a->cap, a->n + 1, sizeof *a->traces, e) < 0)
		return NULL;
	a->traces = p;
	return &a->traces[a->n];
}

static int
take_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct reading *r = ctx;
	struct jaegeranswer *a = r->a;
	struct jaegertrace *t;

	a->found += b->traces_seen;
	if (b->n == 0)
		return 0;
	if ((t = new_trace(a, e)) == NULL)
		return -1;
	*t = (struct jaegertrace){ .start_us = INT64_MAX, .hit_us = INT64_MIN, .spans = b->n };
	if (!idset_parse(b->spans[0].trace_id, t->id))
		return err_set(e, ERR_INPUT, "a trace without a valid id");
	for (size_t i = 0; i < b->n; i++) {
		int64_t us = (int64_t)(b->spans[i].start_ns / 1000);

		if (us < t->start_us)
			t->start_us = us;
		if (us >= r->start_us && us <= r->end_us && (t->hit_us == INT64_MIN || us < t->hit_us))
			t->hit_us = us;
	}
	a->n++;
	if (r->times_only)
		return 0;
	buf_reset(&a->line);
	if (otlpwrite_line(b->spans, b->n, &a->line, e) < 0)
		return -1;
	t->at = a->lines.len;
	t->n_bytes = a->line.len;
	return spool_write(&a->lines, a->line.p, a->line.len, e);
}

static int
take_bad(void *ctx, const struct err *what, struct err *e)
{
	struct jaegeranswer *a = ((struct reading *)ctx)->a;

	(void)e;
	if (what->code == ERR_UNAVAILABLE) {
		a->partial = true;
		(void)snprintf(a->partial_why, sizeof a->partial_why, "%.255s", what->msg);
		return 0;
	}
	a->found++;
	if (a->bad++ == 0)
		(void)snprintf(a->bad_why, sizeof a->bad_why, "%.255s", what->msg);
	return 0;
}

static enum jaegeroutcome
decode_answer(const struct jaegerquery *q, struct reading *r, struct err *e)
{
	struct jaegeranswer *a = r->a;
	struct decode_opts o = { .format = TRACE_JAEGER, .on_batch = take_batch, .on_bad = take_bad,
		.ctx = r, .cancel = q->cancel, .max_piece_bytes = q->max_trace_bytes };
	struct stream_in *in;
	int n = (int)base_length(q->url), k;

	if (o.max_piece_bytes == 0)
		o.max_piece_bytes = DEFAULT_TRACE_BYTES;
	if (spool_rewind(&a->body, e) < 0)
		return JAEGER_FAILED;
	in = a->body.fd >= 0 ? stream_in_fd(a->body.fd, e) :
		stream_in_memory(a->body.mem.p, a->body.mem.len, e);
	if (in == NULL)
		return JAEGER_FAILED;
	k = decode_stream(in, &o, NULL, e);
	stream_in_close(in);
	if (k == 0)
		return JAEGER_DONE;
	if (e->code != ERR_INPUT)
		return JAEGER_FAILED;
	/* Cut on the way by something that did not tell: may come whole next time. */
	e->code = ERR_UNAVAILABLE;
	err_wrap(e, "%.*s answered a malformed document", n, q->url);
	return JAEGER_AGAIN;
}

static enum jaegeroutcome
judge_fault(const struct http_response *rs)
{
	switch (rs->fault) {
	case HTTP_TRANSIENT:
		return JAEGER_AGAIN;
	case HTTP_TOO_LARGE:
		return JAEGER_SPLIT;
	case HTTP_OK:
	case HTTP_FATAL:
		break;
	}
	return JAEGER_FAILED;
}

enum jaegeroutcome
jaegerquery_ask(const struct jaegerquery *q, int64_t start_us, int64_t end_us, uint64_t limit,
	struct jaegeranswer *a, double *retry_after, struct err *e)
{
	struct http_request rq = { .max_bytes = q->max_answer_bytes, .on_body = spool_body,
		.on_restart = spool_restart, .ctx = a };
	struct reading reading = { .a = a, .start_us = start_us, .end_us = end_us };
	struct http_response rs;
	struct buf url = BUF_INIT;
	enum jaegeroutcome out = JAEGER_FAILED;

	jaegeranswer_reset(a);
	*retry_after = -1;
	if (jaegerquery_url(q, start_us, end_us, limit, &url, e) < 0)
		goto out;
	rq.url = url.p;
	if (rq.max_bytes == 0)
		rq.max_bytes = DEFAULT_ANSWER_BYTES;
	if (http_do(q->http, &rq, &rs, e) < 0) {
		out = judge_fault(&rs);
		goto out;
	}
	a->bytes = rs.bytes;
	*retry_after = rs.retry_after;
	reading.times_only = a->guess >= limit && end_us - start_us > 1;
	if ((out = judge_status(q, &rs, e)) == JAEGER_DONE &&
	    (out = judge_body(q, &rs, e)) == JAEGER_DONE)
		out = decode_answer(q, &reading, e);
	if (out == JAEGER_DONE && reading.times_only && a->found < limit) {
		/* The guess was wrong: once more, with lines. */
		reading.times_only = false;
		a->n = 0;
		a->found = a->bad = 0;
		a->partial = false;
		out = decode_answer(q, &reading, e);
	}
	spool_reset(&a->body);
out:
	buf_finish(&url);
	return out;
}
