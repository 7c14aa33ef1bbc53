/*
 * mlflowreg - registered models of an MLflow server, and the files of their versions.
 *
 * Source: MLflow's REST API 2.0 (runs/get, registered-models/create,
 * model-versions/create, registered-models/alias, model-versions/get-download-uri,
 * mlflow-artifacts). The server must serve artifacts itself (mlflow-artifacts:).
 * MLflow keeps no digests: who fetches must check what came.
 * Depends on: net/mlflowapi.  Threads: safe.
 */
#ifndef LLMR_NET_MLFLOWREG_H
#define LLMR_NET_MLFLOWREG_H

#include "base/buf.h"
#include "net/mlflow.h"

#define MLFLOWREG_URI 600

/* Where the artifacts of a run lie: the path below mlflow-artifacts/artifacts/. */
int mlflowreg_run_root(const struct mlflow_server *, const char *run, char root[MLFLOWREG_URI], struct err *e);
/*
 * Store root/path, from memory, or (fd >= 0) the size_bytes of a file.
 * Retried: the same bytes go to the same place.
 */
int mlflowreg_put(const struct mlflow_server *, const char *root, const char *path, const void *p, size_t n,
	int fd, uint64_t size_bytes, struct err *e);
/* Make a version of the model (which is made where absent) of the run's folder; its number into version. */
int mlflowreg_register(const struct mlflow_server *, const char *model, const char *run, const char *folder,
	char version[MLFLOW_ID], struct err *e);
int mlflowreg_set_alias(const struct mlflow_server *, const char *model, const char *alias,
	const char *version, struct err *e);

/* Where the files of the version that an alias names lie. ERR_NOINPUT when there is none. */
int mlflowreg_find(const struct mlflow_server *, const char *model, const char *alias,
	char version[MLFLOW_ID], char root[MLFLOWREG_URI], struct err *e);
/* Fetch root/path: each piece goes to on_body, on_restart throws away what came. ERR_NOINPUT when absent. */
int mlflowreg_get(const struct mlflow_server *, const char *root, const char *path, uint64_t max_bytes,
	int (*on_body)(void *ctx, const void *p, size_t n, struct err *e),
	int (*on_restart)(void *ctx, struct err *e), void *ctx, struct err *e);

#endif
