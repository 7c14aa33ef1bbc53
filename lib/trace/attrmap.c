#include "trace/attrmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "fmt/yaml.h"

#define SLOTS 4096	/* power of two, at least four times ATTRMAP_MAX_KEYS */

/* share/attributes.yaml, line by line: one long literal is more than C11 promises to take. */
static const char *const builtin[] = {
#include "attributes.inc"
	NULL
};

static const char *const field_names[AF_COUNT] = {
	[AF_OPERATION] = "operation", [AF_SPAN_KIND] = "span_kind", [AF_PROMPT] = "prompt",
	[AF_PROMPT_MIME] = "prompt_mime_type", [AF_SYSTEM] = "system_prompt",
	[AF_MODEL] = "model", [AF_REQUESTED] = "requested_model", [AF_PROVIDER] = "provider",
	[AF_INPUT_TOKENS] = "input_tokens", [AF_OUTPUT_TOKENS] = "output_tokens",
	[AF_TOTAL_TOKENS] = "total_tokens", [AF_COST] = "cost", [AF_TTFT] = "ttft",
	[AF_ERROR] = "error", [AF_ERROR_TYPE] = "error_type", [AF_STATUS_CODE] = "status_code",
	[AF_PERFORMANCE] = "performance", [AF_METRIC] = "metric", [AF_TASK] = "task",
	[AF_GROUND_TRUTH] = "ground_truth", [AF_USER] = "user", [AF_DECISION] = "decision",
	[AF_DECISION_OUTCOME] = "decision_outcome", [AF_PROPENSITY] = "propensity",
	[AF_ROUTER_SCORE] = "router_score",
};

static const char *const form_names[] = {
	[FORM_TEXT] = "text", [FORM_MESSAGES] = "messages", [FORM_JSON] = "json",
	[FORM_NUMBERED] = "numbered", [FORM_EVENT] = "event",
};

/* Chains whose attributes make a span worth reading. */
static const enum attr_field marking[] = {
	AF_OPERATION, AF_SPAN_KIND, AF_PROMPT, AF_MODEL, AF_PERFORMANCE, AF_DECISION,
};

enum key_kind { KEY_EXACT, KEY_PREFIX, KEY_EVENT };

struct key {
	const char *name;
	size_t n;		/* without a prefix's '*' */
	enum key_kind kind;
};

struct list {
	struct slice *v;
	size_t n, cap;
};

struct attrmap {
	struct key keys[ATTRMAP_MAX_KEYS];
	size_t n_keys;
	uint16_t slot[SLOTS];		/* index + 1 of an exact key */
	struct attr_entry *entry[AF_COUNT];
	size_t n_entries[AF_COUNT], cap_entries[AF_COUNT];
	struct list skip, chat, kinds, rejected, codes, decision;
	const char **want_keys, **markers;
	struct span_want want;
	struct arena arena;
};

/* Where in the map, for messages. */
struct from {
	struct attrmap *m;
	const char *file;
	struct err *e;
};

static int
bad(const struct from *f, const struct yaml_node *n, const char *why)
{
	return err_set(f->e, ERR_CONFIG, "%s:%zu: %s", f->file, n->line, why);
}

/* Keys share long beginnings, so their ends count as well. */
static size_t
hash(const char *p, size_t n)
{
	uint64_t a = 0, b = 0;

	memcpy(&a, p + (n > 8 ? n - 8 : 0), n > 8 ? 8 : n);
	memcpy(&b, p + n / 2 / 2, n / 2 > 8 ? 8 : n / 2);
	a = (a ^ n) * 0x9e3779b97f4a7c15u;
	b = (b + a) * 0xc2b2ae3d27d4eb4fu;
	return (size_t)((b ^ b >> 29) >> 13) & (SLOTS - 1);
}

unsigned
attrmap_key(const struct attrmap *m, struct slice key)
{
	size_t s;

	if (key.n == 0)
		return ATTRMAP_NO_KEY;
	for (s = hash(key.p, key.n); m->slot[s] != 0; s = (s + 1) & (SLOTS - 1)) {
		const struct key *k = &m->keys[m->slot[s] - 1];

		if (k->n == key.n && memcmp(k->name, key.p, key.n) == 0)
			return m->slot[s] - 1u;
	}
	return ATTRMAP_NO_KEY;
}

