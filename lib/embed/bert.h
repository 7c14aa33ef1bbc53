/*
 * bert - a sentence encoder of the BERT family: weights, configuration, tokenizer.
 *
 * Read from a Hugging Face directory (config.json, tokenizer.json or vocab.txt,
 * model.safetensors, the files of sentence-transformers) and packed in memory,
 * or from one file that was packed before and starts at once. The packed form,
 * hence the digest, is the same either way and on every machine.
 * Format of the file: llmr-artifact(5).
 * Depends on: embed/bertconf, embed/wordpiece, math/gemm, fmt/safetensors.
 * Threads: immutable once open.
 */
#ifndef LLMR_EMBED_BERT_H
#define LLMR_EMBED_BERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "embed/bertconf.h"
#include "embed/wordpiece.h"
#include "math/gemm.h"

struct tensorfile;		/* fmt/safetensors.h */
struct bert_store;		/* what was packed in memory */

#define BERT_FORMAT "1"

struct bert_layer {
	struct gemm_weights qkv, out, up, down;
	const float *norm_attention, *norm_output;	/* [2 x hidden] gamma, beta */
};

struct bert {
	struct bertconf conf;
	enum gemm_type type;
	struct wordpiece *tokens;
	const void *words;		/* [vocab x hidden] float (GEMM_F32) or bfloat16 */
	const float *places;		/* [positions x hidden], the type's embedding added */
	const float *norm;		/* [2 x hidden] */
	struct bert_layer *layers;	/* [conf.layers] */
	uint8_t digest[32];		/* of all of it as packed */
	char source[65];		/* SHA-256 of model.safetensors it was made of */
	const struct gemm_kernels *kernels;
	struct tensorfile *file;	/* what the weights borrow from; NULL when packed in memory */
	struct bert_store *store;
};

/* "fp32", "bf16", "int8". */
const char *bert_dtype(enum gemm_type);
/* ERR_USAGE for another name. */
int bert_dtype_parse(const char *name, enum gemm_type *out, struct err *e);

struct bert_options {
	enum gemm_type type;		/* of a directory; a packed file has its own */
	bool read;			/* a packed file into private memory, and its digest worked out anew */
};

/*
 * A directory or a packed file. NULL and err naming file and field or tensor:
 * ERR_NOINPUT, ERR_INPUT, ERR_TEMPFAIL.
 */
struct bert *bert_open(const char *path, const struct bert_options *, struct err *e);
/* A packed file that is in memory; owns it on success only. */
struct bert *bert_take(struct tensorfile *, struct err *e);
void bert_free(struct bert *);		/* NULL is fine */
/* Write the packed file. */
int bert_save(const struct bert *, const char *path, struct err *e);

#endif
