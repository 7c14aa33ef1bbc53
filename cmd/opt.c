#include "opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cmd.h"

static size_t
opts_len(const struct opt *o)
{
	size_t n = 0;

	while (o[n].l != NULL)
		n++;
	return n;
}

static int
init(const struct command *c, int argc, struct optset *s, struct err *e)
{
	size_t g = opts_len(global_opts), k = c == NULL ? 0 : opts_len(c->opts);

	*s = (struct optset){ .n = g + k };
	s->values = mem_calloc(s->n, sizeof *s->values, e);
	s->args = mem_calloc((size_t)argc + 1, sizeof *s->args, e);
	if (s->values == NULL || s->args == NULL)
		return -1;
	for (size_t i = 0; i < k; i++)
		s->values[i].opt = &c->opts[i];
	for (size_t i = 0; i < g; i++)
		s->values[k + i].opt = &global_opts[i];
	return 0;
}

static struct opt_value *
find_long(struct optset *s, const char *name, size_t n)
{
	for (size_t i = 0; i < s->n; i++)
		if (strlen(s->values[i].opt->l) == n && memcmp(s->values[i].opt->l, name, n) == 0)
			return &s->values[i];
	return NULL;
}

static struct opt_value *
find_short(struct optset *s, char letter)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->values[i].opt->s == letter)
			return &s->values[i];
	return NULL;
}

static int
add_value(struct opt_value *v, const char *text, enum opt_origin origin, struct err *e)
{
	void *p = v->v;

	if (!v->opt->many && v->opt->type != OPT_FLAG && origin == ORIGIN_ARG && v->n > 0)
		return err_set(e, ERR_USAGE, "--%s: given twice", v->opt->l);
	if (mem_grow(&p, &v->cap, v->n + 1, sizeof *v->v, e) < 0)
		return -1;
	v->v = p;
	v->v[v->n++] = text;
	v->origin = origin;
	return 0;
}

static int
unknown_option(const struct optset *s, const struct command *c, const char *arg, size_t n,
	struct err *e)
{
	char name[48];
	const char *best = NULL;
	size_t least = 3;

	(void)snprintf(name, sizeof name, "%.*s", (int)(n < 40 ? n : 40), arg);
	for (size_t i = 0; i < s->n; i++) {
		size_t d = str_distance(name, s->values[i].opt->l);

		if (d < least) {
			least = d;
			best = s->values[i].opt->l;
		}
	}
	if (best != NULL)
		return err_set(e, ERR_USAGE, "unknown option --%s, did you mean --%s?", name, best);
	return err_set(e, ERR_USAGE, "unknown option --%s (run 'llmr help%s%s')", name,
		c == NULL ? "" : " ", c == NULL ? "" : c->name);
}

/* --name, --name=value or --name value at argv[*i]. */
static int
parse_long(struct optset *s, const struct command *c, int argc, char **argv, int *i, struct err *e)
{
	const char *arg = argv[*i] + 2, *eq = strchr(arg, '=');
	size_t n = eq == NULL ? strlen(arg) : (size_t)(eq - arg);
	struct opt_value *v = find_long(s, arg, n);

	if (v == NULL)
		return unknown_option(s, c, arg, n, e);
	if (v->opt->type == OPT_FLAG) {
		if (eq != NULL)
			return err_set(e, ERR_USAGE, "--%s: takes no value", v->opt->l);
		return add_value(v, "true", ORIGIN_ARG, e);
	}
	if (eq != NULL)
		return add_value(v, eq + 1, ORIGIN_ARG, e);
	if (*i + 1 >= argc)
		return err_set(e, ERR_USAGE, "--%s: needs %s", v->opt->l, v->opt->arg);
	return add_value(v, argv[++*i], ORIGIN_ARG, e);
}

