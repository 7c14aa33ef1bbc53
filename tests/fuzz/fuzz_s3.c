/* Any bytes as what an S3 store answers: a list, an error, headers. The first byte chooses. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/s3err.h"
#include "net/s3head.h"
#include "net/s3list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
entry(void *ctx, const struct s3_entry *en, struct err *e)
{
	(void)e;
	*(size_t *)ctx += strlen(en->key) + strlen(en->etag);
	return 0;
}

static int
upload(void *ctx, const struct s3_upload *u, struct err *e)
{
	(void)e;
	*(size_t *)ctx += strlen(u->key) + strlen(u->id);
	return 0;
}

static int
part(void *ctx, const struct s3_part *p, struct err *e)
{
	(void)e;
	if (p->number < 1 || p->number > 10000)
		abort();
	*(size_t *)ctx += strlen(p->etag);
	return 0;
}

static void
list(const char *p, size_t n)
{
	size_t total = 0;
	struct s3list_page g = { .prefix = n % 2 == 0 ? "" : "p/", .on_entry = entry, .on_upload = upload,
		.on_part = part, .ctx = &total, .next = BUF_INIT, .next_id = BUF_INIT };
	struct err e = ERR_INIT;

	if (s3list_parse(&g, p, n, &e) < 0 && e.code != ERR_INPUT)
		abort();
	buf_finish(&g.next);
	buf_finish(&g.next_id);
}

static void
error(const char *p, size_t n)
{
	static const struct s3err_context c = { "GET s3://b/k", "us-east-1", "http://h", "text/html", 0 };
	struct s3head h = { .location = "x" };
	struct s3err s;
	struct err e = ERR_INIT;
	enum s3_outcome out;

	s3err_parse(p, n, &s);
	(void)s3err_transient(400, &s);
	out = s3err_outcome(n % 2 == 0 ? 400 : 301, &s, &h, &c, &e);
	if (out == S3_OK || (out != S3_NOT_MODIFIED && e.code == ERR_NONE))
		abort();
}

static void
headers(const char *p, size_t n)
{
	struct s3head h = { .total = UINT64_MAX };

	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t k = nl == NULL ? n : (size_t)(nl - p);

		s3head_line(&h, p, k);
		p += k + (nl != NULL);
		n -= k + (nl != NULL);
	}
	if (h.has_range && (h.last < h.first || h.total <= h.last))
		abort();
	if (h.etag[0] != '\0' && h.etag[0] != '"')
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its own, so that reading past the end shows. */
	char *p;

	if (size == 0 || (p = malloc(size)) == NULL)
		return 0;
	memcpy(p, data, size);
	if (p[0] == 'h')
		headers(p + 1, size - 1);
	else if (p[0] == 'e')
		error(p + 1, size - 1);
	else
		list(p + 1, size - 1);
	free(p);
	return 0;
}
