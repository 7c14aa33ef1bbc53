#include "math/smo.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "math/gather.h"
#include "math/lanes.h"
#include "math/topk.h"

#define TINY_CURVATURE 1e-12f

/*
 * up [n]: what moving b_i up gains is up_i - f_i; low [n]: what moving b_j down
 * costs is low_j - f_j. Minus and plus infinity where b cannot move.
 */
struct run {
	const struct smo_matrix *m;
	const struct smo_problem *p;
	float *b, *f, *up, *low;
	float step;		/* of a 16-bit cell */
};

static void
renew(struct run *r, size_t i)
{
	float eps = r->p->eps, b = r->b[i];

	r->up[i] = b < r->p->hi[i] ? (b < 0 ? eps : -eps) : -INFINITY;
	r->low[i] = b > r->p->lo[i] ? (b > 0 ? -eps : eps) : INFINITY;
}

/* A running choice of the largest value and the first place that has it. */
struct pick { float best; size_t at; };

LANES_BODY struct pick
settle(const lanes_f *best, const lanes_i *place, struct pick old, size_t base)
{
	for (size_t l = 0; l < LANES; l++) {
		size_t at = base + (size_t)(*place)[l] * LANES + l;

		if ((*best)[l] > old.best || ((*best)[l] == old.best && at < old.at)) {
			old.best = (*best)[l];
			old.at = at;
		}
	}
	return old;
}

LANES_BODY struct pick
first_body(const float *f, const float *up, size_t n, size_t base, struct pick old)
{
	lanes_f best = (lanes_f){ 0 } - INFINITY;
	lanes_i place = { 0 };

	for (size_t i = 0; i < n / LANES; i++) {
		lanes_f v = ((const lanes_f *)up)[i] - ((const lanes_f *)f)[i];
		lanes_i more = v > best;

		best = LANES_PICK(more, v, best);
		place = LANES_PICKI(more, (lanes_i){ 0 } + (int32_t)i, place);
	}
	return settle(&best, &place, old, base);
}

/* f += d (a - b), and the first choice of the next step with it. */
LANES_BODY struct pick
shift_body(float *f, const float *up, const float *a, const float *b, float d, size_t n, size_t base,
	struct pick old)
{
	lanes_f best = (lanes_f){ 0 } - INFINITY;
	lanes_i place = { 0 };

	for (size_t i = 0; i < n / LANES; i++) {
		lanes_f g = ((lanes_f *)f)[i] +
		    d * (((const lanes_f *)a)[i] - ((const lanes_f *)b)[i]);
		lanes_f v = ((const lanes_f *)up)[i] - g;
		lanes_i more = v > best;

		((lanes_f *)f)[i] = g;
		best = LANES_PICK(more, v, best);
		place = LANES_PICKI(more, (lanes_i){ 0 } + (int32_t)i, place);
	}
	return settle(&best, &place, old, base);
}

LANES_BODY struct pick
shift16_body(float *f, const float *up, const uint16_t *a, const uint16_t *b, float d, size_t n,
	size_t base, struct pick old)
{
	lanes_f best = (lanes_f){ 0 } - INFINITY;
	lanes_i place = { 0 };

	for (size_t i = 0; i < n / LANES; i++) {
		lanes_i x = __builtin_convertvector(((const lanes_h *)a)[i], lanes_i);
		lanes_i y = __builtin_convertvector(((const lanes_h *)b)[i], lanes_i);
		lanes_f g = ((lanes_f *)f)[i] + d * __builtin_convertvector(x - y, lanes_f);
		lanes_f v = ((const lanes_f *)up)[i] - g;
		lanes_i more = v > best;

		((lanes_f *)f)[i] = g;
		best = LANES_PICK(more, v, best);
		place = LANES_PICKI(more, (lanes_i){ 0 } + (int32_t)i, place);
	}
	return settle(&best, &place, old, base);
}

/* Second choice: the largest gain^2 / curvature of those below the first one's level. */
struct second { struct pick pick; float widest; };

