#include "fmt/jread.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void
jread_init(struct jread *r, const char *p, size_t n)
{
	*r = (struct jread){ .start = p, .p = p, .end = n == 0 ? p : p + n };
}

static bool
fail_at(struct jread *r, const char *at, const char *why)
{
	if (r->why == NULL) {
		r->why = why;
		r->at = at;
	}
	return false;
}

static void
skip_space(struct jread *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
}

enum jread_type
jread_peek(struct jread *r)
{
	if (r->why != NULL)
		return JREAD_ERROR;
	skip_space(r);
	if (r->p == r->end) {
		fail_at(r, r->p, "the text ends where a value should be");
		return JREAD_ERROR;
	}
	switch (*r->p) {
	case '{':
		return JREAD_OBJECT;
	case '[':
		return JREAD_ARRAY;
	case '"':
		return JREAD_STRING;
	case 't':
		return JREAD_TRUE;
	case 'f':
		return JREAD_FALSE;
	case 'n':
		return JREAD_NULL;
	default:
		if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
			return JREAD_NUMBER;
		fail_at(r, r->p, "not a JSON value");
		return JREAD_ERROR;
	}
}

static bool
enter(struct jread *r, enum jread_type type, const char *why)
{
	enum jread_type t = jread_peek(r);

	if (t == JREAD_ERROR)
		return false;
	if (t != type)
		return fail_at(r, r->p, why);
	if (r->depth >= JREAD_MAX_DEPTH)
		return fail_at(r, r->p, "nested too deeply");
	r->depth++;
	r->p++;
	r->first = true;
	return true;
}

bool
jread_object(struct jread *r)
{
	return enter(r, JREAD_OBJECT, "an object is needed here");
}

bool
jread_array(struct jread *r)
{
	return enter(r, JREAD_ARRAY, "an array is needed here");
}

/* At the end of a container (consumes it), at the next member, or wrong. */
static bool
another(struct jread *r, char close)
{
	bool first = r->first;

	if (r->why != NULL)
		return false;
	skip_space(r);
	r->first = false;
	if (r->p == r->end)
		return fail_at(r, r->p, "the text ends inside an object or array");
	if (*r->p == close) {
		r->p++;
		r->depth--;
		return false;
	}
	if (first)
		return true;
	if (*r->p != ',')
		return fail_at(r, r->p, "a comma or a closing bracket is missing");
	r->p++;
	return true;
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What stands for the byte behind a backslash; 0 when it is no escape (or \\u, which is another matter). */
static char
escaped_byte(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return 0;
	}
}

/* Past one escape sequence that begins at p (a backslash); NULL when it is bad. */
static const char *
past_escape(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u')
		return escaped_byte(p[1]) != 0 ? p + 2 : NULL;
	if (end - p < 6)
		return NULL;
	for (int i = 2; i < 6; i++)
		if (!is_hex(p[i]))
			return NULL;
	return p + 6;
}

/*
 * First byte in p..end that is a quote, a backslash or a control byte; *high is
 * set when a byte before it is not ASCII.
 */
static inline const char *
find_special(const char *p, const char *end, bool *high)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i top = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
		unsigned bits = (unsigned)_mm_movemask_epi8(
			_mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, top), v)));
		unsigned above = (unsigned)_mm_movemask_epi8(v);

		if (bits != 0) {
			unsigned n = (unsigned)__builtin_ctz(bits);

			*high |= (above & ((1u << n) - 1)) != 0;
			return p + n;
		}
		*high |= above != 0;
	}
#endif
	for (; p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
		*high |= (unsigned char)*p >= 0x80;
	return p;
}

/* Body of a string whose opening quote is consumed. */
static bool
string_body(struct jread *r, struct slice *out, bool *escaped)
{
	const char *start = r->p, *p = r->p, *next;
	bool high = false;

	*escaped = false;
	for (;;) {
		p = find_special(p, r->end, &high);
		if (p == r->end)
			return fail_at(r, start, "the text ends inside a string");
		if (*p == '"')
			break;
		if ((unsigned char)*p < 0x20)
			return fail_at(r, p, "a raw control byte stands in a string");
		next = past_escape(p, r->end);
		if (next == NULL)
			return fail_at(r, p, "a bad escape stands in a string");
		*escaped = true;
		p = next;
	}
	out->p = start;
	out->n = (size_t)(p - start);
	if (high) {
		size_t bad = utf8_valid(start, out->n);

		if (bad < out->n)
			return fail_at(r, start + bad, "invalid UTF-8");
	}
	r->p = p + 1;
	return true;
}

