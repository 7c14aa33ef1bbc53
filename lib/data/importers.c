#include "data/importers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "fmt/csv.h"
#include "fmt/jread.h"

#define MAX_ROW ((size_t)64 << 20)

struct import {
	struct stream_in *in;
	const char *name;
	const struct import_opts *o;
	struct import_stats s;
	struct arena arena;
	struct err *e;
};

enum import_kind
importers_kind(const char *name)
{
	static const char *const names[] = {
		[IMPORT_DCROUTER] = "dcrouter", [IMPORT_ROUTERBENCH] = "routerbench",
		[IMPORT_ROUTELLM] = "routellm", [IMPORT_LLMROUTER] = "llmrouter",
		[IMPORT_FLAT] = "flat",
	};

	for (int i = IMPORT_DCROUTER; i <= IMPORT_FLAT; i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum import_kind)i;
	}
	return IMPORT_NONE;
}

static int
emit(struct import *m, struct record *r)
{
	m->s.records++;
	return m->o->on_record(m->o->ctx, r, m->e);
}

/* Report a bad row: what it says, with the place before it. */
static int
bad(struct import *m, uint64_t line, struct err *what)
{
	m->s.bad++;
	err_wrap(what, "%s:%llu", m->name, (unsigned long long)line);
	if (m->o->on_bad != NULL)
		return m->o->on_bad(m->o->ctx, what, m->e);
	if (m->e != NULL)
		*m->e = *what;
	return -1;
}

/* --- JSON Lines --- */

/* A value that may be written as a number, a string of digits or a boolean. */
static bool
number_in(struct jread *j, struct arena *a, double *out)
{
	struct slice s;
	bool b;

	*out = NAN;
	switch (jread_peek(j)) {
	case JREAD_NULL:
		return jread_null(j);
	case JREAD_NUMBER:
		return jread_double(j, out);
	case JREAD_TRUE:
	case JREAD_FALSE:
		if (!jread_bool(j, &b))
			return false;
		*out = b;
		return true;
	case JREAD_STRING:
		if (!jread_string(j, a, &s))
			return false;
		if (!slice_double(slice_trim(s), out))
			*out = NAN;
		return true;
	default:
		return jread_skip(j);
	}
}

/* Text, or the JSON text of anything else; "" and null are absent. */
static bool
text_in(struct jread *j, struct arena *a, struct slice *out)
{
	*out = SLICE_NONE;
	if (jread_peek(j) == JREAD_NULL)
		return jread_null(j);
	if (jread_peek(j) == JREAD_STRING ? !jread_string(j, a, out) : !jread_skip_raw(j, out))
		return false;
	if (out->n == 0)
		*out = SLICE_NONE;
	return true;
}

static bool
time_in(struct jread *j, struct arena *a, int64_t *out)
{
	struct slice s;
	char text[40];
	double d;

	*out = RECORD_NO_INT;
	if (jread_peek(j) != JREAD_STRING) {
		if (!number_in(j, a, &d))
			return false;
		*out = record_epoch_us(d);
		return true;
	}
	if (!jread_string(j, a, &s))
		return false;
	if (slice_double(s, &d)) {
		*out = record_epoch_us(d);
	} else if (s.n > 0 && s.n < sizeof text) {
		memcpy(text, s.p, s.n);
		text[s.n] = '\0';
		if (str_time("timestamp", text, 0, out, NULL) < 0)
			*out = RECORD_NO_INT;
	}
	return true;
}

enum line_kind { L_TEXT, L_DOUBLE, L_MILLIS, L_INT, L_TIME, L_RAW, L_DROP };

