#include "data/tally.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

/* Facts lie in blocks, so that growing never holds two copies. */
#define BLOCK 4096

struct fact {
	uint64_t query;
	float best;
	uint16_t best_model;	/* saturates: beyond 65534 models ties are not told apart */
	uint8_t models;		/* 0, 1, 2 = two or more with a performance */
	uint8_t tied;
};

struct tally {
	struct fact **blocks;
	size_t n_blocks, blocks_cap;
	uint32_t n;
	uint32_t *index;	/* fact + 1 */
	size_t index_cap;
	uint64_t *seen;
	size_t seen_cap, n_seen;
	struct map models;
	uint64_t *model_records;
	size_t model_cap;
	uint64_t records, labelled;
};

struct tally *
tally_new(struct err *e)
{
	return mem_calloc(1, sizeof(struct tally), e);
}

void
tally_free(struct tally *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free((void *)t->blocks);
	free(t->index);
	free(t->seen);
	free(t->model_records);
	map_finish(&t->models);
	free(t);
}

static struct fact *
fact_at(const struct tally *t, uint32_t i)
{
	return &t->blocks[i / BLOCK][i % BLOCK];
}

static size_t
slot_of(const struct tally *t, uint64_t query)
{
	size_t s = (size_t)(query & (t->index_cap - 1));

	while (t->index[s] != 0 && fact_at(t, t->index[s] - 1)->query != query)
		s = (s + 1) & (t->index_cap - 1);
	return s;
}

static int
grow_index(struct tally *t, struct err *e)
{
	size_t cap = t->index_cap > 0 ? 2 * t->index_cap : 1024;
	uint32_t *index = mem_calloc(cap, sizeof *index, e);

	if (index == NULL)
		return -1;
	free(t->index);
	t->index = index;
	t->index_cap = cap;
	for (uint32_t i = 0; i < t->n; i++)
		index[slot_of(t, fact_at(t, i)->query)] = i + 1;
	return 0;
}

static struct fact *
new_fact(struct tally *t, uint64_t query, size_t slot, struct err *e)
{
	struct fact *f;

	if (t->n == UINT32_MAX - 1) {
		err_set(e, ERR_TEMPFAIL, "more than 4294967294 distinct queries: use --shard");
		return NULL;
	}
	if (t->n % BLOCK == 0) {
		if (mem_grow((void **)&t->blocks, &t->blocks_cap, t->n_blocks + 1,
			    sizeof *t->blocks, e) < 0 ||
		    (t->blocks[t->n_blocks] = mem_calloc(BLOCK, sizeof **t->blocks, e)) == NULL)
			return NULL;
		t->n_blocks++;
	}
	t->index[slot] = ++t->n;
	f = fact_at(t, t->n - 1);
	*f = (struct fact){ .query = query };
	return f;
}

static int
count_model(struct tally *t, struct slice model, uint16_t *id, struct err *e)
{
	bool added;
	size_t i = map_intern(&t->models, model.p != NULL ? model.p : "", model.n, &added, e);

	if (i == MAP_NONE || mem_grow((void **)&t->model_records, &t->model_cap, i + 1,
		    sizeof *t->model_records, e) < 0)
		return -1;
	if (added)
		t->model_records[i] = 0;
	t->model_records[i]++;
	*id = (uint16_t)(i < UINT16_MAX ? i : UINT16_MAX);
	return 0;
}

static void
compare(struct fact *f, uint16_t model, float p)
{
	if (f->models == 0) {
		f->models = 1;
		f->best = p;
		f->best_model = model;
		return;
	}
	if (model != f->best_model)
		f->models = 2;
	if (p > f->best) {
		f->best = p;
		f->best_model = model;
		f->tied = 0;
	} else if (p == f->best && model != f->best_model) {
		f->tied = 1;
	}
}

int
tally_add(struct tally *t, uint64_t query, struct slice model, double performance,
	uint32_t *index, struct err *e)
{
	struct fact *f;
	uint16_t id;
	size_t s;

	if ((size_t)t->n + 1 > t->index_cap / 5 * 4 && grow_index(t, e) < 0)
		return -1;
	if (count_model(t, model, &id, e) < 0)
		return -1;
	s = slot_of(t, query);
	f = t->index[s] != 0 ? fact_at(t, t->index[s] - 1) : new_fact(t, query, s, e);
	if (f == NULL)
		return -1;
	if (index != NULL)
		*index = t->index[s] - 1;
	t->records++;
	if (!isnan(performance)) {
		t->labelled++;
		compare(f, id, (float)performance);
	}
	return 0;
}

int
tally_seen(struct tally *t, uint64_t key, struct err *e)
{
	uint64_t *old = t->seen;
	size_t old_cap = t->seen_cap, s;

	key += key == 0;
	if (t->n_seen + 1 > t->seen_cap / 5 * 4) {
		size_t cap = old_cap > 0 ? 2 * old_cap : 1024;

		if ((t->seen = mem_calloc(cap, sizeof *t->seen, e)) == NULL) {
			t->seen = old;
			return -1;
		}
		t->seen_cap = cap;
		for (size_t i = 0; i < old_cap; i++) {
			if (old[i] == 0)
				continue;
			for (s = (size_t)(old[i] & (cap - 1)); t->seen[s] != 0;)
				s = (s + 1) & (cap - 1);
			t->seen[s] = old[i];
		}
		free(old);
	}
	for (s = (size_t)(key & (t->seen_cap - 1)); t->seen[s] != 0;
		s = (s + 1) & (t->seen_cap - 1)) {
		if (t->seen[s] == key)
			return 1;
	}
	t->seen[s] = key;
	t->n_seen++;
	return 0;
}

uint64_t
tally_query(const struct tally *t, uint32_t index)
{
	return fact_at(t, index)->query;
}

struct tally_totals
tally_totals(const struct tally *t)
{
	struct tally_totals o = { .records = t->records, .queries = t->n,
		.models = t->models.len, .labelled = t->labelled };

	for (uint32_t i = 0; i < t->n; i++) {
		const struct fact *f = fact_at(t, i);

		o.comparable += f->models == 2;
		o.tied += f->models == 2 && f->tied != 0;
	}
	return o;
}

size_t
tally_models(const struct tally *t)
{
	return t->models.len;
}

struct slice
tally_model(const struct tally *t, size_t i, uint64_t *records)
{
	if (records != NULL)
		*records = t->model_records[i];
	return (struct slice){ t->models.keys[i], t->models.key_len[i] };
}
