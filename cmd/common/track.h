/*
 * track - the same run on an MLflow tracking server.
 *
 * MLflow's own variables say where and as whom: MLFLOW_TRACKING_URI (unset:
 * nowhere), MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID, MLFLOW_RUN_ID,
 * MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or MLFLOW_TRACKING_TOKEN,
 * MLFLOW_TRACKING_SERVER_CERT_PATH.
 */
#ifndef LLMR_CMD_TRACK_H
#define LLMR_CMD_TRACK_H

#include "cmd.h"
#include "data/rundb.h"
#include "net/mlflow.h"

/* Log the run where the environment says; its id there into mlflow_run ("" when nowhere). -1 and ctx->err. */
int track_run(struct ctx *c, const struct rundb_run *run, char mlflow_run[MLFLOW_ID]);

#endif
