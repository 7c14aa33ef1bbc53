#include "model/router.h"

#include <math.h>
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
	free(r->column);
	free(r->table_owned);
	expect_free(r->expect);
	embed_free(r->embed);
	encoder_free(r->encoder);
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
	s->latency = mem_aligned(r->models.len, sizeof *s->latency, e);
	s->expect = r->expect == NULL ? NULL : expect_scratch_new(r->expect, e);
	s->raw = r->column == NULL ? NULL : mem_calloc(r->scored, 3 * sizeof *s->raw, e);
	if (s->scorer == NULL || s->vector == NULL || s->score == NULL || s->cost == NULL ||
	    s->latency == NULL || (r->expect != NULL && s->expect == NULL) ||
	    (r->column != NULL && s->raw == NULL)) {
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
	free(s->latency);
	free(s->raw);
	expect_scratch_free(s->expect);
	free(s);
}

/* Room for every model, and the old values moved to where the names now stand. */
static int
widen_means(struct router *r, const struct map *wide, const size_t *place, struct err *e)
{
	float *old[3] = { r->score_mean, r->cost_mean, r->latency_mean }, *to[3] = { NULL, NULL, NULL };

	for (size_t k = 0; k < 3; k++) {
		if (old[k] == NULL)
			continue;
		if ((to[k] = mem_aligned(wide->len, sizeof **to, e)) == NULL)
			goto fail;
		for (size_t j = 0; j < wide->len; j++)
			to[k][j] = -1;
		for (size_t j = 0; j < r->models.len; j++)
			to[k][place[j]] = old[k][j];
	}
	for (size_t k = 0; k < 3; k++)
		free(old[k]);
	r->score_mean = to[0];
	r->cost_mean = to[1];
	r->latency_mean = to[2];
	return 0;
fail:
	for (size_t k = 0; k < 3; k++)
		free(to[k]);
	return -1;
}

/* Both ascending lists merged; place [models + n]: where each name came to stand. */
static int
merge_names(const struct map *models, const char *const *names, size_t n, struct map *wide,
	size_t *place, struct err *e)
{
	for (size_t i = 0, j = 0; i < models->len || j < n;) {
		bool own = j == n || (i < models->len && strcmp(models->keys[i], names[j]) < 0);
		const char *name = own ? models->keys[i] : names[j];
		size_t at = map_intern(wide, name, strlen(name), NULL, e);

		if (at == MAP_NONE)
			return -1;
		place[own ? i++ : models->len + j++] = at;
	}
	return 0;
}

int
router_widen(struct router *r, const char *const *names, const float *score, size_t n,
	struct err *e)
{
	size_t m = r->models.len;
	size_t *place = mem_calloc(m + n, sizeof *place, e);
	size_t *column = mem_calloc(m + n, sizeof *column, e);
	struct map wide = MAP_INIT;

	if (place == NULL || column == NULL ||
	    merge_names(&r->models, names, n, &wide, place, e) < 0 ||
	    widen_means(r, &wide, place, e) < 0) {
		free(place);
		free(column);
		map_finish(&wide);
		return -1;
	}
	for (size_t j = 0; j < m; j++)
		column[place[j]] = r->column == NULL ? j : r->column[j];
	for (size_t j = 0; j < n; j++) {
		column[place[m + j]] = MODE_NO_COLUMN;
		r->score_mean[place[m + j]] = score[j];
	}
	r->best_single = place[r->best_single];
	if (r->cheapest != POLICY_NONE)
		r->cheapest = place[r->cheapest];
	r->mode.weak = place[r->mode.weak];
	r->mode.strong = place[r->mode.strong];
	map_finish(&r->models);
	r->models = wide;
	free(r->column);
	r->column = column;
	free(place);
	return 0;
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

struct policy
router_policy(const struct router *r)
{
	struct policy p = POLICY_INIT;

	p.mode = r->mode;
	return p;
}

/* The scorer's and the head's predictions; without a head the scorer's cost, and the means. */
static void
predict(const struct router *r, size_t bytes, struct router_scratch *s, float *score, float *cost,
	float *latency)
{
	r->kind->score(r->scorer, s->vector, SCORER_NO_ROW, s->scorer, score, cost);
	if (r->expect != NULL) {
		expect_score(r->expect, s->vector, bytes, s->expect, cost, latency);
		return;
	}
	for (size_t j = 0; j < r->models.len; j++) {
		size_t k = r->column == NULL ? j : r->column[j];

		if (k == MODE_NO_COLUMN)
			continue;
		if (isnan(cost[k]) && r->cost_mean[j] >= 0)
			cost[k] = r->cost_mean[j];
		latency[k] = r->latency_mean != NULL && r->latency_mean[j] >= 0 ? r->latency_mean[j] : NAN;
	}
}

static void
predict_all(const struct router *r, size_t bytes, struct router_scratch *s)
{
	float *raw = s->raw;
	size_t n = r->scored;

	if (r->column == NULL) {
		predict(r, bytes, s, s->score, s->cost, s->latency);
		return;
	}
	predict(r, bytes, s, raw, raw + n, raw + 2 * n);
	for (size_t j = 0; j < r->models.len; j++) {
		size_t k = r->column[j];

		s->score[j] = k == MODE_NO_COLUMN ? r->score_mean[j] : raw[k];
		s->cost[j] = k == MODE_NO_COLUMN ? NAN : raw[n + k];
		s->latency[j] = k == MODE_NO_COLUMN ? NAN : raw[2 * n + k];
	}
}

void
router_route(const struct router *r, const struct policy *p, struct slice text,
	struct router_scratch *s, struct policy_choice *out)
{
	int64_t t0 = clock_mono_ns(), t1, t2, t3;
	struct embed_times et;
	struct policy own = *p;

	embed_text(r->embed, text, s->embed, s->vector);
	t1 = clock_mono_ns();
	predict_all(r, text.n, s);
	t2 = clock_mono_ns();
	if (own.latency == NULL)
		own.latency = s->latency;
	if (policy_explores(&own))
		policy_draw(&own, r->models.len, s->score, s->cost, r->score_mean, draw(p, text), out);
	else
		policy_choose(&own, r->models.len, s->score, s->cost, r->score_mean, out);
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
