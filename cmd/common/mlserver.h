/*
 * mlserver - an MLflow server as the environment and options name it.
 *
 * MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or
 * MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_SERVER_CERT_PATH,
 * MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID, as MLflow's own client.
 */
#ifndef LLMR_CMD_MLSERVER_H
#define LLMR_CMD_MLSERVER_H

#include "cmd.h"
#include "common/hosts.h"
#include "net/mlflow.h"

struct mlserver {
	struct mlflow_server s;
	struct hosts hosts;
};

/* Release with mlserver_close, on failure too. -1 and ctx->err. */
int mlserver_open(struct ctx *, const char *url, struct mlserver *);
void mlserver_close(struct mlserver *);

#endif
