#include "fmt/jflat.h"

#include <string.h>

#include "base/buf.h"

#define MAX_DEPTH 64

struct flat {
	struct jread r;
	struct arena arena;
	struct buf name;
	jflat_leaf *fn;
	void *ctx;
	struct err *e;
};

static int walk(struct flat *f, unsigned depth);

static int
leaf(struct flat *f, enum jread_type type)
{
	struct slice text = SLICE_NONE;

	if (type == JREAD_STRING ? !jread_string(&f->r, &f->arena, &text) :
	    !jread_skip_raw(&f->r, &text))
		return jread_fail(&f->r, f->e);
	if (buf_ok(&f->name, f->e) < 0)
		return -1;
	return f->fn(f->ctx, buf_cstr(&f->name), type, text, f->e);
}

/* Cut the name back to what it was before a member. */
static void
cut(struct buf *b, size_t len)
{
	if (b->p != NULL && len < b->len) {
		b->len = len;
		b->p[len] = '\0';
	}
}

static int
object(struct flat *f, unsigned depth)
{
	size_t len = f->name.len;
	struct slice key;

	if (jread_object(&f->r))
		while (jread_member(&f->r, &key)) {
			buf_str(&f->name, len > 0 ? "." : "");
			buf_add(&f->name, key.p, key.n);
			if (walk(f, depth + 1) < 0)
				return -1;
			cut(&f->name, len);
		}
	return jread_well(&f->r) ? 0 : jread_fail(&f->r, f->e);
}

static int
array(struct flat *f, unsigned depth)
{
	size_t len = f->name.len, i = 0;
	bool interval = len >= 4 && memcmp(f->name.p + len - 4, "ci95", 4) == 0;
	int r = 0;

	if (interval && len > 5 && f->name.p[len - 5] == '.')
		cut(&f->name, len -= 5);
	if (jread_array(&f->r))
		while (r == 0 && jread_element(&f->r)) {
			buf_str(&f->name, len > 0 ? "." : "");
			if (interval && i < 2)
				buf_str(&f->name, i == 0 ? "lo" : "hi");
			else
				buf_printf(&f->name, "%zu", i);
			i++;
			r = walk(f, depth + 1);
			cut(&f->name, len);
		}
	if (r < 0)
		return -1;
	return jread_well(&f->r) ? 0 : jread_fail(&f->r, f->e);
}

static int
walk(struct flat *f, unsigned depth)
{
	enum jread_type type = jread_peek(&f->r);

	if (depth > MAX_DEPTH)
		return err_set(f->e, ERR_INPUT, "nested deeper than %d", MAX_DEPTH);
	if (type == JREAD_OBJECT)
		return object(f, depth);
	if (type == JREAD_ARRAY)
		return array(f, depth);
	return leaf(f, type);
}

int
jflat_each(struct slice json, jflat_leaf *fn, void *ctx, struct err *e)
{
	struct flat f = { .arena = ARENA_INIT, .name = BUF_INIT, .fn = fn, .ctx = ctx, .e = e };
	int r;

	jread_init(&f.r, json.p, json.n);
	r = walk(&f, 0);
	if (r == 0)
		r = jread_done(&f.r, e);
	arena_finish(&f.arena);
	buf_finish(&f.name);
	return r;
}
