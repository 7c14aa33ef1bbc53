#include "net/s3list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/xml.h"

#define MAX_PAGE ((uint64_t)16 << 20)
#define MAX_PAGES 1000000u

/* One <Contents>, <Upload>, <Part> or <CommonPrefixes> while it is read. */
struct item {
	struct buf key, id, text;
	uint64_t size, number;
	int64_t time_us;
	char etag[S3_ETAG];
	bool has_sha256;
	uint8_t sha256[32];
};

static bool
take_number(const struct buf *text, uint64_t *out)
{
	long long v;

	if (!slice_int((struct slice){ buf_cstr(text), text->len }, &v) || v < 0)
		return false;
	*out = (uint64_t)v;
	return true;
}

/* "encoding-type=url": %XX and '+' undone. False on a malformed escape or a NUL. */
static bool
undo_url(struct buf *b)
{
	size_t out = 0;

	for (size_t i = 0; i < b->len; i++) {
		char c = b->p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			unsigned v;

			if (i + 2 >= b->len || !isxdigit((unsigned char)b->p[i + 1]) ||
			    !isxdigit((unsigned char)b->p[i + 2]) || sscanf(b->p + i + 1, "%2x", &v) != 1 || v == 0)
				return false;
			c = (char)v;
			i += 2;
		}
		b->p[out++] = c;
	}
	b->len = out;
	if (b->p != NULL)
		b->p[out] = '\0';
	return true;
}

/* Cut the opened prefix off. */
static int
relative(const struct s3list_page *g, struct buf *key, const char **out, struct err *e)
{
	size_t n = strlen(g->prefix);

	if (g->encoded && !undo_url(key))
		return err_set(e, ERR_INPUT, "a key in the list is not URL-encoded as it should be");
	if (key->len < n || memcmp(buf_cstr(key), g->prefix, n) != 0)
		return err_set(e, ERR_INPUT, "the list names '%s', outside of '%s'", buf_cstr(key), g->prefix);
	*out = buf_cstr(key) + n;
	return 0;
}

static bool
read_field(struct xml *x, struct slice name, struct item *it)
{
	if (slice_is(name, "Key") || slice_is(name, "Prefix"))
		return xml_text(x, &it->key);
	if (slice_is(name, "UploadId"))
		return xml_text(x, &it->id);
	if (slice_is(name, "Size"))
		return xml_text(x, &it->text) && take_number(&it->text, &it->size);
	if (slice_is(name, "PartNumber"))
		return xml_text(x, &it->text) && take_number(&it->text, &it->number);
	if (slice_is(name, "LastModified") || slice_is(name, "Initiated")) {
		if (!xml_text(x, &it->text))
			return false;
		if (str_time("", buf_cstr(&it->text), 0, &it->time_us, NULL) < 0)
			it->time_us = 0;
		return true;
	}
	if (slice_is(name, "ChecksumSHA256")) {
		if (!xml_text(x, &it->text))
			return false;
		it->has_sha256 = s3head_decode(buf_cstr(&it->text), it->text.len, it->sha256);
		return true;
	}
	if (slice_is(name, "ETag")) {
		if (!xml_text(x, &it->text))
			return false;
		if (it->text.len < sizeof it->etag)
			memcpy(it->etag, buf_cstr(&it->text), it->text.len + 1);
		return true;
	}
	return xml_skip(x);
}

static int
tell(struct s3list_page *g, struct slice kind, struct item *it, struct err *e)
{
	const char *key;
	int r = 0;

	if (slice_is(kind, "Part") && g->on_part != NULL) {
		struct s3_part p = { .number = (unsigned)it->number, .size_bytes = it->size,
			.has_sha256 = it->has_sha256 };

		if (it->number == 0 || it->number > 10000)
			return err_set(e, ERR_INPUT, "part number %llu", (unsigned long long)it->number);
		memcpy(p.etag, it->etag, sizeof p.etag);
		memcpy(p.sha256, it->sha256, sizeof p.sha256);
		r = g->on_part(g->ctx, &p, e);
	} else if (slice_is(kind, "Upload") && g->on_upload != NULL) {
		struct s3_upload u = { .id = buf_cstr(&it->id), .begun_us = it->time_us };

		if (relative(g, &it->key, &u.key, e) < 0)
			return -1;
		r = g->on_upload(g->ctx, &u, e);
	} else if ((slice_is(kind, "Contents") || slice_is(kind, "CommonPrefixes")) && g->on_entry != NULL) {
		struct s3_entry en = { .is_prefix = slice_is(kind, "CommonPrefixes"), .size_bytes = it->size,
			.modified_us = it->time_us };

		if (relative(g, &it->key, &key, e) < 0)
			return -1;
		en.key = key;
		memcpy(en.etag, it->etag, sizeof en.etag);
		r = g->on_entry(g->ctx, &en, e);
	}
	g->stopped = r != 0;
	return r != 0 ? -1 : 0;
}

