/* llmr export-bundle - one version in one signed file, to carry across an air gap. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "cmd.h"
#include "common/reg.h"
#include "registry/bundle.h"

struct extras {
	struct bundle_extra *v;
	size_t n, cap;
	struct arena arena;
};

static int
add(struct extras *x, const char *folder, const char *base, const char *local, struct err *e)
{
	void *p = x->v;
	char *name = arena_alloc(&x->arena, strlen(folder) + strlen(base) + 1, e);
	char *copy = arena_dup(&x->arena, local, strlen(local), e);

	if (name == NULL || copy == NULL || mem_grow(&p, &x->cap, x->n + 1, sizeof *x->v, e) < 0)
		return -1;
	memcpy(name, folder, strlen(folder));
	memcpy(name + strlen(folder), base, strlen(base) + 1);
	x->v = p;
	x->v[x->n++] = (struct bundle_extra){ name, copy };
	return 0;
}

/* The pages of a folder; how many there were in *found. */
static int
add_pages(struct extras *x, const char *dir, size_t *found, struct err *e)
{
	DIR *d = opendir(dir);
	int r = 0;

	if (d == NULL)
		return 0;
	for (const struct dirent *t; r == 0 && (t = readdir(d)) != NULL;) {
		size_t n = strlen(t->d_name);
		struct buf path = BUF_INIT;

		if (strncmp(t->d_name, "llmr", 4) != 0 || n < 6 || t->d_name[n - 2] != '.' ||
		    strchr("1578", t->d_name[n - 1]) == NULL)
			continue;
		buf_printf(&path, "%s/%s", dir, t->d_name);
		r = buf_ok(&path, e);
		if (r == 0)
			r = add(x, "man/", t->d_name, path.p, e);
		(*found)++;
		buf_finish(&path);
	}
	(void)closedir(d);
	return r;
}

/* The program that runs, and its pages: installed beside it, or in its source tree. */
static int
add_program(struct ctx *c, struct extras *x)
{
	static const char *const places[] = { "../share/man/man1", "../share/man/man5", "../share/man/man7",
		"../man" };
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	size_t found = 0;
	int r;

	if (n <= 0)
		return err_sys(&c->err, ERR_NOINPUT, "/proc/self/exe: cannot tell which file this program is");
	self[n] = '\0';
	r = add(x, "bin/", "llmr", self, &c->err);
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; r == 0 && i < 4 && (i < 3 || found == 0); i++) {
		struct buf dir = BUF_INIT;

		buf_printf(&dir, "%s/%s", self, places[i]);
		r = buf_ok(&dir, &c->err);
		if (r == 0)
			r = add_pages(x, dir.p, &found, &c->err);
		buf_finish(&dir);
	}
	if (r == 0 && found == 0)
		log_warn(&c->log, "no man pages beside %s: the bundle goes without", self);
	for (size_t i = 0; r == 0 && i < opt_count(c, "public-key"); i++) {
		const char *key = opt_nth(c, "public-key", i), *slash = strrchr(key, '/');

		r = add(x, "keys/", slash == NULL ? key : slash + 1, key, &c->err);
	}
	return r;
}

/* --encoder: a file, or a folder with all that is below it but hidden files. */
static int
add_encoder(struct extras *x, const char *path, const char *name, unsigned depth, struct err *e)
{
	DIR *d = opendir(path);
	int r = 0;

	if (d == NULL && errno == ENOTDIR)
		return add(x, "", name, path, e);
	if (d == NULL)
		return err_sys(e, ERR_NOINPUT, "--encoder: %s", path);
	if (depth == 0)
		r = err_set(e, ERR_INPUT, "--encoder: %s: folders are too deep", path);
	for (const struct dirent *t; r == 0 && (t = readdir(d)) != NULL;) {
		struct buf below = BUF_INIT, inside = BUF_INIT;

		if (t->d_name[0] == '.')
			continue;
		buf_printf(&below, "%s/%s", path, t->d_name);
		buf_printf(&inside, "%s/%s", name, t->d_name);
		if ((r = buf_ok(&below, e)) == 0 && (r = buf_ok(&inside, e)) == 0)
			r = add_encoder(x, below.p, inside.p, depth - 1, e);
		buf_finish(&below);
		buf_finish(&inside);
	}
	(void)closedir(d);
	return r;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct bundle_extra *)a)->name, ((const struct bundle_extra *)b)->name);
}

static int
load(struct ctx *c, struct reg *g, const char *name, const char *text, struct version *v)
{
	struct registry_head h = { .doc = BUF_INIT };
	char version[LAYOUT_NAME];
	uint8_t digest[32];
	bool have;
	int r;

	if (text != NULL) {
		if (layout_check("version", text, ERR_USAGE, &c->err) < 0 ||
		    registry_resolve(&g->r, name, text, version, digest, &have, &c->err) < 0)
			return -1;
		return version_load(g->store, name, version, have ? digest : NULL, &g->r.trust, v, &c->err);
	}
	r = registry_head(&g->r, name, reg_channel(c), &h, &c->err);
	if (r == 0 && !h.there)
		r = err_set(&c->err, ERR_NOINPUT, "%s: %s has no channel %s", store_name(g->store), name,
		    opt_str(c, "channel"));
	if (r == 0)
		r = version_load(g->store, name, h.p.version, h.p.manifest_sha256, &g->r.trust, v, &c->err);
	registry_head_finish(&h);
	return r;
}

int
cmd_export_bundle(struct ctx *c)
{
	struct version v = { .n = 0 };
	struct extras x = { .arena = ARENA_INIT };
	struct reg g = { .hosts = { .n = 0 } };
	const char *out = opt_str(c, "output"), *encoder = opt_str(c, "encoder");
	int r = -1;

	if (reg_name(c, c->args[0]) == NULL || reg_channel(c) == NULL)
		return -1;
	if (out == NULL)
		return err_set(&c->err, ERR_USAGE, "--output: which file?");
	if (reg_open(c, NULL, REG_SIGN, &g) < 0)
		goto out;
	if (g.secret == NULL && !g.r.allow_unsigned) {
		err_set(&c->err, ERR_NOPERM, "a bundle is signed: give --secret-key, or --allow-unsigned");
		goto out;
	}
	if (load(c, &g, c->args[0], c->n_args > 1 ? c->args[1] : NULL, &v) < 0 ||
	    (opt_flag(c, "with-binary") && add_program(c, &x) < 0) ||
	    (encoder != NULL && add_encoder(&x, encoder, "encoder", 4, &c->err) < 0))
		goto out;
	if (x.n > 0)
		qsort(x.v, x.n, sizeof *x.v, by_name);
	r = bundle_write(&g.r, &v, x.v, x.n, g.secret, out, &c->err);
	if (r == 0)
		say(c, "%s: version %s of %s, %zu files and %zu beside", out, v.version, v.name, v.n, x.n);
out:
	free(x.v);
	arena_finish(&x.arena);
	version_finish(&v);
	reg_close(&g);
	return r;
}
