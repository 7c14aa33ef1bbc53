#include "model/svmpair.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/platt.h"
#include "math/smo.h"

#define HELD_OUT 4		/* one row in this many calibrates the probabilities */

static float *
floats(size_t n, struct err *e)
{
	return mem_aligned(n, sizeof(float), e);
}

struct svc {
	struct svmfit *f;
	size_t k, total;		/* classes, rows of them */
	size_t *from, *count;		/* [k] first row of a class in order, rows */
	size_t *order;			/* [total] training rows by class */
	bool *held;			/* [total] calibrates */
	float *x, *half;		/* [total x d], [total] in that order */
	float *coef;			/* [(k-1) x total] */
	float *bias, *sigmoid;		/* [pairs], [pairs x 2] */
	size_t most, slots;		/* rows and slots of the largest class */
	struct kernel_range range;
	struct kernel_out *own;		/* [k] diagonal blocks, when they are kept */
	struct room *room;		/* one per worker */
	struct pool *pool;		/* within a pair */
	struct err *error;		/* [pairs] */
	bool *failed;			/* [pairs] */
};

/* Buffers of one pair. */
struct room {
	struct kernel_out across, back;	/* [slots x slots] */
	float *slot;			/* [2 slots x 8] z, lo, hi, b, f, diagonal, work */
	double *value;			/* [2 slots] */
	bool *positive;			/* [2 slots] */
};

static struct kernel_rows
class_rows(const struct svc *c, size_t a)
{
	size_t d = c->f->data->d;

	return (struct kernel_rows){ { c->x + c->from[a] * d, c->count[a], d, d },
		c->half + c->from[a] };
}

static size_t
pair_number(const struct svc *c, size_t a, size_t b)
{
	return a * (2 * c->k - a - 1) / 2 + (b - a - 1);
}

static int
out_alloc(struct kernel_out *o, size_t slots, struct err *e)
{
	*o = (struct kernel_out){ floats(slots * slots, e), NULL, slots };
	return o->f32 == NULL ? -1 : 0;
}

/* Slots of a pair: class a from 0, class b from the padded end of it. */
struct pair {
	struct svc *c;
	struct room *room;
	size_t a, b, na, nb, start, n;	/* start: slot of b's first row */
	struct smo_problem problem;
	struct smo_state state;
	float *z, *lo, *hi, *diagonal, *work;
};

static size_t
slot_row(const struct pair *p, size_t slot)
{
	if (slot < p->na)
		return p->c->from[p->a] + slot;
	if (slot >= p->start && slot < p->start + p->nb)
		return p->c->from[p->b] + (slot - p->start);
	return (size_t)-1;
}

static void
pair_open(struct pair *p, struct svc *c, struct room *room, size_t a, size_t b, bool tight)
{
	*p = (struct pair){ .c = c, .room = room, .a = a, .b = b, .na = c->count[a],
		.nb = c->count[b] };
	p->start = tight ? p->na : kernel_padded(p->na);
	p->n = tight ? svmfit_slots(p->na + p->nb) : p->start + kernel_padded(p->nb);
	p->z = room->slot;
	p->lo = p->z + p->n;
	p->hi = p->lo + p->n;
	p->state = (struct smo_state){ p->hi + p->n, p->hi + 2 * p->n };
	p->diagonal = p->hi + 3 * p->n;
	p->work = p->hi + 4 * p->n;
	memset(p->z, 0, 6 * p->n * sizeof *p->z);
	p->problem = (struct smo_problem){ p->n, p->z, p->lo, p->hi, 0, c->f->svm->params.tol, 0,
		c->f->data->cancel };
	for (size_t i = 0; i < p->n; i++)
		if (slot_row(p, i) != (size_t)-1)
			p->z[i] = i < p->start ? 1 : -1;
}

/* Which rows take part: all, or those that are not held out. */
static void
pair_box(struct pair *p, bool all)
{
	struct svmfit *f = p->c->f;

	for (size_t i = 0; i < p->n; i++) {
		size_t row = slot_row(p, i);
		float most;

		if (row == (size_t)-1)
			continue;
		most = all || !p->c->held[row] ? (float)f->svm->params.C *
		    svmfit_weight(f->data, p->c->order[row]) : 0;
		p->lo[i] = i < p->start ? 0 : -most;
		p->hi[i] = i < p->start ? most : 0;
	}
}

