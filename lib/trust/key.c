#include "trust/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/io.h"
#include "trust/b64.h"

#define MAX_FILE ((size_t)16384)
#define PUBLIC_BYTES 42			/* "Ed", number, key */
#define SECRET_BYTES 158
#define SECRET_PART 104			/* what the password hides: number, key, check sum */
#define KDF_MIN ((uint64_t)16 << 20)
#define KDF_MAX ((uint64_t)2 << 30)
#define B64 sodium_base64_VARIANT_ORIGINAL

/* Places in a secret key file. */
enum { AT_KDF = 2, AT_CHECK = 4, AT_SALT = 6, AT_OPS = 38, AT_MEM = 46, AT_ID = 54, AT_SK = 62, AT_SUM = 126 };

/* What stands before the 32 bytes in DER (RFC 8410). */
static const uint8_t spki[12] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
static const uint8_t pkcs8[16] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
	0x04, 0x22, 0x04, 0x20 };

struct secret_key {
	uint8_t id[KEY_ID_BYTES];
	uint8_t sk[64];		/* seed and public key, as libsodium has it */
};

static int
ready(struct err *e)
{
	return sodium_init() < 0 ? err_set(e, ERR_BUG, "libsodium cannot start") : 0;
}

static uint64_t
get_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 8; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static void
put_le64(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

void
key_id_format(const uint8_t id[KEY_ID_BYTES], char out[KEY_ID_TEXT])
{
	(void)snprintf(out, KEY_ID_TEXT, "%016llX", (unsigned long long)get_le64(id));
}

/* Base64 of the whole text to exactly n bytes. */
static bool
decode(struct slice text, uint8_t *out, size_t n)
{
	size_t got;

	return text.n > 0 && b64_decode(text, out, n, &got) && got == n;
}

/* Base64 with white space between, as PEM has it: the number of bytes, or 0. */
static size_t
decode_lines(struct slice text, uint8_t *out, size_t cap)
{
	size_t got;

	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] > 0x7f)
			return 0;
	if (sodium_base642bin(out, cap, text.p, text.n, " \t\r\n", &got, NULL, B64) != 0)
		return 0;
	return got;
}

/* What stands between the lines of a PEM block of that label; SLICE_NONE when there is none. */
static struct slice
pem_body(struct slice text, const char *label)
{
	char begin[64], end[64];
	const char *a, *b;
	int n = snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
	int m = snprintf(end, sizeof end, "-----END %s-----", label);

	if (!slice_starts(text, begin))
		return SLICE_NONE;
	a = text.p + n;
	for (b = a; (size_t)(text.p + text.n - b) >= (size_t)m; b++)
		if (memcmp(b, end, (size_t)m) == 0)
			return slice_trim((struct slice){ b + m, (size_t)(text.p + text.n - b - m) }).n == 0 ?
				(struct slice){ a, (size_t)(b - a) } : SLICE_NONE;
	return SLICE_NONE;
}

static void
number_of(const uint8_t pk[32], uint8_t id[KEY_ID_BYTES])
{
	uint8_t h[32];

	(void)crypto_generichash(h, sizeof h, pk, 32, NULL, 0);
	memcpy(id, h, KEY_ID_BYTES);
}

static bool
from_raw(const uint8_t *p, struct public_key *out)
{
	memcpy(out->pk, p, 32);
	number_of(out->pk, out->id);
	return true;
}

static bool
from_pem(struct slice text, struct public_key *out)
{
	uint8_t der[sizeof spki + 32];
	struct slice body = pem_body(slice_trim(text), "PUBLIC KEY");

	return body.p != NULL && decode_lines(body, der, sizeof der) == sizeof der &&
		memcmp(der, spki, sizeof spki) == 0 && from_raw(der + sizeof spki, out);
}

/* The base64 line: of minisign's 42 bytes, of 32 raw bytes, or of a PEM. */
static bool
from_line(struct slice text, struct public_key *out)
{
	uint8_t mini[PUBLIC_BYTES], raw[32], pem[1024];
	size_t n;

	if (decode(text, mini, sizeof mini)) {
		memcpy(out->id, mini + 2, KEY_ID_BYTES);
		memcpy(out->pk, mini + 2 + KEY_ID_BYTES, 32);
		return memcmp(mini, "Ed", 2) == 0;
	}
	if (decode(text, raw, sizeof raw))
		return from_raw(raw, out);
	n = decode_lines(text, pem, sizeof pem);
	return n > 0 && from_pem((struct slice){ (const char *)pem, n }, out);
}

