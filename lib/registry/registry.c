#include "registry/registry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "registry/seal.h"

#define DOMAIN "llmr-registry-1"
#define TRIES 50

int
registry_open(struct registry *r, const char *want, struct err *e)
{
	if (known_registry(r->known, r->id, &r->cas, e) < 0)
		return -1;
	if (want == NULL)
		return 0;
	if (strlen(want) != POINTER_ID - 1 || strspn(want, "0123456789abcdef") != POINTER_ID - 1)
		return err_set(e, ERR_USAGE, "--registry-id: '%s' is not 32 hexadecimal digits", want);
	if (r->id[0] != '\0' && strcmp(r->id, want) != 0)
		r->cas = false;
	memcpy(r->id, want, POINTER_ID);
	return 0;
}

/* The id that registry.json tells, "" when there is none. */
static int
read_id(struct registry *r, char id[POINTER_ID], struct err *e)
{
	struct seal_member m[] = { { .name = "format" }, { .name = "registry_id" } };
	struct buf doc = BUF_INIT, payload = BUF_INIT;
	struct arena a = ARENA_INIT;
	enum store_outcome o = store_get(r->store, LAYOUT_ROOT, NULL, SEAL_MAX, &doc, NULL, e);
	int ret = o == STORE_ABSENT ? 0 : -1;

	id[0] = '\0';
	if (o == STORE_OK) {
		if (seal_open(DOMAIN, (struct slice){ doc.p, doc.len }, &r->trust, &payload, NULL, e) == 0 &&
		    seal_read((struct slice){ payload.p, payload.len }, m, 2, &a, e) == 0) {
			ret = 0;
			if (!slice_is(m[0].value, DOMAIN) || m[1].value.n != POINTER_ID - 1)
				ret = err_set(e, ERR_INPUT, "is not a registry's id");
			else
				memcpy(id, m[1].value.p, POINTER_ID - 1);
			id[POINTER_ID - 1] = '\0';
		}
		if (ret < 0)
			err_wrap(e, "%s: " LAYOUT_ROOT, store_name(r->store));
	}
	arena_finish(&a);
	buf_finish(&doc);
	buf_finish(&payload);
	return ret;
}

/* Random by the process, the clock and the store's name: two registries shall not have one id. */
static void
new_id(const struct registry *r, char id[POINTER_ID])
{
	struct sha256 h;
	struct rng g;
	uint64_t v[4] = { (uint64_t)clock_wall_us(), (uint64_t)clock_mono_ns(), (uint64_t)getpid(), 0 };
	uint8_t d[32];

	rng_seed(&g, v[0] ^ v[1]);
	v[3] = rng_u64(&g);
	sha256_init(&h);
	sha256_add(&h, v, sizeof v);
	sha256_add(&h, store_name(r->store), strlen(store_name(r->store)));
	sha256_final(&h, d);
	hex_format(d, 16, id);
}

static int
make_id(struct registry *r, char id[POINTER_ID], struct err *e)
{
	struct buf payload = BUF_INIT, doc = BUF_INIT;
	struct store_put p = { .key = LAYOUT_ROOT, .fd = -1, .if_absent = !r->no_cas };
	struct jsonw w;
	enum store_outcome o = STORE_FAILED;

	new_id(r, id);
	jsonw_init(&w, &payload);
	jsonw_object(&w);
	jsonw_kstr(&w, "format", DOMAIN);
	jsonw_kstr(&w, "registry_id", id);
	jsonw_end_object(&w);
	if (seal_close(DOMAIN, &payload, r->key, &doc, e) == 0) {
		p.data = doc.p;
		p.n = doc.len;
		o = store_put(r->store, &p, NULL, e);
	}
	buf_finish(&payload);
	buf_finish(&doc);
	/* Somebody made it a moment ago. */
	if (o == STORE_LOST)
		return read_id(r, id, e);
	return o == STORE_OK ? 0 : -1;
}

