/* llmr verify - check the signature of a file, an artifact or a folder. Opens no socket. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "cmd.h"
#include "common/signed.h"
#include "common/trust.h"
#include "fmt/hash.h"
#include "fmt/jsonw.h"
#include "trust/minisig.h"
#include "trust/oms.h"

#define MAX_KEYS 1024

struct verifying {
	struct ctx *c;
	const char *path;
	enum signed_form form;
	char *sig;			/* manifest, bundle or minisig; owned */
	struct keyring keys;
	bool by[MAX_KEYS];		/* which of them have signed */
	bool hmac;			/* or the secret did */
	char comment[MINISIG_MAX_TRUSTED];	/* trusted comment of the first good minisig */
	struct tree report;
};

static size_t
signers(const struct verifying *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->keys.n; i++)
		n += v->by[i];
	return n;
}

static int
enough(struct verifying *v, const char *path)
{
	size_t want = (size_t)opt_int(v->c, "require"), got = signers(v) + v->hmac;

	return got >= want ? 0 : err_set(&v->c->err, ERR_NO, "%s: signed by %zu of the %zu trusted keys, %zu are required",
		path, got, v->keys.n, want);
}

static int
note(struct verifying *v, const char *path, enum tree_state state)
{
	const char *slash = strrchr(path, '/');

	if (tree_add(&v->report, slice_str(slash == NULL ? path : slash + 1), NULL, &v->c->err) < 0)
		return -1;
	v->report.files[v->report.n - 1].state = state;
	return 0;
}

/* ---- minisig ---- */

/*
 * One signature of a file, or of n bytes when p is not NULL. 1: good, by a
 * trusted key; 0: by a key that is not trusted; -1: wrong.
 */
static int
check_minisig(struct verifying *v, const char *sig, const char *path, const struct buf *bytes)
{
	struct err *e = &v->c->err;
	struct minisig s;
	size_t k;
	int fd, r;

	if (minisig_read(sig, &s, e) < 0)
		return -1;
	if (s.legacy && opt_flag(v->c, "prehashed"))
		return err_set(e, ERR_NO, "%s: a signature of the legacy form, which --prehashed refuses", sig);
	if ((k = minisig_key(&s, v->keys.keys, v->keys.n)) == v->keys.n) {
		char id[KEY_ID_TEXT];

		key_id_format(s.id, id);
		if (e->code == ERR_NONE)
			err_set(e, ERR_NO, "%s: key %s, which signed it, is %s", sig, id,
				keyring_is_revoked(&v->keys, s.id) ? "revoked" : "not trusted");
		return 0;
	}
	if (bytes != NULL)
		r = minisig_verify(&s, &v->keys.keys[k], bytes->p, bytes->len, e);
	else {
		if ((fd = io_open_read(path, e)) < 0)
			return -1;
		r = minisig_verify_fd(&s, &v->keys.keys[k], fd, e);
		(void)close(fd);
	}
	if (r < 0)
		return err_wrap(e, "%s", sig);
	if (v->comment[0] == '\0')
		memcpy(v->comment, s.trusted, sizeof v->comment);
	v->by[k] = true;
	return 1;
}

static int
further_name(const char *name, const char *base)
{
	size_t n = strlen(base), m = strlen(name);

	return strncmp(name, base, n) == 0 && name[n] == '.' && m == n + 1 + 16 + 8 &&
		strcmp(name + m - 8, ".minisig") == 0;
}

/* PATH.KEY.minisig of other keys: those by trusted keys must be good. */
static int
check_further(struct verifying *v, const char *path, const struct buf *bytes)
{
	const char *slash = strrchr(path, '/');
	char *folder = trust_folder(path, &v->c->err);
	DIR *d = folder == NULL ? NULL : opendir(folder);
	struct buf sig = BUF_INIT;
	struct dirent *x;
	int r = folder == NULL ? -1 : 0;

	while (r >= 0 && d != NULL && (x = readdir(d)) != NULL) {
		if (!further_name(x->d_name, slash == NULL ? path : slash + 1))
			continue;
		buf_reset(&sig);
		buf_printf(&sig, "%s/%s", folder, x->d_name);
		r = buf_ok(&sig, &v->c->err) < 0 ? -1 : check_minisig(v, sig.p, path, bytes);
	}
	if (d != NULL)
		(void)closedir(d);
	free(folder);
	buf_finish(&sig);
	return r < 0 ? -1 : 0;
}