bool
jread_string_raw(struct jread *r, struct slice *out, bool *escaped)
{
	enum jread_type t = jread_peek(r);

	*out = SLICE_NONE;
	*escaped = false;
	if (t == JREAD_ERROR)
		return false;
	if (t != JREAD_STRING)
		return fail_at(r, r->p, "a string is needed here");
	r->p++;
	return string_body(r, out, escaped);
}

bool
jread_member(struct jread *r, struct slice *key)
{
	bool escaped;

	*key = SLICE_NONE;
	if (!another(r, '}'))
		return false;
	skip_space(r);
	if (r->p == r->end || *r->p != '"')
		return fail_at(r, r->p, "a member's name is missing");
	r->p++;
	if (!string_body(r, key, &escaped))
		return false;
	skip_space(r);
	if (r->p == r->end || *r->p != ':')
		return fail_at(r, r->p, "a colon is missing");
	r->p++;
	return true;
}

bool
jread_element(struct jread *r)
{
	return another(r, ']');
}

static unsigned
hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i];

		v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

/* Decode the \u escape at *p (pairs joined, lone halves U+FFFD); advances *p. */
static uint32_t
unicode_escape(const char **p, const char *end)
{
	unsigned a = hex4(*p + 2), b;

	*p += 6;
	if (a < 0xd800 || a > 0xdfff)
		return a;
	if (a > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0xfffd;
	b = hex4(*p + 2);
	if (b < 0xdc00 || b > 0xdfff)
		return 0xfffd;
	*p += 6;
	return 0x10000 + ((a - 0xd800) << 10) + (b - 0xdc00);
}

/*
 * Copy p..end up to the first backslash to q; returns how many bytes. Room for
 * 15 bytes more than there are is at q.
 */
static inline size_t
copy_plain(char *q, const char *p, const char *end)
{
	const char *start = p;

#ifdef __SSE2__
	for (; end - p >= 16; p += 16, q += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned bits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

		_mm_storeu_si128((__m128i *)(void *)q, v);
		if (bits != 0)
			return (size_t)(p - start) + (size_t)__builtin_ctz(bits);
	}
#endif
	while (p < end && *p != '\\')
		*q++ = *p++;
	return (size_t)(p - start);
}

bool
jread_unescape(struct slice raw, struct arena *a, struct slice *out)
{
	const char *p = raw.p, *end = raw.p + raw.n;
	/* Decoding never grows: 6 bytes of \uXXXX give at most 3. */
	char *q = arena_alloc(a, raw.n + 16, NULL), *start = q;

	if (q == NULL)
		return false;
	while (p < end) {
		size_t n = copy_plain(q, p, end);

		q += n;
		p += n;
		if (p == end)
			break;
		if (p[1] == 'u') {
			q += utf8_put(unicode_escape(&p, end), q);
			continue;
		}
		*q++ = escaped_byte(p[1]);
		p += 2;
	}
	*q = '\0';
	*out = (struct slice){ start, (size_t)(q - start) };
	return true;
}

bool
jread_string(struct jread *r, struct arena *a, struct slice *out)
{
	struct slice raw;
	bool escaped;

	if (!jread_string_raw(r, &raw, &escaped))
		return false;
	if (!escaped) {
		*out = raw;
		return true;
	}
	if (!jread_unescape(raw, a, out))
		return fail_at(r, raw.p, "out of memory");
	return true;
}

static const char *
past_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* End of the number at p by RFC 8259's grammar; NULL when it is bad. */
static const char *
past_number(const char *p, const char *end)
{
	const char *q;

	if (p < end && *p == '-')
		p++;
	q = past_digits(p, end);
	if (q == p || (*p == '0' && q > p + 1))
		return NULL;
	p = q;
	if (p < end && *p == '.') {
		q = past_digits(p + 1, end);
		if (q == p + 1)
			return NULL;
		p = q;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = past_digits(p, end);
		if (q == p)
			return NULL;
		p = q;
	}
	return p;
}

bool
jread_number(struct jread *r, struct slice *out)
{
	enum jread_type t = jread_peek(r);
	const char *end;

	*out = SLICE_NONE;
	if (t == JREAD_ERROR)
		return false;
	if (t != JREAD_NUMBER)
		return fail_at(r, r->p, "a number is needed here");
	end = past_number(r->p, r->end);
	if (end == NULL)
		return fail_at(r, r->p, "a malformed number");
	*out = (struct slice){ r->p, (size_t)(end - r->p) };
	r->p = end;
	return true;
}

bool
jread_double(struct jread *r, double *out)
{
	struct slice s;

	*out = NAN;
	if (!jread_number(r, &s))
		return false;
	if (!slice_double(s, out))
		return fail_at(r, s.p, "a number out of range");
	return true;
}

static bool
word(struct jread *r, const char *text, size_t n)
{
	if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0)
		return fail_at(r, r->p, "not a JSON value");
	r->p += n;
	return true;
}

