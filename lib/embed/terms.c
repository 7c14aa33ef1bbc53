#include "embed/terms.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MIN_GRAM 3
#define MAX_GRAM 5
#define PAD 8		/* spaces behind the text, so that a window may look past its end */

enum kind {
	KIND_SPACE,
	KIND_OTHER,	/* punctuation, operators, symbols */
	KIND_WORD,
	KIND_ALONE	/* letter of a script without spaces */
};

/* Runs of capitals: those at a multiple of step from first get add. */
static const struct {
	uint32_t first, last;
	int32_t add;
	uint32_t step;
} capitals[] = {
	{ 0x00c0, 0x00d6, 32, 1 }, { 0x00d8, 0x00de, 32, 1 }, { 0x0100, 0x012e, 1, 2 },
	{ 0x0132, 0x0136, 1, 2 }, { 0x0139, 0x0147, 1, 2 }, { 0x014a, 0x0176, 1, 2 },
	{ 0x0178, 0x0178, -121, 1 }, { 0x0179, 0x017d, 1, 2 }, { 0x01cd, 0x01db, 1, 2 },
	{ 0x01de, 0x01ee, 1, 2 }, { 0x01f8, 0x021e, 1, 2 }, { 0x0222, 0x0232, 1, 2 },
	{ 0x0386, 0x0386, 38, 1 }, { 0x0388, 0x038a, 37, 1 }, { 0x038c, 0x038c, 64, 1 },
	{ 0x038e, 0x038f, 63, 1 }, { 0x0391, 0x03a1, 32, 1 }, { 0x03a3, 0x03ab, 32, 1 },
	{ 0x03d8, 0x03ee, 1, 2 }, { 0x0400, 0x040f, 80, 1 }, { 0x0410, 0x042f, 32, 1 },
	{ 0x0460, 0x0480, 1, 2 }, { 0x048a, 0x04be, 1, 2 }, { 0x04c1, 0x04cd, 1, 2 },
	{ 0x04d0, 0x052e, 1, 2 }, { 0x0531, 0x0556, 48, 1 }, { 0x1e00, 0x1e94, 1, 2 },
	{ 0x1ea0, 0x1efe, 1, 2 }, { 0xff21, 0xff3a, 32, 1 },
};

/* Code points above ASCII that are not KIND_WORD, ascending. */
static const struct {
	uint32_t first, last;
	enum kind kind;
} ranges[] = {
	{ 0x0080, 0x0084, KIND_OTHER }, { 0x0085, 0x0085, KIND_SPACE },
	{ 0x0086, 0x009f, KIND_OTHER }, { 0x00a0, 0x00a0, KIND_SPACE },
	{ 0x00a1, 0x00a9, KIND_OTHER }, { 0x00ab, 0x00b1, KIND_OTHER },
	{ 0x00b4, 0x00b4, KIND_OTHER }, { 0x00b6, 0x00b8, KIND_OTHER },
	{ 0x00bb, 0x00bb, KIND_OTHER }, { 0x00bf, 0x00bf, KIND_OTHER },
	{ 0x00d7, 0x00d7, KIND_OTHER }, { 0x00f7, 0x00f7, KIND_OTHER },
	{ 0x02c2, 0x02df, KIND_OTHER }, { 0x037e, 0x037e, KIND_OTHER },
	{ 0x0387, 0x0387, KIND_OTHER }, { 0x055a, 0x055f, KIND_OTHER },
	{ 0x0589, 0x058f, KIND_OTHER }, { 0x05be, 0x05be, KIND_OTHER },
	{ 0x05f3, 0x05f4, KIND_OTHER }, { 0x0600, 0x060f, KIND_OTHER },
	{ 0x061b, 0x061f, KIND_OTHER }, { 0x066a, 0x066d, KIND_OTHER },
	{ 0x06d4, 0x06d4, KIND_OTHER }, { 0x0964, 0x0965, KIND_OTHER },
	{ 0x0e01, 0x0e3a, KIND_ALONE }, { 0x0e3f, 0x0e3f, KIND_OTHER },
	{ 0x0e40, 0x0eff, KIND_ALONE }, { 0x1000, 0x109f, KIND_ALONE },
	{ 0x1680, 0x1680, KIND_SPACE }, { 0x1780, 0x17ff, KIND_ALONE },
	{ 0x2000, 0x200a, KIND_SPACE }, { 0x200b, 0x2027, KIND_OTHER },
	{ 0x2028, 0x2029, KIND_SPACE }, { 0x202a, 0x202e, KIND_OTHER },
	{ 0x202f, 0x202f, KIND_SPACE }, { 0x2030, 0x205e, KIND_OTHER },
	{ 0x205f, 0x205f, KIND_SPACE }, { 0x2060, 0x206f, KIND_OTHER },
	{ 0x207a, 0x207e, KIND_OTHER }, { 0x208a, 0x208e, KIND_OTHER },
	{ 0x20a0, 0x20cf, KIND_OTHER }, { 0x2190, 0x245f, KIND_OTHER },
	{ 0x2500, 0x2775, KIND_OTHER }, { 0x2794, 0x2bff, KIND_OTHER },
	{ 0x2e00, 0x2e7f, KIND_OTHER }, { 0x2e80, 0x2fff, KIND_ALONE },
	{ 0x3000, 0x3000, KIND_SPACE }, { 0x3001, 0x3004, KIND_OTHER },
	{ 0x3005, 0x3007, KIND_ALONE }, { 0x3008, 0x3020, KIND_OTHER },
	{ 0x3030, 0x3030, KIND_OTHER }, { 0x303d, 0x303f, KIND_OTHER },
	{ 0x3041, 0x309a, KIND_ALONE }, { 0x309b, 0x309c, KIND_OTHER },
	{ 0x309d, 0x30fa, KIND_ALONE }, { 0x30fb, 0x30fb, KIND_OTHER },
	{ 0x30fc, 0x318f, KIND_ALONE }, { 0x31a0, 0x31bf, KIND_ALONE },
	{ 0x31c0, 0x31ef, KIND_OTHER }, { 0x31f0, 0x31ff, KIND_ALONE },
	{ 0x3200, 0x33ff, KIND_OTHER }, { 0x3400, 0x4dbf, KIND_ALONE },
	{ 0x4dc0, 0x4dff, KIND_OTHER }, { 0x4e00, 0xa4cf, KIND_ALONE },
	{ 0xd800, 0xf8ff, KIND_OTHER }, { 0xf900, 0xfaff, KIND_ALONE },
	{ 0xfe10, 0xfe1f, KIND_OTHER }, { 0xfe30, 0xfe6f, KIND_OTHER },
	{ 0xfeff, 0xff0f, KIND_OTHER }, { 0xff1a, 0xff20, KIND_OTHER },
	{ 0xff3b, 0xff3e, KIND_OTHER }, { 0xff40, 0xff40, KIND_OTHER },
	{ 0xff5b, 0xff65, KIND_OTHER }, { 0xff66, 0xff9f, KIND_ALONE },
	{ 0xffe0, 0xffff, KIND_OTHER }, { 0x1f000, 0x1faff, KIND_OTHER },
	{ 0x20000, 0x3ffff, KIND_ALONE }, { 0xe0000, 0x10ffff, KIND_OTHER },
};

