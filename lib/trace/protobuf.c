#include "trace/protobuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fmt/jscan.h"
#include "fmt/jsonw.h"

#define CHUNK_BYTES ((size_t)256 * 1024)
#define PIECE_DEFAULT ((size_t)256 << 20)
#define VALUE_DEPTH 16		/* of nested AnyValues */

/* A run of fields; failed is sticky. */
struct wire {
	const unsigned char *p, *end;
	bool failed;
};

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
	unsigned number;
	unsigned type;
	uint64_t v;		/* varint, or the fixed bytes */
	struct slice bytes;
};

static uint64_t
varint(struct wire *w)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char c;

		if (w->p == w->end)
			break;
		c = *w->p++;
		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return v;
	}
	w->failed = true;
	return 0;
}

static uint64_t
fixed(struct wire *w, unsigned n)
{
	uint64_t v = 0;

	if ((size_t)(w->end - w->p) < n) {
		w->failed = true;
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)w->p[i] << (8 * i);
	w->p += n;
	return v;
}

/* The next field; false at the end or when the wire is malformed. */
static bool
next_field(struct wire *w, struct field *f)
{
	uint64_t tag;

	if (w->failed || w->p == w->end)
		return false;
	tag = varint(w);
	f->number = (unsigned)(tag >> 3);
	f->type = (unsigned)(tag & 7);
	f->v = 0;
	f->bytes = (struct slice){ "", 0 };
	if (tag >> 3 == 0 || tag > UINT32_MAX)
		w->failed = true;
	if (w->failed)
		return false;
	switch (f->type) {
	case WIRE_VARINT:
		f->v = varint(w);
		break;
	case WIRE_64:
		f->v = fixed(w, 8);
		break;
	case WIRE_32:
		f->v = fixed(w, 4);
		break;
	case WIRE_BYTES:
		f->v = varint(w);
		if (w->failed || f->v > (size_t)(w->end - w->p)) {
			w->failed = true;
			return false;
		}
		f->bytes = (struct slice){ (const char *)w->p, (size_t)f->v };
		w->p += f->v;
		break;
	default:
		w->failed = true;	/* groups: never in these messages */
	}
	return !w->failed;
}

static struct wire
wire_of(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	return (struct wire){ p, p + s.n, false };
}

static int
malformed(struct err *e)
{
	return err_set(e, ERR_INPUT, "malformed protocol buffer");
}

static bool
is(const struct field *f, unsigned number, enum wire_type type)
{
	return f->number == number && f->type == (unsigned)type;
}

/* Strings of proto3 are UTF-8. */
static int
take_text(const struct field *f, struct slice *out, struct err *e)
{
	if (jscan_utf8(f->bytes.p, f->bytes.n) < f->bytes.n)
		return err_set(e, ERR_INPUT, "invalid UTF-8 in a string");
	*out = f->bytes;
	return 0;
}

static int
take_id(struct gather *g, const struct field *f, size_t digits, struct slice *out, struct err *e)
{
	static const char hex[] = "0123456789abcdef";
	bool any = false;
	char *p;

	*out = SLICE_NONE;
	if (f->bytes.n == 0)
		return 0;
	if (f->bytes.n * 2 > digits)
		return err_set(e, ERR_INPUT, "an id of %zu bytes, not %zu", f->bytes.n, digits / 2);
	if ((p = arena_alloc(&g->arena, digits, e)) == NULL)
		return -1;
	memset(p, '0', digits);
	for (size_t i = 0; i < f->bytes.n; i++) {
		unsigned char c = (unsigned char)f->bytes.p[i];
		char *q = p + digits - 2 * (f->bytes.n - i);

		q[0] = hex[c >> 4];
		q[1] = hex[c & 15];
		any |= c != 0;
	}
	if (any)
		*out = (struct slice){ p, digits };
	return 0;
}

