#include "serve/lastgood.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"

#define MAX_NOTE ((size_t)64 << 10)
#define MAX_PROOF ((size_t)64 << 20)

/* What last-good.json says. */
struct kept {
	struct arena arena;
	struct slice sha256, origin, form, listed;
};

static int
read_kept(const char *dir, struct kept *k, struct err *e)
{
	struct buf path = BUF_INIT, text = BUF_INIT;
	struct jread r;
	struct slice key;
	char *copy = NULL;
	int ok;

	buf_printf(&path, "%s/last-good.json", dir);
	ok = buf_ok(&path, e) == 0 && io_read_file(buf_cstr(&path), MAX_NOTE, &text, e) == 0 &&
		(copy = arena_dup(&k->arena, buf_cstr(&text), text.len, e)) != NULL;
	if (ok) {
		jread_init(&r, copy, text.len);
		ok = jread_object(&r);
		while (ok && jread_member(&r, &key)) {
			struct slice *at = slice_is(key, "sha256") ? &k->sha256 : slice_is(key, "origin") ? &k->origin
				: slice_is(key, "form") ? &k->form : slice_is(key, "listed") ? &k->listed : NULL;

			ok = at == NULL ? jread_skip(&r) : jread_string(&r, &k->arena, at);
		}
		ok = jread_done(&r, e) == 0 && ok;
		if (ok && (k->sha256.n != 64 || strspn(k->sha256.p, "0123456789abcdef") < 64)) {
			ok = 0;
			(void)err_set(e, ERR_INPUT, "%s: no digest", buf_cstr(&path));
		}
	}
	buf_finish(&path);
	buf_finish(&text);
	return ok ? 0 : -1;
}

/* Files of models that are kept no more. */
static void
prune(const char *dir, const char *sha256)
{
	struct buf path = BUF_INIT;
	struct dirent *d;
	DIR *f = opendir(dir);

	while (f != NULL && (d = readdir(f)) != NULL) {
		if (strlen(d->d_name) < 64 || strspn(d->d_name, "0123456789abcdef") != 64 ||
		    strncmp(d->d_name, sha256, 64) == 0)
			continue;
		buf_reset(&path);
		buf_printf(&path, "%s/%s", dir, d->d_name);
		(void)unlink(buf_cstr(&path));
	}
	buf_finish(&path);
	if (f != NULL)
		(void)closedir(f);
}

static void
write_note(struct buf *b, const struct loaded *l, const struct proof *f)
{
	struct jsonw w;

	jsonw_init(&w, b);
	jsonw_object(&w);
	jsonw_kstr(&w, "sha256", l->sha256);
	jsonw_kstr(&w, "origin", l->origin);
	jsonw_kstr(&w, "form", proof_form_name(f->form));
	jsonw_kstr(&w, "listed", buf_cstr(&f->listed));
	jsonw_end_object(&w);
	buf_byte(b, '\n');
}

int
lastgood_keep(const char *state_dir, const struct loaded *l, const struct proof *f, struct err *e)
{
	struct buf dir = BUF_INIT, path = BUF_INIT, note = BUF_INIT, old = BUF_INIT;
	const struct tensorfile *file = l->router->file;
	struct err none = ERR_INIT;
	int r = -1;

	buf_printf(&dir, "%s/last-good", state_dir);
	write_note(&note, l, f);
	buf_printf(&path, "%s/last-good.json", buf_cstr(&dir));
	if (buf_ok(&dir, e) < 0 || buf_ok(&note, e) < 0 || buf_ok(&path, e) < 0)
		goto out;
	if (io_read_file(buf_cstr(&path), MAX_NOTE, &old, &none) == 0 && old.len == note.len &&
	    memcmp(old.p, note.p, note.len) == 0) {
		r = 0;
		goto out;
	}
	if (io_mkdirs(buf_cstr(&dir), e) < 0)
		goto out;
	buf_reset(&path);
	buf_printf(&path, "%s/%s.safetensors", buf_cstr(&dir), l->sha256);
	if (io_write_file(buf_cstr(&path), tensorfile_data(file), (size_t)tensorfile_bytes(file), 0600, e) < 0)
		goto out;
	buf_reset(&path);
	buf_printf(&path, "%s/%s.proof", buf_cstr(&dir), l->sha256);
	if (io_write_file(buf_cstr(&path), buf_cstr(&f->doc), f->doc.len, 0600, e) < 0)
		goto out;
	buf_reset(&path);
	buf_printf(&path, "%s/last-good.json", buf_cstr(&dir));
	if ((r = io_write_file(buf_cstr(&path), note.p, note.len, 0600, e)) == 0)
		prune(buf_cstr(&dir), l->sha256);
out:
	buf_finish(&dir);
	buf_finish(&path);
	buf_finish(&note);
	buf_finish(&old);
	return r;
}

/* The bytes that k names, checked; NULL and err. */
static struct loaded *
load_kept(const char *dir, const struct kept *k, const struct loaded_opts *want, const struct proof_trust *t,
	struct err *e)
{
	struct proof f = { PROOF_NONE, BUF_INIT, BUF_INIT };
	struct buf path = BUF_INIT;
	struct loaded *l = NULL;
	bool is_signed = false;
	uint8_t digest[32];
	char hex[65];
	void *p = NULL;
	size_t n = 0;
	int r;

	buf_printf(&path, "%s/%.64s.proof", dir, k->sha256.p);
	f.form = slice_is(k->form, "minisig") ? PROOF_MINISIG : slice_is(k->form, "manifest") ? PROOF_MANIFEST : PROOF_NONE;
	buf_add(&f.listed, k->listed.p, k->listed.n);
	r = io_read_file(buf_cstr(&path), MAX_PROOF, &f.doc, e);
	buf_reset(&path);
	buf_printf(&path, "%s/%.64s.safetensors", dir, k->sha256.p);
	if (r == 0 && (p = loaded_bytes(buf_cstr(&path), 0, &n, e)) != NULL &&
	    proof_check(&f, t, buf_cstr(&path), p, n, &is_signed, e) == 0) {
		sha256_bytes(p, n, digest);
		hex_format(digest, 32, hex);
		if (strncmp(hex, k->sha256.p, 64) != 0)
			(void)err_set(e, ERR_INPUT, "%s: not what its name says", buf_cstr(&path));
		else {
			l = loaded_take(p, n, want, buf_cstr(&path), e);
			p = NULL;
		}
	}
	if (l != NULL)
		l->is_signed = is_signed;
	free(p);
	proof_finish(&f);
	buf_finish(&path);
	return l;
}

struct loaded *
lastgood_load(const char *state_dir, const struct loaded_opts *want, const struct proof_trust *t, struct err *e)
{
	struct kept k = { 0 };
	struct buf dir = BUF_INIT;
	struct loaded *l = NULL;

	buf_printf(&dir, "%s/last-good", state_dir);
	if (buf_ok(&dir, e) == 0 && read_kept(buf_cstr(&dir), &k, e) == 0)
		l = load_kept(buf_cstr(&dir), &k, want, t, e);
	arena_finish(&k.arena);
	buf_finish(&dir);
	return l;
}
