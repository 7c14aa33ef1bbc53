#include "trust/keyring.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "trust/minisig.h"

#define MAX_FILE ((size_t)1 << 20)

void
keyring_free(struct keyring *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->names[i]);
	free(k->names);
	free(k->keys);
	free(k->revoked);
	memset(k, 0, sizeof *k);
}

bool
keyring_is_revoked(const struct keyring *k, const uint8_t id[KEY_ID_BYTES])
{
	for (size_t i = 0; i < k->n_revoked; i++)
		if (memcmp(k->revoked[i], id, KEY_ID_BYTES) == 0)
			return true;
	return false;
}

int
keyring_add(struct keyring *k, const struct public_key *key, const char *name, struct err *e)
{
	char id[KEY_ID_TEXT];

	key_id_format(key->id, id);
	if (keyring_is_revoked(k, key->id))
		return err_set(e, ERR_NO, "%s: key %s is revoked", name, id);
	for (size_t i = 0; i < k->n; i++)
		if (memcmp(k->keys[i].pk, key->pk, sizeof key->pk) == 0)
			return 0;
	if (mem_grow((void **)&k->keys, &k->cap, k->n + 1, sizeof *k->keys, e) < 0 ||
	    mem_grow((void **)&k->names, &k->names_cap, k->n + 1, sizeof *k->names, e) < 0 ||
	    (k->names[k->n] = mem_strdup(name, e)) == NULL)
		return -1;
	k->keys[k->n++] = *key;
	return 0;
}

int
keyring_add_file(struct keyring *k, const char *path, struct err *e)
{
	struct public_key key;

	return public_key_read(path, &key, e) < 0 ? -1 : keyring_add(k, &key, path, e);
}

/* The key's number, as it is printed, into its bytes. */
static bool
parse_id(struct slice s, uint8_t id[KEY_ID_BYTES])
{
	if (s.n != KEY_ID_TEXT - 1)
		return false;
	memset(id, 0, KEY_ID_BYTES);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 :
			c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (d < 0)
			return false;
		id[KEY_ID_BYTES - 1 - i / 2] = (uint8_t)(i % 2 == 0 ? d << 4 : id[KEY_ID_BYTES - 1 - i / 2] | d);
	}
	return true;
}

static int
revoke(struct keyring *k, struct slice text, struct err *e)
{
	uint8_t id[KEY_ID_BYTES];

	if (!parse_id(text, id))
		return err_set(e, ERR_CONFIG, "'%.*s' is no key number of 16 hexadecimal digits",
			(int)(text.n < 64 ? text.n : 64), text.p == NULL ? "" : text.p);
	if (mem_grow((void **)&k->revoked, &k->revoked_cap, k->n_revoked + 1, sizeof *k->revoked, e) < 0)
		return -1;
	memcpy(k->revoked[k->n_revoked++], id, sizeof id);
	for (size_t i = 0; i < k->n;) {
		if (memcmp(k->keys[i].id, id, sizeof id) != 0) {
			i++;
			continue;
		}
		free(k->names[i]);
		k->n--;
		k->keys[i] = k->keys[k->n];
		k->names[i] = k->names[k->n];
	}
	return 0;
}

int
keyring_revoke(struct keyring *k, const char *id, struct err *e)
{
	return revoke(k, slice_str(id), e);
}

int
keyring_revoke_file(struct keyring *k, const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	int r = io_read_file(path, MAX_FILE, &b, e);
	size_t at = 0;

	for (size_t line = 1; r == 0 && at < b.len; line++) {
		const char *nl = memchr(b.p + at, '\n', b.len - at);
		size_t end = nl == NULL ? b.len : (size_t)(nl - b.p);
		struct slice s = slice_trim((struct slice){ b.p + at, end - at });

		at = end + 1;
		for (size_t i = 0; i < s.n; i++)
			if (s.p[i] == ' ' || s.p[i] == '\t')
				s.n = i;
		if (s.n > 0 && s.p[0] != '#' && (r = revoke(k, s, e)) < 0)
			err_wrap(e, "%s:%zu", path, line);
	}
	buf_finish(&b);
	return r;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the .pub files, sorted; their number or -1. */
static long
list_keys(DIR *d, char ***out, struct err *e)
{
	struct dirent *x;
	size_t n = 0, cap = 0;

	*out = NULL;
	while ((x = readdir(d)) != NULL) {
		size_t len = strlen(x->d_name);

		if (len < 5 || x->d_name[0] == '.' || strcmp(x->d_name + len - 4, ".pub") != 0)
			continue;
		if (mem_grow((void **)out, &cap, n + 1, sizeof **out, e) < 0 ||
		    ((*out)[n] = mem_strdup(x->d_name, e)) == NULL) {
			for (size_t i = 0; i < n; i++)
				free((*out)[i]);
			free(*out);
			return -1;
		}
		n++;
	}
	if (n > 1)
		qsort(*out, n, sizeof **out, by_name);
	return (long)n;
}

int
keyring_add_dir(struct keyring *k, const char *dir, struct err *e)
{
	struct buf path = BUF_INIT;
	char **names;
	DIR *d = opendir(dir);
	long n;
	int r = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : err_sys(e, ERR_CONFIG, "%s", dir);
	n = list_keys(d, &names, e);
	(void)closedir(d);
	if (n < 0)
		return -1;
	buf_printf(&path, "%s/" KEYRING_REVOKED, dir);
	if ((r = buf_ok(&path, e)) == 0 && io_exists(path.p))
		r = keyring_revoke_file(k, path.p, e);
	for (long i = 0; i < n; i++) {
		struct public_key key;

		buf_reset(&path);
		buf_printf(&path, "%s/%s", dir, names[i]);
		if (r == 0 && (r = buf_ok(&path, e)) == 0 && (r = public_key_read(path.p, &key, e)) == 0 &&
		    !keyring_is_revoked(k, key.id))
			r = keyring_add(k, &key, path.p, e);
		free(names[i]);
	}
	free(names);
	buf_finish(&path);
	return r;
}

int
keyring_rotate(struct keyring *k, const char *path, size_t *by, struct err *e)
{
	struct buf sig = BUF_INIT, file = BUF_INIT;
	struct public_key key;
	struct minisig s;
	int r = -1;

	buf_printf(&sig, "%s.minisig", path);
	if (buf_ok(&sig, e) < 0)
		goto out;
	/* Read once: the bytes that are verified are the bytes that are believed. */
	if (io_read_file(path, MAX_FILE, &file, e) < 0)
		goto out;
	if (!io_exists(sig.p)) {
		err_set(e, ERR_NO, "%s: not signed by an old key: there is no %s", path, sig.p);
		goto out;
	}
	if (minisig_read(sig.p, &s, e) < 0)
		goto out;
	if ((*by = minisig_key(&s, k->keys, k->n)) == k->n)
		err_set(e, ERR_NO, "%s: the key that signed it is not trusted", path);
	else if (minisig_verify(&s, &k->keys[*by], buf_cstr(&file), file.len, e) < 0)
		err_wrap(e, "%s", path);
	else if (strncmp(s.trusted, KEYRING_ROTATION "\t", sizeof KEYRING_ROTATION) != 0)
		err_set(e, ERR_NO, "%s: signed, but not to hand trust on (sign --rotate does that)", path);
	else if (public_key_parse((struct slice){ buf_cstr(&file), file.len }, &key, e) < 0)
		err_wrap(e, "%s", path);
	else
		r = keyring_add(k, &key, path, e);
out:
	buf_finish(&sig);
	buf_finish(&file);
	return r;
}
