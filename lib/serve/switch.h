/*
 * switch - the engine of switching: which version of which router gets what share, and when that changes.
 *
 * A router has one version in service and at most one switch running; several
 * routers switch at once. The engine knows time only through a clock that it is
 * given, and the outside only through hooks, so that a test of hours takes
 * milliseconds. Time counts while it runs: what a restart interrupted goes on
 * where it was, and a clock that is set does not move a stage.
 * Depends on: serve/arm, serve/rollout, serve/switchdb.  Threads: one at a time;
 * the counters of the arms are counted by any thread.
 */
#ifndef LLMR_SERVE_SWITCH_H
#define LLMR_SERVE_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "serve/arm.h"
#include "serve/rollout.h"
#include "serve/switchdb.h"

#define SWITCH_ARMS 16		/* of a router */
#define SWITCH_HISTORY 200	/* switches that are remembered in memory */
#define SWITCH_CONFIGURED "configured"	/* the version that the config itself names */

enum switch_state { SWITCH_RUNNING, SWITCH_DONE, SWITCH_ROLLED_BACK, SWITCH_ABORTED, SWITCH_FAILED };
const char *switch_state_name(enum switch_state);	/* "running", "done", "rolled_back", "aborted", "failed" */

struct switch_op {
	char id[17];
	char router[65], from[65], to[65];
	struct rollout rollout;
	enum switch_state state;
	size_t stage;
	int64_t elapsed_us;		/* of the stage */
	int64_t started_us, ended_us;	/* wall clock; ended 0: it runs */
	char reason[ROLLOUT_WHY];
	char *report;			/* JSON, once it ended; NULL none */
};

/* What a router's requests are to be decided by. */
struct switch_view {
	const char *router;
	bool is_default;
	const char *version[SWITCH_ARMS];
	unsigned weight[SWITCH_ARMS];
	size_t n;
	const char *shadow;		/* NULL none */
};

enum switch_alert_kind { SWITCH_ALERT_ERROR_RATE, SWITCH_ALERT_LATENCY, SWITCH_ALERT_ROLLBACK, SWITCH_ALERT_FAILED };
struct switch_alert {
	enum switch_alert_kind kind;
	const char *router, *version;
	const char *operation;		/* NULL: none runs */
	const char *text;
};
const char *switch_alert_name(enum switch_alert_kind);	/* "error_rate", "latency_p95", "rolled_back", "failed" */

struct switch_hooks {
	int64_t (*mono_us)(void *ctx);
	int64_t (*wall_us)(void *ctx);
	bool (*exists)(void *ctx, const char *router, const char *version);
	/* Put what switcher_view says into service; -1 leaves what was. */
	int (*publish)(void *ctx, struct err *e);
	void (*alert)(void *ctx, const struct switch_alert *);	/* may be NULL */
	void (*ended)(void *ctx, const struct switch_op *);	/* may be NULL */
	void *ctx;
};

struct switch_settings {
	struct rollout_defaults rollout;
	enum rollout_kind kind;			/* of a start that names none */
	double alert_error_rate, alert_p95_seconds;
	char router[65];			/* the default one's name */
};

struct switcher;
/* db NULL: nothing is remembered. Reads what is; publish is not called. Hooks and settings are copied. */
struct switcher *switcher_new(struct switchdb *, const struct switch_hooks *, const struct switch_settings *,
	struct err *e);
void switcher_free(struct switcher *);		/* NULL is fine; remembers the counters first */
void switcher_set(struct switcher *, const struct switch_settings *);
/*
 * Standing shares of the default router, as LLMROUTER_STRATEGY_WEIGHTS gives
 * them: a JSON object of names to whole weights, in their order. NULL: none.
 * ERR_CONFIG when it is none.
 */
int switcher_weights(struct switcher *, const char *json, struct err *e);

size_t switcher_views(const struct switcher *);
void switcher_view(const struct switcher *, size_t i, struct switch_view *);
/*
 * The counters of a version, made at first use; they live as long as the switcher. NULL for "", and when
 * memory lacks.
 */
struct arm_stats *switcher_stats(struct switcher *, const char *router, const char *version, struct err *e);
/* All counters, for status pages. */
size_t switcher_n_stats(const struct switcher *);
struct arm_stats *switcher_nth_stats(const struct switcher *, size_t i);
/* Of a router; "" where none is. NULL: no such router. */
const char *switcher_active(const struct switcher *, const char *router);
const char *switcher_previous(const struct switcher *, const char *router);
/* Is the version in service, wanted by a running switch, or the one before? */
bool switcher_needs(const struct switcher *, const char *router, const char *version);

struct switch_request {
	const char *router;		/* NULL: the default one */
	const char *version;
	bool has_kind;
	enum rollout_kind kind;
	struct slice config;		/* JSON object; n 0 none */
};
/*
 * Begin. -1: ERR_NOINPUT no such version, ERR_NO it is in service already or
 * another switch of the router runs, ERR_USAGE bad parameters; what publish
 * says. An immediate switch that is not watched has ended when it returns.
 */
int switcher_start(struct switcher *, const struct switch_request *, const struct switch_op **out, struct err *e);
/* End a running one, the old version back. ERR_NOINPUT no such, ERR_NO it does not run. */
int switcher_abort(struct switcher *, const char *id, const char *reason, struct err *e);
/*
 * A running switch of the router ends, the old version back; when none runs,
 * the version before the one in service comes back. ERR_NO when there is none.
 */
int switcher_rollback(struct switcher *, const char *router, const char *reason, const struct switch_op **out,
	struct err *e);
/* Let time pass: judge, advance, alert, remember. To be called a few times a second. */
void switcher_tick(struct switcher *);
/* What is in service could not be put there (after a restart): the old version is, or the configured one. */
void switcher_give_up(struct switcher *, const char *router, const char *version, const char *reason);

/* Running and ended ones, oldest first. */
size_t switcher_ops(const struct switcher *);
const struct switch_op *switcher_nth_op(const struct switcher *, size_t i);
const struct switch_op *switcher_op(const struct switcher *, const char *id);

#endif
