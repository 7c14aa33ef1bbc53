#include "net/tempoquery.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/idset.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/stream.h"
#include "net/retry.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

#define SECOND INT64_C(1000000)
#define DEFAULT_TRACE_BYTES ((size_t)256 << 20)
#define SEARCH_BYTES ((uint64_t)256 << 20)

/* --- the question --- */

int
tempoquery_check(const struct tempoquery *q, struct err *e)
{
	if (q->query != NULL)
		return q->query[0] != '\0' ? 0 : err_set(e, ERR_USAGE, "--query: the text is empty");
	if (q->service == NULL || q->service[0] == '\0')
		return err_set(e, ERR_USAGE, "--service: a name is needed");
	for (size_t i = 0; i < q->n_tags; i++) {
		const char *eq = strchr(q->tags[i], '=');

		if (eq == NULL || eq == q->tags[i])
			return err_set(e, ERR_USAGE, "--tag: '%s' is not KEY=VALUE", q->tags[i]);
	}
	return 0;
}

static void
add_quoted(struct buf *b, const char *s, size_t n)
{
	buf_byte(b, '"');
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_byte(b, '\\');
		if (s[i] == '\n')
			buf_str(b, "\\n");
		else
			buf_byte(b, s[i]);
	}
	buf_byte(b, '"');
}

/* .key, or ."a key" where it holds more than names do. */
static void
add_key(struct buf *b, const char *s, size_t n)
{
	bool plain = true;

	for (size_t i = 0; i < n; i++)
		plain = plain && (isalnum((unsigned char)s[i]) || s[i] == '_' || s[i] == '.' || s[i] == '-');
	buf_byte(b, '.');
	if (plain)
		buf_add(b, s, n);
	else
		add_quoted(b, s, n);
}

/* A value on the command line has no type, one in the store has: numbers and truth both ways. */
static void
add_tag(struct buf *b, const char *tag)
{
	const char *eq = strchr(tag, '='), *v = eq + 1;
	size_t n = (size_t)(eq - tag);
	double d;
	bool typed = slice_double(slice_str(v), &d) || strcmp(v, "true") == 0 || strcmp(v, "false") == 0;

	buf_str(b, typed ? " && (" : " && ");
	add_key(b, tag, n);
	buf_str(b, " = ");
	add_quoted(b, v, strlen(v));
	if (!typed)
		return;
	buf_str(b, " || ");
	add_key(b, tag, n);
	buf_printf(b, " = %s)", v);
}

void
tempoquery_traceql(const struct tempoquery *q, struct buf *out)
{
	if (q->query != NULL) {
		buf_str(out, q->query);
		return;
	}
	buf_str(out, "{ resource.service.name = ");
	add_quoted(out, q->service, strlen(q->service));
	if (q->operation != NULL) {
		buf_str(out, " && name = ");
		add_quoted(out, q->operation, strlen(q->operation));
	}
	for (size_t i = 0; i < q->n_tags; i++)
		add_tag(out, q->tags[i]);
	buf_str(out, " }");
}

static void
add_encoded(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (isalnum((unsigned char)s[i]) || strchr("-._~", s[i]) != NULL)
			buf_byte(b, s[i]);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)s[i]);
	}
}

/* The base without what people paste behind it. */
static int
base_length(const char *url)
{
	static const char *const tails[] = { "/", "/api/search", "/api", "/" };
	size_t n = strcspn(url, "?#");

	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		size_t k = strlen(tails[i]);

		if (n > k && memcmp(url + n - k, tails[i], k) == 0)
			n -= k;
	}
	return (int)n;
}

/* --- one request --- */

static int
take(void *ctx, const void *p, size_t n, struct err *e)
{
	struct buf *b = ctx;

	buf_add(b, p, n);
	return buf_ok(b, e);
}

static int
restart(void *ctx, struct err *e)
{
	(void)e;
	buf_reset(ctx);
	return 0;
}

