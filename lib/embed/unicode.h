/*
 * unicode - what BERT's normaliser and splitter make of each code point.
 *
 * The properties are those of Hugging Face's tokenizers 0.23, which mixes
 * versions: categories of Unicode 8, decompositions and capitals of Unicode 16;
 * each code point was asked (share/unicode.py wrote unicode.inc).
 * Depends on: nothing.  Threads: pure.
 */
#ifndef LLMR_EMBED_UNICODE_H
#define LLMR_EMBED_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* Part of every packed encoder: raised when the same text would give other tokens. */
#define UNICODE_VERSION 1

enum unicode_flag {
	UNICODE_DROP = 1,		/* control, format, private use, NUL, U+FFFD: left out */
	UNICODE_SPACE = 2,
	UNICODE_CJK = 4,		/* ideograph: a word of its own */
	UNICODE_PUNCT = 8,		/* and the ASCII symbols */
	UNICODE_MARK = 16,		/* nonspacing mark: left out where accents are stripped */
	UNICODE_NONSTARTER = 32		/* combining class is not 0 */
};

unsigned unicode_flags(uint32_t cp);
/* Canonical combining class. */
unsigned unicode_class(uint32_t cp);

#define UNICODE_MAX_DECOMPOSITION 4
/* Full canonical decomposition (NFD, Hangul included): number of code points written to out. */
size_t unicode_decompose(uint32_t cp, uint32_t out[UNICODE_MAX_DECOMPOSITION]);
/* Small letter(s): 1, or 2 for U+0130. */
size_t unicode_lower(uint32_t cp, uint32_t out[2]);

#endif
