#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/knn.h"
#include "model/knnindex.h"

enum { N = 3000, D = 48, M = 2, K = 20, QUERIES = 60 };

static void
unit_vector(struct rng *g, const float *near, float *x)
{
	double norm = 0;

	for (size_t j = 0; j < D; j++) {
		x[j] = (float)rng_normal(g) + (near != NULL ? 2 * near[j] : 0);
		norm += (double)x[j] * (double)x[j];
	}
	for (size_t j = 0; j < D; j++)
		x[j] = (float)((double)x[j] / sqrt(norm));
}

/* Rows about 30 centres, a few of them twice, one of them zero; and their scores. */
static struct scorer_data
make_data(size_t n)
{
	float *x = mem_calloc(n * D, sizeof *x, NULL), *score = mem_calloc(n * M, sizeof *score, NULL);
	float centre[30][D];
	struct rng g;

	rng_seed(&g, 5);
	for (size_t c = 0; c < 30; c++)
		for (size_t j = 0; j < D; j++)
			centre[c][j] = (float)rng_normal(&g);
	for (size_t i = 0; i < n; i++) {
		if (i % 97 == 3)
			memcpy(x + i * D, x + (i - 1) * D, D * sizeof *x);
		else if (i != 7)
			unit_vector(&g, centre[rng_below(&g, 30)], x + i * D);
		for (size_t j = 0; j < M; j++)
			score[i * M + j] = (float)rng_double(&g);
	}
	return (struct scorer_data){ .n = n, .d = D, .m = M, .x = x, .score = score, .seed = 9 };
}

static void
free_data(struct scorer_data *data)
{
	free((float *)(uintptr_t)data->x);
	free((float *)(uintptr_t)data->score);
}

static struct knn *
fit(const struct scorer_data *data, enum knn_index index, struct err *e)
{
	struct knn_params p = KNN_PARAMS_INIT;

	p.index = index;
	p.n_neighbors = K;
	p.given = true;
	p.m = 8;
	p.ef_construction = 60;
	p.recall = 0.999;
	return knn_kind.fit(&p, data, e);
}

/* How many of a's neighbours are b's too. */
static size_t
common(const struct knn_scratch *a, const struct knn_scratch *b)
{
	size_t same = 0;

	for (size_t i = 0; i < a->k; i++)
		for (size_t j = 0; j < b->k; j++)
			same += a->index[i] == b->index[j];
	return same;
}

Test(knnindex, finds_what_comparing_all_finds)
{
	struct scorer_data data = make_data(N + QUERIES);
	struct knn *exact, *graph;
	struct knn_scratch *se, *sg;
	float score[M], cost[M];
	size_t same = 0;

	data.n = N;	/* the others are asked for */
	exact = fit(&data, KNN_INDEX_AUTO, NULL);
	graph = fit(&data, KNN_INDEX_HNSW, NULL);
	se = knn_scratch_new(exact, NULL);
	sg = knn_scratch_new(graph, NULL);

	cr_expect(exact->params.index == KNN_INDEX_EXACT && exact->graph.n == 0, "few rows are compared");
	cr_expect(graph->params.index == KNN_INDEX_HNSW && graph->graph.n == N);
	cr_expect(graph->recall.sample > 256 && graph->recall.at_10 >= 0.99 && graph->recall.at_10 <= 1 &&
		graph->recall.at_k > 0.9 && graph->params.ef_search >= K, "recall %g %g, ef %zu",
		graph->recall.at_10, graph->recall.at_k, graph->params.ef_search);
	for (size_t i = 0; i < QUERIES; i++) {
		size_t skip = i % 2 == 0 ? KNN_NO_ROW : i * 40;
		const float *q = data.x + (i % 2 == 0 ? N + i : skip) * D;

		knn_score(exact, q, skip, se, score, cost);
		knn_score(graph, q, skip, sg, score, cost);
		cr_assert(se->k == K && sg->k == K);
		for (size_t j = 0; j < K; j++)
			cr_expect(sg->index[j] != skip, "the row left out is found");
		same += common(se, sg);
	}
	cr_expect(same >= QUERIES * K * 95 / 100, "%zu of %d", same, QUERIES * K);
	knn_scratch_free(se);
	knn_scratch_free(sg);
	knn_free(exact);
	knn_free(graph);
	free_data(&data);
}

/* Through a file, from which the loaded one borrows. */
static struct knn *
loaded(const struct knn *knn, struct tensorfile **file)
{
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[] = "/tmp/llmr-knnindex-XXXXXX";
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct tensorfile *f;
	struct jsonw jw;
	struct knn *back;
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && close(fd) == 0);
	jsonw_init(&jw, &b);
	jsonw_object(&jw);
	knn_params_write(&knn->params, &jw);
	jsonw_end_object(&jw);
	cr_assert(knn_save(knn, "", w, &e) == 0 && tensorfile_writer_save(w, path, NULL, &e) == 0,
		"%s", e.msg);
	tensorfile_writer_free(w);
	f = tensorfile_load(path, &e);
	cr_assert(f != NULL, "%s", e.msg);
	(void)remove(path);
	*file = f;
	back = knn_load(f, "", M, D, (struct slice){ b.p, b.len }, &e);
	cr_assert(back != NULL, "%s", e.msg);
	buf_finish(&b);
	return back;
}

