#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "llmr.h"
#include "model/artifact.h"
#include "model/crossval.h"
#include "model/fit.h"

static const char *const words[] = { "sum", "list", "python", "poem", "love", "rain", "proof",
	"integral", "matrix", "translate", "french", "word" };

/* 60 queries of three kinds, each kind answered best by another of three models. */
static struct dataset *
make_data(void)
{
	struct dataset *ds = dataset_new(NULL);

	for (size_t i = 0; i < 60; i++)
		for (size_t j = 0; j < 3; j++) {
			struct record r;
			char query[96], model[8];

			record_init(&r);
			(void)snprintf(query, sizeof query, "%s %s %s number %zu", words[i % 3 * 4],
				words[i % 3 * 4 + 1 + i % 2], words[i % 3 * 4 + 3], i);
			(void)snprintf(model, sizeof model, "m%zu", j);
			r.query = slice_str(query);
			r.model_name = slice_str(model);
			r.performance = i % 3 == j ? 1 : 0.25;
			r.cost_usd = 0.001 * (double)(j + 1);
			cr_assert(dataset_add(ds, &r, NULL) == 0);
		}
	cr_assert(dataset_finish_build(ds, NULL) == 0);
	return ds;
}

/* Train on it and store; path is a template for mkdtemp's folder, filled with the file's name. */
static struct router *
train_and_save(char *path, const struct dataset *ds, bool store, unsigned threads)
{
	struct pool *pool = pool_new(threads, NULL);
	struct artifact_info info = { ds, store, "{\"n_neighbors\":20}",
		"{\"seed\":42,\"baselines\":{\"best_single\":{\"model\":\"m0\",\"score\":0.5},"
		"\"cheapest_model\":\"m0\"}}" };
	struct fit_params p;
	struct err e = ERR_INIT;
	struct router *r;
	uint8_t digest[32];

	fit_params_init(&p, &knn_kind);
	p.embed.kind = "hash";
	p.embed.dim = 32;
	cr_assert(fit_params_set(&p, "n_neighbors", "20", &e) == 0);
	cr_assert(mkdtemp(path) != NULL);
	strcat(path, "/m.safetensors");
	r = fit_router(&p, ds, pool, &e);
	cr_assert(r != NULL, "%s", e.msg);
	cr_assert(artifact_save(r, &info, path, digest, &e) == 0, "%s", e.msg);
	pool_free(pool);
	return r;
}

static void
clean_up(const char *path)
{
	char other[96];
	size_t dir = strlen(path) - strlen("/m.safetensors");

	(void)unlink(path);
	(void)snprintf(other, sizeof other, "%.*s/m.yaml", (int)dir, path);
	(void)unlink(other);
	(void)snprintf(other, sizeof other, "%.*s", (int)dir, path);
	(void)rmdir(other);
}

Test(artifact, round_trip)
{
	char path[64] = "/tmp/llmr-artifact-XXXXXX", again[64] = "/tmp/llmr-artifact-XXXXXX";
	struct dataset *ds = make_data();
	struct router *a = train_and_save(path, ds, true, 1), *b;
	struct router *c = train_and_save(again, ds, true, 4);
	struct buf x = BUF_INIT, y = BUF_INIT;
	const struct policy policy = POLICY_INIT;
	struct err e = ERR_INIT;
	struct router_scratch *sa, *sb;

	cr_assert(io_read_file(path, 1 << 24, &x, &e) == 0 &&
		io_read_file(again, 1 << 24, &y, &e) == 0);
	cr_expect(x.len == y.len && memcmp(x.p, y.p, x.len) == 0, "the number of threads shows");
	b = artifact_load(path, &e);
	cr_assert(b != NULL, "%s", e.msg);
	cr_expect(b->best_single == 0 && b->cheapest == 0 && b->seed == 42);
	cr_expect(router_knn(b)->params.n_neighbors == 20 && b->models.len == 3);
	sa = router_scratch_new(a, NULL);
	sb = router_scratch_new(b, NULL);
	for (size_t i = 0; i < ds->n; i++) {
		struct policy_choice ca, cb;

		router_route(a, &policy, ds->query[i], sa, &ca);
		router_route(b, &policy, ds->query[i], sb, &cb);
		cr_expect(ca.model == cb.model && memcmp(sa->score, sb->score, 12) == 0, "query %zu", i);
		cr_expect(router_knows(b, ds->query_id[i]));
		cr_expect(slice_eq(router_query_text(b, i), ds->query[i]));
	}
	cr_expect(!router_knows(b, "0123456789abcdef"));
	router_scratch_free(sa);
	router_scratch_free(sb);
	router_free(a);
	router_free(b);
	router_free(c);
	dataset_free(ds);
	buf_finish(&x);
	buf_finish(&y);
	clean_up(path);
	clean_up(again);
}

