#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/hash.h"
#include "fmt/stream.h"

#define NO_TASK UINT32_MAX

struct cell {
	uint32_t query, model;
	float score, cost, latency, weight;	/* weight NaN: not given */
};

struct dataset_build {
	struct map ids, models, tasks;		/* in order of appearance */
	struct slice *text;			/* by index of id */
	uint32_t *task;
	size_t text_cap, task_cap;
	struct cell *cells;
	size_t n_cells, cells_cap;
	size_t last;				/* query of the last record, to hash each text once */
	bool weighted;				/* some record has a weight */
};

struct dataset *
dataset_new(struct err *e)
{
	struct dataset *ds = mem_calloc(1, sizeof *ds, e);

	if (ds == NULL)
		return NULL;
	ds->build = mem_calloc(1, sizeof *ds->build, e);
	if (ds->build == NULL) {
		free(ds);
		return NULL;
	}
	ds->build->last = MAP_NONE;
	return ds;
}

static void
build_free(struct dataset_build *b)
{
	if (b == NULL)
		return;
	map_finish(&b->ids);
	map_finish(&b->models);
	map_finish(&b->tasks);
	free(b->text);
	free(b->task);
	free(b->cells);
	free(b);
}

void
dataset_free(struct dataset *ds)
{
	if (ds == NULL)
		return;
	build_free(ds->build);
	map_finish(&ds->models);
	map_finish(&ds->tasks);
	arena_finish(&ds->arena);
	free(ds->query);
	free(ds->query_id);
	free(ds->task);
	free(ds->score);
	free(ds->cost);
	free(ds->latency);
	free(ds->weight);
	free(ds);
}

/* Shorter first, then by bytes: a choice that no order of records changes. */
static bool
text_before(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return a.n < b.n;
	return a.n > 0 && memcmp(a.p, b.p, a.n) < 0;
}

static int
keep_text(struct dataset *ds, size_t q, struct slice text, struct err *e)
{
	char *p = arena_dup(&ds->arena, text.p, text.n, e);

	if (p == NULL)
		return -1;
	ds->build->text[q] = (struct slice){ p, text.n };
	return 0;
}

/* Index of the record's query, added when new. */
static size_t
intern_query(struct dataset *ds, struct slice text, struct err *e)
{
	struct dataset_build *b = ds->build;
	char id[17];
	bool added;
	size_t q;
	void *p;

	if (b->last != MAP_NONE && slice_eq(b->text[b->last], text))
		return b->last;
	record_query_id(text, id);
	q = map_intern(&b->ids, id, 16, &added, e);
	if (q == MAP_NONE)
		return MAP_NONE;
	if (added) {
		p = b->text;
		if (mem_grow(&p, &b->text_cap, q + 1, sizeof *b->text, e) < 0)
			return MAP_NONE;
		b->text = p;
		p = b->task;
		if (mem_grow(&p, &b->task_cap, q + 1, sizeof *b->task, e) < 0)
			return MAP_NONE;
		b->task = p;
		b->task[q] = NO_TASK;
		if (keep_text(ds, q, text, e) < 0)
			return MAP_NONE;
	} else if (text_before(text, b->text[q]) && keep_text(ds, q, text, e) < 0)
		return MAP_NONE;
	b->last = q;
	return q;
}

static int
note_task(struct dataset_build *b, size_t q, struct slice name, struct err *e)
{
	size_t t;

	if (name.n == 0 || memchr(name.p, '\0', name.n) != NULL)
		return 0;
	t = map_intern(&b->tasks, name.p, name.n, NULL, e);
	if (t == MAP_NONE)
		return -1;
	if (b->task[q] == NO_TASK || strcmp(b->tasks.keys[t], b->tasks.keys[b->task[q]]) < 0)
		b->task[q] = (uint32_t)t;
	return 0;
}

static float
usable(double x)
{
	return isfinite(x) && x >= 0 ? (float)x : NAN;
}

