#include "common/load.h"

#include <stdlib.h>

#include "base/buf.h"
#include "common/trust.h"
#include "fmt/safetensors.h"
#include "model/artifact.h"

struct dataset *
load_data(struct ctx *c, const char *from)
{
	const char *paths[64];
	size_t n = opt_count(c, "data");
	struct dataset *ds;

	if (n == 0 || n > sizeof paths / sizeof paths[0]) {
		err_set(&c->err, ERR_USAGE, n == 0 ? "no data: give --data FILE" :
		    "more than 64 data files: join them with cat");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		paths[i] = opt_nth(c, "data", i);
	ds = dataset_import(importers_kind(from), paths, n, c->cancel, &c->err);
	if (ds == NULL)
		return NULL;
	if (ds->null_records > 0)
		log_warn(&c->log, "%llu records without a performance were left out",
		    (unsigned long long)ds->null_records);
	if (ds->duplicate_cells > 0)
		log_warn(&c->log, "%llu repeated records of the same query and model were averaged; "
		    "in %llu cases they differ in performance", (unsigned long long)ds->duplicate_cells,
		    (unsigned long long)ds->conflicts);
	if (ds->bad_costs > 0)
		log_warn(&c->log, "%llu records have a cost that is negative or infinite: "
		    "it is taken for unknown", (unsigned long long)ds->bad_costs);
	return ds;
}

static int
open_encoder(struct ctx *c, const char *embedder, const struct encoder_options *o, struct encoder **out)
{
	struct slice spec = SLICE_NONE;
	struct buf text = BUF_INIT;

	*out = NULL;
	if (embedder != NULL && embed_check_kind(embedder, &c->err) < 0) {
		c->err.code = ERR_USAGE;
		return err_wrap(&c->err, "--embedder");
	}
	if (embedder != NULL)
		spec = embed_encoder_spec(embedder);
	if (spec.p == NULL)
		return 0;
	buf_add(&text, spec.p, spec.n);
	if (buf_ok(&text, &c->err) == 0)
		*out = encoder_open(text.p, o, &c->err);
	buf_finish(&text);
	return *out == NULL ? -1 : 0;
}

int
load_encoder(struct ctx *c, const char *embedder, const char *dtype, const char *truncate,
	struct encoder **out)
{
	struct encoder_options o = ENCODER_OPTIONS_INIT;

	*out = NULL;
	if ((dtype != NULL && bert_dtype_parse(dtype, &o.type, &c->err) < 0) ||
	    (truncate != NULL && encoder_cut_parse(truncate, &o.cut, &c->err) < 0))
		return -1;
	return open_encoder(c, embedder, &o, out);
}

struct router *
load_router(struct ctx *c)
{
	struct encoder_options o = ENCODER_OPTIONS_INIT;
	const char *path = opt_str(c, "model");
	struct encoder *encoder;
	struct router *r;

	/* Where the artifact must be signed, the encoder must be what it names, not only say so. */
	o.read = opt_flag(c, "require-signature");

	if (path == NULL) {
		err_set(&c->err, ERR_USAGE, "no model: give --model FILE");
		return NULL;
	}
	if (open_encoder(c, opt_str(c, "embedder"), &o, &encoder) < 0)
		return NULL;
	r = load_artifact(c, path, encoder);
	if (r == NULL)
		encoder_free(encoder);
	else
		r->encoder = encoder;
	return r;
}

/* Read once: the bytes that are checked are the bytes that are used. */
static struct router *
load_signed(struct ctx *c, const char *path, struct encoder *encoder)
{
	struct tensorfile *f = NULL;
	struct router *r = NULL;
	size_t n;
	void *p = tensorfile_read(path, &n, &c->err);

	if (p == NULL)
		return NULL;
	if (trust_check_bytes(c, path, p, n) < 0) {
		free(p);
		return NULL;
	}
	if ((f = tensorfile_take(p, n, &c->err)) == NULL)
		free(p);
	else if ((r = artifact_take_with(f, encoder, &c->err)) == NULL)
		tensorfile_free(f);
	if (r == NULL)
		err_wrap(&c->err, "%s", path);
	return r;
}

struct router *
load_artifact(struct ctx *c, const char *path, struct encoder *encoder)
{
	return opt_flag(c, "require-signature") ? load_signed(c, path, encoder) :
	    artifact_load_with(path, encoder, &c->err);
}
