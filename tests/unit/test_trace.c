#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

/* What came out of a document. */
struct outcome {
	struct buf text;		/* OTLP JSON Lines of every batch */
	uint64_t spans, seen, batches, traces, line;
	unsigned bad;
	char first_bad[sizeof ((struct err *)0)->msg];
	struct err err;
	struct decode_stats stats;
	int rc;
};

static int
on_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct outcome *o = ctx;

	o->spans += b->n;
	o->seen += b->seen;
	o->traces += b->traces_seen;
	o->line = b->line;
	o->batches++;
	return otlpwrite_line(b->spans, b->n, &o->text, e);
}

static int
on_bad(void *ctx, const struct err *what, struct err *e)
{
	struct outcome *o = ctx;

	(void)e;
	if (o->bad++ == 0)
		(void)snprintf(o->first_bad, sizeof o->first_bad, "%s", what->msg);
	return 0;
}

static void
run(struct outcome *o, const void *p, size_t n, const struct decode_opts *extra)
{
	struct decode_opts opts = extra != NULL ? *extra : (struct decode_opts){ .threads = 1 };
	struct stream_in *in;

	*o = (struct outcome){ .text = BUF_INIT };
	in = stream_in_memory(p, n, &o->err);
	cr_assert_not_null(in);
	if (opts.on_work == NULL)
		opts.on_batch = on_batch;
	opts.on_bad = on_bad;
	opts.ctx = o;
	o->rc = decode_stream(in, &opts, &o->stats, &o->err);
	stream_in_close(in);
}

static void
run_text(struct outcome *o, const char *text)
{
	run(o, text, strlen(text), NULL);
}

#define ID "0123456789abcdef0123456789ABCDEF"
#define SPAN(id) "{\"traceID\":\"" ID "\",\"spanID\":\"" id "\",\"operationName\":\"op\"," \
	"\"references\":[],\"startTime\":5,\"duration\":2,\"tags\":[],\"logs\":[],\"processID\":\"p1\"}"
#define TRACE(id) "{\"traceID\":\"" ID "\",\"spans\":[" SPAN(id) "]," \
	"\"processes\":{\"p1\":{\"serviceName\":\"s\",\"tags\":[]}},\"warnings\":null}"

Test(trace, a_jaeger_span_is_read_whole)
{
	static const char doc[] =
		"{\"data\":[{\"processes\":{\"p1\":{\"serviceName\":\"gate\",\"tags\":["
		"{\"key\":\"host\",\"type\":\"string\",\"value\":\"h\"},"
		"{\"key\":\"service.name\",\"type\":\"string\",\"value\":\"other\"}]}},"
		"\"spans\":[{\"tags\":["
		"{\"key\":\"s\",\"type\":\"string\",\"value\":\"a\\n\\u00e9\\ud83d\\ude00\\ud800\"},"
		"{\"key\":\"i\",\"type\":\"int64\",\"value\":-7},{\"key\":\"j\",\"type\":\"int64\",\"value\":\"8\"},"
		"{\"type\":\"float64\",\"value\":2,\"key\":\"d\"},{\"key\":\"b\",\"type\":\"bool\",\"value\":true},"
		"{\"key\":\"raw\",\"type\":\"binary\",\"value\":\"AAE=\"},"
		"{\"key\":\"odd\",\"type\":\"binary\",\"value\":\"a\\\"b\"},"
		"{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"client\"},"
		"{\"key\":\"otel.status_code\",\"type\":\"string\",\"value\":\"ERROR\"},"
		"{\"key\":\"otel.status_description\",\"type\":\"string\",\"value\":\"no\"},"
		"{\"key\":\"error\",\"type\":\"bool\",\"value\":true},"
		"{\"key\":\"otel.scope.name\",\"type\":\"string\",\"value\":\"lib\"},"
		"{\"key\":\"otel.scope.version\",\"type\":\"string\",\"value\":\"1.2\"}],"
		"\"duration\":4,\"startTime\":1000,\"operationName\":\"chat\",\"spanID\":\"AB\",\"traceID\":\"C1\","
		"\"references\":[{\"refType\":\"FOLLOWS_FROM\",\"traceID\":\"c1\",\"spanID\":\"2\"},"
		"{\"refType\":\"CHILD_OF\",\"traceID\":\"c1\",\"spanID\":\"3\"},"
		"{\"refType\":\"CHILD_OF\",\"traceID\":\"99\",\"spanID\":\"4\"}],"
		"\"logs\":[{\"timestamp\":1002,\"fields\":[{\"key\":\"event\",\"type\":\"string\",\"value\":\"ev\"},"
		"{\"key\":\"x\",\"type\":\"int64\",\"value\":1}]}],\"processID\":\"p1\",\"warnings\":null}],"
		"\"traceID\":\"c1\"}]}";
	static const char want[] =
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
		"{\"stringValue\":\"gate\"}},{\"key\":\"host\",\"value\":{\"stringValue\":\"h\"}}]},"
		"\"scopeSpans\":[{\"scope\":{\"name\":\"lib\",\"version\":\"1.2\"},\"spans\":[{"
		"\"traceId\":\"000000000000000000000000000000c1\",\"spanId\":\"00000000000000ab\","
		"\"parentSpanId\":\"0000000000000003\",\"name\":\"chat\",\"kind\":3,"
		"\"startTimeUnixNano\":\"1000000\",\"endTimeUnixNano\":\"1004000\",\"attributes\":["
		"{\"key\":\"s\",\"value\":{\"stringValue\":\"a\\n\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\"}},"
		"{\"key\":\"i\",\"value\":{\"intValue\":\"-7\"}},{\"key\":\"j\",\"value\":{\"intValue\":\"8\"}},"
		"{\"key\":\"d\",\"value\":{\"doubleValue\":2}},{\"key\":\"b\",\"value\":{\"boolValue\":true}},"
		"{\"key\":\"raw\",\"value\":{\"bytesValue\":\"AAE=\"}},"
		"{\"key\":\"odd\",\"value\":{\"stringValue\":\"a\\\"b\"}}],"
		"\"events\":[{\"timeUnixNano\":\"1002000\",\"name\":\"ev\",\"attributes\":["
		"{\"key\":\"x\",\"value\":{\"intValue\":\"1\"}}]}],"
		"\"links\":[{\"traceId\":\"000000000000000000000000000000c1\",\"spanId\":\"0000000000000002\"},"
		"{\"traceId\":\"00000000000000000000000000000099\",\"spanId\":\"0000000000000004\"}],"
		"\"status\":{\"message\":\"no\",\"code\":2}}]}]}]}\n";
	struct outcome o;

	run_text(&o, doc);
	cr_expect_eq(o.rc, 0, "%s", o.err.msg);
	cr_expect_eq(o.bad, 0, "%s", o.first_bad);
	cr_expect_str_eq(buf_cstr(&o.text), want);
	buf_finish(&o.text);
}

