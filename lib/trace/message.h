/*
 * message - the query in what a trace keeps of a conversation.
 *
 * Understands lists of messages as JSON in the shapes that occur:
 *   {"role","parts":[{"type":"text","content"}]}	GenAI conventions, LiteLLM
 *   {"role","parts":[{"type":"text","text"}]}		the same with images beside
 *   {"role","content": text or list of parts}		OpenAI, LiteLLM v2
 * a request that holds such a list ("messages", "input", "contents", "prompt",
 * "inputs", "kwargs"), and numbered attributes. Parts that are not text
 * (images, tool calls) are left out and counted.
 * Depends on: base/buf, fmt/jread.  Threads: a struct message_set belongs to one thread.
 */
#ifndef LLMR_TRACE_MESSAGE_H
#define LLMR_TRACE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* Which messages make the query. */
enum message_pick {
	MESSAGE_LAST_USER,	/* the last message of the user that has text */
	MESSAGE_FIRST_USER,
	MESSAGE_CONVERSATION,	/* all but the system's, "role: text" parted by empty lines; a single one bare */
	MESSAGE_ALL		/* the system's too */
};

struct message {
	struct slice role;	/* "user" where none is said */
	struct slice text;
	size_t cap;		/* private: size of text's own block, 0 borrowed */
};

/* Messages of one call, in order. Zeroed memory is an empty set; release with message_finish. */
struct message_set {
	struct message *v;
	size_t n, cap;
	size_t other_parts;	/* left out: images, tool calls */
	size_t *number;		/* scratch of message_numbered */
	size_t number_cap;
};

/* Empty it, keeping the memory. */
void message_reset(struct message_set *);
void message_finish(struct message_set *);

/*
 * Add what a JSON text holds. *found: it was JSON with at least one message (else
 * the set is as before). Bare strings, and objects with neither role nor type,
 * count only inside a request: on their own they are what a user wrote. Texts
 * borrow from json or the arena. -1 only when memory lacks.
 */
int message_add_json(struct message_set *, struct slice json, struct arena *, bool *found,
	struct err *e);
/* Add one message. */
int message_add(struct message_set *, struct slice role, struct slice text, struct err *e);
/*
 * Add a numbered attribute: rest is its key behind the prefix ("2.message.content",
 * "0.role", "1.message.contents.0.message_content.text"). Unknown parts are
 * ignored. Call message_numbered_end after the last one of a span.
 */
int message_numbered(struct message_set *, struct slice rest, struct slice value, struct arena *,
	struct err *e);
/* Put numbered messages in the order of their numbers and drop those without text. */
void message_numbered_end(struct message_set *);

/*
 * The query. Text borrows from a message or the arena; p == NULL when there is
 * none (no user message with text). -1 only when memory lacks.
 */
int message_query(const struct message_set *, enum message_pick, struct arena *, struct slice *out,
	struct err *e);
/* The system's messages, joined by newlines; p == NULL when there are none. */
int message_system(const struct message_set *, struct arena *, struct slice *out, struct err *e);

/*
 * Rewrite OTLP's JSON form of an AnyValue ({"arrayValue":...}, {"kvlistValue":...})
 * as the plain JSON it stands for, appended to out. False when it is no such value.
 */
bool message_plain_json(struct slice any, struct buf *out);

#endif
