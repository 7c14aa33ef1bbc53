#include "registry/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "fmt/hash.h"
#include "trust/manifest.h"
#include "trust/minisig.h"

#define MANIFEST "manifest.json"
#define MINISIG "manifest.json.minisig"

void
version_finish(struct version *v)
{
	free(v->files);
	buf_finish(&v->manifest);
	buf_finish(&v->minisig);
	arena_finish(&v->arena);
	*v = (struct version){ .n = 0 };
}

/* What the signature says of the version beside the manifest's bytes. */
static void
trusted_comment(const struct version *v, char out[320])
{
	char hex[65];

	hex_format(v->digest, 32, hex);
	(void)snprintf(out, 320, "llmr-version-1 name:%s version:%s manifest_sha256:%s", v->name, v->version,
	    hex);
}

/* ---- building -------------------------------------------------------------------- */

/* Manifests and signatures of an earlier round, and what is hidden. */
static bool
skip(const void *ctx, const char *path)
{
	const char *base = strrchr(path, '/');
	size_t n;

	(void)ctx;
	base = base == NULL ? path : base + 1;
	n = strlen(base);
	return base[0] == '.' || strcmp(path, MANIFEST) == 0 ||
	    (n > 8 && strcmp(base + n - 8, ".minisig") == 0);
}

/* The files that PATH stands for; *root is what they are relative to. */
static int
scan(const char *path, struct arena *a, const char **root, struct tree *t, struct err *e)
{
	const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
	size_t n = strlen(base), ext = sizeof ".safetensors" - 1;
	struct stat st;
	char *beside;

	if (stat(path, &st) != 0)
		return err_sys(e, ERR_NOINPUT, "%s", path);
	*root = path;
	if (S_ISDIR(st.st_mode)) {
		if (tree_scan(t, path, skip, NULL, e) < 0)
			return -1;
		return t->n > 0 ? 0 : err_set(e, ERR_NOINPUT, "%s: holds no files", path);
	}
	*root = slash == NULL ? "." : slash == path ? "/" : arena_dup(a, path, (size_t)(slash - path), e);
	if (*root == NULL || tree_add(t, slice_str(base), NULL, e) < 0)
		return -1;
	if (n <= ext || strcmp(base + n - ext, ".safetensors") != 0)
		return 0;
	if ((beside = arena_alloc(a, strlen(path) + 8, e)) == NULL)
		return -1;
	(void)sprintf(beside, "%.*s.yaml", (int)(strlen(path) - ext), path);
	if (io_exists(beside) && tree_add(t, slice_str(beside + (base - path)), NULL, e) < 0)
		return -1;
	tree_sort(t);
	return 0;
}

static struct version_file *
add_file(struct version *v, const char *path, const uint8_t sha256[32], struct err *e)
{
	void *p = v->files;
	struct version_file *f;

	if (!layout_path_ok(slice_str(path)) || strcmp(path, MANIFEST) == 0 || strcmp(path, MINISIG) == 0) {
		err_set(e, ERR_INPUT, "'%s' cannot be the name of a file in a registry", path);
		return NULL;
	}
	if (mem_grow(&p, &v->cap, v->n + 1, sizeof *v->files, e) < 0)
		return NULL;
	v->files = p;
	f = &v->files[v->n];
	*f = (struct version_file){ .size_bytes = UINT64_MAX };
	memcpy(f->sha256, sha256, 32);
	if ((f->path = arena_dup(&v->arena, path, strlen(path), e)) == NULL)
		return NULL;
	v->n++;
	return f;
}

static int
add_local(struct version *v, const char *root, const struct tree *t, int64_t *newest_us,
	struct cancel *cancel, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		struct tree_file *file = &t->files[i];
		struct version_file *f;
		struct stat st;
		char *local = arena_alloc(&v->arena, strlen(root) + strlen(file->path) + 2, e);

		if (local == NULL || tree_hash(root, file, e) < 0 || cancel_check(cancel, e) < 0 ||
		    (f = add_file(v, file->path, file->sha256, e)) == NULL)
			return -1;
		(void)sprintf(local, "%s/%s", root, file->path);
		f->local = local;
		f->size_bytes = file->bytes;
		if (stat(local, &st) == 0 && (int64_t)st.st_mtim.tv_sec * 1000000 > *newest_us)
			*newest_us = (int64_t)st.st_mtim.tv_sec * 1000000;
	}
	return 0;
}

