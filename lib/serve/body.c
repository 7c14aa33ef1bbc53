#include "serve/body.h"

#include <math.h>
#include <string.h>

#include "fmt/jread.h"

void
body_scratch_finish(struct body_scratch *s)
{
	arena_finish(&s->arena);
	message_finish(&s->messages);
	*s = (struct body_scratch){ 0 };
}

static int
wrong(struct body *b, const char *param, struct err *e, const char *what)
{
	b->param = param;
	return err_set(e, ERR_INPUT, "%s: %s", param, what);
}

/* A string; null counts as not given. */
static bool
text(struct jread *r, struct body_scratch *s, struct slice *out)
{
	if (jread_peek(r) == JREAD_NULL)
		return jread_null(r);
	return jread_string(r, &s->arena, out);
}

static bool
number(struct jread *r, double *out)
{
	if (jread_peek(r) == JREAD_NULL)
		return jread_null(r);
	return jread_double(r, out) && *out >= 0;
}

static int
capabilities(struct jread *r, struct body_scratch *s, struct body *b, struct err *e)
{
	if (!jread_array(r))
		return wrong(b, "capabilities", e, "a list of texts is needed");
	while (jread_element(r)) {
		if (b->n_require == BODY_MAX_REQUIRE)
			return wrong(b, "capabilities", e, "too many");
		if (!jread_string(r, &s->arena, &b->require[b->n_require]))
			return wrong(b, "capabilities", e, "a list of texts is needed");
		b->n_require++;
	}
	return 0;
}

/* A number under its key; -1 when it is none. 1: not a key of ours. */
static int
limit(struct jread *r, struct slice key, struct body *b, struct err *e)
{
	struct { const char *name; double *at; } keys[] = {
		{ "max_cost", &b->max_cost }, { "max_latency", &b->max_latency },
		{ "cost_weight", &b->cost_weight }, { "latency_weight", &b->latency_weight },
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (slice_is(key, keys[i].name))
			return number(r, keys[i].at) ? 0 : wrong(b, keys[i].name, e, "a number of 0 or more is needed");
	}
	return 1;
}

/* metadata holds limits too, for clients that can send nothing else. */
static int
metadata(struct jread *r, struct body_scratch *s, struct body *b, struct err *e)
{
	struct slice key;
	struct jread in;
	int n;

	if (!jread_skip_raw(r, &b->metadata))
		return -1;
	jread_init(&in, b->metadata.p, b->metadata.n);
	if (!jread_object(&in))
		return wrong(b, "metadata", e, "an object is needed");
	while (jread_member(&in, &key)) {
		if ((n = limit(&in, key, b, e)) < 0)
			return -1;
		if (n == 0)
			continue;
		if (slice_is(key, "capabilities")) {
			if (capabilities(&in, s, b, e) < 0)
				return -1;
		} else if (slice_is(key, "tenant") && jread_peek(&in) == JREAD_STRING)
			(void)jread_string(&in, &s->arena, &b->tenant);
		else if (slice_is(key, "user_id") && jread_peek(&in) == JREAD_STRING)
			(void)jread_string(&in, &s->arena, &b->user_id);
		else
			(void)jread_skip(&in);
	}
	return 0;
}

/* One member. 0; -1 and err. */
static int
member(struct jread *r, struct slice key, struct body_scratch *s, struct body *b, struct err *e)
{
	static const char *const outward[] = { "api_base", "base_url", "api_key", "extra_headers", "custom_llm_provider" };
	int n;

	for (size_t i = 0; i < sizeof outward / sizeof outward[0]; i++) {
		if (slice_is(key, outward[i]))
			return wrong(b, outward[i], e, "a request may not say where it goes; the config does");
	}
	if (slice_is(key, "model")) {
		struct jread back = *r;

		if (jread_peek(r) != JREAD_STRING || !jread_skip_raw(&back, &b->model_at) || !text(r, s, &b->model))
			return wrong(b, "model", e, "a text is needed");
		return 0;
	}
	if (slice_is(key, "messages"))
		return jread_peek(r) == JREAD_ARRAY && jread_skip_raw(r, &b->messages_raw) ? 0
			: wrong(b, "messages", e, "a list of messages is needed");
	if (slice_is(key, "prompt"))
		return text(r, s, &b->prompt) ? 0 : wrong(b, "prompt", e, "a text is needed");
	if (slice_is(key, "stream"))
		return jread_peek(r) == JREAD_NULL ? (jread_null(r) ? 0 : -1)
			: jread_bool(r, &b->stream) ? 0 : wrong(b, "stream", e, "true or false is needed");
	if (slice_is(key, "user"))
		return text(r, s, &b->user) ? 0 : wrong(b, "user", e, "a text is needed");
	if (slice_is(key, "request_id"))
		return text(r, s, &b->request_id) ? 0 : wrong(b, "request_id", e, "a text is needed");
	if (slice_is(key, "capabilities"))
		return capabilities(r, s, b, e);
	if (slice_is(key, "metadata") && jread_peek(r) == JREAD_OBJECT)
		return metadata(r, s, b, e);
	if ((n = limit(r, key, b, e)) <= 0)
		return n;
	return jread_skip(r) ? 0 : -1;
}

/* The prompt out of the messages. */
static int
read_messages(struct body_scratch *s, struct body *b, struct err *e)
{
	bool found;

	message_reset(&s->messages);
	if (message_add_json(&s->messages, b->messages_raw, &s->arena, &found, e) < 0 ||
	    message_query(&s->messages, MESSAGE_LAST_USER, &s->arena, &b->prompt, e) < 0)
		return -1;
	for (size_t i = 0; i < s->messages.n; i++)
		b->text_bytes += s->messages.v[i].text.n + 4;
	if (!found)
		return wrong(b, "messages", e, "at least one message with role and content is needed");
	if (b->prompt.p == NULL)
		b->prompt = SLICE_LIT("");
	return 0;
}

int
body_read(const char *p, size_t n, bool chat, struct body_scratch *s, struct body *b, struct err *e)
{
	struct jread r;
	struct slice key;

	*b = (struct body){ .max_cost = INFINITY, .max_latency = INFINITY, .cost_weight = NAN, .latency_weight = NAN };
	arena_reset(&s->arena);
	jread_init(&r, p, n);
	if (!jread_object(&r)) {
		b->param = "request_body";
		return err_set(e, ERR_INPUT, "Invalid JSON payload: an object is needed");
	}
	while (jread_member(&r, &key)) {
		if (member(&r, key, s, b, e) < 0) {
			if (e->code != ERR_NONE && jread_well(&r))
				return -1;
			break;
		}
	}
	if (jread_done(&r, e) < 0) {
		if (b->param == NULL || !jread_well(&r)) {
			b->param = "request_body";
			return err_wrap(e, "Invalid JSON payload");
		}
		return -1;
	}
	if (b->user_id.p != NULL)
		b->user = b->user_id;
	if (b->messages_raw.p != NULL)
		return read_messages(s, b, e);
	b->text_bytes = b->prompt.n;
	if (chat)
		return wrong(b, "messages", e, "missing");
	if (b->prompt.p == NULL)
		return wrong(b, "prompt", e, "missing; give prompt, or messages");
	return 0;
}

double
body_tokens(const struct body *b)
{
	return ceil((double)b->text_bytes / 4);
}