#define SECOND(load)										\
	lanes_f best = { 0 }, wide = (lanes_f){ 0 } - INFINITY;					\
	lanes_i place = { 0 };									\
												\
	for (size_t i = 0; i < n / LANES; i++) {						\
		lanes_f k = load;								\
		lanes_f gap = level - (((const lanes_f *)low)[i] - ((const lanes_f *)f)[i]);	\
		lanes_f curve = own + 1 - 2 * k, gain;						\
		lanes_i more;									\
												\
		if (diagonal != NULL)								\
			curve = own + ((const lanes_f *)diagonal)[i] - 2 * k;			\
		curve = LANES_PICK(curve > TINY_CURVATURE, curve, curve * 0 + TINY_CURVATURE);	\
		wide = LANES_PICK(gap > wide, gap, wide);					\
		gap = LANES_PICK(gap > 0.0f, gap, gap * 0);					\
		gain = gap * gap / curve;							\
		more = gain > best;								\
		best = LANES_PICK(more, gain, best);						\
		place = LANES_PICKI(more, (lanes_i){ 0 } + (int32_t)i, place);			\
	}											\
	old.pick = settle(&best, &place, old.pick, base);					\
	for (size_t l = 0; l < LANES; l++)							\
		old.widest = wide[l] > old.widest ? wide[l] : old.widest;			\
	return old

LANES_BODY struct second
second_body(const float *f, const float *low, const float *row, const float *diagonal, float own,
	float level, size_t n, size_t base, struct second old)
{
	SECOND(((const lanes_f *)row)[i]);
}

LANES_BODY struct second
second16_body(const float *f, const float *low, const uint16_t *row, const float *diagonal,
	float own, float level, size_t n, size_t base, struct kernel_range range, struct second old)
{
	SECOND(__builtin_convertvector(__builtin_convertvector(((const lanes_h *)row)[i], lanes_i),
	    lanes_f) * range.step + range.low);
}

LANES_VARIANTS(struct pick, return, first, (const float *f, const float *up, size_t n, size_t base,
	struct pick old), (f, up, n, base, old))
LANES_VARIANTS(struct pick, return, shift, (float *f, const float *up, const float *a, const float *b,
	float d, size_t n, size_t base, struct pick old), (f, up, a, b, d, n, base, old))
LANES_VARIANTS(struct pick, return, shift16, (float *f, const float *up, const uint16_t *a,
	const uint16_t *b, float d, size_t n, size_t base, struct pick old),
	(f, up, a, b, d, n, base, old))
LANES_VARIANTS(struct second, return, second, (const float *f, const float *low, const float *row,
	const float *diagonal, float own, float level, size_t n, size_t base, struct second old),
	(f, low, row, diagonal, own, level, n, base, old))
LANES_VARIANTS(struct second, return, second16, (const float *f, const float *low, const uint16_t *row,
	const float *diagonal, float own, float level, size_t n, size_t base,
	struct kernel_range range, struct second old),
	(f, low, row, diagonal, own, level, n, base, range, old))

#define NOWHERE ((size_t)-1)

/* The two stretches of columns: their length and where they start. */
static size_t
stretch(const struct smo_matrix *m, size_t s, size_t *from)
{
	*from = s == 0 ? 0 : m->split;
	return s == 0 ? m->split : m->n - m->split;
}

/* The part of row i over stretch s: block, and offset in it. */
static const struct kernel_out *
part(const struct smo_matrix *m, size_t i, size_t s, size_t *at)
{
	size_t r = i >= m->split;
	const struct kernel_out *block = &m->block[r][s];

	*at = (i - (r ? m->split : 0)) * block->ld;
	return block;
}

static struct pick
first_choice(const struct run *r)
{
	return LANES_CALL(first, (r->f, r->up, r->m->n, 0, ((struct pick){ -INFINITY, NOWHERE })));
}

static float
cell(const struct smo_matrix *m, size_t i, size_t j)
{
	size_t s = j >= m->split, at;
	const struct kernel_out *block = part(m, i, s, &at);

	at += j - (s ? m->split : 0);
	return block->f32 != NULL ? block->f32[at] :
	    m->range.low + m->range.step * (float)block->u16[at];
}

