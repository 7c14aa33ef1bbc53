/*
 * score - performance from the signals of a call.
 *
 * A rule is a sum of terms, each a signal with an optional weight:
 *   success	1 when the call succeeded, 0 when it failed
 *   latency:T	T / (T + response time): 1 at once, 0.5 at T; 0 when it failed
 *   ttft:T	the same of the time to the first token
 *   cost:C	C / (C + cost in USD); 0 when it failed
 *   tokens:N	N / (N + output tokens); 0 when it failed
 * "0.7*success+0.3*latency:2s". Weights are divided by their sum, so that the
 * outcome lies in 0..1. A record that lacks one of the signals gets no score
 * from that rule; of several rules the first that gives one counts.
 * Depends on: base/str, data/record.  Threads: a parsed rule is immutable.
 */
#ifndef LLMR_DATA_SCORE_H
#define LLMR_DATA_SCORE_H

#include "base/err.h"
#include "data/record.h"

#define SCORE_MAX_TERMS 8

enum score_signal { SCORE_SUCCESS, SCORE_LATENCY, SCORE_TTFT, SCORE_COST, SCORE_TOKENS };

struct score_rule {
	struct { enum score_signal signal; double weight, half; } term[SCORE_MAX_TERMS];
	size_t n;
};

/* ERR_USAGE naming the rule and what is wrong. */
int score_parse(const char *text, struct score_rule *, struct err *e);
/* 0..1, or NaN when a signal is missing. */
double score_apply(const struct score_rule *, const struct record *);

#endif
