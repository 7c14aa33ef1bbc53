#include "model/knnindex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/topk.h"

bool
knnindex_wanted(const struct knn_params *p, size_t n, size_t k)
{
	if (p->index == KNN_INDEX_AUTO)
		return n > KNN_INDEX_ROWS && k < n / 32;
	return p->index == KNN_INDEX_HNSW;
}

/* Held out to measure on. */
#define SAMPLE 512

uint64_t
knnindex_memory(const struct knn_params *p, size_t n)
{
	return knnindex_wanted(p, n, p->n_neighbors) ? hnsw_memory(p->m, n) : 0;
}

void
knnindex_finish(struct knn *knn)
{
	if (knn->graph_owned)
		hnsw_finish(&knn->graph);
	else
		free((uint32_t *)(uintptr_t)knn->graph.first);
	knn->graph = (struct hnsw){ 0 };
}

/* ---- recall ---- */

/* What is nearest to each row held out, by comparing all and by the graph. */
struct trial {
	const struct knn *knn;
	const struct hnsw *graph;
	const uint32_t *held;		/* [n] rows that are not in the graph */
	size_t n, k, few;		/* few: 10, or k when that is less */
	float *kth, *fewth;		/* [n] exact similarity of the k-th, the few-th nearest */
	size_t *hits, *few_hits;	/* [n] of the graph's k that are at least as similar */
	size_t ef;
	double low;			/* lower end of the 95 % interval of the mean recall of the few */
	struct knn_scratch **scratch;	/* [threads] */
	float **q;			/* [threads] of d */
};

static const float *
query_of(const struct trial *t, size_t i, unsigned worker)
{
	const uint16_t *row = t->knn->rows + (size_t)t->held[i] * t->knn->d;

	for (size_t j = 0; j < t->knn->d; j++)
		t->q[worker][j] = dot_from_half(row[j]);
	return t->q[worker];
}

static void
find_truth(void *arg, size_t i, unsigned worker)
{
	const struct trial *t = arg;
	struct knn_scratch *s = t->scratch[worker];

	knn_nearest(t->knn, query_of(t, i, worker), t->held, t->n, s);
	t->kth[i] = topk_value(s->near, s->k, t->k, s->work);
	t->fewth[i] = topk_value(s->near, s->k, t->few, s->work);
}

static void
count_hits(void *arg, size_t i, unsigned worker)
{
	const struct trial *t = arg;
	struct knn_scratch *s = t->scratch[worker];

	t->hits[i] = t->few_hits[i] = 0;
	if (!knn_approximate(t->knn, t->graph, query_of(t, i, worker), KNN_NO_ROW, t->ef, s))
		return;
	for (size_t j = 0; j < s->k; j++) {
		t->hits[i] += s->near[j] >= t->kth[i];
		t->few_hits[i] += s->near[j] >= t->fewth[i];
	}
	t->hits[i] = t->hits[i] < t->k ? t->hits[i] : t->k;
	t->few_hits[i] = t->few_hits[i] < t->few ? t->few_hits[i] : t->few;
}

static void
measure(struct trial *t, struct pool *pool, struct knn_recall *out)
{
	size_t hits = 0, few = 0, squares = 0;
	double mean;

	pool_run(pool, t->n, count_hits, t);
	for (size_t i = 0; i < t->n; i++) {
		hits += t->hits[i];
		few += t->few_hits[i];
		squares += t->few_hits[i] * t->few_hits[i];
	}
	mean = (double)few / (double)t->n;
	t->low = (mean - 1.96 * sqrt(((double)squares / (double)t->n - mean * mean) / (double)t->n)) / (double)t->few;
	*out = (struct knn_recall){ t->n, (double)few / (double)(t->n * t->few),
		(double)hits / (double)(t->n * t->k) };
}

static size_t
least_ef(const struct knn *knn)
{
	size_t k = knn->params.n_neighbors;

	return k < 26 ? 32 : k + k / 4;
}

/* Beyond this the graph saves nothing. */
static size_t
most_ef(const struct knn *knn)
{
	size_t most = knn->n / 4, least = least_ef(knn);

	most = most < 32 * least ? most : 32 * least;
	return most > least ? most : least;
}

/* The narrowest search that surely reaches the wanted recall: a mean over a sample is lucky half the time. */
static void
choose_ef(struct knn *knn, struct trial *t, struct pool *pool)
{
	size_t most = most_ef(knn);

	for (t->ef = least_ef(knn);; t->ef += (t->ef + 3) / 4) {
		if (t->ef > most)
			t->ef = most;
		measure(t, pool, &knn->recall);
		if (t->low >= knn->params.recall || t->ef == most)
			break;
	}
	knn->params.ef_search = t->ef;
}

static int
trial_begin(struct trial *t, unsigned threads, struct err *e)
{
	float *sims = mem_calloc(2 * t->n, sizeof *sims, e);
	size_t *counts = mem_calloc(2 * t->n, sizeof *counts, e);

	t->kth = sims;
	t->hits = counts;
	t->scratch = mem_calloc(threads, sizeof *t->scratch, e);
	t->q = mem_calloc(threads, sizeof *t->q, e);
	if (sims == NULL || counts == NULL || t->scratch == NULL || t->q == NULL)
		return -1;
	t->fewth = sims + t->n;
	t->few_hits = counts + t->n;
	for (unsigned i = 0; i < threads; i++)
		if ((t->scratch[i] = knn_scratch_new(t->knn, e)) == NULL ||
		    (t->q[i] = mem_calloc(t->knn->d, sizeof **t->q, e)) == NULL)
			return -1;
	return 0;
}

