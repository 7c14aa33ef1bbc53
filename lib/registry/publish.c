#include "registry/publish.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

/* An object of this age is written anew: half of the shortest grace period of gc without --force. */
#define REFRESH_US ((int64_t)12 * 3600 * 1000000)

struct job {
	struct registry *r;
	const struct version *v;
	const struct publish_source *source;
	struct publish *p;
	size_t *file;		/* [n] of v->files, one for each distinct content */
	unsigned char *state;	/* [n] what becomes of it */
	int *fd;		/* [n] open while it is sent */
	size_t n;
	size_t *todo;		/* [n_todo] into file */
	size_t n_todo;
	char (*keys)[STORE_KEY_MAX];	/* [n] */
	uint64_t bytes, done_bytes;
};
enum { ABSENT, PRESENT, REFRESH };

static int
by_digest(const void *a, const void *b)
{
	const struct version_file *const *x = a, *const *y = b;

	return memcmp((*x)->sha256, (*y)->sha256, 32);
}

/* Distinct contents of the version. */
static int
distinct(struct job *j, struct err *e)
{
	const struct version *v = j->v;
	const struct version_file **order = mem_calloc(v->n, sizeof *order, e);

	j->file = mem_calloc(v->n, sizeof *j->file, e);
	j->state = mem_calloc(v->n, 1, e);
	j->fd = mem_calloc(v->n, sizeof *j->fd, e);
	j->todo = mem_calloc(v->n, sizeof *j->todo, e);
	j->keys = mem_calloc(v->n, sizeof *j->keys, e);
	if (order == NULL || j->file == NULL || j->state == NULL || j->fd == NULL || j->todo == NULL ||
	    j->keys == NULL) {
		free(order);
		return -1;
	}
	for (size_t i = 0; i < v->n; i++)
		order[i] = &v->files[i];
	qsort(order, v->n, sizeof *order, by_digest);
	for (size_t i = 0; i < v->n; i++)
		if (i == 0 || memcmp(order[i]->sha256, order[i - 1]->sha256, 32) != 0) {
			layout_object(order[i]->sha256, j->keys[j->n]);
			j->fd[j->n] = -1;
			j->file[j->n++] = (size_t)(order[i] - v->files);
		}
	free(order);
	return 0;
}

static void
job_finish(struct job *j)
{
	for (size_t i = 0; i < j->n && j->fd != NULL; i++)
		if (j->fd[i] >= 0)
			j->source->close(j->source->ctx, j->fd[i]);
	free(j->file);
	free(j->state);
	free(j->fd);
	free(j->todo);
	free(j->keys);
}

static int
next_head(void *ctx, size_t i, const char **key, struct err *e)
{
	struct job *j = ctx;

	if (i >= j->n)
		return 0;
	*key = j->keys[i];
	return cancel_check(j->r->cancel, e) < 0 ? -1 : 1;
}

static int
done_head(void *ctx, size_t i, enum store_outcome o, const struct store_info *info, struct err *e)
{
	struct job *j = ctx;
	uint64_t size = j->v->files[j->file[i]].size_bytes;
	int64_t now = info->server_us != 0 ? info->server_us : clock_wall_us();

	if (o == STORE_ABSENT) {
		j->state[i] = ABSENT;
		return 0;
	}
	if (o != STORE_OK)
		return -1;
	(void)e;
	/* One of another size is damaged. */
	j->state[i] = info->size_bytes != size || now - info->modified_us > REFRESH_US ? REFRESH : PRESENT;
	return 0;
}

static int
next_put(void *ctx, size_t i, struct store_put *q, struct err *e)
{
	struct job *j = ctx;
	const struct version_file *f;
	size_t k;

	if (i >= j->n_todo)
		return 0;
	k = j->todo[i];
	f = &j->v->files[j->file[k]];
	*q = (struct store_put){ .key = j->keys[k], .size_bytes = f->size_bytes, .sha256 = f->sha256,
		.if_absent = j->state[k] == ABSENT && !j->r->no_cas };
	if (cancel_check(j->r->cancel, e) < 0 ||
	    j->source->open(j->source->ctx, j->file[k], &j->fd[k], &q->offset, e) < 0)
		return -1;
	q->fd = j->fd[k];
	return 1;
}

static int
done_put(void *ctx, size_t i, enum store_outcome o, struct err *e)
{
	struct job *j = ctx;
	size_t k = j->todo[i];

	j->source->close(j->source->ctx, j->fd[k]);
	j->fd[k] = -1;
	/* Lost: somebody else sent the same content just now. */
	if (o != STORE_OK && o != STORE_LOST)
		return -1;
	j->p->sent += o == STORE_OK;
	j->p->there += o == STORE_LOST;
	j->done_bytes += j->v->files[j->file[k]].size_bytes;
	if (o == STORE_OK)
		j->p->sent_bytes += j->v->files[j->file[k]].size_bytes;
	if (j->p->progress != NULL)
		progress_show(j->p->progress, "push", (double)j->done_bytes, (double)j->bytes, "B");
	return j->p->lease != NULL ? lease_keep(j->r->store, j->p->lease, e) : 0;
}

