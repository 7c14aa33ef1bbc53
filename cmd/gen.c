/*
 * gen - build-time program: man pages and completions from the command table.
 *
 *   gen man COMMAND < PROSE   man/llmr-COMMAND.1 (PROSE: mdoc with .Sh DESCRIPTION, EXAMPLES, ...)
 *   gen man llmr < PROSE      man/llmr.1
 *   gen bash | zsh | fish     the completions
 *   gen commands | options    names, one a line, for the tests
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "table.h"

/* The table points at the commands; this program never runs one. */
#define NEVER(n) int cmd_##n(struct ctx *c) { (void)c; return -1; }
NEVER(bench) NEVER(config) NEVER(convert) NEVER(doctor) NEVER(drift) NEVER(embed) NEVER(eval)
NEVER(extract) NEVER(help) NEVER(export_bundle) NEVER(gc) NEVER(import) NEVER(import_bundle) NEVER(inspect)
NEVER(keygen) NEVER(list) NEVER(promote) NEVER(pull) NEVER(push) NEVER(rollback) NEVER(route)
NEVER(runs) NEVER(serve) NEVER(show) NEVER(sign) NEVER(switch) NEVER(train) NEVER(verify) NEVER(version)

/* ---- man ---- */

/* Text with mdoc's special characters made harmless. */
static void
mdoc_text(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '-')
			(void)fputs("\\-", stdout);
		else if (*s == '\\')
			(void)fputs("\\e", stdout);
		else
			(void)putchar(*s);
	}
}

static void
mdoc_operands(const char *operands)
{
	if (operands[0] == '\0')
		return;
	(void)fputs(".Ar ", stdout);
	mdoc_text(operands);
	(void)putchar('\n');
}

static void
mdoc_option(const struct opt *o)
{
	char env[64];

	(void)fputs(".It ", stdout);
	if (o->s != 0)
		(void)printf("Fl %c , ", o->s);
	(void)fputs("Fl Fl ", stdout);
	(void)fputs(o->l, stdout);
	if (o->arg != NULL)
		(void)printf(" Ar %s", o->arg);
	(void)putchar('\n');
	(void)putchar(toupper((unsigned char)o->help[0]));
	mdoc_text(o->help + 1);
	(void)puts(".");
	if (o->choices != NULL) {
		(void)fputs("One of\n", stdout);
		for (const char *p = o->choices; *p != '\0';) {
			size_t n = strcspn(p, "|");
			const char *after = p[n] == '\0' ? " ." : " ,";

			(void)printf(".Cm %.*s%s\n", (int)n, p, after);
			p += n + (p[n] == '|');
		}
	}
	if (o->type == OPT_INT || o->type == OPT_NUM)
		(void)printf("From %.16g to %.16g.\n", o->lo, o->hi);
	if (o->dflt != NULL)
		(void)printf("The default is\n.Ql %s .\n", o->dflt);
	opt_env_name(o, env);
	if (o->type != OPT_FLAG || o->env != NULL) {
		(void)printf("Variable:\n.Ev %s", env);
		if (o->env != NULL)
			(void)printf("\nor\n.Ev %s", o->env);
		(void)puts(" .");
	}
}

static void
mdoc_options(const struct opt *o)
{
	(void)puts(".Bl -tag -width Ds");
	for (; o->l != NULL; o++)
		mdoc_option(o);
	(void)puts(".El");
}

static void
mdoc_exits(const char *codes)
{
	(void)puts(".Sh EXIT STATUS\n.Bl -tag -width 4n -compact");
	for (const struct exit_status *x = exit_statuses; x->code >= 0; x++) {
		char text[16];
		const char *at;

		(void)snprintf(text, sizeof text, "%d", x->code);
		at = strstr(codes, text);
		/* 0, 64 and 70 are everyone's; the others only where the command lists them. */
		while (at != NULL && at != codes && at[-1] != ' ')
			at = strstr(at + 1, text);
		if (x->code != 0 && x->code != 64 && x->code != 70 && codes[0] != '*' &&
		    (at == NULL || (at[strlen(text)] != ' ' && at[strlen(text)] != '\0')))
			continue;
		(void)printf(".It %d\n", x->code);
		mdoc_text(x->meaning);
		(void)puts(".");
	}
	(void)puts(".El");
}

static void
mdoc_see_also(const char *list)
{
	(void)puts(".Sh SEE ALSO");
	while (*list != '\0') {
		size_t n = strcspn(list, "("), rest;

		rest = strcspn(list, " ");
		(void)printf(".Xr %.*s %.1s%s\n", (int)n, list, list + n + 1,
			list[rest] == '\0' ? "" : " ,");
		list += rest + (list[rest] == ' ');
	}
}