static const struct line_field {
	const char *name;
	enum line_kind kind;
	size_t at;
} line_fields[] = {
	{ "query", L_TEXT, offsetof(struct record, query) },
	{ "model_name", L_TEXT, offsetof(struct record, model_name) },
	{ "performance", L_DOUBLE, offsetof(struct record, performance) },
	{ "query_id", L_DROP, 0 },
	{ "embedding_id", L_INT, offsetof(struct record, embedding_id) },
	{ "response", L_TEXT, offsetof(struct record, response) },
	{ "response_time", L_DOUBLE, offsetof(struct record, response_time_s) },
	{ "response_time_ms", L_MILLIS, offsetof(struct record, response_time_s) },
	{ "ttft", L_DOUBLE, offsetof(struct record, ttft_s) },
	{ "token_num", L_INT, offsetof(struct record, token_num) },
	{ "input_tokens", L_INT, offsetof(struct record, input_tokens) },
	{ "output_tokens", L_INT, offsetof(struct record, output_tokens) },
	{ "cost", L_DOUBLE, offsetof(struct record, cost_usd) },
	{ "task_name", L_TEXT, offsetof(struct record, task_name) },
	{ "ground_truth", L_TEXT, offsetof(struct record, ground_truth) },
	{ "metric", L_TEXT, offsetof(struct record, metric) },
	{ "status", L_TEXT, offsetof(struct record, status) },
	{ "status_code", L_INT, offsetof(struct record, status_code) },
	{ "error_type", L_TEXT, offsetof(struct record, error_type) },
	{ "trace_id", L_TEXT, offsetof(struct record, trace_id) },
	{ "span_id", L_TEXT, offsetof(struct record, span_id) },
	{ "timestamp", L_TIME, offsetof(struct record, timestamp_us) },
	{ "requested_model", L_TEXT, offsetof(struct record, requested_model) },
	{ "user", L_TEXT, offsetof(struct record, user) },
	{ "system_digest", L_TEXT, offsetof(struct record, system_digest) },
	{ "strategy_name", L_TEXT, offsetof(struct record, strategy_name) },
	{ "strategy_version", L_TEXT, offsetof(struct record, strategy_version) },
	{ "candidates", L_RAW, offsetof(struct record, candidates) },
	{ "outcome_status", L_TEXT, offsetof(struct record, outcome_status) },
	{ "propensity", L_DOUBLE, offsetof(struct record, propensity) },
};
#define N_LINE_FIELDS (sizeof line_fields / sizeof line_fields[0])

static bool
field_in(struct jread *j, struct arena *a, const struct line_field *f, struct record *r)
{
	void *to = (char *)r + f->at;
	double d;

	switch (f->kind) {
	case L_TEXT:
		return text_in(j, a, to);
	case L_RAW:
		return jread_peek(j) == JREAD_ARRAY ? jread_skip_raw(j, to) : jread_skip(j);
	case L_TIME:
		return time_in(j, a, to);
	case L_DROP:
		return jread_skip(j);
	case L_DOUBLE:
		return number_in(j, a, to);
	case L_MILLIS:
		if (!number_in(j, a, &d))
			return false;
		if (isnan(*(double *)to))
			*(double *)to = d / 1000;
		return true;
	case L_INT:
		if (!number_in(j, a, &d))
			return false;
		*(int64_t *)to = fabs(d) < 9e15 ? (int64_t)d : RECORD_NO_INT;
		return true;
	}
	return false;
}

/* Append an unknown member to r->extra, in one block as long as the line. */
static bool
keep_extra(struct jread *j, struct arena *a, size_t line_len, struct slice key, char **block,
	struct record *r)
{
	struct slice raw;
	char *p;

	if (!jread_skip_raw(j, &raw))
		return false;
	if (*block == NULL && (*block = arena_alloc(a, line_len, NULL)) == NULL)
		return false;
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
	return true;
}

static bool
in_unit(double v)
{
	return isnan(v) || (v >= 0 && v <= 1);
}

/* One line into a record. -1 and what when it is bad. */
static int
parse_line(struct import *m, const char *line, size_t n, struct record *r, bool *decision,
	struct err *what)
{
	struct slice key;
	struct jread j;
	char *block = NULL;
	bool ok = true;

	*decision = false;
	record_init(r);
	jread_init(&j, line, n);
	if (jread_peek(&j) != JREAD_OBJECT || !jread_object(&j))
		return jread_well(&j) ? err_set(what, ERR_INPUT, "a JSON object expected") :
			jread_fail(&j, what);
	while (ok && jread_member(&j, &key)) {
		const struct line_field *f = NULL;

		for (size_t i = 0; i < N_LINE_FIELDS && f == NULL; i++) {
			if (slice_is(key, line_fields[i].name))
				f = &line_fields[i];
		}
		*decision = *decision || slice_is(key, "strategy_name") ||
			slice_is(key, "contract_name") || slice_is(key, "contract_version");
		ok = f != NULL ? field_in(&j, &m->arena, f, r) :
			keep_extra(&j, &m->arena, n, key, &block, r);
	}
	if (jread_done(&j, what) < 0)
		return -1;
	if (!in_unit(r->performance))
		return err_set(what, ERR_INPUT, "performance %g is outside 0..1", r->performance);
	if (!in_unit(r->propensity))
		return err_set(what, ERR_INPUT, "propensity %g is outside 0..1", r->propensity);
	return 0;
}

