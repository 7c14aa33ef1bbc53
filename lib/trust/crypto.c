#include "trust/crypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/io.h"
#include "base/mem.h"
#include "fmt/blake2b.h"
#include "fmt/hash.h"

#define LIBRARY "libcrypto.so.3"
#define CHUNK ((size_t)64 * 1024)

/* What is called of libcrypto, by the name it has there. */
#define FUNCTIONS(X) \
	X(EVP_MD_CTX_new) X(EVP_MD_CTX_free) X(EVP_DigestInit_ex) X(EVP_DigestUpdate) X(EVP_DigestFinal_ex) \
	X(EVP_sha256) X(EVP_sha384) X(EVP_sha512) X(EVP_aes_256_cbc) \
	X(EVP_DigestSignInit) X(EVP_DigestSign) X(EVP_DigestVerifyInit) X(EVP_DigestVerify) \
	X(EVP_PKEY_free) X(EVP_PKEY_get_group_name) X(EVP_PKEY_Q_keygen) \
	X(PEM_read_bio_PrivateKey) X(PEM_read_bio_PUBKEY) X(PEM_write_bio_PKCS8PrivateKey) X(PEM_write_bio_PUBKEY) \
	X(i2d_PUBKEY_bio) X(BIO_new) X(BIO_new_mem_buf) X(BIO_s_secmem) X(BIO_ctrl) X(BIO_free) X(ERR_clear_error)
#define FIELD(f) __typeof__(&f) f;

struct fns {
	FUNCTIONS(FIELD)
};

/* Loaded once for the process, and kept: libcrypto has state of its own. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct fns table;
static bool loaded;

static void
load(void)
{
	void *dl = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *sym;

	if (dl == NULL)
		return;
#define LOAD(f) \
	if ((sym = dlsym(dl, #f)) == NULL) \
		return; \
	memcpy(&table.f, &sym, sizeof sym);
	FUNCTIONS(LOAD)
	loaded = true;
}

bool
crypto_available(void)
{
	(void)pthread_once(&once, load);
	return loaded;
}

static const struct fns *
need(struct err *e)
{
	if (crypto_available())
		return &table;
	err_set(e, ERR_CONFIG, "ECDSA needs OpenSSL 3 (" LIBRARY "): install it (Debian: libssl3)");
	return NULL;
}

/* ---- digests ---- */

struct crypto_digest {
	enum crypto_kind kind;
	EVP_MD_CTX *evp;	/* NULL: by the two below */
	struct sha256 sha;
	struct blake2b blake;
};

struct crypto_digest *
crypto_digest_new(enum crypto_kind kind, uint64_t bytes, struct err *e)
{
	struct crypto_digest *d = mem_aligned(1, sizeof *d, e);

	if (d == NULL)
		return NULL;
	d->kind = kind;
	/* With the CPU's own instructions ours is as fast, and nothing has to be loaded. */
	sha256_init(&d->sha);
	blake2b_init(&d->blake);
	if (kind == CRYPTO_BLAKE2B512 || d->sha.fast)
		return d;
	if (bytes >= CRYPTO_BULK && crypto_available() && (d->evp = table.EVP_MD_CTX_new()) != NULL) {
		if (table.EVP_DigestInit_ex(d->evp, table.EVP_sha256(), NULL) == 1)
			return d;
		table.EVP_MD_CTX_free(d->evp);
		d->evp = NULL;
	}
	return d;
}

void
crypto_digest_add(struct crypto_digest *d, const void *p, size_t n)
{
	if (d->evp != NULL) {
		if (table.EVP_DigestUpdate(d->evp, p, n) != 1)
			BUG("libcrypto refuses to digest");
	} else if (d->kind == CRYPTO_SHA256)
		sha256_add(&d->sha, p, n);
	else
		blake2b_add(&d->blake, p, n);
}

void
crypto_digest_final(struct crypto_digest *d, uint8_t *out)
{
	unsigned n;

	if (d->evp != NULL) {
		if (table.EVP_DigestFinal_ex(d->evp, out, &n) != 1)
			BUG("libcrypto refuses to digest");
	} else if (d->kind == CRYPTO_SHA256)
		sha256_final(&d->sha, out);
	else
		blake2b_final(&d->blake, out);
}

