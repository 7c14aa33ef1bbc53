/*
 * hash - SHA-256 (FIPS 180-4) and hexadecimal. The only caller of libsodium below lib/trust.
 * Threads: pure; a struct sha256 belongs to one thread.
 */
#ifndef LLMR_FMT_HASH_H
#define LLMR_FMT_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
	_Alignas(8) unsigned char state[128];
	bool fast;	/* by the CPU's SHA instructions, else libsodium's code */
};
void sha256_init(struct sha256 *);
void sha256_add(struct sha256 *, const void *p, size_t n);
void sha256_final(struct sha256 *, uint8_t out[32]);
void sha256_bytes(const void *p, size_t n, uint8_t out[32]);
/* 2n digits and a NUL. */
void hex_format(const uint8_t *p, size_t n, char *out);

#endif
