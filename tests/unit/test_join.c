#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trace/join.h"

struct seen {
	struct buf text;
	size_t n;
};

static int
emit(void *ctx, const struct join_item *it, struct err *e)
{
	struct seen *s = ctx;

	(void)e;
	buf_add(&s->text, it->line.p, it->line.n);
	s->n++;
	return 0;
}

static struct join_item
call(uint64_t trace, uint64_t span, uint64_t parent, const char *model, struct buf *line)
{
	struct join_item it = { .kind = JOIN_CALL, .trace = { 0, trace }, .span = span,
		.parent = parent, .start_ns = 1000 + span, .performance = NAN };
	struct record r;

	record_init(&r);
	r.query = SLICE_LIT("q");
	r.model_name = slice_str(model);
	buf_reset(line);
	record_format(&r, line);
	it.model = slice_str(model);
	it.line = (struct slice){ line->p, line->len };
	return it;
}

static struct join_item
decision(uint64_t trace, uint64_t span, uint64_t parent, const char *model, const char *strategy,
	struct buf *line)
{
	struct join_item it = call(trace, span, parent, model, line);
	struct record r;

	record_init(&r);
	r.model_name = slice_str(model);
	r.strategy_name = slice_str(strategy);
	r.candidates = SLICE_LIT("[\"a\",\"b\"]");
	r.outcome_status = SLICE_LIT("fallback");
	buf_reset(line);
	record_format(&r, line);
	it.kind = JOIN_DECISION;
	it.line = (struct slice){ line->p, line->len };
	return it;
}

Test(join, match_prefers_the_closest_tie)
{
	struct buf b = BUF_INIT;
	struct join_item calls[3] = { call(1, 10, 0, "x/a", &b), call(1, 20, 5, "x/b", &b),
		call(1, 30, 6, "x/a", &b) };
	static const struct { uint64_t span, parent; const char *model; int want; } cases[] = {
		{ 10, 0, "zz", 0 }, { 5, 0, "zz", 1 }, { 99, 30, "zz", 2 }, { 99, 0, "b", 1 },
		{ 99, 0, "x/b", 1 }, { 99, 6, "zz", 2 },
	};
	int to[2];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct join_item d = decision(1, cases[i].span, cases[i].parent, cases[i].model, "s", &b);

		for (int c = 0; c < 3; c++)
			calls[c].taken = 0;
		join_match(calls, 3, &d, 1, to);
		cr_expect_eq(to[0], cases[i].want, "case %zu gave %d", i, to[0]);
	}
	/* two decisions for the same model take different calls, the nearest first */
	struct join_item two[2] = { decision(1, 40, 0, "a", "s", &b), decision(1, 41, 0, "a", "s", &b) };

	for (int c = 0; c < 3; c++)
		calls[c].taken = 0;
	join_match(calls, 3, two, 2, to);
	cr_expect_eq(to[0], 2);
	cr_expect_eq(to[1], 0);
	buf_finish(&b);
}

Test(join, pieces_in_any_order)
{
	for (int order = 0; order < 2; order++) {
		struct seen s = { BUF_INIT, 0 };
		struct join_opts o = { .window = 10, .emit = emit, .ctx = &s };
		struct join *j = join_new(&o, NULL);
		struct buf b = BUF_INIT;
		struct join_item it;

		for (int i = 0; i < 2; i++) {
			it = i == order ? call(7, 1, 2, "a", &b) : decision(7, 2, 0, "a", "knn", &b);
			cr_assert_eq(join_add(j, &it, NULL), 0);
		}
		cr_expect_eq(s.n, 0, "the trace is still open");
		cr_assert_eq(join_flush(j, NULL), 0);
		cr_expect_eq(s.n, 1);
		cr_expect_str_eq(buf_cstr(&s.text), "{\"query\":\"q\",\"model_name\":\"a\",\"performance\":null,"
			"\"strategy_name\":\"knn\",\"candidates\":[\"a\",\"b\"],\"outcome_status\":\"fallback\"}\n");
		cr_expect_eq(join_counts(j)->joined, 1);
		join_free(j);
		buf_finish(&b);
		buf_finish(&s.text);
	}
}

