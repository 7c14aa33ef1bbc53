#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/str.h"

Test(base, err_escapes_control_bytes_and_keeps_one_line)
{
	struct err e = ERR_INIT;

	cr_expect_eq(err_set(&e, ERR_INPUT, "bad \x1b[31m\n'%s'", "a\tb"), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	cr_expect_str_eq(e.msg, "bad \\x1b[31m\\x0a'a\\x09b'");
	err_wrap(&e, "file.json");
	cr_expect_str_eq(e.msg, "file.json: bad \\x1b[31m\\x0a'a\\x09b'");
}

Test(base, numbers_are_whole_and_in_range)
{
	static const struct { const char *s; bool ok; long long v; } cases[] = {
		{ "0", true, 0 }, { "-7", true, -7 }, { "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 }, { "", false, 0 }, { " 1", false, 0 },
		{ "1 ", false, 0 }, { "+1", false, 0 }, { "0x10", false, 0 }, { "1e3", false, 0 },
	};
	static const struct { const char *s; bool ok; double v; } reals[] = {
		{ "1.5", true, 1.5 }, { "-1e-3", true, -1e-3 }, { "nan", false, 0 }, { "inf", false, 0 },
		{ "1e999", false, 0 }, { "0x1p3", false, 0 }, { "", false, 0 }, { "1,5", false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		long long v = 0;
		bool ok = slice_int(slice_str(cases[i].s), &v);

		cr_expect_eq(ok, cases[i].ok, "case '%s'", cases[i].s);
		if (ok)
			cr_expect_eq(v, cases[i].v, "case '%s'", cases[i].s);
	}
	for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
		double v = 0;
		bool ok = slice_double(slice_str(reals[i].s), &v);

		cr_expect_eq(ok, reals[i].ok, "case '%s'", reals[i].s);
		if (ok)
			cr_expect_float_eq(v, reals[i].v, 1e-12, "case '%s'", reals[i].s);
	}
}

Test(base, durations_sizes_and_times)
{
	static const struct { const char *s; double v; } durations[] = {
		{ "90", 90 }, { "1.5s", 1.5 }, { "200ms", 0.2 }, { "24h", 86400 }, { "7d", 604800 },
	};
	static const struct { const char *s; uint64_t v; } sizes[] = {
		{ "512", 512 }, { "64KiB", 65536 }, { "16M", 16 << 20 }, { "2GB", 2000000000 },
	};
	static const struct { const char *s; int64_t us; } times[] = {
		{ "1970-01-01T00:00:00Z", 0 }, { "1970-01-01", 0 }, { "@1.5", 1500000 },
		{ "2026-11-20T10:00:00Z", 1795168800000000 },
		{ "2026-11-20T10:00:00.25+01:00", 1795165200250000 },
		{ "2024-02-29T23:59:59-0130", 1709256599000000 },
	};
	static const char *const bad[] = { "tomorrow", "2026-13-01", "2026-11-20T25:00Z",
		"2026-11-20T10:00:00+99:00", "2026-11-20Tx", "" };
	struct err e = ERR_INIT;
	char text[28];

	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		double v;

		cr_expect_eq(str_duration("x", durations[i].s, &v, &e), 0, "case '%s'", durations[i].s);
		cr_expect_float_eq(v, durations[i].v, 1e-9, "case '%s'", durations[i].s);
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint64_t v;

		cr_expect_eq(str_bytes("x", sizes[i].s, &v, &e), 0, "case '%s'", sizes[i].s);
		cr_expect_eq(v, sizes[i].v, "case '%s'", sizes[i].s);
	}
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		int64_t v;

		cr_expect_eq(str_time("x", times[i].s, 0, &v, &e), 0, "case '%s'", times[i].s);
		cr_expect_eq(v, times[i].us, "case '%s': %lld", times[i].s, (long long)v);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int64_t v;

		cr_expect_eq(str_time("x", bad[i], 0, &v, &e), -1, "case '%s'", bad[i]);
	}
	cr_expect_eq(str_duration("x", "5 parsecs", &(double){ 0 }, &e), -1);
	str_iso8601(1795168800250001, text);
	cr_expect_str_eq(text, "2026-11-20T10:00:00.250001Z");
}