static int
check_cas(struct registry *r, struct err *e)
{
	bool ok;

	if (r->no_cas || r->cas)
		return 0;
	if (store_probe(r->store, LAYOUT_PROBE, &ok, e) < 0)
		return -1;
	if (!ok)
		return err_set(e, ERR_CONFIG, "%s: this store does not keep conditional writes apart, so two "
		    "writers could undo each other's work: use another, or --no-cas where there is one writer alone",
		    store_name(r->store));
	r->cas = true;
	return 0;
}

int
registry_begin_write(struct registry *r, struct err *e)
{
	char id[POINTER_ID];
	bool probed = r->cas;

	if (r->key == NULL && !r->allow_unsigned)
		return err_set(e, ERR_NOPERM, "%s: nothing unsigned is written here: give --secret-key, or "
		    "--allow-unsigned", store_name(r->store));
	if (r->id[0] != '\0' && probed)
		return 0;
	if (check_cas(r, e) < 0 || read_id(r, id, e) < 0)
		return -1;
	if (id[0] == '\0' && make_id(r, id, e) < 0)
		return -1;
	if (r->id[0] != '\0' && strcmp(id, r->id) != 0)
		return err_set(e, ERR_NOPERM, "%s: is registry %s now, and was %s before", store_name(r->store),
		    id, r->id);
	memcpy(r->id, id, sizeof id);
	return known_set_registry(r->known, r->id, r->cas, e);
}

void
registry_head_finish(struct registry_head *h)
{
	buf_finish(&h->doc);
}

/* Is it one that may be believed, after what was seen here before? */
static int
check_head(struct registry *r, const char *name, const char *channel, struct registry_head *h,
	struct err *e)
{
	struct slice doc = { h->doc.p, h->doc.len };
	struct known_pointer seen;
	int ret = -1;

	if (pointer_parse(doc, &r->trust, &h->p, e) < 0 || pointer_expect(&h->p, r->id, name, channel, e) < 0)
		return -1;
	if (known_pointer(r->known, name, channel, &seen, e) == 0) {
		if (h->p.seq < seen.seq)
			err_set(e, ERR_NOPERM, "has seq %llu, and %llu was seen here before: an old pointer was put "
			    "back", (unsigned long long)h->p.seq, (unsigned long long)seen.seq);
		else if (h->p.seq == seen.seq && !slice_eq(doc, (struct slice){ seen.doc.p, seen.doc.len }))
			err_set(e, ERR_NOPERM, "has seq %llu, with which another pointer was seen here before",
			    (unsigned long long)h->p.seq);
		else
			ret = 0;
	}
	buf_finish(&seen.doc);
	return ret;
}

int
registry_head_if(struct registry *r, const char *name, const char *channel, const char *etag,
	struct registry_head *h, bool *same, struct err *e)
{
	struct store_info info = { .etag = "" };
	char key[STORE_KEY_MAX];
	enum store_outcome o;

	*h = (struct registry_head){ .doc = BUF_INIT };
	*same = false;
	layout_pointer(name, channel, key);
	o = store_get(r->store, key, etag, SEAL_MAX, &h->doc, &info, e);
	if (o == STORE_ABSENT)
		return 0;
	if (o == STORE_NOT_MODIFIED) {
		*same = true;
		return 0;
	}
	if (o != STORE_OK)
		return -1;
	memcpy(h->etag, info.etag, sizeof h->etag);
	if (check_head(r, name, channel, h, e) < 0)
		return err_wrap(e, "%s: %s", store_name(r->store), key);
	h->there = true;
	if (r->id[0] == '\0') {
		memcpy(r->id, h->p.registry_id, sizeof r->id);
		if (known_set_registry(r->known, r->id, r->cas, e) < 0)
			return -1;
	}
	return known_set_pointer(r->known, &h->p, h->etag, (struct slice){ h->doc.p, h->doc.len }, e);
}

