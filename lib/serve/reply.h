/*
 * reply - answers in the shapes that OpenAI's clients expect.
 *
 * Depends on: serve/httpd, fmt/jsonw.  Threads: one exchange, one thread.
 */
#ifndef LLMR_SERVE_REPLY_H
#define LLMR_SERVE_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "serve/httpd.h"

/* The bytes of b as application/json; b is released. */
void reply_json(struct exchange *, unsigned status, struct buf *b);
void reply_text(struct exchange *, unsigned status, const char *text);
/*
 * {"error":{"message","type","param","code":"STATUS"}}. type NULL: what the
 * status implies ("invalid_request_error", "auth_error" ...). param may be NULL.
 */
void reply_error(struct exchange *, unsigned status, const char *type, const char *param, const char *message);
/* The status that an error of ours stands for: ERR_INPUT 400, ERR_NOINPUT 404, ERR_NO 503 ... */
unsigned reply_status(const struct err *);

#endif
