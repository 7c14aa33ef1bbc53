/*
 * knnbench - nearest neighbours alone, to be timed in turn with a peer.
 *
 *   knnbench X N D Q NQ THREADS [NAME=VALUE ...]
 *
 * X [N x D] and Q [NQ x D] are raw floats of unit length. Fits, and prints one JSON object: CPU
 * and wall seconds, bytes, what the index measured of itself. Then one command per line of stdin:
 *   lap           every query once; prints {"p50_us", "p99_us"}
 *   scan          the same by the binary16 rows alone, as where 8-bit codes do not help
 *   dump FILE     the neighbours' row numbers, uint32 [NQ x k]
 *   save FILE     the tensors; prints {"bytes", "cpu_s"}; the model is loaded back from there
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/topk.h"
#include "model/knn.h"

struct bench {
	size_t n, d, nq, k;
	float *x, *q;
	struct knn *knn;
	struct knn_scratch *scratch;
	struct tensorfile *file;
	double *us;			/* [nq] */
};

static void
fail(const struct err *e)
{
	(void)fprintf(stderr, "knnbench: %s\n", e->msg);
	exit(65);
}

static float *
floats(const char *path, size_t n)
{
	float *x = mem_aligned(n, sizeof *x, NULL);
	FILE *f = fopen(path, "rb");

	if (x == NULL || f == NULL || fread(x, sizeof *x, n, f) != n) {
		(void)fprintf(stderr, "knnbench: %s: not %zu floats\n", path, n);
		exit(66);
	}
	(void)fclose(f);
	return x;
}

static int
ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
fit(struct bench *b, char **hparams, unsigned threads)
{
	struct err e = ERR_INIT;
	struct knn_params params = KNN_PARAMS_INIT;
	struct scorer_data data = { .n = b->n, .d = b->d, .m = 2, .x = b->x };
	float *score = mem_aligned(b->n * 2, sizeof *score, NULL);
	int64_t cpu, wall;

	for (; *hparams != NULL; hparams++) {
		char *value = strchr(*hparams, '=');

		if (value == NULL)
			exit(64);
		*value++ = '\0';
		if (knn_params_set(&params, *hparams, value, &e) != 0)
			fail(&e);
	}
	for (size_t i = 0; i < b->n * 2; i++)
		score[i] = (float)(i % 3) / 2;
	data.score = score;
	if ((data.pool = pool_new(threads, &e)) == NULL)
		fail(&e);
	cpu = clock_cpu_ns();
	wall = clock_mono_ns();
	if ((b->knn = knn_kind.fit(&params, &data, &e)) == NULL)
		fail(&e);
	b->k = b->knn->params.n_neighbors;
	(void)printf("{\"cpu_s\": %.3f, \"wall_s\": %.3f, \"peak_mb\": %.0f, \"k\": %zu, "
		"\"index\": \"%s\", \"ef_search\": %zu, \"sample\": %zu, \"recall_at_10\": %.4f, "
		"\"recall_at_k\": %.4f}\n",
		(double)(clock_cpu_ns() - cpu) / 1e9, (double)(clock_mono_ns() - wall) / 1e9,
		(double)mem_peak_rss() / 1e6, b->k, b->knn->graph.n > 0 ? "hnsw" : "exact",
		b->knn->params.ef_search, b->knn->recall.sample, b->knn->recall.at_10,
		b->knn->recall.at_k);
	pool_free(data.pool);
	free(score);
}

static void
print_laps(struct bench *b)
{
	qsort(b->us, b->nq, sizeof *b->us, ascending);
	(void)printf("{\"p50_us\": %.1f, \"p99_us\": %.1f}\n", b->us[b->nq / 2],
		b->us[b->nq * 99 / 100]);
}

static void
lap(struct bench *b, FILE *dump)
{
	float score[2], cost[2];

	for (size_t i = 0; i < b->nq; i++) {
		int64_t t = clock_mono_ns();

		knn_score(b->knn, b->q + i * b->d, KNN_NO_ROW, b->scratch, score, cost);
		b->us[i] = (double)(clock_mono_ns() - t) / 1e3;
		if (dump != NULL)
			(void)fwrite(b->scratch->index, sizeof *b->scratch->index, b->k, dump);
	}
}

static void
scan(struct bench *b)
{
	struct knn_scratch *s = b->scratch;

	for (size_t i = 0; i < b->nq; i++) {
		int64_t t = clock_mono_ns();

		dot_half(b->knn->kernel, b->knn->rows, b->n, b->d, b->q + i * b->d, s->sim);
		topk_select(s->sim, b->n, b->k, s->work, s->index);
		b->us[i] = (double)(clock_mono_ns() - t) / 1e3;
	}
}

static void
save(struct bench *b, const char *path)
{
	struct err e = ERR_INIT;
	struct tensorfile_writer *w = tensorfile_writer_new(&e);
	struct buf json = BUF_INIT;
	struct jsonw jw;
	int64_t cpu = clock_cpu_ns(), saved;

	jsonw_init(&jw, &json);
	jsonw_object(&jw);
	knn_params_write(&b->knn->params, &jw);
	jsonw_end_object(&jw);
	if (w == NULL || knn_save(b->knn, "", w, &e) < 0 ||
	    tensorfile_writer_save(w, path, NULL, &e) < 0)
		fail(&e);
	tensorfile_writer_free(w);
	knn_scratch_free(b->scratch);
	knn_free(b->knn);
	saved = clock_cpu_ns();
	if ((b->file = tensorfile_load(path, &e)) == NULL || (b->knn = knn_load(b->file, "", 2, b->d,
	    (struct slice){ json.p, json.len }, &e)) == NULL ||
	    (b->scratch = knn_scratch_new(b->knn, &e)) == NULL)
		fail(&e);
	(void)printf("{\"bytes\": %llu, \"save_cpu_s\": %.3f, \"load_cpu_s\": %.3f}\n",
		(unsigned long long)tensorfile_bytes(b->file), (double)(saved - cpu) / 1e9,
		(double)(clock_cpu_ns() - saved) / 1e9);
	buf_finish(&json);
}

int
main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct err e = ERR_INIT;
	char line[512];

	if (argc < 7)
		return 64;
	b.n = strtoull(argv[2], NULL, 10);
	b.d = strtoull(argv[3], NULL, 10);
	b.nq = strtoull(argv[5], NULL, 10);
	b.x = floats(argv[1], b.n * b.d);
	b.q = floats(argv[4], b.nq * b.d);
	fit(&b, argv + 7, (unsigned)strtoul(argv[6], NULL, 10));
	free(b.x);
	b.us = mem_calloc(b.nq, sizeof *b.us, &e);
	if (b.us == NULL || (b.scratch = knn_scratch_new(b.knn, &e)) == NULL)
		fail(&e);
	(void)fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		char *path = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (path != NULL)
			*path++ = '\0';
		if (strcmp(line, "scan") == 0)
			scan(&b);
		else if (strcmp(line, "lap") == 0)
			lap(&b, NULL);
		else if (strcmp(line, "dump") == 0 && path != NULL) {
			FILE *f = fopen(path, "wb");

			if (f == NULL)
				return 73;
			lap(&b, f);
			if (fclose(f) != 0)
				return 74;
		} else if (strcmp(line, "save") == 0 && path != NULL) {
			save(&b, path);
			(void)fflush(stdout);
			continue;
		} else
			return 64;
		print_laps(&b);
		(void)fflush(stdout);
	}
	knn_scratch_free(b.scratch);
	knn_free(b.knn);
	tensorfile_free(b.file);
	free(b.q);
	free(b.us);
	return 0;
}
