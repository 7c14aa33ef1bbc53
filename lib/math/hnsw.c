#include "math/hnsw.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* In hnsw_near.row: its links have been followed. */
#define FOLLOWED ((uint32_t)1 << 31)

/* ---- search ---- */

#define MAX_TOUCHED 32768

struct hnsw_scratch *
hnsw_scratch_new(size_t n, size_t ef, struct err *e)
{
	struct hnsw_scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->ef = ef;
	s->n_words = n / 64 + 1;
	s->near = mem_aligned(ef + 1, sizeof *s->near, e);
	s->seen = mem_aligned(s->n_words, sizeof *s->seen, e);
	s->touched = mem_aligned(MAX_TOUCHED, sizeof *s->touched, e);
	if (s->near == NULL || s->seen == NULL || s->touched == NULL) {
		hnsw_scratch_free(s);
		return NULL;
	}
	return s;
}

void
hnsw_scratch_free(struct hnsw_scratch *s)
{
	if (s == NULL)
		return;
	free(s->near);
	free(s->seen);
	free(s->touched);
	free(s);
}

static void
forget_seen(struct hnsw_scratch *s)
{
	if (s->n_touched >= MAX_TOUCHED)
		memset(s->seen, 0, s->n_words * sizeof *s->seen);
	else
		for (size_t i = 0; i < s->n_touched; i++)
			s->seen[s->touched[i]] = 0;
	s->n_touched = 0;
}

/* Marks a row; true when it was not marked. */
static bool
see(struct hnsw_scratch *s, uint32_t row)
{
	uint64_t *word = s->seen + row / 64, bit = (uint64_t)1 << row % 64;

	if ((*word & bit) != 0)
		return false;
	if (*word == 0 && s->n_touched < MAX_TOUCHED)
		s->touched[s->n_touched++] = row / 64;
	*word |= bit;
	return true;
}

static const uint32_t *
links_of(const struct hnsw *g, uint32_t row, size_t level, size_t *room)
{
	if (level == 0) {
		*room = g->room;
		return g->base + (size_t)row * g->room;
	}
	*room = g->m;
	return g->upper + ((size_t)g->first[row] + level - 1) * g->m;
}

/* What is searched, and for what. */
struct quest {
	const struct hnsw *g;
	const struct dot_codes *codes;
	enum dot_kernel kernel;
	const struct dot_query *q;
};

/* Climb to the row most similar on one level. */
static uint32_t
climb(const struct quest *t, uint32_t from, float *sim, size_t level, struct hnsw_scratch *s)
{
	for (;;) {
		size_t room, n = 0;
		const uint32_t *link = links_of(t->g, from, level, &room);
		uint32_t best = from;

		while (n < room && link[n] != HNSW_NONE)
			n++;
		dot_code_at(t->kernel, t->codes, link, n, t->q, s->sim);
		for (size_t i = 0; i < n; i++)
			if (s->sim[i] > *sim) {
				*sim = s->sim[i];
				best = link[i];
			}
		if (best == from)
			return best;
		from = best;
	}
}

/* Into the list of at most ef, after its equals. Returns its place, ef when there is none. */
static size_t
insert(struct hnsw_near *near, size_t *n, size_t ef, float sim, uint32_t row)
{
	size_t lo = 0, hi = *n;

	if (*n == ef && !(sim > near[ef - 1].sim))
		return ef;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (near[mid].sim >= sim)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (*n < ef)
		(*n)++;
	memmove(near + lo + 1, near + lo, (*n - lo - 1) * sizeof *near);
	near[lo] = (struct hnsw_near){ sim, row };
	return lo;
}

static inline void
prefetch(const void *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 64)
		__builtin_prefetch((const char *)p + at);
}

/* Links of a row that were not seen, behind the n of s->link; returns how many there are then. */
static size_t
unseen(const struct quest *t, uint32_t row, size_t level, size_t n, struct hnsw_scratch *s)
{
	size_t room;
	const uint32_t *link = links_of(t->g, row, level, &room);

	for (size_t i = 0; i < room && link[i] != HNSW_NONE; i++)
		if (see(s, link[i])) {
			prefetch(t->codes->code + (size_t)link[i] * t->codes->stride, t->codes->stride);
			__builtin_prefetch(t->codes->scale + link[i]);
			s->link[n++] = link[i];
		}
	return n;
}

/*
 * Links of the nearest rows that were not followed, from place *at on. Several
 * at a time, so that memory is asked for many rows at once: it is what a search
 * waits for.
 */
