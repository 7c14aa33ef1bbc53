#include "data/labels.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "fmt/csv.h"
#include "fmt/jread.h"
#include "fmt/stream.h"

#define MAX_ROW ((size_t)16 << 20)

enum level { TRACE_SPAN = 1, TRACE_MODEL, TRACE, QUERY_MODEL, QUERY };

struct row {
	uint64_t key;			/* 0 empty */
	double performance;
	uint32_t task, metric;		/* index + 1 in names, 0 none */
};

struct labels {
	struct row *rows;
	atomic_uchar *used;
	size_t cap, n;
	struct map names;
	struct redact *redact;
	struct buf scratch;
};

/* Columns of one row of the file. */
struct input {
	struct slice trace, span, model, query, query_id, performance, task, metric;
};

static const struct { const char *name; size_t at; } columns[] = {
	{ "trace_id", offsetof(struct input, trace) },
	{ "span_id", offsetof(struct input, span) },
	{ "model_name", offsetof(struct input, model) },
	{ "model", offsetof(struct input, model) },
	{ "query", offsetof(struct input, query) },
	{ "query_id", offsetof(struct input, query_id) },
	{ "performance", offsetof(struct input, performance) },
	{ "score", offsetof(struct input, performance) },
	{ "label", offsetof(struct input, performance) },
	{ "task_name", offsetof(struct input, task) },
	{ "metric", offsetof(struct input, metric) },
};
#define N_COLUMNS (sizeof columns / sizeof columns[0])

static struct slice *
column(struct input *in, struct slice name)
{
	for (size_t i = 0; i < N_COLUMNS; i++) {
		if (slice_is(name, columns[i].name))
			return (struct slice *)(void *)((char *)in + columns[i].at);
	}
	return NULL;
}

/* Ids are compared without regard to case and leading zeros (64-bit trace ids). */
static uint64_t
hash_id(struct slice id, uint64_t seed)
{
	char low[64];
	size_t n = 0;

	while (id.n > 0 && id.p[0] == '0') {
		id.p++;
		id.n--;
	}
	for (size_t i = 0; i < id.n && n < sizeof low; i++)
		low[n++] = (char)(id.p[i] >= 'A' && id.p[i] <= 'F' ? id.p[i] + 32 : id.p[i]);
	return map_hash(low, n, seed);
}

static uint64_t
key_of(enum level level, uint64_t a, struct slice b)
{
	uint64_t k = map_hash(b.p != NULL ? b.p : "", b.n, a + (uint64_t)level);

	return k != 0 ? k : 1;
}

static struct row *
slot(const struct labels *l, uint64_t key)
{
	size_t i = (size_t)(key & (l->cap - 1));

	while (l->rows[i].key != 0 && l->rows[i].key != key)
		i = (i + 1) & (l->cap - 1);
	return &l->rows[i];
}

static int
grow(struct labels *l, struct err *e)
{
	struct row *old = l->rows;
	size_t old_cap = l->cap;

	if (l->cap > 0 && l->n < l->cap / 5 * 4)
		return 0;
	if ((l->rows = mem_calloc(old_cap > 0 ? 2 * old_cap : 1024, sizeof *old, e)) == NULL) {
		l->rows = old;
		return -1;
	}
	l->cap = old_cap > 0 ? 2 * old_cap : 1024;
	for (size_t i = 0; i < old_cap; i++) {
		if (old[i].key != 0)
			*slot(l, old[i].key) = old[i];
	}
	free(old);
	return 0;
}

static int
intern(struct labels *l, struct slice name, uint32_t *out, struct err *e)
{
	size_t i;

	*out = 0;
	if (name.n == 0)
		return 0;
	if ((i = map_intern(&l->names, name.p, name.n, NULL, e)) == MAP_NONE)
		return -1;
	*out = (uint32_t)(i + 1);
	return 0;
}

static uint64_t
query_key(struct labels *l, const struct input *in)
{
	struct slice q = in->query;
	uint64_t hits = 0, v = 0;

	if (in->query_id.n == 16) {
		for (size_t i = 0; i < 16; i++) {
			int c = in->query_id.p[i] | 32;

			v = v << 4 | (uint64_t)(c >= 'a' ? c - 'a' + 10 : c & 15);
		}
		return v;
	}
	buf_reset(&l->scratch);
	if (l->redact != NULL && redact_text(l->redact, q, &l->scratch, &hits))
		q = (struct slice){ l->scratch.p, l->scratch.len };
	return record_query_hash(q);
}

