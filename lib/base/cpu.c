#include "base/cpu.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
/* The builtin takes string literals only, hence the list by macro. */
#define FEATURES(X) X("sse4.2") X("avx") X("avx2") X("fma") X("avx512f") X("avx512bw") \
	X("avx512vl") X("avx512vbmi") X("avx512vnni") X("avx512bf16")
#define ADD(name) if (__builtin_cpu_supports(name)) add(out, cap, name);

static void
add(char *out, size_t cap, const char *name)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, cap - n, "%s%s", n > 0 ? " " : "", name);
}
#endif

void
cpu_features(char *out, size_t cap)
{
	if (cap == 0)
		return;
	out[0] = '\0';
#if defined(__x86_64__) || defined(__i386__)
	__builtin_cpu_init();
	FEATURES(ADD)
#elif defined(__aarch64__)
	(void)snprintf(out, cap, "neon");
#endif
	if (out[0] == '\0')
		(void)snprintf(out, cap, "baseline");
}