typedef int solver(void *ctx, struct pair *, struct smo_outcome *, struct err *);

/* The sigmoid from the rows held out; the state stays as the start of the whole. */
static int
pair_calibrate(struct pair *p, solver *solve, void *ctx, struct err *e)
{
	struct svc *c = p->c;
	struct smo_outcome o;
	struct platt sigmoid;
	size_t n = 0;

	pair_box(p, false);
	if (solve(ctx, p, &o, e) < 0)
		return -1;
	for (size_t i = 0; i < p->n; i++) {
		size_t row = slot_row(p, i);

		if (row == (size_t)-1 || !c->held[row])
			continue;
		p->room->value[n] = (double)p->state.f[i] + (double)p->z[i] + o.bias;
		p->room->positive[n++] = i < p->start;
	}
	sigmoid = platt_fit(p->room->value, p->room->positive, n);
	c->sigmoid[2 * pair_number(c, p->a, p->b)] = (float)sigmoid.a;
	c->sigmoid[2 * pair_number(c, p->a, p->b) + 1] = (float)sigmoid.b;
	return 0;
}

static int
pair_train(struct pair *p, solver *solve, void *ctx, struct err *e)
{
	struct svc *c = p->c;
	struct smo_outcome o;

	smo_start(&p->problem, &p->state);
	c->sigmoid[2 * pair_number(c, p->a, p->b)] = -1;
	if (c->f->svm->params.probability && pair_calibrate(p, solve, ctx, e) < 0)
		return -1;
	pair_box(p, true);
	if (solve(ctx, p, &o, e) < 0)
		return -1;
	c->bias[pair_number(c, p->a, p->b)] = (float)o.bias;
	for (size_t i = 0; i < p->n; i++) {
		size_t row = slot_row(p, i);

		if (row != (size_t)-1)
			c->coef[(i < p->start ? p->b - 1 : p->a) * c->total + row] = p->state.b[i];
	}
	return 0;
}

/* ---- a pair whose blocks fit */

static int
solve_whole(void *ctx, struct pair *p, struct smo_outcome *o, struct err *e)
{
	return smo_solve(ctx, &p->problem, &p->state, p->work, o, e);
}

static int
pair_whole(struct svc *c, struct room *room, size_t a, size_t b, const struct kernel_out *aa,
	const struct kernel_out *bb, struct err *e)
{
	struct kernel_rows ra = class_rows(c, a), rb = class_rows(c, b);
	struct smo_matrix m;
	struct pair p;

	pair_open(&p, c, room, a, b, false);
	room->across.ld = kernel_padded(p.nb);
	room->back.ld = kernel_padded(p.na);
	if (kernel_block(&c->f->k, ra, rb, c->range, room->across, &room->back, c->pool, e) < 0)
		return -1;
	kernel_diagonal(&c->f->k, ra, p.diagonal);
	kernel_diagonal(&c->f->k, rb, p.diagonal + p.start);
	m = (struct smo_matrix){ p.n, p.start, { { *aa, room->across }, { room->back, *bb } },
		c->range, c->f->k.type == KERNEL_RBF ? NULL : p.diagonal };
	return pair_train(&p, solve_whole, &m, e);
}

static int
own_block(struct svc *c, size_t a, struct kernel_out *out, struct pool *pool, struct err *e)
{
	struct kernel_rows r = class_rows(c, a);

	out->ld = kernel_padded(c->count[a]);
	return kernel_block(&c->f->k, r, r, c->range, *out, NULL, pool, e);
}

static void
kept_pair(void *arg, size_t part, unsigned worker)
{
	struct svc *c = arg;
	size_t a = 0, b = part;

	while (b >= c->k - 1 - a) {
		b -= c->k - 1 - a;
		a++;
	}
	b += a + 1;
	c->failed[part] = pair_whole(c, &c->room[worker], a, b, &c->own[a], &c->own[b],
	    &c->error[part]) < 0;
}

