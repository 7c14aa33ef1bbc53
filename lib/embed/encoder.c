#include "embed/encoder.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "embed/bertrun.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"

#define KEY_BYTES 16		/* of a text's SHA-256 */

/* Vectors by digest of the text. */
struct memory {
	pthread_mutex_t lock;
	struct map keys;
	float *rows;
	size_t cap, max;		/* rows */
};

struct encoder {
	struct bert *bert;
	enum wordpiece_cut cut;
	struct memory *memory;		/* NULL: none */
};

struct encoder_scratch {
	struct bertrun *run;
};

static const char *const cuts[] = { [WORDPIECE_HEAD] = "head", [WORDPIECE_TAIL] = "tail",
	[WORDPIECE_MIDDLE] = "middle" };

int
encoder_cut_parse(const char *name, enum wordpiece_cut *out, struct err *e)
{
	for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
		if (strcmp(name, cuts[i]) == 0) {
			*out = (enum wordpiece_cut)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "truncation '%s' is not one of head, tail, middle", name);
}

struct encoder *
encoder_open(const char *spec, const struct encoder_options *o, struct err *e)
{
	const struct bert_options options = { o->type, o->read };
	struct encoder *m;

	if (strncmp(spec, "bert:", 5) != 0 || spec[5] == '\0') {
		err_set(e, ERR_USAGE, "encoder '%s' is not of the form bert:PATH", spec);
		return NULL;
	}
	if ((m = mem_calloc(1, sizeof *m, e)) == NULL)
		return NULL;
	m->cut = o->cut;
	if ((m->bert = bert_open(spec + 5, &options, e)) == NULL) {
		free(m);
		return NULL;
	}
	return m;
}

void
encoder_free(struct encoder *m)
{
	if (m == NULL)
		return;
	if (m->memory != NULL) {
		pthread_mutex_destroy(&m->memory->lock);
		map_finish(&m->memory->keys);
		free(m->memory->rows);
		free(m->memory);
	}
	bert_free(m->bert);
	free(m);
}

size_t
encoder_dim(const struct encoder *m)
{
	return m->bert->conf.hidden;
}

const struct bert *
encoder_bert(const struct encoder *m)
{
	return m->bert;
}

int
encoder_remember(struct encoder *m, size_t max_bytes, struct err *e)
{
	struct memory *k;

	if (m->memory != NULL)
		return 0;
	if ((k = mem_calloc(1, sizeof *k, e)) == NULL)
		return -1;
	if (pthread_mutex_init(&k->lock, NULL) != 0) {
		free(k);
		return err_set(e, ERR_TEMPFAIL, "cannot make a lock");
	}
	k->max = max_bytes / (encoder_dim(m) * sizeof(float));
	m->memory = k;
	return 0;
}