static void
put_base64(struct jsonw *w, struct slice s)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < s.n; i += 3) {
		unsigned v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (i + k < s.n ? (unsigned char)s.p[i + k] : 0);
		buf_byte(&b, abc[v >> 18]);
		buf_byte(&b, abc[v >> 12 & 63]);
		buf_byte(&b, i + 1 < s.n ? abc[v >> 6 & 63] : '=');
		buf_byte(&b, i + 2 < s.n ? abc[v & 63] : '=');
	}
	w->b->failed |= b.failed;
	jsonw_kstr_n(w, "bytesValue", buf_cstr(&b), b.len);
	buf_finish(&b);
}

static double
as_double(uint64_t v)
{
	double d;

	memcpy(&d, &v, sizeof d);
	return d;
}

static int put_any(struct jsonw *w, struct slice message, unsigned depth, struct err *e);

/* The members of an ArrayValue (keyed false) or KeyValueList. */
static int
put_values(struct jsonw *w, struct slice message, bool keyed, unsigned depth, struct err *e)
{
	struct wire in = wire_of(message);
	struct field f, m;

	jsonw_object(w);
	jsonw_key(w, "values");
	jsonw_array(w);
	while (next_field(&in, &f)) {
		struct wire kv = wire_of(f.bytes);
		struct slice key = SLICE_LIT(""), value = SLICE_LIT("");

		if (!is(&f, 1, WIRE_BYTES))
			continue;
		if (!keyed) {
			if (put_any(w, f.bytes, depth, e) < 0)
				return -1;
			continue;
		}
		while (next_field(&kv, &m)) {
			if (is(&m, 1, WIRE_BYTES) && take_text(&m, &key, e) < 0)
				return -1;
			if (is(&m, 2, WIRE_BYTES))
				value = m.bytes;
		}
		in.failed |= kv.failed;
		jsonw_object(w);
		jsonw_kstr_n(w, "key", key.p, key.n);
		jsonw_key(w, "value");
		if (put_any(w, value, depth, e) < 0)
			return -1;
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	jsonw_end_object(w);
	return in.failed ? malformed(e) : 0;
}

static int
put_one(struct jsonw *w, const struct field *f, unsigned depth, struct err *e)
{
	struct slice text = SLICE_NONE;
	char number[24];

	if (is(f, 1, WIRE_BYTES)) {
		if (take_text(f, &text, e) < 0)
			return -1;
		jsonw_kstr_n(w, "stringValue", text.p, text.n);
	} else if (is(f, 2, WIRE_VARINT))
		jsonw_kbool(w, "boolValue", f->v != 0);
	else if (is(f, 3, WIRE_VARINT)) {
		(void)snprintf(number, sizeof number, "%lld", (long long)f->v);
		jsonw_kstr(w, "intValue", number);
	} else if (is(f, 4, WIRE_64))
		jsonw_kdouble(w, "doubleValue", as_double(f->v));
	else if (is(f, 5, WIRE_BYTES) || is(f, 6, WIRE_BYTES)) {
		jsonw_key(w, f->number == 5 ? "arrayValue" : "kvlistValue");
		return put_values(w, f->bytes, f->number == 6, depth, e);
	} else if (is(f, 7, WIRE_BYTES))
		put_base64(w, f->bytes);
	return 0;
}

/* An AnyValue as JSON; of several members the last counts. */
static int
put_any(struct jsonw *w, struct slice message, unsigned depth, struct err *e)
{
	struct wire in = wire_of(message);
	struct field f, last = { .number = 0 };

	if (depth == VALUE_DEPTH)
		return err_set(e, ERR_INPUT, "an attribute nested deeper than %d", VALUE_DEPTH);
	while (next_field(&in, &f))
		last = f;
	if (in.failed)
		return malformed(e);
	jsonw_object(w);
	if (put_one(w, &last, depth + 1, e) < 0)
		return -1;
	jsonw_end_object(w);
	return 0;
}

static int
json_value(struct gather *g, struct slice message, struct attr *out, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	int r;

	jsonw_init(&w, &b);
	r = put_any(&w, message, 0, e);
	if (r == 0)
		r = buf_ok(&b, e);
	out->type = ATTR_JSON;
	if (r == 0)
		r = gather_text(g, b.p, b.len, &out->text, e);
	buf_finish(&b);
	return r;
}

static int
read_value(struct gather *g, struct slice message, struct attr *out, struct err *e)
{
	struct wire in = wire_of(message);
	struct field f, last = { .number = 0 };

	while (next_field(&in, &f))
		last = f;
	if (in.failed)
		return malformed(e);
	if (is(&last, 1, WIRE_BYTES)) {
		out->type = ATTR_STRING;
		return take_text(&last, &out->text, e);
	}
	if (is(&last, 2, WIRE_VARINT)) {
		out->type = ATTR_BOOL;
		out->i = last.v != 0;
	} else if (is(&last, 3, WIRE_VARINT)) {
		out->type = ATTR_INT;
		out->i = (int64_t)last.v;
	} else if (is(&last, 4, WIRE_64)) {
		out->type = ATTR_DOUBLE;
		out->d = as_double(last.v);
	} else
		return json_value(g, message, out, e);
	return 0;
}

/* A KeyValue; collected when wanted. */
static int
read_attr(struct gather *g, struct slice message, bool resource, struct err *e)
{
	struct wire in = wire_of(message);
	struct attr a = { .key = SLICE_LIT("") };
	struct slice value = SLICE_LIT("");
	struct field f;
	unsigned found;

	while (next_field(&in, &f)) {
		if (is(&f, 1, WIRE_BYTES) && take_text(&f, &a.key, e) < 0)
			return -1;
		if (is(&f, 2, WIRE_BYTES))
			value = f.bytes;
	}
	if (in.failed)
		return malformed(e);
	found = gather_key(g, a.key);
	if ((found & WANT_KEY) == 0 && !(resource && WANT_ROLE(found) == ROLE_SERVICE))
		return 0;
	return read_value(g, value, &a, e) < 0 ? -1 : gather_attr(g, &a, e);
}

static int
read_event(struct gather *g, struct slice message, struct err *e)
{
	struct wire in = wire_of(message);
	struct span_event ev = { .name = SLICE_LIT("") };
	size_t from = g->n_attrs;
	struct field f;

	while (next_field(&in, &f)) {
		if (is(&f, 1, WIRE_64))
			ev.time_ns = f.v;
		else if (is(&f, 2, WIRE_BYTES)) {
			if (take_text(&f, &ev.name, e) < 0)
				return -1;
		} else if (is(&f, 3, WIRE_BYTES) && read_attr(g, f.bytes, false, e) < 0)
			return -1;
	}
	if (in.failed)
		return malformed(e);
	(void)gather_key(g, ev.name);
	return gather_attrs(g, from, &ev.attrs, e) < 0 ? -1 : gather_event(g, &ev, e);
}

static int
read_link(struct gather *g, struct slice message, struct err *e)
{
	struct wire in = wire_of(message);
	struct span_link link = { .attrs = { NULL, 0 } };
	size_t from = g->n_attrs;
	struct field f;

	while (next_field(&in, &f)) {
		if ((is(&f, 1, WIRE_BYTES) && take_id(g, &f, 32, &link.trace_id, e) < 0) ||
		    (is(&f, 2, WIRE_BYTES) && take_id(g, &f, 16, &link.span_id, e) < 0) ||
		    (is(&f, 4, WIRE_BYTES) && read_attr(g, f.bytes, false, e) < 0))
			return -1;
	}
	if (in.failed)
		return malformed(e);
	return gather_attrs(g, from, &link.attrs, e) < 0 ? -1 : gather_link(g, &link, e);
}

static int
read_status(struct slice message, struct span *s, struct err *e)
{
	struct wire in = wire_of(message);
	struct field f;

	while (next_field(&in, &f)) {
		if (is(&f, 2, WIRE_BYTES) && take_text(&f, &s->status_message, e) < 0)
			return -1;
		if (is(&f, 3, WIRE_VARINT))
			s->status = f.v == 1 ? SPAN_OK : f.v == 2 ? SPAN_ERROR : SPAN_UNSET;
	}
	return in.failed ? malformed(e) : 0;
}

/* Fields of a span but its attributes, events and links. */
static int
read_span_field(struct gather *g, const struct field *f, struct span *s, struct err *e)
{
	switch (f->number) {
	case 1:
		return is(f, 1, WIRE_BYTES) ? take_id(g, f, 32, &s->trace_id, e) : 0;
	case 2:
		return is(f, 2, WIRE_BYTES) ? take_id(g, f, 16, &s->span_id, e) : 0;
	case 4:
		return is(f, 4, WIRE_BYTES) ? take_id(g, f, 16, &s->parent_id, e) : 0;
	case 5:
		return is(f, 5, WIRE_BYTES) ? take_text(f, &s->name, e) : 0;
	case 6:
		s->kind = f->type == WIRE_VARINT && f->v <= 5 ? (int)f->v : 0;
		return 0;
	case 7:
		s->start_ns = f->type == WIRE_64 ? f->v : 0;
		return 0;
	case 8:
		s->end_ns = f->type == WIRE_64 ? f->v : 0;
		return 0;
	case 15:
		return is(f, 15, WIRE_BYTES) ? read_status(f->bytes, s, e) : 0;
	default:
		return 0;
	}
}

static int
read_span(struct gather *g, struct slice message, const struct span *common, struct err *e)
{
	struct wire in = wire_of(message);
	struct span s = *common;
	struct field f;

	gather_begin(g);
	/* Attributes first: events collect theirs in the same place. */
	while (next_field(&in, &f))
		if (is(&f, 9, WIRE_BYTES) ? read_attr(g, f.bytes, false, e) < 0 :
		    read_span_field(g, &f, &s, e) < 0)
			return -1;
	if (in.failed)
		return malformed(e);
	if (gather_attrs(g, 0, &s.attrs, e) < 0)
		return -1;
	in = wire_of(message);
	while (next_field(&in, &f))
		if ((is(&f, 11, WIRE_BYTES) && read_event(g, f.bytes, e) < 0) ||
		    (is(&f, 13, WIRE_BYTES) && read_link(g, f.bytes, e) < 0))
			return -1;
	return gather_span(g, &s, e);
}

static int
read_scope_spans(struct gather *g, struct slice message, struct span *common, struct err *e)
{
	struct wire in = wire_of(message), scope;
	struct field f, m;

	common->scope_name = common->scope_version = SLICE_NONE;
	while (next_field(&in, &f)) {
		if (!is(&f, 1, WIRE_BYTES))
			continue;
		scope = wire_of(f.bytes);
		while (next_field(&scope, &m))
			if ((is(&m, 1, WIRE_BYTES) && take_text(&m, &common->scope_name, e) < 0) ||
			    (is(&m, 2, WIRE_BYTES) && take_text(&m, &common->scope_version, e) < 0))
				return -1;
		in.failed |= scope.failed;
	}
	if (in.failed)
		return malformed(e);
	in = wire_of(message);
	while (next_field(&in, &f))
		if (is(&f, 2, WIRE_BYTES) && read_span(g, f.bytes, common, e) < 0)
			return -1;
	return 0;
}

static int
read_resource(struct gather *g, struct slice message, struct attrs *out, struct err *e)
{
	struct wire in = wire_of(message);
	struct field f;

	g->n_attrs = 0;
	while (next_field(&in, &f))
		if (is(&f, 1, WIRE_BYTES) && read_attr(g, f.bytes, true, e) < 0)
			return -1;
	return in.failed ? malformed(e) : gather_attrs(g, 0, out, e);
}

static int
read_resource_spans(struct gather *g, struct slice message, struct err *e)
{
	struct wire in = wire_of(message);
	struct span common = { .name = SLICE_LIT("") };
	struct field f;

	while (next_field(&in, &f))
		if (is(&f, 1, WIRE_BYTES) && read_resource(g, f.bytes, &common.resource, e) < 0)
			return -1;
	if (in.failed)
		return malformed(e);
	in = wire_of(message);
	while (next_field(&in, &f))
		if ((is(&f, 2, WIRE_BYTES) || is(&f, 1000, WIRE_BYTES)) &&
		    read_scope_spans(g, f.bytes, &common, e) < 0)
			return -1;
	return 0;
}

int
protobuf_decode(struct gather *g, const struct chunk *c, const struct piece *x, struct err *e)
{
	/* An empty message may come before any text is kept. */
	struct slice message = { x->end == 0 ? "" : c->text + x->start, x->end - x->start };

	if (read_resource_spans(g, message, e) == 0)
		return 0;
	return err_wrap(e, "resource spans at byte %llu", (unsigned long long)x->offset);
}

struct protobuf {
	struct stream_in *in;
	unsigned char *buf;		/* [CHUNK_BYTES], read ahead */
	size_t pos, len;
	uint64_t offset;		/* of buf[pos] in the stream */
	size_t max_piece;
	struct err failed;		/* told after the pieces before it */
};

struct protobuf *
protobuf_new(struct stream_in *in, const void *head, size_t n, size_t max_piece, struct err *e)
{
	struct protobuf *p = mem_calloc(1, sizeof *p, e);

	if (p == NULL)
		return NULL;
	p->in = in;
	p->max_piece = max_piece == 0 ? PIECE_DEFAULT : max_piece;
	p->buf = mem_realloc(NULL, n > CHUNK_BYTES ? n : CHUNK_BYTES, 1, e);
	if (p->buf == NULL) {
		free(p);
		return NULL;
	}
	if (n > 0)
		memcpy(p->buf, head, n);
	p->len = n;
	return p;
}

void
protobuf_free(struct protobuf *p)
{
	if (p == NULL)
		return;
	free(p->buf);
	free(p);
}

/* n bytes to `to` (NULL: thrown away). 1; 0 when the stream ends before the first; -1 err. */
static int
take(struct protobuf *p, void *to, uint64_t n, struct err *e)
{
	uint64_t had = 0;

	while (had < n) {
		size_t part = p->len - p->pos;

		if (part == 0) {
			p->pos = p->len = 0;
			if (stream_in_read(p->in, p->buf, CHUNK_BYTES, &p->len, e) < 0)
				return -1;
			if (p->len == 0)
				return had == 0 ? 0 : err_set(e, ERR_INPUT,
					"the input ends early, at byte %llu", (unsigned long long)p->offset);
			continue;
		}
		if (part > n - had)
			part = (size_t)(n - had);
		if (to != NULL)
			memcpy((char *)to + had, p->buf + p->pos, part);
		p->pos += part;
		p->offset += part;
		had += part;
	}
	return 1;
}

static int
take_varint(struct protobuf *p, uint64_t *v, struct err *e)
{
	unsigned char c;

	*v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		int r = take(p, &c, 1, e);

		if (r < 0 || (r == 0 && shift == 0))
			return r;
		if (r == 0)
			return err_set(e, ERR_INPUT, "the input ends early, at byte %llu",
				(unsigned long long)p->offset);
		if (shift == 63 && c > 1)
			break;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return 1;
	}
	return err_set(e, ERR_INPUT, "byte %llu: malformed protocol buffer",
		(unsigned long long)p->offset);
}

