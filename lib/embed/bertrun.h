/*
 * bertrun - texts through a sentence encoder.
 *
 * The forward pass of Devlin et al. 2019 (arXiv:1810.04805), pooled and scaled
 * as the encoder's configuration says (Reimers, Gurevych 2019,
 * arXiv:1908.10084). Several texts may go through the products together; a
 * text's vector does not depend on its company, nor on the number of threads.
 * Depends on: embed/bert, math/gemm.  Threads: a scratch belongs to one thread.
 */
#ifndef LLMR_EMBED_BERTRUN_H
#define LLMR_EMBED_BERTRUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/str.h"
#include "embed/bert.h"
#include "embed/embed.h"

struct bertrun;

/* Working memory for texts of at most `tokens' tokens together, at least the encoder's max_tokens. */
struct bertrun *bertrun_new(const struct bert *, size_t tokens, struct err *e);
void bertrun_free(struct bertrun *);		/* NULL is fine */
/*
 * Take other kernels than the best of this CPU (for tests and measurements):
 * the i-th of gemm_kernels_at. False when there are fewer.
 */
bool bertrun_kernels(struct bertrun *, size_t i);

/* Token ids with [CLS] and [SEP], at most max_tokens of them, to ids [max_tokens]. */
size_t bertrun_tokens(const struct bert *, struct slice text, enum wordpiece_cut, uint32_t *ids);
/* out [hidden] of one text. No allocation. */
void bertrun_text(const struct bert *, struct slice text, enum wordpiece_cut, struct bertrun *,
	float *out, struct embed_times *);
/* out [n x ld], hidden floats in each row; texts of like length together, in parallel over the pool. */
int bertrun_batch(const struct bert *, const struct slice *texts, size_t n, enum wordpiece_cut,
	float *out, size_t ld, struct pool *, struct err *e);

#endif