/* A cluster such as -qv or -oFILE at argv[*i]. */
static int
parse_short(struct optset *s, const struct command *c, int argc, char **argv, int *i, struct err *e)
{
	for (const char *p = argv[*i] + 1; *p != '\0'; p++) {
		struct opt_value *v = find_short(s, *p);

		if (v == NULL)
			return err_set(e, ERR_USAGE, "unknown option -%c (run 'llmr help%s%s')", *p,
				c == NULL ? "" : " ", c == NULL ? "" : c->name);
		if (v->opt->type == OPT_FLAG) {
			if (add_value(v, "true", ORIGIN_ARG, e) < 0)
				return -1;
			continue;
		}
		if (p[1] != '\0')
			return add_value(v, p + 1, ORIGIN_ARG, e);
		if (*i + 1 >= argc)
			return err_set(e, ERR_USAGE, "-%c: needs %s", *p, v->opt->arg);
		return add_value(v, argv[++*i], ORIGIN_ARG, e);
	}
	return 0;
}

int
opt_parse(const struct command *c, int argc, char **argv, struct optset *s, int *stopped,
	struct err *e)
{
	int i;

	*stopped = argc;
	if (init(c, argc, s, e) < 0)
		return -1;
	for (i = 0; i < argc; i++) {
		int r;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || argv[i][1] == '\0') {
			if (c == NULL)
				break;
			s->args[s->n_args++] = argv[i];
			continue;
		}
		r = argv[i][1] == '-' ? parse_long(s, c, argc, argv, &i, e) :
			parse_short(s, c, argc, argv, &i, e);
		if (r < 0)
			return -1;
	}
	if (c == NULL)
		*stopped = i;
	else
		for (; i < argc; i++)
			s->args[s->n_args++] = argv[i];
	return 0;
}

static int
from_environment(struct opt_value *v, struct err *e)
{
	char name[64];
	const char *text;

	opt_env_name(v->opt, name);
	text = getenv(name);
	if ((text == NULL || text[0] == '\0') && v->opt->env != NULL)
		text = getenv(v->opt->env);
	if (text == NULL || text[0] == '\0')
		return 0;
	if (v->opt->type == OPT_FLAG &&
	    (strcmp(text, "0") == 0 || strcmp(text, "false") == 0 || strcmp(text, "no") == 0))
		return 0;
	return add_value(v, text, ORIGIN_ENV, e);
}

static bool
is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);

	for (const char *p = choices; *p != '\0';) {
		size_t k = strcspn(p, "|");

		if (k == n && memcmp(p, text, n) == 0)
			return true;
		p += k + (p[k] == '|');
	}
	return false;
}

static int
check_value(const struct opt *o, const char *text, struct err *e)
{
	char what[64];
	long long i;
	double d;
	uint64_t b;
	int64_t us;

	(void)snprintf(what, sizeof what, "--%s", o->l);
	switch (o->type) {
	case OPT_CHOICE:
		if (is_choice(o->choices, text))
			return 0;
		return err_set(e, ERR_USAGE, "%s: '%s' is not one of %s", what, text, o->choices);
	case OPT_INT:
		return str_int(what, text, (long long)o->lo, (long long)o->hi, &i, e);
	case OPT_NUM:
		return str_double(what, text, o->lo, o->hi, &d, e);
	case OPT_DURATION:
		return str_duration(what, text, &d, e);
	case OPT_BYTES:
		return str_bytes(what, text, &b, e);
	case OPT_TIME:
		return str_time(what, text, 0, &us, e);
	case OPT_FILE:
	case OPT_DIR:
		if (text[0] == '\0')
			return err_set(e, ERR_USAGE, "%s: the name is empty", what);
		return 0;
	case OPT_FLAG:
	case OPT_STRING:
		break;
	}
	return 0;
}

/* Say where a bad value came from when it was not the command line. */
static int
blame(const struct opt_value *v, const struct opt_source *settings, struct err *e)
{
	char name[64];
	size_t line = 0;

	if (v->origin == ORIGIN_SETTINGS) {
		settings->get(settings->ctx, v->opt->l, &line);
		e->code = ERR_CONFIG;
		return err_wrap(e, "%s:%zu", settings->file, line);
	}
	if (v->origin == ORIGIN_ENV) {
		opt_env_name(v->opt, name);
		return err_wrap(e, "variable %s", name);
	}
	return -1;
}

