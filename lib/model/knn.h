/*
 * knn - nearest-neighbour router.
 *
 * Predicts each model's score on a prompt as the weighted mean of that model's
 * scores on the k most similar training prompts. Cells that were not observed
 * are skipped; a model without any among the neighbours falls to its mean over
 * all training prompts. Every stored row is compared: first by 8-bit codes (a
 * fourth of the memory), then all that could be among the k nearest, within 12
 * standard deviations of the codes' rounding error, by their exact rows. Of many
 * rows only those are compared that a graph proposes (model/knnindex).
 * Source: Cover & Hart 1967, doi:10.1109/TIT.1967.1053964; weights after
 * Dudani 1976, doi:10.1109/TSMC.1976.5408784.
 * Depends on: data/dataset, math/dot, math/hnsw, math/topk, fmt/safetensors.
 * Threads: a fitted or loaded knn is immutable; each thread brings its scratch.
 */
#ifndef LLMR_MODEL_KNN_H
#define LLMR_MODEL_KNN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "math/dot.h"
#include "math/hnsw.h"
#include "model/scorer.h"

enum knn_weights { KNN_UNIFORM, KNN_DISTANCE, KNN_SOFTMAX };
enum knn_metric { KNN_COSINE, KNN_EUCLIDEAN };
/* How neighbours are found: every row compared, a graph, or what their number asks for. */
enum knn_index { KNN_INDEX_AUTO, KNN_INDEX_EXACT, KNN_INDEX_HNSW };

#define KNN_MAX_NEIGHBORS 100000
#define KNN_MAX_DIM 65536
/* With fewer neighbours the mean is so noisy that choosing by it loses to the best single model. */
#define KNN_FEW_NEIGHBORS 15
/* With more rows index=auto means hnsw. */
#define KNN_INDEX_ROWS 100000

/* Hyperparameters; names and ranges are those of llmr-train(1). */
struct knn_params {
	size_t n_neighbors;		/* 1..KNN_MAX_NEIGHBORS */
	enum knn_weights weights;	/* uniform 1; distance 1/d; softmax exp((s - s_1)/temperature) */
	enum knn_metric metric;
	double temperature;		/* of softmax, in units of cosine; > 0 */
	double prior_weight;		/* neighbours' weight that a model's overall mean counts for; >= 0 */
	enum knn_index index;		/* auto is resolved by a fit */
	size_t m;			/* "M": a row's links on upper levels, twice as many on the lowest */
	size_t ef_construction;		/* rows kept in view while the graph is built */
	size_t ef_search;		/* and while it is searched; 0: chosen for the recall below */
	double recall;			/* share of the 10 nearest that a search should find; 0.5..1 */
	bool given;			/* n_neighbors was set; else it shrinks with few rows (knn_neighbors) */
};
#define KNN_PARAMS_INIT { 200, KNN_SOFTMAX, KNN_COSINE, 0.2, 1.0, KNN_INDEX_AUTO, 24, 80, 0, 0.99, \
	false }

/*
 * Neighbours used on n rows: n_neighbors when given, else 200 or a seventh of
 * the rows, whichever is less, and no fewer than KNN_FEW_NEIGHBORS; never more than n.
 */
size_t knn_neighbors(const struct knn_params *, size_t n);

/*
 * Set one by name: n_neighbors (k), weights, metric (distance_metric),
 * temperature, prior_weight, index, M, ef_construction, ef_search, recall. 0;
 * 1 when the name is not one of them; -1 and ERR_USAGE for a bad value.
 */
int knn_params_set(struct knn_params *, const char *name, const char *value, struct err *e);
/* As members of an open JSON object. */
void knn_params_write(const struct knn_params *, struct jsonw *);
/* From JSON object text; names other than the above are skipped. ERR_INPUT when one is wrong. */
int knn_params_read(struct knn_params *, struct slice json, struct err *e);

/* Of a graph's neighbours, how many are those that comparing every row finds; sample 0: not measured. */
struct knn_recall {
	size_t sample;			/* rows measured on, which were not in the graph yet */
	double at_10, at_k;		/* of the 10 nearest (or k, when less), of the k nearest */
};