/* The fields of one element whose start was just read. */
static int
read_item(struct s3list_page *g, struct xml *x, struct slice kind, struct item *it, struct err *e)
{
	struct slice name;
	enum xml_event ev;

	buf_reset(&it->key);
	buf_reset(&it->id);
	it->size = it->number = 0;
	it->time_us = 0;
	it->etag[0] = '\0';
	it->has_sha256 = false;
	while ((ev = xml_next(x, &name)) != XML_END) {
		if (ev == XML_TEXT)
			continue;
		if (ev != XML_START)
			return xml_fail(x, e);
		if (!read_field(x, name, it))
			return x->why != NULL ? xml_fail(x, e) :
				err_set(e, ERR_INPUT, "'%s' is no value of <%.*s>", buf_cstr(&it->text),
					(int)name.n, name.p);
	}
	if (it->key.failed || it->id.failed)
		return err_nomem(e);
	return tell(g, kind, it, e);
}

static bool
is_list(struct slice name)
{
	return slice_is(name, "ListBucketResult") || slice_is(name, "ListMultipartUploadsResult") ||
		slice_is(name, "ListPartsResult");
}

static int
read_page(struct s3list_page *g, struct xml *x, struct item *it, struct err *e)
{
	struct slice name;
	enum xml_event ev;

	if (xml_next(x, &name) != XML_START)
		return xml_fail(x, e);
	if (!is_list(name))
		return err_set(e, ERR_INPUT, "<%.*s> where a list belongs", (int)name.n, name.p);
	while ((ev = xml_next(x, &name)) != XML_END_OF_TEXT) {
		bool well = true;

		if (ev == XML_TEXT || ev == XML_END)
			continue;
		if (ev != XML_START)
			return xml_fail(x, e);
		if (slice_is(name, "Contents") || slice_is(name, "CommonPrefixes") || slice_is(name, "Upload") ||
		    slice_is(name, "Part")) {
			if (read_item(g, x, name, it, e) < 0)
				return -1;
			continue;
		}
		if (slice_is(name, "IsTruncated")) {
			well = xml_text(x, &it->text);
			g->more = strcmp(buf_cstr(&it->text), "true") == 0;
		} else if (slice_is(name, "NextContinuationToken") || slice_is(name, "NextKeyMarker") ||
		           slice_is(name, "NextPartNumberMarker"))
			well = xml_text(x, &g->next);
		else if (slice_is(name, "NextUploadIdMarker"))
			well = xml_text(x, &g->next_id);
		else
			well = xml_skip(x);
		if (!well)
			return xml_fail(x, e);
	}
	return 0;
}

/* Servers answer "encoding-type=url" or ignore it; MinIO says which behind the keys. */
static bool
says_encoded(const char *p, size_t n)
{
	static const char mark[] = "<EncodingType>url<";
	const char *end = p + n;

	while ((p = memchr(p, '<', (size_t)(end - p))) != NULL) {
		if ((size_t)(end - p) >= sizeof mark - 1 && memcmp(p, mark, sizeof mark - 1) == 0)
			return true;
		p++;
	}
	return false;
}

int
s3list_parse(struct s3list_page *g, const char *p, size_t n, struct err *e)
{
	struct item it = { .key = BUF_INIT, .id = BUF_INIT, .text = BUF_INIT };
	struct xml x;
	int r;

	g->more = g->stopped = false;
	g->encoded = n > 0 && says_encoded(p, n);
	buf_reset(&g->next);
	buf_reset(&g->next_id);
	xml_init(&x, p, n);
	r = read_page(g, &x, &it, e);
	buf_finish(&it.key);
	buf_finish(&it.id);
	buf_finish(&it.text);
	return r;
}

static void
param(struct buf *q, const char *name, const char *value)
{
	buf_printf(q, "%s%s=", q->len > 0 ? "&" : "", name);
	sigv4_encode(q, value, strlen(value), false);
}

/* Key or token of the page before in its parameter. */
struct paging {
	const char *kind;		/* first parameter, with '=' */
	const char *key;		/* of the object, NULL the bucket */
	const struct buf *fixed;	/* parameters of every page */
	const char *next_name, *next_id_name;
	bool next_is_url;		/* the marker comes URL-encoded */
};

