#include "registry/lease.h"

#include <string.h>

#include "base/mem.h"
#include "fmt/jsonw.h"
#include "registry/seal.h"

#define MAX_DOC ((size_t)4096)

static void
format(const struct lease *l, struct buf *out)
{
	struct jsonw w;
	char text[28];

	str_iso8601(l->expires_us, text);
	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kstr(&w, "expires_at", text);
	jsonw_key(&w, "fence");
	jsonw_uint(&w, l->fence);
	jsonw_kstr(&w, "owner", l->owner);
	jsonw_end_object(&w);
	buf_byte(out, '\n');
}

void
lease_parse(struct slice doc, struct lease *out)
{
	struct seal_member m[] = { { .name = "expires_at" }, { .name = "#fence" }, { .name = "owner" } };
	struct arena a = ARENA_INIT;
	char text[28] = "";
	long long fence;

	*out = (struct lease){ .owner = "" };
	if (seal_read(doc, m, 3, &a, NULL) == 0 && m[0].value.n == 27 && slice_int(m[1].value, &fence) &&
	    fence >= 0 && layout_name_ok(m[2].value)) {
		memcpy(text, m[0].value.p, 27);
		if (str_time("time", text, 0, &out->expires_us, NULL) == 0) {
			out->fence = (uint64_t)fence;
			memcpy(out->owner, m[2].value.p, m[2].value.n);
		} else
			out->expires_us = 0;
	}
	arena_finish(&a);
}

/* What is there now: out->etag "" when nothing. */
static int
look(struct store *s, const char *key, struct lease *out, struct err *e)
{
	struct store_info info = { .etag = "" };
	struct buf doc = BUF_INIT;
	enum store_outcome o = store_get(s, key, NULL, MAX_DOC, &doc, &info, e);

	*out = (struct lease){ .owner = "" };
	if (o == STORE_OK) {
		lease_parse((struct slice){ doc.p, doc.len }, out);
		memcpy(out->etag, info.etag, sizeof out->etag);
	}
	buf_finish(&doc);
	return o == STORE_OK || o == STORE_ABSENT ? 0 : -1;
}

/* Write it over what has that ETag ("" nothing). */
static enum store_outcome
write_over(struct store *s, struct lease *l, const char *etag, struct err *e)
{
	struct store_info info = { .etag = "" };
	struct buf doc = BUF_INIT;
	struct store_put p = { .key = l->key, .fd = -1, .if_absent = etag[0] == '\0',
		.if_match = etag[0] == '\0' ? NULL : etag };
	enum store_outcome o = STORE_FAILED;

	format(l, &doc);
	if (buf_ok(&doc, e) == 0) {
		p.data = doc.p;
		p.n = doc.len;
		o = store_put(s, &p, &info, e);
	}
	if (o == STORE_OK)
		memcpy(l->etag, info.etag, sizeof l->etag);
	buf_finish(&doc);
	return o;
}

static int
held_by_other(const struct lease *other, struct err *e)
{
	char text[28];

	str_iso8601(other->expires_us, text);
	return err_set(e, ERR_TEMPFAIL, "%s holds the lease until %s: try again later", other->owner, text);
}

int
lease_take(struct store *s, const char *key, const char *owner, int64_t ttl_us, struct lease *out,
	struct err *e)
{
	struct lease now;
	int64_t t;
	enum store_outcome o;

	*out = (struct lease){ .ttl_us = ttl_us };
	if (layout_check("owner of the lease", owner, ERR_USAGE, e) < 0)
		return -1;
	memcpy(out->key, key, strlen(key) + 1);
	if (store_now(s, &t, e) < 0 || look(s, out->key, &now, e) < 0)
		return -1;
	if (now.expires_us > t && strcmp(now.owner, owner) != 0)
		return held_by_other(&now, e);
	memcpy(out->owner, owner, strlen(owner) + 1);
	out->fence = now.fence + 1;
	out->expires_us = t + ttl_us;
	out->renewed_ns = clock_mono_ns();
	o = write_over(s, out, now.etag, e);
	if (o == STORE_LOST) {
		if (look(s, out->key, &now, e) < 0)
			return -1;
		/* The answer to our own write may have been lost. */
		if (strcmp(now.owner, owner) != 0 || now.fence != out->fence)
			return held_by_other(&now, e);
		memcpy(out->etag, now.etag, sizeof out->etag);
		o = STORE_OK;
	}
	out->held = o == STORE_OK;
	return o == STORE_OK ? 0 : -1;
}

int
lease_keep(struct store *s, struct lease *l, struct err *e)
{
	int64_t t, passed_us = (clock_mono_ns() - l->renewed_ns) / 1000;
	enum store_outcome o;

	if (!l->held || passed_us < l->ttl_us / 3)
		return 0;
	if (store_now(s, &t, e) < 0)
		return -1;
	l->expires_us = t + l->ttl_us;
	l->renewed_ns = clock_mono_ns();
	o = write_over(s, l, l->etag, e);
	if (o == STORE_LOST) {
		l->held = false;
		return err_set(e, ERR_TEMPFAIL, "the lease was lost to somebody else: try again");
	}
	return o == STORE_OK ? 0 : -1;
}

void
lease_release(struct store *s, struct lease *l)
{
	struct err ignored = ERR_INIT;

	if (!l->held)
		return;
	l->held = false;
	l->expires_us = 1;
	(void)write_over(s, l, l->etag, &ignored);
}