/*
 * Take one line off *text, without its line end; SLICE_NONE when nothing is left.
 */
static struct slice
next_line(struct slice *text)
{
	const char *nl = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);
	struct slice line = { text->p, nl == NULL ? text->n : (size_t)(nl - text->p) };

	if (text->n == 0)
		return SLICE_NONE;
	*text = nl == NULL ? (struct slice){ text->p + text->n, 0 } :
		(struct slice){ nl + 1, text->n - line.n - 1 };
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static const char comment_prefix[] = "untrusted comment: ";

/* The second line of a file that begins with a comment; SLICE_NONE for any other. */
static struct slice
line_behind_comment(struct slice text)
{
	struct slice line = next_line(&text);

	return line.p != NULL && slice_starts(line, comment_prefix) ? next_line(&text) : SLICE_NONE;
}

/* Points of small order let anybody sign: no key at all. */
static int
check_point(const struct public_key *k, struct err *e)
{
	uint8_t curve[32];

	if (crypto_sign_ed25519_pk_to_curve25519(curve, k->pk) != 0)
		return err_set(e, ERR_INPUT, "these 32 bytes are no Ed25519 public key");
	return 0;
}

int
public_key_parse(struct slice text, struct public_key *out, struct err *e)
{
	struct slice line = line_behind_comment(text);

	text = slice_trim(text);
	if (!(line.p != NULL ? from_line(slice_trim(line), out) :
	    slice_starts(text, "-----BEGIN") ? from_pem(text, out) : from_line(text, out)))
		return err_set(e, ERR_INPUT, "no Ed25519 public key: minisign's lines, a PEM "
			"or base64 of 32 bytes are needed");
	return check_point(out, e);
}

int
public_key_read(const char *path, struct public_key *out, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = io_read_file(path, MAX_FILE, &b, e);

	if (r == 0 && b.len == 32) {
		(void)from_raw((const uint8_t *)b.p, out);
		if ((r = check_point(out, e)) < 0)
			err_wrap(e, "%s", path);
	} else if (r == 0 && (r = public_key_parse((struct slice){ b.p == NULL ? "" : b.p, b.len }, out, e)) < 0)
		err_wrap(e, "%s", path);
	buf_finish(&b);
	return r;
}

void
public_key_format(const struct public_key *k, char out[PUBLIC_KEY_TEXT])
{
	uint8_t raw[PUBLIC_BYTES];

	memcpy(raw, "Ed", 2);
	memcpy(raw + 2, k->id, KEY_ID_BYTES);
	memcpy(raw + 2 + KEY_ID_BYTES, k->pk, 32);
	(void)sodium_bin2base64(out, PUBLIC_KEY_TEXT, raw, sizeof raw, B64);
}

int
key_file_write(const char *path, const char *p, size_t n, unsigned mode, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode), r;

	if (fd < 0 && errno == EEXIST)
		return err_set(e, ERR_CANTCREAT, "%s is there already: keys are never overwritten", path);
	if (fd < 0)
		return err_sys(e, ERR_CANTCREAT, "%s", path);
	r = io_write_full(fd, p, n, e);
	if (r == 0 && fsync(fd) < 0)
		r = err_sys(e, ERR_IO, "%s", path);
	if (close(fd) < 0 && r == 0)
		r = err_sys(e, ERR_IO, "%s", path);
	if (r < 0)
		(void)unlink(path);
	return r;
}

int
public_key_write(const struct public_key *k, const char *path, const char *comment, struct err *e)
{
	char text[PUBLIC_KEY_TEXT], id[KEY_ID_TEXT];
	struct buf b = BUF_INIT;
	int r;

	key_id_format(k->id, id);
	public_key_format(k, text);
	if (comment != NULL)
		buf_printf(&b, "%s%s\n%s\n", comment_prefix, comment, text);
	else
		buf_printf(&b, "%sminisign public key %s\n%s\n", comment_prefix, id, text);
	r = buf_ok(&b, e) < 0 ? -1 : key_file_write(path, b.p, b.len, 0644, e);
	buf_finish(&b);
	return r;
}

/* ---- secret keys ---- */

static struct secret_key *
secret_alloc(struct err *e)
{
	struct secret_key *k;

	if (ready(e) < 0)
		return NULL;
	if ((k = sodium_malloc(sizeof *k)) == NULL)
		err_nomem(e);
	return k;
}

