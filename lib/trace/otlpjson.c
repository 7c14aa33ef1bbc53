#include "trace/otlpjson.h"

#include <math.h>
#include <string.h>

#include "fmt/jscan.h"
#include "trace/walk.h"

struct scope {
	struct slice name, version;
};

struct doc {
	struct gather *g;
	struct walk w;
	struct attrs resource;
	struct scope scope;
};

#define EITHER(key, camel, snake) (WALK_KEY(key, camel) || WALK_KEY(key, snake))

/* A number, or a string that holds one. */
static bool
read_digits(struct jread *r, struct slice *out)
{
	bool escaped;

	if (jread_peek(r) == JREAD_STRING)
		return jread_string_raw(r, out, &escaped);
	return jread_number(r, out);
}

static bool
read_time(struct jread *r, uint64_t *ns)
{
	struct slice s;
	uint64_t v = 0;
	double d;

	*ns = 0;
	if (!read_digits(r, &s))
		return false;
	for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
		unsigned digit = (unsigned)(s.p[i] - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return true;
		v = v * 10 + digit;
		if (i + 1 == s.n)
			*ns = v;
	}
	if (*ns == 0 && slice_double(s, &d) && d > 0 && d < 1.8e19)
		*ns = (uint64_t)d;
	return true;
}

static bool
read_int_value(struct jread *r, struct attr *out)
{
	struct slice s;
	long long v;
	double d;

	if (!read_digits(r, &s))
		return false;
	out->type = ATTR_INT;
	if (slice_int(s, &v))
		out->i = v;
	else if (slice_double(s, &d)) {
		out->type = ATTR_DOUBLE;
		out->d = d;
	} else {
		out->type = ATTR_STRING;
		out->text = s;
	}
	return true;
}

static bool
read_double_value(struct jread *r, struct attr *out)
{
	struct slice s;

	if (!read_digits(r, &s))
		return false;
	out->type = ATTR_DOUBLE;
	if (slice_is(s, "NaN"))
		out->d = NAN;
	else if (slice_is(s, "Infinity"))
		out->d = INFINITY;
	else if (slice_is(s, "-Infinity"))
		out->d = -INFINITY;
	else if (!slice_double(s, &out->d)) {
		out->type = ATTR_STRING;
		out->text = s;
	}
	return true;
}

/* An AnyValue object; `whole` is its text. */
static bool
read_value(struct gather *g, struct jread *r, struct attr *out)
{
	struct slice member, whole, raw;
	bool simple = false, b;
	struct jread again;

	if (jread_peek(r) != JREAD_OBJECT || !jread_skip_raw(r, &whole))
		return false;
	jread_init(&again, whole.p, whole.n);
	jread_object(&again);
	while (jread_member(&again, &member)) {
		simple = true;
		if (EITHER(member, "stringValue", "string_value") &&
		    jread_peek(&again) == JREAD_STRING) {
			out->type = ATTR_STRING;
			(void)jread_string(&again, &g->arena, &out->text);
		} else if (EITHER(member, "intValue", "int_value"))
			(void)read_int_value(&again, out);
		else if (EITHER(member, "doubleValue", "double_value"))
			(void)read_double_value(&again, out);
		else if (EITHER(member, "boolValue", "bool_value")) {
			out->type = ATTR_BOOL;
			(void)jread_bool(&again, &b);
			out->i = b;
		} else {
			simple = false;
			(void)jread_skip_raw(&again, &raw);
		}
	}
	if (!jread_well(&again)) {
		r->why = again.why;
		r->at = again.at;
		return false;
	}
	if (simple)
		return true;
	out->type = ATTR_JSON;
	return gather_compact(g, whole, &out->text, NULL) == 0;
}

/* A KeyValue in any form. */
static int
slow_attr(struct doc *d, const char *p, const char *end, struct attr *out, struct err *e)
{
	struct slice member;
	struct jread r;

	*out = (struct attr){ .key = SLICE_LIT(""), .type = ATTR_JSON, .text = SLICE_LIT("{}") };
	jread_init(&r, p, (size_t)(end - p));
	if (jread_object(&r))
		while (jread_member(&r, &member)) {
			if (WALK_KEY(member, "key"))
				(void)jread_string(&r, &d->g->arena, &out->key);
			else if (WALK_KEY(member, "value") && jread_peek(&r) == JREAD_OBJECT)
				(void)read_value(d->g, &r, out);
			else
				(void)jread_skip(&r);
		}
	if (jread_done(&r, NULL) == 0)
		return 0;
	d->w.r.why = r.why;
	d->w.r.at = r.at;
	return walk_fail(&d->w, e);
}