Test(trace, what_is_written_reads_back_the_same)
{
	static const char line[] =
		"{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
		"{\"stringValue\":\"a\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"x\"},\"spans\":["
		"{\"traceId\":\"000000000000000000000000000000c1\",\"spanId\":\"00000000000000ab\","
		"\"name\":\"\",\"startTimeUnixNano\":\"18446744073709551615\",\"endTimeUnixNano\":\"0\","
		"\"attributes\":[{\"key\":\"nan\",\"value\":{\"doubleValue\":\"NaN\"}},"
		"{\"key\":\"inf\",\"value\":{\"doubleValue\":\"-Infinity\"}},"
		"{\"key\":\"none\",\"value\":{}},"
		"{\"key\":\"min\",\"value\":{\"intValue\":\"-9223372036854775808\"}},"
		"{\"key\":\"list\",\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"a b\"},{}]}}},"
		"{\"key\":\"map\",\"value\":{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":"
		"{\"intValue\":\"1\"}}]}}}],\"status\":{}}]},{\"scope\":{},\"spans\":["
		"{\"traceId\":\"000000000000000000000000000000c1\",\"spanId\":\"00000000000000ac\","
		"\"name\":\"n\",\"kind\":2,\"startTimeUnixNano\":\"1\",\"endTimeUnixNano\":\"2\","
		"\"events\":[{\"timeUnixNano\":\"3\",\"name\":\"e\"}],"
		"\"links\":[{\"traceId\":\"000000000000000000000000000000c2\",\"spanId\":\"00000000000000ad\","
		"\"attributes\":[{\"key\":\"l\",\"value\":{\"boolValue\":false}}]}],"
		"\"status\":{\"message\":\"m\",\"code\":1}}]}]}]}\n";
	struct outcome o;

	run_text(&o, line);
	cr_expect_eq(o.rc, 0, "%s", o.err.msg);
	cr_expect_str_eq(buf_cstr(&o.text), line);
	cr_expect_eq(o.stats.format, TRACE_OTLP_JSON);
	buf_finish(&o.text);
}

