/*
 * body - what a request's JSON asks for: the prompt, the model, the limits of the choice.
 *
 * Reads /v1/route ({"prompt"} or {"messages"}) and /v1/chat/completions alike,
 * in one pass, without building a tree. Keys that would send a request
 * elsewhere (api_base, base_url, api_key, extra_headers) are refused.
 * Depends on: fmt/jread, trace/message.  Threads: one at a time.
 */
#ifndef LLMR_SERVE_BODY_H
#define LLMR_SERVE_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "trace/message.h"

#define BODY_MAX_REQUIRE 16

struct body {
	struct slice model;		/* p NULL: not given */
	struct slice model_at;		/* the value's text in the body, quotes included, to put another there */
	struct slice messages_raw;	/* p NULL: no messages */
	struct slice prompt;		/* what a router reads: the prompt, or the user's last message */
	bool stream;
	double max_cost, max_latency;	/* INFINITY: not given */
	double cost_weight, latency_weight;	/* NAN: not given */
	struct slice require[BODY_MAX_REQUIRE];
	size_t n_require;
	struct slice user, request_id, tenant;	/* p NULL: not given; metadata.user_id comes before user */
	struct slice user_id;
	struct slice metadata;		/* the object's text; p NULL */
	size_t text_bytes;		/* of all messages, for the estimate of tokens */
	const char *param;		/* the key at fault, when reading failed */
};

/* Working memory that outlives one request. Zeroed is empty. */
struct body_scratch {
	struct arena arena;
	struct message_set messages;
};
void body_scratch_finish(struct body_scratch *);

/*
 * Read n bytes. Everything borrows from them or the scratch until its next use.
 * chat: messages are needed; else messages or prompt. -1 and ERR_INPUT (b->param
 * names the key).
 */
int body_read(const char *p, size_t n, bool chat, struct body_scratch *, struct body *b, struct err *e);
/* Tokens of so many bytes of text, as a rule of thumb (a quarter; at least 1 a message). */
double body_tokens(const struct body *);

#endif
