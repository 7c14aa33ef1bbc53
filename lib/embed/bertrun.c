#include "embed/bertrun.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define BATCH_TOKENS 256		/* together: enough to use each weight often, little enough for the cache */
#define ATTENTION_ROWS (2 * GEMM_ROWS)

struct bertrun {
	const struct gemm_kernels *g;
	size_t cap, longest;		/* tokens in all, and of one text */
	uint32_t *ids;			/* [cap] */
	size_t *start;			/* [cap + 1] where each text begins */
	float *x, *wide;		/* [cap x hidden], [cap x max(3 hidden, inner)] */
	float *context;			/* [cap x hidden] */
	void *rows;			/* converted activations */
	float *step, *low;		/* [cap] */
	uint32_t *keys, *values;	/* of one head: transposed panels, pairs */
	float *scores;			/* [ATTENTION_ROWS x padded longest] */
	uint16_t *halves;		/* the same as bfloat16 */
};

static size_t
round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* n times size bytes, not zeroed: what no token touches costs no memory. */
static void *
raw(size_t n, size_t size, struct err *e)
{
	size_t bytes;
	void *p = NULL;

	if (!mem_mul(n, size, &bytes) || posix_memalign(&p, 64, bytes == 0 ? 64 : bytes) != 0)
		err_nomem(e);
	return p;
}

struct bertrun *
bertrun_new(const struct bert *b, size_t tokens, struct err *e)
{
	const struct bertconf *c = &b->conf;
	size_t cap = tokens > c->max_tokens ? tokens : c->max_tokens;
	size_t wide = 3 * c->hidden > c->inner ? 3 * c->hidden : c->inner;
	size_t padded = round_up(c->max_tokens, GEMM_COLS), head = c->hidden / c->heads;
	struct bertrun *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->g = b->kernels;
	s->cap = cap;
	s->longest = c->max_tokens;
	s->ids = raw(cap, sizeof *s->ids, e);
	s->start = mem_calloc(cap + 1, sizeof *s->start, e);
	s->x = raw(cap * c->hidden, sizeof *s->x, e);
	s->wide = raw(cap * wide, sizeof *s->wide, e);
	s->context = raw(cap * c->hidden, sizeof *s->context, e);
	s->rows = raw(cap * wide, sizeof(float), e);
	s->step = raw(cap, sizeof *s->step, e);
	s->low = raw(cap, sizeof *s->low, e);
	s->keys = raw(padded * head, sizeof *s->keys, e);
	s->values = raw(padded * head, sizeof *s->values, e);
	s->scores = raw(ATTENTION_ROWS * padded, sizeof *s->scores, e);
	s->halves = raw(ATTENTION_ROWS * padded, sizeof *s->halves, e);
	if (s->ids == NULL || s->start == NULL || s->x == NULL || s->wide == NULL || s->context == NULL ||
	    s->rows == NULL || s->step == NULL || s->low == NULL || s->keys == NULL || s->values == NULL ||
	    s->scores == NULL || s->halves == NULL) {
		bertrun_free(s);
		return NULL;
	}
	return s;
}

void
bertrun_free(struct bertrun *s)
{
	if (s == NULL)
		return;
	free(s->ids);
	free(s->start);
	free(s->x);
	free(s->wide);
	free(s->context);
	free(s->rows);
	free(s->step);
	free(s->low);
	free(s->keys);
	free(s->values);
	free(s->scores);
	free(s->halves);
	free(s);
}

bool
bertrun_kernels(struct bertrun *s, size_t i)
{
	const struct gemm_kernels *g = gemm_kernels_at(s->g->type, i);

	if (g != NULL)
		s->g = g;
	return g != NULL;
}

/* ---- the forward pass ---- */

