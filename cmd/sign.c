/* llmr sign - sign a file, an artifact or a folder. Opens no socket. */
#include <fcntl.h>
#include <inttypes.h>
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

struct signing {
	struct ctx *c;
	const char *path;
	enum signed_form form;
	struct secret_key *key;		/* NULL: by HMAC or ECDSA */
	struct ec_key *ec;
	char id[KEY_ID_TEXT];		/* of key */
	int64_t now_us;
	struct tree files;		/* what the signature covers, for the report */
	struct buf written;		/* its files, NUL behind each */
};

static int
put_file(struct signing *s, const char *path, const struct buf *b)
{
	buf_add(&s->written, path, strlen(path) + 1);
	return io_write_file(path, b->p, b->len, 0644, &s->c->err);
}

/* Where a minisig of path goes: -x, PATH.minisig, or with --add PATH.KEY.minisig. */
static int
minisig_path(const struct signing *s, const char *path, bool named, struct buf *out)
{
	const char *x = opt_str(s->c, "signature");

	if (named && x != NULL)
		buf_str(out, x);
	else if (opt_flag(s->c, "add"))
		buf_printf(out, "%s.%s.minisig", path, s->id);
	else
		buf_printf(out, "%s.minisig", path);
	return buf_ok(out, &s->c->err);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Sign digests that are known already. */
static int
write_minisig(struct signing *s, const char *path, bool named, const uint8_t sha[32], const uint8_t blake[64])
{
	const char *given = opt_str(s->c, "trusted-comment");
	struct buf comment = BUF_INIT, sig = BUF_INIT, to = BUF_INIT;
	char hex[65];
	int r = -1;

	hex_format(sha, 32, hex);
	if (opt_flag(s->c, "rotate"))
		buf_str(&comment, KEYRING_ROTATION "\t");
	if (given != NULL)
		buf_str(&comment, given);
	else
		buf_printf(&comment, "timestamp:%" PRId64 "\tfile:%s\thashed\tsha256:%s", s->now_us / 1000000,
			base_name(path), hex);
	if (buf_ok(&comment, &s->c->err) == 0 && minisig_path(s, path, named, &to) == 0 &&
	    minisig_sign(s->key, blake, comment.p, opt_str(s->c, "comment"), &sig, &s->c->err) == 0)
		r = put_file(s, to.p, &sig);
	buf_finish(&comment);
	buf_finish(&sig);
	buf_finish(&to);
	return r;
}

static int
sign_one(struct signing *s, const char *path, bool named)
{
	uint8_t sha[32], blake[64];
	uint64_t bytes;
	int fd = io_open_read(path, &s->c->err), r;

	if (fd < 0)
		return -1;
	if ((r = crypto_digest_fd(fd, sha, blake, &bytes, &s->c->err)) < 0)
		err_wrap(&s->c->err, "%s", path);
	(void)close(fd);
	if (r == 0)
		r = write_minisig(s, path, named, sha, blake);
	if (r == 0 && (r = tree_add(&s->files, slice_str(base_name(path)), sha, &s->c->err)) < 0)
		err_wrap(&s->c->err, "%s", path);
	return r;
}

/* The file's sidecar, NULL when there is none or it shall be left out. */
static char *
sidecar(struct signing *s)
{
	return opt_flag(s->c, "no-sidecar") ? NULL : signed_sidecar(s->path, &s->c->err);
}

static int
sign_minisig(struct signing *s)
{
	char *side;
	int r;

	if (signed_is_dir(s->path))
		return err_set(&s->c->err, ERR_USAGE, "%s is a folder: a minisig is of one file, a manifest of many", s->path);
	r = sign_one(s, s->path, true);
	if (r == 0 && (side = sidecar(s)) != NULL) {
		r = sign_one(s, side, false);
		free(side);
	}
	return r;
}

/* ---- manifests ---- */

/* The one file with its sidecar, or everything in the folder; paths from *root, which is to be freed. */
static int
collect(struct signing *s, tree_skip *skip, const void *ctx, char **root)
{
	char *side;
	int r;

	if (signed_is_dir(s->path)) {
		if ((*root = mem_strdup(s->path, &s->c->err)) == NULL)
			return -1;
		r = tree_scan(&s->files, s->path, skip, ctx, &s->c->err);
	} else {
		if ((*root = trust_folder(s->path, &s->c->err)) == NULL)
			return -1;
		r = tree_add(&s->files, slice_str(base_name(s->path)), NULL, &s->c->err);
		if (r == 0 && (side = sidecar(s)) != NULL) {
			r = tree_add(&s->files, slice_str(base_name(side)), NULL, &s->c->err);
			free(side);
		}
		tree_sort(&s->files);
	}
	if (r == 0 && s->files.n == 0)
		r = err_set(&s->c->err, ERR_INPUT, "%s holds no file to sign", s->path);
	return r == 0 ? tree_hash_all(&s->files, *root, &s->c->err) : -1;
}

static int
sign_hmac(struct signing *s, struct manifest *m)
{
	struct buf secret = BUF_INIT;
	int r = trust_hmac(s->c, &secret);

	if (r == 0 && secret.len == 0)
		r = err_set(&s->c->err, ERR_USAGE, "--hmac: give --hmac-secret-file or LLMROUTER_MODEL_HMAC_SECRET");
	if (r == 0)
		r = manifest_sign_hmac(m, (struct slice){ secret.p, secret.len }, &s->c->err);
	if (secret.p != NULL)
		explicit_bzero(secret.p, secret.cap);
	buf_finish(&secret);
	return r;
}

static int
write_manifest(struct signing *s, const struct manifest *m, const char *to)
{
	struct buf b = BUF_INIT;
	uint8_t sha[32], blake[64];
	int r = manifest_format(m, &b, &s->c->err);

	if (r == 0)
		r = put_file(s, to, &b);
	if (r == 0 && s->key != NULL) {
		sha256_bytes(b.p, b.len, sha);
		minisig_digest(b.p, b.len, blake);
		r = write_minisig(s, to, false, sha, blake);
	}
	buf_finish(&b);
	return r;
}

/* A further signature of a manifest that is there: the list must still be true. */
static int
add_to_manifest(struct signing *s, const char *path)
{
	struct manifest *m = manifest_read(path, &s->c->err);
	struct tree report = { 0 };
	char *root = m == NULL ? NULL : trust_folder(path, &s->c->err);
	bool same = false;
	int r = root == NULL ? -1 : tree_compare(&m->files, root, signed_is_dir(s->path), signed_skip, NULL, &report, &same,
		&s->c->err);

	if (r == 0 && !same)
		r = err_set(&s->c->err, ERR_NO, "%s does not list what is there now: sign anew without --add", path);
	tree_free(&report);
	free(root);
	manifest_free(m);
	return r == 0 ? sign_one(s, path, false) : -1;
}

static int
sign_manifest(struct signing *s)
{
	const char *x = opt_str(s->c, "signature");
	struct manifest *m = NULL;
	struct buf to = BUF_INIT;
	char created[28], *root = NULL;
	int r = -1;

	if (x != NULL)
		buf_str(&to, x);
	else if (signed_is_dir(s->path))
		buf_printf(&to, "%s/" SIGNED_MANIFEST, s->path);
	else if ((root = trust_folder(s->path, &s->c->err)) != NULL)
		buf_printf(&to, "%s/" SIGNED_MANIFEST, root);
	free(root);
	root = NULL;
	str_iso8601(s->now_us, created);
	if (buf_ok(&to, &s->c->err) < 0 || to.len == 0)
		goto out;
	if (opt_flag(s->c, "add")) {
		r = add_to_manifest(s, to.p);
		goto out;
	}
	if ((m = manifest_new(created, opt_str(s->c, "description"), &s->c->err)) == NULL ||
	    collect(s, signed_skip, NULL, &root) < 0)
		goto out;
	for (size_t i = 0; i < s->files.n; i++)
		if (manifest_add(m, slice_str(s->files.files[i].path), s->files.files[i].sha256, &s->c->err) < 0)
			goto out;
	if ((s->key != NULL ? manifest_sign(m, s->key, &s->c->err) : sign_hmac(s, m)) == 0)
		r = write_manifest(s, m, to.p);
out:
	free(root);
	buf_finish(&to);
	manifest_free(m);
	return r;
}

/* ---- OpenSSF model signatures ---- */

struct left_out {
	const char *paths[5];
	size_t n;
};

static bool
is_left_out(const void *ctx, const char *path)
{
	const struct left_out *l = ctx;

	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->paths[i], path) == 0)
			return true;
	return false;
}

