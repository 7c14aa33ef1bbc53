#include "trace/gather.h"

#include <stdlib.h>
#include <string.h>

#include "fmt/jscan.h"

void
gather_reset(struct gather *g)
{
	arena_reset(&g->arena);
	g->n_attrs = g->n_events = g->n_links = g->n_spans = 0;
	g->seen = 0;
	g->marked = false;
}

void
gather_finish(struct gather *g)
{
	arena_finish(&g->arena);
	free(g->attrs);
	free(g->events);
	free(g->links);
	free(g->spans);
	*g = (struct gather){ 0 };
}

void
gather_begin(struct gather *g)
{
	g->n_attrs = g->n_events = g->n_links = 0;
	g->marked = false;
	g->seen++;
}

int
gather_attr(struct gather *g, const struct attr *a, struct err *e)
{
	void *p = g->attrs;

	if (mem_grow(&p, &g->attrs_cap, g->n_attrs + 1, sizeof *g->attrs, e) < 0)
		return -1;
	g->attrs = p;
	g->attrs[g->n_attrs++] = *a;
	return 0;
}

int
gather_event(struct gather *g, const struct span_event *x, struct err *e)
{
	void *p = g->events;

	if (mem_grow(&p, &g->events_cap, g->n_events + 1, sizeof *g->events, e) < 0)
		return -1;
	g->events = p;
	g->events[g->n_events++] = *x;
	return 0;
}

int
gather_link(struct gather *g, const struct span_link *x, struct err *e)
{
	void *p = g->links;

	if (mem_grow(&p, &g->links_cap, g->n_links + 1, sizeof *g->links, e) < 0)
		return -1;
	g->links = p;
	g->links[g->n_links++] = *x;
	return 0;
}

/* n elements of size bytes copied to the arena; NULL in *out when n is 0. */
static int
settle(struct gather *g, const void *p, size_t n, size_t size, void **out, struct err *e)
{
	*out = NULL;
	if (n == 0)
		return 0;
	if ((*out = arena_alloc(&g->arena, n * size, e)) == NULL)
		return -1;
	memcpy(*out, p, n * size);
	return 0;
}

int
gather_attrs(struct gather *g, size_t from, struct attrs *out, struct err *e)
{
	size_t n = g->n_attrs - from;
	void *p;

	*out = (struct attrs){ NULL, 0 };
	if (n == 0)
		return 0;
	if (settle(g, g->attrs + from, n, sizeof *g->attrs, &p, e) < 0)
		return -1;
	*out = (struct attrs){ p, n };
	g->n_attrs = from;
	return 0;
}

int
gather_span(struct gather *g, struct span *s, struct err *e)
{
	void *p = g->spans, *events, *links;

	if (want_filters(g->want) && !g->marked)
		return 0;
	if (settle(g, g->events, g->n_events, sizeof *g->events, &events, e) < 0 ||
	    settle(g, g->links, g->n_links, sizeof *g->links, &links, e) < 0 ||
	    mem_grow(&p, &g->spans_cap, g->n_spans + 1, sizeof *g->spans, e) < 0)
		return -1;
	g->spans = p;
	s->events = events;
	s->n_events = g->n_events;
	s->links = links;
	s->n_links = g->n_links;
	g->spans[g->n_spans++] = *s;
	return 0;
}

