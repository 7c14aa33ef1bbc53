#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "embed/bertrun.h"
#include "embed/embed.h"
#include "embed/encoder.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"
#include "math/mat.h"

/* A model of random weights, small enough to be worked out by the plainest of code. */
#define H 64
#define HEADS 2
#define F 96
#define LAYERS 2
#define VOCAB_SIZE 20
#define POSITIONS 96
#define TOKENS 80

#define CONFIG "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":64,\"num_attention_heads\":2," \
	"\"num_hidden_layers\":2,\"intermediate_size\":96,\"vocab_size\":20,\"max_position_embeddings\":96," \
	"\"type_vocab_size\":2,\"layer_norm_eps\":1e-12}"
#define WORDS "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\n##a\n##b\n##c\n,\n.\n"
#define MODULES "[{\"path\":\"\",\"type\":\"x.Transformer\"},{\"path\":\"1_Pooling\",\"type\":\"x.Pooling\"}," \
	"{\"path\":\"2\",\"type\":\"x.Normalize\"}]"

struct named { char name[96]; uint64_t shape[2]; unsigned n_dims; float *v; };
struct model { struct named t[64]; size_t n; char dir[64]; };

static float *
tensor(struct model *m, const char *name, size_t rows, size_t cols, double mean, double sd, struct rng *r)
{
	struct named *t = &m->t[m->n++];
	size_t n = rows * (cols == 0 ? 1 : cols);

	snprintf(t->name, sizeof t->name, "%s", name);
	t->n_dims = cols == 0 ? 1 : 2;
	t->shape[0] = rows;
	t->shape[1] = cols;
	t->v = malloc(n * sizeof *t->v);
	for (size_t i = 0; i < n; i++)
		t->v[i] = (float)(mean + sd * rng_normal(r));
	return t->v;
}

static void
put(const struct model *m, const char *name, const char *text)
{
	char path[160];
	struct err e = ERR_INIT;

	snprintf(path, sizeof path, "%s/%s", m->dir, name);
	cr_assert(io_write_file(path, text, strlen(text), 0644, &e) == 0, "%s", e.msg);
}

static void
save_weights(const struct model *m, const char *leave_out)
{
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	char path[160];

	for (size_t i = 0; i < m->n; i++)
		if (leave_out == NULL || strcmp(m->t[i].name, leave_out) != 0)
			tensorfile_writer_add(w, m->t[i].name, DTYPE_F32, m->t[i].n_dims, m->t[i].shape, m->t[i].v, NULL);
	snprintf(path, sizeof path, "%s/model.safetensors", m->dir);
	cr_assert(tensorfile_writer_save(w, path, NULL, NULL) == 0);
	tensorfile_writer_free(w);
}

static void
make(struct model *m, bool cls)
{
	static const struct { const char *name; size_t rows, cols; } linear[] = {
		{ "attention.self.query", H, H }, { "attention.self.key", H, H }, { "attention.self.value", H, H },
		{ "attention.output.dense", H, H }, { "intermediate.dense", F, H }, { "output.dense", H, F },
	};
	struct rng r;
	char name[96];

	rng_seed(&r, 9);
	m->n = 0;
	strcpy(m->dir, "/tmp/llmr-bert-XXXXXX");
	cr_assert(mkdtemp(m->dir) != NULL);
	tensor(m, "embeddings.word_embeddings.weight", VOCAB_SIZE, H, 0, 1, &r);
	tensor(m, "embeddings.position_embeddings.weight", POSITIONS, H, 0, 0.5, &r);
	tensor(m, "embeddings.token_type_embeddings.weight", 2, H, 0, 0.5, &r);
	tensor(m, "embeddings.LayerNorm.weight", H, 0, 1, 0.2, &r);
	tensor(m, "embeddings.LayerNorm.bias", H, 0, 0, 0.2, &r);
	for (size_t l = 0; l < LAYERS; l++) {
		for (size_t i = 0; i < 6; i++) {
			snprintf(name, sizeof name, "encoder.layer.%zu.%s.weight", l, linear[i].name);
			tensor(m, name, linear[i].rows, linear[i].cols, 0, 0.15, &r);
			snprintf(name, sizeof name, "encoder.layer.%zu.%s.bias", l, linear[i].name);
			tensor(m, name, linear[i].rows, 0, 0, 0.2, &r);
		}
		for (size_t i = 0; i < 4; i++) {
			snprintf(name, sizeof name, "encoder.layer.%zu.%soutput.LayerNorm.%s", l,
			    i < 2 ? "attention." : "", i % 2 == 0 ? "weight" : "bias");
			tensor(m, name, H, 0, i % 2 == 0, 0.2, &r);
		}
	}
	save_weights(m, NULL);
	put(m, "config.json", CONFIG);
	put(m, "vocab.txt", WORDS);
	put(m, "modules.json", MODULES);
	put(m, "sentence_bert_config.json", "{\"max_seq_length\":80}");
	snprintf(name, sizeof name, "%s/1_Pooling", m->dir);
	mkdir(name, 0755);
	put(m, "1_Pooling/config.json", cls ? "{\"word_embedding_dimension\":64,\"pooling_mode_cls_token\":true}" :
	    "{\"word_embedding_dimension\":64,\"pooling_mode_mean_tokens\":true}");
}

