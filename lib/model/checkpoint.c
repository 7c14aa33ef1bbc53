#include "model/checkpoint.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/safetensors.h"

#define FORMAT "1"
#define MAX_IDENTITY 16

struct piece { char *name; unsigned char *p; size_t bytes; };

struct checkpoint {
	pthread_mutex_t lock;
	struct piece *piece;
	size_t n, cap, n_identity;
	char *key[MAX_IDENTITY], *value[MAX_IDENTITY];
};

struct checkpoint *
checkpoint_new(struct err *e)
{
	struct checkpoint *c = mem_calloc(1, sizeof *c, e);

	if (c != NULL && pthread_mutex_init(&c->lock, NULL) != 0) {
		free(c);
		err_nomem(e);
		return NULL;
	}
	return c;
}

static void
piece_free(struct piece *p)
{
	free(p->name);
	free(p->p);
}

void
checkpoint_free(struct checkpoint *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		piece_free(&c->piece[i]);
	for (size_t i = 0; i < c->n_identity; i++) {
		free(c->key[i]);
		free(c->value[i]);
	}
	free(c->piece);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int
checkpoint_identify(struct checkpoint *c, const char *key, const char *value, struct err *e)
{
	size_t i = c->n_identity;

	if (i == MAX_IDENTITY)
		BUG("checkpoint: more than %d pairs", MAX_IDENTITY);
	c->key[i] = mem_strdup(key, e);
	c->value[i] = mem_strdup(value, e);
	if (c->key[i] == NULL || c->value[i] == NULL) {
		free(c->key[i]);
		free(c->value[i]);
		return -1;
	}
	c->n_identity++;
	return 0;
}

static struct piece *
find(const struct checkpoint *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->piece[i].name, name) == 0)
			return &c->piece[i];
	return NULL;
}

/* The piece of that name with room for so many bytes; made when there is none. */
static struct piece *
room(struct checkpoint *c, const char *name, size_t bytes, struct err *e)
{
	struct piece *old = find(c, name), new = { NULL, NULL, bytes };
	void *list = c->piece;

	if (old != NULL && old->bytes == bytes)
		return old;
	if (mem_grow(&list, &c->cap, c->n + 1, sizeof *c->piece, e) < 0)
		return NULL;
	c->piece = list;
	new.name = mem_strdup(name, e);
	new.p = mem_calloc(bytes, 1, e);
	if (new.name == NULL || new.p == NULL) {
		piece_free(&new);
		return NULL;
	}
	if ((old = find(c, name)) != NULL)
		piece_free(old);
	else
		old = &c->piece[c->n++];
	*old = new;
	return old;
}

struct checkpoint_at
checkpoint_below(const struct checkpoint_at *at, const char *fmt, ...)
{
	struct checkpoint_at below = { .store = at == NULL ? NULL : at->store };
	char name[sizeof below.path];
	va_list ap;
	int n;

	if (below.store == NULL)
		return below;
	va_start(ap, fmt);
	(void)vsnprintf(name, sizeof name, fmt, ap);
	va_end(ap);
	n = snprintf(below.path, sizeof below.path, "%s%s%s", at->path, at->path[0] != '\0' ? "/" : "",
	    name);
	if (n < 0 || (size_t)n >= sizeof below.path)
		BUG("checkpoint: the path of %s/%s is too long", at->path, name);
	return below;
}

static size_t
total(const struct checkpoint_part *part, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += part[i].bytes;
	return bytes;
}

bool
checkpoint_get(const struct checkpoint_at *at, const struct checkpoint_part *part, size_t n)
{
	const struct piece *p;
	size_t used = 0;
	bool there;

	if (at == NULL || at->store == NULL)
		return false;
	pthread_mutex_lock(&at->store->lock);
	p = find(at->store, at->path);
	there = p != NULL && p->bytes == total(part, n);
	for (size_t i = 0; there && i < n; used += part[i++].bytes)
		if (part[i].bytes > 0)
			memcpy(part[i].p, p->p + used, part[i].bytes);
	pthread_mutex_unlock(&at->store->lock);
	return there;
}

int
checkpoint_put(const struct checkpoint_at *at, const struct checkpoint_part *part, size_t n,
	struct err *e)
{
	struct piece *p;
	size_t used = 0;