Test(join, evaluations_give_performance)
{
	struct seen s = { BUF_INIT, 0 };
	struct join_opts o = { .window = 10, .emit = emit, .ctx = &s };
	struct join *j = join_new(&o, NULL);
	struct buf b = BUF_INIT;
	struct join_item it = call(7, 1, 2, "a", &b), eval = it;

	cr_assert_eq(join_add(j, &it, NULL), 0);
	it = decision(7, 2, 0, "a", "knn", &b);
	cr_assert_eq(join_add(j, &it, NULL), 0);
	eval.kind = JOIN_EVAL;
	eval.span = 3;
	eval.parent = 1;
	eval.performance = 0.5;
	eval.model = SLICE_LIT("relevance");
	eval.line = SLICE_NONE;
	cr_assert_eq(join_add(j, &eval, NULL), 0);
	cr_assert_eq(join_flush(j, NULL), 0);
	cr_expect_not_null(strstr(buf_cstr(&s.text), "\"performance\":0.5"));
	cr_expect_not_null(strstr(buf_cstr(&s.text), "\"metric\":\"relevance\""));
	cr_expect_not_null(strstr(buf_cstr(&s.text), "\"strategy_name\":\"knn\""), "both find the call");
	cr_expect_eq(join_counts(j)->evals, 1);
	join_free(j);
	buf_finish(&b);
	buf_finish(&s.text);
}

Test(join, window_closes_the_oldest)
{
	struct seen s = { BUF_INIT, 0 };
	struct join_opts o = { .window = 3, .emit = emit, .ctx = &s };
	struct join *j = join_new(&o, NULL);
	struct buf b = BUF_INIT;
	struct join_item it;

	for (uint64_t t = 1; t <= 4; t++) {
		char model[8];

		(void)snprintf(model, sizeof model, "m%d", (int)t);
		it = call(t, 1, 0, model, &b);
		cr_assert_eq(join_add(j, &it, NULL), 0);
	}
	cr_expect_eq(s.n, 1, "the fourth trace pushes the first out");
	it = decision(1, 1, 0, "m1", "late", &b);
	cr_assert_eq(join_add(j, &it, NULL), 0);
	it = decision(4, 1, 0, "m4", "timely", &b);
	cr_assert_eq(join_add(j, &it, NULL), 0);
	cr_assert_eq(join_flush(j, NULL), 0);
	cr_expect_eq(s.n, 4);
	cr_expect_null(strstr(buf_cstr(&s.text), "late"));
	cr_expect_not_null(strstr(buf_cstr(&s.text), "timely"));
	cr_expect_eq(join_counts(j)->joined, 1);
	cr_expect_eq(join_counts(j)->unjoined, 1);
	join_free(j);
	buf_finish(&b);
	buf_finish(&s.text);
}

/* More than fits in memory: the same lines, in the order of their traces. */
Test(join, spills_and_keeps_order)
{
	enum { N = 20000 };
	struct seen s = { BUF_INIT, 0 };
	struct join_opts o = { .window = 12000, .emit = emit, .ctx = &s };
	struct join *j = join_new(&o, NULL);
	struct buf b = BUF_INIT, want = BUF_INIT;
	char model[600];

	memset(model, 'm', sizeof model);
	model[sizeof model - 1] = '\0';
	for (unsigned t = 0; t < N; t++) {
		struct join_item it;
		int k = snprintf(model, sizeof model, "m%u", t);

		model[k] = '-';
		it = call(t * 2654435761u + 1, 1, 0, model, &b);
		buf_add(&want, b.p, b.len);
		cr_assert_eq(join_add(j, &it, NULL), 0);
	}
	cr_expect_gt(join_counts(j)->spilled_bytes, 0);
	cr_assert_eq(join_flush(j, NULL), 0);
	cr_expect_eq(s.n, N);
	cr_expect(s.text.len == want.len && memcmp(s.text.p, want.p, want.len) == 0);
	join_free(j);
	buf_finish(&b);
	buf_finish(&want);
	buf_finish(&s.text);
}

Test(join, items_pack_and_unpack)
{
	struct buf line = BUF_INIT, b = BUF_INIT;
	struct join_item it = call(9, 8, 7, "model", &line), back;
	const char *p;

	it.performance = 0.25;
	join_put(&b, &it);
	join_put(&b, &it);
	p = b.p;
	for (int i = 0; i < 2; i++) {
		cr_assert(join_get(&p, b.p + b.len, &back));
		cr_expect(back.trace[1] == 9 && back.span == 8 && back.parent == 7 && back.performance == 0.25);
		cr_expect(slice_is(back.model, "model") && slice_eq(back.line, it.line));
	}
	cr_expect_not(join_get(&p, b.p + b.len, &back));
	buf_finish(&line);
	buf_finish(&b);
}