static void
server_says(const struct http_response *rs, char out[200])
{
	size_t n = strcspn(rs->head, "\r\n");

	(void)snprintf(out, 200, "%.*s", (int)(n < 180 ? n : 180), rs->head);
}

static enum jaegeroutcome
judge_status(const struct tempoquery *q, const struct http_response *rs, struct err *e)
{
	char says[200];
	int n = base_length(q->url);

	server_says(rs, says);
	if (rs->status >= 200 && rs->status < 300)
		return JAEGER_DONE;
	if (rs->status == 401 || rs->status == 403) {
		err_set(e, ERR_NOPERM, "%.*s answered %ld%s%s (see --auth-file, --token-file and --tenant)", n, q->url,
			rs->status, says[0] != '\0' ? ": " : "", says);
		return JAEGER_FAILED;
	}
	if (rs->status == 400 && strstr(rs->head, "limit") != NULL && strstr(rs->head, "exceed") != NULL) {
		err_set(e, ERR_UNAVAILABLE, "%.*s refuses the limit: %s", n, q->url, says);
		return JAEGER_LOWER_LIMIT;
	}
	if (rs->status == 400) {
		err_set(e, ERR_USAGE, "%.*s refuses the query: %s", n, q->url, says);
		return JAEGER_FAILED;
	}
	if (rs->status == 404)
		err_set(e, ERR_UNAVAILABLE, "%.*s answered 404: is --url the base of Tempo's API?", n, q->url);
	else
		err_set(e, ERR_UNAVAILABLE, "%.*s answered %ld%s%s", n, q->url, rs->status,
			says[0] != '\0' ? ": " : "", says);
	return retry_status(rs->status) ? JAEGER_AGAIN : JAEGER_FAILED;
}

/* GET into body. *status is that of the answer, 0 when none came. */
static enum jaegeroutcome
get(const struct tempoquery *q, const struct buf *url, uint64_t max, struct buf *body, double *retry_after,
	long *status, struct err *e)
{
	char tenant[300];
	const char *headers[2] = { "Accept: application/json" };
	struct http_request rq = { .url = url->p, .headers = headers, .n_headers = 1, .max_bytes = max,
		.on_body = take, .on_restart = restart, .ctx = body };
	struct http_response rs;

	buf_reset(body);
	*status = 0;
	if (buf_ok(url, e) < 0)
		return JAEGER_FAILED;
	if (q->tenant != NULL) {
		(void)snprintf(tenant, sizeof tenant, "X-Scope-OrgID: %.250s", q->tenant);
		headers[rq.n_headers++] = tenant;
	}
	if (http_do(q->http, &rq, &rs, e) < 0)
		return rs.fault == HTTP_TRANSIENT ? JAEGER_AGAIN : rs.fault == HTTP_TOO_LARGE ? JAEGER_SPLIT :
			JAEGER_FAILED;
	*retry_after = rs.retry_after;
	*status = rs.status;
	return judge_status(q, &rs, e);
}

/* --- what a search answers --- */

static bool
read_digits(struct jread *r, int64_t *out)
{
	struct slice s = SLICE_NONE;
	bool escaped;
	long long v;

	if (jread_peek(r) == JREAD_STRING ? !jread_string_raw(r, &s, &escaped) :
	    jread_peek(r) == JREAD_NUMBER ? !jread_number(r, &s) : !jread_skip(r))
		return false;
	if (s.n > 0 && slice_int(s, &v))
		*out = v;
	return true;
}

static int
read_hit(struct jread *r, struct temposearch *s, struct err *e)
{
	struct slice key, id = SLICE_NONE;
	int64_t start_ns = 0, ms = 0;
	struct tempohit h;
	void *v = s->v;
	bool escaped;

	if (!jread_object(r))
		return 0;
	while (jread_member(r, &key)) {
		if (slice_is(key, "traceID") && jread_peek(r) == JREAD_STRING)
			(void)jread_string_raw(r, &id, &escaped);
		else if (slice_is(key, "startTimeUnixNano"))
			(void)read_digits(r, &start_ns);
		else if (slice_is(key, "durationMs"))
			(void)read_digits(r, &ms);
		else
			(void)jread_skip(r);
	}
	s->found++;
	if (!jread_well(r) || !idset_parse(id, h.id))
		return 0;
	h.start_us = start_ns / 1000;
	h.end_us = h.start_us + (ms >= 0 && ms < INT64_MAX / 2000 ? ms + 1 : 0) * 1000;
	if (mem_grow(&v, &s->cap, s->n + 1, sizeof *s->v, e) < 0)
		return -1;
	s->v = v;
	s->v[s->n++] = h;
	return 0;
}

