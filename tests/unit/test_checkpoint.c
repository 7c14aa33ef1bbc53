#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/checkpoint.h"
#include "model/scorer.h"
#include "math/mat.h"

Test(checkpoint, kept_pieces_come_back_and_another_training_is_refused)
{
	char dir[] = "/tmp/llmr-checkpoint-XXXXXX", path[64];
	struct err e = ERR_INIT;
	struct checkpoint *a = checkpoint_new(&e), *b = checkpoint_new(&e), *c = checkpoint_new(&e);
	const struct checkpoint_at top = { a, "" }, at = checkpoint_below(&top, "cv.%d", 3);
	const struct checkpoint_at deep = checkpoint_below(&at, "mlp"), back = { b, "cv.3" };
	int x[2] = { 4, 5 }, y[2] = { 0, 0 };
	const struct checkpoint_part in[] = { { x, sizeof x } }, out[] = { { y, 4 }, { y + 1, 4 } };

	cr_assert(mkdtemp(dir) != NULL);
	strcat(strcpy(path, dir), "/c");
	cr_assert(checkpoint_identify(a, "data", "one", &e) == 0);
	cr_assert(checkpoint_identify(b, "data", "one", &e) == 0);
	cr_assert(checkpoint_identify(c, "data", "two", &e) == 0);
	cr_assert(checkpoint_put(&at, in, 1, &e) == 0 && checkpoint_put(&deep, in, 1, &e) == 0);
	cr_expect(checkpoint_pieces(a) == 2);
	checkpoint_drop(&at);
	cr_expect(checkpoint_pieces(a) == 1, "what lies below is dropped, the piece itself stays");
	cr_assert(checkpoint_save(a, path, &e) == 0, "%s", e.msg);
	cr_assert(checkpoint_read(b, path, &e) == 0, "%s", e.msg);
	cr_expect(!checkpoint_get(&back, out, 1) && y[0] == 0, "another size");
	cr_expect(checkpoint_get(&back, out, 2) && y[0] == 4 && y[1] == 5);
	cr_expect(checkpoint_read(c, path, &e) < 0 && e.code == ERR_INPUT);
	cr_expect(strstr(e.msg, "data differs") != NULL, "%s", e.msg);
	checkpoint_free(a);
	checkpoint_free(b);
	checkpoint_free(c);
	unlink(path);
	rmdir(dir);
}

#define N 24
#define D 4
#define M 2

/* Rows in a plane; the last is row 0 again when there are N + 1. */
static void
make(float *x, float *score, float *weight)
{
	for (size_t i = 0; i <= N; i++) {
		size_t r = i % N;

		for (size_t j = 0; j < D; j++)
			x[i * D + j] = j == r % D ? 0.8f : j == (r / D) % D ? 0.6f : 0;
		for (size_t j = 0; j < M; j++)
			score[i * M + j] = (float)((r * 7 + j * 3 + r * r % 5) % 11) / 10;
		weight[i] = i == 0 ? 2 : 1;
	}
}

static void
predict(const char *kind, const char *const *set, const struct scorer_data *data, float out[M])
{
	const struct scorer_kind *k = scorer_find(kind, strlen(kind));
	_Alignas(16) unsigned char params[SCORER_MAX_PARAMS];
	struct err e = ERR_INIT;
	float cost[M];
	void *model, *scratch;

	k->params_init(params);
	for (; *set != NULL; set += 2)
		cr_assert(k->params_set(params, set[0], set[1], &e) == 0, "%s", e.msg);
	model = k->fit(params, data, &e);
	cr_assert(model != NULL, "%s: %s", kind, e.msg);
	scratch = k->scratch_new(model, &e);
	k->score(model, data->x, SCORER_NO_ROW, scratch, out, cost);
	k->scratch_free(scratch);
	k->free(model);
}

/* Where a kind is an exact function of its weighted loss, a row of weight 2 is that row twice. */
Test(weights, two_is_twice)
{
	static const struct { const char *kind; const char *set[9]; double within; bool exact; } cases[] = {
		{ "knn", { "n_neighbors", "25" }, 1e-5, true },
		{ "ridge", { "lambda", "1" }, 1e-4, true },
		{ "kridge", { NULL }, 2e-3, true },
		{ "svm", { "gamma", "1", "C", "0.3", "tol", "1e-5" }, 5e-3, true },
		{ "mlp", { "early_stopping", "false", "batch_size", "100", "alpha", "0", "n_nets", "1" }, 2e-2,
		    true },
		{ "mf", { NULL }, 0, false },
		{ "trees", { "min_samples_leaf", "2" }, 0, false },
	};
	static float x[(N + 1) * D], score[(N + 1) * M], weight[N + 1];
	struct err e = ERR_INIT;

	make(x, score, weight);
	cr_assert(mat_open(&e) == 0, "%s", e.msg);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct scorer_data data = { .n = N, .d = D, .m = M, .x = x, .score = score, .seed = 1 };
		float plain[M], heavy[M], twice[M];

		predict(cases[i].kind, cases[i].set, &data, plain);
		data.weight = weight;
		predict(cases[i].kind, cases[i].set, &data, heavy);
		data.weight = NULL;
		data.n = N + 1;
		predict(cases[i].kind, cases[i].set, &data, twice);
		cr_expect(memcmp(plain, heavy, sizeof plain) != 0, "%s ignores weights", cases[i].kind);
		for (size_t j = 0; j < M && cases[i].exact; j++)
			cr_expect(fabsf(heavy[j] - twice[j]) <= (float)cases[i].within, "%s: %g %g (plain %g)",
			    cases[i].kind, (double)heavy[j], (double)twice[j], (double)plain[j]);
	}
}