Test(base, utf8_follows_rfc_3629)
{
	static const struct { const char *s; size_t n, bad; } cases[] = {
		{ "plain", 5, 5 }, { "\xc3\xa9", 2, 2 }, { "\xf0\x9f\x98\x80", 4, 4 },
		{ "a\xc0\x80", 3, 1 }, { "\xed\xa0\x80", 3, 0 }, { "\xf4\x90\x80\x80", 4, 0 },
		{ "\xe2\x82", 2, 0 }, { "12345678\xff", 9, 8 }, { "\xe0\x80\x80", 3, 0 },
	};
	char out[4];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		cr_expect_eq(utf8_valid(cases[i].s, cases[i].n), cases[i].bad, "case %zu", i);
	for (uint32_t cp = 1; cp < 0x110000; cp += 17) {
		const char *p = out;
		size_t n = utf8_put(cp, out);

		if (cp >= 0xd800 && cp < 0xe000)
			continue;
		cr_assert_eq(utf8_next(&p, out + n), cp, "U+%04X", (unsigned)cp);
		cr_assert_eq(p, out + n, "U+%04X", (unsigned)cp);
	}
}

Test(base, distance_counts_edits)
{
	cr_expect_eq(str_distance("train", "train"), 0);
	cr_expect_eq(str_distance("trian", "train"), 1);
	cr_expect_eq(str_distance("trn", "train"), 2);
	cr_expect_eq(str_distance("", "abc"), 3);
}

Test(base, map_keeps_order_and_finds)
{
	struct map m = MAP_INIT;
	struct err e = ERR_INIT;
	char key[16];
	bool added;

	for (int i = 0; i < 5000; i++) {
		int n = snprintf(key, sizeof key, "k%d", i);

		cr_assert_eq(map_intern(&m, key, (size_t)n, &added, &e), (size_t)i);
		cr_assert(added);
	}
	cr_expect_eq(map_intern(&m, "k77", 3, &added, &e), 77);
	cr_expect_not(added);
	cr_expect_eq(map_find(&m, "k4999", 5), 4999);
	cr_expect_eq(map_find(&m, "k5000", 5), MAP_NONE);
	cr_expect_str_eq(m.keys[123], "k123");
	map_finish(&m);
}

Test(base, output_appears_whole_or_not_at_all)
{
	char dir[] = "/tmp/llmr-unit-XXXXXX", path[64];
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct io_out o;

	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/x", dir);
	cr_assert_eq(io_out_open(&o, path, 0644, &e), 0);
	cr_assert_eq(io_out_write(&o, "abc", 3, &e), 0);
	cr_expect_not(io_exists(path), "nothing shows before the commit");
	cr_assert_eq(io_out_commit(&o, &e), 0);
	cr_assert_eq(io_read_file(path, 100, &b, &e), 0);
	cr_expect_str_eq(buf_cstr(&b), "abc");
	cr_assert_eq(io_out_open(&o, path, 0644, &e), 0);
	cr_assert_eq(io_out_write(&o, "def", 3, &e), 0);
	io_out_abort(&o);
	buf_reset(&b);
	cr_assert_eq(io_read_file(path, 100, &b, &e), 0);
	cr_expect_str_eq(buf_cstr(&b), "abc");
	cr_expect_eq(io_read_file(path, 2, &b, &e), -1);
	cr_expect_eq(e.code, ERR_INPUT);
	cr_expect_eq(io_read_file(dir, 100, &b, &e), -1);
	cr_expect_eq(e.code, ERR_NOINPUT);
	(void)unlink(path);
	cr_expect_eq(rmdir(dir), 0, "no temporary file is left");
	buf_finish(&b);
}

static void
add_part(void *arg, size_t part, unsigned worker)
{
	(void)worker;
	((double *)arg)[part] = (double)(part * part);
}

Test(base, pool_runs_every_part_once)
{
	struct err e = ERR_INIT;
	double out[1000];

	for (unsigned threads = 1; threads <= 4; threads++) {
		struct pool *p = pool_new(threads, &e);

		cr_assert_not_null(p);
		for (int round = 0; round < 50; round++) {
			memset(out, 0, sizeof out);
			pool_run(p, 1000, add_part, out);
			for (size_t i = 0; i < 1000; i++)
				cr_assert_float_eq(out[i], (double)(i * i), 0);
		}
		pool_free(p);
	}
}

Test(base, generator_is_the_published_one)
{
	/* splitmix64(0) begins with e220a8397b1dcdaf (Vigna's reference), so the first state word is that. */
	struct rng r, s;
	double mean = 0, sq = 0;

	rng_seed(&r, 0);
	cr_expect_eq(r.s[0], 0xe220a8397b1dcdafu);
	s = r;
	cr_expect_eq(rng_u64(&r), rng_u64(&s));
	for (int i = 0; i < 20000; i++) {
		double v = rng_normal(&r);

		mean += v / 20000;
		sq += v * v / 20000;
	}
	cr_expect_lt(fabs(mean), 0.03);
	cr_expect_lt(fabs(sq - 1), 0.05);
	r = rng_split(7, 0);
	s = rng_split(7, 1);
	cr_expect_neq(rng_u64(&r), rng_u64(&s));
}
