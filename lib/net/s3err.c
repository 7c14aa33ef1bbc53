#include "net/s3err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fmt/xml.h"

static void
copy(char *to, size_t cap, const struct buf *text)
{
	size_t n = text->len < cap ? text->len : cap - 1;

	/* Cut between characters. */
	while (n > 0 && n < text->len && ((unsigned char)text->p[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, buf_cstr(text), n);
	to[n] = '\0';
}

void
s3err_parse(const char *p, size_t n, struct s3err *out)
{
	struct buf text = BUF_INIT;
	struct slice name;
	struct xml x;

	*out = (struct s3err){ 0 };
	xml_init(&x, p, n);
	if (xml_next(&x, &name) != XML_START || !slice_is(name, "Error"))
		return;
	out->is_error = true;
	for (;;) {
		enum xml_event ev = xml_next(&x, &name);

		if (ev == XML_TEXT)
			continue;
		if (ev != XML_START)
			break;
		if (slice_is(name, "Code") && xml_text(&x, &text))
			copy(out->code, sizeof out->code, &text);
		else if (slice_is(name, "Message") && xml_text(&x, &text))
			copy(out->message, sizeof out->message, &text);
		else if (slice_is(name, "Region") && xml_text(&x, &text))
			copy(out->region, sizeof out->region, &text);
		else if (slice_is(name, "ServerTime") && xml_text(&x, &text))
			copy(out->server_time, sizeof out->server_time, &text);
		else if (!xml_skip(&x))
			break;
	}
	buf_finish(&text);
}

static bool
is(const struct s3err *s, const char *code)
{
	return strcmp(s->code, code) == 0;
}

bool
s3err_transient(long status, const struct s3err *s)
{
	if (is(s, "SlowDown") || is(s, "InternalError") || is(s, "ServiceUnavailable") ||
	    is(s, "RequestTimeout") || is(s, "ConditionalRequestConflict") || is(s, "OperationAborted"))
		return true;
	if (is(s, "XMinioStorageFull"))
		return false;
	return status == 408 || status == 425 || status == 429 || status == 500 ||
		(status >= 502 && status <= 504) || (status >= 520 && status <= 530);
}

bool
s3err_expired(const struct s3err *s)
{
	return is(s, "ExpiredToken") || is(s, "ExpiredTokenException") || is(s, "TokenRefreshRequired") ||
		is(s, "RequestExpired");
}

/* "31 min 4 s" */
static void
span_text(int64_t s, char out[32])
{
	if (s >= 3600)
		snprintf(out, 32, "%lld h %lld min", (long long)s / 3600, (long long)s % 3600 / 60);
	else
		snprintf(out, 32, "%lld min %lld s", (long long)s / 60, (long long)s % 60);
}

static enum s3_outcome
clock_off(const struct s3err *s, const struct s3head *h, const struct s3err_context *c, struct err *e)
{
	char server[28], span[32];
	int64_t at_us = h->date_s * 1000000, off;

	if (h->date_s == 0 && str_time("", s->server_time, 0, &at_us, NULL) < 0) {
		err_set(e, ERR_NOPERM, "%s: the server refuses this machine's clock", c->what);
		return S3_REFUSED;
	}
	off = (c->now_us - at_us) / 1000000;
	str_iso8601(at_us, server);
	server[19] = 'Z';
	server[20] = '\0';
	span_text(off < 0 ? -off : off, span);
	err_set(e, ERR_NOPERM, "%s: this machine's clock is %s %s the server's (%s there): set it", c->what,
		span, off < 0 ? "behind" : "ahead of", server);
	return S3_REFUSED;
}

static enum s3_outcome
wrong_region(const char *right, const struct s3err_context *c, struct err *e)
{
	if (right[0] == '\0')
		err_set(e, ERR_CONFIG, "%s: '%s' is not the bucket's region: name it with AWS_REGION or --region",
			c->what, c->region);
	else
		err_set(e, ERR_CONFIG, "%s: the bucket's region is '%s', not '%s': set AWS_REGION or --region",
			c->what, right, c->region);
	return S3_REFUSED;
}

static enum s3_outcome
redirected(const struct s3err *s, const struct s3head *h, const struct s3err_context *c, struct err *e)
{
	const char *region = h->region[0] != '\0' ? h->region : s->region;

	if (region[0] != '\0' && strcmp(region, c->region) != 0)
		return wrong_region(region, c, e);
	err_set(e, ERR_NOPERM, "%s: %s redirects to %s: not followed, credentials go to no other host",
		c->what, c->endpoint, h->location[0] == '\0' ? "somewhere unnamed" : h->location);
	return S3_REFUSED;
}

/* Code and message, or what else there is to say. */
static int
plain(enum err_code code, long status, const struct s3err *s, const struct s3err_context *c, struct err *e)
{
	if (s->code[0] != '\0')
		return err_set(e, code, "%s: %ld %s%s%s", c->what, status, s->code,
			s->message[0] == '\0' ? "" : ": ", s->message);
	if (c->content_type != NULL && strncmp(c->content_type, "text/html", 9) == 0)
		return err_set(e, code, "%s: %ld with a web page, not S3's answer: a proxy, or the wrong endpoint? (%s)",
			c->what, status, c->endpoint);
	if (status == 404)
		return err_set(e, code, "%s: there is no such object (404)", c->what);
	return err_set(e, code, "%s: the server answers %ld and gives no reason", c->what, status);
}

/* Codes whose meaning does not follow from their status. */
static const struct {
	const char *code;
	enum s3_outcome outcome;
	enum err_code exit;
} by_code[] = {
	{ "NoSuchKey", S3_NOT_FOUND, ERR_NOINPUT },
	{ "NoSuchBucket", S3_NOT_FOUND, ERR_NOINPUT },
	{ "NoSuchUpload", S3_NOT_FOUND, ERR_NOINPUT },
	{ "NoSuchVersion", S3_NOT_FOUND, ERR_NOINPUT },
	{ "XAdminUserNotFound", S3_REFUSED, ERR_NOPERM },	/* versitygw: unknown key id, as 404 */
	{ "XAdminNoSuchUser", S3_REFUSED, ERR_NOPERM },
	{ "InvalidAccessKeyId", S3_REFUSED, ERR_NOPERM },
	{ "AccessDenied", S3_REFUSED, ERR_NOPERM },
	{ "SignatureDoesNotMatch", S3_REFUSED, ERR_NOPERM },
	{ "InvalidToken", S3_REFUSED, ERR_NOPERM },
	{ "InvalidTokenId", S3_REFUSED, ERR_NOPERM },
	{ "ExpiredToken", S3_REFUSED, ERR_NOPERM },
	{ "ExpiredTokenException", S3_REFUSED, ERR_NOPERM },
	{ "TokenRefreshRequired", S3_REFUSED, ERR_NOPERM },
	{ "PreconditionFailed", S3_PRECONDITION, ERR_NO },
	{ "ConditionalRequestConflict", S3_CONFLICT, ERR_TEMPFAIL },
	{ "OperationAborted", S3_CONFLICT, ERR_TEMPFAIL },
	{ "BadDigest", S3_CHANGED, ERR_INPUT },
	{ "XAmzContentSHA256Mismatch", S3_CHANGED, ERR_INPUT },
	{ "XAmzContentChecksumMismatch", S3_CHANGED, ERR_INPUT },
	{ "InvalidRange", S3_CHANGED, ERR_INPUT },
	{ "RequestTimeout", S3_UNAVAILABLE, ERR_UNAVAILABLE },
	{ "SlowDown", S3_UNAVAILABLE, ERR_UNAVAILABLE },
	{ "InternalError", S3_UNAVAILABLE, ERR_UNAVAILABLE },
	{ "ServiceUnavailable", S3_UNAVAILABLE, ERR_UNAVAILABLE },
	{ "XMinioStorageFull", S3_UNAVAILABLE, ERR_UNAVAILABLE },
};

static enum s3_outcome
by_status(long status, enum err_code *code)
{
	switch (status) {
	case 404: *code = ERR_NOINPUT; return S3_NOT_FOUND;
	case 409: *code = ERR_TEMPFAIL; return S3_CONFLICT;
	case 412: *code = ERR_NO; return S3_PRECONDITION;
	case 416: *code = ERR_INPUT; return S3_CHANGED;
	case 401: case 403: case 407: *code = ERR_NOPERM; return S3_REFUSED;
	case 408: case 425: case 429: *code = ERR_UNAVAILABLE; return S3_UNAVAILABLE;
	default: break;
	}
	if (status >= 500) {
		*code = ERR_UNAVAILABLE;
		return S3_UNAVAILABLE;
	}
	*code = ERR_INPUT;
	return S3_FAILED;
}

enum s3_outcome
s3err_outcome(long status, const struct s3err *s, const struct s3head *h, const struct s3err_context *c,
	struct err *e)
{
	enum s3_outcome out;
	enum err_code code;

	if (status == 304)
		return S3_NOT_MODIFIED;
	if (is(s, "RequestTimeTooSkewed"))
		return clock_off(s, h, c, e);
	if (is(s, "AuthorizationHeaderMalformed") && s->region[0] != '\0' && strcmp(s->region, c->region) != 0)
		return wrong_region(s->region, c, e);
	if (is(s, "AuthorizationHeaderMalformed") && h->region[0] != '\0' && strcmp(h->region, c->region) != 0)
		return wrong_region(h->region, c, e);
	if (is(s, "IllegalLocationConstraintException") || is(s, "InvalidRegion"))
		return wrong_region(s->region, c, e);
	if (is(s, "AuthorizationHeaderMalformed") && strstr(s->message, "region") != NULL) {
		plain(ERR_CONFIG, status, s, c, e);
		return S3_REFUSED;
	}
	if (status >= 300 && status < 400)
		return redirected(s, h, c, e);
	out = by_status(status, &code);
	for (size_t i = 0; i < sizeof by_code / sizeof by_code[0]; i++) {
		if (is(s, by_code[i].code)) {
			out = by_code[i].outcome;
			code = by_code[i].exit;
		}
	}
	plain(code, status, s, c, e);
	return out;
}
