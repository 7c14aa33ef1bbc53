/*
 * vocab - document frequencies of terms, and the table of those that are kept.
 *
 * Accumulate, merge, finish: blocks of texts are counted apart and merged by
 * addition, so the outcome depends neither on threads nor on the blocks.
 * Depends on: embed/terms, base/pool.  Threads: see each function.
 */
#ifndef LLMR_EMBED_VOCAB_H
#define LLMR_EMBED_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "embed/terms.h"

#define VOCAB_NONE UINT32_MAX
#define VOCAB_MAX_TERMS ((size_t)1 << 24)

/*
 * Open-addressed table from term to row, [cap] slots, cap a power of two, at
 * least one slot empty. A slot is 0 or (upper 32 bits of the hash) << 32 | row + 1,
 * first looked for at hash & (cap - 1), then at the next ones. A text's term
 * that is not in the table is taken for one that is with a chance of about 2^-32
 * for each of the one or two slots that are looked at.
 */
struct vocab {
	const uint64_t *slots;
	size_t cap;
	size_t n;		/* terms; rows are 0..n-1 by document frequency, highest first */
};

static inline uint32_t
vocab_find(const struct vocab *v, uint64_t hash)
{
	size_t mask = v->cap - 1, i = hash & mask;
	uint64_t slot;

	while ((slot = v->slots[i]) != 0) {
		if (slot >> 32 == hash >> 32)
			return (uint32_t)slot - 1;
		i = (i + 1) & mask;
	}
	return VOCAB_NONE;
}

/*
 * Count the texts which[0..n) (they should be distinct) and keep the terms of
 * at least min_df of them, at most max_features, those of highest frequency,
 * ties by hash. *slots [v->cap] and *df [v->n] belong to the caller (free(3)).
 * ERR_INPUT when no term is left. workers [pool_threads] are used as scratch.
 */
int vocab_fit(const struct slice *texts, const size_t *which, size_t n, size_t min_df,
	size_t max_features, struct terms *workers, struct pool *, struct vocab *v,
	uint64_t **slots, uint32_t **df, struct err *e);

/* A table from a file: 0 when every look-up ends and gives a row below n. */
int vocab_check(const struct vocab *v, struct err *e);

#endif
