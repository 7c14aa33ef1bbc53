#include "model/trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/target.h"

#define LEAF UINT32_MAX
#define LANES 8			/* outputs are padded to a multiple, so that sums are vectors */
#define MAX_VALUE 1e9f

struct node {
	float threshold;	/* left: x[feature] <= threshold */
	uint32_t feature;	/* LEAF at a leaf */
	uint32_t child;		/* the left one, the right one is next to it; at a leaf its row of values */
};

/* Nodes of all trees end to end, each tree's root first, children behind their parents. */
struct forest {
	struct node *node;
	size_t nodes, node_cap;
	float *value;		/* [leaves x outputs] deviations from the means */
	size_t leaves, value_cap;
};

struct trees {
	struct trees_params params;
	struct target target;
	size_t d, m, outputs, nodes, leaves;
	uint32_t *root;			/* [n_estimators] */
	struct node *node;		/* [nodes] */
	const float *value;		/* [leaves x outputs] */
	float *own_value;		/* NULL when borrowed */
	float *threshold;		/* columns of node as saved, NULL when loaded */
	uint32_t *feature, *child;
};

/* ---- hyperparameters ---- */

static void
params_init(void *params)
{
	*(struct trees_params *)params = (struct trees_params){ .n_estimators = 120,
		.min_samples_leaf = 10, .max_depth = 24, .max_features = 0.4, .dims = 96 };
}

static const struct { const char *name; size_t offset; long long lo, hi; } counts[] = {
	{ "n_estimators", offsetof(struct trees_params, n_estimators), 1, TREES_MAX },
	{ "min_samples_leaf", offsetof(struct trees_params, min_samples_leaf), 1, 1000000 },
	{ "max_depth", offsetof(struct trees_params, max_depth), 1, TREES_MAX_DEPTH },
	{ "tree_dims", offsetof(struct trees_params, dims), 1, 65536 },
};

static int
params_set(void *params, const char *name, const char *value, struct err *e)
{
	struct trees_params *p = params;
	long long v;

	if (strcmp(name, "max_features") == 0)
		return str_double(name, value, 1e-6, 1, &p->max_features, e);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		if (strcmp(name, counts[i].name) == 0) {
			if (str_int(name, value, counts[i].lo, counts[i].hi, &v, e) < 0)
				return -1;
			*(size_t *)(void *)((char *)p + counts[i].offset) = (size_t)v;
			return 0;
		}
	return 1;
}

static void
params_write(const void *params, struct jsonw *w)
{
	const struct trees_params *p = params;

	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		jsonw_kint(w, counts[i].name,
		    (int64_t)*(const size_t *)(const void *)((const char *)p + counts[i].offset));
	jsonw_kdouble(w, "max_features", p->max_features);
}

static int
params_read(void *params, struct slice json, struct err *e)
{
	return target_params_read(params, json, params_set, e);
}

static const void *
params_of(const void *model)
{
	return &((const struct trees *)model)->params;
}

static uint64_t
memory(const void *params, size_t n, size_t d, size_t m)
{
	const struct trees_params *p = params;
	uint64_t dims = p->dims < d ? p->dims : d, leaves = n / p->min_samples_leaf + 1;

	return (uint64_t)n * (4 * dims + 16 * (uint64_t)m + 64) +
	    p->n_estimators * leaves * (24 + 8 * (uint64_t)m);
}

/* ---- growing ---- */

/* What all trees share. */
struct soil {
	const struct trees_params *params;
	const struct scorer_data *data;
	size_t n, dims, outputs, stride;
	uint32_t *dim;			/* [dims] the dimensions looked at, ascending */
	float *x;			/* [dims x n] their columns */
	float *y, *w;			/* [n x stride] weight times deviation; weight, 0 where unknown */
	bool even;			/* every cell known and all weights 1: w is NULL, rows are counted */
	struct forest *forest;		/* [n_estimators] */
	struct grower *grower;		/* [threads] */
};

/* Working memory of one thread. */
struct grower {
	uint32_t *row, *left, *right;	/* [n] */
	uint32_t *order;		/* [dims] */
	double *total, *total_w, *side, *side_w;	/* [stride] */
	bool failed;
};

