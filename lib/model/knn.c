#include "model/knn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"
#include "math/topk.h"
#include "model/knnindex.h"

static const char *const weights_names[] = { "uniform", "distance", "softmax" };
static const char *const metric_names[] = { "cosine", "euclidean" };
static const char *const index_names[] = { "auto", "exact", "hnsw" };

static int
choice(const char *name, const char *value, const char *const *names, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(value, names[i]) == 0)
			return (int)i;
	return err_set(e, ERR_USAGE, "%s: '%s' is not %s, %s%s%s", name, value, names[0], names[1],
	    n > 2 ? " or " : "", n > 2 ? names[2] : "");
}

static int
index_set(struct knn_params *p, const char *name, const char *value, struct err *e)
{
	static const struct { const char *name; size_t offset; long long lo, hi; } sizes[] = {
		{ "M", offsetof(struct knn_params, m), HNSW_MIN_M, HNSW_MAX_M },
		{ "ef_construction", offsetof(struct knn_params, ef_construction), 8, 10000 },
		{ "ef_search", offsetof(struct knn_params, ef_search), 1, KNN_MAX_NEIGHBORS },
	};
	long long v;
	int c;

	if (strcmp(name, "index") == 0) {
		if ((c = choice(name, value, index_names, 3, e)) < 0)
			return -1;
		p->index = (enum knn_index)c;
		return 0;
	}
	if (strcmp(name, "recall") == 0)
		return str_double(name, value, 0.5, 1, &p->recall, e);
	if (strcmp(name, "ef_search") == 0 && strcmp(value, "auto") == 0) {
		p->ef_search = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		if (strcmp(name, sizes[i].name) == 0) {
			if (str_int(name, value, sizes[i].lo, sizes[i].hi, &v, e) < 0)
				return -1;
			*(size_t *)(void *)((char *)p + sizes[i].offset) = (size_t)v;
			return 0;
		}
	return 1;
}

int
knn_params_set(struct knn_params *p, const char *name, const char *value, struct err *e)
{
	long long k;
	int c;

	if (strcmp(name, "n_neighbors") == 0 || strcmp(name, "k") == 0) {
		if (str_int(name, value, 1, KNN_MAX_NEIGHBORS, &k, e) < 0)
			return -1;
		p->n_neighbors = (size_t)k;
		p->given = true;
		return 0;
	}
	if (strcmp(name, "weights") == 0) {
		if ((c = choice(name, value, weights_names, 3, e)) < 0)
			return -1;
		p->weights = (enum knn_weights)c;
		return 0;
	}
	if (strcmp(name, "metric") == 0 || strcmp(name, "distance_metric") == 0) {
		if ((c = choice(name, value, metric_names, 2, e)) < 0)
			return -1;
		p->metric = (enum knn_metric)c;
		return 0;
	}
	if (strcmp(name, "temperature") == 0)
		return str_double(name, value, 1e-4, 1e4, &p->temperature, e);
	if (strcmp(name, "prior_weight") == 0)
		return str_double(name, value, 0, 1e6, &p->prior_weight, e);
	return index_set(p, name, value, e);
}

void
knn_params_write(const struct knn_params *p, struct jsonw *w)
{
	jsonw_kint(w, "n_neighbors", (int64_t)p->n_neighbors);
	jsonw_kstr(w, "weights", weights_names[p->weights]);
	jsonw_kstr(w, "metric", metric_names[p->metric]);
	jsonw_kdouble(w, "temperature", p->temperature);
	jsonw_kdouble(w, "prior_weight", p->prior_weight);
	jsonw_kstr(w, "index", index_names[p->index]);
	if (p->index == KNN_INDEX_EXACT)
		return;
	jsonw_kint(w, "M", (int64_t)p->m);
	jsonw_kint(w, "ef_construction", (int64_t)p->ef_construction);
	if (p->ef_search > 0)
		jsonw_kint(w, "ef_search", (int64_t)p->ef_search);
	jsonw_kdouble(w, "recall", p->recall);
}

/* A short string or number as text; false for anything else. */
static bool
scalar_text(struct jread *r, char *out, size_t cap)
{
	struct slice s;
	bool escaped = false;

	if (jread_peek(r) == JREAD_STRING ? !jread_string_raw(r, &s, &escaped) :
	    !jread_number(r, &s))
		return false;
	if (escaped || s.n >= cap)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

int
knn_params_read(struct knn_params *p, struct slice json, struct err *e)
{
	static const char *const known[] = { "n_neighbors", "weights", "metric", "temperature",
		"prior_weight", "index", "M", "ef_construction", "ef_search", "recall" };
	struct jread r;
	struct slice key;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			char value[64];
			size_t i;

			for (i = 0; i < sizeof known / sizeof known[0]; i++)
				if (slice_is(key, known[i]))
					break;
			if (i == sizeof known / sizeof known[0]) {
				jread_skip(&r);
				continue;
			}
			if (!scalar_text(&r, value, sizeof value))
				return err_set(e, ERR_INPUT, "llmr.hparams: bad value of %s",
				    known[i]);
			if (knn_params_set(p, known[i], value, e) != 0) {
				e->code = ERR_INPUT;
				return err_wrap(e, "llmr.hparams");
			}
		}
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "llmr.hparams");
	return 0;
}