static int
name_version(struct version *v, int64_t created_us, struct err *e)
{
	time_t t = (time_t)(created_us / 1000000);
	struct tm tm;
	char hex[65], when[32];

	if (gmtime_r(&t, &tm) == NULL || strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm) == 0)
		return err_set(e, ERR_INPUT, "a time of %lld microseconds has no date", (long long)created_us);
	sha256_bytes(v->manifest.p, v->manifest.len, v->digest);
	hex_format(v->digest, 4, hex);
	(void)snprintf(v->version, sizeof v->version, "%.32s-%.8s", when, hex);
	return 0;
}

static int
write_manifest(struct version *v, const char *created_at, const struct secret_key *key, struct err *e)
{
	struct manifest *m = manifest_new(created_at, NULL, e);
	int r = m == NULL ? -1 : 0;

	for (size_t i = 0; r == 0 && i < v->n; i++)
		r = manifest_add(m, slice_str(v->files[i].path), v->files[i].sha256, e);
	if (r == 0 && key != NULL)
		r = manifest_sign(m, key, e);
	if (r == 0)
		r = manifest_format(m, &v->manifest, e);
	manifest_free(m);
	return r == 0 ? buf_ok(&v->manifest, e) : r;
}

int
version_build(const char *name, const char *path, int64_t created_us, const struct secret_key *key,
	struct cancel *cancel, struct version *v, struct err *e)
{
	struct tree t = { 0 };
	const char *root = NULL;
	int64_t newest_us = 0;
	char when[28], comment[320];
	uint8_t hash[64];
	int r = -1;

	*v = (struct version){ .n = 0 };
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	if (scan(path, &v->arena, &root, &t, e) < 0 ||
	    add_local(v, root, &t, &newest_us, cancel, e) < 0)
		goto out;
	if (created_us == 0)
		created_us = newest_us;
	str_iso8601(created_us, when);
	/* Whole seconds, as the name of the version has them. */
	memcpy(when + 19, "Z", 2);
	if (write_manifest(v, when, key, e) < 0 || name_version(v, created_us, e) < 0)
		goto out;
	r = 0;
	if (key != NULL) {
		trusted_comment(v, comment);
		minisig_digest(v->manifest.p, v->manifest.len, hash);
		r = minisig_sign(key, hash, comment, NULL, &v->minisig, e);
	}
out:
	tree_free(&t);
	return r;
}

/* ---- reading --------------------------------------------------------------------- */

/* The version that the comment names, where no other is expected; what surrounds it is checked after. */
static void
told_version(const struct minisig *m, struct version *v)
{
	const char *p = strstr(m->trusted, " version:");
	size_t n = p == NULL ? 0 : strcspn(p + 9, " ");

	if (n == 0 || !layout_name_ok((struct slice){ p + 9, n }))
		return;
	memcpy(v->version, p + 9, n);
	v->version[n] = '\0';
}

static int
check_signature(struct version *v, const struct seal_trust *t, struct err *e)
{
	struct minisig m;
	char want[320];
	size_t k;

	if (t->n == 0 && t->allow_unsigned)
		return 0;
	if (t->n == 0)
		return err_set(e, ERR_NOPERM, "no public key to check its signature with: give --public-key");
	if (v->minisig.len == 0)
		return err_set(e, ERR_NOPERM, "is not signed");
	if (minisig_parse(v->minisig.p, v->minisig.len, &m, e) < 0)
		return -1;
	if ((k = minisig_key(&m, t->keys, t->n)) == t->n)
		return err_set(e, ERR_NOPERM, "is signed by a key that is not trusted here");
	if (minisig_verify(&m, &t->keys[k], v->manifest.p, v->manifest.len, e) < 0)
		return err_set(e, ERR_NOPERM, "its signature is wrong");
	if (v->version[0] == '\0')
		told_version(&m, v);
	trusted_comment(v, want);
	if (strcmp(m.trusted, want) != 0)
		return err_set(e, ERR_NOPERM, "its signature is of another model or version");
	return 0;
}