static size_t
follow(const struct quest *t, size_t n, size_t *at, size_t level, struct hnsw_scratch *s)
{
	uint32_t row[HNSW_BEAM];
	size_t rows = 0, found = 0;

	for (; *at < n && rows < HNSW_BEAM; (*at)++)
		if ((s->near[*at].row & FOLLOWED) == 0) {
			row[rows++] = s->near[*at].row;
			s->near[*at].row |= FOLLOWED;
		}
	for (size_t i = 0; i < rows; i++)
		found = unseen(t, row[i], level, found, s);
	return found;
}

/* The ef most similar rows within reach of the first of near, which is marked as seen, on one level. */
static size_t
widen(const struct quest *t, size_t level, size_t ef, struct hnsw_scratch *s)
{
	size_t at = 0, n = 1;

	while (at < n) {
		size_t found = follow(t, n, &at, level, s);

		dot_code_at(t->kernel, t->codes, s->link, found, t->q, s->sim);
		for (size_t i = 0; i < found; i++) {
			size_t place = insert(s->near, &n, ef, s->sim[i], s->link[i]);

			if (place < ef && level == 0)	/* likely to be followed soon */
				prefetch(t->g->base + (size_t)s->link[i] * t->g->room,
				    t->g->room * sizeof *t->g->base);
			at = place < at ? place : at;
		}
	}
	for (size_t i = 0; i < n; i++)
		s->near[i].row &= ~FOLLOWED;
	return n;
}

/* Begin anew at the entry and climb down to a level. */
static void
descend(const struct quest *t, size_t level, struct hnsw_scratch *s)
{
	uint32_t at = t->g->entry;
	float sim;

	dot_code_at(t->kernel, t->codes, &at, 1, t->q, &sim);
	for (size_t l = t->g->level[at]; l > level; l--)
		at = climb(t, at, &sim, l, s);
	s->near[0] = (struct hnsw_near){ sim, at };
}

static size_t
widen_anew(const struct quest *t, size_t level, size_t ef, struct hnsw_scratch *s)
{
	size_t n;

	see(s, s->near[0].row);
	n = widen(t, level, ef, s);
	forget_seen(s);
	return n;
}

size_t
hnsw_search(const struct hnsw *g, const struct dot_codes *codes, enum dot_kernel kernel,
	const struct dot_query *q, size_t ef, struct hnsw_scratch *s)
{
	const struct quest t = { g, codes, kernel, q };

	descend(&t, 0, s);
	return widen_anew(&t, 0, ef, s);
}

/* ---- build ---- */

/* A link to be made: target's list on a level gets row. */
struct wish {
	uint32_t target, row;
	uint32_t level;
};

#define BATCH 4096
/* A batch is at most this share of the rows before it, so that it misses few of its own. */
#define BATCH_SHARE 32
#define PARTS 64
#define ROWS_PER_PART 16

struct worker {
	struct hnsw_scratch *scratch;
	int8_t *code, *pick_code;	/* [stride] */
	struct hnsw_near pick[4 * HNSW_MAX_M + 1];
};

struct hnsw_builder {
	struct hnsw g;
	size_t full;			/* links that a finished row has on level 0 */
	uint32_t *base, *upper, *first;	/* of g, to be written */
	uint8_t *level;
	uint32_t *order;		/* [n] */
	size_t done;			/* rows of order inserted */
	struct hnsw_params params;
	struct dot_codes codes;
	enum dot_kernel kernel;
	struct pool *pool;
	struct cancel *cancel;
	unsigned n_workers;
	struct worker *worker;		/* [n_workers] */
	size_t batch;			/* rows searched together now */
	struct wish *wish;
	size_t n_wishes;
};

uint64_t
hnsw_memory(size_t m, size_t n)
{
	/* Lists with room for growth on level 0; order, first, level; the few upper lists. */
	return (uint64_t)n * (4 * 3 * (uint64_t)m + 4 + 4 + 1 + 8) +
	    BATCH * (2 + HNSW_MAX_LEVEL) * (uint64_t)m * sizeof(struct wish);
}

void
hnsw_finish(struct hnsw *g)
{
	free((void *)(uintptr_t)g->base);
	free((void *)(uintptr_t)g->level);
	free((void *)(uintptr_t)g->upper);
	free((void *)(uintptr_t)g->first);
	*g = (struct hnsw){ 0 };
}

void
hnsw_builder_free(struct hnsw_builder *b)
{
	if (b == NULL)
		return;
	for (unsigned i = 0; b->worker != NULL && i < b->n_workers; i++) {
		hnsw_scratch_free(b->worker[i].scratch);
		free(b->worker[i].code);
	}
	free(b->worker);
	free(b->order);
	free(b->wish);
	free(b->base);
	free(b->upper);
	free(b->first);
	free(b->level);
	free(b);
}

