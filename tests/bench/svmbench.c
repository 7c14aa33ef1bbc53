/*
 * svmbench - support vector machines alone.
 *
 *   svmbench X Y N D M best|score THREADS OUT [NAME=VALUE ...]
 *
 * X [N x D] and Y [N x M] are raw floats. Fits, writes the tensors to OUT (safetensors), and
 * prints one JSON object: CPU and wall seconds of the fit, rows kept, microseconds of a query
 * (median and 99th percentile of 2000), peak memory, whether it was approximated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "math/mat.h"
#include "model/svm.h"

#define QUERIES 2000

static float *
floats(const char *path, size_t n)
{
	float *x = mem_aligned(n, sizeof *x, NULL);
	FILE *f = fopen(path, "rb");

	if (x == NULL || f == NULL || fread(x, sizeof *x, n, f) != n) {
		(void)fprintf(stderr, "svmbench: %s: not %zu floats\n", path, n);
		exit(66);
	}
	(void)fclose(f);
	return x;
}

static void
fail(const struct err *e)
{
	(void)fprintf(stderr, "svmbench: %s\n", e->msg);
	exit(65);
}

static int
ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
query(const void *model, const struct scorer_data *data, double us[QUERIES])
{
	struct err e = ERR_INIT;
	void *scratch = svm_kind.scratch_new(model, &e);
	float *score = mem_calloc(data->m, sizeof *score, NULL);
	float *cost = mem_calloc(data->m, sizeof *cost, NULL);

	if (scratch == NULL)
		fail(&e);
	for (size_t i = 0; i < QUERIES; i++) {
		int64_t t = clock_mono_ns();

		svm_kind.score(model, data->x + i * 7919 % data->n * data->d, SCORER_NO_ROW, scratch,
			score, cost);
		us[i] = (double)(clock_mono_ns() - t) / 1e3;
	}
	qsort(us, QUERIES, sizeof *us, ascending);
	svm_kind.scratch_free(scratch);
	free(score);
	free(cost);
}

static void
save(const void *model, const char *path)
{
	struct err e = ERR_INIT;
	struct tensorfile_writer *w = tensorfile_writer_new(&e);

	if (w == NULL || svm_kind.save(model, "", w, &e) < 0 ||
	    tensorfile_writer_save(w, path, NULL, &e) < 0)
		fail(&e);
	tensorfile_writer_free(w);
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct svm_params params;
	struct scorer_data data = { 0 };
	double us[QUERIES];
	int64_t cpu, wall;
	struct svm *svm;

	if (argc < 9)
		return 64;
	data.n = strtoull(argv[3], NULL, 10);
	data.d = strtoull(argv[4], NULL, 10);
	data.m = strtoull(argv[5], NULL, 10);
	data.x = floats(argv[1], data.n * data.d);
	data.score = floats(argv[2], data.n * data.m);
	data.best = strcmp(argv[6], "best") == 0;
	data.seed = 1;
	svm_kind.params_init(&params);
	for (int i = 9; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value == NULL)
			return 64;
		*value++ = '\0';
		if (svm_kind.params_set(&params, argv[i], value, &e) != 0)
			fail(&e);
	}
	if (mat_open(&e) < 0 || (data.pool = pool_new((unsigned)strtoul(argv[7], NULL, 10), &e)) == NULL)
		fail(&e);
	cpu = clock_cpu_ns();
	wall = clock_mono_ns();
	if ((svm = svm_kind.fit(&params, &data, &e)) == NULL)
		fail(&e);
	cpu = clock_cpu_ns() - cpu;
	wall = clock_mono_ns() - wall;
	query(svm, &data, us);
	save(svm, argv[8]);
	(void)printf("{\"cpu_s\": %.4f, \"wall_s\": %.4f, \"rows\": %zu, \"query_p50_us\": %.1f, "
		"\"query_p99_us\": %.1f, \"peak_mib\": %.0f, \"approximated\": %s, \"gamma\": %.6g}\n",
		(double)cpu / 1e9, (double)wall / 1e9, svm->n, us[QUERIES / 2], us[QUERIES * 99 / 100],
		(double)mem_peak_rss() / 1048576, svm->params.approximated ? "true" : "false",
		svm->params.gamma);
	svm_kind.free(svm);
	pool_free(data.pool);
	free((float *)(uintptr_t)data.x);
	free((float *)(uintptr_t)data.score);
	return 0;
}
