#include "model/fit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/split.h"
#include "fmt/hash.h"
#include "math/mat.h"
#include "model/fittable.h"

void
fit_params_init(struct fit_params *p, const struct scorer_kind *kind)
{
	*p = (struct fit_params){ .embed = { .kind = "lsa" }, .kind = kind, .seed = 42 };
	if (kind->params_bytes > sizeof p->scorer)
		BUG("%s: hyperparameters of %zu bytes", kind->name, kind->params_bytes);
	kind->params_init(p->scorer);
	mode_params_init(&p->mode);
	p->embed.seed = p->seed;
}

static const struct { const char *name; size_t offset; long long lo, hi; } embed_names[] = {
	{ "dim", offsetof(struct embed_params, dim), 8, 4096 },
	{ "min_df", offsetof(struct embed_params, min_df), 2, 1000000 },
	{ "max_features", offsetof(struct embed_params, max_features), 100, 10000000 },
	{ "max_bytes", offsetof(struct embed_params, max_bytes), 64, 1 << 24 },
};
#define EMBED_HPARAMS "dim, min_df, max_features, max_bytes"

/* The name in a comma-separated list that is nearest to a wrong one, within three edits. */
static void
nearest_name(const char *list, const char *name, char *best, size_t cap, size_t *least)
{
	while (*list != '\0') {
		size_t n = strcspn(list, ","), d;
		char word[64];

		(void)snprintf(word, sizeof word, "%.*s", (int)n, list);
		d = str_distance(name, word);
		if (d < *least) {
			*least = d;
			(void)snprintf(best, cap, "%s", word);
		}
		list += n + strspn(list + n, ", ");
	}
}

static int
unknown_name(const struct scorer_kind *kind, const char *name, struct err *e)
{
	char best[64] = "";
	size_t least = 4;

	nearest_name(kind->hparams, name, best, sizeof best, &least);
	nearest_name(EMBED_HPARAMS, name, best, sizeof best, &least);
	nearest_name(MODE_HPARAMS, name, best, sizeof best, &least);
	if (best[0] != '\0')
		return err_set(e, ERR_USAGE, "unknown hyperparameter '%s': did you mean '%s'?",
		    name, best);
	return err_set(e, ERR_USAGE, "unknown hyperparameter '%s': %s has %s; the embedder "
	    EMBED_HPARAMS, name, kind->name, kind->hparams);
}

int
fit_params_set(struct fit_params *p, const char *name, const char *value, struct err *e)
{
	int r = p->kind->params_set(p->scorer, name, value, e);
	long long v;

	if (r > 0)
		r = mode_params_set(&p->mode, name, value, e);
	if (r <= 0)
		return r;
	for (size_t i = 0; i < sizeof embed_names / sizeof embed_names[0]; i++)
		if (strcmp(name, embed_names[i].name) == 0) {
			if (str_int(name, value, embed_names[i].lo, embed_names[i].hi, &v, e) < 0)
				return -1;
			*(size_t *)(void *)((char *)&p->embed + embed_names[i].offset) = (size_t)v;
			return 0;
		}
	return unknown_name(p->kind, name, e);
}

void
fit_params_write(const struct fit_params *p, const struct router *r, struct jsonw *w)
{
	jsonw_kstr(w, "objective", p->best ? "best" : "score");
	p->kind->params_write(r != NULL ? p->kind->params(r->scorer) : p->scorer, w);
	mode_params_write(r != NULL ? &r->mode_params : &p->mode, w);
}

uint64_t
fit_memory(const struct fit_params *p, const struct dataset *ds)
{
	uint64_t kept, embedding, learning;
	size_t d;

	embedding = embed_memory(&p->embed, ds->query, ds->n, &kept, &d);
	learning = kept + (uint64_t)ds->n * d * 4 + p->kind->memory(p->scorer, ds->n, d, ds->m) +
	    expect_memory(ds->n, d, ds->m);
	if (p->best)
		learning += (uint64_t)ds->n * (16 * (uint64_t)ds->m + 64);
	/* The router that is there, and a copy of the other queries' matrices. */
	if (fittable_wanted(p, ds))
		learning += (uint64_t)ds->n * (4 * d + 16 * (uint64_t)ds->m);
	return embedding > learning ? embedding : learning;
}

static int
copy_names(struct router *r, const struct dataset *ds, struct err *e)
{
	for (size_t j = 0; j < ds->m; j++)
		if (map_intern(&r->models, ds->models.keys[j], ds->models.key_len[j], NULL, e) ==
		    MAP_NONE)
			return -1;
	return 0;
}

