#include "trace/skeleton.h"

#include "fmt/jread.h"

#define ERRORS_TOLD 64

struct teller {
	int (*told)(void *, struct slice, struct slice);
	void *ctx;
};

bool
skeleton_is_otlp(struct slice key)
{
	return slice_is(key, "resourceSpans") || slice_is(key, "resource_spans") ||
		slice_is(key, "batches");
}

/* One error: {"code","msg","traceID"}, {"httpCode","message"}, or anything, as its text. */
static int
read_error(struct jread *r, const struct teller *t)
{
	struct slice key, msg = SLICE_NONE, id = SLICE_NONE;
	bool escaped;

	if (jread_peek(r) != JREAD_OBJECT)
		return jread_skip_raw(r, &msg) ? t->told(t->ctx, msg, id) : 0;
	jread_object(r);
	while (jread_member(r, &key)) {
		struct slice *to = slice_is(key, "msg") || slice_is(key, "message") ? &msg :
			slice_is(key, "traceID") ? &id : NULL;

		if (to != NULL && jread_peek(r) == JREAD_STRING)
			(void)jread_string_raw(r, to, &escaped);
		else
			(void)jread_skip(r);
	}
	return jread_well(r) ? t->told(t->ctx, msg, id) : 0;
}

static int
read_errors(struct jread *r, const struct teller *t)
{
	unsigned n = 0;

	if (jread_peek(r) == JREAD_NULL) {
		(void)jread_null(r);
		return 0;
	}
	if (jread_peek(r) != JREAD_ARRAY)
		return read_error(r, t);
	jread_array(r);
	while (jread_element(r)) {
		if (n++ >= ERRORS_TOLD)
			(void)jread_skip(r);
		else if (read_error(r, t) != 0)
			return -1;
	}
	return 0;
}

/* Members that make the text a trace document although no trace is in it. */
static bool
is_known(struct slice key)
{
	return slice_is(key, "data") || slice_is(key, "result") || slice_is(key, "trace") ||
		slice_is(key, "errors") || slice_is(key, "error") || slice_is(key, "partialSuccess") ||
		skeleton_is_otlp(key);
}

int
skeleton_read(const char *p, size_t n, struct skeleton *out,
	int (*told)(void *ctx, struct slice msg, struct slice trace_id), void *ctx)
{
	const struct teller t = { told, ctx };
	unsigned containers = 0, members = 0;
	struct slice key;
	struct jread r;

	*out = (struct skeleton){ NULL, false };
	jread_init(&r, p, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		(void)jread_skip(&r);
	else
		jread_object(&r);
	while (r.depth > 0 && jread_member(&r, &key)) {
		members++;
		out->known |= is_known(key);
		containers += slice_is(key, "data") || skeleton_is_otlp(key);
		if (!slice_is(key, "errors") && !slice_is(key, "error"))
			(void)jread_skip(&r);
		else if (read_errors(&r, &t) != 0)
			return -1;
	}
	out->known |= members == 0;
	if (jread_done(&r, NULL) < 0)
		out->why = r.why;
	else if (containers > 1)
		out->why = "two lists of traces in one document";
	return 0;
}
