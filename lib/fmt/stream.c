#include "fmt/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "base/io.h"
#include "base/mem.h"

#define RAW_BYTES ((size_t)128 * 1024)
#define LINE_BYTES ((size_t)64 * 1024)

enum coding { CODING_NONE, CODING_GZIP, CODING_ZSTD };

struct stream_in {
	int fd;				/* -1: in memory */
	const unsigned char *mem;
	size_t mem_left;
	enum coding coding;
	unsigned char *raw;		/* [RAW_BYTES], bytes read and not yet decoded */
	size_t pos, len;
	bool raw_end;			/* nothing more to read */
	bool unit_open;			/* inside a gzip member or Zstandard frame */
	uint64_t consumed, size;
	z_stream z;
	bool z_ready;
	ZSTD_DStream *zs;
};

/* Up to n raw bytes; 0 at the end. */
static int
raw_read(struct stream_in *s, void *p, size_t n, size_t *got, struct err *e)
{
	ssize_t k;

	*got = 0;
	if (s->fd < 0) {
		*got = n < s->mem_left ? n : s->mem_left;
		if (*got > 0)
			memcpy(p, s->mem, *got);
		s->mem += *got;
		s->mem_left -= *got;
		return 0;
	}
	do
		k = read(s->fd, p, n);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return err_sys(e, errno == EISDIR ? ERR_NOINPUT : ERR_IO, "read");
	*got = (size_t)k;
	return 0;
}

/* Read until `need` raw bytes wait undecoded, or the end. */
static int
fill(struct stream_in *s, size_t need, struct err *e)
{
	size_t got;

	if (s->pos > 0 && s->pos + need > RAW_BYTES) {
		memmove(s->raw, s->raw + s->pos, s->len - s->pos);
		s->len -= s->pos;
		s->pos = 0;
	}
	if (s->pos == s->len)
		s->pos = s->len = 0;
	while (s->len - s->pos < need && !s->raw_end) {
		if (raw_read(s, s->raw + s->len, RAW_BYTES - s->len, &got, e) < 0)
			return -1;
		s->raw_end = got == 0;
		s->len += got;
	}
	return 0;
}

static bool
is_gzip(const unsigned char *p, size_t n)
{
	return n >= 2 && p[0] == 0x1f && p[1] == 0x8b;
}

