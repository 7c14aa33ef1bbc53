#include "common/load.h"

#include <stdlib.h>

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

struct router *
load_router(struct ctx *c)
{
	const char *path = opt_str(c, "model");

	if (path == NULL) {
		err_set(&c->err, ERR_USAGE, "no model: give --model FILE");
		return NULL;
	}
	return load_artifact(c, path);
}

/* Read once: the bytes that are checked are the bytes that are used. */
static struct router *
load_signed(struct ctx *c, const char *path)
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
	else if ((r = artifact_take(f, &c->err)) == NULL)
		tensorfile_free(f);
	if (r == NULL)
		err_wrap(&c->err, "%s", path);
	return r;
}

struct router *
load_artifact(struct ctx *c, const char *path)
{
	return opt_flag(c, "require-signature") ? load_signed(c, path) : artifact_load(path, &c->err);
}