/* Every signature of one file; enough of them must be there. */
static int
check_file(struct verifying *v, const char *path, const char *sig)
{
	struct buf beside = BUF_INIT;
	int r = 0;

	memset(v->by, 0, sizeof v->by);
	buf_printf(&beside, "%s.minisig", path);
	if (buf_ok(&beside, &v->c->err) < 0)
		r = -1;
	else if (sig != NULL)
		r = check_minisig(v, sig, path, NULL);
	else if (io_exists(beside.p))
		r = check_minisig(v, beside.p, path, NULL);
	buf_finish(&beside);
	if (r == 0 && sig != NULL)
		return -1;	/* not trusted, as err says */
	if (r >= 0 && sig == NULL)
		r = check_further(v, path, NULL);
	if (r >= 0 && signers(v) == 0 && v->c->err.code == ERR_NO)
		return -1;
	return r < 0 ? -1 : enough(v, path);
}

static int
verify_minisig(struct verifying *v)
{
	struct err *e = &v->c->err;
	char *side;
	int r;

	if (!io_exists(v->path))
		return err_set(e, ERR_NOINPUT, "%s: no such file", v->path);
	r = check_file(v, v->path, opt_str(v->c, "signature"));
	if (note(v, v->path, r == 0 ? TREE_OK : TREE_CHANGED) < 0)
		return -1;
	if (r < 0 || opt_flag(v->c, "no-sidecar") || (side = signed_sidecar(v->path, e)) == NULL)
		return r;
	{
		struct buf sig = BUF_INIT;
		bool by[MAX_KEYS];

		memcpy(by, v->by, sizeof by);
		buf_printf(&sig, "%s.minisig", side);
		if (buf_ok(&sig, e) < 0)
			r = -1;
		else if (!io_exists(sig.p)) {
			r = note(v, side, TREE_EXTRA);
			if (r == 0)
				r = err_set(e, ERR_NO, "%s lies beside it and is not signed: sign it too, or give --no-sidecar", side);
		} else {
			r = check_file(v, side, NULL);
			if (note(v, side, r == 0 ? TREE_OK : TREE_CHANGED) < 0)
				r = -1;
		}
		memcpy(v->by, by, sizeof by);
		buf_finish(&sig);
	}
	free(side);
	return r;
}

/* ---- manifest ---- */

static int
check_manifest(struct verifying *v, const struct manifest *m, const struct buf *bytes)
{
	struct err *e = &v->c->err;
	struct buf secret = BUF_INIT, sig = BUF_INIT;
	size_t which = 0;
	int r = trust_hmac(v->c, &secret);

	if (r == 0)
		r = manifest_verify(m, v->keys.keys, v->keys.n, (struct slice){ secret.p, secret.len }, &which, e);
	if (secret.p != NULL)
		explicit_bzero(secret.p, secret.cap);
	buf_finish(&secret);
	if (r < 0)
		return err_wrap(e, "%s", v->sig);
	v->hmac = v->keys.n == 0;
	if (v->keys.n > 0) {
		v->by[which] = true;
		buf_printf(&sig, "%s.minisig", v->sig);
		if (buf_ok(&sig, e) < 0)
			r = -1;
		else if (io_exists(sig.p) && check_minisig(v, sig.p, v->sig, bytes) <= 0)
			r = -1;
		else
			r = check_further(v, v->sig, bytes);
		buf_finish(&sig);
	}
	return r < 0 ? -1 : enough(v, v->sig);
}

/* The part of the list that the operand asks for: all of it, or one file with its sidecar. */
static int
wanted(struct verifying *v, const struct manifest *m, const char *root, struct tree *out)
{
	struct err *e = &v->c->err;
	char *real = NULL, *paths[2] = { NULL, NULL };
	int r = 0;

	if ((real = realpath(root, NULL)) == NULL)
		return err_sys(e, ERR_NOINPUT, "%s", root);
	paths[0] = trust_whole_path(v->path, e);
	if (paths[0] == NULL)
		r = -1;
	else if (!opt_flag(v->c, "no-sidecar"))
		paths[1] = signed_sidecar(paths[0], e);
	for (size_t i = 0; r == 0 && i < 2 && paths[i] != NULL; i++) {
		const char *below = trust_below(paths[i], real);
		const uint8_t *sha = below == NULL ? NULL : manifest_sha256(m, slice_str(below));

		if (sha == NULL)
			r = err_set(e, ERR_NO, "%s does not list %s", v->sig, below == NULL ? paths[i] : below);
		else
			r = tree_add(out, slice_str(below), sha, e);
	}
	tree_sort(out);
	free(paths[0]);
	free(paths[1]);
	free(real);
	return r;
}

