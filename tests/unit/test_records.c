#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "trace/join.h"
#include "trace/records.h"

#define MAX 16

/* "key=text" of a string attribute; "key#5" an integer, "key~0.5" a double, "key{JSON" a structured value. */
static struct attr
attr(const char *s)
{
	size_t n = strcspn(s, "=#~{");
	struct attr a = { .key = { s, n }, .type = ATTR_STRING, .text = slice_str(s + n + 1) };

	if (s[n] == '#') {
		long long v;

		cr_assert(slice_int(a.text, &v));
		a.type = ATTR_INT;
		a.i = v;
	} else if (s[n] == '~') {
		cr_assert(slice_double(a.text, &a.d));
		a.type = ATTR_DOUBLE;
	} else if (s[n] == '{') {
		a.type = ATTR_JSON;
		a.text = slice_str(s + n);
	}
	return a;
}

struct made {
	struct attr attrs[MAX], event_attrs[MAX];
	struct span_event event;
	struct span span;
};

static struct span
make(struct made *m, const char *name, const char *id, const char *parent, enum span_status status,
	const char *const *attrs, const char *event, const char *const *event_attrs)
{
	size_t n = 0, k = 0;

	for (; attrs != NULL && attrs[n] != NULL; n++)
		m->attrs[n] = attr(attrs[n]);
	for (; event_attrs != NULL && event_attrs[k] != NULL; k++)
		m->event_attrs[k] = attr(event_attrs[k]);
	m->event = (struct span_event){ slice_str(event), 1700000000250000000u, { m->event_attrs, k } };
	m->span = (struct span){ .trace_id = SLICE_LIT("0000000000000000000000000000000a"),
		.span_id = slice_str(id), .parent_id = slice_str(parent != NULL ? parent : ""),
		.name = slice_str(name), .start_ns = 1700000000000000000u, .end_ns = 1700000001500000000u,
		.status = status, .attrs = { m->attrs, n }, .events = &m->event,
		.n_events = event != NULL };
	return m->span;
}

struct outcome {
	char text[4096];	/* lines */
	uint64_t n[RECORDS_N];
};

static void
run(const struct records_opts *given, const struct span *spans, size_t n, struct outcome *o)
{
	struct records_opts opts = *given;
	struct err e = ERR_INIT;
	struct attrmap *map = attrmap_open(NULL, &e);
	struct span_batch b = { .spans = spans, .n = n, .seen = n, .traces_seen = 1, .trace_whole = true };
	struct buf out = BUF_INIT;
	struct join_item it;
	struct records *r;
	const char *p;

	cr_assert_not_null(map, "%s", e.msg);
	opts.map = map;
	r = records_new(&opts, &e);
	cr_assert_not_null(r, "%s", e.msg);
	cr_assert_eq(records_batch(r, &b, &out, &e), 0, "%s", e.msg);
	o->text[0] = '\0';
	for (p = out.p; out.p != NULL && join_get(&p, out.p + out.len, &it);)
		snprintf(o->text + strlen(o->text), sizeof o->text - strlen(o->text), "%.*s",
			(int)it.line.n, it.line.p);
	memcpy(o->n, records_counts(r), sizeof o->n);
	buf_finish(&out);
	records_free(r);
	attrmap_free(map);
}

static const struct records_opts plain = { .pick = MESSAGE_LAST_USER };

#define L(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define USER(text) "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"" text "\"}]}]"

