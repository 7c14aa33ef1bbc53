#include "embed/embed.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "embed/encoder.h"
#include "embed/hashed.h"
#include "embed/lsa.h"
#include "embed/prefix.h"
#include "embed/shape.h"
#include "embed/terms.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"

#define MIN_DIM 8
#define BATCH_BLOCK 64

#define MAX_PARTS 4

enum kind { KIND_LSA, KIND_HASH, KIND_SHAPE, KIND_BERT };

/* weight: what a part counts for in a join, of the squared length before it is scaled to one. */
static const struct {
	const char *name;
	size_t dim, max_dim;
	double weight;
} kinds[] = {
	[KIND_LSA] = { "lsa", 256, LSA_MAX_DIM, 1 },
	[KIND_HASH] = { "hash", 384, HASHED_MAX_DIM, 0.5 },
	[KIND_SHAPE] = { "shape", SHAPE_DIM, SHAPE_DIM, 0.5 },
	[KIND_BERT] = { "bert", 0, 4096, 1 },	/* dim: the encoder's */
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* The kinds of a join, each at most once, in the order they are named. */
struct parts {
	size_t n, dim[MAX_PARTS];
	enum kind kind[MAX_PARTS];
};

struct embedder {
	struct parts parts;
	size_t dim, max_bytes;
	char name[32];		/* "lsa+shape" */
	struct prefix *prefix;	/* NULL: none is common */
	struct lsa *lsa;	/* where KIND_LSA is a part */
	struct shape *shape;	/* where KIND_SHAPE is */
	struct encoder *encoder;	/* where KIND_BERT is; borrowed */
};

struct embed_scratch {
	struct lsa_scratch *lsa;
	struct hashed_scratch *hashed;
	struct encoder_scratch *encoder;
	struct embed_times times;
};

static int
kind_parse(struct slice name, enum kind *out, struct err *e)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		if (slice_is(name, kinds[i].name)) {
			*out = (enum kind)i;
			return 0;
		}
	}
	return err_set(e, ERR_INPUT, "embedder \"%.*s\" is not one of lsa, hash, shape, bert:PATH or "
		"some of them joined by +", (int)(name.n < 40 ? name.n : 40), name.p == NULL ? "" : name.p);
}

static bool
has_part(const struct parts *p, enum kind kind)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->kind[i] == kind)
			return true;
	}
	return false;
}

/* Does a kind begin here: its name, then the end, a plus or a colon? */
static bool
kind_begins(const char *p, const char *end)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		size_t n = strlen(kinds[i].name);

		if ((size_t)(end - p) >= n && memcmp(p, kinds[i].name, n) == 0 &&
			(p + n == end || p[n] == '+' || p[n] == ':'))
			return true;
	}
	return false;
}

/* The plus that ends the first part. A path may hold one: there it counts only before the name of a kind. */
static const char *
part_end(struct slice name)
{
	const char *end = name.p + name.n, *p = name.p;
	bool path = slice_starts(name, "bert:");

	while (p != NULL && (p = memchr(p, '+', (size_t)(end - p))) != NULL) {
		if (!path || kind_begins(p + 1, end))
			return p;
		p++;
	}
	return NULL;
}

/* "lsa+shape" to its parts. A bert part may carry its place, "bert:PATH". */
static int
parts_parse(struct slice name, struct parts *out, struct err *e)
{
	*out = (struct parts){ 0 };
	while (out->n == 0 || name.p != NULL) {
		const char *plus = name.n == 0 ? NULL : part_end(name);
		struct slice one = { name.p, plus == NULL ? name.n : (size_t)(plus - name.p) };
		struct slice word = slice_starts(one, "bert:") ? SLICE_LIT("bert") : one;
		enum kind kind = KIND_LSA;

		if (kind_parse(word, &kind, e) < 0)
			return -1;
		if (has_part(out, kind) || out->n == MAX_PARTS)
			return err_set(e, ERR_INPUT, "embedder: %s is named twice", kinds[kind].name);
		out->dim[out->n] = kinds[kind].dim;
		out->kind[out->n++] = kind;
		name = plus == NULL ? SLICE_NONE :
		    (struct slice){ plus + 1, name.n - one.n - 1 };
	}
	return 0;
}

