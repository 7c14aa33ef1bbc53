/*
 * runlog - record what a training or an evaluation did and gave.
 *
 * A command begins a record, notes what it learns on the way, and main ends
 * it with the outcome: one row in the local database (data/rundb), and the
 * same on an MLflow server where one is named (cmd/track). Recording never
 * changes the outcome: what fails here is one warning. Every call is fine
 * without a record (--no-runs).
 */
#ifndef LLMR_CMD_RUNLOG_H
#define LLMR_CMD_RUNLOG_H

#include <stdint.h>

#include "base/buf.h"
#include "cmd.h"

/* What a run knows about itself; NULL = unknown. All of it is copied. */
struct runlog_note {
	const char *kind;		/* of router */
	const char *params, *metrics;	/* JSON objects; the options are added to params under the command's name */
	const uint8_t *data;		/* [32] SHA-256 of the data set */
	const char *artifact;		/* path */
	const uint8_t *digest;		/* [32] SHA-256 of the artifact */
};

/*
 * Begin the record of c's command ("train", "eval"), once its options are known
 * to be good; kind of router, NULL = not known yet.
 */
void runlog_begin(struct ctx *c, const char *command, const char *kind);
/* Add what is known now; a later note beats an earlier one member by member. */
void runlog_note(struct ctx *c, const struct runlog_note *note);
struct tensorfile;		/* fmt/safetensors.h */
/* The note of an evaluation: the artifact's kind and digest from its file, metrics as --json prints them. */
void runlog_eval(struct ctx *c, const struct tensorfile *artifact, const uint8_t data[32],
	const struct buf *metrics);
/* Write it; result is what the command returned. What ended by a fault of the command line is no run. */
void runlog_end(struct ctx *c, int result);

/* Path of the local database from --state-dir, XDG_STATE_HOME or HOME; -1 and ERR_CONFIG when none is set. */
int runlog_path(struct ctx *c, struct buf *out);

#endif
