/* llmr pull - bring a router here from a registry, verified, and keep it up to date. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "common/hook.h"
#include "common/pullmlflow.h"
#include "common/reg.h"
#include "net/retry.h"
#include "registry/object.h"
#include "registry/pull.h"

/* What one round came to, for the command on a change. */
struct round {
	const char *name, *channel, *version, *previous, *path, *registry;
	uint64_t seq;
	bool changed;
};

struct watcher {
	struct ctx *c;
	int (*once)(struct watcher *, struct round *);
	const char *registry, *out;
	struct reg *g;
	struct cache *cache;
	struct pull pull;
	char etag[STORE_ETAG];
	const char *key;
	char path[4096];
	bool pending;		/* the command has still to be run (again) for the last change */
};

static int
run_hook(struct watcher *w, const struct round *r)
{
	char seq[24];
	const struct hook_value v[] = { { "LLMR_PULL_NAME", r->name }, { "LLMR_PULL_CHANNEL", r->channel },
		{ "LLMR_PULL_VERSION", r->version }, { "LLMR_PULL_PREVIOUS", r->previous },
		{ "LLMR_PULL_PATH", r->path }, { "LLMR_PULL_REGISTRY", r->registry }, { "LLMR_PULL_SEQ", seq } };

	if (w->c->n_args < 2)
		return 0;
	(void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)r->seq);
	return hook_run(w->c, w->c->args + 1, w->c->n_args - 1, v, sizeof v / sizeof v[0]);
}

static int
round_and_hook(struct watcher *w)
{
	struct round r = { .name = "", .channel = "", .version = "", .previous = "", .registry = w->registry };

	if (w->once(w, &r) < 0)
		return -1;
	w->pending = w->pending || r.changed;
	if (w->pending && run_hook(w, &r) < 0)
		return -1;
	w->pending = false;
	return 0;
}

/* Whether the next round may go better. */
static bool
worth_waiting(enum err_code code)
{
	return code != ERR_USAGE && code != ERR_CONFIG && code != ERR_INTR && code != ERR_BUG;
}

static int
watch(struct watcher *w)
{
	struct ctx *c = w->c;
	double interval = opt_duration(c, "interval");
	struct rng g;

	rng_seed(&g, (uint64_t)clock_mono_ns() ^ (uint64_t)getpid() << 32);
	for (;;) {
		if (round_and_hook(w) < 0) {
			if (!worth_waiting(c->err.code))
				return -1;
			log_warn(&c->log, "%s", c->err.msg);
			c->err = (struct err)ERR_INIT;
		}
		/* Many that began together shall not ask together. */
		if (retry_sleep(interval * (0.8 + 0.4 * rng_double(&g)), c->cancel, &c->err) < 0)
			return -1;
	}
}

static void
print_result(struct ctx *c, const struct pull *p, const char *path)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!c->json) {
		out_printf("%s  version %s%s%s%s\n", p->name, p->got, p->changed ? "" : ", in use already",
		    p->changed && p->before[0] != '\0' ? ", before " : "", p->changed ? p->before : "");
		say(c, "%zu objects fetched (%llu bytes); %s", p->fetched, (unsigned long long)p->fetched_bytes, path);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "name", p->name);
	jsonw_kstr(&w, "version", p->got);
	jsonw_kstr(&w, "before", p->before[0] == '\0' ? NULL : p->before);
	jsonw_kbool(&w, "changed", p->changed);
	jsonw_key(&w, "objects_fetched");
	jsonw_uint(&w, p->fetched);
	jsonw_key(&w, "bytes_fetched");
	jsonw_uint(&w, p->fetched_bytes);
	jsonw_kstr(&w, "path", path);
	jsonw_key(&w, "pointer");
	if (p->pointer.name[0] == '\0')
		jsonw_null(&w);
	else {
		jsonw_object(&w);
		reg_pointer_json(&w, &p->pointer);
		jsonw_end_object(&w);
	}
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
	(void)fflush(stdout);
}