struct encoder_scratch *
encoder_scratch_new(const struct encoder *m, struct err *e)
{
	struct encoder_scratch *s = mem_calloc(1, sizeof *s, e);

	if (s != NULL && (s->run = bertrun_new(m->bert, 0, e)) == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
encoder_scratch_free(struct encoder_scratch *s)
{
	if (s == NULL)
		return;
	bertrun_free(s->run);
	free(s);
}

static void
to_unit(const struct encoder *m, float *v)
{
	size_t n = encoder_dim(m);
	double squares = 0;

	if (m->bert->conf.normalize)
		return;
	for (size_t j = 0; j < n; j++)
		squares += (double)v[j] * (double)v[j];
	for (size_t j = 0; j < n; j++)
		v[j] = squares > 0 ? (float)((double)v[j] / sqrt(squares)) : 0;
}

void
encoder_text(const struct encoder *m, struct slice text, struct encoder_scratch *s, float *out,
	struct embed_times *times)
{
	bertrun_text(m->bert, text, m->cut, s->run, out, times);
	to_unit(m, out);
}

static int
encode_all(const struct encoder *m, const struct slice *texts, size_t n, float *out, size_t ld,
	struct pool *pool, struct err *e)
{
	if (bertrun_batch(m->bert, texts, n, m->cut, out, ld, pool, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		to_unit(m, out + i * ld);
	return 0;
}

/* ---- the memory of vectors ---- */

static void
key_of(struct slice text, uint8_t out[KEY_BYTES])
{
	uint8_t digest[32];

	sha256_bytes(text.p == NULL ? "" : text.p, text.n, digest);
	memcpy(out, digest, KEY_BYTES);
}

/* Copy the vectors that are known; list the others. Returns how many those are. */
static size_t
recall(const struct encoder *m, const struct slice *texts, size_t n, float *out, size_t ld, size_t *missing)
{
	size_t d = encoder_dim(m), count = 0;
	struct memory *k = m->memory;
	uint8_t key[KEY_BYTES];

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < n; i++) {
		size_t row;

		key_of(texts[i], key);
		row = map_find(&k->keys, (const char *)key, sizeof key);
		if (row == MAP_NONE)
			missing[count++] = i;
		else
			memcpy(out + i * ld, k->rows + row * d, d * sizeof *out);
	}
	pthread_mutex_unlock(&k->lock);
	return count;
}

/* Memory that lacks only means that less is remembered. */
static void
keep(const struct encoder *m, struct slice text, const float *vector)
{
	size_t d = encoder_dim(m), row;
	struct memory *k = m->memory;
	uint8_t key[KEY_BYTES];
	bool added = false;

	key_of(text, key);
	if (k->keys.len >= k->max)
		return;
	if (k->keys.len == k->cap) {
		size_t cap = k->cap == 0 ? 1024 : 2 * k->cap;
		float *rows = mem_realloc(k->rows, cap, d * sizeof *rows, NULL);

		if (rows == NULL)
			return;
		k->rows = rows;
		k->cap = cap;
	}
	row = map_intern(&k->keys, (const char *)key, sizeof key, &added, NULL);
	if (row != MAP_NONE && added)
		memcpy(k->rows + row * d, vector, d * sizeof *vector);
}

static int
encode_missing(const struct encoder *m, const struct slice *texts, const size_t *missing, size_t count,
	float *out, size_t ld, struct pool *pool, struct err *e)
{
	size_t d = encoder_dim(m);
	struct slice *some = mem_calloc(count, sizeof *some, e);
	float *rows = some == NULL ? NULL : mem_aligned(count * d, sizeof *rows, e);
	int status = -1;

	if (rows == NULL)
		goto out;
	for (size_t i = 0; i < count; i++)
		some[i] = texts[missing[i]];
	if (encode_all(m, some, count, rows, d, pool, e) < 0)
		goto out;
	pthread_mutex_lock(&m->memory->lock);
	for (size_t i = 0; i < count; i++) {
		memcpy(out + missing[i] * ld, rows + i * d, d * sizeof *out);
		keep(m, some[i], rows + i * d);
	}
	pthread_mutex_unlock(&m->memory->lock);
	status = 0;
out:
	free(some);
	free(rows);
	return status;
}

int
encoder_batch(const struct encoder *m, const struct slice *texts, size_t n, float *out, size_t ld,
	struct pool *pool, struct err *e)
{
	size_t *missing, count;
	int status;

	if (m->memory == NULL)
		return encode_all(m, texts, n, out, ld, pool, e);
	if ((missing = mem_calloc(n, sizeof *missing, e)) == NULL)
		return -1;
	count = recall(m, texts, n, out, ld, missing);
	status = count == 0 ? 0 : encode_missing(m, texts, missing, count, out, ld, pool, e);
	free(missing);
	return status;
}

/* ---- in artifacts ---- */

void
encoder_describe(const struct encoder *m, struct jsonw *j)
{
	char hex[65];

	hex_format(m->bert->digest, 32, hex);
	jsonw_kstr(j, "kind", "bert");
	jsonw_kstr(j, "digest", hex);
	jsonw_kstr(j, "dtype", bert_dtype(m->bert->type));
	jsonw_kint(j, "dim", (int64_t)encoder_dim(m));
	jsonw_kint(j, "max_tokens", (int64_t)m->bert->conf.max_tokens);
	jsonw_kstr(j, "truncate", cuts[m->cut]);
}

static int
compare(const struct encoder *m, const char *what, struct slice want, const char *is, struct err *e)
{
	(void)m;
	if (slice_is(want, is))
		return 0;
	return err_set(e, ERR_INPUT, "the artifact was made with another encoder: %s '%.*s', this one has '%s'",
	    what, (int)(want.n < 64 ? want.n : 64), want.p == NULL ? "" : want.p, is);
}

int
encoder_match(struct encoder *m, struct slice description, struct err *e)
{
	struct slice key, kind = SLICE_NONE, digest = SLICE_NONE, dtype = SLICE_NONE, cut = SLICE_NONE;
	struct slice tokens = SLICE_NONE;
	struct arena a = ARENA_INIT;
	char hex[65], number[24];
	struct jread r;
	int status = -1;

	jread_init(&r, description.p == NULL ? "" : description.p, description.n);
	if (jread_object(&r))
		while (jread_member(&r, &key))
			if (!(slice_is(key, "kind") ? jread_string(&r, &a, &kind) :
			    slice_is(key, "digest") ? jread_string(&r, &a, &digest) :
			    slice_is(key, "dtype") ? jread_string(&r, &a, &dtype) :
			    slice_is(key, "truncate") ? jread_string(&r, &a, &cut) :
			    slice_is(key, "max_tokens") ? jread_number(&r, &tokens) : jread_skip(&r)))
				break;
	if (jread_done(&r, e) < 0) {
		err_wrap(e, "embedder's description: encoder");
		goto out;
	}
	hex_format(m->bert->digest, 32, hex);
	(void)snprintf(number, sizeof number, "%zu", m->bert->conf.max_tokens);
	if (compare(m, "kind", kind, "bert", e) < 0 || compare(m, "dtype", dtype, bert_dtype(m->bert->type), e) < 0 ||
	    compare(m, "max_tokens", tokens, number, e) < 0 || compare(m, "digest", digest, hex, e) < 0)
		goto out;
	for (size_t i = 0; status < 0 && i < sizeof cuts / sizeof cuts[0]; i++)
		if (slice_is(cut, cuts[i])) {
			m->cut = (enum wordpiece_cut)i;
			status = 0;
		}
	if (status < 0)
		err_set(e, ERR_INPUT, "embedder's description: encoder: truncate '%.*s' is unknown",
		    (int)(cut.n < 20 ? cut.n : 20), cut.p == NULL ? "" : cut.p);
out:
	arena_finish(&a);
	return status;
}
