#include "common/pullmlflow.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "common/mlserver.h"
#include "common/reg.h"
#include "fmt/hash.h"
#include "net/mlflowreg.h"
#include "registry/cache.h"
#include "registry/checkout.h"
#include "registry/version.h"

#define MAX_FILE ((uint64_t)1 << 40)

static int
to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	buf_add(ctx, p, n);
	return buf_ok(ctx, e);
}

static int
empty_buf(void *ctx, struct err *e)
{
	(void)e;
	buf_reset(ctx);
	return 0;
}

struct into_file {
	int fd;
	uint64_t at;
	struct sha256 h;
};

static int
to_file(void *ctx, const void *p, size_t n, struct err *e)
{
	struct into_file *f = ctx;
	const char *q = p;

	sha256_add(&f->h, p, n);
	while (n > 0) {
		ssize_t k = pwrite(f->fd, q, n, (off_t)f->at);

		if (k < 0)
			return err_sys(e, ERR_IO, "write");
		q += k;
		n -= (size_t)k;
		f->at += (uint64_t)k;
	}
	return 0;
}

static int
empty_file(void *ctx, struct err *e)
{
	struct into_file *f = ctx;

	f->at = 0;
	sha256_init(&f->h);
	return ftruncate(f->fd, 0) == 0 ? 0 : err_sys(e, ERR_IO, "write");
}

/* One content into the cache, unless it is there. */
static int
fetch(struct ctx *c, const struct mlflow_server *s, const char *root, const struct version_file *file,
	struct cache *cache)
{
	struct into_file f = { .fd = -1 };
	struct cache_part part;
	uint8_t d[32];
	int r = cache_has(cache, file->sha256, UINT64_MAX, &c->err);

	if (r != 0)
		return r < 0 ? -1 : 0;
	if (cache_part_open(cache, file->sha256, &part, &c->err) < 0)
		return -1;
	f.fd = part.fd;
	r = empty_file(&f, &c->err);
	if (r == 0)
		r = mlflowreg_get(s, root, file->path, MAX_FILE, to_file, empty_file, &f, &c->err);
	if (r == 0) {
		sha256_final(&f.h, d);
		if (memcmp(d, file->sha256, 32) != 0)
			r = err_set(&c->err, ERR_NOPERM, "%s: %s: the bytes are not those that its digest names", s->url,
			    file->path);
	}
	if (r == 0)
		return cache_part_commit(cache, &part, &c->err);
	cache_part_close(cache, &part, false);
	return -1;
}

/* The manifest, checked; it tells which files there are. */
static int
read_version(struct ctx *c, const struct mlflow_server *s, const char *root, const char *name,
	const struct reg *g, struct version *v)
{
	struct buf manifest = BUF_INIT, minisig = BUF_INIT;
	int r = mlflowreg_get(s, root, "manifest.json", VERSION_MANIFEST_MAX, to_buf, empty_buf, &manifest,
	    &c->err);

	if (r < 0 && c->err.code == ERR_NOINPUT)
		err_set(&c->err, ERR_NOPERM, "%s: %s has no manifest.json: it was not pushed by llmr, and nothing "
		    "tells what it must be", s->url, name);
	if (r == 0 && g->r.trust.n > 0)
		r = mlflowreg_get(s, root, "manifest.json.minisig", VERSION_MINISIG_MAX, to_buf, empty_buf, &minisig,
		    &c->err);
	if (r == 0)
		r = version_read(name, NULL, (struct slice){ manifest.p, manifest.len },
		    (struct slice){ minisig.p, minisig.len }, NULL, &g->r.trust, v, &c->err);
	buf_finish(&manifest);
	buf_finish(&minisig);
	return r;
}

static int
set_up(struct ctx *c, const struct mlflow_server *s, const char *root, const struct version *v,
	struct cache *cache, const char *out)
{
	struct checkout o;
	bool changed = false;
	int r;

	if (checkout_open(out, c->cancel, &o, &c->err) < 0)
		return -1;
	r = checkout_has(&o, v, c->cancel, &c->err);
	if (r == 0) {
		for (size_t i = 0; r == 0 && i < v->n; i++)
			r = fetch(c, s, root, &v->files[i], cache);
		if (r == 0)
			r = checkout_make(&o, v, cache, &c->err);
	}
	if (r >= 0)
		r = checkout_use(&o, v->version, &changed, &c->err);
	checkout_close(&o);
	if (r == 0)
		out_printf("%s  version %s%s\n", v->name, v->version, changed ? "" : ", in use already");
	return r;
}

static int
pull(struct ctx *c, const char *name, const char *alias, struct mlserver *m, const struct reg *g)
{
	const char *out = opt_str(c, "output") != NULL ? opt_str(c, "output") : name;
	char number[MLFLOW_ID], root[MLFLOWREG_URI];
	struct buf dir = BUF_INIT;
	struct version v = { .n = 0 };
	struct cache *cache = NULL;
	int r = -1;

	if (mlflowreg_find(&m->s, name, alias, number, root, &c->err) == 0 &&
	    read_version(c, &m->s, root, name, g, &v) == 0 && reg_cache_dir(c, &dir) == 0) {
		buf_str(&dir, "/registry");
		if (buf_ok(&dir, &c->err) == 0 &&
		    (cache = cache_open(dir.p, opt_bytes(c, "cache-size"), c->cancel, &c->err)) != NULL)
			r = set_up(c, &m->s, root, &v, cache, out);
		if (r == 0)
			r = cache_trim(cache, &c->err);
	}
	cache_free(cache);
	buf_finish(&dir);
	version_finish(&v);
	return r;
}

int
pullmlflow_run(struct ctx *c, const char *what)
{
	const char *url = opt_str(c, "mlflow"), *at = strchr(what, '@');
	struct mlserver m = { .s = { .url = url } };
	struct reg g = { .hosts = { .n = 0 } };
	char name[LAYOUT_NAME];
	int r = -1;

	if (opt_flag(c, "watch"))
		return err_set(&c->err, ERR_USAGE, "--watch: not for MLflow, which has no ETag to ask by");
	if (url == NULL)
		return err_set(&c->err, ERR_USAGE, "--mlflow: which server? (or MLFLOW_TRACKING_URI)");
	if (at == NULL || (size_t)(at - what) >= sizeof name)
		return err_set(&c->err, ERR_USAGE, "'mlflow:%s' is not mlflow:NAME@ALIAS", what);
	(void)snprintf(name, sizeof name, "%.*s", (int)(at - what), what);
	if (layout_check("name of the model", name, ERR_USAGE, &c->err) < 0 ||
	    layout_check("alias", at + 1, ERR_USAGE, &c->err) < 0)
		return -1;
	if (reg_keys(c, REG_READ, &g) == 0 && mlserver_open(c, url, &m) == 0)
		r = pull(c, name, at + 1, &m, &g);
	mlserver_close(&m);
	reg_close(&g);
	return r;
}
