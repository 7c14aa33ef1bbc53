#include "embed/lsa.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "embed/terms.h"
#include "embed/vocab.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "math/gather.h"
#include "math/mat.h"
#include "math/svd.h"

#define BLOCK 512		/* texts of one part when the sparse rows are made */
#define LOGS 256		/* 1 + ln tf is kept for tf below this */
#define OVERSAMPLE 32
#define PASSES 1

/* What a term counts for, side by side: one cache line answers. */
struct weight {
	float idf;
	float scale;		/* of the term's bytes in the table */
};

struct lsa {
	size_t dim, stride;	/* stride = dim padded to GATHER_COLS */
	size_t max_bytes;
	size_t documents, min_df;	/* of the fit; 0 when loaded */
	struct vocab vocab;
	const struct weight *weights;	/* [terms] */
	const int8_t *table;		/* [terms x stride] */
	uint64_t *own_slots;		/* owned when fitted, NULL when borrowed */
	struct weight *own_weights;
	int8_t *own_table;
	float logs[LOGS];
};

struct lsa_scratch {
	struct terms terms;
	uint32_t *count;	/* [terms of the vocabulary] all zero between texts */
	uint32_t *row;		/* [most terms of one text] the distinct ones */
	float *coef;
	float *sum;		/* [stride] */
};

static void
fill_logs(struct lsa *l)
{
	l->logs[0] = 0;
	for (size_t i = 1; i < LOGS; i++)
		l->logs[i] = 1 + logf((float)i);
}

size_t
lsa_dim(const struct lsa *l)
{
	return l->dim;
}

void
lsa_free(struct lsa *l)
{
	if (l == NULL)
		return;
	free(l->own_slots);
	free(l->own_weights);
	free(l->own_table);
	free(l);
}

void
lsa_scratch_free(struct lsa_scratch *s)
{
	if (s == NULL)
		return;
	terms_finish(&s->terms);
	free(s->count);
	free(s->row);
	free(s->coef);
	free(s->sum);
	free(s);
}

struct lsa_scratch *
lsa_scratch_new(const struct lsa *l, struct err *e)
{
	struct lsa_scratch *s = mem_calloc(1, sizeof(*s), e);
	size_t most = 5 * l->max_bytes + 4;

	if (s == NULL)
		return NULL;
	if (terms_init(&s->terms, l->max_bytes, e) < 0)
		goto fail;
	/* Words and characters apart: a table from a file may give both the same row. */
	if (most > 2 * l->vocab.n)
		most = 2 * l->vocab.n;
	s->count = mem_calloc(l->vocab.n, sizeof(*s->count), e);
	s->row = mem_calloc(most, sizeof(*s->row), e);
	s->coef = mem_calloc(most, sizeof(*s->coef), e);
	s->sum = mem_aligned(l->stride, sizeof(*s->sum), e);
	if (s->count == NULL || s->row == NULL || s->coef == NULL || s->sum == NULL)
		goto fail;
	return s;
fail:
	lsa_scratch_free(s);
	return NULL;
}

/* Distinct known terms of hash[0..n), counted; their rows from row on. Returns how many. */
static size_t
count_terms(const struct lsa *l, const uint64_t *hash, size_t n, uint32_t *count, uint32_t *row)
{
	const size_t ahead = 12, mask = l->vocab.cap - 1;
	size_t known = 0;

	for (size_t i = 0; i < n && i < ahead; i++)
		__builtin_prefetch(&l->vocab.slots[hash[i] & mask]);
	for (size_t i = 0; i < n; i++) {
		uint32_t r;

		if (i + ahead < n)
			__builtin_prefetch(&l->vocab.slots[hash[i + ahead] & mask]);
		r = vocab_find(&l->vocab, hash[i]);
		if (r != VOCAB_NONE && count[r]++ == 0) {
			__builtin_prefetch(&l->weights[r]);
			row[known++] = r;
		}
	}
	return known;
}

/* coef [n] = tf-idf of the counted rows at unit length; the counts are cleared. */
static void
weigh(const struct lsa *l, const uint32_t *row, size_t n, uint32_t *count, float *coef)
{
	float squares = 0, factor;

	for (size_t i = 0; i < n; i++) {
		uint32_t tf = count[row[i]];
		float w = tf < LOGS ? l->logs[tf] : 1 + logf((float)tf);

		count[row[i]] = 0;
		coef[i] = w * l->weights[row[i]].idf;
		squares += coef[i] * coef[i];
	}
	factor = squares > 0 ? 1 / sqrtf(squares) : 0;
	for (size_t i = 0; i < n; i++)
		coef[i] *= factor;
}

