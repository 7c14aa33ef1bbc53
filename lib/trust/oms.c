#include "trust/oms.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "trust/b64.h"

#define BUNDLE_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"
#define PAYLOAD_TYPE "application/vnd.in-toto+json"
#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define PREDICATE_TYPE "https://model_signing/signature/v1.0"
#define MAX_SIGNATURES 16
#define B64 sodium_base64_VARIANT_ORIGINAL

void
dsse_encode(struct buf *b, struct slice type, struct slice payload)
{
	buf_printf(b, "DSSEv1 %zu ", type.n);
	buf_add(b, type.p, type.n);
	buf_printf(b, " %zu ", payload.n);
	buf_add(b, payload.p, payload.n);
}

void
oms_finish(struct oms *o)
{
	tree_free(&o->files);
	free(o->ignored);
	arena_finish(&o->own);
	memset(o, 0, sizeof *o);
}

bool
oms_ignores(const void *ctx, const char *path)
{
	const struct oms *o = ctx;

	for (size_t i = 0; i < o->n_ignored; i++)
		if (slice_is(o->ignored[i], path))
			return true;
	return false;
}

/* ---- writing ---- */

static void
put_base64(struct jsonw *w, const char *key, const struct buf *b, struct buf *text)
{
	size_t n = sodium_base64_encoded_len(b->len, B64);

	buf_reset(text);
	if (!buf_reserve(text, n))
		return;
	(void)sodium_bin2base64(text->p, n, (const uint8_t *)b->p, b->len, B64);
	jsonw_kstr(w, key, text->p);
}