static void
trial_finish(struct trial *t, unsigned threads)
{
	for (unsigned i = 0; i < threads; i++) {
		if (t->scratch != NULL)
			knn_scratch_free(t->scratch[i]);
		if (t->q != NULL)
			free(t->q[i]);
	}
	free(t->scratch);
	free(t->q);
	free(t->kth);
	free(t->hits);
}

/* Recall on the rows still to be inserted, and ef_search when it is to be chosen. */
static int
try_out(struct knn *knn, const struct hnsw_builder *b, size_t held, struct pool *pool, struct err *e)
{
	struct trial t = { .knn = knn, .graph = hnsw_graph(b), .n = held,
		.held = hnsw_order(b) + (knn->n - held), .k = knn->params.n_neighbors };
	unsigned threads = pool_threads(pool);
	size_t given = knn->params.ef_search;
	int r;

	if (t.k > knn->n - held)
		t.k = knn->n - held;
	t.few = t.k < 10 ? t.k : 10;
	if (given == 0)
		knn->params.ef_search = most_ef(knn);	/* what the scratch must hold */
	if ((r = trial_begin(&t, threads, e)) == 0) {
		pool_run(pool, t.n, find_truth, &t);
		t.ef = given;
		if (given == 0)
			choose_ef(knn, &t, pool);
		else
			measure(&t, pool, &knn->recall);
	}
	trial_finish(&t, threads);
	return r;
}

int
knnindex_build(struct knn *knn, uint64_t seed, struct pool *pool, struct cancel *cancel, struct err *e)
{
	const struct hnsw_params params = { knn->params.m, knn->params.ef_construction, seed };
	const struct dot_codes codes = knn_codes(knn);
	size_t held = knn->n / 10 < SAMPLE ? knn->n / 10 : SAMPLE;
	struct hnsw_builder *b = hnsw_begin(&params, &codes, knn->kernel, pool, cancel, e);

	if (b == NULL)
		return -1;
	if (hnsw_insert(b, knn->n - held, e) < 0)
		goto fail;
	hnsw_trim(b);
	knn->recall = (struct knn_recall){ 0 };
	if (held > 0 && try_out(knn, b, held, pool, e) < 0)
		goto fail;
	if (knn->params.ef_search == 0)
		knn->params.ef_search = least_ef(knn);
	if (hnsw_insert(b, knn->n, e) < 0)
		goto fail;
	hnsw_end(b, &knn->graph);
	knn->graph_owned = true;
	return 0;
fail:
	hnsw_builder_free(b);
	return -1;
}

/* ---- file ---- */

int
knnindex_save(const struct knn *knn, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct hnsw *g = &knn->graph;
	const uint64_t links[] = { g->n, 2 * g->m }, levels[] = { g->n }, upper[] = { g->n_upper, g->m };
	char name[SCORER_NAME];

	if (g->n == 0)
		return 0;
	if (tensorfile_writer_add(w, scorer_tensor(name, prefix, "knn.links"), DTYPE_U32, 2, links,
	    g->base, e) < 0 ||
	    tensorfile_writer_add(w, scorer_tensor(name, prefix, "knn.levels"), DTYPE_U8, 1, levels,
	    g->level, e) < 0)
		return -1;
	return tensorfile_writer_add(w, scorer_tensor(name, prefix, "knn.upper_links"), DTYPE_U32, 2,
	    upper, g->upper, e);
}

int
knnindex_load(struct knn *knn, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const uint64_t base[] = { knn->n, 2 * knn->params.m }, level[] = { knn->n };
	const uint64_t upper[] = { 0, knn->params.m };
	const struct tensor *t;
	char name[SCORER_NAME];

	if (tensorfile_find(f, scorer_tensor(name, prefix, "knn.links")) == NULL) {
		knn->params.ef_search = 0;
		if (knn->params.index != KNN_INDEX_HNSW)
			return 0;
		return err_set(e, ERR_INPUT, "llmr.hparams: index is hnsw, but there is no tensor '%s'", name);
	}
	knn->graph = (struct hnsw){ .n = knn->n, .m = knn->params.m, .room = 2 * knn->params.m };
	if ((t = tensorfile_need(f, name, DTYPE_U32, 2, base, e)) == NULL)
		return -1;
	knn->graph.base = t->data;
	if ((t = tensorfile_need(f, scorer_tensor(name, prefix, "knn.levels"), DTYPE_U8, 1, level, e)) == NULL)
		return -1;
	knn->graph.level = t->data;
	if ((t = tensorfile_need(f, scorer_tensor(name, prefix, "knn.upper_links"), DTYPE_U32, 2, upper,
	    e)) == NULL)
		return -1;
	knn->graph.upper = t->data;
	knn->graph.n_upper = (size_t)t->shape[0];
	if (hnsw_adopt(&knn->graph, e) < 0)
		return err_wrap(e, "tensors '%sknn.links'", prefix);
	if (knn->params.ef_search == 0)
		knn->params.ef_search = least_ef(knn);
	return 0;
}
