#include "trace/join.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#define NONE UINT32_MAX
#define MAX_PAIRS ((size_t)1 << 22)	/* of calls and decisions compared in one trace */

/* What an item looks like in a buffer; model and line follow. */
struct packed {
	uint64_t trace[2], span, parent, start_ns, query;
	double performance;
	uint32_t kind, model_len;
	uint64_t line_len;
};

/* A waiting item; its text (model, line) is in memory or in the spill file. */
struct waiting {
	uint64_t span, parent, start_ns, query;
	double performance;
	char *text;			/* NULL: in a segment at offset */
	uint32_t segment, offset;
	uint32_t line_len, model_len;
	uint32_t next;			/* item of the same trace */
	uint32_t kind;
};

/* Spilled texts lie in files of about this size; one is closed when none of it waits. */
#define SEGMENT_BYTES ((uint32_t)16 << 20)

struct segment {
	int fd;
	uint32_t used, live;
};

struct open_trace {
	uint64_t id[2];
	uint32_t first, last;		/* items */
};

struct join {
	struct join_opts o;
	struct join_counts counts;
	struct waiting *items;
	size_t items_cap;
	uint32_t n_items, free_item;
	struct open_trace *ring;	/* [ring_cap] power of two, by sequence number */
	uint64_t head, tail;		/* oldest open, next to open */
	size_t ring_cap;
	uint32_t *slots;		/* sequence number + 1, low 32 bits, by trace id */
	size_t slots_cap;
	size_t memory;			/* bytes of waiting text in memory */
	struct segment *segments;
	size_t n_segments, segments_cap;
	struct buf scratch;
	struct arena arena;
};

void
join_put(struct buf *b, const struct join_item *it)
{
	struct packed p = {
		.trace = { it->trace[0], it->trace[1] }, .span = it->span, .parent = it->parent,
		.start_ns = it->start_ns, .query = it->query, .performance = it->performance,
		.kind = (uint32_t)it->kind, .model_len = (uint32_t)it->model.n,
		.line_len = it->line.n,
	};

	buf_add(b, &p, sizeof p);
	if (it->model.n > 0)
		buf_add(b, it->model.p, it->model.n);
	if (it->line.n > 0)
		buf_add(b, it->line.p, it->line.n);
}

bool
join_get(const char **at, const char *end, struct join_item *it)
{
	struct packed p;

	if ((size_t)(end - *at) < sizeof p)
		return false;
	memcpy(&p, *at, sizeof p);
	*it = (struct join_item){
		.kind = (enum join_kind)p.kind, .trace = { p.trace[0], p.trace[1] },
		.span = p.span, .parent = p.parent, .start_ns = p.start_ns, .query = p.query,
		.performance = p.performance,
		.model = { *at + sizeof p, p.model_len },
		.line = { *at + sizeof p + p.model_len, (size_t)p.line_len },
	};
	*at = it->line.p + it->line.n;
	return true;
}

/* How well a decision fits a call; 0 not at all. */
static unsigned
fit(const struct join_item *call, const struct join_item *d, bool only_call)
{
	const char *slash;
	struct slice bare;
	unsigned v = only_call ? 1 : 0;

	if (d->span == call->span)
		v += 64;
	else if (d->span == call->parent || d->parent == call->span)
		v += 32;
	else if (d->parent != 0 && d->parent == call->parent)
		v += 8;
	if (d->kind == JOIN_EVAL)
		return v;
	slash = call->model.n > 0 ? memchr(call->model.p, '/', call->model.n) : NULL;
	bare = slash == NULL ? call->model : (struct slice){ slash + 1,
		(size_t)(call->model.p + call->model.n - slash - 1) };
	if (call->model.n > 0 && slice_eq(call->model, d->model))
		v += 16;
	else if (bare.n > 0 && slice_eq(bare, d->model))
		v += 12;
	/* without any tie of span or model: the call that comes after the decision */
	if (v == 0 && call->start_ns >= d->start_ns)
		v = 1;
	return v;
}

void
join_match(struct join_item *calls, size_t n_calls, const struct join_item *others,
	size_t n_others, int *to)
{
	size_t most = n_calls > 0 ? MAX_PAIRS / n_calls : 0;

	for (size_t i = 0; i < n_others; i++) {
		unsigned best = 0;
		uint64_t best_gap = 0;

		to[i] = -1;
		if (i >= most)
			continue;
		for (size_t c = 0; c < n_calls; c++) {
			unsigned f = fit(&calls[c], &others[i], n_calls == 1);
			uint64_t a = calls[c].start_ns, b = others[i].start_ns;
			uint64_t gap = a > b ? a - b : b - a;

			if ((calls[c].taken & 1u << others[i].kind) != 0 || f == 0 || f < best || (f == best && gap >= best_gap))
				continue;
			best = f;
			best_gap = gap;
			to[i] = (int)c;
		}
		if (to[i] >= 0)
			calls[to[i]].taken |= 1u << others[i].kind;
	}
}