int
opt_resolve(struct optset *s, const struct opt_source *settings, struct err *e)
{
	size_t line;

	for (size_t i = 0; i < s->n; i++) {
		struct opt_value *v = &s->values[i];
		const char *text;

		if (v->n == 0 && from_environment(v, e) < 0)
			return -1;
		if (v->n == 0 && settings != NULL && (text = settings->get(settings->ctx, v->opt->l, &line)) != NULL &&
		    !(v->opt->type == OPT_FLAG && strcmp(text, "false") == 0) &&
		    add_value(v, text, ORIGIN_SETTINGS, e) < 0)
			return -1;
		if (v->n == 0 && v->opt->dflt != NULL &&
		    add_value(v, v->opt->dflt, ORIGIN_DEFAULT, e) < 0)
			return -1;
		for (size_t k = 0; k < v->n; k++)
			if (check_value(v->opt, v->v[k], e) < 0)
				return blame(v, settings, e);
	}
	return 0;
}

void
opt_finish(struct optset *s)
{
	for (size_t i = 0; i < s->n && s->values != NULL; i++)
		free(s->values[i].v);
	free(s->values);
	free(s->args);
	arena_finish(&s->own);
	*s = (struct optset){ 0 };
}

const struct opt_value *
opt_lookup(const struct optset *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->values[i].opt->l, name) == 0)
			return &s->values[i];
	BUG("option --%s is not in the table", name);
}

int
opt_supply(struct ctx *c, const char *name, const char *text)
{
	struct opt_value *v = find_long(c->opts, name, strlen(name));

	if (v == NULL)
		BUG("option --%s is not in the table", name);
	if (v->origin > ORIGIN_DEFAULT && !(v->origin == ORIGIN_RECIPE && v->opt->many))
		return 0;
	if (v->origin <= ORIGIN_DEFAULT)
		v->n = 0;
	text = arena_dup(&c->opts->own, text, strlen(text), &c->err);
	if (text == NULL || check_value(v->opt, text, &c->err) < 0)
		return -1;
	return add_value(v, text, ORIGIN_RECIPE, &c->err);
}

const char *
opt_str(const struct ctx *c, const char *name)
{
	const struct opt_value *v = opt_lookup(c->opts, name);

	return v->n == 0 ? NULL : v->v[v->n - 1];
}

bool
opt_flag(const struct ctx *c, const char *name)
{
	return opt_lookup(c->opts, name)->n > 0;
}

bool
opt_given(const struct ctx *c, const char *name)
{
	return opt_lookup(c->opts, name)->origin > ORIGIN_DEFAULT;
}

long long
opt_int(const struct ctx *c, const char *name)
{
	const char *text = opt_str(c, name);
	long long v = 0;

	if (text != NULL)
		(void)slice_int(slice_str(text), &v);
	return v;
}

double
opt_num(const struct ctx *c, const char *name)
{
	const char *text = opt_str(c, name);
	double v = 0;

	if (text != NULL)
		(void)slice_double(slice_str(text), &v);
	return v;
}

double
opt_duration(const struct ctx *c, const char *name)
{
	const char *text = opt_str(c, name);
	double v = 0;

	if (text != NULL)
		(void)str_duration(name, text, &v, NULL);
	return v;
}

uint64_t
opt_bytes(const struct ctx *c, const char *name)
{
	const char *text = opt_str(c, name);
	uint64_t v = 0;

	if (text != NULL)
		(void)str_bytes(name, text, &v, NULL);
	return v;
}

size_t
opt_count(const struct ctx *c, const char *name)
{
	return opt_lookup(c->opts, name)->n;
}

const char *
opt_nth(const struct ctx *c, const char *name, size_t i)
{
	const struct opt_value *v = opt_lookup(c->opts, name);

	return i < v->n ? v->v[i] : NULL;
}