static void
put_resources(struct jsonw *w, const struct tree *t)
{
	char hex[65];

	jsonw_key(w, "resources");
	jsonw_array(w);
	for (size_t i = 0; i < t->n; i++) {
		hex_format(t->files[i].sha256, 32, hex);
		jsonw_object(w);
		jsonw_kstr(w, "name", t->files[i].path);
		jsonw_kstr(w, "algorithm", "sha256");
		jsonw_kstr(w, "digest", hex);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

/* SHA-256 over the digests in their order. */
static void
root_digest(const struct tree *t, char hex[65])
{
	struct sha256 s;
	uint8_t d[32];

	sha256_init(&s);
	for (size_t i = 0; i < t->n; i++)
		sha256_add(&s, t->files[i].sha256, 32);
	sha256_final(&s, d);
	hex_format(d, 32, hex);
}

static void
put_statement(struct buf *b, const struct tree *t, const char *name, const char *const *ignored, size_t n)
{
	struct jsonw w;
	char hex[65];

	root_digest(t, hex);
	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_kstr(&w, "_type", STATEMENT_TYPE);
	jsonw_key(&w, "subject");
	jsonw_array(&w);
	jsonw_object(&w);
	jsonw_kstr(&w, "name", name);
	jsonw_key(&w, "digest");
	jsonw_object(&w);
	jsonw_kstr(&w, "sha256", hex);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	jsonw_end_array(&w);
	jsonw_kstr(&w, "predicateType", PREDICATE_TYPE);
	jsonw_key(&w, "predicate");
	jsonw_object(&w);
	jsonw_key(&w, "serialization");
	jsonw_object(&w);
	jsonw_kstr(&w, "method", "files");
	jsonw_kstr(&w, "hash_type", "sha256");
	jsonw_kbool(&w, "allow_symlinks", false);
	jsonw_key(&w, "ignore_paths");
	jsonw_array(&w);
	for (size_t i = 0; i < n; i++)
		jsonw_string(&w, ignored[i]);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	put_resources(&w, t);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
}

static void
put_bundle(struct buf *out, const struct buf *payload, const struct buf *sig, const char *hint)
{
	struct buf text = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kstr(&w, "mediaType", BUNDLE_TYPE);
	jsonw_key(&w, "verificationMaterial");
	jsonw_object(&w);
	jsonw_key(&w, "publicKey");
	jsonw_object(&w);
	jsonw_kstr(&w, "hint", hint);
	jsonw_end_object(&w);
	jsonw_key(&w, "tlogEntries");
	jsonw_array(&w);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_key(&w, "dsseEnvelope");
	jsonw_object(&w);
	put_base64(&w, "payload", payload, &text);
	jsonw_kstr(&w, "payloadType", PAYLOAD_TYPE);
	jsonw_key(&w, "signatures");
	jsonw_array(&w);
	jsonw_object(&w);
	put_base64(&w, "sig", sig, &text);
	jsonw_kstr(&w, "keyid", "");
	jsonw_end_object(&w);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	out->failed = out->failed || text.failed;
	buf_finish(&text);
}

int
oms_sign(const struct ec_key *k, const struct tree *t, const char *name, const char *const *ignored,
	size_t n_ignored, struct buf *out, struct err *e)
{
	struct buf payload = BUF_INIT, pae = BUF_INIT, sig = BUF_INIT, pem = BUF_INIT;
	uint8_t d[32];
	char hint[65];
	int r = -1;

	put_statement(&payload, t, name, ignored, n_ignored);
	if (buf_ok(&payload, e) < 0 || ec_key_public_pem(k, &pem, e) < 0)
		goto out;
	dsse_encode(&pae, SLICE_LIT(PAYLOAD_TYPE), (struct slice){ payload.p, payload.len });
	if (buf_ok(&pae, e) < 0 || ec_key_sign(k, pae.p, pae.len, &sig, e) < 0)
		goto out;
	sha256_bytes(pem.p, pem.len, d);
	hex_format(d, 32, hint);
	put_bundle(out, &payload, &sig, hint);
	r = buf_ok(out, e);
out:
	buf_finish(&payload);
	buf_finish(&pae);
	buf_finish(&sig);
	buf_finish(&pem);
	return r;
}

/* ---- reading ---- */

struct envelope {
	struct slice payload, type, sig[MAX_SIGNATURES];
	size_t n_sig;
	struct arena *a;
};

static int
fail(const struct jread *r, const char *why, struct err *e)
{
	return jread_well(r) ? err_set(e, ERR_INPUT, "byte %zu: %s", jread_offset(r), why) : jread_fail(r, e);
}

/* A string that comes once. */
static int
once(struct jread *r, struct arena *a, struct slice *out, const char *what, struct err *e)
{
	if (out->p != NULL || jread_peek(r) != JREAD_STRING)
		return fail(r, what, e);
	return jread_string(r, a, out) ? 0 : jread_fail(r, e);
}

static int
read_signatures(struct envelope *v, struct jread *r, struct err *e)
{
	struct slice key, ignored = SLICE_NONE;

	if (v->n_sig > 0 || jread_peek(r) != JREAD_ARRAY)
		return fail(r, "one list of signatures is needed", e);
	if (jread_array(r))
		while (jread_element(r)) {
			struct slice sig = SLICE_NONE;

			if (v->n_sig == MAX_SIGNATURES || jread_peek(r) != JREAD_OBJECT)
				return fail(r, "a signature is no object, or there are too many", e);
			ignored = SLICE_NONE;
			if (jread_object(r))
				while (jread_member(r, &key)) {
					struct slice *to = slice_is(key, "sig") ? &sig : &ignored;

					if (to == &ignored && !slice_is(key, "keyid"))
						return fail(r, "unknown key in a signature", e);
					if (once(r, v->a, to, "sig and keyid must be strings", e) < 0)
						return -1;
				}
			v->sig[v->n_sig++] = sig;
		}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
read_envelope(struct envelope *v, struct jread *r, struct err *e)
{
	struct slice key;
	int bad = 0;

	if (v->payload.p != NULL || jread_peek(r) != JREAD_OBJECT)
		return fail(r, "one DSSE envelope is needed", e);
	if (jread_object(r))
		while (bad == 0 && jread_member(r, &key)) {
			if (slice_is(key, "payload"))
				bad = once(r, v->a, &v->payload, "payload must be one string", e);
			else if (slice_is(key, "payloadType"))
				bad = once(r, v->a, &v->type, "payloadType must be one string", e);
			else if (slice_is(key, "signatures"))
				bad = read_signatures(v, r, e);
			else
				bad = fail(r, "unknown key in the envelope", e);
		}
	if (bad < 0 || !jread_well(r))
		return bad < 0 ? -1 : jread_fail(r, e);
	return v->payload.p != NULL && v->type.p != NULL ? 0 : fail(r, "the envelope lacks payload or payloadType", e);
}

static bool
decode(struct slice text, struct buf *out)
{
	size_t got;

	if (!buf_reserve(out, text.n / 4 * 3 + 4))
		return false;
	if (!b64_decode(text, (uint8_t *)out->p + out->len, text.n / 4 * 3 + 3, &got))
		return false;
	out->len += got;
	return true;
}

/* Decode the payload and check the signatures: one must be the key's. */
static int
open_envelope(const struct envelope *v, const struct ec_key *k, struct slice type, struct buf *payload, struct err *e)
{
	struct buf pae = BUF_INIT, sig = BUF_INIT;
	size_t start = payload->len;
	bool ok = false;

	if (!slice_eq(v->type, type))
		return err_set(e, ERR_INPUT, "payload of type '%.*s', not %.*s", (int)(v->type.n < 80 ? v->type.n : 80),
			v->type.p, (int)type.n, type.p);
	if (!decode(v->payload, payload))
		return err_set(e, ERR_INPUT, "the payload is no base64");
	dsse_encode(&pae, type, (struct slice){ payload->p + start, payload->len - start });
	if (buf_ok(&pae, e) < 0) {
		buf_finish(&pae);
		return -1;
	}
	for (size_t i = 0; i < v->n_sig && !ok; i++) {
		buf_reset(&sig);
		ok = v->sig[i].n > 0 && decode(v->sig[i], &sig) && ec_key_verify(k, pae.p, pae.len, sig.p, sig.len);
	}
	buf_finish(&pae);
	buf_finish(&sig);
	return ok ? 0 : err_set(e, ERR_NO, v->n_sig == 0 ? "there is no signature in the envelope" :
		"signature verification failed: not by this key, or changed");
}

int
dsse_verify(const char *p, size_t n, const struct ec_key *k, struct slice type, struct buf *payload, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct envelope v = { .a = &a };
	struct jread r;
	int ret;

	jread_init(&r, p, n);
	ret = read_envelope(&v, &r, e);
	if (ret == 0 && (ret = jread_done(&r, e)) == 0)
		ret = open_envelope(&v, k, type, payload, e);
	arena_finish(&a);
	return ret;
}

/* hint: hex SHA-256 of the PEM's text, or base64 SHA-256 of the DER (cosign). Neither: another key. */
static int
check_hint(struct slice hint, const struct ec_key *k, struct slice pem, struct err *e)
{
	struct buf own = BUF_INIT, der = BUF_INIT;
	char text[3][65];
	uint8_t d[32];
	bool ok = hint.n == 0;

	if (ec_key_public_pem(k, &own, e) < 0 || ec_key_public_der(k, &der, e) < 0) {
		buf_finish(&own);
		buf_finish(&der);
		return -1;
	}
	sha256_bytes(pem.n > 0 ? pem.p : own.p, pem.n > 0 ? pem.n : own.len, d);
	hex_format(d, 32, text[0]);
	sha256_bytes(own.p, own.len, d);
	hex_format(d, 32, text[1]);
	sha256_bytes(der.p, der.len, d);
	(void)sodium_bin2base64(text[2], sizeof text[2], d, 32, B64);
	for (size_t i = 0; i < 3; i++)
		ok = ok || slice_is(hint, text[i]);
	buf_finish(&own);
	buf_finish(&der);
	return ok ? 0 : err_set(e, ERR_NO, "the bundle names another key than this one");
}

static int
read_material(struct jread *r, struct arena *a, struct slice *hint, struct err *e)
{
	struct slice key;

	if (jread_peek(r) != JREAD_OBJECT)
		return fail(r, "verificationMaterial is no object", e);
	if (jread_object(r))
		while (jread_member(r, &key)) {
			if (slice_is(key, "tlogEntries") || slice_is(key, "timestampVerificationData")) {
				(void)jread_skip(r);
				continue;
			}
			if (!slice_is(key, "publicKey") || jread_peek(r) != JREAD_OBJECT)
				return fail(r, "only bundles by a key can be verified, not by a certificate", e);
			if (jread_object(r))
				while (jread_member(r, &key)) {
					if (!slice_is(key, "hint"))
						return fail(r, "unknown key in publicKey", e);
					if (once(r, a, hint, "hint must be one string", e) < 0)
						return -1;
				}
		}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
read_bundle(const char *p, size_t n, struct envelope *v, struct slice *hint, struct err *e)
{
	struct slice key, type = SLICE_NONE;
	struct jread r;
	int bad = 0;

	jread_init(&r, p, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return fail(&r, "no JSON object", e);
	if (jread_object(&r))
		while (bad == 0 && jread_member(&r, &key)) {
			if (slice_is(key, "mediaType"))
				bad = once(&r, v->a, &type, "mediaType must be one string", e);
			else if (slice_is(key, "verificationMaterial"))
				bad = read_material(&r, v->a, hint, e);
			else if (slice_is(key, "dsseEnvelope"))
				bad = read_envelope(v, &r, e);
			else
				bad = fail(&r, "unknown key in the bundle", e);
		}
	if (bad < 0 || jread_done(&r, e) < 0)
		return -1;
	if (!slice_is(type, BUNDLE_TYPE))
		return err_set(e, ERR_INPUT, "no " BUNDLE_TYPE);
	return v->payload.p == NULL ? err_set(e, ERR_INPUT, "no dsseEnvelope") : 0;
}

/* ---- the statement, once its bytes are verified ---- */

struct statement {
	struct slice type, predicate, root, method, hash;
	struct sha256 sum;		/* over the digests, in the order written */
	struct oms *o;
};

static bool
unhex(struct slice s, uint8_t out[32])
{
	size_t got;

	return s.n == 64 && sodium_hex2bin(out, 32, s.p, s.n, NULL, &got, NULL) == 0 && got == 32;
}

static int
read_resource(struct statement *s, struct jread *r, struct err *e)
{
	struct slice key, name = SLICE_NONE, algorithm = SLICE_NONE, digest = SLICE_NONE;
	uint8_t d[32];

	if (jread_peek(r) != JREAD_OBJECT)
		return fail(r, "a resource is no object", e);
	if (jread_object(r))
		while (jread_member(r, &key)) {
			struct slice *to = slice_is(key, "name") ? &name : slice_is(key, "algorithm") ? &algorithm :
				slice_is(key, "digest") ? &digest : NULL;

			if (to == NULL)
				(void)jread_skip(r);
			else if (once(r, &s->o->own, to, "name, algorithm and digest must be strings", e) < 0)
				return -1;
		}
	if (!jread_well(r))
		return jread_fail(r, e);
	if (!slice_is(algorithm, "sha256") || !unhex(digest, d))
		return fail(r, "a resource without a sha256 digest (other algorithms are not supported)", e);
	sha256_add(&s->sum, d, sizeof d);
	if (!slice_is(name, "."))
		return tree_add(&s->o->files, name, d, e);
	if (s->o->single)
		return fail(r, "the model itself is listed twice", e);
	s->o->single = true;
	memcpy(s->o->sha256, d, sizeof d);
	return 0;
}

static int
read_ignored(struct statement *s, struct jread *r, struct err *e)
{
	size_t cap = s->o->n_ignored;

	if (jread_peek(r) != JREAD_ARRAY || s->o->ignored != NULL)
		return fail(r, "one list of ignore_paths is needed", e);
	if (jread_array(r))
		while (jread_element(r)) {
			struct slice x = SLICE_NONE;

			if (mem_grow((void **)&s->o->ignored, &cap, s->o->n_ignored + 1, sizeof x, e) < 0 ||
			    once(r, &s->o->own, &x, "an ignored path is no string", e) < 0)
				return -1;
			s->o->ignored[s->o->n_ignored++] = x;
		}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
read_serialization(struct statement *s, struct jread *r, struct err *e)
{
	struct slice key;
	int bad = 0;

	if (jread_peek(r) != JREAD_OBJECT)
		return fail(r, "serialization is no object", e);
	if (jread_object(r))
		while (bad == 0 && jread_member(r, &key)) {
			if (slice_is(key, "method"))
				bad = once(r, &s->o->own, &s->method, "method must be one string", e);
			else if (slice_is(key, "hash_type"))
				bad = once(r, &s->o->own, &s->hash, "hash_type must be one string", e);
			else if (slice_is(key, "ignore_paths"))
				bad = read_ignored(s, r, e);
			else
				(void)jread_skip(r);
		}
	return bad < 0 ? -1 : jread_well(r) ? 0 : jread_fail(r, e);
}

static int
read_predicate(struct statement *s, struct jread *r, struct err *e)
{
	struct slice key;
	int bad = 0;

	if (jread_peek(r) != JREAD_OBJECT)
		return fail(r, "the predicate is no object", e);
	if (jread_object(r))
		while (bad == 0 && jread_member(r, &key)) {
			if (slice_is(key, "serialization"))
				bad = read_serialization(s, r, e);
			else if (slice_is(key, "resources") && jread_peek(r) == JREAD_ARRAY) {
				if (jread_array(r))
					while (bad == 0 && jread_element(r))
						bad = read_resource(s, r, e);
			} else
				(void)jread_skip(r);
		}
	return bad < 0 ? -1 : jread_well(r) ? 0 : jread_fail(r, e);
}

/* The one subject, whose digest is over all resources. */
static int
read_subject(struct statement *s, struct jread *r, struct err *e)
{
	struct slice key;
	size_t n = 0;

	if (jread_peek(r) != JREAD_ARRAY)
		return fail(r, "subject is no list", e);
	if (jread_array(r))
		while (jread_element(r)) {
			if (n++ > 0 || jread_peek(r) != JREAD_OBJECT)
				return fail(r, "one subject is needed", e);
			if (jread_object(r))
				while (jread_member(r, &key)) {
					if (!slice_is(key, "digest") || jread_peek(r) != JREAD_OBJECT) {
						(void)jread_skip(r);
						continue;
					}
					if (jread_object(r))
						while (jread_member(r, &key)) {
							if (!slice_is(key, "sha256"))
								(void)jread_skip(r);
							else if (once(r, &s->o->own, &s->root, "one digest is needed", e) < 0)
								return -1;
						}
				}
		}
	return jread_well(r) ? 0 : jread_fail(r, e);
}

static int
check_statement(struct statement *s, struct err *e)
{
	uint8_t want[32], got[32];
	const char *twice;

	if (!slice_is(s->type, STATEMENT_TYPE) || !slice_is(s->predicate, PREDICATE_TYPE))
		return err_set(e, ERR_INPUT, "the statement is no " PREDICATE_TYPE);
	if (!slice_is(s->method, "files") || !slice_is(s->hash, "sha256"))
		return err_set(e, ERR_INPUT, "serialization other than files by sha256 is not supported");
	sha256_final(&s->sum, got);
	if (!unhex(s->root, want) || memcmp(want, got, sizeof got) != 0)
		return err_set(e, ERR_INPUT, "the subject's digest is not that of the resources");
	tree_sort(&s->o->files);
	if ((twice = tree_duplicate(&s->o->files)) != NULL)
		return err_set(e, ERR_INPUT, "path '%s' is listed twice", twice);
	if (s->o->single && s->o->files.n > 0)
		return err_set(e, ERR_INPUT, "the model is listed as one file and as a folder");
	return 0;
}

static int
read_statement(struct oms *o, const struct buf *payload, struct err *e)
{
	struct statement s = { .o = o };
	struct slice key;
	struct jread r;
	int bad = 0;

	sha256_init(&s.sum);
	jread_init(&r, payload->p, payload->len);
	if (jread_peek(&r) != JREAD_OBJECT)
		return fail(&r, "the statement is no object", e);
	if (jread_object(&r))
		while (bad == 0 && jread_member(&r, &key)) {
			if (slice_is(key, "_type"))
				bad = once(&r, &o->own, &s.type, "_type must be one string", e);
			else if (slice_is(key, "predicateType"))
				bad = once(&r, &o->own, &s.predicate, "predicateType must be one string", e);
			else if (slice_is(key, "subject"))
				bad = read_subject(&s, &r, e);
			else if (slice_is(key, "predicate"))
				bad = read_predicate(&s, &r, e);
			else
				(void)jread_skip(&r);
		}
	if (bad < 0 || jread_done(&r, e) < 0)
		return -1;
	return check_statement(&s, e);
}

/* Strings without an escape are borrowed from the payload, which goes: keep copies. */
static int
keep_ignored(struct oms *o, struct err *e)
{
	for (size_t i = 0; i < o->n_ignored; i++) {
		const char *copy = arena_dup(&o->own, o->ignored[i].p, o->ignored[i].n, e);

		if (copy == NULL)
			return -1;
		o->ignored[i].p = copy;
	}
	return 0;
}

int
oms_verify(const char *p, size_t n, const struct ec_key *k, struct slice public_pem, struct oms *out, struct err *e)
{
	struct arena a = ARENA_INIT;
	struct envelope v = { .a = &a };
	struct slice hint = SLICE_NONE;
	struct buf payload = BUF_INIT;
	int r = read_bundle(p, n, &v, &hint, e);

	memset(out, 0, sizeof *out);
	if (r == 0)
		r = check_hint(hint, k, public_pem, e);
	if (r == 0)
		r = open_envelope(&v, k, SLICE_LIT(PAYLOAD_TYPE), &payload, e);
	if (r == 0)
		r = read_statement(out, &payload, e);
	if (r == 0)
		r = keep_ignored(out, e);
	if (r < 0)
		oms_finish(out);
	buf_finish(&payload);
	arena_finish(&a);
	return r;
}