struct secret_key *
secret_key_new(struct err *e)
{
	struct secret_key *k = secret_alloc(e);
	uint8_t pk[32];

	if (k == NULL)
		return NULL;
	(void)crypto_sign_keypair(pk, k->sk);
	randombytes_buf(k->id, sizeof k->id);
	return k;
}

void
secret_key_free(struct secret_key *k)
{
	sodium_free(k);
}

void
secret_key_public(const struct secret_key *k, struct public_key *out)
{
	memcpy(out->id, k->id, sizeof out->id);
	memcpy(out->pk, k->sk + 32, sizeof out->pk);
}

/* BLAKE2b-256 of "Ed", number and key. */
static void
check_sum(const uint8_t *id_and_sk, uint8_t out[32])
{
	crypto_generichash_state s;

	(void)crypto_generichash_init(&s, NULL, 0, 32);
	(void)crypto_generichash_update(&s, (const uint8_t *)"Ed", 2);
	(void)crypto_generichash_update(&s, id_and_sk, KEY_ID_BYTES + 64);
	(void)crypto_generichash_final(&s, out, 32);
}

/* XOR the hidden part with the stream that the password makes. */
static int
mask(uint8_t *file, const void *password, size_t n, uint64_t ops, uint64_t mem, struct err *e)
{
	uint8_t *stream = sodium_malloc(SECRET_PART);
	int r = 0;

	if (stream == NULL)
		return err_nomem(e);
	if (crypto_pwhash_scryptsalsa208sha256(stream, SECRET_PART, password, n, file + AT_SALT, ops,
	    (size_t)mem) != 0)
		r = err_set(e, ERR_TEMPFAIL, "not enough memory to derive a key from the password: it takes %llu MiB",
			(unsigned long long)(mem >> 20));
	for (size_t i = 0; r == 0 && i < SECRET_PART; i++)
		file[AT_ID + i] ^= stream[i];
	sodium_free(stream);
	return r;
}

static int
unlock(uint8_t *file, const char *name, const struct key_password *pw, struct err *e)
{
	uint64_t ops = get_le64(file + AT_OPS), mem = get_le64(file + AT_MEM);
	uint8_t sum[32];
	char *password;
	int n, r;

	if (mem < 1 << 15 || mem > KDF_MAX || ops < 1 << 10 || ops > KDF_MAX / 16)
		return err_set(e, ERR_INPUT, "%s: the key derivation asks for %llu MiB and %llu steps: out of bounds", name,
			(unsigned long long)(mem >> 20), (unsigned long long)ops);
	if (pw == NULL || pw->get == NULL)
		return err_set(e, ERR_NOPERM, "%s: the key is protected by a password, and none was given", name);
	if ((password = sodium_malloc(KEY_PASSWORD_MAX)) == NULL)
		return err_nomem(e);
	n = pw->get(pw->ctx, "Password", password, KEY_PASSWORD_MAX, e);
	r = n < 0 ? -1 : mask(file, password, (size_t)n, ops, mem, e);
	sodium_free(password);
	if (r < 0)
		return -1;
	check_sum(file + AT_ID, sum);
	if (sodium_memcmp(sum, file + AT_SUM, sizeof sum) != 0)
		return err_set(e, ERR_NOPERM, "%s: wrong password for this key", name);
	return 0;
}

/* A seed whose public half does not belong to it would give the key away with each signature. */
static bool
halves_agree(const uint8_t sk[64])
{
	uint8_t pk[32], again[64];
	bool same;

	(void)crypto_sign_seed_keypair(pk, again, sk);
	same = sodium_memcmp(pk, sk + 32, sizeof pk) == 0;
	sodium_memzero(again, sizeof again);
	return same;
}

static int
from_file(uint8_t *file, const char *name, const struct key_password *pw, struct secret_key *k, struct err *e)
{
	static const uint8_t none[2] = { 0, 0 };

	if (memcmp(file, "Ed", 2) != 0 || memcmp(file + AT_CHECK, "B2", 2) != 0)
		return err_set(e, ERR_INPUT, "%s: a secret key of an algorithm that llmr does not know", name);
	if (memcmp(file + AT_KDF, "Sc", 2) == 0) {
		if (unlock(file, name, pw, e) < 0)
			return -1;
	} else if (memcmp(file + AT_KDF, none, 2) != 0)
		return err_set(e, ERR_INPUT, "%s: a key derivation that llmr does not know (minisign has scrypt)", name);
	memcpy(k->id, file + AT_ID, sizeof k->id);
	memcpy(k->sk, file + AT_SK, sizeof k->sk);
	if (!halves_agree(k->sk))
		return err_set(e, ERR_INPUT, "%s: the halves of the key do not belong together", name);
	return 0;
}