/*
 * As collectors write it: {"key":"K","value":{"stringValue":"V"}}. 1: out is
 * filled; 0: nobody wants it; -2: another form; -1 err.
 */
static int
fast_attr(struct doc *d, const char *p, const char *end, struct attr *out, unsigned *found,
	struct err *e)
{
	static const char head[] = "{\"key\":\"", mid[] = "\",\"value\":{\"stringValue\":\"";
	const size_t n_head = sizeof head - 1, n_mid = sizeof mid - 1;
	const char *q, *stop = end - 3;
	int r;

	if ((size_t)(end - p) < n_head + 3 || memcmp(p, head, n_head) != 0)
		return -2;
	q = jscan_special(p + n_head, end);
	if (q == end || *q != '"')
		return -2;
	out->key = (struct slice){ p + n_head, (size_t)(q - p) - n_head };
	*found = gather_key(d->g, out->key);
	if ((*found & WANT_KEY) == 0 && WANT_ROLE(*found) != ROLE_SERVICE)
		return 0;
	if ((size_t)(end - q) < n_mid + 3 || memcmp(q, mid, n_mid) != 0 ||
	    memcmp(stop, "\"}}", 3) != 0)
		return -2;
	out->type = ATTR_STRING;
	r = gather_string(d->g, q + n_mid, stop, &out->text, e);
	return r == 0 ? -2 : r < 0 ? -1 : 1;
}

/* The attributes at a place; the reader of the walk is not moved. resource: service.name always. */
static int
read_attrs(struct doc *d, struct place at, bool resource, struct attrs *out, struct err *e)
{
	const struct walk *w = &d->w;
	const char *p = w->text + w->index[at.k] + 1, *open;
	size_t k = at.k + 1, from = d->g->n_attrs, close;
	bool first = true;

	*out = (struct attrs){ NULL, 0 };
	if (!at.set)
		return 0;
	for (; *(open = w->text + w->index[k]) != ']'; first = false) {
		struct attr a = { .key = SLICE_NONE };
		unsigned found = 0;
		int r;

		if (*open != '{' || (first ? !walk_blank_between(p, open) : !walk_comma_between(p, open)))
			return walk_malformed(&d->w, p, "a list of attributes is malformed", e);
		close = walk_close(w, k);
		p = w->text + w->index[close] + 1;
		r = fast_attr(d, open, p, &a, &found, e);
		if (r == -1)
			return -1;
		if (r < 0) {
			if (slow_attr(d, open, p, &a, e) < 0)
				return -1;
			found = gather_key(d->g, a.key);
		}
		k = close + 1;
		/* Jaeger's own remarks (as an attribute in its v3 answers) are none of the span's. */
		if (r == 0 || (WANT_ROLE(found) == ROLE_FORMAT && WALK_KEY(a.key, "@jaeger@warnings")))
			continue;
		if (((found & WANT_KEY) != 0 || (resource && WANT_ROLE(found) == ROLE_SERVICE)) &&
		    gather_attr(d->g, &a, e) < 0)
			return -1;
	}
	if (!walk_blank_between(p, open))
		return walk_malformed(&d->w, p, "a list of attributes is malformed", e);
	return gather_attrs(d->g, from, out, e);
}

/* Before the list of attributes: remember where it is. Other types are skipped. */
static void
take_list(struct doc *d, struct place *at)
{
	if (jread_peek(&d->w.r) == JREAD_ARRAY)
		(void)walk_jump(&d->w, at);
	else
		(void)walk_skip(&d->w);
}

static void
take_text(struct doc *d, struct slice *out)
{
	if (jread_peek(&d->w.r) == JREAD_STRING)
		(void)jread_string(&d->w.r, &d->g->arena, out);
	else
		(void)walk_skip(&d->w);
}

static int
read_event(struct doc *d, struct err *e)
{
	struct walk *w = &d->w;
	struct span_event ev = { .name = SLICE_LIT("") };
	struct place attrs = { 0, false };
	struct slice key;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if (WALK_KEY(key, "name"))
			take_text(d, &ev.name);
		else if (EITHER(key, "timeUnixNano", "time_unix_nano"))
			(void)read_time(&w->r, &ev.time_ns);
		else if (WALK_KEY(key, "attributes"))
			take_list(d, &attrs);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	(void)gather_key(d->g, ev.name);
	if (read_attrs(d, attrs, false, &ev.attrs, e) < 0)
		return -1;
	return gather_event(d->g, &ev, e);
}