/* A Zstandard frame, or a skippable one (RFC 8878, 3.1). */
static bool
is_zstd(const unsigned char *p, size_t n)
{
	if (n < 4)
		return false;
	if (p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd)
		return true;
	return (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
}

static int
start(struct stream_in *s, struct err *e)
{
	if ((s->raw = mem_realloc(NULL, RAW_BYTES, 1, e)) == NULL || fill(s, 4, e) < 0)
		return -1;
	if (is_gzip(s->raw, s->len)) {
		s->coding = CODING_GZIP;
		if (inflateInit2(&s->z, 15 + 16) != Z_OK)
			return err_nomem(e);
		s->z_ready = true;
	} else if (is_zstd(s->raw, s->len)) {
		s->coding = CODING_ZSTD;
		if ((s->zs = ZSTD_createDStream()) == NULL)
			return err_nomem(e);
	}
	return 0;
}

struct stream_in *
stream_in_open(const char *path, struct err *e)
{
	struct stream_in *s = mem_calloc(1, sizeof *s, e);
	struct stat st;

	if (s == NULL)
		return NULL;
	if ((s->fd = io_open_read(path, e)) < 0) {
		free(s);
		return NULL;
	}
	if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		s->size = (uint64_t)st.st_size;
		/* Read once, from front to back: the kernel may read further ahead. */
		(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	if (start(s, e) < 0) {
		err_wrap(e, "%s", path);
		stream_in_close(s);
		return NULL;
	}
	return s;
}

struct stream_in *
stream_in_memory(const void *p, size_t n, struct err *e)
{
	struct stream_in *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->fd = -1;
	s->mem = p;
	s->mem_left = n;
	s->size = n;
	if (start(s, e) < 0) {
		stream_in_close(s);
		return NULL;
	}
	return s;
}

struct stream_in *
stream_in_fd(int fd, struct err *e)
{
	struct stream_in *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	if ((s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		err_sys(e, ERR_IO, "descriptor %d", fd);
		free(s);
		return NULL;
	}
	if (start(s, e) < 0) {
		stream_in_close(s);
		return NULL;
	}
	return s;
}

static int
corrupt(const struct stream_in *s, const char *what, const char *why, struct err *e)
{
	return err_set(e, ERR_INPUT, "%s data %s at byte %llu of the compressed input", what, why,
		(unsigned long long)s->consumed);
}

/* Between two gzip members: at the next one, or padding zeros up to the end. */
static int
next_member(struct stream_in *s, struct err *e)
{
	for (;;) {
		if (fill(s, 2, e) < 0)
			return -1;
		if (s->pos == s->len)
			return 0;
		if (is_gzip(s->raw + s->pos, s->len - s->pos)) {
			if (inflateReset(&s->z) != Z_OK)
				return err_nomem(e);
			s->unit_open = true;
			return 0;
		}
		if (s->raw[s->pos] != 0)
			return corrupt(s, "gzip", "is followed by something else", e);
		s->pos++;
		s->consumed++;
	}
}

static int
read_gzip(struct stream_in *s, void *p, size_t n, size_t *got, struct err *e)
{
	while (*got == 0) {
		size_t had;
		int r;

		if (!s->unit_open && next_member(s, e) < 0)
			return -1;
		if (fill(s, 1, e) < 0)
			return -1;
		had = s->len - s->pos;
		if (had == 0 && !s->unit_open)
			return 0;
		s->z.next_in = s->raw + s->pos;
		s->z.avail_in = (uInt)had;
		s->z.next_out = p;
		s->z.avail_out = (uInt)n;
		r = inflate(&s->z, Z_NO_FLUSH);
		s->pos += had - s->z.avail_in;
		s->consumed += had - s->z.avail_in;
		*got = n - s->z.avail_out;
		if (r == Z_STREAM_END)
			s->unit_open = false;
		else if (r == Z_MEM_ERROR)
			return err_nomem(e);
		else if (r == Z_BUF_ERROR && had == 0)
			return corrupt(s, "gzip", "ends early", e);
		else if (r != Z_OK && r != Z_BUF_ERROR)
			return corrupt(s, "gzip", "is corrupt", e);
	}
	return 0;
}

static int
read_zstd(struct stream_in *s, void *p, size_t n, size_t *got, struct err *e)
{
	while (*got == 0) {
		ZSTD_inBuffer in;
		ZSTD_outBuffer out = { p, n, 0 };
		size_t r;

		if (fill(s, 4, e) < 0)
			return -1;
		if (s->pos == s->len && !s->unit_open)
			return 0;
		if (!s->unit_open && !is_zstd(s->raw + s->pos, s->len - s->pos))
			return corrupt(s, "zstd", "is followed by something else", e);
		in = (ZSTD_inBuffer){ s->raw + s->pos, s->len - s->pos, 0 };
		r = ZSTD_decompressStream(s->zs, &out, &in);
		if (ZSTD_isError(r))
			return corrupt(s, "zstd", ZSTD_getErrorName(r), e);
		s->pos += in.pos;
		s->consumed += in.pos;
		*got = out.pos;
		if (in.pos == 0 && out.pos == 0 && s->raw_end)
			return corrupt(s, "zstd", "ends early", e);
		s->unit_open = r != 0;
	}
	return 0;
}

static int
read_plain(struct stream_in *s, void *p, size_t n, size_t *got, struct err *e)
{
	size_t had = s->len - s->pos;

	if (had > 0) {
		*got = had < n ? had : n;
		memcpy(p, s->raw + s->pos, *got);
		s->pos += *got;
	} else if (!s->raw_end && raw_read(s, p, n, got, e) < 0)
		return -1;
	s->consumed += *got;
	return 0;
}

int
stream_in_read(struct stream_in *s, void *p, size_t n, size_t *got, struct err *e)
{
	*got = 0;
	if (n > (size_t)1 << 30)
		n = (size_t)1 << 30;
	if (n == 0)
		return 0;
	switch (s->coding) {
	case CODING_GZIP:
		return read_gzip(s, p, n, got, e);
	case CODING_ZSTD:
		return read_zstd(s, p, n, got, e);
	case CODING_NONE:
		break;
	}
	return read_plain(s, p, n, got, e);
}

uint64_t
stream_in_consumed(const struct stream_in *s)
{
	return s->consumed;
}

uint64_t
stream_in_size(const struct stream_in *s)
{
	return s->size;
}

void
stream_in_close(struct stream_in *s)
{
	if (s == NULL)
		return;
	if (s->z_ready)
		(void)inflateEnd(&s->z);
	(void)ZSTD_freeDStream(s->zs);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s->raw);
	free(s);
}

struct stream_out {
	struct io_out out;
	enum coding coding;
	unsigned char *packed;		/* [RAW_BYTES] */
	z_stream z;
	bool z_ready;
	ZSTD_CStream *zs;
};

static bool
ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n > k && strcmp(s + n - k, suffix) == 0;
}

static int
out_start(struct stream_out *s, const char *path, struct err *e)
{
	if (ends_with(path, ".gz")) {
		s->coding = CODING_GZIP;
		if (deflateInit2(&s->z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			return err_nomem(e);
		s->z_ready = true;
	} else if (ends_with(path, ".zst")) {
		s->coding = CODING_ZSTD;
		if ((s->zs = ZSTD_createCStream()) == NULL)
			return err_nomem(e);
		(void)ZSTD_CCtx_setParameter(s->zs, ZSTD_c_compressionLevel, 3);
		(void)ZSTD_CCtx_setParameter(s->zs, ZSTD_c_checksumFlag, 1);
	}
	if (s->coding != CODING_NONE && (s->packed = mem_realloc(NULL, RAW_BYTES, 1, e)) == NULL)
		return -1;
	return io_out_open(&s->out, path, 0644, e);
}

struct stream_out *
stream_out_open(const char *path, struct err *e)
{
	struct stream_out *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->out.fd = -1;
	s->out.slot = -1;
	if (out_start(s, path, e) < 0) {
		stream_out_abort(s);
		return NULL;
	}
	return s;
}

static int
write_gzip(struct stream_out *s, const void *p, size_t n, int flush, struct err *e)
{
	const unsigned char *q = p;
	int r;

	do {
		size_t part = n < RAW_BYTES ? n : RAW_BYTES;
		int mode = part == n ? flush : Z_NO_FLUSH;

		s->z.next_in = (unsigned char *)(uintptr_t)q;
		s->z.avail_in = (uInt)part;
		do {
			s->z.next_out = s->packed;
			s->z.avail_out = RAW_BYTES;
			r = deflate(&s->z, mode);
			if (r == Z_STREAM_ERROR)
				return err_nomem(e);
			if (io_out_write(&s->out, s->packed, RAW_BYTES - s->z.avail_out, e) < 0)
				return -1;
		} while (s->z.avail_out == 0);
		q += part;
		n -= part;
	} while (n > 0);
	return 0;
}

static int
write_zstd(struct stream_out *s, const void *p, size_t n, ZSTD_EndDirective mode, struct err *e)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { s->packed, RAW_BYTES, 0 };

		left = ZSTD_compressStream2(s->zs, &out, &in, mode);
		if (ZSTD_isError(left))
			return err_set(e, ERR_IO, "zstd: %s", ZSTD_getErrorName(left));
		if (io_out_write(&s->out, s->packed, out.pos, e) < 0)
			return -1;
	} while (mode == ZSTD_e_continue ? in.pos < in.size : left > 0);
	return 0;
}

int
stream_out_write(struct stream_out *s, const void *p, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (s->coding == CODING_GZIP)
		return write_gzip(s, p, n, Z_NO_FLUSH, e);
	if (s->coding == CODING_ZSTD)
		return write_zstd(s, p, n, ZSTD_e_continue, e);
	return io_out_write(&s->out, p, n, e);
}

int
stream_out_flush(struct stream_out *s, struct err *e)
{
	if (s->coding == CODING_GZIP && write_gzip(s, "", 0, Z_SYNC_FLUSH, e) < 0)
		return -1;
	if (s->coding == CODING_ZSTD && write_zstd(s, "", 0, ZSTD_e_flush, e) < 0)
		return -1;
	return io_out_flush(&s->out, e);
}

/* Release all but the io_out. */
static void
out_free(struct stream_out *s)
{
	if (s->z_ready)
		(void)deflateEnd(&s->z);
	(void)ZSTD_freeCStream(s->zs);
	free(s->packed);
	free(s);
}

int
stream_out_commit(struct stream_out *s, struct err *e)
{
	int r = 0;

	if (s->coding == CODING_GZIP)
		r = write_gzip(s, "", 0, Z_FINISH, e);
	else if (s->coding == CODING_ZSTD)
		r = write_zstd(s, "", 0, ZSTD_e_end, e);
	if (r < 0)
		io_out_abort(&s->out);
	else
		r = io_out_commit(&s->out, e);
	out_free(s);
	return r;
}

void
stream_out_abort(struct stream_out *s)
{
	if (s == NULL)
		return;
	io_out_abort(&s->out);
	out_free(s);
}

static int
pack_gzip(const void *p, size_t n, struct buf *out, struct err *e)
{
	z_stream z = { 0 };
	const unsigned char *q = p;
	int r;

	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_nomem(e);
	do {
		uInt part = n < RAW_BYTES ? (uInt)n : (uInt)RAW_BYTES;

		z.next_in = (unsigned char *)(uintptr_t)q;
		z.avail_in = part;
		q += part;
		n -= part;
		do {
			if (!buf_reserve(out, RAW_BYTES)) {
				(void)deflateEnd(&z);
				return err_nomem(e);
			}
			z.next_out = (unsigned char *)out->p + out->len;
			z.avail_out = (uInt)RAW_BYTES;
			r = deflate(&z, n == 0 ? Z_FINISH : Z_NO_FLUSH);
			out->len += RAW_BYTES - z.avail_out;
		} while (z.avail_out == 0);
	} while (n > 0);
	(void)deflateEnd(&z);
	return r == Z_STREAM_END ? 0 : err_set(e, ERR_IO, "gzip: cannot finish a member");
}

static int
pack_zstd(const void *p, size_t n, struct buf *out, struct err *e)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t k;

	if (c == NULL || !buf_reserve(out, ZSTD_compressBound(n))) {
		(void)ZSTD_freeCCtx(c);
		return err_nomem(e);
	}
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 3);
	(void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	k = ZSTD_compress2(c, out->p + out->len, out->cap - out->len, p, n);
	(void)ZSTD_freeCCtx(c);
	if (ZSTD_isError(k))
		return err_set(e, ERR_IO, "zstd: %s", ZSTD_getErrorName(k));
	out->len += k;
	return 0;
}

