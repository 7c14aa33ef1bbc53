#include "embed/vocab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK 512		/* texts of one part */
#define WAVE 8			/* parts counted before they are merged */
#define SHARDS 16		/* of the counts, by hash, each merged by one thread */
#define MAX_RUN 4096		/* a table filled by hashes has runs of a few dozen */

static size_t
shard_of(uint64_t hash)
{
	return hash >> 40 & (SHARDS - 1);
}

/* The terms of one block, each as often as there are texts with it, by shard. */
struct part {
	uint64_t *hash;
	size_t n, cap;
	size_t begin[SHARDS + 1];
	uint64_t *seen;		/* set of one text's terms */
	size_t seen_cap;
	bool failed;
};

/* Counts of one shard, open-addressed; hash 0 marks an empty slot. */
struct shard {
	uint64_t *hash;
	uint32_t *df;
	size_t n, cap;
	bool failed;
};

struct count {
	const struct slice *texts;
	const size_t *which;
	size_t n, first;	/* first = text of part 0 of this wave */
	struct terms *workers;
	struct part parts[WAVE];
	size_t n_parts;
	struct shard shards[SHARDS];
};

/* Room for the set of a text of n terms, at most half full. */
static bool
clear_seen(struct part *p, size_t n, size_t *mask)
{
	size_t cap = 64;

	while (cap < 2 * n)
		cap *= 2;
	if (cap > p->seen_cap) {
		uint64_t *q = mem_realloc(p->seen, cap, sizeof(*q), NULL);

		if (q == NULL)
			return false;
		p->seen = q;
		p->seen_cap = cap;
	}
	memset(p->seen, 0, cap * sizeof(*p->seen));
	*mask = cap - 1;
	return true;
}

static void
add_distinct(struct part *p, const uint64_t *hash, size_t n, size_t mask)
{
	for (size_t k = 0; k < n; k++) {
		uint64_t h = hash[k] == 0 ? 1 : hash[k];
		size_t i = h & mask;

		while (p->seen[i] != 0 && p->seen[i] != h)
			i = (i + 1) & mask;
		if (p->seen[i] == h)
			continue;
		p->seen[i] = h;
		p->hash[p->n++] = h;
	}
}

/* Reorder the block's terms by shard. */
static bool
sort_by_shard(struct part *p)
{
	uint64_t *out = mem_calloc(p->n, sizeof(*out), NULL);
	size_t at[SHARDS] = { 0 };

	if (out == NULL)
		return false;
	memset(p->begin, 0, sizeof(p->begin));
	for (size_t i = 0; i < p->n; i++)
		p->begin[shard_of(p->hash[i]) + 1]++;
	for (size_t s = 0; s < SHARDS; s++) {
		at[s] = p->begin[s];
		p->begin[s + 1] += p->begin[s];
	}
	for (size_t i = 0; i < p->n; i++)
		out[at[shard_of(p->hash[i])]++] = p->hash[i];
	free(p->hash);
	p->hash = out;
	p->cap = p->n;
	return true;
}

static void
count_part(void *arg, size_t part, unsigned worker)
{
	struct count *c = arg;
	struct part *p = &c->parts[part];
	struct terms *t = &c->workers[worker];
	size_t from = c->first + part * BLOCK, to = from + BLOCK, mask;
	void *mem;
	int r;

	p->n = 0;
	for (size_t i = from; i < to && i < c->n && !p->failed; i++) {
		terms_of(t, c->texts[c->which[i]]);
		mem = p->hash;
		r = mem_grow(&mem, &p->cap, p->n + t->n_words + t->n_chars, sizeof(*p->hash), NULL);
		p->hash = mem;
		if (r < 0 || !clear_seen(p, t->n_words + t->n_chars, &mask)) {
			p->failed = true;
			return;
		}
		add_distinct(p, t->words, t->n_words, mask);
		add_distinct(p, t->chars, t->n_chars, mask);
	}
	if (!sort_by_shard(p))
		p->failed = true;
}

static bool
shard_grow(struct shard *s)
{
	size_t cap = s->cap == 0 ? 1024 : 2 * s->cap, mask = cap - 1;
	uint64_t *hash = mem_calloc(cap, sizeof(*hash), NULL);
	uint32_t *df = mem_calloc(cap, sizeof(*df), NULL);

	if (hash == NULL || df == NULL) {
		free(hash);
		free(df);
		return false;
	}
	for (size_t k = 0; k < s->cap; k++) {
		size_t i = s->hash[k] & mask;

		if (s->hash[k] == 0)
			continue;
		while (hash[i] != 0)
			i = (i + 1) & mask;
		hash[i] = s->hash[k];
		df[i] = s->df[k];
	}
	free(s->hash);
	free(s->df);
	s->hash = hash;
	s->df = df;
	s->cap = cap;
	return true;
}

static void
shard_add(struct shard *s, const uint64_t *hash, size_t n)
{
	const size_t ahead = 8;

	for (size_t k = 0; k < n; k++) {
		size_t i;

		if (2 * s->n >= s->cap && !shard_grow(s)) {
			s->failed = true;
			return;
		}
		if (k + ahead < n)
			__builtin_prefetch(&s->hash[hash[k + ahead] & (s->cap - 1)]);
		i = hash[k] & (s->cap - 1);
		while (s->hash[i] != 0 && s->hash[i] != hash[k])
			i = (i + 1) & (s->cap - 1);
		if (s->hash[i] == 0) {
			s->hash[i] = hash[k];
			s->n++;
		}
		s->df[i]++;
	}
}

