/* llmr embed - turn texts into vectors. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "common/load.h"
#include "data/vectors.h"
#include "embed/embed.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/rowfile.h"
#include "fmt/stream.h"

#define MAX_LINE ((size_t)64 << 20)
#define CHUNK_LINES 1024
#define CHUNK_BYTES ((size_t)32 << 20)
#define MEMORY_BYTES ((size_t)256 << 20)	/* of vectors, for texts that come again */

struct embedding {
	struct encoder *encoder;
	struct embedder *embed;
	struct pool *pool;
	struct rowfile *out;
	struct vectors *cache;		/* --cache, NULL none */
	uint8_t maker[32];		/* digest of the embedder, for keys of the cache */
	uint64_t cached;		/* rows that came from there */
	uint8_t (*keys)[32];		/* [CHUNK_LINES] */
	uint64_t done, skip;		/* rows written; lines that an earlier run did */
	uint8_t want[32];		/* the input's digest after those */
	uint8_t digest[32];		/* and as read now */
	struct arena texts;
	struct slice *text;		/* [CHUNK_LINES] */
	size_t n, bytes;
	float *rows;			/* [rows_cap x dim] */
	size_t rows_cap;
	bool plain;
};

static int
open_embedder(struct ctx *c, struct embedding *g)
{
	const struct slice none = { "", 0 };
	struct embed_params p = { .kind = opt_str(c, "embedder") };

	if (p.kind == NULL)
		return err_set(&c->err, ERR_USAGE, "no embedder: give --embedder bert:PATH");
	if (strcmp(p.kind, "hash") != 0 && strncmp(p.kind, "bert:", 5) != 0)
		return err_set(&c->err, ERR_USAGE, "--embedder: '%s' is not one of bert:PATH, hash", p.kind);
	if (load_encoder(c, p.kind, opt_str(c, "dtype"), opt_str(c, "truncate"), &g->encoder) < 0)
		return -1;
	if (g->encoder != NULL && encoder_remember(g->encoder, MEMORY_BYTES, &c->err) < 0)
		return -1;
	p.encoder = g->encoder;
	g->embed = embed_fit(&p, &none, 0, NULL, &c->err);
	return g->embed == NULL ? -1 : 0;
}

/* What makes the rows: the embedder's description, and how lines are read. */
static int
make_key(struct embedding *g, uint8_t key[32], struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw j;

	jsonw_init(&j, &b);
	embed_describe(g->embed, &j);
	sha256_bytes(b.p == NULL ? "" : b.p, b.len, g->maker);
	buf_str(&b, g->plain ? "text" : "jsonl");
	sha256_bytes(b.p == NULL ? "" : b.p, b.len, key);
	if (buf_ok(&b, e) < 0)
		return -1;
	buf_finish(&b);
	return 0;
}

/* The query of a JSON line. */
static int
query_of(const char *line, size_t n, struct arena *a, struct slice *out, struct err *e)
{
	struct jread r;
	struct slice key;

	*out = SLICE_NONE;
	jread_init(&r, line, n);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (slice_is(key, "query") && jread_peek(&r) == JREAD_STRING)
				jread_string(&r, a, out);
			else
				jread_skip(&r);
		}
	if (jread_done(&r, e) < 0)
		return -1;
	return out->p == NULL ? err_set(e, ERR_INPUT, "no \"query\" of text") : 0;
}

/* digest = SHA-256(digest, SHA-256(line)): the input so far in 32 bytes. */
static void
chain(uint8_t digest[32], const char *line, size_t n)
{
	uint8_t both[64];

	memcpy(both, digest, 32);
	sha256_bytes(line, n, both + 32);
	sha256_bytes(both, sizeof both, digest);
}

/* What a row of the cache is found by: the embedder and the text. */
static void
cache_key(const struct embedding *g, struct slice text, uint8_t out[32])
{
	uint8_t both[64];

	memcpy(both, g->maker, 32);
	sha256_bytes(text.p == NULL ? "" : text.p, text.n, both + 32);
	sha256_bytes(both, sizeof both, out);
}

