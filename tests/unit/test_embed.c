#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "embed/embed.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "math/mat.h"

/*
 * Allocations of this program's own code are counted where the C library lets
 * us; the sanitizers bring their own allocator.
 */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
	!defined(__clang__)
#define COUNTED 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
static atomic_size_t allocations;

void *
malloc(size_t n)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(p, n);
}
#else
#define COUNTED 0
static atomic_size_t allocations;
#endif

/* Prompts of four families, enough alike that their terms recur. */
#define N 1200
static char words[N][128];

static void
make_texts(struct slice *out)
{
	static const char *const form[] = {
		"Write a python function that sorts a list of %d numbers by their %d-th digit",
		"What is the capital city of country number %d, and of its neighbour %d?",
		"Integrate the polynomial x^%d + 3x - %d over the unit interval",
		"\xe8\xaf\xb7\xe6\x8a\x8a\xe7\xac\xac%d\xe4\xb8\xaa\xe5\x8f\xa5\xe5\xad\x90\xe7\xbf"
		"\xbb\xe8\xaf\x91\xe6\x88\x90\xe8\x8b\xb1\xe8\xaf\xad %d",
	};

	for (int i = 0; i < N; i++) {
		snprintf(words[i], sizeof(words[i]), i % 4 == 0 ? form[0] : i % 4 == 1 ? form[1] :
			i % 4 == 2 ? form[2] : form[3], i * 7 % 211, i % 13);
		out[i] = slice_str(words[i]);
	}
}

static struct embedder *
fit(const char *kind, size_t dim, const struct slice *texts, size_t n, unsigned threads,
	struct err *e)
{
	struct embed_params p = { .kind = kind, .dim = dim, .max_features = 3000, .seed = 7 };
	struct pool *pool = pool_new(threads, e);
	struct embedder *m = embed_fit(&p, texts, n, pool, e);

	pool_free(pool);
	return m;
}

/* Save under path with the description in the metadata. */
static void
save(const struct embedder *m, const char *path, uint8_t digest[32])
{
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	struct buf b = BUF_INIT;
	struct jsonw j;

	jsonw_init(&j, &b);
	embed_describe(m, &j);
	cr_assert(tensorfile_writer_meta(w, "llmr.embedder", buf_cstr(&b), NULL) == 0);
	cr_assert(embed_save(m, w, NULL) == 0);
	cr_assert(tensorfile_writer_save(w, path, digest, NULL) == 0);
	tensorfile_writer_free(w);
	buf_finish(&b);
}

static void
open_or_skip(void)
{
	struct err e = ERR_INIT;

	if (mat_open(&e) < 0)
		cr_skip_test("%s", e.msg);
}

static void
temp_path(char path[64])
{
	int fd;

	snprintf(path, 64, "/tmp/llmr-embed-XXXXXX");
	fd = mkstemp(path);
	cr_assert(fd >= 0);
	close(fd);
}

static float
dot(const float *a, const float *b, size_t n)
{
	float s = 0;

	for (size_t i = 0; i < n; i++)
		s += a[i] * b[i];
	return s;
}

/* Same bytes from 1, 2 and 4 threads, and from a repeated text. */
Test(embed, deterministic)
{
	struct slice texts[N + 1];
	uint8_t digest[4][32];
	struct err e = ERR_INIT;
	char path[64];

	open_or_skip();
	temp_path(path);
	make_texts(texts);
	texts[N] = texts[5];
	for (unsigned i = 0; i < 4; i++) {
		struct embedder *m = fit("lsa", 64, texts, i == 3 ? N + 1 : N, i == 3 ? 2 : 1u << i, &e);

		cr_assert(m != NULL, "%s", e.msg);
		save(m, path, digest[i]);
		cr_expect(memcmp(digest[0], digest[i], 32) == 0, "case %u", i);
		embed_free(m);
	}
	unlink(path);
}

Test(embed, near_and_far)
{
	static const char *const kinds[] = { "lsa", "hash" };
	struct slice texts[N];
	struct err e = ERR_INIT;

	open_or_skip();
	make_texts(texts);
	for (size_t k = 0; k < 2; k++) {
		struct embedder *m = fit(kinds[k], 0, texts, N, 1, &e);
		size_t dim;
		float *x;

		cr_assert(m != NULL, "%s", e.msg);
		dim = embed_dim(m);
		cr_expect(dim == (k == 0 ? 256 : 384) && strcmp(embed_kind(m), kinds[k]) == 0);
		x = mem_calloc(N * dim, sizeof(*x), NULL);
		cr_assert(embed_batch(m, texts, N, x, NULL, &e) == 0);
		for (size_t i = 0; i + 4 < N; i++) {
			const float *a = x + i * dim;

			cr_expect(fabsf(dot(a, a, dim) - 1) < 1e-5f, "%s: length of %zu", kinds[k], i);
			cr_expect(dot(a, a + 4 * dim, dim) > dot(a, a + dim, dim) + 0.1f,
				"%s: %zu is nearer to another family", kinds[k], i);
		}
		free(x);
		embed_free(m);
	}
}