/* Take n bytes that must be there. */
static int
need(struct protobuf *p, void *to, uint64_t n, struct err *e)
{
	int r = n == 0 ? 1 : take(p, to, n, e);

	if (r == 0)
		return err_set(e, ERR_INPUT, "the input ends early, at byte %llu",
			(unsigned long long)p->offset);
	return r < 0 ? -1 : 0;
}

static int
too_large(struct protobuf *p, struct chunk *c, uint64_t n, struct err *e)
{
	void *notes = c->notes;

	if (mem_grow(&notes, &c->notes_cap, c->n_notes + 1, sizeof *c->notes, e) < 0)
		return -1;
	c->notes = notes;
	c->notes[c->n_notes].before = c->n_pieces;
	err_set(&c->notes[c->n_notes++].what, ERR_INPUT,
		"resource spans at byte %llu are larger than %zu MiB: raise --max-trace-bytes",
		(unsigned long long)p->offset, p->max_piece >> 20);
	return need(p, NULL, n, e);
}

/* The n bytes of a ResourceSpans message as a piece. Read by steps: n is not to be trusted. */
static int
add_message(struct protobuf *p, struct chunk *c, uint64_t n, struct err *e)
{
	struct piece x = { .start = c->len, .offset = p->offset };
	void *pieces = c->pieces, *text;
	size_t left = (size_t)n, part;

	if (mem_grow(&pieces, &c->pieces_cap, c->n_pieces + 1, sizeof *c->pieces, e) < 0)
		return -1;
	c->pieces = pieces;
	for (; left > 0; left -= part) {
		part = left < CHUNK_BYTES ? left : CHUNK_BYTES;
		text = c->text;
		if (mem_grow(&text, &c->cap, c->len + part, 1, e) < 0)
			return -1;
		c->text = text;
		if (need(p, c->text + c->len, part, e) < 0)
			return -1;
		c->len += part;
	}
	x.end = c->len;
	c->pieces[c->n_pieces++] = x;
	return 0;
}