struct task {
	size_t first, end, node, depth;
	size_t above;			/* row of values to fall back on in what follows; SIZE_MAX none */
};

struct split {
	size_t dim;
	float threshold;
	double gain;
};

/* Sums of rows' targets, and of their weights, in double. */
static void
sum_rows(const struct soil *s, const uint32_t *row, size_t n, double *sum, double *weight)
{
	for (size_t o = 0; o < s->stride; o++)
		sum[o] = weight[o] = 0;
	for (size_t i = 0; i < n; i++) {
		const float *y = s->y + row[i] * s->stride;

		for (size_t b = 0; b < s->stride; b += LANES)
			for (size_t o = 0; o < LANES; o++)
				sum[b + o] += (double)y[b + o];
		if (s->even)
			continue;
		for (size_t o = 0; o < s->stride; o++)
			weight[o] += (double)s->w[row[i] * s->stride + o];
	}
	for (size_t o = 0; s->even && o < s->outputs; o++)
		weight[o] = (double)n;
}

/* Squared error that parting the node's rows takes away, but for a constant. */
static double
gain_of(const struct soil *s, const struct grower *g)
{
	double gain = 0;

	for (size_t o = 0; o < s->outputs; o++) {
		double rest = g->total[o] - g->side[o], rest_w = g->total_w[o] - g->side_w[o];

		if (g->side_w[o] > 0)
			gain += g->side[o] * g->side[o] / g->side_w[o];
		if (rest_w > 0)
			gain += rest * rest / rest_w;
	}
	return gain;
}

/* Rows of a node on either side of a threshold. */
static size_t
part_rows(const float *x, const uint32_t *row, size_t n, float threshold, struct grower *g)
{
	size_t l = 0, r = 0;

	for (size_t i = 0; i < n; i++) {
		bool goes_left = x[row[i]] <= threshold;

		g->left[l] = g->right[r] = row[i];
		l += goes_left;
		r += !goes_left;
	}
	return l;
}

/* One dimension with a threshold at random: false when all rows hold the same value there. */
static bool
try_split(const struct soil *s, struct grower *g, const uint32_t *row, size_t n, size_t dim,
	struct rng *rng, struct split *best)
{
	const float *x = s->x + dim * s->n;
	float lo = x[row[0]], hi = lo, threshold;
	size_t left, least = s->params->min_samples_leaf;
	double gain;

	for (size_t i = 1; i < n; i++) {
		lo = x[row[i]] < lo ? x[row[i]] : lo;
		hi = x[row[i]] > hi ? x[row[i]] : hi;
	}
	if (!(hi > lo))
		return false;
	threshold = lo + (float)rng_double(rng) * (hi - lo);
	if (threshold >= hi)
		threshold = lo;
	left = part_rows(x, row, n, threshold, g);
	if (left < least || n - left < least)
		return true;
	if (left <= n - left)
		sum_rows(s, g->left, left, g->side, g->side_w);
	else
		sum_rows(s, g->right, n - left, g->side, g->side_w);
	gain = gain_of(s, g);
	if (gain > best->gain)
		*best = (struct split){ dim, threshold, gain };
	return true;
}

static bool
find_split(const struct soil *s, struct grower *g, const uint32_t *row, size_t n, struct rng *rng,
	struct split *best)
{
	size_t wanted = (size_t)ceil(s->params->max_features * (double)s->dims);
	double none = 0;

	for (size_t o = 0; o < s->outputs; o++)
		if (g->total_w[o] > 0)
			none += g->total[o] * g->total[o] / g->total_w[o];
	*best = (struct split){ 0, 0, none + 1e-9 };
	for (size_t i = 0; i < s->dims && wanted > 0; i++) {
		size_t k = i + (size_t)rng_below(rng, s->dims - i);
		uint32_t swap = g->order[k];

		g->order[k] = g->order[i];
		g->order[i] = swap;
		wanted -= try_split(s, g, row, n, swap, rng, best);
	}
	return best->gain > none + 1e-9;
}

