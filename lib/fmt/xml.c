#include "fmt/xml.h"

#include <ctype.h>
#include <string.h>

void
xml_init(struct xml *x, const char *p, size_t n)
{
	*x = (struct xml){ .start = p, .p = p, .end = p + n };
	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		x->p += 3;
}

static enum xml_event
fail(struct xml *x, const char *why)
{
	if (x->why == NULL)
		x->why = why;
	return XML_ERROR;
}

static bool
at(const struct xml *x, const char *s)
{
	size_t n = strlen(s);

	return (size_t)(x->end - x->p) >= n && memcmp(x->p, s, n) == 0;
}

/* Go behind the next occurrence of s; false when there is none. */
static bool
skip_past(struct xml *x, const char *s)
{
	size_t n = strlen(s);

	for (; (size_t)(x->end - x->p) >= n; x->p++) {
		if (memcmp(x->p, s, n) == 0) {
			x->p += n;
			return true;
		}
	}
	return false;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice
name(struct xml *x)
{
	struct slice s = { x->p, 0 };

	while (x->p < x->end && (isalnum((unsigned char)*x->p) || strchr("_-.:", *x->p) != NULL ||
	       (unsigned char)*x->p >= 0x80) && *x->p != '\0')
		x->p++;
	s.n = (size_t)(x->p - s.p);
	return s;
}

static struct slice
local(struct slice s)
{
	const char *colon = memchr(s.p, ':', s.n);

	if (colon == NULL)
		return s;
	return (struct slice){ colon + 1, s.n - (size_t)(colon + 1 - s.p) };
}

/* Over the attributes to the end of a start tag. */
static bool
attributes(struct xml *x)
{
	for (;;) {
		char quote;

		while (x->p < x->end && blank(*x->p))
			x->p++;
		if (x->p == x->end)
			return false;
		if (*x->p == '>') {
			x->p++;
			return true;
		}
		if (at(x, "/>")) {
			x->p += 2;
			x->empty_tag = true;
			return true;
		}
		if (name(x).n == 0)
			return false;
		while (x->p < x->end && blank(*x->p))
			x->p++;
		if (x->p == x->end || *x->p++ != '=')
			return false;
		while (x->p < x->end && blank(*x->p))
			x->p++;
		if (x->p == x->end || ((quote = *x->p++) != '"' && quote != '\''))
			return false;
		while (x->p < x->end && *x->p != quote && *x->p != '<')
			x->p++;
		if (x->p == x->end || *x->p++ != quote)
			return false;
	}
}

static enum xml_event
start_tag(struct xml *x, struct slice *out)
{
	struct slice s;

	x->p++;
	s = name(x);
	if (s.n == 0)
		return fail(x, "no name behind '<'");
	if (x->depth == 0 && x->seen_root)
		return fail(x, "a second root element");
	if (x->depth == XML_MAX_DEPTH)
		return fail(x, "nested too deep");
	if (!attributes(x))
		return fail(x, "malformed start tag");
	x->seen_root = true;
	x->open[x->depth++] = s;
	*out = local(s);
	return XML_START;
}

static enum xml_event
end_tag(struct xml *x, struct slice *out)
{
	struct slice s;

	x->p += 2;
	s = name(x);
	while (x->p < x->end && blank(*x->p))
		x->p++;
	if (s.n == 0 || x->p == x->end || *x->p != '>')
		return fail(x, "malformed end tag");
	x->p++;
	if (x->depth == 0 || !slice_eq(x->open[x->depth - 1], s))
		return fail(x, "an end tag that fits no start tag");
	x->depth--;
	*out = local(s);
	return XML_END;
}

/* "<![CDATA[": its content comes as text that needs no decoding, unless it holds '&'. */
static enum xml_event
cdata(struct xml *x, struct slice *out)
{
	const char *from = x->p += 9;

	if (x->depth == 0 || !skip_past(x, "]]>"))
		return fail(x, "malformed CDATA");
	*out = (struct slice){ from, (size_t)(x->p - 3 - from) };
	return memchr(out->p, '&', out->n) == NULL ? XML_TEXT : fail(x, "'&' in CDATA is not supported");
}

static enum xml_event
text(struct xml *x, struct slice *out)
{
	const char *from = x->p;

	while (x->p < x->end && *x->p != '<')
		x->p++;
	*out = (struct slice){ from, (size_t)(x->p - from) };
	if (x->depth == 0)
		return fail(x, "text outside the root element");
	return x->p == x->end ? fail(x, "the text ends inside an element") : XML_TEXT;
}

enum xml_event
xml_next(struct xml *x, struct slice *out)
{
	*out = SLICE_NONE;
	if (x->why != NULL)
		return XML_ERROR;
	if (x->empty_tag) {
		x->empty_tag = false;
		*out = local(x->open[--x->depth]);
		return XML_END;
	}
	for (;;) {
		while (x->depth == 0 && x->p < x->end && blank(*x->p))
			x->p++;
		if (x->p == x->end || *x->p != '<')
			break;
		if (at(x, "<?")) {
			if (!skip_past(x, "?>"))
				return fail(x, "an instruction without end");
		} else if (at(x, "<!--")) {
			x->p += 4;
			if (!skip_past(x, "-->"))
				return fail(x, "a comment without end");
		} else if (at(x, "<![CDATA[")) {
			return cdata(x, out);
		} else if (at(x, "<!")) {
			return fail(x, "a document type is not taken");
		} else if (at(x, "</")) {
			return end_tag(x, out);
		} else {
			return start_tag(x, out);
		}
	}
	if (x->p < x->end)
		return text(x, out);
	if (x->depth > 0)
		return fail(x, "the text ends inside an element");
	return x->seen_root ? XML_END_OF_TEXT : fail(x, "no element");
}

bool
xml_text(struct xml *x, struct buf *out)
{
	struct slice s;

	buf_reset(out);
	for (;;) {
		switch (xml_next(x, &s)) {
		case XML_TEXT:
			if (!xml_decode(s, out)) {
				fail(x, "a reference that means nothing");
				return false;
			}
			break;
		case XML_END:
			return !out->failed;
		case XML_START:
			fail(x, "an element where text belongs");
			return false;
		default:
			return false;
		}
	}
}

bool
xml_skip(struct xml *x)
{
	unsigned until = x->depth - 1;
	struct slice s;
	enum xml_event ev;

	while ((ev = xml_next(x, &s)) != XML_ERROR && ev != XML_END_OF_TEXT) {
		if (ev == XML_END && x->depth == until)
			return true;
	}
	return false;
}

/* "#NN" or "#xHH" to a code point that XML allows, else 0. */
static uint32_t
char_ref(struct slice s)
{
	unsigned base = s.n > 1 && s.p[1] == 'x' ? 16 : 10;
	uint32_t v = 0;
	size_t i = base == 16 ? 2 : 1;

	if (i >= s.n || s.n > 10)
		return 0;
	for (; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		int d = isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : 99;

		if (d >= (int)base || v > 0x10ffff)
			return 0;
		v = v * base + (unsigned)d;
	}
	return v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : v;
}

bool
xml_decode(struct slice raw, struct buf *out)
{
	static const struct { const char *name; char c; } known[] = {
		{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' },
	};
	const char *p = raw.p, *end = raw.p + raw.n;

	while (p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p)), *semi;
		struct slice ref;
		uint32_t cp = 0;
		char utf8[4];

		if (amp == NULL)
			amp = end;
		buf_add(out, p, (size_t)(amp - p));
		if (amp == end)
			break;
		if ((semi = memchr(amp, ';', (size_t)(end - amp))) == NULL)
			return false;
		ref = (struct slice){ amp + 1, (size_t)(semi - amp) - 1 };
		if (ref.n > 0 && ref.p[0] == '#')
			cp = char_ref(ref);
		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
			if (slice_is(ref, known[i].name))
				cp = (uint32_t)known[i].c;
		}
		if (cp == 0)
			return false;
		buf_add(out, utf8, utf8_put(cp, utf8));
		p = semi + 1;
	}
	return true;
}

int
xml_fail(const struct xml *x, struct err *e)
{
	return err_set(e, ERR_INPUT, "byte %zu: %s", (size_t)(x->p - x->start),
		x->why == NULL ? "out of memory" : x->why);
}

void
xml_escape(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || strchr("&<>\"'", c) != NULL || c == 0x7f)
			buf_printf(out, "&#%u;", c);
		else
			buf_byte(out, c);
	}
}