size_t
knn_neighbors(const struct knn_params *p, size_t n)
{
	size_t k = p->n_neighbors;

	if (!p->given && k > n / 7)
		k = n / 7 < KNN_FEW_NEIGHBORS ? KNN_FEW_NEIGHBORS : n / 7;
	return k < n ? k : n;
}

void
knn_free(struct knn *knn)
{
	if (knn == NULL)
		return;
	for (size_t i = 0; i < sizeof knn->owned / sizeof knn->owned[0]; i++)
		free(knn->owned[i]);
	knnindex_finish(knn);
	free(knn->half_norm);
	free(knn->code);
	free(knn->code_scale);
	free(knn);
}

/* Norm and codes of one row. */
static void
prepare_row(struct knn *knn, size_t i, float *x)
{
	uint8_t *code = knn->code + i * knn->stride;
	double s = 0;

	dot_widen(knn->rows + i * knn->d, knn->d, x);
	for (size_t j = 0; j < knn->d; j++)
		s += (double)x[j] * (double)x[j];
	knn->half_norm[i] = (float)(s / 2);
	knn->code_scale[i] = dot_encode(x, knn->d, (int8_t *)code);
	knn->max_scale = fmaxf(knn->max_scale, knn->code_scale[i]);
	for (size_t j = 0; j < knn->stride; j++)
		code[j] ^= 0x80;
}

/* What scoring needs beside the tensors. */
static int
prepare(struct knn *knn, struct err *e)
{
	float *x = mem_calloc(knn->d, sizeof *x, e);

	knn->kernel = dot_best();
	knn->params.n_neighbors = knn_neighbors(&knn->params, knn->n);
	knn->params.given = true;
	knn->stride = (knn->d + 63) & ~(size_t)63;
	knn->half_norm = mem_calloc(knn->n, sizeof *knn->half_norm, e);
	knn->code = mem_aligned(knn->n, knn->stride, e);
	knn->code_scale = mem_calloc(knn->n, sizeof *knn->code_scale, e);
	if (x == NULL || knn->half_norm == NULL || knn->code == NULL || knn->code_scale == NULL) {
		free(x);
		return -1;
	}
	for (size_t i = 0; i < knn->n; i++)
		prepare_row(knn, i, x);
	free(x);
	return 0;
}

/* Matrix with NaN for a missing cell into one with -1; means of the columns. */
static size_t
copy_cells(const float *from, const float *weight, size_t n, size_t m, float none, float *to,
	float *mean)
{
	size_t known = 0;

	for (size_t j = 0; j < m; j++) {
		double sum = 0, total = 0;
		size_t count = 0;

		for (size_t i = 0; i < n; i++) {
			double w = weight != NULL ? (double)weight[i] : 1;
			float x = from[i * m + j];

			to[i * m + j] = isnan(x) ? -1 : x;
			if (!isnan(x)) {
				sum += w * (double)x;
				total += w;
				count++;
			}
		}
		mean[j] = count > 0 ? (float)(sum / total) : none;
		known += count;
	}
	return known;
}

