#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "model/artifact.h"
#include "model/drift.h"
#include "model/fit.h"

Test(drift, psi_by_hand)
{
	double a[100], b[100], same[100];

	for (int i = 0; i < 100; i++) {
		a[i] = same[i] = i;
		b[i] = i < 50 ? i : i + 1000;
	}
	cr_expect_lt(fabs(drift_psi(a, 100, same, 100)), 1e-12);
	/* Cuts at 10, 20 .. 90 take their value with them: 11, 8 x 10, 9 against 11, 3 x 10, 9, 4 x 0, 50. */
	cr_expect_lt(fabs(drift_psi(a, 100, b, 100) - ((9.5 - 10.5) / 105 * log(9.5 / 10.5) +
	    4 * (0.5 - 10.5) / 105 * log(0.5 / 10.5) + (50.5 - 9.5) / 105 * log(50.5 / 9.5))), 1e-9);
	/* A feature that is constant in training tells what lies beyond it. */
	memset(a, 0, sizeof a);
	memset(same, 0, sizeof same);
	cr_expect_lt(fabs(drift_psi(a, 100, same, 100)), 1e-12);
	for (int i = 0; i < 100; i++)
		b[i] = 1;
	cr_expect_gt(drift_psi(a, 100, b, 100), 4);
	cr_expect_gt(drift_psi(a, 1, b, 1), 0);
}

Test(drift, chance_stays_within_the_noise)
{
	static const struct { size_t n, m; } sizes[] = { { 50, 50 }, { 200, 60 }, { 1000, 300 } };
	struct rng rng;

	rng_seed(&rng, 7);
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		double a[1000], b[1000], sum = 0, each = 1 / (double)sizes[s].n + 1 / (double)sizes[s].m;
		int above = 0;

		for (int round = 0; round < 400; round++) {
			double psi;

			for (size_t i = 0; i < sizes[s].n; i++)
				a[i] = rng_normal(&rng);
			for (size_t i = 0; i < sizes[s].m; i++)
				b[i] = rng_normal(&rng);
			psi = drift_psi(a, sizes[s].n, b, sizes[s].m);
			sum += psi;
			above += psi > each * (9 + sqrt(18) * 2);
		}
		cr_expect(sum / 400 > 5 * each && sum / 400 < 11 * each, "mean %g, expected %g", sum / 400,
		    9 * each);
		cr_expect_lt(above, 40, "%d of 400 above the noise", above);
	}
}

/* ---- a router over made queries ---- */

enum which { TRAIN, ALIKE, OTHER };

/* Programming tasks, of each three the first two or the third; or tasks of another sort. */
static struct dataset *
make_data(enum which which)
{
	static const char *const verbs[] = { "sort", "merge", "filter", "reverse", "count" };
	static const char *const things[] = { "list", "table", "string", "tree", "queue", "matrix" };
	static const char *const poems[] = { "Reise", "Blume", "Wolke", "Nacht", "Liebe", "Musik" };
	struct err e = ERR_INIT;
	struct dataset *ds = dataset_new(&e);
	char text[128];
	struct rng rng;

	rng_seed(&rng, 11);
	for (size_t i = 0; i < 450; i++) {
		size_t v = rng_below(&rng, 5), a = rng_below(&rng, 6), b = rng_below(&rng, 6);

		if ((i % 3 == 2) == (which == TRAIN))
			continue;
		for (int m = 0; m < 2; m++) {
			struct record rec;

			record_init(&rec);
			if (which == OTHER)
				(void)snprintf(text, sizeof text, "Ein Gedicht: %s trifft %s? (%zu)", poems[a],
				    poems[b], i);
			else
				(void)snprintf(text, sizeof text, "in python %s the %s and then the %s, case %zu",
				    verbs[v], things[a], things[b], i);
			rec.query = slice_str(text);
			rec.model_name = slice_str(m == 0 ? "a" : "b");
			rec.performance = (double)((i + (size_t)m) % 2);
			cr_assert_eq(dataset_add(ds, &rec, &e), 0, "%s", e.msg);
		}
	}
	cr_assert_eq(dataset_finish_build(ds, &e), 0, "%s", e.msg);
	return ds;
}

