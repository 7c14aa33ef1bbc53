#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "embed/terms.h"
#include "embed/vocab.h"

static struct terms
of(const char *text, size_t max_bytes)
{
	struct terms t;

	cr_assert(terms_init(&t, max_bytes, NULL) == 0);
	terms_of(&t, slice_str(text));
	return t;
}

static bool
same(const struct terms *a, const struct terms *b)
{
	return a->n_words == b->n_words && a->n_chars == b->n_chars &&
		(a->n_words == 0 || memcmp(a->words, b->words, a->n_words * 8) == 0) &&
		(a->n_chars == 0 || memcmp(a->chars, b->chars, a->n_chars * 8) == 0);
}

/* As scikit-learn 1.9's CountVectorizer counts words and char_wb 3-5, but for words of Han. */
Test(terms, counts)
{
	static const struct {
		const char *text;
		size_t words, chars;
	} cases[] = {
		{ "", 0, 0 },
		{ " \t\n", 0, 0 },
		{ "a", 0, 1 },
		{ "ab", 1, 3 },
		{ "abc", 1, 6 },
		{ "abcd", 1, 9 },
		{ "hello world", 3, 24 },
		{ "a b c", 0, 3 },
		{ "x += y_1;", 1, 1 + 3 + 9 },
		{ "foo(bar)", 3, 21 },
		/* code points, not bytes */
		{ "\xc3\xa9t\xc3\xa9", 1, 6 },
		{ "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", 1, 15 },
		/* each Han character is a word */
		{ "\xe4\xbd\xa0\xe5\xa5\xbd", 3, 3 },
		{ "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 5, 6 },
		{ "\xe7\x94\xa8python\xe5\x86\x99", 5, 21 },
		/* ideographic full stop and space */
		{ "\xe4\xbd\xa0\xe3\x80\x82\xe5\xa5\xbd", 3, 6 },
		{ "\xe4\xbd\xa0\xe3\x80\x80\xe5\xa5\xbd", 3, 2 },
		/* invalid bytes, each one U+FFFD */
		{ "\xff\xfe", 0, 3 },
		{ "ab\xc3", 1, 6 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct terms t = of(cases[i].text, 64);

		cr_expect(t.n_words == cases[i].words, "case %zu: %zu words", i, t.n_words);
		cr_expect(t.n_chars == cases[i].chars, "case %zu: %zu grams", i, t.n_chars);
		terms_finish(&t);
	}
}

Test(terms, equal_and_different)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "Hello WORLD", "hello world", true },
		{ "hello   world\n", "hello world", true },
		{ "\xc3\x89T\xc3\x89", "\xc3\xa9t\xc3\xa9", true },
		{ "\xce\x91\xce\xa3", "\xce\xb1\xcf\x83", true },
		{ "\xd0\x9f\xd0\x81", "\xd0\xbf\xd1\x91", true },
		{ "\xc5\xb8", "\xc3\xbf", true },
		{ "a\xc2\xa0""b", "a b", true },
		{ "hello world", "world hello", false },
		{ "abc", "abd", false },
		{ "ab cd", "abcd", false },
		{ "\xe4\xbd\xa0\xe5\xa5\xbd", "\xe5\xa5\xbd\xe4\xbd\xa0", false },
		{ "\xc3\x97", "\xc3\xb7", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct terms a = of(cases[i].a, 64), b = of(cases[i].b, 64);

		cr_expect(same(&a, &b) == cases[i].same, "case %zu", i);
		terms_finish(&a);
		terms_finish(&b);
	}
}

Test(terms, hashes_tell_words_from_grams)
{
	struct terms t = of("the quick brown fox jumps over the lazy dog", 64);

	for (size_t i = 0; i < t.n_words; i++)
		cr_expect(t.words[i] >> 63 == 0);
	for (size_t i = 0; i < t.n_chars; i++)
		cr_expect(t.chars[i] >> 63 == 1);
	terms_finish(&t);
}

Test(terms, lower)
{
	/* Lower case never has a lower case of its own: folding twice changes nothing. */
	for (uint32_t cp = 0; cp < 0x11000; cp++) {
		uint32_t low = terms_lower(cp);

		cr_expect(terms_lower(low) == low, "U+%04X", (unsigned)cp);
	}
	cr_expect(terms_lower(0x10ffff) == 0x10ffff);
}

