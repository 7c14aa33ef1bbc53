#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/unicode.h"
#include "embed/wordfile.h"

#define VOCAB "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\n[\n]\ncl\n##s2\ncafe\nun\n##aff\n##able\n" \
	"\xe4\xb8\xad\n\xe6\x96\x87\nsep\na\nb\nH\n##ello\n"

static struct wordpiece *
tokenizer(const char *config)
{
	struct err e = ERR_INIT;
	struct wordpiece *w = wordfile_vocab(SLICE_LIT(VOCAB), slice_str(config), &e);

	cr_assert(w != NULL, "%s", e.msg);
	return w;
}

/* Tokens of a text joined by blanks. */
static const char *
spelled(const struct wordpiece *w, struct slice text, enum wordpiece_cut cut, size_t max)
{
	static char out[4096];
	uint32_t ids[256];
	size_t n = wordpiece_encode(w, text, cut, ids, max), at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		bool continued = false;
		struct slice t = wordpiece_token(w, ids[i], &continued);

		at += (size_t)snprintf(out + at, sizeof out - at, "%s%s%.*s", i > 0 ? " " : "",
		    continued ? "##" : "", (int)t.n, t.p);
	}
	return out;
}

#define SPELL(w, s) spelled(w, SLICE_LIT(s), WORDPIECE_HEAD, 256)

Test(wordpiece, words_pieces_and_accents)
{
	struct wordpiece *w = tokenizer(NULL);

	cr_expect_str_eq(SPELL(w, "Hello, WORLDS!"), "hello , world ##s !");
	cr_expect_str_eq(SPELL(w, "unaffable"), "un ##aff ##able");
	cr_expect_str_eq(SPELL(w, "unaffablex"), "[UNK]");
	cr_expect_str_eq(SPELL(w, "Caf\xc3\xa9 cafe\xcc\x81"), "cafe cafe");
	cr_expect_str_eq(SPELL(w, "a\xe4\xb8\xad\xe6\x96\x87" "b"), "a \xe4\xb8\xad \xe6\x96\x87 b");
	cr_expect_str_eq(SPELL(w, "a\xc2\xa0" "b\xe2\x80\x8bhello\xff"), "a [UNK]");
	cr_expect_str_eq(SPELL(w, ""), "");
	wordpiece_free(w);
}

Test(wordpiece, a_special_token_in_a_text_is_text)
{
	struct wordpiece *w = tokenizer(NULL);

	cr_expect_str_eq(SPELL(w, "[SEP]"), "[ sep ]");
	wordpiece_free(w);
}

Test(wordpiece, cased_keeps_capitals_and_accents)
{
	struct wordpiece *w = tokenizer("{\"do_lower_case\": false}");

	cr_expect_str_eq(SPELL(w, "Hello hello caf\xc3\xa9"), "H ##ello hello [UNK]");
	wordpiece_free(w);
}

Test(wordpiece, long_words_are_unknown)
{
	struct wordpiece *w = tokenizer(NULL);
	char text[110];

	memset(text, 'a', sizeof text);
	memcpy(text + 101, " hello", 6);
	cr_expect_str_eq(spelled(w, (struct slice){ text, 107 }, WORDPIECE_HEAD, 10), "[UNK] hello");
	wordpiece_free(w);
}

