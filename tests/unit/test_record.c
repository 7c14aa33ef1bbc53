#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "data/record.h"
#include "fmt/hash.h"

static int
parse(const char *line, struct record *r, struct arena *a, struct err *e)
{
	return record_parse(line, strlen(line), a, r, e);
}

Test(record, round_trip_keeps_every_byte)
{
	static const char *const lines[] = {
		"{\"query\":\"a \\\"b\\\"\\n\",\"model_name\":\"openai/gpt-4o\",\"performance\":0.25,"
		"\"query_id\":\"0123456789abcdef\",\"response_time\":0.661228,\"token_num\":30,"
		"\"cost\":7.349999999999999e-06,\"status\":\"ok\",\"status_code\":200,"
		"\"trace_id\":\"00\",\"timestamp\":\"2026-11-20T23:09:18.441033Z\","
		"\"candidates\":[\"a\",\"b\"],\"propensity\":0.5,\"x\":{\"y\":[1,2]},\"z\":null}\n",
		"{\"query\":\"\",\"model_name\":\"m\",\"performance\":null}\n",
		"{\"query\":\"q\",\"model_name\":\"m\",\"performance\":1,\"embedding_id\":-1}\n",
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct buf out = BUF_INIT;
		struct err e = ERR_INIT;
		struct record r;

		cr_assert_eq(parse(lines[i], &r, &a, &e), 0, "case %zu: %s", i, e.msg);
		record_format(&r, &out);
		cr_expect_str_eq(buf_cstr(&out), lines[i], "case %zu", i);
		buf_finish(&out);
	}
	arena_finish(&a);
}

Test(record, fields_are_read)
{
	struct arena a = ARENA_INIT;
	struct err e = ERR_INIT;
	struct record r;

	cr_assert_eq(parse("{\"model_name\":\"m\",\"ttft\":1.5,\"timestamp\":1795216054598,"
		"\"input_tokens\":12.0,\"performance\":null,\"performance\":0.5,\"q\":1, \"r\" : [2 ]}",
		&r, &a, &e), 0, "%s", e.msg);
	cr_expect_eq(r.ttft_s, 1.5);
	cr_expect_eq(r.timestamp_us, 1795216054598000, "milliseconds");
	cr_expect_eq(r.input_tokens, 12);
	cr_expect_eq(r.performance, 0.5, "the last of two counts");
	cr_expect(isnan(r.cost_usd));
	cr_expect_eq(r.output_tokens, RECORD_NO_INT);
	cr_expect(slice_is(r.extra, "\"q\":1,\"r\":[2 ]"), "%.*s", (int)r.extra.n, r.extra.p);
	arena_finish(&a);
}

Test(record, bad_lines_name_the_key)
{
	static const struct { const char *line, *says; } cases[] = {
		{ "{\"model_name\":1}", "model_name" },
		{ "{\"model_name\":\"m\",\"performance\":1.5}", "outside 0..1" },
		{ "{\"model_name\":\"m\",\"performance\":\"1\"}", "performance" },
		{ "{\"model_name\":\"m\",\"propensity\":-1}", "propensity" },
		{ "{\"model_name\":\"m\",\"token_num\":1.5}", "token_num" },
		{ "{\"model_name\":\"m\",\"candidates\":\"a\"}", "candidates" },
		{ "{\"model_name\":\"m\",\"timestamp\":\"yesterday\"}", "timestamp" },
		{ "{\"query\":\"q\"}", "model_name" },
		{ "[]", "object" }, { "", "" }, { "{\"model_name\":\"m\"", "" },
		{ "{\"model_name\":\"m\"} x", "" },
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		struct record r;

		cr_expect_eq(parse(cases[i].line, &r, &a, &e), -1, "case %s", cases[i].line);
		cr_expect_eq(e.code, ERR_INPUT, "case %s", cases[i].line);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "case %s: %s", cases[i].line, e.msg);
	}
	arena_finish(&a);
}

