#include "net/logobjects.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "fmt/hash.h"
#include "trace/logpayload.h"

#define DAY INT64_C(86400000000)
#define HOUR INT64_C(3600000000)
#define MAX_LEVELS 4
#define CHUNK_OBJECTS 256
#define CHUNK_BYTES ((uint64_t)16 << 20)

struct folder {
	char *name;		/* relative, with its "/" */
	int64_t day_us;
};

struct object {
	char *key;
	struct buf body;
	enum s3_outcome outcome;
	struct err err;
};

struct run {
	const struct logobjects_opts *o;
	struct logobjects_stats *st;
	struct pool *pool;
	struct folder *folders;
	size_t n_folders, folders_cap;
	char **deeper;			/* folders still to look into */
	size_t n_deeper, deeper_cap;
	struct object chunk[CHUNK_OBJECTS];
	size_t n_chunk;
	uint64_t chunk_bytes;
	int64_t day_us;			/* of the folder being read */
	int64_t upto_us;
	struct arena mem;
};

void
logobjects_id(const char *key, uint8_t out[16])
{
	uint8_t d[32];

	sha256_bytes(key, strlen(key), d);
	memcpy(out, d, 16);
}

bool
logobjects_day(const char *folder, int64_t *us)
{
	size_t n = strlen(folder);
	char text[11];

	if (n < 11 || folder[n - 1] != '/' || (n > 11 && folder[n - 12] != '/'))
		return false;
	memcpy(text, folder + n - 11, 10);
	text[10] = '\0';
	for (size_t i = 0; i < 10; i++) {
		if (i == 4 || i == 7 ? text[i] != '-' : text[i] < '0' || text[i] > '9')
			return false;
	}
	return str_time("day", text, 0, us, NULL) == 0;
}

/* --- folders --- */

static int
on_folder(void *ctx, const struct s3_entry *x, struct err *e)
{
	struct run *r = ctx;
	int64_t day;
	void *v;

	if (!x->is_prefix)
		return 0;
	if (!logobjects_day(x->key, &day)) {
		v = r->deeper;
		if (mem_grow(&v, &r->deeper_cap, r->n_deeper + 1, sizeof *r->deeper, e) < 0)
			return -1;
		r->deeper = v;
		return (r->deeper[r->n_deeper++] = mem_strdup(x->key, e)) == NULL ? -1 : 0;
	}
	if (day + 2 * DAY <= r->o->from_us || day - DAY >= r->o->end_us)
		return 0;
	v = r->folders;
	if (mem_grow(&v, &r->folders_cap, r->n_folders + 1, sizeof *r->folders, e) < 0)
		return -1;
	r->folders = v;
	r->folders[r->n_folders].day_us = day;
	return (r->folders[r->n_folders++].name = mem_strdup(x->key, e)) == NULL ? -1 : 0;
}