static int
differs(struct verifying *v)
{
	size_t n[5] = { 0 };

	for (size_t i = 0; i < v->report.n; i++)
		n[v->report.files[i].state]++;
	return err_set(&v->c->err, ERR_NO, "%s: %zu changed, %zu missing, %zu extra of %zu files", v->path,
		n[TREE_CHANGED], n[TREE_MISSING], n[TREE_EXTRA], v->report.n);
}

static int
verify_manifest(struct verifying *v)
{
	struct err *e = &v->c->err;
	struct buf b = BUF_INIT;
	struct manifest *m = NULL;
	struct tree part = { 0 };
	const char *given = opt_str(v->c, "root");
	char *root = given != NULL ? mem_strdup(given, e) : trust_folder(v->sig, e);
	bool dir = signed_is_dir(v->path), same = false;
	int r = -1;

	if (root == NULL || io_read_file(v->sig, MANIFEST_MAX_BYTES, &b, e) < 0 ||
	    (m = manifest_parse(buf_cstr(&b), b.len, v->sig, e)) == NULL || check_manifest(v, m, &b) < 0)
		goto out;
	if (dir && given == NULL && opt_str(v->c, "manifest") != NULL) {
		free(root);
		if ((root = mem_strdup(v->path, e)) == NULL)
			goto out;
	}
	if (!dir && wanted(v, m, root, &part) < 0)
		goto out;
	r = tree_compare(dir ? &m->files : &part, root, dir && !opt_flag(v->c, "allow-extra"), signed_skip, NULL,
		&v->report, &same, e);
	if (r == 0 && !same)
		r = differs(v);
out:
	tree_free(&part);
	free(root);
	manifest_free(m);
	buf_finish(&b);
	return r;
}

/* ---- OpenSSF model signatures ---- */

/* Try the keys of -p in turn: the bundle is by one of them, or err says why not by the last. */
static int
open_bundle(struct verifying *v, const struct buf *b, struct oms *o)
{
	struct err *e = &v->c->err;
	size_t n = opt_count(v->c, "public-key");
	int r = -1;

	if (n == 0)
		return err_set(e, ERR_USAGE, "give --public-key FILE: the PEM of an ECDSA key");
	for (size_t i = 0; r < 0 && i < n; i++) {
		struct buf pem = BUF_INIT;
		struct ec_key *k = NULL;

		if (io_read_file(opt_nth(v->c, "public-key", i), 65536, &pem, e) < 0 ||
		    (k = ec_key_parse(buf_cstr(&pem), pem.len, false, NULL, e)) == NULL) {
			err_wrap(e, "%s", opt_nth(v->c, "public-key", i));
			buf_finish(&pem);
			return -1;
		}
		if ((r = oms_verify(b->p, b->len, k, (struct slice){ pem.p, pem.len }, o, e)) < 0)
			err_wrap(e, "%s", v->sig);
		ec_key_free(k);
		buf_finish(&pem);
		if (r < 0 && e->code != ERR_NO)
			break;
	}
	return r;
}

struct skipping {
	const struct oms *o;
	const char *sig;	/* the bundle below the folder; NULL elsewhere */
};

static bool
skip(const void *ctx, const char *path)
{
	const struct skipping *s = ctx;

	for (size_t i = 0; i < 4; i++)
		if (strcmp(path, signed_git_paths[i]) == 0)
			return true;
	return (s->sig != NULL && strcmp(s->sig, path) == 0) || oms_ignores(s->o, path);
}

static int
compare_bundle(struct verifying *v, struct oms *o)
{
	struct err *e = &v->c->err;
	char *whole = trust_whole_path(v->sig, e), *real = realpath(v->path, NULL);
	struct skipping s = { o, NULL };
	bool same = false;
	int r = -1, fd;

	if (whole == NULL || real == NULL)
		err_sys(e, ERR_NOINPUT, "%s", v->path);
	else if (!o->single && signed_is_dir(v->path)) {
		s.sig = trust_below(whole, real);
		r = tree_compare(&o->files, v->path, !opt_flag(v->c, "allow-extra"), skip, &s, &v->report, &same, e);
	} else if (o->single && !signed_is_dir(v->path)) {
		uint8_t sha[32];
		uint64_t bytes;

		if ((fd = io_open_read(v->path, e)) >= 0) {
			r = tree_hash_fd(fd, sha, &bytes, e);
			(void)close(fd);
			same = r == 0 && memcmp(sha, o->sha256, sizeof sha) == 0;
			if (r == 0)
				r = note(v, real, same ? TREE_OK : TREE_CHANGED);
		}
	} else
		err_set(e, ERR_NO, "%s signs a %s, and %s is none", v->sig, o->single ? "file" : "folder", v->path);
	free(whole);
	free(real);
	return r == 0 && !same ? differs(v) : r;
}

