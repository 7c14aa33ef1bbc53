/*
 * smo - the quadratic programme of support vector machines, two variables at a time.
 *
 *   minimise 1/2 b'Kb - z'b + eps sum |b_i|   subject to   sum b_i = 0, lo <= b <= hi
 *
 * One form for classification (z = +-1, eps = 0, b = y alpha) and for
 * regression (z = targets, lo = -C, hi = C). A row that takes no part has
 * lo = hi = 0; its f still follows, which gives the decision value of rows held
 * out for nothing. Working sets by second-order information.
 * Source: Platt 1998 (MSR-TR-98-14); Fan, Chen, Lin 2005 (JMLR 6, WSS 2); the
 * stopping rule and the bias are those of Chang, Lin 2011, doi:10.1145/1961189.1961199.
 * Depends on: math/kernel, base/clock.  Threads: safe on different problems.
 */
#ifndef LLMR_MATH_SMO_H
#define LLMR_MATH_SMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "math/kernel.h"

/*
 * The matrix K [n x n] in 2 x 2 blocks: rows and columns before split, and the
 * rest (split == n: one block). n, split and every ld are multiples of
 * KERNEL_LANES, blocks are 64-byte aligned; cells of padding are finite.
 */
struct smo_matrix {
	size_t n, split;
	struct kernel_out block[2][2];	/* all f32, or all u16 in range */
	struct kernel_range range;
	const float *diagonal;		/* [n]; NULL: all 1 */
};

struct smo_problem {
	size_t n;			/* as the matrix, or rows of the decomposition */
	const float *z, *lo, *hi;	/* [n] lo <= 0 <= hi; 0 in the padding */
	float eps;
	double tolerance;		/* of the largest violation, 1e-3 */
	uint64_t max_steps;		/* 0: 100 n, at least 10 million */
	struct cancel *cancel;
};

/* What is solved for; starts at zero (smo_start) or at any feasible point with its f. */
struct smo_state {
	float *b;			/* [n] */
	float *f;			/* [n] Kb - z */
};

struct smo_outcome {
	double bias;			/* decision(x) = sum b_i K(x_i, x) + bias */
	double objective, violation;
	uint64_t steps;
	bool converged;
};

/* b = 0, f = -z. */
void smo_start(const struct smo_problem *, struct smo_state *);
/* Floats of work that smo_solve needs. */
size_t smo_work(size_t n);
/* work [smo_work(n)], 64-byte aligned. 0; -1 and ERR_INTR. */
int smo_solve(const struct smo_matrix *, const struct smo_problem *, struct smo_state *, float *work,
	struct smo_outcome *, struct err *e);

/*
 * Several problems over the same rows when K does not fit into memory: working
 * sets of many rows at a time (Osuna, Freund, Girosi 1997), whose kernel rows
 * are worked out once and serve every problem. bytes bounds the memory beside
 * the rows and the states. state[p] as above, n a multiple of KERNEL_LANES, at
 * least rows.x.rows. Same outcome for any number of threads.
 */
int smo_solve_blocks(const struct kernel *, struct kernel_rows rows, const struct smo_problem *,
	struct smo_state *, size_t problems, uint64_t bytes, struct smo_outcome *, struct pool *,
	struct err *e);

#endif