static struct knn *
fit(const struct knn_params *params, const struct scorer_data *ds, struct err *e)
{
	struct knn *knn = mem_calloc(1, sizeof *knn, e);
	size_t n = ds->n, m = ds->m, d = ds->d, cells;
	uint16_t *rows;
	float *score, *cost, *score_mean, *cost_mean;

	if (knn == NULL)
		return NULL;
	if (!mem_mul(n, d, &cells)) {
		err_nomem(e);
		goto fail;
	}
	knn->n = n;
	knn->d = d;
	knn->m = m;
	knn->params = *params;
	knn->rows = rows = knn->owned[0] = mem_aligned(cells, sizeof *rows, e);
	knn->score = score = knn->owned[1] = mem_aligned(n * m, sizeof *score, e);
	knn->cost = cost = knn->owned[2] = mem_aligned(n * m, sizeof *cost, e);
	knn->score_mean = score_mean = knn->owned[3] = mem_aligned(m, sizeof *score_mean, e);
	knn->cost_mean = cost_mean = knn->owned[4] = mem_aligned(m, sizeof *cost_mean, e);
	if (rows == NULL || score == NULL || cost == NULL || score_mean == NULL ||
	    cost_mean == NULL)
		goto fail;
	for (size_t i = 0; i < cells; i++)
		rows[i] = dot_to_half(ds->x[i]);
	copy_cells(ds->score, ds->weight, n, m, 0.5f, score, score_mean);
	if (ds->cost == NULL || copy_cells(ds->cost, ds->weight, n, m, -1, cost, cost_mean) == 0)
		knn->cost = NULL;
	if (ds->weight != NULL) {
		float *weight = knn->owned[5] = mem_aligned(n, sizeof *weight, e);

		if (weight == NULL)
			goto fail;
		memcpy(weight, ds->weight, n * sizeof *weight);
		knn->weight = weight;
	}
	if (prepare(knn, e) < 0)
		goto fail;
	if (!knnindex_wanted(&knn->params, n, knn->params.n_neighbors)) {
		knn->params.index = KNN_INDEX_EXACT;
		knn->params.ef_search = 0;
	} else if (knnindex_build(knn, ds->seed, ds->pool, ds->cancel, e) < 0)
		goto fail;
	else
		knn->params.index = KNN_INDEX_HNSW;
	return knn;
fail:
	knn_free(knn);
	return NULL;
}

struct knn *
knn_fit(const struct knn_params *params, const struct dataset *ds, const float *vectors, size_t d,
	struct err *e)
{
	const struct scorer_data data = { .n = ds->n, .d = d, .m = ds->m, .x = vectors,
		.score = ds->score, .cost = ds->cost, .weight = ds->weight };

	return fit(params, &data, e);
}

/* Where the tensors of one knn lie in a file. */
struct place {
	struct tensorfile_writer *to;
	const struct tensorfile *from;
	const char *prefix;
};

static int
put(const struct place *p, const char *name, enum dtype type, size_t rows, size_t cols,
	const void *x, struct err *e)
{
	const uint64_t shape[] = { rows, cols };
	char full[SCORER_NAME];

	return tensorfile_writer_add(p->to, scorer_tensor(full, p->prefix, name), type,
	    cols == 0 ? 1 : 2, shape, x, e);
}

/* The tensor of that shape (cols 0: of one dimension; rows 0: any number). */
static const struct tensor *
need(const struct place *p, const char *name, enum dtype type, size_t rows, size_t cols,
	struct err *e)
{
	const uint64_t shape[] = { rows, cols };
	char full[SCORER_NAME];

	return tensorfile_need(p->from, scorer_tensor(full, p->prefix, name), type,
	    cols == 0 ? 1 : 2, shape, e);
}

int
knn_save(const struct knn *knn, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	const struct place p = { .to = w, .prefix = prefix };
	size_t n = knn->n, m = knn->m;

	if (put(&p, "knn.rows", DTYPE_F16, n, knn->d, knn->rows, e) < 0 ||
	    put(&p, "knn.scores", DTYPE_F32, n, m, knn->score, e) < 0 ||
	    put(&p, "knn.score_mean", DTYPE_F32, m, 0, knn->score_mean, e) < 0)
		return -1;
	if (knn->weight != NULL && put(&p, "knn.weight", DTYPE_F32, n, 0, knn->weight, e) < 0)
		return -1;
	if (knnindex_save(knn, prefix, w, e) < 0)
		return -1;
	if (knn->cost == NULL)
		return 0;
	if (put(&p, "knn.costs", DTYPE_F32, n, m, knn->cost, e) < 0)
		return -1;
	return put(&p, "knn.cost_mean", DTYPE_F32, m, 0, knn->cost_mean, e);
}

