#include "trace/walk.h"

void
walk_init(struct walk *w, const struct chunk *c, const struct piece *x)
{
	w->text = c->text;
	w->index = c->index + x->first;
	w->n = x->n_index;
	w->k = 0;
	w->base = x->offset - x->start;
	jread_init(&w->r, c->text + x->start, x->end - x->start);
}

size_t
walk_close(const struct walk *w, size_t k)
{
	size_t depth = 0;

	do {
		if ((w->text[w->index[k]] & 4) == 0)
			depth++;
		else
			depth--;
		k++;
	} while (depth > 0 && k < w->n);
	return k - 1;
}

bool
walk_jump(struct walk *w, struct place *at)
{
	enum jread_type t = jread_peek(&w->r);
	size_t close;

	if ((t != JREAD_OBJECT && t != JREAD_ARRAY) || w->k >= w->n ||
	    w->text + w->index[w->k] != w->r.p)
		return false;
	if (at != NULL)
		*at = (struct place){ w->k, true };
	close = walk_close(w, w->k);
	w->r.p = w->text + w->index[close] + 1;
	w->k = close + 1;
	return true;
}

bool
walk_skip(struct walk *w)
{
	enum jread_type t = jread_peek(&w->r);

	if (t == JREAD_OBJECT || t == JREAD_ARRAY)
		return walk_jump(w, NULL);
	return jread_skip(&w->r);
}

void
walk_to(struct walk *w, struct place at)
{
	w->k = at.k;
	w->r.p = w->text + w->index[at.k];
}

bool
walk_object(struct walk *w)
{
	if (!jread_object(&w->r))
		return false;
	w->k++;
	return true;
}

bool
walk_array(struct walk *w)
{
	if (!jread_array(&w->r))
		return false;
	w->k++;
	return true;
}

bool
walk_member(struct walk *w, struct slice *key)
{
	if (jread_member(&w->r, key))
		return true;
	w->k++;
	return false;
}

bool
walk_element(struct walk *w)
{
	if (jread_element(&w->r))
		return true;
	w->k++;
	return false;
}

int
walk_fail(const struct walk *w, struct err *e)
{
	uint64_t start = w->base + (uint64_t)(w->r.start - w->text);

	return err_set(e, ERR_INPUT, "trace at byte %llu: %s at byte %llu", (unsigned long long)start,
		w->r.why == NULL ? "not of the expected form" : w->r.why,
		(unsigned long long)(start + jread_offset(&w->r)));
}

int
walk_malformed(struct walk *w, const char *at, const char *why, struct err *e)
{
	w->r.at = at;
	w->r.why = why;
	return walk_fail(w, e);
}
