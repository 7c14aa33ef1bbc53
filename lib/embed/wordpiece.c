#include "embed/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "embed/unicode.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/safetensors.h"

#define CONTINUED 0x80000000u	/* in an offset: the token goes on within a word */
#define ID_BITS 20		/* of a cell: id + 1 below, a part of the hash above; 0 is empty */
#define ID_MASK ((1u << ID_BITS) - 1)
#define SEED_WORD 0x243f6a8885a308d3u
#define SEED_CONTINUED 0x13198a2e03707344u
#define MAX_PENDING 256		/* more than WORDPIECE_MAX_CHARS: beyond it their order does not matter */

struct wordpiece {
	struct wordpiece_options opt;
	size_t n;
	const char *text;		/* tokens end to end, without the prefix */
	const uint32_t *offset;		/* [n + 1] */
	const uint32_t *cells;		/* [mask + 1] */
	size_t mask;
	size_t longest;			/* bytes of the longest token */
	void *own[3];			/* text, offset, cells where not borrowed */
	uint8_t ascii[128];		/* what to do with each: KIND_, or the byte that goes into the word */
};

enum { KIND_DROP = 0, KIND_SPACE = 1, KIND_PUNCT = 2 };	/* else a letter: no letter is below 3 */

static inline uint64_t
hash_step(uint64_t h, unsigned char c)
{
	return (h ^ c) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t
hash_end(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 29;
}

static inline uint32_t
tag_of(uint64_t h)
{
	return (uint32_t)(h >> 52) << ID_BITS;
}

/* Id of a token, or n. h is the running hash of its bytes. */
static inline size_t
find(const struct wordpiece *w, uint64_t h, const char *p, size_t n, uint32_t continued)
{
	uint32_t cell, tag;
	size_t i;

	h = hash_end(h);
	tag = tag_of(h);
	for (i = h & w->mask; (cell = w->cells[i]) != 0; i = (i + 1) & w->mask) {
		size_t id = (cell & ID_MASK) - 1;
		uint32_t from;

		if ((cell & ~ID_MASK) != tag)
			continue;
		from = w->offset[id];
		if ((from & CONTINUED) == continued &&
		    (w->offset[id + 1] & ~CONTINUED) - (from & ~CONTINUED) == n &&
		    memcmp(w->text + (from & ~CONTINUED), p, n) == 0)
			return id;
	}
	return w->n;
}

/* ---- encoding ---- */

struct run {
	const struct wordpiece *w;
	uint32_t *ids;
	size_t n, max;
	bool ring;			/* keep the last max instead of stopping: token i is at i % max */
	size_t chars, bytes;		/* of the word; chars counts on beyond max_chars, bytes do not */
	char word[4 * WORDPIECE_MAX_CHARS];
	uint32_t pending[MAX_PENDING];	/* nonstarters that are kept, by class */
	size_t n_pending;
};

static inline void
put_id(struct run *r, size_t id)
{
	if (r->ring)
		r->ids[r->n++ % r->max] = (uint32_t)id;
	else if (r->n < r->max)
		r->ids[r->n++] = (uint32_t)id;
}

static inline bool
is_start(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

/*
 * The longest token at byte `at' of the word; *end is where it ends. n of the vocabulary
 * when there is none.
 */
static size_t
longest_at(const struct run *r, size_t at, size_t *end)
{
	const struct wordpiece *w = r->w;
	uint64_t h = at == 0 ? SEED_WORD : SEED_CONTINUED, hash[4 * WORDPIECE_MAX_CHARS];
	size_t to = r->bytes - at < w->longest ? r->bytes : at + w->longest;

	for (size_t i = at; i < to; i++)
		hash[i] = h = hash_step(h, (unsigned char)r->word[i]);
	for (; to > at; to--) {
		size_t id;

		if (to < r->bytes && !is_start(r->word[to]))
			continue;
		id = find(w, hash[to - 1], r->word + at, to - at, at == 0 ? 0 : CONTINUED);
		if (id != w->n) {
			*end = to;
			return id;
		}
	}
	return w->n;
}

static void
end_word(struct run *r)
{
	uint32_t piece[WORDPIECE_MAX_CHARS];
	size_t n = 0;

	if (r->chars == 0)
		return;
	if (r->chars > r->w->opt.max_chars) {
		piece[n++] = r->w->opt.unk;
		goto out;
	}
	for (size_t at = 0; at < r->bytes;) {
		size_t id = longest_at(r, at, &at);

		if (id == r->w->n) {
			n = 0;
			piece[n++] = r->w->opt.unk;
			break;
		}
		piece[n++] = (uint32_t)id;
	}
out:
	for (size_t i = 0; i < n; i++)
		put_id(r, piece[i]);
	r->chars = r->bytes = 0;
}

static void
word_char(struct run *r, uint32_t cp)
{
	if (++r->chars <= r->w->opt.max_chars)
		r->bytes += utf8_put(cp, r->word + r->bytes);
}

/* A code point that is normalised and in order. */
static void
put(struct run *r, uint32_t cp)
{
	uint32_t low[2] = { cp, 0 };
	size_t n = r->w->opt.lowercase ? unicode_lower(cp, low) : 1;

	for (size_t i = 0; i < n; i++) {
		unsigned flags = unicode_flags(low[i]);

		if ((flags & UNICODE_SPACE) != 0) {
			end_word(r);
		} else if ((flags & UNICODE_PUNCT) != 0) {
			end_word(r);
			word_char(r, low[i]);
			end_word(r);
		} else {
			word_char(r, low[i]);
		}
	}
}

static void
flush(struct run *r)
{
	for (size_t i = 0; i < r->n_pending; i++)
		put(r, r->pending[i]);
	r->n_pending = 0;
}

/* Canonical order of what is left when the marks are gone: by class, equal ones as they came. */
static void
order(struct run *r, uint32_t cp)
{
	unsigned class = unicode_class(cp);
	size_t i;

	if (r->n_pending == MAX_PENDING)
		flush(r);
	for (i = r->n_pending; i > 0 && unicode_class(r->pending[i - 1]) > class; i--)
		r->pending[i] = r->pending[i - 1];
	r->pending[i] = cp;
	r->n_pending++;
}

static void
put_raw(struct run *r, uint32_t cp)
{
	uint32_t piece[UNICODE_MAX_DECOMPOSITION];
	size_t n;

	if (!r->w->opt.strip_accents) {
		put(r, cp);
		return;
	}
	n = unicode_decompose(cp, piece);
	for (size_t i = 0; i < n; i++) {
		unsigned flags = unicode_flags(piece[i]);

		if ((flags & UNICODE_NONSTARTER) == 0)
			flush(r);
		if ((flags & UNICODE_MARK) != 0)
			continue;
		if ((flags & UNICODE_NONSTARTER) != 0)
			order(r, piece[i]);
		else
			put(r, piece[i]);
	}
}

/* Any code point of the text. */
static void
take(struct run *r, uint32_t cp)
{
	unsigned flags = unicode_flags(cp);
	bool apart = (flags & UNICODE_CJK) != 0 && r->w->opt.split_cjk;

	if ((flags & UNICODE_DROP) != 0)
		return;
	if ((flags & UNICODE_SPACE) != 0 || apart) {
		flush(r);
		end_word(r);
	}
	if ((flags & UNICODE_SPACE) != 0)
		return;
	put_raw(r, cp);
	if (apart) {
		flush(r);
		end_word(r);
	}
}

typedef uint8_t bytes16 __attribute__((vector_size(16), may_alias, aligned(1)));

/* Past whole blocks of ASCII letters and digits: what is left of a word that is too long anyway. */
static const char *
skip_letters(struct run *r, const char *p, const char *end)
{
	for (; end - p >= 16; p += 16, r->chars += 16) {
		bytes16 c = *(const bytes16 *)(const void *)p;
		bytes16 is = (bytes16)(((c | 0x20) - 'a' < 26) | (c - '0' < 10));
		uint64_t half[2];

		memcpy(half, &is, sizeof half);
		if ((half[0] & half[1]) != UINT64_MAX)
			break;
	}
	return p;
}

/* Letters of ASCII from p on, into the word; returns where they end. */
static const char *
take_letters(struct run *r, const char *p, const char *end)
{
	const uint8_t *ascii = r->w->ascii;
	size_t max = r->w->opt.max_chars;

	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (r->chars == max + 1) {
			p = skip_letters(r, p, end);
			if (p == end)
				break;
			c = (unsigned char)*p;
		}
		if (c >= 0x80 || ascii[c] <= KIND_PUNCT)
			break;
		if (r->chars < max)
			r->word[r->bytes++] = (char)ascii[c];
		r->chars++;
	}
	return p;
}

static void
run_text(struct run *r, struct slice text)
{
	const char *p = text.p, *end = text.p + text.n;

	while (p < end && (r->ring || r->n < r->max)) {
		unsigned char c = (unsigned char)*p;

		if (c >= 0x80) {
			take(r, utf8_next(&p, end));
			continue;
		}
		if (r->w->ascii[c] == KIND_DROP) {
			p++;
			continue;
		}
		flush(r);	/* every one of ASCII is a starter */
		if (r->w->ascii[c] > KIND_PUNCT) {
			p = take_letters(r, p, end);
			continue;
		}
		end_word(r);
		p++;
		if (r->w->ascii[c] == KIND_PUNCT) {
			r->word[0] = (char)c;
			r->chars = r->bytes = 1;
			end_word(r);
		}
	}
	flush(r);
	end_word(r);
}

static void
reverse(uint32_t *v, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint32_t t = v[i];

		v[i] = v[n - 1 - i];
		v[n - 1 - i] = t;
	}
}

