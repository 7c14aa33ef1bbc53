#include "net/sigv4.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "fmt/hash.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

static bool
unreserved(unsigned char c)
{
	return isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

static void
encode_byte(struct buf *out, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	buf_byte(out, '%');
	buf_byte(out, digits[c >> 4]);
	buf_byte(out, digits[c & 15]);
}

void
sigv4_encode(struct buf *out, const char *s, size_t n, bool slash)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (unreserved(c) || (slash && c == '/'))
			buf_byte(out, c);
		else
			encode_byte(out, c);
	}
}

void
sigv4_time(int64_t wall_us, char out[SIGV4_TIME])
{
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, SIGV4_TIME, "%Y%m%dT%H%M%SZ", &tm) != SIGV4_TIME - 1)
		memcpy(out, "19700101T000000Z", SIGV4_TIME);
}

static int
digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ?
		tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* As sigv4_encode, but "%XX" counts as the byte that it stands for. */
static void
recode(struct buf *out, struct slice s, bool slash)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '%' && i + 2 < s.n && digit(s.p[i + 1]) >= 0 && digit(s.p[i + 2]) >= 0) {
			char byte = (char)(digit(s.p[i + 1]) * 16 + digit(s.p[i + 2]));

			/* An encoded slash stays one: it is part of a segment. */
			sigv4_encode(out, &byte, 1, false);
			i += 2;
		} else {
			sigv4_encode(out, s.p + i, 1, slash);
		}
	}
}

/* RFC 3986, 5.2.4, and runs of slashes to one: in place. */
static void
normalise(struct buf *path)
{
	size_t in = 0, out = 0, n = path->len;
	char *p = path->p;
	bool dir = true;

	while (in < n) {
		size_t from;

		while (in < n && p[in] == '/')
			in++;
		from = in;
		while (in < n && p[in] != '/')
			in++;
		dir = in < n || from == in;
		if (in - from == 1 && p[from] == '.') {
			dir = true;
		} else if (in - from == 2 && p[from] == '.' && p[from + 1] == '.') {
			while (out > 0 && p[--out] != '/')
				;
			dir = true;
		} else if (in > from) {
			p[out++] = '/';
			memmove(p + out, p + from, in - from);
			out += in - from;
		}
	}
	if (out == 0 || dir)
		p[out++] = '/';
	path->len = out;
	p[out] = '\0';
}

static int
canonical_path(const struct sigv4 *s, struct buf *out, struct err *e)
{
	struct buf once = BUF_INIT;

	if (s->path[0] != '/')
		buf_byte(&once, '/');
	if (s->encode_twice)
		buf_str(&once, s->path);
	else
		recode(&once, slice_str(s->path), true);
	if (buf_ok(&once, e) < 0) {
		buf_finish(&once);
		return -1;
	}
	if (s->normalise)
		normalise(&once);
	if (s->encode_twice)
		sigv4_encode(out, once.p, once.len, true);
	else
		buf_add(out, once.p, once.len);
	buf_finish(&once);
	return 0;
}

struct pair { struct slice name, value; size_t order; };

