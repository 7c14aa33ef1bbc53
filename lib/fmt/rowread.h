/*
 * rowread - a matrix of floats from a file, as rowfile and others write it.
 *
 * By content: NumPy's .npy (float16, 32, 64; NEP 1), safetensors (the tensor
 * "embeddings", or the only one of two dimensions), and the zip of torch.save
 * with one tensor in it. Of its pickle just the opcodes that rebuild a tensor
 * are taken, each where it must stand: nothing is run, and nothing else reads.
 * Values become float32 and must be finite.
 * Depends on: fmt/safetensors, base.  Threads: safe.
 */
#ifndef LLMR_FMT_ROWREAD_H
#define LLMR_FMT_ROWREAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rowmatrix {
	float *v;		/* [rows x dim], row-major; to be freed */
	uint64_t rows;
	size_t dim;		/* > 0 */
};

/* ERR_INPUT naming the file and what is wrong, ERR_NOINPUT; *out is zeros then. */
int rowread_file(const char *path, struct rowmatrix *out, struct err *e);
/* The same from n bytes at p, 64-byte aligned. */
int rowread_bytes(const void *p, size_t n, struct rowmatrix *out, struct err *e);

#endif
