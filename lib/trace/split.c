#include "trace/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/jread.h"
#include "trace/skeleton.h"

#define CHUNK_BYTES ((size_t)256 * 1024)
#define BATCH_BYTES ((size_t)JSCAN_BATCH * JSCAN_BLOCK)
#define SLACK_BYTES (BATCH_BYTES + JSCAN_BLOCK + JSCAN_AHEAD)
#define PIECE_DEFAULT ((size_t)256 << 20)
#define PIECE_LIMIT ((size_t)2 << 30)		/* places in a chunk are 32 bits */
#define SKELETON_LIMIT ((size_t)16 << 20)
#define MAX_DEPTH JREAD_MAX_DEPTH

enum step { STEP_ON, STEP_RESTART, STEP_FAILED };

struct splitter {
	struct stream_in *in;
	const struct want *want;
	const struct jscan_marks *marks;
	enum jscan_level level;
	size_t max_piece;

	struct chunk *c;
	size_t pos;			/* next byte of the text to scan */
	size_t mark;			/* where the piece, or what lies between pieces, begins */
	uint64_t base;			/* stream offset of the text's first byte */
	bool eof, high;
	size_t high_from, high_to;	/* places of the batch's bytes above 0x7f, when high */
	struct jscan_state js;
	struct jscan_found found;

	unsigned char stack[MAX_DEPTH + 2];	/* open brackets, from 1 on */
	unsigned depth;
	unsigned piece_depth;		/* depth inside a piece's own brackets; 0 not known */
	unsigned span_depth;		/* depth inside a span's own brackets; 0 not known */
	enum piece_kind doc_kind;	/* of the container's elements */
	enum piece_kind seen;		/* of the latest document that told */
	unsigned seen_depth;
	bool container_open;		/* the array whose elements are pieces */
	bool undecided;			/* the root may be a piece itself */
	bool in_piece, discard, span_open, hit;
	struct piece cur;
	size_t span_first;		/* of the open span in the index */
	size_t doc_pieces;

	struct buf skel;		/* the document with {} for its pieces */
	size_t skel_piece;		/* its length right behind the last {}, 0 none */
	uint64_t doc_start;

	bool lines, skip_line, had_doc, doc_newline;
	uint64_t line;
	size_t newline_from;		/* newlines before this place are not in the document */

	struct buf carry;		/* text not yet handed on */
	uint32_t *carry_index;
	size_t carry_n, carry_cap;
	struct err failed;
};

void
chunk_finish(struct chunk *c)
{
	free(c->text);
	free(c->index);
	free(c->pieces);
	free(c->notes);
	*c = (struct chunk){ 0 };
}

/* Detection of JSON Lines whose first line may be broken: two lines begin with the same member. */
static bool
looks_like_lines(const char *p, size_t n)
{
	const char *nl = n > 0 ? memchr(p, '\n', n) : NULL;
	const char *colon = nl == NULL ? NULL : memchr(p, ':', (size_t)(nl - p));
	size_t k;

	if (colon == NULL || p[0] != '{' || p[1] != '"')
		return false;
	k = (size_t)(colon - p) + 1;
	return n - (size_t)(nl + 1 - p) >= k && memcmp(p, nl + 1, k) == 0;
}

struct splitter *
split_new(struct stream_in *in, const void *head, size_t n, const struct want *want,
	size_t max_piece, enum jscan_level level, struct err *e)
{
	struct splitter *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->in = in;
	s->want = want;
	s->marks = want_marks(want);
	s->level = level;
	s->max_piece = max_piece == 0 ? PIECE_DEFAULT : max_piece;
	if (s->max_piece > PIECE_LIMIT)
		s->max_piece = PIECE_LIMIT;
	s->lines = looks_like_lines(head, n);
	s->line = s->lines ? 1 : 0;
	buf_add(&s->carry, head, n);
	if (buf_ok(&s->carry, e) < 0) {
		split_free(s);
		return NULL;
	}
	return s;
}

