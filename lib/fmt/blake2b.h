/*
 * blake2b - BLAKE2b (RFC 7693), unkeyed, digests of 64 bytes: what minisign signs.
 *
 * Faster here than libsodium's, and without loading a library for it.
 * Threads: pure; a struct blake2b belongs to one thread.
 */
#ifndef LLMR_FMT_BLAKE2B_H
#define LLMR_FMT_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>

struct blake2b {
	uint64_t h[8];
	uint64_t bytes;		/* digested; 2^64 at most */
	size_t used;		/* of block */
	uint8_t block[128];
};
void blake2b_init(struct blake2b *);
void blake2b_add(struct blake2b *, const void *p, size_t n);
void blake2b_final(struct blake2b *, uint8_t out[64]);

#endif
