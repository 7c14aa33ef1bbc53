/*
 * mat - row-major float matrices; the only caller of BLAS.
 *
 * OpenBLAS is loaded at the first use (dlopen: 3 ms and 40 shared objects that
 * commands without matrices never pay for), held to one thread, and called on
 * blocks of fixed size, so that outcomes do not depend on the number of
 * threads. Its kernel is chosen deliberately: OpenBLAS 0.3.21 takes its AVX2
 * kernels, or worse, on CPUs newer than itself; mat_open asks for the one of
 * mat_choice, unless OPENBLAS_CORETYPE is set.
 * Threads: after mat_open all calls are safe from any thread.
 */
#ifndef LLMR_MATH_MAT_H
#define LLMR_MATH_MAT_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"

struct mat { float *x; size_t rows, cols, ld; };	/* ld >= cols: floats from row to row */

#define MAT_BLOCK_ROWS 512

/*
 * Load BLAS. ERR_UNAVAILABLE naming the package when there is none, ERR_TEMPFAIL without memory for it. Call
 * before threads start (it may set OPENBLAS_CORETYPE). Later calls are free.
 */
int mat_open(struct err *e);
/*
 * Let BLAS take the memory that it needs for each thread of the pool now, and
 * fail with ERR_TEMPFAIL where there is none: OpenBLAS would look for it for
 * ever. After mat_open, before the pool does anything else.
 */
int mat_warm(struct pool *, struct err *e);
/* The kernel that suits this CPU ("SkylakeX", "Haswell"); NULL: left to OpenBLAS. Loads nothing. */
const char *mat_choice(void);
/* Kernel in use ("SkylakeX"), version text; "none" before mat_open. */
const char *mat_core(void);
const char *mat_version(void);

/*
 * C = alpha A B^T + beta C. A [n x k], B [m x k], C [n x m]. Blocks of
 * MAT_BLOCK_ROWS rows over the pool.
 */
void mat_mul_nt(float alpha, struct mat a, struct mat b, float beta, struct mat c, struct pool *);
/* C = alpha A B + beta C. A [n x k], B [k x m]. */
void mat_mul_nn(float alpha, struct mat a, struct mat b, float beta, struct mat c, struct pool *);
/* C = alpha A^T B + beta C in the calling thread. A [k x n], B [k x m], C [n x m]. */
void mat_mul_tn(float alpha, struct mat a, struct mat b, float beta, struct mat c);
/*
 * c [k x k] = alpha A^T A for A [n x k]: fixed row blocks in single precision,
 * summed in order in double.
 */
int mat_gram(float alpha, struct mat a, double *c, struct pool *, struct err *e);

/* Upper triangle of c [k x k] = A^T A for A [n x k], in the calling thread. */
void mat_gram_upper(struct mat a, float *c);

/*
 * Solve A X = B for a symmetric positive definite A [n x n], of which the upper
 * triangle is read and overwritten, by Cholesky (LAPACK dposv, sposv) in the
 * calling thread. b [rhs x n]: each right side is a row, replaced by its
 * solution. ERR_INPUT when A is not positive definite.
 */
int mat_solve(double *a, size_t n, double *b, size_t rhs, struct err *e);
/* ld >= n: floats from row to row of a. */
int mat_solve_float(float *a, size_t n, size_t ld, float *b, size_t rhs, struct err *e);

/*
 * Eigenvalues of a symmetric matrix (LAPACK dsyevd). a [n x n] is read from
 * its upper triangle and becomes the eigenvectors, one per row; w [n] the
 * values, ascending. n <= 8192. ERR_INPUT when it does not converge.
 */
int mat_eigen(double *a, size_t n, double *w, struct err *e);

#endif
