#include "trace/jaeger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jscan.h"
#include "trace/walk.h"

#define US ((uint64_t)1000)

/* A process of the trace, looked up by its id. */
struct process {
	struct slice id;
	struct attrs attrs;
};

struct trace {
	struct gather *g;
	struct walk w;
	struct process *processes;	/* [n_processes], in the arena */
	size_t n_processes;
	struct slice id;		/* of the trace object */
};

/* What the tags say of a span's fields. */
struct synthetic {
	int kind;
	enum span_status status;
	bool has_status, error;
	struct slice message, scope_name, scope_version;
};

/* A whole number of ns out of a JSON number of µs (an integer, else rounded). */
static bool
read_us(struct jread *r, uint64_t *ns)
{
	struct slice s;
	long long v;
	double d;

	if (jread_peek(r) == JREAD_STRING) {
		bool escaped;

		if (!jread_string_raw(r, &s, &escaped))
			return false;
	} else if (!jread_number(r, &s))
		return false;
	if (slice_int(s, &v) && v >= 0 && (uint64_t)v <= UINT64_MAX / US)
		*ns = (uint64_t)v * US;
	else if (slice_double(s, &d) && d >= 0 && d < 1.8e16)
		*ns = (uint64_t)(d * 1e3);
	else
		*ns = 0;
	return true;
}

/* Text of a number or string as the attribute type that the tag names. */
static void
typed(struct slice text, struct slice type, bool is_string, struct attr *out)
{
	long long i;

	out->type = ATTR_STRING;
	out->text = text;
	if ((WALK_KEY(type, "int64") || (type.p == NULL && !is_string)) && slice_int(text, &i)) {
		out->type = ATTR_INT;
		out->i = i;
	} else if ((WALK_KEY(type, "float64") || !is_string) && slice_double(text, &out->d))
		out->type = ATTR_DOUBLE;
	else if (WALK_KEY(type, "bool") && (slice_is(text, "true") || slice_is(text, "false"))) {
		out->type = ATTR_BOOL;
		out->i = slice_is(text, "true");
	}
}

/* base64 text (Jaeger's type "binary") as OTLP writes bytes. */
static int
bytes_value(struct gather *g, struct slice base64, struct attr *out, struct err *e)
{
	static const char head[] = "{\"bytesValue\":\"", tail[] = "\"}";
	size_t n = sizeof head + sizeof tail - 2 + base64.n;
	char *p = arena_alloc(&g->arena, n, e);

	if (p == NULL)
		return -1;
	memcpy(p, head, sizeof head - 1);
	if (base64.n > 0)
		memcpy(p + sizeof head - 1, base64.p, base64.n);
	memcpy(p + n - (sizeof tail - 1), tail, sizeof tail - 1);
	out->type = ATTR_JSON;
	out->text = (struct slice){ p, n };
	return 0;
}

/* Letters, digits, + and /, padded: what can stand in JSON text unescaped. */
static bool
is_base64(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '+' || c == '/' || c == '='))
			return false;
	}
	return true;
}

/* A value kept for after the type is known. */
struct pending {
	struct slice text;
	enum jread_type kind;
};

static bool
read_pending(struct jread *r, struct arena *a, struct pending *v)
{
	v->kind = jread_peek(r);
	if (v->kind == JREAD_STRING)
		return jread_string(r, a, &v->text);
	return jread_skip_raw(r, &v->text);
}

static int
finish_tag(struct gather *g, const struct pending *v, struct slice type, struct attr *out,
	struct err *e)
{
	switch (v->kind) {
	case JREAD_STRING:
		if (WALK_KEY(type, "binary") && is_base64(v->text))
			return bytes_value(g, v->text, out, e);
		typed(v->text, type, true, out);
		break;
	case JREAD_NUMBER:
		typed(v->text, WALK_KEY(type, "float64") ? type : SLICE_NONE, false, out);
		break;
	case JREAD_TRUE:
	case JREAD_FALSE:
		out->type = ATTR_BOOL;
		out->i = v->kind == JREAD_TRUE;
		break;
	case JREAD_OBJECT:
	case JREAD_ARRAY:
		out->type = ATTR_STRING;	/* not Jaeger's own: its text */
		return gather_compact(g, v->text, &out->text, e);
	case JREAD_NULL:
	case JREAD_ERROR:
		out->type = ATTR_STRING;
		out->text = SLICE_LIT("");
		break;
	}
	return 0;
}

