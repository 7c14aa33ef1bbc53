/*
 * kindbench - one kind of router alone, without text or files around it.
 *
 *   kindbench KIND X Y N D M best|score THREADS OUT [NAME=VALUE ...]
 *
 * X [N x D] and Y [N x M] are raw floats. Fits, writes the tensors to OUT (safetensors), and
 * prints one JSON object: CPU and wall seconds of the fit, the hyperparameters as fitted,
 * microseconds of a query (median and 99th percentile of 2000), peak memory of the process, what
 * the fit said it would hold beside the data, the BLAS kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fmt/jsonw.h"
#include "math/mat.h"
#include "model/scorer.h"

#define QUERIES 2000

static float *
floats(const char *path, size_t n)
{
	float *x = mem_aligned(n, sizeof *x, NULL);
	FILE *f = fopen(path, "rb");

	if (x == NULL || f == NULL || fread(x, sizeof *x, n, f) != n) {
		(void)fprintf(stderr, "kindbench: %s: not %zu floats\n", path, n);
		exit(66);
	}
	(void)fclose(f);
	return x;
}

static void
fail(const struct err *e)
{
	(void)fprintf(stderr, "kindbench: %s\n", e->msg);
	exit(65);
}

static int
ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
query(const struct scorer_kind *kind, const void *model, const struct scorer_data *data, double us[QUERIES])
{
	struct err e = ERR_INIT;
	void *scratch = kind->scratch_new(model, &e);
	float *score = mem_calloc(data->m, sizeof *score, NULL);
	float *cost = mem_calloc(data->m, sizeof *cost, NULL);

	if (scratch == NULL)
		fail(&e);
	for (size_t i = 0; i < QUERIES; i++) {
		int64_t t = clock_mono_ns();

		kind->score(model, data->x + i * 7919 % data->n * data->d, SCORER_NO_ROW, scratch,
			score, cost);
		us[i] = (double)(clock_mono_ns() - t) / 1e3;
	}
	qsort(us, QUERIES, sizeof *us, ascending);
	kind->scratch_free(scratch);
	free(score);
	free(cost);
}

static void
save(const struct scorer_kind *kind, const void *model, const char *path)
{
	struct err e = ERR_INIT;
	struct tensorfile_writer *w = tensorfile_writer_new(&e);

	if (w == NULL || kind->save(model, "", w, &e) < 0 ||
	    tensorfile_writer_save(w, path, NULL, &e) < 0)
		fail(&e);
	tensorfile_writer_free(w);
}

static void
print(const struct scorer_kind *kind, const void *model, const struct scorer_data *data,
	const double us[QUERIES], int64_t cpu, int64_t wall)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kdouble(&w, "cpu_s", (double)cpu / 1e9);
	jsonw_kdouble(&w, "wall_s", (double)wall / 1e9);
	jsonw_kdouble(&w, "query_p50_us", us[QUERIES / 2]);
	jsonw_kdouble(&w, "query_p99_us", us[QUERIES * 99 / 100]);
	jsonw_kdouble(&w, "peak_mib", (double)mem_peak_rss() / 1048576);
	jsonw_kdouble(&w, "stated_mib",
		(double)kind->memory(kind->params(model), data->n, data->d, data->m) / 1048576);
	jsonw_kstr(&w, "blas", mat_core());
	jsonw_key(&w, "params");
	jsonw_object(&w);
	kind->params_write(kind->params(model), &w);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	(void)printf("%.*s\n", (int)b.len, (const char *)b.p);
	buf_finish(&b);
}

int
main(int argc, char **argv)
{
	static union { max_align_t align; char bytes[SCORER_MAX_PARAMS]; } params;
	struct err e = ERR_INIT;
	struct scorer_data data = { 0 };
	const struct scorer_kind *kind;
	double us[QUERIES];
	int64_t cpu, wall;
	void *model;

	if (argc < 10 || (kind = scorer_find(argv[1], strlen(argv[1]))) == NULL)
		return 64;
	data.n = strtoull(argv[4], NULL, 10);
	data.d = strtoull(argv[5], NULL, 10);
	data.m = strtoull(argv[6], NULL, 10);
	data.x = floats(argv[2], data.n * data.d);
	data.score = floats(argv[3], data.n * data.m);
	data.best = strcmp(argv[7], "best") == 0;
	data.seed = 1;
	kind->params_init(&params);
	for (int i = 10; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value == NULL)
			return 64;
		*value++ = '\0';
		if (kind->params_set(&params, argv[i], value, &e) != 0)
			fail(&e);
	}
	if (mat_open(&e) < 0 || (data.pool = pool_new((unsigned)strtoul(argv[8], NULL, 10), &e)) == NULL)
		fail(&e);
	cpu = clock_cpu_ns();
	wall = clock_mono_ns();
	if ((model = kind->fit(&params, &data, &e)) == NULL)
		fail(&e);
	cpu = clock_cpu_ns() - cpu;
	wall = clock_mono_ns() - wall;
	query(kind, model, &data, us);
	save(kind, model, argv[9]);
	print(kind, model, &data, us, cpu, wall);
	kind->free(model);
	pool_free(data.pool);
	free((float *)(uintptr_t)data.x);
	free((float *)(uintptr_t)data.score);
	return 0;
}