int
registry_head(struct registry *r, const char *name, const char *channel, struct registry_head *h,
	struct err *e)
{
	bool same;

	return registry_head_if(r, name, channel, NULL, h, &same, e);
}

int
registry_head_known(struct registry *r, const char *name, const char *channel, struct registry_head *h,
	struct err *e)
{
	struct known_pointer seen;

	*h = (struct registry_head){ .doc = BUF_INIT };
	if (known_pointer(r->known, name, channel, &seen, e) < 0) {
		buf_finish(&seen.doc);
		return -1;
	}
	h->doc = seen.doc;
	if (seen.seq == 0)
		return err_set(e, ERR_NOINPUT, "%s: channel %s of %s was never seen here", store_name(r->store),
		    channel, name);
	memcpy(h->etag, seen.etag, sizeof h->etag);
	if (check_head(r, name, channel, h, e) < 0)
		return err_wrap(e, "the remembered pointer of %s, channel %s", name, channel);
	h->there = true;
	return 0;
}

/* What the new pointer holds, over the old one. */
static int
next_pointer(const struct registry *r, const struct registry_move *m, const struct registry_head *h,
	struct pointer *p, struct err *e)
{
	*p = (struct pointer){ .fence = m->fence, .expires_us = m->expires_us, .seq = 1,
		.updated_us = clock_wall_us() };
	memcpy(p->registry_id, r->id, sizeof p->registry_id);
	memcpy(p->name, m->name, strlen(m->name) + 1);
	memcpy(p->channel, m->channel, strlen(m->channel) + 1);
	memcpy(p->version, m->version, sizeof p->version);
	memcpy(p->manifest_sha256, m->manifest_sha256, 32);
	if (!h->there)
		return 0;
	if (m->fence > 0 && m->fence < h->p.fence)
		return err_set(e, ERR_TEMPFAIL, "%s, channel %s: written meanwhile under a newer lease", m->name,
		    m->channel);
	if (m->fence == 0)
		p->fence = h->p.fence;
	p->seq = h->p.seq + 1;
	memcpy(p->previous, strcmp(h->p.version, p->version) == 0 ? h->p.previous : h->p.version,
	    sizeof p->previous);
	return 0;
}

static enum store_outcome
put_pointer(struct registry *r, const struct pointer *p, const struct registry_head *h, struct err *e)
{
	struct store_info info = { .etag = "" };
	struct buf doc = BUF_INIT;
	char key[STORE_KEY_MAX];
	struct store_put q = { .key = key, .fd = -1, .if_absent = !r->no_cas && !h->there,
		.if_match = !r->no_cas && h->there ? h->etag : NULL };
	enum store_outcome o = STORE_FAILED;

	layout_pointer(p->name, p->channel, key);
	if (pointer_format(p, r->key, &doc, e) == 0) {
		q.data = doc.p;
		q.n = doc.len;
		o = store_put(r->store, &q, &info, e);
		if (o == STORE_OK &&
		    known_set_pointer(r->known, p, info.etag, (struct slice){ doc.p, doc.len }, e) < 0)
			o = STORE_FAILED;
	}
	buf_finish(&doc);
	return o;
}

static int
check_previous(const struct registry_move *m, const struct registry_head *h, struct err *e)
{
	const char *now = h->there ? h->p.version : "";

	if (m->expect_previous == NULL || strcmp(m->expect_previous, now) == 0)
		return 0;
	if (now[0] == '\0')
		return err_set(e, ERR_NO, "%s, channel %s: there is no version yet, and %s was expected", m->name,
		    m->channel, m->expect_previous);
	return err_set(e, ERR_NO, "%s, channel %s: stands at version %s, and %s was expected", m->name,
	    m->channel, now, m->expect_previous[0] == '\0' ? "none" : m->expect_previous);
}

