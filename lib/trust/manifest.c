#include "trust/manifest.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/yaml.h"
#include "trust/b64.h"

#define B64 sodium_base64_VARIANT_ORIGINAL

struct manifest *
manifest_new(const char *created_at, const char *description, struct err *e)
{
	struct manifest *m = mem_calloc(1, sizeof *m, e);

	if (m == NULL)
		return NULL;
	m->version = mem_strdup("1.0", e);
	if (created_at != NULL && created_at[0] != '\0')
		m->created_at = mem_strdup(created_at, e);
	if (description != NULL && description[0] != '\0')
		m->description = mem_strdup(description, e);
	if (m->version != NULL && (created_at == NULL || created_at[0] == '\0' || m->created_at != NULL) &&
	    (description == NULL || description[0] == '\0' || m->description != NULL))
		return m;
	manifest_free(m);
	return NULL;
}

void
manifest_free(struct manifest *m)
{
	if (m == NULL)
		return;
	free(m->version);
	free(m->created_at);
	free(m->description);
	tree_free(&m->files);
	free(m);
}

int
manifest_add(struct manifest *m, struct slice path, const uint8_t sha256[32], struct err *e)
{
	struct tree_file *files, last;
	size_t i;

	if (tree_find(&m->files, path) != NULL)
		return err_set(e, ERR_INPUT, "path '%.*s' is listed twice", (int)(path.n < 200 ? path.n : 200), path.p);
	if (tree_add(&m->files, path, sha256, e) < 0)
		return -1;
	files = m->files.files;
	last = files[m->files.n - 1];
	for (i = m->files.n - 1; i > 0 && strcmp(files[i - 1].path, last.path) > 0; i--)
		files[i] = files[i - 1];
	files[i] = last;
	m->type = MANIFEST_UNSIGNED;
	return 0;
}

/* Sort what was read or taken, once; refuse a path that comes twice. */
static int
settle(struct manifest *m, struct err *e)
{
	const char *twice;

	tree_sort(&m->files);
	twice = tree_duplicate(&m->files);
	return twice == NULL ? 0 : err_set(e, ERR_INPUT, "path '%s' is listed twice", twice);
}

int
manifest_add_tree(struct manifest *m, struct tree *t, struct err *e)
{
	for (size_t i = 0; i < t->n; i++)
		if (tree_add(&m->files, slice_str(t->files[i].path), t->files[i].sha256, e) < 0)
			return -1;
	tree_free(t);
	m->type = MANIFEST_UNSIGNED;
	return settle(m, e);
}

/* ---- writing ---- */

/* A JSON string in ASCII, escaped as Python's json.dumps does it. */
static void
put_ascii(struct buf *b, const char *s)
{
	static const char escaped[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";
	const char *end = s + strlen(s), *at;

	buf_byte(b, '"');
	while (s < end) {
		uint32_t c = utf8_next(&s, end);

		if (c < 0x80 && (at = strchr(escaped, (int)c)) != NULL && c != 0) {
			buf_byte(b, '\\');
			buf_byte(b, letter[at - escaped]);
		} else if (c >= 0x20 && c < 0x7f)
			buf_byte(b, (int)c);
		else if (c < 0x10000)
			buf_printf(b, "\\u%04x", (unsigned)c);
		else
			buf_printf(b, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)),
				(unsigned)(0xdc00 + ((c - 0x10000) & 0x3ff)));
	}
	buf_byte(b, '"');
}

static void
put_version(struct buf *b, const struct manifest *m)
{
	if (m->version_bare)
		buf_str(b, m->version);
	else
		put_ascii(b, m->version);
}

int
manifest_canonical(const struct manifest *m, struct buf *b, struct err *e)
{
	char hex[65];

	buf_str(b, "{\"artifacts\":[");
	for (size_t i = 0; i < m->files.n; i++) {
		hex_format(m->files.files[i].sha256, 32, hex);
		buf_str(b, i == 0 ? "{\"path\":" : ",{\"path\":");
		put_ascii(b, m->files.files[i].path);
		buf_printf(b, ",\"sha256\":\"%s\"}", hex);
	}
	buf_byte(b, ']');
	if (m->created_at != NULL) {
		buf_str(b, ",\"created_at\":");
		put_ascii(b, m->created_at);
	}
	if (m->description != NULL) {
		buf_str(b, ",\"description\":");
		put_ascii(b, m->description);
	}
	buf_str(b, ",\"version\":");
	put_version(b, m);
	buf_byte(b, '}');
	return buf_ok(b, e);
}

