/* llmr - main: find the command, parse its options, run it, report. */
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/str.h"
#include "cmd.h"
#include "fmt/jsonw.h"
#include "help.h"
#include "opt.h"
#include "common/runlog.h"
#include "common/settings.h"
#include "table.h"
#include "common/term.h"

static struct cancel cancel;

/* What is cooperative gets this long to stop by itself after a signal. */
#define GRACE_SECONDS 5

static void
stop_now(int sig)
{
	(void)sig;
	io_cleanup();
	_exit(ERR_INTR);
}

static void
on_signal(int sig)
{
	if (atomic_exchange(&cancel.flag, 1) != 0)
		stop_now(sig);
	(void)alarm(GRACE_SECONDS);
}

static void
catch_signals(void)
{
	struct sigaction a = { .sa_handler = on_signal };

	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
	a.sa_handler = stop_now;
	(void)sigaction(SIGALRM, &a, NULL);
	a.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &a, NULL);
}

static void
report(const struct ctx *c)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!c->json) {
		term_line("llmr: %s", c->err.msg);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "error", c->err.msg);
	jsonw_kint(&w, "exit_status", c->err.code);
	jsonw_end_object(&w);
	term_line("%s", buf_cstr(&b));
	buf_finish(&b);
}

/* A reader of our output that went away ends us as the signal would have: silently. */
static void
die_of_closed_pipe(void)
{
	(void)signal(SIGPIPE, SIG_DFL);
	(void)raise(SIGPIPE);
}

static int
finish_stdout(struct ctx *c, int r)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return r;
	if (errno == EPIPE)
		die_of_closed_pipe();
	if (r == 0)
		r = err_sys(&c->err, ERR_IO, "standard output");
	return r;
}

static int
run(struct ctx *c, const struct command *cmd, struct optset *s)
{
	int r;

	c->opts = s;
	c->args = s->args;
	c->n_args = s->n_args;
	term_setup(c);
	if (s->n_args < cmd->min_args)
		return err_set(&c->err, ERR_USAGE, "usage: llmr %s [OPTION ...] %s", cmd->name,
			cmd->operands);
	if (s->n_args > cmd->max_args)
		return err_set(&c->err, ERR_USAGE, "unexpected operand '%s' (run 'llmr help %s')",
			s->args[cmd->max_args], cmd->name);
	r = cmd->run(c);
	runlog_end(c, r);
	term_clear_progress();
	return finish_stdout(c, r);
}

/* Parse and run one command with its arguments. */
static int
dispatch(struct ctx *c, const struct command *cmd, int argc, char **argv)
{
	struct optset s = { 0 };
	struct settings *settings = NULL;
	struct opt_source from;
	int stopped, r = -1;

	if (opt_parse(cmd, argc, argv, &s, &stopped, &c->err) < 0)
		goto out;
	c->json = opt_lookup(&s, "json")->n > 0;
	if (opt_lookup(&s, "help")->n > 0) {
		help_command(cmd);
		r = finish_stdout(c, 0);
		goto out;
	}
	/* A command may have an option of that name that takes a value. */
	if (opt_lookup(&s, "version")->n > 0 && opt_lookup(&s, "version")->opt->type == OPT_FLAG)
		cmd = command_find("version");
	if (settings_open(opt_lookup(&s, "settings"), cmd->name, &settings, &c->err) < 0)
		goto out;
	from = (struct opt_source){ settings_get, settings, settings_path(settings) };
	if (opt_resolve(&s, settings == NULL ? NULL : &from, &c->err) < 0)
		goto out;
	r = run(c, cmd, &s);
out:
	opt_finish(&s);
	settings_free(settings);
	return r;
}

/*
 * "llmr [GLOBAL ...] COMMAND ...": the globals in front are moved behind the
 * command, so that one parse sees everything.
 */
static int
multicall(struct ctx *c, int argc, char **argv)
{
	const struct command *cmd;
	struct optset s = { 0 };
	const char *near;
	int at, r = -1;

	if (opt_parse(NULL, argc, argv, &s, &at, &c->err) < 0)
		goto out;
	c->json = opt_lookup(&s, "json")->n > 0;
	if (at == argc) {
		if (opt_lookup(&s, "version")->n > 0)
			r = dispatch(c, command_find("version"), argc, argv);
		else if (opt_lookup(&s, "help")->n > 0) {
			help_overview(stdout);
			r = finish_stdout(c, 0);
		} else {
			help_overview(stderr);
			r = err_set(&c->err, ERR_USAGE, "a command is missing");
		}
		goto out;
	}
	cmd = command_find(argv[at]);
	if (cmd == NULL) {
		near = command_near(argv[at]);
		if (near != NULL)
			err_set(&c->err, ERR_USAGE, "unknown command '%s', did you mean '%s'?",
				argv[at], near);
		else
			err_set(&c->err, ERR_USAGE, "unknown command '%s' (run 'llmr help')", argv[at]);
		goto out;
	}
	for (int i = at; i + 1 < argc; i++) {
		char *next = argv[i + 1];

		/* Rotate the command's name out of the way; the globals keep their place. */
		argv[i] = next;
	}
	r = dispatch(c, cmd, argc - 1, argv);
out:
	opt_finish(&s);
	return r;
}

/*
 * What is large goes back to the system as soon as it is freed, so that a
 * training takes what it holds and no more (glibc else keeps blocks of up to 32 MiB).
 */
static void
return_large_blocks(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

int
main(int argc, char **argv)
{
	struct ctx c = { .err = ERR_INIT, .cancel = &cancel };
	const char *self = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const struct command *cmd = NULL;
	int r;

	self = self != NULL ? self + 1 : argc > 0 ? argv[0] : "llmr";
	return_large_blocks();
	catch_signals();
	if (strncmp(self, "llmr-", 5) == 0)
		cmd = command_find(self + 5);
	if (argc < 1)
		return ERR_USAGE;
	r = cmd != NULL ? dispatch(&c, cmd, argc - 1, argv + 1) : multicall(&c, argc - 1, argv + 1);
	if (r == 0)
		return 0;
	if (c.err.code == ERR_IO && c.err.sys == EPIPE)
		die_of_closed_pipe();
	if (c.err.msg[0] != '\0')
		report(&c);
	return c.err.code == ERR_NONE ? ERR_BUG : (int)c.err.code;
}