int
embed_check_kind(const char *name, struct err *e)
{
	struct parts p;

	if (parts_parse(slice_str(name), &p, e) < 0)
		return -1;
	if (has_part(&p, KIND_BERT) && embed_encoder_spec(name).p == NULL)
		return err_set(e, ERR_INPUT, "embedder bert: where it lies is missing: bert:PATH");
	return 0;
}

struct slice
embed_encoder_spec(const char *name)
{
	struct slice rest = slice_str(name);

	while (rest.p != NULL && rest.n > 0) {
		const char *plus = part_end(rest);
		struct slice one = { rest.p, plus == NULL ? rest.n : (size_t)(plus - rest.p) };

		if (slice_starts(one, "bert:") && one.n > strlen("bert:"))
			return one;
		rest = plus == NULL ? SLICE_NONE : (struct slice){ plus + 1, rest.n - one.n - 1 };
	}
	return SLICE_NONE;
}

static size_t
parts_dim(const struct parts *p)
{
	size_t dim = 0;

	for (size_t i = 0; i < p->n; i++)
		dim += p->dim[i];
	return dim;
}

static int
check_sizes(const struct parts *p, size_t max_bytes, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		const char *name = kinds[p->kind[i]].name;

		if (p->kind[i] == KIND_SHAPE ? p->dim[i] != SHAPE_DIM :
			p->dim[i] < MIN_DIM || p->dim[i] > kinds[p->kind[i]].max_dim)
			return err_set(e, ERR_INPUT, "%s: dim %zu is outside %zu..%zu", name,
				p->dim[i], p->kind[i] == KIND_SHAPE ? SHAPE_DIM : (size_t)MIN_DIM,
				kinds[p->kind[i]].max_dim);
	}
	if (max_bytes < 16 || max_bytes > TERMS_MAX_BYTES)
		return err_set(e, ERR_INPUT, "%s: max_bytes %zu is outside 16..%zu",
			kinds[p->kind[0]].name, max_bytes, TERMS_MAX_BYTES);
	return 0;
}

/* The first part whose dimension can be chosen, or the first of all. */
static size_t
free_part(const struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->kind[i] != KIND_SHAPE && p->kind[i] != KIND_BERT)
			return i;
	return 0;
}

/* A bert part has the dimension of its encoder. */
static int
take_encoder(struct parts *parts, const struct encoder *encoder, struct err *e)
{
	for (size_t i = 0; i < parts->n; i++) {
		if (parts->kind[i] != KIND_BERT)
			continue;
		if (encoder == NULL)
			return err_set(e, ERR_INPUT, "the embedder needs its encoder: say where it lies with "
				"--embedder bert:PATH");
		if (parts->dim[i] != 0 && parts->dim[i] != encoder_dim(encoder))
			return err_set(e, ERR_INPUT, "bert: dim %zu where the encoder has %zu", parts->dim[i],
				encoder_dim(encoder));
		parts->dim[i] = encoder_dim(encoder);
	}
	return 0;
}

/* Defaults in place of zeros, then limits. dim is that of the first part that has a choice. */
static int
settle(struct embed_params *p, struct parts *parts, struct err *e)
{
	if (p->kind == NULL)
		p->kind = "lsa";
	if (parts_parse(slice_str(p->kind), parts, e) < 0)
		return -1;
	if (p->dim != 0)
		parts->dim[free_part(parts)] = p->dim;
	if (take_encoder(parts, p->encoder, e) < 0)
		return -1;
	if (p->min_df == 0)
		p->min_df = EMBED_MIN_DF;
	if (p->max_features == 0)
		p->max_features = EMBED_MAX_FEATURES;
	if (p->max_bytes == 0)
		p->max_bytes = EMBED_MAX_BYTES;
	if (p->min_df < 2 || p->min_df > UINT32_MAX)
		return err_set(e, ERR_INPUT, "lsa: min_df %zu is below 2: a term of a single query "
			"could tell its text", p->min_df);
	if (p->max_features > EMBED_LIMIT_FEATURES)
		return err_set(e, ERR_INPUT, "lsa: max_features %zu is above %zu", p->max_features,
			(size_t)EMBED_LIMIT_FEATURES);
	return check_sizes(parts, p->max_bytes, e);
}