static int
add_node(struct forest *f, size_t n, struct err *e)
{
	if (mem_grow((void **)&f->node, &f->node_cap, f->nodes + n, sizeof *f->node, e) < 0)
		return -1;
	f->nodes += n;
	return 0;
}

/* Means of the node's rows as values of a leaf; where nothing is known, what stands in row `above`. */
static int
add_value(const struct soil *s, const struct grower *g, struct forest *f, size_t above,
	size_t *row, struct err *e)
{
	float *value;

	if (mem_grow((void **)&f->value, &f->value_cap, (f->leaves + 1) * s->outputs,
	    sizeof *f->value, e) < 0)
		return -1;
	value = f->value + f->leaves * s->outputs;
	for (size_t o = 0; o < s->outputs; o++)
		if (g->total_w[o] > 0)
			value[o] = (float)(g->total[o] / g->total_w[o]);
		else
			value[o] = above == SIZE_MAX ? 0 : f->value[above * s->outputs + o];
	*row = f->leaves++;
	return 0;
}

static bool
lacks_some(const struct soil *s, const struct grower *g)
{
	for (size_t o = 0; o < s->outputs; o++)
		if (!(g->total_w[o] > 0))
			return true;
	return false;
}

/* One node: a leaf, or two more tasks on the stack. Returns how many, -1 on failure. */
static int
grow_node(struct soil *s, struct grower *g, struct forest *f, struct task t, struct rng *rng,
	struct task out[2], struct err *e)
{
	uint32_t *row = g->row + t.first;
	size_t n = t.end - t.first, left, at;
	struct split best;

	sum_rows(s, row, n, g->total, g->total_w);
	if (n < 2 * s->params->min_samples_leaf || t.depth >= s->params->max_depth ||
	    !find_split(s, g, row, n, rng, &best)) {
		if (add_value(s, g, f, t.above, &at, e) < 0)
			return -1;
		f->node[t.node] = (struct node){ 0, LEAF, (uint32_t)at };
		return 0;
	}
	/* Only where gaps thin out the cells can a child know less than its parent. */
	at = t.above;
	if (!s->even && !lacks_some(s, g) && n < 16 * s->params->min_samples_leaf &&
	    add_value(s, g, f, t.above, &at, e) < 0)
		return -1;
	left = part_rows(s->x + best.dim * s->n, row, n, best.threshold, g);
	memcpy(row, g->left, left * sizeof *row);
	memcpy(row + left, g->right, (n - left) * sizeof *row);
	f->node[t.node] = (struct node){ best.threshold, s->dim[best.dim], (uint32_t)f->nodes };
	out[0] = (struct task){ t.first, t.first + left, f->nodes, t.depth + 1, at };
	out[1] = (struct task){ t.first + left, t.end, f->nodes + 1, t.depth + 1, at };
	return add_node(f, 2, e) < 0 ? -1 : 2;
}

static void
grow_tree(void *arg, size_t part, unsigned worker)
{
	struct soil *s = arg;
	struct grower *g = &s->grower[worker];
	struct forest *f = &s->forest[part];
	struct rng rng = rng_split(s->data->seed, part);
	struct task stack[TREES_MAX_DEPTH + 2], next[2];
	size_t depth = 0;

	if (g->failed || cancel_check(s->data->cancel, NULL) < 0)
		return;
	for (size_t i = 0; i < s->n; i++)
		g->row[i] = (uint32_t)i;
	for (size_t i = 0; i < s->dims; i++)
		g->order[i] = (uint32_t)i;
	if (add_node(f, 1, NULL) < 0) {
		g->failed = true;
		return;
	}
	stack[depth++] = (struct task){ 0, s->n, 0, 0, SIZE_MAX };
	while (depth > 0) {
		int made = grow_node(s, g, f, stack[--depth], &rng, next, NULL);

		if (made < 0) {
			g->failed = true;
			return;
		}
		while (made > 0)
			stack[depth++] = next[--made];
	}
}

/* ---- fit ---- */

#define BINS 16

struct worth { double explained; uint32_t dim; };

static int
by_worth(const void *a, const void *b)
{
	const struct worth *x = a, *y = b;

	if (x->explained != y->explained)
		return x->explained > y->explained ? -1 : 1;
	return (x->dim > y->dim) - (x->dim < y->dim);
}

