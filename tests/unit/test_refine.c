#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/labels.h"
#include "data/redact.h"
#include "data/refine.h"
#include "data/score.h"

Test(score, rules)
{
	static const struct { const char *rule; double want; } cases[] = {
		{ "success", 1 }, { "latency:2s", 0.5 }, { "latency:6", 0.75 }, { "cost:0.01", 0.5 },
		{ "0.7*success+0.3*latency:2s", 0.85 }, { "7*success + 3*latency:2s", 0.85 },
		{ "tokens:100", 0.5 }, { "ttft:1s", NAN }, { "success+ttft:1s", NAN },
	};
	struct record r;

	record_init(&r);
	r.status = SLICE_LIT("ok");
	r.response_time_s = 2;
	r.cost_usd = 0.01;
	r.output_tokens = 100;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct score_rule rule;
		struct err e = ERR_INIT;
		double v;

		cr_assert_eq(score_parse(cases[i].rule, &rule, &e), 0, "%s", e.msg);
		v = score_apply(&rule, &r);
		cr_expect(isnan(cases[i].want) ? isnan(v) : fabs(v - cases[i].want) < 1e-12,
			"case %s gave %g", cases[i].rule, v);
		r.status = SLICE_LIT("error");
		cr_expect_eq(score_apply(&rule, &r), 0, "case %s: a failed call scores 0", cases[i].rule);
		r.status = SLICE_LIT("ok");
	}
}

Test(score, bad_rules_are_usage_errors)
{
	static const char *const cases[] = { "", "speed", "latency", "success:1", "latency:", "latency:0",
		"cost:-1", "0*success", "x*success", "success+", "latency:2s:3", "success*2",
		"success+success+success+success+success+success+success+success+success" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct score_rule rule;
		struct err e = ERR_INIT;

		cr_expect_eq(score_parse(cases[i], &rule, &e), -1, "case '%s'", cases[i]);
		cr_expect_eq(e.code, ERR_USAGE, "case '%s'", cases[i]);
	}
}

Test(redact, forms)
{
	static const struct { const char *what, *text, *want; } cases[] = {
		{ "email", "mail a.b+c@ex-am.co.uk, ok", "mail [EMAIL], ok" },
		{ "email", "a@b c@d.e @x.org x@y..z", "a@b c@d.e @x.org x@y..z" },
		{ "email", "one@ex.org two@ex.org", "[EMAIL] [EMAIL]" },
		{ "card", "4111 1111 1111 1111 and 4111-1111-1111-1112", "[CARD] and 4111-1111-1111-1112" },
		{ "card", "pi is 3.14159265358979323846", "pi is 3.14159265358979323846" },
		{ "phone", "call +49 30 1234567 or (555) 123-4567 or 555-123-4567.",
		  "call [PHONE] or [PHONE] or [PHONE]." },
		{ "phone", "2026-11-20 1234567890 12:30 1+1 192.168.10.254", "2026-11-20 1234567890 12:30 1+1 192.168.10.254" },
		{ "key", "use sk-abcdefghijklmnopqrstuvwx now", "use [KEY] now" },
		{ "key", "Authorization: Bearer abcdef0123456789abcd", "Authorization: Bearer [KEY]" },
		{ "key", "password: hunter22, tokens are nice", "password: [KEY], tokens are nice" },
		{ "key", "AKIAIOSFODNN7EXAMPLE", "[KEY]" }, { "key", "task-oriented sketch", "task-oriented sketch" },
		{ "regex:[A-Z]{3}-[0-9]+,x", "ABC-12,x DEF-3", "[REDACTED] DEF-3" },
		{ "email,regex:^id [0-9]+", "id 77 x@y.org", "[REDACTED] [EMAIL]" },
		{ "email,phone,card,key", "nothing here", NULL }, { "email", "", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		struct redact *r = redact_new(&cases[i].what, 1, &e);
		struct buf out = BUF_INIT;
		uint64_t hits = 0;
		bool hit;

		cr_assert_not_null(r, "%s", e.msg);
		hit = redact_text(r, slice_str(cases[i].text), &out, &hits);
		cr_expect_str_eq(hit ? buf_cstr(&out) : cases[i].text,
			cases[i].want != NULL ? cases[i].want : cases[i].text, "case %zu", i);
		cr_expect_eq(hit, hits > 0, "case %zu", i);
		buf_finish(&out);
		redact_free(r);
	}
}

Test(redact, nul_bytes_do_not_hide_what_follows)
{
	static const char *const spec[] = { "regex:secret" };
	struct redact *r = redact_new(spec, 1, NULL);
	struct buf out = BUF_INIT;
	uint64_t hits = 0;

	cr_expect(redact_text(r, (struct slice){ "a\0secret", 8 }, &out, &hits));
	cr_expect_eq(out.len, 12);
	cr_expect_eq(memcmp(out.p, "a\0[REDACTED]", 12), 0);
	buf_finish(&out);
	redact_free(r);
}

Test(redact, bad_specs)
{
	static const char *const cases[] = { "mail", "email,", "regex:", "regex:(", "email;phone" };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		struct redact *r = redact_new(&cases[i], 1, &e);

		if (i == 1) {
			cr_expect_not_null(r, "an empty end is nothing");
		} else {
			cr_expect_null(r, "case %s", cases[i]);
			cr_expect_eq(e.code, ERR_USAGE, "case %s", cases[i]);
		}
		redact_free(r);
	}
}

