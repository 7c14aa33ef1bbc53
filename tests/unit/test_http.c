#include <criterion/criterion.h>
#include <string.h>

#include "net/http.h"

Test(http, urls_are_checked_before_anything_is_resolved)
{
	static const char *const allowed[] = { "jaeger.example", "*.corp.example", "::1" };
	static const struct { const char *url; enum err_code any, listed; } cases[] = {
		{ "http://jaeger.example", 0, 0 },
		{ "HTTPS://JAEGER.example:16686/base", 0, 0 },
		{ "http://a.corp.example/x?y", 0, 0 },
		{ "http://a.b.corp.example", 0, 0 },
		{ "http://[::1]:80/", 0, 0 },
		{ "http://corp.example", 0, ERR_NOPERM },
		{ "http://evilcorp.example", 0, ERR_NOPERM },
		{ "http://jaeger.example.evil", 0, ERR_NOPERM },
		{ "http://127.0.0.1", 0, ERR_NOPERM },
		{ "ftp://jaeger.example", ERR_USAGE, ERR_USAGE },
		{ "file:///etc/passwd", ERR_USAGE, ERR_USAGE },
		{ "jaeger.example", ERR_USAGE, ERR_USAGE },
		{ "", ERR_USAGE, ERR_USAGE },
		{ "http://", ERR_USAGE, ERR_USAGE },
		{ "http:///path", ERR_USAGE, ERR_USAGE },
		{ "http://:80", ERR_USAGE, ERR_USAGE },
		{ "http://h:", ERR_USAGE, ERR_USAGE },
		{ "http://h:0", ERR_USAGE, ERR_USAGE },
		{ "http://h:65536", ERR_USAGE, ERR_USAGE },
		{ "http://h:80x", ERR_USAGE, ERR_USAGE },
		{ "http://[::1", ERR_USAGE, ERR_USAGE },
		{ "http://[::1]x", ERR_USAGE, ERR_USAGE },
		{ "http://user@jaeger.example", ERR_USAGE, ERR_USAGE },
		{ "http://evil.example\\@jaeger.example", ERR_USAGE, ERR_USAGE },
		{ "http://jaeger.example#@evil.example", 0, 0 },
		{ "http://jaeger.example/a b", ERR_USAGE, ERR_USAGE },
		{ "http://jaeger.example/\n", ERR_USAGE, ERR_USAGE },
		{ "http://jaeger.example%2eevil", ERR_USAGE, ERR_USAGE },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		int r = http_check_url(cases[i].url, NULL, 0, &e);

		cr_expect_eq(r == 0 ? 0 : e.code, cases[i].any, "case '%s': %s", cases[i].url, e.msg);
		e = (struct err)ERR_INIT;
		r = http_check_url(cases[i].url, allowed, 3, &e);
		cr_expect_eq(r == 0 ? 0 : e.code, cases[i].listed, "listed '%s': %s", cases[i].url, e.msg);
		/* What stands before an @ may be a password. */
		if (strchr(cases[i].url, '@') != NULL)
			cr_expect_null(strstr(e.msg, cases[i].url), "repeated: %s", e.msg);
	}
}

Test(http, contradicting_options_are_refused)
{
	static const struct { struct http_opts o; const char *why; } cases[] = {
		{ { .user = "a", .bearer = "b" }, "keep one" },
		{ { .ca_only = true }, "--ca-file" },
		{ { .bearer = "b\r\nX: y" }, "control byte" },
		{ { .user = "a", .password = "p\n" }, "control byte" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;

		cr_expect_null(http_new(&cases[i].o, &e), "case %zu", i);
		cr_expect_eq(e.code, ERR_CONFIG, "case %zu", i);
		cr_expect_not_null(strstr(e.msg, cases[i].why), "case %zu: %s", i, e.msg);
	}
}

Test(http, faults_are_told_apart)
{
	static const struct { const char *url; enum http_fault fault; enum err_code code; } cases[] = {
		{ "http://127.0.0.1:1/", HTTP_TRANSIENT, ERR_UNAVAILABLE },	/* refused */
		{ "gopher://127.0.0.1/", HTTP_FATAL, ERR_USAGE },
		{ "http://10.0.0.1/", HTTP_FATAL, ERR_NOPERM },
	};
	static const char *const allowed[] = { "127.0.0.1" };
	struct cancel c = { 0 };
	struct http_opts o = { .allowed_hosts = allowed, .n_allowed_hosts = 1, .cancel = &c };
	struct err e = ERR_INIT;
	struct http *h = http_new(&o, &e);
	struct http_response rs;

	cr_assert_not_null(h, "%s", e.msg);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_request rq = { .url = cases[i].url };

		cr_expect_eq(http_do(h, &rq, &rs, &e), -1, "case '%s'", cases[i].url);
		cr_expect_eq(rs.fault, cases[i].fault, "case '%s': %s", cases[i].url, e.msg);
		cr_expect_eq(e.code, cases[i].code, "case '%s': %s", cases[i].url, e.msg);
	}
	c.flag = 1;
	cr_expect_eq(http_do(h, &(struct http_request){ .url = "http://127.0.0.1:1/" }, &rs, &e), -1);
	cr_expect_eq(e.code, ERR_INTR, "cancelled: %s", e.msg);
	http_free(h);
	http_free(NULL);
}
