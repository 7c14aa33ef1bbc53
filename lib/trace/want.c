#include "trace/want.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SLOTS 256u

struct entry {
	struct slice text;	/* without the '*' */
	bool prefix;
	unsigned found;		/* WANT_ bits, role << 8 */
	int next;		/* in its chain, -1 the last */
};

/* A marker as it stands in JSON, with its closing quote unless it is a prefix. */
struct marker {
	uint64_t word, mask;	/* its first 8 bytes, and which of them count */
	char *text;
	size_t n;
	int next;
};

struct want {
	struct entry *entries;
	size_t n, cap;
	int exact[SLOTS], prefix[SLOTS], marker[SLOTS];
	struct marker *markers;	/* [n_markers] in chains by first byte */
	size_t n_markers;
	uint64_t lengths[256];	/* of exact keys by first byte: bit n % 64 */
	bool all_keys, filters;
	struct jscan_marks marks;
};

static unsigned
slot_of(const char *p, size_t n)
{
	unsigned a, b, c;

	if (n == 0)
		return 0;
	a = (unsigned char)p[0];
	b = (unsigned char)p[n - 1];
	c = (unsigned char)p[n / 2];
	return (a * 31u + b * 7u + c * 3u + (unsigned)n * 13u) % SLOTS;
}

static struct entry *
entry_of(struct want *w, struct slice text, bool prefix)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->entries[i].prefix == prefix && slice_eq(w->entries[i].text, text))
			return &w->entries[i];
	return NULL;
}

static int
add(struct want *w, const char *key, unsigned found, struct err *e)
{
	struct slice text = slice_str(key);
	bool prefix = text.n > 0 && text.p[text.n - 1] == '*';
	struct entry *x;
	void *p = w->entries;

	if (prefix)
		text.n--;
	if ((x = entry_of(w, text, prefix)) != NULL) {
		x->found |= found;
		return 0;
	}
	if (mem_grow(&p, &w->cap, w->n + 1, sizeof *w->entries, e) < 0)
		return -1;
	w->entries = p;
	w->entries[w->n++] = (struct entry){ text, prefix, found, -1 };
	return 0;
}

static int
add_roles(struct want *w, struct err *e)
{
	static const struct { const char *key; enum want_role role; } roles[] = {
		{ "span.kind", ROLE_KIND },
		{ "otel.status_code", ROLE_STATUS },
		{ "otel.status_description", ROLE_STATUS_TEXT },
		{ "error", ROLE_ERROR },
		{ "otel.scope.name", ROLE_SCOPE_NAME },
		{ "otel.scope.version", ROLE_SCOPE_VERSION },
		{ "otel.library.name", ROLE_SCOPE_NAME },
		{ "otel.library.version", ROLE_SCOPE_VERSION },
		{ "internal.span.format", ROLE_FORMAT },
		{ "@jaeger@warnings", ROLE_FORMAT },
		{ "service.name", ROLE_SERVICE },
	};

	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (add(w, roles[i].key, (unsigned)roles[i].role << 8, e) < 0)
			return -1;
	return 0;
}

/* Bytes at the start of a text that no JSON writer has reason to escape. */
static size_t
plain_bytes(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f && strchr("\"\\/&<>'", s.p[n]) == NULL)
		n++;
	return n;
}

/* Only what is sure to stand in the JSON text is looked for; the decoder compares the rest. */
static int
add_marker(struct want *w, const struct entry *x, struct err *e)
{
	struct marker *m = &w->markers[w->n_markers];
	size_t n = plain_bytes(x->text);
	bool whole = n == x->text.n && !x->prefix;
	unsigned char mask[8] = { 0 };
	unsigned first;

	if ((m->text = mem_realloc(NULL, n + 9, 1, e)) == NULL)
		return -1;
	memset(m->text, 0, n + 9);
	memcpy(m->text, x->text.p, n);
	if (whole)
		m->text[n] = '"';
	m->n = n + whole;
	memset(mask, 0xff, m->n < 8 ? m->n : 8);
	memcpy(&m->mask, mask, 8);
	memcpy(&m->word, m->text, 8);
	first = (unsigned char)m->text[0];
	m->next = w->marker[first];
	w->marker[first] = (int)w->n_markers++;
	jscan_mark(&w->marks, first, m->text, m->n);
	return 0;
}