static int
compare_bytes(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

static int
compare_pairs(const void *pa, const void *pb)
{
	const struct pair *a = pa, *b = pb;
	int r = compare_bytes(a->name, b->name);

	if (r == 0 && a->order == b->order)
		r = compare_bytes(a->value, b->value);
	return r != 0 ? r : (a->order > b->order) - (a->order < b->order);
}

/* The pairs of the query encoded again and sorted: by name, then value, both encoded. */
static int
canonical_query(const struct sigv4 *s, struct buf *out, struct err *e)
{
	struct slice q = slice_str(s->query == NULL ? "" : s->query);
	struct buf text = BUF_INIT;
	struct pair *pair;
	size_t n = 1, k = 0;
	int r = -1;

	for (size_t i = 0; i < q.n; i++)
		n += q.p[i] == '&';
	pair = mem_calloc(n, sizeof *pair, e);
	if (pair == NULL || !buf_reserve(&text, 3 * q.n + 1)) {
		if (pair != NULL)
			err_nomem(e);
		goto out;
	}
	while (q.n > 0) {
		const char *amp = memchr(q.p, '&', q.n), *eq;
		struct slice one = { q.p, amp == NULL ? q.n : (size_t)(amp - q.p) };
		struct slice value = SLICE_LIT("");

		q.p += one.n + (amp != NULL);
		q.n -= one.n + (amp != NULL);
		if (one.n == 0)
			continue;
		if ((eq = memchr(one.p, '=', one.n)) != NULL) {
			value = (struct slice){ eq + 1, one.n - (size_t)(eq + 1 - one.p) };
			one.n = (size_t)(eq - one.p);
		}
		/* The buffer has room for the longest outcome: it never moves. */
		pair[k].name.p = text.p + text.len;
		recode(&text, one, false);
		pair[k].name.n = (size_t)(text.p + text.len - pair[k].name.p);
		pair[k].value.p = text.p + text.len;
		recode(&text, value, false);
		pair[k].value.n = (size_t)(text.p + text.len - pair[k].value.p);
		k++;
	}
	qsort(pair, k, sizeof *pair, compare_pairs);
	for (size_t i = 0; i < k; i++) {
		buf_str(out, i > 0 ? "&" : "");
		buf_add(out, pair[i].name.p, pair[i].name.n);
		buf_byte(out, '=');
		buf_add(out, pair[i].value.p, pair[i].value.n);
	}
	r = 0;
out:
	free(pair);
	buf_finish(&text);
	return r;
}

static void
add_folded(struct buf *out, struct slice v)
{
	v = slice_trim(v);
	for (size_t i = 0; i < v.n; i++) {
		if (!isspace((unsigned char)v.p[i]))
			buf_byte(out, v.p[i]);
		else if (!isspace((unsigned char)v.p[i - 1]))
			buf_byte(out, ' ');
	}
}

/* "name:value\n" of each header in lines, "a;b" of the names in names; either may be NULL. */
static int
canonical_headers(const struct sigv4 *s, struct buf *lines, struct buf *names, struct err *e)
{
	struct pair *h = mem_calloc(s->n_headers + 1, sizeof *h, e);
	struct buf low = BUF_INIT;
	size_t total = 0;
	int r = -1;

	if (h == NULL)
		return -1;
	for (size_t i = 0; i < s->n_headers; i++)
		total += strlen(s->headers[i].name);
	if (!buf_reserve(&low, total + 1)) {
		err_nomem(e);
		goto out;
	}
	for (size_t i = 0; i < s->n_headers; i++) {
		const char *name = s->headers[i].name;

		h[i] = (struct pair){ { low.p + low.len, strlen(name) }, slice_str(s->headers[i].value), i };
		for (; *name != '\0'; name++)
			buf_byte(&low, tolower((unsigned char)*name));
	}
	qsort(h, s->n_headers, sizeof *h, compare_pairs);
	for (size_t i = 0; i < s->n_headers; i++) {
		bool again = i > 0 && slice_eq(h[i].name, h[i - 1].name);

		if (lines != NULL) {
			if (again) {
				lines->len--;	/* the newline */
				buf_byte(lines, ',');
			} else {
				buf_add(lines, h[i].name.p, h[i].name.n);
				buf_byte(lines, ':');
			}
			add_folded(lines, h[i].value);
			buf_byte(lines, '\n');
		}
		if (names != NULL && !again) {
			buf_str(names, i > 0 ? ";" : "");
			buf_add(names, h[i].name.p, h[i].name.n);
		}
	}
	r = 0;
out:
	buf_finish(&low);
	free(h);
	return r;
}

int
sigv4_canonical(const struct sigv4 *s, struct buf *out, struct err *e)
{
	buf_printf(out, "%s\n", s->method);
	if (canonical_path(s, out, e) < 0)
		return -1;
	buf_byte(out, '\n');
	if (canonical_query(s, out, e) < 0)
		return -1;
	buf_byte(out, '\n');
	if (canonical_headers(s, out, NULL, e) < 0)
		return -1;
	buf_byte(out, '\n');
	if (canonical_headers(s, NULL, out, e) < 0)
		return -1;
	buf_printf(out, "\n%s", s->payload);
	return buf_ok(out, e);
}

static void
add_scope(const struct sigv4 *s, struct buf *out)
{
	buf_printf(out, "%.8s/%s/%s/aws4_request", s->time, s->region, s->service);
}

int
sigv4_string_to_sign(const struct sigv4 *s, const struct buf *canonical, struct buf *out, struct err *e)
{
	uint8_t digest[32];
	char hex[SIGV4_HEX];

	sha256_bytes(canonical->p, canonical->len, digest);
	hex_format(digest, sizeof digest, hex);
	buf_printf(out, ALGORITHM "\n%s\n", s->time);
	add_scope(s, out);
	buf_printf(out, "\n%s", hex);
	return buf_ok(out, e);
}

/* HMAC (RFC 2104) over SHA-256. */
static void
hmac(const void *key, size_t n_key, const void *p, size_t n, uint8_t out[32])
{
	uint8_t block[64] = { 0 }, inner[32];
	struct sha256 h;

	if (n_key > sizeof block)
		sha256_bytes(key, n_key, block);
	else
		memcpy(block, key, n_key);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36;
	sha256_init(&h);
	sha256_add(&h, block, sizeof block);
	sha256_add(&h, p, n);
	sha256_final(&h, inner);
	for (size_t i = 0; i < sizeof block; i++)
		block[i] ^= 0x36 ^ 0x5c;
	sha256_init(&h);
	sha256_add(&h, block, sizeof block);
	sha256_add(&h, inner, sizeof inner);
	sha256_final(&h, out);
	explicit_bzero(block, sizeof block);
	explicit_bzero(&h, sizeof h);
}

void
sigv4_signature(const struct sigv4 *s, const struct buf *text, char out[SIGV4_HEX])
{
	uint8_t key[32], first[64];
	size_t n = strlen(s->secret);
	char *long_key = NULL;

	/* "AWS4" and the secret; a secret longer than AWS's 40 bytes is possible elsewhere. */
	if (n + 4 > sizeof first && (long_key = malloc(n + 4)) != NULL) {
		memcpy(long_key, "AWS4", 4);
		memcpy(long_key + 4, s->secret, n);
		sha256_bytes(long_key, n + 4, first);	/* what HMAC makes of a long key */
		explicit_bzero(long_key, n + 4);
		free(long_key);
		n = 32;
	} else {
		if (n + 4 > sizeof first)
			n = sizeof first - 4;	/* no memory: a wrong signature is refused by the server */
		memcpy(first, "AWS4", 4);
		memcpy(first + 4, s->secret, n);
		n += 4;
	}
	hmac(first, n, s->time, 8, key);
	hmac(key, sizeof key, s->region, strlen(s->region), key);
	hmac(key, sizeof key, s->service, strlen(s->service), key);
	hmac(key, sizeof key, "aws4_request", 12, key);
	hmac(key, sizeof key, text->p, text->len, key);
	hex_format(key, sizeof key, out);
	explicit_bzero(key, sizeof key);
	explicit_bzero(first, sizeof first);
}

static int
sign(const struct sigv4 *s, char out[SIGV4_HEX], struct err *e)
{
	struct buf canonical = BUF_INIT, text = BUF_INIT;
	int r = -1;

	if (sigv4_canonical(s, &canonical, e) == 0 && sigv4_string_to_sign(s, &canonical, &text, e) == 0) {
		sigv4_signature(s, &text, out);
		r = 0;
	}
	buf_finish(&canonical);
	buf_finish(&text);
	return r;
}

int
sigv4_authorization(const struct sigv4 *s, struct buf *out, struct err *e)
{
	char signature[SIGV4_HEX];

	if (sign(s, signature, e) < 0)
		return -1;
	buf_printf(out, ALGORITHM " Credential=%s/", s->key_id);
	add_scope(s, out);
	buf_str(out, ", SignedHeaders=");
	if (canonical_headers(s, NULL, out, e) < 0)
		return -1;
	buf_printf(out, ", Signature=%s", signature);
	return buf_ok(out, e);
}

int
sigv4_presign(const struct sigv4 *s, unsigned seconds, const char *token, struct buf *out, struct err *e)
{
	struct buf query = BUF_INIT, part = BUF_INIT;
	char signature[SIGV4_HEX];
	struct sigv4 with = *s;
	int r = -1;

	if (s->query != NULL && s->query[0] != '\0')
		buf_printf(&query, "%s&", s->query);
	buf_printf(&part, "%s/", s->key_id);
	add_scope(s, &part);
	buf_str(&query, "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
	sigv4_encode(&query, buf_cstr(&part), part.len, false);
	buf_printf(&query, "&X-Amz-Date=%s&X-Amz-Expires=%u", s->time, seconds);
	if (token != NULL && token[0] != '\0') {
		buf_str(&query, "&X-Amz-Security-Token=");
		sigv4_encode(&query, token, strlen(token), false);
	}
	buf_reset(&part);
	if (canonical_headers(s, NULL, &part, e) < 0)
		goto out;
	buf_str(&query, "&X-Amz-SignedHeaders=");
	sigv4_encode(&query, buf_cstr(&part), part.len, false);
	with.query = buf_cstr(&query);
	if (buf_ok(&query, e) < 0 || buf_ok(&part, e) < 0 || sign(&with, signature, e) < 0)
		goto out;
	buf_add(out, query.p, query.len);
	buf_printf(out, "&X-Amz-Signature=%s", signature);
	r = buf_ok(out, e);
out:
	buf_finish(&query);
	buf_finish(&part);
	return r;
}
