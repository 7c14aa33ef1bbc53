/*
 * knnindex - the graph of a knn router over many rows, and how well it serves.
 *
 * Above KNN_INDEX_ROWS rows comparing all of them takes longer than a request
 * should wait, so a graph (math/hnsw) over the rows' 8-bit codes proposes
 * candidates, which are compared exactly. That may miss neighbours: how many is
 * measured before the graph is finished, on rows that are not in it yet, and
 * the width of the search is set by it.
 * Depends on: model/knn, math/hnsw.  Threads: as model/knn.
 */
#ifndef LLMR_MODEL_KNNINDEX_H
#define LLMR_MODEL_KNNINDEX_H

#include <stdbool.h>

#include "model/knn.h"

/* Whether rows of that number are to be indexed, by index=auto|exact|hnsw. */
bool knnindex_wanted(const struct knn_params *, size_t n, size_t k);
/* Peak bytes of the index while it is built, beside rows and codes. */
uint64_t knnindex_memory(const struct knn_params *, size_t n);

/*
 * Build the graph over the codes, measure its recall and choose ef_search where
 * it is 0. Same outcome for any number of threads. ERR_INTR when cancelled.
 */
int knnindex_build(struct knn *, uint64_t seed, struct pool *, struct cancel *, struct err *e);
/* Release it. */
void knnindex_finish(struct knn *);

/* Tensors PREFIX "knn.links", "knn.levels", "knn.upper_links"; nothing when there is no graph. */
int knnindex_save(const struct knn *, const char *prefix, struct tensorfile_writer *, struct err *e);
/* Back, borrowed from the file, each link checked; a file without them has no graph. */
int knnindex_load(struct knn *, const struct tensorfile *, const char *prefix, struct err *e);

#endif
