#include "fmt/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define CHUNK 65536

struct csv {
	struct stream_in *in;
	size_t max;
	char chunk[CHUNK];
	size_t at, have;
	bool end, begun;
	uint64_t line;
	struct buf text;		/* fields of the row, unquoted, one after the other */
	size_t *stop;			/* where each field ends in text */
	size_t n, cap;
	struct slice *fields;
	size_t fields_cap;
};

struct csv *
csv_new(struct stream_in *in, size_t max_bytes, struct err *e)
{
	struct csv *c = mem_calloc(1, sizeof *c, e);

	if (c != NULL) {
		c->in = in;
		c->max = max_bytes;
		c->line = 1;
	}
	return c;
}

void
csv_free(struct csv *c)
{
	if (c == NULL)
		return;
	buf_finish(&c->text);
	free(c->stop);
	free(c->fields);
	free(c);
}

/* Next byte, -1 at the end, -2 on error. */
static int
peek(struct csv *c, struct err *e)
{
	if (c->at < c->have)
		return (unsigned char)c->chunk[c->at];
	if (c->end)
		return -1;
	if (stream_in_read(c->in, c->chunk, sizeof c->chunk, &c->have, e) < 0)
		return -2;
	c->at = 0;
	if (c->have == 0) {
		c->end = true;
		return -1;
	}
	if (!c->begun && c->have >= 3 && memcmp(c->chunk, "\xef\xbb\xbf", 3) == 0)
		c->at = 3;
	c->begun = true;
	return c->at < c->have ? (unsigned char)c->chunk[c->at] : peek(c, e);
}

static int
end_field(struct csv *c, struct err *e)
{
	if (mem_grow((void **)&c->stop, &c->cap, c->n + 1, sizeof *c->stop, e) < 0)
		return -1;
	c->stop[c->n++] = c->text.len;
	return 0;
}

/* One row's bytes into text and stop. 1 row, 0 end. */
static int
read_row(struct csv *c, uint64_t line, struct err *e)
{
	bool quoted = false, any = false;
	size_t from = c->text.len;	/* of the field */
	int ch;

	while ((ch = peek(c, e)) >= 0) {
		c->at++;
		if (c->text.len >= c->max)
			return err_set(e, ERR_INPUT, "line %llu: a row longer than %zu bytes",
				(unsigned long long)line, c->max);
		if (quoted) {
			if (ch == '\n')
				c->line++;
			if (ch != '"') {
				buf_byte(&c->text, ch);
			} else if (peek(c, e) == '"') {
				buf_byte(&c->text, '"');
				c->at++;
			} else {
				quoted = false;
			}
			continue;
		}
		if (ch == '"' && c->text.len == from) {
			quoted = any = true;
		} else if (ch == ',') {
			any = true;
			if (end_field(c, e) < 0)
				return -1;
			from = c->text.len;
		} else if (ch == '\n') {
			c->line++;
			break;
		} else if (ch != '\r' || peek(c, e) != '\n') {
			any = true;
			buf_byte(&c->text, ch);
		}
	}
	if (ch == -2)
		return -1;
	if (quoted)
		return err_set(e, ERR_INPUT, "line %llu: a quoted field is not closed",
			(unsigned long long)line);
	if (!any)
		return 0;
	return end_field(c, e) < 0 || buf_ok(&c->text, e) < 0 ? -1 : 1;
}

int
csv_next(struct csv *c, const struct slice **fields, size_t *n, uint64_t *line, struct err *e)
{
	size_t from = 0;
	int r;

	*fields = NULL;
	*n = 0;
	do {
		buf_reset(&c->text);
		c->n = 0;
		*line = c->line;
		r = read_row(c, *line, e);
	} while (r == 0 && !(c->end && c->at == c->have));
	if (r <= 0)
		return r;
	if (mem_grow((void **)&c->fields, &c->fields_cap, c->n, sizeof *c->fields, e) < 0)
		return -1;
	for (size_t i = 0; i < c->n; i++) {
		c->fields[i] = (struct slice){ buf_cstr(&c->text) + from, c->stop[i] - from };
		from = c->stop[i];
	}
	*fields = c->fields;
	*n = c->n;
	return 1;
}
