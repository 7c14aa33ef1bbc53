/*
 * mlflowapi - one call of MLflow's REST API 2.0, with retries, its answer and its words for errors.
 *
 * Depends on: net/mlflow (the server), net/http, net/retry, fmt/jflat, fmt/jsonw.  Threads: a call belongs to one.
 */
#ifndef LLMR_NET_MLFLOWAPI_H
#define LLMR_NET_MLFLOWAPI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "net/mlflow.h"

struct mlflowapi_call {
	const struct mlflow_server *s;
	struct buf url, body, answer;
	long status;		/* of the last answer */
};
void mlflowapi_finish(struct mlflowapi_call *);

/* The call of a path below /api/2.0/mlflow/; with w the body is an object, begun. */
void mlflowapi_begin(struct mlflowapi_call *, const char *path, struct jsonw *w);
/*
 * Close the body and send it (GET without w); 2xx is expected. again: a request
 * may be sent twice though the first may have been heard. Errors as mlflow_log.
 */
int mlflowapi_expect(struct mlflowapi_call *, const char *what, struct jsonw *w, bool again, struct err *e);
/* The error of an answer that is not 2xx, in the server's words. Returns -1. */
int mlflowapi_refused(const char *what, const struct http_response *, struct err *e);
/* Append with everything but unreserved characters escaped (RFC 3986). */
void mlflowapi_escape(struct buf *, const char *s);
/* The string member of that dotted name, "" when absent or too long. */
void mlflowapi_find(struct slice json, const char *name, char *out, size_t size);
/* An id out of the last answer; ERR_INPUT when it is none. */
int mlflowapi_take_id(const struct mlflowapi_call *, const char *what, const char *name, char id[MLFLOW_ID],
	struct err *e);

#endif
