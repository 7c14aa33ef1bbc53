#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copy src into dst (cap bytes) with control bytes as \xHH; always terminated. */
static void
copy_visible(char *dst, size_t cap, const char *src)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (; *src != '\0'; src++) {
		unsigned char c = (unsigned char)*src;
		size_t need = c < 0x20 || c == 0x7f ? 4 : 1;

		if (n + need >= cap)
			break;
		if (need == 1) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = 'x';
		dst[n++] = hex[c >> 4];
		dst[n++] = hex[c & 15];
	}
	dst[n] = '\0';
}

static void
fill(struct err *e, enum err_code code, int sys, const char *fmt, va_list ap)
{
	char raw[sizeof e->msg];

	if (e == NULL)
		return;
	(void)vsnprintf(raw, sizeof raw, fmt, ap);
	e->code = code;
	e->sys = sys;
	copy_visible(e->msg, sizeof e->msg, raw);
}

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, enum err_code code, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	fill(e, code, sys, fmt, ap);
	va_end(ap);
	if (e != NULL) {
		n = strlen(e->msg);
		(void)snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerror(sys));
	}
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char ctx[sizeof e->msg], old[sizeof e->msg], joined[2 * sizeof e->msg + 4];
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(ctx, sizeof ctx, fmt, ap);
	va_end(ap);
	memcpy(old, e->msg, sizeof old);
	(void)snprintf(joined, sizeof joined, "%s: %s", ctx, old);
	copy_visible(e->msg, sizeof e->msg, joined);
	return -1;
}

int
err_nomem(struct err *e)
{
	return err_set(e, ERR_TEMPFAIL, "out of memory");
}

_Noreturn void
err_bug(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "llmr: bug at %s:%d: ", file, line);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	abort();
}
