#include "model/hybrid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jread.h"
#include "math/topk.h"
#include "model/hybridparams.h"
#include "model/target.h"

#define SHRINK 0.02		/* how strongly weights are drawn to equal ones */
#define SWEEPS 200		/* of the solver of weights: it has long converged by then */
#define ROUNDS 12		/* of clustering */
#define RAMP 0.03		/* the guard's bounds lie this share below and above its threshold */
#define CAUTION 0.15		/* share of the worth that the guard may cost */
#define JUDGED 30000		/* rows left out that weights and guard are fitted on, of more a share by the seed */
#define GUARD_MOST 0.25		/* share of the rows left out at random that may lie below its upper bound */

struct hybrid {
	struct hybrid_params params;
	struct target target;
	size_t d, m, n_members;
	size_t which[HYBRID_MEMBERS];	/* numbers of the members there are */
	const struct scorer_kind *kind[HYBRID_MEMBERS];	/* by place */
	void *model[HYBRID_MEMBERS];
	float weight[HYBRID_MEMBERS];	/* what lacks to 1 is the weight of the models' means */
	float guard[2];			/* cosines: fall back below the first, trust from the second on */
};

struct scratch {
	const struct hybrid *h;
	void *of[HYBRID_MEMBERS];
	float *score, *cost, *weight;	/* [m] of one member; weights that a cost came with */
};

const char *
hybrid_member_name(size_t i)
{
	return hybridparams_name(i);
}

static const void *
params_of(const void *model)
{
	return &((const struct hybrid *)model)->params;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	const struct hybrid_params *p = params;
	uint64_t most = 0, all = 0, count = 0;

	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->member[i]) {
			uint64_t one = hybridparams_kind(i)->memory(p->of[i].bytes, n, d, m);

			most = one > most ? one : most;
			all += one;
			count++;
		}
	/* One member fitted at a time; the finished ones are smaller than what fitting them took. */
	return most + all / 4 + (uint64_t)n * (4 * (uint64_t)d + 8 * (uint64_t)m * (count + 1) + 64);
}

/* ---- predictions on rows left out ---- */

/* Predictions of every member for every row, by members that were fitted without it. */
struct outside {
	size_t n, m;
	float *score[HYBRID_MEMBERS];	/* [n x m] each */
	float *near;			/* [n] cosine to the nearest row that was left in; -1 without knn */
	float *mean;			/* [parts x m] mean scores of the rows left in, by part */
	size_t *part;			/* [n] part that a row is left out with */
	size_t parts;
	bool *judged;			/* [n] is it predicted when it is left out? */
	const char *name;		/* of the division, in a checkpoint */
};

struct predicting {
	const struct hybrid *h;
	const struct scorer_data *data;
	struct outside *out;
	const void *model;
	size_t place, part;
	void **scratch;			/* [threads] */
	float *rest;			/* [threads x 2 m] */
};

#define ROWS 64

/* Largest exact similarity to a stored row; -1 for a zero vector. */
static float
nearest(const struct knn *knn, const struct knn_scratch *s)
{
	float best = -1;

	for (size_t i = 0; i < s->k; i++)
		best = s->near[i] > best ? s->near[i] : best;
	return knn->params.metric == KNN_EUCLIDEAN && s->k > 0 ? best + 0.5f : best;
}

static void
predict_rows(void *arg, size_t block, unsigned worker)
{
	struct predicting *p = arg;
	const struct scorer_kind *kind = p->h->kind[p->place];
	size_t m = p->data->m, end = (block + 1) * ROWS;
	float *rest = p->rest + worker * 2 * m;

	for (size_t i = block * ROWS; i < end && i < p->data->n; i++) {
		if (p->out->part[i] != p->part || !p->out->judged[i])
			continue;
		kind->score(p->model, p->data->x + i * p->data->d, SCORER_NO_ROW,
		    p->scratch[worker], rest, rest + m);
		memcpy(p->out->score[p->place] + i * m, rest, m * sizeof *rest);
		if (kind == &knn_kind)
			p->out->near[i] = nearest(p->model, p->scratch[worker]);
	}
}