/* Put the entries on their chains, now that the array no longer moves. */
static int
link_entries(struct want *w, struct err *e)
{
	if ((w->markers = mem_calloc(w->n, sizeof *w->markers, e)) == NULL)
		return -1;
	for (unsigned i = 0; i < SLOTS; i++)
		w->exact[i] = w->prefix[i] = w->marker[i] = -1;
	for (size_t i = 0; i < w->n; i++) {
		struct entry *x = &w->entries[i];
		unsigned first = x->text.n == 0 ? 0 : (unsigned char)x->text.p[0];
		int *head = x->prefix ? &w->prefix[first] : &w->exact[slot_of(x->text.p, x->text.n)];

		if (x->prefix && x->text.n == 0) {
			w->all_keys |= (x->found & WANT_KEY) != 0;
			w->filters &= (x->found & WANT_MARKER) == 0;
			continue;
		}
		x->next = *head;
		*head = (int)i;
		if (!x->prefix)
			w->lengths[first] |= (uint64_t)1 << (x->text.n % 64);
		if ((x->found & WANT_MARKER) != 0 && add_marker(w, x, e) < 0)
			return -1;
	}
	return 0;
}

struct want *
want_new(const struct span_want *asked, struct err *e)
{
	struct want *w = mem_calloc(1, sizeof *w, e);

	if (w == NULL)
		return NULL;
	w->all_keys = asked == NULL;
	w->filters = asked != NULL && asked->n_markers > 0;
	if (add_roles(w, e) < 0)
		goto fail;
	for (size_t i = 0; asked != NULL && i < asked->n_keys; i++)
		if (add(w, asked->keys[i], WANT_KEY, e) < 0)
			goto fail;
	for (size_t i = 0; asked != NULL && i < asked->n_markers; i++)
		if (add(w, asked->markers[i], WANT_MARKER, e) < 0)
			goto fail;
	if (link_entries(w, e) < 0)
		goto fail;
	return w;
fail:
	want_free(w);
	return NULL;
}

void
want_free(struct want *w)
{
	if (w == NULL)
		return;
	free(w->entries);
	for (size_t i = 0; i < w->n_markers; i++)
		free(w->markers[i].text);
	free(w->markers);
	free(w);
}

static unsigned
find_exact(const struct want *w, struct slice key)
{
	const struct entry *x;
	unsigned found = 0;

	for (int i = w->exact[slot_of(key.p, key.n)]; i >= 0; i = x->next) {
		x = &w->entries[i];
		if (x->text.n == key.n && memcmp(x->text.p, key.p, key.n) == 0)
			found |= x->found;
	}
	return found;
}

unsigned
want_find(const struct want *w, struct slice key)
{
	unsigned found = w->all_keys ? WANT_KEY : 0;
	const struct entry *x;
	unsigned first = key.n == 0 ? 0 : (unsigned char)key.p[0];

	/* Most keys are nobody's: their length says so already. */
	if ((w->lengths[first] >> (key.n % 64) & 1) != 0)
		found |= find_exact(w, key);
	if (key.n == 0)
		return found;
	for (int i = w->prefix[first]; i >= 0; i = x->next) {
		x = &w->entries[i];
		/* The last byte first: prefixes of one family differ there. */
		if (key.n >= x->text.n && key.p[x->text.n - 1] == x->text.p[x->text.n - 1] &&
		    memcmp(key.p, x->text.p, x->text.n) == 0)
			found |= x->found;
	}
	return found;
}

bool
want_filters(const struct want *w)
{
	return w->filters;
}

const struct jscan_marks *
want_marks(const struct want *w)
{
	return w->filters ? &w->marks : NULL;
}

bool
want_marker_at(const struct want *w, const char *p, const char *end)
{
	size_t left = (size_t)(end - p);
	uint64_t word;

	if (w->marker[0] >= 0)
		return true;		/* a marker of which nothing is sure */
	for (int i = w->marker[(unsigned char)*p]; i >= 0; i = w->markers[i].next) {
		const struct marker *m = &w->markers[i];

		/* What does not fit here goes on in text not read yet: perhaps. */
		if (left < 8 || left < m->n)
			return true;
		memcpy(&word, p, 8);
		if (((word ^ m->word) & m->mask) == 0 &&
		    (m->n <= 8 || memcmp(p + 8, m->text + 8, m->n - 8) == 0))
			return true;
	}
	return false;
}
