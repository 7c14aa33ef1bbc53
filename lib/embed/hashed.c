#include "embed/hashed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "embed/terms.h"

struct cell {
	uint64_t hash;
	uint32_t count;		/* 0 = empty */
};

struct hashed_scratch {
	struct terms terms;
	struct cell *cells;	/* [cap] the distinct terms of one text */
	size_t cap;
	float *part;		/* [dim] */
};

void
hashed_scratch_free(struct hashed_scratch *s)
{
	if (s == NULL)
		return;
	terms_finish(&s->terms);
	free(s->cells);
	free(s->part);
	free(s);
}

/* The smallest power of two that leaves half of a table of n free. */
static size_t
room(size_t n)
{
	size_t cap = 64;

	while (cap < 2 * n)
		cap *= 2;
	return cap;
}

struct hashed_scratch *
hashed_scratch_new(size_t dim, size_t max_bytes, struct err *e)
{
	struct hashed_scratch *s = mem_calloc(1, sizeof(*s), e);

	if (s == NULL)
		return NULL;
	if (terms_init(&s->terms, max_bytes, e) < 0)
		goto fail;
	s->cap = room(3 * max_bytes + 2);
	s->cells = mem_calloc(s->cap, sizeof(*s->cells), e);
	s->part = mem_calloc(dim, sizeof(*s->part), e);
	if (s->cells == NULL || s->part == NULL)
		goto fail;
	return s;
fail:
	hashed_scratch_free(s);
	return NULL;
}

/* out += terms hash[0..n) spread over dim places, at unit length. */
static void
spread(struct hashed_scratch *s, const uint64_t *hash, size_t n, size_t dim, float *out)
{
	size_t mask = room(n) - 1;
	float squares = 0, factor;

	memset(s->cells, 0, (mask + 1) * sizeof(*s->cells));
	memset(s->part, 0, dim * sizeof(*s->part));
	for (size_t i = 0; i < n; i++) {
		size_t k = hash[i] & mask;

		while (s->cells[k].count != 0 && s->cells[k].hash != hash[i])
			k = (k + 1) & mask;
		s->cells[k].hash = hash[i];
		s->cells[k].count++;
	}
	for (size_t k = 0; k <= mask; k++) {
		const struct cell *c = &s->cells[k];
		float w;

		if (c->count == 0)
			continue;
		w = c->count == 1 ? 1 : 1 + logf((float)c->count);
		/* Multiply and shift: the upper 32 bits pick the place, one of the lower the sign. */
		s->part[(c->hash >> 31 & UINT32_MAX) * dim >> 32] += c->hash & 1 << 20 ? w : -w;
	}
	for (size_t j = 0; j < dim; j++)
		squares += s->part[j] * s->part[j];
	factor = squares > 0 ? 1 / sqrtf(squares) : 0;
	for (size_t j = 0; j < dim; j++)
		out[j] += s->part[j] * factor;
}

void
hashed_text(size_t dim, struct slice text, struct hashed_scratch *s, float *out,
	struct embed_times *times)
{
	int64_t start = clock_mono_ns(), split;
	float squares = 0, factor;

	terms_of(&s->terms, text);
	split = clock_mono_ns();
	memset(out, 0, dim * sizeof(*out));
	spread(s, s->terms.words, s->terms.n_words, dim, out);
	spread(s, s->terms.chars, s->terms.n_chars, dim, out);
	for (size_t j = 0; j < dim; j++)
		squares += out[j] * out[j];
	factor = squares > 0 ? 1 / sqrtf(squares) : 0;
	for (size_t j = 0; j < dim; j++)
		out[j] *= factor;
	times->tokenize_us = (double)(split - start) / 1000;
	times->project_us = (double)(clock_mono_ns() - split) / 1000;
}