/* A tag in any form. Members in any order, the last of a name counts. 0 / -1. */
static int
slow_tag(struct trace *t, const char *p, const char *end, struct attr *out, struct err *e)
{
	struct slice member, type = SLICE_NONE;
	struct pending v = { SLICE_NONE, JREAD_NULL };
	struct arena *a = &t->g->arena;
	struct jread r;

	*out = (struct attr){ .key = SLICE_LIT("") };
	jread_init(&r, p, (size_t)(end - p));
	if (jread_object(&r))
		while (jread_member(&r, &member)) {
			if (WALK_KEY(member, "key"))
				(void)jread_string(&r, a, &out->key);
			else if (WALK_KEY(member, "type") && jread_peek(&r) == JREAD_STRING)
				(void)jread_string(&r, a, &type);
			else if (WALK_KEY(member, "value"))
				(void)read_pending(&r, a, &v);
			else
				(void)jread_skip(&r);
		}
	if (jread_done(&r, NULL) < 0) {
		t->w.r.why = r.why;
		t->w.r.at = r.at;
		return walk_fail(&t->w, e);
	}
	return finish_tag(t->g, &v, type, out, e);
}

/*
 * The form that Jaeger writes: {"key":"K","type":"string","value":"V"}. 1: out
 * is filled; 0: nobody wants it (*found says so); -2: not of this form; -1 err.
 */
static int
fast_tag(struct trace *t, const char *p, const char *end, struct attr *out, unsigned *found,
	struct err *e)
{
	static const char head[] = "{\"key\":\"", mid[] = "\",\"type\":\"string\",\"value\":\"";
	const size_t n_head = sizeof head - 1, n_mid = sizeof mid - 1;
	const char *q, *stop = end - 2;
	int r;

	if ((size_t)(end - p) < n_head + 2 || memcmp(p, head, n_head) != 0)
		return -2;
	q = jscan_special(p + n_head, end);
	if (q == end || *q != '"')
		return -2;
	out->key = (struct slice){ p + n_head, (size_t)(q - p) - n_head };
	*found = gather_key(t->g, out->key);
	if ((*found & ~WANT_MARKER) == 0)
		return 0;
	if ((size_t)(end - q) < n_mid + 2 || memcmp(q, mid, n_mid) != 0 || *stop != '"')
		return -2;
	out->type = ATTR_STRING;
	r = gather_string(t->g, q + n_mid, stop, &out->text, e);
	return r == 0 ? -2 : r < 0 ? -1 : 1;
}

static int
kind_of(struct slice s)
{
	static const char *const names[] = { "unspecified", "internal", "server", "client", "producer",
		"consumer" };

	for (int i = 0; i < 6; i++)
		if (slice_is(s, names[i]))
			return i;
	return -1;
}

/* True when the tag stands for a field of the span and is no attribute. */
static bool
take_role(enum want_role role, const struct attr *a, struct synthetic *y)
{
	bool text = a->type == ATTR_STRING;

	switch (role) {
	case ROLE_KIND:
		if (!text || kind_of(a->text) < 0)
			return false;
		y->kind = kind_of(a->text);
		return true;
	case ROLE_STATUS:
		if (!text)
			return false;
		y->has_status = true;
		y->status = slice_is(a->text, "ERROR") ? SPAN_ERROR :
			slice_is(a->text, "OK") ? SPAN_OK : SPAN_UNSET;
		return true;
	case ROLE_STATUS_TEXT:
		y->message = a->text;
		return text;
	case ROLE_ERROR:
		if (a->type == ATTR_BOOL ? a->i == 0 : !text || !slice_is(a->text, "true"))
			return false;
		y->error = true;
		return true;
	case ROLE_SCOPE_NAME:
		y->scope_name = a->text;
		return text;
	case ROLE_SCOPE_VERSION:
		y->scope_version = a->text;
		return text;
	case ROLE_FORMAT:
		return true;
	case ROLE_SERVICE:
	case ROLE_NONE:
		break;
	}
	return false;
}