static void
embed_tokens(const struct bert *b, struct bertrun *s, size_t from, size_t to)
{
	size_t h = b->conf.hidden;

	for (size_t i = from; i < to; i++) {
		const float *place = b->places + (i - from) * h;
		size_t row = (size_t)s->ids[i] * h;
		float *x = s->x + i * h;

		if (b->type == GEMM_F32)
			for (size_t j = 0; j < h; j++)
				x[j] = ((const float *)b->words)[row + j] + place[j];
		else
			for (size_t j = 0; j < h; j++)
				x[j] = gemm_from_bf16(((const uint16_t *)b->words)[row + j]) + place[j];
		s->g->normalize(x, h, b->norm, b->norm + h, (float)b->conf.eps);
	}
}

/* x [n x k] as the kernels take it; floats stay where they are. */
static struct gemm_rows
as_rows(struct bertrun *s, const float *x, size_t n, size_t k)
{
	if (s->g->rows == GEMM_F32)
		return (struct gemm_rows){ x, k * sizeof(float), NULL, NULL };
	s->g->convert(x, k, n, k, s->rows, s->step, s->low);
	return (struct gemm_rows){ s->rows, k * sizeof(float) / gemm_per_cell(s->g->rows), s->step, s->low };
}

/* What attention reads: queries, keys and values side by side, as floats or bfloat16. */
struct heads {
	const char *q, *k, *v;
	size_t ld;		/* bytes from token to token */
	size_t dim, cells;	/* of a head: values, and cells of a key */
	size_t tokens;
};

static void
tile_wide(const struct gemm_kernels *g, const char *a, size_t lda, size_t rows, const void *b,
	size_t ldb, size_t steps, size_t cols, float *out, size_t ldo)
{
	size_t at = 0;

	/* A tile holds twice the rows when it is half as wide. */
	while (at < rows) {
		size_t n = cols <= GEMM_COLS / 2 || rows - at <= GEMM_ROWS ? rows - at : GEMM_ROWS;

		g->pair_tile(a + at * lda, lda, n, b, ldb, steps, cols, out + at * ldo, ldo);
		at += n;
	}
}

/* softmax(q k^T / sqrt(dim)) v for some queries of one head, to out [rows x ldo]. */
static void
attend_rows(struct bertrun *s, const struct heads *hd, size_t from, size_t rows, float *out, size_t ldo)
{
	const struct gemm_kernels *g = s->g;
	bool half = g->pairs == GEMM_BF16;
	size_t t = hd->tokens, lds = round_up(t, GEMM_COLS), done = 0;
	float scale = 1 / sqrtf((float)hd->dim), sum[ATTENTION_ROWS];

	for (size_t p = 0; p < t; p += GEMM_COLS)
		tile_wide(g, hd->q + from * hd->ld, hd->ld, rows, s->keys + p * hd->cells, GEMM_COLS * 4, hd->cells,
		    t - p < GEMM_COLS ? round_up(t - p, 16) : GEMM_COLS, s->scores + p, lds);
	for (size_t i = 0; i < rows; i++)
		sum[i] = g->softmax(s->scores + i * lds, t, scale, half ? s->halves + i * lds : NULL);
	while (done < hd->dim) {
		size_t cols = hd->dim - done >= 32 ? 32 : 16;

		if (half)
			g->pair_tile(s->halves, lds * 2, rows, s->values + done, hd->dim * 4, (t + 1) / 2, cols,
			    out + done, ldo);
		else
			g->pair_tile(s->scores, lds * 4, rows, hd->v + done * 4, hd->ld, t, cols, out + done, ldo);
		done += cols;
	}
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < hd->dim; j++)
			out[i * ldo + j] /= sum[i];
}