/* Extractors write 0 where a trace says nothing of tokens. */
static void
drop_empty_counts(struct record *r)
{
	if (r->token_num > 0 || r->input_tokens > 0 || r->output_tokens > 0)
		return;
	r->token_num = r->input_tokens = r->output_tokens = RECORD_NO_INT;
}

static int
take_line(struct import *m, const char *line, size_t n, uint64_t number)
{
	struct err what = ERR_INIT;
	struct record r;
	bool decision;

	m->s.rows++;
	if (parse_line(m, line, n, &r, &decision, &what) < 0)
		return bad(m, number, &what);
	if (slice_trim(r.query).n == 0) {
		*(decision ? &m->s.decisions : &m->s.no_query) += 1;
		return 0;
	}
	if (r.model_name.n == 0) {
		err_set(&what, ERR_INPUT, "key \"model_name\" is missing or empty");
		return bad(m, number, &what);
	}
	drop_empty_counts(&r);
	return emit(m, &r);
}

static int
read_lines(struct import *m)
{
	struct stream_lines *lines = stream_lines_new(m->in, MAX_ROW, m->e);
	const char *line;
	uint64_t number;
	size_t n;
	int r = -1;

	while (lines != NULL && (r = stream_lines_next(lines, &line, &n, &number, m->e)) > 0) {
		arena_reset(&m->arena);
		if (slice_trim((struct slice){ line, n }).n == 0)
			continue;
		if (cancel_check(m->o->cancel, m->e) < 0 || take_line(m, line, n, number) < 0) {
			r = -1;
			break;
		}
	}
	stream_lines_free(lines);
	return r;
}

/* --- dcrouter --- */

/* Objects of an array, or one after the other, cut from the stream. */
struct cutter {
	struct import *m;
	struct buf b;		/* bytes read; those before from are done with */
	size_t from, at;
	bool end, array, closed;
	uint64_t line;
};

/* Make b.p[at] readable. False at the end; *r -1 on error. */
static bool
more(struct cutter *c, int *r)
{
	size_t got;

	if (c->at < c->b.len)
		return true;
	if (c->end)
		return false;
	if (c->from > 0) {
		memmove(c->b.p, c->b.p + c->from, c->b.len - c->from);
		c->b.len -= c->from;
		c->at -= c->from;
		c->from = 0;
	}
	if (!buf_reserve(&c->b, 65536)) {
		*r = err_nomem(c->m->e);
		return false;
	}
	if (stream_in_read(c->m->in, c->b.p + c->b.len, 65536, &got, c->m->e) < 0) {
		*r = -1;
		return false;
	}
	c->b.len += got;
	c->end = got == 0;
	return got > 0;
}

static int
malformed(struct cutter *c, const char *why)
{
	return err_set(c->m->e, ERR_INPUT, "%s:%llu: %s", c->m->name,
		(unsigned long long)c->line, why);
}

/* Past the object that begins at from. */
static int
past_object(struct cutter *c)
{
	unsigned depth = 0;
	bool string = false, escape = false;
	int r = 0;

	for (; more(c, &r); c->at++) {
		char ch = c->b.p[c->at];

		if (ch == '\n')
			c->line++;
		if (string) {
			if (!escape && ch == '"')
				string = false;
			escape = !escape && ch == '\\';
		} else if (ch == '"') {
			string = true;
		} else if (ch == '{' || ch == '[') {
			depth++;
		} else if ((ch == '}' || ch == ']') && --depth == 0) {
			c->at++;
			return 0;
		}
		if (c->at - c->from > MAX_ROW)
			return malformed(c, "an element of more than 64 MiB");
	}
	return r < 0 ? -1 : malformed(c, "the file ends inside an element");
}

