#include "embed/bertconf.h"

#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"

#define MAX_FILE ((size_t)4 << 20)
#define SHOWN(s) (int)((s).n < 60 ? (s).n : 60), ((s).p == NULL ? "" : (s).p)

static bool
read_size(struct jread *r, size_t *out)
{
	double v;

	/* model_max_length may be 1e30: as large as can be. */
	if (!jread_double(r, &v) || !(v >= 0))
		return false;
	*out = v < 1e9 ? (size_t)v : (size_t)1000000000;
	return true;
}

static int
bad(const char *file, struct slice key, const struct jread *r, struct err *e)
{
	if (!jread_well(r)) {
		jread_fail(r, e);
		return err_wrap(e, "%s", file);
	}
	return err_set(e, ERR_INPUT, "%s: \"%.*s\" is not usable", file, SHOWN(key));
}

static int
need_word(const char *file, const char *key, struct slice is, const char *want, struct err *e)
{
	if (is.p == NULL || slice_is(is, want))
		return 0;
	return err_set(e, ERR_INPUT, "%s: %s '%.*s' is not supported: only %s is", file, key, SHOWN(is), want);
}

/* A member that decides what kind of model it is. */
struct words { struct slice type, act, position; };

static int
check_words(const struct words *w, struct bertconf *c, struct err *e)
{
	if (w->type.p == NULL)
		return err_set(e, ERR_INPUT, "config.json: no model_type");
	if (need_word("config.json", "model_type", w->type, "bert", e) < 0 ||
	    need_word("config.json", "position_embedding_type", w->position, "absolute", e) < 0)
		return -1;
	c->relu = slice_is(w->act, "relu");
	if (w->act.p != NULL && !c->relu && !slice_is(w->act, "gelu"))
		return err_set(e, ERR_INPUT, "config.json: hidden_act '%.*s' is not supported: gelu and "
		    "relu are", SHOWN(w->act));
	return 0;
}

static int
read_config(struct slice text, struct bertconf *c, struct err *e)
{
	struct words w = { SLICE_NONE, SLICE_NONE, SLICE_NONE };
	struct arena a = ARENA_INIT;
	struct slice key = SLICE_NONE;
	struct jread r;
	bool ok = true;
	int status;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "config.json: not a JSON object");
	while (ok && jread_member(&r, &key))
		ok = slice_is(key, "model_type") ? jread_string(&r, &a, &w.type) :
		    slice_is(key, "hidden_act") ? jread_string(&r, &a, &w.act) :
		    slice_is(key, "position_embedding_type") ? jread_string(&r, &a, &w.position) :
		    slice_is(key, "hidden_size") ? read_size(&r, &c->hidden) :
		    slice_is(key, "num_hidden_layers") ? read_size(&r, &c->layers) :
		    slice_is(key, "num_attention_heads") ? read_size(&r, &c->heads) :
		    slice_is(key, "intermediate_size") ? read_size(&r, &c->inner) :
		    slice_is(key, "vocab_size") ? read_size(&r, &c->vocab) :
		    slice_is(key, "max_position_embeddings") ? read_size(&r, &c->positions) :
		    slice_is(key, "type_vocab_size") ? read_size(&r, &c->types) :
		    slice_is(key, "layer_norm_eps") ? jread_double(&r, &c->eps) : jread_skip(&r);
	status = !ok ? bad("config.json", key, &r, e) : jread_done(&r, e) < 0 ?
	    err_wrap(e, "config.json") : check_words(&w, c, e);
	arena_finish(&a);
	return status;
}