Test(records, one_span)
{
	static const struct {
		const char *name, *span;
		enum span_status status;
		const char *attrs[MAX];
		const char *event, *event_attrs[4];
		const char *want[6];		/* found in the line; none: no record */
		int counter;			/* that is 1 */
	} cases[] = {
		{ "litellm default", "litellm_request", SPAN_OK,
		  { "gen_ai.operation.name=acompletion", "gen_ai.input.messages=" USER("a"),
		    "gen_ai.request.model=claude-3-5", "gen_ai.response.model=claude", "litellm.call_id=x",
		    "litellm.model_group=claude", "litellm.provider.model=anthropic/claude-3-5",
		    "gen_ai.cost.total_cost~0.25", "gen_ai.usage.input_tokens#3", "gen_ai.usage.output_tokens#4" },
		  NULL, { NULL }, { "\"model_name\":\"anthropic/claude-3-5\"", "\"requested_model\":\"claude\"",
		    "\"cost\":0.25", "\"token_num\":7", "\"response_time\":1.5,", "\"status\":\"ok\"" }, RECORDS_MADE },
		{ "litellm without a provider model", "chat x", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=[{\"role\":\"user\",\"content\":\"a\"}]",
		    "gen_ai.request.model=alias", "gen_ai.response.model=alias", "litellm.call_id=x" },
		  NULL, { NULL }, { "\"model_name\":\"alias\"" }, RECORDS_ALIAS_ONLY },
		{ "old litellm: the request names the deployment", "litellm_request", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=" USER("a"), "gen_ai.request.model=deployed",
		    "gen_ai.response.model=alias", "litellm.call_id=x", "litellm.model_group=alias" },
		  NULL, { NULL }, { "\"model_name\":\"deployed\"", "\"requested_model\":\"alias\"" }, RECORDS_MADE },
		{ "a failed call", "litellm_request", SPAN_ERROR,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=" USER("a"), "litellm.provider.model=o/m",
		    "error.type=RateLimitError", "error.code=429", "gen_ai.usage.input_tokens#0", "litellm.cost.total~0" },
		  NULL, { NULL }, { "\"status\":\"error\",\"status_code\":429,\"error_type\":\"RateLimitError\"",
		    "\"response_time\":1.5,\"status\"" }, RECORDS_ERRORS },
		{ "refused: key", "litellm_request", SPAN_ERROR,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=" USER("a"), "litellm.provider.model=o/m",
		    "error.type=litellm.proxy._types.ProxyException" }, NULL, { NULL }, { NULL }, RECORDS_REJECTED },
		{ "refused: 401", "openai.chat", SPAN_ERROR,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=" USER("a"), "gen_ai.request.model=m",
		    "error.type=Other", "http.response.status_code#401" }, NULL, { NULL }, { NULL }, RECORDS_REJECTED },
		{ "refused: before it was a call", "fastapi.dependencies", SPAN_ERROR,
		  { "gen_ai.request.model=m", "error.type=ProxyException" }, NULL, { NULL }, { NULL }, RECORDS_REJECTED },
		{ "an embedding", "embeddings m", SPAN_OK,
		  { "gen_ai.operation.name=embeddings", "gen_ai.input.messages=" USER("a"), "litellm.provider.model=o/m" },
		  NULL, { NULL }, { NULL }, RECORDS_OTHER_OPERATION },
		{ "a repeated span", "raw_gen_ai_request", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.input.messages=" USER("a"), "litellm.provider.model=o/m" },
		  NULL, { NULL }, { NULL }, RECORDS_REPEATED },
		{ "no prompt", "chat m", SPAN_OK, { "gen_ai.operation.name=chat", "litellm.provider.model=o/m" },
		  NULL, { NULL }, { NULL }, RECORDS_NO_PROMPT },
		{ "no model", "chat m", SPAN_OK, { "gen_ai.operation.name=chat", "gen_ai.prompt=a" },
		  NULL, { NULL }, { NULL }, RECORDS_NO_MODEL },
		{ "an agent's span", "agent", SPAN_OK, { "openinference.span.kind=AGENT", "input.value=a", "llm.model_name=m" },
		  NULL, { NULL }, { NULL }, RECORDS_OTHER_OPERATION },
		{ "openinference", "ChatCompletion", SPAN_OK,
		  { "openinference.span.kind=LLM", "llm.model_name=m", "llm.input_messages.0.message.role=user",
		    "llm.input_messages.0.message.content=a", "llm.token_count.prompt#3", "llm.token_count.completion#4",
		    "llm.cost.total~0.5", "input.value={\"messages\":[]}", "input.mime_type=application/json" },
		  "First Token Stream Event", { NULL }, { "\"query\":\"a\"", "\"ttft\":0.25,", "\"token_num\":7", "\"cost\":0.5" },
		  RECORDS_MADE },
		{ "input.value as JSON", "x", SPAN_OK,
		  { "openinference.span.kind=LLM", "llm.model_name=m", "input.mime_type=application/json",
		    "input.value={\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}" },
		  NULL, { NULL }, { "\"query\":\"a\"" }, RECORDS_MADE },
		{ "input.value as text", "x", SPAN_OK,
		  { "openinference.span.kind=LLM", "llm.model_name=m", "input.mime_type=text/plain", "input.value=[\"a\"]" },
		  NULL, { NULL }, { "\"query\":\"[\\\"a\\\"]\"" }, RECORDS_MADE },
		{ "langfuse", "x", SPAN_OK,
		  { "langfuse.observation.type=generation", "langfuse.observation.model.name=m",
		    "langfuse.observation.input=[{\"role\":\"user\",\"content\":\"a\"}]",
		    "langfuse.observation.usage_details={\"input\":3,\"output\":4,\"total\":8}",
		    "langfuse.observation.cost_details={\"total\":0.125}" },
		  NULL, { NULL }, { "\"query\":\"a\"", "\"token_num\":8,\"input_tokens\":3,\"output_tokens\":4", "\"cost\":0.125" },
		  RECORDS_MADE },
		{ "traceloop", "x", SPAN_OK,
		  { "llm.request.type=chat", "gen_ai.response.model=m", "traceloop.entity.input={\"inputs\":{\"input\":\"a\"}}" },
		  NULL, { NULL }, { "\"query\":\"a\"" }, RECORDS_MADE },
		{ "an event holds the prompt; numbers are strings", "litellm.completion", SPAN_UNSET,
		  { "gen_ai.response.model=m", "gen_ai.request.model=n", "gen_ai.usage.prompt_tokens=3",
		    "gen_ai.usage.completion_tokens=4", "litellm.task=qa" },
		  "gen_ai.content.prompt", { "gen_ai.prompt=a" },
		  { "\"query\":\"a\",\"model_name\":\"m\"", "\"token_num\":7", "\"task_name\":\"qa\"", "\"requested_model\":\"n\"" },
		  RECORDS_MADE },
		{ "messages as a structured value", "chat m", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.response.model=m", "gen_ai.input.messages{\"arrayValue\":{\"values\":["
		    "{\"kvlistValue\":{\"values\":[{\"key\":\"role\",\"value\":{\"stringValue\":\"user\"}},"
		    "{\"key\":\"content\",\"value\":{\"stringValue\":\"a\"}}]}}]}}" },
		  NULL, { NULL }, { "\"query\":\"a\"" }, RECORDS_MADE },
		{ "system instructions beside", "chat m", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.response.model=m", "gen_ai.input.messages=" USER("a"),
		    "gen_ai.system_instructions=[{\"type\":\"text\",\"content\":\"abc\"}]" },
		  NULL, { NULL }, { "\"system_digest\":\"ba7816bf8f01cfea\"" }, RECORDS_MADE },
		{ "an evaluation on the span", "chat m", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.response.model=m", "gen_ai.prompt=a" },
		  "gen_ai.evaluation.result", { "gen_ai.evaluation.score.value~0.5", "gen_ai.evaluation.name=n" },
		  { "\"performance\":0.5", "\"metric\":\"n\"" }, RECORDS_MADE },
		/* Gateways write 0 where they know no price: no cost stands between time and status. */
		{ "a call of unknown price", "chat m", SPAN_OK,
		  { "gen_ai.operation.name=chat", "gen_ai.response.model=m", "gen_ai.prompt=a", "litellm.cost.total~0" },
		  NULL, { NULL }, { "\"response_time\":1.5,\"status\":\"ok\"" }, RECORDS_ZERO_COST },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct made m;
		struct outcome o;
		struct span s = make(&m, cases[i].span, "0000000000000001", NULL, cases[i].status, cases[i].attrs,
			cases[i].event, cases[i].event_attrs);

		run(&plain, &s, 1, &o);
		cr_expect_eq(o.n[cases[i].counter], 1, "%s: %s is %d", cases[i].name,
			records_count_name((enum records_count)cases[i].counter), (int)o.n[cases[i].counter]);
		cr_expect_eq(o.text[0] != '\0', cases[i].want[0] != NULL, "%s: %s", cases[i].name, o.text);
		for (size_t k = 0; k < 6 && cases[i].want[k] != NULL; k++)
			cr_expect_not_null(strstr(o.text, cases[i].want[k]), "%s: no %s in %s", cases[i].name,
				cases[i].want[k], o.text);
	}
}