int
stream_pack(const char *path, const void *p, size_t n, struct buf *out, struct err *e)
{
	if (n == 0)
		return 0;
	if (ends_with(path, ".gz"))
		return pack_gzip(p, n, out, e);
	if (ends_with(path, ".zst"))
		return pack_zstd(p, n, out, e);
	buf_add(out, p, n);
	return buf_ok(out, e);
}

struct stream_lines {
	struct stream_in *in;
	char *p;
	size_t start, scanned, len, cap, max;
	uint64_t number;
	bool end;
};

struct stream_lines *
stream_lines_new(struct stream_in *in, size_t max_bytes, struct err *e)
{
	struct stream_lines *l = mem_calloc(1, sizeof *l, e);

	if (l == NULL)
		return NULL;
	l->in = in;
	l->max = max_bytes;
	return l;
}

/* Room behind the kept bytes, then read into it. */
static int
lines_fill(struct stream_lines *l, struct err *e)
{
	void *p = l->p;
	size_t got;

	if (l->start > 0) {
		memmove(l->p, l->p + l->start, l->len - l->start);
		l->len -= l->start;
		l->scanned -= l->start;
		l->start = 0;
	}
	if (l->cap - l->len < LINE_BYTES) {
		if (mem_grow(&p, &l->cap, l->len + LINE_BYTES, 1, e) < 0)
			return -1;
		l->p = p;
	}
	if (stream_in_read(l->in, l->p + l->len, l->cap - l->len, &got, e) < 0)
		return -1;
	l->len += got;
	l->end = got == 0;
	return 0;
}

int
stream_lines_next(struct stream_lines *l, const char **line, size_t *n, uint64_t *number,
	struct err *e)
{
	const char *nl = NULL;
	size_t stop;

	for (;;) {
		if (l->len > l->scanned)
			nl = memchr(l->p + l->scanned, '\n', l->len - l->scanned);
		stop = nl != NULL ? (size_t)(nl - l->p) : l->len;
		if (stop - l->start > l->max)
			return err_set(e, ERR_INPUT, "line %llu is longer than %zu bytes",
				(unsigned long long)l->number + 1, l->max);
		if (nl != NULL || l->end)
			break;
		l->scanned = l->len;
		if (lines_fill(l, e) < 0)
			return -1;
	}
	if (nl == NULL && stop == l->start)
		return 0;
	*line = l->p + l->start;
	*n = stop - l->start;
	if (*n > 0 && (*line)[*n - 1] == '\r')
		--*n;
	*number = ++l->number;
	l->start = l->scanned = nl != NULL ? stop + 1 : stop;
	return 1;
}

void
stream_lines_free(struct stream_lines *l)
{
	if (l == NULL)
		return;
	free(l->p);
	free(l);
}