/* Every diagonal block is kept; pairs side by side when there is room for it. */
static int
svc_kept(struct svc *c, bool parallel)
{
	size_t pairs = svm_pairs(c->k);

	for (size_t a = 0; a < c->k; a++)
		if (out_alloc(&c->own[a], kernel_padded(c->count[a]), c->f->e) < 0 ||
		    own_block(c, a, &c->own[a], c->f->data->pool, c->f->e) < 0)
			return -1;
	c->pool = parallel ? NULL : c->f->data->pool;
	pool_run(parallel ? c->f->data->pool : NULL, pairs, kept_pair, c);
	for (size_t i = 0; i < pairs; i++)
		if (c->failed[i]) {
			if (c->f->e != NULL)
				*c->f->e = c->error[i];
			return -1;
		}
	return 0;
}

/* Bytes of a kernel value with which all blocks of a pair fit into the cache: 4, 2, or 0 for none. */
static size_t
pair_width(const struct svc *c, size_t a, size_t b)
{
	uint64_t side = kernel_padded(c->count[a]) + kernel_padded(c->count[b]);

	return side * side * 4 <= c->f->cache ? 4 : side * side * 2 <= c->f->cache ? 2 : 0;
}

/* The next block of rows x cols in the arena. */
static struct kernel_out
place(char *arena, size_t *used, size_t rows, size_t cols, size_t width)
{
	void *at = arena + *used;

	*used += rows * cols * width;
	return width == 4 ? (struct kernel_out){ at, NULL, cols } :
	    (struct kernel_out){ NULL, at, cols };
}

/* The pairs that fit, one after another, the second class's block made anew each time. */
static int
made_pairs(struct svc *c, char *arena)
{
	for (size_t a = 0; a + 1 < c->k; a++) {
		size_t have = 0, pa = kernel_padded(c->count[a]);

		for (size_t b = a + 1; b < c->k; b++) {
			size_t width = pair_width(c, a, b), pb = kernel_padded(c->count[b]), used = 0;
			struct kernel_out aa, bb;
			int r;

			if (width == 0)
				continue;
			aa = place(arena, &used, pa, pa, width);
			bb = place(arena, &used, pb, pb, width);
			c->room->across = place(arena, &used, pa, pb, width);
			c->room->back = place(arena, &used, pb, pa, width);
			r = have != width ? own_block(c, a, &aa, c->pool, c->f->e) : 0;
			have = width;
			if (r == 0)
				r = own_block(c, b, &bb, c->pool, c->f->e);
			if (r == 0)
				r = pair_whole(c, c->room, a, b, &aa, &bb, c->f->e);
			c->room->across = c->room->back = (struct kernel_out){ NULL, NULL, 0 };
			if (r < 0)
				return -1;
		}
	}
	return 0;
}

static int
svc_made(struct svc *c)
{
	uint64_t most = 0;
	char *arena;
	int r;

	for (size_t a = 0; a + 1 < c->k; a++)
		for (size_t b = a + 1; b < c->k; b++) {
			uint64_t side = kernel_padded(c->count[a]) + kernel_padded(c->count[b]);
			uint64_t bytes = side * side * pair_width(c, a, b);

			most = bytes > most ? bytes : most;
		}
	if (most == 0)
		return 0;
	if ((arena = mem_aligned((size_t)most, 1, c->f->e)) == NULL)
		return -1;
	c->pool = c->f->data->pool;
	r = made_pairs(c, arena);
	free(arena);
	return r;
}

/* ---- a pair whose blocks do not fit */

static int
solve_blocks(void *ctx, struct pair *p, struct smo_outcome *o, struct err *e)
{
	const struct kernel_rows *rows = ctx;

	return smo_solve_blocks(&p->c->f->k, *rows, &p->problem, &p->state, 1, p->c->f->cache, o,
	    p->c->f->data->pool, e);
}

