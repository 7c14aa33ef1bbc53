/*
 * b64 - strict base64 (RFC 4648, 4): padded, no other characters, no spare bits.
 *
 * Depends on: libsodium, base/str.  Threads: pure.
 */
#ifndef LLMR_TRUST_B64_H
#define LLMR_TRUST_B64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* The whole text into out (at most cap bytes), *n of them. False when it is not exactly base64. */
bool b64_decode(struct slice text, uint8_t *out, size_t cap, size_t *n);

#endif