static void
merge_shard(void *arg, size_t shard, unsigned worker)
{
	struct count *c = arg;

	(void)worker;
	for (size_t i = 0; i < c->n_parts && !c->shards[shard].failed; i++) {
		const struct part *p = &c->parts[i];

		shard_add(&c->shards[shard], p->hash + p->begin[shard],
			p->begin[shard + 1] - p->begin[shard]);
	}
}

static int
count_all(struct count *c, struct pool *pool, struct err *e)
{
	for (c->first = 0; c->first < c->n; c->first += WAVE * BLOCK) {
		size_t left = c->n - c->first;

		c->n_parts = left >= WAVE * BLOCK ? WAVE : (left + BLOCK - 1) / BLOCK;
		pool_run(pool, c->n_parts, count_part, c);
		for (size_t i = 0; i < c->n_parts; i++) {
			if (c->parts[i].failed)
				return err_nomem(e);
		}
		pool_run(pool, SHARDS, merge_shard, c);
		for (size_t i = 0; i < SHARDS; i++) {
			if (c->shards[i].failed)
				return err_nomem(e);
		}
	}
	return 0;
}

static void
count_finish(struct count *c)
{
	for (size_t i = 0; i < WAVE; i++) {
		free(c->parts[i].hash);
		free(c->parts[i].seen);
	}
	for (size_t i = 0; i < SHARDS; i++) {
		free(c->shards[i].hash);
		free(c->shards[i].df);
	}
}

struct entry {
	uint64_t hash;
	uint32_t df;
};

/* Highest frequency first, ties by hash. */
static int
cmp_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->df != y->df)
		return x->df > y->df ? -1 : 1;
	return (x->hash > y->hash) - (x->hash < y->hash);
}

/* The terms in enough texts; ascending order of *n_out is by cmp_entry. */
static struct entry *
select_terms(const struct count *c, size_t min_df, size_t max, size_t *n_out, struct err *e)
{
	struct entry *out = NULL;
	size_t n = 0;

	for (int fill = 0; fill < 2; fill++) {
		if (fill == 1 && (out = mem_calloc(n, sizeof(*out), e)) == NULL)
			return NULL;
		n = 0;
		for (size_t s = 0; s < SHARDS; s++) {
			for (size_t i = 0; i < c->shards[s].cap; i++) {
				if (c->shards[s].df[i] < min_df)
					continue;
				if (fill == 1)
					out[n] = (struct entry){ c->shards[s].hash[i],
						c->shards[s].df[i] };
				n++;
			}
		}
	}
	qsort(out, n, sizeof(*out), cmp_entry);
	*n_out = n < max ? n : max;
	return out;
}

/* Rows in the order of the entries. Of two terms that a slot cannot tell apart the first stays. */
static int
build(const struct entry *terms, size_t n, struct vocab *v, uint64_t **slots, uint32_t **df,
	struct err *e)
{
	size_t cap = 16;

	while (cap < n + n / 2)
		cap *= 2;
	*slots = mem_aligned(cap, sizeof(**slots), e);
	*df = mem_calloc(n, sizeof(**df), e);
	if (*slots == NULL || *df == NULL) {
		free(*slots);
		free(*df);
		*slots = NULL;
		*df = NULL;
		return -1;
	}
	*v = (struct vocab){ .slots = *slots, .cap = cap };
	for (size_t k = 0; k < n; k++) {
		size_t i = terms[k].hash & (cap - 1);

		if (vocab_find(v, terms[k].hash) != VOCAB_NONE)
			continue;
		while ((*slots)[i] != 0)
			i = (i + 1) & (cap - 1);
		(*df)[v->n] = terms[k].df;
		(*slots)[i] = terms[k].hash >> 32 << 32 | ++v->n;
	}
	return 0;
}

int
vocab_fit(const struct slice *texts, const size_t *which, size_t n, size_t min_df,
	size_t max_features, struct terms *workers, struct pool *pool, struct vocab *v,
	uint64_t **slots, uint32_t **df, struct err *e)
{
	struct count *c = mem_calloc(1, sizeof(*c), e);
	struct entry *terms = NULL;
	size_t n_terms;
	int r = -1;

	*slots = NULL;
	*df = NULL;
	if (c == NULL)
		return -1;
	c->texts = texts;
	c->which = which;
	c->n = n;
	c->workers = workers;
	if (count_all(c, pool, e) < 0 ||
		(terms = select_terms(c, min_df, max_features, &n_terms, e)) == NULL)
		goto out;
	if (n_terms == 0) {
		err_set(e, ERR_INPUT, "lsa: no term occurs in %zu of the %zu distinct queries: "
			"give more data, or use the embedder hash", min_df, n);
		goto out;
	}
	r = build(terms, n_terms, v, slots, df, e);
out:
	count_finish(c);
	free(c);
	free(terms);
	return r;
}

int
vocab_check(const struct vocab *v, struct err *e)
{
	size_t used = 0, run = 0;

	if (v->n > VOCAB_MAX_TERMS || v->cap < 2 || (v->cap & (v->cap - 1)) != 0)
		return err_set(e, ERR_INPUT, "term table of %zu slots for %zu terms is not usable",
			v->cap, v->n);
	for (size_t i = 0; i < v->cap; i++) {
		uint32_t row = (uint32_t)v->slots[i];

		if (v->slots[i] == 0) {
			run = 0;
			continue;
		}
		if (++run > MAX_RUN)
			return err_set(e, ERR_INPUT, "term table: more than %d slots in a row are used",
				MAX_RUN);
		if (row == 0 || row > v->n)
			return err_set(e, ERR_INPUT, "term table: slot %zu names row %u of %zu", i,
				row, v->n);
		used++;
	}
	if (used == v->cap || used != v->n)
		return err_set(e, ERR_INPUT, "term table: %zu slots used for %zu terms", used, v->n);
	return 0;
}
