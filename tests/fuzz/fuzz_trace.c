/*
 * Any bytes decode or give errors. What the filter delivers is what a reader of
 * every span would have kept, and what is written reads back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trace/decode.h"
#include "trace/otlpwrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const keys[] = { "gen_ai.*", "service" };
static const char *const markers[] = { "gen_ai.*", "llm", "ev*" };
static const struct span_want want = { keys, 2, markers, 3 };

struct tally {
	struct buf text;
	uint64_t spans, marked;
	unsigned bad;
};

static bool
is_marker(struct slice key)
{
	return slice_starts(key, "gen_ai.") || slice_is(key, "llm") || slice_starts(key, "ev");
}

static bool
any_marker(struct attrs a)
{
	for (size_t i = 0; i < a.n; i++)
		if (is_marker(a.v[i].key))
			return true;
	return false;
}

static int
on_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct tally *t = ctx;

	t->spans += b->n;
	for (size_t i = 0; i < b->n; i++) {
		const struct span *s = &b->spans[i];
		bool marked = any_marker(s->attrs);

		for (size_t k = 0; k < s->n_events; k++)
			marked |= is_marker(s->events[k].name) || any_marker(s->events[k].attrs);
		for (size_t k = 0; k < s->n_links; k++)
			marked |= any_marker(s->links[k].attrs);
		t->marked += marked;
	}
	return otlpwrite_line(b->spans, b->n, &t->text, e);
}

static int
on_bad(void *ctx, const struct err *what, struct err *e)
{
	struct tally *t = ctx;

	(void)e;
	/* Unavailable: what a server said about itself in its answer. */
	if (what->code != ERR_INPUT && what->code != ERR_UNAVAILABLE)
		abort();
	t->bad++;
	return 0;
}

static int
run(struct tally *t, const void *p, size_t n, const struct span_want *w, enum trace_format format)
{
	struct decode_opts o = { .format = format, .want = w, .on_batch = on_batch, .on_bad = on_bad,
		.ctx = t, .max_piece_bytes = 1 << 20 };
	struct err e = ERR_INIT;
	struct stream_in *in = stream_in_memory(p, n, &e);
	int rc;

	*t = (struct tally){ .text = BUF_INIT };
	if (in == NULL)
		return -1;
	rc = decode_stream(in, &o, NULL, &e);
	if (rc < 0 && (e.code == ERR_NONE || e.msg[0] == '\0'))
		abort();
	stream_in_close(in);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tally all, some, again;
	enum trace_format format = n > 0 && data[0] == '\n' ? TRACE_OTLP_PROTOBUF : TRACE_AUTO;
	int rc = run(&all, data, n, NULL, format);

	/* Where all could be read, the filter finds the same. */
	if (run(&some, data, n, &want, format) == 0 && rc == 0 && all.bad == 0 && some.bad == 0 &&
	    some.spans != all.marked)
		abort();
	if (all.text.len > 0) {
		if (run(&again, all.text.p, all.text.len, NULL, TRACE_OTLP_JSONL) < 0 || again.bad > 0 ||
		    again.spans != all.spans)
			abort();
		buf_finish(&again.text);
	}
	buf_finish(&all.text);
	buf_finish(&some.text);
	return 0;
}