/* Modules in order: a Transformer, a Pooling (its path to pooling [cap]), and perhaps a Normalize. */
static int
read_modules(struct slice text, struct bertconf *c, char *pooling, size_t cap, struct err *e)
{
	static const char *const kinds[] = { "Transformer", "Pooling", "Normalize" };
	struct arena a = ARENA_INIT;
	struct slice key, type, path;
	struct jread r;
	size_t n = 0;
	int status = -1;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (jread_array(&r))
		for (; jread_element(&r); n++) {
			bool ok = true;

			type = path = SLICE_NONE;
			if (!jread_object(&r))
				break;
			while (ok && jread_member(&r, &key))
				ok = slice_is(key, "type") ? jread_string(&r, &a, &type) :
				    slice_is(key, "path") ? jread_string(&r, &a, &path) : jread_skip(&r);
			if (!ok) {
				bad("modules.json", key, &r, e);
				goto out;
			}
			while (type.n > 0 && memchr(type.p, '.', type.n) != NULL) {
				const char *dot = memchr(type.p, '.', type.n);

				type.n -= (size_t)(dot + 1 - type.p);
				type.p = dot + 1;
			}
			if (jread_well(&r) && (n > 2 || !slice_is(type, kinds[n]))) {
				err_set(e, ERR_INPUT, "modules.json: module %zu '%.*s' is not supported: "
				    "Transformer, Pooling and perhaps Normalize are", n, SHOWN(type));
				goto out;
			}
			if (n == 1 && (path.n >= cap || (path.n > 0 && memchr(path.p, '/', path.n) != NULL))) {
				err_set(e, ERR_INPUT, "modules.json: path of Pooling is not usable");
				goto out;
			}
			if (n == 1 && path.n > 0) {
				memcpy(pooling, path.p, path.n);
				pooling[path.n] = '\0';
			}
		}
	if (jread_done(&r, e) < 0)
		err_wrap(e, "modules.json");
	else if (n < 2)
		err_set(e, ERR_INPUT, "modules.json: a Transformer and a Pooling are needed");
	else {
		c->normalize = n == 3;
		status = 0;
	}
out:
	arena_finish(&a);
	return status;
}

static int
read_pooling(const char *file, struct slice text, size_t hidden, struct bertconf *c, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct slice key = SLICE_NONE, other = SLICE_NONE, mode = SLICE_NONE;
	bool ok = true, on, mean = false, cls = false;
	size_t dim = hidden;
	struct jread r;
	int status = -1;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "%s: not a JSON object", file);
	while (ok && jread_member(&r, &key)) {
		if (slice_is(key, "pooling_mode_mean_tokens"))
			ok = jread_bool(&r, &mean);
		else if (slice_is(key, "pooling_mode_cls_token"))
			ok = jread_bool(&r, &cls);
		else if (slice_is(key, "pooling_mode"))
			ok = jread_string(&r, &a, &mode);
		else if (slice_is(key, "word_embedding_dimension") || slice_is(key, "embedding_dimension"))
			ok = read_size(&r, &dim);
		else if (slice_starts(key, "pooling_mode_")) {
			ok = jread_bool(&r, &on);
			other = ok && on ? key : other;
		} else
			ok = jread_skip(&r);
	}
	mean |= slice_is(mode, "mean");
	cls |= slice_is(mode, "cls");
	if (!ok)
		bad(file, key, &r, e);
	else if (jread_done(&r, e) < 0)
		err_wrap(e, "%s", file);
	else if (other.p != NULL)
		err_set(e, ERR_INPUT, "%s: %.*s is not supported: mean and cls are", file, SHOWN(other));
	else if (mean == cls)
		err_set(e, ERR_INPUT, "%s: pooling '%.*s': one of mean and cls is needed", file, SHOWN(mode));
	else if (dim != hidden)
		err_set(e, ERR_INPUT, "%s: word_embedding_dimension %zu where hidden_size is %zu", file, dim, hidden);
	else {
		c->cls = cls;
		status = 0;
	}
	arena_finish(&a);
	return status;
}

/* One number (and a do_lower_case that must be false) of a JSON object. */
static int
read_limit(const char *file, struct slice text, const char *name, size_t *out, struct err *e)
{
	struct slice key = SLICE_NONE;
	bool ok = true, lower = false;
	struct jread r;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "%s: not a JSON object", file);
	while (ok && jread_member(&r, &key)) {
		if (slice_is(key, name) && jread_peek(&r) == JREAD_NUMBER)
			ok = read_size(&r, out);
		else if (slice_is(key, "do_lower_case") && strcmp(name, "max_seq_length") == 0)
			ok = jread_bool(&r, &lower);
		else
			ok = jread_skip(&r);
	}
	if (!ok)
		return bad(file, key, &r, e);
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "%s", file);
	if (lower)
		return err_set(e, ERR_INPUT, "%s: do_lower_case true is not supported: the tokenizer decides", file);
	return 0;
}

