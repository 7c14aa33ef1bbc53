#include "embed/wordfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/jread.h"

#define MAX_FILE ((size_t)64 << 20)
#define MAX_CHARS 100		/* of a word, where the file says nothing */

/* What the files say, gathered before a tokenizer is made of it. */
struct reading {
	struct arena arena;
	struct slice *tokens;		/* by id */
	size_t n, cap;
	struct slice prefix, unk, cls, sep;
	bool lowercase, split_cjk;
	int strip_accents;		/* -1: as lowercase */
	uint32_t max_chars;
};

#define SHOWN(s) (int)((s).n < 60 ? (s).n : 60), ((s).p == NULL ? "" : (s).p)

static void
reading_init(struct reading *g)
{
	*g = (struct reading){ .arena = ARENA_INIT, .prefix = SLICE_LIT("##"),
		.unk = SLICE_LIT("[UNK]"), .cls = SLICE_LIT("[CLS]"), .sep = SLICE_LIT("[SEP]"),
		.lowercase = true, .split_cjk = true, .strip_accents = -1, .max_chars = MAX_CHARS };
}

static int
set_token(struct reading *g, size_t id, struct slice token, struct err *e)
{
	size_t old = g->cap;

	if (id >= WORDPIECE_MAX_VOCAB)
		return err_set(e, ERR_INPUT, "vocab: id %zu is above %zu", id, WORDPIECE_MAX_VOCAB - 1);
	if (mem_grow((void **)&g->tokens, &g->cap, id + 1, sizeof *g->tokens, e) < 0)
		return -1;
	memset(g->tokens + old, 0, (g->cap - old) * sizeof *g->tokens);
	if (g->tokens[id].p != NULL)
		return err_set(e, ERR_INPUT, "vocab: id %zu is given to '%.*s' and '%.*s'", id,
		    SHOWN(g->tokens[id]), SHOWN(token));
	g->tokens[id] = token;
	if (id + 1 > g->n)
		g->n = id + 1;
	return 0;
}

static int
find_id(const struct reading *g, const char *what, struct slice token, uint32_t *id, struct err *e)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->tokens[i].p != NULL && slice_eq(g->tokens[i], token)) {
			*id = (uint32_t)i;
			return 0;
		}
	return err_set(e, ERR_INPUT, "%s '%.*s' is not in the vocabulary", what, SHOWN(token));
}

static struct wordpiece *
finish(struct reading *g, struct err *e)
{
	struct wordpiece_options o = { .lowercase = g->lowercase, .split_cjk = g->split_cjk,
		.strip_accents = g->strip_accents < 0 ? g->lowercase : g->strip_accents != 0,
		.max_chars = g->max_chars };

	if (g->n == 0) {
		err_set(e, ERR_INPUT, "vocabulary is empty");
		return NULL;
	}
	if (find_id(g, "unknown token", g->unk, &o.unk, e) < 0 ||
	    find_id(g, "first token", g->cls, &o.cls, e) < 0 ||
	    find_id(g, "last token", g->sep, &o.sep, e) < 0)
		return NULL;
	return wordpiece_new(&o, g->tokens, g->n, g->prefix, e);
}

static void
reading_finish(struct reading *g)
{
	free(g->tokens);
	arena_finish(&g->arena);
}

/* ---- tokenizer.json ---- */

static bool
read_bool_or_null(struct jread *r, int *out)
{
	bool v;

	if (jread_peek(r) == JREAD_NULL)
		return jread_null(r);
	if (!jread_bool(r, &v))
		return false;
	*out = v;
	return true;
}