enum prose { PROSE_DESCRIPTION, PROSE_SURROUNDINGS, PROSE_REST };

/* mdoc's conventional order: ENVIRONMENT and FILES stand before EXIT STATUS. */
static enum prose
prose_part(const char *heading)
{
	if (strncmp(heading, ".Sh DESCRIPTION", 15) == 0)
		return PROSE_DESCRIPTION;
	if (strncmp(heading, ".Sh ENVIRONMENT", 15) == 0 || strncmp(heading, ".Sh FILES", 9) == 0)
		return PROSE_SURROUNDINGS;
	return PROSE_REST;
}

/* Copy one part of the prose, since generated sections stand between the parts. */
static void
copy_prose(const char *prose, enum prose part)
{
	const char *p = prose;
	int in = 0;

	while (*p != '\0') {
		size_t n = strcspn(p, "\n") + 1;

		if (p[n - 1] == '\0')
			n--;
		if (strncmp(p, ".Sh ", 4) == 0)
			in = prose_part(p) == part;
		if (in)
			(void)fwrite(p, 1, n, stdout);
		p += n;
	}
}

static void
man_head(const char *page, const char *summary)
{
	char upper[64];
	size_t i;

	for (i = 0; page[i] != '\0' && i + 1 < sizeof upper; i++)
		upper[i] = (char)toupper((unsigned char)page[i]);
	upper[i] = '\0';
	(void)printf(".\\\" Made by `make docs' from cmd/table.c and man/src; edit those.\n"
		".Dd November 21, 2026\n.Dt %s 1\n.Os llmr %s\n.Sh NAME\n.Nm %s\n.Nd ", upper,
		LLMR_VERSION, page);
	mdoc_text(summary);
	(void)putchar('\n');
}

static void
man_command(const struct command *c, const char *prose)
{
	char page[64];

	(void)snprintf(page, sizeof page, "llmr-%s", c->name);
	man_head(page, c->summary);
	(void)printf(".Sh SYNOPSIS\n.Nm llmr %s\n.Op Ar OPTION ...\n", c->name);
	mdoc_operands(c->operands);
	copy_prose(prose, PROSE_DESCRIPTION);
	(void)puts(".Sh OPTIONS");
	if (c->opts[0].l != NULL) {
		mdoc_options(c->opts);
		(void)puts(".Pp");
	}
	(void)puts("Options of every command, such as\n.Fl Fl json ,\n.Fl Fl threads\nand\n.Fl Fl quiet ,\n"
		"are in\n.Xr llmr 1 .");
	copy_prose(prose, PROSE_SURROUNDINGS);
	mdoc_exits(c->exits);
	copy_prose(prose, PROSE_REST);
	mdoc_see_also(c->see_also);
}

static void
man_main(const char *prose)
{
	man_head("llmr", "learn, measure and run LLM routers");
	(void)puts(".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar OPTION ...");
	copy_prose(prose, PROSE_DESCRIPTION);
	(void)puts(".Sh COMMANDS\n.Bl -tag -width extract");
	for (const struct command *c = commands; c->name != NULL; c++) {
		(void)printf(".It Cm %s\n", c->name);
		mdoc_text(c->summary);
		(void)printf(";\n.Xr llmr-%s 1\n", c->name);
	}
	(void)puts(".El\n.Sh OPTIONS\nThese belong to every command.");
	mdoc_options(global_opts);
	copy_prose(prose, PROSE_SURROUNDINGS);
	mdoc_exits("*");
	copy_prose(prose, PROSE_REST);
}

/* ---- completions ---- */

static void
word_list(const char *choices)
{
	for (; *choices != '\0'; choices++)
		(void)putchar(*choices == '|' ? ' ' : *choices);
}

static void
bash_values(const struct opt *o)
{
	for (; o->l != NULL; o++) {
		if (o->type == OPT_FLAG)
			continue;
		(void)printf("\t\t--%s", o->l);
		if (o->s != 0)
			(void)printf("|-%c", o->s);
		(void)fputs(") ", stdout);
		if (o->choices != NULL) {
			(void)fputs("_llmr_words \"", stdout);
			word_list(o->choices);
			(void)puts("\"; return ;;");
		} else if (o->type == OPT_FILE)
			(void)puts("_llmr_files; return ;;");
		else if (o->type == OPT_DIR)
			(void)puts("_llmr_dirs; return ;;");
		else
			(void)puts("COMPREPLY=(); return ;;");
	}
}

