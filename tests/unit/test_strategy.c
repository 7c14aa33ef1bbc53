#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "serve/strategy.h"

#define N 3

struct field {
	struct backends *table;
	struct router_settings s;
	struct deployment d[N];
	struct pick p[N];
	struct rng rng;
	struct ask a;
};

static void
setup(struct field *f, enum strategy s)
{
	static const char *const ids[N] = { "a", "b", "c" };
	struct err e = ERR_INIT;

	memset(f, 0, sizeof *f);
	f->table = backends_new(&e);
	cr_assert_not_null(f->table);
	f->s = (struct router_settings){ .cooldowns = true, .allowed_fails = -1, .cooldown_time = 60,
		.latency_samples = 10, .latency_ttl = 3600, .ttft_percentile = -1 };
	for (size_t i = 0; i < N; i++) {
		f->d[i] = (struct deployment){ .id = ids[i], .group = "g", .order = INT32_MAX, .input_cost = NAN,
			.output_cost = NAN };
		f->p[i] = (struct pick){ &f->d[i], backends_get(f->table, ids[i], &e), false };
	}
	rng_seed(&f->rng, 7);
	f->a = (struct ask){ &f->s, s, false, 10, &f->rng };
}

static void
draw(struct field *f, size_t n, size_t count[N])
{
	enum none why;

	memset(count, 0, N * sizeof *count);
	for (size_t i = 0; i < n; i++) {
		size_t k = strategy_choose(&f->a, f->p, N, &why, NULL);

		cr_assert_lt(k, N);
		count[k]++;
	}
}

static void
call(struct field *f, size_t i, struct outcome o)
{
	backend_begin(f->p[i].b);
	backend_end(f->p[i].b, &f->s, &o);
}

Test(strategy, shuffle_weighs_by_the_first_property_that_any_has)
{
	struct field f;
	size_t count[N];

	setup(&f, STRATEGY_SHUFFLE);
	draw(&f, 30000, count);
	for (size_t i = 0; i < N; i++)
		cr_expect_float_eq((double)count[i] / 30000, 1.0 / N, 0.02, "uniform without weights");
	f.d[0].rpm = 1000;
	f.d[1].weight = 3;
	f.d[2].weight = 1;
	draw(&f, 30000, count);
	cr_expect_eq(count[0], 0, "a missing weight is never drawn, whatever the rpm");
	cr_expect_float_eq((double)count[1] / 30000, 0.75, 0.02);
	f.d[1].weight = f.d[2].weight = 0;
	draw(&f, 100, count);
	cr_expect_eq(count[0], 100, "then rpm");
	backends_free(f.table);
}

Test(strategy, least_busy_takes_the_first_of_equals)
{
	struct field f;
	enum none why;

	setup(&f, STRATEGY_LEAST_BUSY);
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 0);
	backend_begin(f.p[0].b);
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 1);
	backend_begin(f.p[1].b);
	backend_begin(f.p[2].b);
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 0);
	backends_free(f.table);
}

Test(strategy, latency_tries_what_was_never_asked_then_the_quickest_within_the_buffer)
{
	struct field f;
	size_t count[N];

	setup(&f, STRATEGY_LATENCY);
	call(&f, 0, (struct outcome){ .ok = true, .status = 200, .seconds = 2, .completion_tokens = 10, .ttft_seconds = NAN });
	call(&f, 1, (struct outcome){ .ok = true, .status = 200, .seconds = 0.21, .ttft_seconds = NAN });
	draw(&f, 50, count);
	cr_expect_eq(count[2], 50, "never asked counts as 0 seconds");
	call(&f, 2, (struct outcome){ .timed_out = true, .alone = true, .ttft_seconds = NAN });
	draw(&f, 50, count);
	cr_expect_eq(count[0], 50, "0.2 s a token beats 0.21 s and a time-out");
	f.s.lowest_latency_buffer = 0.1;
	draw(&f, 2000, count);
	cr_expect_eq(count[2], 0);
	cr_expect_float_eq((double)count[1] / 2000, 0.5, 0.05, "both are within a tenth");
	backends_free(f.table);
}

Test(strategy, cost_is_the_plain_sum_and_nothing_told_is_dear)
{
	struct field f;
	enum none why;

	setup(&f, STRATEGY_COST);
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 0);
	f.d[1].input_cost = 1e-6;
	f.d[1].output_cost = 3e-6;
	f.d[2].input_cost = 2e-6;
	f.d[2].output_cost = 1e-6;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 2);
	f.d[2].input_cost = 0;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 1, "a cost of 0 counts as not told");
	backends_free(f.table);
}

