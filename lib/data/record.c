#include "data/record.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"

enum kind { STRING, DOUBLE, UNIT, POSITIVE, INT, TIME, ARRAY };

struct field {
	const char *name;
	size_t len;
	enum kind kind;
	size_t at;
};

#define FIELD(n, k, member) { (n), sizeof(n) - 1, (k), offsetof(struct record, member) }

/* In the order of output; query_id and those behind it follow the three that every line has. */
static const struct field fields[] = {
	FIELD("query", STRING, query),
	FIELD("model_name", STRING, model_name),
	FIELD("performance", UNIT, performance),
	FIELD("query_id", STRING, query_id),
	FIELD("embedding_id", INT, embedding_id),
	FIELD("response", STRING, response),
	FIELD("response_time", DOUBLE, response_time_s),
	FIELD("ttft", DOUBLE, ttft_s),
	FIELD("token_num", INT, token_num),
	FIELD("input_tokens", INT, input_tokens),
	FIELD("output_tokens", INT, output_tokens),
	FIELD("cost", DOUBLE, cost_usd),
	FIELD("task_name", STRING, task_name),
	FIELD("ground_truth", STRING, ground_truth),
	FIELD("metric", STRING, metric),
	FIELD("status", STRING, status),
	FIELD("status_code", INT, status_code),
	FIELD("error_type", STRING, error_type),
	FIELD("trace_id", STRING, trace_id),
	FIELD("span_id", STRING, span_id),
	FIELD("timestamp", TIME, timestamp_us),
	FIELD("requested_model", STRING, requested_model),
	FIELD("user", STRING, user),
	FIELD("system_digest", STRING, system_digest),
	FIELD("strategy_name", STRING, strategy_name),
	FIELD("strategy_version", STRING, strategy_version),
	FIELD("candidates", ARRAY, candidates),
	FIELD("outcome_status", STRING, outcome_status),
	FIELD("propensity", UNIT, propensity),
	FIELD("weight", POSITIVE, weight),
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static struct slice *
slice_at(struct record *r, const struct field *f)
{
	return (struct slice *)(void *)((char *)r + f->at);
}

static double *
double_at(struct record *r, const struct field *f)
{
	return (double *)(void *)((char *)r + f->at);
}

static int64_t *
int_at(struct record *r, const struct field *f)
{
	return (int64_t *)(void *)((char *)r + f->at);
}

static void
clear(struct record *r, const struct field *f)
{
	switch (f->kind) {
	case STRING:
	case ARRAY:
		*slice_at(r, f) = SLICE_NONE;
		break;
	case DOUBLE:
	case UNIT:
	case POSITIVE:
		*double_at(r, f) = NAN;
		break;
	case INT:
	case TIME:
		*int_at(r, f) = RECORD_NO_INT;
		break;
	}
}

void
record_init(struct record *r)
{
	memset(r, 0, sizeof *r);
	for (size_t i = 0; i < N_FIELDS; i++)
		clear(r, &fields[i]);
}

int64_t
record_epoch_us(double t)
{
	if (!isfinite(t) || t < 0)
		return RECORD_NO_INT;
	if (t < 1e11)
		t *= 1e6;
	else if (t < 1e14)
		t *= 1e3;
	else if (t >= 1e17)
		t /= 1e3;
	return t < 9e18 ? (int64_t)t : RECORD_NO_INT;
}

static const struct field *
find(struct slice key)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (fields[i].len == key.n && memcmp(fields[i].name, key.p, key.n) == 0)
			return &fields[i];
	}
	return NULL;
}

static int
wrong(const struct field *f, const char *want, struct err *e)
{
	return err_set(e, ERR_INPUT, "key \"%s\": %s expected", f->name, want);
}

static int
parse_double(struct jread *j, struct record *r, const struct field *f, struct err *e)
{
	double v;

	if (jread_peek(j) != JREAD_NUMBER)
		return jread_well(j) ? wrong(f, "number or null", e) : jread_fail(j, e);
	if (!jread_double(j, &v))
		return jread_fail(j, e);
	if (f->kind == UNIT && (v < 0 || v > 1))
		return err_set(e, ERR_INPUT, "key \"%s\": %g is outside 0..1", f->name, v);
	if (f->kind == POSITIVE && !(v >= RECORD_WEIGHT_LEAST && v <= RECORD_WEIGHT_MOST))
		return err_set(e, ERR_INPUT, "key \"%s\": %g is outside %g..%g", f->name, v,
			RECORD_WEIGHT_LEAST, RECORD_WEIGHT_MOST);
	*double_at(r, f) = v;
	return 0;
}

static int
parse_int(struct jread *j, struct record *r, const struct field *f, struct err *e)
{
	struct slice text;
	long long v;
	double d;

	if (jread_peek(j) != JREAD_NUMBER)
		return jread_well(j) ? wrong(f, "integer or null", e) : jread_fail(j, e);
	if (!jread_number(j, &text))
		return jread_fail(j, e);
	if (slice_int(text, &v)) {
		*int_at(r, f) = v;
		return 0;
	}
	if (!slice_double(text, &d) || d != floor(d) || fabs(d) > 9007199254740992.0)
		return wrong(f, "integer or null", e);
	*int_at(r, f) = (int64_t)d;
	return 0;
}