static void
discard(struct model *m)
{
	char command[128];

	for (size_t i = 0; i < m->n; i++)
		free(m->t[i].v);
	snprintf(command, sizeof command, "rm -rf %s", m->dir);
	cr_assert(system(command) == 0);
}

static const float *
weight(const struct model *m, long layer, const char *name)
{
	char full[128];

	if (layer < 0)
		snprintf(full, sizeof full, "%s", name);
	else
		snprintf(full, sizeof full, "encoder.layer.%ld.%s", layer, name);
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->t[i].name, full) == 0)
			return m->t[i].v;
	cr_assert(false, "%s", full);
	return NULL;
}

/* y [n x rows] = x W^T + b, in double. */
static void
dense(const struct model *m, long l, const char *stem, const double *x, size_t n, size_t rows, size_t cols, double *y)
{
	char name[96];
	const float *w, *b;

	snprintf(name, sizeof name, "%s.weight", stem);
	w = weight(m, l, name);
	snprintf(name, sizeof name, "%s.bias", stem);
	b = weight(m, l, name);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < rows; j++) {
			double s = (double)b[j];

			for (size_t k = 0; k < cols; k++)
				s += x[i * cols + k] * (double)w[j * cols + k];
			y[i * rows + j] = s;
		}
}

static void
norm(const struct model *m, long l, const char *stem, double *x, size_t n)
{
	char name[96];
	const float *g, *b;

	snprintf(name, sizeof name, "%s.weight", stem);
	g = weight(m, l, name);
	snprintf(name, sizeof name, "%s.bias", stem);
	b = weight(m, l, name);
	for (size_t i = 0; i < n; i++) {
		double mean = 0, var = 0;

		for (size_t j = 0; j < H; j++)
			mean += x[i * H + j] / H;
		for (size_t j = 0; j < H; j++)
			var += (x[i * H + j] - mean) * (x[i * H + j] - mean) / H;
		for (size_t j = 0; j < H; j++)
			x[i * H + j] = (x[i * H + j] - mean) / sqrt(var + 1e-12) * (double)g[j] + (double)b[j];
	}
}

static void
attention(const double *q, const double *k, const double *v, size_t n, double *out)
{
	for (size_t h = 0; h < HEADS; h++)
		for (size_t i = 0; i < n; i++) {
			double p[TOKENS], total = 0;
			size_t at = h * (H / HEADS);

			for (size_t j = 0; j < n; j++) {
				double s = 0;

				for (size_t d = at; d < at + H / HEADS; d++)
					s += q[i * H + d] * k[j * H + d];
				total += p[j] = exp(s / sqrt(H / HEADS));
			}
			for (size_t d = at; d < at + H / HEADS; d++) {
				out[i * H + d] = 0;
				for (size_t j = 0; j < n; j++)
					out[i * H + d] += p[j] / total * v[j * H + d];
			}
		}
}