/* Next object: 1 and its text, 0 end, -1 err. The line is that of its beginning. */
static int
next_object(struct cutter *c, struct slice *out, uint64_t *line)
{
	int r = 0;

	*out = SLICE_NONE;
	*line = c->line;
	for (c->from = c->at; more(c, &r); c->at++) {
		char ch = c->b.p[c->at];

		if (ch == '\n')
			c->line++;
		if (ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r')
			continue;
		if (ch == '[' && !c->array && !c->closed && c->m->s.rows == 0) {
			c->array = true;
		} else if (ch == ']' && c->array) {
			c->array = false;
			c->closed = true;
		} else if (ch == '{' && !c->closed) {
			break;
		} else if (ch != ',' || !c->array) {
			return malformed(c, "not a list of questions: [{\"question\", \"scores\"}] expected");
		}
	}
	if (r < 0)
		return -1;
	if (c->at >= c->b.len)
		return c->array ? malformed(c, "the file ends inside the list") : 0;
	c->from = c->at;
	*line = c->line;
	if (past_object(c) < 0)
		return -1;
	*out = (struct slice){ c->b.p + c->from, c->at - c->from };
	return 1;
}

struct question {
	struct slice text, task, extra;
	struct slice scores;		/* raw object */
};

static bool
read_question(struct jread *j, struct arena *a, size_t n, struct question *q)
{
	struct record keep;
	struct slice key;
	char *block = NULL;
	bool ok = true;

	record_init(&keep);
	if (!jread_object(j))
		return false;
	while (ok && jread_member(j, &key)) {
		if (slice_is(key, "question") || slice_is(key, "query") || slice_is(key, "prompt"))
			ok = text_in(j, a, &q->text);
		else if (slice_is(key, "task") || slice_is(key, "task_name"))
			ok = text_in(j, a, &q->task);
		else if (slice_is(key, "scores") && jread_peek(j) == JREAD_OBJECT)
			ok = jread_skip_raw(j, &q->scores);
		else
			ok = keep_extra(j, a, n, key, &block, &keep);
	}
	q->extra = keep.extra;
	return ok && jread_well(j);
}

/* Scores are checked before the first record goes out, so that a bad element gives none. */
static int
each_score(struct import *m, const struct question *q, bool write, struct err *what)
{
	struct slice key;
	struct jread j;
	double v;

	jread_init(&j, q->scores.p, q->scores.n);
	if (!jread_object(&j))
		return jread_fail(&j, what);
	while (jread_member(&j, &key)) {
		struct record r;
		struct slice name;

		if (!number_in(&j, &m->arena, &v))
			return jread_fail(&j, what);
		if (!in_unit(v) || key.n == 0)
			return err_set(what, ERR_INPUT, "score %g of \"%.*s\" is outside 0..1", v,
				(int)(key.n > 64 ? 64 : key.n), key.p);
		if (!write)
			continue;
		if (isnan(v)) {
			m->s.missing++;
			continue;
		}
		if (!jread_unescape(key, &m->arena, &name))
			return err_nomem(what);
		record_init(&r);
		r.query = q->text;
		r.model_name = name;
		r.performance = v;
		r.task_name = q->task;
		r.extra = q->extra;
		if (emit(m, &r) < 0) {
			if (m->e != NULL)
				*what = *m->e;
			return -2;
		}
	}
	return jread_well(&j) ? 0 : jread_fail(&j, what);
}

static int
take_question(struct import *m, struct slice json, uint64_t line)
{
	struct question q = { .text = SLICE_NONE };
	struct err what = ERR_INIT;
	struct jread j;
	int r;

	m->s.rows++;
	jread_init(&j, json.p, json.n);
	if (!read_question(&j, &m->arena, json.n, &q) || jread_done(&j, NULL) < 0) {
		jread_fail(&j, &what);
		return bad(m, line, &what);
	}
	if (q.text.n == 0 || q.scores.p == NULL) {
		err_set(&what, ERR_INPUT, "key \"%s\" is missing",
			q.text.n == 0 ? "question" : "scores");
		return bad(m, line, &what);
	}
	if (each_score(m, &q, false, &what) < 0)
		return bad(m, line, &what);
	r = each_score(m, &q, true, &what);
	return r == -2 ? -1 : r < 0 ? bad(m, line, &what) : 0;
}

static int
read_questions(struct import *m)
{
	struct cutter c = { .m = m, .b = BUF_INIT, .line = 1 };
	struct slice json;
	uint64_t line;
	int r;

	while ((r = next_object(&c, &json, &line)) > 0) {
		arena_reset(&m->arena);
		if (cancel_check(m->o->cancel, m->e) < 0 || take_question(m, json, line) < 0) {
			r = -1;
			break;
		}
	}
	buf_finish(&c.b);
	return r;
}

/* --- CSV --- */

#define MAX_COLUMNS 1024

struct columns {
	int prompt, task, id;
	int cost[MAX_COLUMNS];		/* of the model in that column, -1 none */
	bool model[MAX_COLUMNS];
	struct slice name[MAX_COLUMNS];
	size_t n;
	struct arena arena;
};

static int
find_column(const struct columns *c, struct slice name, const char *suffix)
{
	size_t k = strlen(suffix);

	for (size_t i = 0; i < c->n; i++) {
		if (c->name[i].n == name.n + k && memcmp(c->name[i].p, name.p, name.n) == 0 &&
		    memcmp(c->name[i].p + name.n, suffix, k) == 0)
			return (int)i;
	}
	return -1;
}

static int
read_header(struct import *m, enum import_kind kind, const struct slice *f, size_t n,
	struct columns *c)
{
	static const char *const prompts[] = { "prompt", "query", "question" };
	size_t models = 0;

	if (n > MAX_COLUMNS)
		return err_set(m->e, ERR_INPUT, "%s:1: more than %d columns", m->name, MAX_COLUMNS);
	c->n = n;
	c->prompt = -1;
	for (size_t i = 0; i < n; i++) {
		struct slice s = slice_trim(f[i]);

		c->name[i] = (struct slice){ arena_dup(&c->arena, s.p, s.n, m->e), s.n };
		if (c->name[i].p == NULL)
			return -1;
	}
	for (size_t i = 0; i < 3 && c->prompt < 0; i++)
		c->prompt = find_column(c, slice_str(prompts[i]), "");
	if (c->prompt < 0)
		return err_set(m->e, ERR_INPUT, "%s:1: no column \"prompt\"", m->name);
	c->task = find_column(c, SLICE_LIT("eval_name"), "");
	c->id = find_column(c, SLICE_LIT("sample_id"), "");
	for (size_t i = 0; i < n; i++) {
		c->cost[i] = find_column(c, c->name[i], "|total_cost");
		c->model[i] = kind == IMPORT_ROUTERBENCH ? c->cost[i] >= 0 :
			(int)i != c->prompt && (int)i != c->task && (int)i != c->id &&
			c->name[i].n > 0 && memchr(c->name[i].p, '|', c->name[i].n) == NULL;
		models += c->model[i];
	}
	if (models == 0)
		return err_set(m->e, ERR_INPUT, kind == IMPORT_ROUTERBENCH ?
			"%s:1: no model column with its MODEL|total_cost" :
			"%s:1: no model column", m->name);
	return 0;
}

static bool
cell(struct slice s, double *v)
{
	s = slice_trim(s);
	*v = NAN;
	if (s.n == 0 || (s.n == 3 && strncasecmp(s.p, "nan", 3) == 0))
		return true;
	if (s.n == 4 && strncasecmp(s.p, "true", 4) == 0)
		*v = 1;
	else if (s.n == 5 && strncasecmp(s.p, "false", 5) == 0)
		*v = 0;
	else if (!slice_double(s, v))
		return false;
	return in_unit(*v);
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ?
		(c | 32) - 'a' + 10 : -1;
}

/* One escape of a Python string literal at p (behind the backslash) into out. */
static const char *
python_escape(const char *p, const char *end, char **out)
{
	static const char from[] = "ntrabfv0", to[] = "\n\t\r\a\b\f\v";
	const char *k = strchr(from, *p);
	int digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
	uint32_t cp = 0;

	if (*p != '\0' && k != NULL && *p != '0') {
		*(*out)++ = to[k - from];
		return p + 1;
	}
	if (digits == 0 || end - p <= digits) {
		if (strchr("\\'\"", *p) == NULL)
			*(*out)++ = '\\';
		*(*out)++ = *p;
		return p + 1;
	}
	for (int i = 1; i <= digits; i++)
		cp = cp << 4 | (uint32_t)(hex_digit(p[i]) & 15);
	*out += utf8_put(cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000) ? 0xfffd : cp, *out);
	return p + 1 + digits;
}