static int
svc_blocks(struct svc *c)
{
	size_t d = c->f->data->d, most = 2 * c->most;
	float *x = floats(most * d, c->f->e), *half = floats(most, c->f->e);
	int r = -1;

	if (x == NULL || half == NULL)
		goto out;
	for (size_t a = 0; a < c->k; a++)
		for (size_t b = a + 1; b < c->k; b++) {
			struct kernel_rows rows = { { x, c->count[a] + c->count[b], d, d }, half };
			struct pair p;

			if (pair_width(c, a, b) != 0)
				continue;
			for (size_t s = 0; s < 2; s++) {
				struct kernel_rows from = class_rows(c, s == 0 ? a : b);
				size_t at = s == 0 ? 0 : c->count[a];

				memcpy(x + at * d, from.x.x, from.x.rows * d * sizeof *x);
				memcpy(half + at, from.half_norm, from.x.rows * sizeof *half);
			}
			pair_open(&p, c, c->room, a, b, true);
			if (pair_train(&p, solve_blocks, &rows, c->f->e) < 0)
				goto out;
		}
	r = 0;
out:
	free(x);
	free(half);
	return r;
}

/* ---- the whole of it */

static int
room_alloc(struct svc *c, size_t workers, bool blocks)
{
	size_t slots = 2 * c->slots + SVMFIT_PAD;

	c->room = mem_calloc(workers, sizeof *c->room, c->f->e);
	for (size_t i = 0; c->room != NULL && i < workers; i++) {
		struct room *r = &c->room[i];

		r->slot = floats(8 * slots, c->f->e);
		r->value = mem_calloc(slots, sizeof *r->value, c->f->e);
		r->positive = mem_calloc(slots, sizeof *r->positive, c->f->e);
		if (r->slot == NULL || r->value == NULL || r->positive == NULL)
			return -1;
		if (!blocks && (out_alloc(&r->across, c->slots, c->f->e) < 0 ||
		    out_alloc(&r->back, c->slots, c->f->e) < 0))
			return -1;
	}
	return c->room == NULL ? -1 : 0;
}

/* By what fits into the cache: all diagonal blocks; one pair; one pair in 16 bits; rows of a pair. */
static int
svc_solve(struct svc *c, size_t *workers)
{
	uint64_t cells = (uint64_t)c->slots * c->slots, kept = 0, cache = c->f->cache;
	unsigned threads = pool_threads(c->f->data->pool);

	for (size_t a = 0; a < c->k; a++)
		kept += (uint64_t)kernel_padded(c->count[a]) * kernel_padded(c->count[a]);
	if ((kept + 2 * cells) * 4 <= cache) {
		bool parallel = (kept + 2 * cells * threads) * 4 <= cache;

		*workers = parallel ? threads : 1;
		return room_alloc(c, *workers, false) < 0 ? -1 : svc_kept(c, parallel);
	}
	*workers = 1;
	if (room_alloc(c, 1, true) < 0 || svc_made(c) < 0)
		return -1;
	return svc_blocks(c);
}

/* Label of a row: the model with 1; none: m. */
static size_t
label(const struct scorer_data *data, size_t row)
{
	for (size_t j = 0; j < data->m; j++)
		if (data->score[row * data->m + j] > 0.5f)
			return j;
	return data->m;
}

/* A quarter of each class, by the seed; none of a class too small to spare any. */
static void
hold_out(struct svc *c, size_t a, size_t *shuffled)
{
	struct rng g = rng_split(c->f->data->seed, a);
	size_t n = c->count[a];

	for (size_t i = 0; i < n; i++)
		shuffled[i] = c->from[a] + i;
	for (size_t i = n; i-- > 1;) {
		size_t j = (size_t)rng_below(&g, i + 1), t = shuffled[i];

		shuffled[i] = shuffled[j];
		shuffled[j] = t;
	}
	for (size_t i = 0; i < n / HELD_OUT; i++)
		c->held[shuffled[i]] = true;
}

