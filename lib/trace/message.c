#include "trace/message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"

#define MAX_NESTING 6	/* requests within requests: kwargs, inputs */

/* What is needed on the way down. */
struct walk {
	struct message_set *set;
	struct arena *arena;
	struct err *e;
	bool nomem;
};

/* Texts of one message's parts, joined by newlines once there are two. */
struct parts {
	struct slice text;
	size_t cap, n, others;
};

static bool read_value(struct walk *, struct jread *, struct slice role, unsigned depth);

void
message_reset(struct message_set *s)
{
	s->n = s->other_parts = 0;
}

void
message_finish(struct message_set *s)
{
	free(s->v);
	free(s->number);
	*s = (struct message_set){ 0 };
}

int
message_add(struct message_set *s, struct slice role, struct slice text, struct err *e)
{
	if (mem_grow((void **)&s->v, &s->cap, s->n + 1, sizeof *s->v, e) < 0)
		return -1;
	s->v[s->n++] = (struct message){ role.n > 0 ? role : SLICE_LIT("user"), text, 0 };
	return 0;
}

/*
 * Append to a text. *cap is the size of its own block, 0 while it is borrowed;
 * blocks double, so that many small parts cost linear memory.
 */
static bool
join(struct walk *w, struct slice *all, size_t *cap, struct slice more, const char *glue)
{
	size_t g = strlen(glue), need = all->n + g + more.n;
	char *p;

	if (all->p == NULL || all->n == 0) {
		*all = more;
		*cap = 0;
		return true;
	}
	if (need > *cap) {
		if ((p = arena_alloc(w->arena, 2 * need, w->e)) == NULL) {
			w->nomem = true;
			return false;
		}
		memcpy(p, all->p, all->n);
		all->p = p;
		*cap = 2 * need;
	}
	p = (char *)(uintptr_t)all->p;	/* our own block */
	memcpy(p + all->n, glue, g);
	memcpy(p + all->n + g, more.p, more.n);
	all->n = need;
	return true;
}

static bool
is_text_type(struct slice type)
{
	return type.n == 0 || slice_is(type, "text") || slice_is(type, "input_text") ||
		slice_is(type, "output_text");
}

/* One part: {"type":"text","content"|"text": ...}, or a bare string. */
static bool
read_part(struct walk *w, struct jread *j, struct parts *parts)
{
	struct slice key, type = SLICE_NONE, text = SLICE_NONE;

	if (jread_peek(j) == JREAD_STRING) {
		parts->n++;
		return jread_string(j, w->arena, &text) && join(w, &parts->text, &parts->cap, text, "\n");
	}
	if (jread_peek(j) != JREAD_OBJECT)
		return jread_skip(j);
	if (!jread_object(j))
		return false;
	while (jread_member(j, &key)) {
		bool string = jread_peek(j) == JREAD_STRING, ok;

		if (string && slice_is(key, "type"))
			ok = jread_string(j, w->arena, &type);
		else if (string && (slice_is(key, "text") || slice_is(key, "content")))
			ok = jread_string(j, w->arena, &text);
		else
			ok = jread_skip(j);
		if (!ok)
			return false;
	}
	if (!jread_well(j))
		return false;
	if (text.p == NULL || !is_text_type(type)) {
		parts->others++;
		return true;
	}
	parts->n++;
	return join(w, &parts->text, &parts->cap, text, "\n");
}

/* Text, a list of parts, or one part. */
static bool
read_parts(struct walk *w, struct jread *j, struct parts *parts)
{
	if (jread_peek(j) != JREAD_ARRAY)
		return jread_peek(j) == JREAD_NULL ? jread_null(j) : read_part(w, j, parts);
	if (!jread_array(j))
		return false;
	while (jread_element(j)) {
		if (!read_part(w, j, parts))
			return false;
	}
	return jread_well(j);
}

static bool
holds_request(struct slice key)
{
	return slice_is(key, "messages") || slice_is(key, "input") || slice_is(key, "prompt") ||
		slice_is(key, "inputs") || slice_is(key, "kwargs") || slice_is(key, "contents");
}

static bool
push(struct walk *w, struct slice role, const struct parts *parts)
{
	w->set->other_parts += parts->others;
	if (parts->n == 0)
		return true;
	if (message_add(w->set, role, parts->text, w->e) < 0) {
		w->nomem = true;
		return false;
	}
	return true;
}

/*
 * An object is a message when it has role, parts or content; else a request
 * that may hold messages. A part on its own ({"type":"text",...}) reads as a
 * message of the role that holds.
 */
