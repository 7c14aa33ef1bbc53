#include "embed/embed.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/hashed.h"
#include "embed/lsa.h"
#include "embed/terms.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"

#define MIN_DIM 8
#define BATCH_BLOCK 64

enum kind { KIND_LSA, KIND_HASH };

static const struct {
	const char *name;
	size_t dim, max_dim;
} kinds[] = {
	[KIND_LSA] = { "lsa", 256, LSA_MAX_DIM },
	[KIND_HASH] = { "hash", 384, HASHED_MAX_DIM },
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct embedder {
	enum kind kind;
	size_t dim, max_bytes;
	struct lsa *lsa;	/* KIND_LSA */
};

struct embed_scratch {
	enum kind kind;
	struct lsa_scratch *lsa;
	struct hashed_scratch *hashed;
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
	return err_set(e, ERR_INPUT, "embedder \"%.*s\" is not one of lsa, hash",
		(int)(name.n < 40 ? name.n : 40), name.p == NULL ? "" : name.p);
}

static int
check_sizes(enum kind kind, size_t dim, size_t max_bytes, struct err *e)
{
	if (dim < MIN_DIM || dim > kinds[kind].max_dim)
		return err_set(e, ERR_INPUT, "%s: dim %zu is outside %d..%zu", kinds[kind].name, dim,
			MIN_DIM, kinds[kind].max_dim);
	if (max_bytes < 16 || max_bytes > TERMS_MAX_BYTES)
		return err_set(e, ERR_INPUT, "%s: max_bytes %zu is outside 16..%zu",
			kinds[kind].name, max_bytes, TERMS_MAX_BYTES);
	return 0;
}

/* Defaults in place of zeros, then limits. */
static int
settle(struct embed_params *p, enum kind *kind, struct err *e)
{
	if (p->kind == NULL)
		p->kind = "lsa";
	if (kind_parse(slice_str(p->kind), kind, e) < 0)
		return -1;
	if (p->dim == 0)
		p->dim = kinds[*kind].dim;
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
	return check_sizes(*kind, p->dim, p->max_bytes, e);
}

struct embedder *
embed_fit(const struct embed_params *params, const struct slice *texts, size_t n,
	struct pool *pool, struct err *e)
{
	struct embed_params p = *params;
	struct embedder *m;
	enum kind kind;

	if (settle(&p, &kind, e) < 0 || (m = mem_calloc(1, sizeof(*m), e)) == NULL)
		return NULL;
	*m = (struct embedder){ .kind = kind, .dim = p.dim, .max_bytes = p.max_bytes };
	if (kind == KIND_LSA && (m->lsa = lsa_fit(&p, texts, n, pool, e)) == NULL) {
		free(m);
		return NULL;
	}
	return m;
}

size_t
embed_dim(const struct embedder *m)
{
	return m->dim;
}

const char *
embed_kind(const struct embedder *m)
{
	return kinds[m->kind].name;
}

void
embed_free(struct embedder *m)
{
	if (m == NULL)
		return;
	lsa_free(m->lsa);
	free(m);
}

struct embed_scratch *
embed_scratch_new(const struct embedder *m, struct err *e)
{
	struct embed_scratch *s = mem_calloc(1, sizeof(*s), e);

	if (s == NULL)
		return NULL;
	s->kind = m->kind;
	if (m->kind == KIND_LSA)
		s->lsa = lsa_scratch_new(m->lsa, e);
	else
		s->hashed = hashed_scratch_new(m->dim, m->max_bytes, e);
	if (s->lsa == NULL && s->hashed == NULL) {
		free(s);
		return NULL;
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
	free(s);
}

void
embed_text(const struct embedder *m, struct slice text, struct embed_scratch *s, float *out)
{
	if (m->kind == KIND_LSA)
		lsa_text(m->lsa, text, s->lsa, out, &s->times);
	else
		hashed_text(m->dim, text, s->hashed, out, &s->times);
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
		embed_text(b->m, b->texts[i], b->scratch[worker], b->out + i * b->m->dim);
}

int
embed_batch(const struct embedder *m, const struct slice *texts, size_t n, float *out,
	struct pool *pool, struct err *e)
{
	struct batch b = { .m = m, .texts = texts, .n = n, .out = out };
	size_t threads = pool_threads(pool), made = 0;
	int r = -1;

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
	return m->kind == KIND_LSA ? lsa_save(m->lsa, w, e) : 0;
}

void
embed_describe(const struct embedder *m, struct jsonw *j)
{
	jsonw_object(j);
	jsonw_kstr(j, "kind", kinds[m->kind].name);
	jsonw_kint(j, "dim", (int64_t)m->dim);
	jsonw_kint(j, "max_bytes", (int64_t)m->max_bytes);
	jsonw_kint(j, "terms_version", TERMS_VERSION);
	if (m->kind == KIND_LSA)
		lsa_describe(m->lsa, j);
	jsonw_end_object(j);
}

/* What loading needs of a description; other members are for people. */
struct description {
	struct slice kind;
	size_t dim, max_bytes, version;
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
		else if (slice_is(key, "max_bytes"))
			ok = read_size(&r, &d->max_bytes);
		else if (slice_is(key, "terms_version"))
			ok = read_size(&r, &d->version);
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

static struct embedder *
load(const struct tensorfile *f, const struct description *d, struct err *e)
{
	struct embedder *m;
	enum kind kind;

	if (kind_parse(d->kind, &kind, e) < 0 || check_sizes(kind, d->dim, d->max_bytes, e) < 0)
		return NULL;
	if (d->version != TERMS_VERSION) {
		err_set(e, ERR_INPUT, "embedder was made with terms of version %zu, this program "
			"has %d: train again", d->version, TERMS_VERSION);
		return NULL;
	}
	if ((m = mem_calloc(1, sizeof(*m), e)) == NULL)
		return NULL;
	*m = (struct embedder){ .kind = kind, .dim = d->dim, .max_bytes = d->max_bytes };
	if (kind == KIND_LSA && (m->lsa = lsa_load(f, d->dim, d->max_bytes, e)) == NULL) {
		free(m);
		return NULL;
	}
	return m;
}

struct embedder *
embed_load(const struct tensorfile *f, struct slice description, struct err *e)
{
	struct description d = { .kind = SLICE_NONE };
	struct arena arena = ARENA_INIT;
	struct embedder *m = NULL;

	if (read_description(description, &d, &arena, e) == 0)
		m = load(f, &d, e);
	arena_finish(&arena);
	return m;
}