void
split_free(struct splitter *s)
{
	if (s == NULL)
		return;
	buf_finish(&s->skel);
	buf_finish(&s->carry);
	free(s->carry_index);
	free(s);
}

enum trace_format
split_format(const struct splitter *s)
{
	if (s->seen == PIECE_JAEGER)
		return TRACE_JAEGER;
	if (s->seen == PIECE_UNKNOWN)
		return TRACE_AUTO;
	if (s->lines)
		return TRACE_OTLP_JSONL;
	return s->seen_depth > 3 ? TRACE_OTLP_V3 : TRACE_OTLP_JSON;
}

void
split_set_lines(struct splitter *s)
{
	s->lines = true;
	s->line = 1;
}

static int
chunk_reserve(struct chunk *c, size_t text, size_t index, struct err *e)
{
	void *p = c->text;

	if (text > c->cap) {
		if ((p = mem_realloc(p, text, 1, e)) == NULL)
			return -1;
		c->text = p;
		c->cap = text;
	}
	p = c->index;
	if (mem_grow(&p, &c->index_cap, index, sizeof *c->index, e) < 0)
		return -1;
	c->index = p;
	return 0;
}

static int
add_piece(struct chunk *c, const struct piece *x, struct err *e)
{
	void *p = c->pieces;

	if (mem_grow(&p, &c->pieces_cap, c->n_pieces + 1, sizeof *c->pieces, e) < 0)
		return -1;
	c->pieces = p;
	c->pieces[c->n_pieces++] = *x;
	return 0;
}

static int
add_note(struct chunk *c, const struct err *what, struct err *e)
{
	void *p = c->notes;

	if (mem_grow(&p, &c->notes_cap, c->n_notes + 1, sizeof *c->notes, e) < 0)
		return -1;
	c->notes = p;
	c->notes[c->n_notes++] = (struct note){ c->n_pieces, *what };
	return 0;
}

/* Text from mark to end belongs to no piece: it goes to the skeleton. */
static void
flush_gap(struct splitter *s, size_t end)
{
	if (end > s->mark)
		buf_add(&s->skel, s->c->text + s->mark, end - s->mark);
	s->mark = end;
}

static void
reset_document(struct splitter *s)
{
	s->depth = 0;
	s->in_piece = s->discard = s->span_open = s->undecided = s->container_open = false;
	s->piece_depth = s->span_depth = 0;
	s->doc_kind = PIECE_UNKNOWN;
	s->doc_pieces = 0;
	s->doc_newline = false;
	s->js = (struct jscan_state){ 0 };
	buf_reset(&s->skel);
	s->skel_piece = 0;
}

/*
 * The document is broken at place `at` of the text. In JSON Lines that is one
 * bad line, and the next is read; else it is the end.
 */
static enum step
broken(struct splitter *s, size_t at, const char *why)
{
	struct err what = ERR_INIT;
	unsigned long long place = (unsigned long long)(s->base + at);

	if (!s->lines) {
		err_set(&s->failed, ERR_INPUT, "byte %llu: %s", place, why);
		return STEP_FAILED;
	}
	err_set(&what, ERR_INPUT, "line %llu (byte %llu): %s", (unsigned long long)s->line, place, why);
	if (add_note(s->c, &what, &s->failed) < 0)
		return STEP_FAILED;
	if (s->in_piece)
		s->c->n_index = s->cur.first;
	reset_document(s);
	s->pos = at;
	s->skip_line = true;
	return STEP_RESTART;
}

static bool
blank(const char *p, size_t n)
{
	return slice_trim((struct slice){ p, n }).n == 0;
}