/* Rows by class: counts, order, copies; class_model of the model. */
static int
svc_sort(struct svc *c, uint32_t *class_model)
{
	const struct scorer_data *data = c->f->data;
	size_t d = data->d;

	for (size_t j = 0; j < data->m; j++) {
		size_t before = c->total;

		for (size_t i = 0; i < data->n; i++)
			if (label(data, i) == j)
				c->order[c->total++] = i;
		if (c->total == before)
			continue;
		class_model[c->k] = (uint32_t)j;
		c->from[c->k] = before;
		c->count[c->k++] = c->total - before;
		c->most = c->total - before > c->most ? c->total - before : c->most;
	}
	c->slots = kernel_padded(c->most);
	if (c->total == 0)
		return err_set(c->f->e, ERR_INPUT, "svm: no row has a best model");
	c->x = floats(c->total * d, c->f->e);
	c->half = floats(c->total, c->f->e);
	if (c->x == NULL || c->half == NULL)
		return -1;
	for (size_t i = 0; i < c->total; i++) {
		memcpy(c->x + i * d, data->x + c->order[i] * d, d * sizeof *c->x);
		c->half[i] = c->f->half[c->order[i]];
	}
	return 0;
}

static int
svc_pack(struct svc *c)
{
	struct svm *s = c->f->svm;
	uint32_t *keep = mem_calloc(c->total, sizeof *keep, c->f->e), *rows;
	int r = -1;

	s->class_rows = rows = s->owned[6] = mem_aligned(c->k, sizeof *rows, c->f->e);
	if (keep != NULL && rows != NULL &&
	    svmfit_pack(c->f, c->coef, c->k - 1, c->total, c->order, keep) == 0) {
		for (size_t i = 0; i < s->n; i++) {
			size_t a = 0;

			while (keep[i] >= c->from[a] + c->count[a])
				a++;
			rows[a]++;
		}
		r = 0;
	}
	free(keep);
	return r;
}

/* Buffers that depend on the number of classes, then the solution. */
static int
svc_pairs(struct svc *c)
{
	size_t pairs = svm_pairs(c->k), workers = 0, *shuffled;
	struct svm *s = c->f->svm;
	int r = -1;

	shuffled = mem_calloc(c->total, sizeof *shuffled, c->f->e);
	c->coef = floats((c->k - 1) * c->total, c->f->e);
	s->bias = c->bias = s->owned[4] = floats(pairs, c->f->e);
	s->sigmoid = c->sigmoid = s->owned[7] = floats(2 * pairs, c->f->e);
	c->own = mem_calloc(c->k, sizeof *c->own, c->f->e);
	c->error = mem_calloc(pairs, sizeof *c->error, c->f->e);
	c->failed = mem_calloc(pairs, sizeof *c->failed, c->f->e);
	if (shuffled == NULL || c->coef == NULL || c->bias == NULL || c->sigmoid == NULL ||
	    c->own == NULL || c->error == NULL || c->failed == NULL)
		goto out;
	for (size_t a = 0; a < c->k; a++)
		hold_out(c, a, shuffled);
	c->range = kernel_range(&c->f->k, 1.001f);
	if (svc_solve(c, &workers) == 0)
		r = svc_pack(c);
out:
	for (size_t a = 0; c->own != NULL && a < c->k; a++)
		free(c->own[a].f32);
	for (size_t i = 0; c->room != NULL && i < workers; i++) {
		free(c->room[i].across.f32);
		free(c->room[i].back.f32);
		free(c->room[i].slot);
		free(c->room[i].value);
		free(c->room[i].positive);
	}
	free(c->room);
	free(c->coef);
	free(c->own);
	free(c->error);
	free(c->failed);
	free(shuffled);
	return r;
}

int
svmpair_fit(struct svmfit *f)
{
	const struct scorer_data *data = f->data;
	struct svc c = { .f = f };
	uint32_t *class_model;
	int r = -1;

	c.from = mem_calloc(data->m, sizeof *c.from, f->e);
	c.count = mem_calloc(data->m, sizeof *c.count, f->e);
	c.order = mem_calloc(data->n, sizeof *c.order, f->e);
	c.held = mem_calloc(data->n, sizeof *c.held, f->e);
	f->svm->class_model = class_model = f->svm->owned[5] = mem_aligned(data->m,
	    sizeof *class_model, f->e);
	if (c.from != NULL && c.count != NULL && c.order != NULL && c.held != NULL &&
	    class_model != NULL && svc_sort(&c, class_model) == 0) {
		f->svm->classes = c.k;
		r = c.k == 1 ? 0 : svc_pairs(&c);
	}
	free(c.from);
	free(c.count);
	free(c.order);
	free(c.held);
	free(c.x);
	free(c.half);
	return r;
}