static int
sign_oms(struct signing *s)
{
	const char *x = opt_str(s->c, "signature"), *below;
	char *root = NULL, *whole = NULL, *real = realpath(s->path, NULL);
	struct buf to = BUF_INIT, b = BUF_INIT;
	struct left_out l = { { 0 }, 0 };
	bool dir = signed_is_dir(s->path);
	int r = -1;

	if (real == NULL) {
		err_sys(&s->c->err, ERR_NOINPUT, "%s", s->path);
		goto out;
	}
	buf_printf(&to, x != NULL ? "%s" : dir ? "%s/" SIGNED_BUNDLE : "%s.sig", x != NULL ? x : s->path);
	if (buf_ok(&to, &s->c->err) < 0 || (whole = trust_whole_path(to.p, &s->c->err)) == NULL)
		goto out;
	for (size_t i = 0; i < 4; i++)
		l.paths[l.n++] = signed_git_paths[i];
	if (dir && (below = trust_below(whole, real)) != NULL)
		l.paths[l.n++] = below;
	if (dir) {
		if (collect(s, is_left_out, &l, &root) < 0)
			goto out;
		r = oms_sign(s->ec, &s->files, base_name(real), l.paths, l.n, &b, &s->c->err);
	} else {
		/* The model is the file itself: its name in the statement is ".". */
		struct tree_file one = { .path = NULL };
		struct tree t = { &one, 1, 1 };
		char dot[] = ".";
		int fd = io_open_read(s->path, &s->c->err);

		if (fd < 0)
			goto out;
		r = tree_hash_fd(fd, one.sha256, &one.bytes, &s->c->err);
		(void)close(fd);
		one.path = dot;
		if (r == 0)
			r = oms_sign(s->ec, &t, base_name(real), l.paths, l.n, &b, &s->c->err);
		if (r == 0)
			r = tree_add(&s->files, slice_str(base_name(real)), one.sha256, &s->c->err);
	}
	if (r == 0)
		r = put_file(s, to.p, &b);
out:
	free(root);
	free(whole);
	free(real);
	buf_finish(&to);
	buf_finish(&b);
	return r;
}