static void
option_words(const struct opt *o)
{
	for (; o->l != NULL; o++)
		(void)printf(" --%s", o->l);
}

static void
command_words(void)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		(void)printf("%s%s", c == commands ? "" : " ", c->name);
}

static void
gen_bash(void)
{
	(void)puts("# bash completion for llmr; made by `make docs'\n"
		"_llmr_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
		"_llmr_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
		"_llmr_dirs() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); }\n"
		"_llmr() {\n\tlocal cur prev cmd='' i\n\tcur=${COMP_WORDS[COMP_CWORD]}\n"
		"\tprev=${COMP_WORDS[COMP_CWORD-1]}\n\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tcase ${COMP_WORDS[i]} in");
	(void)fputs("\t\t", stdout);
	for (const struct command *c = commands; c->name != NULL; c++)
		(void)printf("%s%s", c == commands ? "" : "|", c->name);
	(void)puts(") cmd=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n\tcase $cmd:$prev in");
	for (const struct command *c = commands; c->name != NULL; c++) {
		const struct opt *o = c->opts;

		for (; o->l != NULL && o->type == OPT_FLAG; o++)
			;
		if (o->l == NULL)
			continue;
		(void)printf("\t%s:-*)\n\t\tcase $prev in\n", c->name);
		bash_values(c->opts);
		(void)puts("\t\tesac ;;");
	}
	(void)puts("\tesac\n\tcase $prev in");
	bash_values(global_opts);
	(void)puts("\tesac\n\tcase $cmd in");
	(void)fputs("\t'') _llmr_words \"", stdout);
	command_words();
	option_words(global_opts);
	(void)puts("\" ;;");
	for (const struct command *c = commands; c->name != NULL; c++) {
		(void)printf("\t%s)\n\t\tif [[ $cur == -* ]]; then _llmr_words \"", c->name);
		option_words(c->opts);
		option_words(global_opts);
		(void)fputs("\"\n\t\telse ", stdout);
		if (strcmp(c->operand_choices, "@file") == 0)
			(void)fputs("_llmr_files", stdout);
		else {
			(void)fputs("_llmr_words \"", stdout);
			if (strcmp(c->operand_choices, "@command") == 0)
				command_words();
			else
				word_list(c->operand_choices);
			(void)putchar('"');
		}
		(void)puts("; fi ;;");
	}
	(void)puts("\tesac\n}\ncomplete -F _llmr llmr");
}

/* Help text inside a zsh or fish single-quoted word. */
static void
quoted_help(const char *s, const char *special)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'') {
			(void)fputs("'\\''", stdout);
			continue;
		}
		if (strchr(special, *s) != NULL)
			(void)putchar('\\');
		(void)putchar(*s);
	}
}

static void
zsh_option(const struct opt *o)
{
	(void)fputs("\t\t", stdout);
	if (o->s != 0)
		(void)printf("%s'{-%c,--%s}'", o->many ? "'*" : "'(-x)", o->s, o->l);
	else
		(void)printf("'%s--%s", o->many ? "*" : "", o->l);
	(void)fputs("[", stdout);
	quoted_help(o->help, "[]\\:");
	(void)fputs("]", stdout);
	if (o->type != OPT_FLAG) {
		(void)printf(":%s:", o->arg);
		if (o->choices != NULL) {
			(void)putchar('(');
			word_list(o->choices);
			(void)putchar(')');
		} else if (o->type == OPT_FILE)
			(void)fputs("_files", stdout);
		else if (o->type == OPT_DIR)
			(void)fputs("_files -/", stdout);
		else
			(void)putchar(' ');
	}
	(void)puts("' \\");
}

static void
zsh_options(const struct opt *o)
{
	for (; o->l != NULL; o++)
		zsh_option(o);
}

