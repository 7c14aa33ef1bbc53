/*
 * encoder - a pretrained sentence encoder that embedders share.
 *
 * Opened once from where it lies; artifacts name it by digest, dtype, tokens
 * and truncation, never by place, and refuse another. Vectors are of unit
 * length. A memory of vectors (encoder_remember) spares cross-validation from
 * encoding the same texts in every fold.
 * Depends on: embed/bertrun.  Threads: safe.
 */
#ifndef LLMR_EMBED_ENCODER_H
#define LLMR_EMBED_ENCODER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "embed/bert.h"
#include "embed/embed.h"

struct jsonw;
struct encoder;
struct encoder_scratch;

struct encoder_options {
	enum gemm_type type;		/* of a directory */
	bool read;			/* into private memory, digest verified */
	enum wordpiece_cut cut;		/* what of a long text is kept */
};
#define ENCODER_OPTIONS_INIT { GEMM_BF16, false, WORDPIECE_HEAD }

/* "bert:PATH", PATH a Hugging Face directory or a packed file. NULL and err. */
struct encoder *encoder_open(const char *spec, const struct encoder_options *, struct err *e);
void encoder_free(struct encoder *);		/* NULL is fine */
size_t encoder_dim(const struct encoder *);
const struct bert *encoder_bert(const struct encoder *);
/* "head", "tail", "middle". ERR_USAGE for another name. */
int encoder_cut_parse(const char *name, enum wordpiece_cut *out, struct err *e);
/* Keep vectors of encoder_batch from now on, at most so many bytes. */
int encoder_remember(struct encoder *, size_t max_bytes, struct err *e);

struct encoder_scratch *encoder_scratch_new(const struct encoder *, struct err *e);
void encoder_scratch_free(struct encoder_scratch *);
/* out [dim] of unit length. No allocation. */
void encoder_text(const struct encoder *, struct slice text, struct encoder_scratch *, float *out,
	struct embed_times *);
/* out [n x ld]: dim floats in each row, of unit length. */
int encoder_batch(const struct encoder *, const struct slice *texts, size_t n, float *out, size_t ld,
	struct pool *, struct err *e);

/* What an artifact stores of it: members of an open JSON object; and whether it is the one a description names. */
void encoder_describe(const struct encoder *, struct jsonw *);
/* ERR_INPUT telling how it differs from the JSON object. Takes over the truncation. */
int encoder_match(struct encoder *, struct slice description, struct err *e);

#endif