/* One text: tokens from..to of s->wide [queries, keys, values] into s->context. */
static void
attend(const struct bert *b, struct bertrun *s, const void *qkv, size_t from, size_t to)
{
	const struct gemm_kernels *g = s->g;
	size_t h = b->conf.hidden, dim = h / b->conf.heads, value = g->pairs == GEMM_BF16 ? 2 : 4;
	size_t t = to - from, blocks = (t + ATTENTION_ROWS - 1) / ATTENTION_ROWS, ld = 3 * h * value;
	const char *base = (const char *)qkv + from * ld;

	for (size_t head = 0; head < b->conf.heads; head++) {
		struct heads hd = { .q = base + head * dim * value, .ld = ld, .dim = dim,
			.cells = dim * value / 4, .tokens = t };

		hd.k = hd.q + h * value;
		hd.v = hd.k + h * value;
		for (size_t p = 0; p < t; p += GEMM_COLS)
			g->transpose((const uint32_t *)(const void *)(hd.k + p * ld), ld / 4,
			    t - p < GEMM_COLS ? t - p : GEMM_COLS, hd.cells, s->keys + p * hd.cells, GEMM_COLS);
		if (value == 2)
			g->interleave((const uint16_t *)(const void *)hd.v, ld / 2, t, dim, s->values);
		for (size_t i = 0; i < blocks; i++) {
			size_t row = i * t / blocks, n = (i + 1) * t / blocks - row;

			attend_rows(s, &hd, row, n, s->context + (from + row) * h + head * dim, h);
		}
	}
}

static void
layer(const struct bert *b, struct bertrun *s, const struct bert_layer *l, size_t texts)
{
	const struct gemm_kernels *g = s->g;
	size_t n = s->start[texts], h = b->conf.hidden, f = b->conf.inner;
	float eps = (float)b->conf.eps;
	const void *qkv = s->wide;

	gemm_mul(g, &l->qkv, as_rows(s, s->x, n, h), n, GEMM_STORE, s->wide, 3 * h);
	if (g->pairs == GEMM_BF16) {
		gemm_kernels_at(GEMM_BF16, 0)->convert(s->wide, 3 * h, n, 3 * h, s->rows, NULL, NULL);
		qkv = s->rows;
	}
	for (size_t i = 0; i < texts; i++)
		attend(b, s, qkv, s->start[i], s->start[i + 1]);
	gemm_mul(g, &l->out, as_rows(s, s->context, n, h), n, GEMM_ADD, s->x, h);
	for (size_t i = 0; i < n; i++)
		g->normalize(s->x + i * h, h, l->norm_attention, l->norm_attention + h, eps);
	gemm_mul(g, &l->up, as_rows(s, s->x, n, h), n, b->conf.relu ? GEMM_RELU : GEMM_GELU, s->wide, f);
	gemm_mul(g, &l->down, as_rows(s, s->wide, n, f), n, GEMM_ADD, s->x, h);
	for (size_t i = 0; i < n; i++)
		g->normalize(s->x + i * h, h, l->norm_output, l->norm_output + h, eps);
}

static void
pool_text(const struct bert *b, const float *x, size_t n, float *out)
{
	size_t h = b->conf.hidden, rows = b->conf.cls ? 1 : n;
	double squares = 0;

	memcpy(out, x, h * sizeof *out);
	for (size_t i = 1; i < rows; i++)
		for (size_t j = 0; j < h; j++)
			out[j] += x[i * h + j];
	for (size_t j = 0; j < h; j++) {
		out[j] /= (float)rows;
		squares += (double)out[j] * (double)out[j];
	}
	if (b->conf.normalize)
		for (size_t j = 0; j < h; j++)
			out[j] = (float)((double)out[j] / (sqrt(squares) > 1e-12 ? sqrt(squares) : 1e-12));
}

/* The texts whose ids lie in s, through all layers; x holds the last one's output. */
static void
forward(const struct bert *b, struct bertrun *s, size_t texts)
{
	for (size_t i = 0; i < texts; i++)
		embed_tokens(b, s, s->start[i], s->start[i + 1]);
	for (size_t i = 0; i < b->conf.layers; i++)
		layer(b, s, &b->layers[i], texts);
}

size_t
bertrun_tokens(const struct bert *b, struct slice text, enum wordpiece_cut cut, uint32_t *ids)
{
	const struct wordpiece_options *o = wordpiece_options(b->tokens);
	size_t n = wordpiece_encode(b->tokens, text, cut, ids + 1, b->conf.max_tokens - 2);

	ids[0] = o->cls;
	ids[n + 1] = o->sep;
	return n + 2;
}