Test(record, numbers_read_back_as_the_same_double)
{
	static const double v[] = { 0, 1e-9, 0.1, 0.3, 1.0 / 3, 0.661228, 123456.789012, 8999999.5,
		9000001.25, 1e15, 7.349999999999999e-06, 0.0006075000000000001, 5e-324, 1e300 };
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		struct buf out = BUF_INIT;
		struct record r, back;
		struct err e = ERR_INIT;

		record_init(&r);
		r.model_name = SLICE_LIT("m");
		r.cost_usd = v[i];
		record_format(&r, &out);
		cr_assert_eq(parse(buf_cstr(&out), &back, &a, &e), 0, "%s", e.msg);
		cr_expect_eq(back.cost_usd, v[i], "%.17g came back from %s", v[i], buf_cstr(&out));
		buf_finish(&out);
	}
	arena_finish(&a);
}

Test(record, query_id_ignores_white_space_only)
{
	static const struct { const char *a, *b; bool same; } cases[] = {
		{ "a b", " a \n\t b\r\n", true }, { "a b", "ab", false }, { "A", "a", false },
		{ "\xc3\xa9", "\xc3\xa8", false }, { "x\xff", "x\xef\xbf\xbd", true },
		{ "", " \n ", true }, { "a\xc2\xa0" "b", "a b", false },
	};
	char p[17], q[17], big[3000];
	struct slice s;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		record_query_id(slice_str(cases[i].a), p);
		record_query_id(slice_str(cases[i].b), q);
		cr_expect_eq(strcmp(p, q) == 0, cases[i].same, "case %zu", i);
	}
	/* SHA-256 of "abc" begins ba7816bf 8f01cfea */
	record_query_id(SLICE_LIT("  abc "), p);
	cr_expect_str_eq(p, "ba7816bf8f01cfea");
	cr_expect_eq(record_query_hash(SLICE_LIT("abc")), 0xba7816bf8f01cfeau);
	/* the window inside does not show */
	memset(big, 'x', sizeof big);
	for (size_t n = 500; n < 530; n++) {
		char spaced[3002];

		memcpy(spaced, big, sizeof big);
		spaced[n] = ' ';
		s = (struct slice){ spaced, sizeof big };
		record_query_id(s, p);
		memmove(spaced + n + 1, spaced + n, sizeof big - n);
		s.n++;
		record_query_id(s, q);
		cr_expect_str_eq(p, q, "a double blank at %zu", n);
	}
}

/* The fast way by eight bytes and the plain one agree, whatever stands where. */
Test(record, query_id_of_random_texts)
{
	static const char *const bits[] = { "a", " ", "  ", "\t", "word", "\xc3\xa9", "\x1f", "\x7f", "sixteen letters.", "\n" };
	struct rng rng;

	rng_seed(&rng, 7);
	for (int round = 0; round < 2000; round++) {
		char text[1200] = "", plain[1200];
		size_t n = 0;
		uint8_t d[32];
		char id[17], want[17];

		while (strlen(text) < 1100 && rng_below(&rng, 40) > 0)
			strcat(text, bits[rng_below(&rng, sizeof bits / sizeof *bits)]);
		for (size_t i = 0; text[i] != '\0'; i++) {
			if (strchr(" \t\n", text[i]) == NULL)
				plain[n++] = text[i];
			else if (n > 0 && plain[n - 1] != ' ')
				plain[n++] = ' ';
		}
		while (n > 0 && plain[n - 1] == ' ')
			n--;
		sha256_bytes(plain, n, d);
		hex_format(d, 8, want);
		record_query_id(slice_str(text), id);
		cr_assert_str_eq(id, want, "round %d: '%s'", round, text);
	}
}

Test(record, epochs_by_size)
{
	cr_expect_eq(record_epoch_us(1795216054), 1795216054000000);
	cr_expect_eq(record_epoch_us(1795216054598), 1795216054598000);
	cr_expect_eq(record_epoch_us(1795214128707706), 1795214128707706);
	cr_expect_eq(record_epoch_us(1795214128707706000.0), 1795214128707706);
	cr_expect_eq(record_epoch_us(NAN), RECORD_NO_INT);
	cr_expect_eq(record_epoch_us(-1), RECORD_NO_INT);
}