static int
predict_part(const struct hybrid *h, const struct scorer_data *data, struct outside *out,
	const void *model, size_t place, size_t part, struct err *e)
{
	unsigned threads = pool_threads(data->pool);
	struct predicting p = { h, data, out, model, place, part, NULL, NULL };
	int r = -1;

	p.scratch = mem_calloc(threads, sizeof *p.scratch, e);
	p.rest = mem_calloc(threads, 2 * data->m * sizeof *p.rest, e);
	if (p.scratch == NULL || p.rest == NULL)
		goto out;
	for (unsigned i = 0; i < threads; i++)
		if ((p.scratch[i] = h->kind[place]->scratch_new(model, e)) == NULL)
			goto out;
	pool_run(data->pool, (data->n + ROWS - 1) / ROWS, predict_rows, &p);
	r = 0;
out:
	for (unsigned i = 0; p.scratch != NULL && i < threads; i++)
		h->kind[place]->scratch_free(p.scratch[i]);
	free(p.scratch);
	free(p.rest);
	return r;
}

/* A copy of the rows outside a part. */
struct subset {
	float *x, *score, *cost, *weight;
	struct scorer_data data;
};

static void
subset_finish(struct subset *s)
{
	free(s->x);
	free(s->score);
	free(s->cost);
	free(s->weight);
}

static int
subset_make(const struct scorer_data *from, const struct outside *out, size_t part,
	struct subset *s, struct err *e)
{
	size_t n = 0, d = from->d, m = from->m;

	*s = (struct subset){ .data = *from };
	for (size_t i = 0; i < from->n; i++)
		n += out->part[i] != part;
	s->x = mem_aligned(n, d * sizeof *s->x, e);
	s->score = mem_aligned(n, m * sizeof *s->score, e);
	s->cost = mem_aligned(n, m * sizeof *s->cost, e);
	s->weight = mem_aligned(n, sizeof *s->weight, e);
	if (s->x == NULL || s->score == NULL || s->cost == NULL || s->weight == NULL)
		return -1;
	n = 0;
	for (size_t i = 0; i < from->n; i++) {
		if (out->part[i] == part)
			continue;
		memcpy(s->x + n * d, from->x + i * d, d * sizeof *s->x);
		memcpy(s->score + n * m, from->score + i * m, m * sizeof *s->score);
		if (from->cost != NULL)
			memcpy(s->cost + n * m, from->cost + i * m, m * sizeof *s->cost);
		if (from->weight != NULL)
			s->weight[n] = from->weight[i];
		n++;
	}
	s->data.n = n;
	s->data.x = s->x;
	s->data.score = s->score;
	s->data.cost = from->cost != NULL ? s->cost : NULL;
	s->data.weight = from->weight != NULL ? s->weight : NULL;
	return 0;
}

/* The predictions of a member for a part, gathered from or (back) spread to their rows. */
static void
copy_part(struct outside *o, size_t place, size_t part, bool near, float *to, bool back)
{
	size_t m = o->m;

	for (size_t i = 0; i < o->n; i++) {
		float *from = o->score[place] + i * m;

		if (o->part[i] != part || !o->judged[i])
			continue;
		memcpy(back ? from : to, back ? to : from, m * sizeof *to);
		if (near && back)
			o->near[i] = to[m];
		else if (near)
			to[m] = o->near[i];
		to += m + 1;
	}
}

/* Neighbours are found exactly: a graph for each part costs more than it saves on the rows that are judged. */
static void *
fit_outside(const struct hybrid *h, size_t k, const struct scorer_data *data, struct err *e)
{
	_Alignas(16) unsigned char slot[HYBRID_SLOT];

	memcpy(slot, h->params.of[h->which[k]].bytes, sizeof slot);
	if (h->kind[k] == &knn_kind)
		((struct knn_params *)(void *)slot)->index = KNN_INDEX_EXACT;
	return h->kind[k]->fit(slot, data, e);
}

