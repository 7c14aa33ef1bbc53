/*
 * wordpiece - BERT's tokenizer: text to token ids.
 *
 * BasicTokenizer (clean, ideographs apart, accents and capitals off where the
 * model is uncased, punctuation apart) and WordPiece (longest match first), as
 * of Devlin et al. 2019, arXiv:1810.04805. Ids equal those of Hugging Face's
 * tokenizers with encode_special_tokens=True: text that spells a special token,
 * "[SEP]", is text. Any bytes are text; those that are not UTF-8 are left out.
 * Reading stops when the budget is full.
 * Depends on: embed/unicode, fmt/safetensors.  Threads: immutable.
 */
#ifndef LLMR_EMBED_WORDPIECE_H
#define LLMR_EMBED_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct tensorfile;		/* fmt/safetensors.h */
struct tensorfile_writer;
struct jsonw;
struct sha256;			/* fmt/hash.h */

#define WORDPIECE_MAX_VOCAB ((size_t)1 << 20)
#define WORDPIECE_MAX_CHARS 200

struct wordpiece_options {
	bool lowercase, strip_accents, split_cjk;
	uint32_t max_chars;		/* of a word; a longer one is unknown. 1..WORDPIECE_MAX_CHARS */
	uint32_t unk, cls, sep;		/* ids */
};

/* What of a text too long for the budget is kept. */
enum wordpiece_cut { WORDPIECE_HEAD, WORDPIECE_TAIL, WORDPIECE_MIDDLE /* left out: both ends are kept */ };

struct wordpiece;

/*
 * tokens [n] by id, p == NULL where an id has none; those that begin with
 * prefix ("##") go on within a word. ERR_INPUT for a repeated token or an id of
 * options outside n.
 */
struct wordpiece *wordpiece_new(const struct wordpiece_options *, const struct slice *tokens,
	size_t n, struct slice prefix, struct err *e);
void wordpiece_free(struct wordpiece *);		/* NULL is fine */
const struct wordpiece_options *wordpiece_options(const struct wordpiece *);
size_t wordpiece_size(const struct wordpiece *);	/* ids are below */
/* Text of a token ("##" and all is lost: continued tells). SLICE_NONE for a hole. */
struct slice wordpiece_token(const struct wordpiece *, uint32_t id, bool *continued);

/*
 * ids [max] of the text, without [CLS] and [SEP]; returns how many. Of a longer
 * text, what cut says: exactly the first or last max tokens, or the first
 * (max + 1) / 2 and the last max / 2.
 */
size_t wordpiece_encode(const struct wordpiece *, struct slice text, enum wordpiece_cut,
	uint32_t *ids, size_t max);

/* Tensors tokenizer.text, .offset, .cells (borrowed until saved), and the options as members of an open JSON object. */
int wordpiece_save(const struct wordpiece *, struct tensorfile_writer *, struct err *e);
void wordpiece_describe(const struct wordpiece *, struct jsonw *);
/* What tells it from another: its tables and options, into a digest. */
void wordpiece_digest(const struct wordpiece *, struct sha256 *);
/* From them; description is JSON. Borrows the file's memory. */
struct wordpiece *wordpiece_load(const struct tensorfile *, struct slice description, struct err *e);

#endif