int
dataset_add(struct dataset *ds, const struct record *r, struct err *e)
{
	struct dataset_build *b = ds->build;
	size_t q, m;
	void *p = b->cells;

	if (slice_trim(r->query).n == 0)
		return err_set(e, ERR_INPUT, "record has no \"query\"");
	if (r->model_name.n == 0)
		return err_set(e, ERR_INPUT, "record has no \"model_name\"");
	if (memchr(r->model_name.p, '\0', r->model_name.n) != NULL)
		return err_set(e, ERR_INPUT, "\"model_name\" holds a NUL");
	if (isnan(r->performance)) {
		ds->null_records++;
		return 0;
	}
	if (!(r->performance >= 0 && r->performance <= 1))
		return err_set(e, ERR_INPUT, "performance %g is outside 0..1", r->performance);
	m = map_intern(&b->models, r->model_name.p, r->model_name.n, NULL, e);
	if (m == MAP_NONE)
		return -1;
	if (m >= DATASET_MAX_MODELS)
		return err_set(e, ERR_INPUT, "more than %d models", DATASET_MAX_MODELS);
	q = intern_query(ds, r->query, e);
	if (q == MAP_NONE || note_task(b, q, r->task_name, e) < 0)
		return -1;
	if (mem_grow(&p, &b->cells_cap, b->n_cells + 1, sizeof *b->cells, e) < 0)
		return -1;
	b->cells = p;
	b->cells[b->n_cells++] = (struct cell){ (uint32_t)q, (uint32_t)m,
		(float)r->performance, usable(r->cost_usd), usable(r->response_time_s),
		(float)r->weight };
	b->weighted = b->weighted || !isnan(r->weight);
	ds->bad_costs += !isnan(r->cost_usd) && isnan(usable(r->cost_usd));
	ds->records++;
	return 0;
}