static int
ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Bin of a value: equal widths over two and a half deviations on either side of the mean. */
static size_t
bin_of(double v, double mean, double deviation)
{
	double z = (v - mean) / deviation * (BINS / 5.0) + BINS / 2.0;

	return z < 0 ? 0 : z >= BINS ? BINS - 1 : (size_t)z;
}

/* Variance of the targets that bins of one dimension explain, over all outputs. */
static double
explained(const struct soil *s, size_t dim, double *sum)
{
	const struct scorer_data *ds = s->data;
	const float *x = ds->x + dim;
	double mean = 0, square = 0, gain = 0, deviation, *weight = sum + BINS * s->stride;

	for (size_t i = 0; i < s->n; i++) {
		mean += (double)x[i * ds->d];
		square += (double)x[i * ds->d] * (double)x[i * ds->d];
	}
	mean /= (double)s->n;
	deviation = sqrt(fmax(0, square / (double)s->n - mean * mean));
	if (!(deviation > 1e-9))
		return 0;
	memset(sum, 0, 2 * BINS * s->stride * sizeof *sum);
	for (size_t i = 0; i < s->n; i++) {
		size_t b = bin_of((double)x[i * ds->d], mean, deviation) * s->stride;

		for (size_t o = 0; o < s->outputs; o++) {
			sum[b + o] += (double)s->y[i * s->stride + o];
			weight[b + o] += s->even ? 1 : (double)s->w[i * s->stride + o];
		}
	}
	for (size_t k = 0; k < BINS * s->stride; k++)
		if (weight[k] > 0)
			gain += sum[k] * sum[k] / weight[k];
	return gain;
}

struct weighing { const struct soil *s; struct worth *worth; double **sum; };

static void
weigh_dim(void *arg, size_t part, unsigned worker)
{
	struct weighing *w = arg;

	w->worth[part] = (struct worth){ explained(w->s, part, w->sum[worker]), (uint32_t)part };
}

/* The dimensions that tell most each by itself, in order. */
static int
choose_dims(struct soil *s, struct err *e)
{
	size_t d = s->data->d;
	unsigned threads = pool_threads(s->data->pool);
	struct weighing w = { s, mem_calloc(d, sizeof *w.worth, e),
		mem_calloc(threads, sizeof *w.sum, e) };
	int r = -1;

	s->dim = mem_calloc(s->dims, sizeof *s->dim, e);
	if (w.worth == NULL || w.sum == NULL || s->dim == NULL)
		goto out;
	for (unsigned i = 0; i < threads; i++)
		if ((w.sum[i] = mem_calloc(BINS * s->stride, 2 * sizeof(double), e)) == NULL)
			goto out;
	pool_run(s->data->pool, d, weigh_dim, &w);
	qsort(w.worth, d, sizeof *w.worth, by_worth);
	for (size_t j = 0; j < s->dims; j++)
		s->dim[j] = w.worth[j].dim;
	qsort(s->dim, s->dims, sizeof *s->dim, ascending);
	r = 0;
out:
	for (unsigned i = 0; w.sum != NULL && i < threads; i++)
		free(w.sum[i]);
	free(w.sum);
	free(w.worth);
	return r;
}

static void
fill_targets(struct soil *s, const struct target *t)
{
	const struct scorer_data *ds = s->data;

	for (size_t i = 0; i < s->n; i++)
		for (size_t o = 0; o < s->outputs; o++) {
			size_t j = o < ds->m ? o : o - ds->m;
			float v = (o < ds->m ? ds->score : ds->cost)[i * ds->m + j], w;

			w = isnan(v) ? 0 : ds->weight != NULL ? ds->weight[i] : 1;
			if (s->w != NULL)
				s->w[i * s->stride + o] = w;
			if (w > 0)
				s->y[i * s->stride + o] = w * (o < ds->m ? v - t->score_mean[j] :
				    (v - t->cost_mean[j]) / t->cost_spread[j]);
		}
}