/* The sparse row of the text in s->terms: s->row, s->coef; returns its length. */
static size_t
sparse_row(const struct lsa *l, struct lsa_scratch *s)
{
	size_t words, chars;

	words = count_terms(l, s->terms.words, s->terms.n_words, s->count, s->row);
	weigh(l, s->row, words, s->count, s->coef);
	chars = count_terms(l, s->terms.chars, s->terms.n_chars, s->count, s->row + words);
	weigh(l, s->row + words, chars, s->count, s->coef + words);
	return words + chars;
}

static double
us_between(int64_t from, int64_t to)
{
	return (double)(to - from) / 1000;
}

void
lsa_text(const struct lsa *l, struct slice text, struct lsa_scratch *s, float *out,
	struct embed_times *times)
{
	int64_t start = clock_mono_ns(), split;
	float squares = 0, factor;
	size_t n;

	terms_of(&s->terms, text);
	split = clock_mono_ns();
	n = sparse_row(l, s);
	for (size_t i = 0; i < n; i++)
		s->coef[i] *= l->weights[s->row[i]].scale;
	gather_i8(l->table, l->stride, s->row, s->coef, n, s->sum);
	for (size_t j = 0; j < l->dim; j++)
		squares += s->sum[j] * s->sum[j];
	factor = squares > 0 ? 1 / sqrtf(squares) : 0;
	for (size_t j = 0; j < l->dim; j++)
		out[j] = s->sum[j] * factor;
	times->tokenize_us = us_between(start, split);
	times->project_us = us_between(split, clock_mono_ns());
}

/* ---- fit ---- */

/* Indices of the texts that no earlier one equals. */
static size_t *
distinct(const struct slice *texts, size_t n, size_t *n_out, struct err *e)
{
	size_t cap = 16, *table = NULL, *out = NULL;

	*n_out = 0;
	while (cap < 2 * n)
		cap *= 2;
	if ((table = mem_calloc(cap, sizeof(*table), e)) == NULL ||
		(out = mem_calloc(n, sizeof(*out), e)) == NULL)
		goto out;
	for (size_t k = 0; k < n; k++) {
		size_t i = texts[k].n == 0 ? 0 : map_hash(texts[k].p, texts[k].n, 0) & (cap - 1);

		while (table[i] != 0 && !slice_eq(texts[table[i] - 1], texts[k]))
			i = (i + 1) & (cap - 1);
		if (table[i] != 0)
			continue;
		table[i] = k + 1;
		out[(*n_out)++] = k;
	}
out:
	free(table);
	return out;
}

/* State of a fit. */
struct fit {
	struct lsa *l;
	const struct slice *texts;
	size_t *which, n;		/* distinct texts */
	size_t threads;
	struct terms *workers;		/* [threads] */
	struct lsa_scratch **scratch;	/* [threads] */
	struct row_part {
		uint32_t *col;
		float *val;
		size_t n, cap;
		bool failed;
	} *parts;			/* [n / BLOCK, rounded up] */
	size_t n_parts;
	struct sparse x;		/* [n x terms] */
};

static void
fit_finish(struct fit *f)
{
	for (size_t i = 0; i < f->threads; i++) {
		if (f->workers != NULL)
			terms_finish(&f->workers[i]);
		if (f->scratch != NULL)
			lsa_scratch_free(f->scratch[i]);
	}
	for (size_t i = 0; f->parts != NULL && i < f->n_parts; i++) {
		free(f->parts[i].col);
		free(f->parts[i].val);
	}
	free(f->parts);
	free(f->workers);
	free(f->scratch);
	free(f->which);
	svd_sparse_finish(&f->x);
}

static bool
part_room(struct row_part *p, size_t n)
{
	size_t cap = p->cap == 0 ? 65536 : p->cap;
	void *q;

	while (cap < p->n + n)
		cap *= 2;
	if (cap == p->cap)
		return true;
	if ((q = mem_realloc(p->col, cap, sizeof(*p->col), NULL)) == NULL)
		return false;
	p->col = q;
	if ((q = mem_realloc(p->val, cap, sizeof(*p->val), NULL)) == NULL)
		return false;
	p->val = q;
	p->cap = cap;
	return true;
}

static void
row_part(void *arg, size_t part, unsigned worker)
{
	struct fit *f = arg;
	struct row_part *p = &f->parts[part];
	struct lsa_scratch *s = f->scratch[worker];
	size_t from = part * BLOCK, to = from + BLOCK, n;

	for (size_t i = from; i < to && i < f->n; i++) {
		terms_of(&s->terms, f->texts[f->which[i]]);
		n = sparse_row(f->l, s);
		if (!part_room(p, n)) {
			p->failed = true;
			return;
		}
		memcpy(p->col + p->n, s->row, n * sizeof(*p->col));
		memcpy(p->val + p->n, s->coef, n * sizeof(*p->val));
		p->n += n;
		f->x.start[i + 1] = n;	/* lengths first, summed when all are there */
	}
}

