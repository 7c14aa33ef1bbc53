#include "registry/pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fmt/hash.h"
#include "registry/checkout.h"
#include "registry/lease.h"

#define LEASE_US ((int64_t)60 * 1000000)
#define WAIT_NS ((int64_t)500 * 1000000)
#define TRIES 3

struct job {
	struct registry *r;
	struct cache *cache;
	struct pull *p;
	const struct version *v;
	struct cache_part *part;	/* [n] */
	size_t *todo, n;		/* files to fetch */
	size_t *again, n_again;		/* of them, to be fetched anew from the beginning */
	char (*keys)[STORE_KEY_MAX];
	struct lease lease;
	bool same;		/* the pointer is the one that was seen before */
};

/* ---- which version --------------------------------------------------------------- */

static int
check_age(const struct pull *p, const struct pointer *q, struct err *e)
{
	char text[28];
	int64_t now = clock_wall_us();

	if (q->seq < p->min_seq)
		return err_set(e, ERR_NOPERM, "%s, channel %s: seq is %llu, at least %llu is wanted", p->name,
		    p->channel, (unsigned long long)q->seq, (unsigned long long)p->min_seq);
	if (p->offline)
		return 0;
	if (q->expires_us != 0 && now > q->expires_us) {
		str_iso8601(q->expires_us, text);
		return err_set(e, ERR_TEMPFAIL, "%s, channel %s: the pointer expired at %s: promote again, or use "
		    "what is here with --offline", p->name, p->channel, text);
	}
	if (p->max_age_us > 0 && now - q->updated_us > p->max_age_us) {
		str_iso8601(q->updated_us, text);
		return err_set(e, ERR_TEMPFAIL, "%s, channel %s: the pointer is of %s, older than --max-age", p->name,
		    p->channel, text);
	}
	return 0;
}

/* The channel's pointer, from the store or from memory. */
static int
get_pointer(struct job *j, struct err *e)
{
	struct pull *p = j->p;
	struct registry_head h = { .doc = BUF_INIT };
	struct known_pointer seen;
	int r = 0;

	if (!p->offline) {
		r = known_pointer(j->r->known, p->name, p->channel, &seen, e);
		if (r == 0)
			r = registry_head_if(j->r, p->name, p->channel, seen.etag[0] != '\0' ? seen.etag : NULL, &h,
			    &j->same, e);
		buf_finish(&seen.doc);
		if (r == 0 && !j->same && !h.there)
			r = err_set(e, ERR_NOINPUT, "%s: %s has no channel %s", store_name(j->r->store), p->name,
			    p->channel);
	}
	if (r == 0 && (p->offline || j->same)) {
		registry_head_finish(&h);
		r = registry_head_known(j->r, p->name, p->channel, &h, e);
	}
	if (r == 0)
		r = check_age(p, &h.p, e);
	p->pointer = h.p;
	registry_head_finish(&h);
	return r;
}

static int
from_memory(struct job *j, const char *version, const uint8_t *digest, struct version *v, struct err *e)
{
	struct buf manifest = BUF_INIT, minisig = BUF_INIT;
	int r = known_version(j->r->known, j->p->name, version, &manifest, &minisig, e);

	if (r == 0)
		r = version_read(j->p->name, version, (struct slice){ manifest.p, manifest.len },
		    (struct slice){ minisig.p, minisig.len }, digest, &j->r->trust, v, e);
	buf_finish(&manifest);
	buf_finish(&minisig);
	return r;
}

/* Manifest and signature, checked: remembered ones where they are the right ones. */
static int
get_version(struct job *j, const char *version, const uint8_t *digest, struct version *v, struct err *e)
{
	struct err first = ERR_INIT;

	if (from_memory(j, version, digest, v, j->p->offline ? e : &first) == 0)
		return 0;
	if (j->p->offline)
		return -1;
	if (version_load(j->r->store, j->p->name, version, digest, &j->r->trust, v, e) < 0)
		return -1;
	return known_set_version(j->r->known, j->p->name, version,
	    (struct slice){ v->manifest.p, v->manifest.len },
	    (struct slice){ v->minisig.p, v->minisig.len }, e);
}

