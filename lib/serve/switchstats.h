/*
 * switchstats - counters of versions as JSON: to remember, to show, to report.
 *
 * Depends on: serve/switch.  Threads: takes the counters' own locks.
 */
#ifndef LLMR_SERVE_SWITCHSTATS_H
#define LLMR_SERVE_SWITCHSTATS_H

#include "base/buf.h"
#include "serve/switch.h"

/* Both arms' stage and run, to be read back by switchstats_load. NULL arms are left out. */
void switchstats_save(struct buf *out, struct arm_stats *from, struct arm_stats *to);
/* 0 also when the text is no such thing: the counters begin at nothing then. */
int switchstats_load(const char *json, struct arm_stats *from, struct arm_stats *to);
/* An object: requests, errors, error_rate with its interval, latency, feedback scores, since the switch began. */
void switchstats_write(struct jsonw *, struct arm_stats *);
/* What a switch that ended has shown, per arm, and their difference with its 95 % interval. NULL when memory lacks. */
char *switchstats_report(const struct switch_op *, struct arm_stats *from, struct arm_stats *to);

#endif
