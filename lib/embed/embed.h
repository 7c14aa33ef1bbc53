/*
 * embed - text to vector.
 *
 * An embedder is immutable once fitted or loaded and may be shared by threads;
 * each thread brings its own scratch, so that embedding allocates nothing.
 * Vectors are of unit length (or all zero for a text without known terms).
 * Depends on: fmt/safetensors, math/mat.
 */
#ifndef LLMR_EMBED_EMBED_H
#define LLMR_EMBED_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"

struct embedder;
struct embed_scratch;
struct encoder;			/* embed/encoder.h */
struct tensorfile;		/* fmt/safetensors.h */
struct tensorfile_writer;
struct jsonw;

/* Times of the last embed_text in a scratch, microseconds. */
struct embed_times { double tokenize_us, project_us; };

#define EMBED_MIN_DF 2
#define EMBED_MAX_FEATURES 40000
#define EMBED_LIMIT_FEATURES ((size_t)4 << 20)
#define EMBED_MAX_BYTES 4096

/* Hyperparameters; 0 / NULL mean default. Names as in llmr-train(1). */
struct embed_params {
	/*
	 * "lsa" (default), "hash", "shape", "bert:PATH", or some of them joined:
	 * "lsa+shape". The parts of a join lie side by side, scaled to unit length
	 * together; lsa and bert count twice as much as each of the others.
	 */
	const char *kind;
	struct encoder *encoder;	/* of a bert part: open already, borrowed for the embedder's life; else NULL */
	size_t dim;			/* lsa 256, hash 384; of a join's first part that is neither shape nor bert */
	size_t min_df;			/* lsa: distinct queries that hold a term, at least 2, the default */
	size_t max_features;		/* lsa: vocabulary size limit, EMBED_MAX_FEATURES; highest frequency first */
	size_t max_bytes;		/* bytes of a prompt that are read, both ends kept: EMBED_MAX_BYTES */
	uint64_t seed;
};

/* Is it the name of an embedder that can be fitted? ERR_INPUT saying which there are. */
int embed_check_kind(const char *name, struct err *e);
/* "bert:PATH" within such a name, SLICE_NONE when it has no bert part; name must be one that embed_check_kind takes. */
struct slice embed_encoder_spec(const char *name);
/*
 * Learn from n texts; a long beginning that many of them share is left out
 * (embed/prefix). Same bytes for any number of threads.
 */
struct embedder *embed_fit(const struct embed_params *, const struct slice *texts, size_t n,
	struct pool *pool, struct err *e);
/*
 * Bytes that embed_fit holds at its peak on these texts, as an upper bound, and
 * *kept of them as long as the embedder lives; *dim is the length of its vectors.
 */
uint64_t embed_memory(const struct embed_params *, const struct slice *texts, size_t n,
	uint64_t *kept, size_t *dim);
size_t embed_dim(const struct embedder *);
const char *embed_kind(const struct embedder *);
/* The encoder of a bert part, NULL when there is none. */
struct encoder *embed_encoder(const struct embedder *);
/* Does the same text come out a little different on another CPU? With an encoder in bf16 or int8 it does. */
bool embed_varies(const struct embedder *);
void embed_free(struct embedder *);

struct embed_scratch *embed_scratch_new(const struct embedder *, struct err *e);
void embed_scratch_free(struct embed_scratch *);
/* out [dim]. No allocation. Any bytes are valid text (invalid UTF-8 counts as U+FFFD). */
void embed_text(const struct embedder *, struct slice text, struct embed_scratch *, float *out);
struct embed_times embed_scratch_times(const struct embed_scratch *);
/* out [n x dim] row-major, in parallel over the pool. */
int embed_batch(const struct embedder *, const struct slice *texts, size_t n, float *out,
	struct pool *pool, struct err *e);

/*
 * Tensors under "embedder." into an artifact (borrowed until it is saved), and
 * its description as the value of llmr.embedder: a JSON object with kind, dim,
 * max_bytes, terms_version and what else the kind has to tell.
 */
int embed_save(const struct embedder *, struct tensorfile_writer *, struct err *e);
void embed_describe(const struct embedder *, struct jsonw *);
/* Does that description name an encoder? False too where it cannot be read. */
bool embed_names_encoder(struct slice description);
/*
 * From an artifact: description (JSON text) and tensors, all checked (shapes,
 * finite numbers, indices in bounds). Borrows the tensorfile's memory, and the
 * encoder where the description names one (NULL: ERR_INPUT then); it must be
 * the very same.
 */
struct embedder *embed_load(const struct tensorfile *, struct slice description, struct encoder *,
	struct err *e);

#endif
