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
	p->kind->params_write(p->kind->params(r->scorer), w);
	mode_params_write(&r->mode_params, w);
}

uint64_t
fit_memory(const struct fit_params *p, const struct dataset *ds)
{
	bool lsa = strcmp(p->embed.kind, "lsa") == 0;
	uint64_t d = p->embed.dim != 0 ? p->embed.dim : lsa ? 256 : 384, text = 0, read = 0, matrices;
	uint64_t features = p->embed.max_features != 0 ? p->embed.max_features : EMBED_MAX_FEATURES;
	size_t most = p->embed.max_bytes != 0 ? p->embed.max_bytes : EMBED_MAX_BYTES;

	for (size_t i = 0; i < ds->n; i++) {
		text += ds->query[i].n;
		read += ds->query[i].n < most ? ds->query[i].n : most;
	}
	matrices = (uint64_t)ds->n * (d * 4 + (uint64_t)ds->m * 12) +
	    p->kind->memory(p->scorer, ds->n, d, ds->m) + expect_memory(ds->n, d, ds->m);
	/*
	 * lsa, measured: about 36 bytes for each byte of text that is read (terms
	 * and counts), and three tall matrices on one side, one on the other.
	 */
	if (lsa)
		matrices += 36 * read + (uint64_t)(d + 24) * (12 * (uint64_t)ds->n + 4 * features);
	return matrices + text;
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

static void *
fit_scorer(const struct fit_params *p, const struct dataset *ds, const struct baseline *b,
	const float *x, size_t d, struct pool *pool, struct err *e)
{
	struct dataset *labels = p->best ? best_labels(ds, b, e) : NULL;
	const struct scorer_data data = { .n = ds->n, .d = d, .m = ds->m, .x = x,
		.score = labels != NULL ? labels->score : ds->score,
		.best = p->best, .seed = p->seed, .pool = pool,
		.cancel = p->cancel };
	void *model;

	if (p->best && labels == NULL)
		return NULL;
	model = p->kind->fit(p->scorer, &data, e);
	dataset_free(labels);
	return model;
}

/* Mean of each column's known cells; none for a column without any. NULL when memory lacks. */
static float *
column_means(const float *cells, size_t n, size_t m, float none, struct err *e)
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

struct router *
fit_router(const struct fit_params *p, const struct dataset *ds, struct pool *pool, struct err *e)
{
	struct router *r = mem_calloc(1, sizeof *r, e);
	struct baseline b;
	float *x = NULL;
	size_t d;

	if (r == NULL)
		return NULL;
	r->embed = embed_fit(&p->embed, ds->query, ds->n, pool, e);
	if (r->embed == NULL || copy_names(r, ds, e) < 0)
		goto fail;
	d = embed_dim(r->embed);
	if (ds->n > SIZE_MAX / d || (x = mem_aligned(ds->n * d, sizeof *x, e)) == NULL) {
		err_nomem(e);
		goto fail;
	}
	if (embed_batch(r->embed, ds->query, ds->n, x, pool, e) < 0)
		goto fail;
	baseline_compute(ds->score, ds->cost, ds->n, ds->m, &b);
	r->kind = p->kind;
	r->d = d;
	r->scored = ds->m;
	r->score_mean = column_means(ds->score, ds->n, ds->m, 0.5f, e);
	r->scorer = fit_scorer(p, ds, &b, x, d, pool, e);
	r->cost_mean = column_means(ds->cost, ds->n, ds->m, -1, e);
	r->latency_mean = column_means(ds->latency, ds->n, ds->m, -1, e);
	if (r->scorer == NULL || r->score_mean == NULL || r->cost_mean == NULL || r->latency_mean == NULL)
		goto fail;
	r->best_single = b.best;
	r->cheapest = b.cheapest;
	r->seed = p->seed;
	if (!p->scores_alone && expect_fit(ds, x, d, pool, p->cancel, &r->expect, e) < 0)
		goto fail;
	free(x);
	x = NULL;
	if (fittable_run(p, ds, r, pool, e) < 0)
		goto fail;
	return r;
fail:
	free(x);
	router_free(r);
	return NULL;
}

/* Rows of one fold, or of all the others. Returns how many. */
static size_t
fold_rows(const size_t *fold, size_t n, size_t which, bool inside, size_t *rows)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if ((fold[i] == which) == inside)
			rows[k++] = i;
	return k;
}

