/*
 * embedbench - the sentence encoder on its own.
 *
 * embedbench E DTYPE PROMPTS LAPS [KERNELS]: PROMPTS holds texts, each behind its
 *   length (4 bytes, little-endian). One line for each call: microseconds of
 *   wall and of thread CPU time.
 * embedbench E DTYPE PROMPTS batch: texts a CPU second, as llmr embed goes.
 * embedbench peak: GFLOP/s of one core in fused multiply-add of 512 bits (float,
 *   bfloat16 pairs, 8-bit quads), GB/s of reading 4, 16 and 64 MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "embed/bertrun.h"
#include "math/mat.h"

static double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

#if defined(__x86_64__)
#define EIGHT(op) op " %%zmm0, %%zmm0, %%zmm1\n" op " %%zmm0, %%zmm0, %%zmm2\n" op " %%zmm0, %%zmm0, %%zmm3\n" \
	op " %%zmm0, %%zmm0, %%zmm4\n" op " %%zmm0, %%zmm0, %%zmm5\n" op " %%zmm0, %%zmm0, %%zmm6\n" \
	op " %%zmm0, %%zmm0, %%zmm7\n" op " %%zmm0, %%zmm0, %%zmm8\n" op " %%zmm0, %%zmm0, %%zmm9\n" \
	op " %%zmm0, %%zmm0, %%zmm10\n" op " %%zmm0, %%zmm0, %%zmm11\n" op " %%zmm0, %%zmm0, %%zmm12\n"
#define PEAK(name, op, flops)										\
__attribute__((target("avx512f"))) static double							\
name(void)												\
{													\
	double best = 0;										\
													\
	for (int lap = 0; lap < 7; lap++) {								\
		double start = cpu_us(), rate;								\
													\
		for (int i = 0; i < 500000; i++)							\
			__asm__ volatile(EIGHT(op) ::: "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6",	\
			    "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12");			\
		rate = 500000.0 * 12 * (flops) / (cpu_us() - start) / 1e3;				\
		best = rate > best ? rate : best;							\
	}												\
	return best;											\
}
PEAK(peak_f32, "vfmadd231ps", 32)
PEAK(peak_bf16, "vdpbf16ps", 64)
PEAK(peak_i8, "vpdpbusd", 128)
#endif

typedef uint64_t eight __attribute__((vector_size(64)));

#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
static double
bandwidth(size_t bytes)
{
	double best = 0;
	eight *p = aligned_alloc(64, bytes), sum[4] = { { 0 } };

	if (p == NULL)
		return 0;
	memset(p, 1, bytes);
	for (int lap = 0; lap < 12; lap++) {
		double start = cpu_us(), rate;

		for (size_t i = 0; i < bytes / sizeof *p; i += 4)
			for (size_t j = 0; j < 4; j++)
				sum[j] += p[i + j];
		rate = (double)bytes / (cpu_us() - start) / 1e3;
		best = rate > best ? rate : best;
	}
	for (size_t j = 1; j < 4; j++)
		sum[0] += sum[j];
	if (sum[0][0] == 42)
		puts("");
	free(p);
	return best;
}

static int
peak(void)
{
	double f32 = 0, bf16 = 0, i8 = 0;

#if defined(__x86_64__)
	if (!__builtin_cpu_supports("avx2"))
		return 69;
	if (__builtin_cpu_supports("avx512f"))
		f32 = peak_f32();
	if (__builtin_cpu_supports("avx512bf16"))
		bf16 = peak_bf16();
	if (__builtin_cpu_supports("avx512vnni"))
		i8 = peak_i8();
#endif
	printf("%.1f %.1f %.1f %.1f %.1f %.1f\n", f32, bf16, i8, bandwidth((size_t)4 << 20),
	    bandwidth((size_t)16 << 20), bandwidth((size_t)64 << 20));
	return 0;
}

static size_t
split(const struct buf *in, struct slice *out)
{
	size_t n = 0;

	for (size_t at = 0; at + 4 <= in->len; n++) {
		uint32_t k;

		memcpy(&k, in->p + at, 4);
		if (out != NULL)
			out[n] = (struct slice){ in->p + at + 4, k };
		at += 4 + k;
	}
	return n;
}

int
main(int argc, char **argv)
{
	struct bert_options o = { GEMM_F32, false };
	struct err e = ERR_INIT;
	struct buf in = BUF_INIT;
	struct bertrun *s = NULL;
	struct embed_times times;
	struct slice *texts;
	struct bert *b;
	float *out;
	size_t n;

	if (argc == 2 && strcmp(argv[1], "peak") == 0)
		return peak();
	if (argc < 5 || bert_dtype_parse(argv[2], &o.type, &e) < 0 || (b = bert_open(argv[1], &o, &e)) == NULL ||
	    io_read_file(argv[3], (size_t)1 << 30, &in, &e) < 0 || (s = bertrun_new(b, 0, &e)) == NULL) {
		fprintf(stderr, "%s\n", e.msg);
		return 64;
	}
	n = split(&in, NULL);
	texts = malloc((n + 1) * sizeof *texts);
	out = malloc((n + 1) * b->conf.hidden * sizeof *out);
	if (texts == NULL || out == NULL)
		return 75;
	split(&in, texts);
	if (argc > 5 && (mat_open(&e) < 0 || !bertrun_kernels(s, (size_t)atoi(argv[5]))))
		return 66;
	if (strcmp(argv[4], "batch") == 0) {
		double start = cpu_us();

		if (bertrun_batch(b, texts, n, WORDPIECE_HEAD, out, b->conf.hidden, NULL, &e) < 0)
			return 75;
		printf("%.2f\n", (double)n / (cpu_us() - start) * 1e6);
	}
	for (int lap = 0; strcmp(argv[4], "batch") != 0 && lap < atoi(argv[4]) + 1; lap++)
		for (size_t i = 0; i < n; i++) {
			double start = cpu_us();
			int64_t wall = clock_mono_ns();

			bertrun_text(b, texts[i], WORDPIECE_HEAD, s, out, &times);
			if (lap > 0)		/* the first warms up */
				printf("%.1f %.1f\n", (double)(clock_mono_ns() - wall) / 1e3, cpu_us() - start);
		}
	bertrun_free(s);
	bert_free(b);
	free(texts);
	free(out);
	buf_finish(&in);
	return 0;
}
