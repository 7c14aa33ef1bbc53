#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "data/candidates.h"

Test(candidates, both_forms)
{
	static const char json[] = "{\"a/\\u0062\":{\"provider\":\"p\",\"capabilities\":[\"tools\",\"vision\"],"
		"\"cost_per_1k_tokens\":{\"input\":0.5,\"output\":1.5},\"quality_score\":0.9,\"x\":[1]},"
		"\"c\":{\"input_price\":250,\"output_price\":null},\"d\":{}}";
	struct err e = ERR_INIT;
	struct candidates *c = candidates_parse(json, strlen(json), "t", &e);
	const struct candidate *m;

	cr_assert_not_null(c, "%s", e.msg);
	cr_expect_eq(c->names.len, 3);
	m = candidates_find(c, SLICE_LIT("a/b"));
	cr_assert_not_null(m);
	cr_expect(slice_is(m->provider, "p") && m->n_capabilities == 2);
	cr_expect(m->usd_per_1k_input == 0.5 && m->usd_per_1k_output == 1.5 && m->quality_score == 0.9);
	m = candidates_find(c, SLICE_LIT("c"));
	cr_assert_not_null(m);
	cr_expect_eq(m->usd_per_1k_input, 0.25, "prices a million tokens");
	cr_expect(isnan(m->usd_per_1k_output));
	cr_expect_null(candidates_find(c, SLICE_LIT("z")));
	candidates_free(c);
}

Test(candidates, bad_files)
{
	static const struct { const char *json, *says; } cases[] = {
		{ "[]", "t: a JSON object of models" }, { "{\"a\":1}", "model \"a\"" }, { "{\"a\":{}", "t: " },
		{ "{\"a\":{\"quality_score\":2}}", "quality_score\": out of range" },
		{ "{\"a\":{\"cost_per_1k_tokens\":{\"input\":-1}}}", "input\": out of range" },
		{ "{\"a\":{\"cost_per_1k_tokens\":1}}", "an object with" },
		{ "{\"a\":{\"capabilities\":\"x\"}}", "array of strings" },
		{ "{\"a\":{},\"a\":{}}", "stands twice" }, { "{\"\":{}}", "name is missing" }, { "", "t: " },
		{ "{\"a\":{\"provider\":3}}", "a string expected" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;

		cr_expect_null(candidates_parse(cases[i].json, strlen(cases[i].json), "t", &e), "case %zu", i);
		cr_expect_eq(e.code, ERR_INPUT, "case %zu", i);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "case %zu: %s", i, e.msg);
	}
}
