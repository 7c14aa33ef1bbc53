/*
 * switchapi - switching over HTTP: versions, switches, statistics, feedback.
 *
 *   POST /router/versions {name, version, ref, metadata}   201 {model_id, ...}
 *   GET  /router/versions
 *   POST /router/switch {target_version, name, strategy_type, strategy_config}   202 {operation_id, ...}
 *   GET  /router/switch, /router/switch/ID, /router/switch/stats
 *   POST /router/switch/ID/abort, /router/rollback {name, reason}
 *   POST /v1/feedback {request_id, success, latency_ms, score}
 * Everything runs on the background thread; 409 while switching is off.
 * Depends on: serve/switching.  Threads: safe.
 */
#ifndef LLMR_SERVE_SWITCHAPI_H
#define LLMR_SERVE_SWITCHAPI_H

#include "serve/gateway.h"

void switchapi_register(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_versions(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_start(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_status(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_operation(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_abort(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_rollback(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_stats(struct gateway *, struct gateway_worker *, struct exchange *);
void switchapi_feedback(struct gateway *, struct gateway_worker *, struct exchange *);

/* A body of one of these, read strictly; texts are copies in the arena. Here for fuzzing. */
struct switchapi_body {
	const char *name, *version, *ref, *metadata, *strategy, *config, *reason, *request_id;	/* NULL not given */
	int success;			/* -1 not given */
	double latency_ms, score;	/* NAN not given */
};
/* 0; -1 and ERR_USAGE. */
int switchapi_read(struct slice body, struct arena *, struct switchapi_body *, struct err *e);

#endif
