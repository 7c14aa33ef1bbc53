#include "trace/otlpwrite.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jsonw.h"

#define RECENT_GROUPS 64	/* looked through for a span's resource and scope */

/* Spans of one resource and scope, as a chain in input order. */
struct group {
	size_t first, last;	/* of the spans */
	size_t next;		/* group of the same resource with another scope */
	bool continues;		/* not the first of its resource */
};

#define NONE ((size_t)-1)

static bool
attr_eq(const struct attr *a, const struct attr *b)
{
	if (a->type != b->type || !slice_eq(a->key, b->key))
		return false;
	switch (a->type) {
	case ATTR_INT:
	case ATTR_BOOL:
		return a->i == b->i;
	case ATTR_DOUBLE:
		return memcmp(&a->d, &b->d, sizeof a->d) == 0;
	case ATTR_STRING:
	case ATTR_JSON:
		break;
	}
	return slice_eq(a->text, b->text);
}

static bool
attrs_eq(struct attrs a, struct attrs b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; a.v != b.v && i < a.n; i++)
		if (!attr_eq(&a.v[i], &b.v[i]))
			return false;
	return true;
}

static bool
scope_eq(const struct span *a, const struct span *b)
{
	return a->scope_name.n == b->scope_name.n && a->scope_version.n == b->scope_version.n &&
		(a->scope_name.n == 0 || slice_eq(a->scope_name, b->scope_name)) &&
		(a->scope_version.n == 0 || slice_eq(a->scope_version, b->scope_version));
}

static void
put_u64(struct jsonw *w, const char *key, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%" PRIu64, v);
	jsonw_kstr(w, key, text);
}

static void
put_text(struct jsonw *w, const char *key, struct slice s)
{
	jsonw_kstr_n(w, key, s.p == NULL ? "" : s.p, s.n);
}

static void
put_value(struct jsonw *w, const struct attr *a)
{
	char text[24];

	if (a->type == ATTR_JSON && a->text.n > 0) {
		jsonw_raw(w, a->text.p, a->text.n);
		return;
	}
	jsonw_object(w);
	switch (a->type) {
	case ATTR_STRING:
		put_text(w, "stringValue", a->text);
		break;
	case ATTR_BOOL:
		jsonw_kbool(w, "boolValue", a->i != 0);
		break;
	case ATTR_INT:
		(void)snprintf(text, sizeof text, "%" PRId64, a->i);
		jsonw_kstr(w, "intValue", text);
		break;
	case ATTR_DOUBLE:
		/* The JSON mapping of protocol buffers has names for what JSON cannot say. */
		if (isfinite(a->d))
			jsonw_kdouble(w, "doubleValue", a->d);
		else
			jsonw_kstr(w, "doubleValue", isnan(a->d) ? "NaN" : a->d > 0 ? "Infinity" :
				"-Infinity");
		break;
	case ATTR_JSON:
		break;
	}
	jsonw_end_object(w);
}

