#include "embed/prefix.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/safetensors.h"

struct entry {
	uint64_t length, head, whole;
};

struct prefix {
	size_t n;
	const struct entry *entries;	/* [n] by length, ascending */
	struct entry *own;		/* the same when learned, NULL when borrowed */
};

/* FNV-1a, continued from a state: hashes of a text's beginnings come one out of another. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
static uint64_t
hash_on(uint64_t h, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* ---- learning ---- */

/* A run of sorted texts that agree in their first `length` bytes. */
struct interval {
	size_t first, length;
};

struct found {
	struct slice text;	/* the beginning itself */
	size_t texts;
};

struct learner {
	struct slice *sorted;	/* [n] distinct */
	size_t n, least;
	struct interval *stack;
	size_t depth, cap;
	struct found *found;
	size_t n_found, found_cap;
};

static int
by_bytes(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int c = n == 0 ? 0 : memcmp(x->p, y->p, n);

	return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

static size_t
common(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;

	if (n > PREFIX_MAX_BYTES)
		n = PREFIX_MAX_BYTES;
	while (i < n && a.p[i] == b.p[i])
		i++;
	return i;
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Back to the last end of a line within PREFIX_MIN_BYTES, or else the end of a word. */
static size_t
cut_back(const char *p, size_t n)
{
	size_t i = n, word = 0;

	while (i > 0 && n - i < PREFIX_MIN_BYTES) {
		if (p[i - 1] == '\n')
			return i;
		if (word == 0 && is_blank(p[i - 1]))
			word = i;
		i--;
	}
	return word;
}

/* The interval on top of the stack ends before text `end`. */
static int
close_interval(struct learner *l, size_t end, struct err *e)
{
	struct interval top = l->stack[--l->depth];
	size_t texts = end - top.first, length;

	if (texts < l->least || top.length < PREFIX_MIN_BYTES)
		return 0;
	length = cut_back(l->sorted[top.first].p, top.length);
	if (length < PREFIX_MIN_BYTES)
		return 0;
	if (mem_grow((void **)&l->found, &l->found_cap, l->n_found + 1, sizeof *l->found, e) < 0)
		return -1;
	l->found[l->n_found++] = (struct found){ { l->sorted[top.first].p, length }, texts };
	return 0;
}

static int
push(struct learner *l, size_t first, size_t length, struct err *e)
{
	if (mem_grow((void **)&l->stack, &l->cap, l->depth + 1, sizeof *l->stack, e) < 0)
		return -1;
	l->stack[l->depth++] = (struct interval){ first, length };
	return 0;
}

/* Every interval of common beginnings: those that close first lie deepest. */
static int
find_intervals(struct learner *l, struct err *e)
{
	for (size_t i = 1; i <= l->n; i++) {
		size_t length = i < l->n ? common(l->sorted[i - 1], l->sorted[i]) : 0;
		size_t first = i - 1;

		while (l->depth > 0 && l->stack[l->depth - 1].length > length) {
			first = l->stack[l->depth - 1].first;
			if (close_interval(l, i, e) < 0)
				return -1;
		}
		if (length > 0 && (l->depth == 0 || l->stack[l->depth - 1].length < length) &&
		    push(l, first, length, e) < 0)
			return -1;
	}
	return 0;
}

/* Short ones first, so that what a longer one adds to is known. */
static int
by_length(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->text.n != y->text.n)
		return x->text.n < y->text.n ? -1 : 1;
	return by_bytes(&x->text, &y->text);
}

static int
by_texts(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->texts != y->texts)
		return x->texts > y->texts ? -1 : 1;
	return by_length(a, b);
}

/* Drop those that add too little to a kept one; the rest stay in order. */
static void
thin_out(struct learner *l)
{
	size_t kept = 0;

	qsort(l->found, l->n_found, sizeof *l->found, by_length);
	for (size_t i = 0; i < l->n_found; i++) {
		struct slice t = l->found[i].text;
		bool drop = false;

		for (size_t k = 0; k < kept && !drop; k++) {
			struct slice s = l->found[k].text;

			drop = s.n + PREFIX_MIN_BYTES > t.n && memcmp(s.p, t.p, s.n) == 0;
		}
		if (!drop)
			l->found[kept++] = l->found[i];
	}
	l->n_found = kept;
	if (kept > PREFIX_MAX) {
		qsort(l->found, kept, sizeof *l->found, by_texts);
		l->n_found = PREFIX_MAX;
		qsort(l->found, l->n_found, sizeof *l->found, by_length);
	}
}