struct named {
	const char *name;
	uint32_t old;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Keys of a map in ascending order, as [len] of (name, old index). */
static struct named *
sorted_names(const struct map *from, struct err *e)
{
	struct named *v = mem_calloc(from->len, sizeof *v, e);

	if (v == NULL)
		return NULL;
	for (size_t i = 0; i < from->len; i++)
		v[i] = (struct named){ from->keys[i], (uint32_t)i };
	qsort(v, from->len, sizeof *v, by_name);
	return v;
}

/* Copy a map in ascending order of keys; renumber[old] = new. */
static int
sort_map(const struct map *from, struct map *to, uint32_t *renumber, struct err *e)
{
	struct named *v = sorted_names(from, e);
	int r = -1;

	if (v == NULL)
		return -1;
	for (size_t i = 0; i < from->len; i++) {
		size_t n = map_intern(to, v[i].name, from->key_len[v[i].old], NULL, e);

		if (n == MAP_NONE)
			goto out;
		renumber[v[i].old] = (uint32_t)n;
	}
	r = 0;
out:
	free(v);
	return r;
}

static int
make_rows(struct dataset *ds, uint32_t *row_of, struct err *e)
{
	struct dataset_build *b = ds->build;
	struct named *v = sorted_names(&b->ids, e);
	uint32_t *task_of = mem_calloc(b->tasks.len, sizeof *task_of, e);
	size_t none = 0;
	int r = -1;

	if (v == NULL || task_of == NULL)
		goto out;
	for (size_t i = 0; i < ds->n; i++)
		if (b->task[i] == NO_TASK)
			none++;
	if (none > 0 && map_intern(&ds->tasks, "", 0, NULL, e) == MAP_NONE)
		goto out;
	if (sort_map(&b->tasks, &ds->tasks, task_of, e) < 0)
		goto out;
	for (size_t i = 0; i < ds->n; i++) {
		uint32_t old = v[i].old;

		row_of[old] = (uint32_t)i;
		ds->query[i] = b->text[old];
		memcpy(ds->query_id[i], v[i].name, 17);
		ds->task[i] = b->task[old] == NO_TASK ? 0 : task_of[b->task[old]];
	}
	r = 0;
out:
	free(task_of);
	free(v);
	return r;
}

static int
cmp_float(float a, float b)
{
	a = isnan(a) ? -1 : a;
	b = isnan(b) ? -1 : b;
	return (a > b) - (a < b);
}

static int
by_cell(const void *x, const void *y)
{
	const struct cell *a = x, *b = y;
	int c;

	if (a->query != b->query)
		return a->query < b->query ? -1 : 1;
	if (a->model != b->model)
		return a->model < b->model ? -1 : 1;
	if ((c = cmp_float(a->score, b->score)) != 0)
		return c;
	if ((c = cmp_float(a->cost, b->cost)) != 0)
		return c;
	if ((c = cmp_float(a->latency, b->latency)) != 0)
		return c;
	return cmp_float(a->weight, b->weight);
}

struct mean { double sum; size_t n; };

static void
mean_add(struct mean *m, float x)
{
	if (!isnan(x)) {
		m->sum += (double)x;
		m->n++;
	}
}

static float
mean_get(struct mean m)
{
	return m.n == 0 ? NAN : (float)(m.sum / (double)m.n);
}

/* Sorted cells into the matrices, runs of equal cells averaged. */
static void
fill_cells(struct dataset *ds)
{
	struct dataset_build *b = ds->build;

	for (size_t i = 0; i < ds->n * ds->m; i++)
		ds->score[i] = ds->cost[i] = ds->latency[i] = NAN;
	for (size_t i = 0; i < b->n_cells;) {
		const struct cell *c = &b->cells[i];
		size_t at = (size_t)c->query * ds->m + c->model;
		struct mean score = { 0, 0 }, cost = { 0, 0 }, latency = { 0, 0 };

		bool conflict = false;

		for (; i < b->n_cells && b->cells[i].query == c->query &&
		    b->cells[i].model == c->model; i++) {
			conflict = conflict || b->cells[i].score > c->score;
			mean_add(&score, b->cells[i].score);
			mean_add(&cost, b->cells[i].cost);
			mean_add(&latency, b->cells[i].latency);
		}
		ds->score[at] = mean_get(score);
		ds->cost[at] = mean_get(cost);
		ds->latency[at] = mean_get(latency);
		ds->conflicts += conflict;
		ds->cells++;
	}
	ds->duplicate_cells = ds->records - ds->cells;
}

/* A query's weight: the mean over its records. Cells are sorted, so sums come out the same. */
static int
fill_weights(struct dataset *ds, struct err *e)
{
	const struct dataset_build *b = ds->build;

	if (!b->weighted)
		return 0;
	ds->weight = mem_calloc(ds->n, sizeof *ds->weight, e);
	if (ds->weight == NULL)
		return -1;
	for (size_t i = 0; i < b->n_cells;) {
		uint32_t q = b->cells[i].query;
		struct mean w = { 0, 0 };

		for (; i < b->n_cells && b->cells[i].query == q; i++)
			mean_add(&w, isnan(b->cells[i].weight) ? 1 : b->cells[i].weight);
		ds->weight[q] = mean_get(w);
	}
	return 0;
}

static void
hash_u64(struct sha256 *h, uint64_t v)
{
	uint8_t x[8];

	for (unsigned i = 0; i < 8; i++)
		x[i] = (uint8_t)(v >> (8 * i));
	sha256_add(h, x, sizeof x);
}

static void
hash_floats(struct sha256 *h, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t le[4];
		uint32_t u = 0x7fc00000;	/* one NaN for all */

		if (!isnan(x[i]))
			memcpy(&u, &x[i], sizeof u);
		for (unsigned j = 0; j < 4; j++)
			le[j] = (uint8_t)(u >> (8 * j));
		sha256_add(h, le, sizeof le);
	}
}

