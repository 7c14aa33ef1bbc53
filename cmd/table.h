/*
 * table - every command, option, variable and exit status, once.
 *
 * Parser, --help, the generated parts of the man pages and the three
 * completions all come from here (make docs). Plain data: read it, grep it.
 */
#ifndef LLMR_CMD_TABLE_H
#define LLMR_CMD_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct ctx;

enum opt_type {
	OPT_FLAG,		/* no argument */
	OPT_STRING,
	OPT_CHOICE,		/* one of choices ("a|b|c") */
	OPT_INT,		/* lo..hi */
	OPT_NUM,		/* lo..hi */
	OPT_DURATION,		/* 200ms, 90s, 24h */
	OPT_BYTES,		/* 64KiB, 2GB */
	OPT_TIME,		/* RFC 3339, @seconds, now */
	OPT_FILE,		/* completed as a file name */
	OPT_DIR
};

struct opt {
	char s;			/* short letter, 0 none */
	const char *l;		/* long name */
	enum opt_type type;
	bool many;		/* may be given several times */
	const char *arg;	/* what stands for the argument in the help */
	const char *choices;
	const char *dflt;	/* NULL none */
	double lo, hi;
	const char *env;	/* a peer's variable that counts beside LLMR_NAME; NULL none */
	const char *help;	/* one sentence, lower case, no full stop */
};

struct exit_status {
	int code;
	const char *meaning;
};

struct command {
	const char *name;
	const char *group;
	const char *summary;	/* for lists and the NAME line */
	const char *operands;	/* synopsis of what follows the options; "" none */
	const char *operand_choices;	/* completion: "a|b", "@file", "@command", "" nothing */
	size_t min_args, max_args;	/* of operands; (size_t)-1 no limit */
	const struct opt *opts;	/* ends with .l == NULL */
	int (*run)(struct ctx *);
	const char *exits;	/* codes that matter here beside 0, 64 and 70: "65 66 74" */
	const char *see_also;	/* "llmr-convert(1) ..." */
};

extern const struct command commands[];		/* ends with .name == NULL */
extern const struct opt global_opts[];
extern const struct exit_status exit_statuses[];	/* ends with .code == -1 */

const struct command *command_find(const char *name);
/* The nearest command name within two edits, NULL when none is near. */
const char *command_near(const char *name);
/* LLMR_ and the long name in capitals, '-' as '_'. out holds 64 bytes. */
void opt_env_name(const struct opt *, char out[64]);

#endif