struct cv {
	const struct fit_params *params;
	const struct dataset *ds;
	size_t *fold;			/* [n] */
	size_t *rows;			/* [n] scratch */
	size_t *choice, *best;		/* [n] */
	size_t *part;			/* [n] choices of a fold */
	struct slice *text;		/* [n] texts of a fold */
};

static int
one_fold(struct cv *cv, size_t which, struct pool *pool, struct err *e)
{
	struct fit_params params = *cv->params;
	struct policy policy;
	size_t n = fold_rows(cv->fold, cv->ds->n, which, false, cv->rows), status;
	struct dataset *train;
	struct router *r = NULL;

	if (n == 0 || n == cv->ds->n)
		return 0;
	train = dataset_subset(cv->ds, cv->rows, n, e);
	params.scores_alone = true;
	if (train == NULL || (r = fit_router(&params, train, pool, e)) == NULL) {
		dataset_free(train);
		return -1;
	}
	policy = router_policy(r);
	n = fold_rows(cv->fold, cv->ds->n, which, true, cv->rows);
	for (size_t i = 0; i < n; i++)
		cv->text[i] = cv->ds->query[cv->rows[i]];
	status = (size_t)router_batch(r, &policy, cv->text, n, cv->part, NULL, pool, e);
	for (size_t i = 0; i < n; i++) {
		cv->choice[cv->rows[i]] = cv->part[i];
		cv->best[cv->rows[i]] = r->best_single;
	}
	router_free(r);
	dataset_free(train);
	return (int)status;
}

static int
judge(const struct dataset *ds, const size_t *choice, const size_t *best, size_t cheapest,
	uint64_t seed, struct pool *pool, struct eval_result *out, struct err *e)
{
	struct eval_input in = { .n = ds->n, .m = ds->m, .score = ds->score, .cost = ds->cost,
		.choice = choice, .best = best, .cheapest = cheapest, .min_full = 2,
		.draws = EVAL_DRAWS, .seed = seed };

	return eval_run(&in, pool, out, e);
}

int
fit_cv(const struct fit_params *p, const struct dataset *ds, size_t folds, struct pool *pool,
	const struct progress *progress, struct cancel *cancel, struct eval_result *out,
	struct err *e)
{
	struct cv cv = { .params = p, .ds = ds };
	size_t *block = mem_calloc(ds->n, 5 * sizeof *block, e);
	int r = -1;

	if (folds > ds->n)
		err_set(e, ERR_INPUT, "%zu folds, but only %zu queries", folds, ds->n);
	cv.text = mem_calloc(ds->n, sizeof *cv.text, e);
	if (block == NULL || cv.text == NULL || folds > ds->n)
		goto out;
	cv.fold = block;
	cv.rows = block + ds->n;
	cv.choice = block + 2 * ds->n;
	cv.best = block + 3 * ds->n;
	cv.part = block + 4 * ds->n;
	for (size_t i = 0; i < ds->n; i++) {
		cv.fold[i] = split_fold(ds->query_id[i], p->seed, folds);
		cv.choice[i] = POLICY_NONE;
	}
	for (size_t k = 0; k < folds; k++) {
		if (progress != NULL)
			progress_show(progress, "cross-validation", (double)k, (double)folds, "folds");
		if (cancel_check(cancel, e) < 0 || one_fold(&cv, k, pool, e) < 0)
			goto out;
	}
	r = judge(ds, cv.choice, cv.best, POLICY_NONE, p->seed, pool, out, e);
out:
	free(block);
	free(cv.text);
	return r;
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
	status = judge(ds, l.choice, l.best, POLICY_NONE, seed, pool, out, e);
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
	write_estimate("loo", f->loo, 0, w);
	write_index(f->router != NULL ? router_knn(f->router) : NULL, w);
	jsonw_kstr(w, "blas_core", mat_core());
	jsonw_kstr(w, "version", LLMR_VERSION);
}