/* Load bytes; NULL when refused. */
static struct router *
load_bytes(const char *p, size_t n, struct err *e)
{
	char *copy = mem_aligned(n, 1, NULL);
	struct tensorfile *f;
	struct router *r;

	memcpy(copy, p, n);
	if ((f = tensorfile_take(copy, n, e)) == NULL) {
		free(copy);
		return NULL;
	}
	if ((r = artifact_take(f, e)) == NULL)
		tensorfile_free(f);
	return r;
}

Test(artifact, damage_is_one_error)
{
	char path[64] = "/tmp/llmr-artifact-XXXXXX";
	struct dataset *ds = make_data();
	struct router *r = train_and_save(path, ds, false, 1);
	struct buf x = BUF_INIT;
	size_t refused = 0, tried = 0;

	cr_assert(io_read_file(path, 1 << 24, &x, NULL) == 0);
	for (size_t n = 0; n < x.len; n += x.len / 97 + 1) {
		struct err e = ERR_INIT;

		cr_expect(load_bytes(x.p, n, &e) == NULL && e.code == ERR_INPUT, "cut to %zu", n);
	}
	for (size_t at = 0; at < x.len; at += at < 4096 ? 1 : 37) {
		struct err e = ERR_INIT;
		struct router *damaged;

		x.p[at] = (char)(x.p[at] ^ (1 << at % 8));
		damaged = load_bytes(x.p, x.len, &e);
		x.p[at] = (char)(x.p[at] ^ (1 << at % 8));
		tried++;
		if (damaged == NULL) {
			refused++;
			cr_expect(e.code == ERR_INPUT && e.msg[0] != '\0', "byte %zu", at);
		}
		router_free(damaged);
	}
	/* A bit in a stored score only changes that score; most others are noticed. */
	cr_expect(refused * 4 > tried, "%zu of %zu flipped bits were noticed", refused, tried);
	router_free(r);
	dataset_free(ds);
	buf_finish(&x);
	clean_up(path);
}

/* One replacement of equal length in the file's header must be refused. */
Test(artifact, wrong_metadata)
{
	static const struct { const char *from, *to; } cases[] = {
		{ "\"llmr.kind\":\"knn\"", "\"llmr.kind\":\"svm\"" },
		{ "\"llmr.format\":\"1\"", "\"llmr.format\":\"9\"" },
		{ "\\\"m1\\\"", "\\\"m0\\\"" },		/* the same name twice */
		{ "\\\"m1\\\"", "\\\"m9\\\"" },		/* not ascending */
		{ "llmr.probe", "llmr.prebo" },
		{ "\\\"n_neighbors\\\":20", "\\\"n_neighbors\\\":00" },
		{ "\\\"best_single\\\":{\\\"model\\\":\\\"m0", "\\\"best_single\\\":{\\\"model\\\":\\\"m7" },
		{ "knn.scores", "knn.scorez" },
		{ "queries.digest", "queries.digits" },
		{ "\\\"kind\\\":\\\"hash\\\"", "\\\"kind\\\":\\\"hush\\\"" },
	};
	char path[64] = "/tmp/llmr-artifact-XXXXXX";
	struct dataset *ds = make_data();
	struct router *r = train_and_save(path, ds, false, 1);
	struct buf x = BUF_INIT;

	cr_assert(io_read_file(path, 1 << 24, &x, NULL) == 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t n = strlen(cases[i].from), at = 0;
		struct err e = ERR_INIT;
		struct router *bad;

		while (at + n < x.len && memcmp(x.p + at, cases[i].from, n) != 0)
			at++;
		cr_assert(at + n < x.len && strlen(cases[i].to) == n, "case %zu is not in the file", i);
		memcpy(x.p + at, cases[i].to, n);
		bad = load_bytes(x.p, x.len, &e);
		cr_expect(bad == NULL && e.code == ERR_INPUT, "case %zu loads", i);
		router_free(bad);
		memcpy(x.p + at, cases[i].from, n);
	}
	router_free(r);
	dataset_free(ds);
	buf_finish(&x);
	clean_up(path);
}