void
crypto_digest_free(struct crypto_digest *d)
{
	if (d == NULL)
		return;
	if (d->evp != NULL)
		table.EVP_MD_CTX_free(d->evp);
	free(d);
}

int
crypto_digest_fd(int fd, uint8_t sha256[32], uint8_t blake2b[64], uint64_t *bytes, struct err *e)
{
	struct crypto_digest *s = NULL, *b = NULL;
	uint8_t *p = mem_aligned(CHUNK, 1, e);
	struct stat st;
	uint64_t expected = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
	size_t got;
	int r = p == NULL ? -1 : 0;

	*bytes = 0;
	if (r == 0 && sha256 != NULL && (s = crypto_digest_new(CRYPTO_SHA256, expected, e)) == NULL)
		r = -1;
	if (r == 0 && blake2b != NULL && (b = crypto_digest_new(CRYPTO_BLAKE2B512, expected, e)) == NULL)
		r = -1;
	while (r == 0 && (r = io_read_full(fd, p, CHUNK, &got, e)) == 0 && got > 0) {
		if (s != NULL)
			crypto_digest_add(s, p, got);
		if (b != NULL)
			crypto_digest_add(b, p, got);
		*bytes += got;
	}
	if (r == 0 && s != NULL)
		crypto_digest_final(s, sha256);
	if (r == 0 && b != NULL)
		crypto_digest_final(b, blake2b);
	crypto_digest_free(s);
	crypto_digest_free(b);
	free(p);
	return r;
}

/* ---- ECDSA ---- */

struct ec_key {
	EVP_PKEY *p;
	const EVP_MD *md;	/* as wide as the curve */
};

static const EVP_MD *
digest_of(const struct fns *f, EVP_PKEY *p)
{
	char name[64];
	size_t n;

	if (f->EVP_PKEY_get_group_name(p, name, sizeof name, &n) != 1)
		return NULL;
	if (strcmp(name, "prime256v1") == 0 || strcmp(name, "P-256") == 0)
		return f->EVP_sha256();
	if (strcmp(name, "secp384r1") == 0 || strcmp(name, "P-384") == 0)
		return f->EVP_sha384();
	if (strcmp(name, "secp521r1") == 0 || strcmp(name, "P-521") == 0)
		return f->EVP_sha512();
	return NULL;
}

/* Owns p. */
static struct ec_key *
wrap(const struct fns *f, EVP_PKEY *p, struct err *e)
{
	struct ec_key *k = mem_calloc(1, sizeof *k, e);

	if (k != NULL && (k->md = digest_of(f, p)) == NULL) {
		err_set(e, ERR_INPUT, "no ECDSA key on P-256, P-384 or P-521");
		free(k);
		k = NULL;
	}
	if (k == NULL)
		f->EVP_PKEY_free(p);
	else
		k->p = p;
	return k;
}

