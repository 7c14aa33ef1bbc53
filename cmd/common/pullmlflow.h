/* pullmlflow - llmr pull mlflow:NAME@ALIAS: a registered model from an MLflow server. */
#ifndef LLMR_CMD_PULLMLFLOW_H
#define LLMR_CMD_PULLMLFLOW_H

struct ctx;

/* what: "NAME@ALIAS". */
int pullmlflow_run(struct ctx *, const char *what);

#endif
