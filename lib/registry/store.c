#include "registry/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

struct store {
	const struct store_ops *ops;
	void *impl;
	char *name;
};

struct store *
store_new(const struct store_ops *ops, void *impl, const char *name, struct err *e)
{
	struct store *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL || (s->name = mem_strdup(name, e)) == NULL) {
		free(s);
		return NULL;
	}
	s->ops = ops;
	s->impl = impl;
	return s;
}

static enum store_outcome
closed(struct err *e)
{
	err_set(e, ERR_UNAVAILABLE, "the registry is not asked: offline");
	return STORE_FAILED;
}

static enum store_outcome
closed_get(void *impl, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct store_info *info, struct err *e)
{
	(void)impl, (void)key, (void)if_none_match, (void)max, (void)out, (void)info;
	return closed(e);
}

static enum store_outcome
closed_fetch(void *impl, const struct store_fetch *q, uint8_t got[32], struct store_info *info,
	struct err *e)
{
	(void)impl, (void)q, (void)got, (void)info;
	return closed(e);
}

static enum store_outcome
closed_head(void *impl, const char *key, struct store_info *info, struct err *e)
{
	(void)impl, (void)key, (void)info;
	return closed(e);
}

static enum store_outcome
closed_put(void *impl, const struct store_put *p, struct store_info *info, struct err *e)
{
	(void)impl, (void)p, (void)info;
	return closed(e);
}

static enum store_outcome
closed_delete(void *impl, const char *key, struct err *e)
{
	(void)impl, (void)key;
	return closed(e);
}

static int
closed_list(void *impl, const char *prefix, store_on_entry *on_entry, void *ctx, struct err *e)
{
	(void)impl, (void)prefix, (void)on_entry, (void)ctx;
	return closed(e) == STORE_OK ? 0 : -1;
}

static int
closed_now(void *impl, int64_t *us, struct err *e)
{
	(void)impl, (void)us;
	return closed(e) == STORE_OK ? 0 : -1;
}

static int
closed_sweep(void *impl, int64_t before_us, bool dry_run, size_t *n, struct err *e)
{
	(void)impl, (void)before_us, (void)dry_run, (void)n;
	return closed(e) == STORE_OK ? 0 : -1;
}

static void
closed_free(void *impl)
{
	(void)impl;
}

struct store *
store_closed(const char *name, struct err *e)
{
	static const struct store_ops ops = { .get = closed_get, .fetch = closed_fetch, .head = closed_head,
		.put = closed_put, .del = closed_delete, .list = closed_list, .now = closed_now,
		.sweep = closed_sweep, .free = closed_free };

	return store_new(&ops, NULL, name, e);
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	s->ops->free(s->impl);
	free(s->name);
	free(s);
}

const char *
store_name(const struct store *s)
{
	return s->name;
}

enum store_outcome
store_get(struct store *s, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct store_info *info, struct err *e)
{
	return s->ops->get(s->impl, key, if_none_match, max, out, info, e);
}

enum store_outcome
store_fetch(struct store *s, const struct store_fetch *f, uint8_t got[32], struct store_info *info,
	struct err *e)
{
	return s->ops->fetch(s->impl, f, got, info, e);
}

enum store_outcome
store_head(struct store *s, const char *key, struct store_info *info, struct err *e)
{
	return s->ops->head(s->impl, key, info, e);
}

enum store_outcome
store_put(struct store *s, const struct store_put *p, struct store_info *info, struct err *e)
{
	return s->ops->put(s->impl, p, info, e);
}

enum store_outcome
store_delete(struct store *s, const char *key, struct err *e)
{
	return s->ops->del(s->impl, key, e);
}

int
store_list(struct store *s, const char *prefix, store_on_entry *on_entry, void *ctx, struct err *e)
{
	return s->ops->list(s->impl, prefix, on_entry, ctx, e);
}

int
store_now(struct store *s, int64_t *us, struct err *e)
{
	return s->ops->now(s->impl, us, e);
}

int
store_sweep(struct store *s, int64_t before_us, bool dry_run, size_t *n, struct err *e)
{
	return s->ops->sweep(s->impl, before_us, dry_run, n, e);
}

int
store_put_many(struct store *s, const struct store_many_put *m, struct err *e)
{
	struct store_put p;
	int r;

	if (s->ops->put_many != NULL)
		return s->ops->put_many(s->impl, m, e);
	for (size_t i = 0; (r = m->next(m->ctx, i, &p, e)) > 0; i++)
		if (m->done(m->ctx, i, store_put(s, &p, NULL, e), e) != 0)
			return -1;
	return r;
}

int
store_fetch_many(struct store *s, const struct store_many_fetch *m, struct err *e)
{
	struct store_fetch f;
	struct store_info info;
	int r;

	if (s->ops->fetch_many != NULL)
		return s->ops->fetch_many(s->impl, m, e);
	for (size_t i = 0; (r = m->next(m->ctx, i, &f, e)) > 0; i++) {
		enum store_outcome o = store_fetch(s, &f, NULL, &info, e);

		if (m->done(m->ctx, i, o, &info, e) != 0)
			return -1;
	}
	return r;
}

int
store_head_many(struct store *s, const struct store_many_head *m, struct err *e)
{
	struct store_info info;
	const char *key;
	int r;

	if (s->ops->head_many != NULL)
		return s->ops->head_many(s->impl, m, e);
	for (size_t i = 0; (r = m->next(m->ctx, i, &key, e)) > 0; i++) {
		enum store_outcome o = store_head(s, key, &info, e);

		if (m->done(m->ctx, i, o, &info, e) != 0)
			return -1;
	}
	return r;
}

/* Put "a", then what must be refused: a second creation, a replacement of what is not there. */
static int
probe_key(struct store *s, const char *key, bool *ok, struct err *e)
{
	struct store_info info = { .etag = "" };
	struct store_put p = { .key = key, .data = "a", .n = 1, .fd = -1, .if_absent = true };
	struct err ignored = ERR_INIT;
	enum store_outcome o = store_put(s, &p, &info, e);

	if (o == STORE_LOST && info.uncertain)
		o = store_head(s, key, &info, e);
	if (o == STORE_LOST || o == STORE_FAILED) {
		/* A store that does not know the condition may refuse it instead of passing over it. */
		struct err first = *e;

		p.if_absent = false;
		if (first.code != ERR_INPUT || store_put(s, &p, &info, e) != STORE_OK) {
			*e = first;
			return -1;
		}
		return 0;
	}
	if (o != STORE_OK)
		return -1;
	p.data = "b";
	if (store_put(s, &p, NULL, &ignored) != STORE_LOST || info.etag[0] == '\0')
		return 0;
	p.if_absent = false;
	p.if_match = "\"00000000000000000000000000000000\"";
	if (store_put(s, &p, NULL, &ignored) != STORE_LOST)
		return 0;
	p.if_match = info.etag;
	*ok = store_put(s, &p, NULL, &ignored) == STORE_OK;
	return 0;
}

int
store_probe(struct store *s, const char *prefix, bool *ok, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct rng rng;
	char key[STORE_KEY_MAX];
	int r;

	*ok = false;
	rng_seed(&rng, (uint64_t)clock_wall_us() ^ (uint64_t)getpid() << 40);
	(void)snprintf(key, sizeof key, "%s%016llx", prefix, (unsigned long long)rng_u64(&rng));
	r = probe_key(s, key, ok, e);
	(void)store_delete(s, key, &ignored);
	return r;
}
