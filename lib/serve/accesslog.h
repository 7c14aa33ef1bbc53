/*
 * accesslog - the access log and the decision log: one line of JSON each.
 *
 * A line of the access log for each HTTP answer, a line of the decision log
 * for each decision. The text of a prompt is in neither unless it is asked
 * for; keys never are. Written by a background thread out of a bounded queue;
 * what does not fit is dropped and counted (llmr_log_lines_total).
 * Depends on: serve/outbox, serve/metrics, fmt/jsonw.  Threads: safe.
 */
#ifndef LLMR_SERVE_ACCESSLOG_H
#define LLMR_SERVE_ACCESSLOG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "serve/metrics.h"

struct event;
struct exchange;

struct accesslog_opts {
	const char *access, *decision;	/* files, appended to; "-" is stderr; NULL: no such log. Borrowed */
	bool prompts;			/* with the prompt in the decision log */
	struct metrics *metrics;
	struct log log;			/* told once when a log cannot be written */
};

struct accesslog;
/* Open the files (mode 0640) and start. ERR_CANTCREAT. */
struct accesslog *accesslog_new(const struct accesslog_opts *, struct err *e);
/* Open the files anew, as after they were renamed. The old ones stay when that fails. */
int accesslog_reopen(struct accesslog *, struct err *e);
/* All that was told before is written when it returns. */
void accesslog_flush(struct accesslog *);
void accesslog_free(struct accesslog *);	/* writes what waits; NULL is fine */

/* A line of each; does nothing where there is no such log. */
void accesslog_answer(struct accesslog *, struct exchange *);
void accesslog_decision(struct accesslog *, const struct event *);
/* The decision as a JSON object, as it stands in the log. */
void accesslog_write(const struct event *, bool prompt, struct buf *out);

#endif