static struct router *
make_router(const struct dataset *ds, const char *embedder)
{
	struct err e = ERR_INIT;
	const struct artifact_info info = { .data = ds, .hparams = "{\"n_neighbors\":20}",
		.training = "{\"seed\":42,\"baselines\":{\"best_single\":{\"model\":\"a\",\"score\":0.5}}}" };
	char path[] = "/tmp/llmr-drift-XXXXXX", yaml[sizeof path + 5];
	struct fit_params p;
	struct router *r;
	uint8_t digest[32];

	fit_params_init(&p, scorer_find("knn", 3));
	p.embed.kind = embedder;
	cr_assert_eq(fit_params_set(&p, "n_neighbors", "20", &e), 0, "%s", e.msg);
	r = fit_router(&p, ds, NULL, &e);
	cr_assert_not_null(r, "%s", e.msg);
	cr_assert_neq(close(mkstemp(path)), -1);
	cr_assert_eq(artifact_save(r, &info, path, digest, &e), 0, "%s", e.msg);
	router_free(r);
	r = artifact_load(path, &e);
	cr_assert_not_null(r, "%s", e.msg);
	(void)unlink(path);
	(void)snprintf(yaml, sizeof yaml, "%s.yaml", path);
	(void)unlink(yaml);
	return r;
}

Test(drift, tells_other_queries_from_the_same)
{
	struct dataset *train = make_data(TRAIN), *alike = make_data(ALIKE), *other = make_data(OTHER);

	for (int held = 0; held < 2; held++) {
		struct err e = ERR_INIT;
		struct router *r = make_router(train, held ? "lsa" : "hash");
		const struct slice *texts = held ? train->query : NULL;
		struct drift d;

		cr_assert_eq(drift_run(r, other->query, other->n, texts, held ? train->n : 0, NULL, NULL, &d,
		    &e), 0, "%s", e.msg);
		cr_expect_eq(d.held_out, held == 1);
		cr_expect_eq(d.n, 150);
		cr_expect_eq(d.known, 0);
		cr_expect(drift_in_similarity(&d, 0.25), "psi %g noise %g", d.psi, d.noise);
		cr_expect(drift_in_features(&d, 0.25));
		cr_expect_gt(d.ood, 0.5);
		for (size_t i = 1; i < d.n_features; i++)
			cr_expect_leq(d.feature[i].psi, d.feature[i - 1].psi);
		drift_finish(&d);
		cr_assert_eq(drift_run(r, alike->query, alike->n, texts, held ? train->n : 0, NULL, NULL, &d,
		    &e), 0, "%s", e.msg);
		cr_expect(!drift_in_similarity(&d, 0.25), "psi %g noise %g", d.psi, d.noise);
		cr_expect(!drift_in_features(&d, 0.25), "psi %g", d.feature[0].psi);
		cr_expect_lt(d.ood, 0.1, "%g", d.ood);
		drift_finish(&d);
		router_free(r);
	}
	dataset_free(train);
	dataset_free(alike);
	dataset_free(other);
}

Test(drift, the_training_set_does_not_drift_from_itself)
{
	struct err e = ERR_INIT;
	struct dataset *train = make_data(TRAIN);
	struct router *r = make_router(train, "hash");
	struct drift d, again;
	struct pool *pool = pool_new(3, &e);

	cr_assert_eq(drift_run(r, train->query, train->n, NULL, 0, NULL, NULL, &d, &e), 0, "%s", e.msg);
	cr_expect_eq(d.known, 300);
	cr_expect_lt(d.psi, 0.01, "%g", d.psi);
	cr_expect_lt(d.feature[0].psi, 0.01);
	cr_expect(!drift_in_similarity(&d, 0) && !drift_in_features(&d, 0));
	cr_assert_eq(drift_run(r, train->query, train->n, NULL, 0, pool, NULL, &again, &e), 0, "%s", e.msg);
	cr_expect(d.psi == again.psi && d.ood == again.ood && d.feature[0].psi == again.feature[0].psi,
	    "threads show");
	drift_finish(&d);
	drift_finish(&again);
	drift_finish(&again);
	pool_free(pool);
	router_free(r);
	dataset_free(train);
}
