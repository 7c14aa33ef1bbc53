#include "serve/loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "embed/encoder.h"
#include "fmt/hash.h"
#include "model/artifact.h"

/* What else a file named like a model may be. NULL: nothing that is known. */
static const char *
foreign(const unsigned char *p, size_t n)
{
	if (n >= 4 && memcmp(p, "PK\003\004", 4) == 0)
		return "a zip file (torch.save)";
	if (n >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
		return "a Python pickle";
	if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return "gzip-compressed";
	if (n >= 8 && memcmp(p, "\x89HDF\r\n\x1a\n", 8) == 0)
		return "HDF5";
	return NULL;
}

/* The encoder of "bert:PATH", when the artifact has a use for one; *out NULL when not. */
static int
open_encoder(const struct tensorfile *f, const char *embedder, struct encoder **out, struct err *e)
{
	struct encoder_options o = ENCODER_OPTIONS_INIT;
	struct buf spec = BUF_INIT;
	struct slice place;

	*out = NULL;
	if (embedder == NULL || !artifact_names_encoder(f))
		return 0;
	if (embed_check_kind(embedder, e) < 0)
		return err_wrap(e, "embedder");
	if ((place = embed_encoder_spec(embedder)).p == NULL)
		return 0;
	/* Mapped, whoever shortens the file would end the server. */
	o.read = true;
	buf_add(&spec, place.p, place.n);
	if (buf_ok(&spec, e) == 0)
		*out = encoder_open(buf_cstr(&spec), &o, e);
	buf_finish(&spec);
	return *out == NULL ? -1 : 0;
}

/* The router of a file; owns f in any case. */
static struct router *
take_router(struct tensorfile *f, const char *embedder, struct err *e)
{
	struct encoder *encoder;
	struct router *r;

	if (open_encoder(f, embedder, &encoder, e) < 0 || (r = artifact_take_with(f, encoder, e)) == NULL) {
		tensorfile_free(f);
		encoder_free(encoder);
		return NULL;
	}
	r->encoder = encoder;
	return r;
}

struct loaded *
loaded_take(void *p, size_t n, const struct loaded_opts *o, const char *origin, struct err *e)
{
	const char *kind = o->kind;
	struct loaded *l = mem_calloc(1, sizeof *l, e);
	const char *what = foreign(p, n);
	struct tensorfile *f = NULL;
	uint8_t digest[32];

	if (l == NULL) {
		free(p);
		return NULL;
	}
	atomic_init(&l->refs, 1);
	atomic_init(&l->outlier_below, NAN);
	l->bytes = n;
	if (what != NULL) {
		err_set(e, ERR_INPUT, "%s: this is %s, which llmr never runs; train again with "
			"'llmr train %s --data records.jsonl -o router.safetensors'", origin, what,
			kind == NULL || strcmp(kind, "custom") == 0 ? "KIND" : kind);
		free(p);
		goto fail;
	}
	sha256_bytes(p, n, digest);
	hex_format(digest, 32, l->sha256);
	if ((f = tensorfile_take(p, n, e)) == NULL) {
		free(p);
		err_wrap(e, "%s", origin);
		goto fail;
	}
	if ((l->router = take_router(f, o->embedder, e)) == NULL) {
		err_wrap(e, "%s", origin);
		goto fail;
	}
	l->data = p;
	if (kind != NULL && strcmp(kind, "custom") != 0 && strcmp(kind, l->router->kind->name) != 0) {
		err_set(e, ERR_INPUT, "%s: the artifact's kind is %s, and llmrouter-%s was asked for", origin,
			l->router->kind->name, kind);
		goto fail;
	}
	if ((l->origin = mem_strdup(origin, e)) == NULL || (l->version = mem_strdup("", e)) == NULL)
		goto fail;
	l->loaded_us = clock_wall_us();
	return l;
fail:
	loaded_unref(l);
	return NULL;
}

void *
loaded_bytes(const char *path, uint64_t max, size_t *n, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	void *p = NULL;
	size_t got;

	if (fd < 0) {
		err_sys(e, ERR_NOINPUT, "%s", path);
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err_set(e, ERR_NOINPUT, "%s: not a regular file", path);
		goto out;
	}
	if (max > 0 && (uint64_t)st.st_size > max) {
		err_set(e, ERR_TEMPFAIL, "%s: %lld bytes do not fit into the %llu that memory has left", path,
			(long long)st.st_size, (unsigned long long)max);
		goto out;
	}
	*n = (size_t)st.st_size;
	if ((p = mem_aligned(*n, 1, e)) == NULL)
		goto out;
	if (io_read_full(fd, p, *n, &got, e) < 0 || got != *n) {
		if (got != *n)
			err_set(e, ERR_INPUT, "%s: the file grew shorter while it was read", path);
		free(p);
		p = NULL;
	}
out:
	(void)close(fd);
	return p;
}

struct loaded *
loaded_read(const char *path, const struct loaded_opts *o, uint64_t max, struct err *e)
{
	int64_t start = clock_mono_ns();
	struct loaded *l;
	size_t n;
	void *p;

	if ((p = loaded_bytes(path, max, &n, e)) == NULL || (l = loaded_take(p, n, o, path, e)) == NULL)
		return NULL;
	l->load_seconds = (double)(clock_mono_ns() - start) / 1e9;
	return l;
}

int
loaded_save(const struct loaded *l, const char *path, struct err *e)
{
	return io_write_file(path, l->data, l->bytes, 0600, e);
}

struct loaded *
loaded_ref(struct loaded *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void
loaded_unref(struct loaded *l)
{
	if (l == NULL || atomic_fetch_sub(&l->refs, 1) > 1)
		return;
	for (size_t i = 0; i < LIVE_READERS; i++)
		router_scratch_free(l->scratch[i]);
	router_free(l->router);
	free(l->origin);
	free(l->version);
	free(l);
}

struct router_scratch *
loaded_scratch(struct loaded *l, unsigned i)
{
	if (l->scratch[i] == NULL)
		l->scratch[i] = router_scratch_new(l->router, NULL);
	return l->scratch[i];
}
