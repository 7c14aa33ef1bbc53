/* term - the terminal side of a command: messages, progress bar, checked standard output. */
#ifndef LLMR_CMD_TERM_H
#define LLMR_CMD_TERM_H

#include "cmd.h"

/* Fill log, progress, threads, json, quiet, color of the context from its options. */
void term_setup(struct ctx *);
/* One line to stderr, control bytes escaped; the progress bar is cleared first. */
void term_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void term_clear_progress(void);

#endif