Test(knnindex, falls_back_where_the_graph_holds_too_few)
{
	struct scorer_data data = make_data(K);
	struct knn *knn = fit(&data, KNN_INDEX_HNSW, NULL);
	struct knn_scratch *s = knn_scratch_new(knn, NULL);
	struct tensorfile *file;
	float score[M], cost[M];

	knn_score(knn, data.x, 0, s, score, cost);
	cr_expect(s->k == K - 1, "all but the one left out");
	knn_scratch_free(s);
	/* No list above the lowest level: an empty tensor. */
	for (data.n = 3; knn->graph.n_upper > 0; data.seed++) {
		knn_free(knn);
		knn = fit(&data, KNN_INDEX_HNSW, NULL);
	}
	knn_free(loaded(knn, &file));
	tensorfile_free(file);
	knn_free(knn);
	free_data(&data);
}

Test(knnindex, same_graph_for_any_number_of_threads)
{
	struct scorer_data data = make_data(N);
	struct knn *one = fit(&data, KNN_INDEX_HNSW, NULL);

	for (unsigned threads = 2; threads <= 4; threads++) {
		struct knn *more;

		data.pool = pool_new(threads, NULL);
		more = fit(&data, KNN_INDEX_HNSW, NULL);
		cr_expect(one->graph.n_upper == more->graph.n_upper &&
			one->params.ef_search == more->params.ef_search && one->recall.at_k == more->recall.at_k);
		cr_expect(memcmp(one->graph.base, more->graph.base, N * 16 * sizeof(uint32_t)) == 0);
		cr_expect(memcmp(one->graph.level, more->graph.level, N) == 0);
		cr_expect(memcmp(one->graph.upper, more->graph.upper,
			one->graph.n_upper * 8 * sizeof(uint32_t)) == 0);
		knn_free(more);
		pool_free(data.pool);
	}
	data.pool = NULL;
	data.seed++;
	for (struct knn *other = fit(&data, KNN_INDEX_HNSW, NULL); other != NULL; other = NULL) {
		cr_expect(memcmp(one->graph.base, other->graph.base, N * 16 * sizeof(uint32_t)) != 0,
			"the seed counts");
		knn_free(other);
	}
	knn_free(one);
	free_data(&data);
}

Test(knnindex, same_graph_by_every_kernel)
{
	struct scorer_data data = make_data(500);
	struct knn *knn = fit(&data, KNN_INDEX_HNSW, NULL);
	const struct dot_codes codes = knn_codes(knn);
	const struct hnsw_params params = { 8, 60, data.seed };

	for (int k = 0; k < DOT_KERNELS; k++) {
		struct hnsw_builder *b;
		struct hnsw g;

		if (!dot_supported((enum dot_kernel)k))
			continue;
		b = hnsw_begin(&params, &codes, (enum dot_kernel)k, NULL, NULL, NULL);
		cr_assert(b != NULL && hnsw_insert(b, 450, NULL) == 0);
		hnsw_trim(b);
		cr_assert(hnsw_insert(b, 500, NULL) == 0);
		hnsw_end(b, &g);
		cr_expect(g.entry == knn->graph.entry &&
			memcmp(g.base, knn->graph.base, 500 * 16 * sizeof(uint32_t)) == 0, "%s",
			dot_name((enum dot_kernel)k));
		hnsw_finish(&g);
	}
	knn_free(knn);
	free_data(&data);
}

Test(knnindex, can_be_cancelled)
{
	struct scorer_data data = make_data(N);
	struct cancel cancel = { 1 };
	struct err e = ERR_INIT;

	data.cancel = &cancel;
	cr_expect(fit(&data, KNN_INDEX_HNSW, &e) == NULL && e.code == ERR_INTR);
	free_data(&data);
}

/* What may be wrong with a file: a number of a tensor, or a whole tensor. */
struct wrong { const char *tensor; size_t at; uint32_t value; bool whole; const char *word; };

