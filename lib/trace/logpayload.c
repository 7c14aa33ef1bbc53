#include "trace/logpayload.h"

#include <math.h>

#include "fmt/jread.h"

struct reading {
	struct jread r;
	struct arena *mem;
	struct callspan *c;
	bool success_said;
	struct slice error_str;
};

/* Text, whatever type the value has; other types but numbers give none. */
static void
text(struct reading *g, struct slice *out)
{
	switch (jread_peek(&g->r)) {
	case JREAD_STRING:
		(void)jread_string(&g->r, g->mem, out);
		break;
	case JREAD_NUMBER:
		(void)jread_number(&g->r, out);
		break;
	default:
		(void)jread_skip(&g->r);
	}
}

/* A string as its text, everything else as JSON. */
static void
text_or_json(struct reading *g, struct slice *out)
{
	if (jread_peek(&g->r) == JREAD_STRING)
		(void)jread_string(&g->r, g->mem, out);
	else if (jread_peek(&g->r) == JREAD_NULL)
		(void)jread_null(&g->r);
	else
		(void)jread_skip_raw(&g->r, out);
}

static void
number(struct reading *g, double *out)
{
	struct slice s = SLICE_NONE;
	double v;

	text(g, &s);
	if (s.n > 0 && slice_double(slice_trim(s), &v))
		*out = v;
}

static void
count(struct reading *g, int64_t *out)
{
	double v = NAN;

	number(g, &v);
	if (v >= 0 && v < 9e15)
		*out = (int64_t)v;
}

/* Seconds since 1970, or RFC 3339. */
static void
moment(struct reading *g, int64_t *out)
{
	struct slice s = SLICE_NONE;
	char copy[48];
	double v;

	text(g, &s);
	s = slice_trim(s);
	if (s.n == 0)
		return;
	if (slice_double(s, &v)) {
		if (v > 0 && v < 9e12)
			*out = (int64_t)(v * 1e6 + 0.5);
		return;
	}
	if (s.n >= sizeof copy)
		return;
	for (size_t i = 0; i < s.n; i++)
		copy[i] = i == 10 && s.p[i] == ' ' ? 'T' : s.p[i];
	copy[s.n] = '\0';
	(void)str_time("time", copy, 0, out, NULL);
}

static void
truth(struct reading *g, bool *out)
{
	if (jread_peek(&g->r) == JREAD_TRUE || jread_peek(&g->r) == JREAD_FALSE)
		(void)jread_bool(&g->r, out);
	else
		(void)jread_skip(&g->r);
}

static void
error_information(struct reading *g)
{
	struct slice key;

	if (jread_peek(&g->r) != JREAD_OBJECT) {
		(void)jread_skip(&g->r);
		return;
	}
	(void)jread_object(&g->r);
	while (jread_member(&g->r, &key)) {
		if (slice_is(key, "error_class"))
			text(g, &g->c->error_type);
		else if (slice_is(key, "error_code"))
			text(g, &g->c->error_code);
		else if (slice_is(key, "error_message"))
			text(g, &g->c->error_message);
		else
			(void)jread_skip(&g->r);
	}
}

static void
metadata(struct reading *g)
{
	struct slice key, user = SLICE_NONE;

	if (jread_peek(&g->r) != JREAD_OBJECT) {
		(void)jread_skip(&g->r);
		return;
	}
	(void)jread_object(&g->r);
	while (jread_member(&g->r, &key)) {
		if (slice_is(key, "user_api_key_end_user_id"))
			text(g, &user);
		else
			(void)jread_skip(&g->r);
	}
	if (g->c->user.n == 0)
		g->c->user = user;
}

static bool
member_of_times(struct reading *g, struct slice key)
{
	struct callspan *c = g->c;

	if (slice_is(key, "startTime"))
		moment(g, &c->start_us);
	else if (slice_is(key, "endTime"))
		moment(g, &c->end_us);
	else if (slice_is(key, "completionStartTime"))
		moment(g, &c->first_us);
	else if (slice_is(key, "response_cost"))
		number(g, &c->cost_usd);
	else if (slice_is(key, "prompt_tokens"))
		count(g, &c->input_tokens);
	else if (slice_is(key, "completion_tokens"))
		count(g, &c->output_tokens);
	else if (slice_is(key, "total_tokens"))
		count(g, &c->total_tokens);
	else if (slice_is(key, "cache_hit"))
		truth(g, &c->cached);
	else
		return false;
	return true;
}

static void
member(struct reading *g, struct slice key)
{
	struct callspan *c = g->c;
	struct slice status = SLICE_NONE;

	if (slice_is(key, "id"))
		text(g, &c->id);
	else if (slice_is(key, "trace_id"))
		text(g, &c->session);
	else if (slice_is(key, "call_type"))
		text(g, &c->call_type);
	else if (slice_is(key, "model"))
		text(g, &c->model);
	else if (slice_is(key, "model_group"))
		text(g, &c->group);
	else if (slice_is(key, "custom_llm_provider"))
		text(g, &c->provider);
	else if (slice_is(key, "end_user"))
		text(g, &c->user);
	else if (slice_is(key, "messages"))
		text_or_json(g, &c->messages);
	else if (slice_is(key, "response"))
		text_or_json(g, &c->response);
	else if (slice_is(key, "request_tags"))
		text_or_json(g, &c->tags);
	else if (slice_is(key, "error_str"))
		text(g, &g->error_str);
	else if (slice_is(key, "error_information"))
		error_information(g);
	else if (slice_is(key, "metadata"))
		metadata(g);
	else if (slice_is(key, "status")) {
		text(g, &status);
		c->failed = slice_is(status, "failure");
		g->success_said = slice_is(status, "success");
	} else if (!member_of_times(g, key))
		(void)jread_skip(&g->r);
}

int
logpayload_read(struct slice json, struct arena *mem, struct callspan *out, struct err *e)
{
	struct reading g = { .mem = mem, .c = out };
	struct slice key;

	callspan_init(out);
	jread_init(&g.r, json.p != NULL ? json.p : "", json.n);
	if (jread_peek(&g.r) != JREAD_OBJECT)
		return err_set(e, ERR_INPUT, "not a JSON object");
	(void)jread_object(&g.r);
	while (jread_member(&g.r, &key))
		member(&g, key);
	if (jread_done(&g.r, e) < 0)
		return -1;
	if (out->id.n == 0 || out->start_us == CALLSPAN_NO_INT ||
	    (out->model.n == 0 && out->call_type.n == 0))
		return 0;
	/* Versions before "status" tell a failure by the error alone. */
	if (!g.success_said && g.error_str.n > 0)
		out->failed = true;
	if (out->error_message.n == 0)
		out->error_message = g.error_str;
	return 1;
}
