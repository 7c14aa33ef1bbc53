/* Any bytes as a gateway's logged call: a call, some other object, or one error; and what comes out is read again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "fmt/stream.h"
#include "net/tempoquery.h"
#include "trace/decode.h"
#include "trace/logpayload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
count(void *ctx, const struct span_batch *b, struct err *e)
{
	(void)e;
	*(size_t *)ctx += b->n;
	return 0;
}

static void
read_again(const struct buf *line)
{
	struct err e = ERR_INIT;
	size_t spans = 0;
	const struct decode_opts o = { .on_batch = count, .ctx = &spans };
	struct stream_in *in = stream_in_memory(line->p, line->len, &e);

	if (in == NULL || decode_stream(in, &o, NULL, &e) < 0 || spans != 1)
		abort();
	stream_in_close(in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct arena mem = ARENA_INIT;
	struct buf line = BUF_INIT;
	struct callspan c;
	struct temposearch s = { .v = NULL };
	const struct slice json = { (const char *)data, size };
	int r = logpayload_read(json, &mem, &c, &e);

	if (r < 0 && e.code != ERR_INPUT)
		abort();
	if (r > 0) {
		if (c.id.n == 0 || callspan_line(&c, "fuzz", &line, &e) < 0)
			abort();
		read_again(&line);
	}
	if (temposearch_parse(json.p, json.n, &s, &e) < 0 && e.code != ERR_INPUT)
		abort();
	temposearch_finish(&s);
	buf_finish(&line);
	arena_finish(&mem);
	return 0;
}
