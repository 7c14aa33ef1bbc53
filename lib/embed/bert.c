#include "embed/bert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "embed/wordfile.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "math/dot.h"
#include "math/mat.h"

#define NAME_MAX_BYTES 80

static const char *const dtypes[] = { [GEMM_F32] = "fp32", [GEMM_BF16] = "bf16", [GEMM_I8] = "int8" };
static const enum dtype cells[] = { [GEMM_F32] = DTYPE_F32, [GEMM_BF16] = DTYPE_BF16, [GEMM_I8] = DTYPE_I8 };

const char *
bert_dtype(enum gemm_type type)
{
	return dtypes[type];
}

int
bert_dtype_parse(const char *name, enum gemm_type *out, struct err *e)
{
	for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
		if (strcmp(name, dtypes[i]) == 0) {
			*out = (enum gemm_type)i;
			return 0;
		}
	return err_set(e, ERR_USAGE, "dtype '%s' is not one of fp32, bf16, int8", name);
}

/* ---- the tensors of the packed form, listed once ---- */

struct part {
	char name[NAME_MAX_BYTES];
	enum dtype dtype;
	uint64_t n;			/* elements */
	const void **at;
};

/* A weight matrix takes up to four tensors. */
static size_t
list_weights(enum gemm_type type, struct gemm_weights *w, size_t layer, const char *name, struct part *out)
{
	size_t padded = gemm_padded(w->n), n = 0;
	const struct { const char *suffix; enum dtype dtype; uint64_t n; const void **at; } parts[] = {
		{ "weight", cells[type], padded * w->k, &w->panels },
		{ "bias", DTYPE_F32, padded, (const void **)&w->bias },
		{ "scale", DTYPE_F32, padded, (const void **)&w->scale },
		{ "sum", DTYPE_F32, padded, (const void **)&w->sum },
	};

	for (; n < (type == GEMM_I8 ? 4u : 2u); n++) {
		(void)snprintf(out[n].name, sizeof out[n].name, "bert.%zu.%s.%s", layer, name, parts[n].suffix);
		out[n].dtype = parts[n].dtype;
		out[n].n = parts[n].n;
		out[n].at = parts[n].at;
	}
	return n;
}

static struct part
part(const char *name, enum dtype dtype, uint64_t n, const void **at)
{
	struct part p = { .dtype = dtype, .n = n, .at = at };

	(void)snprintf(p.name, sizeof p.name, "%s", name);
	return p;
}

#define LAYER_PARTS 18
#define OTHER_PARTS 3

static void
set_shapes(struct bert *b)
{
	size_t h = b->conf.hidden, f = b->conf.inner;

	for (size_t i = 0; i < b->conf.layers; i++) {
		struct bert_layer *l = &b->layers[i];

		l->qkv.n = 3 * h;
		l->qkv.k = l->out.k = l->out.n = l->up.k = l->down.n = h;
		l->up.n = l->down.k = f;
	}
}

/* All parts; NULL and err when memory lacks. */
static struct part *
list_parts(struct bert *b, size_t *n, struct err *e)
{
	size_t h = b->conf.hidden;
	struct part *v = mem_calloc(b->conf.layers * LAYER_PARTS + OTHER_PARTS, sizeof *v, e);

	if (v == NULL)
		return NULL;
	*n = 0;
	v[(*n)++] = part("bert.words", b->type == GEMM_F32 ? DTYPE_F32 : DTYPE_BF16, b->conf.vocab * h, &b->words);
	v[(*n)++] = part("bert.places", DTYPE_F32, b->conf.positions * h, (const void **)&b->places);
	v[(*n)++] = part("bert.norm", DTYPE_F32, 2 * h, (const void **)&b->norm);
	for (size_t i = 0; i < b->conf.layers; i++) {
		struct bert_layer *l = &b->layers[i];
		const struct { const char *name; const void **at; } norms[] = {
			{ "norm_attention", (const void **)&l->norm_attention },
			{ "norm_output", (const void **)&l->norm_output },
		};

		*n += list_weights(b->type, &l->qkv, i, "qkv", v + *n);
		*n += list_weights(b->type, &l->out, i, "out", v + *n);
		*n += list_weights(b->type, &l->up, i, "up", v + *n);
		*n += list_weights(b->type, &l->down, i, "down", v + *n);
		for (size_t k = 0; k < 2; k++) {
			char name[NAME_MAX_BYTES];

			(void)snprintf(name, sizeof name, "bert.%zu.%s", i, norms[k].name);
			v[(*n)++] = part(name, DTYPE_F32, 2 * h, norms[k].at);
		}
	}
	return v;
}

