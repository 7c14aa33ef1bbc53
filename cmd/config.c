/* config - check the gateway's YAML, or show what comes of it and from where. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "cmd.h"
#include "fmt/jsonw.h"
#include "serve/config.h"

#define DEFAULT_CONFIG "/app/config/config.yaml"

static const char *
variable(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static struct config *
load(struct ctx *c)
{
	const char *path = c->n_args > 1 ? c->args[1] : opt_str(c, "config");
	struct config_source src = { .env = variable };

	if (path == NULL && io_exists(DEFAULT_CONFIG))
		path = DEFAULT_CONFIG;
	if (path == NULL) {
		err_set(&c->err, ERR_USAGE, "a config is needed: FILE, --config, LITELLM_CONFIG_PATH or %s", DEFAULT_CONFIG);
		return NULL;
	}
	src.name = path;
	return config_load(path, &src, &c->err);
}

static const char *
level_name(enum note_level l)
{
	return l == NOTE_ERROR ? "error" : l == NOTE_WARNING ? "warning" : "unused";
}

/* One line for each problem: FILE:LINE: LEVEL: KEY: TEXT. */
static void
print_notes(struct ctx *c, const struct config *f)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	for (size_t i = 0; i < f->n_notes; i++) {
		const struct note *n = &f->note[i];

		if (c->json) {
			jsonw_init(&w, &b);
			jsonw_object(&w);
			jsonw_kstr(&w, "file", f->name);
			jsonw_kint(&w, "line", (int64_t)n->line);
			jsonw_kstr(&w, "level", level_name(n->level));
			jsonw_kstr(&w, "key", n->key);
			jsonw_kstr(&w, "message", n->text);
			jsonw_kint(&w, "times", (int64_t)n->times);
			jsonw_end_object(&w);
			buf_byte(&b, '\n');
		} else {
			buf_printf(&b, "%s:%zu: %s: %s: %s", f->name, n->line, level_name(n->level), n->key, n->text);
			if (n->times > 1)
				buf_printf(&b, " (and in %zu more places)", n->times - 1);
			buf_byte(&b, '\n');
		}
	}
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

static int
check(struct ctx *c, const struct config *f)
{
	size_t n = opt_flag(c, "strict") ? f->n_notes : f->n_errors;

	print_notes(c, f);
	if (n > 0)
		return err_set(&c->err, ERR_CONFIG, "%s: %zu problem%s", f->name, n, n == 1 ? "" : "s");
	say(c, "%s: well, %zu deployments in %zu groups", f->name, f->n, f->n_groups);
	return 0;
}

struct showing {
	struct buf *out;
	bool origin, json;
};

static void
show_one(const struct showing *s, const char *key, const char *value, const char *origin)
{
	struct jsonw w;

	if (s->json) {
		jsonw_init(&w, s->out);
		jsonw_object(&w);
		jsonw_kstr(&w, "key", key);
		jsonw_kstr(&w, "value", value);
		if (s->origin)
			jsonw_kstr(&w, "origin", origin);
		jsonw_end_object(&w);
		buf_byte(s->out, '\n');
		return;
	}
	buf_printf(s->out, "%s = %s", key, value);
	if (s->origin)
		buf_printf(s->out, "\t(%s)", origin);
	buf_byte(s->out, '\n');
}

static void
show_default(void *ctx, const char *key, const char *value)
{
	show_one(ctx, key, value, "default");
}

static int
show(struct ctx *c, const struct config *f)
{
	struct buf b = BUF_INIT, origin = BUF_INIT;
	struct showing s = { &b, opt_flag(c, "show-origin"), c->json };

	for (size_t i = 0; i < f->n_set; i++) {
		const struct config_set *k = &f->set[i];

		buf_reset(&origin);
		buf_printf(&origin, "%s:%zu", f->name, k->line);
		if (k->variable != NULL)
			buf_printf(&origin, ", variable %s", k->variable);
		show_one(&s, k->key, k->value, buf_cstr(&origin));
	}
	config_defaults(f, show_default, &s);
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
	buf_finish(&origin);
	return 0;
}

int
cmd_config(struct ctx *c)
{
	struct config *f;
	int r;

	if (strcmp(c->args[0], "check") != 0 && strcmp(c->args[0], "show") != 0)
		return err_set(&c->err, ERR_USAGE, "'%s' is neither check nor show", c->args[0]);
	if ((f = load(c)) == NULL)
		return -1;
	r = c->args[0][0] == 'c' ? check(c, f) : show(c, f);
	config_free(f);
	return r;
}
