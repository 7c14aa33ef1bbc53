/*
 * metrics - counters, gauges and histograms, and their text for Prometheus.
 *
 * Families are declared once, with help and unit; a series is made at its
 * first use. Names and buckets follow Prometheus' conventions (base units,
 * _total for counters). Exposition: text 0.0.4, or OpenMetrics 1.0.0.
 * Depends on: base.  Threads: safe.
 */
#ifndef LLMR_SERVE_METRICS_H
#define LLMR_SERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Every family, in the order of the exposition. */
enum metric {
	M_BUILD_INFO, M_REQUESTS, M_IN_FLIGHT, M_REQUEST_SECONDS, M_CONNECTIONS, M_HTTP_REFUSED,
	M_DECISIONS, M_DECISIONS_ALIAS, M_DECISION_SECONDS, M_FALLBACKS, M_OOD, M_LOW_CONFIDENCE,
	M_UPSTREAM, M_UPSTREAM_SECONDS, M_UPSTREAM_TTFT, M_UPSTREAM_TOKENS, M_RETRIES, M_COOLDOWNS, M_BACKEND_IN_FLIGHT,
	M_MODEL_INFO, M_MODEL_LOADED, M_RELOADS, M_RELOAD_SECONDS, M_DEGRADED,
	M_SYNCS, M_STORE_BREAKER,
	M_SWITCH_RATIO, M_SWITCH_REQUESTS, M_SWITCH_ERRORS, M_SWITCH_SECONDS, M_SWITCH_IN_FLIGHT,
	M_SWITCHES, M_SWITCH_DURATION, M_SHADOW,
	M_SPANS_DROPPED, M_LOG_LINES,
	M_PROCESS_CPU, M_PROCESS_START, M_PROCESS_RESIDENT, M_PROCESS_VIRTUAL, M_PROCESS_FDS, M_PROCESS_MAX_FDS,
	M_COUNT
};
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metrics;
struct metrics *metrics_new(struct err *e);
void metrics_free(struct metrics *);		/* NULL is fine */
/*
 * Add v to a counter or gauge, set a gauge, or observe v in a histogram. The
 * label values stand in the order of the family's label names; NULL is "".
 * Lack of memory loses the sample, never the request.
 */
void metrics_add(struct metrics *, enum metric, const char *const *labels, double v);
void metrics_set(struct metrics *, enum metric, const char *const *labels, double v);
/* Forget a gauge's series, as of a model that is gone. */
void metrics_clear(struct metrics *, enum metric);
/* Sum over the series of a counter; for status pages and tests. */
double metrics_sum(struct metrics *, enum metric);
/* A quantile (0..1) of a histogram over all its series, interpolated within a bucket; NaN when it is empty. */
double metrics_quantile(struct metrics *, enum metric, double q);
/* One series, as metrics_each shows it. */
struct metric_sample {
	enum metric metric;
	const char *name, *help, *unit;		/* name without _total; unit NULL none */
	enum metric_type type;
	const char *const *label_name;		/* [n_labels] */
	const char *const *label;
	size_t n_labels;
	double value;				/* of a histogram the sum */
	uint64_t count;
	const uint64_t *bucket;			/* [n_bounds], each its own; what is above the last bound is in count alone */
	const double *bound;
	size_t n_bounds;
};
/* Every series, those of a family in a row. fn must not call metrics_. */
void metrics_each(struct metrics *, void (*fn)(void *ctx, const struct metric_sample *), void *ctx);
/* The whole exposition. */
void metrics_write(struct metrics *, bool openmetrics, struct buf *out);

#endif