static int
pull_once(struct watcher *w, struct round *r)
{
	struct pull *p = &w->pull;

	if (pull(&w->g->r, w->cache, p, &w->c->err) < 0)
		return -1;
	(void)snprintf(w->path, sizeof w->path, "%s/current", p->out);
	if (!p->poll || p->changed)
		print_result(w->c, p, w->path);
	(void)fflush(stdout);
	*r = (struct round){ .name = p->name, .channel = p->version == NULL ? p->channel : "", .version = p->got,
		.previous = p->before, .path = w->path, .registry = w->registry, .seq = p->pointer.seq,
		.changed = p->changed };
	return 0;
}

static int
run(struct watcher *w)
{
	return opt_flag(w->c, "watch") ? watch(w) : round_and_hook(w);
}

static int
from_registry(struct ctx *c, const char *url)
{
	struct watcher w = { .c = c, .once = pull_once, .registry = url };
	struct buf cache = BUF_INIT;
	struct reg g;
	int r = -1;

	w.pull = (struct pull){ .name = reg_name(c, opt_str(c, "name")), .channel = reg_channel(c),
		.version = opt_str(c, "version"), .min_seq = (uint64_t)opt_int(c, "min-seq"),
		.max_age_us = (int64_t)(opt_duration(c, "max-age") * 1e6), .offline = opt_flag(c, "offline"),
		.lease = opt_flag(c, "lease"), .poll = opt_flag(c, "watch"), .progress = &c->progress };
	if (w.pull.name == NULL || w.pull.channel == NULL || (w.pull.version != NULL &&
	    layout_check("--version", w.pull.version, ERR_USAGE, &c->err) < 0))
		return -1;
	w.pull.out = opt_str(c, "output") != NULL ? opt_str(c, "output") : w.pull.name;
	if (reg_open(c, url, w.pull.offline ? REG_OFFLINE : REG_READ, &g) == 0 && reg_cache_dir(c, &cache) == 0) {
		buf_str(&cache, "/registry");
		w.g = &g;
		w.pull.owner = g.owner;
		if (buf_ok(&cache, &c->err) == 0 &&
		    (w.cache = cache_open(cache.p, opt_bytes(c, "cache-size"), c->cancel, &c->err)) != NULL)
			r = run(&w);
		cache_free(w.cache);
	}
	buf_finish(&cache);
	reg_close(&g);
	return r;
}

static int
object_once(struct watcher *w, struct round *r)
{
	*r = (struct round){ .name = w->key, .channel = "", .version = w->etag, .previous = "", .path = w->out,
		.registry = w->registry };
	if (object_pull(w->g->store, &w->g->r.trust, w->key, w->out, w->etag, &r->changed, &w->c->err) < 0)
		return -1;
	if (r->changed)
		say(w->c, "%s: fetched", w->out);
	return 0;
}

/* A plain object: nothing but its ETag tells one content from another. */
static int
from_object(struct ctx *c, const char *url)
{
	struct buf store = BUF_INIT, key = BUF_INIT;
	struct watcher w = { .c = c, .once = object_once, .registry = url, .out = opt_str(c, "output") };
	struct reg g = { .hosts = { .n = 0 } };
	int r = -1;

	if (w.out == NULL)
		return err_set(&c->err, ERR_USAGE, "give --name for a model of a registry, or --output for a plain object");
	if (reg_split(c, url, &store, &key) == 0 && reg_keys(c, REG_READ, &g) == 0) {
		g.r.trust.allow_unsigned = !g.enforce;
		w.key = key.p;
		w.g = &g;
		if ((g.store = reg_store(c, store.p, false, &g.hosts)) != NULL)
			r = run(&w);
	}
	buf_finish(&store);
	buf_finish(&key);
	reg_close(&g);
	return r;
}

int
cmd_pull(struct ctx *c)
{
	const char *url = c->n_args > 0 ? c->args[0] : opt_str(c, "registry");

	if (url == NULL)
		return err_set(&c->err, ERR_USAGE, "where from? Give a registry: dir:PATH or s3://BUCKET/PREFIX");
	if (strncmp(url, "mlflow:", 7) == 0)
		return pullmlflow_run(c, url + 7);
	return opt_str(c, "name") != NULL ? from_registry(c, url) : from_object(c, url);
}