Test(embed, round_trip)
{
	static const char *const kinds[] = { "lsa", "hash" };
	static const size_t dims[] = { 8, 40, 100 };
	struct slice texts[N];
	struct err e = ERR_INIT;
	uint8_t digest[32];
	char path[64];

	open_or_skip();
	temp_path(path);
	make_texts(texts);
	for (size_t c = 0; c < 6; c++) {
		struct embedder *m = fit(kinds[c % 2], dims[c / 2], texts, N, 1, &e), *l;
		struct embed_scratch *s, *t;
		struct tensorfile *f;
		float a[100], b[100];
		size_t dim = dims[c / 2];

		cr_assert(m != NULL, "%s", e.msg);
		save(m, path, digest);
		f = tensorfile_load(path, &e);
		cr_assert(f != NULL, "%s", e.msg);
		l = embed_load(f, tensorfile_meta(f, "llmr.embedder"), NULL, &e);
		cr_assert(l != NULL, "%s", e.msg);
		cr_expect(embed_dim(l) == dim);
		s = embed_scratch_new(m, &e);
		t = embed_scratch_new(l, &e);
		for (size_t i = 0; i < N; i += 37) {
			embed_text(m, texts[i], s, a);
			embed_text(l, texts[i], t, b);
			cr_expect(memcmp(a, b, dim * sizeof(*a)) == 0, "case %zu text %zu", c, i);
			embed_text(m, texts[i], t, b);
			cr_expect(memcmp(a, b, dim * sizeof(*a)) == 0, "case %zu text %zu again", c, i);
		}
		embed_text(m, slice_str(c % 2 == 0 ? "\xf0\x9f\x98\x80" : ""), s, a);
		cr_expect(dot(a, a, dim) == 0, "unknown text is not zero");
		embed_scratch_free(s), embed_scratch_free(t);
		embed_free(l), embed_free(m);
		tensorfile_free(f);
	}
	unlink(path);
}

Test(embed, text_allocates_nothing)
{
	static const char *const kinds[] = { "lsa", "hash" };
	struct slice texts[N];
	struct err e = ERR_INIT;
	char big[20000];

	open_or_skip();
	make_texts(texts);
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < sizeof(big); i += 7)
		big[i] = ' ';
	for (size_t k = 0; k < 2; k++) {
		struct embedder *m = fit(kinds[k], 0, texts, N, 1, &e);
		struct embed_scratch *s = embed_scratch_new(m, &e);
		float x[384];
		size_t before = atomic_load(&allocations);

		cr_assert(m != NULL && s != NULL, "%s", e.msg);
		cr_expect(!COUNTED || before > 0, "nothing is counted");
		for (size_t i = 0; i < N; i++)
			embed_text(m, texts[i], s, x);
		embed_text(m, (struct slice){ big, sizeof(big) }, s, x);
		cr_expect(atomic_load(&allocations) == before, "%s: %zu allocations", kinds[k],
			(size_t)atomic_load(&allocations) - before);
		embed_scratch_free(s);
		embed_free(m);
	}
}

/* Few texts: fewer than dimensions, one, none. */
Test(embed, few_texts)
{
	static const char *const few[] = { "alpha beta gamma", "alpha beta delta", "alpha zeta" };
	struct slice texts[3];
	struct err e = ERR_INIT;
	struct embed_scratch *s;
	struct embedder *m;
	float x[256];

	open_or_skip();
	for (int i = 0; i < 3; i++)
		texts[i] = slice_str(few[i]);
	m = fit("lsa", 256, texts, 3, 1, &e);
	cr_assert(m != NULL, "%s", e.msg);
	s = embed_scratch_new(m, &e);
	embed_text(m, texts[0], s, x);
	cr_expect(fabsf(dot(x, x, 256) - 1) < 1e-5f);
	embed_scratch_free(s);
	embed_free(m);
	cr_expect(fit("lsa", 256, texts, 1, 1, &e) == NULL);
	cr_expect(e.code == ERR_INPUT);
	texts[1] = texts[0];
	cr_expect(fit("lsa", 256, texts, 2, 1, &e) == NULL, "a repeated text counts twice");
	cr_expect(fit("lsa", 256, texts, 0, 1, &e) == NULL);
}

