#include "math/mat.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define LIBRARY "libopenblas.so.0"
#define BUFFER ((size_t)144 << 20)	/* at least the address space that OpenBLAS maps for a thread that calls it */
#define WARM 64				/* side of a product that is large enough to need it */
#define GRAM_WAVE 8		/* partial Gram matrices held at a time */

/* LAPACK's symmetric eigenproblem by divide and conquer, as Fortran calls it. */
typedef void eigen_fn(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
	double *w, double *work, const int *lwork, int *iwork, const int *liwork, int *info);

/* LAPACK's Cholesky solvers. */
typedef void solve_fn(const char *uplo, const int *n, const int *rhs, double *a, const int *lda,
	double *b, const int *ldb, int *info);
typedef void solve_float_fn(const char *uplo, const int *n, const int *rhs, float *a,
	const int *lda, float *b, const int *ldb, int *info);

/* Filled once under the lock of pthread_once, constant after. */
static struct {
	bool open, no_memory;
	char why[200];
	__typeof__(cblas_sgemm) *sgemm;
	__typeof__(cblas_ssyrk) *ssyrk;
	eigen_fn *eigen;
	solve_fn *solve;
	solve_float_fn *solve_float;
	char core[32], version[128];
} blas = { .core = "none", .version = "none" };

static void *
symbol(void *lib, const char *name)
{
	void *p = dlsym(lib, name);

	if (p == NULL && blas.why[0] == '\0')
		snprintf(blas.why, sizeof(blas.why), LIBRARY " has no %s", name);
	return p;
}

static void
copy_text(char *out, size_t cap, const char *s)
{
	size_t n = s == NULL ? 0 : strlen(s);

	if (n >= cap)
		n = cap - 1;
	if (n > 0)
		memcpy(out, s, n);
	out[n] = '\0';
}

const char *
mat_choice(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
		return "SkylakeX";
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return "Haswell";
#endif
	return NULL;
}

/* OpenBLAS reads both variables once, when it is loaded. */
static void
set_environment(void)
{
	if (mat_choice() != NULL)
		(void)setenv("OPENBLAS_CORETYPE", mat_choice(), 0);
	(void)setenv("OPENBLAS_NUM_THREADS", "1", 1);
}

/* Is there address space for n buffers? OpenBLAS itself would try for ever. */
static bool
have_room(size_t n)
{
	size_t bytes;
	void *p;

	if (!mem_mul(n, BUFFER, &bytes))
		return false;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	(void)munmap(p, bytes);
	return true;
}

/* dlsym gives an object pointer; POSIX says it may be a function's. */
#define TAKE(field, lib, name) (*(void **)(&(field)) = symbol(lib, name))

static void
load(void)
{
	__typeof__(openblas_set_num_threads) *set_threads;
	__typeof__(openblas_get_corename) *core;
	__typeof__(openblas_get_config) *config;
	const char *why;
	void *lib;

	set_environment();
	if (!have_room(1)) {
		blas.no_memory = true;
		return;
	}
	if ((lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		why = dlerror();
		copy_text(blas.why, sizeof(blas.why), why == NULL ? "cannot load " LIBRARY : why);
		return;
	}
	TAKE(blas.sgemm, lib, "cblas_sgemm");
	TAKE(blas.ssyrk, lib, "cblas_ssyrk");
	TAKE(blas.eigen, lib, "dsyevd_");
	TAKE(blas.solve, lib, "dposv_");
	TAKE(blas.solve_float, lib, "sposv_");
	TAKE(set_threads, lib, "openblas_set_num_threads");
	TAKE(core, lib, "openblas_get_corename");
	TAKE(config, lib, "openblas_get_config");
	if (blas.why[0] != '\0') {
		dlclose(lib);
		return;
	}
	set_threads(1);
	copy_text(blas.core, sizeof(blas.core), core());
	copy_text(blas.version, sizeof(blas.version), config());
	blas.open = true;
}

int
mat_open(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	if (blas.no_memory)
		return err_nomem(e);
	if (!blas.open)
		return err_set(e, ERR_UNAVAILABLE, "%s: install OpenBLAS (Debian: libopenblas0)",
			blas.why);
	return 0;
}

const char *
mat_core(void)
{
	return blas.core;
}

const char *
mat_version(void)
{
	return blas.version;
}

/* C = alpha op(A) op(B) + beta C in row-major order. */
static void
gemm(bool ta, bool tb, size_t rows, size_t cols, size_t k, float alpha, const float *a,
	size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
	blas.sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
		(blasint)rows, (blasint)cols, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb,
		beta, c, (blasint)ldc);
}

