#include "data/outdir.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/jsonw.h"

struct outdir {
	char *path;
	double share;
	uint64_t seed;
	struct io_out train, test;
	uint64_t n_train, n_test, with_decision;
	struct buf line;
};

/* The four names, and the whole path of one. */
static int
path_of(const struct outdir *o, const char *name, struct buf *b, struct err *e)
{
	buf_reset(b);
	buf_printf(b, "%s/%s", o->path, name);
	return buf_ok(b, e);
}

struct outdir *
outdir_open(const char *path, double share, uint64_t seed, struct err *e)
{
	struct outdir *o = mem_calloc(1, sizeof *o, e);
	struct buf p = BUF_INIT;
	int r = -1;

	if (o == NULL)
		return NULL;
	o->train.fd = o->test.fd = -1;
	o->share = share;
	o->seed = seed;
	if ((o->path = mem_strdup(path, e)) != NULL && io_mkdirs(path, e) == 0 &&
	    path_of(o, "routing_train.jsonl", &p, e) == 0 &&
	    io_out_open(&o->train, p.p, 0644, e) == 0 &&
	    path_of(o, "routing_test.jsonl", &p, e) == 0 &&
	    io_out_open(&o->test, p.p, 0644, e) == 0)
		r = 0;
	buf_finish(&p);
	if (r < 0) {
		outdir_free(o);
		return NULL;
	}
	return o;
}

bool
outdir_is_test(uint64_t query_hash, double share, uint64_t seed)
{
	struct rng r = rng_split(seed, query_hash);

	return rng_double(&r) < share;
}

int
outdir_add(struct outdir *o, struct slice line, uint64_t query_hash, uint32_t index,
	bool with_decision, struct err *e)
{
	bool test = outdir_is_test(query_hash, o->share, o->seed);

	if (line.n < 3)
		return err_set(e, ERR_BUG, "an empty record");
	buf_reset(&o->line);
	buf_add(&o->line, line.p, line.n - 2);	/* without "}\n" */
	buf_printf(&o->line, ",\"embedding_id\":%u}\n", index);
	*(test ? &o->n_test : &o->n_train) += 1;
	o->with_decision += with_decision;
	if (buf_ok(&o->line, e) < 0)
		return -1;
	return io_out_write(test ? &o->test : &o->train, o->line.p, o->line.len, e);
}

/* Who makes a model, by its prefix or its name. */
static const char *
provider_of(struct slice model, char *room, size_t size)
{
	static const struct { const char *part, *provider; } known[] = {
		{ "gpt", "openai" }, { "o1", "openai" }, { "o3", "openai" }, { "o4", "openai" },
		{ "claude", "anthropic" }, { "gemini", "google" }, { "gemma", "google" },
		{ "llama", "meta" }, { "mistral", "mistral" }, { "mixtral", "mistral" },
		{ "qwen", "alibaba" }, { "deepseek", "deepseek" }, { "command", "cohere" },
		{ "nemotron", "nvidia" },
	};
	const char *slash = memchr(model.p, '/', model.n);

	if (slash != NULL && slash > model.p && (size_t)(slash - model.p) < size) {
		memcpy(room, model.p, (size_t)(slash - model.p));
		room[slash - model.p] = '\0';
		return room;
	}
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (slice_starts(model, known[i].part))
			return known[i].provider;
	}
	return "unknown";
}

static int
compare_names(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

	return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

static int
write_models(const struct outdir *o, const struct tally *t, struct err *e)
{
	size_t n = tally_models(t);
	struct slice *names = mem_calloc(n, sizeof *names, e);
	struct buf b = BUF_INIT, p = BUF_INIT;
	struct jsonw w;
	char room[128];
	int r = -1;

	if (names == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		names[i] = tally_model(t, i, NULL);
	qsort(names, n, sizeof *names, compare_names);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	for (size_t i = 0; i < n; i++) {
		jsonw_key_n(&w, names[i].p, names[i].n);
		jsonw_object(&w);
		jsonw_kstr_n(&w, "name", names[i].p, names[i].n);
		jsonw_kstr(&w, "provider", provider_of(names[i], room, sizeof room));
		jsonw_end_object(&w);
	}
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	if (buf_ok(&b, e) == 0 && path_of(o, "llm_data.json", &p, e) == 0)
		r = io_write_file(p.p, b.p, b.len, 0644, e);
	buf_finish(&b);
	buf_finish(&p);
	free(names);
	return r;
}

static int
write_metadata(const struct outdir *o, const struct tally *t, struct err *e)
{
	struct tally_totals n = tally_totals(t);
	struct buf b = BUF_INIT, p = BUF_INIT;
	struct jsonw w;
	int r = -1;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "contract_version", "v1");
	jsonw_kint(&w, "total_records", (int64_t)n.records);
	jsonw_kint(&w, "routing_decision_records", (int64_t)o->with_decision);
	jsonw_kint(&w, "legacy_records", (int64_t)(n.records - o->with_decision));
	jsonw_kint(&w, "unique_queries", (int64_t)n.queries);
	jsonw_kint(&w, "queries_with_text", (int64_t)n.queries);
	jsonw_kint(&w, "placeholder_queries", 0);
	jsonw_kint(&w, "unique_models", (int64_t)n.models);
	jsonw_kint(&w, "train_records", (int64_t)o->n_train);
	jsonw_kint(&w, "test_records", (int64_t)o->n_test);
	jsonw_kint(&w, "labelled_records", (int64_t)n.labelled);
	jsonw_kdouble(&w, "test_split", o->share);
	jsonw_kint(&w, "seed", (int64_t)o->seed);
	jsonw_kstr(&w, "split", "by query: hash of the normalised text and the seed");
	jsonw_key(&w, "embedding_model");
	jsonw_null(&w);
	jsonw_key(&w, "embedding_dim");
	jsonw_null(&w);
	jsonw_kstr(&w, "embeddings", "not written by this version");
	jsonw_kstr(&w, "llmr_version", LLMR_VERSION);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	if (buf_ok(&b, e) == 0 && path_of(o, "conversion_metadata.json", &p, e) == 0)
		r = io_write_file(p.p, b.p, b.len, 0644, e);
	buf_finish(&b);
	buf_finish(&p);
	return r;
}

int
outdir_commit(struct outdir *o, const struct tally *t, struct err *e)
{
	if (io_out_flush(&o->train, e) < 0 || io_out_flush(&o->test, e) < 0 ||
	    io_out_commit(&o->train, e) < 0 || io_out_commit(&o->test, e) < 0)
		return -1;
	return write_models(o, t, e) < 0 ? -1 : write_metadata(o, t, e);
}

void
outdir_free(struct outdir *o)
{
	if (o == NULL)
		return;
	io_out_abort(&o->train);
	io_out_abort(&o->test);
	buf_finish(&o->line);
	free(o->path);
	free(o);
}