struct knn {
	size_t n, d, m;			/* training prompts, dimensions, models */
	struct knn_params params;	/* n_neighbors lowered to n */
	const uint16_t *rows;		/* [n x d] binary16 */
	const float *score;		/* [n x m] 0..1, -1 = not observed */
	const float *cost;		/* [n x m] USD, -1 = unknown; NULL when no cost is known */
	const float *weight;		/* [n] what a row counts for beside its similarity, > 0; NULL = all 1 */
	const float *score_mean;	/* [m] weighted, over observed cells, 0.5 when a model has none */
	const float *cost_mean;		/* [m] USD, -1 = unknown */
	/* Made of rows when fitted or loaded: */
	float *half_norm;		/* [n] |row|^2 / 2, for the Euclidean metric */
	size_t stride;			/* d rounded up to a multiple of 64 */
	uint8_t *code;			/* [n x stride] */
	float *code_scale, max_scale;	/* [n] row = (code - 128) * scale, nearly */
	enum dot_kernel kernel;
	struct hnsw graph;		/* n == 0: none, every row is compared */
	bool graph_owned;		/* else borrowed from the file, but for first */
	struct knn_recall recall;	/* of a fitted one */
	void *owned[6];			/* blocks to free; a loaded knn borrows from its file */
};

/* The kind's table of functions (model/scorer); what follows is what it is made of. */
extern const struct scorer_kind knn_kind;

/* vectors [ds->n x d] row-major, finite. */
struct knn *knn_fit(const struct knn_params *, const struct dataset *ds, const float *vectors,
	size_t d, struct err *e);
void knn_free(struct knn *);		/* NULL is fine */

/*
 * Tensors PREFIX "knn.*" into an artifact (borrowed until it is saved), and
 * back (borrowed from the file, checked).
 */
int knn_save(const struct knn *, const char *prefix, struct tensorfile_writer *, struct err *e);
struct knn *knn_load(const struct tensorfile *, const char *prefix, size_t m, size_t d,
	struct slice hparams, struct err *e);

struct knn_scratch {
	float *sim, *exact, *work;	/* [n] similarity to each row, roughly; of candidates; scratch */
	uint32_t *candidate;		/* [n] rows compared exactly */
	int8_t *code;			/* [stride] of the query */
	struct hnsw_scratch *graph;	/* NULL when there is no graph */
	uint32_t *index;		/* [k] the neighbours, ascending row numbers unless by a graph */
	float *near;			/* [k] their exact similarities */
	double *weight;			/* [k] */
	double *sum;			/* [4 x m] */
	size_t k;			/* neighbours found by the last knn_score; 0 for a zero vector */
};
struct knn_scratch *knn_scratch_new(const struct knn *, struct err *e);
void knn_scratch_free(struct knn_scratch *);

#define KNN_NO_ROW ((size_t)-1)
/*
 * Predict for one vector q [d] of unit length.
 *   score [m] 0..1       cost [m] USD, NaN = unknown
 *   skip  a row to leave out (leave-one-out estimates), or KNN_NO_ROW
 * A zero vector (no known term) gets every model's overall mean. Allocates
 * nothing. Time O(n d), by a graph about O(ef_search d log n).
 */
void knn_score(const struct knn *, const float *q, size_t skip, struct knn_scratch *, float *score,
	float *cost);
/*
 * The two searches by themselves: neighbours in s->index, s->near, s->k. By
 * comparing every row, left_out [n_out] excepted; and by a graph with ef rows in
 * view, false when it does not lead to k of them.
 */
void knn_nearest(const struct knn *, const float *q, const uint32_t *left_out, size_t n_out,
	struct knn_scratch *);
bool knn_approximate(const struct knn *, const struct hnsw *, const float *q, size_t skip, size_t ef,
	struct knn_scratch *);
/* Its rows' codes. */
struct dot_codes knn_codes(const struct knn *);

#endif