/* Fit a member without a part and let it predict that, unless a checkpoint has what it said. */
static int
member_out(const struct hybrid *h, const struct scorer_data *data, struct outside *out, size_t part,
	size_t k, struct subset *s, struct err *e)
{
	const struct checkpoint_at at = checkpoint_below(data->keep, "%s.%zu.%zu", out->name, part, k);
	const struct scorer_kind *kind = h->kind[k];
	float *flat = mem_calloc(data->n - s->data.n, (data->m + 1) * sizeof *flat, e);
	const struct checkpoint_part piece = { flat,
		(data->n - s->data.n) * (data->m + 1) * sizeof *flat };
	bool near = kind == &knn_kind;
	void *model;
	int r = -1;

	if (flat == NULL)
		return -1;
	if (checkpoint_get(&at, &piece, 1)) {
		copy_part(out, k, part, near, flat, true);
		free(flat);
		return 0;
	}
	s->data.keep = &at;
	model = cancel_check(data->cancel, e) < 0 ? NULL : fit_outside(h, k, &s->data, e);
	if (model != NULL && (r = predict_part(h, data, out, model, k, part, e)) == 0) {
		copy_part(out, k, part, near, flat, false);
		checkpoint_drop(&at);
		r = checkpoint_put(&at, &piece, 1, e);
	}
	kind->free(model);
	free(flat);
	return r;
}

/* Fit the members without one part and let them predict it. */
static int
leave_out(const struct hybrid *h, const struct scorer_data *data, struct outside *out, size_t part,
	struct err *e)
{
	struct target mean;
	struct subset s;
	int r = -1;

	if (subset_make(data, out, part, &s, e) < 0)
		goto out;
	r = 0;
	if (s.data.n == 0 || s.data.n == data->n)
		goto out;
	r = -1;
	if (target_init(&mean, &s.data, e) < 0)
		goto out;
	memcpy(out->mean + part * data->m, mean.score_mean, data->m * sizeof *out->mean);
	target_finish(&mean);
	for (size_t k = 0; k < h->n_members; k++)
		if (member_out(h, data, out, part, k, &s, e) < 0)
			goto out;
	r = 0;
out:
	subset_finish(&s);
	return r;
}

static void
outside_finish(struct outside *o)
{
	for (size_t k = 0; k < HYBRID_MEMBERS; k++)
		free(o->score[k]);
	free(o->near);
	free(o->mean);
	free(o->part);
	free(o->judged);
}

static int
outside_begin(struct outside *o, const struct hybrid *h, const struct scorer_data *data,
	size_t parts, const char *name, struct err *e)
{
	*o = (struct outside){ .n = data->n, .m = data->m, .parts = parts, .name = name };
	o->near = mem_calloc(data->n, sizeof *o->near, e);
	o->part = mem_calloc(data->n, sizeof *o->part, e);
	o->mean = mem_calloc(parts, data->m * sizeof *o->mean, e);
	o->judged = mem_calloc(data->n, sizeof *o->judged, e);
	if (o->near == NULL || o->part == NULL || o->mean == NULL || o->judged == NULL)
		return -1;
	for (size_t i = 0; i < data->n; i++) {
		struct rng g = rng_split(~data->seed, i);

		o->near[i] = -1;
		o->judged[i] = data->n <= JUDGED || rng_below(&g, data->n) < JUDGED;
	}
	for (size_t k = 0; k < h->n_members; k++)
		if ((o->score[k] = mem_aligned(data->n, data->m * sizeof(float), e)) == NULL)
			return -1;
	return 0;
}

static int
outside_run(struct outside *o, const struct hybrid *h, const struct scorer_data *data,
	struct err *e)
{
	for (size_t part = 0; part < o->parts; part++)
		if (leave_out(h, data, o, part, e) < 0)
			return -1;
	return 0;
}

/* ---- weights ---- */

/* Of a row's known cells: deviations from their mean, since only differences decide. */
static size_t
centre(const float *cell, const float *truth, size_t m, double *out)
{
	double mean = 0;
	size_t known = 0;

	for (size_t j = 0; j < m; j++)
		if (!isnan(truth[j])) {
			mean += (double)cell[j];
			known++;
		}
	for (size_t j = 0; j < m; j++)
		out[j] = isnan(truth[j]) ? 0 : (double)cell[j] - mean / (double)known;
	return known;
}