static int
add_row(struct labels *l, const struct input *in, struct err *e)
{
	struct row r = { .performance = NAN };
	struct row *at;

	if (in->performance.n > 0 && !slice_is(in->performance, "null") &&
	    (!slice_double(in->performance, &r.performance) || r.performance < 0 ||
		    r.performance > 1))
		return err_set(e, ERR_INPUT, "performance \"%.*s\" is not a number in 0..1",
			(int)(in->performance.n > 40 ? 40 : in->performance.n), in->performance.p);
	if (in->trace.n > 0) {
		uint64_t t = hash_id(in->trace, 7);

		r.key = in->span.n > 0 ? key_of(TRACE_SPAN, hash_id(in->span, t), SLICE_NONE) :
			in->model.n > 0 ? key_of(TRACE_MODEL, t, in->model) :
			key_of(TRACE, t, SLICE_NONE);
	} else if (in->query_id.n == 16 || in->query.n > 0) {
		r.key = key_of(in->model.n > 0 ? QUERY_MODEL : QUERY, query_key(l, in), in->model);
	} else {
		return err_set(e, ERR_INPUT,
			"a label needs trace_id, query_id (16 hex digits) or query");
	}
	if (grow(l, e) < 0 || intern(l, in->task, &r.task, e) < 0 ||
	    intern(l, in->metric, &r.metric, e) < 0)
		return -1;
	at = slot(l, r.key);
	l->n += at->key == 0;
	*at = r;
	return 0;
}

static int
parse_json(struct labels *l, const char *line, size_t n, struct arena *a, struct err *e)
{
	struct input in = { .trace = SLICE_NONE };
	struct slice key, *to;
	struct jread j;

	jread_init(&j, line, n);
	if (jread_object(&j)) {
		while (jread_member(&j, &key)) {
			to = column(&in, key);
			if (to == NULL || jread_peek(&j) == JREAD_NULL) {
				if (!jread_skip(&j))
					break;
			} else if (jread_peek(&j) == JREAD_STRING) {
				if (!jread_string(&j, a, to))
					break;
			} else if (jread_peek(&j) == JREAD_TRUE || jread_peek(&j) == JREAD_FALSE) {
				*to = jread_peek(&j) == JREAD_TRUE ? SLICE_LIT("1") : SLICE_LIT("0");
				if (!jread_skip(&j))
					break;
			} else if (!jread_skip_raw(&j, to)) {
				break;
			}
		}
	}
	return jread_done(&j, e) < 0 ? -1 : add_row(l, &in, e);
}

static int
load_json(struct labels *l, const char *path, struct stream_in *in, struct err *e)
{
	struct stream_lines *lines = stream_lines_new(in, MAX_ROW, e);
	struct arena a = ARENA_INIT;
	const char *line;
	uint64_t number;
	size_t n;
	int r = -1;

	while (lines != NULL && (r = stream_lines_next(lines, &line, &n, &number, e)) > 0) {
		arena_reset(&a);
		if (slice_trim((struct slice){ line, n }).n == 0)
			continue;
		if (parse_json(l, line, n, &a, e) < 0) {
			r = err_wrap(e, "%s:%llu", path, (unsigned long long)number);
			break;
		}
	}
	stream_lines_free(lines);
	arena_finish(&a);
	return r;
}

static int
load_csv(struct labels *l, const char *path, struct stream_in *in, struct err *e)
{
	struct csv *csv = csv_new(in, MAX_ROW, e);
	size_t where[64];
	size_t n, n_columns = 0;
	const struct slice *f;
	uint64_t line;
	int r = -1;

	while (csv != NULL && (r = csv_next(csv, &f, &n, &line, e)) > 0) {
		struct input row = { .trace = SLICE_NONE };

		if (n_columns == 0) {
			n_columns = n < 64 ? n : 64;
			for (size_t i = 0; i < n_columns; i++) {
				struct slice *to = column(&row, slice_trim(f[i]));

				where[i] = to == NULL ? (size_t)-1 :
					(size_t)((char *)to - (char *)&row);
			}
			continue;
		}
		for (size_t i = 0; i < n && i < n_columns; i++) {
			if (where[i] != (size_t)-1)
				*(struct slice *)(void *)((char *)&row + where[i]) = f[i];
		}
		if (add_row(l, &row, e) < 0) {
			r = err_wrap(e, "%s:%llu", path, (unsigned long long)line);
			break;
		}
	}
	csv_free(csv);
	return r;
}