int
manifest_format(const struct manifest *m, struct buf *b, struct err *e)
{
	char hex[65], sig[89];

	buf_str(b, "{\n  \"version\": ");
	put_version(b, m);
	if (m->created_at != NULL) {
		buf_str(b, ",\n  \"created_at\": ");
		put_ascii(b, m->created_at);
	}
	if (m->type != MANIFEST_UNSIGNED)
		buf_printf(b, ",\n  \"signature_type\": \"%s\"", m->type == MANIFEST_ED25519 ? "ed25519" : "hmac-sha256");
	buf_str(b, ",\n  \"artifacts\": [");
	for (size_t i = 0; i < m->files.n; i++) {
		hex_format(m->files.files[i].sha256, 32, hex);
		buf_str(b, i == 0 ? "\n    {\n      \"path\": " : ",\n    {\n      \"path\": ");
		put_ascii(b, m->files.files[i].path);
		buf_printf(b, ",\n      \"sha256\": \"%s\"\n    }", hex);
	}
	buf_str(b, m->files.n == 0 ? "]" : "\n  ]");
	if (m->type != MANIFEST_UNSIGNED) {
		(void)sodium_bin2base64(sig, sizeof sig, m->signature, m->type == MANIFEST_ED25519 ? 64 : 32, B64);
		buf_printf(b, ",\n  \"signature\": \"%s\"", sig);
	}
	if (m->description != NULL) {
		buf_str(b, ",\n  \"description\": ");
		put_ascii(b, m->description);
	}
	buf_str(b, "\n}");
	return buf_ok(b, e);
}

/* ---- signing ---- */

int
manifest_sign(struct manifest *m, const struct secret_key *k, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = manifest_canonical(m, &b, e);

	if (r == 0) {
		key_sign(k, b.p, b.len, m->signature);
		m->type = MANIFEST_ED25519;
	}
	buf_finish(&b);
	return r;
}

static void
hmac(const struct buf *b, struct slice secret, uint8_t out[32])
{
	crypto_auth_hmacsha256_state s;

	(void)crypto_auth_hmacsha256_init(&s, (const uint8_t *)secret.p, secret.n);
	(void)crypto_auth_hmacsha256_update(&s, (const uint8_t *)b->p, b->len);
	(void)crypto_auth_hmacsha256_final(&s, out);
	sodium_memzero(&s, sizeof s);
}

int
manifest_sign_hmac(struct manifest *m, struct slice secret, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = -1;

	if (secret.n == 0)
		err_set(e, ERR_USAGE, "the HMAC secret is empty");
	else if ((r = manifest_canonical(m, &b, e)) == 0) {
		hmac(&b, secret, m->signature);
		m->type = MANIFEST_HMAC;
	}
	buf_finish(&b);
	return r;
}

static int
verify_keys(const struct manifest *m, const struct buf *b, const struct public_key *keys, size_t n, size_t *which,
	struct err *e)
{
	if (m->type != MANIFEST_ED25519)
		return err_set(e, ERR_NO, "the manifest is %s, and a public key is configured: "
			"an Ed25519 signature is required", m->type == MANIFEST_HMAC ? "signed by HMAC" : "not signed");
	for (size_t i = 0; i < n; i++)
		if (key_verify(&keys[i], b->p, b->len, m->signature)) {
			if (which != NULL)
				*which = i;
			return 0;
		}
	return err_set(e, ERR_NO, "the manifest's signature is by none of the %zu trusted keys, or it was changed", n);
}

static int
verify_hmac(const struct manifest *m, const struct buf *b, struct slice secret, struct err *e)
{
	uint8_t want[32];

	if (secret.n == 0)
		return err_set(e, ERR_NO, "no key to verify the manifest with");
	if (m->type != MANIFEST_HMAC)
		return err_set(e, ERR_NO, "the manifest is %s, and a secret is configured: "
			"an HMAC-SHA256 signature is required", m->type == MANIFEST_ED25519 ? "signed by Ed25519" : "not signed");
	hmac(b, secret, want);
	return sodium_memcmp(want, m->signature, sizeof want) == 0 ? 0 :
		err_set(e, ERR_NO, "the manifest's HMAC is wrong: another secret, or it was changed");
}