static void
reference(const struct model *m, const uint32_t *ids, size_t n, bool cls, double out[H])
{
	static double x[TOKENS * H], q[TOKENS * H], k[TOKENS * H], v[TOKENS * H], y[TOKENS * H], f[TOKENS * F];
	const float *words = weight(m, -1, "embeddings.word_embeddings.weight");
	const float *places = weight(m, -1, "embeddings.position_embeddings.weight");
	const float *types = weight(m, -1, "embeddings.token_type_embeddings.weight");
	double squares = 0;

	for (size_t i = 0; i < n * H; i++)
		x[i] = (double)words[ids[i / H] * H + i % H] + (double)places[i] + (double)types[i % H];
	norm(m, -1, "embeddings.LayerNorm", x, n);
	for (long l = 0; l < LAYERS; l++) {
		dense(m, l, "attention.self.query", x, n, H, H, q);
		dense(m, l, "attention.self.key", x, n, H, H, k);
		dense(m, l, "attention.self.value", x, n, H, H, v);
		attention(q, k, v, n, y);
		dense(m, l, "attention.output.dense", y, n, H, H, q);
		for (size_t i = 0; i < n * H; i++)
			x[i] += q[i];
		norm(m, l, "attention.output.LayerNorm", x, n);
		dense(m, l, "intermediate.dense", x, n, F, H, f);
		for (size_t i = 0; i < n * F; i++)
			f[i] = gemm_gelu(f[i]);
		dense(m, l, "output.dense", f, n, H, F, q);
		for (size_t i = 0; i < n * H; i++)
			x[i] += q[i];
		norm(m, l, "output.LayerNorm", x, n);
	}
	for (size_t j = 0; j < H; j++) {
		out[j] = 0;
		for (size_t i = 0; i < (cls ? 1 : n); i++)
			out[j] += x[i * H + j];
		squares += out[j] * out[j];
	}
	for (size_t j = 0; j < H; j++)
		out[j] /= sqrt(squares);
}

/* A text of n words. */
static struct slice
sentence(size_t n, char *text)
{
	static const char *const words[] = { "a", "bc", "d.", "e", "abca", "zz" };

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		strcat(strcat(text, words[(i * 5 + n) % 6]), " ");
	return slice_str(text);
}

static double
cosine(const float *a, const double *b)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t j = 0; j < H; j++) {
		ab += (double)a[j] * b[j];
		aa += (double)a[j] * (double)a[j];
		bb += b[j] * b[j];
	}
	return ab / sqrt(aa * bb);
}

static void
compare(struct model *m, bool cls)
{
	static const double least[] = { [GEMM_F32] = 1 - 1e-9, [GEMM_BF16] = 0.999, [GEMM_I8] = 0.99 };
	static const size_t lengths[] = { 0, 1, 2, 5, 13, 24, 31, 63, 70, 200 };
	char text[2048];

	cr_assert(mat_open(NULL) == 0);
	for (enum gemm_type t = GEMM_F32; t <= GEMM_I8; t++) {
		const struct bert_options o = { t, false };
		struct err e = ERR_INIT;
		struct bert *b = bert_open(m->dir, &o, &e);
		struct bertrun *s;

		cr_assert(b != NULL, "%s", e.msg);
		s = bertrun_new(b, 0, NULL);
		for (size_t way = 0; bertrun_kernels(s, way); way++)
			for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
				struct slice said = sentence(lengths[i], text);
				struct embed_times times;
				uint32_t ids[TOKENS];
				double want[H];
				float is[H];
				size_t n = bertrun_tokens(b, said, WORDPIECE_HEAD, ids);

				cr_assert(n <= TOKENS && (i < 9 || n == TOKENS));
				reference(m, ids, n, cls, want);
				bertrun_text(b, said, WORDPIECE_HEAD, s, is, &times);
				cr_assert(cosine(is, want) > least[t], "%s, %zu tokens: %.9f", gemm_kernels_at(t, way)->name,
				    n, cosine(is, want));
			}
		bertrun_free(s);
		bert_free(b);
	}
}

Test(bert, every_way_equals_the_plain_forward_pass)
{
	struct model m;

	make(&m, false);
	compare(&m, false);
	discard(&m);
}

Test(bert, the_first_token_can_be_the_pool)
{
	struct model m;

	make(&m, true);
	compare(&m, true);
	discard(&m);
}

