#include "data/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fmt/yaml.h"

#define MAX_KEY 256

/* share/recipe-aliases.yaml, line by line: one long literal is more than C11 promises to take. */
static const char *const builtin[] = {
#include "recipe-aliases.inc"
	NULL
};

struct reading {
	struct recipe *recipe;
	const struct yaml_node *aliases;	/* root of the table */
	const struct yaml_node *kind;		/* its part for the kind; NULL */
	const char *name;			/* of the file */
	struct err *e;
};

static struct yaml *
load_aliases(struct err *e)
{
	struct buf text = BUF_INIT;
	struct yaml *y = NULL;

	for (size_t i = 0; builtin[i] != NULL; i++)
		buf_str(&text, builtin[i]);
	if (buf_ok(&text, e) == 0)
		y = yaml_parse(text.p, text.len, "recipe-aliases.yaml", e);
	buf_finish(&text);
	return y;
}

static int
wrong(struct reading *r, const char *key, size_t line, const char *what, const char *value)
{
	if (value == NULL)
		return err_set(r->e, ERR_CONFIG, "%s:%zu: %s: %s", r->name, line, key, what);
	return err_set(r->e, ERR_CONFIG, "%s:%zu: %s: '%s' %s", r->name, line, key, value, what);
}

/* Sections whose keys are hyperparameters; a key outside any section may be one too. */
static const char *
hparam_name(const char *key)
{
	static const char *const sections[] = { "hparam.", "hparams.", "hyperparameters." };

	for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
		if (strncmp(key, sections[i], strlen(sections[i])) == 0)
			return key + strlen(sections[i]);
	return strchr(key, '.') == NULL ? key : NULL;
}

/* Nearest known key within two edits; NULL. */
static const char *
nearest(const struct yaml_node *map, const char *name, const char *best, size_t *least)
{
	for (size_t i = 0; map != NULL && i < map->n; i++) {
		size_t d = str_distance(name, map->keys[i]->text);

		if (d < *least) {
			*least = d;
			best = map->keys[i]->text;
		}
	}
	return best;
}

static int
unknown_key(struct reading *r, const char *key, size_t line)
{
	const struct yaml_node *kinds = yaml_get(r->aliases, "kinds");
	const char *name = hparam_name(key), *near = NULL;
	char what[160] = "unknown key";
	size_t least = 3;

	for (size_t i = 0; name != NULL && i < kinds->n; i++)
		if (yaml_get(kinds->items[i], name) != NULL) {
			(void)snprintf(what, sizeof what, "%s has no such hyperparameter, but %s has",
			    r->recipe->kind == NULL ? "this recipe" : r->recipe->kind,
			    kinds->keys[i]->text);
			return wrong(r, key, line, what, NULL);
		}
	if (name != NULL) {
		for (size_t i = 0; i < kinds->n; i++)
			if (r->kind == NULL || r->kind == kinds->items[i])
				near = nearest(kinds->items[i], name, near, &least);
		near = nearest(yaml_get(r->aliases, "common"), name, near, &least);
	}
	near = nearest(yaml_get(r->aliases, "options"), key, near, &least);
	if (near != NULL)
		(void)snprintf(what, sizeof what, "unknown key: did you mean '%s'?", near);
	return wrong(r, key, line, what, NULL);
}

static int
add_note(struct reading *r, const char *key, size_t line, const char *why)
{
	struct recipe *out = r->recipe;
	struct recipe_note note = { NULL, NULL, line };
	void *p = out->notes;

	note.key = arena_dup(&out->arena, key, strlen(key), r->e);
	note.why = arena_dup(&out->arena, why, strlen(why), r->e);
	if (note.key == NULL || note.why == NULL ||
	    mem_grow(&p, &out->cap_notes, out->n_notes + 1, sizeof *out->notes, r->e) < 0)
		return -1;
	out->notes = p;
	out->notes[out->n_notes++] = note;
	return 0;
}

static int
add_item(struct reading *r, const char *key, size_t line, bool option, const char *name,
	const char *value)
{
	struct recipe *out = r->recipe;
	struct recipe_item it = { NULL, line, option, NULL, NULL };
	void *p = out->items;

	for (size_t i = 0; i < out->n; i++) {
		const struct recipe_item *old = &out->items[i];
		char what[MAX_KEY + 128];

		if (old->option != option || strcmp(old->name, name) != 0)
			continue;
		if (option && strcmp(name, "grid") == 0 && strcmp(old->key, key) != 0)
			continue;
		if (strcmp(old->value, value) == 0)
			return 0;
		(void)snprintf(what, sizeof what, "contradicts %s on line %zu ('%.60s')", old->key,
		    old->line, old->value);
		return wrong(r, key, line, what, value);
	}
	it.key = arena_dup(&out->arena, key, strlen(key), r->e);
	it.name = arena_dup(&out->arena, name, strlen(name), r->e);
	it.value = arena_dup(&out->arena, value, strlen(value), r->e);
	if (it.key == NULL || it.name == NULL || it.value == NULL ||
	    mem_grow(&p, &out->cap, out->n + 1, sizeof *out->items, r->e) < 0)
		return -1;
	out->items = p;
	out->items[out->n++] = it;
	return 0;
}