static float
diagonal(const struct smo_matrix *m, size_t i)
{
	return m->diagonal == NULL ? 1 : m->diagonal[i];
}

static struct second
second_choice(const struct run *r, struct pick first)
{
	struct second c = { { 0, NOWHERE }, -INFINITY };
	float own = diagonal(r->m, first.at);

	for (size_t s = 0; s < 2; s++) {
		size_t from, at, n = stretch(r->m, s, &from);
		const struct kernel_out *block;
		const float *d = r->m->diagonal == NULL ? NULL : r->m->diagonal + from;

		if (n == 0)
			continue;
		block = part(r->m, first.at, s, &at);
		if (block->f32 != NULL)
			c = LANES_CALL(second, (r->f + from, r->low + from, block->f32 + at, d, own,
			    first.best, n, from, c));
		else
			c = LANES_CALL(second16, (r->f + from, r->low + from, block->u16 + at, d, own,
			    first.best, n, from, r->m->range, c));
	}
	return c;
}

/* f follows b_i + d, b_j - d; the first choice of the next step. */
static struct pick
shift_all(struct run *r, size_t i, size_t j, float d)
{
	struct pick c = { -INFINITY, NOWHERE };

	for (size_t s = 0; s < 2; s++) {
		size_t from, ai, aj, n = stretch(r->m, s, &from);
		const struct kernel_out *bi, *bj;

		if (n == 0)
			continue;
		bi = part(r->m, i, s, &ai);
		bj = part(r->m, j, s, &aj);
		if (bi->f32 != NULL)
			c = LANES_CALL(shift, (r->f + from, r->up + from, bi->f32 + ai, bj->f32 + aj,
			    d, n, from, c));
		else
			c = LANES_CALL(shift16, (r->f + from, r->up + from, bi->u16 + ai,
			    bj->u16 + aj, d * r->step, n, from, c));
	}
	return c;
}

/* Move the pair as far as the parabola, the box and the kink at zero allow. */
static float
move(struct run *r, size_t i, size_t j, float gap)
{
	float curve = diagonal(r->m, i) + diagonal(r->m, j) - 2 * cell(r->m, i, j);
	float bi = r->b[i], bj = r->b[j], d, end_i, end_j;
	bool kink = r->p->eps > 0;

	d = gap / fmaxf(curve, TINY_CURVATURE);
	end_i = kink && bi < 0 ? 0 : r->p->hi[i];
	end_j = kink && bj > 0 ? 0 : r->p->lo[j];
	d = fminf(d, fminf(end_i - bi, bj - end_j));
	r->b[i] = d >= end_i - bi ? end_i : bi + d;
	r->b[j] = d >= bj - end_j ? end_j : bj - d;
	renew(r, i);
	renew(r, j);
	return d;
}

static void
conclude(const struct run *r, float top, float widest, struct smo_outcome *out)
{
	double sum = 0, objective = 0;
	size_t free_rows = 0;

	for (size_t i = 0; i < r->m->n; i++) {
		float b = r->b[i];

		objective += 0.5 * (double)b * ((double)r->f[i] - (double)r->p->z[i]) +
		    (double)r->p->eps * fabs((double)b);
		if (b == 0 || b <= r->p->lo[i] || b >= r->p->hi[i])
			continue;
		sum += (double)r->up[i] - (double)r->f[i];
		free_rows++;
	}
	out->objective = objective;
	out->violation = (double)widest;
	if (free_rows > 0)
		out->bias = sum / (double)free_rows;
	else if (isfinite(top) && isfinite(widest))
		out->bias = (double)top - (double)widest / 2;
	else
		out->bias = 0;
}

void
smo_start(const struct smo_problem *p, struct smo_state *s)
{
	for (size_t i = 0; i < p->n; i++) {
		s->b[i] = 0;
		s->f[i] = -p->z[i];
	}
}

size_t
smo_work(size_t n)
{
	return 2 * n;
}

int
smo_solve(const struct smo_matrix *m, const struct smo_problem *p, struct smo_state *s, float *work,
	struct smo_outcome *out, struct err *e)
{
	struct run r = { m, p, s->b, s->f, work, work + m->n, m->range.step };
	uint64_t limit = p->max_steps;
	struct pick first;
	struct second second;

