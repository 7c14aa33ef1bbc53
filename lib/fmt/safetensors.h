/*
 * safetensors - flat tensors behind a JSON header, hardened.
 *
 * Format: 8 bytes little-endian header length, JSON header, tensor bytes
 * (github.com/huggingface/safetensors). llmr pads the header with spaces so
 * that every tensor starts at a multiple of 64 bytes from the start of the file.
 * The format allows no gaps, so between tensors whose size is no multiple of 64
 * the writer puts fillers: U8 tensors of zeros named "_pad.N", which the reader
 * checks and leaves out of its list. Other readers accept the file as it is.
 * The reader checks header length, JSON, dtypes, shapes, alignment, offsets in
 * bounds, without gaps or overlaps, duplicate names, before anything is used.
 * Any bytes either load or give one error.
 * Depends on: fmt/jread, base/io.  Threads: immutable after load.
 */
#ifndef LLMR_FMT_SAFETENSORS_H
#define LLMR_FMT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum dtype {
	DTYPE_U8, DTYPE_I8, DTYPE_U16, DTYPE_I16, DTYPE_F16, DTYPE_BF16, DTYPE_U32, DTYPE_I32,
	DTYPE_F32, DTYPE_U64, DTYPE_I64, DTYPE_F64, DTYPE_BOOL
};
size_t dtype_size(enum dtype);
const char *dtype_name(enum dtype);	/* "F32" ... */

#define TENSOR_MAX_DIMS 4
struct tensor {
	struct slice name;
	enum dtype dtype;
	unsigned n_dims;
	uint64_t shape[TENSOR_MAX_DIMS];
	uint64_t elements;
	const void *data;		/* borrowed from the file, aligned to its dtype */
	uint64_t bytes;
};

struct tensorfile;

#define TENSORFILE_MAX_HEADER (16u << 20)
#define TENSORFILE_MAX_BYTES ((uint64_t)8 << 30)

/* The bytes of a file, 64-byte aligned, for tensorfile_take; to be freed. NULL and err on failure. */
void *tensorfile_read(const char *path, size_t *n, struct err *e);
/* Read into private memory (never mapped). */
struct tensorfile *tensorfile_load(const char *path, struct err *e);
/*
 * Map a regular file instead: starts at once, shares memory between processes.
 * Whoever can write the file can change it underneath, or end the process by
 * cutting it short: not for what a signature vouches for.
 */
struct tensorfile *tensorfile_map(const char *path, struct err *e);
/*
 * Parse n bytes at p, which must be 64-byte aligned. On success p belongs to
 * the file (free(3)); on failure it stays the caller's.
 */
struct tensorfile *tensorfile_take(void *p, size_t n, struct err *e);
void tensorfile_free(struct tensorfile *);
size_t tensorfile_count(const struct tensorfile *);
const struct tensor *tensorfile_at(const struct tensorfile *, size_t i);	/* by name, i < count */
/* NULL when absent. */
const struct tensor *tensorfile_find(const struct tensorfile *, const char *name);
/*
 * The tensor of that name with exactly this dtype and shape (0 in shape = any
 * size); else NULL and ERR_INPUT saying what differs.
 */
const struct tensor *tensorfile_need(const struct tensorfile *, const char *name, enum dtype,
	unsigned n_dims, const uint64_t *shape, struct err *e);
/* Value of a __metadata__ key, decoded; SLICE_NONE when absent. */
struct slice tensorfile_meta(const struct tensorfile *, const char *key);
size_t tensorfile_meta_count(const struct tensorfile *);
void tensorfile_meta_at(const struct tensorfile *, size_t i, struct slice *key,
	struct slice *value);
/* SHA-256 of the whole file (worked out at each call), and its size. */
void tensorfile_digest(const struct tensorfile *, uint8_t out[32]);
uint64_t tensorfile_bytes(const struct tensorfile *);
/* Those bytes; borrowed. */
const void *tensorfile_data(const struct tensorfile *);

/*
 * Writer: tensors' data are borrowed until save. The bytes depend on content
 * only: tensors are sorted by name, metadata by key.
 */
struct tensorfile_writer;
struct tensorfile_writer *tensorfile_writer_new(struct err *e);
int tensorfile_writer_meta(struct tensorfile_writer *, const char *key, const char *value,
	struct err *e);
int tensorfile_writer_add(struct tensorfile_writer *, const char *name, enum dtype,
	unsigned n_dims, const uint64_t *shape, const void *data, struct err *e);
/* Atomic. digest (SHA-256 of the file) may be NULL. */
int tensorfile_writer_save(struct tensorfile_writer *, const char *path, uint8_t digest[32],
	struct err *e);
void tensorfile_writer_free(struct tensorfile_writer *);

#endif