Test(artifact, public_interface)
{
	static const unsigned char not_first[3] = { 0, 1, 1 }, none[3] = { 0, 0, 0 };
	char path[64] = "/tmp/llmr-artifact-XXXXXX";
	struct dataset *ds = make_data();
	struct router *trained = train_and_save(path, ds, false, 1);
	struct llmr_limits limits = { .allowed = not_first };
	struct llmr_error err = { 0, "" };
	struct llmr_router *r = llmr_router_open(path, &err);
	struct llmr_scratch *s;
	struct llmr_decision d;
	const char *prompt = "sum list python";

	cr_assert(r != NULL, "%s", err.message);
	cr_expect(llmr_model_count(r) == 3 && strcmp(llmr_model_name(r, 1), "m1") == 0 &&
		llmr_model_name(r, 3) == NULL && strlen(llmr_router_sha256(r)) == 64);
	s = llmr_scratch_new(r, &err);
	cr_assert(s != NULL);
	cr_assert(llmr_route(r, s, prompt, strlen(prompt), NULL, &d, &err) == 0);
	cr_expect(strcmp(d.model, "m0") == 0 && d.runner_up != NULL && d.propensity == 1);
	cr_expect(d.scores[0] > d.scores[1] && d.costs[2] > d.costs[0]);
	cr_assert(llmr_route(r, s, prompt, strlen(prompt), &limits, &d, &err) == 0);
	cr_expect(strcmp(d.model, "m0") != 0);
	limits.max_cost = 0.0025;
	cr_assert(llmr_route(r, s, prompt, strlen(prompt), &limits, &d, &err) == 0);
	cr_expect(strcmp(d.model, "m1") == 0 && d.runner_up == NULL);
	limits.allowed = none;
	cr_expect(llmr_route(r, s, prompt, strlen(prompt), &limits, &d, &err) == -1 &&
		d.model == NULL && err.code == 1);
	llmr_scratch_free(s);
	llmr_router_free(r);
	cr_expect(llmr_router_open("/nonexistent", &err) == NULL && err.code == 66);
	router_free(trained);
	dataset_free(ds);
	clean_up(path);
}

/* A router of two models with cost, time, a mode and a model without data; path as in train_and_save. */
static struct router *
save_pair(char *path, const struct dataset *ds, const char *share)
{
	static const char *const newcomer[] = { "a-new", "m1.5" };
	static const float prior[] = { 0.3f, 0.6f };
	struct artifact_info info = { ds, false, NULL, "{\"seed\":42,\"baselines\":{\"best_single\":"
		"{\"model\":\"m1\",\"score\":0.5},\"cheapest_model\":\"m0\"}}" };
	struct buf hparams = BUF_INIT;
	struct fit_params p;
	struct jsonw w;
	struct err e = ERR_INIT;
	struct router *r;
	uint8_t digest[32];

	fit_params_init(&p, scorer_find("ridge", 5));
	p.embed.kind = "hash";
	p.embed.dim = 16;
	cr_assert(fit_params_set(&p, "router_mode", "probabilistic", &e) == 0 &&
		fit_params_set(&p, "strong_share", share, &e) == 0, "%s", e.msg);
	r = fit_router(&p, ds, NULL, &e);
	cr_assert(r != NULL && router_widen(r, newcomer, prior, 2, &e) == 0, "%s", e.msg);
	jsonw_init(&w, &hparams);
	jsonw_object(&w);
	fit_params_write(&p, r, &w);
	jsonw_end_object(&w);
	cr_assert(buf_ok(&hparams, NULL) == 0);
	info.hparams = buf_cstr(&hparams);
	cr_assert(mkdtemp(path) != NULL);
	strcat(path, "/m.safetensors");
	cr_assert(artifact_save(r, &info, path, digest, &e) == 0, "%s", e.msg);
	buf_finish(&hparams);
	return r;
}