unsigned
attrmap_prefix(const struct attrmap *m, struct slice key, struct slice *rest)
{
	for (size_t i = 0; i < m->n_keys; i++) {
		const struct key *k = &m->keys[i];

		if (k->kind != KEY_PREFIX || k->n >= key.n || memcmp(k->name, key.p, k->n) != 0)
			continue;
		*rest = (struct slice){ key.p + k->n, key.n - k->n };
		return (unsigned)i;
	}
	return ATTRMAP_NO_KEY;
}

unsigned
attrmap_event(const struct attrmap *m, struct slice name)
{
	for (size_t i = 0; i < m->n_keys; i++) {
		if (m->keys[i].kind == KEY_EVENT && m->keys[i].n == name.n &&
		    memcmp(m->keys[i].name, name.p, name.n) == 0)
			return (unsigned)i;
	}
	return ATTRMAP_NO_KEY;
}

static int
find_key(const struct attrmap *m, const char *name, size_t n, enum key_kind kind)
{
	for (size_t i = 0; i < m->n_keys; i++) {
		if (m->keys[i].kind == kind && m->keys[i].n == n &&
		    memcmp(m->keys[i].name, name, n) == 0)
			return (int)i;
	}
	return -1;
}

static int
add_key(const struct from *f, const struct yaml_node *at, enum key_kind kind)
{
	struct attrmap *m = f->m;
	size_t n = at->len, s;
	int i;

	if (kind == KEY_PREFIX) {
		if (n < 2 || at->text[n - 1] != '*')
			return bad(f, at, "a numbered key ends in '*'");
		n--;
	}
	if (n == 0)
		return bad(f, at, "an empty key");
	if ((i = find_key(m, at->text, n, kind)) >= 0)
		return i;
	if (m->n_keys == ATTRMAP_MAX_KEYS)
		return bad(f, at, "too many keys");
	i = (int)m->n_keys;
	m->keys[i] = (struct key){ arena_dup(&m->arena, at->text, at->len, f->e), n, kind };
	if (m->keys[i].name == NULL)
		return -1;
	m->n_keys++;
	if (kind == KEY_EXACT) {
		for (s = hash(at->text, n); m->slot[s] != 0;)
			s = (s + 1) & (SLOTS - 1);
		m->slot[s] = (uint16_t)(i + 1);
	}
	return i;
}

static int
parse_form(const struct from *f, const struct yaml_node *n, struct attr_entry *a)
{
	const char *s = yaml_text(n);

	for (size_t i = 0; s != NULL && i < sizeof form_names / sizeof form_names[0]; i++) {
		if (strcmp(s, form_names[i]) == 0) {
			a->form = (uint8_t)i;
			return 0;
		}
	}
	return bad(f, n, "\"as\" is one of text, messages, json, numbered, event");
}

static int
parse_part(const struct from *f, const char *name, const struct yaml_node *v,
	struct attr_entry *a)
{
	int i;

	if (strcmp(name, "key") == 0)
		return 0;
	if (v->type != YAML_SCALAR)
		return bad(f, v, "a plain value expected");
	if (strcmp(name, "as") == 0)
		return parse_form(f, v, a);
	if (strcmp(name, "member") == 0)
		return (a->member = arena_dup(&f->m->arena, v->text, v->len, f->e)) ? 0 : -1;
	if (strcmp(name, "unless") == 0) {
		if ((i = add_key(f, v, KEY_EXACT)) < 0)
			return -1;
		a->unless = (int16_t)i;
		return 0;
	}
	if (strcmp(name, "alias") == 0) {
		if ((i = yaml_bool(v)) < 0)
			return bad(f, v, "true or false expected");
		a->alias = i == 1;
		return 0;
	}
	if (strcmp(name, "scale") == 0) {
		if (!slice_double((struct slice){ v->text, v->len }, &a->scale))
			return bad(f, v, "a number expected");
		return 0;
	}
	return bad(f, v, "unknown part of an entry (key, as, member, unless, alias, scale)");
}

static int
parse_entry(const struct from *f, const struct yaml_node *n, struct attr_entry *a)
{
	const struct yaml_node *key = n->type == YAML_MAP ? yaml_get(n, "key") : n;
	enum key_kind kind;
	int i;

	*a = (struct attr_entry){ .unless = -1, .scale = 1 };
	if (key == NULL || yaml_text(key) == NULL)
		return bad(f, n, "an entry is an attribute key, or a mapping with \"key\"");
	for (i = 0; n->type == YAML_MAP && i < (int)n->n; i++) {
		if (parse_part(f, n->keys[i]->text, n->items[i], a) < 0)
			return -1;
	}
	kind = a->form == FORM_NUMBERED ? KEY_PREFIX : a->form == FORM_EVENT ? KEY_EVENT : KEY_EXACT;
	if ((i = add_key(f, key, kind)) < 0)
		return -1;
	a->key = (uint16_t)i;
	return 0;
}

