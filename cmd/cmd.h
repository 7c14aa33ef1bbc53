/*
 * cmd - what every subcommand gets and may use.
 *
 * A command is  int cmd_NAME(struct ctx *)  in cmd/NAME.c: 0, or -1 with
 * ctx->err filled; cmd/llmr.c prints the error and maps its code to the exit
 * status. A command whose answer is "no" sets ERR_NO. Options are declared in
 * cmd/table.c and read here by their long name; a name that the table does not
 * hold is a bug and aborts.
 */
#ifndef LLMR_CMD_CMD_H
#define LLMR_CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/pool.h"

struct optset;
struct runlog;

struct ctx {
	struct err err;
	struct log log;
	struct progress progress;
	struct cancel *cancel;		/* set by SIGINT and SIGTERM */
	struct runlog *run;		/* of cmd/runlog.h, NULL when nothing is recorded */
	struct optset *opts;
	const char *const *args;	/* operands, after the options */
	size_t n_args;
	unsigned threads;		/* --threads, or the cores granted */
	bool json, quiet, color;	/* color: for stdout */
};

/* Option values by long name, without dashes. */
const char *opt_str(const struct ctx *, const char *name);	/* last value or default; NULL when neither */
bool opt_flag(const struct ctx *, const char *name);
bool opt_given(const struct ctx *, const char *name);		/* on the command line, environment or settings */
long long opt_int(const struct ctx *, const char *name);	/* checked against the table's limits already */
double opt_num(const struct ctx *, const char *name);
double opt_duration(const struct ctx *, const char *name);	/* seconds */
uint64_t opt_bytes(const struct ctx *, const char *name);
size_t opt_count(const struct ctx *, const char *name);		/* values of a repeatable option */
const char *opt_nth(const struct ctx *, const char *name, size_t i);

/* Text to stdout; failure is remembered and reported at exit (74; a closed pipe ends silently). */
void out_write(const void *p, size_t n);
void out_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line for people to stderr, unless --quiet. */
void say(const struct ctx *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int cmd_bench(struct ctx *);
int cmd_config(struct ctx *);
int cmd_convert(struct ctx *);
int cmd_doctor(struct ctx *);
int cmd_drift(struct ctx *);
int cmd_embed(struct ctx *);
int cmd_eval(struct ctx *);
int cmd_export_bundle(struct ctx *);
int cmd_extract(struct ctx *);
int cmd_gc(struct ctx *);
int cmd_help(struct ctx *);
int cmd_import(struct ctx *);
int cmd_import_bundle(struct ctx *);
int cmd_inspect(struct ctx *);
int cmd_keygen(struct ctx *);
int cmd_list(struct ctx *);
int cmd_promote(struct ctx *);
int cmd_pull(struct ctx *);
int cmd_push(struct ctx *);
int cmd_rollback(struct ctx *);
int cmd_route(struct ctx *);
int cmd_runs(struct ctx *);
int cmd_serve(struct ctx *);
int cmd_show(struct ctx *);
int cmd_sign(struct ctx *);
int cmd_switch(struct ctx *);
int cmd_train(struct ctx *);
int cmd_verify(struct ctx *);
int cmd_version(struct ctx *);

#endif