static void
put_attrs(struct jsonw *w, struct attrs a)
{
	if (a.n == 0)
		return;
	jsonw_key(w, "attributes");
	jsonw_array(w);
	for (size_t i = 0; i < a.n; i++) {
		jsonw_object(w);
		put_text(w, "key", a.v[i].key);
		jsonw_key(w, "value");
		put_value(w, &a.v[i]);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_events(struct jsonw *w, const struct span *s)
{
	if (s->n_events == 0)
		return;
	jsonw_key(w, "events");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_events; i++) {
		jsonw_object(w);
		put_u64(w, "timeUnixNano", s->events[i].time_ns);
		put_text(w, "name", s->events[i].name);
		put_attrs(w, s->events[i].attrs);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_links(struct jsonw *w, const struct span *s)
{
	if (s->n_links == 0)
		return;
	jsonw_key(w, "links");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_links; i++) {
		jsonw_object(w);
		put_text(w, "traceId", s->links[i].trace_id);
		put_text(w, "spanId", s->links[i].span_id);
		put_attrs(w, s->links[i].attrs);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_span(struct jsonw *w, const struct span *s)
{
	jsonw_object(w);
	put_text(w, "traceId", s->trace_id);
	put_text(w, "spanId", s->span_id);
	if (s->parent_id.n > 0)
		put_text(w, "parentSpanId", s->parent_id);
	put_text(w, "name", s->name);
	if (s->kind != 0)
		jsonw_kint(w, "kind", s->kind);
	put_u64(w, "startTimeUnixNano", s->start_ns);
	put_u64(w, "endTimeUnixNano", s->end_ns);
	put_attrs(w, s->attrs);
	put_events(w, s);
	put_links(w, s);
	jsonw_key(w, "status");
	jsonw_object(w);
	if (s->status_message.n > 0)
		put_text(w, "message", s->status_message);
	if (s->status != SPAN_UNSET)
		jsonw_kint(w, "code", (int)s->status);
	jsonw_end_object(w);
	jsonw_end_object(w);
}

/* One element of scopeSpans: the spans of a group. */
static void
put_group(struct jsonw *w, const struct span *spans, const struct group *g, const size_t *chain)
{
	const struct span *s = &spans[g->first];

	jsonw_object(w);
	jsonw_key(w, "scope");
	jsonw_object(w);
	if (s->scope_name.n > 0)
		put_text(w, "name", s->scope_name);
	if (s->scope_version.n > 0)
		put_text(w, "version", s->scope_version);
	jsonw_end_object(w);
	jsonw_key(w, "spans");
	jsonw_array(w);
	for (size_t i = g->first; i != NONE; i = chain[i])
		put_span(w, &spans[i]);
	jsonw_end_array(w);
	jsonw_end_object(w);
}

/* The group of span i among the latest ones; NONE when it needs a new one. *same: one of its resource. */
static size_t
find_group(const struct span *spans, size_t i, const struct group *groups, size_t n, size_t *same)
{
	size_t low = n > RECENT_GROUPS ? n - RECENT_GROUPS : 0;

	*same = NONE;
	for (size_t k = n; k-- > low; ) {
		const struct span *s = &spans[groups[k].first];

		if (!attrs_eq(s->resource, spans[i].resource))
			continue;
		if (scope_eq(s, &spans[i]))
			return k;
		if (groups[k].next == NONE)
			*same = k;
	}
	return NONE;
}

static size_t
make_groups(const struct span *spans, size_t n, struct group *groups, size_t *chain)
{
	size_t n_groups = 0;

	for (size_t i = 0; i < n; i++) {
		size_t same, k = find_group(spans, i, groups, n_groups, &same);

		chain[i] = NONE;
		if (k != NONE) {
			chain[groups[k].last] = i;
			groups[k].last = i;
			continue;
		}
		if (same != NONE)
			groups[same].next = n_groups;
		groups[n_groups++] = (struct group){ i, i, NONE, same != NONE };
	}
	return n_groups;
}

int
otlpwrite_line(const struct span *spans, size_t n, struct buf *out, struct err *e)
{
	struct group *groups = mem_calloc(n, sizeof *groups, e);
	size_t *chain = mem_calloc(n, sizeof *chain, e);
	struct jsonw w;
	size_t n_groups;
	int r = -1;

	if (groups == NULL || chain == NULL)
		goto out;
	r = 0;
	if (n == 0)
		goto out;
	n_groups = make_groups(spans, n, groups, chain);
	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, "resourceSpans");
	jsonw_array(&w);
	for (size_t i = 0; i < n_groups; i++) {
		if (groups[i].continues)
			continue;
		jsonw_object(&w);
		jsonw_key(&w, "resource");
		jsonw_object(&w);
		put_attrs(&w, spans[groups[i].first].resource);
		jsonw_end_object(&w);
		jsonw_key(&w, "scopeSpans");
		jsonw_array(&w);
		for (size_t k = i; k != NONE; k = groups[k].next)
			put_group(&w, spans, &groups[k], chain);
		jsonw_end_array(&w);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_byte(out, '\n');
	r = buf_ok(out, e);
out:
	free(groups);
	free(chain);
	return r;
}