static int
parse_chain(const struct from *f, const struct yaml_node *n, enum attr_field field)
{
	struct attrmap *m = f->m;
	struct attr_entry a;

	if (n->type != YAML_LIST)
		return bad(f, n, "a list of attribute keys expected");
	for (size_t i = 0; i < n->n; i++) {
		if (parse_entry(f, n->items[i], &a) < 0 ||
		    mem_grow((void **)&m->entry[field], &m->cap_entries[field],
			    m->n_entries[field] + 1, sizeof a, f->e) < 0)
			return -1;
		m->entry[field][m->n_entries[field]++] = a;
	}
	return 0;
}

static int
parse_fields(const struct from *f, const struct yaml_node *n)
{
	if (n->type != YAML_MAP)
		return bad(f, n, "\"fields\" is a mapping of field to chain");
	for (size_t i = 0; i < n->n; i++) {
		int field = -1;

		for (int k = 0; k < AF_COUNT; k++) {
			if (strcmp(n->keys[i]->text, field_names[k]) == 0)
				field = k;
		}
		if (field < 0)
			return bad(f, n->keys[i], "unknown field (the built-in map is in share/attributes.yaml)");
		if (parse_chain(f, n->items[i], (enum attr_field)field) < 0)
			return -1;
	}
	return 0;
}

static int
add_text(const struct from *f, const struct yaml_node *n, struct list *l)
{
	const char *copy;

	if (yaml_text(n) == NULL)
		return bad(f, n, "plain text expected");
	if ((copy = arena_dup(&f->m->arena, n->text, n->len, f->e)) == NULL ||
	    mem_grow((void **)&l->v, &l->cap, l->n + 1, sizeof *l->v, f->e) < 0)
		return -1;
	l->v[l->n++] = (struct slice){ copy, n->len };
	return 0;
}

static int
parse_list(const struct from *f, const struct yaml_node *n, struct list *l)
{
	if (n->type == YAML_SCALAR)
		return add_text(f, n, l);
	if (n->type != YAML_LIST)
		return bad(f, n, "a list expected");
	for (size_t i = 0; i < n->n; i++) {
		if (add_text(f, n->items[i], l) < 0)
			return -1;
	}
	return 0;
}

static int
parse_map(const struct from *f, const struct yaml_node *root)
{
	struct attrmap *m = f->m;
	const struct { const char *name; struct list *list; } lists[] = {
		{ "skip_spans", &m->skip }, { "chat_operations", &m->chat },
		{ "llm_kinds", &m->kinds }, { "rejected_errors", &m->rejected },
		{ "rejected_codes", &m->codes }, { "decision_event", &m->decision },
	};

	if (root->type != YAML_MAP)
		return bad(f, root, "an attribute map is a mapping with \"fields\"");
	for (size_t i = 0; i < root->n; i++) {
		const char *name = root->keys[i]->text;
		bool known = false;

		if (strcmp(name, "version") == 0) {
			if (yaml_text(root->items[i]) == NULL ||
			    strcmp(root->items[i]->text, "1") != 0)
				return bad(f, root->items[i], "attribute maps have version 1");
			continue;
		}
		if (strcmp(name, "fields") == 0) {
			if (parse_fields(f, root->items[i]) < 0)
				return -1;
			continue;
		}
		for (size_t k = 0; k < sizeof lists / sizeof lists[0] && !known; k++) {
			if (strcmp(name, lists[k].name) != 0)
				continue;
			known = true;
			if (parse_list(f, root->items[i], lists[k].list) < 0)
				return -1;
		}
		if (!known)
			return err_set(f->e, ERR_CONFIG, "%s:%zu: '%s' is no key of an attribute map: version, fields, "
				"skip_spans, chat_operations, llm_kinds, rejected_errors, rejected_codes, decision_event",
				f->file, root->keys[i]->line, name);
	}
	return 0;
}

