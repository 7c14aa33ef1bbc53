/*
 * hybridparams - the hyperparameters of a hybrid: its own, and those of each member.
 *
 * A member's hyperparameter is named with the member in front, knn.n_neighbors.
 * The functions are what model/scorer asks of a kind; model/hybrid lists them.
 * Depends on: model/hybrid, model/scorer.  Threads: plain data.
 */
#ifndef LLMR_MODEL_HYBRIDPARAMS_H
#define LLMR_MODEL_HYBRIDPARAMS_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "model/hybrid.h"
#include "model/scorer.h"

/* Kind that may be a member, by its place (0..HYBRID_MEMBERS-1); NULL when this build lacks it. */
const struct scorer_kind *hybridparams_kind(size_t i);
const char *hybridparams_name(size_t i);
/* A kind that hyperparameters were set of although it is no member; NULL when there is none. */
const char *hybridparams_idle(const void *params);
/* Hyperparameters of a kind among the members; NULL when it is none. */
const void *hybridparams_member(const void *params, const struct scorer_kind *);

/* As params_init, params_set, params_write and params_read of struct scorer_kind; params is a struct hybrid_params. */
void hybridparams_init(void *params);
int hybridparams_set(void *params, const char *name, const char *value, struct err *e);
void hybridparams_write(const void *params, struct jsonw *w);
int hybridparams_read(void *params, struct slice json, struct err *e);

#endif
