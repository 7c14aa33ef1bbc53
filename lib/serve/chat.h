/*
 * chat - POST /v1/chat/completions: decide, forward, pass the answer on as it comes.
 *
 * The request's own text is sent on, with the model's name put in and llmr's
 * keys taken out. Nothing reaches the client before an upstream has begun to
 * answer well, so until then another deployment may be tried (num_retries
 * within the group, then fallbacks). A client that hangs up cancels the upstream.
 * Depends on: serve/gateway, net/httprelay.  Threads: HTTP threads and the relay's.
 */
#ifndef LLMR_SERVE_CHAT_H
#define LLMR_SERVE_CHAT_H

#include "base/buf.h"
#include "serve/gateway.h"

/* POST /v1/chat/completions and /chat/completions. */
void chat_post(struct gateway *, struct gateway_worker *, struct exchange *);
/*
 * The body that is forwarded: p [n], a JSON object that body_read took, with
 * "model" set to model, and without the keys that only llmr reads. False when
 * memory lacks.
 */
bool chat_rewrite(const char *p, size_t n, const char *model, struct buf *out);

#endif
