#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "fmt/jread.h"
#include "fmt/jsonw.h"

static bool
accepts(const char *text, size_t n)
{
	struct err e = ERR_INIT;
	struct jread r;

	jread_init(&r, text, n);
	return jread_skip(&r) && jread_done(&r, &e) == 0;
}

Test(json, grammar_of_rfc_8259)
{
	static const struct { const char *s; bool ok; } cases[] = {
		{ "{}", true }, { "[]", true }, { " [1, -0, 0.5e+3, \"a\", true, false, null] ", true },
		{ "{\"a\":{\"b\":[[],{}]},\"c\":1}", true }, { "\"\\u00e9\\n\"", true }, { "0", true },
		{ "", false }, { "[1,]", false }, { "{,}", false }, { "{\"a\":1,}", false }, { "[1 2]", false },
		{ "{\"a\" 1}", false }, { "{a:1}", false }, { "01", false }, { "-", false }, { "1.", false },
		{ ".5", false }, { "1e", false }, { "tru", false }, { "nul", false }, { "[", false },
		{ "{\"a\":1", false }, { "\"abc", false }, { "\"\\x\"", false }, { "\"\\u12g4\"", false },
		{ "\"a\nb\"", false }, { "[1]]", false }, { "{}{}", false }, { "[}", false }, { "{]", false },
		{ "\"\xff\"", false }, { "\"\xed\xa0\x80\"", false }, { "NaN", false }, { "'a'", false },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(accepts(cases[i].s, strlen(cases[i].s)), cases[i].ok, "case %s", cases[i].s);
	cr_expect_not(accepts("[\0]", 3), "NUL byte");
}

Test(json, nesting_has_a_limit)
{
	char deep[4 * JREAD_MAX_DEPTH];

	memset(deep, '[', JREAD_MAX_DEPTH);
	memset(deep + JREAD_MAX_DEPTH, ']', JREAD_MAX_DEPTH);
	cr_expect(accepts(deep, 2 * JREAD_MAX_DEPTH));
	memset(deep, '[', JREAD_MAX_DEPTH + 1);
	memset(deep + JREAD_MAX_DEPTH + 1, ']', JREAD_MAX_DEPTH + 1);
	cr_expect_not(accepts(deep, 2 * JREAD_MAX_DEPTH + 2));
}

Test(json, strings_decode)
{
	static const struct { const char *json, *text; } cases[] = {
		{ "\"plain\"", "plain" }, { "\"a\\\"b\\\\c\\/\\b\\f\\n\\r\\t\"", "a\"b\\c/\b\f\n\r\t" },
		{ "\"\\u00e9\\u4e2d\"", "\xc3\xa9\xe4\xb8\xad" }, { "\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!" },
		{ "\"\\ud83dx\"", "\xef\xbf\xbdx" }, { "\"\\ude00\"", "\xef\xbf\xbd" },
		{ "\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
	};
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct jread r;
		struct slice s;

		jread_init(&r, cases[i].json, strlen(cases[i].json));
		cr_assert(jread_string(&r, &a, &s), "case %s", cases[i].json);
		cr_expect(slice_is(s, cases[i].text), "case %s: %.*s", cases[i].json, (int)s.n, s.p);
	}
	arena_finish(&a);
}

Test(json, walking_takes_members_in_order)
{
	static const char text[] = "{\"a\": 1.5, \"b\": [true, {\"x\": []}], \"c\": \"z\"}";
	struct arena a = ARENA_INIT;
	struct slice key, c = SLICE_NONE, raw = SLICE_NONE;
	struct err e = ERR_INIT;
	double d = 0;
	struct jread r;

	jread_init(&r, text, sizeof text - 1);
	cr_assert(jread_object(&r));
	while (jread_member(&r, &key)) {
		if (slice_is(key, "a"))
			jread_double(&r, &d);
		else if (slice_is(key, "b"))
			jread_skip_raw(&r, &raw);
		else
			jread_string(&r, &a, &c);
	}
	cr_expect_eq(jread_done(&r, &e), 0, "%s", e.msg);
	cr_expect_float_eq(d, 1.5, 0);
	cr_expect(slice_is(raw, "[true, {\"x\": []}]"));
	cr_expect(slice_is(c, "z"));
	jread_init(&r, text, 20);
	cr_assert(jread_object(&r));
	while (jread_member(&r, &key))
		jread_skip(&r);
	cr_expect_eq(jread_done(&r, &e), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	arena_finish(&a);
}

Test(json, writer_places_commas_and_escapes)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "s", "q\" \\ \n \x01 \xc3\xa9 \xff");
	jsonw_key(&w, "a");
	jsonw_array(&w);
	jsonw_int(&w, -3);
	jsonw_object(&w);
	jsonw_end_object(&w);
	jsonw_double(&w, 0.1);
	jsonw_double(&w, NAN);
	jsonw_end_array(&w);
	jsonw_kbool(&w, "t", true);
	jsonw_end_object(&w);
	cr_expect_str_eq(buf_cstr(&b), "{\"s\":\"q\\\" \\\\ \\n \\u0001 \xc3\xa9 \xef\xbf\xbd\","
		"\"a\":[-3,{},0.1,null],\"t\":true}");
	buf_reset(&b);
	jsonw_number(&b, 1.0 / 3);
	cr_expect_eq(strtod(buf_cstr(&b), NULL), 1.0 / 3);
	buf_finish(&b);
}