int
manifest_verify(const struct manifest *m, const struct public_key *keys, size_t n, struct slice secret,
	size_t *which, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = manifest_canonical(m, &b, e);

	if (r == 0)
		r = n > 0 ? verify_keys(m, &b, keys, n, which, e) : verify_hmac(m, &b, secret, e);
	buf_finish(&b);
	return r;
}

const uint8_t *
manifest_sha256(const struct manifest *m, struct slice path)
{
	const struct tree_file *f = tree_find(&m->files, path);

	return f == NULL ? NULL : f->sha256;
}

/* ---- reading ---- */

/* What the two readers find, before it is checked: borrowed or from the arena. */
struct parts {
	struct slice version, created_at, description, type, signature;
	bool version_bare;
	struct manifest *m;
};

static int
copy(char **to, struct slice s, const char *key, struct err *e)
{
	if (s.n == 0)
		return 0;
	if (memchr(s.p, '\0', s.n) != NULL || utf8_valid(s.p, s.n) != s.n)
		return err_set(e, ERR_INPUT, "%s: a NUL or other than UTF-8", key);
	free(*to);
	return (*to = mem_dup(s.p, s.n, e)) == NULL ? -1 : 0;
}

static int
take_signature(struct parts *q, struct err *e)
{
	struct manifest *m = q->m;
	size_t want, got = 0;

	if (slice_is(q->type, "ed25519"))
		m->type = MANIFEST_ED25519;
	else if (slice_is(q->type, "hmac-sha256"))
		m->type = MANIFEST_HMAC;
	else
		return 0;	/* none, unknown, missing: unsigned, whatever stands in "signature" */
	want = m->type == MANIFEST_ED25519 ? 64 : 32;
	if (q->signature.n == 0 || !b64_decode(q->signature, m->signature, want, &got) || got != want)
		return err_set(e, ERR_INPUT, "signature: base64 of %zu bytes is needed", want);
	return 0;
}

static int
take(struct parts *q, struct err *e)
{
	struct manifest *m = q->m;

	m->version_bare = q->version_bare;
	if (copy(&m->version, q->version, "version", e) < 0 ||
	    copy(&m->created_at, q->created_at, "created_at", e) < 0 ||
	    copy(&m->description, q->description, "description", e) < 0)
		return -1;
	return settle(m, e) < 0 ? -1 : take_signature(q, e);
}

static bool
unhex(struct slice s, uint8_t out[32])
{
	if (s.n != 64)
		return false;
	for (size_t i = 0; i < 64; i++) {
		unsigned d = s.p[i] >= '0' && s.p[i] <= '9' ? (unsigned)(s.p[i] - '0') :
			s.p[i] >= 'a' && s.p[i] <= 'f' ? (unsigned)(s.p[i] - 'a') + 10 : 16;

		if (d == 16)
			return false;
		out[i / 2] = (uint8_t)(i % 2 == 0 ? d << 4 : out[i / 2] | d);
	}
	return true;
}

static int
add_entry(struct parts *q, struct slice path, struct slice sha, struct err *e)
{
	uint8_t digest[32];

	if (path.p == NULL || sha.p == NULL)
		return err_set(e, ERR_INPUT, "an artifact without path or sha256");
	if (!unhex(sha, digest))
		return err_set(e, ERR_INPUT, "path '%.*s': sha256 must be 64 small hexadecimal digits",
			(int)(path.n < 200 ? path.n : 200), path.p);
	return tree_add(&q->m->files, path, digest, e);
}

/* A key that is neither signed nor known may be a known one with a slip in it. */
static int
skip_known(struct jread *r, struct slice key, bool top, struct err *e)
{
	static const char *const known[] = { "metadata", "description", "created_at", "tags" };

	for (size_t i = 0; i < (top ? 1u : 4u); i++)
		if (slice_is(key, known[i])) {
			(void)jread_skip(r);
			return 0;
		}
	return err_set(e, ERR_INPUT, "byte %zu: unknown key '%.*s'", jread_offset(r),
		(int)(key.n < 64 ? key.n : 64), key.p);
}

/* A string (null gives SLICE_NONE where it may), given once. */
static int
json_string(struct jread *r, struct arena *a, const char *key, bool null, struct slice *out, bool *seen,
	struct err *e)
{
	struct slice raw;
	bool escaped;