Test(trace, documents_of_every_shape)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t spans;
		unsigned bad;
		const char *says;	/* in the error, or in the first bad */
	} cases[] = {
		{ "{\"data\":[" TRACE("1") "," TRACE("2") "],\"total\":0,\"errors\":null}", 0, 2, 0, "" },
		{ "\xef\xbb\xbf  {\"total\":0,\"data\":[ " TRACE("1") " , " TRACE("2") " ] }\n\n", 0, 2, 0, "" },
		{ "{\"data\":[]}", 0, 0, 0, "" },
		{ "{\"data\":[{}]}", 0, 0, 0, "" },
		{ "{\"data\":null,\"errors\":[{\"code\":400,\"msg\":\"service is required\"}]}", 0, 0, 1,
			"service is required" },
		{ "{\"errors\":[{\"msg\":\"trace not found\",\"traceID\":\"7\"}],\"data\":[" TRACE("1") "]}", 0, 1, 1,
			"trace not found, trace 7" },
		{ "{\"error\":{\"httpCode\":404,\"message\":\"No traces found\"}}", 0, 0, 1, "No traces found" },
		{ TRACE("1"), 0, 1, 0, "" },
		{ "[" TRACE("1") "," TRACE("2") "]", 0, 2, 0, "" },
		{ TRACE("1") "\n" TRACE("2") "\n" TRACE("3"), 0, 3, 0, "" },
		{ TRACE("1") "\n{\"traceID\":\"12\",\"spans\":[}\n" TRACE("3"), 0, 2, 1, "line 2 " },
		{ TRACE("1") "\n{\"traceID\":\"12\",\"spans\":[\n" TRACE("3"), 0, 2, 1, "line 2 " },
		{ "{\"traceID\":\"12\",\"sp\n" TRACE("2") "\nnonsense\n" TRACE("3") "\n", 0, 2, 2, "line 1 " },
		{ TRACE("1") "\n{\"traceID\":\"1", 0, 1, 1, "line 2: the input ends early" },
		{ "{\"resourceSpans\":[]}", 0, 0, 0, "" },
		{ "{\"resourceSpans\":null}", 0, 0, 0, "" },
		{ "{}", 0, 0, 0, "" },
		{ "{\"result\":{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"spanId\":\"1\"}]}]}]}}", 0, 1, 0,
			"" },
		{ "{\"batches\":[{\"scope_spans\":[{\"spans\":[{\"span_id\":\"1\"}]}]}]}", 0, 1, 0, "" },
		{ "{\"resource\":{},\"scopeSpans\":[{\"spans\":[{\"spanId\":\"1\"}]}]}", 0, 1, 0, "" },
		{ "{\"data\":[{\"spans\":[{\"spanID\":\"xyz\"}]}," TRACE("2") "]}", 0, 1, 1, "'xyz' is not an id" },
		{ "{\"data\":[{\"spans\":[{\"spanID\":tru}]}," TRACE("2") "]}", 0, 1, 1, "not a JSON value" },
		{ "{\"data\":[{\"spans\":[{\"tags\":[{\"key\":\"a\"} {}]}]}," TRACE("2") "]}", 0, 1, 1, "malformed" },
		{ "{\"data\":[{\"x\":\"a\tb\"}," TRACE("2") "]}", 0, 1, 1, "control byte in a string at byte 16" },
		{ "{\"data\":[{\"x\":\"\xff\"}," TRACE("2") "]}", 0, 1, 1, "invalid UTF-8 at byte 15" },
		{ "[{\"a\":[]}]", 0, 0, 1, "neither a Jaeger trace nor" },
		{ "", -1, 0, 0, "empty" },
		{ " \n ", -1, 0, 0, "empty" },
		{ "<!DOCTYPE html>", -1, 0, 0, "HTML" },
		{ "hello", -1, 0, 0, "not a trace document" },
		{ "{\"foo\":1}", -1, 0, 0, "not a trace document" },
		{ "{\"data\":[" TRACE("1"), -1, 1, 0, "ends early" },
		{ "{\"data\":[" TRACE("1") "," "{\"spans\":[{", -1, 1, 0, "inside the trace that begins at byte 2" },
		{ "{\"data\":[" TRACE("1") "}", -1, 1, 0, "closed by another kind" },
		{ "{\"data\":[" TRACE("1") " " TRACE("2") "]}", -1, 1, 0, "comma" },
		{ "{\"data\":[" TRACE("1") ",,]}", -1, 1, 0, "malformed outside" },
		{ "{\"data\":[" TRACE("1") "]}]", -1, 1, 0, "closing bracket too many" },
		{ "{\"data\":[" TRACE("1") "]} x", -1, 1, 0, "more text behind" },
		{ "{\"data\":[" TRACE("1") "],\"data\":[" TRACE("2") "]}", -1, 1, 0, "two lists" },
		{ "{\"data\":[" TRACE("1") "],\"a\":nul}", -1, 1, 0, "malformed outside" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outcome o;

		run_text(&o, cases[i].text);
		cr_expect_eq(o.rc, cases[i].rc, "case %zu %.60s: %s", i, cases[i].text, o.err.msg);
		cr_expect_eq(o.spans, cases[i].spans, "case %zu %.60s: %d spans", i, cases[i].text, (int)o.spans);
		cr_expect_eq(o.bad, cases[i].bad, "case %zu %.60s: %s", i, cases[i].text, o.first_bad);
		cr_expect(strstr(o.rc < 0 ? o.err.msg : o.first_bad, cases[i].says) != NULL, "case %zu: '%s' '%s'",
			i, o.err.msg, o.first_bad);
		if (o.rc < 0)
			cr_expect_eq(o.err.code, ERR_INPUT, "case %zu", i);
		cr_expect_eq(o.stats.bad, o.bad);
		buf_finish(&o.text);
	}
}

