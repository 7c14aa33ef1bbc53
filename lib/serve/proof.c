#include "serve/proof.h"

#include <string.h>

#include "base/io.h"
#include "trust/crypto.h"
#include "trust/manifest.h"
#include "trust/minisig.h"

#define MAX_MINISIG ((size_t)64 << 10)

const char *
proof_form_name(enum proof_form f)
{
	return f == PROOF_MINISIG ? "minisig" : f == PROOF_MANIFEST ? "manifest" : "none";
}

void
proof_finish(struct proof *f)
{
	buf_finish(&f->doc);
	buf_finish(&f->listed);
	f->form = PROOF_NONE;
}

int
proof_read(const char *path, struct proof *f, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct buf beside = BUF_INIT;
	int r = 0;

	*f = (struct proof){ PROOF_NONE, BUF_INIT, BUF_INIT };
	buf_printf(&beside, "%s.minisig", path);
	if (io_exists(buf_cstr(&beside))) {
		f->form = PROOF_MINISIG;
		r = io_read_file(buf_cstr(&beside), MAX_MINISIG, &f->doc, e);
	} else {
		buf_reset(&beside);
		if (slash != NULL)
			buf_add(&beside, path, (size_t)(slash + 1 - path));
		buf_str(&beside, "manifest.json");
		if (io_exists(buf_cstr(&beside))) {
			f->form = PROOF_MANIFEST;
			buf_str(&f->listed, slash == NULL ? path : slash + 1);
			r = io_read_file(buf_cstr(&beside), MANIFEST_MAX_BYTES, &f->doc, e);
		}
	}
	if (r == 0 && (beside.failed || buf_ok(&f->listed, e) < 0))
		r = err_nomem(e);
	buf_finish(&beside);
	return r;
}

/* 0 over these bytes; 1 by nobody who is trusted, or no signature at all; -1 trusted, but not over them. */
static int
by_minisig(const struct proof *f, const struct keyring *keys, const void *p, size_t n, struct err *e)
{
	struct minisig s;
	char id[KEY_ID_TEXT];
	size_t k;

	if (minisig_parse(buf_cstr(&f->doc), f->doc.len, &s, e) < 0)
		return 1;
	k = minisig_key(&s, keys->keys, keys->n);
	key_id_format(s.id, id);
	if (k == keys->n) {
		(void)err_set(e, ERR_NOPERM, "key %s, which signed it, is %s", id,
			keyring_is_revoked(keys, s.id) ? "revoked" : "not trusted");
		return 1;
	}
	return minisig_verify(&s, &keys->keys[k], p, n, e);
}

static int
by_manifest(const struct proof *f, const struct proof_trust *t, const void *p, size_t n, struct err *e)
{
	struct manifest *m = manifest_parse(buf_cstr(&f->doc), f->doc.len, "manifest.json", e);
	const uint8_t *want;
	struct crypto_digest *d;
	uint8_t got[32];
	int r = 1;

	if (m == NULL)
		return 1;
	if (manifest_verify(m, t->keys->keys, t->keys->n, t->hmac, NULL, e) < 0)
		goto out;
	if ((want = manifest_sha256(m, slice_str(buf_cstr(&f->listed)))) == NULL) {
		(void)err_set(e, ERR_NOPERM, "the signed manifest does not list %s", buf_cstr(&f->listed));
		goto out;
	}
	r = -1;
	if ((d = crypto_digest_new(CRYPTO_SHA256, n, e)) == NULL)
		goto out;
	crypto_digest_add(d, p, n);
	crypto_digest_final(d, got);
	crypto_digest_free(d);
	if (memcmp(got, want, sizeof got) == 0)
		r = 0;
	else
		(void)err_set(e, ERR_NOPERM, "the bytes are not those that the signed manifest lists");
out:
	manifest_free(m);
	return r;
}

int
proof_check(const struct proof *f, const struct proof_trust *t, const char *path, const void *p, size_t n,
	bool *is_signed, struct err *e)
{
	bool know = t->keys != NULL && (t->keys->n > 0 || t->hmac.n > 0);
	struct err why = ERR_INIT;
	int r = 1;

	*is_signed = false;
	if (!know && !t->required)
		return 0;
	if (!know)
		(void)err_set(&why, ERR_NOPERM, "a signature is required, and no key is trusted");
	else if (f->form == PROOF_MINISIG)
		r = by_minisig(f, t->keys, p, n, &why);
	else if (f->form == PROOF_MANIFEST)
		r = by_manifest(f, t, p, n, &why);
	else
		(void)err_set(&why, ERR_NOPERM, "not signed: there is neither %s.minisig nor manifest.json beside it", path);
	if (r == 0)
		*is_signed = true;
	if (r == 0 || (r == 1 && !t->required))
		return 0;
	return err_set(e, ERR_NOPERM, "%s: refused: %s", path, why.msg);
}
