/*
 * terms - text to hashed n-grams.
 *
 * Words: runs of letters, digits and '_' of at least two characters, lower
 * case, alone and in pairs of neighbours; a character of a script written
 * without spaces (Han, Kana, Thai, ...) is a word of its own. Characters: 3-, 4- and 5-grams
 * within each run of non-space, padded by a space on both sides, so operators,
 * brackets and punctuation count too. Everything goes by code point, never by
 * byte; invalid UTF-8 counts as U+FFFD. Lower case is folded for Latin, Greek,
 * Cyrillic and Armenian letters with a one-to-one partner.
 *
 * A term is known by a 64-bit hash alone. Two of a million distinct terms share
 * one with a chance of 3e-8; they would count as one term, no more.
 * Depends on: base/str.  Threads: a struct terms belongs to one thread.
 */
#ifndef LLMR_EMBED_TERMS_H
#define LLMR_EMBED_TERMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Part of every artifact: raised when the same text would give other terms. */
#define TERMS_VERSION 1
#define TERMS_MAX_BYTES ((size_t)1 << 20)

struct terms {
	size_t max_bytes;
	uint64_t *words;	/* [n_words] in order of the text, repeated as they occur */
	size_t n_words;
	uint64_t *chars;	/* [n_chars] */
	size_t n_chars;
	uint32_t *cp;		/* working memory: code points, and their classes */
	uint8_t *kind;
};

/* Room for texts cut to max_bytes, 16 .. TERMS_MAX_BYTES. */
int terms_init(struct terms *, size_t max_bytes, struct err *e);
void terms_finish(struct terms *);
/*
 * Terms of a text. Beyond max_bytes its middle is left out: the first and the
 * last half are read as if a space stood between. Allocates nothing.
 */
void terms_of(struct terms *, struct slice text);

/* Lower case of a code point, itself where there is none. For tests. */
uint32_t terms_lower(uint32_t cp);

#endif