/* The text of DIR/NAME: 1 when it is there, 0 when not, -1 and err. */
static int
slurp(const char *dir, const char *name, struct buf *out, struct err *e)
{
	struct buf path = BUF_INIT;
	int status = 0;

	buf_reset(out);
	buf_printf(&path, "%s/%s", dir, name);
	if (buf_ok(&path, e) < 0)
		status = -1;
	else if (io_exists(path.p))
		status = io_read_file(path.p, MAX_FILE, out, e) < 0 ? -1 : 1;
	buf_finish(&path);
	return status;
}

static int
check(const struct bertconf *c, struct err *e)
{
	const struct { const char *name; size_t is, lo, hi; } limits[] = {
		{ "num_hidden_layers", c->layers, 1, BERTCONF_MAX_LAYERS },
		{ "hidden_size", c->hidden, 16, 4096 }, { "num_attention_heads", c->heads, 1, 64 },
		{ "intermediate_size", c->inner, 16, 16384 }, { "vocab_size", c->vocab, 1, (1 << 20) - 1 },
		{ "max_position_embeddings", c->positions, 2, BERTCONF_MAX_TOKENS },
		{ "type_vocab_size", c->types, 1, 16 }, { "max_tokens", c->max_tokens, 3, c->positions },
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (limits[i].is < limits[i].lo || limits[i].is > limits[i].hi)
			return err_set(e, ERR_INPUT, "%s %zu is outside %zu..%zu", limits[i].name,
			    limits[i].is, limits[i].lo, limits[i].hi);
	if (c->hidden % c->heads != 0 || c->hidden / c->heads % 16 != 0 || c->hidden / c->heads > 128)
		return err_set(e, ERR_INPUT, "hidden_size %zu in %zu heads: heads of 16, 32, ... 128 are "
		    "supported", c->hidden, c->heads);
	if (c->inner % 16 != 0)
		return err_set(e, ERR_INPUT, "intermediate_size %zu is no multiple of 16", c->inner);
	if (!(c->eps > 0 && c->eps < 1))
		return err_set(e, ERR_INPUT, "layer_norm_eps %g is outside 0..1", c->eps);
	return 0;
}

/* Pooling and normalisation; then the limit of tokens. */
static int
read_rest(const char *dir, struct bertconf *c, struct buf *b, struct err *e)
{
	char folder[64] = "1_Pooling", file[96];
	size_t limit = BERTCONF_MAX_TOKENS;
	int there;

#define TEXT ((struct slice){ b->p == NULL ? "" : b->p, b->len })
	if ((there = slurp(dir, "modules.json", b, e)) < 0 ||
	    (there > 0 && read_modules(TEXT, c, folder, sizeof folder, e) < 0))
		return -1;
	if (there > 0) {
		memcpy(file, folder, sizeof folder);
		strcat(file, "/config.json");
		if ((there = slurp(dir, file, b, e)) < 0)
			return -1;
		if (there == 0)
			return err_set(e, ERR_NOINPUT, "%s/%s: no such file, which modules.json names", dir, file);
		if (read_pooling(file, TEXT, c->hidden, c, e) < 0)
			return -1;
	}
	if ((there = slurp(dir, "sentence_bert_config.json", b, e)) < 0)
		return -1;
	if (there > 0 && read_limit("sentence_bert_config.json", TEXT, "max_seq_length", &limit, e) < 0)
		return -1;
	if (limit == BERTCONF_MAX_TOKENS) {
		if ((there = slurp(dir, "tokenizer_config.json", b, e)) < 0 || (there > 0 &&
		    read_limit("tokenizer_config.json", TEXT, "model_max_length", &limit, e) < 0))
			return -1;
		limit = limit < c->positions ? limit : c->positions;
	}
#undef TEXT
	c->max_tokens = limit;
	return 0;
}

int
bertconf_read(const char *dir, struct bertconf *c, struct err *e)
{
	struct buf b = BUF_INIT;
	int status = -1, there;

	*c = (struct bertconf){ .eps = 1e-12, .types = 2 };
	there = slurp(dir, "config.json", &b, e);
	if (there == 0)
		err_set(e, ERR_NOINPUT, "%s/config.json: no such file", dir);
	if (there <= 0)
		goto out;
	if (read_config((struct slice){ b.p, b.len }, c, e) == 0 && read_rest(dir, c, &b, e) == 0 &&
	    check(c, e) == 0)
		status = 0;
	else
		err_wrap(e, "%s", dir);
out:
	buf_finish(&b);
	return status;
}

int
bertconf_check(struct slice config, struct slice pooling, struct bertconf *c, struct err *e)
{
	*c = (struct bertconf){ .eps = 1e-12, .types = 2 };
	if (read_config(config, c, e) < 0 ||
	    (pooling.p != NULL && read_pooling("1_Pooling/config.json", pooling, c->hidden, c, e) < 0))
		return -1;
	c->max_tokens = c->positions;
	return check(c, e);
}

void
bertconf_write(const struct bertconf *c, struct jsonw *j)
{
	jsonw_kint(j, "layers", (int64_t)c->layers);
	jsonw_kint(j, "hidden", (int64_t)c->hidden);
	jsonw_kint(j, "heads", (int64_t)c->heads);
	jsonw_kint(j, "inner", (int64_t)c->inner);
	jsonw_kint(j, "vocab", (int64_t)c->vocab);
	jsonw_kint(j, "positions", (int64_t)c->positions);
	jsonw_kint(j, "max_tokens", (int64_t)c->max_tokens);
	jsonw_kdouble(j, "eps", c->eps);
	jsonw_kstr(j, "activation", c->relu ? "relu" : "gelu");
	jsonw_kstr(j, "pooling", c->cls ? "cls" : "mean");
	jsonw_kbool(j, "normalize", c->normalize);
}

int
bertconf_parse(struct slice json, struct bertconf *c, struct err *e)
{
	struct slice key = SLICE_NONE, act = SLICE_NONE, pooling = SLICE_NONE;
	struct arena a = ARENA_INIT;
	struct jread r;
	bool ok = true;
	int status;

	*c = (struct bertconf){ .types = 1 };
	jread_init(&r, json.p == NULL ? "" : json.p, json.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "encoder's description is not a JSON object");
	while (ok && jread_member(&r, &key))
		ok = slice_is(key, "layers") ? read_size(&r, &c->layers) :
		    slice_is(key, "hidden") ? read_size(&r, &c->hidden) :
		    slice_is(key, "heads") ? read_size(&r, &c->heads) :
		    slice_is(key, "inner") ? read_size(&r, &c->inner) :
		    slice_is(key, "vocab") ? read_size(&r, &c->vocab) :
		    slice_is(key, "positions") ? read_size(&r, &c->positions) :
		    slice_is(key, "max_tokens") ? read_size(&r, &c->max_tokens) :
		    slice_is(key, "eps") ? jread_double(&r, &c->eps) :
		    slice_is(key, "activation") ? jread_string(&r, &a, &act) :
		    slice_is(key, "pooling") ? jread_string(&r, &a, &pooling) :
		    slice_is(key, "normalize") ? jread_bool(&r, &c->normalize) : jread_skip(&r);
	if (!ok)
		status = bad("encoder's description", key, &r, e);
	else if (jread_done(&r, e) < 0)
		status = err_wrap(e, "encoder's description");
	else if ((!slice_is(act, "gelu") && !slice_is(act, "relu")) ||
	    (!slice_is(pooling, "mean") && !slice_is(pooling, "cls")))
		status = err_set(e, ERR_INPUT, "encoder's description: unknown activation or pooling");
	else {
		c->relu = slice_is(act, "relu");
		c->cls = slice_is(pooling, "cls");
		status = check(c, e);
	}
	arena_finish(&a);
	return status;
}