void
join_apply(struct record *call, const struct record *d)
{
	call->strategy_name = d->strategy_name;
	call->strategy_version = d->strategy_version;
	call->candidates = d->candidates;
	call->outcome_status = d->outcome_status;
	call->propensity = d->propensity;
	if (call->requested_model.n == 0)
		call->requested_model = d->requested_model;
	if (call->user.n == 0)
		call->user = d->user;
}

struct join *
join_new(const struct join_opts *o, struct err *e)
{
	struct join *j = mem_calloc(1, sizeof *j, e);

	if (j == NULL)
		return NULL;
	j->o = *o;
	j->free_item = NONE;
	return j;
}

void
join_free(struct join *j)
{
	if (j == NULL)
		return;
	for (uint64_t s = j->head; s < j->tail; s++) {
		uint32_t i = j->ring[s & (j->ring_cap - 1)].first;

		for (; i != NONE; i = j->items[i].next)
			free(j->items[i].text);
	}
	free(j->items);
	free(j->ring);
	free(j->slots);
	for (size_t i = 0; i < j->n_segments; i++) {
		if (j->segments[i].fd >= 0)
			(void)close(j->segments[i].fd);
	}
	free(j->segments);
	buf_finish(&j->scratch);
	arena_finish(&j->arena);
	free(j);
}

const struct join_counts *
join_counts(const struct join *j)
{
	return &j->counts;
}

static size_t
home(const struct join *j, const uint64_t id[2])
{
	return (size_t)map_hash(id, 16, 1) & (j->slots_cap - 1);
}

/* Slot that holds the trace, or the empty one where it would go. */
static size_t
find_slot(const struct join *j, const uint64_t id[2])
{
	size_t s = home(j, id);

	while (j->slots[s] != 0) {
		const struct open_trace *t = &j->ring[(j->slots[s] - 1) & (j->ring_cap - 1)];

		if (t->id[0] == id[0] && t->id[1] == id[1])
			break;
		s = (s + 1) & (j->slots_cap - 1);
	}
	return s;
}

/* Double the ring of open traces and their table. */
static int
grow(struct join *j, struct err *e)
{
	size_t cap = j->ring_cap > 0 ? 2 * j->ring_cap : 256;
	struct open_trace *ring = mem_calloc(cap, sizeof *ring, e);
	uint32_t *slots = mem_calloc(2 * cap, sizeof *slots, e);

	if (ring == NULL || slots == NULL) {
		free(ring);
		free(slots);
		return -1;
	}
	for (uint64_t s = j->head; s < j->tail; s++)
		ring[s & (cap - 1)] = j->ring[s & (j->ring_cap - 1)];
	free(j->ring);
	free(j->slots);
	j->ring = ring;
	j->slots = slots;
	j->ring_cap = cap;
	j->slots_cap = 2 * cap;
	for (uint64_t s = j->head; s < j->tail; s++) {
		size_t at = find_slot(j, ring[s & (cap - 1)].id);

		slots[at] = (uint32_t)(s & (cap - 1)) + 1;
	}
	return 0;
}

/* Remove a slot and move those behind it up (linear probing). */
static void
remove_slot(struct join *j, size_t s)
{
	size_t mask = j->slots_cap - 1, next = s;

	for (;;) {
		size_t want;

		j->slots[s] = 0;
		do {
			next = (next + 1) & mask;
			if (j->slots[next] == 0)
				return;
			want = home(j, j->ring[(j->slots[next] - 1) & (j->ring_cap - 1)].id);
		} while (((next - want) & mask) < ((next - s) & mask));
		j->slots[s] = j->slots[next];
		s = next;
	}
}