static struct dataset *
make_pair(void)
{
	struct dataset *ds = dataset_new(NULL);

	for (size_t i = 0; i < 80; i++)
		for (size_t j = 0; j < 2; j++) {
			struct record r;
			char query[96], model[8];

			record_init(&r);
			(void)snprintf(query, sizeof query, "%s %s %s number %zu%.*s", words[i % 3 * 4],
				words[i % 3 * 4 + 1 + i % 2], words[i % 3 * 4 + 3], i, (int)(i % 40),
				"........................................");
			(void)snprintf(model, sizeof model, "m%zu", j + 1);
			r.query = slice_str(query);
			r.model_name = slice_str(model);
			r.performance = j == 1 ? 1 : i % 3 == 0;
			r.cost_usd = 1e-5 * (double)(j + 1) * (double)strlen(query);
			r.response_time_s = 0.01 * (double)(j + 1) * (double)strlen(query);
			cr_assert(dataset_add(ds, &r, NULL) == 0);
		}
	cr_assert(dataset_finish_build(ds, NULL) == 0);
	return ds;
}

Test(artifact, what_stands_beside_the_scorer)
{
	char path[64] = "/tmp/llmr-artifact-XXXXXX";
	struct dataset *ds = make_pair();
	struct router *a = save_pair(path, ds, "0.4"), *b;
	struct policy p = router_policy(a), q;
	struct router_scratch *sa, *sb;
	struct buf x = BUF_INIT;
	struct err e = ERR_INIT;
	size_t strong = 0, refused = 0, tried = 0;

	b = artifact_load(path, &e);
	cr_assert(b != NULL, "%s", e.msg);
	q = router_policy(b);
	cr_expect(b->models.len == 4 && b->scored == 2 && b->expect != NULL && b->table.n == 80);
	cr_expect(q.mode.pair && q.mode.draw && q.mode.weak == 1 && q.mode.strong == 3, "%zu %zu",
		q.mode.weak, q.mode.strong);
	cr_expect(p.mode.offset == q.mode.offset && p.mode.slope == q.mode.slope);
	cr_expect_float_eq(mode_share(&q.mode, &b->table, b->column), 0.4, 1e-6);
	sa = router_scratch_new(a, NULL);
	sb = router_scratch_new(b, NULL);
	for (size_t i = 0; i < ds->n; i++) {
		struct policy_choice ca, cb;

		router_route(a, &p, ds->query[i], sa, &ca);
		router_route(b, &q, ds->query[i], sb, &cb);
		cr_expect(ca.model == cb.model && ca.propensity == cb.propensity, "query %zu", i);
		cr_expect(memcmp(sa->cost + 1, sb->cost + 1, 4) == 0 &&
			memcmp(sa->latency + 3, sb->latency + 3, 4) == 0, "query %zu", i);
		cr_expect(sb->score[0] == 0.3f && sb->score[2] == 0.6f && isnan(sb->cost[0]) &&
			isnan(sb->latency[2]) && sb->cost[3] > sb->cost[1] && sb->latency[3] > sb->latency[1]);
		strong += cb.model == 3;
	}
	cr_expect(strong > 12 && strong < 52, "%zu of 80 to the strong model", strong);
	cr_assert(io_read_file(path, 1 << 24, &x, NULL) == 0);
	for (size_t at = 0; at < x.len; at += at < 6000 ? 3 : 11) {
		struct router *damaged;
		struct err why = ERR_INIT;

		x.p[at] = (char)(x.p[at] ^ (1 << at % 8));
		damaged = load_bytes(x.p, x.len, &why);
		x.p[at] = (char)(x.p[at] ^ (1 << at % 8));
		tried++;
		refused += damaged == NULL;
		cr_expect(damaged != NULL || (why.code == ERR_INPUT && why.msg[0] != '\0'), "byte %zu: %s", at,
			why.msg);
		router_free(damaged);
	}
	cr_expect(refused * 4 > tried, "%zu of %zu flipped bits were noticed", refused, tried);
	router_scratch_free(sa);
	router_scratch_free(sb);
	router_free(a);
	router_free(b);
	dataset_free(ds);
	buf_finish(&x);
	clean_up(path);
}

