#include "net/s3head.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "net/retry.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
s3head_encode(const uint8_t in[32], char out[S3HEAD_BASE64])
{
	uint8_t p[33] = { 0 };

	memcpy(p, in, 32);
	for (size_t i = 0; i < 11; i++) {
		unsigned v = (unsigned)p[3 * i] << 16 | (unsigned)p[3 * i + 1] << 8 | p[3 * i + 2];

		for (size_t k = 0; k < 4; k++)
			out[4 * i + k] = letters[v >> (18 - 6 * k) & 63];
	}
	out[43] = '=';
	out[44] = '\0';
}

bool
s3head_decode(const char *text, size_t n, uint8_t out[32])
{
	uint8_t p[33];

	if (n != 44 || text[43] != '=')
		return false;
	for (size_t i = 0; i < 11; i++) {
		unsigned v = 0;

		for (size_t k = 0; k < 4; k++) {
			char c = text[4 * i + k];
			const char *at = 4 * i + k == 43 ? letters : strchr(letters, c);

			if (c == '\0' || at == NULL)
				return false;
			v = v << 6 | (unsigned)(at - letters);
		}
		p[3 * i] = (uint8_t)(v >> 16);
		p[3 * i + 1] = (uint8_t)(v >> 8);
		p[3 * i + 2] = (uint8_t)v;
	}
	if (p[32] != 0)
		return false;
	memcpy(out, p, 32);
	return true;
}

bool
s3head_hex(const char *text, size_t n, uint8_t out[32])
{
	if (n != 64)
		return false;
	for (size_t i = 0; i < 64; i++) {
		unsigned char c = (unsigned char)text[i];
		int d = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return false;
		out[i / 2] = (uint8_t)(i % 2 == 0 ? d << 4 : out[i / 2] | d);
	}
	return true;
}

/* Printable ASCII that fits; anything else leaves to empty. */
static void
copy(char *to, size_t cap, struct slice v)
{
	to[0] = '\0';
	if (v.n >= cap)
		return;
	for (size_t i = 0; i < v.n; i++) {
		if ((unsigned char)v.p[i] < 0x20 || (unsigned char)v.p[i] > 0x7e)
			return;
	}
	memcpy(to, v.p, v.n);
	to[v.n] = '\0';
}

static int64_t
date(struct slice v)
{
	char text[64];
	int64_t s;

	copy(text, sizeof text, v);
	return retry_http_date(text, &s) ? s : 0;
}

static bool
number(const char **p, const char *end, uint64_t *out)
{
	const char *from = *p;
	uint64_t v = 0;

	for (; *p < end && isdigit((unsigned char)**p); ++*p) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(**p - '0');
	}
	*out = v;
	return *p > from;
}

/* "bytes 0-99/1234", total possibly "*". */
static void
content_range(struct s3head *h, struct slice v)
{
	const char *p = v.p, *end = v.p + v.n;
	uint64_t a, b, total = UINT64_MAX;

	if (!slice_starts(v, "bytes "))
		return;
	p += 6;
	if (!number(&p, end, &a) || p == end || *p++ != '-' || !number(&p, end, &b) || p == end || *p++ != '/')
		return;
	if (!(p + 1 == end && *p == '*') && (!number(&p, end, &total) || p != end))
		return;
	if (b < a || total <= b)
		return;
	h->has_range = true;
	h->first = a;
	h->last = b;
	h->total = total;
}

static void
take(struct s3head *h, struct slice name, struct slice v)
{
	char low[48];
	const char *p = v.p;

	if (name.n >= sizeof low)
		return;
	for (size_t i = 0; i < name.n; i++)
		low[i] = (char)tolower((unsigned char)name.p[i]);
	low[name.n] = '\0';
	if (strcmp(low, "etag") == 0) {
		/* A weak one fits no If-Match. */
		copy(h->etag, sizeof h->etag, v);
		if (h->etag[0] != '"')
			h->etag[0] = '\0';
	} else if (strcmp(low, "date") == 0)
		h->date_s = date(v);
	else if (strcmp(low, "last-modified") == 0)
		h->modified_s = date(v);
	else if (strcmp(low, "location") == 0)
		copy(h->location, sizeof h->location, v);
	else if (strcmp(low, "x-amz-request-id") == 0)
		copy(h->request_id, sizeof h->request_id, v);
	else if (strcmp(low, "x-amz-bucket-region") == 0)
		copy(h->region, sizeof h->region, v);
	else if (strcmp(low, "x-minio-error-code") == 0)
		copy(h->code, sizeof h->code, v);
	else if (strcmp(low, "content-length") == 0)
		h->has_length = number(&p, v.p + v.n, &h->length) && p == v.p + v.n;
	else if (strcmp(low, "content-range") == 0)
		content_range(h, v);
	else if (strcmp(low, "x-amz-checksum-sha256") == 0)
		h->has_checksum = s3head_decode(v.p, v.n, h->checksum);
	else if (strcmp(low, "x-amz-meta-llmr-sha256") == 0)
		h->has_meta = s3head_hex(v.p, v.n, h->meta);
}

void
s3head_line(struct s3head *h, const char *line, size_t n)
{
	const char *colon;

	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		*h = (struct s3head){ .total = UINT64_MAX };
		return;
	}
	if ((colon = memchr(line, ':', n)) != NULL)
		take(h, (struct slice){ line, (size_t)(colon - line) },
			slice_trim((struct slice){ colon + 1, n - (size_t)(colon + 1 - line) }));
}
