#include "fmt/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#define MAX_FILE ((size_t)16 << 20)

struct anchor {
	const char *name;
	const struct yaml_node *node;
};

struct yaml {
	struct arena arena;
	const struct yaml_node *root;
	const char *name;
};

/* State of one parse. */
struct loader {
	struct yaml *doc;
	yaml_parser_t parser;
	struct anchor *anchors;
	size_t n_anchors, cap_anchors;
	size_t n_nodes;
	unsigned depth;
	struct err *e;
};

/* Children of a container while they are read. */
struct kids {
	const struct yaml_node **v;
	size_t n, cap;
};

static const struct yaml_node *read_node(struct loader *, const yaml_event_t *);

static int
fail(struct loader *l, size_t line, const char *why)
{
	return err_set(l->e, ERR_CONFIG, "%s:%zu: %s", l->doc->name, line, why);
}

static int
next(struct loader *l, yaml_event_t *ev)
{
	if (yaml_parser_parse(&l->parser, ev))
		return 0;
	return err_set(l->e, ERR_CONFIG, "%s:%zu: %s", l->doc->name,
		l->parser.problem_mark.line + 1,
		l->parser.problem != NULL ? l->parser.problem : "not YAML");
}

static struct yaml_node *
new_node(struct loader *l, enum yaml_type type, const yaml_event_t *ev)
{
	struct yaml_node *n;

	if (++l->n_nodes > YAML_MAX_NODES) {
		fail(l, ev->start_mark.line + 1, "too many values in one document");
		return NULL;
	}
	if ((n = arena_alloc(&l->doc->arena, sizeof *n, l->e)) == NULL)
		return NULL;
	*n = (struct yaml_node){ .type = type, .line = ev->start_mark.line + 1 };
	return n;
}

static int
add_anchor(struct loader *l, const yaml_char_t *name, const struct yaml_node *node)
{
	const char *copy;

	if (name == NULL)
		return 0;
	if ((copy = arena_dup(&l->doc->arena, name, strlen((const char *)name), l->e)) == NULL ||
	    mem_grow((void **)&l->anchors, &l->cap_anchors, l->n_anchors + 1,
		    sizeof *l->anchors, l->e) < 0)
		return -1;
	l->anchors[l->n_anchors++] = (struct anchor){ copy, node };
	return 0;
}

static const struct yaml_node *
find_anchor(struct loader *l, const yaml_event_t *ev)
{
	/* the latest of that name counts */
	for (size_t i = l->n_anchors; i-- > 0;) {
		if (strcmp(l->anchors[i].name, (const char *)ev->data.alias.anchor) == 0)
			return l->anchors[i].node;
	}
	fail(l, ev->start_mark.line + 1, "alias without an anchor before it");
	return NULL;
}

static const struct yaml_node *
read_scalar(struct loader *l, const yaml_event_t *ev)
{
	struct yaml_node *n = new_node(l, YAML_SCALAR, ev);

	if (n == NULL)
		return NULL;
	n->len = ev->data.scalar.length;
	n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_dup(&l->doc->arena, ev->data.scalar.value, n->len, l->e);
	if (n->text == NULL || add_anchor(l, ev->data.scalar.anchor, n) < 0)
		return NULL;
	return n;
}

static int
add_kid(struct loader *l, struct kids *k, const struct yaml_node *node)
{
	if (mem_grow((void **)&k->v, &k->cap, k->n + 1, sizeof *k->v, l->e) < 0)
		return -1;
	k->v[k->n++] = node;
	return 0;
}

/* Read up to the closing event. */
static int
read_kids(struct loader *l, struct kids *k, yaml_event_type_t close)
{
	const struct yaml_node *node;
	yaml_event_t ev;

	for (;;) {
		if (next(l, &ev) < 0)
			return -1;
		if (ev.type == close) {
			yaml_event_delete(&ev);
			return 0;
		}
		node = read_node(l, &ev);
		yaml_event_delete(&ev);
		if (node == NULL || add_kid(l, k, node) < 0)
			return -1;
	}
}

static int
check_keys(struct loader *l, const struct yaml_node *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->keys[i]->type != YAML_SCALAR)
			return fail(l, n->keys[i]->line, "a key must be plain text");
		for (size_t j = 0; j < i; j++) {
			if (n->keys[i]->len == n->keys[j]->len &&
			    memcmp(n->keys[i]->text, n->keys[j]->text, n->keys[i]->len) == 0)
				return err_set(l->e, ERR_CONFIG,
					"%s:%zu: key \"%s\" stands twice (first in line %zu)",
					l->doc->name, n->keys[i]->line, n->keys[i]->text,
					n->keys[j]->line);
		}
	}
	return 0;
}

