#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "data/importers.h"
#include "fmt/csv.h"

struct got {
	struct buf text, bad;
};

static int
on_record(void *ctx, struct record *r, struct err *e)
{
	struct got *g = ctx;

	(void)e;
	record_format(r, &g->text);
	return 0;
}

static int
on_bad(void *ctx, const struct err *what, struct err *e)
{
	struct got *g = ctx;

	(void)e;
	buf_str(&g->bad, what->msg);
	buf_byte(&g->bad, '\n');
	return 0;
}

static int
import(const char *kind, const char *text, struct got *g, struct import_stats *s, struct err *e)
{
	struct import_opts o = { .on_record = on_record, .on_bad = on_bad, .ctx = g };
	struct stream_in *in = stream_in_memory(text, strlen(text), e);
	int r = importers_read(importers_kind(kind), in, "f", &o, s, e);

	stream_in_close(in);
	return r;
}

Test(importers, forms)
{
	static const struct { const char *kind, *in, *out, *bad; } cases[] = {
		{ "dcrouter", " [ {\"question\":\"a\",\"scores\":{\"m\":1,\"n/o\":0.5,\"p\":null},\"cluster_id\":3}\n,"
		  "{\"question\":\"b\",\"task\":\"t\",\"scores\":{\"m\":2}},\n"
		  "{\"question\":\"c [{\",\"scores\":{\"m\":0}}]\n",
		  "{\"query\":\"a\",\"model_name\":\"m\",\"performance\":1,\"cluster_id\":3}\n"
		  "{\"query\":\"a\",\"model_name\":\"n/o\",\"performance\":0.5,\"cluster_id\":3}\n"
		  "{\"query\":\"c [{\",\"model_name\":\"m\",\"performance\":0}\n",
		  "f:2: score 2 of \"m\" is outside 0..1\n" },
		{ "dcrouter", "{\"question\":\"a\",\"scores\":{\"m\":true}}\n{\"question\":\"b\"}\n",
		  "{\"query\":\"a\",\"model_name\":\"m\",\"performance\":1}\n", "f:2: key \"scores\" is missing\n" },
		{ "dcrouter", "[]", "", "" },
		{ "routellm", "prompt,x/a,b\n\"p, \"\"q\"\"\",True,False\nr,,0.5\ns,yes,1\nt,1\n",
		  "{\"query\":\"p, \\\"q\\\"\",\"model_name\":\"x/a\",\"performance\":1}\n"
		  "{\"query\":\"p, \\\"q\\\"\",\"model_name\":\"b\",\"performance\":0}\n"
		  "{\"query\":\"r\",\"model_name\":\"b\",\"performance\":0.5}\n",
		  "f:4: column \"x/a\": \"yes\" is not True, False or 0..1\nf:5: 2 columns where the header has 3\n" },
		{ "routerbench", "sample_id,prompt,eval_name,m,oracle,m|total_cost\n"
		  "1,\"['a\\n', \"\"b'\"\"]\",mbpp,1.0,m,0.25\n2,plain [x],t,0,m,\n",
		  "{\"query\":\"a\\n\\nb'\",\"model_name\":\"m\",\"performance\":1,\"cost\":0.25,\"task_name\":\"mbpp\"}\n"
		  "{\"query\":\"plain [x]\",\"model_name\":\"m\",\"performance\":0,\"task_name\":\"t\"}\n", "" },
		{ "llmrouter", "{\"query\":\"q\",\"model_name\":\"m\",\"performance\":1,\"response_time_ms\":1500,\"k\":[1]}\n"
		  "\n{\"query\":\"q\",\"model_name\":\"m\",\"performance\":\"0.5\",\"ground_truth\":[1,\"a\"],\"token_num\":\"7\"}\n"
		  "{\"query\":\"q\",\"performance\":1}\n{bad\n{\"query\":\"q\",\"model_name\":\"m\",\"performance\":-1}\n",
		  "{\"query\":\"q\",\"model_name\":\"m\",\"performance\":1,\"response_time\":1.5,\"k\":[1]}\n"
		  "{\"query\":\"q\",\"model_name\":\"m\",\"performance\":0.5,\"token_num\":7,\"ground_truth\":\"[1,\\\"a\\\"]\"}\n",
		  "f:4: key \"model_name\" is missing or empty\nf:5: " },
		{ "flat", "{\"query\":\"\",\"model_name\":\"m\",\"strategy_name\":\"s\",\"timestamp\":1795216054598}\n"
		  "{\"query\":\" \",\"model_name\":\"m\"}\n"
		  "{\"query\":\"q\",\"model_name\":\"m\",\"token_num\":0,\"input_tokens\":0,\"output_tokens\":0,"
		  "\"ground_truth\":\"\",\"timestamp\":1795214128707706,\"performance\":null}\n",
		  "{\"query\":\"q\",\"model_name\":\"m\",\"performance\":null,\"timestamp\":\"2026-11-20T22:35:28.707706Z\"}\n", "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct got g = { BUF_INIT, BUF_INIT };
		struct import_stats s;
		struct err e = ERR_INIT;

		cr_expect_eq(import(cases[i].kind, cases[i].in, &g, &s, &e), 0, "case %zu: %s", i, e.msg);
		cr_expect_str_eq(buf_cstr(&g.text), cases[i].out, "case %zu", i);
		cr_expect_eq(strncmp(buf_cstr(&g.bad), cases[i].bad, strlen(cases[i].bad)), 0, "case %zu: %s", i,
			buf_cstr(&g.bad));
		if (strcmp(cases[i].kind, "flat") == 0)
			cr_expect(s.decisions == 1 && s.no_query == 1);
		buf_finish(&g.text);
		buf_finish(&g.bad);
	}
}

Test(importers, malformed_documents)
{
	static const struct { const char *kind, *in, *says; } cases[] = {
		{ "dcrouter", "[{\"question\":\"a\",\"scores\":{\"m\":1}}\n,{\"question\":", "f:2: the file ends inside an element" },
		{ "dcrouter", "[{\"question\":\"a\",\"scores\":{\"m\":1}}\n", "f:2: the file ends inside the list" },
		{ "dcrouter", "nonsense", "f:1: not a list" }, { "dcrouter", "[{}] x", "f:1: not a list" },
		{ "routellm", "", "no header row" }, { "routellm", "a,b\n", "no column \"prompt\"" },
		{ "routellm", "prompt\n", "no model column" }, { "routerbench", "prompt,m\n", "no model column" },
		{ "routellm", "prompt,m\n\"x,1\n", "line 2: a quoted field" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct got g = { BUF_INIT, BUF_INIT };
		struct err e = ERR_INIT;

		cr_expect_eq(import(cases[i].kind, cases[i].in, &g, NULL, &e), -1, "case %zu", i);
		cr_expect_eq(e.code, ERR_INPUT, "case %zu", i);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "case %zu: %s", i, e.msg);
		buf_finish(&g.text);
		buf_finish(&g.bad);
	}
}

Test(csv, rows)
{
	static const char text[] = "\xef\xbb\xbf" "a,\"b\nc\",\r\n\n\"\",x\"y\n\"q\"\"\"\nlast";
	struct stream_in *in = stream_in_memory(text, sizeof text - 1, NULL);
	struct csv *c = csv_new(in, 1000, NULL);
	static const struct { size_t n; uint64_t line; const char *first, *last; } want[] = {
		{ 3, 1, "a", "" }, { 2, 4, "", "x\"y" }, { 1, 5, "q\"", "q\"" }, { 1, 6, "last", "last" },
	};
	const struct slice *f;
	uint64_t line;
	size_t n;

	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(csv_next(c, &f, &n, &line, NULL), 1, "row %zu", i);
		cr_expect_eq(n, want[i].n, "row %zu has %zu", i, n);
		cr_expect_eq(line, want[i].line, "row %zu", i);
		cr_expect(slice_is(f[0], want[i].first), "row %zu", i);
		cr_expect(slice_is(f[n - 1], want[i].last), "row %zu", i);
		if (i == 0)
			cr_expect(slice_is(f[1], "b\nc"));
	}
	cr_expect_eq(csv_next(c, &f, &n, &line, NULL), 0);
	csv_free(c);
	stream_in_close(in);
}