/* "a, b" of a list. */
static void
put_list(struct buf *b, const struct yaml_node *list)
{
	for (size_t i = 0; i < list->n; i++)
		buf_printf(b, "%s%s", i > 0 ? ", " : "", list->items[i]->text);
}

static int
check_only(struct reading *r, const struct yaml_node *only, const char *key, size_t line,
	const char *value)
{
	struct buf b = BUF_INIT;

	if (only == NULL)
		return 0;
	for (size_t i = 0; i < only->n; i++)
		if (strcmp(only->items[i]->text, value) == 0)
			return 0;
	buf_str(&b, "has no counterpart: there is ");
	put_list(&b, only);
	wrong(r, key, line, buf_cstr(&b), value);
	buf_finish(&b);
	return -1;
}

/* Act on one key by what the table says of it; options: a bare target names an option. */
static int
apply(struct reading *r, const struct yaml_node *target, bool options, const char *key,
	size_t line, const char *value)
{
	const struct yaml_node *other = yaml_get(yaml_get(target, "values"), value);
	const struct yaml_node *ignored = yaml_get(target, "ignored");
	const char *to = yaml_text(target);
	const char *option = yaml_text(yaml_get(target, "option"));

	if (check_only(r, yaml_get(target, "only"), key, line, value) < 0)
		return -1;
	if (ignored != NULL)
		return ignored->len == 0 ? 0 : add_note(r, key, line, ignored->text);
	if (other != NULL)
		value = other->text;
	if (option != NULL)
		return add_item(r, key, line, true, option, value);
	if (to == NULL)
		to = yaml_text(yaml_get(target, "hparam"));
	if (to == NULL)
		BUG("recipe-aliases.yaml: %s has no target", key);
	/* What kind it is has been found before. */
	return options && strcmp(to, "kind") == 0 ? 0 : add_item(r, key, line, options, to, value);
}

/* grid.NAME: [V, V]: the option grid, "NAME=V|V", by the kind's own name for it. */
static int
grid_leaf(struct reading *r, const char *key, const struct yaml_node *v)
{
	const char *name = key + sizeof "grid." - 1, *own;
	const struct yaml_node *target = yaml_get(r->kind, name);
	struct buf text = BUF_INIT;
	int status = -1;

	if (target == NULL)
		target = yaml_get(yaml_get(r->aliases, "common"), name);
	own = yaml_text(target) != NULL ? yaml_text(target) : yaml_text(yaml_get(target, "hparam"));
	if (own == NULL)
		return unknown_key(r, key, v->line);
	if (v->type != YAML_LIST || v->n == 0)
		return wrong(r, key, v->line, "a list of the values to try is expected", NULL);
	buf_printf(&text, "%s=", own);
	for (size_t i = 0; i < v->n; i++) {
		const struct yaml_node *one = v->items[i];

		for (size_t j = 0; one->type == YAML_LIST && j < one->n; j++)
			buf_printf(&text, "%s%s", j > 0 ? "," : "",
			    one->items[j]->type == YAML_SCALAR ? one->items[j]->text : "");
		if (one->type == YAML_SCALAR)
			buf_str(&text, one->text);
		buf_str(&text, "|");
	}
	if (buf_ok(&text, r->e) == 0)
		status = add_item(r, key, v->line, true, "grid", buf_cstr(&text));
	buf_finish(&text);
	return status;
}

static int
leaf(struct reading *r, const char *key, const struct yaml_node *v)
{
	const char *name = hparam_name(key);
	const struct yaml_node *target = NULL;
	struct buf text = BUF_INIT;
	bool options = false;
	int status = -1;

	if (strncmp(key, "grid.", sizeof "grid." - 1) == 0)
		return grid_leaf(r, key, v);
	if (name != NULL && (target = yaml_get(r->kind, name)) == NULL)
		target = yaml_get(yaml_get(r->aliases, "common"), name);
	if (target == NULL) {
		target = yaml_get(yaml_get(r->aliases, "options"), key);
		options = true;
	}
	if (target == NULL)
		return unknown_key(r, key, v->line);
	if (yaml_is_null(v) || (v->type == YAML_SCALAR && v->len == 0))
		return 0;		/* left open */
	for (size_t i = 0; v->type == YAML_LIST && i < v->n; i++) {
		if (v->items[i]->type != YAML_SCALAR) {
			buf_finish(&text);
			return wrong(r, key, v->line, "a list of plain values is expected", NULL);
		}
		buf_printf(&text, "%s%s", i > 0 ? "," : "", v->items[i]->text);
	}
	if (v->type == YAML_SCALAR)
		buf_str(&text, v->text);
	if (buf_ok(&text, r->e) == 0)
		status = apply(r, target, options, key, v->line, buf_cstr(&text));
	buf_finish(&text);
	return status;
}

