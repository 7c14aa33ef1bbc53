#include "registry/seal.h"

#include <string.h>

#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"

#define ID ",\"key_id\":\""
#define SIG "\",\"signature\":\""
#define END "\"}\n"

/* The bytes that are signed. */
static void
signed_bytes(const char *domain, struct slice payload, struct buf *out)
{
	buf_add(out, domain, strlen(domain) + 1);
	buf_add(out, payload.p, payload.n);
}

int
seal_close(const char *domain, const struct buf *payload, const struct secret_key *key,
	struct buf *out, struct err *e)
{
	char id[KEY_ID_TEXT] = "", hex[2 * KEY_SIG_BYTES + 1] = "";
	struct buf message = BUF_INIT;
	uint8_t sig[KEY_SIG_BYTES];
	struct public_key pk;
	int r;

	if (buf_ok(payload, e) < 0)
		return -1;
	signed_bytes(domain, (struct slice){ payload->p, payload->len }, &message);
	if ((r = buf_ok(&message, e)) == 0 && key != NULL) {
		secret_key_public(key, &pk);
		key_id_format(pk.id, id);
		key_sign(key, message.p, message.len, sig);
		hex_format(sig, sizeof sig, hex);
	}
	buf_finish(&message);
	if (r < 0)
		return -1;
	buf_add(out, payload->p, payload->len - 1);
	buf_printf(out, ID "%s" SIG "%s" END, id, hex);
	return buf_ok(out, e);
}

static int
digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
read_hex(struct slice s, uint8_t out[KEY_SIG_BYTES])
{
	if (s.n != 2 * KEY_SIG_BYTES)
		return false;
	for (size_t i = 0; i < KEY_SIG_BYTES; i++) {
		int hi = digit(s.p[2 * i]), lo = digit(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* Cut text off the end of s; false when it does not end so. */
static bool
cut(struct slice *s, const char *text)
{
	size_t n = strlen(text);

	if (s->n < n || memcmp(s->p + s->n - n, text, n) != 0)
		return false;
	s->n -= n;
	return true;
}

/* The run of bytes behind the last quote. */
static bool
cut_value(struct slice *s, struct slice *value)
{
	size_t n = 0;

	while (n < s->n && s->p[s->n - n - 1] != '"')
		n++;
	*value = (struct slice){ s->p + s->n - n, n };
	s->n -= n;
	return true;
}

static int
check(const struct seal_trust *t, struct slice id, struct slice sig, const struct buf *message,
	struct err *e)
{
	uint8_t raw[KEY_SIG_BYTES];
	char text[KEY_ID_TEXT];

	if (id.n == 0 && sig.n == 0) {
		if (t->n == 0 && t->allow_unsigned)
			return 0;
		return err_set(e, ERR_NOPERM, "is not signed");
	}
	if (t->n == 0) {
		if (t->allow_unsigned)
			return 0;
		return err_set(e, ERR_NOPERM, "no public key to check its signature with: give --public-key");
	}
	if (!read_hex(sig, raw))
		return err_set(e, ERR_NOPERM, "its signature has not the right form");
	for (size_t i = 0; i < t->n; i++) {
		key_id_format(t->keys[i].id, text);
		if (!slice_is(id, text))
			continue;
		if (key_verify(&t->keys[i], message->p, message->len, raw))
			return 0;
		return err_set(e, ERR_NOPERM, "its signature is wrong");
	}
	return err_set(e, ERR_NOPERM, "is signed by key %.*s, which is not trusted here",
	    id.n < KEY_ID_TEXT ? (int)id.n : KEY_ID_TEXT, id.p);
}

int
seal_open(const char *domain, struct slice doc, const struct seal_trust *t, struct buf *payload,
	char key_id[KEY_ID_TEXT], struct err *e)
{
	struct buf message = BUF_INIT;
	struct slice id, sig;
	int r;

	buf_reset(payload);
	if (!cut(&doc, END) || !cut_value(&doc, &sig) || !cut(&doc, SIG) || !cut_value(&doc, &id) ||
	    !cut(&doc, ID) || doc.n == 0 || id.n >= KEY_ID_TEXT)
		return err_set(e, ERR_INPUT, "is not a signed document of a registry");
	buf_add(payload, doc.p, doc.n);
	buf_byte(payload, '}');
	if (buf_ok(payload, e) < 0)
		return -1;
	signed_bytes(domain, (struct slice){ payload->p, payload->len }, &message);
	r = buf_ok(&message, e);
	if (r == 0)
		r = check(t, id, sig, &message, e);
	buf_finish(&message);
	if (r == 0 && key_id != NULL) {
		memcpy(key_id, id.p, id.n);
		key_id[id.n] = '\0';
	}
	return r;
}

static bool
read_value(struct jread *r, struct seal_member *m, struct arena *a)
{
	if (m->name[0] == '@')
		return jread_skip_raw(r, &m->value);
	if (m->name[0] == '#')
		return jread_number(r, &m->value);
	if (jread_peek(r) == JREAD_NULL) {
		m->value = SLICE_NONE;
		return jread_null(r);
	}
	return jread_string(r, a, &m->value);
}

int
seal_read(struct slice payload, struct seal_member *m, size_t n, struct arena *a, struct err *e)
{
	struct jread r;
	struct slice key;

	for (size_t i = 0; i < n; i++)
		m[i].seen = false;
	jread_init(&r, payload.p, payload.n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return err_set(e, ERR_INPUT, "is not a JSON object");
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			size_t i = 0;

			while (i < n && !slice_is(key, m[i].name + strspn(m[i].name, "#@")))
				i++;
			if (i == n || m[i].seen)
				return err_set(e, ERR_INPUT, "member '%.*s' %s", (int)(key.n < 64 ? key.n : 64),
				    key.p, i == n ? "is not known" : "comes twice");
			m[i].seen = true;
			if (!read_value(&r, &m[i], a))
				break;
		}
	if (jread_done(&r, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!m[i].seen)
			return err_set(e, ERR_INPUT, "member '%s' is missing", m[i].name + strspn(m[i].name, "#@"));
	return 0;
}