	*out = (struct smo_outcome){ 0 };
	if (limit == 0)
		limit = m->n < 100000 ? 10000000 : (uint64_t)m->n * 100;
	for (size_t i = 0; i < m->n; i++)
		renew(&r, i);
	first = first_choice(&r);
	for (;; out->steps++) {
		second = (struct second){ { 0, NOWHERE }, -INFINITY };
		if (first.best > -INFINITY)
			second = second_choice(&r, first);
		out->converged = !((double)second.widest >= p->tolerance) || second.pick.at == NOWHERE;
		if (out->converged || out->steps >= limit)
			break;
		if (out->steps % 1024 == 0 && cancel_check(p->cancel, e) < 0)
			return -1;
		first = shift_all(&r, first.at, second.pick.at, move(&r, first.at,
		    second.pick.at, first.best - (r.low[second.pick.at] - r.f[second.pick.at])));
	}
	conclude(&r, first.best, second.widest, out);
	return 0;
}

/* ---- many rows at a time ------------------------------------------------------ */

#define MAX_SET 2048

struct blocks {
	const struct kernel *k;
	struct kernel_rows rows;
	const struct smo_problem *p;
	struct smo_state *state;
	struct smo_outcome *out;
	size_t problems, n, ld;		/* n slots of a problem; ld: a stored row */
	size_t half;			/* rows of half a working set */
	float *stored;			/* [2 half x ld] kernel rows of the set */
	float *chosen, *chosen_norm;	/* [half x d] rows going in, [half] */
	float *sub, *diagonal;		/* [2 half x 2 half], [2 half] */
	float *level;			/* [problems x 2n] up, low */
	float *work;			/* [problems x (9 x 2 half + ld)] */
	float *value, *value_work;	/* [n] */
	uint32_t *set;			/* [2 half] row of each place */
	uint32_t *index;		/* [n] */
	uint8_t *member;		/* [n] 0, or 1 + the half that holds it */
	size_t count[2];
	bool *done;			/* [problems] */
};

static struct run
run_of(struct blocks *w, size_t p)
{
	float *up = w->level + p * 2 * w->n;

	return (struct run){ NULL, &w->p[p], w->state[p].b, w->state[p].f, up, up + w->n, 0 };
}

/* Rows [half x d] of the places of one half that are taken. */
static void
add_best(struct blocks *w, size_t h, size_t wanted)
{
	size_t got = topk_select(w->value, w->n, wanted, w->value_work, w->index);

	for (size_t i = 0; i < got && w->count[h] < w->half; i++) {
		uint32_t row = w->index[i];

		if (w->member[row] != 0 || !(w->value[row] > -FLT_MAX))
			continue;
		w->member[row] = (uint8_t)(1 + h);
		w->set[h * w->half + w->count[h]++] = row;
	}
}

/* Widest violation of a problem; its worst rows go into half h. */
static void
choose(struct blocks *w, size_t p, size_t h, size_t wanted)
{
	struct run r = run_of(w, p);
	float top = -INFINITY, bottom = INFINITY;

	for (size_t i = 0; i < w->n; i++) {
		top = fmaxf(top, r.up[i] - r.f[i]);
		bottom = fminf(bottom, r.low[i] - r.f[i]);
	}
	w->out[p].violation = top > -INFINITY && bottom < INFINITY ? (double)top - (double)bottom : 0;
	w->done[p] = w->out[p].violation < w->p[p].tolerance;
	if (w->done[p] || wanted == 0)
		return;
	for (size_t i = 0; i < w->n; i++)
		w->value[i] = r.up[i] - r.f[i] > bottom && w->member[i] == 0 ? r.up[i] - r.f[i] : -FLT_MAX;
	add_best(w, h, wanted);
	for (size_t i = 0; i < w->n; i++)
		w->value[i] = r.low[i] - r.f[i] < top && w->member[i] == 0 ? r.f[i] - r.low[i] : -FLT_MAX;
	add_best(w, h, wanted);
}