static bool
read_small(struct jread *r, uint32_t *out)
{
	struct slice text;
	long long v;

	if (!jread_number(r, &text) || !slice_int(text, &v) || v < 0 || v > INT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* "type" must be the one that llmr has. */
static int
check_type(const char *what, struct slice type, const char *want, struct err *e)
{
	if (slice_is(type, want))
		return 0;
	return err_set(e, ERR_INPUT, "%s '%.*s' is not supported: only %s is", what, SHOWN(type), want);
}

static int
bad_value(const char *what, struct slice key, const struct jread *r, struct err *e)
{
	if (!jread_well(r))
		return jread_fail(r, e);
	return err_set(e, ERR_INPUT, "%s: \"%.*s\" is not usable", what, SHOWN(key));
}

static int
read_normalizer(struct reading *g, struct jread *r, struct err *e)
{
	struct slice key, type = SLICE_NONE;
	int clean = 1, cjk = 1, lower = 1;

	if (jread_peek(r) == JREAD_NULL)
		return err_set(e, ERR_INPUT, "normalizer is null: only BertNormalizer is supported");
	if (!jread_object(r))
		return bad_value("tokenizer", SLICE_LIT("normalizer"), r, e);
	while (jread_member(r, &key)) {
		bool ok = slice_is(key, "type") ? jread_string(r, &g->arena, &type) :
		    slice_is(key, "clean_text") ? read_bool_or_null(r, &clean) :
		    slice_is(key, "handle_chinese_chars") ? read_bool_or_null(r, &cjk) :
		    slice_is(key, "strip_accents") ? read_bool_or_null(r, &g->strip_accents) :
		    slice_is(key, "lowercase") ? read_bool_or_null(r, &lower) : jread_skip(r);

		if (!ok)
			return bad_value("normalizer", key, r, e);
	}
	if (!jread_well(r))
		return jread_fail(r, e);
	if (check_type("normalizer", type, "BertNormalizer", e) < 0)
		return -1;
	if (!clean)
		return err_set(e, ERR_INPUT, "normalizer: clean_text false is not supported");
	g->split_cjk = cjk != 0;
	g->lowercase = lower != 0;
	return 0;
}

/* A member whose type alone matters. */
static int
read_typed(struct reading *g, struct jread *r, const char *what, const char *want, struct err *e)
{
	struct slice key, type = SLICE_NONE;

	if (!jread_object(r))
		return err_set(e, ERR_INPUT, "%s is not an object: only %s is supported", what, want);
	while (jread_member(r, &key))
		if (!(slice_is(key, "type") ? jread_string(r, &g->arena, &type) : jread_skip(r)))
			return bad_value(what, key, r, e);
	if (!jread_well(r))
		return jread_fail(r, e);
	return check_type(what, type, want, e);
}

/* "single" of a TemplateProcessing: one special token, the text, one special token. */
static int
read_single(struct reading *g, struct jread *r, struct err *e)
{
	struct slice outer, key, id;
	size_t place = 0, specials = 0;
	bool text = false;

	if (!jread_array(r))
		return bad_value("post_processor", SLICE_LIT("single"), r, e);
	while (jread_element(r)) {
		if (!jread_object(r))
			break;
		while (jread_member(r, &outer)) {
			if (!jread_object(r))
				break;
			id = SLICE_NONE;
			while (jread_member(r, &key))
				if (!(slice_is(key, "id") ? jread_string(r, &g->arena, &id) : jread_skip(r)))
					return bad_value("post_processor", key, r, e);
			if (slice_is(outer, "Sequence") && place == 1)
				text = true;
			else if (slice_is(outer, "SpecialToken") && (place == 0 || place == 2)) {
				*(place == 0 ? &g->cls : &g->sep) = id;
				specials++;
			}
		}
		place++;
	}
	if (!jread_well(r))
		return jread_fail(r, e);
	if (place != 3 || !text || specials != 2)
		return err_set(e, ERR_INPUT, "post_processor: only [CLS] text [SEP] is supported");
	return 0;
}

/* ["[SEP]", 102] of a BertProcessing. */
static bool
read_pair(struct reading *g, struct jread *r, struct slice *out)
{
	size_t i = 0;

	if (!jread_array(r))
		return false;
	for (; jread_element(r); i++)
		if (!(i == 0 ? jread_string(r, &g->arena, out) : jread_skip(r)))
			return false;
	return jread_well(r) && i == 2;
}

static int
read_processor(struct reading *g, struct jread *r, struct err *e)
{
	struct slice key, type = SLICE_NONE;
	bool single = false, ok = true;

	if (!jread_object(r))
		return err_set(e, ERR_INPUT, "post_processor is not an object: TemplateProcessing and "
		    "BertProcessing are supported");
	while (ok && jread_member(r, &key)) {
		if (slice_is(key, "type"))
			ok = jread_string(r, &g->arena, &type);
		else if (slice_is(key, "single")) {
			if (read_single(g, r, e) < 0)
				return -1;
			single = true;
		} else if (slice_is(key, "sep"))
			ok = read_pair(g, r, &g->sep);
		else if (slice_is(key, "cls"))
			ok = read_pair(g, r, &g->cls);
		else
			ok = jread_skip(r);
	}
	if (!ok || !jread_well(r))
		return bad_value("post_processor", ok ? SLICE_NONE : key, r, e);
	if (slice_is(type, "BertProcessing") || (slice_is(type, "TemplateProcessing") && single))
		return 0;
	return err_set(e, ERR_INPUT, "post_processor '%.*s' is not supported: TemplateProcessing and "
	    "BertProcessing are", SHOWN(type));
}

static int
read_vocab(struct reading *g, struct jread *r, struct err *e)
{
	struct slice raw, token;
	uint32_t id;

	if (!jread_object(r))
		return err_set(e, ERR_INPUT, "model: vocab is not an object");
	while (jread_member(r, &raw)) {
		if (!jread_unescape(raw, &g->arena, &token))
			return err_nomem(e);
		if (!read_small(r, &id))
			return bad_value("vocab", raw, r, e);
		if (token.p == NULL)
			token = SLICE_LIT("");
		if (set_token(g, id, token, e) < 0)
			return -1;
	}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
read_model(struct reading *g, struct jread *r, struct err *e)
{
	struct slice key, type = SLICE_LIT("WordPiece");
	bool ok = true;

	if (!jread_object(r))
		return err_set(e, ERR_INPUT, "model is not an object");
	while (ok && jread_member(r, &key)) {
		if (slice_is(key, "type"))
			ok = jread_string(r, &g->arena, &type);
		else if (slice_is(key, "unk_token"))
			ok = jread_string(r, &g->arena, &g->unk);
		else if (slice_is(key, "continuing_subword_prefix"))
			ok = jread_string(r, &g->arena, &g->prefix);
		else if (slice_is(key, "max_input_chars_per_word"))
			ok = read_small(r, &g->max_chars);
		else if (slice_is(key, "vocab")) {
			if (!slice_is(type, "WordPiece"))
				break;
			if (read_vocab(g, r, e) < 0)
				return -1;
		} else
			ok = jread_skip(r);
	}
	if (check_type("model", type, "WordPiece", e) < 0)
		return -1;
	if (!ok || !jread_well(r))
		return bad_value("model", ok ? SLICE_NONE : key, r, e);
	return 0;
}

static int
read_added(struct reading *g, struct jread *r, struct err *e)
{
	struct slice key, content = SLICE_NONE;
	bool special = false, ok = true;
	uint32_t id = 0;

	if (!jread_array(r))
		return bad_value("tokenizer", SLICE_LIT("added_tokens"), r, e);
	while (jread_element(r)) {
		special = false;
		if (!jread_object(r))
			break;
		while (ok && jread_member(r, &key))
			ok = slice_is(key, "content") ? jread_string(r, &g->arena, &content) :
			    slice_is(key, "special") ? jread_bool(r, &special) :
			    slice_is(key, "id") ? read_small(r, &id) : jread_skip(r);
		if (!ok)
			return bad_value("added_tokens", key, r, e);
		if (jread_well(r) && !special)
			return err_set(e, ERR_INPUT, "added_tokens: '%.*s' is not special: such tokens "
			    "are not supported", SHOWN(content));
	}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

struct wordpiece *
wordfile_json(struct slice text, struct err *e)
{
	enum { NORMALIZER = 1, SPLITTER = 2, PROCESSOR = 4, MODEL = 8, ALL = 15 };
	struct wordpiece *w = NULL;
	struct reading g;
	struct slice key;
	struct jread r;
	unsigned seen = 0;
	int ok = 0;

	reading_init(&g);
	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r)) {
		err_set(e, ERR_INPUT, "not a JSON object");
		goto out;
	}
	while (ok == 0 && jread_member(&r, &key)) {
		if (slice_is(key, "normalizer")) {
			seen |= NORMALIZER;
			ok = read_normalizer(&g, &r, e);
		} else if (slice_is(key, "pre_tokenizer")) {
			seen |= SPLITTER;
			ok = read_typed(&g, &r, "pre_tokenizer", "BertPreTokenizer", e);
		} else if (slice_is(key, "post_processor")) {
			seen |= PROCESSOR;
			ok = read_processor(&g, &r, e);
		} else if (slice_is(key, "model")) {
			seen |= MODEL;
			ok = read_model(&g, &r, e);
		} else if (slice_is(key, "added_tokens"))
			ok = read_added(&g, &r, e);
		else
			(void)jread_skip(&r);
	}
	if (ok < 0 || jread_done(&r, e) < 0)
		goto out;
	if (seen != ALL) {
		err_set(e, ERR_INPUT, "not a BERT tokenizer: no %s", (seen & MODEL) == 0 ? "model" :
		    (seen & NORMALIZER) == 0 ? "normalizer" : (seen & SPLITTER) == 0 ?
		    "pre_tokenizer" : "post_processor");
		goto out;
	}
	w = finish(&g, e);
out:
	reading_finish(&g);
	return w;
}

/* ---- vocab.txt and tokenizer_config.json ---- */

/* A special token: a string, or an object with its content. */
static bool
read_special(struct reading *g, struct jread *r, struct slice *out)
{
	struct slice key;
	bool ok = true;

	if (jread_peek(r) != JREAD_OBJECT)
		return jread_string(r, &g->arena, out);
	if (jread_object(r))
		while (ok && jread_member(r, &key))
			ok = slice_is(key, "content") ? jread_string(r, &g->arena, out) : jread_skip(r);
	return ok && jread_well(r);
}

static int
read_config(struct reading *g, struct slice text, struct err *e)
{
	int lower = 1, cjk = 1;
	struct slice key;
	struct jread r;
	bool ok = true;

	jread_init(&r, text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "not a JSON object");
	while (ok && jread_member(&r, &key)) {
		if (slice_is(key, "do_lower_case"))
			ok = read_bool_or_null(&r, &lower);
		else if (slice_is(key, "tokenize_chinese_chars"))
			ok = read_bool_or_null(&r, &cjk);
		else if (slice_is(key, "strip_accents"))
			ok = read_bool_or_null(&r, &g->strip_accents);
		else if (slice_is(key, "unk_token"))
			ok = read_special(g, &r, &g->unk);
		else if (slice_is(key, "cls_token"))
			ok = read_special(g, &r, &g->cls);
		else if (slice_is(key, "sep_token"))
			ok = read_special(g, &r, &g->sep);
		else
			ok = jread_skip(&r);
	}
	if (!ok)
		return bad_value("tokenizer_config.json", key, &r, e);
	g->lowercase = lower != 0;
	g->split_cjk = cjk != 0;
	return jread_done(&r, e);
}

struct wordpiece *
wordfile_vocab(struct slice vocab, struct slice config, struct err *e)
{
	const char *p = vocab.p, *end = vocab.p == NULL ? NULL : vocab.p + vocab.n;
	struct wordpiece *w = NULL;
	struct reading g;

	reading_init(&g);
	if (config.p != NULL && read_config(&g, config, e) < 0) {
		err_wrap(e, "tokenizer_config.json");
		goto out;
	}
	for (size_t id = 0; p < end; id++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *to = nl == NULL ? end : nl;
		struct slice token = { p, (size_t)(to - p) };

		if (token.n > 0 && token.p[token.n - 1] == '\r')
			token.n--;
		if (set_token(&g, id, token, e) < 0)
			goto out;
		p = nl == NULL ? end : nl + 1;
	}
	w = finish(&g, e);
out:
	reading_finish(&g);
	return w;
}

/* A file of the directory; false when it is not there. -1 in *status on failure. */
static bool
slurp(const char *dir, const char *name, struct buf *out, int *status, struct err *e)
{
	struct buf path = BUF_INIT;
	bool there = false;

	buf_printf(&path, "%s/%s", dir, name);
	if ((*status = buf_ok(&path, e)) == 0 && io_exists(path.p)) {
		there = true;
		*status = io_read_file(path.p, MAX_FILE, out, e);
	}
	buf_finish(&path);
	return there;
}

struct wordpiece *
wordfile_read(const char *dir, struct err *e)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct wordpiece *w = NULL;
	int status;

	if (slurp(dir, "tokenizer.json", &a, &status, e)) {
		if (status == 0 && (w = wordfile_json((struct slice){ a.p, a.len }, e)) == NULL)
			err_wrap(e, "%s/tokenizer.json", dir);
	} else if (status == 0 && slurp(dir, "vocab.txt", &a, &status, e)) {
		if (status == 0 && slurp(dir, "tokenizer_config.json", &b, &status, e) && status < 0)
			goto out;
		if (status == 0 && (w = wordfile_vocab((struct slice){ a.p, a.len },
		    b.p == NULL ? SLICE_NONE : (struct slice){ b.p, b.len }, e)) == NULL)
			err_wrap(e, "%s/vocab.txt", dir);
	} else if (status == 0)
		err_set(e, ERR_NOINPUT, "%s: neither tokenizer.json nor vocab.txt is there", dir);
out:
	buf_finish(&a);
	buf_finish(&b);
	return w;
}