static const char *
write_file(const char *text)
{
	static char path[64];
	FILE *f;

	(void)snprintf(path, sizeof path, "/tmp/llmr-labels-%ld", (long)getpid());
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static double
label_of(struct labels *l, const char *trace, const char *span, const char *model, const char *query,
	const char *status)
{
	struct label found;
	struct record r;

	record_init(&r);
	r.trace_id = slice_str(trace);
	r.span_id = slice_str(span);
	r.model_name = slice_str(model);
	r.query = slice_str(query);
	r.status = slice_str(status);
	return labels_find(l, &r, record_query_hash(r.query), &found) ? found.performance : NAN;
}

Test(labels, most_specific_key_wins)
{
	struct err e = ERR_INIT;
	const char *path = write_file(
		"{\"trace_id\":\"00AB\",\"score\":0.1}\n{\"trace_id\":\"ab\",\"model_name\":\"m\",\"performance\":0.2}\n"
		"\n{\"trace_id\":\"ab\",\"span_id\":\"1\",\"label\":true}\n"
		"{\"query\":\"hello  world\",\"performance\":0.4}\n"
		"{\"query_id\":\"ba7816bf8f01cfea\",\"model_name\":\"m\",\"performance\":\"0.5\",\"task_name\":\"t\"}\n"
		"{\"trace_id\":\"cd\",\"performance\":0}\n");
	struct labels *l = labels_load(path, NULL, &e);

	cr_assert_not_null(l, "%s", e.msg);
	cr_expect_eq(labels_rows(l), 6);
	cr_expect_eq(labels_unused(l), 6);
	cr_expect_eq(label_of(l, "000ab", "9", "x", "", "ok"), 0.1);
	cr_expect_eq(label_of(l, "ab", "9", "m", "", "ok"), 0.2);
	cr_expect_eq(label_of(l, "ab", "01", "m", "", "ok"), 1);
	cr_expect(isnan(label_of(l, "ab", "9", "x", "", "error")), "a good end says nothing of a failed try");
	cr_expect_eq(label_of(l, "cd", "9", "x", "", "error"), 0);
	cr_expect_eq(label_of(l, "ee", "9", "x", "hello world", "ok"), 0.4);
	cr_expect_eq(label_of(l, NULL, NULL, "m", " abc", "ok"), 0.5);
	cr_expect(isnan(label_of(l, NULL, NULL, "x", "abc", "ok")));
	cr_expect_eq(labels_unused(l), 0);
	labels_free(l);
	unlink(path);
}

Test(labels, csv)
{
	struct err e = ERR_INIT;
	const char *path = write_file("\xef\xbb\xbfquery,model_name,performance\r\n\"a \"\"b\"\", c\",m,0.25\nz,,1\n");
	struct labels *l = labels_load(path, NULL, &e);

	cr_assert_not_null(l, "%s", e.msg);
	cr_expect_eq(label_of(l, NULL, NULL, "m", "a \"b\", c", "ok"), 0.25);
	cr_expect_eq(label_of(l, NULL, NULL, "any", "z", "ok"), 1);
	labels_free(l);
	unlink(path);
}

Test(labels, bad_rows_name_file_and_line)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "{\"trace_id\":\"a\",\"performance\":0}\n{\"performance\":1}\n", ":2: a label needs" },
		{ "{\"trace_id\":\"a\",\"performance\":2}\n", ":1: performance" },
		{ "{\"trace_id\":\"a\",\n", ":1: " }, { "trace_id,score\na,x\n", ":2: performance" },
		{ "trace_id,score\n\"a,1\n", "not closed" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		const char *path = write_file(cases[i].text);

		cr_expect_null(labels_load(path, NULL, &e), "case %zu", i);
		cr_expect_eq(e.code, ERR_INPUT, "case %zu", i);
		cr_expect(strstr(e.msg, cases[i].says) != NULL && strstr(e.msg, path) != NULL, "case %zu: %s", i, e.msg);
		unlink(path);
	}
}

Test(refine, order_of_steps)
{
	static const char *const alias[] = { "openai/gpt-4o=big", "small=tiny" };
	static const char *const redact[] = { "email" };
	struct score_rule rule;
	struct refine_opts o = { .alias = alias, .n_alias = 2, .redact = redact, .n_redact = 1,
		.strip_provider = true, .hash_users = true, .rules = &rule, .n_rules = 1 };
	struct refine *f;
	struct record r;
	struct err e = ERR_INIT;
	uint64_t hash;
	char id[17];

	cr_assert_eq(score_parse("success", &rule, &e), 0);
	f = refine_new(&o, &e);
	cr_assert_not_null(f, "%s", e.msg);
	record_init(&r);
	r.query = SLICE_LIT("write to x@y.org");
	r.model_name = SLICE_LIT("a/small");
	r.user = SLICE_LIT("ann");
	r.status = SLICE_LIT("ok");
	cr_assert_eq(refine_record(f, &r, &hash, &e), 0, "%s", e.msg);
	cr_expect(slice_is(r.model_name, "tiny"), "alias after the provider is gone");
	cr_expect(slice_is(r.query, "write to [EMAIL]"));
	record_query_id(SLICE_LIT("write to [EMAIL]"), id);
	cr_expect(slice_is(r.query_id, id), "the id is that of the redacted text");
	cr_expect_eq(r.user.n, 16);
	cr_expect_not(slice_is(r.user, "ann"));
	cr_expect_eq(r.performance, 1);
	cr_expect_eq(refine_counts(f)->scored, 1);
	r.model_name = SLICE_LIT("openai/gpt-4o");
	r.performance = 7;
	cr_assert_eq(refine_record(f, &r, &hash, &e), 0);
	cr_expect(slice_is(r.model_name, "big"));
	cr_expect_eq(refine_counts(f)->bad_labels, 1);
	cr_expect_eq(r.performance, 1, "a label outside 0..1 is none");
	refine_free(f);
	o.alias = (const char *const[]){ "=x" };
	o.n_alias = 1;
	cr_expect_null(refine_new(&o, &e));
	cr_expect_eq(e.code, ERR_USAGE);
}
