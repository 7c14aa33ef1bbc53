/*
 * wordfile - a BERT tokenizer from the files of a Hugging Face directory.
 *
 * tokenizer.json where it is, else vocab.txt with tokenizer_config.json. Its
 * truncation and padding are not taken over: how many tokens count is the
 * encoder's affair. Whatever these files ask for that llmr does not do is
 * refused by name.
 * Depends on: embed/wordpiece, fmt/jread, base/io.  Threads: safe.
 */
#ifndef LLMR_EMBED_WORDFILE_H
#define LLMR_EMBED_WORDFILE_H

#include "base/err.h"
#include "base/str.h"
#include "embed/wordpiece.h"

/* NULL and err naming file and field. ERR_NOINPUT when there is neither file. */
struct wordpiece *wordfile_read(const char *dir, struct err *e);
/* The text of a tokenizer.json. */
struct wordpiece *wordfile_json(struct slice text, struct err *e);
/* The text of a vocab.txt, and of its tokenizer_config.json (SLICE_NONE: uncased, as BERT's own default). */
struct wordpiece *wordfile_vocab(struct slice vocab, struct slice config, struct err *e);

#endif
