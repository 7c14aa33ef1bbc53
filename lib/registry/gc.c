#include "registry/gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "registry/version.h"

#define UPLOAD_AGE_US ((int64_t)24 * 3600 * 1000000)

struct object {
	char *key;
	uint64_t size_bytes;
	int64_t modified_us;
};

struct seen_version {
	char name[LAYOUT_NAME], version[LAYOUT_NAME];
	int64_t modified_us;
	uint64_t size_bytes;
	bool keep;
};

struct sweep {
	struct registry *r;
	struct gc *g;
	int64_t now_us;
	struct object *objects;
	size_t n_objects, cap_objects;
	struct seen_version *versions;
	size_t n_versions, cap_versions;
	struct map named;	/* "NAME/VERSION" that a pointer or alias names */
	struct map used;	/* keys of objects that stay */
	struct arena arena;
};

static int
on_object(void *ctx, const struct store_entry *t, struct err *e)
{
	struct sweep *s = ctx;
	void *p = s->objects;
	struct object o = { arena_dup(&s->arena, t->key, strlen(t->key), e), t->size_bytes, t->modified_us };

	if (o.key == NULL || mem_grow(&p, &s->cap_objects, s->n_objects + 1, sizeof o, e) < 0)
		return -1;
	s->objects = p;
	s->objects[s->n_objects++] = o;
	return cancel_check(s->r->cancel, e);
}

static int
name_version(struct sweep *s, const char *name, const char *version, struct err *e)
{
	char text[2 * LAYOUT_NAME];
	int n = snprintf(text, sizeof text, "%s/%s", name, version);

	return map_intern(&s->named, text, (size_t)n, NULL, e) == MAP_NONE ? -1 : 0;
}

static int
read_pointer(struct sweep *s, const char *name, const char *item, const char *key, struct err *e)
{
	struct buf doc = BUF_INIT;
	struct pointer p;
	enum store_outcome o = store_get(s->r->store, key, NULL, SEAL_MAX, &doc, NULL, e);
	int r = o == STORE_ABSENT ? 0 : -1;

	if (o == STORE_OK) {
		r = pointer_parse((struct slice){ doc.p, doc.len }, &s->r->trust, &p, e);
		if (r == 0)
			r = pointer_expect(&p, s->r->id, name, item, e);
		if (r < 0)
			err_wrap(e, "%s: %s", store_name(s->r->store), key);
		if (r == 0)
			r = name_version(s, name, p.version, e);
		if (r == 0 && p.previous[0] != '\0')
			r = name_version(s, name, p.previous, e);
	}
	buf_finish(&doc);
	return r;
}

static int
read_alias(struct sweep *s, const char *name, const char *key, struct err *e)
{
	struct buf doc = BUF_INIT;
	struct alias a;
	enum store_outcome o = store_get(s->r->store, key, NULL, SEAL_MAX, &doc, NULL, e);
	int r = o == STORE_ABSENT ? 0 : -1;

	if (o == STORE_OK && (r = alias_parse((struct slice){ doc.p, doc.len }, &s->r->trust, &a, NULL, e)) < 0)
		err_wrap(e, "%s: %s", store_name(s->r->store), key);
	if (o == STORE_OK && r == 0)
		r = name_version(s, name, a.version, e);
	buf_finish(&doc);
	return r;
}

/* Keys below models/: those that matter are gathered first, since a listing is not to be mixed with reads. */
struct models {
	struct sweep *s;
	char **key;
	size_t n, cap;
};

static int
on_model_key(void *ctx, const struct store_entry *t, struct err *e)
{
	struct models *m = ctx;
	struct sweep *s = m->s;
	char name[LAYOUT_NAME], item[LAYOUT_NAME];
	const char *rest;
	void *p;

	if (layout_parse(t->key, "versions", name, item, &rest) && strcmp(rest, "manifest.json") == 0) {
		struct seen_version v = { .modified_us = t->modified_us, .size_bytes = t->size_bytes };

		memcpy(v.name, name, sizeof name);
		memcpy(v.version, item, sizeof item);
		p = s->versions;
		if (mem_grow(&p, &s->cap_versions, s->n_versions + 1, sizeof v, e) < 0)
			return -1;
		s->versions = p;
		s->versions[s->n_versions++] = v;
	} else if ((layout_parse(t->key, "channels", name, item, &rest) && rest[0] == '\0') ||
	    (layout_parse(t->key, "aliases", name, item, &rest) && rest[0] == '\0')) {
		p = m->key;
		if (mem_grow(&p, &m->cap, m->n + 1, sizeof *m->key, e) < 0)
			return -1;
		m->key = p;
		if ((m->key[m->n] = arena_dup(&s->arena, t->key, strlen(t->key), e)) == NULL)
			return -1;
		m->n++;
	}
	return cancel_check(s->r->cancel, e);
}

static int
read_models(struct sweep *s, struct err *e)
{
	struct models m = { .s = s };
	char prefix[STORE_KEY_MAX], name[LAYOUT_NAME], item[LAYOUT_NAME];
	int r;

	layout_prefix(NULL, NULL, prefix);
	r = store_list(s->r->store, prefix, on_model_key, &m, e);
	for (size_t i = 0; r == 0 && i < m.n; i++)
		r = layout_parse(m.key[i], "channels", name, item, NULL) ? read_pointer(s, name, item, m.key[i], e) :
		    layout_parse(m.key[i], "aliases", name, item, NULL) ? read_alias(s, name, m.key[i], e) : 0;
	free(m.key);
	return r;
}

