#include "model/router.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fmt/hash.h"
#include "model/hybrid.h"

void
router_free(struct router *r)
{
	if (r == NULL)
		return;
	if (r->scorer != NULL)
		r->kind->free(r->scorer);
	free(r->score_mean);
	free(r->cost_mean);
	free(r->latency_mean);
	embed_free(r->embed);
	map_finish(&r->models);
	tensorfile_free(r->file);
	free(r);
}

const struct knn *
router_knn(const struct router *r)
{
	if (r->kind == &hybrid_kind)
		return hybrid_knn(r->scorer);
	return r->kind == &knn_kind ? r->scorer : NULL;
}

const struct knn_scratch *
router_knn_scratch(const struct router *r, const struct router_scratch *s)
{
	if (r->kind == &hybrid_kind)
		return hybrid_knn_scratch(r->scorer, s->scorer);
	return r->kind == &knn_kind ? s->scorer : NULL;
}

bool
router_knows_cost(const struct router *r)
{
	for (size_t j = 0; j < r->models.len; j++)
		if (r->cost_mean[j] >= 0)
			return true;
	return false;
}

bool
router_knows_latency(const struct router *r)
{
	for (size_t j = 0; r->latency_mean != NULL && j < r->models.len; j++)
		if (r->latency_mean[j] >= 0)
			return true;
	return false;
}

struct router_scratch *
router_scratch_new(const struct router *r, struct err *e)
{
	struct router_scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->embed = embed_scratch_new(r->embed, e);
	s->kind = r->kind;
	s->scorer = s->embed == NULL ? NULL : r->kind->scratch_new(r->scorer, e);
	s->vector = mem_aligned(r->d, sizeof *s->vector, e);
	s->score = mem_aligned(r->models.len, sizeof *s->score, e);
	s->cost = mem_aligned(r->models.len, sizeof *s->cost, e);
	if (s->scorer == NULL || s->vector == NULL || s->score == NULL || s->cost == NULL) {
		router_scratch_free(s);
		return NULL;
	}
	return s;
}

void
router_scratch_free(struct router_scratch *s)
{
	if (s == NULL)
		return;
	if (s->embed != NULL)
		embed_scratch_free(s->embed);
	if (s->scorer != NULL)
		s->kind->scratch_free(s->scorer);
	free(s->vector);
	free(s->score);
	free(s->cost);
	free(s);
}

static double
us(int64_t from, int64_t to)
{
	return (double)(to - from) / 1e3;
}

/* Uniform in 0 <= u < 1, a function of seed, request and text alone. */
static double
draw(const struct policy *p, struct slice text)
{
	uint8_t head[16], digest[32];
	struct sha256 h;
	uint64_t bits = 0;

	for (unsigned i = 0; i < 8; i++) {
		head[i] = (uint8_t)(p->seed >> 8 * i);
		head[8 + i] = (uint8_t)((uint64_t)p->request.n >> 8 * i);
	}
	sha256_init(&h);
	sha256_add(&h, head, sizeof head);
	if (p->request.n > 0)
		sha256_add(&h, p->request.p, p->request.n);
	if (text.n > 0)
		sha256_add(&h, text.p, text.n);
	sha256_final(&h, digest);
	for (unsigned i = 0; i < 8; i++)
		bits |= (uint64_t)digest[i] << 8 * i;
	return (double)(bits >> 11) * 0x1p-53;
}

void
router_route(const struct router *r, const struct policy *p, struct slice text,
	struct router_scratch *s, struct policy_choice *out)
{
	int64_t t0 = clock_mono_ns(), t1, t2, t3;
	struct embed_times et;

	embed_text(r->embed, text, s->embed, s->vector);
	t1 = clock_mono_ns();
	r->kind->score(r->scorer, s->vector, SCORER_NO_ROW, s->scorer, s->score, s->cost);
	t2 = clock_mono_ns();
	if (policy_explores(p))
		policy_draw(p, r->models.len, s->score, s->cost, r->score_mean, draw(p, text), out);
	else
		policy_choose(p, r->models.len, s->score, s->cost, r->score_mean, out);
	t3 = clock_mono_ns();
	et = embed_scratch_times(s->embed);
	s->times = (struct router_times){ et.tokenize_us, us(t0, t1) - et.tokenize_us, us(t1, t2),
		us(t2, t3), us(t0, t3) };
	if (s->times.embed < 0)
		s->times.embed = 0;
}

#define BATCH 32

struct batch {
	const struct router *r;
	const struct policy *p;
	const struct slice *text;
	size_t n;
	size_t *choice;
	float *score;
	struct router_scratch **scratch;	/* by worker */
};

static void
run_batch(void *arg, size_t part, unsigned worker)
{
	struct batch *b = arg;
	struct router_scratch *s = b->scratch[worker];
	size_t m = b->r->models.len, end = (part + 1) * BATCH < b->n ? (part + 1) * BATCH : b->n;
	struct policy_choice c;

	for (size_t i = part * BATCH; i < end; i++) {
		router_route(b->r, b->p, b->text[i], s, &c);
		b->choice[i] = c.model;
		if (b->score != NULL)
			memcpy(b->score + i * m, s->score, m * sizeof *s->score);
	}
}

int
router_batch(const struct router *r, const struct policy *p, const struct slice *text, size_t n,
	size_t *choice, float *score, struct pool *pool, struct err *e)
{
	struct batch b = { r, p, text, n, choice, score, NULL };
	unsigned workers = pool_threads(pool);
	int status = -1;

	b.scratch = mem_calloc(workers, sizeof *b.scratch, e);
	if (b.scratch == NULL)
		return -1;
	for (unsigned i = 0; i < workers; i++)
		if ((b.scratch[i] = router_scratch_new(r, e)) == NULL)
			goto out;
	pool_run(pool, (n + BATCH - 1) / BATCH, run_batch, &b);
	status = 0;
out:
	for (unsigned i = 0; i < workers; i++)
		router_scratch_free(b.scratch[i]);
	free(b.scratch);
	return status;
}

void
router_query_id(const struct router *r, size_t i, char out[17])
{
	hex_format(r->query_digest + 8 * i, 8, out);
}

struct slice
router_query_text(const struct router *r, size_t i)
{
	if (r->text == NULL || i >= r->n_queries)
		return SLICE_NONE;
	return (struct slice){ (const char *)r->text + r->text_offset[i],
		(size_t)(r->text_offset[i + 1] - r->text_offset[i]) };
}

bool
router_knows(const struct router *r, const char *query_id)
{
	size_t lo = 0, hi = r->n_queries;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		char id[17];
		int c;

		router_query_id(r, mid, id);
		c = memcmp(id, query_id, 16);
		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}
