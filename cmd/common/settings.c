#include "common/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/yaml.h"

struct settings {
	struct yaml *yaml;
	const struct yaml_node *root, *section;	/* section: the command's own mapping, or NULL */
	char *path;
};

/* The first settings file that exists; NULL when there is none. Owned by the caller. */
static char *
find_file(struct err *e)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct buf b = BUF_INIT;

	if (xdg != NULL && xdg[0] == '/')
		buf_printf(&b, "%s/llmr/settings.yaml", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(&b, "%s/.config/llmr/settings.yaml", home);
	if (b.len > 0 && io_exists(b.p))
		return buf_take(&b, e);
	buf_reset(&b);
	buf_str(&b, "/etc/llmr/settings.yaml");
	if (io_exists(b.p))
		return buf_take(&b, e);
	buf_finish(&b);
	return NULL;
}

static bool
is_option(const struct opt *o, const char *name)
{
	for (; o->l != NULL; o++)
		if (strcmp(o->l, name) == 0)
			return true;
	return false;
}

/* True when some command has an option of that name, or it is a global one. */
static bool
known_anywhere(const char *name)
{
	if (is_option(global_opts, name))
		return true;
	for (const struct command *c = commands; c->name != NULL; c++)
		if (is_option(c->opts, name))
			return true;
	return false;
}

static int
check_section(const struct settings *s, const struct yaml_node *map, const struct command *c,
	struct err *e)
{
	for (size_t i = 0; i < map->n; i++) {
		const char *name = yaml_text(map->keys[i]);

		if (name != NULL && (is_option(c->opts, name) || is_option(global_opts, name)))
			continue;
		return err_set(e, ERR_CONFIG, "%s:%zu: %s has no option '%s'", s->path,
			map->keys[i]->line, c->name, name == NULL ? "" : name);
	}
	return 0;
}

/* Every key must be an option or a command, so that a slip is seen at once. */
static int
check_keys(const struct settings *s, struct err *e)
{
	for (size_t i = 0; i < s->root->n; i++) {
		const char *name = yaml_text(s->root->keys[i]);
		const struct command *c = name == NULL ? NULL : command_find(name);
		const struct yaml_node *value = s->root->items[i];

		if (c != NULL && value->type == YAML_MAP) {
			if (check_section(s, value, c, e) < 0)
				return -1;
			continue;
		}
		if (name == NULL || !known_anywhere(name))
			return err_set(e, ERR_CONFIG, "%s:%zu: '%s' is neither an option nor a command",
				s->path, s->root->keys[i]->line, name == NULL ? "" : name);
		if (value->type != YAML_SCALAR)
			return err_set(e, ERR_CONFIG, "%s:%zu: %s: one value is needed", s->path,
				value->line, name);
	}
	return 0;
}

int
settings_open(const struct opt_value *named, const char *command, struct settings **out,
	struct err *e)
{
	const char *given = named->n > 0 ? named->v[named->n - 1] : getenv("LLMR_SETTINGS");
	struct settings *s;
	char *path;

	*out = NULL;
	if (given != NULL && given[0] == '\0')
		given = NULL;
	path = given != NULL ? mem_strdup(given, e) : find_file(e);
	if (path == NULL)
		return given != NULL ? -1 : 0;
	if ((s = mem_calloc(1, sizeof *s, e)) == NULL) {
		free(path);
		return -1;
	}
	s->path = path;
	if ((s->yaml = yaml_load(path, e)) == NULL)
		goto fail;
	s->root = yaml_root(s->yaml);
	if (!yaml_is_null(s->root)) {
		if (s->root->type != YAML_MAP) {
			err_set(e, ERR_CONFIG, "%s: a mapping of option names to values is needed", path);
			goto fail;
		}
		if (check_keys(s, e) < 0)
			goto fail;
		s->section = yaml_get(s->root, command);
	}
	*out = s;
	return 0;
fail:
	if (e->code == ERR_NOINPUT || e->code == ERR_INPUT)
		e->code = ERR_CONFIG;
	settings_free(s);
	return -1;
}

const char *
settings_get(void *ctx, const char *name, size_t *line)
{
	const struct settings *s = ctx;
	const struct yaml_node *n = NULL;

	if (s == NULL)
		return NULL;
	if (s->section != NULL && s->section->type == YAML_MAP)
		n = yaml_get(s->section, name);
	if (yaml_text(n) == NULL)
		n = yaml_get(s->root, name);
	if (yaml_text(n) != NULL)
		*line = n->line;
	return yaml_text(n);
}

const char *
settings_path(const struct settings *s)
{
	return s == NULL ? NULL : s->path;
}

void
settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	yaml_free(s->yaml);
	free(s->path);
	free(s);
}