/*
 * A Python list of strings, ['a', "b"], as its texts joined by newlines; any
 * other text as it is. Never longer than the text.
 */
static int
python_list(struct import *m, struct slice s, struct slice *out)
{
	struct slice t = slice_trim(s);
	const char *p = t.p + 1, *end = t.p + t.n;
	char *to, *start;
	char quote;

	*out = s;
	if (t.n < 4 || t.p[0] != '[' || end[-1] != ']' || (t.p[1] != '\'' && t.p[1] != '"'))
		return 0;
	if ((start = to = arena_alloc(&m->arena, t.n + 8, m->e)) == NULL)
		return -1;
	for (end--; p < end;) {
		quote = *p++;
		if (quote != '\'' && quote != '"')
			return 0;
		while (p < end && *p != quote) {
			if (*p == '\\' && p + 1 < end)
				p = python_escape(p + 1, end, &to);
			else
				*to++ = *p++;
		}
		if (p++ >= end)
			return 0;
		while (p < end && (*p == ',' || *p == ' '))
			p++;
		if (p < end)
			*to++ = '\n';
	}
	*out = (struct slice){ start, (size_t)(to - start) };
	return 0;
}

static int
take_row(struct import *m, const struct columns *c, const struct slice *f, size_t n,
	uint64_t line)
{
	struct err what = ERR_INIT;
	struct slice query;
	struct record r;
	double v;

	m->s.rows++;
	if (n != c->n) {
		err_set(&what, ERR_INPUT, "%zu columns where the header has %zu", n, c->n);
		return bad(m, line, &what);
	}
	for (size_t i = 0; i < n; i++) {
		if (c->model[i] && !cell(f[i], &v)) {
			err_set(&what, ERR_INPUT, "column \"%.*s\": \"%.*s\" is not True, False or 0..1",
				(int)c->name[i].n, c->name[i].p, (int)(f[i].n > 40 ? 40 : f[i].n),
				f[i].p);
			return bad(m, line, &what);
		}
	}
	if (python_list(m, f[c->prompt], &query) < 0)
		return -1;
	if (slice_trim(query).n == 0) {
		m->s.no_query++;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (!c->model[i])
			continue;
		record_init(&r);
		(void)cell(f[i], &r.performance);
		if (isnan(r.performance)) {
			m->s.missing++;
			continue;
		}
		r.query = query;
		r.model_name = c->name[i];
		if (c->task >= 0)
			r.task_name = f[c->task];
		if (c->cost[i] >= 0 && (!slice_double(slice_trim(f[c->cost[i]]), &r.cost_usd) ||
			r.cost_usd < 0))
			r.cost_usd = NAN;
		if (emit(m, &r) < 0)
			return -1;
	}
	return 0;
}