/* First byte of a stream behind white space, 0 when there is none. */
static int
first_byte(struct stream_in *in, char *out, struct err *e)
{
	char c;
	size_t got;

	*out = '\0';
	while (*out == '\0') {
		if (stream_in_read(in, &c, 1, &got, e) < 0)
			return -1;
		if (got == 0)
			break;
		if (strchr(" \t\r\n", c) == NULL)
			*out = c;
	}
	return 0;
}

/* All of a stream that can be read but once (a pipe). */
static int
slurp(const char *path, struct buf *all, struct err *e)
{
	struct stream_in *in = stream_in_open(path, e);
	size_t got = 1;
	int r = in == NULL ? -1 : 0;

	while (r == 0 && got > 0) {
		if (!buf_reserve(all, 65536))
			r = err_nomem(e);
		else if ((r = stream_in_read(in, all->p + all->len, 65536, &got, e)) == 0)
			all->len += got;
	}
	stream_in_close(in);
	return r;
}

static struct stream_in *
open_input(const char *path, bool regular, const struct buf *all, struct err *e)
{
	return regular ? stream_in_open(path, e) : stream_in_memory(buf_cstr(all), all->len, e);
}

static int
load(struct labels *l, const char *path, struct err *e)
{
	struct stream_in *in = NULL;
	struct buf all = BUF_INIT;
	struct stat st;
	bool regular = stat(path, &st) == 0 && S_ISREG(st.st_mode);
	char first;
	int r = -1;

	if (!regular && slurp(path, &all, e) < 0)
		goto out;
	if ((in = open_input(path, regular, &all, e)) == NULL || first_byte(in, &first, e) < 0)
		goto out;
	stream_in_close(in);
	if ((in = open_input(path, regular, &all, e)) == NULL)
		goto out;
	r = first == '{' ? load_json(l, path, in, e) : load_csv(l, path, in, e);
out:
	stream_in_close(in);
	buf_finish(&all);
	return r;
}

struct labels *
labels_load(const char *path, struct redact *redact, struct err *e)
{
	struct labels *l = mem_calloc(1, sizeof *l, e);
	int r;

	if (l == NULL)
		return NULL;
	l->redact = redact;
	r = grow(l, e) < 0 ? -1 : load(l, path, e);
	if (r < 0 && e != NULL && e->msg[0] != '\0' && strstr(e->msg, path) == NULL)
		err_wrap(e, "%s", path);
	if (r == 0 && (l->used = mem_calloc(l->cap, sizeof *l->used, e)) == NULL)
		r = -1;
	l->redact = NULL;
	buf_finish(&l->scratch);
	if (r < 0) {
		labels_free(l);
		return NULL;
	}
	return l;
}

void
labels_free(struct labels *l)
{
	if (l == NULL)
		return;
	free(l->rows);
	free((void *)l->used);
	map_finish(&l->names);
	free(l);
}

static const struct row *
look(struct labels *l, uint64_t key)
{
	const struct row *r = slot(l, key);

	return r->key != 0 ? r : NULL;
}

static struct slice
name_of(const struct labels *l, uint32_t i)
{
	return i == 0 ? SLICE_NONE :
		(struct slice){ l->names.keys[i - 1], l->names.key_len[i - 1] };
}

bool
labels_find(struct labels *l, const struct record *r, uint64_t query, struct label *out)
{
	const struct row *row = NULL;

	if (r->trace_id.n > 0) {
		uint64_t t = hash_id(r->trace_id, 7);

		if (r->span_id.n > 0)
			row = look(l, key_of(TRACE_SPAN, hash_id(r->span_id, t), SLICE_NONE));
		if (row == NULL)
			row = look(l, key_of(TRACE_MODEL, t, r->model_name));
		if (row == NULL) {
			row = look(l, key_of(TRACE, t, SLICE_NONE));
			if (row != NULL && slice_is(r->status, "error") && row->performance > 0)
				row = NULL;
		}
	}
	if (row == NULL)
		row = look(l, key_of(QUERY_MODEL, query, r->model_name));
	if (row == NULL)
		row = look(l, key_of(QUERY, query, SLICE_NONE));
	if (row == NULL)
		return false;
	atomic_store_explicit(&l->used[row - l->rows], 1, memory_order_relaxed);
	*out = (struct label){ row->performance, name_of(l, row->task), name_of(l, row->metric) };
	return true;
}

uint64_t
labels_rows(const struct labels *l)
{
	return l->n;
}

uint64_t
labels_unused(const struct labels *l)
{
	uint64_t used = 0;

	for (size_t i = 0; i < l->cap; i++)
		used += l->rows[i].key != 0 && atomic_load(&l->used[i]) != 0;
	return l->n - used;
}