static int
check_range(const char *name, const float *x, size_t n, float lo, float hi, bool gaps, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!(x[i] >= lo && x[i] <= hi) && !(gaps && x[i] == -1))
			return err_set(e, ERR_INPUT, "tensor '%s': element %zu is %g, outside %g..%g",
			    name, i, (double)x[i], (double)lo, (double)hi);
	return 0;
}

static int
check_rows(const uint16_t *x, size_t n, struct err *e)
{
	uint16_t wrong = 0;

	/* All at once: the compiler can keep many in a register. */
	for (size_t i = 0; i < n; i++)
		wrong |= (uint16_t)((x[i] & 0x7fff) > 0x4000);
	for (size_t i = 0; i < n && wrong != 0; i++)
		if ((x[i] & 0x7fff) > 0x4000)	/* unit vectors: no element is beyond 2 */
			return err_set(e, ERR_INPUT, "tensor 'knn.rows': element %zu is %g, "
			    "outside -2..2", i, (double)dot_from_half(x[i]));
	return 0;
}

/* A file without costs: every model's is unknown. */
static int
no_costs(struct knn *knn, struct err *e)
{
	float *none = knn->owned[0] = mem_aligned(knn->m, sizeof *none, e);

	for (size_t j = 0; none != NULL && j < knn->m; j++)
		none[j] = -1;
	knn->cost_mean = none;
	return none == NULL ? -1 : 0;
}

static int
load_costs(struct knn *knn, const struct place *p, struct err *e)
{
	const struct tensor *t;
	char full[SCORER_NAME];

	if (tensorfile_find(p->from, scorer_tensor(full, p->prefix, "knn.costs")) == NULL)
		return no_costs(knn, e);
	if ((t = need(p, "knn.costs", DTYPE_F32, knn->n, knn->m, e)) == NULL)
		return -1;
	knn->cost = t->data;
	if ((t = need(p, "knn.cost_mean", DTYPE_F32, knn->m, 0, e)) == NULL)
		return -1;
	knn->cost_mean = t->data;
	if (check_range("knn.costs", knn->cost, knn->n * knn->m, 0, 1e6f, true, e) < 0)
		return -1;
	return check_range("knn.cost_mean", knn->cost_mean, knn->m, 0, 1e6f, true, e);
}

/* Rows that count for more or less than one; most files have none. */
static int
load_weight(struct knn *knn, const struct place *p, struct err *e)
{
	const struct tensor *t;
	char full[SCORER_NAME];

	if (tensorfile_find(p->from, scorer_tensor(full, p->prefix, "knn.weight")) == NULL)
		return 0;
	if ((t = need(p, "knn.weight", DTYPE_F32, knn->n, 0, e)) == NULL)
		return -1;
	knn->weight = t->data;
	return check_range("knn.weight", knn->weight, knn->n, 1e-9f, 1e9f, false, e);
}

static int
load_tensors(struct knn *knn, const struct tensorfile *f, const char *prefix, struct err *e)
{
	const struct place p = { .from = f, .prefix = prefix };
	const struct tensor *t = need(&p, "knn.rows", DTYPE_F16, 0, knn->d, e);

	if (t == NULL)
		return -1;
	if (t->shape[0] == 0 || t->shape[0] > UINT32_MAX)
		return err_set(e, ERR_INPUT, "tensor 'knn.rows' has %llu rows",
		    (unsigned long long)t->shape[0]);
	knn->n = (size_t)t->shape[0];
	knn->rows = t->data;
	if ((t = need(&p, "knn.scores", DTYPE_F32, knn->n, knn->m, e)) == NULL)
		return -1;
	knn->score = t->data;
	if ((t = need(&p, "knn.score_mean", DTYPE_F32, knn->m, 0, e)) == NULL)
		return -1;
	knn->score_mean = t->data;
	if (check_rows(knn->rows, knn->n * knn->d, e) < 0 ||
	    check_range("knn.scores", knn->score, knn->n * knn->m, 0, 1, true, e) < 0 ||
	    check_range("knn.score_mean", knn->score_mean, knn->m, 0, 1, false, e) < 0 ||
	    load_weight(knn, &p, e) < 0)
		return -1;
	return load_costs(knn, &p, e);
}