static bool
all_known(const struct scorer_data *ds, bool costs)
{
	for (size_t i = 0; i < ds->n * ds->m; i++)
		if (isnan(ds->score[i]) || (costs && isnan(ds->cost[i])))
			return false;
	return ds->weight == NULL;
}

static int
soil_begin(struct soil *s, const struct target *t, struct err *e)
{
	const struct scorer_data *ds = s->data;
	size_t cells, columns;

	s->n = ds->n;
	s->dims = s->params->dims < ds->d ? s->params->dims : ds->d;
	s->outputs = ds->m * (t->costs ? 2 : 1);
	s->stride = (s->outputs + LANES - 1) / LANES * LANES;
	s->even = all_known(ds, t->costs);
	if (s->n >= UINT32_MAX || !mem_mul(s->n, s->stride, &cells) ||
	    !mem_mul(s->n, s->dims, &columns))
		return err_nomem(e);
	s->x = mem_aligned(columns, sizeof *s->x, e);
	s->y = mem_aligned(cells, sizeof *s->y, e);
	if (s->x == NULL || s->y == NULL ||
	    (!s->even && (s->w = mem_aligned(cells, sizeof *s->w, e)) == NULL))
		return -1;
	fill_targets(s, t);
	if (choose_dims(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		for (size_t j = 0; j < s->dims; j++)
			s->x[j * s->n + i] = ds->x[i * ds->d + s->dim[j]];
	s->forest = mem_calloc(s->params->n_estimators, sizeof *s->forest, e);
	s->grower = mem_calloc(pool_threads(ds->pool), sizeof *s->grower, e);
	if (s->forest == NULL || s->grower == NULL)
		return -1;
	for (unsigned i = 0; i < pool_threads(ds->pool); i++) {
		struct grower *g = &s->grower[i];

		g->row = mem_calloc(s->n + 1, 3 * sizeof *g->row, e);
		g->order = mem_calloc(s->dims, sizeof *g->order, e);
		g->total = mem_calloc(s->stride, 4 * sizeof *g->total, e);
		if (g->row == NULL || g->order == NULL || g->total == NULL)
			return -1;
		g->left = g->row + s->n + 1;
		g->right = g->left + s->n + 1;
		g->total_w = g->total + s->stride;
		g->side = g->total_w + s->stride;
		g->side_w = g->side + s->stride;
	}
	return 0;
}

static void
soil_finish(struct soil *s)
{
	for (unsigned i = 0; s->grower != NULL && i < pool_threads(s->data->pool); i++) {
		free(s->grower[i].row);
		free(s->grower[i].order);
		free(s->grower[i].total);
	}
	for (size_t i = 0; s->forest != NULL && i < s->params->n_estimators; i++) {
		free(s->forest[i].node);
		free(s->forest[i].value);
	}
	free(s->grower);
	free(s->forest);
	free(s->dim);
	free(s->x);
	free(s->y);
	free(s->w);
}

static void
trees_free(void *model)
{
	struct trees *t = model;

	if (t == NULL)
		return;
	target_finish(&t->target);
	free(t->root);
	free(t->node);
	free(t->own_value);
	free(t->threshold);
	free(t->feature);
	free(t->child);
	free(t);
}

static int
make_room(struct trees *t, struct err *e)
{
	t->root = mem_aligned(t->params.n_estimators, sizeof *t->root, e);
	t->node = mem_aligned(t->nodes, sizeof *t->node, e);
	return t->root == NULL || t->node == NULL ? -1 : 0;
}

/* The trees end to end, in their order. Costs come back to their own unit. */
static int
join(struct trees *t, const struct soil *s, struct err *e)
{
	size_t node = 0, leaf = 0;

	for (size_t k = 0; k < t->params.n_estimators; k++) {
		t->nodes += s->forest[k].nodes;
		t->leaves += s->forest[k].leaves;
	}
	if (t->nodes >= LEAF)
		return err_set(e, ERR_INPUT, "%zu nodes of trees: raise min_samples_leaf", t->nodes);
	t->own_value = mem_aligned(t->leaves, t->outputs * sizeof *t->own_value, e);
	t->threshold = mem_aligned(t->nodes, sizeof *t->threshold, e);
	t->feature = mem_aligned(t->nodes, sizeof *t->feature, e);
	t->child = mem_aligned(t->nodes, sizeof *t->child, e);
	if (make_room(t, e) < 0 || t->own_value == NULL || t->threshold == NULL ||
	    t->feature == NULL || t->child == NULL)
		return -1;
	t->value = t->own_value;
	for (size_t k = 0; k < t->params.n_estimators; k++) {
		const struct forest *f = &s->forest[k];

		t->root[k] = (uint32_t)node;
		memcpy(t->own_value + leaf * t->outputs, f->value,
		    f->leaves * t->outputs * sizeof *f->value);
		for (size_t i = 0; i < f->nodes; i++) {
			struct node x = f->node[i];

			x.child += (uint32_t)(x.feature == LEAF ? leaf : node);
			t->node[node + i] = x;
			t->threshold[node + i] = x.threshold;
			t->feature[node + i] = x.feature;
			t->child[node + i] = x.child;
		}
		node += f->nodes;
		leaf += f->leaves;
	}
	for (size_t i = 0; i < t->leaves; i++)
		for (size_t o = 0; o < t->outputs; o++)
			t->own_value[i * t->outputs + o] = o < t->m ?
			    t->own_value[i * t->outputs + o] + t->target.score_mean[o] :
			    t->own_value[i * t->outputs + o] * t->target.cost_spread[o - t->m] +
			    t->target.cost_mean[o - t->m];
	return 0;
}

static void *
fit(const void *params, const struct scorer_data *data, struct err *e)
{
	struct trees *t = mem_calloc(1, sizeof *t, e);
	struct soil s = { .data = data };
	int r = -1;

	if (t == NULL)
		return NULL;
	t->params = *(const struct trees_params *)params;
	s.params = &t->params;
	t->d = data->d;
	t->m = data->m;
	if (target_init(&t->target, data, e) < 0 || soil_begin(&s, &t->target, e) < 0)
		goto out;
	t->outputs = s.outputs;
	pool_run(data->pool, t->params.n_estimators, grow_tree, &s);
	if (cancel_check(data->cancel, e) < 0)
		goto out;
	for (unsigned i = 0; i < pool_threads(data->pool); i++)
		if (s.grower[i].failed) {
			err_nomem(e);
			goto out;
		}
	r = join(t, &s, e);
out:
	soil_finish(&s);
	if (r < 0) {
		trees_free(t);
		t = NULL;
	}
	return t;
}

/* ---- artifact ---- */

static int
save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct trees *t = model;
	const uint64_t roots[] = { t->params.n_estimators }, nodes[] = { t->nodes };
	const uint64_t values[] = { t->leaves, t->outputs };
	const struct { const char *name; enum dtype dtype; unsigned dims; const uint64_t *shape;
		const void *data; } parts[] = {
		{ ".root", DTYPE_U32, 1, roots, t->root },
		{ ".threshold", DTYPE_F32, 1, nodes, t->threshold },
		{ ".feature", DTYPE_U32, 1, nodes, t->feature },
		{ ".child", DTYPE_U32, 1, nodes, t->child },
		{ ".value", DTYPE_F32, 2, values, t->value },
	};
	char name[TARGET_NAME];

	if (t->threshold == NULL)
		return err_set(e, ERR_BUG, "loaded trees cannot be saved");
	if (target_save(&t->target, prefix, "trees", w, e) < 0)
		return -1;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (tensorfile_writer_add(w, target_name(name, prefix, "trees", parts[i].name),
		    parts[i].dtype, parts[i].dims, parts[i].shape, parts[i].data, e) < 0)
			return -1;
	return 0;
}

/* Every walk ends: children lie behind their parents, within the nodes. */
static int
check_node(const struct trees *t, size_t i, struct err *e)
{
	const struct node *x = &t->node[i];

	if (x->feature == LEAF ? x->child < t->leaves : x->feature < t->d &&
	    x->child > i && x->child < t->nodes - 1 && isfinite(x->threshold))
		return 0;
	return err_set(e, ERR_INPUT, "tensor 'trees.child': node %zu leads nowhere", i);
}

static int
load_tensors(struct trees *t, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const uint64_t roots[] = { t->params.n_estimators }, any[] = { 0 };
	const uint64_t values[] = { 0, t->outputs };
	const struct tensor *root, *threshold, *feature, *child, *value;
	uint64_t nodes[1];
	char name[TARGET_NAME];

#define NEED(suffix, dtype, dims, shape) \
	tensorfile_need(f, target_name(name, prefix, "trees", suffix), dtype, dims, shape, e)
	if ((threshold = NEED(".threshold", DTYPE_F32, 1, any)) == NULL)
		return -1;
	nodes[0] = t->nodes = (size_t)threshold->elements;
	if ((root = NEED(".root", DTYPE_U32, 1, roots)) == NULL ||
	    (feature = NEED(".feature", DTYPE_U32, 1, nodes)) == NULL ||
	    (child = NEED(".child", DTYPE_U32, 1, nodes)) == NULL ||
	    (value = NEED(".value", DTYPE_F32, 2, values)) == NULL ||
	    target_check(value, MAX_VALUE, e) < 0)
		return -1;
#undef NEED
	t->leaves = (size_t)value->shape[0];
	t->value = value->data;
	if (t->nodes == 0 || t->nodes >= LEAF)
		return err_set(e, ERR_INPUT, "tensor 'trees.threshold' has %zu nodes", t->nodes);
	if (make_room(t, e) < 0)
		return -1;
	for (size_t i = 0; i < t->nodes; i++) {
		t->node[i] = (struct node){ ((const float *)threshold->data)[i],
			((const uint32_t *)feature->data)[i], ((const uint32_t *)child->data)[i] };
		if (check_node(t, i, e) < 0)
			return -1;
	}
	for (size_t k = 0; k < t->params.n_estimators; k++) {
		t->root[k] = ((const uint32_t *)root->data)[k];
		if (t->root[k] >= t->nodes)
			return err_set(e, ERR_INPUT, "tensor 'trees.root': element %zu is beyond the "
			    "nodes", k);
	}
	return 0;
}

static void *
load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct trees *t = mem_calloc(1, sizeof *t, e);

	if (t == NULL)
		return NULL;
	params_init(&t->params);
	t->m = m;
	t->d = d;
	if (params_read(&t->params, hparams, e) < 0 ||
	    target_load(&t->target, f, prefix, "trees", m, e) < 0)
		goto fail;
	t->outputs = m * (t->target.costs ? 2 : 1);
	if (load_tensors(t, f, prefix, e) < 0)
		goto fail;
	return t;
fail:
	trees_free(t);
	return NULL;
}