/* ---- the rest ---- */

static int
read_ec_key(struct signing *s, const char *path)
{
	struct buf b = BUF_INIT;
	char password[KEY_PASSWORD_MAX] = "";
	struct err *e = &s->c->err;
	int n = 0;

	if (!buf_reserve(&b, (size_t)4 * 65536))
		return err_nomem(e);
	if (io_read_file(path, 65536, &b, e) == 0) {
		bool locked = ec_key_is_encrypted(b.p, b.len);

		if (locked)
			n = trust_password(s->c, "Password", false, password, sizeof password - 1, e);
		if (n >= 0) {
			password[n] = '\0';
			s->ec = ec_key_parse(b.p, b.len, true, locked ? password : NULL, e);
			if (s->ec == NULL)
				err_wrap(e, "%s", path);
		}
	}
	explicit_bzero(password, sizeof password);
	explicit_bzero(b.p, b.cap);
	buf_finish(&b);
	return s->ec == NULL ? -1 : 0;
}

static int
setup(struct signing *s)
{
	struct ctx *c = s->c;
	const char *form = opt_str(c, "format"), *key = opt_str(c, "secret-key"), *epoch = getenv("SOURCE_DATE_EPOCH");
	struct key_password pw = trust_passwords(c);
	struct public_key p;
	long long t;

	s->form = strcmp(form, "minisig") == 0 ? FORM_MINISIG : strcmp(form, "manifest") == 0 ? FORM_MANIFEST :
		strcmp(form, "oms") == 0 ? FORM_OMS : signed_is_dir(s->path) || opt_flag(c, "hmac") ? FORM_MANIFEST :
		FORM_MINISIG;
	if (!io_exists(s->path))
		return err_set(&c->err, ERR_NOINPUT, "%s: no such file or folder", s->path);
	s->now_us = clock_wall_us();
	if (epoch != NULL && epoch[0] != '\0') {
		if (str_int("SOURCE_DATE_EPOCH", epoch, 0, 253402300799LL, &t, &c->err) < 0)
			return -1;
		s->now_us = t * 1000000;
	}
	if (opt_flag(c, "hmac"))
		return s->form == FORM_MANIFEST && key == NULL ? 0 : err_set(&c->err, ERR_USAGE,
			"--hmac signs a manifest by a secret: it goes without --secret-key and other formats");
	if (key == NULL)
		return err_set(&c->err, ERR_USAGE, "give --secret-key FILE");
	if (opt_flag(c, "rotate")) {
		if (s->form != FORM_MINISIG || public_key_read(s->path, &p, &c->err) < 0)
			return c->err.code != ERR_NONE ? -1 : err_set(&c->err, ERR_USAGE, "--rotate signs a public key file");
	}
	if (s->form == FORM_OMS)
		return read_ec_key(s, key);
	if ((s->key = secret_key_read(key, &pw, &c->err)) == NULL)
		return -1;
	secret_key_public(s->key, &p);
	key_id_format(p.id, s->id);
	return 0;
}

static void
tell(struct signing *s)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	char hex[65];

	if (!s->c->json) {
		for (size_t at = 0; !s->c->quiet && at < s->written.len; at += strlen(s->written.p + at) + 1)
			out_printf("%s\n", s->written.p + at);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	if (s->id[0] != '\0')
		jsonw_kstr(&w, "key", s->id);
	jsonw_key(&w, "written");
	jsonw_array(&w);
	for (size_t at = 0; at < s->written.len; at += strlen(s->written.p + at) + 1)
		jsonw_string(&w, s->written.p + at);
	jsonw_end_array(&w);
	jsonw_key(&w, "files");
	jsonw_array(&w);
	for (size_t i = 0; i < s->files.n; i++) {
		hex_format(s->files.files[i].sha256, 32, hex);
		jsonw_object(&w);
		jsonw_kstr(&w, "path", s->files.files[i].path);
		jsonw_kstr(&w, "sha256", hex);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(buf_cstr(&b), b.len);
	buf_finish(&b);
}

int
cmd_sign(struct ctx *c)
{
	struct signing s = { .c = c, .path = c->args[0] };
	int r = setup(&s);

	if (r == 0)
		r = s.form == FORM_MINISIG ? sign_minisig(&s) : s.form == FORM_MANIFEST ? sign_manifest(&s) : sign_oms(&s);
	if (r == 0 && (r = buf_ok(&s.written, &c->err)) == 0)
		tell(&s);
	secret_key_free(s.key);
	ec_key_free(s.ec);
	tree_free(&s.files);
	buf_finish(&s.written);
	return r;
}