/* Rows that the cache knows stay where they are; the others are worked out behind each other, then moved. */
static int
embed_cached(struct ctx *c, struct embedding *g)
{
	size_t dim = embed_dim(g->embed), *missing = mem_calloc(g->n, sizeof *missing, &c->err), count = 0;
	struct slice *texts = missing == NULL ? NULL : mem_calloc(g->n, sizeof *texts, &c->err);
	float *fresh = texts == NULL ? NULL : mem_aligned(g->n * dim, sizeof *fresh, &c->err);
	int found = 0, r = -1;

	for (size_t i = 0; fresh != NULL && found >= 0 && i < g->n; i++) {
		cache_key(g, g->text[i], g->keys[i]);
		found = vectors_get(g->cache, g->keys[i], g->rows + i * dim, dim, &c->err);
		if (found == 0) {
			texts[count] = g->text[i];
			missing[count++] = i;
		}
	}
	if (fresh == NULL || found < 0 || embed_batch(g->embed, texts, count, fresh, g->pool, &c->err) < 0 ||
	    (count > 0 && vectors_begin(g->cache, &c->err) < 0))
		goto out;
	for (size_t i = 0; i < count; i++) {
		memcpy(g->rows + missing[i] * dim, fresh + i * dim, dim * sizeof *fresh);
		if (vectors_put(g->cache, g->keys[missing[i]], fresh + i * dim, dim, &c->err) < 0)
			goto out;
	}
	g->cached += g->n - count;
	r = count > 0 ? vectors_commit(g->cache, &c->err) : 0;
out:
	free(missing);
	free(texts);
	free(fresh);
	return r;
}

static int
flush_chunk(struct ctx *c, struct embedding *g)
{
	if (g->n == 0)
		return 0;
	if (g->n > g->rows_cap) {
		free(g->rows);
		g->rows_cap = g->n;
		if ((g->rows = mem_aligned(g->n * embed_dim(g->embed), sizeof *g->rows, &c->err)) == NULL)
			return -1;
	}
	if ((g->cache != NULL ? embed_cached(c, g) :
	    embed_batch(g->embed, g->text, g->n, g->rows, g->pool, &c->err)) < 0 ||
	    rowfile_add(g->out, g->rows, g->n, g->digest, &c->err) < 0)
		return -1;
	g->done += g->n;
	g->n = g->bytes = 0;
	arena_reset(&g->texts);
	return cancel_check(c->cancel, &c->err);
}

static int
take_line(struct ctx *c, struct embedding *g, const char *line, size_t n, uint64_t number)
{
	struct slice text;
	const char *copy;

	chain(g->digest, line, n);
	if (number <= g->skip) {
		if (number == g->skip && memcmp(g->digest, g->want, 32) != 0)
			return err_set(&c->err, ERR_INPUT, "the first %llu lines are not those that the .part file was "
			    "made of: begin anew with --restart", (unsigned long long)number);
		return 0;
	}
	if ((copy = arena_dup(&g->texts, line, n, &c->err)) == NULL)
		return -1;
	text = (struct slice){ copy, n };
	if (!g->plain && query_of(copy, n, &g->texts, &text, &c->err) < 0)
		return err_wrap(&c->err, "line %llu", (unsigned long long)number);
	g->text[g->n++] = text;
	g->bytes += n;
	return g->n == CHUNK_LINES || g->bytes >= CHUNK_BYTES ? flush_chunk(c, g) : 0;
}