struct knn *
knn_load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	struct knn *knn = mem_calloc(1, sizeof *knn, e);

	if (knn == NULL)
		return NULL;
	knn->params = (struct knn_params)KNN_PARAMS_INIT;
	knn->m = m;
	knn->d = d;
	if (m == 0 || d == 0 || d > KNN_MAX_DIM) {
		err_set(e, ERR_INPUT, "%zu models, %zu dimensions", m, d);
		goto fail;
	}
	if (knn_params_read(&knn->params, hparams, e) < 0 || load_tensors(knn, f, prefix, e) < 0 ||
	    prepare(knn, e) < 0 || knnindex_load(knn, f, prefix, e) < 0)
		goto fail;
	return knn;
fail:
	knn_free(knn);
	return NULL;
}

/* Rows in view of a search by the graph: the neighbours and one left out at the least, no more than there are. */
static size_t
graph_ef(const struct knn *knn, size_t ef)
{
	ef = ef > knn->params.n_neighbors ? ef : knn->params.n_neighbors + 1;
	return ef < knn->n ? ef : knn->n;
}

struct knn_scratch *
knn_scratch_new(const struct knn *knn, struct err *e)
{
	struct knn_scratch *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->sim = mem_aligned(knn->n, sizeof *s->sim, e);
	s->exact = mem_aligned(knn->n, sizeof *s->exact, e);
	s->work = mem_aligned(knn->n, sizeof *s->work, e);
	s->candidate = mem_aligned(knn->n, sizeof *s->candidate, e);
	s->code = mem_aligned(knn->stride, 1, e);
	s->near = mem_aligned(knn->params.n_neighbors, sizeof *s->near, e);
	s->index = mem_aligned(knn->params.n_neighbors, sizeof *s->index, e);
	s->weight = mem_aligned(knn->params.n_neighbors, sizeof *s->weight, e);
	s->sum = mem_aligned(knn->m, 4 * sizeof *s->sum, e);
	if (knn->params.ef_search > 0)
		s->graph = hnsw_scratch_new(knn->n, graph_ef(knn, knn->params.ef_search), e);
	if ((knn->params.ef_search > 0 && s->graph == NULL) || s->sim == NULL ||
	    s->exact == NULL || s->work == NULL || s->candidate == NULL || s->code == NULL ||
	    s->near == NULL || s->index == NULL || s->weight == NULL || s->sum == NULL) {
		knn_scratch_free(s);
		return NULL;
	}
	return s;
}

void
knn_scratch_free(struct knn_scratch *s)
{
	if (s == NULL)
		return;
	hnsw_scratch_free(s->graph);
	free(s->sim);
	free(s->exact);
	free(s->work);
	free(s->candidate);
	free(s->code);
	free(s->near);
	free(s->index);
	free(s->weight);
	free(s->sum);
	free(s);
}

struct dot_codes
knn_codes(const struct knn *knn)
{
	return (struct dot_codes){ knn->n, knn->stride, knn->code, knn->code_scale };
}

/*
 * The margin within which the order of rough similarities is not certain:
 * rounding errors of both codes are uniform, so their product's error has
 * variance (scale_x^2 + scale_q^2) / 12 for unit vectors.
 */
static float
margin(const struct knn *knn, const struct dot_query *q)
{
	return 12 * sqrtf((knn->max_scale * knn->max_scale + q->scale * q->scale) / 12);
}

/* The k nearest of n candidates, by their exact rows. */
static void
compare(const struct knn *knn, const float *q, size_t n, struct knn_scratch *s)
{
	dot_half_at(knn->kernel, knn->rows, s->candidate, n, knn->d, q, s->exact);
	if (knn->params.metric == KNN_EUCLIDEAN)
		for (size_t i = 0; i < n; i++)
			s->exact[i] -= knn->half_norm[s->candidate[i]];
	s->k = topk_select(s->exact, n, knn->params.n_neighbors, s->work, s->index);
	for (size_t i = 0; i < s->k; i++) {
		s->near[i] = s->exact[s->index[i]];
		s->index[i] = s->candidate[s->index[i]];
	}
}