Test(bert, a_packed_file_is_the_same_encoder)
{
	static char text[40][256];
	struct slice texts[40];
	struct model m;
	char path[128];

	make(&m, false);
	snprintf(path, sizeof path, "%s/e.safetensors", m.dir);
	for (size_t i = 0; i < 40; i++)
		texts[i] = sentence(i * 7 % 31, text[i]);
	for (enum gemm_type t = GEMM_F32; t <= GEMM_I8; t++) {
		const struct bert_options o = { t, false }, checked = { GEMM_F32, true };
		struct bert *a = bert_open(m.dir, &o, NULL), *b;
		struct bertrun *s = bertrun_new(a, 0, NULL);
		struct pool *pool = pool_new(2, NULL);
		struct err e = ERR_INIT;
		float *x = malloc(sizeof *x * 40 * H), one[H];
		struct embed_times times;

		cr_assert(bert_save(a, path, &e) == 0, "%s", e.msg);
		b = bert_open(path, &checked, &e);
		cr_assert(b != NULL, "%s", e.msg);
		cr_assert(memcmp(a->digest, b->digest, 32) == 0 && b->type == t);
		cr_assert(bertrun_batch(b, texts, 40, WORDPIECE_HEAD, x, H, pool, &e) == 0);
		for (size_t i = 0; i < 40; i++) {
			bertrun_text(a, texts[i], WORDPIECE_HEAD, s, one, &times);
			cr_assert(memcmp(one, x + i * H, sizeof one) == 0, "%s text %zu", bert_dtype(t), i);
		}
		bertrun_free(s);
		pool_free(pool);
		bert_free(a);
		bert_free(b);
		free(x);
	}
	discard(&m);
}

Test(bert, damage_is_told)
{
	const struct bert_options o = { GEMM_I8, false }, checked = { GEMM_I8, true };
	struct buf bytes = BUF_INIT;
	struct err e = ERR_INIT;
	struct model m;
	struct bert *b;
	char path[128];

	make(&m, false);
	snprintf(path, sizeof path, "%s/e.safetensors", m.dir);
	b = bert_open(m.dir, &o, NULL);
	cr_assert(bert_save(b, path, NULL) == 0);
	bert_free(b);
	cr_assert(io_read_file(path, 1 << 24, &bytes, NULL) == 0);
	bytes.p[bytes.len / 2] ^= 1;
	cr_assert(io_write_file(path, bytes.p, bytes.len, 0644, NULL) == 0);
	cr_expect(bert_open(path, &checked, &e) == NULL && e.code == ERR_INPUT && strstr(e.msg, "digest") != NULL,
	    "%s", e.msg);
	cr_assert(io_write_file(path, bytes.p, bytes.len / 2, 0644, NULL) == 0);
	cr_expect(bert_open(path, &o, &e) == NULL && e.code == ERR_INPUT);
	buf_finish(&bytes);
	discard(&m);
}

Test(bert, folders_are_refused_by_name)
{
	static const struct { const char *file, *text, *say; } bad[] = {
		{ "config.json", "{", "config.json" }, { "config.json", "{}", "model_type" },
		{ "config.json", "{\"model_type\":\"mpnet\"}", "mpnet" },
		{ "config.json", "{\"model_type\":\"bert\",\"hidden_act\":\"silu\"}", "silu" },
		{ "config.json", "{\"model_type\":\"bert\",\"hidden_size\":48}", "hidden_size" },
		{ "modules.json", "[{\"path\":\"\",\"type\":\"Transformer\"}]", "Pooling" },
		{ "modules.json", "[{\"path\":\"\",\"type\":\"Transformer\"},{\"path\":\"\",\"type\":\"Dense\"}]", "Dense" },
		{ "1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}", "pooling_mode_max_tokens" },
		{ "1_Pooling/config.json", "{}", "mean" },
		{ "1_Pooling/config.json", "{\"word_embedding_dimension\":7,\"pooling_mode_mean_tokens\":true}", "7" },
		{ "sentence_bert_config.json", "{\"max_seq_length\":1000}", "max_tokens" },
		{ "sentence_bert_config.json", "{\"do_lower_case\":true}", "do_lower_case" },
		{ "vocab.txt", "a\nb\n", "[UNK]" }, { "tokenizer.json", "{}", "tokenizer.json" },
		{ "vocab.txt", WORDS "1\n2\n3\n4\n5\n6\n7\n8\n", "vocab_size" },
	};
	const struct bert_options o = { GEMM_BF16, false };
	struct err e = ERR_INIT;
	struct model m;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		make(&m, false);
		put(&m, bad[i].file, bad[i].text);
		e = (struct err)ERR_INIT;
		cr_expect(bert_open(m.dir, &o, &e) == NULL, "case %zu", i);
		cr_expect(e.code == ERR_INPUT && strstr(e.msg, bad[i].say) != NULL, "case %zu: %s", i, e.msg);
		discard(&m);
	}
	make(&m, false);
	save_weights(&m, "encoder.layer.1.output.dense.bias");
	cr_expect(bert_open(m.dir, &o, &e) == NULL && strstr(e.msg, "encoder.layer.1.output.dense.bias") != NULL);
	m.t[7].v[3] = NAN;
	save_weights(&m, NULL);
	cr_expect(bert_open(m.dir, &o, &e) == NULL && strstr(e.msg, "nan") != NULL, "%s", e.msg);
	discard(&m);
}