Test(embed, parameters)
{
	static const struct embed_params bad[] = {
		{ .kind = "word2vec" }, { .dim = 7 }, { .dim = 4097 }, { .min_df = 1 },
		{ .max_bytes = 8 }, { .max_bytes = (size_t)1 << 40 },
		{ .max_features = (size_t)1 << 40 }, { .kind = "hash", .dim = 65537 },
	};
	struct slice texts[N];

	make_texts(texts);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = ERR_INIT;

		cr_expect(embed_fit(&bad[i], texts, 10, NULL, &e) == NULL, "case %zu", i);
		cr_expect(e.code == ERR_INPUT, "case %zu: %s", i, e.msg);
	}
}

Test(embed, refuses_descriptions)
{
	static const char *const bad[] = {
		"", "[]", "{", "{}", "{\"kind\":\"lsa\"}",
		"{\"kind\":\"lsa\",\"dim\":40,\"max_bytes\":4096}",
		"{\"kind\":\"lsa\",\"dim\":40,\"max_bytes\":4096,\"terms_version\":99}",
		"{\"kind\":\"lsa\",\"dim\":80,\"max_bytes\":4096,\"terms_version\":1}",
		"{\"kind\":\"lsa\",\"dim\":-1,\"max_bytes\":4096,\"terms_version\":1}",
		"{\"kind\":\"lsa\",\"dim\":1e2,\"max_bytes\":4096,\"terms_version\":1}",
		"{\"kind\":\"lsa\",\"dim\":40,\"max_bytes\":0,\"terms_version\":1}",
		"{\"kind\":7,\"dim\":40,\"max_bytes\":4096,\"terms_version\":1}",
		"{\"kind\":\"bert\",\"dim\":40,\"max_bytes\":4096,\"terms_version\":1}",
		"{\"kind\":\"lsa\",\"dim\":40,\"max_bytes\":4096,\"terms_version\":1} x",
	};
	const char *good = "{\"kind\":\"lsa\",\"dim\":40,\"max_bytes\":4096,\"terms_version\":1}";
	struct slice texts[N];
	struct err e = ERR_INIT;
	struct tensorfile *f;
	struct embedder *m;
	uint8_t digest[32];
	char path[64];

	open_or_skip();
	temp_path(path);
	make_texts(texts);
	m = fit("lsa", 40, texts, N, 1, &e);
	save(m, path, digest);
	embed_free(m);
	f = tensorfile_load(path, &e);
	unlink(path);
	cr_assert(f != NULL);
	m = embed_load(f, slice_str(good), NULL, &e);
	cr_expect(m != NULL, "%s", e.msg);
	embed_free(m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e = (struct err)ERR_INIT;
		cr_expect(embed_load(f, slice_str(bad[i]), NULL, &e) == NULL, "case %zu", i);
		cr_expect(e.code == ERR_INPUT && e.msg[0] != '\0', "case %zu: %s", i, e.msg);
	}
	cr_expect(embed_load(f, SLICE_NONE, NULL, &e) == NULL);
	tensorfile_free(f);
}

/* Tensors that do not belong together, or hold what no fit makes. */
Test(embed, refuses_tensors)
{
	uint64_t slots[4] = { 1 | 7ull << 32, 0, 2 | 8ull << 32, 0 };
	const char *text = "{\"kind\":\"lsa\",\"dim\":8,\"max_bytes\":64,\"terms_version\":1}";
	float weights[2][2] = { { 1, 0.5f }, { 1, 0.5f } };
	int8_t table[2][32] = { { 0 } };
	struct err e = ERR_INIT;
	char path[64];

	temp_path(path);
	for (int c = 0; c < 8; c++) {
		const uint64_t s[] = { 4 }, w[] = { 2, 2 }, t[] = { c == 1 ? 1 : 2, 32 };
		struct tensorfile_writer *out = tensorfile_writer_new(NULL);
		struct embedder *m;
		struct tensorfile *f;

		slots[0] = 7ull << 32 | (c == 2 ? 3 : 1);
		slots[1] = slots[3] = c == 3 ? 1 : 0;
		weights[1][0] = c == 4 ? NAN : c == 5 ? -1 : 1;
		weights[1][1] = c == 6 ? INFINITY : 0.5f;
		cr_assert(tensorfile_writer_add(out, "embedder.slots", DTYPE_U64, 1, s, slots, &e) == 0);
		if (c != 7)
			cr_assert(tensorfile_writer_add(out, "embedder.weights", DTYPE_F32, 2, w,
				weights, &e) == 0);
		cr_assert(tensorfile_writer_add(out, "embedder.table", DTYPE_I8, 2, t, table, &e) == 0);
		cr_assert(tensorfile_writer_save(out, path, NULL, &e) == 0);
		tensorfile_writer_free(out);
		f = tensorfile_load(path, &e);
		cr_assert(f != NULL, "%s", e.msg);
		m = embed_load(f, slice_str(text), NULL, &e);
		cr_expect((m != NULL) == (c == 0), "case %d: %s", c, e.msg);
		embed_free(m);
		tensorfile_free(f);
	}
	unlink(path);
}