	if (at == NULL || at->store == NULL)
		return 0;
	pthread_mutex_lock(&at->store->lock);
	p = room(at->store, at->path, total(part, n), e);
	for (size_t i = 0; p != NULL && i < n; used += part[i++].bytes)
		if (part[i].bytes > 0)
			memcpy(p->p + used, part[i].p, part[i].bytes);
	pthread_mutex_unlock(&at->store->lock);
	return p == NULL ? -1 : 0;
}

void
checkpoint_drop(const struct checkpoint_at *at)
{
	struct checkpoint *c = at == NULL ? NULL : at->store;
	size_t len, kept = 0;

	if (c == NULL)
		return;
	len = strlen(at->path);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n; i++)
		if (strncmp(c->piece[i].name, at->path, len) == 0 && c->piece[i].name[len] == '/')
			piece_free(&c->piece[i]);
		else
			c->piece[kept++] = c->piece[i];
	c->n = kept;
	pthread_mutex_unlock(&c->lock);
}

size_t
checkpoint_pieces(const struct checkpoint *c)
{
	return c->n;
}

int
checkpoint_save(const struct checkpoint *c, const char *path, struct err *e)
{
	struct tensorfile_writer *w = tensorfile_writer_new(e);
	int r = -1;

	if (w == NULL || tensorfile_writer_meta(w, "llmr.checkpoint", FORMAT, e) < 0)
		goto out;
	for (size_t i = 0; i < c->n_identity; i++)
		if (tensorfile_writer_meta(w, c->key[i], c->value[i], e) < 0)
			goto out;
	for (size_t i = 0; i < c->n; i++) {
		const uint64_t shape[] = { c->piece[i].bytes };

		if (tensorfile_writer_add(w, c->piece[i].name, DTYPE_U8, 1, shape, c->piece[i].p, e) < 0)
			goto out;
	}
	r = tensorfile_writer_save(w, path, NULL, e);
out:
	tensorfile_writer_free(w);
	return r;
}

/* The beginning of a value, for a message. */
static int
shown(size_t n)
{
	return (int)(n < 60 ? n : 60);
}

static int
check_identity(const struct checkpoint *c, const struct tensorfile *f, struct err *e)
{
	struct slice v = tensorfile_meta(f, "llmr.checkpoint");

	if (v.p == NULL)
		return err_set(e, ERR_INPUT, "not a checkpoint of a training");
	if (!slice_is(v, FORMAT))
		return err_set(e, ERR_INPUT, "a checkpoint of format %.*s, this program has " FORMAT,
		    shown(v.n), v.p);
	for (size_t i = 0; i < c->n_identity; i++) {
		v = tensorfile_meta(f, c->key[i]);
		if (v.p != NULL && slice_is(v, c->value[i]))
			continue;
		return err_set(e, ERR_INPUT, "a checkpoint of another training: %s differs "
		    "('%.*s' there, '%.*s' here)", c->key[i], shown(v.n), v.p == NULL ? "" : v.p,
		    shown(strlen(c->value[i])), c->value[i]);
	}
	return 0;
}

int
checkpoint_read(struct checkpoint *c, const char *path, struct err *e)
{
	struct tensorfile *f = tensorfile_load(path, e);
	int r = -1;

	if (f == NULL)
		return -1;
	if (check_identity(c, f, e) < 0) {
		err_wrap(e, "%s", path);
		goto out;
	}
	for (size_t i = 0; i < tensorfile_count(f); i++) {
		const struct tensor *t = tensorfile_at(f, i);
		char name[sizeof(struct checkpoint_at) + 1];
		struct piece *p;

		if (t->dtype != DTYPE_U8 || t->name.n >= sizeof name) {
			err_set(e, ERR_INPUT, "%s: not a piece of a training: '%.*s'", path,
			    shown(t->name.n), t->name.p);
			goto out;
		}
		memcpy(name, t->name.p, t->name.n);
		name[t->name.n] = '\0';
		if ((p = room(c, name, (size_t)t->bytes, e)) == NULL)
			goto out;
		if (t->bytes > 0)
			memcpy(p->p, t->data, (size_t)t->bytes);
	}
	r = 0;
out:
	tensorfile_free(f);
	return r;
}
