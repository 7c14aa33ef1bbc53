/*
 * bertconf - what the JSON files of a sentence encoder say.
 *
 * config.json (Hugging Face transformers), modules.json, 1_Pooling/config.json
 * and sentence_bert_config.json (sentence-transformers). How many tokens count
 * is max_seq_length of sentence_bert_config.json: the truncation and padding
 * written into tokenizer.json (often 128) are not what sentence-transformers
 * uses. Without that file it is the least of model_max_length and
 * max_position_embeddings.
 * Depends on: fmt/jread, base/io.  Threads: safe.
 */
#ifndef LLMR_EMBED_BERTCONF_H
#define LLMR_EMBED_BERTCONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct jsonw;

#define BERTCONF_MAX_TOKENS 4096
#define BERTCONF_MAX_LAYERS 48

struct bertconf {
	size_t layers, hidden, heads, inner, vocab, positions, types;
	size_t max_tokens;		/* [CLS] and [SEP] included */
	double eps;
	bool relu;			/* else gelu */
	bool cls;			/* pooling by the first token, else the mean */
	bool normalize;
};

/* NULL modules.json: mean pooling, not normalised, as sentence-transformers does. -1 and err naming file and field. */
int bertconf_read(const char *dir, struct bertconf *, struct err *e);
/* config.json alone and, unless absent, a pooling configuration: the texts. */
int bertconf_check(struct slice config, struct slice pooling, struct bertconf *, struct err *e);
/* Members of an open JSON object, and back from such an object; sizes are checked either way. */
void bertconf_write(const struct bertconf *, struct jsonw *);
int bertconf_parse(struct slice json, struct bertconf *, struct err *e);

#endif