/* Predictions of column k for row i: of a member, or the mean scores, or the truth. */
static const float *
column(const struct outside *o, const float *truth, size_t members, size_t k, size_t i)
{
	if (k < members)
		return o->score[k] + i * o->m;
	return k == members ? o->mean + o->part[i] * o->m : truth + i * o->m;
}

/* A row of one cell says nothing of differences; where there are no others, plain deviations serve. */
static void
add_products(const struct outside *o, const struct scorer_data *data, size_t members, bool centred,
	double *row, double a[][HYBRID_MEMBERS + 1], double *b)
{
	const size_t last = members + 1;

	for (size_t i = 0; i < o->n; i++) {
		const float *t = data->score + i * o->m;
		double w = data->weight != NULL ? (double)data->weight[i] : 1;
		size_t known = 0;

		if (!o->judged[i])
			continue;
		for (size_t k = 0; k <= last; k++) {
			const float *cell = column(o, data->score, members, k, i);

			known = centre(cell, t, o->m, row + k * o->m);
			for (size_t j = 0; j < o->m && !centred; j++)
				row[k * o->m + j] = isnan(t[j]) ? 0 : (double)cell[j];
		}
		if (centred && known < 2)
			continue;
		for (size_t k = 0; k < last; k++) {
			for (size_t j = 0; j < o->m; j++)
				b[k] += w * row[k * o->m + j] * row[last * o->m + j];
			for (size_t l = 0; l < last; l++)
				for (size_t j = 0; j < o->m; j++)
					a[k][l] += w * row[k * o->m + j] * row[l * o->m + j];
		}
	}
}

/* Least w'Aw - 2 b'w on the simplex: weight is moved between two members at a time. */
static void
solve_weights(double a[][HYBRID_MEMBERS + 1], const double *b, size_t n, double *w)
{
	for (size_t sweep = 0; sweep < SWEEPS; sweep++)
		for (size_t k = 0; k < n; k++)
			for (size_t l = 0; l < n; l++) {
				double curve = a[k][k] + a[l][l] - 2 * a[k][l], slope = b[k] - b[l], step;

				if (k == l || !(curve > 0))
					continue;
				for (size_t i = 0; i < n; i++)
					slope -= (a[k][i] - a[l][i]) * w[i];
				step = fmax(-w[k], fmin(w[l], slope / curve));
				w[k] += step;
				w[l] -= step;
			}
}

static int
fit_weights(struct hybrid *h, const struct outside *o, const struct scorer_data *data, struct err *e)
{
	double a[HYBRID_MEMBERS + 1][HYBRID_MEMBERS + 1] = { { 0 } };
	double b[HYBRID_MEMBERS + 1] = { 0 }, w[HYBRID_MEMBERS + 1] = { 0 }, trace = 0;
	size_t n = h->n_members;
	double *row = mem_calloc(n + 2, o->m * sizeof *row, e);

	if (row == NULL)
		return -1;
	add_products(o, data, n, true, row, a, b);
	if (a[0][0] <= 0)
		add_products(o, data, n, false, row, a, b);
	free(row);
	for (size_t k = 0; k < n; k++) {
		w[k] = 1 / (double)n;
		trace += a[k][k];
	}
	for (size_t k = 0; k < n; k++) {
		a[k][k] += SHRINK * trace / (double)n;
		b[k] += SHRINK * trace / (double)n * w[k];
	}
	solve_weights(a, b, n + 1, w);
	for (size_t k = 0; k < n; k++)
		h->weight[k] = (float)w[k];
	return 0;
}

/* ---- regions and guard ---- */

