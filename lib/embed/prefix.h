/*
 * prefix - beginnings that many prompts share, and leaving them out.
 *
 * Benchmarks and applications put the same instructions or worked examples
 * before every question; what is common to all tells nothing, and where only
 * part of a prompt is read it hides the question. A beginning is kept when at
 * least PREFIX_MIN_TEXTS distinct texts and one in PREFIX_ONE_IN share it and
 * it is PREFIX_MIN_BYTES longer than a kept one that it begins with; it is cut
 * back to the end of a line or, failing that, of a word. Found by sorting the
 * texts and closing intervals of common prefixes.
 *
 * Only lengths and 64-bit hashes are kept, never the text.
 * Depends on: base, fmt/safetensors.  Threads: immutable once learned or loaded.
 */
#ifndef LLMR_EMBED_PREFIX_H
#define LLMR_EMBED_PREFIX_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct tensorfile;		/* fmt/safetensors.h */
struct tensorfile_writer;

#define PREFIX_MIN_TEXTS 20
#define PREFIX_ONE_IN 500
#define PREFIX_MIN_BYTES 512
#define PREFIX_MAX_BYTES 65536	/* as far as texts are compared */
#define PREFIX_MAX 256		/* kept, those of most texts first */

struct prefix;

/* *out stays NULL when nothing is common. The outcome depends on the set of texts alone. */
int prefix_learn(const struct slice *texts, size_t n, struct prefix **out, struct err *e);
void prefix_free(struct prefix *);		/* NULL is fine */
size_t prefix_count(const struct prefix *);
/* The text behind the longest known beginning; the whole text when nothing but white space would be left. */
struct slice prefix_strip(const struct prefix *, struct slice text);

/* Tensor embedder.prefix U64 [count x 3]: length, hash of the first PREFIX_MIN_BYTES, hash of all; by length. */
int prefix_save(const struct prefix *, struct tensorfile_writer *, struct err *e);
/* *out stays NULL when the file has none. */
int prefix_load(const struct tensorfile *, struct prefix **out, struct err *e);

#endif