Test(records, decisions_and_evaluations_of_a_trace)
{
	static const char payload[] = "routeiq.router_decision.payload={\"strategy_name\":\"knn\",\"selected_deployment\":\"b\","
		"\"candidate_deployments\":[{\"model_name\":\"a\"},\"b\",{\"x\":1},null],\"outcome\":{\"status\":\"success\"},"
		"\"input\":{\"requested_model\":\"auto\",\"user_id\":\"u1\"},\"propensity\":0.5}";
	struct made m[4];
	struct outcome o;
	struct span s[4] = {
		make(&m[0], "chat", "0000000000000001", "0000000000000009", SPAN_ERROR,
			L("gen_ai.operation.name=chat", "gen_ai.prompt=q", "gen_ai.response.model=a", "error.type=Timeout"), NULL, NULL),
		make(&m[1], "llm.routing.decision", "0000000000000003", "", SPAN_OK, L("router.decision_outcome=fallback"),
			"routeiq.router_decision.v1", L(payload)),
		make(&m[2], "chat", "0000000000000002", "0000000000000009", SPAN_OK,
			L("gen_ai.operation.name=chat", "gen_ai.prompt=q", "gen_ai.response.model=b"), NULL, NULL),
		make(&m[3], "judge", "0000000000000004", "0000000000000002", SPAN_OK, L("evaluation.score~0.75"), NULL, NULL),
	};
	const char *second;

	run(&plain, s, 4, &o);
	cr_expect_eq(o.n[RECORDS_MADE], 2);
	cr_expect_eq(o.n[RECORDS_DECISIONS], 1);
	cr_expect_eq(o.n[RECORDS_DECISIONS_JOINED], 1);
	cr_expect_eq(o.n[RECORDS_EVALUATIONS], 1);
	second = strchr(o.text, '\n') + 1;
	cr_expect_null(strstr(o.text, "0.75") < second && strstr(o.text, "0.75") != NULL ? o.text : NULL, "not the failed call's");
	cr_expect_not_null(strstr(second, "\"performance\":0.75"));
	cr_expect_not_null(strstr(second, "\"requested_model\":\"auto\",\"user\":\"u1\",\"strategy_name\":\"knn\","
		"\"candidates\":[\"a\",\"b\"],\"outcome_status\":\"fallback\",\"propensity\":0.5}"), "%s", second);
	cr_expect_null(strstr(o.text, "strategy_name") < second ? o.text : NULL, "one call has it");
}

