#include "trust/minisig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/io.h"
#include "base/str.h"
#include "fmt/blake2b.h"
#include "trust/b64.h"
#include "trust/crypto.h"

#define SIG_BYTES (2 + KEY_ID_BYTES + KEY_SIG_BYTES)
#define MAX_FILE ((size_t)65536)
#define B64 sodium_base64_VARIANT_ORIGINAL

static const char untrusted_prefix[] = "untrusted comment: ", trusted_prefix[] = "trusted comment: ";

/* One line off *text, without its end (LF or CR LF). False when nothing is left. */
static bool
next_line(struct slice *text, struct slice *line)
{
	const char *nl = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);

	if (text->n == 0)
		return false;
	*line = (struct slice){ text->p, nl == NULL ? text->n : (size_t)(nl - text->p) };
	*text = nl == NULL ? (struct slice){ text->p + text->n, 0 } : (struct slice){ nl + 1, text->n - line->n - 1 };
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool
decode(struct slice text, uint8_t *out, size_t n)
{
	size_t got;

	return text.n > 0 && b64_decode(text, out, n, &got) && got == n;
}

/* What a terminal shows as it is: no control bytes but tabs. */
static bool
printable(struct slice s)
{
	if (s.n > 0 && utf8_valid(s.p, s.n) != s.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

int
minisig_parse(const char *p, size_t n, struct minisig *out, struct err *e)
{
	struct slice text = { p, n }, line;
	uint8_t raw[SIG_BYTES];

	if (!next_line(&text, &line) || !slice_starts(line, untrusted_prefix) || line.n >= MINISIG_MAX_COMMENT)
		return err_set(e, ERR_INPUT, "line 1: no '%s' of less than %d bytes", untrusted_prefix, MINISIG_MAX_COMMENT);
	if (!next_line(&text, &line) || !decode(line, raw, sizeof raw))
		return err_set(e, ERR_INPUT, "line 2: base64 of a signature is needed");
	if (raw[0] != 'E' || (raw[1] != 'D' && raw[1] != 'd'))
		return err_set(e, ERR_INPUT, "line 2: a signature algorithm that llmr does not know");
	out->legacy = raw[1] == 'd';
	memcpy(out->id, raw + 2, KEY_ID_BYTES);
	memcpy(out->sig, raw + 2 + KEY_ID_BYTES, KEY_SIG_BYTES);
	if (!next_line(&text, &line) || !slice_starts(line, trusted_prefix) || line.n >= MINISIG_MAX_TRUSTED ||
	    !printable(line))
		return err_set(e, ERR_INPUT, "line 3: no printable '%s' of less than %d bytes", trusted_prefix,
			MINISIG_MAX_TRUSTED);
	memcpy(out->trusted, line.p + sizeof trusted_prefix - 1, line.n - (sizeof trusted_prefix - 1));
	out->trusted[line.n - (sizeof trusted_prefix - 1)] = '\0';
	if (!next_line(&text, &line) || !decode(line, out->global, sizeof out->global))
		return err_set(e, ERR_INPUT, "line 4: base64 of the comment's signature is needed");
	return 0;
}

int
minisig_read(const char *path, struct minisig *out, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = io_read_file(path, MAX_FILE, &b, e);

	if (r == 0 && (r = minisig_parse(buf_cstr(&b), b.len, out, e)) < 0)
		err_wrap(e, "%s", path);
	buf_finish(&b);
	return r;
}

void
minisig_digest(const void *p, size_t n, uint8_t digest[64])
{
	struct blake2b h;

	blake2b_init(&h);
	blake2b_add(&h, p, n);
	blake2b_final(&h, digest);
}

/* Signature and trusted comment, over which the second signature goes. */
static void
put_global(struct buf *b, const uint8_t sig[KEY_SIG_BYTES], const char *trusted)
{
	buf_add(b, sig, KEY_SIG_BYTES);
	buf_str(b, trusted);
}

int
minisig_sign(const struct secret_key *k, const uint8_t digest[64], const char *trusted, const char *untrusted,
	struct buf *out, struct err *e)
{
	struct public_key pub;
	char id[KEY_ID_TEXT], text[128], comment[64];
	uint8_t raw[SIG_BYTES] = { 'E', 'D' }, global[KEY_SIG_BYTES];
	struct buf b = BUF_INIT;

	secret_key_public(k, &pub);
	key_id_format(pub.id, id);
	if (untrusted == NULL) {
		(void)snprintf(comment, sizeof comment, "signature by key %s", id);
		untrusted = comment;
	}
	if (!printable(slice_str(untrusted)) || strlen(untrusted) + sizeof untrusted_prefix > MINISIG_MAX_COMMENT)
		return err_set(e, ERR_INPUT, "the untrusted comment is too long or not printable");
	if (!printable(slice_str(trusted)) || strlen(trusted) + sizeof trusted_prefix > MINISIG_MAX_TRUSTED)
		return err_set(e, ERR_INPUT, "the trusted comment is too long or not printable");
	memcpy(raw + 2, pub.id, KEY_ID_BYTES);
	key_sign(k, digest, 64, raw + 2 + KEY_ID_BYTES);
	put_global(&b, raw + 2 + KEY_ID_BYTES, trusted);
	if (buf_ok(&b, e) < 0) {
		buf_finish(&b);
		return -1;
	}
	key_sign(k, b.p, b.len, global);
	buf_finish(&b);
	(void)sodium_bin2base64(text, sizeof text, raw, sizeof raw, B64);
	buf_printf(out, "%s%s\n%s\n%s%s\n", untrusted_prefix, untrusted, text, trusted_prefix, trusted);
	(void)sodium_bin2base64(text, sizeof text, global, sizeof global, B64);
	buf_printf(out, "%s\n", text);
	return buf_ok(out, e);
}

size_t
minisig_key(const struct minisig *s, const struct public_key *keys, size_t n)
{
	size_t i = 0;

	while (i < n && memcmp(keys[i].id, s->id, KEY_ID_BYTES) != 0)
		i++;
	return i;
}

/* The message (or its digest) first, then the trusted comment. */
static int
check(const struct minisig *s, const struct public_key *k, const void *p, size_t n, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = 0;

	if (!key_verify(k, p, n, s->sig))
		return err_set(e, ERR_NO, "signature verification failed: the file is not what was signed, "
			"or the signature was changed");
	put_global(&b, s->sig, s->trusted);
	if (buf_ok(&b, e) < 0)
		r = -1;
	else if (!key_verify(k, b.p, b.len, s->global))
		r = err_set(e, ERR_NO, "comment signature verification failed: the trusted comment was changed");
	buf_finish(&b);
	return r;
}

int
minisig_verify(const struct minisig *s, const struct public_key *k, const void *p, size_t n, struct err *e)
{
	uint8_t digest[64];

	if (s->legacy)
		return check(s, k, p, n, e);
	minisig_digest(p, n, digest);
	return check(s, k, digest, sizeof digest, e);
}

static int
verify_legacy(const struct minisig *s, const struct public_key *k, int fd, struct err *e)
{
	struct buf b = BUF_INIT;
	size_t got = 1;
	int r = 0;

	while (r == 0 && got > 0) {
		if (!buf_reserve(&b, 65536))
			r = err_nomem(e);
		else if ((r = io_read_full(fd, b.p + b.len, b.cap - b.len - 1, &got, e)) == 0 &&
		    (b.len += got) > MINISIG_MAX_LEGACY)
			r = err_set(e, ERR_INPUT, "larger than 1 GiB: sign it in the prehashed form, not the legacy one");
	}
	if (r == 0)
		r = check(s, k, b.p, b.len, e);
	buf_finish(&b);
	return r;
}

int
minisig_verify_fd(const struct minisig *s, const struct public_key *k, int fd, struct err *e)
{
	uint8_t digest[64];
	uint64_t bytes;

	if (s->legacy)
		return verify_legacy(s, k, fd, e);
	if (crypto_digest_fd(fd, NULL, digest, &bytes, e) < 0)
		return -1;
	return check(s, k, digest, sizeof digest, e);
}