/* The text of a waiting item, from memory or file. */
static int
text_of(struct join *j, const struct waiting *w, char **out, struct err *e)
{
	size_t n = (size_t)w->model_len + w->line_len, got = 0;
	ssize_t r;

	if (w->text != NULL) {
		*out = w->text;
		return 0;
	}
	if ((*out = arena_alloc(&j->arena, n + 1, e)) == NULL)
		return -1;
	while (got < n) {
		r = pread(j->segments[w->segment].fd, *out + got, n - got,
			(off_t)(w->offset + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return err_sys(e, ERR_IO, "temporary file of the join window");
		got += (size_t)r;
	}
	return 0;
}

static int
unpack(struct join *j, const struct open_trace *t, const struct waiting *w, struct join_item *it,
	struct err *e)
{
	char *text;

	if (text_of(j, w, &text, e) < 0)
		return -1;
	*it = (struct join_item){
		.kind = (enum join_kind)w->kind, .trace = { t->id[0], t->id[1] },
		.span = w->span, .parent = w->parent, .start_ns = w->start_ns, .query = w->query,
		.performance = w->performance, .model = { text, w->model_len },
		.line = { text + w->model_len, w->line_len },
	};
	return 0;
}

/* Rewrite a call's line with what decisions and evaluations of its trace say. */
static int
rewrite(struct join *j, struct join_item *call, const struct join_item *d,
	const struct join_item *eval, struct err *e)
{
	struct record rec, dec;

	if (record_parse(call->line.p, call->line.n, &j->arena, &rec, e) < 0)
		return err_wrap(e, "join window");
	if (d != NULL) {
		if (record_parse(d->line.p, d->line.n, &j->arena, &dec, e) < 0)
			return err_wrap(e, "join window");
		join_apply(&rec, &dec);
	}
	if (eval != NULL && eval->performance >= 0 && eval->performance <= 1) {
		rec.performance = call->performance = eval->performance;
		if (eval->model.n > 0)
			rec.metric = eval->model;
	}
	buf_reset(&j->scratch);
	record_format(&rec, &j->scratch);
	call->line = (struct slice){ j->scratch.p, j->scratch.len };
	return buf_ok(&j->scratch, e);
}

struct group {
	struct join_item *v;
	size_t n;
};

static int
emit_trace(struct join *j, struct group calls, struct group others, int *to, struct err *e)
{
	join_match(calls.v, calls.n, others.v, others.n, to);
	for (size_t i = 0; i < others.n; i++) {
		if (others.v[i].kind == JOIN_DECISION)
			*(to[i] >= 0 ? &j->counts.joined : &j->counts.unjoined) += 1;
		else
			*(to[i] >= 0 ? &j->counts.evals : &j->counts.evals_unjoined) += 1;
	}
	for (size_t c = 0; c < calls.n; c++) {
		const struct join_item *d = NULL, *eval = NULL;

		for (size_t i = 0; i < others.n; i++) {
			if (to[i] == (int)c)
				*(others.v[i].kind == JOIN_EVAL ? &eval : &d) = &others.v[i];
		}
		if ((d != NULL || eval != NULL) && rewrite(j, &calls.v[c], d, eval, e) < 0)
			return -1;
		if (j->o.emit(j->o.ctx, &calls.v[c], e) < 0)
			return -1;
	}
	return 0;
}

/* Decisions and evaluations are matched apart: a call may have one of each. */
static int
split_and_emit(struct join *j, struct join_item *v, size_t n, struct err *e)
{
	struct group calls = { NULL, 0 }, others = { NULL, 0 };
	int *to = NULL;
	size_t decisions = 0;

	calls.v = arena_alloc(&j->arena, n * sizeof *v, e);
	others.v = arena_alloc(&j->arena, n * sizeof *v, e);
	to = arena_alloc(&j->arena, n * sizeof *to, e);
	if (calls.v == NULL || others.v == NULL || to == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (v[i].kind == JOIN_CALL)
			calls.v[calls.n++] = v[i];
		else if (v[i].kind == JOIN_DECISION)
			others.v[decisions++] = v[i];
	}
	others.n = decisions;
	for (size_t i = 0; i < n; i++) {
		if (v[i].kind == JOIN_EVAL)
			others.v[others.n++] = v[i];
	}
	return emit_trace(j, calls, others, to, e);
}

static void
drop_text(struct join *j, struct waiting *w)
{
	struct segment *s;

	if (w->text != NULL) {
		j->memory -= (size_t)w->model_len + w->line_len;
		free(w->text);
		w->text = NULL;
		return;
	}
	s = &j->segments[w->segment];
	if (--s->live == 0) {
		(void)close(s->fd);
		s->fd = -1;
	}
}

static int
close_oldest(struct join *j, struct err *e)
{
	struct open_trace t = j->ring[j->head & (j->ring_cap - 1)];
	struct join_item *v;
	size_t n = 0;
	uint32_t next;
	int r = -1;

	remove_slot(j, find_slot(j, t.id));
	j->head++;
	for (uint32_t i = t.first; i != NONE; i = j->items[i].next)
		n++;
	if ((v = arena_alloc(&j->arena, n * sizeof *v, e)) == NULL)
		goto out;
	n = 0;
	for (uint32_t i = t.first; i != NONE; i = j->items[i].next) {
		if (unpack(j, &t, &j->items[i], &v[n++], e) < 0)
			goto out;
	}
	r = split_and_emit(j, v, n, e);
out:
	for (uint32_t i = t.first; i != NONE; i = next) {
		struct waiting *w = &j->items[i];

		drop_text(j, w);
		next = w->next;
		w->next = j->free_item;
		j->free_item = i;
	}
	arena_reset(&j->arena);
	return r;
}

/* The segment that takes n bytes more: the last, or a new one. */
static struct segment *
segment_for(struct join *j, struct err *e)
{
	struct segment *last = j->n_segments > 0 ? &j->segments[j->n_segments - 1] : NULL;
	int fd;

	if (last != NULL && last->fd >= 0 && last->used < SEGMENT_BYTES)
		return last;
	if (mem_grow((void **)&j->segments, &j->segments_cap, j->n_segments + 1,
		    sizeof *j->segments, e) < 0 || (fd = io_tmpfile(e)) < 0)
		return NULL;
	j->segments[j->n_segments] = (struct segment){ fd, 0, 0 };
	return &j->segments[j->n_segments++];
}

static int
spill(struct join *j, struct waiting *w, const struct join_item *it, size_t n, struct err *e)
{
	struct segment *s = segment_for(j, e);

	if (s == NULL)
		return -1;
	if (n > UINT32_MAX - SEGMENT_BYTES)
		return err_set(e, ERR_INPUT, "a record of more than 4 GiB");
	if ((it->model.n > 0 && io_write_full(s->fd, it->model.p, it->model.n, e) < 0) ||
	    (it->line.n > 0 && io_write_full(s->fd, it->line.p, it->line.n, e) < 0))
		return err_wrap(e, "temporary file of the join window");
	w->segment = (uint32_t)(s - j->segments);
	w->offset = s->used;
	s->used += (uint32_t)n;
	s->live++;
	j->counts.spilled_bytes += n;
	return 0;
}

static int
store_text(struct join *j, struct waiting *w, const struct join_item *it, struct err *e)
{
	size_t n = it->model.n + it->line.n;

	if (j->memory + n > JOIN_MEMORY)
		return spill(j, w, it, n, e);
	if ((w->text = mem_calloc(n + 1, 1, e)) == NULL)
		return -1;
	if (it->model.n > 0)
		memcpy(w->text, it->model.p, it->model.n);
	if (it->line.n > 0)
		memcpy(w->text + it->model.n, it->line.p, it->line.n);
	j->memory += n;
	return 0;
}

static int
new_item(struct join *j, const struct join_item *it, uint32_t *out, struct err *e)
{
	struct waiting *w;
	uint32_t i = j->free_item;

	if (it->line.n > UINT32_MAX / 2)
		return err_set(e, ERR_INPUT, "a record of more than 2 GiB");
	if (i == NONE) {
		if (j->n_items == NONE - 1)
			return err_set(e, ERR_TEMPFAIL, "the join window holds too many spans");
		if (mem_grow((void **)&j->items, &j->items_cap, (size_t)j->n_items + 1,
			    sizeof *j->items, e) < 0)
			return -1;
		i = j->n_items++;
		j->items[i].next = NONE;
	}
	w = &j->items[i];
	j->free_item = w->next;
	*w = (struct waiting){
		.span = it->span, .parent = it->parent, .start_ns = it->start_ns,
		.query = it->query, .performance = it->performance,
		.line_len = (uint32_t)it->line.n, .model_len = (uint32_t)it->model.n,
		.next = NONE, .kind = (uint32_t)it->kind,
	};
	if (store_text(j, w, it, e) < 0) {
		w->next = j->free_item;
		j->free_item = i;
		return -1;
	}
	*out = i;
	return 0;
}

int
join_add(struct join *j, const struct join_item *it, struct err *e)
{
	struct open_trace *t;
	uint32_t i = NONE;
	size_t s;

	if (it->kind == JOIN_DONE)
		return j->o.emit(j->o.ctx, it, e);
	if (j->tail - j->head == j->ring_cap && grow(j, e) < 0)
		return -1;
	if (new_item(j, it, &i, e) < 0)
		return -1;
	s = find_slot(j, it->trace);
	if (j->slots[s] != 0) {
		t = &j->ring[(j->slots[s] - 1) & (j->ring_cap - 1)];
		j->items[t->last].next = i;
		t->last = i;
		return 0;
	}
	t = &j->ring[j->tail & (j->ring_cap - 1)];
	*t = (struct open_trace){ { it->trace[0], it->trace[1] }, i, i };
	j->slots[s] = (uint32_t)(j->tail & (j->ring_cap - 1)) + 1;
	j->tail++;
	while (j->tail - j->head > j->o.window) {
		if (close_oldest(j, e) < 0)
			return -1;
	}
	return 0;
}

int
join_flush(struct join *j, struct err *e)
{
	while (j->head < j->tail) {
		if (close_oldest(j, e) < 0)
			return -1;
	}
	return 0;
}