static int
describe(const struct bert *b, struct buf *out, struct err *e)
{
	struct jsonw j;

	jsonw_init(&j, out);
	jsonw_object(&j);
	jsonw_kstr(&j, "dtype", dtypes[b->type]);
	bertconf_write(&b->conf, &j);
	wordpiece_describe(b->tokens, &j);
	jsonw_end_object(&j);
	return buf_ok(out, e);
}

/* SHA-256 over the description, the tokenizer and every tensor's name and bytes. */
static int
work_out_digest(struct bert *b, uint8_t out[32], struct err *e)
{
	struct buf text = BUF_INIT;
	struct part *v = NULL;
	struct sha256 s;
	size_t n = 0;
	int status = -1;

	if (describe(b, &text, e) < 0 || (v = list_parts(b, &n, e)) == NULL)
		goto out;
	sha256_init(&s);
	sha256_add(&s, BERT_FORMAT, sizeof BERT_FORMAT);
	sha256_add(&s, text.p, text.len);
	wordpiece_digest(b->tokens, &s);
	for (size_t i = 0; i < n; i++) {
		sha256_add(&s, v[i].name, strlen(v[i].name) + 1);
		sha256_add(&s, *v[i].at, (size_t)v[i].n * dtype_size(v[i].dtype));
	}
	sha256_final(&s, out);
	status = 0;
out:
	buf_finish(&text);
	free(v);
	return status;
}

/* ---- packing a directory ---- */

struct bert_store {
	void **blocks;
	size_t n, cap;
};

static void *
store_new(struct bert *b, size_t bytes, struct err *e)
{
	struct bert_store *s = b->store;

	if (mem_grow((void **)&s->blocks, &s->cap, s->n + 1, sizeof *s->blocks, e) < 0)
		return NULL;
	s->blocks[s->n] = mem_aligned(bytes, 1, e);
	return s->blocks[s->n] == NULL ? NULL : s->blocks[s->n++];
}

struct source {
	struct tensorfile *file;
	const char *prefix;		/* "bert." or "" */
	float *work;			/* [largest matrix] */
};

static float
half_value(enum dtype dtype, const void *data, size_t i)
{
	uint16_t h = ((const uint16_t *)data)[i];

	return dtype == DTYPE_BF16 ? gemm_from_bf16(h) : dot_from_half(h);
}

/* The tensor of that name as floats to out [rows x cols] (cols 0: a vector). */
static int
fetch(const struct source *s, const char *name, size_t rows, size_t cols, float *out, struct err *e)
{
	const uint64_t shape[] = { rows, cols };
	unsigned n_dims = cols == 0 ? 1 : 2;
	size_t n = rows * (cols == 0 ? 1 : cols);
	char full[2 * NAME_MAX_BYTES];
	const struct tensor *t;

	(void)snprintf(full, sizeof full, "%s%s", s->prefix, name);
	t = tensorfile_find(s->file, full);
	if (t == NULL || (t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16))
		t = tensorfile_need(s->file, full, DTYPE_F32, n_dims, shape, e);
	else
		t = tensorfile_need(s->file, full, t->dtype, n_dims, shape, e);
	if (t == NULL)
		return -1;
	if (t->dtype == DTYPE_F32)
		memcpy(out, t->data, n * sizeof *out);
	for (size_t i = 0; t->dtype != DTYPE_F32 && i < n; i++)
		out[i] = half_value(t->dtype, t->data, i);
	for (size_t i = 0; i < n; i++)
		if (!isfinite(out[i]))
			return err_set(e, ERR_INPUT, "tensor \"%s\": element %zu is %g", full, i, (double)out[i]);
	return 0;
}

/* Gamma and beta of a normalisation, in older files under those names. */
static int
pack_norm(struct bert *b, const struct source *s, const char *stem, const float **out, struct err *e)
{
	static const char *const names[2][2] = { { "weight", "bias" }, { "gamma", "beta" } };
	float *v = store_new(b, 2 * b->conf.hidden * sizeof *v, e);
	char full[2 * NAME_MAX_BYTES], name[NAME_MAX_BYTES];
	bool old;

	if (v == NULL)
		return -1;
	*out = v;
	(void)snprintf(full, sizeof full, "%s%s.gamma", s->prefix, stem);
	old = tensorfile_find(s->file, full) != NULL;
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof name, "%s.%s", stem, names[old][i]);
		if (fetch(s, name, b->conf.hidden, 0, v + i * b->conf.hidden, e) < 0)
			return -1;
	}
	return 0;
}