Test(trace, indented_json_is_the_same)
{
	static const char compact[] = "{\"data\":[" TRACE("1") "," TRACE("2") "]}";
	struct outcome a, b;
	struct buf wide = BUF_INIT;
	bool in = false;

	for (const char *p = compact; *p != '\0'; p++) {
		in ^= *p == '"';
		buf_byte(&wide, *p);
		if (!in && strchr("{}[],:", *p) != NULL)
			buf_str(&wide, "\n\t  ");
	}
	run_text(&a, compact);
	run(&b, wide.p, wide.len, NULL);
	cr_expect_eq(b.rc, 0, "%s", b.err.msg);
	cr_expect_eq(b.bad, 0, "%s", b.first_bad);
	cr_expect_str_eq(buf_cstr(&a.text), buf_cstr(&b.text));
	buf_finish(&a.text);
	buf_finish(&b.text);
	buf_finish(&wide);
}

static const char *const keys[] = { "gen_ai.*", "plain" };
static const char *const markers[] = { "gen_ai.*", "exact", "ev*", "a/b", "caf\xc3\xa9*" };
static const struct span_want filter = { keys, 2, markers, 5 };

Test(trace, only_wanted_spans_and_keys_are_delivered)
{
#define TAG(k) "{\"key\":\"" k "\",\"type\":\"string\",\"value\":\"v\"}"
#define ONE(tags, logs) "{\"data\":[{\"spans\":[{\"spanID\":\"1\",\"tags\":[" tags "],\"logs\":[" logs "]}]}]}"
#define LOG(name) "{\"timestamp\":1,\"fields\":[{\"key\":\"event\",\"type\":\"string\",\"value\":\"" name "\"}]}"
	static const struct { const char *doc; int spans, attrs; } cases[] = {
		{ ONE(TAG("gen_ai.x"), ""), 1, 1 },
		{ ONE(TAG("gen_ai.x") "," TAG("other") "," TAG("plain"), ""), 1, 2 },
		{ ONE(TAG("exact"), ""), 1, 0 },
		{ ONE(TAG("exactly"), ""), 0, 0 },
		{ ONE(TAG("plain"), ""), 0, 0 },
		{ ONE(TAG("g\\u0065n_ai.x"), ""), 1, 1 },
		{ ONE(TAG("\\u0067en_ai.x"), ""), 1, 1 },
		{ ONE(TAG("a/b"), ""), 1, 0 },
		{ ONE(TAG("a\\/b"), ""), 1, 0 },
		{ ONE(TAG("a/c"), ""), 0, 0 },
		{ ONE(TAG("caf\\u00e9s"), ""), 1, 0 },
		{ ONE(TAG("caf\xc3\xa9s"), ""), 1, 0 },
		{ ONE(TAG("x") "," "{\"key\":\"y\",\"value\":\"gen_ai.z\"}", ""), 0, 0 },
		{ ONE(TAG("x") "," "{\"key\":\"y\",\"value\":\"\\\"gen_ai.z\"}", ""), 0, 0 },
		{ ONE("{ \"value\" : \"v\", \"type\":\"string\", \"key\" : \"gen_ai.x\" }", ""), 1, 1 },
		{ ONE("{\"key\":\"other\",\"value\":1,\"key\":\"gen_ai.x\"}", ""), 0, 0 },
		{ ONE("", LOG("evaluated")), 1, 0 },
		{ ONE("", LOG("other")), 0, 0 },
		{ ONE("", ""), 0, 0 },
		{ ONE("\"gen_ai.x\"", ""), -1, 0 },
	};
	struct decode_opts opts = { .want = &filter };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outcome o;
		int attrs = 0;

		run(&o, cases[i].doc, strlen(cases[i].doc), &opts);
		cr_expect_eq(o.rc, 0, "case %zu: %s", i, o.err.msg);
		if (cases[i].spans < 0) {
			cr_expect_eq(o.bad, 1, "case %zu", i);
			buf_finish(&o.text);
			continue;
		}
		cr_expect_eq(o.seen, 1, "case %zu: seen all the same", i);
		cr_expect_eq((int)o.spans, cases[i].spans, "case %zu: %s", i, cases[i].doc);
		for (const char *p = buf_cstr(&o.text); (p = strstr(p, "\"stringValue\"")) != NULL; p++)
			attrs++;
		cr_expect_eq(attrs, cases[i].attrs, "case %zu: %s", i, buf_cstr(&o.text));
		buf_finish(&o.text);
	}
}