static void
run_init(struct run *r, const struct wordpiece *w, uint32_t *ids, size_t max, bool ring)
{
	r->w = w;
	r->ids = ids;
	r->max = max;
	r->ring = ring;
	r->n = r->chars = r->bytes = r->n_pending = 0;
}

/*
 * The last max tokens. A blank ends a word and the reach of every rule, so the
 * text is read from a blank so far back that max tokens come out.
 */
static size_t
encode_tail(const struct wordpiece *w, struct slice text, uint32_t *ids, size_t max)
{
	size_t back = 16 * max + 256;

	for (;; back *= 4) {
		size_t from = text.n > back ? text.n - back : 0;
		struct run r;

		while (from > 0 && text.p[from] != ' ' && text.p[from] != '\n')
			from--;
		run_init(&r, w, ids, max, true);
		run_text(&r, (struct slice){ text.p + from, text.n - from });
		if (r.n < max && from > 0)
			continue;
		if (r.n <= max)
			return r.n;
		/* The oldest stands at n % max: turn the ring so that it comes first. */
		reverse(ids, r.n % max);
		reverse(ids + r.n % max, max - r.n % max);
		reverse(ids, max);
		return max;
	}
}

size_t
wordpiece_encode(const struct wordpiece *w, struct slice text, enum wordpiece_cut cut,
	uint32_t *ids, size_t max)
{
	size_t n = 0;

	if (max == 0 || text.n == 0)
		return 0;
	if (cut != WORDPIECE_TAIL) {
		struct run r;

		run_init(&r, w, ids, max, false);
		run_text(&r, text);
		n = r.n;
	}
	if (cut == WORDPIECE_TAIL || (cut == WORDPIECE_MIDDLE && n == max && max > 1)) {
		size_t head = cut == WORDPIECE_TAIL ? 0 : (max + 1) / 2;

		/* Of exactly max tokens the last max - head are what stands there already. */
		n = head + encode_tail(w, text, ids + head, max - head);
	}
	return n;
}