static void
gen_zsh(void)
{
	(void)puts("#compdef llmr\n# zsh completion for llmr; made by `make docs'\n"
		"_llmr() {\n\tlocal -a cmds\n\tcmds=(");
	for (const struct command *c = commands; c->name != NULL; c++) {
		(void)printf("\t\t'%s:", c->name);
		quoted_help(c->summary, ":\\");
		(void)puts("'");
	}
	(void)puts("\t)\n\tlocal i cmd=''\n\tfor ((i = 2; i < CURRENT; i++)); do\n"
		"\t\tif (( ${cmds[(I)${words[i]}:*]} )); then cmd=${words[i]}; break; fi\n\tdone\n"
		"\tif [[ -z $cmd ]]; then\n\t\tif [[ ${words[CURRENT]} == -* ]]; then _arguments -S \\");
	zsh_options(global_opts);
	(void)puts("\t\t'*: :'\n\t\telse _describe command cmds; fi\n\t\treturn\n\tfi\n"
		"\tshift $((i - 1)) words; (( CURRENT -= i - 1 ))\n\tcase $cmd in");
	for (const struct command *c = commands; c->name != NULL; c++) {
		(void)printf("\t%s) _arguments -S \\\n", c->name);
		zsh_options(c->opts);
		zsh_options(global_opts);
		if (strcmp(c->operand_choices, "@file") == 0)
			(void)puts("\t\t'*:file:_files' ;;");
		else if (strcmp(c->operand_choices, "@command") == 0) {
			(void)fputs("\t\t'1:command:(", stdout);
			command_words();
			(void)puts(")' ;;");
		} else if (c->operand_choices[0] != '\0') {
			(void)printf("\t\t'1:%s:(", c->operands);
			word_list(c->operand_choices);
			(void)puts(")' ;;");
		} else
			(void)puts("\t\t'*: :' ;;");
	}
	(void)puts("\tesac\n}\n_llmr \"$@\"");
}

static void
fish_options(const struct opt *o, const char *command)
{
	for (; o->l != NULL; o++) {
		(void)printf("complete -c llmr%s%s%s -l %s", command != NULL ? " -n '__llmr_is " : "",
			command != NULL ? command : "", command != NULL ? "'" : "", o->l);
		if (o->s != 0)
			(void)printf(" -s %c", o->s);
		if (o->choices != NULL) {
			(void)fputs(" -x -a '", stdout);
			word_list(o->choices);
			(void)putchar('\'');
		} else if (o->type == OPT_FILE)
			(void)fputs(" -r -F", stdout);
		else if (o->type == OPT_DIR)
			(void)fputs(" -x -a '(__fish_complete_directories)'", stdout);
		else if (o->type != OPT_FLAG)
			(void)fputs(" -x", stdout);
		(void)fputs(" -d '", stdout);
		quoted_help(o->help, "");
		(void)puts("'");
	}
}

static void
gen_fish(void)
{
	(void)fputs("# fish completion for llmr; made by `make docs'\nset -l __llmr_commands ", stdout);
	command_words();
	(void)puts("\nfunction __llmr_is\n\tset -l words (commandline -opc)\n"
		"\tfor w in $words[2..]\n\t\tif not string match -q -- '-*' $w\n"
		"\t\t\ttest \"$w\" = \"$argv[1]\"\n\t\t\treturn\n\t\tend\n\tend\n\treturn 1\nend\n"
		"complete -c llmr -f");
	for (const struct command *c = commands; c->name != NULL; c++) {
		(void)printf("complete -c llmr -n \"not __fish_seen_subcommand_from $__llmr_commands\" -a %s -d '",
			c->name);
		quoted_help(c->summary, "");
		(void)puts("'");
		if (strcmp(c->operand_choices, "@file") == 0)
			(void)printf("complete -c llmr -n '__llmr_is %s' -F\n", c->name);
		else if (c->operand_choices[0] != '\0') {
			(void)printf("complete -c llmr -n '__llmr_is %s' -a '", c->name);
			if (strcmp(c->operand_choices, "@command") == 0)
				command_words();
			else
				word_list(c->operand_choices);
			(void)puts("'");
		}
		fish_options(c->opts, c->name);
	}
	fish_options(global_opts, NULL);
}

/* ---- main ---- */

static char *
read_stdin(void)
{
	size_t cap = (size_t)1 << 20;
	char *p = malloc(cap);
	size_t n;

	if (p == NULL)
		exit(75);
	n = fread(p, 1, cap - 1, stdin);
	p[n] = '\0';
	return p;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "bash") == 0)
		gen_bash();
	else if (strcmp(what, "zsh") == 0)
		gen_zsh();
	else if (strcmp(what, "fish") == 0)
		gen_fish();
	else if (strcmp(what, "commands") == 0)
		for (const struct command *c = commands; c->name != NULL; c++)
			(void)puts(c->name);
	else if (strcmp(what, "man") == 0 && argc > 2) {
		const struct command *c = command_find(argv[2]);
		char *prose = read_stdin();

		if (c != NULL)
			man_command(c, prose);
		else
			man_main(prose);
		free(prose);
	} else
		return 64;
	return ferror(stdout) ? 74 : 0;
}
