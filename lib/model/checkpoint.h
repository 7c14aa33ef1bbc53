/*
 * checkpoint - finished pieces of a long training, so that it can go on after an interruption.
 *
 * A piece has a name, a path such as "cv.3/fit/mlp.0", and bytes: the choices
 * of a fold, the predictions of a hybrid's member for a part left out, the
 * state of a net after an epoch. Whoever works a piece out asks for it first;
 * each is a function of data and hyperparameters alone, so that a training
 * that goes on gives the same bytes as one that never stopped. Pieces are in
 * the machine's own byte order and tied to its CPU family, as artifacts' bytes are.
 * On disk it is a safetensors file: a U8 tensor a piece, what it belongs to as
 * metadata. What is read back is untrusted: sizes are checked here, values by
 * whoever takes them.
 * Depends on: fmt/safetensors, base.  Threads: safe, but checkpoint_save and
 * checkpoint_free need the others to be done.
 */
#ifndef LLMR_MODEL_CHECKPOINT_H
#define LLMR_MODEL_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct checkpoint;

/* Where a piece of work keeps its own pieces: a store and a path that goes before their names. */
struct checkpoint_at {
	struct checkpoint *store;	/* NULL: nothing is kept */
	char path[80];
};

/* A run of bytes; a piece is some of them end to end. */
struct checkpoint_part { void *p; size_t bytes; };

struct checkpoint *checkpoint_new(struct err *e);
void checkpoint_free(struct checkpoint *);	/* NULL is fine */

/* Say what the training is: "data", its digest. At most 16 pairs, both copied. 0 / -1. */
int checkpoint_identify(struct checkpoint *, const char *key, const char *value, struct err *e);
/*
 * Take the pieces of a file. ERR_INPUT when it is no checkpoint, or one of a
 * training that was identified otherwise: the message names what differs.
 */
int checkpoint_read(struct checkpoint *, const char *path, struct err *e);
/* Write identity and pieces, atomically. */
int checkpoint_save(const struct checkpoint *, const char *path, struct err *e);
/* How many pieces there are. */
size_t checkpoint_pieces(const struct checkpoint *);

/* Path of a part of the work: AT's own and a name as printf gives it. */
struct checkpoint_at checkpoint_below(const struct checkpoint_at *at, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * Copy a piece to where its n parts lie. False when it is not there or of
 * another size (then nothing is touched). at may be NULL or without a store.
 */
bool checkpoint_get(const struct checkpoint_at *at, const struct checkpoint_part *part, size_t n);
/* Keep a piece, in place of one of the same path. 0 / -1. Does nothing without a store. */
int checkpoint_put(const struct checkpoint_at *at, const struct checkpoint_part *part, size_t n,
	struct err *e);
/* Forget all pieces below a path: what they served is finished. */
void checkpoint_drop(const struct checkpoint_at *at);

#endif