int
temposearch_parse(const char *p, size_t n, struct temposearch *s, struct err *e)
{
	struct slice key, inner;
	struct jread r;

	s->n = 0;
	s->found = 0;
	s->jobs = s->jobs_done = -1;
	jread_init(&r, p, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return err_set(e, ERR_INPUT, "not a JSON object");
	(void)jread_object(&r);
	while (jread_member(&r, &key)) {
		if (slice_is(key, "traces") && jread_peek(&r) == JREAD_ARRAY) {
			(void)jread_array(&r);
			while (jread_element(&r)) {
				if (jread_peek(&r) != JREAD_OBJECT)
					(void)jread_skip(&r);
				else if (read_hit(&r, s, e) < 0)
					return -1;
			}
		} else if (slice_is(key, "metrics") && jread_peek(&r) == JREAD_OBJECT) {
			(void)jread_object(&r);
			while (jread_member(&r, &inner)) {
				int64_t *to = slice_is(inner, "totalJobs") ? &s->jobs :
					slice_is(inner, "completedJobs") ? &s->jobs_done : NULL;

				if (to == NULL ? !jread_skip(&r) : !read_digits(&r, to))
					break;
			}
		} else {
			(void)jread_skip(&r);
		}
	}
	return jread_done(&r, e);
}

void
temposearch_finish(struct temposearch *s)
{
	free(s->v);
	*s = (struct temposearch){ .v = NULL };
}

/* --- a trace --- */

struct reading {
	struct jaegeranswer *a;
	struct jaegertrace *t;
	struct buf one;
};

/*
 * The spans of each resource come apart, and a trace is one line: lines of
 * otlpwrite are put into one another, {"resourceSpans":[A]} and {"resourceSpans":[B]}.
 */
static int
add_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	static const char head[] = "{\"resourceSpans\":[", tail[] = "]}\n";
	const size_t n_head = sizeof head - 1, n_tail = sizeof tail - 1;
	struct reading *r = ctx;
	struct buf *line = &r->a->line;

	if (b->n == 0)
		return 0;
	buf_reset(&r->one);
	if (otlpwrite_line(b->spans, b->n, &r->one, e) < 0)
		return -1;
	if (r->one.len < n_head + n_tail || memcmp(r->one.p, head, n_head) != 0)
		BUG("a line of another form");
	if (line->len > 0) {
		line->len -= n_tail;
		buf_byte(line, ',');
		buf_add(line, r->one.p + n_head, r->one.len - n_head);
	} else {
		buf_add(line, r->one.p, r->one.len);
	}
	r->t->spans += b->n;
	return buf_ok(line, e);
}

/* "status":"PARTIAL" of the second version's answers. */
static bool
is_partial(const struct buf *body)
{
	struct slice key, status = SLICE_NONE;
	struct jread r;
	bool escaped;

	jread_init(&r, body->p, body->len);
	if (jread_peek(&r) != JREAD_OBJECT || !jread_object(&r))
		return false;
	while (jread_member(&r, &key)) {
		if (slice_is(key, "status") && jread_peek(&r) == JREAD_STRING)
			(void)jread_string_raw(&r, &status, &escaped);
		else if (slice_is(key, "status"))
			(void)jread_number(&r, &status);
		else
			(void)jread_skip(&r);
	}
	return slice_is(status, "PARTIAL") || slice_is(status, "1");
}

