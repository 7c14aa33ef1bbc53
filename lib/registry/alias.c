#include "registry/alias.h"

#include <string.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"

#define DOMAIN "llmr-alias-1"

int
alias_format(const struct alias *a, const char *const *meta, size_t n, const struct secret_key *key,
	struct buf *out, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];
	int r;

	hex_format(a->manifest_sha256, 32, hex);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "alias", a->alias);
	jsonw_kstr(&w, "format", DOMAIN);
	jsonw_kstr(&w, "manifest_sha256", hex);
	jsonw_key(&w, "meta");
	jsonw_object(&w);
	for (size_t i = 0; i < n; i++) {
		size_t k = strcspn(meta[i], "=");

		jsonw_key_n(&w, meta[i], k);
		jsonw_string(&w, meta[i] + k + (meta[i][k] == '='));
	}
	jsonw_end_object(&w);
	jsonw_kstr(&w, "name", a->name);
	jsonw_kstr(&w, "registry_id", a->registry_id);
	jsonw_kstr(&w, "version", a->version);
	jsonw_end_object(&w);
	r = seal_close(DOMAIN, &b, key, out, e);
	buf_finish(&b);
	return r;
}

static bool
take(struct slice s, char *out, size_t size)
{
	if (s.n >= size || s.p == NULL)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return memchr(s.p, '\0', s.n) == NULL;
}

enum { ALIAS, FORMAT, DIGEST, META, NAME, REGISTRY, VERSION, N };

int
alias_parse(struct slice doc, const struct seal_trust *t, struct alias *out, struct buf *meta,
	struct err *e)
{
	struct seal_member m[N] = { [ALIAS] = { .name = "alias" }, [FORMAT] = { .name = "format" },
		[DIGEST] = { .name = "manifest_sha256" }, [META] = { .name = "@meta" },
		[NAME] = { .name = "name" }, [REGISTRY] = { .name = "registry_id" },
		[VERSION] = { .name = "version" } };
	struct buf payload = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct alias v = { .name = "" };
	int r = -1;

	if (seal_open(DOMAIN, doc, t, &payload, NULL, e) == 0 &&
	    seal_read((struct slice){ payload.p, payload.len }, m, N, &a, e) == 0) {
		if (slice_is(m[FORMAT].value, DOMAIN) && layout_name_ok(m[ALIAS].value) &&
		    layout_name_ok(m[NAME].value) && layout_name_ok(m[VERSION].value) &&
		    layout_hex(m[DIGEST].value, v.manifest_sha256) && m[META].value.p[0] == '{' &&
		    take(m[ALIAS].value, v.alias, sizeof v.alias) &&
		    take(m[NAME].value, v.name, sizeof v.name) &&
		    take(m[VERSION].value, v.version, sizeof v.version) &&
		    take(m[REGISTRY].value, v.registry_id, sizeof v.registry_id))
			r = 0;
		else
			err_set(e, ERR_INPUT, "is not an alias of a registry");
	}
	if (r == 0 && meta != NULL) {
		buf_add(meta, m[META].value.p, m[META].value.n);
		r = buf_ok(meta, e);
	}
	arena_finish(&a);
	buf_finish(&payload);
	if (r == 0)
		*out = v;
	return r;
}
