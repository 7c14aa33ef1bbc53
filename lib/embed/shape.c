#include "embed/shape.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/safetensors.h"

#define BLOCK 256		/* texts of one part */
#define CLIP 3.0

struct shape {
	size_t max_bytes;
	const float *mean, *inverse;	/* [SHAPE_FEATURES] each */
	float *own;			/* both when fitted, NULL when borrowed */
};

/* ---- features ---- */

struct counts {
	size_t chars, words, letters, upper, digits, numbers, spaces, lines, commas, punct, quotes;
	size_t maths, brackets, marks, han, foreign, questions, sentences, indented, longest, blanks;
	size_t options, dollars;
};

static bool
is_space(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xa0 || c == 0x3000;
}

static bool
is_digit(uint32_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_upper(uint32_t c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_letter(uint32_t c)
{
	return is_upper(c) || (c >= 'a' && c <= 'z') || c >= 0xc0;
}

/* Han, Kana, Hangul. */
static bool
is_han(uint32_t c)
{
	return (c >= 0x3040 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7a3) ||
	    (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
}

static bool
among(uint32_t c, const char *set)
{
	return c > 0 && c < 0x80 && strchr(set, (int)c) != NULL;
}

static void
count_char(struct counts *n, uint32_t c)
{
	n->chars++;
	n->letters += is_letter(c);
	n->upper += is_upper(c);
	n->digits += is_digit(c);
	n->spaces += is_space(c);
	n->lines += c == '\n';
	n->commas += c == ',' || c == 0xff0c || c == 0x3001;
	n->punct += among(c, "!#%&*-./:;?@\\_~|") || c == 0x3002;
	n->quotes += among(c, "\"'`") || (c >= 0x2018 && c <= 0x201f);
	n->maths += among(c, "+=<>^*/") || (c >= 0x2200 && c <= 0x22ff) || c == 0xd7;
	n->dollars += among(c, "$\\");
	n->brackets += among(c, "()[]{}");
	n->marks += among(c, "{};_=#");
	n->han += is_han(c);
	n->foreign += c >= 0x80 && is_letter(c) && !is_han(c);
	n->questions += c == '?' || c == 0xff1f;
	n->sentences += among(c, ".!?") || c == 0x3002 || c == 0xff1f;
}

/* What depends on the character before: words, numbers, indents, blanks to fill in, "A)" "B." of a choice. */
static void
count_pair(struct counts *n, uint32_t before, uint32_t c, uint32_t second)
{
	bool word = is_letter(c) || is_digit(c), inside = is_letter(before) || is_digit(before);

	n->words += word && (!inside || is_han(c));
	n->numbers += is_digit(c) && !is_digit(before);
	n->indented += before == '\n' && (c == ' ' || c == '\t');
	n->blanks += before == '_' && c == '_';
	n->options += among(c, ").:") && before >= 'A' && before <= 'E' && !is_letter(second) &&
	    !is_digit(second);
}

static void
count_run(struct counts *n, struct slice text)
{
	const char *p = text.p, *end = text.p + text.n;
	uint32_t before = '\n', second = '\n';
	size_t line = 0;

	while (p < end) {
		uint32_t c = utf8_next(&p, end);

		count_char(n, c);
		count_pair(n, before, c, second);
		line = c == '\n' ? 0 : line + 1;
		if (line > n->longest)
			n->longest = line;
		second = before;
		before = c;
	}
}

/* Does the text begin with one of the words? Case of ASCII is ignored. */
static bool
begins(struct slice text, const char *const *words)
{
	size_t i = 0;
	char word[16];

	while (text.n > 0 && is_space((unsigned char)text.p[0])) {
		text.p++;
		text.n--;
	}
	while (i < text.n && i < sizeof word - 1 && is_letter((unsigned char)text.p[i])) {
		word[i] = (char)(text.p[i] | 0x20);
		i++;
	}
	word[i] = '\0';
	for (; *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static bool
holds(struct slice text, const char *needle)
{
	size_t n = strlen(needle);
	const char *p = text.p, *end = text.p + text.n, *at;

	while ((size_t)(end - p) >= n && (at = memchr(p, needle[0], (size_t)(end - p) - n + 1)) != NULL) {
		if (memcmp(at, needle, n) == 0)
			return true;
		p = at + 1;
	}
	return false;
}

static bool
looks_like_code(struct slice t)
{
	return holds(t, "```") || holds(t, "def ") || holds(t, "return ") || holds(t, "#include") ||
	    holds(t, "function ") || holds(t, "import ") || holds(t, "();") || holds(t, "assert ");
}

static double
share(size_t part, size_t whole)
{
	return whole == 0 ? 0 : sqrt((double)part / (double)whole);
}

static double
amount(size_t n)
{
	return log1p((double)n);
}

static uint8_t
last_char(struct slice t)
{
	while (t.n > 0 && is_space((unsigned char)t.p[t.n - 1]))
		t.n--;
	return t.n == 0 ? 0 : (uint8_t)t.p[t.n - 1];
}

void
shape_features(struct slice text, size_t max_bytes, double out[SHAPE_FEATURES])
{
	static const char *const asks[] = { "what", "which", "who", "whom", "whose", "when", "where",
		"why", "how", "is", "are", "was", "were", "do", "does", "did", "can", "could", NULL };
	static const char *const orders[] = { "write", "create", "make", "give", "explain",
		"describe", "generate", "list", "find", "calculate", "compute", "solve", "prove",
		"translate", "summarize", "complete", "implement", "answer", "tell", "you", NULL };
	struct slice head = text, tail = { text.p, 0 };
	struct counts n = { 0 };
	size_t k = 0;

	if (text.n > max_bytes) {
		head.n = max_bytes / 2;
		tail = (struct slice){ text.p + text.n - max_bytes / 2, max_bytes / 2 };
	}
	count_run(&n, head);
	if (tail.n > 0)
		count_run(&n, tail);
	out[k++] = amount(text.n);
	out[k++] = amount(n.words);
	out[k++] = amount(n.lines);
	out[k++] = amount(n.sentences);
	out[k++] = amount(n.numbers);
	out[k++] = amount(n.longest);
	out[k++] = amount(n.indented);
	out[k++] = n.words == 0 ? 0 : log1p((double)n.letters / (double)n.words);
	out[k++] = share(n.digits, n.chars);
	out[k++] = share(n.upper, n.chars);
	out[k++] = share(n.spaces, n.chars);
	out[k++] = share(n.commas, n.chars);
	out[k++] = share(n.punct, n.chars);
	out[k++] = share(n.quotes, n.chars);
	out[k++] = share(n.maths, n.chars);
	out[k++] = share(n.dollars, n.chars);
	out[k++] = share(n.brackets, n.chars);
	out[k++] = share(n.marks, n.chars);
	out[k++] = share(n.han, n.chars);
	out[k++] = share(n.foreign, n.chars);
	out[k++] = amount(n.questions);
	out[k++] = amount(n.options);
	out[k++] = amount(n.blanks);
	out[k++] = last_char(text) == '?';
	out[k++] = last_char(text) == '.';
	out[k++] = begins(head, asks);
	out[k++] = begins(head, orders);
	out[k++] = looks_like_code(head) || (tail.n > 0 && looks_like_code(tail));
	if (k != SHAPE_FEATURES)
		BUG("%zu features of shape", k);
}

const char *
shape_name(size_t i)
{
	static const char *const names[SHAPE_FEATURES] = { "bytes", "words", "lines", "sentences",
		"numbers", "longest word", "indented lines", "letters a word", "share of digits",
		"share of capitals", "share of blanks", "share of commas", "share of punctuation",
		"share of quotes", "share of mathematics", "share of dollar signs", "share of brackets",
		"share of marks", "share of han", "share of other scripts", "question marks", "options",
		"fill-in blanks", "ends in ?", "ends in .", "begins as a question", "begins as an order",
		"looks like code" };

	return names[i];
}

/* ---- fit ---- */

struct moments {
	double sum[SHAPE_FEATURES], squares[SHAPE_FEATURES];
};

struct fit {
	const struct slice *texts;
	size_t n, max_bytes;
	struct moments *parts;
};

static void
fit_part(void *arg, size_t part, unsigned worker)
{
	struct fit *f = arg;
	struct moments *m = &f->parts[part];

	(void)worker;
	for (size_t i = part * BLOCK; i < (part + 1) * BLOCK && i < f->n; i++) {
		double x[SHAPE_FEATURES];

		shape_features(f->texts[i], f->max_bytes, x);
		for (size_t j = 0; j < SHAPE_FEATURES; j++) {
			m->sum[j] += x[j];
			m->squares[j] += x[j] * x[j];
		}
	}
}

struct shape *
shape_fit(const struct slice *texts, size_t n, size_t max_bytes, struct pool *pool, struct err *e)
{
	size_t parts = (n + BLOCK - 1) / BLOCK;
	struct fit f = { texts, n, max_bytes, mem_calloc(parts, sizeof(struct moments), e) };
	struct shape *s = mem_calloc(1, sizeof *s, e);

	if (s != NULL)
		s->own = mem_aligned(2 * SHAPE_FEATURES, sizeof *s->own, e);
	if (f.parts == NULL || s == NULL || s->own == NULL) {
		free(f.parts);
		shape_free(s);
		return NULL;
	}
	pool_run(pool, parts, fit_part, &f);
	for (size_t j = 0; j < SHAPE_FEATURES; j++) {
		double sum = 0, squares = 0, mean, variance;

		for (size_t p = 0; p < parts; p++) {
			sum += f.parts[p].sum[j];
			squares += f.parts[p].squares[j];
		}
		mean = n > 0 ? sum / (double)n : 0;
		variance = n > 0 ? squares / (double)n - mean * mean : 0;
		s->own[j] = (float)mean;
		s->own[SHAPE_FEATURES + j] = variance > 1e-8 ? (float)(1 / sqrt(variance)) : 0;
	}
	free(f.parts);
	s->max_bytes = max_bytes;
	s->mean = s->own;
	s->inverse = s->own + SHAPE_FEATURES;
	return s;
}

void
shape_free(struct shape *s)
{
	if (s == NULL)
		return;
	free(s->own);
	free(s);
}

void
shape_text(const struct shape *s, struct slice text, float *out)
{
	double x[SHAPE_FEATURES], squares = 0;

	if (text.n == 0) {
		memset(out, 0, SHAPE_DIM * sizeof *out);
		return;
	}
	shape_features(text, s->max_bytes, x);
	for (size_t j = 0; j < SHAPE_FEATURES; j++) {
		double z = (x[j] - (double)s->mean[j]) * (double)s->inverse[j];

		z = fmax(-CLIP, fmin(CLIP, z)) / (CLIP * sqrt(SHAPE_FEATURES));
		squares += z * z;
		out[j] = (float)z;
	}
	out[SHAPE_FEATURES] = (float)sqrt(fmax(0, 1 - squares));
}

/* ---- artifact ---- */

int
shape_save(const struct shape *s, struct tensorfile_writer *w, struct err *e)
{
	const uint64_t dims[] = { 2, SHAPE_FEATURES };

	return tensorfile_writer_add(w, "embedder.shape", DTYPE_F32, 2, dims, s->mean, e);
}

struct shape *
shape_load(const struct tensorfile *f, size_t max_bytes, struct err *e)
{
	const uint64_t dims[] = { 2, SHAPE_FEATURES };
	const struct tensor *t = tensorfile_need(f, "embedder.shape", DTYPE_F32, 2, dims, e);
	struct shape *s;

	if (t == NULL || (s = mem_calloc(1, sizeof *s, e)) == NULL)
		return NULL;
	s->max_bytes = max_bytes;
	s->mean = t->data;
	s->inverse = s->mean + SHAPE_FEATURES;
	for (size_t j = 0; j < 2 * SHAPE_FEATURES; j++)
		if (!(fabsf(s->mean[j]) < 1e6f)) {
			err_set(e, ERR_INPUT, "tensor \"embedder.shape\": element %zu is out of range", j);
			free(s);
			return NULL;
		}
	return s;
}