static int
parse_time(struct jread *j, struct arena *a, struct record *r, const struct field *f, struct err *e)
{
	struct slice s;
	char text[40];
	double d;

	if (jread_peek(j) == JREAD_NUMBER) {
		if (!jread_double(j, &d))
			return jread_fail(j, e);
		*int_at(r, f) = record_epoch_us(d);
		return 0;
	}
	if (jread_peek(j) != JREAD_STRING)
		return jread_well(j) ? wrong(f, "time or null", e) : jread_fail(j, e);
	if (!jread_string(j, a, &s))
		return jread_fail(j, e);
	if (s.n >= sizeof text)
		return wrong(f, "time such as 2026-11-20T10:00:00Z", e);
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (str_time(f->name, text, 0, int_at(r, f), NULL) < 0)
		return wrong(f, "time such as 2026-11-20T10:00:00Z", e);
	return 0;
}

static int
parse_known(struct jread *j, struct arena *a, struct record *r, const struct field *f, struct err *e)
{
	if (jread_peek(j) == JREAD_NULL) {
		clear(r, f);
		return jread_null(j) ? 0 : jread_fail(j, e);
	}
	switch (f->kind) {
	case STRING:
		if (jread_peek(j) != JREAD_STRING)
			return jread_well(j) ? wrong(f, "string or null", e) : jread_fail(j, e);
		return jread_string(j, a, slice_at(r, f)) ? 0 : jread_fail(j, e);
	case ARRAY:
		if (jread_peek(j) != JREAD_ARRAY)
			return jread_well(j) ? wrong(f, "array or null", e) : jread_fail(j, e);
		return jread_skip_raw(j, slice_at(r, f)) ? 0 : jread_fail(j, e);
	case DOUBLE:
	case UNIT:
	case POSITIVE:
		return parse_double(j, r, f, e);
	case INT:
		return parse_int(j, r, f, e);
	case TIME:
		return parse_time(j, a, r, f, e);
	}
	BUG("record field of kind %d", (int)f->kind);
}

/*
 * Keep an unknown member. One block of the line's length holds all of them:
 * none grows by being copied without its white space.
 */
static int
keep_extra(struct jread *j, struct arena *a, size_t line_len, struct slice key, char **block,
	struct record *r, struct err *e)
{
	struct slice raw;
	char *p;

	if (!jread_skip_raw(j, &raw))
		return jread_fail(j, e);
	if (*block == NULL && (*block = arena_alloc(a, line_len, e)) == NULL)
		return -1;
	p = *block + r->extra.n;
	if (r->extra.n > 0)
		*p++ = ',';
	*p++ = '"';
	memcpy(p, key.p, key.n);
	p += key.n;
	*p++ = '"';
	*p++ = ':';
	memcpy(p, raw.p, raw.n);
	p += raw.n;
	r->extra = (struct slice){ *block, (size_t)(p - *block) };
	return 0;
}

int
record_parse(const char *line, size_t n, struct arena *a, struct record *r, struct err *e)
{
	const struct field *f;
	struct jread j;
	struct slice key;
	char *block = NULL;

	record_init(r);
	jread_init(&j, line, n);
	if (jread_peek(&j) != JREAD_OBJECT)
		return jread_well(&j) ? err_set(e, ERR_INPUT, "a JSON object expected") :
			jread_fail(&j, e);
	if (jread_object(&j)) {
		while (jread_member(&j, &key)) {
			f = find(key);
			if ((f != NULL ? parse_known(&j, a, r, f, e) :
				    keep_extra(&j, a, n, key, &block, r, e)) < 0)
				return -1;
		}
	}
	if (jread_done(&j, e) < 0)
		return -1;
	if (r->model_name.n == 0)
		return err_set(e, ERR_INPUT, "key \"model_name\" is missing or empty");
	return 0;
}

/*
 * Times come as whole microseconds: i / 1e6 is correctly rounded, as is the
 * reading of its decimal text, so that text gives the same double back. Far
 * cheaper than a search for the shortest digits.
 */
static void
format_double(struct buf *b, double v)
{
	double us = v * 1e6, whole = nearbyint(us);
	uint64_t i;
	char text[32];
	size_t n = sizeof text;
	unsigned places = 6;

	if (!(v >= 0 && whole < 9e14) || whole / 1e6 != v) {
		jsonw_number(b, v);
		return;
	}
	for (i = (uint64_t)whole; places > 0 && i % 10 == 0; i /= 10)
		places--;
	for (unsigned d = 0; d < places; d++, i /= 10)
		text[--n] = (char)('0' + i % 10);
	if (places > 0)
		text[--n] = '.';
	do
		text[--n] = (char)('0' + i % 10);
	while ((i /= 10) > 0);
	buf_add(b, text + n, sizeof text - n);
}