/* 0: not a hex digit; 0x20 is set for an upper-case one. */
static const unsigned char hex_digits[256] = {
	['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
	['8'] = 1, ['9'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1,
	['A'] = 0x20, ['B'] = 0x20, ['C'] = 0x20, ['D'] = 0x20, ['E'] = 0x20, ['F'] = 0x20,
};

static int
base64_digit(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 :
		c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/*
 * Ids as protocol buffers' own JSON mapping writes bytes: 16 or 8 of them in
 * base64, which always ends in '=' and so is never taken for hex. 1: done, 0: no
 * such text, -1 err.
 */
static int
base64_id(struct gather *g, struct slice raw, size_t digits, struct slice *out, struct err *e)
{
	static const char hex[] = "0123456789abcdef";
	size_t bytes = digits / 2, pad = bytes == 16 ? 2 : 1, n = 0;
	unsigned have = 0, bits = 0;
	char *p;

	if (raw.n != (bytes + 2) / 3 * 4 || raw.p[raw.n - 1] != '=' || raw.p[raw.n - pad] != '=')
		return 0;
	if ((p = arena_alloc(&g->arena, digits, e)) == NULL)
		return -1;
	for (size_t i = 0; i < raw.n - pad; i++) {
		int v = base64_digit(raw.p[i]);

		if (v < 0)
			return 0;
		bits = bits << 6 | (unsigned)v;
		for (have += 6; have >= 4 && n < digits; have -= 4)
			p[n++] = hex[bits >> (have - 4) & 15];
		bits &= (1u << have) - 1;
	}
	if (n != digits || bits != 0)
		return 0;
	*out = (struct slice){ p, digits };
	return 1;
}

int
gather_id(struct gather *g, struct slice raw, size_t digits, struct slice *out, struct err *e)
{
	unsigned upper = 0, wrong = raw.n > digits;
	int b64;
	char *p;

	*out = SLICE_NONE;
	if (raw.n == 0)
		return 0;
	for (size_t i = 0; i < raw.n && wrong == 0; i++) {
		unsigned v = hex_digits[(unsigned char)raw.p[i]];

		wrong |= v == 0;
		upper |= v & 0x20;
	}
	if (wrong != 0 && (b64 = base64_id(g, raw, digits, out, e)) != 0)
		return b64 > 0 ? 0 : -1;
	if (wrong != 0)
		return err_set(e, ERR_INPUT, "'%.*s' is not an id of at most %zu hex digits",
			(int)(raw.n < 40 ? raw.n : 40), raw.p, digits);
	*out = raw;
	if (upper == 0 && raw.n == digits)
		return 0;
	if ((p = arena_alloc(&g->arena, digits, e)) == NULL)
		return -1;
	memset(p, '0', digits - raw.n);
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		p[digits - raw.n + i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
	}
	*out = (struct slice){ p, digits };
	return 0;
}

unsigned
gather_key(struct gather *g, struct slice key)
{
	unsigned found = want_find(g->want, key);

	if ((found & WANT_MARKER) != 0)
		g->marked = true;
	return found;
}

int
gather_text(struct gather *g, const void *p, size_t n, struct slice *out, struct err *e)
{
	char *q = arena_dup(&g->arena, p, n, e);

	*out = (struct slice){ q, q == NULL ? 0 : n };
	return q == NULL ? -1 : 0;
}

/* The four digits of a \u escape at p; -1 when they are none. */
static long
four_digits(const char *p)
{
	long v = 0;

	for (int i = 0; i < 4; i++) {
		unsigned char c = (unsigned char)p[i];

		if (hex_digits[c] == 0)
			return -1;
		v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

/* The escape at *p (a backslash), decoded to q; *p and the new end of q advance. NULL when bad. */
static char *
put_escape(const char **p, const char *end, char *q)
{
	static const char plain[256] = { ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b',
		['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t' };
	const char *s = *p;
	long v, low;

	if (end - s < 2)
		return NULL;
	if (plain[(unsigned char)s[1]] != 0) {
		*q = plain[(unsigned char)s[1]];
		*p = s + 2;
		return q + 1;
	}
	if (s[1] != 'u' || end - s < 6 || (v = four_digits(s + 2)) < 0)
		return NULL;
	*p = s + 6;
	if (v >= 0xd800 && v <= 0xdbff && end - s >= 12 && s[6] == '\\' && s[7] == 'u' &&
	    (low = four_digits(s + 8)) >= 0xdc00 && low <= 0xdfff) {
		*p = s + 12;
		v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
	} else if (v >= 0xd800 && v <= 0xdfff)
		v = 0xfffd;		/* half a pair cannot be said in UTF-8 */
	return q + utf8_put((uint32_t)v, q);
}

int
gather_string(struct gather *g, const char *p, const char *end, struct slice *out, struct err *e)
{
	const char *next = jscan_special(p, end);
	char *q, *start;

	*out = (struct slice){ p, (size_t)(end - p) };
	if (next == end)
		return 1;
	/* Decoding never grows. The copy may write up to 15 bytes too many. */
	if ((start = q = arena_alloc(&g->arena, (size_t)(end - p) + 32, e)) == NULL)
		return -1;
	memcpy(q, p, (size_t)(next - p));
	q += next - p;
	p = next;
	while (p < end) {
		if (*p != '\\' || (q = put_escape(&p, end, q)) == NULL)
			return 0;
		q = jscan_copy(q, &p, end);
	}
	*out = (struct slice){ start, (size_t)(q - start) };
	return 1;
}

int
gather_compact(struct gather *g, struct slice raw, struct slice *out, struct err *e)
{
	bool in_string = false, spaces = false;
	char *q;

	*out = raw;
	for (size_t i = 0; i < raw.n && !spaces; i++)
		spaces = (unsigned char)raw.p[i] <= ' ';
	if (!spaces)
		return 0;
	if ((q = arena_alloc(&g->arena, raw.n, e)) == NULL)
		return -1;
	out->p = q;
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (!in_string && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
			continue;
		*q++ = c;
		if (in_string && c == '\\' && i + 1 < raw.n)
			*q++ = raw.p[++i];
		else if (c == '"')
			in_string = !in_string;
	}
	out->n = (size_t)(q - out->p);
	return 0;
}