/* x = the sparse rows of the distinct texts. */
static int
make_rows(struct fit *f, struct pool *pool, struct err *e)
{
	size_t at = 0;

	f->n_parts = (f->n + BLOCK - 1) / BLOCK;
	f->x = (struct sparse){ .rows = f->n, .cols = f->l->vocab.n };
	if ((f->parts = mem_calloc(f->n_parts, sizeof(*f->parts), e)) == NULL ||
		(f->x.start = mem_calloc(f->n + 1, sizeof(*f->x.start), e)) == NULL)
		return -1;
	for (size_t i = 0; i < f->threads; i++) {
		if ((f->scratch[i] = lsa_scratch_new(f->l, e)) == NULL)
			return -1;
	}
	pool_run(pool, f->n_parts, row_part, f);
	for (size_t i = 0; i < f->n_parts; i++) {
		if (f->parts[i].failed)
			return err_nomem(e);
	}
	for (size_t i = 0; i < f->n; i++)
		f->x.start[i + 1] += f->x.start[i];
	f->x.col = mem_calloc(f->x.start[f->n], sizeof(*f->x.col), e);
	f->x.val = mem_calloc(f->x.start[f->n], sizeof(*f->x.val), e);
	if (f->x.col == NULL || f->x.val == NULL)
		return -1;
	for (size_t i = 0; i < f->n_parts; i++) {
		struct row_part *p = &f->parts[i];

		if (p->n > 0) {
			memcpy(f->x.col + at, p->col, p->n * sizeof(*p->col));
			memcpy(f->x.val + at, p->val, p->n * sizeof(*p->val));
		}
		at += p->n;
		free(p->col);
		free(p->val);
		*p = (struct row_part){ 0 };
	}
	return 0;
}

/* Rows of v as bytes, the largest of a row at +-127. */
static void
quantise(const struct mat *v, int8_t *table, size_t stride, struct weight *weights)
{
	for (size_t r = 0; r < v->rows; r++) {
		const float *x = v->x + r * v->ld;
		int8_t *q = table + r * stride;
		float most = 0, inverse;

		for (size_t j = 0; j < v->cols; j++)
			most = fabsf(x[j]) > most ? fabsf(x[j]) : most;
		weights[r].scale = most / 127;
		inverse = most > 0 ? 127 / most : 0;
		for (size_t j = 0; j < v->cols; j++)
			q[j] = (int8_t)lrintf(x[j] * inverse);
	}
}

static int
make_table(struct fit *f, const struct embed_params *p, struct pool *pool, struct err *e)
{
	const struct svd_params sp = { p->dim, OVERSAMPLE, PASSES, p->seed };
	struct lsa *l = f->l;
	struct mat v = { .rows = l->vocab.n, .cols = l->dim, .ld = l->dim };
	float *sigma = mem_calloc(l->dim, sizeof(*sigma), e);
	int r = -1;

	if (sigma == NULL)
		return -1;
	if ((v.x = mem_aligned(v.rows, v.ld * sizeof(*v.x), e)) == NULL ||
		(l->own_table = mem_aligned(v.rows, l->stride, e)) == NULL ||
		svd_right(&f->x, &sp, v, sigma, pool, e) < 0)
		goto out;
	quantise(&v, l->own_table, l->stride, l->own_weights);
	l->table = l->own_table;
	r = 0;
out:
	free(v.x);
	free(sigma);
	return r;
}

static int
make_vocab(struct fit *f, const struct embed_params *p, struct pool *pool, struct err *e)
{
	struct lsa *l = f->l;
	uint32_t *df = NULL;

	if (vocab_fit(f->texts, f->which, f->n, p->min_df, p->max_features, f->workers, pool,
		&l->vocab, &l->own_slots, &df, e) < 0)
		return -1;
	l->own_weights = mem_aligned(l->vocab.n, sizeof(*l->own_weights), e);
	if (l->own_weights == NULL) {
		free(df);
		return -1;
	}
	for (size_t i = 0; i < l->vocab.n; i++) {
		double idf = log((double)(1 + f->n) / (double)(1 + df[i])) + 1;

		l->own_weights[i] = (struct weight){ .idf = (float)idf };
	}
	l->weights = l->own_weights;
	free(df);
	return 0;
}