/* What to do with the tags of a list. */
enum use { USE_SPAN, USE_EVENT, USE_PROCESS };

static int
one_tag(struct trace *t, const char *p, const char *end, bool leaf, enum use use,
	struct synthetic *y, struct slice *event, struct err *e)
{
	struct attr a = { .key = SLICE_NONE };
	unsigned found = 0;
	int r = leaf && use != USE_EVENT ? fast_tag(t, p, end, &a, &found, e) : -2;

	if (r == 0 || r == -1)
		return r;
	if (r < 0) {
		if (slow_tag(t, p, end, &a, e) < 0)
			return -1;
		if (use == USE_EVENT && WALK_KEY(a.key, "event") && a.type == ATTR_STRING) {
			*event = a.text;	/* the event's name, no key of its own */
			return 0;
		}
		found = use == USE_PROCESS ? want_find(t->g->want, a.key) : gather_key(t->g, a.key);
	}
	if (use == USE_SPAN && take_role(WANT_ROLE(found), &a, y))
		return 0;
	if (use == USE_PROCESS && WANT_ROLE(found) == ROLE_SERVICE)
		return 0;	/* serviceName is it */
	return (found & WANT_KEY) != 0 ? gather_attr(t->g, &a, e) : 0;
}

/*
 * A list of tags at a place; the reader of the walk is not moved. The index of
 * the closing bracket, or -1.
 */
static ptrdiff_t
read_tags(struct trace *t, struct place at, enum use use, struct synthetic *y, struct slice *event,
	struct err *e)
{
	const struct walk *w = &t->w;
	const char *p = w->text + w->index[at.k], *open;
	size_t k = at.k + 1;
	bool first = true;

	if (*p++ != '[')
		return walk_malformed(&t->w, p - 1, "tags are a list", e);
	for (; *(open = w->text + w->index[k]) != ']'; first = false) {
		size_t close = k + 1;

		if (*open != '{' || (first ? !walk_blank_between(p, open) : !walk_comma_between(p, open)))
			return walk_malformed(&t->w, p, "a list of tags is malformed", e);
		if (w->text[w->index[close]] != '}')
			close = walk_close(w, k);
		p = w->text + w->index[close] + 1;
		if (one_tag(t, open, p, close == k + 1, use, y, event, e) < 0)
			return -1;
		k = close + 1;
	}
	if (!walk_blank_between(p, open))
		return walk_malformed(&t->w, p, "a list of tags is malformed", e);
	return (ptrdiff_t)k;
}

/* One log: {"timestamp":µs,"fields":[tags]} */
static int
read_log(struct trace *t, struct err *e)
{
	struct walk *w = &t->w;
	struct span_event ev = { .name = SLICE_LIT("") };
	struct place fields = { 0, false };
	size_t from = t->g->n_attrs;
	struct slice key;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		if (WALK_KEY(key, "timestamp"))
			(void)read_us(&w->r, &ev.time_ns);
		else if (WALK_KEY(key, "fields") && jread_peek(&w->r) == JREAD_ARRAY)
			(void)walk_jump(w, &fields);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	if (fields.set && read_tags(t, fields, USE_EVENT, NULL, &ev.name, e) < 0)
		return -1;
	(void)gather_key(t->g, ev.name);
	if (gather_attrs(t->g, from, &ev.attrs, e) < 0)
		return -1;
	return gather_event(t->g, &ev, e);
}