void
bertrun_text(const struct bert *b, struct slice text, enum wordpiece_cut cut, struct bertrun *s,
	float *out, struct embed_times *times)
{
	int64_t start = clock_mono_ns(), split;

	s->start[0] = 0;
	s->start[1] = bertrun_tokens(b, text, cut, s->ids);
	split = clock_mono_ns();
	forward(b, s, 1);
	pool_text(b, s->x, s->start[1], out);
	times->tokenize_us = (double)(split - start) / 1000;
	times->project_us = (double)(clock_mono_ns() - split) / 1000;
}

/* ---- many texts ---- */

struct item { size_t text, tokens; };

struct batch {
	const struct bert *b;
	const struct slice *texts;
	size_t n;
	enum wordpiece_cut cut;
	float *out;
	size_t ld;
	struct item *items;		/* [n] by length */
	size_t *group;			/* [groups + 1] first item of each */
	struct bertrun **scratch;	/* [threads] */
};

#define COUNT_BLOCK 64

static void
count_part(void *arg, size_t part, unsigned worker)
{
	struct batch *t = arg;

	for (size_t i = part * COUNT_BLOCK; i < (part + 1) * COUNT_BLOCK && i < t->n; i++)
		t->items[i] = (struct item){ i, bertrun_tokens(t->b, t->texts[i], t->cut, t->scratch[worker]->ids) };
}

/* Longest first, so that no thread begins a long one at the very end. */
static int
by_tokens(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->tokens != y->tokens)
		return x->tokens < y->tokens ? 1 : -1;
	return (x->text > y->text) - (x->text < y->text);
}

static void
group_part(void *arg, size_t part, unsigned worker)
{
	struct batch *t = arg;
	struct bertrun *s = t->scratch[worker];
	size_t from = t->group[part], n = t->group[part + 1] - from;

	s->start[0] = 0;
	for (size_t i = 0; i < n; i++)
		s->start[i + 1] = s->start[i] + bertrun_tokens(t->b, t->texts[t->items[from + i].text], t->cut,
		    s->ids + s->start[i]);
	forward(t->b, s, n);
	for (size_t i = 0; i < n; i++)
		pool_text(t->b, s->x + s->start[i] * t->b->conf.hidden, s->start[i + 1] - s->start[i],
		    t->out + t->items[from + i].text * t->ld);
}

static size_t
make_groups(struct batch *t, size_t room)
{
	size_t groups = 0, tokens = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (i == 0 || tokens + t->items[i].tokens > room) {
			t->group[groups++] = i;
			tokens = 0;
		}
		tokens += t->items[i].tokens;
	}
	t->group[groups] = t->n;
	return groups;
}

int
bertrun_batch(const struct bert *b, const struct slice *texts, size_t n, enum wordpiece_cut cut,
	float *out, size_t ld, struct pool *pool, struct err *e)
{
	struct batch t = { .b = b, .texts = texts, .n = n, .cut = cut, .out = out, .ld = ld };
	size_t threads = pool_threads(pool), made = 0;
	size_t room = b->conf.max_tokens > BATCH_TOKENS ? b->conf.max_tokens : BATCH_TOKENS;
	int status = -1;

	t.items = mem_calloc(n, sizeof *t.items, e);
	t.group = mem_calloc(n + 1, sizeof *t.group, e);
	t.scratch = mem_calloc(threads, sizeof(struct bertrun *), e);
	if (t.items == NULL || t.group == NULL || t.scratch == NULL)
		goto out;
	/* A text's last id may be written max_tokens behind the start of the last text. */
	for (; made < threads; made++)
		if ((t.scratch[made] = bertrun_new(b, room + b->conf.max_tokens, e)) == NULL)
			goto out;
	pool_run(pool, (n + COUNT_BLOCK - 1) / COUNT_BLOCK, count_part, &t);
	qsort(t.items, n, sizeof *t.items, by_tokens);
	pool_run(pool, make_groups(&t, room), group_part, &t);
	status = 0;
out:
	for (size_t i = 0; i < made; i++)
		bertrun_free(t.scratch[i]);
	free(t.scratch);
	free(t.items);
	free(t.group);
	return status;
}
