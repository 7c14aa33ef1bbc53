#include "common/load.h"

#include "base/buf.h"
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

int
load_encoder(struct ctx *c, const char *embedder, const char *dtype, const char *truncate,
	struct encoder **out)
{
	struct encoder_options o = ENCODER_OPTIONS_INIT;
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
	if ((dtype != NULL && bert_dtype_parse(dtype, &o.type, &c->err) < 0) ||
	    (truncate != NULL && encoder_cut_parse(truncate, &o.cut, &c->err) < 0))
		return -1;
	buf_add(&text, spec.p, spec.n);
	if (buf_ok(&text, &c->err) == 0)
		*out = encoder_open(text.p, &o, &c->err);
	buf_finish(&text);
	return *out == NULL ? -1 : 0;
}

struct router *
load_router(struct ctx *c)
{
	const char *path = opt_str(c, "model");
	struct encoder *encoder;
	struct router *r;


	if (path == NULL) {
		err_set(&c->err, ERR_USAGE, "no model: give --model FILE");
		return NULL;
	}
	if (load_encoder(c, opt_str(c, "embedder"), NULL, NULL, &encoder) < 0)
		return NULL;
	r = artifact_load_with(path, encoder, &c->err);
	if (r == NULL)
		encoder_free(encoder);
	else
		r->encoder = encoder;
	return r;
}
