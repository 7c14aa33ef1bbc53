#include "base/idset.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

static const uint8_t zero[16];

/* Slot that holds id, or the free one where it belongs. */
static size_t
place(const struct idset *s, const uint8_t id[16])
{
	size_t i = (size_t)map_hash(id, 16, 0) & (s->cap - 1);

	while (memcmp(s->slots[i], zero, 16) != 0 && memcmp(s->slots[i], id, 16) != 0)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int
grow(struct idset *s, struct err *e)
{
	struct idset wide = { .cap = s->cap == 0 ? 64 : s->cap * 2, .len = s->len,
		.has_zero = s->has_zero };

	if ((wide.slots = mem_calloc(wide.cap, sizeof *wide.slots, e)) == NULL)
		return -1;
	for (size_t i = 0; i < s->cap; i++) {
		if (memcmp(s->slots[i], zero, 16) != 0)
			memcpy(wide.slots[place(&wide, s->slots[i])], s->slots[i], 16);
	}
	free(s->slots);
	*s = wide;
	return 0;
}

int
idset_add(struct idset *s, const uint8_t id[16], bool *added, struct err *e)
{
	bool is_new;
	size_t i;

	if (memcmp(id, zero, 16) == 0) {
		is_new = !s->has_zero;
		s->has_zero = true;
	} else {
		if ((s->cap == 0 || s->len + 1 > s->cap / 4 * 3) && grow(s, e) < 0)
			return -1;
		i = place(s, id);
		is_new = memcmp(s->slots[i], id, 16) != 0;
		memcpy(s->slots[i], id, 16);
	}
	s->len += is_new;
	if (added != NULL)
		*added = is_new;
	return 0;
}

bool
idset_has(const struct idset *s, const uint8_t id[16])
{
	if (memcmp(id, zero, 16) == 0)
		return s->has_zero;
	return s->cap > 0 && memcmp(s->slots[place(s, id)], id, 16) == 0;
}

void
idset_finish(struct idset *s)
{
	free(s->slots);
	*s = (struct idset)IDSET_INIT;
}

bool
idset_parse(struct slice hex, uint8_t out[16])
{
	memset(out, 0, 16);
	if (hex.n == 0 || hex.n > 32)
		return false;
	for (size_t i = 0; i < hex.n; i++) {
		char c = hex.p[hex.n - 1 - i];
		unsigned v;

		if (c >= '0' && c <= '9')
			v = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			v = (unsigned)(c - 'A') + 10;
		else
			return false;
		out[15 - i / 2] = (uint8_t)(out[15 - i / 2] | v << (i % 2 * 4));
	}
	return true;
}