/* An embedder without what is learned. */
static struct embedder *
blank(const struct parts *parts, size_t max_bytes, struct err *e)
{
	struct embedder *m = mem_calloc(1, sizeof(*m), e);

	if (m == NULL)
		return NULL;
	m->parts = *parts;
	m->dim = parts_dim(parts);
	m->max_bytes = max_bytes;
	for (size_t i = 0; i < parts->n; i++) {
		if (i > 0)
			strcat(m->name, "+");
		strcat(m->name, kinds[parts->kind[i]].name);
	}
	return m;
}

static int
fit_parts(struct embedder *m, struct embed_params *p, const struct slice *texts, size_t n,
	struct pool *pool, struct err *e)
{
	for (size_t i = 0; i < m->parts.n; i++) {
		p->dim = m->parts.dim[i];
		if (m->parts.kind[i] == KIND_LSA &&
			(m->lsa = lsa_fit(p, texts, n, pool, e)) == NULL)
			return -1;
		if (m->parts.kind[i] == KIND_SHAPE &&
			(m->shape = shape_fit(texts, n, m->max_bytes, pool, e)) == NULL)
			return -1;
	}
	return 0;
}

struct embedder *
embed_fit(const struct embed_params *params, const struct slice *texts, size_t n,
	struct pool *pool, struct err *e)
{
	struct embed_params p = *params;
	struct slice *own = NULL;
	struct embedder *m;
	struct parts parts;

	if (settle(&p, &parts, e) < 0 || (m = blank(&parts, p.max_bytes, e)) == NULL)
		return NULL;
	m->encoder = has_part(&parts, KIND_BERT) ? p.encoder : NULL;
	if (prefix_learn(texts, n, &m->prefix, e) < 0)
		goto fail;
	if (m->prefix != NULL) {
		if ((own = mem_calloc(n, sizeof(*own), e)) == NULL)
			goto fail;
		for (size_t i = 0; i < n; i++)
			own[i] = prefix_strip(m->prefix, texts[i]);
		texts = own;
	}
	if (fit_parts(m, &p, texts, n, pool, e) < 0)
		goto fail;
	free(own);
	return m;
fail:
	free(own);
	embed_free(m);
	return NULL;
}

/*
 * lsa, measured: terms and counts of a text take up to 40 bytes for each of
 * its own, the factorisation three tall matrices on the side of the texts and
 * two on that of the terms, of which there are at most a few for each byte.
 */
static uint64_t
lsa_memory(size_t dim, size_t max_features, uint64_t read, size_t n)
{
	uint64_t terms = max_features < 8 * read ? max_features : 8 * read, rank = dim + 32;

	return 40 * read + rank * (12 * (uint64_t)n + 9 * terms);
}