Test(records, shards_part_traces)
{
	size_t seen = 0;

	for (uint64_t i = 0; i < 5; i++) {
		struct records_opts opts = { .pick = MESSAGE_LAST_USER, .shard = i, .shards = 5 };
		struct made m;
		struct outcome o;
		struct span s = make(&m, "chat", "0000000000000001", NULL, SPAN_OK,
			L("gen_ai.operation.name=chat", "gen_ai.prompt=q", "gen_ai.response.model=a"), NULL, NULL);

		run(&opts, &s, 1, &o);
		seen += o.n[RECORDS_MADE];
		cr_expect_eq(o.n[RECORDS_OTHER_SHARD] + o.n[RECORDS_MADE], 1);
	}
	cr_expect_eq(seen, 1);
}

Test(attrmap, builtin_and_a_file_before_it)
{
	char path[64];
	struct err e = ERR_INIT;
	struct attrmap *m;
	struct attr_chain c;
	struct slice rest;
	FILE *f;

	(void)snprintf(path, sizeof path, "/tmp/llmr-map-%ld", (long)getpid());
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs("fields:\n  model:\n    - {key: my.model, unless: my.flag}\n  prompt: [{key: my.turns.*, as: numbered}]\n"
		"rejected_errors: [QuotaError]\n", f);
	fclose(f);
	m = attrmap_open(path, &e);
	cr_assert_not_null(m, "%s", e.msg);
	c = attrmap_chain(m, AF_MODEL);
	cr_assert_gt(c.n, 4);
	cr_expect_str_eq(attrmap_key_name(m, c.v[0].key), "my.model");
	cr_expect_eq(c.v[0].unless, (int)attrmap_key(m, SLICE_LIT("my.flag")));
	cr_expect_str_eq(attrmap_key_name(m, c.v[1].key), "litellm.provider.model");
	cr_expect_eq(attrmap_prefix(m, SLICE_LIT("my.turns.3.role"), &rest), attrmap_chain(m, AF_PROMPT).v[0].key);
	cr_expect(slice_is(rest, "3.role"));
	cr_expect_eq(attrmap_prefix(m, SLICE_LIT("my.turns."), &rest), ATTRMAP_NO_KEY);
	cr_expect_eq(attrmap_key(m, SLICE_LIT("gen_ai.prompt.0.role")), ATTRMAP_NO_KEY);
	cr_expect_neq(attrmap_key(m, SLICE_LIT("gen_ai.prompt")), ATTRMAP_NO_KEY);
	for (size_t i = 0; i < attrmap_n_keys(m); i++) {
		const char *name = attrmap_key_name(m, i);

		if (strchr(name, '*') == NULL && attrmap_event(m, slice_str(name)) == ATTRMAP_NO_KEY)
			cr_expect_eq(attrmap_key(m, slice_str(name)), i, "key %s", name);
	}
	cr_expect(attrmap_is_rejected(m, SLICE_LIT("a.b.QuotaError"), -1));
	cr_expect(attrmap_is_rejected(m, SLICE_LIT("x.ProxyException"), -1));
	cr_expect(attrmap_is_rejected(m, SLICE_NONE, 403));
	cr_expect_not(attrmap_is_rejected(m, SLICE_LIT("RateLimitError"), 429));
	attrmap_free(m);
	unlink(path);
}
