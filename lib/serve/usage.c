#define _GNU_SOURCE	/* memmem */
#include "serve/usage.h"

#include <string.h>

#include "fmt/jread.h"

void
usage_init(struct usage *u, bool stream)
{
	*u = (struct usage){ .stream = stream };
}

void
usage_finish(struct usage *u)
{
	buf_finish(&u->line);
}

static void
count(struct jread *r, double *to)
{
	if (jread_peek(r) == JREAD_NUMBER)
		(void)jread_double(r, to);
	else
		(void)jread_skip(r);
}

static void
read_usage(struct usage *u, struct jread *r)
{
	struct slice key;

	if (jread_peek(r) != JREAD_OBJECT) {
		(void)jread_skip(r);
		return;
	}
	(void)jread_object(r);
	while (jread_member(r, &key)) {
		if (slice_is(key, "prompt_tokens") || slice_is(key, "input_tokens"))
			count(r, &u->prompt_tokens);
		else if (slice_is(key, "completion_tokens") || slice_is(key, "output_tokens"))
			count(r, &u->completion_tokens);
		else if (slice_is(key, "total_tokens"))
			count(r, &u->total_tokens);
		else
			(void)jread_skip(r);
	}
}

void
usage_read(struct usage *u, const char *p, size_t n)
{
	struct jread r;
	struct slice key;

	jread_init(&r, p, n);
	if (jread_peek(&r) != JREAD_OBJECT || !jread_object(&r))
		return;
	while (jread_member(&r, &key)) {
		if (slice_is(key, "usage"))
			read_usage(u, &r);
		else
			(void)jread_skip(&r);
	}
	if (u->total_tokens <= 0)
		u->total_tokens = u->prompt_tokens + u->completion_tokens;
}

static void
whole_line(struct usage *u)
{
	const char *p = u->line.p;
	size_t n = u->line.len;

	if (n > 0 && p[n - 1] == '\r')
		n--;
	if (!u->overlong && n >= 5 && memcmp(p, "data:", 5) == 0) {
		p += 5;
		n -= 5;
		if (n > 0 && *p == ' ') {
			p++;
			n--;
		}
		u->events++;
		if (n == 6 && memcmp(p, "[DONE]", 6) == 0)
			u->done = true;
		else if (memmem(p, n, "\"usage\"", 7) != NULL)
			usage_read(u, p, n);
	}
	buf_reset(&u->line);
	u->overlong = false;
}

void
usage_feed(struct usage *u, const char *p, size_t n)
{
	while (n > 0) {
		const char *end = memchr(p, '\n', n);
		size_t k = end == NULL ? n : (size_t)(end - p);

		if (u->line.len + k > USAGE_MAX_LINE)
			u->overlong = true;
		else
			buf_add(&u->line, p, k);
		if (end != NULL) {
			whole_line(u);
			k++;
		}
		p += k;
		n -= k;
	}
}
