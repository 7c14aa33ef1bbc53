#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "fmt/jscan.h"

#define BLOCKS 40
#define BYTES (BLOCKS * JSCAN_BLOCK)

/* Byte by byte, with nothing clever: what the bitmaps must say. */
static void
naive(const char *p, size_t n, struct jscan_masks *m)
{
	bool in = false, escaped = false;

	memset(m, 0, sizeof *m);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		uint64_t bit = (uint64_t)1 << (i % 64);
		bool was_escaped = escaped, quote = c == '"' && !was_escaped;

		escaped = c == '\\' && !was_escaped;
		if (!in && (c == '{' || c == '}' || c == '[' || c == ']'))
			m->events[i / 64] |= bit;
		if (in && c < 0x20)
			m->control[i / 64] |= bit;
		if (c == '\n')
			m->newline[i / 64] |= bit;
		if (c >= 0x80)
			m->high |= (uint64_t)1 << (i / 64);
		if (quote)
			in = !in;
	}
}

static void
fill(char *p, size_t n, struct rng *r)
{
	static const char special[] = "\"\\{}[]\n\\\\\"ulitelm.gen_0:,";

	for (size_t i = 0; i < n; i++) {
		uint64_t k = rng_below(r, 64);

		p[i] = k < sizeof special - 1 ? special[k] : (char)rng_below(r, k < 60 ? 128 : 256);
	}
}

Test(jscan, bits_are_those_of_a_plain_loop_at_every_level)
{
	static const enum jscan_level levels[] = { JSCAN_PORTABLE, JSCAN_AVX2, JSCAN_AVX512 };
	char *p = malloc(BYTES + JSCAN_AHEAD);
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned round = 0; round < 200; round++) {
		static struct jscan_masks want, got;

		fill(p, BYTES + JSCAN_AHEAD, &r);
		if (round % 3 == 0)
			memset(p + 60, '\\', 1 + round % 9);
		naive(p, BYTES, &want);
		for (size_t l = 0; l < 3; l++) {
			struct jscan_state st = { 0 };

			if (!jscan_can(levels[l]))
				continue;
			jscan_run(levels[l], p, BLOCKS, NULL, &st, &got);
			for (size_t b = 0; b < BLOCKS; b++) {
				cr_assert_eq(got.events[b], want.events[b], "%s block %zu", jscan_name(levels[l]), b);
				cr_assert_eq(got.control[b], want.control[b], "%s", jscan_name(levels[l]));
				cr_assert_eq(got.newline[b], want.newline[b], "%s", jscan_name(levels[l]));
			}
			cr_assert_eq(got.high, want.high);
		}
	}
	free(p);
}

Test(jscan, marks_are_the_same_at_every_level_and_miss_nothing)
{
	static const char *const texts[] = { "gen_ai.prompt\"", "llm.", "x\"", "openinference.span.kind\"" };
	static const enum jscan_level levels[] = { JSCAN_AVX2, JSCAN_AVX512 };
	char *p = malloc(BYTES + JSCAN_AHEAD);
	struct jscan_marks marks = { 0 };
	struct rng r;

	for (unsigned i = 0; i < 4; i++)
		jscan_mark(&marks, (unsigned char)texts[i][0], texts[i], strlen(texts[i]));
	rng_seed(&r, 11);
	for (unsigned round = 0; round < 200; round++) {
		static struct jscan_masks want, got;
		struct jscan_state st = { 0 };
		size_t at = 1 + round;

		fill(p, BYTES + JSCAN_AHEAD, &r);
		/* Before the first string begins: a whole known one. */
		for (size_t i = 0; i < at; i++)
			p[i] = ' ';
		p[at] = '"';
		memcpy(p + at + 1, texts[round % 4], strlen(texts[round % 4]));
		jscan_run(JSCAN_PORTABLE, p, BLOCKS, &marks, &st, &want);
		cr_expect_eq(want.events[at / 64] >> (at % 64) & 1, 1, "%s at %zu", texts[round % 4], at);
		for (size_t l = 0; l < 2; l++) {
			st = (struct jscan_state){ 0 };
			if (!jscan_can(levels[l]))
				continue;
			jscan_run(levels[l], p, BLOCKS, &marks, &st, &got);
			cr_assert_eq(memcmp(got.events, want.events, BLOCKS * sizeof *got.events), 0, "%s",
				jscan_name(levels[l]));
		}
	}
	free(p);
}

Test(jscan, a_state_goes_on_where_the_last_block_ended)
{
	char p[BYTES + JSCAN_AHEAD];
	static struct jscan_masks whole, part;
	struct jscan_state a = { 0 }, b = { 0 };
	struct rng r;

	rng_seed(&r, 3);
	fill(p, sizeof p, &r);
	memset(p + 64 * 3 - 5, '\\', 5);
	jscan_run(jscan_best(), p, BLOCKS, NULL, &a, &whole);
	for (size_t i = 0; i < BLOCKS; i++) {
		jscan_run(jscan_best(), p + i * 64, 1, NULL, &b, &part);
		cr_assert_eq(part.events[0], whole.events[i], "block %zu", i);
	}
	cr_assert_eq(memcmp(&a, &b, sizeof a), 0);
}

Test(jscan, the_first_special_byte_is_found)
{
	char p[80];

	for (size_t n = 0; n < sizeof p; n++)
		for (size_t at = 0; at <= n; at++) {
			memset(p, 'x', sizeof p);
			if (at < n)
				p[at] = "\"\\\n"[at % 3];
			cr_assert_eq(jscan_special(p, p + n), p + at, "%zu of %zu", at, n);
		}
}

Test(jscan, utf8_agrees_with_the_plain_check)
{
	static const char *const parts[] = { "abc", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80", "\xff",
		"\xed\xa0\x80", "\xc0\x80", "\xe4\xb8", "0123456789012345678901234567890123456789" };
	struct rng r;

	rng_seed(&r, 5);
	for (unsigned round = 0; round < 4000; round++) {
		char p[512];
		size_t n = 0;

		while (n < 400 && rng_below(&r, 20) != 0) {
			uint64_t k = rng_below(&r, rng_below(&r, 4) == 0 ? 9 : 4);

			if (k == 3 && rng_below(&r, 2) == 0)
				k = 8;
			memcpy(p + n, parts[k], strlen(parts[k]));
			n += strlen(parts[k]);
		}
		cr_assert_eq(jscan_utf8(p, n), utf8_valid(p, n), "round %u", round);
	}
}
