/*
 * lanes - vectors of 16 floats, the same source for every instruction set.
 *
 * GCC's and clang's vector extension: with AVX-512 a vector is one register,
 * with AVX2 two, else four. Multiply and add are never fused (ISO mode, and the
 * pragma), so every instruction set gives the same bits. LANES_VARIANTS makes the three
 * functions NAME_512, NAME_256 and NAME_plain from the always inlined NAME_body (ret is
 * `return' or nothing);
 * LANES_CALL picks at run time.
 * Threads: pure.
 */
#ifndef LLMR_MATH_LANES_H
#define LLMR_MATH_LANES_H

#include <stdint.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#define LANES 16
typedef float lanes_f __attribute__((vector_size(64), may_alias));
typedef float lanes_fu __attribute__((vector_size(64), may_alias, aligned(4)));
typedef int32_t lanes_i __attribute__((vector_size(64), may_alias));
typedef uint16_t lanes_h __attribute__((vector_size(32), may_alias, aligned(2)));

#define LANES_BODY static inline __attribute__((always_inline))
/* mask is all ones or zeros in each lane. */
#define LANES_PICK(mask, a, b) ((lanes_f)(((mask) & (lanes_i)(a)) | (~(mask) & (lanes_i)(b))))
#define LANES_PICKI(mask, a, b) (((mask) & (a)) | (~(mask) & (b)))

#if defined(__x86_64__)
#define LANES_VARIANTS(type, ret, name, params, args)						\
	__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))	\
	static type name##_512 params { ret name##_body args; }				\
	__attribute__((target("avx2"))) static type name##_256 params { ret name##_body args; } \
	static type name##_plain params { ret name##_body args; }
#define LANES_CALL(name, args)									\
	(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&		\
	    __builtin_cpu_supports("avx512dq") ? name##_512 args :				\
	    __builtin_cpu_supports("avx2") ? name##_256 args : name##_plain args)
#else
#define LANES_VARIANTS(type, ret, name, params, args)						\
	static type name##_plain params { ret name##_body args; }
#define LANES_CALL(name, args) (name##_plain args)
#endif

#endif