static int
send_objects(struct job *j, struct err *e)
{
	const struct store_many_head heads = { next_head, done_head, j };
	const struct store_many_put puts = { next_put, done_put, j };

	if (distinct(j, e) < 0 || store_head_many(j->r->store, &heads, e) < 0)
		return -1;
	for (size_t i = 0; i < j->n; i++) {
		if (j->state[i] == PRESENT) {
			j->p->there++;
			continue;
		}
		j->todo[j->n_todo++] = i;
		j->bytes += j->v->files[j->file[i]].size_bytes;
	}
	return j->n_todo > 0 ? store_put_many(j->r->store, &puts, e) : 0;
}

static int
put_documents(struct registry *r, const struct version *v, struct err *e)
{
	char key[STORE_KEY_MAX];

	layout_minisig(v->name, v->version, key);
	if (v->minisig.len > 0 &&
	    registry_put_once(r, key, (struct slice){ v->minisig.p, v->minisig.len }, e) < 0)
		return -1;
	layout_manifest(v->name, v->version, key);
	return registry_put_once(r, key, (struct slice){ v->manifest.p, v->manifest.len }, e);
}

static int
put_alias(struct registry *r, const struct version *v, const struct publish *p, struct err *e)
{
	struct alias a = { .name = "" };
	struct buf doc = BUF_INIT;
	char key[STORE_KEY_MAX];
	int ret = -1;

	memcpy(a.registry_id, r->id, sizeof a.registry_id);
	memcpy(a.name, v->name, sizeof a.name);
	memcpy(a.version, v->version, sizeof a.version);
	memcpy(a.alias, p->alias, strlen(p->alias) + 1);
	memcpy(a.manifest_sha256, v->digest, 32);
	layout_alias(v->name, p->alias, key);
	if (alias_format(&a, p->meta, p->n_meta, r->key, &doc, e) == 0)
		ret = registry_put_once(r, key, (struct slice){ doc.p, doc.len }, e);
	buf_finish(&doc);
	return ret;
}

static int
move(struct registry *r, const char *name, const char *version, const uint8_t digest[32],
	struct publish *p, struct err *e)
{
	struct registry_move m = { .name = name, .channel = p->channel,
		.expect_previous = p->expect_previous, .expires_us = p->expires_us };
	int ret;

	if (p->lease != NULL) {
		if (lease_keep(r->store, p->lease, e) < 0)
			return -1;
		m.fence = p->lease->fence;
	}
	memcpy(m.version, version, strlen(version) + 1);
	memcpy(m.manifest_sha256, digest, 32);
	ret = registry_move(r, &m, e);
	p->pointer = m.result;
	p->changed = ret == 0 && m.changed;
	return ret;
}

/* One key for who polls it: what stands there may be anything, so it is written over. */
static int
put_plain(struct registry *r, const struct version *v, const char *path, const struct publish_source *s,
	size_t file, struct err *e)
{
	char key[STORE_KEY_MAX];
	struct store_put q = { .key = key, .fd = -1 };
	enum store_outcome o = STORE_FAILED;
	int fd = -1;

	layout_current(v->name, path, key);
	if (s == NULL) {
		bool minisig = strcmp(path, "manifest.json") != 0;

		q.data = minisig ? v->minisig.p : v->manifest.p;
		q.n = minisig ? v->minisig.len : v->manifest.len;
		return store_put(r->store, &q, NULL, e) == STORE_OK ? 0 : -1;
	}
	q.size_bytes = v->files[file].size_bytes;
	q.sha256 = v->files[file].sha256;
	if (s->open(s->ctx, file, &fd, &q.offset, e) < 0)
		return -1;
	q.fd = fd;
	o = store_put(r->store, &q, NULL, e);
	s->close(s->ctx, fd);
	return o == STORE_OK ? 0 : -1;
}

static int
put_current(struct registry *r, const struct version *v, const struct publish_source *s, struct err *e)
{
	/* The manifest goes last: until then a poller that checks it keeps what it has. */
	for (size_t i = 0; i < v->n; i++)
		if (put_plain(r, v, v->files[i].path, s, i, e) < 0)
			return -1;
	if (v->minisig.len > 0 && put_plain(r, v, "manifest.json.minisig", NULL, 0, e) < 0)
		return -1;
	return put_plain(r, v, "manifest.json", NULL, 0, e);
}

int
publish_from(struct registry *r, const struct version *v, const struct publish_source *s,
	struct publish *p, struct err *e)
{
	struct job j = { .r = r, .v = v, .source = s, .p = p };
	int ret = -1;

