#include "registry/store_s3.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct bucket {
	struct s3 *s3;
	struct awsconf *conf;
	struct cancel *cancel;
};

static enum store_outcome
outcome(enum s3_outcome o, struct err *e)
{
	switch (o) {
	case S3_OK:
		return STORE_OK;
	case S3_NOT_MODIFIED:
		return STORE_NOT_MODIFIED;
	case S3_NOT_FOUND:
		return STORE_ABSENT;
	case S3_PRECONDITION:
	/* A conditional write that met another one: look again. */
	case S3_CONFLICT:
		return STORE_LOST;
	case S3_CHANGED:
		if (e != NULL)
			e->code = ERR_NOPERM;
		return STORE_CHANGED;
	case S3_REFUSED:
	case S3_UNAVAILABLE:
	case S3_FAILED:
		break;
	}
	return STORE_FAILED;
}

static void
take_info(const struct s3_info *from, struct store_info *to)
{
	if (to == NULL)
		return;
	*to = (struct store_info){ .size_bytes = from->size_bytes, .modified_us = from->modified_us,
		.server_us = from->server_us, .uncertain = from->uncertain };
	memcpy(to->etag, from->etag, sizeof from->etag);
}

/* Of a read: a bucket that is not there is a fault, not an object that is absent. */
static enum store_outcome
read_outcome(enum s3_outcome o, const struct s3_info *i, struct err *e)
{
	return o == S3_NOT_FOUND && i->no_bucket ? STORE_FAILED : outcome(o, e);
}

static enum store_outcome
s3_store_get(void *impl, const char *key, const char *if_none_match, size_t max, struct buf *out,
	struct store_info *info, struct err *e)
{
	struct bucket *b = impl;
	struct s3_info i = { .etag = "" };
	enum s3_outcome o = s3_get_buf(b->s3, key, if_none_match, max, out, &i, e);

	take_info(&i, info);
	return read_outcome(o, &i, e);
}

static struct s3_fetch
fetch_of(const struct store_fetch *q)
{
	return (struct s3_fetch){ .key = q->key, .fd = q->fd, .offset = q->offset, .if_match = q->if_match,
		.size_bytes = q->size_bytes, .sha256 = q->sha256 };
}

static enum store_outcome
s3_store_fetch(void *impl, const struct store_fetch *q, uint8_t got[32], struct store_info *info,
	struct err *e)
{
	struct bucket *b = impl;
	const struct s3_fetch f = fetch_of(q);
	struct s3_info i = { .etag = "" };
	enum s3_outcome o = s3_fetch(b->s3, &f, got, &i, e);

	take_info(&i, info);
	return read_outcome(o, &i, e);
}

static enum store_outcome
s3_store_head(void *impl, const char *key, struct store_info *info, struct err *e)
{
	struct bucket *b = impl;
	struct s3_info i = { .etag = "" };
	enum s3_outcome o = s3_head(b->s3, key, &i, e);

	take_info(&i, info);
	return read_outcome(o, &i, e);
}

static struct s3_put
put_of(const struct store_put *p)
{
	return (struct s3_put){ .key = p->key, .data = p->data, .n = p->n, .fd = p->fd, .offset = p->offset,
		.size_bytes = p->size_bytes, .sha256 = p->sha256, .if_match = p->if_match,
		.if_absent = p->if_absent, .resume = p->fd >= 0 && strncmp(p->key, "objects/", 8) == 0 };
}

static enum store_outcome
s3_store_put(void *impl, const struct store_put *p, struct store_info *info, struct err *e)
{
	struct bucket *b = impl;
	const struct s3_put q = put_of(p);
	struct s3_info i = { .etag = "" };
	enum s3_outcome o = s3_put(b->s3, &q, &i, e);

	take_info(&i, info);
	/* If-Match on a key that is gone: somebody else was there first. */
	if (o == S3_NOT_FOUND && p->if_match != NULL) {
		err_set(e, ERR_NO, "%s: %s: is not there any more", s3_name(b->s3), p->key);
		return STORE_LOST;
	}
	/* The file changed while it was read: our side's fault, not the store's. */
	return o == S3_CHANGED ? STORE_FAILED : outcome(o, e);
}

static enum store_outcome
s3_store_delete(void *impl, const char *key, struct err *e)
{
	struct bucket *b = impl;

	return outcome(s3_delete(b->s3, key, NULL, e), e);
}

struct listing {
	store_on_entry *on_entry;
	void *ctx;
	bool stopped;
};

static int
on_entry(void *ctx, const struct s3_entry *t, struct err *e)
{
	struct listing *l = ctx;
	const struct store_entry s = { t->key, t->size_bytes, t->modified_us };

	if (t->is_prefix || l->on_entry(l->ctx, &s, e) == 0)
		return 0;
	l->stopped = true;
	return -1;
}

static int
s3_store_list(void *impl, const char *prefix, store_on_entry *each, void *ctx, struct err *e)
{
	struct bucket *b = impl;
	struct listing l = { each, ctx, false };
	const struct s3_list q = { .prefix = prefix, .on_entry = on_entry, .ctx = &l };

	return s3_list(b->s3, &q, NULL, e) == S3_OK && !l.stopped ? 0 : -1;
}

static int
nothing(void *ctx, const struct s3_entry *t, struct err *e)
{
	(void)ctx;
	(void)t;
	(void)e;
	return 0;
}