/* A document of many traces of all sizes, so that reads end everywhere in it. */
static void
big_document(struct buf *b, unsigned traces, uint64_t seed, bool otlp)
{
	struct rng r;

	rng_seed(&r, seed);
	buf_str(b, otlp ? "{\"resourceSpans\":[" : "{\"data\":[");
	for (unsigned t = 0; t < traces; t++) {
		unsigned spans = (unsigned)rng_below(&r, 5);

		buf_str(b, t > 0 ? "," : "");
		buf_str(b, otlp ? "{\"scopeSpans\":[{\"spans\":[" : "{\"spans\":[");
		for (unsigned s = 0; s < spans; s++) {
			uint64_t pad = rng_below(&r, rng_below(&r, 50) == 0 ? 300000 : 2000);
			bool wanted = rng_below(&r, 4) == 0;

			buf_printf(b, "%s{\"%s\":\"%x\",\"%s\":[{\"key\":\"pad\",\"value\":", s > 0 ? "," : "",
				otlp ? "spanId" : "spanID", t * 8 + s + 1, otlp ? "attributes" : "tags");
			buf_str(b, otlp ? "{\"stringValue\":\"" : "\"");
			for (uint64_t k = 0; k < pad; k++)
				buf_str(b, k % 97 == 0 ? "\\\\" : k % 89 == 0 ? "\\\"" : k % 7 == 0 ? "}" : "\xc3\xa9");
			buf_str(b, otlp ? "\"}}" : "\"}");
			if (wanted)
				buf_printf(b, ",{\"key\":\"gen_ai.n\",\"value\":%s%u%s}", otlp ? "{\"intValue\":" : "",
					t, otlp ? "}" : "");
			buf_str(b, "]}");
		}
		buf_str(b, otlp ? "]}]}" : "]}");
	}
	buf_str(b, "]}");
}

static int
on_work(void *ctx, unsigned worker, const struct span_batch *b, struct buf *out, struct err *e)
{
	(void)ctx;
	(void)worker;
	return otlpwrite_line(b->spans, b->n, out, e);
}

static int
on_output(void *ctx, struct buf *out, struct err *e)
{
	struct outcome *o = ctx;

	(void)e;
	buf_add(&o->text, out->p, out->len);
	return 0;
}

Test(trace, pieces_and_threads_do_not_show_in_the_outcome)
{
	for (unsigned otlp = 0; otlp < 2; otlp++) {
		struct buf doc = BUF_INIT;
		struct outcome all, some, parallel;
		struct decode_opts opts = { .want = &filter };

		big_document(&doc, 400, 9 + otlp, otlp != 0);
		run(&all, doc.p, doc.len, NULL);
		cr_expect_eq(all.rc, 0, "%s", all.err.msg);
		cr_expect_eq(all.bad, 0, "%s", all.first_bad);
		cr_expect_eq(all.stats.bytes, doc.len);
		run(&some, doc.p, doc.len, &opts);
		cr_expect_eq(some.seen, all.seen);
		cr_expect_gt(some.spans, 50);
		for (unsigned threads = 1; threads <= 5; threads += 2) {
			opts = (struct decode_opts){ .want = &filter, .threads = threads, .on_work = on_work,
				.on_output = on_output };
			run(&parallel, doc.p, doc.len, &opts);
			cr_expect_eq(parallel.rc, 0, "%s", parallel.err.msg);
			cr_expect_eq(parallel.stats.spans, all.seen);
			cr_expect(parallel.text.len == some.text.len &&
				memcmp(parallel.text.p, some.text.p, some.text.len) == 0, "%u threads", threads);
			buf_finish(&parallel.text);
		}
		/* Every span comes once, in order, and the wanted ones are those with the key. */
		{
			uint64_t last = 0, n = 0, marked = 0;

			for (const char *p = buf_cstr(&all.text); (p = strstr(p, "\"spanId\":\"")) != NULL; n++) {
				uint64_t id = strtoull(p + 10, NULL, 16);
				const char *next = strstr(p + 10, "\"spanId\":\""), *key = strstr(p, "gen_ai.n");

				cr_assert_gt(id, last);
				last = id;
				marked += key != NULL && (next == NULL || key < next);
				p += 10;
			}
			cr_expect_eq(n, all.seen);
			cr_expect_eq(marked, some.spans);
		}
		buf_finish(&doc);
		buf_finish(&all.text);
		buf_finish(&some.text);
	}
}