static int
read_all(struct ctx *c, struct embedding *g, const char *path)
{
	struct stream_in *in = stream_in_open(path, &c->err);
	struct stream_lines *lines = in == NULL ? NULL : stream_lines_new(in, MAX_LINE, &c->err);
	uint64_t number = 0;
	const char *line;
	size_t n;
	int r = -1;

	if (lines != NULL)
		while ((r = stream_lines_next(lines, &line, &n, &number, &c->err)) > 0) {
			if ((r = take_line(c, g, line, n, number)) < 0)
				break;
			if (g->n == 0)
				progress_show(&c->progress, "embed", (double)stream_in_consumed(in),
				    (double)stream_in_size(in), "bytes");
		}
	if (r == 0 && number < g->skip)
		r = err_set(&c->err, ERR_INPUT, "%llu lines where the .part file has rows for %llu: begin anew "
		    "with --restart", (unsigned long long)number, (unsigned long long)g->skip);
	if (r < 0 && c->err.code == ERR_INPUT)
		err_wrap(&c->err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
	stream_lines_free(lines);
	stream_in_close(in);
	return r < 0 ? -1 : flush_chunk(c, g);
}

static int
embed_file(struct ctx *c, struct embedding *g)
{
	const char *out = opt_str(c, "output");
	uint8_t key[32];

	g->plain = opt_flag(c, "text");
	if (out == NULL)
		return err_set(&c->err, ERR_USAGE, "no output: give -o FILE (.safetensors, .npy, .pt)");
	if (rowfile_check(out, &c->err) < 0 || open_embedder(c, g) < 0 || make_key(g, key, &c->err) < 0 ||
	    (g->pool = pool_new(c->threads, &c->err)) == NULL)
		return -1;
	g->text = mem_calloc(CHUNK_LINES, sizeof *g->text, &c->err);
	g->keys = mem_calloc(CHUNK_LINES, sizeof *g->keys, &c->err);
	if (g->text == NULL || g->keys == NULL || (opt_str(c, "cache") != NULL &&
	    (g->cache = vectors_open(opt_str(c, "cache"), &c->err)) == NULL))
		return -1;
	g->out = rowfile_open(out, embed_dim(g->embed), key, opt_flag(c, "restart"), &g->skip, g->want, &c->err);
	if (g->out == NULL)
		return -1;
	g->done = g->skip;
	if (g->skip > 0)
		say(c, "going on after the %llu rows of %s.part", (unsigned long long)g->skip, out);
	if (read_all(c, g, c->n_args > 0 ? c->args[0] : "-") < 0) {
		if (g->done > 0)
			say(c, "%llu rows are kept in %s.part; the same command goes on",
			    (unsigned long long)g->done, out);
		return -1;
	}
	if (rowfile_commit(g->out, &c->err) < 0) {
		g->out = NULL;
		return -1;
	}
	g->out = NULL;
	if (g->cache != NULL)
		say(c, "%llu of %llu rows came from the cache", (unsigned long long)g->cached,
		    (unsigned long long)(g->done - g->skip));
	say(c, "wrote %s: %llu rows of %zu", out, (unsigned long long)g->done, embed_dim(g->embed));
	return 0;
}

int
cmd_embed(struct ctx *c)
{
	struct embedding g = { .texts = ARENA_INIT };
	int r = embed_file(c, &g);

	if (r == 0 && c->json) {
		struct buf b = BUF_INIT;
		struct jsonw j;

		jsonw_init(&j, &b);
		jsonw_object(&j);
		jsonw_kstr(&j, "output", opt_str(c, "output"));
		jsonw_kint(&j, "rows", (int64_t)g.done);
		jsonw_kint(&j, "cached", (int64_t)g.cached);
		jsonw_kint(&j, "dim", (int64_t)embed_dim(g.embed));
		jsonw_key(&j, "embedder");
		embed_describe(g.embed, &j);
		jsonw_end_object(&j);
		buf_byte(&b, '\n');
		out_write(b.p, b.len);
		buf_finish(&b);
	}
	rowfile_close(g.out);
	vectors_close(g.cache);
	pool_free(g.pool);
	embed_free(g.embed);
	encoder_free(g.encoder);
	arena_finish(&g.texts);
	free(g.text);
	free(g.rows);
	free(g.keys);
	return r;
}