static int
verify_oms(struct verifying *v)
{
	struct buf b = BUF_INIT;
	struct oms o = { .n_ignored = 0 };
	int r = io_read_file(v->sig, OMS_MAX_BYTES, &b, &v->c->err);

	if (r == 0 && opt_int(v->c, "require") > 1)
		r = err_set(&v->c->err, ERR_USAGE, "--require: a bundle holds the signature of one key");
	if (r == 0 && (r = open_bundle(v, &b, &o)) == 0) {
		r = compare_bundle(v, &o);
		oms_finish(&o);
	}
	buf_finish(&b);
	return r;
}

/* ---- which form, and the answer ---- */

/* By its content: minisig's comment, a bundle's type, else a manifest. */
static int
sniff(struct verifying *v, const char *path)
{
	struct buf b = BUF_INIT;
	int r = io_read_file(path, MANIFEST_MAX_BYTES, &b, &v->c->err);

	if (r == 0)
		v->form = strncmp(buf_cstr(&b), "untrusted comment:", 18) == 0 ? FORM_MINISIG :
			strstr(buf_cstr(&b), "dsseEnvelope") != NULL ? FORM_OMS : FORM_MANIFEST;
	buf_finish(&b);
	return r;
}

static char *
beside(struct verifying *v, bool dir, const char *dir_name, const char *suffix)
{
	char *folder = dir || suffix == NULL ? dir ? mem_strdup(v->path, &v->c->err) :
		trust_folder(v->path, &v->c->err) : NULL;
	struct buf b = BUF_INIT;

	if (folder != NULL)
		buf_printf(&b, "%s/%s", folder, dir_name);
	else
		buf_printf(&b, "%s%s", v->path, suffix == NULL ? "" : suffix);
	free(folder);
	return buf_take(&b, &v->c->err);
}

/* Where each form's signature lies when none is named; the first that is there is taken. */
static int
find_signature(struct verifying *v, const char *form)
{
	bool dir = signed_is_dir(v->path), any = strcmp(form, "auto") == 0;
	struct { enum signed_form form; const char *name, *dir, *suffix; } at[] = {
		{ FORM_MINISIG, "minisig", NULL, ".minisig" }, { FORM_MANIFEST, "manifest", SIGNED_MANIFEST, NULL },
		{ FORM_OMS, "oms", SIGNED_BUNDLE, ".sig" },
	};

	for (size_t i = 0; i < 3; i++) {
		if ((!any && strcmp(form, at[i].name) != 0) || (dir && at[i].dir == NULL))
			continue;
		free(v->sig);
		if ((v->sig = beside(v, dir, at[i].dir, at[i].suffix)) == NULL)
			return -1;
		v->form = at[i].form;
		if (io_exists(v->sig))
			return 0;
	}
	if (!io_exists(v->path))
		return err_set(&v->c->err, ERR_NOINPUT, "%s: no such file or folder", v->path);
	/* Perhaps by further keys alone. */
	if (!dir && (any || strcmp(form, "minisig") == 0)) {
		v->form = FORM_MINISIG;
		memset(v->by, 0, sizeof v->by);
		return check_further(v, v->path, NULL) == 0 && signers(v) > 0 ? 0 : err_set(&v->c->err, ERR_NO,
			"%s is not signed: there is no %s.minisig, and no " SIGNED_MANIFEST " beside it", v->path, v->path);
	}
	return err_set(&v->c->err, ERR_NO, "%s is not signed: there is no %s", v->path,
		v->sig == NULL ? "signature" : v->sig);
}

static int
setup(struct verifying *v)
{
	struct ctx *c = v->c;
	const char *form = opt_str(c, "format"), *x = opt_str(c, "signature"), *m = opt_str(c, "manifest");
	bool oms = strcmp(form, "oms") == 0;

	if (!io_exists(v->path))
		return err_set(&c->err, ERR_NOINPUT, "%s: no such file or folder", v->path);
	if (x != NULL || (m != NULL && !oms)) {
		if ((v->sig = mem_strdup(x != NULL ? x : m, &c->err)) == NULL)
			return -1;
		v->form = strcmp(form, "minisig") == 0 ? FORM_MINISIG : oms ? FORM_OMS : FORM_MANIFEST;
		if (x != NULL && strcmp(form, "auto") == 0 && sniff(v, x) < 0)
			return -1;
	} else if (!oms && strcmp(form, "auto") != 0) {
		if (trust_keys(c, &v->keys) < 0)
			return -1;
		if (v->keys.n <= MAX_KEYS)
			return find_signature(v, form);
	} else if (find_signature(v, form) < 0)
		return -1;
	if (v->form == FORM_OMS)
		return 0;
	if (v->keys.n == 0 && trust_keys(c, &v->keys) < 0)
		return -1;
	return v->keys.n <= MAX_KEYS ? 0 : err_set(&c->err, ERR_CONFIG, "more than %d trusted keys", MAX_KEYS);
}

