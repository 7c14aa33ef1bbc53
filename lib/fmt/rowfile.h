/*
 * rowfile - a matrix of floats written row by row, in the format of its suffix.
 *
 * .safetensors: one F32 tensor "embeddings"; .npy: NumPy's format 1.0; .pt: the
 * zip that torch.save makes of one float tensor, stored and without code of any
 * kind, so that torch.load(weights_only=True) opens it. Rows go to PATH.part as
 * they come, behind room for the header; commit writes that, and renames. What
 * is in PATH.part can be gone on with: it names a key (of whatever makes the
 * rows) and a digest (of the input so far) that must be the same.
 * Depends on: base/io.  Threads: one at a time.
 */
#ifndef LLMR_FMT_ROWFILE_H
#define LLMR_FMT_ROWFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define ROWFILE_DIGEST 32

struct rowfile;

/* Does the suffix name a format? ERR_USAGE saying which there are. */
int rowfile_check(const char *path, struct err *e);
/*
 * Begin, or go on with PATH.part where its key is the same (unless restart).
 * ERR_INPUT when it is not. *rows: how many are there already; digest: the
 * input's after them (zeros at the start).
 */
struct rowfile *rowfile_open(const char *path, size_t dim, const uint8_t key[ROWFILE_DIGEST],
	bool restart, uint64_t *rows, uint8_t digest[ROWFILE_DIGEST], struct err *e);
/* Append n rows [n x dim]; digest is the input's after them. They count once this returns. */
int rowfile_add(struct rowfile *, const float *rows, size_t n, const uint8_t digest[ROWFILE_DIGEST],
	struct err *e);
/* Write the header, make PATH of it. Releases in any case. */
int rowfile_commit(struct rowfile *, struct err *e);
/* Release, and leave PATH.part for another time. NULL is fine. */
void rowfile_close(struct rowfile *);

#endif
