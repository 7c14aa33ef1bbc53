#include <criterion/criterion.h>

#include "net/retry.h"

/* 2026-11-20T10:00:00Z */
#define NOW_US (INT64_C(1795168800) * 1000000)

Test(retry, retry_after_in_its_four_forms)
{
	static const struct { const char *v; bool ok; double seconds; } cases[] = {
		{ "0", true, 0 }, { "120", true, 120 }, { " 7 ", true, 7 }, { "-1", false, 0 },
		{ "", false, 0 }, { "soon", false, 0 }, { "1.5", false, 0 },
		{ "Fri, 20 Nov 2026 10:01:30 GMT", true, 90 },
		{ "Friday, 20-Nov-26 10:00:05 GMT", true, 5 },
		{ "Fri Nov 20 10:00:01 2026", true, 1 },
		{ "Fri Nov  6 10:00:01 2026", true, 0 },	/* past */
		{ "Thu, 01 Jan 1970 00:00:00 GMT", true, 0 },
		{ "Sat, 20 Nov 2027 10:00:00 GMT", true, 365 * 86400.0 },
		{ "Fri, 20 Nov 2026 10:01:30 CET", false, 0 },
		{ "Fri, 20 Nov 2026 10:01:30", false, 0 },
		{ "Fri, 20 Foo 2026 10:01:30 GMT", false, 0 },
		{ "Fri, 40 Nov 2026 10:01:30 GMT", false, 0 },
		{ "Fri, 20 Nov 2026 25:01:30 GMT", false, 0 },
		{ "Fri, 20 Nov 2026 10:01:30 GMT and more", false, 0 },
		{ "99999999999999999999", false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double s = -5;
		bool ok = retry_after_parse(cases[i].v, NOW_US, &s);

		cr_expect_eq(ok, cases[i].ok, "case '%s'", cases[i].v);
		if (ok && cases[i].ok)
			cr_expect_float_eq(s, cases[i].seconds, 1e-6, "case '%s': %f", cases[i].v, s);
	}
}

Test(retry, delays_grow_to_the_cap_with_jitter)
{
	struct retry_policy p = { .tries = 12, .base = 0.5, .cap = 30, .max_wait = 300 };
	struct rng rng;
	double whole = 0.5, first = -1;
	bool varies = false;

	rng_seed(&rng, 7);
	for (unsigned n = 1; n < p.tries; n++) {
		double d = retry_delay(&p, n, -1, &rng);

		cr_expect(d >= whole / 2 && d <= whole, "try %u: %f of %f", n, d, whole);
		if (first < 0)
			first = d / whole;
		varies |= d / whole != first;
		whole = whole * 2 > p.cap ? p.cap : whole * 2;
	}
	cr_expect(varies, "no jitter");
	cr_expect_lt(retry_delay(&p, p.tries, -1, &rng), 0, "no try is left");
	cr_expect_geq(retry_delay(&p, 1, 60, &rng), 60, "Retry-After is the least");
	cr_expect_lt(retry_delay(&p, 1, 301, &rng), 0, "too long a wait means giving up");
}

Test(retry, statuses_and_cancelling)
{
	static const long again[] = { 408, 425, 429, 500, 502, 503, 504 };
	static const long never[] = { 200, 301, 400, 401, 403, 404, 409, 501 };
	struct cancel c = { 1 };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		cr_expect(retry_status(again[i]), "%ld", again[i]);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		cr_expect_not(retry_status(never[i]), "%ld", never[i]);
	cr_expect_eq(retry_sleep(1000, &c, &e), -1);
	cr_expect_eq(e.code, ERR_INTR);
	cr_expect_eq(retry_sleep(0.001, NULL, &e), 0);
}