Test(trace, a_piece_too_large_is_left_out_and_named)
{
	struct buf doc = BUF_INIT;
	struct decode_opts opts = { .max_piece_bytes = (size_t)1 << 20 };
	struct outcome o;

	buf_str(&doc, "{\"data\":[" TRACE("1") ",{\"spans\":[{\"operationName\":\"");
	for (unsigned i = 0; i < 3 << 20; i++)
		buf_byte(&doc, 'x');
	buf_str(&doc, "\"}]}," TRACE("2") "],\"errors\":[]}");
	run(&o, doc.p, doc.len, &opts);
	cr_expect_eq(o.rc, 0, "%s", o.err.msg);
	cr_expect_eq(o.spans, 2);
	cr_expect_eq(o.bad, 1);
	cr_expect(strstr(o.first_bad, "larger than 1 MiB: raise --max-trace-bytes") != NULL, "%s", o.first_bad);
	buf_finish(&o.text);
	opts.max_piece_bytes = 0;
	run(&o, doc.p, doc.len, &opts);
	cr_expect_eq(o.spans, 3);
	cr_expect_eq(o.bad, 0);
	buf_finish(&o.text);
	buf_finish(&doc);
}

Test(trace, nesting_has_a_limit)
{
	struct buf doc = BUF_INIT;
	struct outcome o;

	buf_str(&doc, "{\"data\":[{\"x\":");
	for (int i = 0; i < 600; i++)
		buf_byte(&doc, '[');
	run(&o, doc.p, doc.len, NULL);
	cr_expect_eq(o.rc, -1);
	cr_expect(strstr(o.err.msg, "deeper than 512") != NULL, "%s", o.err.msg);
	buf_finish(&o.text);
	buf_finish(&doc);
}

Test(trace, every_prefix_of_a_document_gives_spans_or_one_error)
{
	static const char doc[] = "{\"data\":[" TRACE("1") "," TRACE("2") "],\"errors\":null}";

	for (size_t n = 0; n < sizeof doc - 1; n++) {
		struct outcome o;

		run(&o, doc, n, NULL);
		cr_expect_eq(o.rc, -1, "%zu bytes", n);
		cr_expect_eq(o.err.code, ERR_INPUT, "%zu bytes", n);
		buf_finish(&o.text);
	}
}

static int
stop(void *ctx, const struct span_batch *b, struct err *e)
{
	(void)ctx;
	(void)b;
	return err_set(e, ERR_IO, "enough");
}

static int
stop_work(void *ctx, unsigned worker, const struct span_batch *b, struct buf *out, struct err *e)
{
	(void)worker;
	(void)out;
	return stop(ctx, b, e);
}

Test(trace, a_callback_may_end_the_run)
{
	struct buf doc = BUF_INIT;
	struct err e = ERR_INIT;
	struct cancel cancel = { 1 };

	big_document(&doc, 100, 4, false);
	for (unsigned threads = 0; threads < 4; threads++) {
		struct decode_opts opts = { .threads = threads, .on_batch = stop };
		struct stream_in *in = stream_in_memory(doc.p, doc.len, &e);

		if (threads > 0) {
			opts.on_work = stop_work;
			opts.on_output = on_output;
		}
		cr_expect_eq(decode_stream(in, &opts, NULL, &e), -1);
		cr_expect_eq(e.code, ERR_IO);
		cr_expect_str_eq(e.msg, "enough");
		stream_in_close(in);
		in = stream_in_memory(doc.p, doc.len, &e);
		opts.cancel = &cancel;
		cr_expect_eq(decode_stream(in, &opts, NULL, &e), -1);
		cr_expect_eq(e.code, ERR_INTR);
		stream_in_close(in);
	}
	buf_finish(&doc);
}

/* ---- the files in LLMR_SHARED ---------------------------------------------- */