bool
jread_bool(struct jread *r, bool *out)
{
	enum jread_type t = jread_peek(r);

	*out = t == JREAD_TRUE;
	if (t == JREAD_TRUE)
		return word(r, "true", 4);
	if (t == JREAD_FALSE)
		return word(r, "false", 5);
	return t == JREAD_ERROR ? false : fail_at(r, r->p, "true or false is needed here");
}

bool
jread_null(struct jread *r)
{
	enum jread_type t = jread_peek(r);

	if (t == JREAD_NULL)
		return word(r, "null", 4);
	return t == JREAD_ERROR ? false : fail_at(r, r->p, "null is needed here");
}

static bool
skip_scalar(struct jread *r, enum jread_type t)
{
	struct slice s;
	bool b;

	switch (t) {
	case JREAD_STRING:
		return jread_string_raw(r, &s, &b);
	case JREAD_NUMBER:
		return jread_number(r, &s);
	case JREAD_NULL:
		return jread_null(r);
	case JREAD_TRUE:
	case JREAD_FALSE:
		return jread_bool(r, &b);
	case JREAD_OBJECT:
	case JREAD_ARRAY:
	case JREAD_ERROR:
		break;
	}
	return false;
}

/* Depth is at most JREAD_MAX_DEPTH, so one bit a level tells objects from arrays without recursion. */
bool
jread_skip(struct jread *r)
{
	uint64_t is_object[JREAD_MAX_DEPTH / 64 + 1] = { 0 };
	unsigned base = r->depth;
	struct slice key;

	do {
		enum jread_type t = jread_peek(r);

		if (t == JREAD_OBJECT || t == JREAD_ARRAY) {
			if (t == JREAD_OBJECT ? !jread_object(r) : !jread_array(r))
				return false;
			if (t == JREAD_OBJECT)
				is_object[r->depth / 64] |= (uint64_t)1 << (r->depth % 64);
			else
				is_object[r->depth / 64] &= ~((uint64_t)1 << (r->depth % 64));
		} else if (!skip_scalar(r, t))
			return false;
		/* Close what ends here; stop at the next value to read. */
		while (r->depth > base) {
			bool object = (is_object[r->depth / 64] >> (r->depth % 64) & 1) != 0;

			if (object ? jread_member(r, &key) : jread_element(r))
				break;
			if (r->why != NULL)
				return false;
		}
	} while (r->depth > base);
	return r->why == NULL;
}

bool
jread_skip_raw(struct jread *r, struct slice *raw)
{
	const char *start;

	*raw = SLICE_NONE;
	if (jread_peek(r) == JREAD_ERROR)
		return false;
	start = r->p;
	if (!jread_skip(r))
		return false;
	*raw = (struct slice){ start, (size_t)(r->p - start) };
	return true;
}

bool
jread_well(const struct jread *r)
{
	return r->why == NULL;
}

size_t
jread_offset(const struct jread *r)
{
	return (size_t)((r->why != NULL ? r->at : r->p) - r->start);
}

int
jread_fail(const struct jread *r, struct err *e)
{
	return err_set(e, ERR_INPUT, "byte %zu: %s", jread_offset(r),
		r->why == NULL ? "malformed JSON" : r->why);
}

int
jread_done(struct jread *r, struct err *e)
{
	if (r->why == NULL) {
		skip_space(r);
		if (r->p < r->end)
			fail_at(r, r->p, "more text behind the JSON value");
		else if (r->depth > 0)
			fail_at(r, r->p, "the text ends inside an object or array");
	}
	return r->why == NULL ? 0 : jread_fail(r, e);
}