Test(artifact, public_modes_and_exploration)
{
	static const char *const share[] = { "router_mode=deterministic", "strong_share=1", NULL };
	static const char *const wrong[] = { "lambda=3", NULL }, *const unknown[] = { "weak=m9", NULL };
	char path[64] = "/tmp/llmr-artifact-XXXXXX", id[16];
	struct dataset *ds = make_pair();
	struct router *trained = save_pair(path, ds, "0.4");
	struct llmr_error err = { 0, "" };
	struct llmr_router *r = llmr_router_open(path, &err);
	struct llmr_scratch *s = r == NULL ? NULL : llmr_scratch_new(r, &err);
	struct llmr_limits limits = { .explore_epsilon = 0.5 };
	struct llmr_decision d;
	struct llmr_mode *m;
	double stated[4] = { 0 }, seen[4] = { 0 };

	cr_assert(s != NULL, "%s", err.message);
	for (size_t i = 0; i < 4000; i++) {
		(void)snprintf(id, sizeof id, "r%zu", i);
		limits.request_id = id;
		cr_assert(llmr_route(r, s, "sum list", 8, &limits, &d, &err) == 0);
		cr_assert(stated[d.model_index] == 0 || stated[d.model_index] == d.propensity);
		stated[d.model_index] = d.propensity;
		seen[d.model_index] += 1.0 / 4000;
	}
	cr_expect_float_eq(stated[1] + stated[3], 1, 1e-12, "%g + %g", stated[1], stated[3]);
	cr_expect(fabs(seen[1] - stated[1]) < 0.035 && seen[0] == 0 && seen[2] == 0, "%g, %g", seen[1],
		stated[1]);
	m = llmr_mode_new(r, share, &err);
	cr_assert(m != NULL, "%s", err.message);
	limits = (struct llmr_limits){ .mode = m };
	cr_assert(llmr_route(r, s, "sum list", 8, &limits, &d, &err) == 0);
	cr_expect(strcmp(d.model, "m2") == 0 && d.propensity == 1 && !d.explored);
	cr_expect(d.latencies[3] > 0 && isnan(d.latencies[0]));
	limits.max_latency = (double)(d.latencies[1] + d.latencies[3]) / 2;
	cr_assert(llmr_route(r, s, "sum list", 8, &limits, &d, &err) == 0);
	cr_expect(strcmp(d.model, "m1") == 0 && d.runner_up == NULL, "the fast one");
	llmr_mode_free(m);
	cr_expect(llmr_mode_new(r, wrong, &err) == NULL && err.code == 64);
	cr_expect(llmr_mode_new(r, unknown, &err) == NULL && err.code == 64);
	llmr_scratch_free(s);
	llmr_router_free(r);
	router_free(trained);
	dataset_free(ds);
	clean_up(path);
}

Test(fit, unknown_names_and_folds)
{
	struct fit_params p;
	struct err e = ERR_INIT;
	struct dataset *ds = make_data();
	struct crossval_plan plan = { .params = &p, .folds = 61 };
	struct eval_result loo;
	struct crossval cv;
	struct router *r;

	fit_params_init(&p, &knn_kind);
	cr_expect(fit_params_set(&p, "n_neighbours", "5", &e) < 0 && e.code == ERR_USAGE &&
		strstr(e.msg, "n_neighbors") != NULL, "%s", e.msg);
	cr_expect(fit_params_set(&p, "dim", "64", &e) == 0 && p.embed.dim == 64);
	cr_expect(fit_params_set(&p, "dim", "0", &e) < 0);
	p.embed.kind = "hash";
	cr_assert(fit_params_set(&p, "k", "10", &e) == 0);
	cr_expect(crossval_run(&plan, ds, NULL, &cv, &e) < 0 && e.code == ERR_INPUT);
	plan.folds = 5;
	cr_assert(crossval_run(&plan, ds, NULL, &cv, &e) == 0, "%s", e.msg);
	cr_expect(cv.result.full == 60 && cv.result.router > 0.95 && cv.result.delta.lo > 0, "%g",
	    cv.result.router);
	crossval_finish(&cv);
	r = fit_router(&p, ds, NULL, &e);
	cr_assert(r != NULL && fit_loo(r, ds, 42, NULL, &loo, &e) == 0);
	cr_expect(loo.full == 60 && loo.router > 0.95);
	router_free(r);
	p.best = true;
	cr_assert(crossval_run(&plan, ds, NULL, &cv, &e) == 0);
	cr_expect(cv.result.router > 0.95, "votes: %g", cv.result.router);
	crossval_finish(&cv);
	dataset_free(ds);
}