/* The member name before the bracket at place i, looked up backwards. SLICE_NONE in an array. */
static struct slice
key_before(const struct splitter *s, size_t i)
{
	const char *t = s->c->text, *low = t + s->mark, *p = t + i, *end;

	while (p > low && (p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\r' || p[-1] == '\t'))
		p--;
	if (p == low || p[-1] != ':')
		return SLICE_NONE;
	p--;
	while (p > low && (p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\r' || p[-1] == '\t'))
		p--;
	if (p == low || p[-1] != '"')
		return SLICE_NONE;
	end = --p;
	while (p > low && p[-1] != '"')
		p--;
	return (struct slice){ p, (size_t)(end - p) };
}

/* The batch's bytes above 0x7f may be the piece's: places are kept from its start. */
static void
note_high(struct splitter *s)
{
	size_t from = s->high_from > s->mark ? s->high_from - s->mark : 0;

	if (!s->high || s->high_to <= s->mark)
		return;
	if (s->cur.high_to == 0 || from < s->cur.high_from)
		s->cur.high_from = from;
	s->cur.high_to = s->high_to - s->mark;
}

static void
set_kind(struct splitter *s, enum piece_kind kind)
{
	s->cur.kind = kind;
	s->span_depth = kind == PIECE_UNKNOWN ? 0 : s->piece_depth + (kind == PIECE_JAEGER ? 2 : 4);
}

static enum step
begin_piece(struct splitter *s, size_t i, enum piece_kind kind)
{
	struct slice gap;

	flush_gap(s, i);
	if (s->skel.failed || s->skel.len > SKELETON_LIMIT)
		return broken(s, i, "more than 16 MiB outside of traces");
	gap = (struct slice){ s->skel.p + s->skel_piece, s->skel.len - s->skel_piece };
	if (s->skel_piece > 0 && slice_is(slice_trim(gap), ","))
		s->skel.len = s->skel_piece;
	else {
		if (s->skel_piece > 0)
			return broken(s, i, "a comma is missing between two traces");
		buf_str(&s->skel, "{}");
		s->skel_piece = s->skel.len;
	}
	s->in_piece = true;
	s->discard = s->span_open = s->hit = false;
	s->cur = (struct piece){ .first = s->c->n_index, .line = s->line, .offset = s->base + i };
	set_kind(s, kind);
	note_high(s);
	s->c->index[s->c->n_index++] = (uint32_t)i;
	return STEP_ON;
}

static enum step
begin_document(struct splitter *s, size_t i)
{
	const char *t = s->c->text;

	if (!s->lines && s->had_doc && !s->doc_newline) {
		/* The first document was one line: from here on it is JSON Lines. */
		uint64_t n = 0;

		flush_gap(s, i);
		for (size_t k = 0; k < s->skel.len; k++)
			n += s->skel.p[k] == '\n';
		if (n > 0 && blank(buf_cstr(&s->skel), s->skel.len)) {
			s->lines = true;
			s->line = 1 + n;
			reset_document(s);
			s->pos = i;
			return STEP_RESTART;
		}
	}
	s->doc_newline = false;
	s->newline_from = i - s->pos;
	s->doc_start = s->base + i;
	if (t[i] == '{') {
		/* Perhaps a trace by itself. Its beginning must not be lost: a piece, for now. */
		flush_gap(s, i);
		s->skel_piece = 0;
		s->undecided = true;
		s->piece_depth = 1;
		s->in_piece = true;
		s->discard = s->span_open = s->hit = false;
		s->cur = (struct piece){ .first = s->c->n_index, .line = s->line, .offset = s->base + i };
		set_kind(s, PIECE_UNKNOWN);
		note_high(s);
		s->c->index[s->c->n_index++] = (uint32_t)i;
		return STEP_ON;
	}
	s->piece_depth = 2;
	s->container_open = true;
	return STEP_ON;
}

/* An array opens in an undecided document: is it the one that holds the pieces? */
static bool
find_container(struct splitter *s, size_t i)
{
	struct slice key = key_before(s, i);
	enum piece_kind kind = PIECE_UNKNOWN;

	if (s->depth == 2 && slice_is(key, "data"))
		kind = PIECE_JAEGER;
	else if (s->depth <= 4 && skeleton_is_otlp(key))
		kind = PIECE_OTLP;
	if (kind == PIECE_UNKNOWN)
		return false;
	s->undecided = s->in_piece = false;
	s->c->n_index = s->cur.first;
	flush_gap(s, i + 1);
	s->container_open = true;
	s->piece_depth = s->depth + 1;
	s->doc_kind = s->seen = kind;
	s->seen_depth = s->piece_depth;
	return true;
}

/* The first bracket inside a piece of unknown kind tells by its member's name. */
static void
learn_kind(struct splitter *s, size_t i)
{
	struct slice key = key_before(s, i);
	enum piece_kind kind = PIECE_UNKNOWN;

	if (slice_is(key, "spans") || slice_is(key, "processes"))
		kind = PIECE_JAEGER;
	else if (slice_is(key, "resource") || slice_is(key, "scopeSpans") ||
	    slice_is(key, "scope_spans") || slice_is(key, "instrumentationLibrarySpans"))
		kind = PIECE_OTLP;
	if (kind == PIECE_UNKNOWN)
		return;
	s->undecided = false;
	s->seen = kind;
	s->seen_depth = s->piece_depth;
	set_kind(s, kind);
}

/* An opening bracket at place i, already on the stack, near the top of the document. */
static enum step
open_low(struct splitter *s, size_t i)
{
	if (s->depth == 1)
		return begin_document(s, i);
	if (!s->in_piece) {
		if (s->container_open && s->depth == s->piece_depth)
			return begin_piece(s, i, s->doc_kind);
		return STEP_ON;
	}
	if (s->undecided && s->c->text[i] == '[' && find_container(s, i))
		return STEP_ON;
	if (s->cur.kind == PIECE_UNKNOWN && s->depth == s->piece_depth + 1)
		learn_kind(s, i);
	if (s->depth == s->span_depth && s->stack[s->depth - 1] == '[' && !s->discard) {
		s->span_open = true;
		s->span_first = s->c->n_index - 1;
		s->hit = false;
	}
	return STEP_ON;
}

/* The document itself reports an error: a note of its own kind. */
static int
note_told(void *ctx, struct slice msg, struct slice id)
{
	struct splitter *s = ctx;
	unsigned long long at = s->lines ? (unsigned long long)s->line : (unsigned long long)s->doc_start;
	struct err note = ERR_INIT;

	err_set(&note, ERR_UNAVAILABLE, "%s %llu: the server reports an error: %.*s%s%.*s",
		s->lines ? "line" : "document at byte", at, (int)(msg.n < 200 ? msg.n : 200),
		msg.p == NULL ? "" : msg.p, id.n > 0 ? ", trace " : "", (int)(id.n < 64 ? id.n : 64),
		id.p == NULL ? "" : id.p);
	return add_note(s->c, &note, &s->failed);
}

/* What lies outside of the pieces must be JSON; errors in it are told. */
static enum step
check_skeleton(struct splitter *s, size_t at)
{
	struct skeleton k;
	char why[160];

	if (s->skel.failed) {
		err_nomem(&s->failed);
		return STEP_FAILED;
	}
	if (skeleton_read(buf_cstr(&s->skel), s->skel.len, &k, note_told, s) < 0)
		return STEP_FAILED;
	if (k.why != NULL) {
		(void)snprintf(why, sizeof why, "malformed outside of its traces: %.100s", k.why);
		return broken(s, at, why);
	}
	if (!k.known && s->doc_pieces == 0)
		return broken(s, at, "not a trace document: none of data, resourceSpans, spans is in it");
	return STEP_ON;
}

/* A newline stands between two places of the batch. */
static bool
newline_between(const struct splitter *s, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		size_t b = i / JSCAN_BLOCK;

		if ((s->found.low >> b & 1) != 0 && (s->found.newline[b] >> (i % JSCAN_BLOCK) & 1) != 0)
			return true;
	}
	return false;
}

static enum step
end_document(struct splitter *s, size_t i)
{
	bool newline = s->doc_newline || (s->found.low != 0 && !s->lines &&
		newline_between(s, s->newline_from, i - s->pos));
	enum step step;

	flush_gap(s, i + 1);
	step = check_skeleton(s, i);
	if (step != STEP_ON)
		return step;
	s->had_doc = true;
	{
		struct jscan_state js = s->js;

		reset_document(s);
		s->js = js;
	}
	s->doc_newline = newline;
	return STEP_ON;
}

static enum step
end_piece(struct splitter *s, size_t i)
{
	s->in_piece = false;
	if (s->undecided) {
		s->c->n_index = s->cur.first;
		s->undecided = false;
		if (s->discard) {
			s->mark = i;
			buf_byte(&s->skel, '{');
		}
		return STEP_ON;
	}
	if (s->depth == 0)
		buf_str(&s->skel, "{}");	/* the root is the piece */
	s->doc_pieces++;
	if (!s->discard) {
		s->cur.start = s->mark;
		s->cur.end = i + 1;
		s->cur.n_index = s->c->n_index - s->cur.first;
		if (add_piece(s->c, &s->cur, &s->failed) < 0)
			return STEP_FAILED;
	}
	s->discard = false;
	s->mark = i + 1;
	return STEP_ON;
}

/* A closing bracket at place i, already off the stack, near the top of the document. */
static enum step
close_low(struct splitter *s, size_t i)
{
	enum step step = STEP_ON;

	if (s->in_piece) {
		if (s->depth + 1 == s->piece_depth)
			step = end_piece(s, i);
		else if (s->span_open && s->depth + 1 == s->span_depth) {
			s->span_open = false;
			if (!s->hit && s->marks != NULL) {
				s->c->n_index = s->span_first + 1;
				s->c->index[s->c->n_index++] = (uint32_t)i;
			}
		}
	} else if (s->container_open && s->depth + 2 == s->piece_depth)
		s->container_open = false;
	if (step == STEP_ON && s->depth == 0)
		return end_document(s, i);
	return step;
}

/* A control byte inside a string, or (in JSON Lines) a newline anywhere. */
static enum step
low_byte(struct splitter *s, size_t i, bool in_string)
{
	if (s->lines && s->c->text[i] == '\n') {
		if (s->depth > 0 || in_string)
			return broken(s, i, "the line ends inside its JSON text");
		flush_gap(s, i);
		if (!blank(buf_cstr(&s->skel), s->skel.len))
			return broken(s, i, "not a trace document");
		buf_reset(&s->skel);
		s->line++;
		return STEP_ON;
	}
	if (in_string && s->in_piece && s->cur.control == 0)
		s->cur.control = i - s->mark + 1;
	return STEP_ON;
}

/* Brackets that open to a depth up to this, and their closing ones, need a look. */
static unsigned
low_limit(const struct splitter *s)
{
	if (!s->in_piece || s->undecided || s->span_depth == 0)
		return MAX_DEPTH;
	return s->span_depth;
}

/*
 * The last two digits of \u00XX: a printable byte. Not those that common
 * encoders escape everywhere (quote, ampersand, angle brackets, backslash),
 * which no marker holds.
 */
static bool
spells_a_letter(const char *d)
{
	int low = d[1] | 0x20;

	if (d[0] < '2' || d[0] > '7')
		return false;
	if (d[0] == '2')
		return low != '2' && low != '6' && low != '7';
	if (d[0] == '3')
		return low != 'c' && low != 'e';
	return d[0] != '5' || low != 'c';
}

/* A place that is no bracket. */
static enum step
other_place(struct splitter *s, size_t i)
{
	const char *text = s->c->text;
	size_t at = i - s->pos;

	if ((unsigned char)text[i] < 0x20)
		return low_byte(s, i, (s->found.control[at / JSCAN_BLOCK] >> (at % JSCAN_BLOCK) & 1) != 0);
	if (!s->hit)
		s->hit = text[i] == '\\' ? spells_a_letter(text + i + 4) :
			want_marker_at(s->want, text + i + 1, text + s->c->len);
	return STEP_ON;
}

/* A bracket near the top of the document, or one that is wrong. */
static enum step
low_bracket(struct splitter *s, size_t i)
{
	unsigned char c = (unsigned char)s->c->text[i];

	if ((c & 4) == 0) {
		if (s->depth == MAX_DEPTH)
			return broken(s, i, "brackets are nested deeper than 512");
		s->stack[++s->depth] = c;
		if (s->in_piece && !s->discard)
			s->c->index[s->c->n_index++] = (uint32_t)i;
		return open_low(s, i);
	}
	if (s->depth == 0)
		return broken(s, i, "a closing bracket too many");
	if (s->stack[s->depth] != c - 2)
		return broken(s, i, "a bracket is closed by another kind");
	s->depth--;
	if (s->in_piece && !s->discard)
		s->c->index[s->c->n_index++] = (uint32_t)i;
	return close_low(s, i);
}

/*
 * What the scan found, in order. Most of it is brackets deep inside a span:
 * those are handled without a branch on their kind. An opening bracket has bit
 * 2 clear, its closing one is its code + 2 with bit 2 set.
 */
static enum step
scan_places(struct splitter *s)
{
	const uint16_t *place = s->found.place, *end = place + s->found.n;
	const char *text = s->c->text + s->pos;
	enum step step = STEP_ON;

	while (place < end && step == STEP_ON) {
		const unsigned low = low_limit(s);
		const size_t record = s->in_piece && !s->discard;
		uint32_t *index = s->c->index + s->c->n_index;
		unsigned depth = s->depth;
		unsigned char c = 0;

		for (; place < end; place++) {
			unsigned close, slot;

			c = (unsigned char)text[*place];
			close = c >> 2 & 1;
			slot = depth + 1 - close;
			if ((c & 0xd9) != 0x59 || slot <= low || slot > MAX_DEPTH ||
			    (close != 0 && s->stack[slot] != c - 2))
				break;
			s->stack[slot] = (unsigned char)(c - 2 * close);
			*index = (uint32_t)(s->pos + *place);
			index += record;
			depth = slot - close;
		}
		s->depth = depth;
		s->c->n_index = (size_t)(index - s->c->index);
		if (place < end) {
			size_t i = s->pos + *place++;

			step = (c & 0xd9) != 0x59 ? other_place(s, i) : low_bracket(s, i);
			text = s->c->text + s->pos;
		}
	}
	return step;
}

static enum step
scan_batch(struct splitter *s, size_t blocks)
{
	struct jscan_found *m = &s->found;
	size_t need = s->c->n_index + blocks * JSCAN_BLOCK + 2;
	enum step step;

	if (chunk_reserve(s->c, 0, need, &s->failed) < 0)
		return STEP_FAILED;
	jscan_run(s->level, s->c->text + s->pos, blocks, s->marks, s->lines, &s->js, m);
	s->newline_from = 0;
	if (m->high != 0) {
		s->high_from = s->pos + (size_t)__builtin_ctzll(m->high) * JSCAN_BLOCK;
		s->high_to = s->pos + (64 - (size_t)__builtin_clzll(m->high)) * JSCAN_BLOCK;
	}
	s->high = m->high != 0;
	if (s->in_piece)
		note_high(s);
	step = scan_places(s);
	if (step != STEP_ON)
		return step;
	if (m->low != 0 && s->depth > 0 && !s->lines && !s->doc_newline)
		s->doc_newline = newline_between(s, s->newline_from, blocks * JSCAN_BLOCK);
	s->pos += blocks * JSCAN_BLOCK;
	if (s->pos > s->c->len)
		s->pos = s->c->len;
	return STEP_ON;
}

/* Throw the text before place `from` away; no piece of the chunk lies there. */
static void
drop_text(struct splitter *s, size_t from)
{
	struct chunk *c = s->c;

	if (from == 0)
		return;
	memmove(c->text, c->text + from, c->len - from);
	for (size_t i = s->cur.first; s->in_piece && !s->discard && i < c->n_index; i++)
		c->index[i] -= (uint32_t)from;
	c->len -= from;
	s->pos -= from;
	s->mark -= from;
	s->base += from;
}

/* The text is full and no piece is whole yet: make room. */
static enum step
make_room(struct splitter *s, size_t *limit)
{
	struct err what = ERR_INIT;

	if (!s->in_piece) {
		flush_gap(s, s->pos);
		if (s->skel.failed || s->skel.len > SKELETON_LIMIT)
			return broken(s, s->pos, "more than 16 MiB outside of traces");
	} else if (!s->discard && s->c->len - s->mark > s->max_piece) {
		err_set(&what, ERR_INPUT, "trace at byte %llu is larger than %zu MiB: raise --max-trace-bytes",
			(unsigned long long)s->cur.offset, s->max_piece >> 20);
		if (add_note(s->c, &what, &s->failed) < 0)
			return STEP_FAILED;
		s->discard = true;
		s->span_open = false;
		s->c->n_index = s->cur.first;
	}
	if (s->discard)
		s->mark = s->pos;
	if (s->mark > 0)
		drop_text(s, s->mark);
	else {
		/* A piece may be as long as is allowed, and a little more to see that it is longer. */
		*limit *= 2;
		if (*limit > s->max_piece + CHUNK_BYTES)
			*limit = s->max_piece + CHUNK_BYTES;
		if (chunk_reserve(s->c, *limit + SLACK_BYTES, 1, &s->failed) < 0)
			return STEP_FAILED;
	}
	return STEP_ON;
}

/* After a bad line: on to the next. */
static void
skip_to_newline(struct splitter *s)
{
	struct chunk *c = s->c;
	const char *nl = s->pos < c->len ? memchr(c->text + s->pos, '\n', c->len - s->pos) : NULL;

	s->pos = nl == NULL ? c->len : (size_t)(nl - c->text) + 1;
	s->mark = s->pos;
	if (nl != NULL) {
		s->skip_line = false;
		s->line++;
	}
}

static enum step
end_of_input(struct splitter *s)
{
	struct err what = ERR_INIT;

	if (s->depth > 0) {
		if (!s->lines) {
			err_set(&s->failed, ERR_INPUT,
				"the input ends early, at byte %llu, inside the %s that begins at byte %llu",
				(unsigned long long)(s->base + s->pos), s->in_piece && !s->undecided ?
				"trace" : "document", (unsigned long long)(s->in_piece ? s->cur.offset :
				s->doc_start));
			return STEP_FAILED;
		}
		err_set(&what, ERR_INPUT, "line %llu: the input ends early, at byte %llu",
			(unsigned long long)s->line, (unsigned long long)(s->base + s->pos));
		s->c->n_index = s->in_piece ? s->cur.first : s->c->n_index;
		reset_document(s);
		return add_note(s->c, &what, &s->failed) < 0 ? STEP_FAILED : STEP_ON;
	}
	flush_gap(s, s->pos);
	if (!blank(buf_cstr(&s->skel), s->skel.len)) {
		enum step step = broken(s, s->pos, s->had_doc ? "more text behind the document" :
			"not a trace document");

		return step == STEP_RESTART ? STEP_ON : step;
	}
	return STEP_ON;
}

/* Read up to limit bytes of text. */
static int
read_more(struct splitter *s, size_t limit)
{
	size_t got;

	if (stream_in_read(s->in, s->c->text + s->c->len, limit - s->c->len, &got, &s->failed) < 0)
		return -1;
	s->c->len += got;
	s->eof = got == 0;
	return 0;
}

/* Take over what the last chunk left. */
static int
restore(struct splitter *s, struct chunk *c, size_t limit, struct err *e)
{
	c->n_pieces = c->n_notes = c->len = c->n_index = 0;
	s->c = c;
	if (c->cap > 8 * (limit + SLACK_BYTES))
		chunk_finish(c);	/* it held an unusually large piece */
	if (chunk_reserve(c, limit + SLACK_BYTES, s->carry_n + 1, e) < 0)
		return -1;
	if (s->carry.len > 0)
		memcpy(c->text, s->carry.p, s->carry.len);
	c->len = s->carry.len;
	if (s->carry_n > 0)
		memcpy(c->index, s->carry_index, s->carry_n * sizeof *c->index);
	c->n_index = s->carry_n;
	return 0;
}

/* Keep what is not handed on for the next chunk. */
static int
keep_rest(struct splitter *s, struct err *e)
{
	struct chunk *c = s->c;
	bool keep = s->in_piece && !s->discard;
	size_t from;
	void *p = s->carry_index;

	if (!s->in_piece)
		flush_gap(s, s->pos);
	from = keep ? s->mark : s->pos;
	buf_reset(&s->carry);
	buf_add(&s->carry, c->text + from, c->len - from);
	if (buf_ok(&s->carry, e) < 0)
		return -1;
	s->carry_n = keep ? c->n_index - s->cur.first : 0;
	if (mem_grow(&p, &s->carry_cap, s->carry_n, sizeof *s->carry_index, e) < 0)
		return -1;
	s->carry_index = p;
	for (size_t i = 0; i < s->carry_n; i++)
		s->carry_index[i] = c->index[s->cur.first + i] - (uint32_t)from;
	s->span_first -= keep && s->span_open ? s->cur.first : 0;
	s->cur.first = 0;
	s->pos -= from;
	s->mark = 0;
	s->base += from;
	return 0;
}

/* One move: read, scan, or make room. *done when the chunk is ready. */
static enum step
advance(struct splitter *s, size_t *limit, bool *done)
{
	struct chunk *c = s->c;
	size_t left;

	if (s->skip_line)
		skip_to_newline(s);
	left = c->len - s->pos;
	if (left >= JSCAN_BLOCK + JSCAN_AHEAD || (s->eof && left > 0)) {
		size_t blocks = s->eof ? (left + JSCAN_BLOCK - 1) / JSCAN_BLOCK :
			(left - JSCAN_AHEAD) / JSCAN_BLOCK;

		if (s->eof)
			memset(c->text + c->len, ' ', JSCAN_BLOCK + JSCAN_AHEAD);
		return scan_batch(s, blocks < JSCAN_BATCH ? blocks : JSCAN_BATCH);
	}
	if (s->eof) {
		*done = true;
		return end_of_input(s);
	}
	if (c->len < *limit)
		return read_more(s, *limit) < 0 ? STEP_FAILED : STEP_ON;
	if (c->n_pieces > 0 || c->n_notes > 0) {
		*done = true;
		return STEP_ON;
	}
	return make_room(s, limit);
}

int
split_next(struct splitter *s, struct chunk *c, struct err *e)
{
	size_t limit = CHUNK_BYTES;
	uint64_t from;
	bool done = false;

	if (s->failed.code != ERR_NONE) {
		if (e != NULL)
			*e = s->failed;
		return -1;
	}
	while (limit < s->carry.len + CHUNK_BYTES / 2)
		limit *= 2;
	if (limit > s->max_piece + CHUNK_BYTES)
		limit = s->max_piece + CHUNK_BYTES;
	if (restore(s, c, limit, e) < 0)
		return -1;
	from = s->base + s->pos;
	while (!done && s->failed.code == ERR_NONE)
		(void)advance(s, &limit, &done);
	c->bytes = s->base + s->pos - from;
	if (s->failed.code == ERR_NONE && !s->eof && keep_rest(s, e) < 0)
		return -1;
	if (s->failed.code == ERR_NONE && s->eof) {
		/* All was scanned: nothing is left for another call. */
		s->base += s->pos;
		s->pos = s->mark = 0;
		buf_reset(&s->carry);
		s->carry_n = 0;
	}
	if (c->n_pieces > 0 || c->n_notes > 0)
		return 1;
	if (s->failed.code != ERR_NONE) {
		if (e != NULL)
			*e = s->failed;
		return -1;
	}
	return 0;
}