static int
walk(struct reading *r, const char *prefix, const struct yaml_node *map, int depth)
{
	for (size_t i = 0; i < map->n; i++) {
		char key[MAX_KEY];
		int n = snprintf(key, sizeof key, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
		    map->keys[i]->text), status;

		if (n < 0 || (size_t)n >= sizeof key)
			return wrong(r, prefix, map->keys[i]->line, "a key is too long", NULL);
		if (map->items[i]->type == YAML_MAP) {
			if (depth == 3)
				return wrong(r, key, map->keys[i]->line, "nested too deeply", NULL);
			status = walk(r, key, map->items[i], depth + 1);
		} else
			status = leaf(r, key, map->items[i]);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* The value of a hyperparameter's key wherever it may stand. */
static const struct yaml_node *
find_hparam(const struct yaml_node *root, const char *name)
{
	static const char *const sections[] = { "hparam", "hparams", "hyperparameters" };
	const struct yaml_node *v = yaml_get(root, name);

	for (size_t i = 0; v == NULL && i < sizeof sections / sizeof sections[0]; i++)
		v = yaml_get(yaml_get(root, sections[i]), name);
	return v;
}

/* What the recipe calls its kind, else what its keys tell. */
static int
find_kind(struct reading *r, const struct yaml_node *root, const char *given)
{
	const struct yaml_node *options = yaml_get(r->aliases, "options");
	const struct yaml_node *infer = yaml_get(r->aliases, "infer"), *v;
	const char *kind = given, *other;

	for (size_t i = 0; i < options->n; i++) {
		const char *to = yaml_text(options->items[i]);

		if (to == NULL || strcmp(to, "kind") != 0 ||
		    (v = yaml_get(root, options->keys[i]->text)) == NULL || yaml_text(v) == NULL)
			continue;
		if (recipe_refused(v->text, r->e) < 0) {
			r->e->code = ERR_CONFIG;
			return err_wrap(r->e, "%s:%zu: %s", r->name, v->line, options->keys[i]->text);
		}
		other = yaml_text(yaml_get(yaml_get(r->aliases, "kinds_as"), v->text));
		other = other == NULL ? v->text : other;
		if (kind != NULL && strcmp(kind, other) != 0)
			return wrong(r, options->keys[i]->text, v->line, "is not the kind that is "
			    "asked for", v->text);
		kind = other;
	}
	for (size_t i = 0; kind == NULL && i < infer->n; i++)
		if (find_hparam(root, infer->keys[i]->text) != NULL)
			kind = infer->items[i]->text;
	r->kind = kind == NULL ? NULL : yaml_get(yaml_get(r->aliases, "kinds"), kind);
	if (kind == NULL)
		return 0;
	r->recipe->kind = arena_dup(&r->recipe->arena, kind, strlen(kind), r->e);
	return r->recipe->kind == NULL ? -1 : 0;
}

static struct recipe *
read_tree(const struct yaml *y, const char *kind, struct err *e)
{
	const struct yaml_node *root = yaml_root(y);
	struct reading r = { .recipe = mem_calloc(1, sizeof *r.recipe, e), .name = yaml_name(y), .e = e };
	struct yaml *aliases = load_aliases(e);
	int status = -1;

	if (r.recipe == NULL || aliases == NULL)
		goto out;
	r.aliases = yaml_root(aliases);
	if (root->type != YAML_MAP)
		err_set(e, ERR_CONFIG, "%s:%zu: a recipe is a map of sections", r.name, root->line);
	else if (find_kind(&r, root, kind) == 0)
		status = walk(&r, "", root, 0);
out:
	yaml_free(aliases);
	if (status == 0)
		return r.recipe;
	recipe_free(r.recipe);
	return NULL;
}

struct recipe *
recipe_parse(const char *p, size_t n, const char *name, const char *kind, struct err *e)
{
	struct yaml *y = yaml_parse(p, n, name, e);
	struct recipe *r = y == NULL ? NULL : read_tree(y, kind, e);

	yaml_free(y);
	return r;
}

struct recipe *
recipe_load(const char *path, const char *kind, struct err *e)
{
	struct yaml *y = yaml_load(path, e);
	struct recipe *r = y == NULL ? NULL : read_tree(y, kind, e);

	yaml_free(y);
	return r;
}

void
recipe_free(struct recipe *r)
{
	if (r == NULL)
		return;
	free(r->items);
	free(r->notes);
	arena_finish(&r->arena);
	free(r);
}

int
recipe_refused(const char *kind, struct err *e)
{
	struct yaml *y = load_aliases(e);
	const char *what;
	int r = 0;

	if (y == NULL)
		return -1;
	what = yaml_text(yaml_get(yaml_get(yaml_root(y), "refused"), kind));
	if (what != NULL)
		r = err_set(e, ERR_USAGE, "'%s' is not trained here: %s", kind, what);
	yaml_free(y);
	return r;
}