/* ---- making and storing ---- */

static void
set_ascii(struct wordpiece *w)
{
	for (uint32_t c = 0; c < 128; c++) {
		unsigned flags = unicode_flags(c);
		uint32_t low[2] = { c, 0 };

		if (w->opt.lowercase)
			unicode_lower(c, low);
		w->ascii[c] = (flags & UNICODE_DROP) != 0 ? KIND_DROP :
		    (flags & UNICODE_SPACE) != 0 ? KIND_SPACE :
		    (flags & UNICODE_PUNCT) != 0 ? KIND_PUNCT : (uint8_t)low[0];
	}
}

static int
check_options(const struct wordpiece_options *o, size_t n, struct err *e)
{
	if (n == 0 || n >= WORDPIECE_MAX_VOCAB)
		return err_set(e, ERR_INPUT, "vocabulary of %zu tokens: 1 to %zu are supported", n,
		    WORDPIECE_MAX_VOCAB - 1);
	if (o->unk >= n || o->cls >= n || o->sep >= n)
		return err_set(e, ERR_INPUT, "id of [UNK], [CLS] or [SEP] is outside the vocabulary");
	if (o->max_chars == 0 || o->max_chars > WORDPIECE_MAX_CHARS)
		return err_set(e, ERR_INPUT, "max_input_chars_per_word %u is outside 1..%d",
		    o->max_chars, WORDPIECE_MAX_CHARS);
	return 0;
}