/* A poll that found nothing new, with the version in use: no more to do. */
static bool
nothing_new(struct job *j)
{
	struct checkout c = { .fd = -1 };

	if (!j->p->poll || !j->same || (c.fd = open(j->p->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return false;
	checkout_link(&c, "current", j->p->before);
	(void)close(c.fd);
	return strcmp(j->p->before, j->p->pointer.version) == 0;
}

/* 1: the version is in v; 0: there is nothing to do. */
static int
choose(struct job *j, struct version *v, struct err *e)
{
	struct pull *p = j->p;
	char version[LAYOUT_NAME];
	uint8_t digest[32];
	bool have = false;

	if (p->version == NULL) {
		if (get_pointer(j, e) < 0)
			return -1;
		if (nothing_new(j)) {
			memcpy(p->got, p->before, sizeof p->got);
			return 0;
		}
		return get_version(j, p->pointer.version, p->pointer.manifest_sha256, v, e) < 0 ? -1 : 1;
	}
	if (p->offline)
		memcpy(version, p->version, strlen(p->version) + 1);
	else if (registry_resolve(j->r, p->name, p->version, version, digest, &have, e) < 0)
		return -1;
	return get_version(j, version, have ? digest : NULL, v, e) < 0 ? -1 : 1;
}

/* ---- its contents ---------------------------------------------------------------- */

static int
next_fetch(void *ctx, size_t i, struct store_fetch *q, struct err *e)
{
	struct job *j = ctx;
	const struct version_file *f;

	if (i >= j->n)
		return 0;
	f = &j->v->files[j->todo[i]];
	layout_object(f->sha256, j->keys[i]);
	if (cancel_check(j->r->cancel, e) < 0 || cache_part_open(j->cache, f->sha256, &j->part[i], e) < 0)
		return -1;
	/* The name of an object tells its content, so a part of it whose ETag is not known is good as well. */
	if (j->part[i].etag[0] == '\0' && cache_part_etag(j->cache, &j->part[i], "*", e) < 0)
		return -1;
	*q = (struct store_fetch){ .key = j->keys[i], .fd = j->part[i].fd, .size_bytes = f->size_bytes,
		.sha256 = f->sha256, .offset = j->part[i].have_bytes,
		.if_match = j->part[i].etag[0] == '"' ? j->part[i].etag : NULL };
	return 1;
}

static int
done_fetch(void *ctx, size_t i, enum store_outcome o, const struct store_info *info, struct err *e)
{
	struct job *j = ctx;
	struct cache_part *part = &j->part[i];
	bool resumed = part->have_bytes > 0;

	if (o == STORE_OK) {
		j->p->fetched++;
		j->p->fetched_bytes += info->size_bytes - part->have_bytes;
		if (j->p->progress != NULL)
			progress_show(j->p->progress, "pull", (double)j->p->fetched, (double)j->n, "objects");
		if (cache_part_commit(j->cache, part, e) < 0)
			return -1;
		return j->lease.held ? lease_keep(j->r->store, &j->lease, e) : 0;
	}
	if (o == STORE_FAILED && info->etag[0] == '"')
		(void)cache_part_etag(j->cache, part, info->etag, NULL);
	cache_part_close(j->cache, part, o == STORE_FAILED);
	if ((o == STORE_CHANGED || o == STORE_LOST) && resumed) {
		/* What an earlier try left may be torn: once more, from the beginning. */
		j->again[j->n_again++] = j->todo[i];
		return 0;
	}
	return -1;
}

static int
fetch_round(struct job *j, struct err *e)
{
	const struct store_many_fetch m = { next_fetch, done_fetch, j };
	int r = store_fetch_many(j->r->store, &m, e);

	for (size_t i = 0; i < j->n; i++)
		cache_part_close(j->cache, &j->part[i], true);
	return r;
}

static int
by_digest(const void *a, const void *b)
{
	const struct version_file *const *x = a, *const *y = b;

	return memcmp((*x)->sha256, (*y)->sha256, 32);
}

/* Contents that the cache lacks, each once. */
static int
missing(struct job *j, struct err *e)
{
	const struct version *v = j->v;
	const struct version_file **order = mem_calloc(v->n, sizeof *order, e);
	int r = order == NULL ? -1 : 0;

	j->n = 0;
	for (size_t i = 0; r == 0 && i < v->n; i++)
		order[i] = &v->files[i];
	if (r == 0)
		qsort(order, v->n, sizeof *order, by_digest);
	for (size_t i = 0; r >= 0 && i < v->n; i++) {
		if (i > 0 && memcmp(order[i]->sha256, order[i - 1]->sha256, 32) == 0)
			continue;
		r = cache_has(j->cache, order[i]->sha256, order[i]->size_bytes, e);
		if (r == 0)
			j->todo[j->n++] = (size_t)(order[i] - v->files);
	}
	free(order);
	return r < 0 ? -1 : 0;
}

static int
take_lease(struct job *j, struct err *e)
{
	char key[STORE_KEY_MAX];

	if (!j->p->lease)
		return 0;
	layout_lease(j->p->name, "pull", key);
	while (lease_take(j->r->store, key, j->p->owner, LEASE_US, &j->lease, e) < 0) {
		if (e->code != ERR_TEMPFAIL)
			return -1;
		clock_sleep_ns(WAIT_NS);
		if (cancel_check(j->r->cancel, e) < 0)
			return -1;
	}
	return 0;
}

static int
fetch_missing(struct job *j, struct err *e)
{
	int r = missing(j, e);

	if (r < 0 || j->n == 0)
		return r;
	if (j->p->offline)
		return err_set(e, ERR_NOINPUT, "%s: version %s is not whole in the cache: pull once without --offline",
		    j->p->name, j->v->version);
	if (take_lease(j, e) < 0)
		return -1;
	for (unsigned tries = 0; r == 0 && j->n > 0; tries++) {
		size_t *t = j->todo;

		j->n_again = 0;
		r = fetch_round(j, e);
		if (r == 0 && tries == TRIES && j->n_again > 0)
			r = err_set(e, ERR_NOPERM, "%s: %s: the bytes are not those that its digest names",
			    store_name(j->r->store), j->v->files[j->again[0]].path);
		j->todo = j->again;
		j->again = t;
		j->n = j->n_again;
	}
	lease_release(j->r->store, &j->lease);
	return r;
}

/* Into the cache, by one process of this host alone. */
static int
fetch_all(struct job *j, struct err *e)
{
	const struct version *v = j->v;
	char hex[65];
	int lock, r = -1;

	hex_format(v->digest, 32, hex);
	if ((lock = cache_lock(j->cache, hex, e)) < 0)
		return -1;
	j->todo = mem_calloc(v->n, sizeof *j->todo, e);
	j->again = mem_calloc(v->n, sizeof *j->again, e);
	j->part = mem_calloc(v->n, sizeof *j->part, e);
	j->keys = mem_calloc(v->n, sizeof *j->keys, e);
	if (j->todo != NULL && j->again != NULL && j->part != NULL && j->keys != NULL) {
		for (size_t i = 0; i < v->n; i++)
			j->part[i].fd = -1;
		r = fetch_missing(j, e);
	}
	free(j->todo);
	free(j->again);
	free(j->part);
	free(j->keys);
	(void)close(lock);
	return r;
}

static int
put_to_use(struct job *j, struct err *e)
{
	struct checkout c;
	int r;

	if (checkout_open(j->p->out, j->r->cancel, &c, e) < 0)
		return -1;
	checkout_link(&c, "current", j->p->before);
	r = checkout_has(&c, j->v, j->r->cancel, e);
	for (unsigned tries = 0; r == 0; tries++) {
		if (fetch_all(j, e) < 0) {
			r = -1;
			break;
		}
		r = checkout_make(&c, j->v, j->cache, e) == 0 ? 1 : -1;
		/* Another process may have made room in the cache in between. */
		if (r < 0 && e->code == ERR_NOINPUT && tries < TRIES)
			r = 0;
	}
	if (r > 0 && checkout_use(&c, j->v->version, &j->p->changed, e) < 0)
		r = -1;
	checkout_close(&c);
	return r < 0 ? -1 : 0;
}

int
pull(struct registry *r, struct cache *cache, struct pull *p, struct err *e)
{
	struct version v = { .n = 0 };
	struct job j = { .r = r, .cache = cache, .p = p, .v = &v };
	int ret;

	p->pointer = (struct pointer){ .name = "" };
	p->changed = false;
	p->fetched = 0;
	p->fetched_bytes = 0;
	ret = choose(&j, &v, e);
	if (ret > 0 && (ret = put_to_use(&j, e)) == 0) {
		memcpy(p->got, v.version, sizeof p->got);
		ret = cache_trim(cache, e);
	}
	version_finish(&v);
	return ret;
}