/* Matrices of the same width one below the other, and their biases. */
static int
pack_weights(struct bert *b, const struct source *s, struct gemm_weights *w, size_t layer,
	const char *const *stems, size_t n_stems, struct err *e)
{
	size_t padded = gemm_padded(w->n), each = w->n / n_stems;
	bool scaled = b->type == GEMM_I8;
	void *panels = store_new(b, gemm_packed_bytes(b->type, w->n, w->k), e);
	float *vectors = panels == NULL ? NULL : store_new(b, padded * 3 * sizeof *vectors, e);
	char name[NAME_MAX_BYTES];

	if (vectors == NULL)
		return -1;
	for (size_t i = 0; i < n_stems; i++) {
		(void)snprintf(name, sizeof name, "encoder.layer.%zu.%s.weight", layer, stems[i]);
		if (fetch(s, name, each, w->k, s->work + i * each * w->k, e) < 0)
			return -1;
		(void)snprintf(name, sizeof name, "encoder.layer.%zu.%s.bias", layer, stems[i]);
		if (fetch(s, name, each, 0, vectors + i * each, e) < 0)
			return -1;
	}
	gemm_pack(b->type, s->work, w->n, w->k, panels, scaled ? vectors + padded : NULL,
	    scaled ? vectors + 2 * padded : NULL);
	w->panels = panels;
	w->bias = vectors;
	w->scale = scaled ? vectors + padded : NULL;
	w->sum = scaled ? vectors + 2 * padded : NULL;
	return 0;
}

static int
pack_layer(struct bert *b, const struct source *s, size_t i, struct err *e)
{
	static const char *const qkv[] = { "attention.self.query", "attention.self.key", "attention.self.value" };
	static const char *const out[] = { "attention.output.dense" }, *const up[] = { "intermediate.dense" };
	static const char *const down[] = { "output.dense" };
	struct bert_layer *l = &b->layers[i];
	char name[NAME_MAX_BYTES];

	if (pack_weights(b, s, &l->qkv, i, qkv, 3, e) < 0 || pack_weights(b, s, &l->out, i, out, 1, e) < 0 ||
	    pack_weights(b, s, &l->up, i, up, 1, e) < 0 || pack_weights(b, s, &l->down, i, down, 1, e) < 0)
		return -1;
	(void)snprintf(name, sizeof name, "encoder.layer.%zu.attention.output.LayerNorm", i);
	if (pack_norm(b, s, name, &l->norm_attention, e) < 0)
		return -1;
	(void)snprintf(name, sizeof name, "encoder.layer.%zu.output.LayerNorm", i);
	return pack_norm(b, s, name, &l->norm_output, e);
}