	if (registry_begin_write(r, e) < 0)
		return -1;
	if (send_objects(&j, e) == 0 && put_documents(r, v, e) == 0 &&
	    (p->alias == NULL || put_alias(r, v, p, e) == 0) &&
	    (p->channel == NULL || move(r, v->name, v->version, v->digest, p, e) == 0) &&
	    (!p->plain || put_current(r, v, s, e) == 0))
		ret = 0;
	job_finish(&j);
	return ret;
}

static int
open_local(void *ctx, size_t file, int *fd, uint64_t *offset, struct err *e)
{
	const struct version *v = ctx;

	*offset = 0;
	*fd = io_open_read(v->files[file].local, e);
	return *fd < 0 ? -1 : 0;
}

static void
close_local(void *ctx, int fd)
{
	(void)ctx;
	(void)close(fd);
}

int
publish(struct registry *r, const struct version *v, struct publish *p, struct err *e)
{
	struct version borrowed = *v;
	const struct publish_source s = { open_local, close_local, &borrowed };

	return publish_from(r, v, &s, p, e);
}

/* The source of a version that lies in the store itself: its objects, fetched into temporary files. */
struct from_store {
	struct registry *r;
	const struct version *v;
};

static int
open_stored(void *ctx, size_t file, int *fd, uint64_t *offset, struct err *e)
{
	const struct from_store *s = ctx;
	const struct version_file *f = &s->v->files[file];
	char key[STORE_KEY_MAX];
	struct store_fetch q = { .key = key, .size_bytes = f->size_bytes, .sha256 = f->sha256 };

	*offset = 0;
	layout_object(f->sha256, key);
	if ((*fd = io_tmpfile(e)) < 0)
		return -1;
	q.fd = *fd;
	if (store_fetch(s->r->store, &q, NULL, NULL, e) == STORE_OK)
		return 0;
	(void)close(*fd);
	*fd = -1;
	return -1;
}

/* Is everything there that the version needs? Fills in the sizes. */
static int
check_objects(struct registry *r, struct version *v, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		struct store_info info;
		char key[STORE_KEY_MAX];
		enum store_outcome o;

		layout_object(v->files[i].sha256, key);
		o = store_head(r->store, key, &info, e);
		if (o == STORE_ABSENT)
			return err_set(e, ERR_NOINPUT, "%s: version %s of %s lacks %s: push it again",
			    store_name(r->store), v->version, v->name, v->files[i].path);
		if (o != STORE_OK)
			return -1;
		if (v->files[i].size_bytes != UINT64_MAX && v->files[i].size_bytes != info.size_bytes)
			return err_set(e, ERR_NOPERM, "%s: %s has the wrong size: push version %s of %s again",
			    store_name(r->store), key, v->version, v->name);
		v->files[i].size_bytes = info.size_bytes;
		if (cancel_check(r->cancel, e) < 0)
			return -1;
	}
	return 0;
}

int
publish_promote(struct registry *r, const char *name, const char *text, struct publish *p, struct err *e)
{
	struct version v = { .n = 0 };
	struct from_store ctx = { r, &v };
	const struct publish_source s = { open_stored, close_local, &ctx };
	char version[LAYOUT_NAME];
	uint8_t digest[32];
	bool have;
	int ret = -1;

	if (registry_begin_write(r, e) < 0 ||
	    registry_resolve(r, name, text, version, digest, &have, e) < 0)
		return -1;
	if (version_load(r->store, name, version, have ? digest : NULL, &r->trust, &v, e) == 0 &&
	    check_objects(r, &v, e) == 0 && move(r, name, version, v.digest, p, e) == 0 &&
	    (!p->plain || put_current(r, &v, &s, e) == 0))
		ret = 0;
	version_finish(&v);
	return ret;
}

int
publish_rollback(struct registry *r, const char *name, const char *to, struct publish *p, struct err *e)
{
	struct registry_head h;
	char version[LAYOUT_NAME], now[LAYOUT_NAME];
	int ret;

	if (to != NULL)
		return publish_promote(r, name, to, p, e);
	ret = registry_head(r, name, p->channel, &h, e);
	if (ret == 0 && !h.there)
		ret = err_set(e, ERR_NOINPUT, "%s: %s has no channel %s", store_name(r->store), name, p->channel);
	else if (ret == 0 && h.p.previous[0] == '\0')
		ret = err_set(e, ERR_NO, "%s: channel %s of %s has no version before %s", store_name(r->store),
		    p->channel, name, h.p.version);
	memcpy(version, h.p.previous, sizeof version);
	memcpy(now, h.p.version, sizeof now);
	registry_head_finish(&h);
	if (ret < 0)
		return -1;
	/* Only from what was seen: two who roll back at once go one step, not two. */
	if (p->expect_previous == NULL)
		p->expect_previous = now;
	return publish_promote(r, name, version, p, e);
}