/* Scores of a copy become 1 for the row's best known model (ties: the best overall), else 0. */
static struct dataset *
best_labels(const struct dataset *ds, const struct baseline *b, struct err *e)
{
	size_t *rows = mem_calloc(ds->n, sizeof *rows, e), m = ds->m;
	struct dataset *copy;

	if (rows == NULL)
		return NULL;
	for (size_t i = 0; i < ds->n; i++)
		rows[i] = i;
	copy = dataset_subset(ds, rows, ds->n, e);
	free(rows);
	for (size_t i = 0; copy != NULL && i < ds->n; i++) {
		float *s = copy->score + i * m;
		size_t best = b->best;

		for (size_t j = 0; j < m; j++)
			if (!isnan(s[j]) && (isnan(s[best]) || s[j] > s[best]))
				best = j;
		for (size_t j = 0; j < m; j++)
			if (!isnan(s[j]))
				s[j] = j == best;
	}
	return copy;
}

void *
fit_scorer(const struct fit_params *p, const struct dataset *ds, const struct fit_space *space,
	struct pool *pool, struct err *e)
{
	struct scorer_data data = { .n = ds->n, .d = space->d, .m = ds->m, .x = space->x,
		.score = ds->score, .weight = ds->weight, .best = p->best,
		.seed = p->seed, .pool = pool, .cancel = p->cancel, .keep = &p->keep };
	struct dataset *labels = NULL;
	struct baseline b;
	void *model;

	if (p->best) {
		baseline_compute(ds->score, ds->cost, ds->n, ds->m, &b);
		if ((labels = best_labels(ds, &b, e)) == NULL)
			return NULL;
		data.score = labels->score;
	}
	model = p->kind->fit(p->scorer, &data, e);
	dataset_free(labels);
	return model;
}

float *
fit_column_means(const float *cells, size_t n, size_t m, float none, struct err *e)
{
	float *mean = mem_aligned(m, sizeof *mean, e);

	for (size_t j = 0; mean != NULL && j < m; j++) {
		double sum = 0;
		size_t known = 0;

		for (size_t i = 0; i < n; i++)
			if (!isnan(cells[i * m + j])) {
				sum += (double)cells[i * m + j];
				known++;
			}
		mean[j] = known > 0 ? (float)(sum / (double)known) : none;
	}
	return mean;
}

int
fit_embed(const struct fit_params *p, const struct dataset *ds, struct pool *pool,
	struct fit_space *space, struct err *e)
{
	*space = (struct fit_space){ .n = ds->n };
	space->embed = embed_fit(&p->embed, ds->query, ds->n, pool, e);
	if (space->embed == NULL || cancel_check(p->cancel, e) < 0)
		goto fail;
	space->d = embed_dim(space->embed);
	if (ds->n > SIZE_MAX / space->d) {
		err_nomem(e);
		goto fail;
	}
	space->x = mem_aligned(ds->n * space->d, sizeof *space->x, e);
	if (space->x == NULL || embed_batch(space->embed, ds->query, ds->n, space->x, pool, e) < 0)
		goto fail;
	return 0;
fail:
	fit_space_finish(space);
	return -1;
}

void
fit_space_finish(struct fit_space *space)
{
	embed_free(space->embed);
	free(space->x);
	*space = (struct fit_space){ 0 };
}

struct router *
fit_router(const struct fit_params *p, const struct dataset *ds, struct pool *pool, struct err *e)
{
	struct router *r = mem_calloc(1, sizeof *r, e);
	struct fit_space space = { 0 };
	struct baseline b;

	if (r == NULL)
		return NULL;
	if (fit_embed(p, ds, pool, &space, e) < 0)
		goto fail;
	r->embed = space.embed;
	r->kind = p->kind;
	r->d = space.d;
	r->scorer = fit_scorer(p, ds, &space, pool, e);
	space.embed = NULL;
	if (r->scorer == NULL || copy_names(r, ds, e) < 0)
		goto fail;
	baseline_compute(ds->score, ds->cost, ds->n, ds->m, &b);
	r->scored = ds->m;
	r->score_mean = fit_column_means(ds->score, ds->n, ds->m, 0.5f, e);
	r->cost_mean = fit_column_means(ds->cost, ds->n, ds->m, -1, e);
	r->latency_mean = fit_column_means(ds->latency, ds->n, ds->m, -1, e);
	if (r->score_mean == NULL || r->cost_mean == NULL || r->latency_mean == NULL)
		goto fail;
	r->best_single = b.best;
	r->cheapest = b.cheapest;
	r->seed = p->seed;
	if (!p->scores_alone &&
	    expect_fit(ds, space.x, space.d, pool, p->cancel, &r->expect, e) < 0)
		goto fail;
	fit_space_finish(&space);
	if (fittable_run(p, ds, r, pool, e) < 0)
		goto fail;
	return r;
fail:
	fit_space_finish(&space);
	router_free(r);
	return NULL;
}