/* Rough similarity by the codes: cosine, or minus half the squared distance (plus a constant) when Euclidean. */
void
knn_nearest(const struct knn *knn, const float *q, const uint32_t *left_out, size_t n_out,
	struct knn_scratch *s)
{
	const struct dot_codes codes = knn_codes(knn);
	const struct dot_query query = dot_query(q, knn->d, knn->stride, s->code);
	size_t rank = knn->params.n_neighbors + n_out;
	float cut = -FLT_MAX;

	dot_code(knn->kernel, &codes, &query, s->sim);
	if (knn->params.metric == KNN_EUCLIDEAN)
		for (size_t i = 0; i < knn->n; i++)
			s->sim[i] -= knn->half_norm[i];
	if (rank < knn->n)
		cut = topk_value(s->sim, knn->n, rank, s->work) - margin(knn, &query);
	for (size_t i = 0; i < n_out; i++)
		s->sim[left_out[i]] = -INFINITY;
	compare(knn, q, topk_at_least(s->sim, knn->n, cut, s->candidate), s);
}

bool
knn_approximate(const struct knn *knn, const struct hnsw *graph, const float *q, size_t skip, size_t ef,
	struct knn_scratch *s)
{
	const struct dot_codes codes = knn_codes(knn);
	const struct dot_query query = dot_query(q, knn->d, knn->stride, s->code);
	float cut = -FLT_MAX;
	size_t k = knn->params.n_neighbors, n = 0, found;
	const struct hnsw_near *near = s->graph->near;

	found = hnsw_search(graph, &codes, knn->kernel, &query, graph_ef(knn, ef), s->graph);
	for (size_t i = 0; i < found && near[i].sim >= cut; i++)
		if (near[i].row != skip) {
			s->candidate[n++] = near[i].row;
			if (n == k)
				cut = near[i].sim - margin(knn, &query);
		}
	compare(knn, q, n, s);
	return n >= k;
}

/* The k nearest rows and their exact similarities; skip is left out. */
static void
search(const struct knn *knn, const float *q, size_t skip, struct knn_scratch *s)
{
	uint32_t left_out = (uint32_t)skip;

	if (knn->graph.n == 0 || !knn_approximate(knn, &knn->graph, q, skip, knn->params.ef_search, s))
		knn_nearest(knn, q, &left_out, skip < knn->n, s);
}

static double
distance(const struct knn *knn, double sim, double q_half_norm)
{
	double d = knn->params.metric == KNN_COSINE ? 1 - sim :
	    sqrt(fmax(0, 2 * (q_half_norm - sim)));

	return fmax(d, 1e-6);	/* an identical prompt counts much, not infinitely */
}

static void
weigh(const struct knn *knn, const float *q, struct knn_scratch *s)
{
	double best = -INFINITY, q2 = 0;

	for (size_t i = 0; i < s->k; i++)
		best = fmax(best, (double)s->near[i]);
	if (knn->params.weights == KNN_DISTANCE)
		for (size_t j = 0; j < knn->d; j++)
			q2 += (double)q[j] * (double)q[j];
	for (size_t i = 0; i < s->k; i++) {
		double sim = (double)s->near[i];

		switch (knn->params.weights) {
		case KNN_UNIFORM:
			s->weight[i] = 1;
			break;
		case KNN_DISTANCE:
			s->weight[i] = 1 / distance(knn, sim, q2 / 2);
			break;
		case KNN_SOFTMAX:
			s->weight[i] = exp((sim - best) / knn->params.temperature);
			break;
		}
		if (knn->weight != NULL)
			s->weight[i] *= (double)knn->weight[s->index[i]];
	}
}

/* Weighted sums of the neighbours' known cells into sum [m] and total [m]. */
static void
gather(const struct knn *knn, const float *cells, const struct knn_scratch *s, double *sum,
	double *total)
{
	size_t m = knn->m;

	for (size_t j = 0; j < m; j++)
		sum[j] = total[j] = 0;
	for (size_t i = 0; i < s->k; i++) {
		const float *row = cells + (size_t)s->index[i] * m;

		for (size_t j = 0; j < m; j++) {
			double w = row[j] >= 0 ? s->weight[i] : 0;

			sum[j] += w * (double)row[j];
			total[j] += w;
		}
	}
}

