#include "model/drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/record.h"
#include "embed/shape.h"
#include "math/dot.h"
#include "math/mat.h"

#define BLOCK 16		/* queries of one part */

/* ---- distributions ---- */

static int
by_value(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static double
quantile(const double *sorted, size_t n, double q)
{
	size_t i = (size_t)(q * (double)n);

	return n == 0 ? NAN : sorted[i < n ? i : n - 1];
}

static double
mean(const double *x, size_t n)
{
	double s = 0;

	for (size_t i = 0; i < n; i++)
		s += x[i];
	return n == 0 ? NAN : s / (double)n;
}

/* How many of the sorted values are at most v. */
static size_t
up_to(const double *sorted, size_t n, double v)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sorted[mid] <= v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Bins end at the distinct deciles of a, its largest value among them, so that
 * a feature which is constant in training still tells what lies beyond.
 */
double
drift_psi(double *a, size_t n, double *b, size_t m)
{
	double cut[DRIFT_BINS], psi = 0, bins;
	size_t k = 0, from_a = 0, from_b = 0;

	qsort(a, n, sizeof *a, by_value);
	qsort(b, m, sizeof *b, by_value);
	for (size_t i = 1; i < DRIFT_BINS; i++) {
		double c = quantile(a, n, (double)i / DRIFT_BINS);

		if (k == 0 || c > cut[k - 1])
			cut[k++] = c;
	}
	bins = (double)k + 1;
	for (size_t i = 0; i <= k; i++) {
		size_t to_a = i < k ? up_to(a, n, cut[i]) : n, to_b = i < k ? up_to(b, m, cut[i]) : m;
		double p = ((double)(to_a - from_a) + 0.5) / ((double)n + bins / 2);
		double q = ((double)(to_b - from_b) + 0.5) / ((double)m + bins / 2);

		psi += (q - p) * log(q / p);
		from_a = to_a;
		from_b = to_b;
	}
	return psi;
}

/* What the largest of f indexes may come to by chance: mean + deviation * max(2, sqrt(2 ln f)). */
static double
noise_of(size_t n, size_t m, size_t f)
{
	double each = 1 / (double)n + 1 / (double)m, free_bins = DRIFT_BINS - 1;

	return each * (free_bins + sqrt(2 * free_bins) * fmax(2, sqrt(2 * log((double)f))));
}

static struct drift_summary
summarise(const double *sorted, size_t n)
{
	return (struct drift_summary){ mean(sorted, n), quantile(sorted, n, 0.01),
		quantile(sorted, n, 0.05), quantile(sorted, n, 0.5), quantile(sorted, n, 0.95) };
}

/* ---- similarity to the nearest training query ---- */

/* Training queries that others are held against. */
struct base {
	const uint16_t *rows;		/* [n x d] binary16 */
	size_t n, d;
	enum dot_kernel kernel;
};

struct scan {
	const struct base *base;
	const float *query;		/* [n x d], or NULL: rows of the base */
	const size_t *row;		/* [n] the row of the base to leave out, KNN_NO_ROW none */
	size_t n;
	float *work;			/* by worker: [d] a vector, [base->n] similarities */
	double *out;			/* [n] */
	struct cancel *cancel;
};

static void
scan_block(void *arg, size_t part, unsigned worker)
{
	struct scan *s = arg;
	const struct base *b = s->base;
	float *vector = s->work + worker * (b->d + b->n), *sim = vector + b->d;

	if (cancel_check(s->cancel, NULL) < 0)
		return;
	for (size_t i = part * BLOCK; i < (part + 1) * BLOCK && i < s->n; i++) {
		double best = -1;

		/* New vectors rounded as the stored ones are. */
		for (size_t j = 0; j < b->d; j++)
			vector[j] = dot_from_half(s->query == NULL ? b->rows[s->row[i] * b->d + j] :
			    dot_to_half(s->query[i * b->d + j]));
		dot_half(b->kernel, b->rows, b->n, b->d, vector, sim);
		for (size_t j = 0; j < b->n; j++)
			if (j != s->row[i] && (double)sim[j] > best)
				best = (double)sim[j];
		s->out[i] = best;
	}
}

static int
scan(struct scan *s, struct pool *pool, struct err *e)
{
	size_t floats;

	if (!mem_mul(s->base->d + s->base->n, pool_threads(pool), &floats))
		return err_nomem(e);
	s->work = mem_aligned(floats, sizeof *s->work, e);
	if (s->work == NULL)
		return -1;
	pool_run(pool, (s->n + BLOCK - 1) / BLOCK, scan_block, s);
	free(s->work);
	return cancel_check(s->cancel, e);
}

/* ---- the comparison ---- */

struct comparison {
	const struct router *r;
	const struct slice *text;	/* [n] the new queries */
	const struct slice *train;	/* [n_train] texts of the training set, NULL none */
	size_t n, n_train, reference;
	struct base base;
	struct embedder *embed;		/* fitted here, NULL when it is the router's */
	uint16_t *rows;			/* of the base when it is made here */
	struct slice *part;		/* texts of the base, then those held out */
	float *vector, *held;		/* [n x d] of the new queries, [reference x d] of those held out */
	size_t *row;			/* [n] of the new queries; [reference] behind it */
	double *fresh, *known;		/* [n], [reference] */
	struct pool *pool;
	struct cancel *cancel;
};

static bool
is_learned(const char *embedder)
{
	return strstr(embedder, "lsa") != NULL;
}

static int
allocate(struct comparison *c, struct err *e)
{
	size_t cells, held;

	if (!mem_mul(c->n, c->base.d, &cells) || !mem_mul(c->reference, c->base.d, &held))
		return err_nomem(e);
	c->vector = mem_aligned(cells, sizeof *c->vector, e);
	c->held = mem_aligned(c->embed != NULL ? held : 1, sizeof *c->held, e);
	c->row = mem_calloc(c->n + c->reference, sizeof *c->row, e);
	c->fresh = mem_calloc(c->n, sizeof *c->fresh, e);
	c->known = mem_calloc(c->reference, sizeof *c->known, e);
	return c->vector == NULL || c->held == NULL || c->row == NULL || c->fresh == NULL ||
	    c->known == NULL ? -1 : 0;
}

/* The vectors of a knn artifact; training rows by turns, evenly spread: their order is that of digests. */
static int
base_of_vectors(struct comparison *c, struct err *e)
{
	const struct knn *k = router_knn(c->r);
	size_t most;

	if (k == NULL)
		return err_set(e, ERR_INPUT, "the artifact holds no training vectors, since it is of "
		    "kind %s: give the training records with --data", c->r->kind->name);
	most = DRIFT_PAIRS / k->n < DRIFT_MIN_REFERENCE ? DRIFT_MIN_REFERENCE : DRIFT_PAIRS / k->n;
	c->base = (struct base){ k->rows, k->n, k->d, k->kernel };
	c->reference = k->n < most ? k->n : most;
	if (allocate(c, e) < 0)
		return -1;
	for (size_t i = 0; i < c->reference; i++)
		c->row[c->n + i] = (size_t)((double)i * (double)k->n / (double)c->reference);
	return embed_batch(c->r->embed, c->text, c->n, c->vector, c->pool, e);
}

/* Texts of the training set, at most DRIFT_MAX_TEXTS: every fifth goes behind the others. */
static int
split_texts(struct comparison *c, struct err *e)
{
	size_t n = c->n_train < DRIFT_MAX_TEXTS ? c->n_train : DRIFT_MAX_TEXTS;

	c->reference = n / DRIFT_HELD;
	c->base.n = n - c->reference;
	c->part = mem_calloc(n, sizeof *c->part, e);
	if (c->part == NULL)
		return -1;
	for (size_t i = 0, a = 0, b = c->base.n; i < n; i++) {
		struct slice t = c->train[(size_t)((double)i * (double)c->n_train / (double)n)];

		c->part[i % DRIFT_HELD == DRIFT_HELD - 1 ? b++ : a++] = t;
	}
	return 0;
}

/* An embedder of the router's kind that has not seen the queries held out, and the vectors of the rest. */
static int
base_of_texts(struct comparison *c, uint64_t seed, struct err *e)
{
	const struct embed_params p = { .kind = embed_kind(c->r->embed), .seed = seed,
		.encoder = embed_encoder(c->r->embed) };
	float *x = NULL;
	size_t cells;
	int r = -1;

	if (split_texts(c, e) < 0 || (is_learned(p.kind) && mat_open(e) < 0))
		return -1;
	c->embed = embed_fit(&p, c->part, c->base.n, c->pool, e);
	if (c->embed == NULL || cancel_check(c->cancel, e) < 0)
		return -1;
	c->base.d = embed_dim(c->embed);
	c->base.kernel = dot_best();
	if (!mem_mul(c->base.n, c->base.d, &cells))
		return err_nomem(e);
	x = mem_aligned(cells, sizeof *x, e);
	c->rows = mem_aligned(cells, sizeof *c->rows, e);
	if (x == NULL || c->rows == NULL || allocate(c, e) < 0 ||
	    embed_batch(c->embed, c->part, c->base.n, x, c->pool, e) < 0 ||
	    embed_batch(c->embed, c->part + c->base.n, c->reference, c->held, c->pool, e) < 0 ||
	    embed_batch(c->embed, c->text, c->n, c->vector, c->pool, e) < 0)
		goto out;
	for (size_t i = 0; i < cells; i++)
		c->rows[i] = dot_to_half(x[i]);
	c->base.rows = c->rows;
	for (size_t i = 0; i < c->reference; i++)
		c->row[c->n + i] = KNN_NO_ROW;
	r = 0;
out:
	free(x);
	return r;
}

/* New queries that the base holds are compared without themselves. */
static int
find_known(struct comparison *c, struct drift *out, struct err *e)
{
	struct map ids = MAP_INIT;
	char id[17];
	int r = 0;
	/* Rows of vectors are in the order of the artifact's digests. */
	size_t n = c->part != NULL || c->r->n_queries == c->base.n ? c->base.n : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (c->part != NULL)
			record_query_id(c->part[i], id);
		else
			router_query_id(c->r, i, id);
		r = map_intern(&ids, id, 16, NULL, e) == MAP_NONE ? -1 : 0;
	}
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		size_t j = 0;

		record_query_id(c->text[i], id);
		c->row[i] = map_find(&ids, id, 16);
		out->known += router_knows(c->r, id);
		while (j < c->base.d && c->vector[i * c->base.d + j] == 0)
			j++;
		out->empty += j == c->base.d;
	}
	map_finish(&ids);
	return r;
}

