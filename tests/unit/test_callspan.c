#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/stream.h"
#include "net/logobjects.h"
#include "net/tempoquery.h"
#include "trace/callspan.h"
#include "trace/decode.h"
#include "trace/logpayload.h"

static struct arena mem;

static int
read_payload(const char *text, struct callspan *c, struct err *e)
{
	return logpayload_read(slice_str(text), &mem, c, e);
}

#define PAYLOAD "{\"id\":\"chatcmpl-1\",\"call_type\":\"acompletion\",\"model\":\"gpt-4o\",\"startTime\":1700000000.25," \
	"\"endTime\":1700000001.5,\"completionStartTime\":1700000000.75,\"custom_llm_provider\":\"openai\""

Test(logpayload, members)
{
	struct callspan c;
	struct err e = ERR_INIT;

	cr_assert_eq(read_payload(PAYLOAD ",\"response_cost\":0.5,\"prompt_tokens\":3,\"completion_tokens\":4,"
		"\"total_tokens\":7,\"status\":\"success\",\"error_str\":\"none of it\",\"cache_hit\":true,\"end_user\":\"\","
		"\"metadata\":{\"user_api_key_end_user_id\":\"ann\",\"x\":[1]},\"messages\":[{\"role\":\"user\"}]}", &c, &e), 1);
	cr_assert(slice_is(c.id, "chatcmpl-1") && slice_is(c.model, "gpt-4o") && slice_is(c.provider, "openai"));
	cr_assert_eq(c.start_us, 1700000000250000);
	cr_assert_eq(c.end_us, 1700000001500000);
	cr_assert_eq(c.first_us, 1700000000750000);
	cr_assert_eq(c.total_tokens, 7);
	cr_assert_float_eq(c.cost_usd, 0.5, 1e-12);
	cr_assert(!c.failed && c.cached);
	cr_assert(slice_is(c.user, "ann"));
	cr_assert(slice_is(c.messages, "[{\"role\":\"user\"}]"));
	arena_finish(&mem);
}

Test(logpayload, failures)
{
	struct callspan c;
	struct err e = ERR_INIT;

	cr_assert_eq(read_payload(PAYLOAD ",\"status\":\"failure\",\"error_information\":{\"error_class\":\"Timeout\","
		"\"error_code\":408,\"traceback\":\"\"},\"error_str\":\"too late\"}", &c, &e), 1);
	cr_assert(c.failed && slice_is(c.error_type, "Timeout") && slice_is(c.error_code, "408"));
	cr_assert(slice_is(c.error_message, "too late"));
	cr_assert(isnan(c.cost_usd));
	/* a version before "status" */
	cr_assert_eq(read_payload(PAYLOAD ",\"error_str\":\"boom\"}", &c, &e), 1);
	cr_assert(c.failed);
	arena_finish(&mem);
}

Test(logpayload, times_as_text_and_other_objects)
{
	struct callspan c;
	struct err e = ERR_INIT;

	cr_assert_eq(read_payload("{\"id\":\"a\",\"call_type\":\"completion\",\"startTime\":\"2024-05-01 10:00:00.5\"}", &c, &e), 1);
	cr_assert_eq(c.start_us, 1714557600500000);
	cr_assert_eq(read_payload("{\"id\":\"a\",\"action\":\"created\"}", &c, &e), 0);
	cr_assert_eq(read_payload("[]", &c, &e), -1);
	cr_assert_eq(e.code, ERR_INPUT);
	cr_assert_eq(read_payload(PAYLOAD, &c, &e), -1);
	cr_assert_eq(read_payload(PAYLOAD "} x", &c, &e), -1);
	arena_finish(&mem);
}

Test(callspan, what_holds_text)
{
	cr_assert(!callspan_holds_text(slice_str("{}")));
	cr_assert(!callspan_holds_text(slice_str(" [] ")));
	cr_assert(!callspan_holds_text(slice_str("null")));
	cr_assert(!callspan_holds_text(SLICE_NONE));
	cr_assert(!callspan_holds_text(slice_str("[{\"role\":\"user\",\"content\":\"redacted-by-litellm\"}]")));
	cr_assert(callspan_holds_text(slice_str("[{\"role\":\"user\",\"content\":\"x\"}]")));
}

