#include "net/spendjoin.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trace/callspan.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

#define ASK_IDS 500
#define ASK_BYTES ((size_t)4 << 20)
#define SLACK_US INT64_C(60000000)

/* A row kept until its spans have been written; its texts are in the arena. */
struct row {
	struct callspan c;
};

struct run {
	const struct spendjoin_opts *o;
	struct spendjoin_stats *st;
	struct buf lines, line;		/* waiting, as they came; being written */
	struct arena ids, texts, attrs;
	struct slice *id;
	size_t n_ids, ids_cap;
	struct row *rows;		/* sorted by id */
	size_t n_rows, rows_cap;
	struct span *spans;		/* scratch */
	size_t spans_cap;
};

/* --- rows --- */

static int
copy_text(struct arena *mem, struct slice *s, struct err *e)
{
	if (s->n == 0) {
		*s = SLICE_NONE;
		return 0;
	}
	return (s->p = arena_dup(mem, s->p, s->n, e)) == NULL ? -1 : 0;
}

static int
keep_row(void *ctx, const struct callspan *c, struct err *e)
{
	struct run *r = ctx;
	void *v = r->rows;
	struct callspan *k;

	if (mem_grow(&v, &r->rows_cap, r->n_rows + 1, sizeof *r->rows, e) < 0)
		return -1;
	r->rows = v;
	k = &r->rows[r->n_rows].c;
	*k = *c;
	k->response = SLICE_NONE;	/* not what a join adds */
	struct slice *texts[] = { &k->id, &k->call_type, &k->model, &k->provider, &k->group, &k->messages,
		&k->request, &k->error_type, &k->error_code, &k->error_message, &k->user, &k->session, &k->tags };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (copy_text(&r->texts, texts[i], e) < 0)
			return -1;
	}
	r->n_rows++;
	return 0;
}

static int
compare(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return d != 0 ? d : (a.n > b.n) - (a.n < b.n);
}

static int
by_id(const void *x, const void *y)
{
	return compare(((const struct row *)x)->c.id, ((const struct row *)y)->c.id);
}

static const struct callspan *
look_up(const struct run *r, struct slice id)
{
	struct row key = { .c = { .id = id } };
	const struct row *row = r->n_rows == 0 ? NULL :
		bsearch(&key, r->rows, r->n_rows, sizeof *r->rows, by_id);

	return row == NULL ? NULL : &row->c;
}

static bool
same_time(const struct callspan *c, const struct span *s)
{
	int64_t from = (int64_t)(s->start_ns / 1000), to = (int64_t)(s->end_ns / 1000);

	if (c->start_us == CALLSPAN_NO_INT || s->start_ns == 0)
		return true;
	if (to < from)
		to = from;
	return c->start_us <= to + SLACK_US &&
		(c->end_us == CALLSPAN_NO_INT ? c->start_us : c->end_us) >= from - SLACK_US;
}

/* --- the second look at the lines: write them with what the rows say --- */

static int
enrich(struct run *r, struct span *s, struct err *e)
{
	struct slice ids[2];
	size_t n = callspan_ids_of(s, ids);
	bool other = false;

	r->st->calls += n > 0;
	for (size_t i = 0; i < n; i++) {
		const struct callspan *c = look_up(r, ids[i]);

		if (c == NULL)
			continue;
		if (!same_time(c, s)) {
			other = true;
			continue;
		}
		r->st->joined++;
		return callspan_enrich(c, s, &r->attrs, e);
	}
	r->st->other_time += other;
	return 0;
}

static int
write_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct run *r = ctx;
	void *v = r->spans;

	if (b->n == 0)
		return 0;
	if (mem_grow(&v, &r->spans_cap, b->n, sizeof *r->spans, e) < 0)
		return -1;
	r->spans = v;
	memcpy(r->spans, b->spans, b->n * sizeof *r->spans);
	arena_reset(&r->attrs);
	for (size_t i = 0; i < b->n; i++) {
		if (enrich(r, &r->spans[i], e) < 0)
			return -1;
	}
	buf_reset(&r->line);
	if (otlpwrite_line(r->spans, b->n, &r->line, e) < 0)
		return -1;
	r->st->lines++;
	r->st->spans += b->n;
	return r->o->on_lines(r->o->ctx, r->line.p, r->line.len, e);
}

static int
flush(struct run *r, struct err *e)
{
	struct decode_opts d = { .format = TRACE_OTLP_JSONL, .on_batch = write_batch, .ctx = r,
		.cancel = r->o->cancel, .max_piece_bytes = SIZE_MAX / 4 };
	struct stream_in *in;
	int out;

	if (r->lines.len == 0)
		return 0;
	r->n_rows = 0;
	arena_reset(&r->texts);
	if (r->n_ids > 0 && spendlogs_find(r->o->log, r->id, r->n_ids, keep_row, r, e) < 0)
		return -1;
	if (r->n_rows > 0)
		qsort(r->rows, r->n_rows, sizeof *r->rows, by_id);
	if ((in = stream_in_memory(r->lines.p, r->lines.len, e)) == NULL)
		return -1;
	out = decode_stream(in, &d, NULL, e);
	stream_in_close(in);
	buf_reset(&r->lines);
	r->n_ids = 0;
	arena_reset(&r->ids);
	return out;
}

/* --- the first look: gather lines and ids --- */

static int
note_ids(struct run *r, const struct span *s, struct err *e)
{
	struct slice ids[2];
	size_t n = callspan_ids_of(s, ids);
	void *v = r->id;

	if (mem_grow(&v, &r->ids_cap, r->n_ids + n, sizeof *r->id, e) < 0)
		return -1;
	r->id = v;
	for (size_t i = 0; i < n; i++) {
		if (copy_text(&r->ids, &ids[i], e) < 0)
			return -1;
		r->id[r->n_ids++] = ids[i];
	}
	return 0;
}

static int
gather(void *ctx, const struct span_batch *b, struct err *e)
{
	struct run *r = ctx;

	if (b->n == 0)
		return 0;
	for (size_t i = 0; i < b->n; i++) {
		if (note_ids(r, &b->spans[i], e) < 0)
			return -1;
	}
	if (otlpwrite_line(b->spans, b->n, &r->lines, e) < 0)
		return -1;
	return r->n_ids >= ASK_IDS || r->lines.len >= ASK_BYTES ? flush(r, e) : 0;
}

static int
pass_bad(void *ctx, const struct err *what, struct err *e)
{
	struct run *r = ctx;

	return r->o->on_bad(r->o->ctx, what, e);
}

int
spendjoin_run(const struct spendjoin_opts *o, struct stream_in *in, struct spendjoin_stats *st, struct err *e)
{
	struct run r = { .o = o, .st = st };
	struct decode_opts d = { .on_batch = gather, .ctx = &r, .cancel = o->cancel,
		.max_piece_bytes = o->max_trace_bytes };
	int out;

	if (o->on_bad != NULL)
		d.on_bad = pass_bad;
	out = decode_stream(in, &d, NULL, e);
	if (out == 0)
		out = flush(&r, e);
	buf_finish(&r.lines);
	buf_finish(&r.line);
	arena_finish(&r.ids);
	arena_finish(&r.texts);
	arena_finish(&r.attrs);
	free(r.id);
	free(r.rows);
	free(r.spans);
	return out;
}