static int
make_entries(const struct learner *l, struct prefix **out, struct err *e)
{
	struct prefix *p = mem_calloc(1, sizeof *p, e);

	if (p == NULL || (p->own = mem_aligned(l->n_found, sizeof *p->own, e)) == NULL) {
		prefix_free(p);
		return -1;
	}
	p->n = l->n_found;
	p->entries = p->own;
	for (size_t i = 0; i < p->n; i++) {
		struct slice t = l->found[i].text;

		p->own[i].length = t.n;
		p->own[i].head = hash_on(HASH_START, t.p, PREFIX_MIN_BYTES);
		p->own[i].whole = hash_on(p->own[i].head, t.p + PREFIX_MIN_BYTES,
		    t.n - PREFIX_MIN_BYTES);
	}
	*out = p;
	return 0;
}

int
prefix_learn(const struct slice *texts, size_t n, struct prefix **out, struct err *e)
{
	struct learner l = { .sorted = mem_calloc(n, sizeof *l.sorted, e) };
	int r = -1;

	*out = NULL;
	if (l.sorted == NULL)
		return -1;
	memcpy(l.sorted, texts, n * sizeof *texts);
	qsort(l.sorted, n, sizeof *l.sorted, by_bytes);
	for (size_t i = 0; i < n; i++)
		if (l.n == 0 || by_bytes(&l.sorted[l.n - 1], &l.sorted[i]) != 0)
			l.sorted[l.n++] = l.sorted[i];
	l.least = l.n / PREFIX_ONE_IN > PREFIX_MIN_TEXTS ? l.n / PREFIX_ONE_IN : PREFIX_MIN_TEXTS;
	if (find_intervals(&l, e) < 0)
		goto out;
	if (l.n_found > 0) {
		thin_out(&l);
		if (make_entries(&l, out, e) < 0)
			goto out;
	}
	r = 0;
out:
	free(l.sorted);
	free(l.stack);
	free(l.found);
	return r;
}

void
prefix_free(struct prefix *p)
{
	if (p == NULL)
		return;
	free(p->own);
	free(p);
}

size_t
prefix_count(const struct prefix *p)
{
	return p->n;
}

/* ---- use ---- */

struct slice
prefix_strip(const struct prefix *p, struct slice text)
{
	uint64_t head, h;
	size_t at = PREFIX_MIN_BYTES, best = 0;

	if (text.n <= PREFIX_MIN_BYTES)
		return text;
	h = head = hash_on(HASH_START, text.p, PREFIX_MIN_BYTES);
	for (size_t i = 0; i < p->n && p->entries[i].length < text.n; i++) {
		const struct entry *x = &p->entries[i];

		if (x->head != head)
			continue;
		h = hash_on(h, text.p + at, (size_t)x->length - at);
		at = (size_t)x->length;
		if (h == x->whole)
			best = at;
	}
	for (size_t i = best; i < text.n; i++)
		if (!is_blank(text.p[i]))
			return (struct slice){ text.p + best, text.n - best };
	return text;
}

/* ---- artifact ---- */

int
prefix_save(const struct prefix *p, struct tensorfile_writer *w, struct err *e)
{
	const uint64_t shape[] = { p->n, 3 };

	return tensorfile_writer_add(w, "embedder.prefix", DTYPE_U64, 2, shape, p->entries, e);
}

int
prefix_load(const struct tensorfile *f, struct prefix **out, struct err *e)
{
	const uint64_t shape[] = { 0, 3 };
	const struct tensor *t;
	struct prefix *p;

	*out = NULL;
	if (tensorfile_find(f, "embedder.prefix") == NULL)
		return 0;
	if ((t = tensorfile_need(f, "embedder.prefix", DTYPE_U64, 2, shape, e)) == NULL)
		return -1;
	if (t->shape[0] == 0 || t->shape[0] > PREFIX_MAX)
		return err_set(e, ERR_INPUT, "tensor \"embedder.prefix\" has %llu rows",
		    (unsigned long long)t->shape[0]);
	if ((p = mem_calloc(1, sizeof *p, e)) == NULL)
		return -1;
	p->n = (size_t)t->shape[0];
	p->entries = t->data;
	for (size_t i = 0; i < p->n; i++) {
		uint64_t least = i == 0 ? PREFIX_MIN_BYTES : p->entries[i - 1].length;

		if (p->entries[i].length < least || p->entries[i].length > PREFIX_MAX_BYTES) {
			prefix_free(p);
			return err_set(e, ERR_INPUT, "tensor \"embedder.prefix\": length of row %zu is "
			    "out of range or out of order", i);
		}
	}
	*out = p;
	return 0;
}
