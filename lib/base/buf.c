#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool
buf_reserve(struct buf *b, size_t n)
{
	void *p = b->p;

	if (b->failed)
		return false;
	if (n > SIZE_MAX - b->len - 1) {
		b->failed = true;
		return false;
	}
	if (b->len + n + 1 <= b->cap)
		return true;
	if (mem_grow(&p, &b->cap, b->len + n + 1, 1, NULL) < 0) {
		b->failed = true;
		return false;
	}
	b->p = p;
	return true;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return;
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void
buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_byte(struct buf *b, int c)
{
	/* Writers of text call this for every comma and quote. */
	if (b->cap - b->len > 1 || buf_reserve(b, 1)) {
		b->p[b->len++] = (char)c;
		b->p[b->len] = '\0';
	}
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	else if (buf_reserve(b, (size_t)n)) {
		(void)vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

static void
add_le(struct buf *b, uint64_t v, unsigned n)
{
	unsigned char x[8];

	for (unsigned i = 0; i < n; i++)
		x[i] = (unsigned char)(v >> (8 * i));
	buf_add(b, x, n);
}

void
buf_le32(struct buf *b, uint32_t v)
{
	add_le(b, v, 4);
}

void
buf_le64(struct buf *b, uint64_t v)
{
	add_le(b, v, 8);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void
buf_finish(struct buf *b)
{
	free(b->p);
	*b = (struct buf)BUF_INIT;
}

int
buf_ok(const struct buf *b, struct err *e)
{
	return b->failed ? err_nomem(e) : 0;
}

const char *
buf_cstr(const struct buf *b)
{
	return b->p == NULL ? "" : b->p;
}

char *
buf_take(struct buf *b, struct err *e)
{
	char *p;

	if (buf_ok(b, e) < 0)
		return NULL;
	p = b->p != NULL ? b->p : mem_dup("", 0, e);
	*b = (struct buf)BUF_INIT;
	return p;
}
