#include "help.h"

#include <string.h>

#include "cmd.h"

#define WIDTH 80
#define COLUMN 28

static const struct { const char *name, *title; } groups[] = {
	{ "data", "from traces to data" },
	{ "routers", "routers" },
	{ "trust", "keys and signatures" },
	{ "registry", "registries" },
	{ "serving", "serving" },
	{ "help", "help" },
	{ NULL, NULL }
};

/* Print text wrapped to WIDTH, further lines indented to COLUMN. at: current column. */
static void
wrapped(FILE *f, const char *text, size_t at)
{
	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (at + n + 1 > WIDTH && at > COLUMN) {
			(void)fprintf(f, "\n%*s", COLUMN, "");
			at = COLUMN;
		}
		(void)fprintf(f, "%.*s", (int)n, text);
		at += n;
		text += n;
		if (*text == ' ') {
			(void)fputc(' ', f);
			at++;
			text++;
		}
	}
	(void)fputc('\n', f);
}

void
help_overview(FILE *f)
{
	(void)fputs("usage: llmr COMMAND [OPTION ...]\n\n"
		"Learn, measure and run LLM routers: which model should answer which prompt.\n", f);
	for (size_t g = 0; groups[g].name != NULL; g++) {
		(void)fprintf(f, "\n%s\n", groups[g].title);
		for (const struct command *c = commands; c->name != NULL; c++)
			if (strcmp(c->group, groups[g].name) == 0)
				(void)fprintf(f, "  %-10s %s\n", c->name, c->summary);
	}
	(void)fputs("\nllmr help COMMAND tells its options; man llmr and man llmr-tutorial tell more.\n", f);
}

static void
show_option(FILE *f, const struct opt *o)
{
	char head[96], text[512];
	int n;

	n = snprintf(head, sizeof head, "  %c%c%s--%s%s%s", o->s != 0 ? '-' : ' ',
		o->s != 0 ? o->s : ' ', o->s != 0 ? ", " : "  ", o->l, o->arg != NULL ? " " : "",
		o->arg != NULL ? o->arg : "");
	(void)fputs(head, f);
	if (n >= COLUMN - 1)
		(void)fprintf(f, "\n%*s", COLUMN, "");
	else
		(void)fprintf(f, "%*s", COLUMN - n, "");
	(void)snprintf(text, sizeof text, "%s%s%s%s%s%s%s", o->help,
		o->choices != NULL ? ": " : "", o->choices != NULL ? o->choices : "",
		o->dflt != NULL ? " [" : "", o->dflt != NULL ? o->dflt : "",
		o->dflt != NULL ? "]" : "", "");
	wrapped(f, text, COLUMN);
}

void
help_command(const struct command *c)
{
	out_printf("usage: llmr %s [OPTION ...]%s%s\n\n%s\n", c->name,
		c->operands[0] != '\0' ? " " : "", c->operands, c->summary);
	if (c->opts[0].l != NULL)
		out_printf("\noptions\n");
	for (const struct opt *o = c->opts; o->l != NULL; o++)
		show_option(stdout, o);
	out_printf("\noptions of every command\n");
	for (const struct opt *o = global_opts; o->l != NULL; o++)
		show_option(stdout, o);
	out_printf("\nman llmr-%s tells more.\n", c->name);
}

int
cmd_help(struct ctx *c)
{
	const struct command *cmd;
	const char *near;

	if (c->n_args == 0) {
		help_overview(stdout);
		return 0;
	}
	cmd = command_find(c->args[0]);
	if (cmd != NULL) {
		help_command(cmd);
		return 0;
	}
	near = command_near(c->args[0]);
	if (near != NULL)
		return err_set(&c->err, ERR_USAGE, "unknown command '%s', did you mean '%s'?", c->args[0],
			near);
	return err_set(&c->err, ERR_USAGE, "unknown command '%s' (run 'llmr help')", c->args[0]);
}