struct lsa *
lsa_fit(const struct embed_params *p, const struct slice *texts, size_t n, struct pool *pool,
	struct err *e)
{
	struct fit f = { .texts = texts, .threads = pool_threads(pool) };
	struct lsa *l = NULL;

	if (mat_open(e) < 0)
		return NULL;
	if ((f.l = l = mem_calloc(1, sizeof(*l), e)) == NULL)
		return NULL;
	l->dim = p->dim;
	l->stride = (p->dim + GATHER_COLS - 1) / GATHER_COLS * GATHER_COLS;
	l->max_bytes = p->max_bytes;
	l->min_df = p->min_df;
	fill_logs(l);
	f.workers = mem_calloc(f.threads, sizeof(*f.workers), e);
	f.scratch = mem_calloc(f.threads, sizeof(*f.scratch), e);
	if (f.workers == NULL || f.scratch == NULL ||
		(f.which = distinct(texts, n, &f.n, e)) == NULL)
		goto fail;
	l->documents = f.n;
	for (size_t i = 0; i < f.threads; i++) {
		if (terms_init(&f.workers[i], p->max_bytes, e) < 0)
			goto fail;
	}
	if (make_vocab(&f, p, pool, e) < 0 || make_rows(&f, pool, e) < 0 ||
		make_table(&f, p, pool, e) < 0)
		goto fail;
	fit_finish(&f);
	return l;
fail:
	fit_finish(&f);
	lsa_free(l);
	return NULL;
}

/* ---- artifact ---- */

int
lsa_save(const struct lsa *l, struct tensorfile_writer *w, struct err *e)
{
	const uint64_t slots[] = { l->vocab.cap }, weights[] = { l->vocab.n, 2 };
	const uint64_t table[] = { l->vocab.n, l->stride };

	if (tensorfile_writer_add(w, "embedder.slots", DTYPE_U64, 1, slots, l->vocab.slots, e) < 0 ||
		tensorfile_writer_add(w, "embedder.weights", DTYPE_F32, 2, weights, l->weights, e) < 0)
		return -1;
	return tensorfile_writer_add(w, "embedder.table", DTYPE_I8, 2, table, l->table, e);
}

void
lsa_describe(const struct lsa *l, struct jsonw *j)
{
	jsonw_kstr(j, "dtype", "I8");
	jsonw_kint(j, "terms", (int64_t)l->vocab.n);
	if (l->documents > 0) {
		jsonw_kint(j, "documents", (int64_t)l->documents);
		jsonw_kint(j, "min_df", (int64_t)l->min_df);
	}
}

struct lsa *
lsa_load(const struct tensorfile *f, size_t dim, size_t max_bytes, struct err *e)
{
	size_t stride = (dim + GATHER_COLS - 1) / GATHER_COLS * GATHER_COLS;
	const uint64_t any[] = { 0 }, pairs[] = { 0, 2 };
	const struct tensor *slots, *weights, *table;
	struct lsa *l = NULL;

	if ((slots = tensorfile_need(f, "embedder.slots", DTYPE_U64, 1, any, e)) == NULL ||
		(weights = tensorfile_need(f, "embedder.weights", DTYPE_F32, 2, pairs, e)) == NULL)
		return NULL;
	const uint64_t rows[] = { weights->shape[0], stride };

	if (weights->shape[0] == 0 || weights->shape[0] > VOCAB_MAX_TERMS) {
		err_set(e, ERR_INPUT, "tensor \"embedder.weights\" has no rows or too many");
		return NULL;
	}
	if ((table = tensorfile_need(f, "embedder.table", DTYPE_I8, 2, rows, e)) == NULL ||
		(l = mem_calloc(1, sizeof(*l), e)) == NULL)
		return NULL;
	l->dim = dim;
	l->stride = stride;
	l->max_bytes = max_bytes;
	l->vocab = (struct vocab){ slots->data, (size_t)slots->shape[0],
		(size_t)weights->shape[0] };
	l->weights = weights->data;
	l->table = table->data;
	fill_logs(l);
	for (size_t i = 0; i < l->vocab.n; i++) {
		/* So bounded that no sum of them overflows; written so that NaN fails. */
		if (!(l->weights[i].idf > 0 && l->weights[i].idf < 1e3f &&
			l->weights[i].scale >= 0 && l->weights[i].scale < 1e3f)) {
			err_set(e, ERR_INPUT, "tensor \"embedder.weights\": row %zu is out of range", i);
			goto fail;
		}
	}
	if (vocab_check(&l->vocab, e) < 0)
		goto fail;
	return l;
fail:
	lsa_free(l);
	return NULL;
}
