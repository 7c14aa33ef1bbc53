#include "registry/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int
on_entry(void *ctx, const struct store_entry *t, struct err *e)
{
	static const struct { const char *what, *rest; enum catalog_kind kind; } kinds[] = {
		{ "channels", "", CATALOG_CHANNEL }, { "aliases", "", CATALOG_ALIAS },
		{ "versions", "manifest.json", CATALOG_VERSION } };
	struct catalog *c = ctx;
	struct catalog_item i = { .modified_us = t->modified_us };
	const char *rest;
	void *p = c->v;

	for (size_t k = 0; k < 3; k++) {
		if (!layout_parse(t->key, kinds[k].what, i.name, i.item, &rest) || strcmp(rest, kinds[k].rest) != 0)
			continue;
		if (mem_grow(&p, &c->cap, c->n + 1, sizeof i, e) < 0)
			return -1;
		i.kind = kinds[k].kind;
		c->v = p;
		c->v[c->n++] = i;
	}
	return cancel_check(c->cancel, e);
}

static int
in_order(const void *a, const void *b)
{
	const struct catalog_item *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	if (r == 0)
		r = (int)x->kind - (int)y->kind;
	return r != 0 ? r : strcmp(x->item, y->item);
}

int
catalog_read(struct store *s, const char *name, struct cancel *cancel, struct catalog *c, struct err *e)
{
	char prefix[STORE_KEY_MAX];
	int r;

	*c = (struct catalog){ .cancel = cancel };
	if (name == NULL)
		layout_prefix(NULL, NULL, prefix);
	else
		(void)snprintf(prefix, sizeof prefix, "models/%s/", name);
	r = store_list(s, prefix, on_entry, c, e);
	if (r == 0 && c->n > 0)
		qsort(c->v, c->n, sizeof *c->v, in_order);
	return r;
}

void
catalog_finish(struct catalog *c)
{
	free(c->v);
	*c = (struct catalog){ .n = 0 };
}