static int
add_builtin(struct attrmap *m, struct err *e)
{
	struct buf text = BUF_INIT;
	struct yaml *y = NULL;
	int r = -1;

	for (size_t i = 0; builtin[i] != NULL; i++)
		buf_str(&text, builtin[i]);
	if (buf_ok(&text, e) == 0 &&
	    (y = yaml_parse(text.p, text.len, "share/attributes.yaml", e)) != NULL)
		r = parse_map(&(struct from){ m, yaml_name(y), e }, yaml_root(y));
	yaml_free(y);
	buf_finish(&text);
	return r;
}

static int
add_file(struct attrmap *m, const char *path, struct err *e)
{
	struct yaml *y = yaml_load(path, e);
	int r = y == NULL ? -1 : parse_map(&(struct from){ m, path, e }, yaml_root(y));

	yaml_free(y);
	return r;
}

/* The lists for the decoder: every key, and those that mark a span. */
static int
make_want(struct attrmap *m, struct err *e)
{
	size_t n = 0, k = 0;
	bool marks[ATTRMAP_MAX_KEYS] = { false };

	for (size_t c = 0; c < sizeof marking / sizeof marking[0]; c++)
		for (size_t i = 0; i < m->n_entries[marking[c]]; i++)
			marks[m->entry[marking[c]][i].key] = true;
	m->want_keys = mem_calloc(m->n_keys + 1, sizeof *m->want_keys, e);
	m->markers = mem_calloc(m->n_keys + m->decision.n + 1, sizeof *m->markers, e);
	if (m->want_keys == NULL || m->markers == NULL)
		return -1;
	for (size_t i = 0; i < m->n_keys; i++) {
		if (m->keys[i].kind != KEY_EVENT)
			m->want_keys[n++] = m->keys[i].name;
		if (marks[i])
			m->markers[k++] = m->keys[i].name;
	}
	for (size_t i = 0; i < m->decision.n; i++)
		m->markers[k++] = m->decision.v[i].p;
	m->want = (struct span_want){ m->want_keys, n, m->markers, k };
	return 0;
}

struct attrmap *
attrmap_open(const char *path, struct err *e)
{
	struct attrmap *m = mem_calloc(1, sizeof *m, e);

	if (m == NULL)
		return NULL;
	if ((path != NULL && add_file(m, path, e) < 0) || add_builtin(m, e) < 0 ||
	    make_want(m, e) < 0) {
		attrmap_free(m);
		return NULL;
	}
	return m;
}

void
attrmap_free(struct attrmap *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < AF_COUNT; i++)
		free(m->entry[i]);
	free(m->skip.v);
	free(m->chat.v);
	free(m->kinds.v);
	free(m->rejected.v);
	free(m->codes.v);
	free(m->decision.v);
	free((void *)m->want_keys);
	free((void *)m->markers);
	arena_finish(&m->arena);
	free(m);
}

size_t
attrmap_n_keys(const struct attrmap *m)
{
	return m->n_keys;
}

const char *
attrmap_key_name(const struct attrmap *m, size_t i)
{
	return m->keys[i].name;
}

struct attr_chain
attrmap_chain(const struct attrmap *m, enum attr_field f)
{
	return (struct attr_chain){ m->entry[f], m->n_entries[f] };
}

const char *
attrmap_field_name(enum attr_field f)
{
	return field_names[f];
}

static bool
holds(const struct list *l, struct slice s)
{
	for (size_t i = 0; i < l->n; i++) {
		if (slice_eq(l->v[i], s))
			return true;
	}
	return false;
}

bool
attrmap_skips(const struct attrmap *m, struct slice name)
{
	return holds(&m->skip, name);
}

bool
attrmap_is_chat(const struct attrmap *m, struct slice operation)
{
	return holds(&m->chat, operation);
}

bool
attrmap_is_llm_kind(const struct attrmap *m, struct slice kind)
{
	return holds(&m->kinds, kind);
}

bool
attrmap_is_rejected(const struct attrmap *m, struct slice type, int64_t code)
{
	struct slice last = type;

	for (size_t i = 0; i < type.n; i++) {
		if (type.p[i] == '.')
			last = (struct slice){ type.p + i + 1, type.n - i - 1 };
	}
	if (holds(&m->rejected, last))
		return true;
	for (size_t i = 0; i < m->codes.n; i++) {
		long long c;

		if (slice_int(m->codes.v[i], &c) && c == code)
			return true;
	}
	return false;
}

bool
attrmap_is_decision(const struct attrmap *m, struct slice event)
{
	return holds(&m->decision, event);
}

const struct span_want *
attrmap_want(const struct attrmap *m)
{
	return &m->want;
}