static int
nap(struct registry *r, struct rng *g, unsigned tries, struct err *e)
{
	clock_sleep_ns((int64_t)(rng_double(g) * 1e6 * (tries < 20 ? 1 + tries : 20)));
	return cancel_check(r->cancel, e);
}

int
registry_move(struct registry *r, struct registry_move *m, struct err *e)
{
	struct rng g;
	bool lost = false;

	rng_seed(&g, (uint64_t)clock_mono_ns() ^ (uint64_t)getpid());
	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct registry_head h;
		enum store_outcome o = STORE_FAILED;

		if (registry_head(r, m->name, m->channel, &h, e) < 0) {
			registry_head_finish(&h);
			return -1;
		}
		m->changed = !(h.there && strcmp(h.p.version, m->version) == 0 &&
		    memcmp(h.p.manifest_sha256, m->manifest_sha256, 32) == 0 &&
		    m->expires_us == h.p.expires_us);
		/* Our own write, whose answer was lost, may be what is there. */
		if ((!m->changed && (m->expect_previous == NULL || lost)) || check_previous(m, &h, e) == 0) {
			m->result = h.p;
			if (!m->changed)
				o = STORE_OK;
			else if (next_pointer(r, m, &h, &m->result, e) == 0)
				o = put_pointer(r, &m->result, &h, e);
		}
		registry_head_finish(&h);
		if (o == STORE_OK)
			return 0;
		if (o != STORE_LOST || nap(r, &g, tries, e) < 0)
			return -1;
		lost = true;
	}
	return err_set(e, ERR_TEMPFAIL, "%s, channel %s: others keep changing it: try again later", m->name,
	    m->channel);
}

int
registry_put_once(struct registry *r, const char *key, struct slice doc, struct err *e)
{
	struct store_put p = { .key = key, .data = doc.p, .n = doc.n, .fd = -1, .if_absent = !r->no_cas };
	struct buf there = BUF_INIT;
	enum store_outcome o = store_put(r->store, &p, NULL, e);
	int ret = -1;

	if (o == STORE_OK)
		return 0;
	if (o != STORE_LOST)
		return -1;
	if (store_get(r->store, key, NULL, doc.n + SEAL_MAX, &there, NULL, e) == STORE_OK) {
		if (slice_eq(doc, (struct slice){ there.p, there.len }))
			ret = 0;
		else
			err_set(e, ERR_NO, "%s: %s is there already, with other content: it is never rewritten",
			    store_name(r->store), key);
	}
	buf_finish(&there);
	return ret;
}

int
registry_resolve(struct registry *r, const char *name, const char *text, char version[LAYOUT_NAME],
	uint8_t digest[32], bool *have_digest, struct err *e)
{
	char key[STORE_KEY_MAX];
	struct buf doc = BUF_INIT;
	struct alias a;
	enum store_outcome o;
	int ret = -1;

	*have_digest = false;
	layout_alias(name, text, key);
	o = store_get(r->store, key, NULL, SEAL_MAX, &doc, NULL, e);
	if (o == STORE_ABSENT) {
		(void)snprintf(version, LAYOUT_NAME, "%s", text);
		ret = 0;
	} else if (o == STORE_OK) {
		if (alias_parse((struct slice){ doc.p, doc.len }, &r->trust, &a, NULL, e) < 0)
			err_wrap(e, "%s: %s", store_name(r->store), key);
		else if (strcmp(a.name, name) != 0 || strcmp(a.alias, text) != 0 ||
		    (r->id[0] != '\0' && strcmp(a.registry_id, r->id) != 0))
			err_set(e, ERR_NOPERM, "%s: %s is an alias of another model or registry",
			    store_name(r->store), key);
		else {
			memcpy(version, a.version, LAYOUT_NAME);
			memcpy(digest, a.manifest_sha256, 32);
			*have_digest = true;
			ret = 0;
		}
	}
	buf_finish(&doc);
	return ret;
}
