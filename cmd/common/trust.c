#include "common/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "opt.h"
#include "trust/minisig.h"

#define MAX_SECRET ((size_t)65536)

/* ---- passwords ---- */

/* The first line of a descriptor. */
static int
line_of(int fd, const char *name, char *buf, size_t cap, struct err *e)
{
	size_t n = 0, got = 1;

	while (n < cap && got == 1 && (n == 0 || buf[n - 1] != '\n')) {
		if (io_read_full(fd, buf + n, 1, &got, e) < 0)
			return err_wrap(e, "%s", name);
		n += got;
	}
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	else if (n == cap)
		return err_set(e, ERR_USAGE, "%s: the password is longer than %zu bytes", name, cap - 1);
	if (n > 0 && buf[n - 1] == '\r')
		n--;
	return (int)n;
}

/* Ask on the terminal, without echo. */
static int
ask(const char *prompt, char *buf, size_t cap, struct err *e)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC), n;
	struct termios was, silent;

	if (fd < 0 || tcgetattr(fd, &was) < 0) {
		if (fd >= 0)
			(void)close(fd);
		return err_set(e, ERR_NOPERM, "a password is needed, and there is no terminal to ask on: "
			"give --password-file, --password-fd or LLMR_PASSWORD");
	}
	silent = was;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	(void)tcsetattr(fd, TCSAFLUSH, &silent);
	(void)dprintf(fd, "%s: ", prompt);
	n = line_of(fd, "terminal", buf, cap, e);
	(void)dprintf(fd, "\n");
	(void)tcsetattr(fd, TCSAFLUSH, &was);
	(void)close(fd);
	return n;
}

static int
ask_twice(char *buf, size_t cap, struct err *e)
{
	char again[KEY_PASSWORD_MAX];
	int n = ask("New password", buf, cap, e), m = n < 0 ? -1 : ask("The same again", again, sizeof again, e);
	bool same = n == m && n >= 0 && memcmp(buf, again, (size_t)n) == 0;

	explicit_bzero(again, sizeof again);
	if (n < 0 || m < 0)
		return -1;
	return same ? n : err_set(e, ERR_USAGE, "the two passwords differ");
}

int
trust_password(struct ctx *c, const char *prompt, bool confirm, char *buf, size_t cap, struct err *e)
{
	const char *file = opt_str(c, "password-file"), *text = getenv("LLMR_PASSWORD");
	int fd, n;

	if (file != NULL) {
		if ((fd = io_open_read(file, e)) < 0)
			return -1;
		n = line_of(fd, file, buf, cap, e);
		(void)close(fd);
		return n;
	}
	if (opt_given(c, "password-fd"))
		return line_of((int)opt_int(c, "password-fd"), "--password-fd", buf, cap, e);
	if (text != NULL) {
		if (strlen(text) > cap)
			return err_set(e, ERR_USAGE, "LLMR_PASSWORD is longer than %zu bytes", cap);
		memcpy(buf, text, strlen(text));
		return (int)strlen(text);
	}
	return confirm ? ask_twice(buf, cap, e) : ask(prompt, buf, cap, e);
}

static int
get_password(void *ctx, const char *prompt, char *buf, size_t cap, struct err *e)
{
	return trust_password(ctx, prompt, false, buf, cap, e);
}

struct key_password
trust_passwords(struct ctx *c)
{
	return (struct key_password){ get_password, c };
}

/* ---- keys ---- */

char *
trust_dir(struct ctx *c)
{
	const char *dir = opt_str(c, "trusted-dir"), *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct buf b = BUF_INIT;

	if (dir != NULL)
		buf_str(&b, dir);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(&b, "%s/llmr/trusted", xdg);
	else
		buf_printf(&b, "%s/.config/llmr/trusted", home == NULL ? "" : home);
	return buf_take(&b, &c->err);
}

int
trust_keys(struct ctx *c, struct keyring *out)
{
	const char *text = opt_str(c, "public-key-b64");
	bool named = opt_count(c, "public-key") > 0;
	char *dir;
	int r = 0;

	for (size_t i = 0; r == 0 && i < opt_count(c, "revoked"); i++)
		r = keyring_revoke_file(out, opt_nth(c, "revoked", i), &c->err);
	for (size_t i = 0; r == 0 && i < opt_count(c, "public-key"); i++)
		r = keyring_add_file(out, opt_nth(c, "public-key", i), &c->err);
	/* A key of the environment does not join those of the command line. */
	if (r == 0 && text != NULL && (!named ||
	    opt_lookup(c->opts, "public-key-b64")->origin >= opt_lookup(c->opts, "public-key")->origin)) {
		struct public_key k;

		if ((r = public_key_parse(slice_str(text), &k, &c->err)) < 0)
			err_wrap(&c->err, "--public-key-b64");
		else
			r = keyring_add(out, &k, "--public-key-b64", &c->err);
		named = true;
	}
	if (r < 0 || named)
		return r;
	if ((dir = trust_dir(c)) == NULL)
		return -1;
	r = keyring_add_dir(out, dir, &c->err);
	free(dir);
	return r;
}

int
trust_hmac(struct ctx *c, struct buf *out)
{
	const char *file = opt_str(c, "hmac-secret-file"), *text = getenv("LLMROUTER_MODEL_HMAC_SECRET");

	if (file == NULL) {
		if (text != NULL)
			buf_str(out, text);
		return buf_ok(out, &c->err);
	}
	if (io_read_file(file, MAX_SECRET, out, &c->err) < 0)
		return -1;
	while (out->len > 0 && (out->p[out->len - 1] == '\n' || out->p[out->len - 1] == '\r'))
		out->len--;
	return out->len > 0 ? 0 : err_set(&c->err, ERR_CONFIG, "%s: the HMAC secret is empty", file);
}