	if (*seen)
		return err_set(e, ERR_INPUT, "byte %zu: key '%s' comes twice", jread_offset(r), key);
	*seen = true;
	if (null && jread_peek(r) == JREAD_NULL) {
		(void)jread_null(r);
		return 0;
	}
	if (jread_peek(r) != JREAD_STRING)
		return jread_well(r) ? err_set(e, ERR_INPUT, "byte %zu: %s must be a string", jread_offset(r), key) :
			jread_fail(r, e);
	if (!jread_string_raw(r, &raw, &escaped))
		return jread_fail(r, e);
	if (!escaped) {
		*out = raw;
		return 0;
	}
	for (size_t i = 0; i + 5 < raw.n; i += raw.p[i] == '\\' ? 2 : 1)
		for (size_t k = 2; k < 6 && raw.p[i] == '\\' && raw.p[i + 1] == 'u'; k++)
			if (raw.p[i + k] >= 'A' && raw.p[i + k] <= 'F')
				return err_set(e, ERR_INPUT, "byte %zu: %s holds an escape in capitals", jread_offset(r), key);
	if (!jread_unescape(raw, a, out))
		return err_nomem(e);
	/* A lone surrogate became U+FFFD: what was signed cannot be said. */
	for (size_t i = 0; i + 2 < out->n; i++)
		if (memcmp(out->p + i, "\xef\xbf\xbd", 3) == 0)
			return err_set(e, ERR_INPUT, "byte %zu: %s holds a lone surrogate or U+FFFD", jread_offset(r), key);
	return 0;
}

static int
json_entry(struct parts *q, struct jread *r, struct arena *a, struct err *e)
{
	struct slice key, path = SLICE_NONE, sha = SLICE_NONE;
	bool seen[2] = { false, false };
	int bad = 0;

	if (jread_peek(r) != JREAD_OBJECT)
		return jread_well(r) ? err_set(e, ERR_INPUT, "byte %zu: an artifact is no object", jread_offset(r)) :
			jread_fail(r, e);
	if (jread_object(r))
		while (bad == 0 && jread_member(r, &key)) {
			if (slice_is(key, "path"))
				bad = json_string(r, a, "path", false, &path, &seen[0], e);
			else if (slice_is(key, "sha256"))
				bad = json_string(r, a, "sha256", false, &sha, &seen[1], e);
			else
				bad = skip_known(r, key, false, e);
		}
	if (bad < 0)
		return -1;
	return jread_well(r) ? add_entry(q, path, sha, e) : jread_fail(r, e);
}

