/* llmr list - the models, channels, aliases and versions of a registry. */
#include <string.h>

#include "cmd.h"
#include "common/reg.h"
#include "registry/catalog.h"

static void
item_json(struct jsonw *w, const struct catalog_item *i, const struct registry_head *h, const char *version)
{
	static const char *const kinds[] = { "channel", "alias", "version" };
	char when[28];

	str_iso8601(i->modified_us, when);
	jsonw_object(w);
	jsonw_kstr(w, "kind", kinds[i->kind]);
	jsonw_kstr(w, "name", i->name);
	if (i->kind == CATALOG_CHANNEL)
		reg_pointer_json(w, &h->p);
	else
		jsonw_kstr(w, i->kind == CATALOG_ALIAS ? "alias" : "version", i->item);
	if (i->kind == CATALOG_ALIAS)
		jsonw_kstr(w, "version", version);
	jsonw_kstr(w, "modified_at", when);
	jsonw_end_object(w);
}

static void
item_text(const struct catalog_item *i, const struct registry_head *h, const char *version)
{
	char when[28];

	str_iso8601(i->kind == CATALOG_CHANNEL ? h->p.updated_us : i->modified_us, when);
	if (i->kind == CATALOG_CHANNEL)
		out_printf("%s\tchannel\t%s\t%.19sZ\t%s\tseq %llu\n", i->name, i->item, when, h->p.version,
		    (unsigned long long)h->p.seq);
	else if (i->kind == CATALOG_ALIAS)
		out_printf("%s\talias\t%s\t%.19sZ\t%s\n", i->name, i->item, when, version);
	else
		out_printf("%s\tversion\t%s\t%.19sZ\n", i->name, i->item, when);
}

static int
show(struct ctx *c, struct reg *g, const struct catalog_item *i)
{
	struct registry_head h = { .doc = BUF_INIT };
	struct buf b = BUF_INIT;
	struct jsonw w;
	char version[LAYOUT_NAME] = "";
	uint8_t digest[32];
	bool have;
	int r = 0;

	if (i->kind == CATALOG_CHANNEL) {
		r = registry_head(&g->r, i->name, i->item, &h, &c->err);
		if (r < 0 || !h.there)
			goto out;
	}
	if (i->kind == CATALOG_ALIAS) {
		r = registry_resolve(&g->r, i->name, i->item, version, digest, &have, &c->err);
		if (r < 0)
			goto out;
	}
	if (c->json) {
		jsonw_init(&w, &b);
		item_json(&w, i, &h, version);
		buf_byte(&b, '\n');
		out_write(buf_cstr(&b), b.len);
	} else
		item_text(i, &h, version);
out:
	buf_finish(&b);
	registry_head_finish(&h);
	return r;
}

int
cmd_list(struct ctx *c)
{
	const char *url = c->n_args > 0 && strchr(c->args[0], ':') != NULL ? c->args[0] : NULL;
	size_t at = url != NULL ? 1 : 0;
	const char *name = c->n_args > at ? c->args[at] : NULL;
	struct catalog all = { .n = 0 };
	struct reg g = { .hosts = { .n = 0 } };
	int r = -1;

	if (c->n_args > at + 1)
		return err_set(&c->err, ERR_USAGE, "'%s': one name of a model is expected", c->args[at + 1]);
	if (name != NULL && reg_name(c, name) == NULL)
		return -1;
	if (reg_open(c, url, REG_READ, &g) == 0 &&
	    catalog_read(g.store, name, c->cancel, &all, &c->err) == 0) {
		r = 0;
		if (all.n == 0)
			say(c, "%s: nothing%s%s", store_name(g.store), name != NULL ? " called " : " yet",
			    name != NULL ? name : "");
		for (size_t i = 0; r == 0 && i < all.n; i++)
			r = show(c, &g, &all.v[i]);
	}
	catalog_finish(&all);
	reg_close(&g);
	return r;
}
