/* pushmlflow - llmr push --mlflow: log the artifact on an MLflow server and register it. */
#ifndef LLMR_CMD_PUSHMLFLOW_H
#define LLMR_CMD_PUSHMLFLOW_H

struct ctx;

/* PATH as a new version of the registered model NAME, which the alias then names. */
int pushmlflow_run(struct ctx *, const char *path, const char *name, const char *alias, const char *url);

#endif