/* Spherical k-means from rows far apart: part[i] = the region of row i. Small data, fixed order. */
static int
cluster(const struct scorer_data *data, size_t k, size_t *part, struct err *e)
{
	size_t n = data->n, d = data->d, cells;
	float *dot = NULL;
	double *sum = NULL;
	float *centre_row = NULL;
	int r = -1;

	if (!mem_mul(k, d, &cells))
		return err_nomem(e);
	dot = mem_calloc(n, sizeof *dot, e);
	sum = mem_calloc(cells, sizeof *sum, e);
	centre_row = mem_calloc(cells, sizeof *centre_row, e);
	if (dot == NULL || sum == NULL || centre_row == NULL)
		goto out;
	/* First centre: the first row; each other one the row least like those before. */
	for (size_t c = 0, pick = 0; c < k; c++) {
		memcpy(centre_row + c * d, data->x + pick * d, d * sizeof *centre_row);
		for (size_t i = 0; i < n; i++) {
			float s = 0;

			for (size_t j = 0; j < d; j++)
				s += centre_row[c * d + j] * data->x[i * d + j];
			dot[i] = c == 0 || s > dot[i] ? s : dot[i];
			pick = dot[i] < dot[pick] ? i : pick;
		}
	}
	for (size_t round = 0; round < ROUNDS; round++) {
		memset(sum, 0, cells * sizeof *sum);
		for (size_t i = 0; i < n; i++) {
			const float *x = data->x + i * d;
			float best = -INFINITY;

			for (size_t c = 0; c < k; c++) {
				float s = 0;

				for (size_t j = 0; j < d; j++)
					s += centre_row[c * d + j] * x[j];
				if (s > best) {
					best = s;
					part[i] = c;
				}
			}
			for (size_t j = 0; j < d; j++)
				sum[part[i] * d + j] += (double)x[j];
		}
		for (size_t c = 0; c < k; c++) {
			double norm = 0;

			for (size_t j = 0; j < d; j++)
				norm += sum[c * d + j] * sum[c * d + j];
			for (size_t j = 0; norm > 0 && j < d; j++)
				centre_row[c * d + j] = (float)(sum[c * d + j] / sqrt(norm));
		}
	}
	r = 0;
out:
	free(dot);
	free(sum);
	free(centre_row);
	return r;
}

/* What trusting the blend wins over falling back, on a row with this cosine. */
struct outcome { float near; double gain, weight; size_t region; };

/* Sums of a region's outcomes above the threshold; region 0 stands for the rows left out at random. */
struct region { double n, sum, square; };	/* n: rows in all, by their weights */

static int
by_near(const void *a, const void *b)
{
	const struct outcome *x = a, *y = b;

	if (x->near != y->near)
		return x->near < y->near ? -1 : 1;
	return (x->gain > y->gain) - (x->gain < y->gain);
}

/* The cosine that only few rows left out at random fall short of. */
static int
low_cosine(const struct outside *random, float *out, struct err *e)
{
	float *work = mem_calloc(2 * random->n, sizeof *work, e);
	size_t n = 0, k;

	if (work == NULL)
		return -1;
	for (size_t i = 0; i < random->n; i++)
		if (random->judged[i])
			work[n++] = random->near[i];
	k = (size_t)((1 - GUARD_MOST) * (double)n) + 1;
	*out = topk_value(work, n, k < n ? k : n, work + n);
	free(work);
	return 0;
}

/* Outcomes of the rows where both choices' scores are known; together: all in region 0. */
static size_t
outcomes(const struct hybrid *h, const struct outside *o, const struct scorer_data *data, bool together,
	struct region *of, struct outcome *out)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		const float *t = data->score + i * o->m, *mean = o->mean + o->part[i] * o->m;
		size_t best = 0, single = 0;
		double top = -INFINITY;

		if (!o->judged[i])
			continue;
		for (size_t j = 0; j < o->m; j++) {
			double s = (double)mean[j];

			for (size_t k = 0; k < h->n_members; k++)
				s += (double)h->weight[k] * ((double)o->score[k][i * o->m + j] -
				    (double)mean[j]);
			if (s > top) {
				top = s;
				best = j;
			}
			if (mean[j] > mean[single])
				single = j;
		}
		if (!isnan(t[best]) && !isnan(t[single]))
			out[n++] = (struct outcome){ o->near[i], (double)t[best] - (double)t[single],
				data->weight != NULL ? (double)data->weight[i] : 1,
				together ? 0 : o->part[i] + 1 };
	}
	for (size_t i = 0; i < n; i++)
		of[out[i].region].n += out[i].weight;
	return n;
}

/*
 * Mean gain on rows left out at random, less what regions lose beyond one
 * standard error of their means: a region that gains makes up for nothing.
 */
