#include "fmt/rowfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"

#define HEADER 1024		/* bytes before the rows, in every format; a multiple of 64 */
#define MAGIC "llmr rows 1\n"

enum format { SAFETENSORS, NPY, PT, FORMATS };
static const char *const suffixes[] = { [SAFETENSORS] = ".safetensors", [NPY] = ".npy", [PT] = ".pt" };

struct rowfile {
	char *path, *part;
	enum format format;
	int fd;
	size_t dim;
	uint64_t rows;
	uint8_t key[ROWFILE_DIGEST];
	uint32_t crc;			/* of the rows, for PT */
};

/* What the header's room holds meanwhile. */
struct mark {
	char magic[16];
	uint64_t dim, rows;
	uint8_t key[ROWFILE_DIGEST], digest[ROWFILE_DIGEST];
};

/* CRC-32 of ISO 3309, as zip has it; crc of what came before, 0 at first. */
static uint32_t
crc_add(uint32_t crc, const void *data, size_t n)
{
	static const uint32_t nibble[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190,
		0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	const uint8_t *p = data;

	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}

static bool
format_of(const char *path, enum format *out)
{
	size_t n = strlen(path);

	for (size_t i = 0; i < FORMATS; i++) {
		size_t k = strlen(suffixes[i]);

		if (n > k && strcmp(path + n - k, suffixes[i]) == 0) {
			*out = (enum format)i;
			return true;
		}
	}
	return false;
}

int
rowfile_check(const char *path, struct err *e)
{
	enum format f;

	return format_of(path, &f) ? 0 : err_set(e, ERR_USAGE,
	    "%s: its suffix is none of .safetensors, .npy, .pt", path);
}

static int
write_at(struct rowfile *r, uint64_t at, const void *p, size_t n, struct err *e)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = pwrite(r->fd, (const char *)p + done, n - done, (off_t)(at + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_sys(e, ERR_IO, "%s", r->part);
		done += (size_t)k;
	}
	return 0;
}

static int
write_mark(struct rowfile *r, const uint8_t digest[ROWFILE_DIGEST], struct err *e)
{
	struct mark m = { .magic = MAGIC, .dim = r->dim, .rows = r->rows };

	memcpy(m.key, r->key, sizeof m.key);
	memcpy(m.digest, digest, sizeof m.digest);
	return write_at(r, 0, &m, sizeof m, e);
}

/* The checksum of rows that were written another time. */
static int
crc_again(struct rowfile *r, struct err *e)
{
	uint64_t left = r->rows * r->dim * sizeof(float);
	char block[65536];
	size_t got;

	if (lseek(r->fd, HEADER, SEEK_SET) < 0)
		return err_sys(e, ERR_IO, "%s", r->part);
	while (left > 0) {
		size_t n = left < sizeof block ? (size_t)left : sizeof block;

		if (io_read_full(r->fd, block, n, &got, e) < 0)
			return -1;
		if (got != n)
			return err_set(e, ERR_INPUT, "%s: is shorter than it says: begin anew with --restart", r->part);
		r->crc = crc_add(r->crc, block, n);
		left -= n;
	}
	return 0;
}

/* A mark that is there must be of the same making. */
static int
go_on(struct rowfile *r, uint8_t digest[ROWFILE_DIGEST], struct err *e)
{
	struct mark m;
	struct stat st;
	size_t got;

	memset(digest, 0, ROWFILE_DIGEST);
	if (io_read_full(r->fd, &m, sizeof m, &got, e) < 0 || fstat(r->fd, &st) != 0)
		return err_sys(e, ERR_IO, "%s", r->part);
	if (got == 0)
		return write_mark(r, digest, e);
	if (got != sizeof m || memcmp(m.magic, MAGIC, sizeof MAGIC) != 0 || m.dim != r->dim ||
	    memcmp(m.key, r->key, sizeof m.key) != 0 || m.rows > UINT64_MAX / 8 / r->dim ||
	    (uint64_t)st.st_size < (m.rows == 0 ? sizeof m : HEADER + m.rows * r->dim * sizeof(float)))
		return err_set(e, ERR_INPUT, "%s: was begun otherwise (another embedder, or not by llmr): "
		    "begin anew with --restart", r->part);
	r->rows = m.rows;
	memcpy(digest, m.digest, ROWFILE_DIGEST);
	return r->format == PT ? crc_again(r, e) : 0;
}

struct rowfile *
rowfile_open(const char *path, size_t dim, const uint8_t key[ROWFILE_DIGEST], bool restart,
	uint64_t *rows, uint8_t digest[ROWFILE_DIGEST], struct err *e)
{
	struct rowfile *r;
	struct buf part = BUF_INIT;

	if (rowfile_check(path, e) < 0 || (r = mem_calloc(1, sizeof *r, e)) == NULL)
		return NULL;
	(void)format_of(path, &r->format);
	r->fd = -1;
	r->dim = dim;
	memcpy(r->key, key, sizeof r->key);
	buf_printf(&part, "%s.part", path);
	r->path = mem_strdup(path, e);
	r->part = buf_take(&part, e);
	if (r->path == NULL || r->part == NULL)
		goto fail;
	r->fd = open(r->part, O_RDWR | O_CREAT | O_CLOEXEC | (restart ? O_TRUNC : 0), 0644);
	if (r->fd < 0) {
		err_sys(e, ERR_CANTCREAT, "%s", r->part);
		goto fail;
	}
	if (go_on(r, digest, e) < 0)
		goto fail;
	*rows = r->rows;
	return r;
fail:
	rowfile_close(r);
	return NULL;
}

int
rowfile_add(struct rowfile *r, const float *rows, size_t n, const uint8_t digest[ROWFILE_DIGEST], struct err *e)
{
	size_t bytes = n * r->dim * sizeof *rows;

	if (write_at(r, HEADER + r->rows * r->dim * sizeof *rows, rows, bytes, e) < 0)
		return -1;
	if (r->format == PT)
		r->crc = crc_add(r->crc, rows, bytes);
	r->rows += n;
	return write_mark(r, digest, e);
}

/* ---- headers, HEADER bytes each ---- */

static void
pad_to(struct buf *b, size_t n, int c)
{
	while (b->len < n)
		buf_byte(b, c);
}

static void
head_safetensors(const struct rowfile *r, struct buf *b)
{
	buf_le64(b, HEADER - 8);
	buf_printf(b, "{\"embeddings\":{\"dtype\":\"F32\",\"shape\":[%llu,%zu],\"data_offsets\":[0,%llu]}}",
	    (unsigned long long)r->rows, r->dim, (unsigned long long)(r->rows * r->dim * sizeof(float)));
	pad_to(b, HEADER, ' ');
}

static void
head_npy(const struct rowfile *r, struct buf *b)
{
	buf_add(b, "\x93NUMPY\x01\x00", 8);
	buf_byte(b, (HEADER - 10) & 0xff);
	buf_byte(b, (HEADER - 10) >> 8);
	buf_printf(b, "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %zu), }",
	    (unsigned long long)r->rows, r->dim);
	pad_to(b, HEADER - 1, ' ');
	buf_byte(b, '\n');
}

static void
le16(struct buf *b, size_t v)
{
	buf_byte(b, (int)(v & 0xff));
	buf_byte(b, (int)(v >> 8 & 0xff));
}

/* Pickle of _rebuild_tensor_v2 on storage "0": opcodes of protocol 2. */
static void
pickle(const struct rowfile *r, struct buf *b)
{
	const uint64_t n[] = { r->rows * r->dim, r->rows, r->dim, r->dim };
	static const char *const before[] = {
		"\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
		"X\x01\x00\x00\x00" "0X\x03\x00\x00\x00" "cpu", "tQK\x00", "", "\x86" };
	static const size_t size[] = { 83, 4, 0, 1 };

	for (size_t i = 0; i < 4; i++) {
		buf_add(b, before[i], size[i]);
		buf_add(b, "\x8a\x08", 2);
		buf_le64(b, n[i]);
	}
	buf_add(b, "K\x01\x86\x89" "ccollections\nOrderedDict\n)RtR.", 34);
}

struct member { const char *name; size_t name_bytes; uint32_t crc; uint64_t size, at; };
enum { PICKLE, VERSION, DATA, MEMBERS };

/* The part of a zip entry that local header and directory share. */
static void
zip_common(struct buf *b, const struct member *m, size_t extra)
{
	le16(b, 0);		/* flags */
	le16(b, 0);		/* stored */
	le16(b, 0);		/* time and date: 1980-01-01 */
	le16(b, 0x21);
	buf_le32(b, m->crc);
	buf_le32(b, (uint32_t)m->size);
	buf_le32(b, (uint32_t)m->size);
	le16(b, m->name_bytes);
	le16(b, extra);
}

static void
zip_local(struct buf *b, struct member *m, const char *name, const void *data, size_t n)
{
	*m = (struct member){ name, strlen(name), crc_add(0, data, n), n, b->len };
	buf_add(b, "PK\x03\x04\x14\x00", 6);
	zip_common(b, m, 0);
	buf_str(b, name);
	buf_add(b, data, n);
}

static void
head_pt(const struct rowfile *r, struct buf *b, struct member m[MEMBERS])
{
	struct buf p = BUF_INIT;
	size_t extra;

	pickle(r, &p);
	zip_local(b, &m[PICKLE], "rows/data.pkl", p.p, p.len);
	zip_local(b, &m[VERSION], "rows/version", "3\n", 2);
	m[DATA] = (struct member){ "rows/data/0", strlen("rows/data/0"), r->crc,
		r->rows * r->dim * sizeof(float), b->len };
	/* An extra field fills up to the rows. */
	extra = HEADER - b->len - 30 - m[DATA].name_bytes;
	buf_add(b, "PK\x03\x04\x14\x00", 6);
	zip_common(b, &m[DATA], extra);
	buf_str(b, m[DATA].name);
	buf_add(b, "FB", 2);
	le16(b, extra - 4);
	pad_to(b, HEADER, 'Z');
	if (p.failed)
		b->failed = true;
	buf_finish(&p);
}

static void
foot_pt(const struct rowfile *r, struct buf *b, const struct member m[MEMBERS])
{
	size_t bytes;

	for (size_t i = 0; i < MEMBERS; i++) {
		buf_add(b, "PK\x01\x02\x14\x00\x14\x00", 8);
		zip_common(b, &m[i], 0);
		le16(b, 0);		/* comment */
		le16(b, 0);		/* disk */
		le16(b, 0);		/* attributes */
		buf_le32(b, 0);
		buf_le32(b, (uint32_t)m[i].at);
		buf_str(b, m[i].name);
	}
	bytes = b->len;
	buf_add(b, "PK\x05\x06\x00\x00\x00\x00", 8);
	le16(b, MEMBERS);
	le16(b, MEMBERS);
	buf_le32(b, (uint32_t)bytes);
	buf_le32(b, (uint32_t)(HEADER + r->rows * r->dim * sizeof(float)));
	le16(b, 0);
}

static int
finish(struct rowfile *r, struct err *e)
{
	uint64_t end = HEADER + r->rows * r->dim * sizeof(float);
	struct buf head = BUF_INIT, foot = BUF_INIT;
	struct member m[MEMBERS];
	int status = -1;

	if (r->format == PT && end > UINT32_MAX - 4096) {
		err_set(e, ERR_INPUT, "%s: more than 4 GiB need .npy or .safetensors", r->path);
		goto out;
	}
	if (r->format == SAFETENSORS)
		head_safetensors(r, &head);
	else if (r->format == NPY)
		head_npy(r, &head);
	else {
		head_pt(r, &head, m);
		foot_pt(r, &foot, m);
	}
	if (buf_ok(&head, e) < 0 || buf_ok(&foot, e) < 0)
		goto out;
	if (head.len != HEADER)
		BUG("header of %zu bytes", head.len);
	if ((foot.len > 0 && write_at(r, end, foot.p, foot.len, e) < 0) ||
	    write_at(r, 0, head.p, head.len, e) < 0)
		goto out;
	if (ftruncate(r->fd, (off_t)(end + foot.len)) != 0 || fsync(r->fd) != 0)
		err_sys(e, ERR_IO, "%s", r->part);
	else if (rename(r->part, r->path) != 0)
		err_sys(e, ERR_CANTCREAT, "%s", r->path);
	else
		status = 0;
out:
	buf_finish(&head);
	buf_finish(&foot);
	return status;
}

int
rowfile_commit(struct rowfile *r, struct err *e)
{
	int status = finish(r, e);

	rowfile_close(r);
	return status;
}

void
rowfile_close(struct rowfile *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		close(r->fd);
	free(r->path);
	free(r->part);
	free(r);
}
