/* llmr import - make a router artifact of one's own weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "common/load.h"
#include "data/candidates.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "model/artifact.h"
#include "model/linear.h"

struct import {
	struct tensorfile *weights;
	struct router *router;		/* being made */
	struct router *from;		/* whose embedder is borrowed; NULL */
	struct encoder *encoder;	/* of --embedder; NULL */
	struct candidates *candidates;	/* NULL none */
	size_t *row;			/* [m] output of each model */
	struct linear_params params;
	struct buf hparams, training;
};

struct named {
	struct slice name;
	size_t row;
};

static int
by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int c = memcmp(x->name.p, y->name.p, n);

	return c != 0 ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* --models in the order of the outputs; an artifact has them by name. */
static int
read_models(struct ctx *c, struct import *im)
{
	struct slice rest = slice_str(opt_str(c, "models"));
	struct named v[256];
	size_t n = 0;
	bool added;

	if (rest.p == NULL)
		return err_set(&c->err, ERR_USAGE, "no models: give --models A,B,...");
	for (;;) {
		const char *comma = memchr(rest.p, ',', rest.n);
		size_t k = comma == NULL ? rest.n : (size_t)(comma - rest.p);

		if (k == 0 || n == sizeof v / sizeof v[0])
			return err_set(&c->err, ERR_USAGE, k == 0 ? "--models: an empty name" :
			    "--models: more than 256 names");
		v[n] = (struct named){ { rest.p, k }, n };
		n++;
		if (comma == NULL)
			break;
		rest = (struct slice){ rest.p + k + 1, rest.n - k - 1 };
	}
	if (n < 2)
		return err_set(&c->err, ERR_USAGE, "--models: one model leaves nothing to choose");
	qsort(v, n, sizeof *v, by_name);
	im->row = mem_calloc(n, sizeof *im->row, &c->err);
	if (im->row == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		im->row[i] = v[i].row;
		if (map_intern(&im->router->models, v[i].name.p, v[i].name.n, &added, &c->err) ==
		    MAP_NONE)
			return -1;
		if (!added)
			return err_set(&c->err, ERR_USAGE, "--models: '%.*s' stands twice",
			    (int)v[i].name.n, v[i].name.p);
	}
	return 0;
}

static int
open_embedder(struct ctx *c, struct import *im)
{
	const struct slice no_text = { "", 0 };
	const char *from = opt_str(c, "embedder-from"), *kind = opt_str(c, "embedder");
	struct embed_params p = { .kind = kind, .seed = (uint64_t)opt_int(c, "seed"),
		.dim = opt_given(c, "dim") ? (size_t)opt_int(c, "dim") : 0 };

	if (from != NULL) {
		if (opt_given(c, "embedder") || opt_given(c, "dim"))
			return err_set(&c->err, ERR_USAGE, "--embedder-from comes with an embedder: "
			    "leave out --embedder and --dim");
		im->from = artifact_load(from, &c->err);
		if (im->from == NULL)
			return err_wrap(&c->err, "--embedder-from");
		im->router->embed = im->from->embed;
	} else {
		if (strcmp(kind, "hash") != 0 && strncmp(kind, "bert:", 5) != 0)
			return err_set(&c->err, ERR_USAGE, "--embedder: '%s' is not one of hash, bert:PATH", kind);
		if (load_encoder(c, kind, opt_str(c, "dtype"), NULL, &im->encoder) < 0)
			return -1;
		p.encoder = im->encoder;
		im->router->embed = embed_fit(&p, &no_text, 0, NULL, &c->err);
	}
	if (im->router->embed == NULL)
		return -1;
	im->router->d = embed_dim(im->router->embed);
	return 0;
}

/* What stands for the means in training: the candidates' quality_score, else 0.5. */
static int
set_means(struct ctx *c, struct import *im)
{
	struct router *r = im->router;
	const char *path = opt_str(c, "candidates");
	size_t m = r->models.len;

	if (path != NULL && (im->candidates = candidates_load(path, &c->err)) == NULL)
		return -1;
	r->score_mean = mem_aligned(m, sizeof *r->score_mean, &c->err);
	r->cost_mean = mem_aligned(m, sizeof *r->cost_mean, &c->err);
	if (r->score_mean == NULL || r->cost_mean == NULL)
		return -1;
	r->cheapest = POLICY_NONE;
	for (size_t j = 0; j < m; j++) {
		const struct slice name = { r->models.keys[j], r->models.key_len[j] };
		const struct candidate *k = im->candidates == NULL ? NULL :
		    candidates_find(im->candidates, name);

		r->cost_mean[j] = -1;
		r->score_mean[j] = k == NULL || isnan(k->quality_score) ? 0.5f :
		    (float)k->quality_score;
		if (r->score_mean[j] > r->score_mean[r->best_single])
			r->best_single = j;
		if (im->candidates != NULL && k == NULL)
			log_warn(&c->log, "%s: no candidate '%s'", path, name.p);
	}
	return 0;
}

static int
set_params(struct ctx *c, struct import *im)
{
	if (linear_kind.params_set(&im->params, "link", opt_str(c, "link"), &c->err) < 0)
		return -1;
	return linear_kind.params_set(&im->params, "activation", opt_str(c, "activation"), &c->err);
}

