/* llmr inspect - show what a router artifact holds. */
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "common/load.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "fmt/yamlw.h"
#include "model/artifact.h"

/* Metadata that is plain text; the rest is JSON. */
static bool
is_text(struct slice key)
{
	return slice_is(key, "llmr.format") || slice_is(key, "llmr.kind");
}

/* The key without its "llmr." */
static struct slice
short_key(struct slice key)
{
	return slice_starts(key, "llmr.") ? (struct slice){ key.p + 5, key.n - 5 } : key;
}

static void
tensors_json(const struct tensorfile *f, struct jsonw *w)
{
	jsonw_key(w, "tensors");
	jsonw_array(w);
	for (size_t i = 0; i < tensorfile_count(f); i++) {
		const struct tensor *t = tensorfile_at(f, i);

		jsonw_object(w);
		jsonw_kstr_n(w, "name", t->name.p, t->name.n);
		jsonw_kstr(w, "dtype", dtype_name(t->dtype));
		jsonw_key(w, "shape");
		jsonw_array(w);
		for (unsigned d = 0; d < t->n_dims; d++)
			jsonw_uint(w, t->shape[d]);
		jsonw_end_array(w);
		jsonw_key(w, "bytes");
		jsonw_uint(w, t->bytes);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
inspect_json(const struct tensorfile *f, const char *path, const char *sha256, struct buf *b)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_kstr(&w, "file", path);
	jsonw_kstr(&w, "sha256", sha256);
	jsonw_key(&w, "bytes");
	jsonw_uint(&w, tensorfile_bytes(f));
	for (size_t i = 0; i < tensorfile_meta_count(f); i++) {
		struct slice key, value, name;

		tensorfile_meta_at(f, i, &key, &value);
		if (!slice_starts(key, "llmr."))
			continue;	/* other people's text may be no JSON */
		name = short_key(key);
		jsonw_key_n(&w, name.p, name.n);
		if (is_text(key))
			jsonw_string_n(&w, value.p, value.n);
		else
			jsonw_raw(&w, value.p, value.n);
	}
	tensors_json(f, &w);
	jsonw_end_object(&w);
	buf_byte(b, '\n');
}

static int
inspect_people(const struct tensorfile *f, const char *path, const char *sha256, struct buf *b,
	struct err *e)
{
	buf_printf(b, "file: %s\nsha256: %s\nbytes: %" PRIu64 "\n", path, sha256,
	    tensorfile_bytes(f));
	for (size_t i = 0; i < tensorfile_meta_count(f); i++) {
		struct slice key, value, name;
		char text[64];

		tensorfile_meta_at(f, i, &key, &value);
		name = short_key(key);
		if (!slice_starts(key, "llmr.") || name.n >= sizeof text)
			continue;
		memcpy(text, name.p, name.n);
		text[name.n] = '\0';
		if (is_text(key))
			buf_printf(b, "%s: %.*s\n", text, (int)value.n, value.p);
		else if (yamlw_member(b, 0, text, value, e) < 0)
			return -1;
	}
	buf_str(b, "tensors:\n");
	for (size_t i = 0; i < tensorfile_count(f); i++) {
		const struct tensor *t = tensorfile_at(f, i);

		buf_printf(b, "  %-28.*s %-5s", (int)t->name.n, t->name.p, dtype_name(t->dtype));
		for (unsigned d = 0; d < t->n_dims; d++)
			buf_printf(b, "%s%" PRIu64, d == 0 ? "[" : " x ", t->shape[d]);
		buf_printf(b, "]  %" PRIu64 " bytes\n", t->bytes);
	}
	return 0;
}

int
cmd_inspect(struct ctx *c)
{
	struct encoder *encoder;
	struct router *r;
	struct buf b = BUF_INIT;
	uint8_t digest[32];
	char hex[65];
	int status = 0;

	if (load_encoder(c, opt_str(c, "embedder"), NULL, NULL, &encoder) < 0)
		return -1;
	if ((r = artifact_load_with(c->args[0], encoder, &c->err)) == NULL) {
		encoder_free(encoder);
		return -1;
	}
	r->encoder = encoder;
	tensorfile_digest(r->file, digest);
	hex_format(digest, 32, hex);
	if (c->json)
		inspect_json(r->file, c->args[0], hex, &b);
	else
		status = inspect_people(r->file, c->args[0], hex, &b, &c->err);
	if (status == 0 && (status = buf_ok(&b, &c->err)) == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	router_free(r);
	return status;
}