static void
make_digest(struct dataset *ds)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, "llmr-dataset-1", 15);
	hash_u64(&h, ds->n);
	hash_u64(&h, ds->m);
	for (size_t j = 0; j < ds->m; j++)
		sha256_add(&h, ds->models.keys[j], ds->models.key_len[j] + 1);
	for (size_t i = 0; i < ds->n; i++) {
		const char *task = ds->tasks.keys[ds->task[i]];

		sha256_add(&h, ds->query_id[i], 16);
		hash_u64(&h, ds->query[i].n);
		sha256_add(&h, ds->query[i].p, ds->query[i].n);
		sha256_add(&h, task, strlen(task) + 1);
		hash_floats(&h, ds->score + i * ds->m, ds->m);
		hash_floats(&h, ds->cost + i * ds->m, ds->m);
		hash_floats(&h, ds->latency + i * ds->m, ds->m);
		if (ds->weight != NULL)
			hash_floats(&h, ds->weight + i, 1);
	}
	sha256_final(&h, ds->digest);
}

static int
make_matrices(struct dataset *ds, struct err *e)
{
	size_t cells;

	if (!mem_mul(ds->n, ds->m, &cells))
		return err_nomem(e);
	ds->query = mem_calloc(ds->n, sizeof *ds->query, e);
	ds->query_id = mem_calloc(ds->n, sizeof *ds->query_id, e);
	ds->task = mem_calloc(ds->n, sizeof *ds->task, e);
	ds->score = mem_calloc(cells, sizeof *ds->score, e);
	ds->cost = mem_calloc(cells, sizeof *ds->cost, e);
	ds->latency = mem_calloc(cells, sizeof *ds->latency, e);
	if (ds->query == NULL || ds->query_id == NULL || ds->task == NULL ||
	    ds->score == NULL || ds->cost == NULL || ds->latency == NULL)
		return -1;
	return 0;
}

int
dataset_finish_build(struct dataset *ds, struct err *e)
{
	struct dataset_build *b = ds->build;
	uint32_t *row_of = NULL, *model_of = NULL;
	int r = -1;

	if (b->n_cells == 0)
		return err_set(e, ERR_INPUT, ds->null_records > 0 ?
		    "none of the %llu records has a performance: give scores by "
		    "'llmr convert --labels' or '--score'" : "no records (%llu)",
		    (unsigned long long)ds->null_records);
	ds->n = b->ids.len;
	ds->m = b->models.len;
	row_of = mem_calloc(ds->n, sizeof *row_of, e);
	model_of = mem_calloc(ds->m, sizeof *model_of, e);
	if (row_of == NULL || model_of == NULL || make_matrices(ds, e) < 0 ||
	    sort_map(&b->models, &ds->models, model_of, e) < 0 || make_rows(ds, row_of, e) < 0)
		goto out;
	for (size_t i = 0; i < b->n_cells; i++) {
		b->cells[i].query = row_of[b->cells[i].query];
		b->cells[i].model = model_of[b->cells[i].model];
	}
	qsort(b->cells, b->n_cells, sizeof *b->cells, by_cell);
	fill_cells(ds);
	if (fill_weights(ds, e) < 0)
		goto out;
	make_digest(ds);
	build_free(b);
	ds->build = NULL;
	r = 0;
out:
	free(row_of);
	free(model_of);
	return r;
}

static int
load_lines(struct dataset *ds, struct stream_lines *lines, struct err *e)
{
	struct arena arena = ARENA_INIT;
	struct record rec;
	const char *line;
	uint64_t number = 0;
	size_t n;
	int r;

	while ((r = stream_lines_next(lines, &line, &n, &number, e)) > 0) {
		if (slice_trim((struct slice){ line, n }).n == 0)
			continue;
		arena_reset(&arena);
		record_init(&rec);
		if (record_parse(line, n, &arena, &rec, e) < 0 || dataset_add(ds, &rec, e) < 0) {
			err_wrap(e, "line %llu", (unsigned long long)number);
			r = -1;
			break;
		}
	}
	arena_finish(&arena);
	return r;
}

static int
add_imported(void *ctx, struct record *rec, struct err *e)
{
	return dataset_add(ctx, rec, e);
}

