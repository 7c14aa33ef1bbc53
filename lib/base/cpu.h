/*
 * cpu - which instruction sets this CPU has, and the system grants.
 *
 * Threads: pure.
 */
#ifndef LLMR_BASE_CPU_H
#define LLMR_BASE_CPU_H

#include <stddef.h>

/* Space-separated names ("avx2 fma avx512f ..."), "baseline" when none is known. */
void cpu_features(char *out, size_t cap);

#endif
