#include "common/recipe.h"

#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "opt.h"

/* A pickle or a torch archive can hold code; what is written is tensors alone. */
static const char *
output_name(struct ctx *c, struct recipe *r, const struct recipe_item *it)
{
	static const char *const other[] = { ".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib" };
	size_t n = strlen(it->value), stem = n;
	char *out;

	if (n > 12 && strcmp(it->value + n - 12, ".safetensors") == 0)
		return it->value;
	for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
		size_t k = strlen(other[i]);

		if (n > k && strcmp(it->value + n - k, other[i]) == 0)
			stem = n - k;
	}
	out = arena_alloc(&r->arena, stem + sizeof ".safetensors", &c->err);
	if (out == NULL)
		return NULL;
	memcpy(out, it->value, stem);
	memcpy(out + stem, ".safetensors", sizeof ".safetensors");
	if (!opt_given(c, "output"))
		say(c, "%s: %s is written as %s", it->key, it->value, out);
	return out;
}

static int
give_option(struct ctx *c, struct recipe *r, const struct recipe_item *it, const char *path)
{
	const char *value = strcmp(it->name, "output") == 0 ? output_name(c, r, it) : it->value;

	if (value == NULL)
		return -1;
	if (opt_supply(c, it->name, value) < 0) {
		c->err.code = ERR_CONFIG;
		return err_wrap(&c->err, "%s:%zu: %s", path, it->line, it->key);
	}
	return 0;
}

int
recipe_open(struct ctx *c, struct recipe **out)
{
	const char *path = opt_str(c, "recipe");

	*out = NULL;
	if (path == NULL)
		return 0;
	*out = recipe_load(path, c->n_args > 0 ? c->args[0] : NULL, &c->err);
	if (*out == NULL)
		return -1;
	for (size_t i = 0; i < (*out)->n_notes; i++)
		log_warn(&c->log, "%s:%zu: %s is ignored: %s", path, (*out)->notes[i].line,
		    (*out)->notes[i].key, (*out)->notes[i].why);
	for (size_t i = 0; i < (*out)->n; i++)
		if ((*out)->items[i].option && give_option(c, *out, &(*out)->items[i], path) < 0)
			return -1;
	return 0;
}

int
recipe_spared(struct ctx *c, const char *output)
{
	const char *recipe = opt_str(c, "recipe");
	size_t n = strlen(output), suffix = strlen(".safetensors");
	struct buf beside = BUF_INIT;
	struct stat a, b;
	int r = 0;

	if (recipe == NULL)
		return 0;
	if (n > suffix && strcmp(output + n - suffix, ".safetensors") == 0)
		n -= suffix;
	buf_add(&beside, output, n);
	buf_str(&beside, ".yaml");
	if (buf_ok(&beside, &c->err) < 0)
		r = -1;
	else if (stat(recipe, &a) == 0 && stat(buf_cstr(&beside), &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		r = err_set(&c->err, ERR_USAGE, "%s: is the recipe, and what is written beside %s: give "
		    "another -o", recipe, output);
	buf_finish(&beside);
	return r;
}

int
recipe_hparams(struct ctx *c, const struct recipe *r, struct fit_params *p)
{
	for (size_t i = 0; r != NULL && i < r->n; i++) {
		const struct recipe_item *it = &r->items[i];

		if (it->option || fit_params_set(p, it->name, it->value, &c->err) == 0)
			continue;
		c->err.code = ERR_CONFIG;
		return err_wrap(&c->err, "%s:%zu: %s", opt_str(c, "recipe"), it->line, it->key);
	}
	return 0;
}