static uint64_t
hash_token(const char *p, size_t n, uint32_t continued)
{
	uint64_t h = continued != 0 ? SEED_CONTINUED : SEED_WORD;

	for (size_t i = 0; i < n; i++)
		h = hash_step(h, (unsigned char)p[i]);
	return h;
}

static int
add_token(struct wordpiece *w, uint32_t *cells, size_t id, struct err *e)
{
	uint32_t from = w->offset[id], continued = from & CONTINUED;
	size_t n = (w->offset[id + 1] & ~CONTINUED) - (from & ~CONTINUED);
	const char *p = w->text + (from & ~CONTINUED);
	uint64_t h = hash_token(p, n, continued), end = hash_end(h);
	size_t i = end & w->mask;

	if (n == 0)
		return 0;
	if (find(w, h, p, n, continued) != w->n)
		return err_set(e, ERR_INPUT, "token '%.*s' occurs twice", (int)(n < 40 ? n : 40), p);
	while (cells[i] != 0)
		i = (i + 1) & w->mask;
	cells[i] = tag_of(end) | (uint32_t)(id + 1);
	if (n > w->longest)
		w->longest = n;
	return 0;
}

struct wordpiece *
wordpiece_new(const struct wordpiece_options *o, const struct slice *tokens, size_t n,
	struct slice prefix, struct err *e)
{
	struct wordpiece *w;
	size_t bytes = 0, cap = 64;
	uint32_t *offset, *cells;
	char *text;