static int
pack_embeddings(struct bert *b, struct source *s, struct err *e)
{
	const struct bertconf *c = &b->conf;
	size_t h = c->hidden, n = c->vocab * h;
	float *places = store_new(b, c->positions * h * sizeof *places, e);

	if (places == NULL || fetch(s, "embeddings.position_embeddings.weight", c->positions, h, places, e) < 0 ||
	    fetch(s, "embeddings.token_type_embeddings.weight", c->types, h, s->work, e) < 0)
		return -1;
	for (size_t i = 0; i < c->positions * h; i++)
		places[i] += s->work[i % h];
	b->places = places;
	if (b->type == GEMM_F32) {
		float *words = store_new(b, n * sizeof *words, e);

		b->words = words;
		return words == NULL ? -1 : fetch(s, "embeddings.word_embeddings.weight", c->vocab, h, words, e);
	} else {
		uint16_t *words = store_new(b, n * sizeof *words, e);

		b->words = words;
		if (words == NULL || fetch(s, "embeddings.word_embeddings.weight", c->vocab, h, s->work, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			words[i] = gemm_to_bf16(s->work[i]);
		return 0;
	}
}

static size_t
largest(const struct bertconf *c)
{
	size_t n = c->vocab * c->hidden, rows = 3 * c->hidden > c->inner ? 3 * c->hidden : c->inner;

	n = n > c->types * c->hidden ? n : c->types * c->hidden;
	return n > rows * c->hidden ? n : rows * c->hidden;
}

static int
pack(struct bert *b, struct source *s, struct err *e)
{
	if ((s->work = mem_aligned(largest(&b->conf), sizeof *s->work, e)) == NULL)
		return -1;
	s->prefix = tensorfile_find(s->file, "bert.embeddings.word_embeddings.weight") != NULL ? "bert." : "";
	if (pack_embeddings(b, s, e) < 0 || pack_norm(b, s, "embeddings.LayerNorm", &b->norm, e) < 0)
		return -1;
	for (size_t i = 0; i < b->conf.layers; i++)
		if (pack_layer(b, s, i, e) < 0)
			return -1;
	return 0;
}

static int
check_vocab(const struct bert *b, struct err *e)
{
	if (wordpiece_size(b->tokens) > b->conf.vocab)
		return err_set(e, ERR_INPUT, "the tokenizer has %zu tokens where vocab_size is %zu",
		    wordpiece_size(b->tokens), b->conf.vocab);
	return 0;
}

static int
make_layers(struct bert *b, struct err *e)
{
	b->layers = mem_calloc(b->conf.layers, sizeof *b->layers, e);
	if (b->layers == NULL)
		return -1;
	set_shapes(b);
	/* Where the CPU has neither AVX-512 nor AVX2, OpenBLAS serves floats better than nothing does. */
	if (b->type == GEMM_F32 && gemm_kernels_at(b->type, 1) == NULL)
		(void)mat_open(NULL);
	b->kernels = gemm_kernels_at(b->type, 0);
	return 0;
}

static int
read_dir(struct bert *b, const char *dir, struct err *e)
{
	struct buf path = BUF_INIT;
	struct source s = { .file = NULL };
	uint8_t digest[32];
	int status = -1;

	buf_printf(&path, "%s/model.safetensors", dir);
	if ((b->store = mem_calloc(1, sizeof *b->store, e)) == NULL || buf_ok(&path, e) < 0 ||
	    bertconf_read(dir, &b->conf, e) < 0 || (b->tokens = wordfile_read(dir, e)) == NULL)
		goto out;
	if (check_vocab(b, e) < 0) {
		err_wrap(e, "%s", dir);
		goto out;
	}
	if (make_layers(b, e) < 0 || (s.file = tensorfile_map(path.p, e)) == NULL)
		goto out;
	if (pack(b, &s, e) < 0) {
		err_wrap(e, "%s", path.p);
		goto out;
	}
	tensorfile_digest(s.file, digest);
	hex_format(digest, 32, b->source);
	status = work_out_digest(b, b->digest, e);
out:
	tensorfile_free(s.file);
	free(s.work);
	buf_finish(&path);
	return status;
}

/* ---- the packed file ---- */

int
bert_save(const struct bert *b, const char *path, struct err *e)
{
	struct tensorfile_writer *w = tensorfile_writer_new(e);
	struct bert copy = *b;
	struct buf text = BUF_INIT;
	struct part *v = NULL;
	char hex[65];
	size_t n = 0;
	int status = -1;

	hex_format(b->digest, 32, hex);
	if (w == NULL || describe(b, &text, e) < 0 || (v = list_parts(&copy, &n, e)) == NULL ||
	    tensorfile_writer_meta(w, "llmr.encoder.format", BERT_FORMAT, e) < 0 ||
	    tensorfile_writer_meta(w, "llmr.encoder.kind", "bert", e) < 0 ||
	    tensorfile_writer_meta(w, "llmr.encoder.description", text.p, e) < 0 ||
	    tensorfile_writer_meta(w, "llmr.encoder.digest", hex, e) < 0 ||
	    tensorfile_writer_meta(w, "llmr.encoder.source", b->source, e) < 0 ||
	    wordpiece_save(b->tokens, w, e) < 0)
		goto out;
	for (size_t i = 0; i < n; i++)
		if (tensorfile_writer_add(w, v[i].name, v[i].dtype, 1, &v[i].n, *v[i].at, e) < 0)
			goto out;
	status = tensorfile_writer_save(w, path, NULL, e);
out:
	tensorfile_writer_free(w);
	buf_finish(&text);
	free(v);
	return status;
}

static bool
parse_hex(struct slice s, uint8_t out[32])
{
	if (s.n != 64)
		return false;
	for (size_t i = 0; i < 64; i++) {
		char c = s.p[i];
		unsigned v = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
		    c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;

		if (v == 16)
			return false;
		out[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : out[i / 2] | v);
	}
	return true;
}

/* "dtype" of a description. */
static int
read_dtype(struct slice json, enum gemm_type *out, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct slice key, value = SLICE_NONE;
	struct jread r;
	int status = -1;

	jread_init(&r, json.p, json.n);
	if (jread_object(&r))
		while (jread_member(&r, &key))
			if (!(slice_is(key, "dtype") ? jread_string(&r, &a, &value) : jread_skip(&r)))
				break;
	for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
		if (slice_is(value, dtypes[i])) {
			*out = (enum gemm_type)i;
			status = 0;
		}
	arena_finish(&a);
	return status == 0 ? 0 : err_set(e, ERR_INPUT, "encoder's description: no known dtype");
}

static int
load(struct bert *b, const struct tensorfile *f, struct err *e)
{
	struct slice format = tensorfile_meta(f, "llmr.encoder.format");
	struct slice text = tensorfile_meta(f, "llmr.encoder.description");
	struct slice source = tensorfile_meta(f, "llmr.encoder.source");
	struct part *v;
	size_t n = 0;

	if (format.p == NULL || text.p == NULL)
		return err_set(e, ERR_INPUT, "not a packed encoder (llmr import bert makes one)");
	if (!slice_is(format, BERT_FORMAT))
		return err_set(e, ERR_INPUT, "packed encoder of format '%.*s', this program reads %s: import it "
		    "again", (int)(format.n < 16 ? format.n : 16), format.p, BERT_FORMAT);
	if (!slice_is(tensorfile_meta(f, "llmr.encoder.kind"), "bert"))
		return err_set(e, ERR_INPUT, "packed encoder is not of kind bert");
	if (!parse_hex(tensorfile_meta(f, "llmr.encoder.digest"), b->digest))
		return err_set(e, ERR_INPUT, "llmr.encoder.digest is not a SHA-256");
	if (source.n < sizeof b->source && source.p != NULL)
		memcpy(b->source, source.p, source.n);
	if (read_dtype(text, &b->type, e) < 0 || bertconf_parse(text, &b->conf, e) < 0 ||
	    (b->tokens = wordpiece_load(f, text, e)) == NULL || check_vocab(b, e) < 0 ||
	    make_layers(b, e) < 0 || (v = list_parts(b, &n, e)) == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct tensor *t = tensorfile_need(f, v[i].name, v[i].dtype, 1, &v[i].n, e);

		if (t == NULL) {
			free(v);
			return -1;
		}
		*v[i].at = t->data;
	}
	free(v);
	return 0;
}

struct bert *
bert_take(struct tensorfile *f, struct err *e)
{
	struct bert *b = mem_calloc(1, sizeof *b, e);

	if (b == NULL)
		return NULL;
	if (load(b, f, e) < 0) {
		bert_free(b);
		return NULL;
	}
	b->file = f;
	return b;
}

/* What the file says of itself must be so. */
static int
verify(struct bert *b, struct err *e)
{
	uint8_t is[32];

	if (work_out_digest(b, is, e) < 0)
		return -1;
	if (memcmp(is, b->digest, sizeof is) != 0)
		return err_set(e, ERR_INPUT, "its digest is not the one it names: damaged or changed");
	return 0;
}

static struct bert *
open_file(const char *path, const struct bert_options *o, struct err *e)
{
	struct tensorfile *f = o->read ? tensorfile_load(path, e) : tensorfile_map(path, e);
	struct bert *b;

	if (f == NULL)
		return NULL;
	if ((b = bert_take(f, e)) == NULL) {
		tensorfile_free(f);
		err_wrap(e, "%s", path);
	} else if (o->read && verify(b, e) < 0) {
		bert_free(b);
		b = NULL;
		err_wrap(e, "%s", path);
	}
	return b;
}

struct bert *
bert_open(const char *path, const struct bert_options *o, struct err *e)
{
	struct stat st;
	struct bert *b;

	if (stat(path, &st) != 0) {
		err_sys(e, ERR_NOINPUT, "%s", path);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode))
		return open_file(path, o, e);
	if ((b = mem_calloc(1, sizeof *b, e)) == NULL)
		return NULL;
	b->type = o->type;
	if (read_dir(b, path, e) < 0) {
		bert_free(b);
		return NULL;
	}
	return b;
}

void
bert_free(struct bert *b)
{
	if (b == NULL)
		return;
	wordpiece_free(b->tokens);
	free(b->layers);
	tensorfile_free(b->file);
	for (size_t i = 0; b->store != NULL && i < b->store->n; i++)
		free(b->store->blocks[i]);
	if (b->store != NULL)
		free(b->store->blocks);
	free(b->store);
	free(b);
}
