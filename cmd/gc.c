/* llmr gc - remove versions and contents that nothing needs. */
#include "cmd.h"
#include "common/reg.h"
#include "registry/gc.h"

static void
report(void *ctx, const char *key, uint64_t size_bytes)
{
	const struct ctx *c = ctx;

	if (!c->json)
		out_printf("%12llu  %s\n", (unsigned long long)size_bytes, key);
}

static void
print_json(const struct gc *g)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kbool(&w, "dry_run", g->dry_run);
	jsonw_kint(&w, "versions", (int64_t)g->versions);
	jsonw_kint(&w, "objects", (int64_t)g->objects);
	jsonw_kint(&w, "uploads", (int64_t)g->uploads);
	jsonw_key(&w, "bytes");
	jsonw_uint(&w, g->bytes);
	jsonw_kint(&w, "kept_versions", (int64_t)g->kept_versions);
	jsonw_kint(&w, "kept_objects", (int64_t)g->kept_objects);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

int
cmd_gc(struct ctx *c)
{
	struct gc g = { .grace_us = (int64_t)(opt_duration(c, "grace") * 1e6), .keep = (size_t)opt_int(c, "keep"),
		.dry_run = opt_flag(c, "dry-run"), .report = report, .ctx = c };
	struct reg reg;
	int r = -1;

	if (g.grace_us < (int64_t)24 * 3600 * 1000000 && !g.dry_run && !opt_flag(c, "force"))
		return err_set(&c->err, ERR_USAGE, "--grace: less than 24h could take contents from under a push that "
		    "is running: --force when none is");
	if (reg_open(c, c->n_args > 0 ? c->args[0] : NULL, REG_SIGN, &reg) == 0)
		r = gc_run(&reg.r, &g, &c->err);
	if (r == 0 && c->json)
		print_json(&g);
	else if (r == 0)
		say(c, "%s%zu versions, %zu objects and %zu unfinished uploads, %llu bytes; %zu versions stay",
		    g.dry_run ? "would remove " : "removed ", g.versions, g.objects, g.uploads,
		    (unsigned long long)g.bytes, g.kept_versions);
	reg_close(&reg);
	return r;
}