static enum s3_outcome
pages(struct s3 *s, const struct paging *pg, struct s3list_page *g, struct s3_info *info, struct err *e)
{
	struct buf query = BUF_INIT, text = BUF_INIT, before = BUF_INIT;
	enum s3_outcome out = S3_FAILED;
	struct s3ans ans;
	char what[400];

	s3req_what(s, "list", pg->key, what, sizeof what);
	for (unsigned i = 0; i < MAX_PAGES; i++) {
		struct s3req rq = { .method = "GET", .key = pg->key, .max_bytes = MAX_PAGE };

		buf_reset(&query);
		buf_printf(&query, "%s", pg->kind);
		if (pg->fixed->len > 0)
			buf_printf(&query, "&%s", buf_cstr(pg->fixed));
		if (i > 0)
			param(&query, pg->next_name, buf_cstr(&g->next));
		if (i > 0 && pg->next_id_name != NULL)
			param(&query, pg->next_id_name, buf_cstr(&g->next_id));
		if (buf_ok(&query, e) < 0)
			break;
		rq.query = buf_cstr(&query);
		if ((out = s3req_buf(s, &rq, &text, &ans, e)) != S3_OK)
			break;
		if (i == 0)
			s3req_info(&ans, info);
		buf_reset(&before);
		buf_printf(&before, "%s\n%s", buf_cstr(&g->next), buf_cstr(&g->next_id));
		if (e != NULL)
			e->code = ERR_NONE;	/* of a try that failed; a callback that stops may leave it so */
		if (s3list_parse(g, buf_cstr(&text), text.len, e) < 0) {
			out = S3_FAILED;
			if (!g->stopped)
				err_wrap(e, "%s: not S3's list", what);
			else if (e == NULL || e->code == ERR_NONE)
				out = S3_OK;
			break;
		}
		if (!g->more)
			break;
		if (pg->next_is_url && g->encoded && !undo_url(&g->next)) {
			out = S3_FAILED;
			err_set(e, ERR_INPUT, "%s: malformed marker", what);
			break;
		}
		buf_reset(&text);
		buf_printf(&text, "%s\n%s", buf_cstr(&g->next), buf_cstr(&g->next_id));
		if (g->next.len == 0 || strcmp(buf_cstr(&text), buf_cstr(&before)) == 0) {
			out = S3_FAILED;
			err_set(e, ERR_INPUT, "%s: the list goes on but does not say where", what);
			break;
		}
	}
	buf_finish(&query);
	buf_finish(&text);
	buf_finish(&before);
	buf_finish(&g->next);
	buf_finish(&g->next_id);
	return out;
}

static void
prefixed(struct s3 *s, struct buf *q, const char *name, const char *rest)
{
	buf_printf(q, "%s%s=", q->len > 0 ? "&" : "", name);
	sigv4_encode(q, s->prefix, strlen(s->prefix), false);
	sigv4_encode(q, rest, strlen(rest), false);
}

enum s3_outcome
s3list_objects(struct s3 *s, const struct s3_list *l, struct s3_info *info, struct err *e)
{
	struct s3list_page g = { .prefix = s->prefix, .on_entry = l->on_entry, .ctx = l->ctx, .next = BUF_INIT,
		.next_id = BUF_INIT };
	struct buf fixed = BUF_INIT;
	struct paging pg = { .kind = "list-type=2&encoding-type=url", .fixed = &fixed,
		.next_name = "continuation-token" };
	enum s3_outcome out = S3_FAILED;

	prefixed(s, &fixed, "prefix", l->prefix == NULL ? "" : l->prefix);
	if (l->delimiter != NULL)
		param(&fixed, "delimiter", l->delimiter);
	if (l->start_after != NULL)
		prefixed(s, &fixed, "start-after", l->start_after);
	if (l->page > 0)
		buf_printf(&fixed, "&max-keys=%u", l->page);
	if (buf_ok(&fixed, e) == 0)
		out = pages(s, &pg, &g, info, e);
	buf_finish(&fixed);
	return out;
}

enum s3_outcome
s3list_uploads(struct s3 *s, const char *prefix,
	int (*on_upload)(void *ctx, const struct s3_upload *, struct err *e), void *ctx, struct s3_info *info,
	struct err *e)
{
	struct s3list_page g = { .prefix = s->prefix, .on_upload = on_upload, .ctx = ctx, .next = BUF_INIT,
		.next_id = BUF_INIT };
	struct buf fixed = BUF_INIT;
	struct paging pg = { .kind = "uploads=&encoding-type=url", .fixed = &fixed, .next_name = "key-marker",
		.next_id_name = "upload-id-marker", .next_is_url = true };
	enum s3_outcome out = S3_FAILED;

	prefixed(s, &fixed, "prefix", prefix == NULL ? "" : prefix);
	if (buf_ok(&fixed, e) == 0)
		out = pages(s, &pg, &g, info, e);
	buf_finish(&fixed);
	return out;
}

enum s3_outcome
s3list_parts(struct s3 *s, const char *key, const char *id,
	int (*on_part)(void *ctx, const struct s3_part *, struct err *e), void *ctx, struct err *e)
{
	struct s3list_page g = { .prefix = "", .on_part = on_part, .ctx = ctx, .next = BUF_INIT, .next_id = BUF_INIT };
	struct buf kind = BUF_INIT, fixed = BUF_INIT;
	struct paging pg = { .key = key, .fixed = &fixed, .next_name = "part-number-marker" };
	enum s3_outcome out = S3_FAILED;

	param(&kind, "uploadId", id);
	pg.kind = buf_cstr(&kind);
	if (buf_ok(&kind, e) == 0)
		out = pages(s, &pg, &g, NULL, e);
	buf_finish(&kind);
	return out;
}
