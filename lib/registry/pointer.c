#include "registry/pointer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"

#define DOMAIN "llmr-pointer-1"

static void
put_time(struct jsonw *w, const char *key, int64_t us)
{
	char text[28];

	str_iso8601(us, text);
	jsonw_kstr(w, key, us == 0 ? NULL : text);
}

int
pointer_format(const struct pointer *p, const struct secret_key *key, struct buf *out, struct err *e)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];
	int r;

	hex_format(p->manifest_sha256, 32, hex);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kstr(&w, "channel", p->channel);
	put_time(&w, "expires_at", p->expires_us);
	jsonw_key(&w, "fence");
	jsonw_uint(&w, p->fence);
	jsonw_kstr(&w, "format", DOMAIN);
	jsonw_kstr(&w, "manifest_sha256", hex);
	jsonw_kstr(&w, "name", p->name);
	jsonw_kstr(&w, "previous", p->previous[0] == '\0' ? NULL : p->previous);
	jsonw_kstr(&w, "registry_id", p->registry_id);
	jsonw_key(&w, "seq");
	jsonw_uint(&w, p->seq);
	put_time(&w, "updated_at", p->updated_us);
	jsonw_kstr(&w, "version", p->version);
	jsonw_end_object(&w);
	r = seal_close(DOMAIN, &b, key, out, e);
	buf_finish(&b);
	return r;
}

static bool
take_name(struct slice s, char out[LAYOUT_NAME])
{
	if (!layout_name_ok(s))
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

static bool
take_number(struct slice s, uint64_t *out)
{
	long long v;

	if (!slice_int(s, &v) || v < 0)
		return false;
	*out = (uint64_t)v;
	return true;
}

/* A time in the one form that pointer_format writes. */
static bool
take_time(struct slice s, int64_t *out)
{
	char text[28], again[28];

	if (s.n != sizeof text - 1)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (str_time("time", text, 0, out, NULL) < 0)
		return false;
	str_iso8601(*out, again);
	return strcmp(text, again) == 0;
}

static bool
take_id(struct slice s, char out[POINTER_ID])
{
	if (s.n != POINTER_ID - 1)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (strchr("0123456789abcdef", s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

enum { CHANNEL, EXPIRES, FENCE, FORMAT, DIGEST, NAME, PREVIOUS, REGISTRY, SEQ, UPDATED, VERSION, N };

static const char *
take_all(const struct seal_member *m, struct pointer *p)
{
	if (!slice_is(m[FORMAT].value, DOMAIN))
		return "format";
	if (!take_name(m[CHANNEL].value, p->channel))
		return "channel";
	if (m[EXPIRES].value.p != NULL && !take_time(m[EXPIRES].value, &p->expires_us))
		return "expires_at";
	if (!take_number(m[FENCE].value, &p->fence))
		return "fence";
	if (!layout_hex(m[DIGEST].value, p->manifest_sha256))
		return "manifest_sha256";
	if (!take_name(m[NAME].value, p->name))
		return "name";
	if (m[PREVIOUS].value.p != NULL && !take_name(m[PREVIOUS].value, p->previous))
		return "previous";
	if (!take_id(m[REGISTRY].value, p->registry_id))
		return "registry_id";
	if (!take_number(m[SEQ].value, &p->seq))
		return "seq";
	if (!take_time(m[UPDATED].value, &p->updated_us))
		return "updated_at";
	if (!take_name(m[VERSION].value, p->version))
		return "version";
	return NULL;
}

int
pointer_parse(struct slice doc, const struct seal_trust *t, struct pointer *out, struct err *e)
{
	struct seal_member m[N] = { [CHANNEL] = { .name = "channel" }, [EXPIRES] = { .name = "expires_at" },
		[FENCE] = { .name = "#fence" }, [FORMAT] = { .name = "format" },
		[DIGEST] = { .name = "manifest_sha256" }, [NAME] = { .name = "name" },
		[PREVIOUS] = { .name = "previous" }, [REGISTRY] = { .name = "registry_id" },
		[SEQ] = { .name = "#seq" }, [UPDATED] = { .name = "updated_at" },
		[VERSION] = { .name = "version" } };
	struct buf payload = BUF_INIT;
	struct arena a = ARENA_INIT;
	struct pointer p = { 0 };
	const char *bad;
	int r = -1;

	if (seal_open(DOMAIN, doc, t, &payload, p.key_id, e) == 0 &&
	    seal_read((struct slice){ payload.p, payload.len }, m, N, &a, e) == 0) {
		bad = take_all(m, &p);
		if (bad == NULL)
			r = 0;
		else
			err_set(e, ERR_INPUT, "member '%s' has a bad value", bad);
	}
	arena_finish(&a);
	buf_finish(&payload);
	if (r == 0)
		*out = p;
	return r;
}

int
pointer_expect(const struct pointer *p, const char *registry_id, const char *name,
	const char *channel, struct err *e)
{
	if (strcmp(p->name, name) != 0)
		return err_set(e, ERR_NOPERM, "is the pointer of model '%s', not of '%s'", p->name, name);
	if (strcmp(p->channel, channel) != 0)
		return err_set(e, ERR_NOPERM, "is the pointer of channel '%s', not of '%s'", p->channel,
		    channel);
	if (registry_id[0] != '\0' && strcmp(p->registry_id, registry_id) != 0)
		return err_set(e, ERR_NOPERM, "is a pointer of registry %s, not of %s", p->registry_id,
		    registry_id);
	return 0;
}
