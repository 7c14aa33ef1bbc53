/*
 * mlflow - log one finished run to an MLflow tracking server.
 *
 * Source: MLflow's REST API 2.0 (experiments/get-by-name, experiments/create,
 * runs/create, runs/get, runs/log-batch, runs/update), as its own Python client
 * speaks it. The run is made when it is over, with the time of its begin: a
 * server that is away costs a training nothing until its work is stored.
 * Depends on: net/http, net/retry, fmt/jflat, fmt/jsonw.  Threads: safe.
 */
#ifndef LLMR_NET_MLFLOW_H
#define LLMR_NET_MLFLOW_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/http.h"
#include "net/retry.h"

#define MLFLOW_ID 65		/* bytes of an id and its NUL */
#define MLFLOW_VALUE 500	/* longest parameter that every server takes; the rest is cut off */

struct mlflow_server {
	struct http *http;
	const char *url;		/* base address, with or without a slash at its end */
	const char *experiment;		/* by name, made when absent */
	const char *experiment_id;	/* instead of the name; NULL none */
	const char *run_id;		/* join this run instead of making one; NULL none */
	struct retry_policy retry;
	struct cancel *cancel;
};

struct mlflow_text { const char *key, *value; };
struct mlflow_number { const char *key; double value; };

struct mlflow_run {
	const char *name, *user;
	int64_t start_ms, end_ms;	/* since 1970 */
	const char *status;		/* "FINISHED", "FAILED", "KILLED" */
	const struct mlflow_text *params, *tags;
	const struct mlflow_number *metrics;
	size_t n_params, n_tags, n_metrics;
};

/*
 * Make the run (or join run_id), log everything in batches as large as the
 * server allows, end it. A joined run is left running: who began it ends it.
 * Characters that a server refuses in names become '_'. The run's id in id.
 * ERR_UNAVAILABLE when the server is away, ERR_NOPERM for 401 and 403, else
 * ERR_INPUT with the server's own word. A run that was made is ended even when
 * logging failed.
 */
int mlflow_log(const struct mlflow_server *, const struct mlflow_run *, char id[MLFLOW_ID],
	struct err *e);

#endif