static struct tensorfile *
saved(const struct knn *knn, const struct wrong *wrong)
{
	static uint32_t links[500 * 16], upper[500 * 8];
	static uint8_t levels[500];
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[] = "/tmp/llmr-knnindex-XXXXXX";
	struct err e = ERR_INIT;
	struct tensorfile *f;
	struct knn copy = *knn;
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && close(fd) == 0);
	memcpy(links, knn->graph.base, sizeof links);
	memcpy(levels, knn->graph.level, sizeof levels);
	memcpy(upper, knn->graph.upper, knn->graph.n_upper * 8 * sizeof *upper);
	copy.graph.base = links;
	copy.graph.level = levels;
	copy.graph.upper = upper;
	if (wrong != NULL && strcmp(wrong->tensor, "links") == 0)
		links[wrong->at] = wrong->value;
	if (wrong != NULL && strcmp(wrong->tensor, "levels") == 0)
		levels[wrong->at] = (uint8_t)wrong->value;
	if (wrong != NULL && strcmp(wrong->tensor, "upper") == 0)
		upper[wrong->at] = wrong->value;
	if (wrong != NULL && wrong->whole)
		copy.graph.n = wrong->value;
	cr_assert(knn_save(&copy, "", w, &e) == 0 && tensorfile_writer_save(w, path, NULL, &e) == 0,
		"%s", e.msg);
	tensorfile_writer_free(w);
	f = tensorfile_load(path, &e);
	cr_assert(f != NULL, "%s", e.msg);
	(void)remove(path);
	return f;
}

Test(knnindex, loads_or_says_what_is_wrong)
{
	static const struct wrong cases[] = {
		{ "links", 17, 500, false, "500" },
		{ "links", 160, HNSW_NONE - 1, false, "no such row" },
		{ "links", 16 * 3, HNSW_NONE, false, "behind the end" },
		{ "levels", 20, 200, false, "level 200" },
		{ "levels", 499, 3, false, "level" },
		{ "upper", 0, 501, false, "no such row" },
		{ "none", 0, 0, true, "no tensor 'knn.links'" },
		{ "none", 0, 499, true, "knn.l" },
	};
	struct scorer_data data = make_data(500);
	struct knn *knn = fit(&data, KNN_INDEX_HNSW, NULL), *back;
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	struct slice hparams;
	struct jsonw w;
	struct tensorfile *f = saved(knn, NULL);

	jsonw_init(&w, &b);
	jsonw_object(&w);
	knn_params_write(&knn->params, &w);
	jsonw_end_object(&w);
	hparams = (struct slice){ b.p, b.len };
	back = knn_load(f, "", M, D, hparams, &e);
	cr_assert(back != NULL, "%s", e.msg);
	cr_expect(back->graph.entry == knn->graph.entry && back->params.ef_search == knn->params.ef_search &&
		back->params.recall == knn->params.recall && back->params.m == 8);
	for (struct knn_scratch *s = knn_scratch_new(back, NULL), *t = knn_scratch_new(knn, NULL); s != NULL;) {
		float one[M], two[M], cost[M];

		knn_score(knn, data.x, KNN_NO_ROW, t, one, cost);
		knn_score(back, data.x, KNN_NO_ROW, s, two, cost);
		cr_expect(memcmp(one, two, sizeof one) == 0, "the same scores after a round trip");
		knn_scratch_free(t);
		knn_scratch_free(s);
		break;
	}
	knn_free(back);
	tensorfile_free(f);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f = saved(knn, cases + i);
		e = (struct err)ERR_INIT;
		back = knn_load(f, "", M, D, hparams, &e);
		cr_expect(back == NULL && e.code == ERR_INPUT && strstr(e.msg, cases[i].word) != NULL,
			"case %zu: %s", i, e.msg);
		knn_free(back);
		tensorfile_free(f);
	}
	buf_finish(&b);
	knn_free(knn);
	free_data(&data);
}

Test(knnindex, parameters)
{
	static const struct { const char *name, *value; int want; } cases[] = {
		{ "index", "hnsw", 0 }, { "index", "ivf", -1 }, { "M", "32", 0 }, { "M", "3", -1 },
		{ "M", "129", -1 }, { "ef_construction", "200", 0 }, { "ef_construction", "0", -1 },
		{ "ef_search", "auto", 0 }, { "ef_search", "64", 0 }, { "ef_search", "0", -1 },
		{ "recall", "0.95", 0 }, { "recall", "1.5", -1 }, { "m", "16", 1 },
	};
	struct knn_params p = KNN_PARAMS_INIT;
	struct err e;

	cr_expect(!knnindex_wanted(&p, KNN_INDEX_ROWS, 200) && knnindex_wanted(&p, KNN_INDEX_ROWS + 1, 200));
	cr_expect(!knnindex_wanted(&p, KNN_INDEX_ROWS + 1, 50000), "a graph is of no use for half of all");
	cr_expect(knnindex_memory(&p, 1000) == 0 && knnindex_memory(&p, 1000000) > 192000000);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		cr_expect(knn_params_set(&p, cases[i].name, cases[i].value, &e) == cases[i].want, "%s=%s",
			cases[i].name, cases[i].value);
	cr_expect(p.index == KNN_INDEX_HNSW && p.m == 32 && p.ef_construction == 200 && p.ef_search == 64 &&
		p.recall == 0.95);
}