static bool
read_object(struct walk *w, struct jread *j, struct slice role, unsigned depth)
{
	struct parts parts = { SLICE_NONE, 0, 0, 0 };
	struct slice key, type = SLICE_NONE;
	size_t before = w->set->n;

	if (!jread_object(j))
		return false;
	while (jread_member(j, &key)) {
		bool ok;

		if (slice_is(key, "role") && jread_peek(j) == JREAD_STRING)
			ok = jread_string(j, w->arena, &role);
		else if (slice_is(key, "type") && jread_peek(j) == JREAD_STRING)
			ok = jread_string(j, w->arena, &type);
		else if (slice_is(key, "parts") || slice_is(key, "content") ||
			slice_is(key, "text"))
			ok = read_parts(w, j, &parts);
		else if (holds_request(key) && depth < MAX_NESTING && w->set->n == before)
			ok = read_value(w, j, SLICE_NONE, depth + 1);
		else
			ok = jread_skip(j);
		if (!ok)
			return false;
	}
	if (!jread_well(j))
		return false;
	/* at the top a text that only looks like a message stays what the user wrote */
	if (w->set->n > before || (depth == 0 && role.n == 0 && type.n == 0))
		return true;
	return push(w, role, &parts);
}

static bool
read_value(struct walk *w, struct jread *j, struct slice role, unsigned depth)
{
	struct parts one = { SLICE_NONE, 0, 0, 0 };

	switch (jread_peek(j)) {
	case JREAD_STRING:
		if (depth == 0)
			return jread_skip(j);
		return read_part(w, j, &one) && push(w, role, &one);
	case JREAD_OBJECT:
		return read_object(w, j, role, depth);
	case JREAD_ARRAY:
		if (!jread_array(j))
			return false;
		while (jread_element(j)) {
			if (!read_value(w, j, role, depth))
				return false;
		}
		return jread_well(j);
	default:
		return jread_skip(j);
	}
}

int
message_add_json(struct message_set *s, struct slice json, struct arena *a, bool *found,
	struct err *e)
{
	struct walk w = { .set = s, .arena = a, .e = e };
	size_t n = s->n, others = s->other_parts;
	struct jread j;

	*found = false;
	jread_init(&j, json.p, json.n);
	if (jread_peek(&j) != JREAD_OBJECT && jread_peek(&j) != JREAD_ARRAY &&
	    jread_peek(&j) != JREAD_STRING)
		return 0;
	if (read_value(&w, &j, SLICE_NONE, 0) && jread_done(&j, NULL) == 0 && s->n > n) {
		*found = true;
		return 0;
	}
	s->n = n;
	s->other_parts = others;
	return w.nomem ? -1 : 0;
}

/* "12.rest" to 12 and rest. */
static bool
split_number(struct slice s, size_t *number, struct slice *rest)
{
	size_t i = 0, v = 0;

	while (i < s.n && i < 9 && s.p[i] >= '0' && s.p[i] <= '9')
		v = v * 10 + (size_t)(s.p[i++] - '0');
	if (i == 0 || i >= s.n || s.p[i] != '.')
		return false;
	*number = v;
	*rest = (struct slice){ s.p + i + 1, s.n - i - 1 };
	return true;
}

/* The message of that number, made when it is new. */
static struct message *
numbered(struct message_set *s, size_t number, struct err *e)
{
	for (size_t i = s->n; i-- > 0;) {
		if (s->number[i] == number)
			return &s->v[i];
	}
	if (mem_grow((void **)&s->number, &s->number_cap, s->n + 1, sizeof *s->number, e) < 0 ||
	    message_add(s, SLICE_NONE, SLICE_NONE, e) < 0)
		return NULL;
	s->number[s->n - 1] = number;
	return &s->v[s->n - 1];
}

int
message_numbered(struct message_set *s, struct slice rest, struct slice value, struct arena *a,
	struct err *e)
{
	struct walk w = { .set = s, .arena = a, .e = e };
	size_t number, part;
	struct message *m;

	if (!split_number(rest, &number, &rest) || s->n > 100000)
		return 0;
	if (slice_starts(rest, "message."))
		rest = (struct slice){ rest.p + 8, rest.n - 8 };
	if (!slice_is(rest, "role") && !slice_is(rest, "content") && !slice_starts(rest, "contents."))
		return 0;
	if ((m = numbered(s, number, e)) == NULL)
		return -1;
	if (slice_is(rest, "role")) {
		m->role = value;
	} else if (slice_is(rest, "content")) {
		m->text = value;
	} else {
		rest = (struct slice){ rest.p + 9, rest.n - 9 };
		if (split_number(rest, &part, &rest)) {
			if (slice_is(rest, "message_content.text"))
				return join(&w, &m->text, &m->cap, value, "\n") ? 0 : -1;
			if (slice_is(rest, "message_content.type") && !slice_is(value, "text"))
				s->other_parts++;
		}
	}
	return 0;
}

