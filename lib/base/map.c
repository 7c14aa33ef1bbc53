#include "base/map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct map_slot {
	uint64_t hash;
	size_t index;		/* + 1; 0 = empty */
};

static uint64_t
load_tail(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9fb21c651e98df25u;
	return h ^ (h >> 29);
}

uint64_t
map_hash(const void *key, size_t n, uint64_t seed)
{
	const unsigned char *p = key;
	uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15u);
	size_t i;

	for (i = 0; i + 8 <= n; i += 8)
		h = mix(h, load_tail(p + i, 8));
	h = mix(h, load_tail(p + i, n - i));
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ (h >> 32);
}

static uint64_t
random_seed(void)
{
	uint64_t s = 0;

	/* Without entropy the seed is fixed: slower under attack, never wrong. */
	if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s)
		s = 0x243f6a8885a308d3u;
	return s | 1;
}

static int
rehash(struct map *m, size_t cap, struct err *e)
{
	struct map_slot *slots = mem_calloc(cap, sizeof *slots, e);

	if (slots == NULL)
		return -1;
	for (size_t i = 0; i < m->cap; i++) {
		size_t j;

		if (m->slots[i].index == 0)
			continue;
		j = m->slots[i].hash & (cap - 1);
		while (slots[j].index != 0)
			j = (j + 1) & (cap - 1);
		slots[j] = m->slots[i];
	}
	free(m->slots);
	m->slots = slots;
	m->cap = cap;
	return 0;
}

/* Slot of the key, or the empty slot where it belongs. cap > 0. */
static size_t
find_slot(const struct map *m, const char *key, size_t n, uint64_t hash)
{
	size_t j = hash & (m->cap - 1);

	for (; m->slots[j].index != 0; j = (j + 1) & (m->cap - 1)) {
		size_t i = m->slots[j].index - 1;

		if (m->slots[j].hash == hash && m->key_len[i] == n &&
		    memcmp(m->keys[i], key, n) == 0)
			break;
	}
	return j;
}

size_t
map_find(const struct map *m, const char *key, size_t n)
{
	size_t j;

	if (m->cap == 0)
		return MAP_NONE;
	j = find_slot(m, key, n, map_hash(key, n, m->seed));
	return m->slots[j].index == 0 ? MAP_NONE : m->slots[j].index - 1;
}

size_t
map_intern(struct map *m, const char *key, size_t n, bool *added, struct err *e)
{
	void *keys = m->keys, *lens = m->key_len;
	uint64_t hash;
	size_t j;
	char *copy;

	if (added != NULL)
		*added = false;
	if (m->seed == 0)
		m->seed = random_seed();
	if (m->len * 4 >= m->cap * 3 && rehash(m, m->cap == 0 ? 16 : m->cap * 2, e) < 0)
		return MAP_NONE;
	hash = map_hash(key, n, m->seed);
	j = find_slot(m, key, n, hash);
	if (m->slots[j].index != 0)
		return m->slots[j].index - 1;
	if (mem_grow(&keys, &m->keys_cap, m->len + 1, sizeof *m->keys, e) < 0)
		return MAP_NONE;
	m->keys = keys;
	if (mem_grow(&lens, &m->key_len_cap, m->len + 1, sizeof *m->key_len, e) < 0)
		return MAP_NONE;
	m->key_len = lens;
	if ((copy = arena_dup(&m->arena, key, n, e)) == NULL)
		return MAP_NONE;
	m->keys[m->len] = copy;
	m->key_len[m->len] = n;
	m->slots[j] = (struct map_slot){ hash, ++m->len };
	if (added != NULL)
		*added = true;
	return m->len - 1;
}

void
map_finish(struct map *m)
{
	free(m->slots);
	free(m->keys);
	free(m->key_len);
	arena_finish(&m->arena);
	*m = (struct map)MAP_INIT;
}
