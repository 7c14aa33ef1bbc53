#include "common/interrupted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "math/mat.h"

/* All that the bytes of the artifact are a function of. */
static int
identify(struct ctx *c, struct checkpoint *store, const struct dataset *ds,
	const struct fit_params *p, const char *search, size_t folds)
{
	struct buf hparams = BUF_INIT, embedder = BUF_INIT;
	char data[65], seed[24], cv[24];
	const struct { const char *key, *value; } all[] = {
		{ "data", data }, { "kind", p->kind->name },
		{ "sample-weights", opt_str(c, "sample-weights") }, { "seed", seed }, { "cv", cv },
		{ "search", search }, { "version", LLMR_VERSION }, { "blas-core", mat_core() },
	};
	struct jsonw w;
	int r = -1;

	hex_format(ds->digest, 32, data);
	(void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)p->seed);
	(void)snprintf(cv, sizeof cv, "%zu", folds);
	jsonw_init(&w, &hparams);
	jsonw_object(&w);
	fit_params_write(p, NULL, &w);
	jsonw_end_object(&w);
	buf_printf(&embedder, "%s dim=%zu min_df=%zu max_features=%zu max_bytes=%zu", p->embed.kind,
	    p->embed.dim, p->embed.min_df, p->embed.max_features, p->embed.max_bytes);
	if (buf_ok(&hparams, &c->err) < 0 || buf_ok(&embedder, &c->err) < 0)
		goto out;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (checkpoint_identify(store, all[i].key, all[i].value == NULL ? "" : all[i].value,
		    &c->err) < 0)
			goto out;
	if (checkpoint_identify(store, "hyperparameters", buf_cstr(&hparams), &c->err) < 0)
		goto out;
	r = checkpoint_identify(store, "embedder", buf_cstr(&embedder), &c->err);
out:
	buf_finish(&hparams);
	buf_finish(&embedder);
	return r;
}

int
interrupted_open(struct ctx *c, const struct dataset *ds, const struct fit_params *p, const char *search,
	size_t folds, const char *output, struct interrupted *r)
{
	const char *named = opt_str(c, "checkpoint");
	struct buf path = BUF_INIT;

	if (named != NULL)
		buf_str(&path, named);
	else
		buf_printf(&path, "%s.checkpoint", output);
	r->path = buf_take(&path, &c->err);
	r->store = r->path == NULL ? NULL : checkpoint_new(&c->err);
	if (r->store == NULL || identify(c, r->store, ds, p, search, folds) < 0)
		return -1;
	if (!opt_flag(c, "resume")) {
		if (io_exists(r->path))
			say(c, "%s is there, but training begins anew: --resume would go on from it",
			    r->path);
		return 0;
	}
	if (!io_exists(r->path))
		return err_set(&c->err, ERR_NOINPUT, "%s: there is no checkpoint to go on from: "
		    "train without --resume", r->path);
	if (checkpoint_read(r->store, r->path, &c->err) < 0)
		return -1;
	r->resumed = true;
	say(c, "going on from %s, which holds %zu finished pieces", r->path,
	    checkpoint_pieces(r->store));
	return 0;
}

static void
keep(struct ctx *c, const struct interrupted *r)
{
	struct err why = ERR_INIT;
	size_t n = checkpoint_pieces(r->store);

	if (n == 0)
		err_set(&c->err, ERR_INTR, "interrupted before any piece of the training was finished: "
		    "nothing is kept");
	else if (checkpoint_save(r->store, r->path, &why) == 0)
		err_set(&c->err, ERR_INTR, "interrupted: %zu finished pieces are kept in %s; the same "
		    "command with --resume goes on from there", n, r->path);
	else
		err_set(&c->err, ERR_INTR, "interrupted, and no checkpoint could be written: %s", why.msg);
}

void
interrupted_close(struct ctx *c, struct interrupted *r, int status)
{
	if (r->store != NULL && status < 0 && c->err.code == ERR_INTR)
		keep(c, r);
	if (r->resumed && status == 0 && unlink(r->path) != 0 && errno != ENOENT)
		log_warn(&c->log, "%s is of no more use, but could not be removed", r->path);
	checkpoint_free(r->store);
	free(r->path);
	*r = (struct interrupted){ 0 };
}
