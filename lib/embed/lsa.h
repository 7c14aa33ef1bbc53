/*
 * lsa - latent semantic analysis over word and character n-grams.
 *
 * A text is a sparse row of two parts, words and characters (embed/terms), each
 * (1 + ln tf) * idf scaled to unit length, idf = ln((1 + n) / (1 + df)) + 1. The
 * row times the leading right singular vectors of the training rows, at unit
 * length, is the embedding (Deerwester et al. 1990, doi:10.1002/(SICI)1097-4571).
 * The vectors are kept as bytes with a scale for each term.
 * Depends on: embed/terms, embed/vocab, math/svd, math/gather, fmt/safetensors.
 * Threads: immutable once made; one scratch for each thread.
 */
#ifndef LLMR_EMBED_LSA_H
#define LLMR_EMBED_LSA_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "embed/embed.h"

struct jsonw;

struct lsa;
struct lsa_scratch;

#define LSA_MAX_DIM 4096

/* As embed_fit; every parameter is set. */
struct lsa *lsa_fit(const struct embed_params *, const struct slice *texts, size_t n,
	struct pool *, struct err *e);
void lsa_free(struct lsa *);
size_t lsa_dim(const struct lsa *);

struct lsa_scratch *lsa_scratch_new(const struct lsa *, struct err *e);
void lsa_scratch_free(struct lsa_scratch *);
/* out [dim]. */
void lsa_text(const struct lsa *, struct slice text, struct lsa_scratch *, float *out,
	struct embed_times *);

/*
 * Tensors embedder.slots U64 [cap], .weights F32 [terms x 2] (idf, scale),
 * .table I8 [terms x stride], stride = dim padded to GATHER_COLS.
 */
int lsa_save(const struct lsa *, struct tensorfile_writer *, struct err *e);
/* Members of the description's object. */
void lsa_describe(const struct lsa *, struct jsonw *);
/* dim and max_bytes from the description; the tensors are borrowed. */
struct lsa *lsa_load(const struct tensorfile *, size_t dim, size_t max_bytes, struct err *e);

#endif