/* ---- paths ---- */

char *
trust_folder(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_strdup(".", e);
	return slash == path ? mem_strdup("/", e) : mem_dup(path, (size_t)(slash - path), e);
}

char *
trust_whole_path(const char *path, struct err *e)
{
	char *folder = trust_folder(path, e), *real;
	const char *name = strrchr(path, '/');
	struct buf b = BUF_INIT;

	if (folder == NULL)
		return NULL;
	if ((real = realpath(folder, NULL)) == NULL)
		err_sys(e, ERR_NOINPUT, "%s", path);
	else
		buf_printf(&b, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name == NULL ? path : name + 1);
	free(folder);
	if (real == NULL)
		return NULL;
	free(real);
	return buf_take(&b, e);
}

const char *
trust_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	if (strcmp(root, "/") == 0)
		return path[0] == '/' ? path + 1 : NULL;
	return strncmp(path, root, n) == 0 && path[n] == '/' && path[n + 1] != '\0' ? path + n + 1 : NULL;
}

/* ---- models that must be signed ---- */

static int
by_minisig(struct ctx *c, const struct keyring *keys, const char *sig, const void *p, size_t n)
{
	struct minisig s;
	char id[KEY_ID_TEXT];
	size_t k;

	if (minisig_read(sig, &s, &c->err) < 0)
		return -1;
	k = minisig_key(&s, keys->keys, keys->n);
	key_id_format(s.id, id);
	if (k == keys->n)
		return err_set(&c->err, ERR_NO, "%s: key %s, which signed it, is %s", sig, id,
			keyring_is_revoked(keys, s.id) ? "revoked" : "not trusted");
	return minisig_verify(&s, &keys->keys[k], p, n, &c->err) < 0 ? err_wrap(&c->err, "%s", sig) : 0;
}

static int
by_manifest(struct ctx *c, const struct keyring *keys, const char *file, const char *path, const void *p, size_t n)
{
	struct manifest *m = manifest_read(file, &c->err);
	struct buf secret = BUF_INIT;
	char *whole = NULL, *root = NULL, *folder = NULL;
	const uint8_t *want;
	const char *below;
	uint8_t got[32];
	int r = -1;

	if (m == NULL)
		return -1;
	if (trust_hmac(c, &secret) < 0 || manifest_verify(m, keys->keys, keys->n,
	    (struct slice){ secret.p, secret.len }, NULL, &c->err) < 0) {
		err_wrap(&c->err, "%s", file);
		goto out;
	}
	if ((whole = trust_whole_path(path, &c->err)) == NULL || (folder = trust_folder(file, &c->err)) == NULL)
		goto out;
	root = realpath(opt_str(c, "root") != NULL ? opt_str(c, "root") : folder, NULL);
	below = root == NULL ? NULL : trust_below(whole, root);
	want = below == NULL ? NULL : manifest_sha256(m, slice_str(below));
	if (want == NULL) {
		err_set(&c->err, ERR_NO, "%s does not list %s", file, path);
		goto out;
	}
	{
		struct crypto_digest *d = crypto_digest_new(CRYPTO_SHA256, n, &c->err);

		if (d == NULL)
			goto out;
		crypto_digest_add(d, p, n);
		crypto_digest_final(d, got);
		crypto_digest_free(d);
	}
	r = memcmp(got, want, sizeof got) == 0 ? 0 : err_set(&c->err, ERR_NO, "%s: changed since %s was signed",
		path, file);
out:
	if (secret.p != NULL)
		explicit_bzero(secret.p, secret.cap);
	buf_finish(&secret);
	free(whole);
	free(root);
	free(folder);
	manifest_free(m);
	return r;
}

int
trust_check_bytes(struct ctx *c, const char *path, const void *p, size_t n)
{
	const char *manifest = opt_str(c, "manifest"), *sig = opt_str(c, "signature");
	struct keyring keys = { 0 };
	struct buf beside = BUF_INIT, list = BUF_INIT;
	char *folder = trust_folder(path, &c->err);
	int r = folder == NULL ? -1 : trust_keys(c, &keys);

	buf_printf(&beside, "%s.minisig", path);
	buf_printf(&list, "%s/manifest.json", folder == NULL ? "" : folder);
	if (r == 0 && (r = buf_ok(&beside, &c->err)) == 0 && (r = buf_ok(&list, &c->err)) == 0) {
		if (sig != NULL)
			r = by_minisig(c, &keys, sig, p, n);
		else if (manifest != NULL)
			r = by_manifest(c, &keys, manifest, path, p, n);
		else if (io_exists(beside.p))
			r = by_minisig(c, &keys, beside.p, p, n);
		else if (io_exists(list.p))
			r = by_manifest(c, &keys, list.p, path, p, n);
		else
			r = err_set(&c->err, ERR_NO, "%s is not signed: there is neither %s nor %s", path, beside.p, list.p);
	}
	if (r < 0 && (c->err.code == ERR_NO || c->err.code == ERR_INPUT || c->err.code == ERR_NOINPUT)) {
		c->err.code = ERR_NOPERM;
		err_wrap(&c->err, "refused");
	}
	free(folder);
	keyring_free(&keys);
	buf_finish(&beside);
	buf_finish(&list);
	return r;
}