static bool
from_pkcs8(struct slice text, struct secret_key *k)
{
	uint8_t der[sizeof pkcs8 + 32], pk[32];
	struct slice body = pem_body(slice_trim(text), "PRIVATE KEY");
	bool ok = body.p != NULL && decode_lines(body, der, sizeof der) == sizeof der &&
		memcmp(der, pkcs8, sizeof pkcs8) == 0;

	if (ok) {
		(void)crypto_sign_seed_keypair(pk, k->sk, der + sizeof pkcs8);
		number_of(pk, k->id);
	}
	sodium_memzero(der, sizeof der);
	return ok;
}

struct secret_key *
secret_key_parse(const char *p, size_t n, const char *name, const struct key_password *pw, struct err *e)
{
	struct slice text = { p, n }, line = line_behind_comment(text);
	struct secret_key *k = secret_alloc(e);
	uint8_t file[SECRET_BYTES];
	int r = -1;

	if (k == NULL)
		return NULL;
	if (line.p != NULL && decode(slice_trim(line), file, sizeof file))
		r = from_file(file, name, pw, k, e);
	else if (line.p == NULL && from_pkcs8(text, k))
		r = 0;
	else
		err_set(e, ERR_INPUT, "%s: no Ed25519 secret key: minisign's file or an unencrypted PKCS#8 PEM is needed",
			name);
	sodium_memzero(file, sizeof file);
	if (r == 0)
		return k;
	secret_key_free(k);
	return NULL;
}

struct secret_key *
secret_key_read(const char *path, const struct key_password *pw, struct err *e)
{
	struct buf b = BUF_INIT;
	struct secret_key *k = NULL;

	/* All the room at once, so that no copy of the key is left behind by growing. */
	if (!buf_reserve(&b, (size_t)4 * 65536))
		err_nomem(e);
	else if (io_read_file(path, MAX_FILE, &b, e) == 0)
		k = secret_key_parse(b.p, b.len, path, pw, e);
	if (b.p != NULL)
		sodium_memzero(b.p, b.cap);
	buf_finish(&b);
	return k;
}

/* Hide the key part; where memory lacks, with half of it, and so on. */
static int
lock(uint8_t *file, const void *password, size_t n, uint64_t mem, struct err *e)
{
	mem = mem > KEY_KDF_BYTES ? KEY_KDF_BYTES : mem < KDF_MIN ? KDF_MIN : mem;
	memcpy(file + AT_KDF, "Sc", 2);
	randombytes_buf(file + AT_SALT, 32);
	check_sum(file + AT_ID, file + AT_SUM);
	for (;; mem /= 2) {
		struct err why = ERR_INIT;

		put_le64(file + AT_OPS, mem / 32);
		put_le64(file + AT_MEM, mem);
		if (mask(file, password, n, mem / 32, mem, &why) == 0)
			return 0;
		if (mem / 2 < KDF_MIN) {
			*e = why;
			return -1;
		}
	}
}

int
secret_key_write(const struct secret_key *k, const char *path, const void *password, size_t n,
	uint64_t kdf_bytes, struct err *e)
{
	uint8_t file[SECRET_BYTES] = { 'E', 'd', 0, 0, 'B', '2' };
	char text[512];
	size_t head = (size_t)snprintf(text, sizeof text, "%sminisign %ssecret key\n", comment_prefix,
		password == NULL ? "" : "encrypted ");
	int r = 0;

	memcpy(file + AT_ID, k->id, sizeof k->id);
	memcpy(file + AT_SK, k->sk, sizeof k->sk);
	if (password != NULL)
		r = lock(file, password, n, kdf_bytes, e);
	if (r == 0) {
		(void)sodium_bin2base64(text + head, sizeof text - head - 1, file, sizeof file, B64);
		(void)strcat(text, "\n");
		r = key_file_write(path, text, strlen(text), 0600, e);
	}
	sodium_memzero(file, sizeof file);
	sodium_memzero(text, sizeof text);
	return r;
}

void
key_sign(const struct secret_key *k, const void *p, size_t n, uint8_t sig[KEY_SIG_BYTES])
{
	(void)crypto_sign_detached(sig, NULL, p, n, k->sk);
}

bool
key_verify(const struct public_key *k, const void *p, size_t n, const uint8_t sig[KEY_SIG_BYTES])
{
	return crypto_sign_verify_detached(sig, p, n, k->pk) == 0;
}
