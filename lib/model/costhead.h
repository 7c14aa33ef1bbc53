/*
 * costhead - each model's cost on a prompt, for kinds that learn scores alone.
 *
 * A ridge regression (model/ridge) on the known costs. Zeroed memory is a head
 * that knows no cost.
 * Depends on: model/ridge, model/target.
 * Threads: immutable once fitted or loaded; each thread brings its scratch.
 */
#ifndef LLMR_MODEL_COSTHEAD_H
#define LLMR_MODEL_COSTHEAD_H

#include "model/scorer.h"

struct costhead {
	void *ridge;			/* NULL when no cost is known */
	size_t m;
};

struct costhead_scratch {
	void *ridge;
	float *score;			/* [m] which nobody asks for */
};

/* 0 / -1 and err; release with costhead_finish in any case. mat_open was called. */
int costhead_fit(struct costhead *, const struct scorer_data *, struct err *e);
void costhead_finish(struct costhead *);
/* Bytes that fitting holds beside the data. */
uint64_t costhead_memory(size_t n, size_t d, size_t m);
/* Tensors PREFIX NAME ".cost.ridge..."; none without costs. Back from a file, checked. */
int costhead_save(const struct costhead *, const char *prefix, const char *name,
	struct tensorfile_writer *, struct err *e);
int costhead_load(struct costhead *, const struct tensorfile *, const char *prefix,
	const char *name, size_t m, size_t d, struct err *e);
/* 0 / -1 and err; release with costhead_scratch_finish in any case. */
int costhead_scratch_init(struct costhead_scratch *, const struct costhead *, struct err *e);
void costhead_scratch_finish(struct costhead_scratch *);
/* cost [m] USD, NaN = unknown. */
void costhead_score(const struct costhead *, const float *q, struct costhead_scratch *,
	float *cost);

#endif