int
fit_judge(const struct dataset *ds, const size_t *choice, const size_t *best, uint64_t seed,
	struct pool *pool, struct eval_result *out, struct err *e)
{
	struct eval_input in = { .n = ds->n, .m = ds->m, .score = ds->score, .cost = ds->cost,
		.choice = choice, .best = best, .cheapest = POLICY_NONE, .min_full = 2,
		.draws = EVAL_DRAWS, .seed = seed };

	return eval_run(&in, pool, out, e);
}

struct loo {
	const struct router *r;
	const struct dataset *ds;
	const bool *taken;		/* [n] */
	size_t *choice, *best;		/* [n] */
	struct router_scratch **scratch;
	const double *sum;		/* [m] of known scores */
	const size_t *known;		/* [m] */
};

#define LOO_BLOCK 64

static void
loo_block(void *arg, size_t part, unsigned worker)
{
	struct loo *l = arg;
	struct router_scratch *s = l->scratch[worker];
	const struct policy policy = POLICY_INIT;
	const struct knn *knn = router_knn(l->r);
	struct policy_choice c;

	for (size_t i = part * LOO_BLOCK; i < (part + 1) * LOO_BLOCK && i < l->ds->n; i++) {
		const float *truth = l->ds->score + i * knn->m;
		double top = -1;

		if (!l->taken[i])
			continue;
		for (size_t j = 0; j < knn->d; j++)
			s->vector[j] = dot_from_half(knn->rows[i * knn->d + j]);
		knn_score(knn, s->vector, i, s->scorer, s->score, s->cost);
		policy_choose(&policy, knn->m, s->score, s->cost, l->r->score_mean, &c);
		l->choice[i] = c.model;
		/* Best single without this row, too. */
		for (size_t j = 0; j < knn->m; j++) {
			double known = (double)l->known[j] - !isnan(truth[j]);
			double mean = known > 0 ? (l->sum[j] - (isnan(truth[j]) ? 0 :
			    (double)truth[j])) / known : -1;

			if (mean > top) {
				top = mean;
				l->best[i] = j;
			}
		}
	}
}

static void
column_sums(const struct dataset *ds, double *sum, size_t *known)
{
	for (size_t i = 0; i < ds->n; i++)
		for (size_t j = 0; j < ds->m; j++)
			if (!isnan(ds->score[i * ds->m + j])) {
				sum[j] += (double)ds->score[i * ds->m + j];
				known[j]++;
			}
}

/* Take the full rows, a share of them by hash when there are too many. */
static void
take_rows(const struct dataset *ds, uint64_t seed, bool *taken, size_t *choice)
{
	size_t full = 0, share, got = 0, most = FIT_LOO_PAIRS / ds->n;

	for (size_t i = 0; i < ds->n; i++)
		full += dataset_row_full(ds, i);
	if (most < FIT_LOO_MIN)
		most = FIT_LOO_MIN;
	share = full / most + (full > most);
	if (share == 0)
		share = 1;
	for (size_t i = 0; i < ds->n; i++) {
		choice[i] = POLICY_NONE;
		taken[i] = got < most && dataset_row_full(ds, i) &&
		    split_fold(ds->query_id[i], ~seed, share) == 0;
		got += taken[i];
	}
}

int
fit_loo(const struct router *r, const struct dataset *ds, uint64_t seed, struct pool *pool,
	struct eval_result *out, struct err *e)
{
	unsigned workers = pool_threads(pool);
	size_t *block = mem_calloc(2 * ds->n + ds->m, sizeof *block, e);
	bool *taken = mem_calloc(ds->n, sizeof *taken, e);
	double *sum = mem_calloc(ds->m, sizeof *sum, e);
	struct router_scratch **scratch = mem_calloc(workers, sizeof(struct router_scratch *), e);
	struct loo l = { r, ds, taken, block, NULL, scratch, sum, NULL };
	int status = -1;