static double
worth(const struct region *of, size_t regions)
{
	double v = of[0].n > 0 ? of[0].sum / of[0].n : 0;

	for (size_t r = 1; r <= regions; r++) {
		double n = of[r].n, mean, error;

		if (n == 0)
			continue;
		mean = of[r].sum / n;
		error = sqrt(fmax(0, of[r].square / n - mean * mean) / n);
		v += fmin(0, mean + error) / (double)regions;
	}
	return v;
}

/*
 * The threshold of highest worth, raised as far as that costs no more than
 * CAUTION of it: regions that nobody has seen may be worse than those left out.
 * Farther than any row was, nothing is known.
 */
static int
fit_guard(struct hybrid *h, const struct outside *random, const struct outside *regions,
	const struct scorer_data *data, float most, struct outcome *all, struct err *e)
{
	struct region *of = mem_calloc(regions->parts + 1, sizeof *of, e);
	double *value = mem_calloc(2 * random->n, sizeof *value, e), best = -INFINITY;
	size_t n, i;

	if (of == NULL || value == NULL) {
		free(of);
		free(value);
		return -1;
	}
	n = outcomes(h, random, data, true, of, all);
	n += outcomes(h, regions, data, false, of, all + n);
	qsort(all, n, sizeof *all, by_near);
	for (i = n; i-- > 0;) {
		struct region *r = &of[all[i].region];

		r->sum += all[i].weight * all[i].gain;
		r->square += all[i].weight * all[i].gain * all[i].gain;
		value[i] = -INFINITY;
		if (all[i].near * (1 + (float)RAMP) <= most &&
		    (i == 0 || all[i - 1].near < all[i].near))
			value[i] = worth(of, regions->parts);
		best = fmax(best, value[i]);
	}
	for (i = n; i-- > 0;)
		if (value[i] > -INFINITY && value[i] >= best - CAUTION * fabs(best))
			break;
	if (i < n) {
		float t = i == 0 ? all[0].near : (all[i].near + all[i - 1].near) / 2;

		h->guard[0] = t * (t > 0 ? 1 - (float)RAMP : 1);
		h->guard[1] = t * (t > 0 ? 1 + (float)RAMP : 1);
	}
	free(of);
	free(value);
	return 0;
}

static int
fit_blend(struct hybrid *h, const struct scorer_data *data, struct err *e)
{
	struct outside random = { 0 }, regions = { 0 };
	struct outcome *all = NULL;
	float most;
	int r = -1;

	if (outside_begin(&random, h, data, h->params.folds, "random", e) < 0)
		goto out;
	for (size_t i = 0; i < data->n; i++) {
		struct rng g = rng_split(data->seed, i);

		random.part[i] = (size_t)rng_below(&g, random.parts);
	}
	if (outside_run(&random, h, data, e) < 0 || fit_weights(h, &random, data, e) < 0)
		goto out;
	r = 0;
	if (!h->params.guard || hybrid_knn(h) == NULL)
		goto out;
	r = -1;
	all = mem_calloc(data->n, 2 * sizeof *all, e);
	if (all == NULL || outside_begin(&regions, h, data, h->params.regions, "region", e) < 0 ||
	    cluster(data, regions.parts, regions.part, e) < 0 ||
	    outside_run(&regions, h, data, e) < 0 || low_cosine(&random, &most, e) < 0)
		goto out;
	r = fit_guard(h, &random, &regions, data, most, all, e);
out:
	outside_finish(&random);
	outside_finish(&regions);
	free(all);
	return r;
}

/* ---- the kind ---- */

static void
hybrid_free(void *model)
{
	struct hybrid *h = model;

	if (h == NULL)
		return;
	for (size_t k = 0; k < h->n_members; k++)
		if (h->model[k] != NULL)
			h->kind[k]->free(h->model[k]);
	target_finish(&h->target);
	free(h);
}

static struct hybrid *
blank(const struct hybrid_params *p, size_t d, size_t m, struct err *e)
{
	struct hybrid *h = mem_calloc(1, sizeof *h, e);

	if (h == NULL)
		return NULL;
	h->params = *p;
	h->d = d;
	h->m = m;
	h->guard[0] = h->guard[1] = -1;
	for (size_t i = 0; i < HYBRID_MEMBERS; i++)
		if (p->member[i]) {
			h->kind[h->n_members] = hybridparams_kind(i);
			h->which[h->n_members++] = i;
		}
	return h;
}