static int
json_artifacts(struct parts *q, struct jread *r, struct arena *a, bool *seen, struct err *e)
{
	if (*seen)
		return err_set(e, ERR_INPUT, "byte %zu: key 'artifacts' comes twice", jread_offset(r));
	*seen = true;
	if (jread_peek(r) != JREAD_ARRAY)
		return jread_well(r) ? err_set(e, ERR_INPUT, "byte %zu: artifacts is no list", jread_offset(r)) :
			jread_fail(r, e);
	if (jread_array(r))
		while (jread_element(r))
			if (json_entry(q, r, a, e) < 0)
				return -1;
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
from_json(struct parts *q, const char *p, size_t n, struct arena *a, struct err *e)
{
	struct { const char *name; struct slice *to; bool null, seen; } keys[] = {
		{ "version", &q->version, false, false }, { "created_at", &q->created_at, true, false },
		{ "description", &q->description, true, false }, { "signature_type", &q->type, true, false },
		{ "signature", &q->signature, true, false },
	};
	bool artifacts = false;
	struct jread r;
	struct slice key;

	jread_init(&r, p, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return jread_well(&r) ? err_set(e, ERR_INPUT, "no JSON object") : jread_fail(&r, e);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			size_t i = 0;

			while (i < sizeof keys / sizeof *keys && !slice_is(key, keys[i].name))
				i++;
			if (i < sizeof keys / sizeof *keys) {
				if (json_string(&r, a, keys[i].name, keys[i].null, keys[i].to, &keys[i].seen, e) < 0)
					return -1;
			} else if (slice_is(key, "artifacts")) {
				if (json_artifacts(q, &r, a, &artifacts, e) < 0)
					return -1;
			} else if (skip_known(&r, key, true, e) < 0)
				return -1;
		}
	if (jread_done(&r, e) < 0)
		return -1;
	return artifacts ? take(q, e) : err_set(e, ERR_INPUT, "no list of artifacts");
}

/* Digits with a point between, which YAML and Python read as one and the same number and write so again. */
static bool
plain_version(struct slice s)
{
	const char *dot = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
	size_t before = dot == NULL ? 0 : (size_t)(dot - s.p), behind = dot == NULL ? 0 : s.n - before - 1;

	if (before == 0 || before > 6 || behind == 0 || behind > 6 || (before > 1 && s.p[0] == '0') ||
	    (behind > 1 && s.p[s.n - 1] == '0') || (s.p[0] == '0' && behind > 4))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (i != before && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
	return true;
}

/* What YAML 1.1 would not read as a string, though it stands there unquoted: then its text is not what was signed. */
static bool
is_string(const struct yaml_node *v)
{
	double d;

	return v->quoted || !(slice_double((struct slice){ v->text, v->len }, &d) || yaml_bool(v) >= 0 ||
		strspn(v->text, "0123456789-:.TtZ +_") == v->len);
}

static int
yaml_string(const struct yaml_node *map, const char *key, struct slice *out, struct err *e)
{
	const struct yaml_node *v = yaml_get(map, key);

	if (yaml_is_null(v))
		return 0;
	if (v->type != YAML_SCALAR || !is_string(v))
		return err_set(e, ERR_INPUT, "line %zu: %s must be a string: put it in quotes", v->line, key);
	*out = (struct slice){ v->text, v->len };
	return 0;
}

static int
yaml_digest(const struct yaml_node *map, struct slice *out)
{
	const struct yaml_node *v = yaml_get(map, "sha256");

	if (v != NULL && v->type == YAML_SCALAR)
		*out = (struct slice){ v->text, v->len };
	return 0;
}

static int
from_yaml(struct parts *q, const struct yaml_node *root, struct err *e)
{
	const struct yaml_node *list, *v = yaml_get(root, "version");

	if (root->type != YAML_MAP || (list = yaml_get(root, "artifacts")) == NULL || list->type != YAML_LIST)
		return err_set(e, ERR_INPUT, "no mapping with a list of artifacts");
	if (v != NULL && v->type == YAML_SCALAR && !v->quoted && plain_version((struct slice){ v->text, v->len })) {
		q->version = (struct slice){ v->text, v->len };
		q->version_bare = true;
	} else if (v != NULL && yaml_is_null(v))
		return err_set(e, ERR_INPUT, "line %zu: version must be a string", v->line);
	else if (yaml_string(root, "version", &q->version, e) < 0)
		return -1;
	if (yaml_string(root, "created_at", &q->created_at, e) < 0 ||
	    yaml_string(root, "description", &q->description, e) < 0 ||
	    yaml_string(root, "signature_type", &q->type, e) < 0 ||
	    yaml_string(root, "signature", &q->signature, e) < 0)
		return -1;
	for (size_t i = 0; i < list->n; i++) {
		struct slice path = SLICE_NONE, sha = SLICE_NONE;

		if (list->items[i]->type != YAML_MAP)
			return err_set(e, ERR_INPUT, "line %zu: an artifact is no mapping", list->items[i]->line);
		if (yaml_string(list->items[i], "path", &path, e) < 0 || yaml_digest(list->items[i], &sha) < 0 ||
		    add_entry(q, path, sha, e) < 0)
			return -1;
	}
	return take(q, e);
}

static bool
ends(const char *s, const char *tail)
{
	size_t n = strlen(s), m = strlen(tail);

	return n >= m && strcmp(s + n - m, tail) == 0;
}

struct manifest *
manifest_parse(const char *p, size_t n, const char *name, struct err *e)
{
	struct parts q = { .m = manifest_new(NULL, NULL, e) };
	struct arena a = ARENA_INIT;
	struct yaml *y;
	int r = -1;

	if (q.m == NULL)
		return NULL;
	if (!ends(name, ".yaml") && !ends(name, ".yml"))
		r = from_json(&q, p, n, &a, e);
	else if ((y = yaml_parse(p, n, "YAML", e)) != NULL) {
		r = from_yaml(&q, yaml_root(y), e);
		yaml_free(y);
	} else
		e->code = e->code == ERR_CONFIG ? ERR_INPUT : e->code;
	arena_finish(&a);
	if (r == 0)
		return q.m;
	err_wrap(e, "%s", name);
	manifest_free(q.m);
	return NULL;
}

struct manifest *
manifest_read(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct manifest *m = NULL;

	if (io_read_file(path, MANIFEST_MAX_BYTES, &b, e) == 0)
		m = manifest_parse(buf_cstr(&b), b.len, path, e);
	buf_finish(&b);
	return m;
}