static int
make(struct ctx *c, struct import *im)
{
	struct router *r = im->router;
	struct jsonw w;

	if (read_models(c, im) < 0 || set_params(c, im) < 0 || open_embedder(c, im) < 0 ||
	    set_means(c, im) < 0)
		return -1;
	im->weights = tensorfile_load(c->args[1], &c->err);
	if (im->weights == NULL)
		return -1;
	r->kind = &linear_kind;
	r->scorer = linear_import(im->weights, strcmp(c->args[0], "mlp") == 0, im->row,
	    r->models.len, r->d, &im->params, &c->err);
	if (r->scorer == NULL)
		return err_wrap(&c->err, "%s", c->args[1]);
	jsonw_init(&w, &im->hparams);
	jsonw_object(&w);
	linear_kind.params_write(&im->params, &w);
	jsonw_end_object(&w);
	jsonw_init(&w, &im->training);
	jsonw_object(&w);
	jsonw_kstr(&w, "imported", c->args[0]);
	jsonw_key(&w, "baselines");
	jsonw_object(&w);
	jsonw_key(&w, "best_single");
	jsonw_object(&w);
	jsonw_kstr(&w, "model", r->models.keys[r->best_single]);
	jsonw_kdouble(&w, "score", NAN);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	jsonw_kint(&w, "seed", opt_int(c, "seed"));
	jsonw_end_object(&w);
	return buf_ok(&im->hparams, &c->err) < 0 ? -1 : buf_ok(&im->training, &c->err);
}

static void
report(const struct ctx *c, const struct import *im, const char *path, const uint8_t digest[32])
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];

	hex_format(digest, 32, hex);
	say(c, "wrote %s: %zu models, %zu dimensions; llmr eval tells what it is worth", path,
	    im->router->models.len, im->router->d);
	if (!c->json)
		return;
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "kind", linear_kind.name);
	jsonw_kstr(&w, "output", path);
	jsonw_kstr(&w, "sha256", hex);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(b.p, b.len);
	buf_finish(&b);
}

/* Pack an encoder once, so that it starts at once. */
static int
import_bert(struct ctx *c)
{
	struct bert_options o = { GEMM_BF16, true };
	const char *path = opt_str(c, "output");
	struct bert *b;
	struct buf text = BUF_INIT;
	struct jsonw w;
	char hex[65];
	int r;

	if (path == NULL || strcmp(path, "-") == 0)
		return err_set(&c->err, ERR_USAGE, "no output: give -o FILE.safetensors");
	if (bert_dtype_parse(opt_str(c, "dtype"), &o.type, &c->err) < 0 ||
	    (b = bert_open(c->args[1], &o, &c->err)) == NULL)
		return -1;
	hex_format(b->digest, 32, hex);
	r = bert_save(b, path, &c->err);
	if (r == 0)
		say(c, "wrote %s: bert, %zu layers, %zu dimensions, %zu tokens, %s, digest %s", path,
		    b->conf.layers, b->conf.hidden, b->conf.max_tokens, bert_dtype(b->type), hex);
	if (r == 0 && c->json) {
		jsonw_init(&w, &text);
		jsonw_object(&w);
		jsonw_kstr(&w, "kind", "bert");
		jsonw_kstr(&w, "output", path);
		jsonw_kstr(&w, "digest", hex);
		jsonw_kstr(&w, "dtype", bert_dtype(b->type));
		jsonw_kint(&w, "dim", (int64_t)b->conf.hidden);
		jsonw_kint(&w, "max_tokens", (int64_t)b->conf.max_tokens);
		jsonw_kstr(&w, "source_sha256", b->source);
		jsonw_end_object(&w);
		buf_byte(&text, '\n');
		out_write(text.p, text.len);
		buf_finish(&text);
	}
	bert_free(b);
	return r;
}

int
cmd_import(struct ctx *c)
{
	struct import im = { .hparams = BUF_INIT, .training = BUF_INIT };
	const char *path = opt_str(c, "output");
	struct dataset none = { 0 };
	uint8_t digest[32];
	int r = -1;

	if (strcmp(c->args[0], "bert") == 0)
		return import_bert(c);
	if (strcmp(c->args[0], "linear") != 0 && strcmp(c->args[0], "mlp") != 0)
		return err_set(&c->err, ERR_USAGE, "'%s' cannot be imported: there is linear, mlp, bert",
		    c->args[0]);
	if (path == NULL || strcmp(path, "-") == 0)
		return err_set(&c->err, ERR_USAGE, "no output: give -o FILE.safetensors");
	im.router = mem_calloc(1, sizeof *im.router, &c->err);
	if (im.router == NULL)
		return -1;
	if (make(c, &im) == 0) {
		const struct artifact_info info = { &none, false, buf_cstr(&im.hparams),
			buf_cstr(&im.training) };

		r = artifact_save(im.router, &info, path, digest, &c->err);
	}
	if (r == 0)
		report(c, &im, path, digest);
	if (im.from != NULL)
		im.router->embed = NULL;	/* it is the other's */
	router_free(im.router);
	router_free(im.from);
	encoder_free(im.encoder);
	tensorfile_free(im.weights);
	candidates_free(im.candidates);
	free(im.row);
	buf_finish(&im.hparams);
	buf_finish(&im.training);
	return r;
}
