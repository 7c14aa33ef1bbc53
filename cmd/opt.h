/*
 * opt - parse a command line against the table.
 *
 * Option beats environment (LLMR_NAME, then the peer's variable) beats the
 * settings file beats the table's default. GNU manners: long and short forms,
 * "--opt value" and "--opt=value", clustered flags, "--" ends options, options
 * may follow operands. Nothing is abbreviated.
 */
#ifndef LLMR_CMD_OPT_H
#define LLMR_CMD_OPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "table.h"

enum opt_origin { ORIGIN_NONE, ORIGIN_DEFAULT, ORIGIN_RECIPE, ORIGIN_SETTINGS, ORIGIN_ENV, ORIGIN_ARG };

struct opt_value {
	const struct opt *opt;
	const char **v;		/* [n] values, borrowed from argv, environment, settings or table */
	size_t n, cap;
	enum opt_origin origin;
};

struct optset {
	struct opt_value *values;	/* [n] */
	size_t n;
	const char **args;		/* operands */
	size_t n_args;
	struct arena own;		/* values of opt_supply */
};

/*
 * Parse argv[0..argc-1] (without the command's name) for the command; NULL
 * command means the global options alone, and parsing stops at the first
 * operand (*stopped = its index). 0 / -1 with ERR_USAGE.
 */
int opt_parse(const struct command *, int argc, char **argv, struct optset *, int *stopped, struct err *e);
/* Where values come from when neither command line nor environment gives them. */
struct opt_source {
	const char *(*get)(void *ctx, const char *name, size_t *line);	/* NULL when absent */
	void *ctx;
	const char *file;	/* for messages */
};
/* Fill what the command line left open from environment, settings (NULL none) and defaults, then check every value. */
int opt_resolve(struct optset *, const struct opt_source *settings, struct err *e);
/*
 * Give a value (copied) for an option that was left to its default, as a
 * recipe does; again for one that may be repeated. 0, also when it is given
 * already; -1 and ERR_USAGE for a bad value.
 */
int opt_supply(struct ctx *, const char *name, const char *text);
void opt_finish(struct optset *);
const struct opt_value *opt_lookup(const struct optset *, const char *name);	/* BUG when the table lacks it */

#endif