#define N_RANGES (sizeof(ranges) / sizeof(ranges[0]))

uint32_t
terms_lower(uint32_t cp)
{
	if (cp < 0x80)
		return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
	for (size_t i = 0; i < sizeof(capitals) / sizeof(capitals[0]); i++) {
		if (cp < capitals[i].first)
			break;
		if (cp <= capitals[i].last && (cp - capitals[i].first) % capitals[i].step == 0)
			return (uint32_t)((int32_t)cp + capitals[i].add);
	}
	return cp;
}

static enum kind
kind_of(uint32_t cp)
{
	size_t lo = 0, hi = N_RANGES;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cp > ranges[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < N_RANGES && cp >= ranges[lo].first ? ranges[lo].kind : KIND_WORD;
}

static enum kind
kind_of_ascii(unsigned c)
{
	if ((c | 32) - 'a' < 26 || c - '0' < 10 || c == '_')
		return KIND_WORD;
	/* As Unicode has it: also the separators FS, GS, RS, US. */
	return c == ' ' || c - '\t' < 5 || c - 0x1c < 4 ? KIND_SPACE : KIND_OTHER;
}

int
terms_init(struct terms *t, size_t max_bytes, struct err *e)
{
	*t = (struct terms){ .max_bytes = max_bytes };
	if (max_bytes < 16 || max_bytes > TERMS_MAX_BYTES)
		return err_set(e, ERR_INPUT, "max_bytes: %zu is outside 16..%zu", max_bytes,
			TERMS_MAX_BYTES);
	t->cp = mem_calloc(max_bytes + 2 + PAD, sizeof(*t->cp), e);
	t->kind = mem_calloc(max_bytes + 2 + PAD, sizeof(*t->kind), e);
	/* Each word gives itself and a pair; as many grams of a length begin as a run has characters. */
	t->words = mem_calloc(2 * max_bytes + 2, sizeof(*t->words), e);
	t->chars = mem_calloc(3 * max_bytes + 2, sizeof(*t->chars), e);
	if (t->cp == NULL || t->kind == NULL || t->words == NULL || t->chars == NULL) {
		terms_finish(t);
		return -1;
	}
	return 0;
}

void
terms_finish(struct terms *t)
{
	free(t->cp);
	free(t->kind);
	free(t->words);
	free(t->chars);
	*t = (struct terms){ 0 };
}

/* Lower-case code points and kinds of p from place n on; returns the new n. */
static size_t
decode(struct terms *t, size_t n, const char *p, const char *end)
{
	while (p < end) {
		unsigned c = (unsigned char)*p;

		if (c < 0x80) {
			t->cp[n] = c - 'A' < 26 ? c + 32 : c;
			t->kind[n++] = (uint8_t)kind_of_ascii(c);
			p++;
		} else {
			uint32_t cp = terms_lower(utf8_next(&p, end));

			t->cp[n] = cp;
			t->kind[n++] = (uint8_t)kind_of(cp);
		}
	}
	return n;
}

/* Odd random numbers, one for each place of a gram and one for its length (pi's digits). */
static const uint64_t place_key[MAX_GRAM] = {
	0x243f6a8885a308d3, 0x13198a2e03707345, 0xa4093822299f31d1, 0x082efa98ec4e6c89,
	0x452821e638d01377,
};
static const uint64_t length_key = 0xbe5466cf34e90c6d;

static inline uint64_t
mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

/* Words and characters never share a hash: the top bit tells them apart. */
#define CHAR_BIT_TOP ((uint64_t)1 << 63)

/* Grams of the run cp[0..n), whose neighbours on both sides count as spaces. */
static uint64_t *
run_grams(const uint32_t *cp, size_t n, uint64_t *out)
{
	for (size_t i = 0; i < n; i++) {
		/* left = characters from here to the pad behind the run, the pad included */
		size_t left = n - i;
		uint64_t h = 0;

		for (size_t k = 0; k < MAX_GRAM && k < left; k++) {
			h += cp[i + k] * place_key[k];
			if (k + 1 >= MIN_GRAM)
				*out++ = mix(h + (k + 1) * length_key) | CHAR_BIT_TOP;
		}
	}
	return out;
}

/*
 * Runs between spaces. A run is handed on with the character before and behind
 * it, both spaces; two runs share none, so those are set to ' ' in place.
 */
static void
char_grams(struct terms *t, size_t n)
{
	uint64_t *out = t->chars;
	size_t i = 1, from;

	for (;;) {
		while (i < n && t->kind[i] == KIND_SPACE)
			i++;
		if (i >= n)
			break;
		from = i;
		while (i < n && t->kind[i] != KIND_SPACE)
			i++;
		t->cp[from - 1] = ' ';
		t->cp[i] = ' ';
		out = run_grams(t->cp + from - 1, i - from + 2, out);
	}
	t->n_chars = (size_t)(out - t->chars);
}

static void
word_grams(struct terms *t, size_t n)
{
	const uint64_t pair_key = 0xc0ac29b7c97c50dd;
	uint64_t *out = t->words, before = 0, h;
	size_t i = 0, from;

	while (i < n) {
		if (t->kind[i] < KIND_WORD) {
			i++;
			continue;
		}
		from = i;
		h = place_key[0];
		do {
			h = (h ^ t->cp[i]) * 0x9fb21c651e98df25;
			h ^= h >> 35;
		} while (t->kind[i++] == KIND_WORD && t->kind[i] == KIND_WORD);
		if (i - from < 2 && t->kind[from] == KIND_WORD)
			continue;
		h = mix(h);
		*out++ = h & ~CHAR_BIT_TOP;
		if (before != 0)
			*out++ = mix(before * pair_key + h) & ~CHAR_BIT_TOP;
		before = h | 1;
	}
	t->n_words = (size_t)(out - t->words);
}

/* The longest prefix of at most n bytes that does not cut a character. */
static size_t
whole(const char *p, size_t n)
{
	size_t k = n;

	while (k > 0 && n - k < 3 && ((unsigned char)p[k] & 0xc0) == 0x80)
		k--;
	return ((unsigned char)p[k] & 0xc0) == 0x80 ? n : k;
}

void
terms_of(struct terms *t, struct slice text)
{
	const char *p = text.p, *end = p + text.n;
	size_t n = 0;

	t->n_words = t->n_chars = 0;
	if (text.n == 0)
		return;
	t->cp[n] = ' ';
	t->kind[n++] = KIND_SPACE;
	if (text.n <= t->max_bytes) {
		n = decode(t, n, p, end);
	} else {
		size_t head = whole(p, t->max_bytes / 2);
		const char *tail = end - (t->max_bytes - t->max_bytes / 2);

		for (int i = 0; i < 3 && ((unsigned char)*tail & 0xc0) == 0x80; i++)
			tail++;
		n = decode(t, n, p, p + head);
		t->cp[n] = ' ';
		t->kind[n++] = KIND_SPACE;
		n = decode(t, n, tail, end);
	}
	t->kind[n] = KIND_SPACE;
	t->cp[n] = ' ';
	word_grams(t, n);
	char_grams(t, n);
}