static int
read_csv(struct import *m, enum import_kind kind)
{
	struct csv *csv = csv_new(m->in, MAX_ROW, m->e);
	struct columns *c = mem_calloc(1, sizeof *c, m->e);
	const struct slice *f;
	uint64_t line;
	size_t n;
	int r = -1;

	while (csv != NULL && c != NULL && (r = csv_next(csv, &f, &n, &line, m->e)) > 0) {
		arena_reset(&m->arena);
		if (cancel_check(m->o->cancel, m->e) < 0 ||
		    (c->n == 0 ? read_header(m, kind, f, n, c) : take_row(m, c, f, n, line)) < 0) {
			r = -1;
			break;
		}
	}
	if (r == 0 && c->n == 0)
		r = err_set(m->e, ERR_INPUT, "%s: no header row", m->name);
	if (c != NULL)
		arena_finish(&c->arena);
	free(c);
	csv_free(csv);
	return r;
}

int
importers_read(enum import_kind kind, struct stream_in *in, const char *name,
	const struct import_opts *o, struct import_stats *stats, struct err *e)
{
	struct import m = { .in = in, .name = name, .o = o, .e = e };
	int r;

	switch (kind) {
	case IMPORT_DCROUTER:
		r = read_questions(&m);
		break;
	case IMPORT_ROUTERBENCH:
	case IMPORT_ROUTELLM:
		r = read_csv(&m, kind);
		break;
	case IMPORT_LLMROUTER:
	case IMPORT_FLAT:
		r = read_lines(&m);
		break;
	case IMPORT_NONE:
	default:
		BUG("import of kind %d", (int)kind);
	}
	if (r < 0 && e != NULL && strncmp(e->msg, name, strlen(name)) != 0 && e->code == ERR_INPUT)
		err_wrap(e, "%s", name);
	arena_finish(&m.arena);
	if (stats != NULL)
		*stats = m.s;
	return r;
}
