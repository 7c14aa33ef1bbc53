#include <criterion/criterion.h>
#include <string.h>

#include "base/str.h"
#include "net/jaegerquery.h"

Test(jaegerquery, url_has_every_part_encoded)
{
	static const char *const tags[] = { "error=true", "a b=c\"d&e=\xc3\xa9" };
	static const struct { const char *base, *want; } cases[] = {
		{ "http://h:1", "http://h:1/api/traces?" },
		{ "http://h:1/", "http://h:1/api/traces?" },
		{ "http://h:1/jaeger/", "http://h:1/jaeger/api/traces?" },
		{ "http://h:1/api/traces", "http://h:1/api/traces?" },
		{ "http://h:1/api/traces?service=x", "http://h:1/api/traces?" },
		{ "http://h:1/api/", "http://h:1/api/traces?" },
	};
	struct jaegerquery q = { .service = "lite llm/x", .operation = "POST /v1", .tags = tags,
		.n_tags = 2 };
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		q.url = cases[i].base;
		buf_reset(&b);
		cr_assert_eq(jaegerquery_url(&q, 5, 1795168800000000, 20, &b, &e), 0);
		cr_expect(slice_starts((struct slice){ b.p, b.len }, cases[i].want), "%s", b.p);
		cr_expect_str_eq(strchr(b.p, '?') + 1,
			"service=lite%20llm%2Fx&operation=POST%20%2Fv1&start=5&end=1795168800000000&limit=20"
			"&raw=true&tags=%7B%22error%22%3A%22true%22%2C%22a%20b%22%3A%22c%5C%22d%26e%3D%C3%A9%22%7D");
	}
	buf_finish(&b);
}

Test(jaegerquery, tags_and_service_are_checked)
{
	static const char *const bad[] = { "novalue", "=x", "" };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < 3; i++) {
		struct jaegerquery q = { .service = "s", .tags = &bad[i], .n_tags = 1 };

		cr_expect_eq(jaegerquery_check(&q, &e), -1, "case '%s'", bad[i]);
		cr_expect_eq(e.code, ERR_USAGE);
	}
	cr_expect_eq(jaegerquery_check(&(struct jaegerquery){ .service = "" }, &e), -1);
	cr_expect_eq(jaegerquery_check(&(struct jaegerquery){ .service = "s" }, &e), 0);
}