/* Copy what was gathered into the arena; a mapping's keys and values alternate. */
static int
settle(struct loader *l, struct yaml_node *n, const struct kids *k)
{
	size_t step = n->type == YAML_MAP ? 2 : 1;

	n->n = k->n / step;
	n->items = arena_alloc(&l->doc->arena, (n->n + 1) * sizeof *n->items, l->e);
	n->keys = step == 1 ? NULL :
		arena_alloc(&l->doc->arena, (n->n + 1) * sizeof *n->keys, l->e);
	if (n->items == NULL || (step == 2 && n->keys == NULL))
		return -1;
	for (size_t i = 0; i < n->n; i++) {
		n->items[i] = k->v[i * step + step - 1];
		if (step == 2)
			n->keys[i] = k->v[i * 2];
	}
	if (n->n > 10000 && step == 2)
		return fail(l, n->line, "more than 10000 keys in one mapping");
	return step == 2 ? check_keys(l, n) : 0;
}

static const struct yaml_node *
read_container(struct loader *l, const yaml_event_t *ev)
{
	bool map = ev->type == YAML_MAPPING_START_EVENT;
	struct yaml_node *n = new_node(l, map ? YAML_MAP : YAML_LIST, ev);
	struct kids k = { NULL, 0, 0 };
	int r = -1;

	if (n == NULL)
		return NULL;
	if (l->depth >= YAML_MAX_DEPTH) {
		fail(l, n->line, "nested too deeply");
		return NULL;
	}
	l->depth++;
	if (read_kids(l, &k, map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT) == 0 &&
	    settle(l, n, &k) == 0 &&
	    add_anchor(l, map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor,
		    n) == 0)
		r = 0;
	l->depth--;
	free((void *)k.v);
	return r == 0 ? n : NULL;
}

static const struct yaml_node *
read_node(struct loader *l, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(l, ev);
	case YAML_ALIAS_EVENT:
		return find_anchor(l, ev);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return read_container(l, ev);
	default:
		fail(l, ev->start_mark.line + 1, "a value is missing");
		return NULL;
	}
}

/* The stream: start, at most one document, end. */
static int
read_stream(struct loader *l)
{
	yaml_event_t ev;
	yaml_event_type_t type;
	size_t line;

	do {
		if (next(l, &ev) < 0)
			return -1;
		type = ev.type;
		line = ev.start_mark.line + 1;
		if (type == YAML_DOCUMENT_START_EVENT && l->doc->root != NULL) {
			yaml_event_delete(&ev);
			return fail(l, line, "a second document begins here; one is allowed");
		}
		if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
		    type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
			if ((l->doc->root = read_node(l, &ev)) == NULL)
				type = YAML_NO_EVENT;
		}
		yaml_event_delete(&ev);
		if (type == YAML_NO_EVENT)
			return -1;
	} while (type != YAML_STREAM_END_EVENT);
	return 0;
}

static int
set_empty_root(struct loader *l)
{
	static const struct yaml_node empty = { .type = YAML_SCALAR, .line = 1, .text = "" };

	if (l->doc->root == NULL)
		l->doc->root = &empty;
	return 0;
}

struct yaml *
yaml_parse(const char *p, size_t n, const char *name, struct err *e)
{
	struct loader l = { .e = e };
	int r = -1;

	if ((l.doc = mem_calloc(1, sizeof *l.doc, e)) == NULL)
		return NULL;
	if ((l.doc->name = arena_dup(&l.doc->arena, name, strlen(name), e)) == NULL)
		goto out;
	if (!yaml_parser_initialize(&l.parser)) {
		err_nomem(e);
		goto out;
	}
	yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&l.parser, (const unsigned char *)(p != NULL ? p : ""), n);
	r = read_stream(&l) < 0 ? -1 : set_empty_root(&l);
	yaml_parser_delete(&l.parser);
out:
	free(l.anchors);
	if (r < 0) {
		yaml_free(l.doc);
		return NULL;
	}
	return l.doc;
}

struct yaml *
yaml_load(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct yaml *y = NULL;

	if (io_read_file(path, MAX_FILE, &b, e) == 0)
		y = yaml_parse(b.p, b.len, path, e);
	buf_finish(&b);
	return y;
}

const struct yaml_node *
yaml_root(const struct yaml *y)
{
	return y->root;
}

const char *
yaml_name(const struct yaml *y)
{
	return y->name;
}

void
yaml_free(struct yaml *y)
{
	if (y == NULL)
		return;
	arena_finish(&y->arena);
	free(y);
}

const struct yaml_node *
yaml_get(const struct yaml_node *n, const char *key)
{
	if (n == NULL || n->type != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < n->n; i++) {
		if (strcmp(n->keys[i]->text, key) == 0)
			return n->items[i];
	}
	return NULL;
}

bool
yaml_is_null(const struct yaml_node *n)
{
	return n == NULL || (n->type == YAML_SCALAR && !n->quoted &&
		(n->len == 0 || strcmp(n->text, "~") == 0 || strcasecmp(n->text, "null") == 0));
}

const char *
yaml_text(const struct yaml_node *n)
{
	return yaml_is_null(n) || n->type != YAML_SCALAR ? NULL : n->text;
}

int
yaml_bool(const struct yaml_node *n)
{
	static const char *const yes[] = { "true", "yes", "on" };
	static const char *const no[] = { "false", "no", "off" };

	if (n == NULL || n->type != YAML_SCALAR || n->quoted)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		if (strcasecmp(n->text, yes[i]) == 0)
			return 1;
		if (strcasecmp(n->text, no[i]) == 0)
			return 0;
	}
	return -1;
}
