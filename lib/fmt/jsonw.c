#include "fmt/jsonw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
jsonw_init(struct jsonw *w, struct buf *b)
{
	*w = (struct jsonw){ .b = b };
}

/* The comma between members of the open container. */
static void
separate(struct jsonw *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->depth > 0 && (w->nonempty >> w->depth & 1) != 0)
		buf_byte(w->b, ',');
	w->nonempty |= (uint64_t)1 << w->depth;
}

static void
open_container(struct jsonw *w, char c)
{
	separate(w);
	buf_byte(w->b, c);
	if (w->depth == 63)
		BUG("JSON written deeper than 63");
	w->depth++;
	w->nonempty &= ~((uint64_t)1 << w->depth);
}

static void
close_container(struct jsonw *w, char c)
{
	if (w->depth == 0)
		BUG("JSON container closed twice");
	w->depth--;
	buf_byte(w->b, c);
}

void
jsonw_object(struct jsonw *w)
{
	open_container(w, '{');
}

void
jsonw_array(struct jsonw *w)
{
	open_container(w, '[');
}

void
jsonw_end_object(struct jsonw *w)
{
	close_container(w, '}');
}

void
jsonw_end_array(struct jsonw *w)
{
	close_container(w, ']');
}

/* Bytes that may stand in a JSON string as they are (ASCII part). */
static bool
plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void
escape_ascii(struct buf *b, unsigned char c)
{
	static const char *const names[32] = {
		['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"
	};

	if (c == '"' || c == '\\') {
		buf_byte(b, '\\');
		buf_byte(b, c);
	} else if (c < 32 && names[c] != NULL)
		buf_str(b, names[c]);
	else
		buf_printf(b, "\\u%04x", c);
}

/* Eight bytes that may all stand as they are: no quote, backslash, control or high byte. */
static bool
word_is_plain(const char *s)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t w, q, k;

	memcpy(&w, s, 8);
	q = w ^ (ones * '"');
	k = w ^ (ones * '\\');
	return (((q - ones) | (k - ones) | (w - ones * 0x20) | w) & high) == 0;
}

void
jsonw_quote(struct buf *b, const char *s, size_t n)
{
	const char *end = s + n, *run = s;

	buf_byte(b, '"');
	while (s < end) {
		const char *next;
		unsigned char c;

		while (end - s >= 8 && word_is_plain(s))
			s += 8;
		if (s == end)
			break;
		next = s;
		c = (unsigned char)*s;
		if (plain(c)) {
			s++;
			continue;
		}
		if (c >= 0x80 && (utf8_next(&next, end) != 0xfffd || next - s == 3)) {
			s = next;
			continue;
		}
		buf_add(b, run, (size_t)(s - run));
		if (c >= 0x80)
			buf_str(b, "\xef\xbf\xbd");
		else
			escape_ascii(b, c);
		run = ++s;
	}
	buf_add(b, run, (size_t)(end - run));
	buf_byte(b, '"');
}

void
jsonw_number(struct buf *b, double v)
{
	char text[40];

	if (!isfinite(v)) {
		buf_str(b, "null");
		return;
	}
	/* The fewest digits that read back as the same double. */
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_str(b, text);
}

void
jsonw_key_n(struct jsonw *w, const char *key, size_t n)
{
	separate(w);
	jsonw_quote(w->b, key, n);
	buf_byte(w->b, ':');
	w->after_key = true;
}

void
jsonw_key(struct jsonw *w, const char *key)
{
	jsonw_key_n(w, key, strlen(key));
}

void
jsonw_string_n(struct jsonw *w, const char *s, size_t n)
{
	separate(w);
	if (s == NULL)
		buf_str(w->b, "null");
	else
		jsonw_quote(w->b, s, n);
}

void
jsonw_string(struct jsonw *w, const char *s)
{
	jsonw_string_n(w, s, s == NULL ? 0 : strlen(s));
}

void
jsonw_double(struct jsonw *w, double v)
{
	separate(w);
	jsonw_number(w->b, v);
}

void
jsonw_int(struct jsonw *w, int64_t v)
{
	separate(w);
	buf_printf(w->b, "%lld", (long long)v);
}

void
jsonw_uint(struct jsonw *w, uint64_t v)
{
	separate(w);
	buf_printf(w->b, "%llu", (unsigned long long)v);
}

void
jsonw_bool(struct jsonw *w, bool v)
{
	separate(w);
	buf_str(w->b, v ? "true" : "false");
}

void
jsonw_null(struct jsonw *w)
{
	separate(w);
	buf_str(w->b, "null");
}

void
jsonw_raw(struct jsonw *w, const char *json, size_t n)
{
	separate(w);
	buf_add(w->b, json, n);
}

void
jsonw_kstr(struct jsonw *w, const char *key, const char *v)
{
	jsonw_key(w, key);
	jsonw_string(w, v);
}

void
jsonw_kstr_n(struct jsonw *w, const char *key, const char *v, size_t n)
{
	jsonw_key(w, key);
	jsonw_string_n(w, v, n);
}

void
jsonw_kdouble(struct jsonw *w, const char *key, double v)
{
	jsonw_key(w, key);
	jsonw_double(w, v);
}

void
jsonw_kint(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_int(w, v);
}

void
jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}