static int
by_day(const void *x, const void *y)
{
	const struct folder *a = x, *b = y;

	if (a->day_us != b->day_us)
		return a->day_us < b->day_us ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int
find_folders(struct run *r, struct err *e)
{
	struct s3_list l = { .delimiter = "/", .on_entry = on_folder, .ctx = r };
	size_t from = 0;

	if (s3_list(r->o->bucket, &l, NULL, e) != S3_OK)
		return -1;
	for (unsigned level = 1; level < MAX_LEVELS && from < r->n_deeper; level++) {
		size_t n = r->n_deeper;

		for (; from < n; from++) {
			char *prefix = r->deeper[from];

			l.prefix = prefix;
			if (cancel_check(r->o->cancel, e) < 0 || s3_list(r->o->bucket, &l, NULL, e) != S3_OK)
				return -1;
		}
	}
	if (r->n_folders > 0)
		qsort(r->folders, r->n_folders, sizeof *r->folders, by_day);
	return 0;
}

/* --- a chunk of objects --- */

static void
fetch_one(void *arg, size_t part, unsigned worker)
{
	struct run *r = arg;
	struct object *x = &r->chunk[part];

	(void)worker;
	x->err = (struct err)ERR_INIT;
	x->outcome = S3_FAILED;
	if (cancel_check(r->o->cancel, &x->err) < 0)
		return;
	buf_reset(&x->body);
	x->outcome = s3_get_buf(r->o->bucket, x->key, NULL, r->o->max_object_bytes, &x->body, NULL, &x->err);
}

static void
skip_bad(struct run *r, const struct object *x, const char *why)
{
	if (r->st->bad++ < 20)
		log_warn(r->o->log, "%s/%s: %s", s3_name(r->o->bucket), x->key, why);
}

static int
deliver(struct run *r, struct object *x, struct err *e)
{
	struct err why = ERR_INIT;
	struct callspan c;
	uint8_t id[16];
	int k;

	if (x->outcome == S3_NOT_FOUND) {
		r->st->gone++;
		return 0;
	}
	if (x->outcome == S3_CHANGED) {
		skip_bad(r, x, x->err.msg);
		return 0;
	}
	if (x->outcome != S3_OK) {
		*e = x->err;
		return -1;
	}
	r->st->fetched++;
	r->st->bytes += x->body.len;
	arena_reset(&r->mem);
	k = logpayload_read((struct slice){ x->body.p, x->body.len }, &r->mem, &c, &why);
	if (k < 0 && why.code != ERR_INPUT) {
		*e = why;
		return -1;
	}
	if (k < 0) {
		skip_bad(r, x, why.msg);
		return 0;
	}
	if (k == 0 || c.start_us < r->o->start_us || c.start_us >= r->o->end_us) {
		r->st->other++;
		return 0;
	}
	logobjects_id(x->key, id);
	return r->o->on_call(r->o->ctx, id, &c, e);
}

/* Fetch what is in the chunk, deliver it, and say so. */
static int
flush(struct run *r, struct err *e)
{
	int out = 0;

	if (r->n_chunk == 0)
		return 0;
	pool_run(r->pool, r->n_chunk, fetch_one, r);
	for (size_t i = 0; i < r->n_chunk; i++) {
		struct object *x = &r->chunk[i];

		if (out == 0)
			out = deliver(r, x, e);
		free(x->key);
		x->key = NULL;
		if (x->body.cap > CHUNK_BYTES / 64)
			buf_finish(&x->body);
	}
	r->n_chunk = 0;
	r->chunk_bytes = 0;
	/* Within a day the ids say what is in; the time stays the day's. */
	return out != 0 ? -1 : r->o->on_upto(r->o->ctx, r->upto_us, e);
}

static bool
is_log(const char *key)
{
	size_t n = strlen(key);

	return n > 5 && memcmp(key + n - 5, ".json", 5) == 0;
}

static int
on_object(void *ctx, const struct s3_entry *x, struct err *e)
{
	struct run *r = ctx;
	uint8_t id[16];

	if (x->is_prefix || !is_log(x->key))
		return 0;
	r->st->listed++;
	/* It was written after its call began; the hour is for clocks that differ. */
	if (x->modified_us > 0 && x->modified_us + HOUR < r->o->start_us) {
		r->st->other++;
		return 0;
	}
	logobjects_id(x->key, id);
	if (r->o->seen != NULL && idset_has(r->o->seen, id)) {
		r->st->known++;
		return 0;
	}
	if ((r->chunk[r->n_chunk].key = mem_strdup(x->key, e)) == NULL)
		return -1;
	r->n_chunk++;
	r->chunk_bytes += x->size_bytes;
	if (r->n_chunk < CHUNK_OBJECTS && r->chunk_bytes < CHUNK_BYTES)
		return 0;
	return flush(r, e);
}

/* The point to go on from while this day is read: days before the one before it are done. */
static int64_t
point_of(const struct run *r, int64_t day)
{
	int64_t at = day - DAY;

	if (at < r->o->from_us)
		at = r->o->from_us;
	return at < r->o->end_us ? at : r->o->end_us;
}

static int
read_folders(struct run *r, struct err *e)
{
	for (size_t i = 0; i < r->n_folders; i++) {
		struct s3_list l = { .prefix = r->folders[i].name, .on_entry = on_object, .ctx = r };

		r->upto_us = point_of(r, r->folders[i].day_us);
		r->st->folders++;
		if (cancel_check(r->o->cancel, e) < 0 || s3_list(r->o->bucket, &l, NULL, e) != S3_OK ||
		    flush(r, e) < 0)
			return -1;
	}
	return r->o->on_upto(r->o->ctx, r->o->end_us, e);
}

int
logobjects_run(const struct logobjects_opts *o, struct logobjects_stats *st, struct err *e)
{
	struct run *r = mem_calloc(1, sizeof *r, e);
	int out = -1;

	*st = (struct logobjects_stats){ .folders = 0 };
	if (r == NULL)
		return -1;
	r->o = o;
	r->st = st;
	if ((r->pool = pool_new(o->concurrency, e)) != NULL && find_folders(r, e) == 0)
		out = read_folders(r, e);
	pool_free(r->pool);
	for (size_t i = 0; i < r->n_folders; i++)
		free(r->folders[i].name);
	for (size_t i = 0; i < r->n_deeper; i++)
		free(r->deeper[i]);
	for (size_t i = 0; i < CHUNK_OBJECTS; i++) {
		free(r->chunk[i].key);
		buf_finish(&r->chunk[i].body);
	}
	free(r->folders);
	free(r->deeper);
	arena_finish(&r->mem);
	free(r);
	return out;
}
