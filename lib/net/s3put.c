#include "net/s3put.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fmt/hash.h"

#define PIECE ((size_t)256 << 10)

int
s3put_hash_range(int fd, uint64_t offset, uint64_t n, uint8_t out[32], struct err *e)
{
	uint8_t *piece = mem_calloc(1, PIECE, e);
	struct sha256 h;
	int r = -1;

	if (piece == NULL)
		return -1;
	sha256_init(&h);
	while (n > 0) {
		ssize_t got = pread(fd, piece, n < PIECE ? (size_t)n : PIECE, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			err_sys(e, ERR_IO, "cannot read the file to upload");
			goto out;
		}
		if (got == 0) {
			err_set(e, ERR_INPUT, "the file to upload became shorter");
			goto out;
		}
		sha256_add(&h, piece, (size_t)got);
		offset += (uint64_t)got;
		n -= (uint64_t)got;
	}
	sha256_final(&h, out);
	r = 0;
out:
	free(piece);
	return r;
}

enum s3_outcome
s3put_digest(const struct s3_put *p, uint8_t out[32], struct err *e)
{
	if (p->sha256 != NULL) {
		memcpy(out, p->sha256, 32);
		return S3_OK;
	}
	if (p->fd < 0) {
		sha256_bytes(p->data, p->n, out);
		return S3_OK;
	}
	if (s3put_hash_range(p->fd, p->offset, p->size_bytes, out, e) == 0)
		return S3_OK;
	return e->code == ERR_INPUT ? S3_CHANGED : S3_FAILED;
}

ptrdiff_t
s3put_read(void *ctx, void *to, size_t n, uint64_t at, struct err *e)
{
	struct s3put_range *r = ctx;
	ssize_t got;

	do
		got = pread(r->fd, to, n, (off_t)(r->offset + at));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_sys(e, ERR_IO, "cannot read the file to upload");
	if (got == 0) {
		r->changed = true;
		return err_set(e, ERR_INPUT, "the file to upload became shorter");
	}
	if (r->p != NULL && r->p->on_bytes != NULL)
		r->p->on_bytes(r->p->ctx, at + (uint64_t)got);
	return got;
}

void
s3put_conditions(struct s3req *rq, const struct s3_put *p)
{
	if (p->if_match != NULL)
		s3req_header(rq, "if-match", p->if_match);
	if (p->if_absent)
		s3req_header(rq, "if-none-match", "*");
}

void
s3put_describe(struct s3req *rq, const struct s3_put *p, const char *hex, struct buf *names)
{
	size_t total = 0;

	s3req_header(rq, "content-type", p->content_type == NULL ? "application/octet-stream" : p->content_type);
	s3req_header(rq, "x-amz-meta-llmr-sha256", hex);
	for (size_t i = 0; i < p->n_meta; i++)
		total += strlen(p->meta[i]) + 16;
	if (!buf_reserve(names, total + 1))
		return;
	for (size_t i = 0; i < p->n_meta; i++) {
		const char *colon = strchr(p->meta[i], ':'), *value = colon == NULL ? "" : colon + 1;
		size_t n = colon == NULL ? strlen(p->meta[i]) : (size_t)(colon - p->meta[i]);
		char *name = names->p + names->len;

		buf_str(names, "x-amz-meta-");
		buf_add(names, p->meta[i], n);
		buf_byte(names, '\0');
		for (char *c = name; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
		while (*value == ' ')
			value++;
		s3req_header(rq, name, value);
	}
}

enum s3_outcome
s3put_whole(struct s3 *s, const struct s3_put *p, const uint8_t sha256[32], struct s3_info *info, struct err *e)
{
	struct s3put_range range = { .fd = p->fd, .offset = p->offset, .p = p };
	char hex[SIGV4_HEX], base64[S3HEAD_BASE64];
	struct s3req rq = { .method = "PUT", .key = p->key, .payload = hex, .ctx = &range };
	struct buf names = BUF_INIT;
	struct s3ans ans;
	enum s3_outcome out = S3_FAILED;

	hex_format(sha256, 32, hex);
	s3head_encode(sha256, base64);
	s3req_header(&rq, "x-amz-checksum-sha256", base64);
	s3put_describe(&rq, p, hex, &names);
	s3put_conditions(&rq, p);
	if (p->fd < 0) {
		rq.body = p->n == 0 ? "" : p->data;
		rq.n_body = p->n;
	} else if (p->size_bytes == 0) {
		rq.body = "";
	} else {
		rq.read = s3put_read;
		rq.n_body = p->size_bytes;
	}
	rq.expect_bytes = rq.n_body;
	if (buf_ok(&names, e) == 0)
		out = s3req_do(s, &rq, &ans, e);
	if (out == S3_OK || out == S3_PRECONDITION || out == S3_CONFLICT) {
		s3req_info(&ans, info);
		if (info != NULL && out == S3_OK) {
			info->size_bytes = rq.n_body;
			info->has_sha256 = true;
			memcpy(info->sha256, sha256, 32);
		}
	}
	if (out == S3_FAILED && range.changed)
		out = S3_CHANGED;
	buf_finish(&names);
	return out;
}