Test(bert, joins_name_their_encoder)
{
	static char text[12][256];
	struct encoder_options o = ENCODER_OPTIONS_INIT;
	struct slice texts[12];
	struct embed_params p = { .kind = "hash+bert:x+y", .dim = 32 };
	struct tensorfile_writer *w = tensorfile_writer_new(NULL);
	struct embedder *a, *b;
	struct encoder *enc, *other;
	struct embed_scratch *s;
	struct buf meta = BUF_INIT;
	struct tensorfile *f;
	struct err e = ERR_INIT;
	float one[32 + H], all[12 * (32 + H)];
	struct slice spec = embed_encoder_spec("hash+bert:x+y+shape");
	struct jsonw j;
	struct model m;
	char path[128];

	cr_assert(slice_is(spec, "bert:x+y"), "%.*s", (int)spec.n, spec.p);
	cr_expect(embed_check_kind("lsa+bert", &e) < 0);
	make(&m, false);
	snprintf(path, sizeof path, "bert:%s", m.dir);
	enc = encoder_open(path, &o, &e);
	o.type = GEMM_I8;
	other = encoder_open(path, &o, &e);
	cr_assert(enc != NULL && other != NULL, "%s", e.msg);
	cr_expect(embed_fit(&p, texts, 0, NULL, &e) == NULL);
	p.encoder = enc;
	for (size_t i = 0; i < 12; i++)
		texts[i] = sentence(i, text[i]);
	a = embed_fit(&p, texts, 12, NULL, &e);
	cr_assert(a != NULL && embed_dim(a) == 32 + H, "%s", e.msg);
	cr_expect_str_eq(embed_kind(a), "hash+bert");
	cr_assert(encoder_remember(enc, 7 * H * sizeof(float), &e) == 0);
	for (size_t lap = 0; lap < 2; lap++) {
		cr_assert(embed_batch(a, texts, 12, all, NULL, &e) == 0);
		s = embed_scratch_new(a, &e);
		for (size_t i = 0; i < 12; i++) {
			embed_text(a, texts[i], s, one);
			cr_assert(memcmp(one, all + i * (32 + H), sizeof one) == 0, "text %zu", i);
		}
		embed_scratch_free(s);
	}
	jsonw_init(&j, &meta);
	embed_describe(a, &j);
	cr_assert(embed_save(a, w, &e) == 0);
	snprintf(path, sizeof path, "%s/a.safetensors", m.dir);
	cr_assert(tensorfile_writer_save(w, path, NULL, &e) == 0);
	f = tensorfile_load(path, &e);
	b = embed_load(f, slice_str(meta.p), enc, &e);
	cr_expect(b != NULL, "%s", e.msg);
	cr_expect(embed_load(f, slice_str(meta.p), NULL, &e) == NULL && strstr(e.msg, "--embedder") != NULL);
	cr_expect(embed_load(f, slice_str(meta.p), other, &e) == NULL && strstr(e.msg, "dtype") != NULL, "%s", e.msg);
	embed_free(a);
	embed_free(b);
	tensorfile_free(f);
	tensorfile_writer_free(w);
	buf_finish(&meta);
	encoder_free(enc);
	encoder_free(other);
	discard(&m);
}