static int
load_file(struct dataset *ds, enum import_kind kind, const char *path, struct cancel *cancel,
	struct err *e)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	const struct import_opts opts = { .on_record = add_imported, .ctx = ds, .cancel = cancel };
	struct stream_in *in = stream_in_open(path, e);
	struct stream_lines *lines;
	int r = -1;

	if (in == NULL)
		return -1;
	if (kind != IMPORT_NONE)
		r = importers_read(kind, in, name, &opts, NULL, e);
	else {
		lines = stream_lines_new(in, DATASET_MAX_LINE, e);
		if (lines != NULL && (r = load_lines(ds, lines, e)) < 0)
			err_wrap(e, "%s", name);
		stream_lines_free(lines);
	}
	stream_in_close(in);
	return r;
}

struct dataset *
dataset_import(enum import_kind kind, const char *const *paths, size_t n_paths,
	struct cancel *cancel, struct err *e)
{
	struct dataset *ds = dataset_new(e);

	if (ds == NULL)
		return NULL;
	for (size_t i = 0; i < n_paths; i++)
		if (load_file(ds, kind, paths[i], cancel, e) < 0)
			goto fail;
	if (dataset_finish_build(ds, e) < 0) {
		if (n_paths == 1)
			err_wrap(e, "%s", paths[0]);
		goto fail;
	}
	return ds;
fail:
	dataset_free(ds);
	return NULL;
}

struct dataset *
dataset_load(const char *const *paths, size_t n_paths, struct err *e)
{
	return dataset_import(IMPORT_NONE, paths, n_paths, NULL, e);
}

bool
dataset_row_full(const struct dataset *ds, size_t row)
{
	for (size_t j = 0; j < ds->m; j++)
		if (isnan(ds->score[row * ds->m + j]))
			return false;
	return true;
}

static int
copy_map(const struct map *from, struct map *to, struct err *e)
{
	for (size_t i = 0; i < from->len; i++)
		if (map_intern(to, from->keys[i], from->key_len[i], NULL, e) == MAP_NONE)
			return -1;
	return 0;
}

struct dataset *
dataset_subset(const struct dataset *from, const size_t *rows, size_t n, struct err *e)
{
	struct dataset *ds = mem_calloc(1, sizeof *ds, e);
	size_t m = from->m;

	if (ds == NULL)
		return NULL;
	ds->n = n;
	ds->m = m;
	if (make_matrices(ds, e) < 0 || copy_map(&from->models, &ds->models, e) < 0 ||
	    copy_map(&from->tasks, &ds->tasks, e) < 0 ||
	    (from->weight != NULL && (ds->weight = mem_calloc(n, sizeof *ds->weight, e)) == NULL)) {
		dataset_free(ds);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		size_t q = rows[i];

		ds->query[i] = from->query[q];
		memcpy(ds->query_id[i], from->query_id[q], 17);
		ds->task[i] = from->task[q];
		if (ds->weight != NULL)
			ds->weight[i] = from->weight[q];
		memcpy(ds->score + i * m, from->score + q * m, m * sizeof *ds->score);
		memcpy(ds->cost + i * m, from->cost + q * m, m * sizeof *ds->cost);
		memcpy(ds->latency + i * m, from->latency + q * m, m * sizeof *ds->latency);
		for (size_t j = 0; j < m; j++)
			if (!isnan(ds->score[i * m + j]))
				ds->cells++;
	}
	ds->records = ds->cells;
	make_digest(ds);
	return ds;
}

int
dataset_weigh(struct dataset *ds, enum dataset_weights how, struct err *e)
{
	size_t *count, tasks = 0;

	if (how == DATASET_WEIGHTS_RECORD)
		return 0;
	if (how == DATASET_WEIGHTS_UNIFORM) {
		free(ds->weight);
		ds->weight = NULL;
		return 0;
	}
	if (ds->weight == NULL && (ds->weight = mem_calloc(ds->n, sizeof *ds->weight, e)) == NULL)
		return -1;
	if ((count = mem_calloc(ds->tasks.len, sizeof *count, e)) == NULL)
		return -1;
	for (size_t i = 0; i < ds->n; i++)
		tasks += count[ds->task[i]]++ == 0;
	for (size_t i = 0; i < ds->n; i++)
		ds->weight[i] = (float)((double)ds->n / ((double)tasks * (double)count[ds->task[i]]));
	free(count);
	return 0;
}