uint64_t
embed_memory(const struct embed_params *params, const struct slice *texts, size_t n,
	uint64_t *kept, size_t *dim)
{
	struct embed_params p = *params;
	struct parts parts;
	uint64_t read = 0, most = 0;

	*kept = *dim = 0;
	if (settle(&p, &parts, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		read += texts[i].n < p.max_bytes ? texts[i].n : p.max_bytes;
	for (size_t i = 0; i < parts.n; i++)
		if (parts.kind[i] == KIND_LSA) {
			most = lsa_memory(parts.dim[i], p.max_features, read, n);
			*kept = (uint64_t)p.max_features * (parts.dim[i] + 64);
		}
	*dim = parts_dim(&parts);
	return most + (uint64_t)n * sizeof(struct slice) + (uint64_t)SHAPE_DIM * 8 * n;
}

size_t
embed_dim(const struct embedder *m)
{
	return m->dim;
}

const char *
embed_kind(const struct embedder *m)
{
	return m->name;
}

struct encoder *
embed_encoder(const struct embedder *m)
{
	return m->encoder;
}

bool
embed_varies(const struct embedder *m)
{
	return m->encoder != NULL && encoder_bert(m->encoder)->type != GEMM_F32;
}

void
embed_free(struct embedder *m)
{
	if (m == NULL)
		return;
	prefix_free(m->prefix);
	lsa_free(m->lsa);
	shape_free(m->shape);
	free(m);
}

struct embed_scratch *
embed_scratch_new(const struct embedder *m, struct err *e)
{
	struct embed_scratch *s = mem_calloc(1, sizeof(*s), e);

	if (s == NULL)
		return NULL;
	for (size_t i = 0; i < m->parts.n; i++) {
		if ((m->parts.kind[i] == KIND_LSA &&
			(s->lsa = lsa_scratch_new(m->lsa, e)) == NULL) ||
			(m->parts.kind[i] == KIND_HASH &&
			(s->hashed = hashed_scratch_new(m->parts.dim[i], m->max_bytes, e)) == NULL) ||
			(m->parts.kind[i] == KIND_BERT &&
			(s->encoder = encoder_scratch_new(m->encoder, e)) == NULL)) {
			embed_scratch_free(s);
			return NULL;
		}
	}
	return s;
}

void
embed_scratch_free(struct embed_scratch *s)
{
	if (s == NULL)
		return;
	lsa_scratch_free(s->lsa);
	hashed_scratch_free(s->hashed);
	encoder_scratch_free(s->encoder);
	free(s);
}

static double
us_between(int64_t from, int64_t to)
{
	return (double)(to - from) / 1000;
}

static void
embed_part(const struct embedder *m, size_t part, struct slice text, struct embed_scratch *s,
	float *out)
{
	struct embed_times t = { 0, 0 };
	int64_t start;

	switch (m->parts.kind[part]) {
	case KIND_LSA:
		lsa_text(m->lsa, text, s->lsa, out, &t);
		break;
	case KIND_HASH:
		hashed_text(m->parts.dim[part], text, s->hashed, out, &t);
		break;
	case KIND_SHAPE:
		start = clock_mono_ns();
		shape_text(m->shape, text, out);
		t.tokenize_us = us_between(start, clock_mono_ns());
		break;
	case KIND_BERT:
		encoder_text(m->encoder, text, s->encoder, out, &t);
		break;
	}
	s->times.tokenize_us += t.tokenize_us;
	s->times.project_us += t.project_us;
}

/* Parts weighed against each other, the whole of unit length again (a part may be zero). */
static void
scale_join(const struct embedder *m, float *out)
{
	double squares = 0;
	size_t at = 0;

	for (size_t i = 0; i < m->parts.n; at += m->parts.dim[i++]) {
		float w = (float)sqrt(kinds[m->parts.kind[i]].weight);

		for (size_t j = at; j < at + m->parts.dim[i]; j++) {
			out[j] *= w;
			squares += (double)out[j] * (double)out[j];
		}
	}
	for (size_t j = 0; j < m->dim; j++)
		out[j] = squares > 0 ? (float)((double)out[j] / sqrt(squares)) : 0;
}

/* All parts, or all but what an encoder left there already. */
static void
embed_rest(const struct embedder *m, struct slice text, struct embed_scratch *s, float *out, bool encoded)
{
	size_t at = 0;

	s->times = (struct embed_times){ 0, 0 };
	if (m->prefix != NULL)
		text = prefix_strip(m->prefix, text);
	for (size_t i = 0; i < m->parts.n; at += m->parts.dim[i++]) {
		if (!encoded || m->parts.kind[i] != KIND_BERT)
			embed_part(m, i, text, s, out + at);
	}
	if (m->parts.n > 1)
		scale_join(m, out);
}

void
embed_text(const struct embedder *m, struct slice text, struct embed_scratch *s, float *out)
{
	embed_rest(m, text, s, out, false);
}

struct embed_times
embed_scratch_times(const struct embed_scratch *s)
{
	return s->times;
}

struct batch {
	const struct embedder *m;
	const struct slice *texts;
	size_t n;
	float *out;
	struct embed_scratch **scratch;		/* [threads] */
};

static void
batch_part(void *arg, size_t part, unsigned worker)
{
	struct batch *b = arg;
	size_t from = part * BATCH_BLOCK, to = from + BATCH_BLOCK;

	for (size_t i = from; i < to && i < b->n; i++)
		embed_rest(b->m, b->texts[i], b->scratch[worker], b->out + i * b->m->dim, true);
}

/* The encoder's part of every text at once: texts of like length share the products. */
static int
encode_batch(const struct embedder *m, const struct slice *texts, size_t n, float *out,
	struct pool *pool, struct err *e)
{
	struct slice *own = NULL;
	size_t at = 0, part = 0;
	int r;

	for (; m->parts.kind[part] != KIND_BERT; part++)
		at += m->parts.dim[part];
	if (m->prefix != NULL) {
		if ((own = mem_calloc(n, sizeof(*own), e)) == NULL)
			return -1;
		for (size_t i = 0; i < n; i++)
			own[i] = prefix_strip(m->prefix, texts[i]);
		texts = own;
	}
	r = encoder_batch(m->encoder, texts, n, out + at, m->dim, pool, e);
	free(own);
	return r;
}

int
embed_batch(const struct embedder *m, const struct slice *texts, size_t n, float *out,
	struct pool *pool, struct err *e)
{
	struct batch b = { .m = m, .texts = texts, .n = n, .out = out };
	size_t threads = pool_threads(pool), made = 0;
	int r = -1;

	if (m->encoder != NULL && encode_batch(m, texts, n, out, pool, e) < 0)
		return -1;
	if (m->encoder != NULL && m->parts.n == 1)
		return 0;
	if ((b.scratch = mem_calloc(threads, sizeof(*b.scratch), e)) == NULL)
		return -1;
	for (; made < threads; made++) {
		if ((b.scratch[made] = embed_scratch_new(m, e)) == NULL)
			goto out;
	}
	pool_run(pool, (n + BATCH_BLOCK - 1) / BATCH_BLOCK, batch_part, &b);
	r = 0;
out:
	for (size_t i = 0; i < made; i++)
		embed_scratch_free(b.scratch[i]);
	free(b.scratch);
	return r;
}

int
embed_save(const struct embedder *m, struct tensorfile_writer *w, struct err *e)
{
	if (m->prefix != NULL && prefix_save(m->prefix, w, e) < 0)
		return -1;
	if (m->shape != NULL && shape_save(m->shape, w, e) < 0)
		return -1;
	return m->lsa != NULL ? lsa_save(m->lsa, w, e) : 0;
}

void
embed_describe(const struct embedder *m, struct jsonw *j)
{
	jsonw_object(j);
	jsonw_kstr(j, "kind", m->name);
	jsonw_kint(j, "dim", (int64_t)m->dim);
	if (m->parts.n > 1) {
		jsonw_key(j, "dims");
		jsonw_array(j);
		for (size_t i = 0; i < m->parts.n; i++)
			jsonw_int(j, (int64_t)m->parts.dim[i]);
		jsonw_end_array(j);
	}
	jsonw_kint(j, "max_bytes", (int64_t)m->max_bytes);
	jsonw_kint(j, "terms_version", TERMS_VERSION);
	if (m->shape != NULL)
		jsonw_kint(j, "shape_version", SHAPE_VERSION);
	if (m->prefix != NULL)
		jsonw_kint(j, "prefixes", (int64_t)prefix_count(m->prefix));
	if (m->lsa != NULL)
		lsa_describe(m->lsa, j);
	if (m->encoder != NULL) {
		jsonw_key(j, "encoder");
		jsonw_object(j);
		encoder_describe(m->encoder, j);
		jsonw_end_object(j);
	}
	jsonw_end_object(j);
}

/* What loading needs of a description; other members are for people. */
struct description {
	struct slice kind;
	size_t dim, max_bytes, version, shape_version;
	size_t dims[MAX_PARTS], n_dims;
	struct slice encoder;		/* JSON object */
};

static bool
read_size(struct jread *r, size_t *out)
{
	struct slice text;
	long long v;

	if (!jread_number(r, &text) || !slice_int(text, &v) || v < 0 || v > INT32_MAX)
		return false;
	*out = (size_t)v;
	return true;
}

static bool
read_dims(struct jread *r, struct description *d)
{
	if (!jread_array(r))
		return false;
	for (d->n_dims = 0; jread_element(r); d->n_dims++)
		if (d->n_dims == MAX_PARTS || !read_size(r, &d->dims[d->n_dims]))
			return false;
	return true;
}

static int
read_description(struct slice text, struct description *d, struct arena *a, struct err *e)
{
	struct jread r;
	struct slice key;
	bool ok = true;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "embedder's description is not a JSON object");
	while (ok && jread_member(&r, &key)) {
		if (slice_is(key, "kind"))
			ok = jread_string(&r, a, &d->kind);
		else if (slice_is(key, "dim"))
			ok = read_size(&r, &d->dim);
		else if (slice_is(key, "dims"))
			ok = read_dims(&r, d);
		else if (slice_is(key, "max_bytes"))
			ok = read_size(&r, &d->max_bytes);
		else if (slice_is(key, "terms_version"))
			ok = read_size(&r, &d->version);
		else if (slice_is(key, "shape_version"))
			ok = read_size(&r, &d->shape_version);
		else if (slice_is(key, "encoder"))
			ok = jread_skip_raw(&r, &d->encoder);
		else
			ok = jread_skip(&r);
	}
	if (!jread_well(&r))
		return jread_fail(&r, e);
	if (!ok)
		return err_set(e, ERR_INPUT, "embedder's description: \"%.*s\" is not usable",
			(int)(key.n < 40 ? key.n : 40), key.p);
	return jread_done(&r, e);
}

/* The description's sizes belong to its parts. */
static int
read_parts(const struct description *d, struct parts *parts, struct err *e)
{
	if (parts_parse(d->kind, parts, e) < 0)
		return -1;
	if (parts->n == 1)
		parts->dim[0] = d->dim;
	else if (d->n_dims != parts->n)
		return err_set(e, ERR_INPUT, "embedder's description: %zu dims for %zu parts",
			d->n_dims, parts->n);
	for (size_t i = 0; parts->n > 1 && i < parts->n; i++)
		parts->dim[i] = d->dims[i];
	if (check_sizes(parts, d->max_bytes, e) < 0)
		return -1;
	if (parts_dim(parts) != d->dim)
		return err_set(e, ERR_INPUT, "embedder's description: dim %zu is not the sum of its "
			"parts, %zu", d->dim, parts_dim(parts));
	if (d->version != TERMS_VERSION)
		return err_set(e, ERR_INPUT, "embedder was made with terms of version %zu, this program "
			"has %d: train again", d->version, TERMS_VERSION);
	if (has_part(parts, KIND_SHAPE) && d->shape_version != SHAPE_VERSION)
		return err_set(e, ERR_INPUT, "embedder was made with shapes of version %zu, this program "
			"has %d: train again", d->shape_version, SHAPE_VERSION);
	return 0;
}

static struct embedder *
load(const struct tensorfile *f, const struct description *d, struct encoder *encoder, struct err *e)
{
	struct embedder *m;
	struct parts parts;

	if (read_parts(d, &parts, e) < 0 || take_encoder(&parts, encoder, e) < 0)
		return NULL;
	if (has_part(&parts, KIND_BERT) && encoder_match(encoder, d->encoder, e) < 0)
		return NULL;
	if ((m = blank(&parts, d->max_bytes, e)) == NULL)
		return NULL;
	m->encoder = has_part(&parts, KIND_BERT) ? encoder : NULL;
	if (prefix_load(f, &m->prefix, e) < 0)
		goto fail;
	for (size_t i = 0; i < parts.n; i++) {
		if (parts.kind[i] == KIND_LSA &&
			(m->lsa = lsa_load(f, parts.dim[i], d->max_bytes, e)) == NULL)
			goto fail;
		if (parts.kind[i] == KIND_SHAPE &&
			(m->shape = shape_load(f, d->max_bytes, e)) == NULL)
			goto fail;
	}
	return m;
fail:
	embed_free(m);
	return NULL;
}

bool
embed_names_encoder(struct slice description)
{
	struct description d = { .kind = SLICE_NONE };
	struct arena arena = ARENA_INIT;
	struct parts parts;
	bool yes = read_description(description, &d, &arena, NULL) == 0 && parts_parse(d.kind, &parts, NULL) == 0 &&
	    has_part(&parts, KIND_BERT);

	arena_finish(&arena);
	return yes;
}

struct embedder *
embed_load(const struct tensorfile *f, struct slice description, struct encoder *encoder, struct err *e)
{
	struct description d = { .kind = SLICE_NONE };
	struct arena arena = ARENA_INIT;
	struct embedder *m = NULL;

	if (read_description(description, &d, &arena, e) == 0)
		m = load(f, &d, encoder, e);
	arena_finish(&arena);
	return m;
}