/* Each level has one in m of the rows of the level below: powers of m compared as integers. */
static uint8_t
draw_level(struct rng *g, size_t m)
{
	uint8_t level = 0;

	while (level < HNSW_MAX_LEVEL && rng_below(g, m) == 0)
		level++;
	return level;
}

static int
draw_rows(struct hnsw_builder *b, struct err *e)
{
	struct rng g = rng_split(b->params.seed, 0x676e7773);
	size_t n = b->g.n;

	b->order = mem_aligned(n, sizeof *b->order, e);
	b->level = mem_aligned(n, sizeof *b->level, e);
	b->first = mem_aligned(n, sizeof *b->first, e);
	if (b->order == NULL || b->level == NULL || b->first == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		size_t j = (size_t)rng_below(&g, i + 1);

		b->order[i] = b->order[j];
		b->order[j] = (uint32_t)i;
	}
	for (size_t i = 0; i < n; i++) {
		b->level[i] = draw_level(&g, b->params.m);
		b->first[i] = (uint32_t)b->g.n_upper;
		b->g.n_upper += b->level[i];
	}
	return 0;
}

static int
make_workers(struct hnsw_builder *b, struct err *e)
{
	size_t ef = b->params.ef_construction;

	b->n_workers = pool_threads(b->pool);
	if ((b->worker = mem_calloc(b->n_workers, sizeof *b->worker, e)) == NULL)
		return -1;
	for (unsigned i = 0; i < b->n_workers; i++) {
		b->worker[i].scratch = hnsw_scratch_new(b->g.n, ef, e);
		b->worker[i].code = mem_aligned(b->codes.stride, 2, e);
		if (b->worker[i].scratch == NULL || b->worker[i].code == NULL)
			return -1;
		b->worker[i].pick_code = b->worker[i].code + b->codes.stride;
	}
	return 0;
}

struct hnsw_builder *
hnsw_begin(const struct hnsw_params *params, const struct dot_codes *codes, enum dot_kernel kernel,
	struct pool *pool, struct cancel *cancel, struct err *e)
{
	struct hnsw_builder *b = mem_calloc(1, sizeof *b, e);
	size_t n = codes->n, m = params->m;

	if (b == NULL)
		return NULL;
	b->params = *params;
	b->codes = *codes;
	b->kernel = kernel;
	b->pool = pool;
	b->cancel = cancel;
	b->full = 2 * m;
	b->g = (struct hnsw){ .n = n, .m = m, .room = 3 * m };
	if (n == 0 || n >= HNSW_MAX_ROWS || m < HNSW_MIN_M || m > HNSW_MAX_M)
		err_set(e, ERR_INPUT, "no graph of %zu rows with %zu links", n, m);
	else if (draw_rows(b, e) == 0 && make_workers(b, e) == 0) {
		b->base = mem_aligned(n, b->g.room * sizeof *b->base, e);
		b->upper = mem_aligned(b->g.n_upper, m * sizeof *b->upper, e);
		b->wish = mem_aligned(BATCH * (2 + HNSW_MAX_LEVEL) * m, sizeof *b->wish, e);
	}
	if (b->base == NULL || b->upper == NULL || b->wish == NULL) {
		hnsw_builder_free(b);
		return NULL;
	}
	memset(b->base, 0xff, n * b->g.room * sizeof *b->base);
	memset(b->upper, 0xff, b->g.n_upper * m * sizeof *b->upper);
	b->g.base = b->base;
	b->g.upper = b->upper;
	b->g.level = b->level;
	b->g.first = b->first;
	return b;
}

/*
 * Of n candidates, most similar first, the at most `most` that are each more
 * similar to the row in question than to any picked before: links then lead in
 * different directions. Moves them to the front; returns how many.
 */
static size_t
pick(const struct hnsw_builder *b, struct worker *w, struct hnsw_near *near, size_t n, size_t most)
{
	uint32_t *index = w->scratch->link;
	float *sim = w->scratch->sim;
	struct dot_query q;
	size_t picked = 0;

	for (; picked < n && picked < most; picked++) {
		size_t kept = picked + 1, rest = n - kept;

		q = dot_row(&b->codes, near[picked].row, w->pick_code);
		for (size_t at = 0; at < rest; at += HNSW_MAX_M) {
			size_t some = rest - at < HNSW_MAX_M ? rest - at : HNSW_MAX_M;
			const struct hnsw_near *c = near + picked + 1 + at;

			for (size_t i = 0; i < some; i++)
				index[i] = c[i].row;
			dot_code_at(b->kernel, &b->codes, index, some, &q, sim);
			for (size_t i = 0; i < some; i++)
				if (!(sim[i] > c[i].sim))
					near[kept++] = c[i];
		}
		n = kept;
	}
	return picked;
}

