#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "model/chart.h"
#include "model/policy.h"
#include "model/report.h"

Test(chart, escapes)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "plain", "plain" },
		{ "<script>alert(\"x\")</script>", "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" },
		{ "a&b 'c'", "a&amp;b &#39;c&#39;" },
		{ "\x1b[31m\n", "\xef\xbf\xbd[31m\xef\xbf\xbd" },
		{ "caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80" },
		{ "\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf b = BUF_INIT;

		chart_escape(&b, cases[i].in);
		cr_expect(strcmp(buf_cstr(&b), cases[i].out) == 0, "%s", buf_cstr(&b));
		buf_finish(&b);
	}
}

Test(chart, places)
{
	struct buf b = BUF_INIT;
	struct chart c = { .b = &b, .w = 200, .h = 100, .left = 50, .right = 50, .top = 10, .bottom = 10,
		.x0 = 1, .x1 = 100, .y0 = 0, .y1 = 2, .log_x = true };

	cr_expect(chart_x(&c, 1) == 50 && chart_x(&c, 100) == 150 && chart_x(&c, 10) == 100);
	cr_expect(chart_y(&c, 0) == 90 && chart_y(&c, 2) == 10);
	chart_text(&c, "t", "end", 1, 2, "na\xc3\xafve<name>", 5);
	cr_expect(strcmp(buf_cstr(&b), "<text class=\"t\" text-anchor=\"end\" x=\"1.0\" y=\"2.0\"><title>"
	    "na\xc3\xafve&lt;name&gt;</title>na\xc3\xafv\xe2\x80\xa6</text>\n") == 0, "%s", buf_cstr(&b));
	buf_reset(&b);
	chart_axes(&c, "x", "y");
	cr_expect(strstr(buf_cstr(&b), ">100</text>") != NULL && strstr(buf_cstr(&b), "nan") == NULL);
	buf_finish(&b);
}

/* Every figure of the page at once, with names that would break out of it. */
Test(report, holds_and_escapes)
{
	const float score[] = { 0, 1, 0, 1, 1, 1, 1, 0 }, cost[] = { 1, 3, 1, 3, 1, 3, 1, 3 };
	const float said[] = { .1f, .9f, .8f, .7f, .8f, .9f, .8f, .2f }, prior[] = { .4f, .6f };
	const float times[] = { 5, 6, 7, 8 };
	const size_t choice[] = { 1, 0, 1, 0 }, best[] = { 1, 1, 1, 1 };
	const uint32_t task[] = { 0, 0, 1, 1 };
	const char *const names[] = { "</svg><script>", "b\"&" };
	struct map tasks = MAP_INIT;
	struct err e = ERR_INIT;
	struct evaluation v = { 0 };
	struct evaluation_input x = { .in = { 4, 2, score, cost, NULL, choice, best, 0, 1, 200, 1 },
		.predicted = said, .expected = cost, .prior = prior, .task = task, .tasks = &tasks,
		.weak = 0, .strong = 1, .time_us = times, .other_cost = times };
	const float other[] = { 1, 1, 1, 0 };
	struct report r = { .v = &v, .model = names, .m = 2, .queries = 4, .best_single = 1, .weak = 0,
		.strong = 1, .artifact = "<a>.safetensors", .against = "<b>", .gate = "n<1", .missed = "n < 1: 4",
		.data_digest = "00", .version = "0" };
	static const char *const parts[] = { "Score and cost", "Score by task", "Are its predictions true?",
		"What it chose", "Weak and strong", "Time of a decision", "Against another", "Gate missed",
		"n &lt; 1: 4", "&lt;a&gt;.safetensors", "&lt;/svg&gt;&lt;script&gt;", "prefers-color-scheme:dark",
		"@media print", "</html>" };
	struct buf b = BUF_INIT;

	x.other_score = other;
	map_intern(&tasks, "<i>", 3, NULL, &e);
	map_intern(&tasks, "u", 1, NULL, &e);
	cr_assert(evaluation_run(&x, NULL, &v, &e) == 0);
	report_write(&r, &b);
	cr_assert(buf_ok(&b, &e) == 0);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		cr_expect(strstr(b.p, parts[i]) != NULL, "'%s' is not in the page", parts[i]);
	cr_expect(strstr(b.p, "<script") == NULL && strstr(b.p, "<i>") == NULL);
	cr_expect(strstr(b.p, "http:") == NULL && strstr(b.p, "https:") == NULL && strstr(b.p, "url(") == NULL);
	cr_expect(strstr(b.p, "\"nan") == NULL && strstr(b.p, "inf\"") == NULL && strstr(b.p, "\"-nan") == NULL);
	buf_finish(&b);
	evaluation_finish(&v);
	map_finish(&tasks);
}