	if (block == NULL || taken == NULL || sum == NULL || scratch == NULL)
		goto out;
	*out = (struct eval_result){ 0 };
	if (r->kind != &knn_kind) {
		status = 0;
		goto out;
	}
	l.best = block + ds->n;
	l.known = block + 2 * ds->n;
	for (unsigned i = 0; i < workers; i++)
		if ((scratch[i] = router_scratch_new(r, e)) == NULL)
			goto out;
	column_sums(ds, sum, block + 2 * ds->n);
	take_rows(ds, seed, taken, block);
	pool_run(pool, (ds->n + LOO_BLOCK - 1) / LOO_BLOCK, loo_block, &l);
	status = fit_judge(ds, l.choice, l.best, seed, pool, out, e);
out:
	for (unsigned i = 0; scratch != NULL && i < workers; i++)
		router_scratch_free(scratch[i]);
	free(scratch);
	free(block);
	free(taken);
	free(sum);
	return status;
}

static void
write_estimate(const char *name, const struct eval_result *r, size_t folds, struct jsonw *w)
{
	jsonw_key(w, name);
	if (r == NULL || !r->compared) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	if (folds > 0)
		jsonw_kint(w, "folds", (int64_t)folds);
	jsonw_kint(w, "queries", (int64_t)r->full);
	jsonw_kdouble(w, "score", r->router);
	jsonw_kdouble(w, "best_single", r->best);
	jsonw_kdouble(w, "oracle", r->oracle);
	jsonw_kdouble(w, "gap_closed", r->gap.value);
	jsonw_key(w, "delta_ci95");
	jsonw_array(w);
	jsonw_double(w, r->delta.lo);
	jsonw_double(w, r->delta.hi);
	jsonw_end_array(w);
	jsonw_end_object(w);
}

static void
write_baselines(const struct dataset *ds, const struct baseline *b, struct jsonw *w)
{
	jsonw_key(w, "baselines");
	jsonw_object(w);
	jsonw_key(w, "best_single");
	jsonw_object(w);
	jsonw_kstr(w, "model", ds->models.keys[b->best]);
	jsonw_kdouble(w, "score", b->best_score);
	jsonw_end_object(w);
	jsonw_kdouble(w, "random", b->random);
	jsonw_kdouble(w, "cheapest", b->cheapest_score);
	jsonw_kstr(w, "cheapest_model",
	    b->cheapest == BASELINE_NONE ? NULL : ds->models.keys[b->cheapest]);
	jsonw_kdouble(w, "oracle", b->oracle);
	jsonw_end_object(w);
}

/* How neighbours are found when not by comparing all, and how many of them that finds. */
static void
write_index(const struct knn *knn, struct jsonw *w)
{
	jsonw_key(w, "index");
	if (knn == NULL || knn->graph.n == 0) {
		jsonw_null(w);
		return;
	}
	jsonw_object(w);
	jsonw_kstr(w, "kind", "hnsw");
	jsonw_kint(w, "k", (int64_t)knn->params.n_neighbors);
	jsonw_kint(w, "ef_search", (int64_t)knn->params.ef_search);
	jsonw_kint(w, "sample", (int64_t)knn->recall.sample);
	jsonw_kdouble(w, "recall_at_10", knn->recall.sample > 0 ? knn->recall.at_10 : NAN);
	jsonw_kdouble(w, "recall_at_k", knn->recall.sample > 0 ? knn->recall.at_k : NAN);
	jsonw_end_object(w);
}

void
fit_record_write(const struct fit_record *f, struct jsonw *w)
{
	const struct dataset *ds = f->data;
	char hex[65];

	hex_format(ds->digest, 32, hex);
	jsonw_kint(w, "queries", (int64_t)ds->n);
	jsonw_kint(w, "models", (int64_t)ds->m);
	jsonw_kint(w, "cells", (int64_t)ds->cells);
	jsonw_kint(w, "records", (int64_t)ds->records);
	jsonw_kint(w, "null_records", (int64_t)ds->null_records);
	jsonw_kint(w, "full_queries", (int64_t)f->baseline->full);
	jsonw_kdouble(w, "tie_rate", f->baseline->tie_rate);
	jsonw_kstr(w, "data_digest", hex);
	jsonw_kint(w, "seed", (int64_t)f->seed);
	write_baselines(ds, f->baseline, w);
	write_estimate("cv", f->cv, f->folds, w);
	if (f->folds > 0)
		jsonw_kint(w, "unlearned_folds", (int64_t)f->unlearned);
	if (f->weights != NULL)
		jsonw_kstr(w, "sample_weights", f->weights);
	if (f->search != NULL) {
		jsonw_key(w, "search");
		jsonw_raw(w, f->search, strlen(f->search));
	}
	write_estimate("loo", f->loo, 0, w);
	write_index(f->router != NULL ? router_knn(f->router) : NULL, w);
	jsonw_kstr(w, "blas_core", mat_core());
	jsonw_kstr(w, "version", LLMR_VERSION);
}
