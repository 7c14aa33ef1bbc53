/*
 * callspan - a call of a model as a gateway's own log keeps it, made into a span.
 *
 * LiteLLM keeps no trace ids in its logs: the span's trace id is made of the
 * request's id, so that the same call gives the same span each time. What the
 * log says goes under the attribute names of share/attributes.yaml. The
 * request's id is in gen_ai.response.id: LiteLLM's spans carry the same text
 * there (or in litellm.call_id, where no model answered), which is how logs and
 * traces are brought together.
 * Depends on: trace/otlpwrite, trace/message, fmt/hash.  Threads: pure.
 */
#ifndef LLMR_TRACE_CALLSPAN_H
#define LLMR_TRACE_CALLSPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "trace/span.h"

#define CALLSPAN_NO_INT INT64_MIN

/* Absent: slices with n == 0, cost NaN, integers CALLSPAN_NO_INT. All texts are borrowed. */
struct callspan {
	struct slice id;		/* of the request */
	struct slice call_type;		/* "acompletion", "aembedding", ... */
	struct slice model, provider, group;	/* model that answered; the alias asked for */
	struct slice messages;		/* JSON (a list of messages or a request), or plain text */
	struct slice request;		/* JSON: the request's body, for when messages is absent */
	struct slice response;		/* JSON or text */
	struct slice error_type, error_code, error_message;
	struct slice user, session, tags;
	double cost_usd;
	int64_t input_tokens, output_tokens, total_tokens;
	int64_t start_us, end_us;	/* since 1970 */
	int64_t first_us;		/* first piece of the answer */
	bool failed, cached;
};

void callspan_init(struct callspan *);

/*
 * A prompt or answer as logs keep it when they keep none: "", {}, [], null, or
 * LiteLLM's words for what was redacted.
 */
bool callspan_holds_text(struct slice json);

/* Trace id [16] of a request's id. */
void callspan_id(struct slice id, uint8_t out[16]);

/* Append the call as one OTLP JSON line of one span; service is its service.name. */
int callspan_line(const struct callspan *, const char *service, struct buf *out, struct err *e);

/* Ids under which a span's call may stand in a log, best first; returns how many. Borrowed. */
size_t callspan_ids_of(const struct span *, struct slice ids[2]);

/*
 * Put what the log says into the span of the same call: cost, status, and where
 * the span lacks them tokens, model and prompt. New attributes come from the arena.
 */
int callspan_enrich(const struct callspan *, struct span *, struct arena *, struct err *e);

#endif
