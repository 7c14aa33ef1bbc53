/* pulling - what every source of `llmr extract` does with what it gets: range, output, resuming, summary. */
#ifndef LLMR_CMD_PULLING_H
#define LLMR_CMD_PULLING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/idset.h"
#include "cmd.h"
#include "fmt/jsonw.h"
#include "net/resume.h"

struct pull {
	struct ctx *c;
	const char *what;	/* "traces", "calls": for messages */
	struct resume *out;	/* NULL once it is closed */
	struct resume_point at;
	struct idset seen;	/* ids that are in the output */
	struct buf query;	/* what the state file must agree on */
	uint64_t before;	/* of them in the output when this run began */
	int64_t begun_ns;
};

void pull_init(struct pull *, struct ctx *, const char *what);
/* Leaves no output open: one that is still open is given up. */
void pull_finish(struct pull *);

/* Begin the text of the query with the source's own members, then end it with the time range as it was written. */
void pull_query(struct pull *, struct jsonw *);
int pull_query_end(struct pull *, struct jsonw *);
/* Open the output of --output and --state, or go on with it. */
int pull_open(struct pull *);
/* One line with the spans of one id; the ids so far are in `seen` only when the run went on. */
int pull_keep(struct pull *, const uint8_t id[16], uint64_t spans, const char *line, size_t n, struct err *e);
/* All before this time is in the output. */
int pull_upto(struct pull *, int64_t upto_us, struct err *e);
/* The run ended early with c->err: keep what can be gone on from, and say so. -1. */
int pull_cut_short(struct pull *);
/* The output takes its name. */
int pull_commit(struct pull *);
double pull_seconds(const struct pull *);
/* One line of JSON to standard output, or to standard error when that holds the spans. */
void pull_json(const struct pull *, const struct buf *json);
/* 0 when something was found, else a warning, or with --fail-empty ERR_NO; none tells what was looked for. */
int pull_judge(struct pull *, const char *none, const char *hint);

#endif