/* A long text is its first and last half with a space between, whole characters only. */
Test(terms, cap)
{
	struct terms a = of("abcdefghXXXXXXXXXXXXXXXXijklmnop", 16), b = of("abcdefgh ijklmnop", 64);
	struct terms c = of("abcdefg\xc3\xa9XXXXXXXX\xc3\xa9jklmnop", 16);
	struct terms d = of("abcdefg jklmnop", 64);
	char big[5000];

	cr_expect(same(&a, &b));
	cr_expect(same(&c, &d));
	/* Nothing but continuation bytes, more than fit: no loop, no overrun. */
	memset(big, 0x80, sizeof(big));
	terms_of(&a, (struct slice){ big, sizeof(big) });
	cr_expect(a.n_words == 0 && a.n_chars > 0);
	memset(big, 'a', sizeof(big));
	terms_of(&a, (struct slice){ big, sizeof(big) });
	cr_expect(a.n_words == 3);
	terms_finish(&a), terms_finish(&b), terms_finish(&c), terms_finish(&d);
	cr_expect(terms_init(&a, 15, NULL) < 0);
	cr_expect(terms_init(&a, TERMS_MAX_BYTES + 1, NULL) < 0);
}

static const char *const texts[] = {
	"sort a list in python", "sort an array in python", "capital of france", "capital of spain",
	"integral of x squared", "sort a list in python",
};
#define N (sizeof(texts) / sizeof(texts[0]))

Test(vocab, counts_texts_not_occurrences)
{
	struct slice s[N];
	size_t which[N];
	struct terms worker, word;
	struct err e = ERR_INIT;
	struct vocab v;
	uint64_t *slots;
	uint32_t *df, row;

	for (size_t i = 0; i < N; i++) {
		s[i] = slice_str(texts[i]);
		which[i] = i;
	}
	cr_assert(terms_init(&worker, 64, NULL) == 0);
	cr_assert(vocab_fit(s, which, N - 1, 2, 1000, &worker, NULL, &v, &slots, &df, &e) == 0);
	cr_expect(vocab_check(&v, &e) == 0, "%s", e.msg);
	word = of("capital", 64);
	row = vocab_find(&v, word.words[0]);
	cr_assert(row != VOCAB_NONE);
	cr_expect(df[row] == 2);
	terms_finish(&word);
	word = of("france", 64);
	cr_expect(vocab_find(&v, word.words[0]) == VOCAB_NONE, "a term of one text is kept");
	terms_finish(&word);
	for (size_t i = 1; i < v.n; i++)
		cr_expect(df[i - 1] >= df[i]);
	free(slots), free(df);
	cr_assert(vocab_fit(s, which, N - 1, 2, 7, &worker, NULL, &v, &slots, &df, &e) == 0);
	cr_expect(v.n == 7);
	free(slots), free(df);
	cr_expect(vocab_fit(s, which, N - 1, 6, 7, &worker, NULL, &v, &slots, &df, &e) < 0);
	cr_expect(e.code == ERR_INPUT && strstr(e.msg, "no term") != NULL, "%s", e.msg);
	terms_finish(&worker);
}

Test(vocab, refuses_tables)
{
	static const struct {
		uint64_t slots[4];
		size_t cap, n;
	} cases[] = {
		{ { 1 | 7ull << 32, 2 | 8ull << 32, 3 | 9ull << 32, 4 | 5ull << 32 }, 4, 4 },
		{ { 1 | 7ull << 32, 3 | 8ull << 32, 0, 0 }, 4, 2 },
		{ { 7ull << 32, 0, 0, 0 }, 4, 1 },
		{ { 1, 0, 0, 0 }, 4, 2 },
		{ { 1, 0, 0, 0 }, 3, 1 },
		{ { 0, 0, 0, 0 }, 0, 0 },
		{ { 1, 0, 0, 0 }, 1, 1 },
	};
	struct vocab good = { (const uint64_t[]){ 0, 1 | 7ull << 32 }, 2, 1 };

	cr_expect(vocab_check(&good, NULL) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vocab v = { cases[i].slots, cases[i].cap, cases[i].n };

		cr_expect(vocab_check(&v, NULL) < 0, "case %zu", i);
	}
}
