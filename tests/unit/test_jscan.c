#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "fmt/jscan.h"

#define BLOCKS 40
#define BYTES (BLOCKS * JSCAN_BLOCK)

/* Byte by byte, with nothing clever: what the scan must say, without marks. */
static void
naive(const char *p, size_t n, bool newlines, struct jscan_found *m)
{
	bool in = false, escaped = false;

	memset(m, 0, sizeof *m);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		uint64_t bit = (uint64_t)1 << (i % 64);
		bool was_escaped = escaped, quote = c == '"' && !was_escaped, control = in && c < 0x20;

		escaped = c == '\\' && !was_escaped;
		if ((!in && (c == '{' || c == '}' || c == '[' || c == ']')) || control ||
		    (newlines && c == '\n'))
			m->place[m->n++] = (uint16_t)i;
		if (control)
			m->control[i / 64] |= bit;
		if (c == '\n')
			m->newline[i / 64] |= bit;
		if (c < 0x20)
			m->low |= (uint64_t)1 << (i / 64);
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
	static const enum jscan_level levels[] = { JSCAN_PORTABLE, JSCAN_SSE2, JSCAN_AVX2,
		JSCAN_AVX512 };
	char *p = malloc(BYTES + JSCAN_AHEAD);
	struct rng r;

	rng_seed(&r, 7);
	for (unsigned round = 0; round < 200; round++) {
		static struct jscan_found want, got;

		fill(p, BYTES + JSCAN_AHEAD, &r);
		if (round % 3 == 0)
			memset(p + 60, '\\', 1 + round % 9);
		naive(p, BYTES, round % 2 == 0, &want);
		for (size_t l = 0; l < 4; l++) {
			struct jscan_state st = { 0 };

			if (!jscan_can(levels[l]))
				continue;
			jscan_run(levels[l], p, BLOCKS, NULL, round % 2 == 0, &st, &got);
			cr_assert_eq(got.n, want.n, "%s", jscan_name(levels[l]));
			for (size_t k = 0; k < got.n; k++)
				cr_assert_eq(got.place[k], want.place[k], "%s place %zu", jscan_name(levels[l]), k);
			cr_assert_eq(got.low, want.low, "%s", jscan_name(levels[l]));
			for (size_t b = 0; b < BLOCKS; b++) {
				if ((want.low >> b & 1) == 0)
					continue;
				cr_assert_eq(got.control[b], want.control[b], "%s", jscan_name(levels[l]));
				cr_assert_eq(got.newline[b], want.newline[b], "%s", jscan_name(levels[l]));
			}
			cr_assert_eq(got.high, want.high);
		}
	}
	free(p);
}

static bool
has_place(const struct jscan_found *f, size_t at)
{
	for (size_t k = 0; k < f->n; k++)
		if (f->place[k] == at)
			return true;
	return false;
}

Test(jscan, marked_strings_are_not_missed_and_few_others_found)
{
	static const char *const texts[] = { "gen_ai.prompt\"", "llm.", "x\"", "openinference.span.kind\"" };
	static const enum jscan_level levels[] = { JSCAN_PORTABLE, JSCAN_SSE2, JSCAN_AVX2,
		JSCAN_AVX512 };
	char *p = malloc(BYTES + JSCAN_AHEAD);
	struct jscan_marks marks = { 0 };
	struct rng r;

	for (unsigned i = 0; i < 4; i++)
		jscan_mark(&marks, (unsigned char)texts[i][0], texts[i], strlen(texts[i]));
	rng_seed(&r, 11);
	for (unsigned round = 0; round < 800; round++) {
		static struct jscan_found plain, got;
		enum jscan_level level = levels[round % 4];
		struct jscan_state st = { 0 };
		size_t at = 1 + round / 4, k = 0;

		if (!jscan_can(level))
			continue;
		fill(p, BYTES + JSCAN_AHEAD, &r);
		/* Before the first string begins: a whole known one. */
		memset(p, ' ', at);
		p[at] = '"';
		memcpy(p + at + 1, texts[round % 4], strlen(texts[round % 4]));
		naive(p, BYTES, false, &plain);
		jscan_run(level, p, BLOCKS, &marks, false, &st, &got);
		cr_expect(has_place(&got, at), "%s: %s at %zu", jscan_name(level), texts[round % 4], at);
		/* The rest is there still; what was added is a quote or begins \u00. */
		for (size_t i = 0; i < got.n; i++) {
			if (k < plain.n && got.place[i] == plain.place[k])
				k++;
			else
				cr_assert(p[got.place[i]] == '"' || strncmp(p + got.place[i], "\\u00", 4) == 0);
		}
		cr_expect_eq(k, plain.n, "%s", jscan_name(level));
	}
	/* Common names of the format are no marks. */
	{
		static struct jscan_found got;
		struct jscan_state st = { 0 };
		static const char text[] = "\"traceID\":\"type\",\"key\":\"value\",\"string\":\"operationName\"";

		memset(p, ' ', BYTES + JSCAN_AHEAD);
		memcpy(p, text, sizeof text - 1);
		jscan_run(jscan_best(), p, 4, &marks, false, &st, &got);
		cr_expect_eq(got.n, 0);
	}
	free(p);
}

Test(jscan, a_state_goes_on_where_the_last_block_ended)
{
	char p[BYTES + JSCAN_AHEAD];
	static struct jscan_found whole, part;
	struct jscan_state a = { 0 }, b = { 0 };
	struct rng r;

	rng_seed(&r, 3);
	fill(p, sizeof p, &r);
	memset(p + 64 * 3 - 5, '\\', 5);
	jscan_run(jscan_best(), p, BLOCKS, NULL, false, &a, &whole);
	for (size_t i = 0, k = 0; i < BLOCKS; i++) {
		jscan_run(jscan_best(), p + i * 64, 1, NULL, false, &b, &part);
		for (size_t j = 0; j < part.n; j++)
			cr_assert_eq(part.place[j] + i * 64, whole.place[k++], "block %zu", i);
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