/* ---- scoring ---- */

static void *
scratch_new(const void *model, struct err *e)
{
	return mem_aligned(((const struct trees *)model)->outputs, sizeof(float), e);
}

static void
score(const void *model, const float *q, size_t skip, void *scratch, float *out, float *cost)
{
	const struct trees *t = model;
	float *sum = scratch, share = 1 / (float)t->params.n_estimators;

	(void)skip;
	if (target_zero(q, t->d)) {
		target_means(&t->target, out, cost);
		return;
	}
	memset(sum, 0, t->outputs * sizeof *sum);
	for (size_t k = 0; k < t->params.n_estimators; k++) {
		const struct node *x = &t->node[t->root[k]];
		const float *value;

		while (x->feature != LEAF)
			x = &t->node[x->child + !(q[x->feature] <= x->threshold)];
		value = t->value + x->child * t->outputs;
		for (size_t o = 0; o < t->outputs; o++)
			sum[o] += value[o];
	}
	for (size_t o = 0; o < t->outputs; o++)
		sum[o] *= share;
	target_predict(&t->target, sum, out, cost);
}

const struct scorer_kind trees_kind = {
	.name = "trees",
	.hparams = "n_estimators, min_samples_leaf, max_depth, max_features, tree_dims",
	.params_bytes = sizeof(struct trees_params),
	.params_init = params_init,
	.params_set = params_set,
	.params_write = params_write,
	.params_read = params_read,
	.memory = memory,
	.fit = fit,
	.free = trees_free,
	.params = params_of,
	.save = save,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = free,
	.score = score,
};