static bool
fixture(const char *name, const char *suffix, struct outcome *o, const struct decode_opts *opts)
{
	const char *root = getenv("LLMR_SHARED");
	struct buf all = BUF_INIT;
	struct err e = ERR_INIT;
	struct stream_in *in;
	char path[512];
	char block[4096];
	size_t got;

	(void)snprintf(path, sizeof path, "%s/fixtures/traces/%s%s", root != NULL ? root : "../shared", name,
		suffix);
	if ((in = stream_in_open(path, &e)) == NULL)
		return false;
	while (stream_in_read(in, block, sizeof block, &got, &e) == 0 && got > 0)
		buf_add(&all, block, got);
	stream_in_close(in);
	run(o, all.p, all.len, opts);
	buf_finish(&all);
	return true;
}

/* Spans as lines of text that two formats must agree on, sorted. */
struct canon {
	char **v;
	size_t n, cap;
};

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
canon_add(struct canon *c, struct buf *b)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->v = realloc(c->v, c->cap * sizeof *c->v);
	}
	c->v[c->n++] = buf_take(b, NULL);
}

static void
canon_finish(struct canon *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i]);
	free(c->v);
}

/* A list of strings as Jaeger writes it, ["a","b"], out of OTLP's arrayValue. */
static void
put_list(struct buf *b, struct slice json)
{
	static const char item[] = "{\"stringValue\":";
	const char *p = memchr(json.p, '[', json.n), *end = json.p + json.n - 2;

	while (p != NULL && p < end)
		if ((size_t)(end - p) > sizeof item && memcmp(p, item, sizeof item - 1) == 0)
			p += sizeof item - 1;
		else if (*p == '}')
			p++;
		else
			buf_byte(b, *p++);
}

static void
put_attrs(struct buf *b, struct attrs attrs)
{
	struct canon c = { 0 };

	for (size_t i = 0; i < attrs.n; i++) {
		const struct attr *a = &attrs.v[i];
		struct buf one = BUF_INIT;

		buf_printf(&one, " %.*s=", (int)a->key.n, a->key.p);
		if (a->type == ATTR_JSON)
			put_list(&one, a->text);
		else if (a->type == ATTR_STRING)
			buf_add(&one, a->text.p, a->text.n);
		else if (a->type == ATTR_DOUBLE)
			buf_printf(&one, "double %.17g", a->d);
		else
			buf_printf(&one, "%s %lld", a->type == ATTR_INT ? "int" : "bool", (long long)a->i);
		canon_add(&c, &one);
	}
	if (c.n > 0)
		qsort(c.v, c.n, sizeof *c.v, by_text);
	for (size_t i = 0; i < c.n; i++)
		buf_str(b, c.v[i]);
	canon_finish(&c);
}

static int
to_canon(void *ctx, const struct span_batch *batch, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < batch->n; i++) {
		const struct span *s = &batch->spans[i];
		struct buf b = BUF_INIT;

		buf_printf(&b, "%.*s %.*s parent %.*s name %.*s kind %d at %llu status %d '%.*s' scope %.*s %.*s",
			(int)s->trace_id.n, s->trace_id.p, (int)s->span_id.n, s->span_id.p, (int)s->parent_id.n,
			s->parent_id.p, (int)s->name.n, s->name.p, s->kind,
			(unsigned long long)s->start_ns / 1000, (int)s->status, (int)s->status_message.n,
			s->status_message.p, (int)s->scope_name.n, s->scope_name.p, (int)s->scope_version.n,
			s->scope_version.p);
		put_attrs(&b, s->attrs);
		buf_str(&b, " RESOURCE");
		put_attrs(&b, s->resource);
		for (size_t k = 0; k < s->n_events; k++) {
			buf_printf(&b, " EVENT %.*s %llu", (int)s->events[k].name.n, s->events[k].name.p,
				(unsigned long long)s->events[k].time_ns / 1000);
			put_attrs(&b, s->events[k].attrs);
		}
		buf_printf(&b, " LINKS %zu", s->n_links);
		canon_add(ctx, &b);
	}
	return 0;
}

static bool
canon_of(const char *name, const char *suffix, struct canon *c)
{
	const char *root = getenv("LLMR_SHARED");
	struct decode_opts opts = { .on_batch = to_canon, .ctx = c };
	struct err e = ERR_INIT;
	struct stream_in *in;
	char path[512];
	int rc;

	*c = (struct canon){ 0 };
	(void)snprintf(path, sizeof path, "%s/fixtures/traces/%s%s", root != NULL ? root : "../shared", name,
		suffix);
	if ((in = stream_in_open(path, &e)) == NULL)
		return false;
	rc = decode_stream(in, &opts, NULL, &e);
	cr_expect_eq(rc, 0, "%s: %s", path, e.msg);
	stream_in_close(in);
	if (c->n > 0)
		qsort(c->v, c->n, sizeof *c->v, by_text);
	return true;
}