static void *
fit(const void *params, const struct scorer_data *data, struct err *e)
{
	struct hybrid *h = blank(params, data->d, data->m, e);

	if (h == NULL)
		return NULL;
	if (target_init(&h->target, data, e) < 0)
		goto fail;
	for (size_t k = 0; k < h->n_members; k++) {
		const struct checkpoint_at at = checkpoint_below(data->keep, "member.%zu", k);
		void *slot = h->params.of[h->which[k]].bytes;
		struct scorer_data own = *data;

		own.keep = &at;
		h->model[k] = cancel_check(data->cancel, e) < 0 ? NULL : h->kind[k]->fit(slot, &own, e);
		if (h->model[k] == NULL)
			goto fail;
		h->weight[k] = 1 / (float)h->n_members;
	}
	/* Fewer rows than this tell nothing about weights: all count the same. */
	if (data->n >= 20 * h->params.folds && fit_blend(h, data, e) < 0)
		goto fail;
	for (size_t k = 0; k < h->n_members; k++)
		memcpy(h->params.of[h->which[k]].bytes, h->kind[k]->params(h->model[k]),
		    h->kind[k]->params_bytes);
	return h;
fail:
	hybrid_free(h);
	return NULL;
}

double
hybrid_weight(const void *model, size_t i)
{
	const struct hybrid *h = model;

	for (size_t k = 0; k < h->n_members; k++)
		if (h->which[k] == i)
			return (double)h->weight[k];
	return 0;
}

const struct knn *
hybrid_knn(const void *model)
{
	const struct hybrid *h = model;

	return h->kind[0] == &knn_kind ? h->model[0] : NULL;
}

const struct knn_scratch *
hybrid_knn_scratch(const void *model, const void *scratch)
{
	return hybrid_knn(model) == NULL ? NULL : ((const struct scratch *)scratch)->of[0];
}

static const char *
member_prefix(char out[TARGET_NAME], const char *prefix)
{
	return target_name(out, prefix, "hybrid", ".");
}

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct hybrid *h = model;
	const uint64_t weights[] = { h->n_members }, guard[] = { 2 };
	char name[TARGET_NAME];

	if (target_save(&h->target, prefix, "hybrid", w, e) < 0 ||
	    tensorfile_writer_add(w, target_name(name, prefix, "hybrid", ".weight"), DTYPE_F32, 1,
	    weights, h->weight, e) < 0 ||
	    tensorfile_writer_add(w, target_name(name, prefix, "hybrid", ".guard"), DTYPE_F32, 1,
	    guard, h->guard, e) < 0)
		return -1;
	for (size_t k = 0; k < h->n_members; k++)
		if (h->kind[k]->save(h->model[k], member_prefix(name, prefix), w, e) < 0)
			return -1;
	return 0;
}

/* A small tensor of finite numbers into the model. */
static int
take(const struct tensorfile *f, const char *name, size_t n, float lo, float hi, float *out,
	struct err *e)
{
	const uint64_t shape[] = { n };
	const struct tensor *t = tensorfile_need(f, name, DTYPE_F32, 1, shape, e);

	if (t == NULL)
		return -1;
	memcpy(out, t->data, n * sizeof *out);
	for (size_t i = 0; i < n; i++)
		if (!(out[i] >= lo && out[i] <= hi))
			return err_set(e, ERR_INPUT, "tensor '%s': element %zu is %g, outside %g..%g",
			    name, i, (double)out[i], (double)lo, (double)hi);
	return 0;
}