static int
compare_similarity(struct comparison *c, struct drift *out, struct err *e)
{
	struct scan fresh = { .base = &c->base, .query = c->vector, .row = c->row, .n = c->n,
		.out = c->fresh, .cancel = c->cancel };
	struct scan known = { .base = &c->base, .query = c->embed != NULL ? c->held : NULL,
		.row = c->row + c->n, .n = c->reference, .out = c->known, .cancel = c->cancel };
	size_t below = 0;

	if (scan(&fresh, c->pool, e) < 0 || scan(&known, c->pool, e) < 0)
		return -1;
	out->psi = drift_psi(c->known, c->reference, c->fresh, c->n);
	out->noise = noise_of(c->reference, c->n, 1);
	out->train = summarise(c->known, c->reference);
	out->fresh = summarise(c->fresh, c->n);
	out->ood_below = quantile(c->known, c->reference, DRIFT_OOD);
	for (size_t i = 0; i < c->n; i++)
		below += c->fresh[i] < out->ood_below;
	out->ood = (double)below / (double)c->n;
	return 0;
}

static int
larger_first(const void *x, const void *y)
{
	const struct drift_feature *a = x, *b = y;

	if (a->psi != b->psi)
		return a->psi > b->psi ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* One feature: known [n_known] and c->fresh. */
static void
add_feature(struct comparison *c, double *known, size_t n_known, size_t index, struct drift *out)
{
	struct drift_feature *f = &out->feature[out->n_features++];

	f->index = index;
	f->train_mean = mean(known, n_known);
	f->new_mean = mean(c->fresh, c->n);
	f->psi = drift_psi(known, n_known, c->fresh, c->n);
}

static int
compare_vectors(struct comparison *c, struct drift *out, struct err *e)
{
	const struct base *b = &c->base;

	out->feature = mem_calloc(b->d, sizeof *out->feature, e);
	if (out->feature == NULL)
		return -1;
	for (size_t j = 0; j < b->d; j++) {
		for (size_t i = 0; i < c->reference; i++)
			c->known[i] = (double)dot_from_half(b->rows[c->row[c->n + i] * b->d + j]);
		for (size_t i = 0; i < c->n; i++)
			c->fresh[i] = (double)dot_from_half(dot_to_half(c->vector[i * b->d + j]));
		add_feature(c, c->known, c->reference, j, out);
		if (cancel_check(c->cancel, e) < 0)
			return -1;
	}
	out->feature_noise = noise_of(c->reference, c->n, b->d);
	return 0;
}

static int
compare_shapes(struct comparison *c, struct drift *out, struct err *e)
{
	double (*a)[SHAPE_FEATURES] = mem_calloc(c->n_train + c->n, sizeof *a, e);
	double *column = mem_calloc(c->n_train, sizeof *column, e);
	int r = -1;

	out->feature = mem_calloc(SHAPE_FEATURES, sizeof *out->feature, e);
	if (a == NULL || column == NULL || out->feature == NULL)
		goto out;
	for (size_t i = 0; i < c->n_train + c->n; i++)
		shape_features(i < c->n_train ? c->train[i] : c->text[i - c->n_train], EMBED_MAX_BYTES, a[i]);
	for (size_t j = 0; j < SHAPE_FEATURES; j++) {
		for (size_t i = 0; i < c->n_train; i++)
			column[i] = a[i][j];
		for (size_t i = 0; i < c->n; i++)
			c->fresh[i] = a[c->n_train + i][j];
		add_feature(c, column, c->n_train, j, out);
	}
	out->feature_noise = noise_of(c->n_train, c->n, SHAPE_FEATURES);
	out->shapes = true;
	r = cancel_check(c->cancel, e);
out:
	free(a);
	free(column);
	return r;
}

static int
compare(struct comparison *c, struct drift *out, struct err *e)
{
	int r = c->train != NULL ? base_of_texts(c, c->r->seed, e) : base_of_vectors(c, e);

	if (r < 0)
		return -1;
	out->reference = c->reference;
	out->held_out = c->train != NULL;
	out->learned = !out->held_out && is_learned(embed_kind(c->r->embed));
	if (find_known(c, out, e) < 0 || compare_similarity(c, out, e) < 0)
		return -1;
	r = out->held_out ? compare_shapes(c, out, e) : compare_vectors(c, out, e);
	if (r == 0)
		qsort(out->feature, out->n_features, sizeof *out->feature, larger_first);
	return r;
}

int
drift_run(const struct router *r, const struct slice *text, size_t n, const struct slice *train,
	size_t n_train, struct pool *pool, struct cancel *cancel, struct drift *out, struct err *e)
{
	struct comparison c = { .r = r, .text = text, .n = n, .pool = pool, .cancel = cancel };
	struct slice *kept = NULL;
	int status = -1;

	*out = (struct drift){ .n = n };
	if (train == NULL && r->text != NULL) {
		if ((kept = mem_calloc(r->n_queries, sizeof *kept, e)) == NULL)
			return -1;
		for (size_t i = 0; i < r->n_queries; i++)
			kept[i] = router_query_text(r, i);
		train = kept;
		n_train = r->n_queries;
	}
	if (train != NULL && n_train >= DRIFT_MIN_TEXTS) {
		c.train = train;
		c.n_train = n_train;
	}
	status = compare(&c, out, e);
	embed_free(c.embed);
	free(c.rows);
	free(c.part);
	free(c.vector);
	free(c.held);
	free(c.row);
	free(c.fresh);
	free(c.known);
	free(kept);
	if (status < 0)
		drift_finish(out);
	return status;
}

void
drift_finish(struct drift *d)
{
	free(d->feature);
	d->feature = NULL;
}

bool
drift_in_similarity(const struct drift *d, double bound)
{
	return d->psi > bound + d->noise && (!d->learned || d->fresh.p50 < d->train.p50);
}

bool
drift_in_features(const struct drift *d, double bound)
{
	return d->n_features > 0 && !d->learned && d->feature[0].psi > bound + d->feature_noise;
}