Test(trace, jaegers_two_answers_hold_the_same_spans)
{
	static const struct { const char *name, *gz; } pairs[] = {
		{ "litellm-default", ".gz" }, { "litellm-semconv", "" }, { "litellm-v2", "" },
		{ "litellm-v2-content", "" }, { "routeiq-router-decision", "" }, { "openinference-litellm", "" },
		{ "openinference-openai", "" }, { "openllmetry-openai", "" }, { "seed-legacy-names", "" },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct canon a, b;
		char suffix[32];
		unsigned differ = 0;

		(void)snprintf(suffix, sizeof suffix, ".jaeger.json%s", pairs[i].gz);
		if (!canon_of(pairs[i].name, suffix, &a)) {
			cr_skip_test("LLMR_SHARED is not here");
			return;
		}
		(void)snprintf(suffix, sizeof suffix, ".otlp-v3.json%s", pairs[i].gz);
		cr_assert(canon_of(pairs[i].name, suffix, &b));
		cr_expect_eq(a.n, b.n, "%s", pairs[i].name);
		for (size_t k = 0; k < a.n && k < b.n; k++)
			if (strcmp(a.v[k], b.v[k]) != 0 && differ++ == 0)
				cr_log_warn("%s:\n%.600s\n%.600s", pairs[i].name, a.v[k], b.v[k]);
		cr_expect_eq(differ, 0, "%s: %u of %zu spans differ", pairs[i].name, differ, a.n);
		canon_finish(&a);
		canon_finish(&b);
	}
}

Test(trace, fixtures_hold_what_their_page_says)
{
	static const struct { const char *name, *suffix; enum trace_format format; uint64_t spans; } cases[] = {
		{ "litellm-default", ".jaeger.json.gz", TRACE_JAEGER, 2490 },
		{ "litellm-default", ".otlp-v3.json.gz", TRACE_OTLP_V3, 2490 },
		{ "litellm-semconv", ".jaeger.json", TRACE_JAEGER, 485 },
		{ "litellm-v2", ".jaeger.json", TRACE_JAEGER, 313 },
		{ "litellm-v2-content", ".jaeger.json", TRACE_JAEGER, 251 },
		{ "routeiq-router-decision", ".jaeger.json", TRACE_JAEGER, 100 },
		{ "openinference-openai", ".otlp-v3.json", TRACE_OTLP_V3, 10 },
		{ "seed-legacy-names", ".jaeger.json", TRACE_JAEGER, 24 },
		{ "otlp-file-exporter", ".jsonl.gz", TRACE_OTLP_JSONL, 2590 },
		{ "otlp-http-request", ".routeiq.pb", TRACE_OTLP_PROTOBUF, 100 },
		{ "otlp-http-request", ".small.pb", TRACE_OTLP_PROTOBUF, 29 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outcome o;

		if (!fixture(cases[i].name, cases[i].suffix, &o, NULL)) {
			cr_skip_test("LLMR_SHARED is not here");
			return;
		}
		cr_expect_eq(o.rc, 0, "%s: %s", cases[i].name, o.err.msg);
		cr_expect_eq(o.bad, 0, "%s: %s", cases[i].name, o.first_bad);
		cr_expect_eq(o.spans, cases[i].spans, "%s%s", cases[i].name, cases[i].suffix);
		cr_expect_eq(o.stats.format, cases[i].format, "%s%s is %s", cases[i].name, cases[i].suffix,
			trace_format_name(o.stats.format));
		buf_finish(&o.text);
	}
}

Test(trace, protobuf_and_the_collectors_lines_say_the_same)
{
	struct outcome pb, lines;
	unsigned missing = 0, n = 0;

	if (!fixture("otlp-http-request", ".routeiq.pb", &pb, NULL) ||
	    !fixture("otlp-file-exporter", ".jsonl.gz", &lines, NULL)) {
		cr_skip_test("LLMR_SHARED is not here");
		return;
	}
	/* Each span of the request, as text, stands in the collector's file as this library writes it. */
	for (const char *p = buf_cstr(&pb.text); (p = strstr(p, "{\"traceId\":\"")) != NULL; p += 12) {
		const char *end = strstr(p, "\"status\":{");
		char *one = strndup(p, (size_t)(end - p));

		n++;
		missing += strstr(buf_cstr(&lines.text), one) == NULL;
		free(one);
	}
	cr_expect_eq(n, 100);
	cr_expect_eq(missing, 0, "%u spans differ", missing);
	buf_finish(&pb.text);
	buf_finish(&lines.text);
}