static int
read_link(struct doc *d, struct err *e)
{
	struct walk *w = &d->w;
	struct span_link link = { .attrs = { NULL, 0 } };
	struct place attrs = { 0, false };
	struct slice key, trace = SLICE_NONE, span = SLICE_NONE;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if (EITHER(key, "traceId", "trace_id"))
			take_text(d, &trace);
		else if (EITHER(key, "spanId", "span_id"))
			take_text(d, &span);
		else if (WALK_KEY(key, "attributes"))
			take_list(d, &attrs);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	if (gather_id(d->g, trace, 32, &link.trace_id, e) < 0 ||
	    gather_id(d->g, span, 16, &link.span_id, e) < 0 ||
	    read_attrs(d, attrs, false, &link.attrs, e) < 0)
		return -1;
	return gather_link(d->g, &link, e);
}

/* Each element of the list at a place. */
static int
read_list(struct doc *d, struct place at, int (*one)(struct doc *, struct err *), struct err *e)
{
	if (!at.set)
		return 0;
	walk_to(&d->w, at);
	if (walk_array(&d->w))
		while (walk_element(&d->w))
			if (one(d, e) < 0)
				return -1;
	return jread_well(&d->w.r) ? 0 : walk_fail(&d->w, e);
}

/* An enum as number, or as PREFIX_NAME. Unknown gives 0. */
static bool
read_enum(struct jread *r, const char *prefix, const char *const *names, int n, int *out)
{
	struct slice s;
	long long v;

	*out = 0;
	if (!read_digits(r, &s))
		return false;
	if (slice_int(s, &v)) {
		*out = v >= 0 && v < n ? (int)v : 0;
		return true;
	}
	if (!slice_starts(s, prefix))
		return true;
	s.p += strlen(prefix);
	s.n -= strlen(prefix);
	for (int i = 0; i < n; i++)
		if (slice_is(s, names[i]))
			*out = i;
	return true;
}

static void
read_status(struct doc *d, struct span *s)
{
	static const char *const names[] = { "UNSET", "OK", "ERROR" };
	struct slice key;
	int code;

	if (jread_peek(&d->w.r) != JREAD_OBJECT) {
		(void)walk_skip(&d->w);
		return;
	}
	if (!walk_object(&d->w))
		return;
	while (walk_member(&d->w, &key)) {
		if (WALK_KEY(key, "message"))
			take_text(d, &s->status_message);
		else if (WALK_KEY(key, "code")) {
			(void)read_enum(&d->w.r, "STATUS_CODE_", names, 3, &code);
			s->status = (enum span_status)code;
		} else
			(void)walk_skip(&d->w);
	}
}

struct raw_span {
	struct slice trace, span, parent;
	struct place attrs, events, links;
};

static int
read_members(struct doc *d, struct raw_span *raw, struct span *s, struct err *e)
{
	static const char *const kinds[] = { "UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER",
		"CONSUMER" };
	struct walk *w = &d->w;
	struct slice key;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if (EITHER(key, "traceId", "trace_id"))
			take_text(d, &raw->trace);
		else if (EITHER(key, "spanId", "span_id"))
			take_text(d, &raw->span);
		else if (EITHER(key, "parentSpanId", "parent_span_id"))
			take_text(d, &raw->parent);
		else if (WALK_KEY(key, "name"))
			take_text(d, &s->name);
		else if (WALK_KEY(key, "kind"))
			(void)read_enum(&w->r, "SPAN_KIND_", kinds, 6, &s->kind);
		else if (EITHER(key, "startTimeUnixNano", "start_time_unix_nano"))
			(void)read_time(&w->r, &s->start_ns);
		else if (EITHER(key, "endTimeUnixNano", "end_time_unix_nano"))
			(void)read_time(&w->r, &s->end_ns);
		else if (WALK_KEY(key, "attributes"))
			take_list(d, &raw->attrs);
		else if (WALK_KEY(key, "events"))
			take_list(d, &raw->events);
		else if (WALK_KEY(key, "links"))
			take_list(d, &raw->links);
		else if (WALK_KEY(key, "status"))
			read_status(d, s);
		else
			(void)walk_skip(w);
	}
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

