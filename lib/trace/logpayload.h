/*
 * logpayload - LiteLLM's StandardLoggingPayload: one call as its S3, file and
 * callback loggers write it, a JSON object.
 *
 * Source: litellm/types/utils.py, class StandardLoggingPayload (times are
 * seconds since 1970 as numbers; older versions write text).
 * Depends on: fmt/jread, trace/callspan.  Threads: pure.
 */
#ifndef LLMR_TRACE_LOGPAYLOAD_H
#define LLMR_TRACE_LOGPAYLOAD_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "trace/callspan.h"

/*
 * 1: out is filled, borrowing from json and the arena. 0: a JSON object, but of
 * no call (an audit log lies in the same bucket). -1: ERR_INPUT, not JSON or of
 * the wrong shape, with the byte; or memory lacks.
 */
int logpayload_read(struct slice json, struct arena *, struct callspan *out, struct err *e);

#endif
