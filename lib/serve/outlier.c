#include "serve/outlier.h"

#include <math.h>
#include <stdlib.h>

#include "math/dot.h"
#include "model/drift.h"
#include "model/knn.h"

#define SAMPLE 256

/* Similarity to the nearest of the neighbours that were found; nothing is near a text without a known term. */
static float
nearest(const struct knn_scratch *s)
{
	float best = -INFINITY;

	for (size_t i = 0; i < s->k; i++)
		best = fmaxf(best, s->near[i]);
	return best;
}

static int
by_value(const void *x, const void *y)
{
	float a = *(const float *)x, b = *(const float *)y;

	return (a > b) - (a < b);
}

/* Every n/SAMPLE-th row against all others. */
static float
bound(const struct knn *knn, struct knn_scratch *s, float *vector, float *score, float *cost)
{
	size_t n = knn->n < SAMPLE ? knn->n : SAMPLE;
	float sim[SAMPLE];

	for (size_t i = 0; i < n; i++) {
		size_t row = i * knn->n / n;

		for (size_t j = 0; j < knn->d; j++)
			vector[j] = dot_from_half(knn->rows[row * knn->d + j]);
		knn_score(knn, vector, row, s, score, cost);
		sim[i] = nearest(s);
	}
	qsort(sim, n, sizeof *sim, by_value);
	return sim[(size_t)(DRIFT_OOD * (double)n)];
}

void
outlier_calibrate(struct loaded *l)
{
	const struct knn *knn = router_knn(l->router);
	struct knn_scratch *s;
	struct err e = ERR_INIT;
	float *room;

	if (knn == NULL || knn->n < 2)
		return;
	room = calloc(knn->d + 2 * knn->m, sizeof *room);
	if (room != NULL && (s = knn_scratch_new(knn, &e)) != NULL) {
		atomic_store(&l->outlier_below, bound(knn, s, room, room + knn->d, room + knn->d + knn->m));
		knn_scratch_free(s);
	}
	free(room);
}

bool
outlier_is(const struct loaded *l, const struct router_scratch *scratch)
{
	float below = atomic_load_explicit(&l->outlier_below, memory_order_relaxed);
	const struct knn_scratch *s;

	if (isnan(below) || (s = router_knn_scratch(l->router, scratch)) == NULL)
		return false;
	return nearest(s) < below;
}