static uint32_t *
list_of(struct hnsw_builder *b, uint32_t row, size_t level, size_t *room)
{
	if (level == 0) {
		*room = b->g.room;
		return b->base + (size_t)row * b->g.room;
	}
	*room = b->g.m;
	return b->upper + ((size_t)b->first[row] + level - 1) * b->g.m;
}

/* Find the neighbours of the new rows of one part; only their own lists are written. */
static void
seek(void *arg, size_t part, unsigned worker)
{
	struct hnsw_builder *b = arg;
	struct worker *w = b->worker + worker;
	struct hnsw_scratch *s = w->scratch;
	size_t end = (part + 1) * ROWS_PER_PART, ef = b->params.ef_construction;

	for (size_t i = part * ROWS_PER_PART; i < end && i < b->batch; i++) {
		uint32_t row = b->order[b->done + i];
		struct dot_query q = dot_row(&b->codes, row, w->code);
		struct quest t = { &b->g, &b->codes, b->kernel, &q };
		size_t top = b->level[b->g.entry];

		top = b->level[row] < top ? b->level[row] : top;
		descend(&t, top, s);
		for (size_t l = top + 1; l-- > 0;) {
			size_t room, n = l == 0 ? b->full : b->g.m;
			uint32_t *list = list_of(b, row, l, &room);

			/* The nearest of all stays in front, and is where the next level begins. */
			n = pick(b, w, s->near, widen_anew(&t, l, ef, s), n);
			for (size_t j = 0; j < n; j++)
				list[j] = s->near[j].row;
		}
	}
}

static int
most_similar_first(const void *a, const void *b)
{
	const struct hnsw_near *x = a, *y = b;

	if (x->sim != y->sim)
		return x->sim < y->sim ? 1 : -1;
	return (x->row > y->row) - (x->row < y->row);
}

/* Choose anew from n rows for a list that holds `most`. */
static void
rewrite(const struct hnsw_builder *b, struct worker *w, uint32_t target, const uint32_t *row, size_t n,
	uint32_t *list, size_t room, size_t most)
{
	const struct dot_query q = dot_row(&b->codes, target, w->code);

	dot_code_at(b->kernel, &b->codes, row, n, &q, w->scratch->sim);
	for (size_t i = 0; i < n; i++)
		w->pick[i] = (struct hnsw_near){ w->scratch->sim[i], row[i] };
	qsort(w->pick, n, sizeof *w->pick, most_similar_first);
	n = pick(b, w, w->pick, n, most);
	for (size_t i = 0; i < room; i++)
		list[i] = i < n ? w->pick[i].row : HNSW_NONE;
}

static void
add_link(struct hnsw_builder *b, struct worker *w, const struct wish *wish)
{
	size_t room, n = 0;
	uint32_t *list = list_of(b, wish->target, wish->level, &room), all[3 * HNSW_MAX_M + 1];

	while (n < room && list[n] != HNSW_NONE)
		n++;
	if (n < room) {
		list[n] = wish->row;
		return;
	}
	memcpy(all, list, n * sizeof *all);
	all[n++] = wish->row;
	rewrite(b, w, wish->target, all, n, list, room, wish->level == 0 ? b->full : b->g.m);
}

/* Links back to the new rows: each part serves the targets that are its own, in the order of the wishes. */
static void
link_back(void *arg, size_t part, unsigned worker)
{
	struct hnsw_builder *b = arg;

	for (size_t i = 0; i < b->n_wishes; i++)
		if (b->wish[i].target % PARTS == part)
			add_link(b, b->worker + worker, b->wish + i);
}

static void
collect_wishes(struct hnsw_builder *b)
{
	b->n_wishes = 0;
	for (size_t i = 0; i < b->batch; i++) {
		uint32_t row = b->order[b->done + i];

		for (size_t l = 0; l <= b->level[row]; l++) {
			size_t room;
			const uint32_t *list = list_of(b, row, l, &room);

			for (size_t j = 0; j < room && list[j] != HNSW_NONE; j++)
				b->wish[b->n_wishes++] = (struct wish){ list[j], row, (uint32_t)l };
		}
	}
}

