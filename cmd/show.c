/* llmr show - one version of a model: what it consists of, and who signed it. */
#include <string.h>

#include "cmd.h"
#include "common/reg.h"
#include "fmt/hash.h"
#include "registry/version.h"

struct shown {
	struct registry_head head;	/* of the channel, when none was named otherwise */
	struct version v;
	struct buf meta;		/* of the alias, a JSON object */
	char alias[LAYOUT_NAME];
};

/* The metadata of the alias that was named; nothing when it is a version's own name. */
static int
read_meta(struct ctx *c, struct reg *g, const char *name, const char *text, struct shown *s)
{
	char key[STORE_KEY_MAX];
	struct buf doc = BUF_INIT;
	struct alias a;
	enum store_outcome o;
	int r = 0;

	layout_alias(name, text, key);
	o = store_get(g->store, key, NULL, SEAL_MAX, &doc, NULL, &c->err);
	if (o == STORE_OK) {
		r = alias_parse((struct slice){ doc.p, doc.len }, &g->r.trust, &a, &s->meta, &c->err);
		if (r == 0)
			memcpy(s->alias, a.alias, sizeof s->alias);
	} else if (o != STORE_ABSENT)
		r = -1;
	buf_finish(&doc);
	return r;
}

static int
load(struct ctx *c, struct reg *g, const char *name, const char *text, struct shown *s)
{
	char version[LAYOUT_NAME];
	uint8_t digest[32];
	bool have;

	if (text != NULL) {
		if (layout_check("version", text, ERR_USAGE, &c->err) < 0 || read_meta(c, g, name, text, s) < 0 ||
		    registry_resolve(&g->r, name, text, version, digest, &have, &c->err) < 0)
			return -1;
		return version_load(g->store, name, version, have ? digest : NULL, &g->r.trust, &s->v, &c->err);
	}
	if (registry_head(&g->r, name, reg_channel(c), &s->head, &c->err) < 0)
		return -1;
	if (!s->head.there)
		return err_set(&c->err, ERR_NOINPUT, "%s: %s has no channel %s", store_name(g->store), name,
		    opt_str(c, "channel"));
	return version_load(g->store, name, s->head.p.version, s->head.p.manifest_sha256, &g->r.trust, &s->v,
	    &c->err);
}

static void
print_json(const struct shown *s)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "name", s->v.name);
	jsonw_kstr(&w, "version", s->v.version);
	hex_format(s->v.digest, 32, hex);
	jsonw_kstr(&w, "manifest_sha256", hex);
	jsonw_kbool(&w, "signed", s->v.minisig.len > 0);
	jsonw_kstr(&w, "alias", s->alias[0] == '\0' ? NULL : s->alias);
	if (s->meta.len > 0) {
		jsonw_key(&w, "meta");
		jsonw_raw(&w, s->meta.p, s->meta.len);
	}
	if (s->head.there) {
		jsonw_key(&w, "pointer");
		jsonw_object(&w);
		reg_pointer_json(&w, &s->head.p);
		jsonw_end_object(&w);
	}
	jsonw_key(&w, "files");
	jsonw_array(&w);
	for (size_t i = 0; i < s->v.n; i++) {
		jsonw_object(&w);
		jsonw_kstr(&w, "path", s->v.files[i].path);
		hex_format(s->v.files[i].sha256, 32, hex);
		jsonw_kstr(&w, "sha256", hex);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

static void
print_text(const struct shown *s)
{
	char hex[65], when[28];

	out_printf("%s  version %s\n", s->v.name, s->v.version);
	hex_format(s->v.digest, 32, hex);
	out_printf("manifest  %s  %s\n", hex, s->v.minisig.len > 0 ? "signed" : "not signed");
	if (s->alias[0] != '\0')
		out_printf("alias     %s  %s\n", s->alias, buf_cstr(&s->meta));
	if (s->head.there) {
		str_iso8601(s->head.p.updated_us, when);
		out_printf("channel   %s  seq %llu  %.19sZ  key %s%s%s\n", s->head.p.channel,
		    (unsigned long long)s->head.p.seq, when,
		    s->head.p.key_id[0] == '\0' ? "none" : s->head.p.key_id,
		    s->head.p.previous[0] == '\0' ? "" : "  before ", s->head.p.previous);
	}
	for (size_t i = 0; i < s->v.n; i++) {
		hex_format(s->v.files[i].sha256, 32, hex);
		out_printf("%s  %s\n", hex, s->v.files[i].path);
	}
}

int
cmd_show(struct ctx *c)
{
	struct shown s = { .alias = "" };
	struct reg g = { .hosts = { .n = 0 } };
	int r = -1;

	if (reg_name(c, c->args[0]) == NULL || reg_channel(c) == NULL)
		return -1;
	if (reg_open(c, NULL, REG_READ, &g) == 0 &&
	    (r = load(c, &g, c->args[0], c->n_args > 1 ? c->args[1] : NULL, &s)) == 0) {
		if (c->json)
			print_json(&s);
		else
			print_text(&s);
	}
	version_finish(&s.v);
	registry_head_finish(&s.head);
	buf_finish(&s.meta);
	reg_close(&g);
	return r;
}