struct warming {
	pthread_barrier_t all;
	float *x;			/* [threads x 2 WARM^2] */
};

static void
warm_part(void *arg, size_t part, unsigned worker)
{
	struct warming *w = arg;
	float *x = w->x + part * 2 * WARM * WARM;

	(void)worker;
	/* All at once, so that each is given a buffer of its own. */
	(void)pthread_barrier_wait(&w->all);
	gemm(false, false, WARM, WARM, WARM, 1, x, WARM, x, WARM, 0, x + WARM * WARM, WARM);
	(void)pthread_barrier_wait(&w->all);
}

int
mat_warm(struct pool *pool, struct err *e)
{
	unsigned threads = pool_threads(pool);
	struct warming w;
	int r = -1;

	if (!have_room(threads))
		return err_nomem(e);
	w.x = mem_aligned(threads, 2 * sizeof *w.x * WARM * WARM, e);
	if (w.x != NULL && pthread_barrier_init(&w.all, NULL, threads) == 0) {
		pool_run(pool, threads, warm_part, &w);
		pthread_barrier_destroy(&w.all);
		r = 0;
	} else if (w.x != NULL)
		err_nomem(e);
	free(w.x);
	return r;
}

struct mul {
	float alpha, beta;
	struct mat a, b, c;
	bool transposed;
};

static size_t
blocks_of(size_t rows)
{
	return rows / MAT_BLOCK_ROWS + (rows % MAT_BLOCK_ROWS != 0);
}

static size_t
block_rows(size_t rows, size_t block)
{
	size_t from = block * MAT_BLOCK_ROWS;

	return rows - from < MAT_BLOCK_ROWS ? rows - from : MAT_BLOCK_ROWS;
}

static void
mul_part(void *arg, size_t part, unsigned worker)
{
	const struct mul *m = arg;
	size_t from = part * MAT_BLOCK_ROWS;

	(void)worker;
	gemm(false, m->transposed, block_rows(m->a.rows, part), m->c.cols, m->a.cols, m->alpha,
		m->a.x + from * m->a.ld, m->a.ld, m->b.x, m->b.ld, m->beta,
		m->c.x + from * m->c.ld, m->c.ld);
}

static void
mul(struct mul *m, struct pool *pool)
{
	if (!blas.open)
		BUG("matrix product before mat_open");
	if (m->c.rows != m->a.rows || m->c.cols != (m->transposed ? m->b.rows : m->b.cols) ||
		m->a.cols != (m->transposed ? m->b.cols : m->b.rows))
		BUG("matrix product of unequal shapes");
	if (m->c.rows > 0 && m->c.cols > 0)
		pool_run(pool, blocks_of(m->a.rows), mul_part, m);
}

void
mat_mul_nt(float alpha, struct mat a, struct mat b, float beta, struct mat c, struct pool *pool)
{
	mul(&(struct mul){ alpha, beta, a, b, c, true }, pool);
}

void
mat_mul_nn(float alpha, struct mat a, struct mat b, float beta, struct mat c, struct pool *pool)
{
	mul(&(struct mul){ alpha, beta, a, b, c, false }, pool);
}

void
mat_mul_tn(float alpha, struct mat a, struct mat b, float beta, struct mat c)
{
	if (!blas.open)
		BUG("matrix product before mat_open");
	if (c.rows != a.cols || c.cols != b.cols || a.rows != b.rows)
		BUG("matrix product of unequal shapes");
	if (c.rows > 0 && c.cols > 0)
		gemm(true, false, c.rows, c.cols, a.rows, alpha, a.x, a.ld, b.x, b.ld, beta, c.x,
			c.ld);
}

struct gram {
	float alpha;
	struct mat a;
	float *parts;		/* [GRAM_WAVE x k x k] */
	size_t first;		/* block of part 0 */
};

