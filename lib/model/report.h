/*
 * report - an evaluation as one self-contained HTML page.
 *
 * No script, no font, no address outside the page: it can be mailed, archived
 * and printed. Figures are inline SVG; light, dark and print come from one style
 * sheet. Names of models and tasks are untrusted and escaped.
 * Depends on: model/evaluation, model/chart.  Threads: one thread at a time.
 */
#ifndef LLMR_MODEL_REPORT_H
#define LLMR_MODEL_REPORT_H

#include <stddef.h>

#include "base/buf.h"
#include "model/evaluation.h"

/* What the page says beside the evaluation; all borrowed. */
struct report {
	const struct evaluation *v;
	const char *const *model;	/* [m] names */
	size_t m;
	size_t queries, leaks;
	size_t best_single;
	size_t weak, strong;		/* of v->pair */
	const char *artifact;		/* path */
	const char *against;		/* path, NULL when none */
	const char *mode;		/* how it chooses, a line; NULL: the highest prediction */
	const char *gate, *missed;	/* expression, NULL when none; what failed, NULL when it was met */
	const char *data_digest;	/* hexadecimal */
	const char *version;		/* of llmr */
};

/* Append the page; ask buf_ok. */
void report_write(const struct report *, struct buf *);

#endif
