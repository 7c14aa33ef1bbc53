#include "registry/object.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "trust/minisig.h"

#define MINISIG_MAX ((size_t)16 << 10)

static int
check(struct store *s, const struct seal_trust *t, const char *key, const char *tmp, struct err *e)
{
	struct buf doc = BUF_INIT;
	struct minisig m;
	char name[STORE_KEY_MAX];
	enum store_outcome o;
	size_t k;
	int fd = -1, r = -1;

	if (t->n == 0)
		return t->allow_unsigned ? 0 : err_set(e, ERR_NOPERM, "%s: %s: signatures are enforced here: give "
		    "--public-key", store_name(s), key);
	if (snprintf(name, sizeof name, "%s.minisig", key) >= (int)sizeof name)
		return err_set(e, ERR_USAGE, "the key '%s' is too long", key);
	o = store_get(s, name, NULL, MINISIG_MAX, &doc, NULL, e);
	if (o == STORE_ABSENT)
		err_set(e, ERR_NOPERM, "%s: %s is not signed: there is no %s", store_name(s), key, name);
	else if (o == STORE_OK && minisig_parse(doc.p, doc.len, &m, e) == 0) {
		if ((k = minisig_key(&m, t->keys, t->n)) == t->n)
			err_set(e, ERR_NOPERM, "%s is signed by a key that is not trusted here", key);
		else if ((fd = io_open_read(tmp, e)) >= 0 && (r = minisig_verify_fd(&m, &t->keys[k], fd, e)) < 0) {
			e->code = ERR_NOPERM;
			err_wrap(e, "%s: %s", store_name(s), key);
		}
	}
	if (fd >= 0)
		(void)close(fd);
	buf_finish(&doc);
	return r;
}

int
object_pull(struct store *s, const struct seal_trust *t, const char *key, const char *file,
	char etag[STORE_ETAG], bool *changed, struct err *e)
{
	struct store_info info;
	struct store_fetch q = { .key = key, .size_bytes = UINT64_MAX, .if_match = info.etag };
	struct io_out o;
	enum store_outcome got;

	*changed = false;
	if (store_head(s, key, &info, e) != STORE_OK)
		return -1;
	if (etag[0] != '\0' && strcmp(etag, info.etag) == 0)
		return 0;
	if (info.etag[0] == '\0')
		q.if_match = NULL;
	q.size_bytes = info.size_bytes;
	if (io_out_open(&o, file, 0644, e) < 0)
		return -1;
	q.fd = o.fd;
	got = store_fetch(s, &q, NULL, NULL, e);
	if (got == STORE_LOST)
		err_set(e, ERR_TEMPFAIL, "%s: %s changed while it was fetched: try again", store_name(s), key);
	if (got != STORE_OK || check(s, t, key, o.tmp != NULL ? o.tmp : file, e) < 0) {
		io_out_abort(&o);
		return -1;
	}
	if (io_out_commit(&o, e) < 0)
		return -1;
	memcpy(etag, info.etag, STORE_ETAG);
	*changed = true;
	return 0;
}
