#define _GNU_SOURCE	/* memmem */
#include "trace/callspan.h"

#include <math.h>
#include <string.h>

#include "fmt/hash.h"
#include "trace/otlpwrite.h"

#define MAX_ATTRS 32
#define REDACTED "redacted-by-litellm"

/* Attributes of a span in the making; the texts of two of them are put together here. */
struct attributes {
	struct attr v[MAX_ATTRS];
	size_t n;
	struct buf model;
};

void
callspan_init(struct callspan *c)
{
	*c = (struct callspan){ .cost_usd = NAN, .input_tokens = CALLSPAN_NO_INT,
		.output_tokens = CALLSPAN_NO_INT, .total_tokens = CALLSPAN_NO_INT,
		.start_us = CALLSPAN_NO_INT, .end_us = CALLSPAN_NO_INT, .first_us = CALLSPAN_NO_INT };
}

bool
callspan_holds_text(struct slice s)
{
	s = slice_trim(s);
	if (s.n == 0 || slice_is(s, "{}") || slice_is(s, "[]") || slice_is(s, "null") ||
	    slice_is(s, "\"\""))
		return false;
	/* The words stand alone in it; a prompt that quotes them is longer. */
	return s.n > 160 || memmem(s.p, s.n, REDACTED, sizeof REDACTED - 1) == NULL;
}

static void
digest(struct slice id, int64_t start_us, uint8_t out[32])
{
	static const char domain[] = "llmr-call-1";
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, domain, sizeof domain);
	sha256_add(&h, &start_us, sizeof start_us);
	if (id.n > 0)
		sha256_add(&h, id.p, id.n);
	sha256_final(&h, out);
	out[0] |= 1;	/* an id of zeros is none */
}

void
callspan_id(struct slice id, uint8_t out[16])
{
	uint8_t d[32];

	digest(id, 0, d);
	memcpy(out, d, 16);
}

static void
put_text(struct attributes *a, const char *key, struct slice text)
{
	if (text.n > 0)
		a->v[a->n++] = (struct attr){ .key = slice_str(key), .type = ATTR_STRING, .text = text };
}

static void
put_int(struct attributes *a, const char *key, int64_t v)
{
	if (v != CALLSPAN_NO_INT && v >= 0)
		a->v[a->n++] = (struct attr){ .key = slice_str(key), .type = ATTR_INT, .i = v };
}

static void
put_double(struct attributes *a, const char *key, double v)
{
	if (isfinite(v) && v >= 0)
		a->v[a->n++] = (struct attr){ .key = slice_str(key), .type = ATTR_DOUBLE, .d = v };
}

/* "openai/gpt-4o": as LiteLLM's own spans name the model that answered. */
static void
put_model(struct attributes *a, const struct callspan *c)
{
	size_t k = c->provider.n;

	if (c->model.n == 0)
		return;
	if (k > 0 && !(c->model.n > k && memcmp(c->model.p, c->provider.p, k) == 0 &&
	    c->model.p[k] == '/')) {
		buf_add(&a->model, c->provider.p, k);
		buf_byte(&a->model, '/');
	}
	buf_add(&a->model, c->model.p, c->model.n);
	put_text(a, "litellm.provider.model", (struct slice){ a->model.p, a->model.len });
}

static void
put_prompt(struct attributes *a, const struct callspan *c)
{
	if (callspan_holds_text(c->messages)) {
		put_text(a, "gen_ai.input.messages", c->messages);
	} else if (callspan_holds_text(c->request)) {
		put_text(a, "input.value", c->request);
		put_text(a, "input.mime_type", SLICE_LIT("application/json"));
	}
}

static void
put_usage(struct attributes *a, const struct callspan *c)
{
	put_int(a, "gen_ai.usage.input_tokens", c->input_tokens);
	put_int(a, "gen_ai.usage.output_tokens", c->output_tokens);
	put_int(a, "gen_ai.usage.total_tokens", c->total_tokens);
}

static void
put_error(struct attributes *a, const struct callspan *c)
{
	if (!c->failed)
		return;
	put_text(a, "error.type", c->error_type.n > 0 ? c->error_type : SLICE_LIT("failure"));
	put_text(a, "error.code", c->error_code);
	put_text(a, "error.message", c->error_message);
}

static void
describe(struct attributes *a, const struct callspan *c)
{
	put_text(a, "gen_ai.operation.name", c->call_type);
	put_text(a, "gen_ai.response.id", c->id);
	put_text(a, "litellm.model_group", c->group);
	put_model(a, c);
	put_text(a, "gen_ai.provider.name", c->provider);
	put_prompt(a, c);
	if (callspan_holds_text(c->response))
		put_text(a, "output.value", c->response);
	put_usage(a, c);
	put_double(a, "gen_ai.cost.total_cost", c->cost_usd);
	if (c->first_us > c->start_us && c->start_us != CALLSPAN_NO_INT && c->first_us < c->end_us)
		put_double(a, "gen_ai.response.time_to_first_chunk", (double)(c->first_us - c->start_us) / 1e6);
	put_error(a, c);
	put_text(a, "litellm.spend_log.status", c->failed ? SLICE_LIT("failure") : SLICE_LIT("success"));
	if (c->cached)
		a->v[a->n++] = (struct attr){ .key = SLICE_LIT("litellm.cache_hit"), .type = ATTR_BOOL, .i = 1 };
	put_text(a, "llm.user", c->user);
	put_text(a, "session.id", c->session);
	put_text(a, "litellm.request_tags", c->tags);
}