/* The members' hyperparameters are objects within ours. */
static struct slice
own_hparams(struct slice json, const char *name)
{
	struct slice key, raw, found = SLICE_LIT("{}");
	struct jread r;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (!jread_skip_raw(&r, &raw))
				break;
			if (slice_is(key, name))
				found = raw;
		}
	return found;
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct hybrid_params p;
	struct hybrid *h;
	char name[TARGET_NAME];

	hybridparams_init(&p);
	if (hybridparams_read(&p, hparams, e) < 0 || (h = blank(&p, d, m, e)) == NULL)
		return NULL;
	if (target_load(&h->target, f, prefix, "hybrid", m, e) < 0 ||
	    take(f, target_name(name, prefix, "hybrid", ".weight"), h->n_members, 0, 1, h->weight,
	    e) < 0 ||
	    take(f, target_name(name, prefix, "hybrid", ".guard"), 2, -1, 4, h->guard, e) < 0)
		goto fail;
	for (size_t k = 0; k < h->n_members; k++) {
		h->model[k] = h->kind[k]->load(f, member_prefix(name, prefix), m, d,
		    own_hparams(hparams, hybridparams_name(h->which[k])), e);
		if (h->model[k] == NULL)
			goto fail;
	}
	return h;
fail:
	hybrid_free(h);
	return NULL;
}

/* ---- scoring ---- */

static void
scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	if (s == NULL)
		return;
	for (size_t k = 0; k < s->h->n_members; k++)
		if (s->of[k] != NULL)
			s->h->kind[k]->scratch_free(s->of[k]);
	free(s->score);
	free(s->cost);
	free(s->weight);
	free(s);
}

static void *
scratch_new(const void *model, struct err *e)
{
	const struct hybrid *h = model;
	struct scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->h = h;
	s->score = mem_aligned(h->m, sizeof *s->score, e);
	s->cost = mem_aligned(h->m, sizeof *s->cost, e);
	s->weight = mem_aligned(h->m, sizeof *s->weight, e);
	if (s->score == NULL || s->cost == NULL || s->weight == NULL)
		goto fail;
	for (size_t k = 0; k < h->n_members; k++)
		if ((s->of[k] = h->kind[k]->scratch_new(h->model[k], e)) == NULL)
			goto fail;
	return s;
fail:
	scratch_free(s);
	return NULL;
}

/* How far the blend is trusted: 0 .. 1. */
static float
trust(const struct hybrid *h, const struct scratch *s)
{
	const struct knn *knn = hybrid_knn(h);
	float near;

	if (knn == NULL || h->guard[0] <= -1)
		return 1;
	near = nearest(knn, s->of[0]);
	if (near >= h->guard[1])
		return 1;
	return near <= h->guard[0] ? 0 : (near - h->guard[0]) / (h->guard[1] - h->guard[0]);
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct hybrid *h = model;
	struct scratch *s = scratch;
	float share;

	(void)skip;
	if (target_zero(q, h->d)) {
		target_means(&h->target, out, cost);
		return;
	}
	for (size_t j = 0; j < h->m; j++)
		out[j] = cost[j] = s->weight[j] = 0;
	for (size_t k = 0; k < h->n_members; k++) {
		h->kind[k]->score(h->model[k], q, SCORER_NO_ROW, s->of[k], s->score, s->cost);
		for (size_t j = 0; j < h->m; j++) {
			out[j] += h->weight[k] * (s->score[j] - h->target.score_mean[j]);
			if (isnan(s->cost[j]))
				continue;
			cost[j] += h->weight[k] * s->cost[j];
			s->weight[j] += h->weight[k];
		}
	}
	share = trust(h, s);
	for (size_t j = 0; j < h->m; j++) {
		float known = h->target.costs ? h->target.cost_mean[j] : -1;

		out[j] = h->target.score_mean[j] + share * out[j];
		cost[j] = s->weight[j] > 0 ? cost[j] / s->weight[j] : known >= 0 ? known : NAN;
	}
}

const struct scorer_kind hybrid_kind = {
	.name = "hybrid",
	.hparams = "members, folds, regions, guard, MEMBER.NAME",
	.params_bytes = sizeof(struct hybrid_params),
	.params_init = hybridparams_init,
	.params_set = hybridparams_set,
	.params_write = hybridparams_write,
	.params_read = hybridparams_read,
	.memory = memory,
	.fit = fit,
	.free = hybrid_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.score = score,
	.uses_blas = true,
};
_Static_assert(sizeof(struct hybrid_params) <= SCORER_MAX_PARAMS, "params fit the table");