Test(strategy, usage_takes_the_least_tokens_and_keeps_limits)
{
	struct field f;
	enum none why;

	setup(&f, STRATEGY_USAGE);
	call(&f, 0, (struct outcome){ .ok = true, .status = 200, .tokens = 100, .ttft_seconds = NAN });
	call(&f, 1, (struct outcome){ .ok = true, .status = 200, .tokens = 50, .ttft_seconds = NAN });
	call(&f, 2, (struct outcome){ .ok = true, .status = 200, .tokens = 70, .ttft_seconds = NAN });
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 1);
	f.d[1].tpm = 59;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 2, "50 and 10 are more than 59");
	f.d[2].rpm = 1;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 0, "its one request of the minute is used");
	f.d[2].rpm = 2;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), 2, "a limit of 2 admits 2");
	f.d[0].rpm = f.d[2].rpm = 1;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), STRATEGY_NONE);
	cr_expect_eq(why, NONE_LIMIT);
	backends_free(f.table);
}

Test(strategy, round_robin_is_smooth)
{
	static const size_t turn[] = { 0, 0, 1, 0, 2, 0, 0 };	/* weights 5, 1, 1, as nginx's */
	struct field f;
	enum none why;

	setup(&f, STRATEGY_WEIGHTED);
	f.d[0].weight = 5;
	f.d[1].weight = f.d[2].weight = 1;
	for (size_t i = 0; i < 2 * sizeof turn / sizeof turn[0]; i++)
		cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), turn[i % 7], "turn %zu", i);
	backends_free(f.table);
}

Test(strategy, order_cooldown_and_context_come_first)
{
	struct field f;
	enum none why;
	size_t count[N];

	setup(&f, STRATEGY_SHUFFLE);
	f.d[0].order = 1;
	f.d[1].order = 2;
	draw(&f, 50, count);
	cr_expect_eq(count[0], 50, "only the lowest order");
	call(&f, 0, (struct outcome){ .status = 429, .ttft_seconds = NAN });
	draw(&f, 50, count);
	cr_expect_eq(count[1], 50, "429 sets it aside at once");
	f.s.pre_call_checks = true;
	f.d[1].context_tokens = 5;
	draw(&f, 50, count);
	cr_expect_eq(count[2], 50, "a prompt of 10 tokens does not fit into 5");
	f.p[2].tried = true;
	cr_expect_eq(strategy_choose(&f.a, f.p, N, &why, NULL), STRATEGY_NONE);
	backends_free(f.table);
}

Test(strategy, cooldowns_follow_the_share_of_failures)
{
	struct field f;
	const struct outcome bad = { .status = 500, .ttft_seconds = NAN }, good = { .ok = true, .status = 200, .ttft_seconds = NAN };
	struct outcome alone = bad;

	setup(&f, STRATEGY_SHUFFLE);
	for (int i = 0; i < 4; i++)
		call(&f, 0, bad);
	cr_expect(backend_in_service(f.p[0].b, clock_mono_ns()), "four are too few to judge");
	call(&f, 0, bad);
	cr_expect_not(backend_in_service(f.p[0].b, clock_mono_ns()));
	for (int i = 0; i < 5; i++)
		call(&f, 1, i < 3 ? good : bad);
	cr_expect(backend_in_service(f.p[1].b, clock_mono_ns()), "two of five are no majority");
	alone.alone = true;
	for (int i = 0; i < 20; i++)
		call(&f, 2, alone);
	cr_expect(backend_in_service(f.p[2].b, clock_mono_ns()), "the only one of a group goes on");
	f.s.allowed_fails = 2;
	call(&f, 1, bad);
	cr_expect_not(backend_in_service(f.p[1].b, clock_mono_ns()), "the third of two allowed");
	backends_free(f.table);
}

Test(strategy, propensity_is_the_share_of_the_draws)
{
	static const enum strategy all[] = { STRATEGY_SHUFFLE, STRATEGY_LATENCY, STRATEGY_USAGE };

	for (size_t k = 0; k < 4; k++) {
		struct field f;
		double told[N] = { 0 };
		size_t count[N] = { 0 };
		enum none why;

		setup(&f, all[k % 3]);
		if (k == 3) {
			f.d[0].weight = 5;
			f.d[2].weight = 2;
		}
		for (size_t i = 0; i < 30000; i++) {
			double p = 0;
			size_t c = strategy_choose(&f.a, f.p, N, &why, &p);

			cr_assert(told[c] <= 0 || fabs(told[c] - p) < 1e-12, "the same for the same field");
			told[c] = p;
			count[c]++;
		}
		for (size_t i = 0; i < N; i++)
			cr_expect_float_eq((double)count[i] / 30000, told[i], 0.015, "%zu of %zu", i, k);
		backends_free(f.table);
	}
}