static int
read_span(struct doc *d, struct err *e)
{
	struct gather *g = d->g;
	struct raw_span raw = { .trace = SLICE_NONE };
	struct span s = { .name = SLICE_LIT("") };
	const char *after;
	size_t after_k;

	gather_begin(g);
	if (read_members(d, &raw, &s, e) < 0)
		return -1;
	after = d->w.r.p;
	after_k = d->w.k;
	if (gather_id(g, raw.trace, 32, &s.trace_id, e) < 0 ||
	    gather_id(g, raw.span, 16, &s.span_id, e) < 0 ||
	    gather_id(g, raw.parent, 16, &s.parent_id, e) < 0)
		return err_wrap(e, "spans at byte %llu", (unsigned long long)(d->w.base +
			(uint64_t)(d->w.r.start - d->w.text)));
	if (read_attrs(d, raw.attrs, false, &s.attrs, e) < 0 ||
	    read_list(d, raw.events, read_event, e) < 0 || read_list(d, raw.links, read_link, e) < 0)
		return -1;
	d->w.r.p = after;
	d->w.k = after_k;
	s.resource = d->resource;
	s.scope_name = d->scope.name;
	s.scope_version = d->scope.version;
	return gather_span(g, &s, e);
}

static int
read_spans(struct doc *d, struct place at, struct err *e)
{
	struct walk *w = &d->w;
	bool filters = want_filters(d->g->want);

	walk_to(w, at);
	if (walk_array(w))
		while (walk_element(w)) {
			bool leaf = jread_peek(&w->r) == JREAD_OBJECT && w->k + 1 < w->n &&
				w->text[w->index[w->k + 1]] == '}';

			if (leaf && filters) {
				d->g->seen++;
				w->r.p = w->text + w->index[w->k + 1] + 1;
				w->k += 2;
			} else if (read_span(d, e) < 0)
				return -1;
		}
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

static int
read_scope(struct doc *d, struct place at, struct err *e)
{
	struct walk *w = &d->w;
	struct slice key;

	walk_to(w, at);
	if (walk_object(w))
		while (walk_member(w, &key)) {
			if (WALK_KEY(key, "name"))
				take_text(d, &d->scope.name);
			else if (WALK_KEY(key, "version"))
				take_text(d, &d->scope.version);
			else
				(void)walk_skip(w);
		}
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

/* One element of scopeSpans. */
static int
read_scope_spans(struct doc *d, struct err *e)
{
	struct walk *w = &d->w;
	struct place scope = { 0, false }, spans = { 0, false };
	struct slice key;
	const char *after;
	size_t after_k;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if ((WALK_KEY(key, "scope") || WALK_KEY(key, "instrumentationLibrary")) &&
		    jread_peek(&w->r) == JREAD_OBJECT)
			(void)walk_jump(w, &scope);
		else if (WALK_KEY(key, "spans"))
			take_list(d, &spans);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	after = w->r.p;
	after_k = w->k;
	d->scope = (struct scope){ SLICE_NONE, SLICE_NONE };
	if ((scope.set && read_scope(d, scope, e) < 0) || (spans.set && read_spans(d, spans, e) < 0))
		return -1;
	w->r.p = after;
	w->k = after_k;
	return 0;
}

static int
read_resource(struct doc *d, struct place at, struct err *e)
{
	struct walk *w = &d->w;
	struct place attrs = { 0, false };
	struct slice key;

	if (!at.set)
		return 0;
	walk_to(w, at);
	if (walk_object(w))
		while (walk_member(w, &key)) {
			if (WALK_KEY(key, "attributes"))
				take_list(d, &attrs);
			else
				(void)walk_skip(w);
		}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	return read_attrs(d, attrs, true, &d->resource, e);
}

int
otlpjson_decode(struct gather *g, const struct chunk *c, const struct piece *x, struct err *e)
{
	struct doc d = { .g = g };
	struct place resource = { 0, false }, scopes = { 0, false };
	struct walk *w = &d.w;
	struct slice key;

	walk_init(w, c, x);
	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if (WALK_KEY(key, "resource") && jread_peek(&w->r) == JREAD_OBJECT)
			(void)walk_jump(w, &resource);
		else if (EITHER(key, "scopeSpans", "scope_spans") ||
		    EITHER(key, "instrumentationLibrarySpans", "instrumentation_library_spans"))
			take_list(&d, &scopes);
		else
			(void)walk_skip(w);
	}
	if (jread_done(&w->r, NULL) < 0)
		return walk_fail(w, e);
	if (read_resource(&d, resource, e) < 0)
		return -1;
	return read_list(&d, scopes, read_scope_spans, e);
}