void
message_numbered_end(struct message_set *s)
{
	size_t kept = 0;

	/* nearly sorted already, and few */
	for (size_t i = 1; i < s->n; i++) {
		struct message m = s->v[i];
		size_t number = s->number[i], k = i;

		for (; k > 0 && s->number[k - 1] > number; k--) {
			s->v[k] = s->v[k - 1];
			s->number[k] = s->number[k - 1];
		}
		s->v[k] = m;
		s->number[k] = number;
	}
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].text.p != NULL)
			s->v[kept++] = s->v[i];
	}
	s->n = kept;
}

static bool
is_user(const struct message *m)
{
	return slice_is(m->role, "user") || slice_is(m->role, "human");
}

static bool
is_system(const struct message *m)
{
	return slice_is(m->role, "system") || slice_is(m->role, "developer");
}

static bool
has_text(struct slice s)
{
	return slice_trim(s).n > 0;
}

static int
conversation(const struct message_set *s, bool with_system, struct arena *a, struct slice *out,
	struct err *e)
{
	size_t total = 0, n = 0;
	bool user = false;
	char *p;

	for (size_t i = 0; i < s->n; i++) {
		if (!has_text(s->v[i].text) || (!with_system && is_system(&s->v[i])))
			continue;
		*out = s->v[i].text;
		total += s->v[i].role.n + s->v[i].text.n + 4;
		user = user || is_user(&s->v[i]);
		n++;
	}
	if (!user)
		*out = SLICE_NONE;
	if (!user || n < 2)
		return 0;
	if ((p = arena_alloc(a, total, e)) == NULL)
		return -1;
	*out = (struct slice){ p, 0 };
	for (size_t i = 0; i < s->n; i++) {
		const struct message *m = &s->v[i];

		if (!has_text(m->text) || (!with_system && is_system(m)))
			continue;
		if (out->n > 0) {
			memcpy(p + out->n, "\n\n", 2);
			out->n += 2;
		}
		memcpy(p + out->n, m->role.p, m->role.n);
		memcpy(p + out->n + m->role.n, ": ", 2);
		memcpy(p + out->n + m->role.n + 2, m->text.p, m->text.n);
		out->n += m->role.n + 2 + m->text.n;
	}
	return 0;
}

int
message_query(const struct message_set *s, enum message_pick pick, struct arena *a,
	struct slice *out, struct err *e)
{
	*out = SLICE_NONE;
	if (pick == MESSAGE_CONVERSATION || pick == MESSAGE_ALL)
		return conversation(s, pick == MESSAGE_ALL, a, out, e);
	for (size_t i = 0; i < s->n; i++) {
		const struct message *m = &s->v[pick == MESSAGE_LAST_USER ? s->n - 1 - i : i];

		if (is_user(m) && has_text(m->text)) {
			*out = m->text;
			return 0;
		}
	}
	return 0;
}

int
message_system(const struct message_set *s, struct arena *a, struct slice *out, struct err *e)
{
	struct walk w = { .arena = a, .e = e };
	size_t cap = 0;

	*out = SLICE_NONE;
	for (size_t i = 0; i < s->n; i++) {
		if (is_system(&s->v[i]) && !join(&w, out, &cap, s->v[i].text, "\n"))
			return -1;
	}
	return 0;
}

/* AnyValue: an object of one member that says the type. */
static bool
plain(struct jread *j, struct buf *out)
{
	struct slice key, inner, raw;
	bool comma = false, array;

	if (!jread_object(j) || !jread_member(j, &key))
		return false;
	array = slice_is(key, "arrayValue");
	if (!array && !slice_is(key, "kvlistValue")) {
		if (!jread_skip_raw(j, &raw))
			return false;
		buf_add(out, raw.p, raw.n);
		return !jread_member(j, &key) && jread_well(j);
	}
	buf_byte(out, array ? '[' : '{');
	if (!jread_object(j))
		return false;
	while (jread_member(j, &inner)) {
		if (!slice_is(inner, "values") || !jread_array(j))
			return false;
		while (jread_element(j)) {
			if (comma)
				buf_byte(out, ',');
			comma = true;
			if (array) {
				if (!plain(j, out))
					return false;
				continue;
			}
			if (!jread_object(j))
				return false;
			while (jread_member(j, &inner)) {
				if (slice_is(inner, "key")) {
					if (!jread_skip_raw(j, &raw))
						return false;
					buf_add(out, raw.p, raw.n);
					buf_byte(out, ':');
				} else if (!plain(j, out)) {
					return false;
				}
			}
		}
	}
	buf_byte(out, array ? ']' : '}');
	return !jread_member(j, &key) && jread_well(j);
}

bool
message_plain_json(struct slice any, struct buf *out)
{
	size_t before = out->len;
	struct jread j;

	jread_init(&j, any.p, any.n);
	if (plain(&j, out) && jread_done(&j, NULL) == 0)
		return true;
	if (out->p != NULL) {
		out->len = before;
		out->p[before] = '\0';
	}
	return false;
}
