/* llmr push - publish a router in a registry. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd.h"
#include "common/pushmlflow.h"
#include "common/reg.h"
#include "registry/publish.h"

#define LEASE_US ((int64_t)60 * 1000000)

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* --meta, sorted; each "key=value", no key twice. */
static int
read_meta(struct ctx *c, const char ***out, size_t *n)
{
	*n = opt_count(c, "meta");
	*out = mem_calloc(*n, sizeof **out, &c->err);
	if (*out == NULL)
		return -1;
	for (size_t i = 0; i < *n; i++) {
		(*out)[i] = opt_nth(c, "meta", i);
		if (!layout_name_ok((struct slice){ (*out)[i], strcspn((*out)[i], "=") }) ||
		    strchr((*out)[i], '=') == NULL)
			return err_set(&c->err, ERR_USAGE, "--meta: '%s' is not KEY=VALUE", (*out)[i]);
	}
	qsort(*out, *n, sizeof **out, by_text);
	for (size_t i = 1; i < *n; i++) {
		size_t k = strcspn((*out)[i], "=");

		if (strncmp((*out)[i], (*out)[i - 1], k + 1) == 0)
			return err_set(&c->err, ERR_USAGE, "--meta: %.*s is given twice", (int)k, (*out)[i]);
	}
	return 0;
}

static void
print_json(const struct version *v, const struct publish *p, const char *where)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "registry", where);
	jsonw_kstr(&w, "name", v->name);
	jsonw_kstr(&w, "alias", p->alias);
	jsonw_kbool(&w, "changed", p->changed);
	jsonw_key(&w, "objects_sent");
	jsonw_uint(&w, p->sent);
	jsonw_key(&w, "objects_there");
	jsonw_uint(&w, p->there);
	jsonw_key(&w, "bytes_sent");
	jsonw_uint(&w, p->sent_bytes);
	reg_pointer_json(&w, &p->pointer);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

static bool
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && strcmp(s + n - k, end) == 0;
}

/* The artifact among the files, for model_path. */
static const char *
artifact(const struct version *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (ends_with(v->files[i].path, ".safetensors"))
			return v->files[i].path;
	return "FILE.safetensors";
}

/* How 'llmr serve' gets it: a follower beside it, and what to write into its configuration. */
static void
print_snippet(struct ctx *c, const struct version *v, const struct publish *p, const char *where)
{
	const char *key = opt_count(c, "public-key") > 0 ? opt_nth(c, "public-key", 0) : NULL;

	out_printf("\n# Beside 'llmr serve' runs, in the same folder:\n#   llmr pull %s --name %s --channel %s%s%s "
	    "--watch\n", where, v->name, p->channel, key != NULL ? " -p " : "", key != NULL ? key : "");
	out_printf("router_settings:\n  routing_strategy: llmrouter-custom\n  routing_strategy_args:\n"
	    "    model_path: %s/current/%s\n    hot_reload: true\n    reload_interval: 60\n", v->name, artifact(v));
	if (key != NULL)
		out_printf("general_settings:\n  require_signature: true\n  public_key: %s%s\n",
		    key[0] == '/' || key[0] == '.' ? "" : "./", key);
	out_printf("# The Python gateway loads pickles, not this file: it can follow the registry only as a\n"
	    "# folder, and ask 'llmr serve' for its decisions.\n");
}

static void
print_result(struct ctx *c, const struct version *v, const struct publish *p, const char *where)
{
	if (c->json) {
		print_json(v, p, where);
		return;
	}
	out_printf("%s  version %s\n", v->name, v->version);
	say(c, "%zu objects sent (%llu bytes), %zu were there", p->sent, (unsigned long long)p->sent_bytes,
	    p->there);
	if (p->alias != NULL)
		out_printf("alias %s\n", p->alias);
	out_printf("channel %s: %s seq %llu%s%s\n", p->channel, p->changed ? "now" : "stays at",
	    (unsigned long long)p->pointer.seq, p->pointer.previous[0] != '\0' ? ", before " : "",
	    p->pointer.previous);
	if (!c->quiet)
		print_snippet(c, v, p, where);
}

static int
take_lease(struct ctx *c, struct reg *g, const char *name, struct lease *l)
{
	char key[STORE_KEY_MAX];

	layout_lease(name, "train", key);
	if (registry_begin_write(&g->r, &c->err) < 0)
		return -1;
	return lease_take(g->store, key, g->owner, LEASE_US, l, &c->err);
}

static int
to_registry(struct ctx *c, const char *path, const char *url, const char *name, const char *channel)
{
	struct publish p = { .channel = channel, .alias = opt_str(c, "version"),
		.expect_previous = opt_str(c, "expect-previous"), .expires_us = reg_expires(c),
		.plain = opt_flag(c, "plain"), .progress = &c->progress };
	struct version v = { .n = 0 };
	struct lease l = { .held = false };
	const char **meta = NULL;
	struct reg g;
	int r = -1;

	if (p.alias != NULL && layout_check("--version", p.alias, ERR_USAGE, &c->err) < 0)
		return -1;
	if (p.expect_previous != NULL && strcmp(p.expect_previous, "none") == 0)
		p.expect_previous = "";
	if (reg_open(c, url, REG_WRITE, &g) == 0 && read_meta(c, &meta, &p.n_meta) == 0) {
		p.meta = meta;
		if (p.n_meta > 0 && p.alias == NULL)
			err_set(&c->err, ERR_USAGE, "--meta: belongs to --version, which is not given");
		else if (version_build(name, path, 0, g.secret, c->cancel, &v, &c->err) == 0 &&
		    (!opt_flag(c, "lease") || take_lease(c, &g, name, &l) == 0)) {
			p.lease = l.held ? &l : NULL;
			r = publish(&g.r, &v, &p, &c->err);
			lease_release(g.store, &l);
		}
		if (r == 0)
			print_result(c, &v, &p, store_name(g.store));
	}
	free(meta);
	version_finish(&v);
	reg_close(&g);
	return r;
}

int
cmd_push(struct ctx *c)
{
	const char *name = reg_name(c, opt_str(c, "name")), *channel = reg_channel(c);
	const char *mlflow = opt_str(c, "mlflow"), *url = c->n_args > 1 ? c->args[1] : opt_str(c, "registry");

	if (name == NULL || channel == NULL)
		return -1;
	if (url == NULL && mlflow == NULL)
		return err_set(&c->err, ERR_USAGE, "where to? Give a registry (dir:PATH, s3://BUCKET/PREFIX) or --mlflow");
	if (url != NULL && to_registry(c, c->args[0], url, name, channel) < 0)
		return -1;
	return mlflow != NULL ? pushmlflow_run(c, c->args[0], name, channel, mlflow) : 0;
}