/* The name of a version ends in the begin of its manifest's digest. */
static int
check_name(struct version *v, struct err *e)
{
	const char *dash = strrchr(v->version, '-');
	char hex[65];

	hex_format(v->digest, 4, hex);
	if (v->version[0] == '\0')
		(void)snprintf(v->version, sizeof v->version, "unsigned-%.8s", hex);
	else if (dash == NULL || strcmp(dash + 1, hex) != 0)
		return err_set(e, ERR_NOPERM, "its digest is not that in the version's name");
	return 0;
}

static int
read_files(struct version *v, const struct seal_trust *t, struct err *e)
{
	struct manifest *m = manifest_parse(v->manifest.p, v->manifest.len, MANIFEST, e);
	int r = m == NULL ? -1 : 0;

	if (r == 0 && t->n > 0 && manifest_verify(m, t->keys, t->n, SLICE_NONE, NULL, e) < 0)
		r = err_set(e, ERR_NOPERM, "the signature inside is wrong");
	if (r == 0 && m->files.n == 0)
		r = err_set(e, ERR_INPUT, "lists no files");
	for (size_t i = 0; r == 0 && i < m->files.n; i++)
		if (add_file(v, m->files.files[i].path, m->files.files[i].sha256, e) == NULL)
			r = -1;
	manifest_free(m);
	return r;
}

int
version_read(const char *name, const char *version, struct slice manifest, struct slice minisig,
	const uint8_t *digest, const struct seal_trust *t, struct version *v, struct err *e)
{
	int r = -1;

	*v = (struct version){ .n = 0 };
	(void)snprintf(v->name, sizeof v->name, "%s", name);
	(void)snprintf(v->version, sizeof v->version, "%s", version == NULL ? "" : version);
	buf_add(&v->manifest, manifest.p, manifest.n);
	buf_add(&v->minisig, minisig.p, minisig.n);
	sha256_bytes(manifest.p, manifest.n, v->digest);
	if (buf_ok(&v->manifest, e) < 0 || buf_ok(&v->minisig, e) < 0)
		;
	else if (digest != NULL && memcmp(digest, v->digest, 32) != 0)
		err_set(e, ERR_NOPERM, "is not the one that was promised: its digest is another");
	else if (check_signature(v, t, e) == 0 && check_name(v, e) == 0)
		r = read_files(v, t, e);
	if (r < 0)
		err_wrap(e, "%s, version %s: " MANIFEST, name, version == NULL ? "?" : version);
	return r;
}

int
version_load(struct store *s, const char *name, const char *version, const uint8_t *digest,
	const struct seal_trust *t, struct version *v, struct err *e)
{
	struct buf manifest = BUF_INIT, minisig = BUF_INIT;
	char key[STORE_KEY_MAX];
	enum store_outcome o;
	int r = -1;

	*v = (struct version){ .n = 0 };
	layout_manifest(name, version, key);
	o = store_get(s, key, NULL, VERSION_MANIFEST_MAX, &manifest, NULL, e);
	if (o == STORE_ABSENT)
		err_set(e, ERR_NOINPUT, "%s: %s has no version %s", store_name(s), name, version);
	if (o == STORE_OK) {
		layout_minisig(name, version, key);
		o = store_get(s, key, NULL, VERSION_MINISIG_MAX, &minisig, NULL, e);
	}
	if (o == STORE_OK || (o == STORE_ABSENT && manifest.len > 0))
		r = version_read(name, version, (struct slice){ manifest.p, manifest.len },
		    (struct slice){ minisig.p, minisig.len }, digest, t, v, e);
	buf_finish(&manifest);
	buf_finish(&minisig);
	return r;
}