static int
need_keys(struct verifying *v)
{
	struct buf secret = BUF_INIT;
	int r = trust_hmac(v->c, &secret);

	if (r == 0 && v->form != FORM_OMS && v->keys.n == 0 && (v->form == FORM_MINISIG || secret.len == 0))
		r = err_set(&v->c->err, ERR_CONFIG, "no trusted key: give --public-key FILE, or put one into the trust folder");
	if (secret.p != NULL)
		explicit_bzero(secret.p, secret.cap);
	buf_finish(&secret);
	return r;
}

static void
tell_json(struct verifying *v, int r)
{
	static const char *const forms[] = { "minisig", "manifest", "oms" };
	struct buf b = BUF_INIT;
	struct jsonw w;
	char id[KEY_ID_TEXT];

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kbool(&w, "verified", r == 0);
	jsonw_kstr(&w, "format", forms[v->form]);
	jsonw_key(&w, "keys");
	jsonw_array(&w);
	for (size_t i = 0; r == 0 && i < v->keys.n; i++) {
		if (!v->by[i])
			continue;
		key_id_format(v->keys.keys[i].id, id);
		jsonw_string(&w, id);
	}
	jsonw_end_array(&w);
	if (r == 0 && v->form == FORM_MINISIG)
		jsonw_kstr(&w, "trusted_comment", v->comment);
	jsonw_key(&w, "files");
	jsonw_array(&w);
	for (size_t i = 0; i < v->report.n; i++) {
		jsonw_object(&w);
		jsonw_kstr(&w, "path", v->report.files[i].path);
		jsonw_kstr(&w, "state", tree_state_name(v->report.files[i].state));
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

static void
tell(struct verifying *v, int r)
{
	char id[KEY_ID_TEXT];

	if (v->c->json) {
		tell_json(v, r);
		return;
	}
	for (size_t i = 0; !v->c->quiet && i < v->report.n; i++)
		out_printf("%-8s %s\n", tree_state_name(v->report.files[i].state), v->report.files[i].path);
	for (size_t i = 0; r == 0 && !v->c->quiet && i < v->keys.n; i++) {
		if (!v->by[i])
			continue;
		key_id_format(v->keys.keys[i].id, id);
		out_printf("signed by %s (%s)\n", id, v->keys.names[i]);
	}
	if (r == 0 && !v->c->quiet && v->form == FORM_MINISIG)
		out_printf("trusted comment: %s\n", v->comment);
}

/* A public key that a trusted key has signed joins the trust folder. */
static int
add_key(struct verifying *v)
{
	struct ctx *c = v->c;
	char *dir = trust_dir(c), id[KEY_ID_TEXT];
	struct buf path = BUF_INIT;
	size_t by = 0, last;
	int r = dir == NULL ? -1 : trust_keys(c, &v->keys);

	if (r == 0)
		r = keyring_rotate(&v->keys, v->path, &by, &c->err);
	if (r == 0) {
		last = v->keys.n - 1;
		key_id_format(v->keys.keys[last].id, id);
		buf_printf(&path, "%s/%s.pub", dir, id);
		r = buf_ok(&path, &c->err);
		if (r == 0)
			r = io_mkdirs(dir, &c->err);
		if (r == 0)
			r = public_key_write(&v->keys.keys[last], path.p, NULL, &c->err);
		if (r == 0 && !c->quiet)
			out_printf("%s\n", path.p);
	}
	free(dir);
	buf_finish(&path);
	return r;
}

int
cmd_verify(struct ctx *c)
{
	struct verifying *v = mem_calloc(1, sizeof *v, &c->err);
	int r;

	if (v == NULL)
		return -1;
	v->c = c;
	v->path = c->args[0];
	if (opt_flag(c, "add-key"))
		r = add_key(v);
	else {
		r = setup(v);
		if (r == 0)
			r = need_keys(v);
		if (r == 0)
			r = v->form == FORM_MINISIG ? verify_minisig(v) : v->form == FORM_MANIFEST ? verify_manifest(v) :
				verify_oms(v);
		if (r == 0 || c->err.code == ERR_NO)
			tell(v, r);
	}
	keyring_free(&v->keys);
	tree_free(&v->report);
	free(v->sig);
	free(v);
	return r;
}