static int
s3_store_now(void *impl, int64_t *us, struct err *e)
{
	struct bucket *b = impl;
	/* A short listing: it is answered with a Date whether anything is there or not. */
	const struct s3_list q = { .prefix = "locks/", .on_entry = nothing, .page = 1000 };
	struct s3_info i = { .etag = "" };

	if (s3_list(b->s3, &q, &i, e) != S3_OK)
		return -1;
	if (i.server_us == 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: the server names no Date", s3_name(b->s3));
	*us = i.server_us;
	return 0;
}

struct uploads {
	struct bucket *b;
	int64_t before_us;
	struct arena arena;
	char **key, **id;
	size_t n, cap_key, cap_id;
};

static int
on_upload(void *ctx, const struct s3_upload *u, struct err *e)
{
	struct uploads *l = ctx;
	void *k = l->key, *i = l->id;

	if (u->begun_us == 0 || u->begun_us >= l->before_us)
		return 0;
	if (mem_grow(&k, &l->cap_key, l->n + 1, sizeof *l->key, e) < 0)
		return -1;
	l->key = k;
	if (mem_grow(&i, &l->cap_id, l->n + 1, sizeof *l->id, e) < 0)
		return -1;
	l->id = i;
	l->key[l->n] = arena_dup(&l->arena, u->key, strlen(u->key), e);
	l->id[l->n] = arena_dup(&l->arena, u->id, strlen(u->id), e);
	if (l->key[l->n] == NULL || l->id[l->n] == NULL)
		return -1;
	l->n++;
	return 0;
}

static int
s3_store_sweep(void *impl, int64_t before_us, bool dry_run, size_t *n, struct err *e)
{
	struct bucket *b = impl;
	struct uploads l = { .b = b, .before_us = before_us };
	int r = s3_list_uploads(b->s3, "", on_upload, &l, NULL, e) == S3_OK ? 0 : -1;

	for (size_t i = 0; r == 0 && !dry_run && i < l.n; i++)
		if (s3_abort_upload(b->s3, l.key[i], l.id[i], e) != S3_OK)
			r = -1;
	*n = l.n;
	free(l.key);
	free(l.id);
	arena_finish(&l.arena);
	return r;
}

static int
put_next(void *ctx, size_t i, struct s3_put *q, struct err *e)
{
	const struct store_many_put *m = ctx;
	struct store_put p;
	int r = m->next(m->ctx, i, &p, e);

	if (r > 0)
		*q = put_of(&p);
	return r;
}

static int
put_done(void *ctx, size_t i, enum s3_outcome o, const struct s3_info *info, struct err *e)
{
	const struct store_many_put *m = ctx;

	(void)info;
	return m->done(m->ctx, i, o == S3_CHANGED ? STORE_FAILED : outcome(o, e), e);
}

static int
s3_store_put_many(void *impl, const struct store_many_put *m, struct err *e)
{
	struct bucket *b = impl;
	struct store_many_put copy = *m;
	const struct s3_batch_put q = { put_next, put_done, &copy };

	return s3_put_many(b->s3, &q, e) == S3_OK ? 0 : -1;
}

static int
fetch_next(void *ctx, size_t i, struct s3_fetch *q, struct err *e)
{
	const struct store_many_fetch *m = ctx;
	struct store_fetch f;
	int r = m->next(m->ctx, i, &f, e);

	if (r > 0)
		*q = fetch_of(&f);
	return r;
}

static int
fetch_done(void *ctx, size_t i, enum s3_outcome o, const uint8_t sha256[32], const struct s3_info *from,
	struct err *e)
{
	const struct store_many_fetch *m = ctx;
	struct store_info info;

	(void)sha256;
	take_info(from, &info);
	return m->done(m->ctx, i, outcome(o, e), &info, e);
}

static int
s3_store_fetch_many(void *impl, const struct store_many_fetch *m, struct err *e)
{
	struct bucket *b = impl;
	struct store_many_fetch copy = *m;
	const struct s3_batch_fetch q = { fetch_next, fetch_done, &copy };

	return s3_fetch_many(b->s3, &q, e) == S3_OK ? 0 : -1;
}

static int
head_next(void *ctx, size_t i, const char **key, struct err *e)
{
	const struct store_many_head *m = ctx;

	return m->next(m->ctx, i, key, e);
}

static int
head_done(void *ctx, size_t i, enum s3_outcome o, const struct s3_info *from, struct err *e)
{
	const struct store_many_head *m = ctx;
	struct store_info info;

	take_info(from, &info);
	return m->done(m->ctx, i, outcome(o, e), &info, e);
}

static int
s3_store_head_many(void *impl, const struct store_many_head *m, struct err *e)
{
	struct bucket *b = impl;
	struct store_many_head copy = *m;
	const struct s3_batch_head q = { head_next, head_done, &copy };

	return s3_head_many(b->s3, &q, e) == S3_OK ? 0 : -1;
}

static void
s3_store_free(void *impl)
{
	struct bucket *b = impl;

	s3_free(b->s3);
	awsconf_free(b->conf);
	free(b);
}

static const struct store_ops s3_ops = {
	.get = s3_store_get, .fetch = s3_store_fetch, .head = s3_store_head, .put = s3_store_put,
	.del = s3_store_delete, .list = s3_store_list, .now = s3_store_now, .sweep = s3_store_sweep,
	.put_many = s3_store_put_many, .fetch_many = s3_store_fetch_many, .head_many = s3_store_head_many,
	.free = s3_store_free,
};

struct store *
store_s3_open(const char *url, const struct s3_opts *o, struct awsconf *conf, struct err *e)
{
	struct bucket *b = mem_calloc(1, sizeof *b, e);
	struct store *s = NULL;

	if (b == NULL) {
		awsconf_free(conf);
		return NULL;
	}
	b->conf = conf;
	b->s3 = s3_open(url, o, conf, e);
	if (b->s3 != NULL)
		s = store_new(&s3_ops, b, s3_name(b->s3), e);
	if (s == NULL)
		s3_store_free(b);
	return s;
}