static void
note_bad(struct jaegeranswer *a, const char *id, const char *why)
{
	if (a->bad++ == 0)
		(void)snprintf(a->bad_why, sizeof a->bad_why, "trace %s: %.200s", id, why);
}

static void
note_partial(struct jaegeranswer *a, const char *id, const char *why)
{
	a->partial = true;
	(void)snprintf(a->partial_why, sizeof a->partial_why, "trace %s: %s", id, why);
}

/* Decode a trace's body into the answer; one that makes no sense is counted. */
static int
decode_trace(const struct tempoquery *q, const struct buf *body, const char *id, struct jaegertrace *t,
	struct jaegeranswer *a, struct err *e)
{
	struct reading r = { .a = a, .t = t, .one = BUF_INIT };
	struct decode_opts o = { .on_batch = add_batch, .ctx = &r, .cancel = q->cancel,
		.max_piece_bytes = q->max_trace_bytes != 0 ? q->max_trace_bytes : DEFAULT_TRACE_BYTES };
	struct stream_in *in = stream_in_memory(body->p, body->len, e);
	int k;

	if (in == NULL)
		return -1;
	buf_reset(&a->line);
	k = decode_stream(in, &o, NULL, e);
	stream_in_close(in);
	buf_finish(&r.one);
	if (k < 0 && e->code != ERR_INPUT)
		return -1;
	if (k < 0 || a->line.len == 0) {
		note_bad(a, id, k < 0 ? e->msg : "no spans in it");
		return 0;
	}
	if (is_partial(body))
		note_partial(a, id, "the server gives only a part of it");
	t->at = a->lines.len;
	t->n_bytes = a->line.len;
	a->n++;
	return spool_write(&a->lines, a->line.p, a->line.len, e);
}

static enum jaegeroutcome
get_trace(const struct tempoquery *q, const char *id, struct buf *body, bool *old, double *retry_after,
	long *status, struct err *e)
{
	size_t max = q->max_trace_bytes != 0 ? q->max_trace_bytes : DEFAULT_TRACE_BYTES;
	enum jaegeroutcome out = JAEGER_FAILED;
	struct buf url = BUF_INIT;
	int v;

	for (v = *old ? 1 : 2; v >= 1; v--) {
		buf_reset(&url);
		buf_printf(&url, "%.*s/api/%straces/%s", base_length(q->url), q->url, v == 2 ? "v2/" : "", id);
		out = get(q, &url, max, body, retry_after, status, e);
		if (*status != 404)
			break;
	}
	/* A server that knows the first version only: this answer does not ask it for the second again. */
	if (out == JAEGER_DONE && v == 1)
		*old = true;
	buf_finish(&url);
	return out;
}

static enum jaegeroutcome
fetch_traces(const struct tempoquery *q, const struct temposearch *s, int64_t from, int64_t to,
	struct jaegeranswer *a, double *retry_after, struct err *e)
{
	struct buf body = BUF_INIT;
	enum jaegeroutcome out = JAEGER_DONE;
	bool old = false;

	for (size_t i = 0; i < s->n && out == JAEGER_DONE; i++) {
		struct jaegertrace *t = &a->traces[a->n];
		char id[33];
		long status;

		*t = (struct jaegertrace){ .start_us = s->v[i].start_us, .hit_us = INT64_MIN };
		if (s->v[i].start_us <= to && s->v[i].end_us >= from)
			t->hit_us = t->start_us < from ? from : t->start_us;
		memcpy(t->id, s->v[i].id, sizeof t->id);
		hex_format(t->id, 16, id);
		out = get_trace(q, id, &body, &old, retry_after, &status, e);
		a->bytes += body.len;
		if (status == 404) {
			note_partial(a, id, "found by the search, but not to be had");
			out = JAEGER_DONE;
		} else if (out == JAEGER_SPLIT) {
			note_bad(a, id, "larger than --max-trace-bytes");
			out = JAEGER_DONE;
		} else if (out == JAEGER_DONE && decode_trace(q, &body, id, t, a, e) < 0) {
			out = JAEGER_FAILED;
		}
	}
	buf_finish(&body);
	return out;
}