static void
gram_part(void *arg, size_t part, unsigned worker)
{
	const struct gram *g = arg;
	size_t k = g->a.cols, block = g->first + part;
	const float *rows = g->a.x + block * MAT_BLOCK_ROWS * g->a.ld;

	(void)worker;
	gemm(true, false, k, k, block_rows(g->a.rows, block), g->alpha, rows, g->a.ld, rows,
		g->a.ld, 0, g->parts + part * k * k, k);
}

int
mat_gram(float alpha, struct mat a, double *c, struct pool *pool, struct err *e)
{
	size_t k = a.cols, n = blocks_of(a.rows), square;
	struct gram g = { .alpha = alpha, .a = a };

	if (!blas.open)
		BUG("matrix product before mat_open");
	if (!mem_mul(k, k, &square))
		return err_nomem(e);
	for (size_t i = 0; i < square; i++)
		c[i] = 0;
	if (square == 0 || n == 0)
		return 0;
	if ((g.parts = mem_calloc(square, GRAM_WAVE * sizeof(*g.parts), e)) == NULL)
		return -1;
	for (g.first = 0; g.first < n; g.first += GRAM_WAVE) {
		size_t wave = n - g.first < GRAM_WAVE ? n - g.first : GRAM_WAVE;

		pool_run(pool, wave, gram_part, &g);
		for (size_t p = 0; p < wave; p++) {
			for (size_t i = 0; i < square; i++)
				c[i] += (double)g.parts[p * square + i];
		}
	}
	free(g.parts);
	return 0;
}

void
mat_gram_upper(struct mat a, float *c)
{
	if (!blas.open)
		BUG("matrix product before mat_open");
	if (a.cols > 0)
		blas.ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (blasint)a.cols, (blasint)a.rows,
			1, a.x, (blasint)a.ld, 0, c, (blasint)a.cols);
}

static int
check_solve(size_t n, size_t rhs, struct err *e)
{
	if (!blas.open)
		BUG("equations before mat_open");
	if (n > 46340 || rhs > 46340)
		return err_set(e, ERR_INPUT, "%zu equations are beyond 46340", n);
	return 0;
}

static int
solved(int info, struct err *e)
{
	if (info == 0)
		return 0;
	return err_set(e, ERR_INPUT, "equations are singular at row %d: raise lambda", info);
}

int
mat_solve(double *a, size_t n, double *b, size_t rhs, struct err *e)
{
	int size = (int)n, sides = (int)rhs, info = 0;

	if (check_solve(n, rhs, e) < 0)
		return -1;
	/* The lower triangle of Fortran's column-major is our upper one. */
	if (n > 0 && rhs > 0)
		blas.solve("L", &size, &sides, a, &size, b, &size, &info);
	return solved(info, e);
}

int
mat_solve_float(float *a, size_t n, size_t ld, float *b, size_t rhs, struct err *e)
{
	int size = (int)n, lda = (int)ld, sides = (int)rhs, info = 0;

	if (check_solve(n, rhs, e) < 0)
		return -1;
	if (n > 0 && rhs > 0)
		blas.solve_float("L", &size, &sides, a, &lda, b, &size, &info);
	return solved(info, e);
}

int
mat_eigen(double *a, size_t n, double *w, struct err *e)
{
	int size = (int)n, lwork = -1, liwork = -1, iwant, info = 0, *iwork = NULL;
	double want, *work = NULL;
	int r = -1;

	if (!blas.open)
		BUG("eigenvalues before mat_open");
	if (n > 8192)
		return err_set(e, ERR_INPUT, "eigenproblem of %zu rows is beyond 8192", n);
	if (n == 0)
		return 0;
	/* The lower triangle of Fortran's column-major is our upper one. */
	blas.eigen("V", "L", &size, a, &size, w, &want, &lwork, &iwant, &liwork, &info);
	lwork = (int)want;
	liwork = iwant;
	if (info == 0 && (work = mem_calloc((size_t)lwork, sizeof(*work), e)) != NULL &&
		(iwork = mem_calloc((size_t)liwork, sizeof(*iwork), e)) != NULL) {
		blas.eigen("V", "L", &size, a, &size, w, work, &lwork, iwork, &liwork, &info);
		r = info == 0 ? 0 : -1;
	}
	if (info != 0)
		err_set(e, ERR_INPUT, "eigenvalues did not converge (dsyevd: %d)", info);
	free(work);
	free(iwork);
	return r;
}