static void
format_int(struct buf *b, int64_t v)
{
	char text[24];
	size_t n = sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		text[--n] = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		text[--n] = '-';
	buf_add(b, text + n, sizeof text - n);
}

static bool
absent(const struct record *r, const struct field *f)
{
	const char *p = (const char *)r + f->at;

	switch (f->kind) {
	case STRING:
	case ARRAY:
		return ((const struct slice *)(const void *)p)->p == NULL;
	case DOUBLE:
	case UNIT:
	case POSITIVE:
		return !isfinite(*(const double *)(const void *)p);
	case INT:
	case TIME:
		return *(const int64_t *)(const void *)p == RECORD_NO_INT;
	}
	return true;
}

static void
format_value(struct buf *b, const struct record *r, const struct field *f)
{
	const void *p = (const char *)r + f->at;
	const struct slice *s = p;
	char when[28];

	switch (f->kind) {
	case STRING:
		jsonw_quote(b, s->p, s->n);
		break;
	case ARRAY:
		buf_add(b, s->p, s->n);
		break;
	case DOUBLE:
	case UNIT:
	case POSITIVE:
		format_double(b, *(const double *)p);
		break;
	case INT:
		format_int(b, *(const int64_t *)p);
		break;
	case TIME:
		str_iso8601(*(const int64_t *)p, when);
		buf_byte(b, '"');
		buf_add(b, when, 27);
		buf_byte(b, '"');
		break;
	}
}

void
record_format(const struct record *r, struct buf *b)
{
	size_t start = b->len;

	for (size_t i = 0; i < N_FIELDS; i++) {
		bool none = absent(r, &fields[i]);

		if (none && i > 2)
			continue;
		buf_add(b, ",\"", 2);
		buf_add(b, fields[i].name, fields[i].len);
		buf_add(b, "\":", 2);
		if (!none)
			format_value(b, r, &fields[i]);
		else if (fields[i].kind == STRING)
			buf_add(b, "\"\"", 2);
		else
			buf_add(b, "null", 4);
	}
	if (r->extra.n > 0) {
		buf_byte(b, ',');
		buf_add(b, r->extra.p, r->extra.n);
	}
	buf_add(b, "}\n", 2);
	if (!b->failed)
		b->p[start] = '{';
}

/* Digest of the normalised text, through a small window so that nothing is allocated. */
struct fold {
	struct sha256 h;
	char w[512];
	size_t n;
	bool space, any;	/* a blank is due before the next word; a word was seen */
};

static void
fold_flush(struct fold *f)
{
	sha256_add(&f->h, f->w, f->n);
	f->n = 0;
}

/*
 * Eight bytes at a time while they are printable ASCII without two blanks in a
 * row, as nearly all of most queries is. Returns where it stopped.
 */
static const char *
fold_plain(struct fold *f, const char *p, const char *end)
{
#if defined __BYTE_ORDER__ && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t x, t, blanks;

	for (; end - p >= 8; p += 8) {
		memcpy(&x, p, 8);
		if (((x | (x - ones * ' ')) & high) != 0)
			break;
		t = x ^ (ones * ' ');
		blanks = ~((t & ~high) + ~high) & high;
		if ((blanks & blanks >> 8) != 0 || ((blanks & 0x80) != 0 && (f->space || !f->any)))
			break;
		if (f->n > sizeof f->w - 16)
			fold_flush(f);
		if (f->space)
			f->w[f->n++] = ' ';
		memcpy(f->w + f->n, p, 8);
		f->any = true;
		f->space = blanks >> 63 != 0;
		f->n += f->space ? 7 : 8;
	}
#endif
	(void)f;
	(void)end;
	return p;
}

static void
query_digest(struct slice q, uint8_t out[32])
{
	const char *p = q.p, *end = q.p + q.n;
	struct fold f;

	sha256_init(&f.h);
	f.n = 0;
	f.space = f.any = false;
	while (q.n > 0 && p < end) {
		unsigned char c;

		if ((p = fold_plain(&f, p, end)) == end)
			break;
		c = (unsigned char)*p;
		if (f.n > sizeof f.w - 16)
			fold_flush(&f);
		if (c == ' ' || (c >= '\t' && c <= '\r')) {
			f.space = f.any;
			p++;
			continue;
		}
		if (f.space)
			f.w[f.n++] = ' ';
		f.space = false;
		f.any = true;
		if (c < 0x80) {
			f.w[f.n++] = (char)c;
			p++;
		} else {
			f.n += utf8_put(utf8_next(&p, end), f.w + f.n);
		}
	}
	fold_flush(&f);
	sha256_final(&f.h, out);
}

void
record_query_id(struct slice query, char out[17])
{
	uint8_t d[32];

	query_digest(query, d);
	hex_format(d, 8, out);
}

uint64_t
record_query_hash(struct slice query)
{
	uint8_t d[32];
	uint64_t v = 0;

	query_digest(query, d);
	for (size_t i = 0; i < 8; i++)
		v = v << 8 | d[i];
	return v;
}