/* Fill half h anew; false when every problem is solved. */
static bool
refill(struct blocks *w, size_t h)
{
	size_t open = 0, wanted;

	for (size_t i = 0; i < w->count[h]; i++)
		w->member[w->set[h * w->half + i]] = 0;
	w->count[h] = 0;
	for (size_t p = 0; p < w->problems; p++)
		open += !w->done[p];
	wanted = open == 0 ? 0 : (w->half + 2 * open - 1) / (2 * open);
	open = 0;
	for (size_t p = 0; p < w->problems; p++) {
		if (!w->done[p])
			choose(w, p, h, wanted);
		open += !w->done[p];
	}
	return open > 0;
}

/* Kernel rows of half h against all rows, and the square of the whole set. */
static int
compute(struct blocks *w, size_t h, struct pool *pool, struct err *e)
{
	size_t d = w->rows.x.cols, q = 2 * w->half;
	float *to = w->stored + h * w->half * w->ld;
	struct kernel_rows fresh = { { w->chosen, w->count[h], d, d }, w->chosen_norm };

	for (size_t i = 0; i < w->count[h]; i++) {
		uint32_t row = w->set[h * w->half + i];

		memcpy(w->chosen + i * d, w->rows.x.x + row * w->rows.x.ld, d * sizeof *w->chosen);
		w->chosen_norm[i] = w->rows.half_norm[row];
	}
	if (kernel_block(w->k, fresh, w->rows, (struct kernel_range){ 0, 0 },
	    (struct kernel_out){ to, NULL, w->ld }, NULL, pool, e) < 0)
		return -1;
	for (size_t g = 0; g < 2; g++)
		for (size_t i = 0; i < w->count[g]; i++)
			for (size_t c = 0; c < 2; c++)
				for (size_t j = 0; j < w->count[c]; j++)
					w->sub[(g * w->half + i) * q + c * w->half + j] =
					    w->stored[(g * w->half + i) * w->ld +
					    w->set[c * w->half + j]];
	for (size_t i = 0; i < q; i++)
		w->diagonal[i] = i % w->half < w->count[i / w->half] ? w->sub[i * q + i] : 1;
	return 0;
}

/* Solve one problem on the set, then carry the change to every row. */
static void
solve_set(void *arg, size_t p, unsigned worker)
{
	struct blocks *w = arg;
	size_t q = 2 * w->half, changed = 0;
	float *z = w->work + p * (9 * q + w->ld), *lo = z + q, *hi = lo + q, *b = hi + q, *f = b + q;
	float *work = f + q, *change = work + 2 * q, *sum = change + 2 * q;
	uint32_t *place = (uint32_t *)(void *)(change + q);
	struct run r = run_of(w, p);
	struct smo_problem sub = { q, z, lo, hi, r.p->eps,
		fmax(r.p->tolerance, w->out[p].violation / 16), 64 * q, NULL };
	struct smo_matrix m = { q, q, { { { w->sub, NULL, q } } }, { 0, 0 }, w->diagonal };
	struct smo_state s = { b, f };
	struct smo_outcome o;

	(void)worker;
	if (w->done[p])
		return;
	memset(z, 0, 5 * q * sizeof *z);
	for (size_t i = 0; i < q; i++) {
		uint32_t row = w->set[i];

		if (i % w->half >= w->count[i / w->half])
			continue;
		z[i] = r.p->z[row];
		lo[i] = r.p->lo[row];
		hi[i] = r.p->hi[row];
		b[i] = r.b[row];
		f[i] = r.f[row];
	}
	(void)smo_solve(&m, &sub, &s, work, &o, NULL);
	w->out[p].steps += o.steps;
	for (size_t i = 0; i < q; i++) {
		uint32_t row = w->set[i];

		if (i % w->half >= w->count[i / w->half] || b[i] == r.b[row])
			continue;
		change[changed] = b[i] - r.b[row];
		place[changed++] = (uint32_t)i;
		r.b[row] = b[i];
		renew(&r, row);
	}
	gather_f32(w->stored, w->ld, place, change, changed, sum);
	for (size_t i = 0; i < w->n; i++)
		r.f[i] += sum[i];
}