static void
predict_cost(const struct knn *knn, const struct knn_scratch *s, float *cost)
{
	double *sum = s->sum + 2 * knn->m, *total = sum + knn->m;

	if (knn->cost == NULL) {
		for (size_t j = 0; j < knn->m; j++)
			cost[j] = NAN;
		return;
	}
	gather(knn, knn->cost, s, sum, total);
	for (size_t j = 0; j < knn->m; j++)
		if (total[j] > 0)
			cost[j] = (float)(sum[j] / total[j]);
		else
			cost[j] = knn->cost_mean[j] >= 0 ? knn->cost_mean[j] : NAN;
}

void
knn_score(const struct knn *knn, const float *q, size_t skip, struct knn_scratch *s, float *score,
	float *cost)
{
	double *sum = s->sum, *total = sum + knn->m, prior = knn->params.prior_weight;
	bool zero = true;

	for (size_t j = 0; j < knn->d && zero; j++)
		zero = q[j] == 0;
	s->k = 0;
	if (!zero) {
		search(knn, q, skip, s);
		weigh(knn, q, s);
	}
	gather(knn, knn->score, s, sum, total);
	for (size_t j = 0; j < knn->m; j++)
		if (total[j] > 0)
			score[j] = (float)((sum[j] + prior * (double)knn->score_mean[j]) /
			    (total[j] + prior));
		else
			score[j] = knn->score_mean[j];
	predict_cost(knn, s, cost);
}

/* ---- the kind's table ---- */

static void
kind_params_init(void *params)
{
	*(struct knn_params *)params = (struct knn_params)KNN_PARAMS_INIT;
}

static int
kind_params_set(void *params, const char *name, const char *value, struct err *e)
{
	return knn_params_set(params, name, value, e);
}

static void
kind_params_write(const void *params, struct jsonw *w)
{
	knn_params_write(params, w);
}

static int
kind_params_read(void *params, struct slice json, struct err *e)
{
	return knn_params_read(params, json, e);
}

static uint64_t
kind_memory(const void *params, size_t n, size_t d, size_t m)
{
	return knnindex_memory(params, n) + (uint64_t)n * (3 * (uint64_t)d + 8 * (uint64_t)m + 36);
}

static void *
kind_fit(const void *params, const struct scorer_data *data, struct err *e)
{
	return fit(params, data, e);
}

static void
kind_free(void *model)
{
	knn_free(model);
}

static const void *
kind_params(const void *model)
{
	return &((const struct knn *)model)->params;
}

static int
kind_save(const void *model, const char *prefix, struct tensorfile_writer *w, struct err *e)
{
	return knn_save(model, prefix, w, e);
}

static void *
kind_load(const struct tensorfile *f, const char *prefix, size_t m, size_t d, struct slice hparams,
	struct err *e)
{
	return knn_load(f, prefix, m, d, hparams, e);
}

static void *
kind_scratch_new(const void *model, struct err *e)
{
	return knn_scratch_new(model, e);
}

static void
kind_scratch_free(void *scratch)
{
	knn_scratch_free(scratch);
}

static void
kind_score(const void *model, const float *q, size_t skip, void *scratch, float *score, float *cost)
{
	knn_score(model, q, skip, scratch, score, cost);
}

const struct scorer_kind knn_kind = {
	.name = "knn",
	.hparams = "n_neighbors, weights, metric, temperature, prior_weight, index, M, "
	    "ef_construction, ef_search, recall",
	.params_bytes = sizeof(struct knn_params),
	.params_init = kind_params_init,
	.params_set = kind_params_set,
	.params_write = kind_params_write,
	.params_read = kind_params_read,
	.memory = kind_memory,
	.fit = kind_fit,
	.free = kind_free,
	.params = kind_params,
	.save = kind_save,
	.load = kind_load,
	.scratch_new = kind_scratch_new,
	.scratch_free = kind_scratch_free,
	.score = kind_score,
	.can_skip = true,
};