	if (check_options(o, n, e) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		bytes += tokens[i].n;
	while (cap < 2 * n)
		cap *= 2;
	if (bytes >= CONTINUED) {
		err_set(e, ERR_INPUT, "vocabulary is too large");
		return NULL;
	}
	if ((w = mem_calloc(1, sizeof *w, e)) == NULL)
		return NULL;
	w->own[0] = text = mem_aligned(bytes + 1, 1, e);
	w->own[1] = offset = mem_aligned(n + 1, sizeof *offset, e);
	w->own[2] = cells = mem_aligned(cap, sizeof *cells, e);
	if (text == NULL || offset == NULL || cells == NULL)
		goto fail;
	*w = (struct wordpiece){ .opt = *o, .n = n, .text = text, .offset = offset, .cells = cells,
		.mask = cap - 1, .own = { text, offset, cells } };
	for (size_t i = 0, at = 0; i < n; i++) {
		struct slice t = tokens[i];
		uint32_t continued = 0;

		if (prefix.n > 0 && t.n > prefix.n && memcmp(t.p, prefix.p, prefix.n) == 0) {
			t = (struct slice){ t.p + prefix.n, t.n - prefix.n };
			continued = CONTINUED;
		}
		if (t.n > 0)
			memcpy(text + at, t.p, t.n);
		offset[i] = (uint32_t)at | continued;
		at += t.n;
		offset[i + 1] = (uint32_t)at;
	}
	for (size_t i = 0; i < n; i++)
		if (add_token(w, cells, i, e) < 0)
			goto fail;
	set_ascii(w);
	return w;
fail:
	wordpiece_free(w);
	return NULL;
}

void
wordpiece_free(struct wordpiece *w)
{
	if (w == NULL)
		return;
	for (size_t i = 0; i < 3; i++)
		free(w->own[i]);
	free(w);
}

const struct wordpiece_options *
wordpiece_options(const struct wordpiece *w)
{
	return &w->opt;
}

size_t
wordpiece_size(const struct wordpiece *w)
{
	return w->n;
}

struct slice
wordpiece_token(const struct wordpiece *w, uint32_t id, bool *continued)
{
	uint32_t from, to;

	if (id >= w->n)
		return SLICE_NONE;
	from = w->offset[id];
	to = w->offset[id + 1] & ~CONTINUED;
	*continued = (from & CONTINUED) != 0;
	from &= ~CONTINUED;
	return from == to ? SLICE_NONE : (struct slice){ w->text + from, to - from };
}

int
wordpiece_save(const struct wordpiece *w, struct tensorfile_writer *out, struct err *e)
{
	const uint64_t bytes[] = { w->offset[w->n] & ~CONTINUED }, offsets[] = { w->n + 1 };
	const uint64_t cells[] = { w->mask + 1 };

	if (tensorfile_writer_add(out, "tokenizer.text", DTYPE_U8, 1, bytes, w->text, e) < 0 ||
	    tensorfile_writer_add(out, "tokenizer.offset", DTYPE_U32, 1, offsets, w->offset, e) < 0)
		return -1;
	return tensorfile_writer_add(out, "tokenizer.cells", DTYPE_U32, 1, cells, w->cells, e);
}

void
wordpiece_describe(const struct wordpiece *w, struct jsonw *j)
{
	jsonw_kint(j, "unicode_version", UNICODE_VERSION);
	jsonw_kbool(j, "lowercase", w->opt.lowercase);
	jsonw_kbool(j, "strip_accents", w->opt.strip_accents);
	jsonw_kbool(j, "split_cjk", w->opt.split_cjk);
	jsonw_kint(j, "max_chars", w->opt.max_chars);
	jsonw_kint(j, "longest", (int64_t)w->longest);
	jsonw_kint(j, "unk", w->opt.unk);
	jsonw_kint(j, "cls", w->opt.cls);
	jsonw_kint(j, "sep", w->opt.sep);
}

void
wordpiece_digest(const struct wordpiece *w, struct sha256 *s)
{
	const uint32_t options[] = { UNICODE_VERSION, w->opt.lowercase, w->opt.strip_accents,
		w->opt.split_cjk, w->opt.max_chars, (uint32_t)w->longest, w->opt.unk, w->opt.cls, w->opt.sep };

	sha256_add(s, options, sizeof options);
	sha256_add(s, w->offset, (w->n + 1) * sizeof *w->offset);
	sha256_add(s, w->text, w->offset[w->n] & ~CONTINUED);
	sha256_add(s, w->cells, (w->mask + 1) * sizeof *w->cells);
}

static bool
read_u32(struct jread *r, uint32_t *out)
{
	struct slice text;
	long long v;

	if (!jread_number(r, &text) || !slice_int(text, &v) || v < 0 || v > INT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

static int
read_description(struct slice text, struct wordpiece *w, struct err *e)
{
	struct wordpiece_options *o = &w->opt;
	uint32_t version = 0, longest = 0;
	struct slice key = SLICE_NONE;
	struct jread r;
	bool ok = true;

	jread_init(&r, text.p == NULL ? "" : text.p, text.n);
	if (!jread_object(&r))
		return err_set(e, ERR_INPUT, "tokenizer's description is not a JSON object");
	while (ok && jread_member(&r, &key)) {
		if (slice_is(key, "unicode_version"))
			ok = read_u32(&r, &version);
		else if (slice_is(key, "lowercase"))
			ok = jread_bool(&r, &o->lowercase);
		else if (slice_is(key, "strip_accents"))
			ok = jread_bool(&r, &o->strip_accents);
		else if (slice_is(key, "split_cjk"))
			ok = jread_bool(&r, &o->split_cjk);
		else if (slice_is(key, "max_chars"))
			ok = read_u32(&r, &o->max_chars);
		else if (slice_is(key, "longest"))
			ok = read_u32(&r, &longest);
		else if (slice_is(key, "unk"))
			ok = read_u32(&r, &o->unk);
		else if (slice_is(key, "cls"))
			ok = read_u32(&r, &o->cls);
		else if (slice_is(key, "sep"))
			ok = read_u32(&r, &o->sep);
		else
			ok = jread_skip(&r);
	}
	if (!ok)
		return err_set(e, ERR_INPUT, "tokenizer's description: \"%.*s\" is not usable",
		    (int)(key.n < 40 ? key.n : 40), key.p);
	if (jread_done(&r, e) < 0)
		return -1;
	if (version != UNICODE_VERSION)
		return err_set(e, ERR_INPUT, "tokenizer was packed with Unicode tables of version %u, "
		    "this program has %d: import it again", version, UNICODE_VERSION);
	w->longest = longest;
	return 0;
}

/* Ids and places in bounds, and an empty cell to end each search. */
static int
check_tables(const struct wordpiece *w, uint64_t bytes, struct err *e)
{
	size_t used = 0;

	for (size_t i = 0; i < w->n; i++)
		if ((w->offset[i] & ~CONTINUED) > (w->offset[i + 1] & ~CONTINUED))
			return err_set(e, ERR_INPUT, "tensor \"tokenizer.offset\" descends at %zu", i);
	if ((w->offset[w->n] & ~CONTINUED) != bytes)
		return err_set(e, ERR_INPUT, "tensor \"tokenizer.offset\" does not cover the text");
	for (size_t i = 0; i <= w->mask; i++) {
		if ((w->cells[i] & ID_MASK) > w->n)
			return err_set(e, ERR_INPUT, "tensor \"tokenizer.cells\": id out of bounds at %zu", i);
		used += w->cells[i] != 0;
	}
	if (used > w->mask)
		return err_set(e, ERR_INPUT, "tensor \"tokenizer.cells\" has no empty cell");
	if (w->longest > bytes)
		return err_set(e, ERR_INPUT, "tokenizer's description: \"longest\" is not usable");
	return 0;
}

struct wordpiece *
wordpiece_load(const struct tensorfile *f, struct slice description, struct err *e)
{
	const uint64_t any[] = { 0 };
	const struct tensor *text = tensorfile_need(f, "tokenizer.text", DTYPE_U8, 1, any, e);
	const struct tensor *offset = text == NULL ? NULL :
	    tensorfile_need(f, "tokenizer.offset", DTYPE_U32, 1, any, e);
	const struct tensor *cells = offset == NULL ? NULL :
	    tensorfile_need(f, "tokenizer.cells", DTYPE_U32, 1, any, e);
	struct wordpiece *w = cells == NULL ? NULL : mem_calloc(1, sizeof *w, e);

	if (w == NULL)
		return NULL;
	w->n = offset->elements == 0 ? 0 : (size_t)offset->elements - 1;
	w->text = text->data;
	w->offset = offset->data;
	w->cells = cells->data;
	w->mask = (size_t)cells->elements - 1;
	if (cells->elements == 0 || (cells->elements & (cells->elements - 1)) != 0) {
		err_set(e, ERR_INPUT, "tensor \"tokenizer.cells\": its size is not a power of two");
		goto fail;
	}
	if (read_description(description, w, e) < 0 || check_options(&w->opt, w->n, e) < 0 ||
	    check_tables(w, text->bytes, e) < 0)
		goto fail;
	set_ascii(w);
	return w;
fail:
	wordpiece_free(w);
	return NULL;
}