/* --- the whole --- */

/* Times alone: the window is full. A trace that began before the window counts at its edge. */
static void
keep_times(const struct temposearch *s, int64_t from, int64_t to, struct jaegeranswer *a)
{
	for (size_t i = 0; i < s->n; i++) {
		int64_t at = s->v[i].start_us < from ? from : s->v[i].start_us;
		bool touches = s->v[i].start_us <= to && s->v[i].end_us >= from;

		a->traces[a->n] = (struct jaegertrace){ .start_us = s->v[i].start_us,
			.hit_us = touches ? at : INT64_MIN };
		memcpy(a->traces[a->n++].id, s->v[i].id, 16);
	}
}

static enum jaegeroutcome
search(const struct tempoquery *q, int64_t start_us, int64_t end_us, uint64_t limit, struct temposearch *s,
	struct jaegeranswer *a, double *retry_after, struct err *e)
{
	struct buf url = BUF_INIT, ql = BUF_INIT, body = BUF_INIT;
	enum jaegeroutcome out = JAEGER_FAILED;
	long status;

	tempoquery_traceql(q, &ql);
	buf_printf(&url, "%.*s/api/search?q=", base_length(q->url), q->url);
	add_encoded(&url, buf_cstr(&ql), ql.len);
	buf_printf(&url, "&start=%" PRId64 "&end=%" PRId64 "&limit=%" PRIu64 "&spss=1", start_us / SECOND,
		end_us / SECOND, limit);
	if (buf_ok(&ql, e) == 0)
		out = get(q, &url, SEARCH_BYTES, &body, retry_after, &status, e);
	a->bytes += body.len;
	if (out == JAEGER_DONE && body.len == 0) {
		err_set(e, ERR_UNAVAILABLE, "%.*s answered nothing", base_length(q->url), q->url);
		out = JAEGER_AGAIN;
	}
	if (out == JAEGER_DONE && temposearch_parse(buf_cstr(&body), body.len, s, e) < 0) {
		out = e->code == ERR_INPUT && buf_cstr(&body)[0] == '{' ? JAEGER_AGAIN : JAEGER_FAILED;
		if (e->code == ERR_INPUT)
			e->code = ERR_UNAVAILABLE;
		err_wrap(e, "%.*s answered a search with something else: is --url the base of Tempo's API?",
			base_length(q->url), q->url);
	}
	buf_finish(&url);
	buf_finish(&ql);
	buf_finish(&body);
	return out;
}

enum jaegeroutcome
tempoquery_ask(const void *ctx, int64_t start_us, int64_t end_us, uint64_t limit, struct jaegeranswer *a,
	double *retry_after, struct err *e)
{
	const struct tempoquery *q = ctx;
	struct temposearch s = { .v = NULL };
	enum jaegeroutcome out;
	void *v = a->traces;

	jaegeranswer_reset(a);
	*retry_after = -1;
	out = search(q, start_us, end_us, limit, &s, a, retry_after, e);
	if (out != JAEGER_DONE)
		goto out;
	a->found = s.found;
	if (s.found > s.n) {
		a->bad = s.found - s.n;
		(void)snprintf(a->bad_why, sizeof a->bad_why, "a trace without a valid id");
	}
	out = JAEGER_FAILED;
	if (mem_grow(&v, &a->cap, s.n + 1, sizeof *a->traces, e) < 0)
		goto out;
	a->traces = v;
	out = JAEGER_DONE;
	if (s.found >= limit && end_us - start_us > SECOND)
		keep_times(&s, start_us, end_us, a);
	else
		out = fetch_traces(q, &s, start_us, end_us, a, retry_after, e);
	if (s.found < limit && s.jobs > s.jobs_done && s.jobs_done >= 0) {
		a->partial = true;
		(void)snprintf(a->partial_why, sizeof a->partial_why, "%" PRId64 " of %" PRId64
			" jobs of the search were done", s.jobs_done, s.jobs);
	}
out:
	temposearch_finish(&s);
	return out;
}