Test(callspan, enrich)
{
	struct attr attrs[] = {
		{ .key = SLICE_LIT("gen_ai.operation.name"), .type = ATTR_STRING, .text = SLICE_LIT("chat") },
		{ .key = SLICE_LIT("gen_ai.cost.total_cost"), .type = ATTR_DOUBLE, .d = 0 },
		{ .key = SLICE_LIT("gen_ai.input.messages"), .type = ATTR_STRING, .text = SLICE_LIT("mine") },
		{ .key = SLICE_LIT("litellm.call_id"), .type = ATTR_STRING, .text = SLICE_LIT("c-1") },
		{ .key = SLICE_LIT("gen_ai.response.id"), .type = ATTR_STRING, .text = SLICE_LIT("r-1") },
	};
	struct span s = { .name = SLICE_LIT("litellm_request"), .attrs = { attrs, 5 } };
	struct slice ids[2];
	struct callspan c;
	struct err e = ERR_INIT;

	cr_assert_eq(callspan_ids_of(&s, ids), 2);
	cr_assert(slice_is(ids[0], "r-1") && slice_is(ids[1], "c-1"));
	callspan_init(&c);
	c.cost_usd = 0.25;
	c.model = slice_str("gpt-4o");
	c.provider = slice_str("openai");
	c.messages = slice_str("[\"theirs\"]");
	c.failed = true;
	c.error_type = slice_str("Timeout");
	cr_assert_eq(callspan_enrich(&c, &s, &mem, &e), 0);
	cr_assert_float_eq(attrs_find(s.attrs, "gen_ai.cost.total_cost")->d, 0.25, 1e-12);
	cr_assert(slice_is(attrs_find(s.attrs, "gen_ai.input.messages")->text, "mine"));
	cr_assert(slice_is(attrs_find(s.attrs, "litellm.provider.model")->text, "openai/gpt-4o"));
	cr_assert(slice_is(attrs_find(s.attrs, "error.type")->text, "Timeout"));
	cr_assert_eq(s.status, SPAN_ERROR);
	/* a bill of nothing does not wipe out an estimate */
	c.cost_usd = 0;
	cr_assert_eq(callspan_enrich(&c, &s, &mem, &e), 0);
	cr_assert_float_eq(attrs_find(s.attrs, "gen_ai.cost.total_cost")->d, 0.25, 1e-12);
	s.name = slice_str("raw_gen_ai_request");
	cr_assert_eq(callspan_ids_of(&s, ids), 0);
	arena_finish(&mem);
}

Test(callspan, one_id_one_trace_two_times_two_spans)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct callspan c;
	struct err e = ERR_INIT;

	callspan_init(&c);
	c.id = slice_str("r-1");
	c.start_us = 1000000;
	cr_assert_eq(callspan_line(&c, "s", &a, &e), 0);
	c.start_us = 2000000;
	cr_assert_eq(callspan_line(&c, "s", &b, &e), 0);
	cr_assert_eq(memcmp(strstr(a.p, "traceId"), strstr(b.p, "traceId"), 43), 0);
	cr_assert_neq(memcmp(strstr(a.p, "spanId"), strstr(b.p, "spanId"), 26), 0);
	buf_finish(&a);
	buf_finish(&b);
}

Test(logobjects, days)
{
	int64_t us;

	cr_assert(logobjects_day("2026-11-10/", &us));
	cr_assert_eq(us, 1794268800000000);
	cr_assert(logobjects_day("team/2026-11-10/", &us));
	cr_assert_not(logobjects_day("x2026-11-10/", &us));
	cr_assert_not(logobjects_day("2026-11-10", &us));
	cr_assert_not(logobjects_day("2026-13-10/", &us));
	cr_assert_not(logobjects_day("audit_logs/", &us));
	cr_assert_not(logobjects_day("/", &us));
}

Test(tempoquery, search_answer)
{
	static const char text[] = "{\"traces\":[{\"traceID\":\"2f3e\",\"startTimeUnixNano\":\"1684778327699392724\","
		"\"durationMs\":557,\"spanSets\":[{}]},{\"traceID\":\"not hex\"},7],\"metrics\":{\"completedJobs\":3,\"totalJobs\":4}}";
	struct temposearch s = { .v = NULL };
	struct err e = ERR_INIT;

	cr_assert_eq(temposearch_parse(text, sizeof text - 1, &s, &e), 0);
	cr_assert_eq(s.n, 1);
	cr_assert_eq(s.found, 2);
	cr_assert_eq(s.v[0].id[14] << 8 | s.v[0].id[15], 0x2f3e);
	cr_assert_eq(s.v[0].start_us, 1684778327699392);
	cr_assert_eq(s.v[0].end_us - s.v[0].start_us, 558000);
	cr_assert_eq(s.jobs_done, 3);
	cr_assert_eq(s.jobs, 4);
	cr_assert_eq(temposearch_parse("{}", 2, &s, &e), 0);
	cr_assert_eq(s.n, 0);
	cr_assert_eq(s.jobs, -1);
	cr_assert_eq(temposearch_parse("[", 1, &s, &e), -1);
	temposearch_finish(&s);
}

static int
take_ids(void *ctx, const struct span_batch *b, struct err *e)
{
	char *out = ctx;

	(void)e;
	for (size_t i = 0; i < b->n; i++) {
		memcpy(out, b->spans[i].trace_id.p, 32);
		memcpy(out + 32, b->spans[i].span_id.p, 16);
	}
	return 0;
}

/* Ids as bytes in base64: what a store writes that uses protocol buffers' own JSON. */
Test(tempoquery, base64_ids)
{
	static const char good[] = "{\"batches\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
		"\"AAECAwQFBgcICQoLDA0O/w==\",\"spanId\":\"AAECAwQF/+8=\"}]}]}]}";
	static const char bad[] = "{\"batches\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
		"\"AAECAwQFBgcICQoLDA0O/x==\",\"spanId\":\"AAECAwQF/+8=\"}]}]}]}";
	char ids[49] = "";
	const struct decode_opts o = { .on_batch = take_ids, .ctx = ids };
	struct err e = ERR_INIT;
	struct stream_in *in = stream_in_memory(good, sizeof good - 1, &e);

	cr_assert_eq(decode_stream(in, &o, NULL, &e), 0, "%s", e.msg);
	stream_in_close(in);
	cr_assert_str_eq(ids, "000102030405060708090a0b0c0d0eff000102030405ffef");
	in = stream_in_memory(bad, sizeof bad - 1, &e);
	cr_assert_eq(decode_stream(in, &o, NULL, &e), -1);
	stream_in_close(in);
}
