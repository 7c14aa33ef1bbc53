/*
 * Key files, signatures, manifests, DSSE envelopes and bundles: any bytes are
 * either read or give one error. The first byte chooses the reader.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trust/key.h"
#include "trust/manifest.h"
#include "trust/minisig.h"
#include "trust/oms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
read_keys(const char *p, size_t n)
{
	struct err e = ERR_INIT;
	struct public_key k;
	struct secret_key *s;

	if (public_key_parse((struct slice){ p, n }, &k, &e) == 0) {
		char text[PUBLIC_KEY_TEXT];

		public_key_format(&k, text);
	}
	/* No password: a hostile file cannot make us derive a key. */
	s = secret_key_parse(p, n, "it", NULL, &e);
	secret_key_free(s);
}

static void
read_minisig(const char *p, size_t n)
{
	/* RFC 8032, 7.1, test 1 */
	static const struct public_key k = { { 1 }, { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
		0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7,
		0x07, 0x51, 0x1a } };
	struct err e = ERR_INIT;
	struct minisig s;

	if (minisig_parse(p, n, &s, &e) == 0 && strlen(s.trusted) < sizeof s.trusted &&
	    minisig_verify(&s, &k, "x", 1, &e) == 0)
		abort();	/* nobody has signed that */
}

static void
read_manifest(const char *p, size_t n, const char *name)
{
	struct err e = ERR_INIT;
	struct manifest *m = manifest_parse(p, n, name, &e), *again;
	struct buf a = BUF_INIT, b = BUF_INIT;

	if (m == NULL)
		return;
	/* What was read can be written, and reads the same (but for YAML's bare version). */
	if (manifest_format(m, &a, &e) == 0 && !m->version_bare) {
		if ((again = manifest_parse(a.p, a.len, "again", &e)) == NULL)
			abort();
		if (manifest_format(again, &b, &e) == 0 && (a.len != b.len || memcmp(a.p, b.p, a.len) != 0))
			abort();
		manifest_free(again);
	}
	buf_finish(&a);
	buf_finish(&b);
	manifest_free(m);
}

static void
read_bundle(const char *p, size_t n)
{
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEobklBXR4WX+DsTf3vh2kzqF1+ucn\n"
		"YF8fLN3ya86/KJEhpIUB4sOo/kWd2ZjV1ZXboXy9gRufWUT+XdQ+6ZURVg==\n-----END PUBLIC KEY-----\n";
	struct err e = ERR_INIT;
	struct ec_key *k = crypto_available() ? ec_key_parse(pem, sizeof pem - 1, false, NULL, &e) : NULL;
	struct buf b = BUF_INIT;
	struct oms o;

	if (k == NULL)
		return;
	if (oms_verify(p, n, k, SLICE_NONE, &o, &e) == 0)
		oms_finish(&o);
	(void)dsse_verify(p, n, k, SLICE_LIT("t"), &b, &e);
	buf_finish(&b);
	ec_key_free(k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data + 1;

	if (n == 0)
		return 0;
	switch (data[0]) {
	case 'k': read_keys(p, n - 1); break;
	case 's': read_minisig(p, n - 1); break;
	case 'm': read_manifest(p, n - 1, "m.json"); break;
	case 'y': read_manifest(p, n - 1, "m.yaml"); break;
	case 'b': read_bundle(p, n - 1); break;
	default: break;
	}
	return 0;
}