/* By model, the newest first. */
static int
newest_first(const void *a, const void *b)
{
	const struct seen_version *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	if (c != 0)
		return c;
	if (x->modified_us != y->modified_us)
		return x->modified_us > y->modified_us ? -1 : 1;
	return strcmp(y->version, x->version);
}

static bool
young(const struct sweep *s, int64_t modified_us)
{
	return s->now_us - modified_us < s->g->grace_us;
}

static void
choose(struct sweep *s)
{
	size_t rank = 0;

	if (s->n_versions > 0)
		qsort(s->versions, s->n_versions, sizeof *s->versions, newest_first);
	for (size_t i = 0; i < s->n_versions; i++) {
		struct seen_version *v = &s->versions[i];
		char text[2 * LAYOUT_NAME];
		int n = snprintf(text, sizeof text, "%s/%s", v->name, v->version);

		rank = i > 0 && strcmp(v[-1].name, v->name) == 0 ? rank + 1 : 0;
		v->keep = rank < s->g->keep || young(s, v->modified_us) ||
		    map_find(&s->named, text, (size_t)n) != MAP_NONE;
		s->g->kept_versions += v->keep;
		s->g->versions += !v->keep;
	}
}

static int
mark(struct sweep *s, struct err *e)
{
	for (size_t i = 0; i < s->n_versions; i++) {
		struct version v = { .n = 0 };
		int r = 0;

		if (!s->versions[i].keep)
			continue;
		r = version_load(s->r->store, s->versions[i].name, s->versions[i].version, NULL, &s->r->trust, &v, e);
		for (size_t k = 0; r == 0 && k < v.n; k++) {
			char key[STORE_KEY_MAX];

			layout_object(v.files[k].sha256, key);
			if (map_intern(&s->used, key, strlen(key), NULL, e) == MAP_NONE)
				r = -1;
		}
		version_finish(&v);
		if (r < 0)
			return err_wrap(e, "nothing was removed");
		if (cancel_check(s->r->cancel, e) < 0)
			return -1;
	}
	return 0;
}

static int
drop(struct sweep *s, const char *key, uint64_t size_bytes, struct err *e)
{
	if (s->g->report != NULL)
		s->g->report(s->g->ctx, key, size_bytes);
	s->g->bytes += size_bytes;
	if (s->g->dry_run)
		return 0;
	if (cancel_check(s->r->cancel, e) < 0)
		return -1;
	return store_delete(s->r->store, key, e) == STORE_OK ? 0 : -1;
}

/* The manifest first: without it a version is none. */
static int
drop_versions(struct sweep *s, struct err *e)
{
	for (size_t i = 0; i < s->n_versions; i++) {
		const struct seen_version *v = &s->versions[i];
		char key[STORE_KEY_MAX];

		if (v->keep)
			continue;
		layout_manifest(v->name, v->version, key);
		if (drop(s, key, v->size_bytes, e) < 0)
			return -1;
		layout_minisig(v->name, v->version, key);
		if (!s->g->dry_run && store_delete(s->r->store, key, e) != STORE_OK)
			return -1;
	}
	return 0;
}

static int
drop_objects(struct sweep *s, struct err *e)
{
	for (size_t i = 0; i < s->n_objects; i++) {
		const struct object *o = &s->objects[i];
		struct store_info info;
		enum store_outcome h;

		if (map_find(&s->used, o->key, strlen(o->key)) != MAP_NONE || young(s, o->modified_us)) {
			s->g->kept_objects++;
			continue;
		}
		if (!s->g->dry_run) {
			h = store_head(s->r->store, o->key, &info, e);
			if (h == STORE_ABSENT)
				continue;
			if (h != STORE_OK)
				return -1;
			/* Somebody has written it anew since it was listed: he needs it. */
			if (info.modified_us != o->modified_us && young(s, info.modified_us)) {
				s->g->kept_objects++;
				continue;
			}
		}
		if (drop(s, o->key, o->size_bytes, e) < 0)
			return -1;
		s->g->objects++;
	}
	return 0;
}

static int
run(struct sweep *s, struct err *e)
{
	if (store_list(s->r->store, LAYOUT_OBJECTS, on_object, s, e) < 0 || read_models(s, e) < 0)
		return -1;
	choose(s);
	if (mark(s, e) < 0 || drop_versions(s, e) < 0 || drop_objects(s, e) < 0)
		return -1;
	return store_sweep(s->r->store, s->now_us - UPLOAD_AGE_US, s->g->dry_run, &s->g->uploads, e);
}

int
gc_run(struct registry *r, struct gc *g, struct err *e)
{
	struct sweep s = { .r = r, .g = g };
	int ret = -1;

	if ((g->dry_run || registry_begin_write(r, e) == 0) && store_now(r->store, &s.now_us, e) == 0)
		ret = run(&s, e);
	map_finish(&s.named);
	map_finish(&s.used);
	arena_finish(&s.arena);
	free(s.objects);
	free(s.versions);
	return ret;
}