static int
blocks_alloc(struct blocks *w, uint64_t bytes, struct err *e)
{
	size_t d = w->rows.x.cols, q;
	uint64_t row = (w->ld + d + MAX_SET + 9 * w->problems) * sizeof(float);

	q = bytes / row > MAX_SET ? MAX_SET : (size_t)(bytes / row);
	q = q < 4 * KERNEL_LANES ? 4 * KERNEL_LANES : q;
	w->half = q / 2 / KERNEL_LANES * KERNEL_LANES;
	q = 2 * w->half;
	w->stored = mem_aligned(q * w->ld, sizeof(float), e);
	w->chosen = mem_aligned(w->half * d, sizeof(float), e);
	w->chosen_norm = mem_aligned(w->half, sizeof(float), e);
	w->sub = mem_aligned(q * q, sizeof(float), e);
	w->diagonal = mem_aligned(q, sizeof(float), e);
	w->level = mem_aligned(w->problems * 2 * w->n, sizeof(float), e);
	w->work = mem_aligned(w->problems * (9 * q + w->ld), sizeof(float), e);
	w->value = mem_aligned(w->n, sizeof(float), e);
	w->value_work = mem_aligned(w->n, sizeof(float), e);
	w->set = mem_aligned(q, sizeof(uint32_t), e);
	w->index = mem_aligned(w->n, sizeof(uint32_t), e);
	w->member = mem_aligned(w->n, 1, e);
	w->done = mem_calloc(w->problems, sizeof *w->done, e);
	return w->stored == NULL || w->chosen == NULL || w->chosen_norm == NULL || w->sub == NULL ||
	    w->diagonal == NULL || w->level == NULL || w->work == NULL || w->value == NULL ||
	    w->value_work == NULL || w->set == NULL || w->index == NULL || w->member == NULL ||
	    w->done == NULL ? -1 : 0;
}

static void
blocks_free(struct blocks *w)
{
	free(w->stored);
	free(w->chosen);
	free(w->chosen_norm);
	free(w->sub);
	free(w->diagonal);
	free(w->level);
	free(w->work);
	free(w->value);
	free(w->value_work);
	free(w->set);
	free(w->index);
	free(w->member);
	free(w->done);
}

static void
conclude_all(struct blocks *w)
{
	for (size_t p = 0; p < w->problems; p++) {
		struct run r = run_of(w, p);
		struct smo_matrix m = { .n = w->n };
		float top = -INFINITY;
		uint64_t steps = w->out[p].steps;

		r.m = &m;
		for (size_t i = 0; i < w->n; i++)
			top = fmaxf(top, r.up[i] - r.f[i]);
		conclude(&r, top, (float)w->out[p].violation, &w->out[p]);
		w->out[p].steps = steps;
		w->out[p].converged = w->done[p];
	}
}

int
smo_solve_blocks(const struct kernel *k, struct kernel_rows rows, const struct smo_problem *p,
	struct smo_state *state, size_t problems, uint64_t bytes, struct smo_outcome *out,
	struct pool *pool, struct err *e)
{
	struct blocks w = { .k = k, .rows = rows, .p = p, .state = state, .out = out,
		.problems = problems, .n = p[0].n };
	size_t rounds;
	int r = -1;

	w.ld = (w.n + GATHER_COLS - 1) / GATHER_COLS * GATHER_COLS;
	if (blocks_alloc(&w, bytes, e) < 0)
		goto out;
	for (size_t i = 0; i < problems; i++) {
		struct run run = run_of(&w, i);

		out[i] = (struct smo_outcome){ 0 };
		for (size_t j = 0; j < w.n; j++)
			renew(&run, j);
	}
	rounds = 200 + 200 * (w.n / w.half);
	for (size_t t = 0; t < rounds && refill(&w, t % 2); t++) {
		if (cancel_check(p->cancel, e) < 0 || compute(&w, t % 2, pool, e) < 0)
			goto out;
		pool_run(pool, problems, solve_set, &w);
	}
	conclude_all(&w);
	r = 0;
out:
	blocks_free(&w);
	return r;
}
