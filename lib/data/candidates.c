#include "data/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "fmt/jread.h"

#define MAX_FILE ((size_t)16 << 20)
#define MAX_CAPABILITIES (sizeof((struct candidate *)0)->capabilities / sizeof(struct slice))

/* Where in the file, for messages. */
struct place {
	struct jread *j;
	struct candidates *all;
	const char *file;
	struct slice model;
	struct err *e;
};

static int
bad(const struct place *p, const char *key, const char *why)
{
	if (!jread_well(p->j)) {
		jread_fail(p->j, p->e);
		return err_wrap(p->e, "%s", p->file);
	}
	return err_set(p->e, ERR_INPUT, "%s: model \"%.*s\", key \"%s\": %s", p->file,
		(int)(p->model.n > 64 ? 64 : p->model.n), p->model.p, key, why);
}

static int
read_number(const struct place *p, const char *key, double scale, double most, double *out)
{
	if (jread_peek(p->j) == JREAD_NULL)
		return jread_null(p->j) ? 0 : bad(p, key, "");
	if (jread_peek(p->j) != JREAD_NUMBER || !jread_double(p->j, out))
		return bad(p, key, "a number expected");
	if (*out < 0 || *out > most)
		return bad(p, key, "out of range");
	*out *= scale;
	return 0;
}

static int
read_cost(const struct place *p, struct candidate *c)
{
	struct slice key;
	int r = 0;

	if (jread_peek(p->j) != JREAD_OBJECT)
		return bad(p, "cost_per_1k_tokens", "an object with input and output expected");
	(void)jread_object(p->j);
	while (r == 0 && jread_member(p->j, &key)) {
		if (slice_is(key, "input"))
			r = read_number(p, "cost_per_1k_tokens.input", 1, 1e6, &c->usd_per_1k_input);
		else if (slice_is(key, "output"))
			r = read_number(p, "cost_per_1k_tokens.output", 1, 1e6,
				&c->usd_per_1k_output);
		else
			r = jread_skip(p->j) ? 0 : bad(p, "cost_per_1k_tokens", "");
	}
	return r < 0 || jread_well(p->j) ? r : bad(p, "cost_per_1k_tokens", "");
}

static int
read_capabilities(const struct place *p, struct candidate *c)
{
	if (jread_peek(p->j) != JREAD_ARRAY)
		return bad(p, "capabilities", "an array of strings expected");
	(void)jread_array(p->j);
	while (jread_element(p->j)) {
		if (c->n_capabilities == MAX_CAPABILITIES)
			return bad(p, "capabilities", "more than 16");
		if (jread_peek(p->j) != JREAD_STRING || !jread_string(p->j, &p->all->arena,
			    &c->capabilities[c->n_capabilities]))
			return bad(p, "capabilities", "an array of strings expected");
		c->n_capabilities++;
	}
	return jread_well(p->j) ? 0 : bad(p, "capabilities", "");
}

/* One member of a model's object. LLMRouter gives prices for a million tokens. */
static int
read_member(const struct place *p, struct slice key, struct candidate *c)
{
	if (slice_is(key, "provider")) {
		if (jread_peek(p->j) == JREAD_NULL)
			return jread_null(p->j) ? 0 : bad(p, "provider", "");
		return jread_peek(p->j) == JREAD_STRING &&
			jread_string(p->j, &p->all->arena, &c->provider) ? 0 :
			bad(p, "provider", "a string expected");
	}
	if (slice_is(key, "capabilities"))
		return read_capabilities(p, c);
	if (slice_is(key, "cost_per_1k_tokens"))
		return read_cost(p, c);
	if (slice_is(key, "quality_score"))
		return read_number(p, "quality_score", 1, 1, &c->quality_score);
	if (slice_is(key, "input_price"))
		return read_number(p, "input_price", 1e-3, 1e9, &c->usd_per_1k_input);
	if (slice_is(key, "output_price"))
		return read_number(p, "output_price", 1e-3, 1e9, &c->usd_per_1k_output);
	if (slice_is(key, "context_window"))
		return read_number(p, "context_window", 1, 1e9, &c->context_window);
	return jread_skip(p->j) ? 0 : bad(p, "", "");
}

static int
read_model(struct place *p, size_t *cap)
{
	struct candidate c = { .usd_per_1k_input = NAN, .usd_per_1k_output = NAN,
		.quality_score = NAN, .context_window = NAN };
	struct slice key;
	bool added;
	int r = 0;

	if (!jread_unescape(p->model, &p->all->arena, &p->model))
		return err_nomem(p->e);
	if (p->model.n == 0)
		return bad(p, "", "a name is missing");
	if (jread_peek(p->j) != JREAD_OBJECT)
		return bad(p, "", "an object expected");
	(void)jread_object(p->j);
	while (r == 0 && jread_member(p->j, &key))
		r = read_member(p, key, &c);
	if (r < 0 || !jread_well(p->j))
		return r < 0 ? r : bad(p, "", "");
	if (mem_grow((void **)&p->all->v, cap, p->all->names.len + 1, sizeof c, p->e) < 0 ||
	    map_intern(&p->all->names, p->model.p, p->model.n, &added, p->e) == MAP_NONE)
		return -1;
	if (!added)
		return bad(p, "", "the model stands twice");
	p->all->v[p->all->names.len - 1] = c;
	return 0;
}

struct candidates *
candidates_parse(const char *json, size_t n, const char *name, struct err *e)
{
	struct candidates *all = mem_calloc(1, sizeof *all, e);
	char *copy = NULL;
	struct jread j;
	struct place p = { .j = &j, .all = all, .file = name, .e = e };
	size_t cap = 0;
	int r = -1;

	/* strings without escapes are borrowed from the text: keep one */
	if (all == NULL || (copy = arena_dup(&all->arena, json, n, e)) == NULL)
		goto out;
	jread_init(&j, copy, n);
	if (jread_peek(&j) != JREAD_OBJECT) {
		err_set(e, ERR_INPUT, "%s: a JSON object of models expected", name);
		goto out;
	}
	r = jread_object(&j) ? 0 : -1;
	while (r == 0 && jread_member(&j, &p.model))
		r = read_model(&p, &cap);
	if (r == 0 && jread_done(&j, e) < 0)
		r = err_wrap(e, "%s", name);
out:
	if (r < 0) {
		candidates_free(all);
		return NULL;
	}
	return all;
}

struct candidates *
candidates_load(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct candidates *c = NULL;

	if (io_read_file(path, MAX_FILE, &b, e) == 0)
		c = candidates_parse(buf_cstr(&b), b.len, path, e);
	buf_finish(&b);
	return c;
}

void
candidates_free(struct candidates *c)
{
	if (c == NULL)
		return;
	map_finish(&c->names);
	free(c->v);
	arena_finish(&c->arena);
	free(c);
}

const struct candidate *
candidates_find(const struct candidates *c, struct slice model)
{
	size_t i = model.n > 0 ? map_find(&c->names, model.p, model.n) : MAP_NONE;

	return i == MAP_NONE ? NULL : &c->v[i];
}