int
hnsw_insert(struct hnsw_builder *b, size_t count, struct err *e)
{
	if (b->done == 0 && count > 0) {
		b->g.entry = b->order[0];
		b->done = 1;
	}
	while (b->done < count && b->done < b->g.n) {
		if (cancel_check(b->cancel, e) < 0)
			return -1;
		b->batch = b->done / BATCH_SHARE < BATCH ? b->done / BATCH_SHARE + 1 : BATCH;
		if (b->batch > count - b->done)
			b->batch = count - b->done;
		pool_run(b->pool, (b->batch + ROWS_PER_PART - 1) / ROWS_PER_PART, seek, b);
		collect_wishes(b);
		pool_run(b->pool, PARTS, link_back, b);
		for (size_t i = 0; i < b->batch; i++)
			if (b->level[b->order[b->done + i]] > b->level[b->g.entry])
				b->g.entry = b->order[b->done + i];
		b->done += b->batch;
	}
	return 0;
}

const struct hnsw *
hnsw_graph(const struct hnsw_builder *b)
{
	return &b->g;
}

const uint32_t *
hnsw_order(const struct hnsw_builder *b)
{
	return b->order;
}

/* The lowest row of the highest level: a file need not say which. */
static uint32_t
find_entry(const struct hnsw *g)
{
	size_t best = 0;

	for (size_t i = 1; i < g->n; i++)
		if (g->level[i] > g->level[best])
			best = i;
	return (uint32_t)best;
}

/* Lists that grew beyond their final size. */
static void
trim(void *arg, size_t part, unsigned worker)
{
	struct hnsw_builder *b = arg;

	for (size_t row = part; row < b->g.n; row += PARTS) {
		uint32_t *list = b->base + row * b->g.room, all[3 * HNSW_MAX_M];
		size_t n = 0;

		while (n < b->g.room && list[n] != HNSW_NONE)
			n++;
		if (n <= b->full)
			continue;
		memcpy(all, list, n * sizeof *all);
		rewrite(b, b->worker + worker, (uint32_t)row, all, n, list, b->g.room, b->full);
	}
}

void
hnsw_trim(struct hnsw_builder *b)
{
	pool_run(b->pool, PARTS, trim, b);
}

void
hnsw_end(struct hnsw_builder *b, struct hnsw *out)
{
	size_t room = b->g.room;

	hnsw_trim(b);
	for (size_t i = 1; i < b->g.n; i++)
		memmove(b->base + i * b->full, b->base + i * room, b->full * sizeof *b->base);
	b->g.room = b->full;
	b->g.entry = find_entry(&b->g);
	*out = b->g;
	b->base = b->upper = b->first = NULL;
	b->level = NULL;
	hnsw_builder_free(b);
}

/* ---- from a file ---- */

static int
check_list(const struct hnsw *g, size_t row, size_t level, struct err *e)
{
	size_t room, i = 0;
	const uint32_t *link = links_of(g, (uint32_t)row, level, &room);

	for (; i < room && link[i] != HNSW_NONE; i++)
		if (link[i] >= g->n || g->level[link[i]] < level)
			return err_set(e, ERR_INPUT, "row %zu is linked to %lu on level %zu, where there "
			    "is no such row", row, (unsigned long)link[i], level);
	for (; i < room; i++)
		if (link[i] != HNSW_NONE)
			return err_set(e, ERR_INPUT, "row %zu: a link behind the end of its list", row);
	return 0;
}

int
hnsw_adopt(struct hnsw *g, struct err *e)
{
	uint32_t *first;
	size_t upper = 0;

	g->first = NULL;
	if (g->n == 0 || g->n >= HNSW_MAX_ROWS || g->m < HNSW_MIN_M || g->m > HNSW_MAX_M)
		return err_set(e, ERR_INPUT, "a graph of %zu rows with %zu links", g->n, g->m);
	if ((first = mem_aligned(g->n, sizeof *first, e)) == NULL)
		return -1;
	for (size_t i = 0; i < g->n; i++) {
		if (g->level[i] > HNSW_MAX_LEVEL || upper + g->level[i] > g->n_upper) {
			free(first);
			return err_set(e, ERR_INPUT, "row %zu: level %u does not fit", i, g->level[i]);
		}
		first[i] = (uint32_t)upper;
		upper += g->level[i];
	}
	g->first = first;
	g->entry = find_entry(g);
	if (upper != g->n_upper)
		return err_set(e, ERR_INPUT, "%zu upper lists for levels that make %zu", g->n_upper, upper);
	for (size_t i = 0; i < g->n; i++)
		for (size_t l = 0; l <= g->level[i]; l++)
			if (check_list(g, i, l, e) < 0)
				return -1;
	return 0;
}