static uint64_t
as_ns(int64_t us)
{
	return us > 0 && us < INT64_MAX / 1000 ? (uint64_t)us * 1000 : 0;
}

int
callspan_line(const struct callspan *c, const char *service, struct buf *out, struct err *e)
{
	const struct attr resource = { .key = SLICE_LIT("service.name"), .type = ATTR_STRING,
		.text = slice_str(service) };
	struct attributes a = { .n = 0 };
	struct span s = { .name = SLICE_LIT("litellm_request"), .kind = 3 };
	uint8_t trace_id[16], d[32];
	char trace[33], span[17];
	int r;

	callspan_id(c->id, trace_id);
	hex_format(trace_id, 16, trace);
	/* An answer from a cache has the id of the call that was cached: another span of that trace. */
	digest(c->id, c->start_us, d);
	hex_format(d, 8, span);
	describe(&a, c);
	s.trace_id = slice_str(trace);
	s.span_id = slice_str(span);
	s.start_ns = as_ns(c->start_us);
	s.end_ns = as_ns(c->end_us);
	s.status = c->failed ? SPAN_ERROR : SPAN_OK;
	s.attrs = (struct attrs){ a.v, a.n };
	s.resource = (struct attrs){ &resource, 1 };
	r = a.model.failed ? err_nomem(e) : otlpwrite_line(&s, 1, out, e);
	buf_finish(&a.model);
	return r;
}

size_t
callspan_ids_of(const struct span *s, struct slice ids[2])
{
	static const char *const keys[] = { "gen_ai.response.id", "litellm.call_id" };
	size_t n = 0;

	if (attrs_find(s->attrs, "gen_ai.operation.name") == NULL ||
	    slice_is(s->name, "raw_gen_ai_request"))
		return 0;
	for (size_t i = 0; i < 2; i++) {
		const struct attr *a = attrs_find(s->attrs, keys[i]);

		if (a != NULL && a->type == ATTR_STRING && a->text.n > 0 &&
		    (n == 0 || !slice_eq(ids[0], a->text)))
			ids[n++] = a->text;
	}
	return n;
}

static bool
has_prompt(const struct span *s)
{
	static const char *const keys[] = { "gen_ai.input.messages", "gen_ai.prompt", "input.value" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (attrs_find(s->attrs, keys[i]) != NULL)
			return true;
	}
	return false;
}

static bool
nonzero(const struct span *s, const char *key)
{
	const struct attr *a = attrs_find(s->attrs, key);

	return a != NULL && !(a->type == ATTR_INT && a->i == 0) && !(a->type == ATTR_DOUBLE && a->d == 0);
}

/* What the log adds to this span. */
static void
choose(struct attributes *a, const struct callspan *c, const struct span *s)
{
	/* A bill beats an estimate; a bill of nothing is most often an unknown price. */
	if (c->cost_usd > 0 || !nonzero(s, "gen_ai.cost.total_cost"))
		put_double(a, "gen_ai.cost.total_cost", c->cost_usd);
	if (!nonzero(s, "gen_ai.usage.input_tokens") && !nonzero(s, "gen_ai.usage.prompt_tokens"))
		put_usage(a, c);
	if (attrs_find(s->attrs, "litellm.provider.model") == NULL)
		put_model(a, c);
	if (attrs_find(s->attrs, "litellm.model_group") == NULL)
		put_text(a, "litellm.model_group", c->group);
	if (!has_prompt(s))
		put_prompt(a, c);
	if (attrs_find(s->attrs, "error.type") == NULL)
		put_error(a, c);
	put_text(a, "litellm.spend_log.status", c->failed ? SLICE_LIT("failure") : SLICE_LIT("success"));
}

int
callspan_enrich(const struct callspan *c, struct span *s, struct arena *mem, struct err *e)
{
	struct attributes a = { .n = 0 };
	struct attr *v;
	size_t n = 0;

	choose(&a, c, s);
	v = arena_alloc(mem, (s->attrs.n + a.n) * sizeof *v, e);
	if (v == NULL || a.model.failed) {
		buf_finish(&a.model);
		return err_nomem(e);
	}
	for (size_t i = 0; i < s->attrs.n; i++) {
		bool replaced = false;

		for (size_t k = 0; k < a.n && !replaced; k++)
			replaced = slice_eq(s->attrs.v[i].key, a.v[k].key);
		if (!replaced)
			v[n++] = s->attrs.v[i];
	}
	for (size_t k = 0; k < a.n; k++) {
		struct attr x = a.v[k];

		if (x.type == ATTR_STRING && (x.text.p = arena_dup(mem, x.text.p, x.text.n, e)) == NULL) {
			buf_finish(&a.model);
			return -1;
		}
		v[n++] = x;
	}
	buf_finish(&a.model);
	s->attrs = (struct attrs){ v, n };
	if (c->failed)
		s->status = SPAN_ERROR;
	return 0;
}