/* One field of the request. 1, 0 at the end, -1. */
static int
next_message(struct protobuf *p, struct chunk *c, struct err *e)
{
	uint64_t tag, n;
	int r = take_varint(p, &tag, e);

	if (r <= 0)
		return r;
	switch (tag & 7) {
	case WIRE_VARINT:
		r = take_varint(p, &n, e);
		break;
	case WIRE_64:
		r = need(p, NULL, 8, e) < 0 ? -1 : 1;
		break;
	case WIRE_32:
		r = need(p, NULL, 4, e) < 0 ? -1 : 1;
		break;
	case WIRE_BYTES:
		if ((r = take_varint(p, &n, e)) <= 0)
			break;
		if (tag >> 3 != 1)
			return need(p, NULL, n, e) < 0 ? -1 : 1;
		return (n > p->max_piece ? too_large(p, c, n, e) : add_message(p, c, n, e)) < 0 ? -1 : 1;
	default:
		return err_set(e, ERR_INPUT, "byte %llu: malformed protocol buffer",
			(unsigned long long)p->offset);
	}
	return r == 0 ? err_set(e, ERR_INPUT, "the input ends early, at byte %llu",
		(unsigned long long)p->offset) : r;
}

int
protobuf_next(struct protobuf *p, struct chunk *c, struct err *e)
{
	uint64_t from = p->offset;
	int r = 1;

	c->n_pieces = c->n_notes = c->len = c->n_index = 0;
	if (c->cap > 16 * CHUNK_BYTES)
		chunk_finish(c);
	while (p->failed.code == ERR_NONE && r > 0 && c->len < CHUNK_BYTES && c->n_notes == 0)
		r = next_message(p, c, &p->failed);
	c->bytes = p->offset - from;
	if (c->n_pieces > 0 || c->n_notes > 0)
		return 1;
	if (p->failed.code != ERR_NONE && e != NULL)
		*e = p->failed;
	return p->failed.code != ERR_NONE ? -1 : 0;
}