static int
read_logs(struct trace *t, struct place at, struct err *e)
{
	struct walk *w = &t->w;

	walk_to(w, at);
	if (walk_array(w))
		while (walk_element(w))
			if (read_log(t, e) < 0)
				return -1;
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

static int
read_reference(struct trace *t, struct span *s, struct err *e)
{
	struct walk *w = &t->w;
	struct slice key, type = SLICE_NONE, trace = SLICE_NONE, span = SLICE_NONE;
	struct span_link link = { .attrs = { NULL, 0 } };
	struct arena *a = &t->g->arena;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		struct slice *to = WALK_KEY(key, "refType") ? &type : WALK_KEY(key, "traceID") ? &trace :
			WALK_KEY(key, "spanID") ? &span : NULL;

		if (to != NULL && jread_peek(&w->r) == JREAD_STRING)
			(void)jread_string(&w->r, a, to);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	if (gather_id(t->g, trace, 32, &link.trace_id, e) < 0 ||
	    gather_id(t->g, span, 16, &link.span_id, e) < 0)
		return -1;
	if (WALK_KEY(type, "CHILD_OF") && s->parent_id.n == 0 &&
	    (trace.n == 0 || slice_eq(link.trace_id, s->trace_id))) {
		s->parent_id = link.span_id;
		return 0;
	}
	return gather_link(t->g, &link, e);
}

static int
read_references(struct trace *t, struct place at, struct span *s, struct err *e)
{
	struct walk *w = &t->w;

	walk_to(w, at);
	if (walk_array(w))
		while (walk_element(w))
			if (read_reference(t, s, e) < 0)
				return -1;
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

/* The members of a span object as they stand; containers by place. */
struct raw_span {
	struct slice trace, span, parent, name, process;
	uint64_t start_ns, duration_ns;
	struct place tags, logs, references;
};

static struct slice *
text_member(struct raw_span *s, struct slice key)
{
	return WALK_KEY(key, "traceID") ? &s->trace : WALK_KEY(key, "spanID") ? &s->span :
		WALK_KEY(key, "parentSpanID") ? &s->parent : WALK_KEY(key, "operationName") ? &s->name :
		WALK_KEY(key, "processID") ? &s->process : NULL;
}

static int
read_members(struct trace *t, struct raw_span *s, struct err *e)
{
	struct walk *w = &t->w;
	struct slice key;

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		enum jread_type type = jread_peek(&w->r);
		struct slice *text = type == JREAD_STRING ? text_member(s, key) : NULL;

		if (text != NULL)
			(void)jread_string(&w->r, &t->g->arena, text);
		else if (WALK_KEY(key, "startTime"))
			(void)read_us(&w->r, &s->start_ns);
		else if (WALK_KEY(key, "duration"))
			(void)read_us(&w->r, &s->duration_ns);
		else if (WALK_KEY(key, "tags") && type == JREAD_ARRAY)
			(void)walk_jump(w, &s->tags);
		else if (WALK_KEY(key, "logs") && type == JREAD_ARRAY)
			(void)walk_jump(w, &s->logs);
		else if (WALK_KEY(key, "references") && type == JREAD_ARRAY)
			(void)walk_jump(w, &s->references);
		else
			(void)walk_skip(w);
	}
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

/* Past a literal at *p; false (and *p as it was) when something else is there. */
#define TAKE(p, end, literal) \
	((size_t)((end) - *(p)) >= sizeof(literal) - 1 && \
		memcmp(*(p), (literal), sizeof(literal) - 1) == 0 && (*(p) += sizeof(literal) - 1, true))

/* The rest of a string without escapes, and its closing quote. */
static bool
take_plain(const char **p, const char *end, struct slice *out)
{
	const char *q = jscan_special(*p, end);

	*out = (struct slice){ *p, (size_t)(q - *p) };
	*p = q + 1;
	return q < end && *q == '"';
}

static bool
take_us(const char **p, const char *end, uint64_t *ns)
{
	const char *q = *p;
	uint64_t v = 0;

	while (q < end && *q >= '0' && *q <= '9' && q - *p < 17)
		v = v * 10 + (uint64_t)(*q++ - '0');
	if (q == *p || q - *p == 17 || (**p == '0' && q > *p + 1))
		return false;
	*ns = v * US;
	*p = q;
	return true;
}

/* Past the list whose opening bracket, at *p, is the one at *k of the index. */
static bool
take_list(const struct walk *w, const char **p, size_t *k, struct place *at)
{
	size_t close;

	if (w->text + w->index[*k] != *p)
		return false;
	*at = (struct place){ *k, true };
	close = walk_close(w, *k);
	*p = w->text + w->index[close] + 1;
	*k = close + 1;
	return true;
}

/*
 * The form that Jaeger writes: every member, in its order, without white space.
 * 1: raw is filled and the tags are read; 0: another form; -1 err.
 */
static int
fast_span(struct trace *t, struct raw_span *s, struct synthetic *y, struct err *e)
{
	struct walk *w = &t->w;
	const char *p = w->r.p, *end = w->r.end;
	struct place tags = { w->k + 1, true };
	size_t k = w->k + 1;
	ptrdiff_t close;

	if (!TAKE(&p, end, "{\"traceID\":\"") || !take_plain(&p, end, &s->trace) ||
	    !TAKE(&p, end, ",\"spanID\":\"") || !take_plain(&p, end, &s->span) ||
	    !TAKE(&p, end, ",\"operationName\":\"") || !take_plain(&p, end, &s->name) ||
	    !TAKE(&p, end, ",\"references\":") || !take_list(w, &p, &k, &s->references) ||
	    !TAKE(&p, end, ",\"startTime\":") || !take_us(&p, end, &s->start_ns) ||
	    !TAKE(&p, end, ",\"duration\":") || !take_us(&p, end, &s->duration_ns) ||
	    !TAKE(&p, end, ",\"tags\":") || w->text + w->index[k] != p || *p != '[')
		return 0;
	tags.k = k;
	if ((close = read_tags(t, tags, USE_SPAN, y, NULL, e)) < 0)
		return -1;
	k = (size_t)close + 1;
	p = w->text + w->index[close] + 1;
	if (!TAKE(&p, end, ",\"logs\":") || !take_list(w, &p, &k, &s->logs) ||
	    !TAKE(&p, end, ",\"processID\":\"") || !take_plain(&p, end, &s->process) ||
	    !TAKE(&p, end, ",\"warnings\":null}"))
		return 0;
	w->r.p = p;
	w->k = k + 1;
	return 1;
}

/* The members of a span and its tags, in any form. */
static int
read_parts(struct trace *t, struct raw_span *raw, struct synthetic *y, struct err *e)
{
	int r;

	if ((r = fast_span(t, raw, y, e)) != 0)
		return r < 0 ? -1 : 0;
	*raw = (struct raw_span){ .name = SLICE_LIT("") };
	*y = (struct synthetic){ .kind = 0 };
	t->g->n_attrs = 0;
	t->g->marked = false;
	if (read_members(t, raw, e) < 0)
		return -1;
	return raw->tags.set && read_tags(t, raw->tags, USE_SPAN, y, NULL, e) < 0 ? -1 : 0;
}

static struct attrs
process_of(const struct trace *t, struct slice id)
{
	for (size_t i = 0; i < t->n_processes; i++)
		if (slice_eq(t->processes[i].id, id))
			return t->processes[i].attrs;
	return (struct attrs){ NULL, 0 };
}

static int
read_span(struct trace *t, struct err *e)
{
	struct gather *g = t->g;
	struct raw_span raw = { .name = SLICE_LIT("") };
	struct synthetic y = { .kind = 0 };
	struct span s = { .kind = 0 };
	struct jread *r = &t->w.r;
	const char *after;
	size_t after_k;

	gather_begin(g);
	if (read_parts(t, &raw, &y, e) < 0)
		return -1;
	after = r->p;
	after_k = t->w.k;
	if (gather_id(g, raw.trace.n > 0 ? raw.trace : t->id, 32, &s.trace_id, e) < 0 ||
	    gather_id(g, raw.span, 16, &s.span_id, e) < 0 ||
	    gather_id(g, raw.parent, 16, &s.parent_id, e) < 0)
		return err_wrap(e, "trace at byte %llu", (unsigned long long)(t->w.base +
			(uint64_t)(r->start - t->w.text)));
	if (gather_attrs(g, 0, &s.attrs, e) < 0)
		return -1;
	if (raw.logs.set && read_logs(t, raw.logs, e) < 0)
		return -1;
	if (raw.references.set && read_references(t, raw.references, &s, e) < 0)
		return -1;
	r->p = after;
	t->w.k = after_k;
	s.name = raw.name;
	s.kind = y.kind;
	s.start_ns = raw.start_ns;
	s.end_ns = raw.start_ns + raw.duration_ns;
	s.status = y.has_status ? y.status : y.error ? SPAN_ERROR : SPAN_UNSET;
	s.status_message = y.message;
	s.scope_name = y.scope_name;
	s.scope_version = y.scope_version;
	s.resource = process_of(t, raw.process);
	return gather_span(g, &s, e);
}

static int
read_spans(struct trace *t, struct place at, struct err *e)
{
	struct walk *w = &t->w;
	bool filters = want_filters(t->g->want);

	walk_to(w, at);
	if (walk_array(w))
		while (walk_element(w)) {
			bool leaf = jread_peek(&w->r) == JREAD_OBJECT && w->k + 1 < w->n &&
				w->text[w->index[w->k + 1]] == '}';

			if (leaf && filters) {
				t->g->seen++;
				w->r.p = w->text + w->index[w->k + 1] + 1;
				w->k += 2;
			} else if (read_span(t, e) < 0)
				return -1;
		}
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

static int
read_process(struct trace *t, struct process *out, struct err *e)
{
	struct walk *w = &t->w;
	struct slice key, service = SLICE_NONE;
	struct place tags = { 0, false };

	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		enum jread_type type = jread_peek(&w->r);

		if (WALK_KEY(key, "serviceName") && type == JREAD_STRING)
			(void)jread_string(&w->r, &t->g->arena, &service);
		else if (WALK_KEY(key, "tags") && type == JREAD_ARRAY)
			(void)walk_jump(w, &tags);
		else
			(void)walk_skip(w);
	}
	if (!jread_well(&w->r))
		return walk_fail(w, e);
	if (service.p != NULL && gather_attr(t->g, &(struct attr){ .key = SLICE_LIT("service.name"),
	    .type = ATTR_STRING, .text = service }, e) < 0)
		return -1;
	if (tags.set && read_tags(t, tags, USE_PROCESS, NULL, NULL, e) < 0)
		return -1;
	return gather_attrs(t->g, 0, &out->attrs, e);
}

static int
read_processes(struct trace *t, struct place at, struct err *e)
{
	struct walk *w = &t->w;
	size_t cap = (walk_close(w, at.k) - at.k) / 2 + 1;
	struct slice key;

	t->processes = arena_alloc(&t->g->arena, cap * sizeof *t->processes, e);
	if (t->processes == NULL)
		return -1;
	walk_to(w, at);
	if (walk_object(w))
		while (walk_member(w, &key)) {
			struct process *p = &t->processes[t->n_processes];

			if (jread_peek(&w->r) != JREAD_OBJECT) {
				(void)walk_skip(w);
				continue;
			}
			*p = (struct process){ .id = key };
			if (read_process(t, p, e) < 0)
				return -1;
			t->n_processes++;
		}
	t->g->marked = false;
	return jread_well(&w->r) ? 0 : walk_fail(w, e);
}

int
jaeger_decode(struct gather *g, const struct chunk *c, const struct piece *x, struct err *e)
{
	struct trace t = { .g = g };
	struct place spans = { 0, false }, processes = { 0, false };
	struct walk *w = &t.w;
	struct slice key;

	walk_init(w, c, x);
	if (!walk_object(w))
		return walk_fail(w, e);
	while (walk_member(w, &key)) {
		enum jread_type type = jread_peek(&w->r);

		if (WALK_KEY(key, "traceID") && type == JREAD_STRING)
			(void)jread_string(&w->r, &g->arena, &t.id);
		else if (WALK_KEY(key, "spans") && type == JREAD_ARRAY)
			(void)walk_jump(w, &spans);
		else if (WALK_KEY(key, "processes") && type == JREAD_OBJECT)
			(void)walk_jump(w, &processes);
		else
			(void)walk_skip(w);
	}
	if (jread_done(&w->r, NULL) < 0)
		return walk_fail(w, e);
	if (processes.set && read_processes(&t, processes, e) < 0)
		return -1;
	return spans.set ? read_spans(&t, spans, e) : 0;
}