struct ec_key *
ec_key_new(struct err *e)
{
	const struct fns *f = need(e);
	EVP_PKEY *p;

	if (f == NULL)
		return NULL;
	if ((p = f->EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")) == NULL) {
		f->ERR_clear_error();
		err_set(e, ERR_BUG, "libcrypto cannot make a P-256 key");
		return NULL;
	}
	return wrap(f, p, e);
}

static int
give_password(char *out, int cap, int writing, void *ctx)
{
	const char *password = ctx;
	size_t n;

	(void)writing;
	if (password == NULL || (n = strlen(password)) > (size_t)cap)
		return -1;
	memcpy(out, password, n);
	return (int)n;
}

bool
ec_key_is_encrypted(const char *p, size_t n)
{
	static const char *const marks[] = { "-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED" };

	for (size_t i = 0; i < 2; i++)
		for (size_t at = 0, m = strlen(marks[i]); at + m <= n; at++)
			if (memcmp(p + at, marks[i], m) == 0)
				return true;
	return false;
}

struct ec_key *
ec_key_parse(const char *p, size_t n, bool secret, const char *password, struct err *e)
{
	const struct fns *f = need(e);
	union { const char *in; void *out; } pw = { password };
	EVP_PKEY *k;
	BIO *b;

	if (f == NULL)
		return NULL;
	if (n > 65536 || (b = f->BIO_new_mem_buf(p, (int)n)) == NULL) {
		err_set(e, ERR_INPUT, "no PEM of a key");
		return NULL;
	}
	k = secret ? f->PEM_read_bio_PrivateKey(b, NULL, give_password, pw.out) :
		f->PEM_read_bio_PUBKEY(b, NULL, give_password, pw.out);
	(void)f->BIO_free(b);
	f->ERR_clear_error();
	if (k != NULL)
		return wrap(f, k, e);
	if (secret && ec_key_is_encrypted(p, n))
		err_set(e, ERR_NOPERM, password == NULL ? "the key is protected by a password, and none was given" :
			"wrong password for this key");
	else
		err_set(e, ERR_INPUT, "no PEM of a %s key", secret ? "secret" : "public");
	return NULL;
}

void
ec_key_free(struct ec_key *k)
{
	if (k == NULL)
		return;
	table.EVP_PKEY_free(k->p);
	free(k);
}

/* Move what a memory BIO holds to a buf, and free it. */
static int
drain(const struct fns *f, BIO *b, int ok, struct buf *out, struct err *e)
{
	char *p = NULL;
	long n = b == NULL ? 0 : f->BIO_ctrl(b, BIO_CTRL_INFO, 0, &p);

	if (ok == 1 && n > 0)
		buf_add(out, p, (size_t)n);
	if (b != NULL)
		(void)f->BIO_free(b);
	f->ERR_clear_error();
	if (ok != 1 || n <= 0)
		return err_set(e, ERR_BUG, "libcrypto cannot write the key");
	return buf_ok(out, e);
}

int
ec_key_secret_pem(const struct ec_key *k, const char *password, struct buf *out, struct err *e)
{
	const struct fns *f = &table;
	BIO *b = f->BIO_new(f->BIO_s_secmem());
	union { const char *in; void *out; } pw = { password };
	int ok = b == NULL ? 0 : f->PEM_write_bio_PKCS8PrivateKey(b, k->p,
		password == NULL ? NULL : f->EVP_aes_256_cbc(), NULL, 0, password == NULL ? NULL : give_password, pw.out);

	return drain(f, b, ok, out, e);
}

int
ec_key_public_pem(const struct ec_key *k, struct buf *out, struct err *e)
{
	const struct fns *f = &table;
	BIO *b = f->BIO_new(f->BIO_s_secmem());

	return drain(f, b, b == NULL ? 0 : f->PEM_write_bio_PUBKEY(b, k->p), out, e);
}

int
ec_key_public_der(const struct ec_key *k, struct buf *out, struct err *e)
{
	const struct fns *f = &table;
	BIO *b = f->BIO_new(f->BIO_s_secmem());

	return drain(f, b, b == NULL ? 0 : f->i2d_PUBKEY_bio(b, k->p), out, e);
}

int
ec_key_sign(const struct ec_key *k, const void *p, size_t n, struct buf *out, struct err *e)
{
	const struct fns *f = &table;
	EVP_MD_CTX *c = f->EVP_MD_CTX_new();
	size_t got = 256;
	bool ok = c != NULL && buf_reserve(out, got) &&
		f->EVP_DigestSignInit(c, NULL, k->md, NULL, k->p) == 1 &&
		f->EVP_DigestSign(c, (unsigned char *)out->p + out->len, &got, p, n) == 1;

	f->EVP_MD_CTX_free(c);
	f->ERR_clear_error();
	if (!ok)
		return err_set(e, ERR_INPUT, "this key cannot sign");
	out->len += got;
	return 0;
}

bool
ec_key_verify(const struct ec_key *k, const void *p, size_t n, const void *sig, size_t sig_n)
{
	const struct fns *f = &table;
	EVP_MD_CTX *c = f->EVP_MD_CTX_new();
	bool ok = c != NULL && f->EVP_DigestVerifyInit(c, NULL, k->md, NULL, k->p) == 1 &&
		f->EVP_DigestVerify(c, sig, sig_n, p, n) == 1;

	f->EVP_MD_CTX_free(c);
	f->ERR_clear_error();
	return ok;
}