/* Every cut of every length equals the cut of the whole. */
Test(wordpiece, cuts_keep_what_they_say)
{
	static const char *const words[] = { "hello", "worlds", "a", "!", "unaffable", "b" };
	struct wordpiece *w = tokenizer(NULL);
	uint32_t all[2048], got[2048];
	char text[4096] = "";
	size_t n;

	for (size_t i = 0; i < 200; i++)
		strcat(strcat(text, words[i * 7 % 6]), i % 3 == 0 ? "  " : " ");
	n = wordpiece_encode(w, slice_str(text), WORDPIECE_HEAD, all, 2048);
	cr_assert(n > 200);
	for (size_t max = 1; max < n + 3; max++) {
		size_t want = max < n ? max : n, head = (max + 1) / 2;

		cr_assert_eq(wordpiece_encode(w, slice_str(text), WORDPIECE_HEAD, got, max), want);
		cr_assert(memcmp(got, all, want * 4) == 0, "head %zu", max);
		cr_assert_eq(wordpiece_encode(w, slice_str(text), WORDPIECE_TAIL, got, max), want);
		cr_assert(memcmp(got, all + n - want, want * 4) == 0, "tail %zu", max);
		cr_assert_eq(wordpiece_encode(w, slice_str(text), WORDPIECE_MIDDLE, got, max), want);
		if (max >= n)
			cr_assert(memcmp(got, all, n * 4) == 0, "middle %zu", max);
		else
			cr_assert(memcmp(got, all, head * 4) == 0 &&
			    memcmp(got + head, all + n - (max - head), (max - head) * 4) == 0, "middle %zu", max);
	}
	wordpiece_free(w);
}

Test(wordpiece, hangul_and_marks_decompose)
{
	uint32_t out[UNICODE_MAX_DECOMPOSITION];

	cr_expect_eq(unicode_decompose(0xac01, out), 3);
	cr_expect(out[0] == 0x1100 && out[1] == 0x1161 && out[2] == 0x11a8);
	cr_expect_eq(unicode_decompose(0x1e69, out), 3);
	cr_expect(out[0] == 's' && out[1] == 0x323 && out[2] == 0x307);
	cr_expect_eq(unicode_lower(0x130, out), 2);
	cr_expect((unicode_flags(0x301) & UNICODE_MARK) != 0);
	cr_expect((unicode_flags(0x7fffffff) & UNICODE_DROP) != 0);
}

#define JSON(norm, model) "{\"added_tokens\":[{\"id\":0,\"content\":\"[X]\",\"special\":true}],\"normalizer\":" norm "," \
	"\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\"," \
	"\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\",1]},\"model\":" model "}"
#define NORM "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true," \
	"\"strip_accents\":null,\"lowercase\":true}"
#define MODEL(vocab) "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\"," \
	"\"max_input_chars_per_word\":100,\"vocab\":{" vocab "}}"
#define GOOD "\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"x\":4"

Test(wordpiece, tokenizer_json_or_one_error)
{
	static const struct { const char *json, *say; } bad[] = {
		{ "", "JSON" }, { "{}", "model" }, { "[]", "JSON" },
		{ JSON("{\"type\":\"Sequence\"}", MODEL(GOOD)), "normalizer" },
		{ JSON("null", MODEL(GOOD)), "normalizer" },
		{ JSON(NORM, "{\"type\":\"BPE\",\"vocab\":{}}"), "model" },
		{ JSON(NORM, MODEL("\"[UNK]\":0,\"[CLS]\":1")), "[SEP]" },
		{ JSON(NORM, MODEL(GOOD ",\"y\":4")), "id 4" }, { JSON(NORM, MODEL(GOOD ",\"x\":5")), "twice" },
		{ JSON(NORM, MODEL(GOOD ",\"y\":-1")), "vocab" }, { JSON(NORM, MODEL(GOOD ",\"y\":99999999")), "id" },
		{ JSON(NORM, MODEL("")), "empty" },
		{ JSON("{\"type\":\"BertNormalizer\",\"clean_text\":false}", MODEL(GOOD)), "clean_text" },
	};
	struct err e = ERR_INIT;
	struct wordpiece *w = wordfile_json(SLICE_LIT(JSON(NORM, MODEL(GOOD))), &e);

	cr_assert(w != NULL, "%s", e.msg);
	cr_expect_eq(wordpiece_size(w), 5);
	cr_expect_eq(wordpiece_options(w)->sep, 2);
	wordpiece_free(w);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		e = (struct err)ERR_INIT;
		cr_expect(wordfile_json(slice_str(bad[i].json), &e) == NULL, "case %zu", i);
		cr_expect(e.code == ERR_INPUT && strstr(e.msg, bad[i].say) != NULL, "case %zu: %s", i, e.msg);
	}
}
