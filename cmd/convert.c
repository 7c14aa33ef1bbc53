#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "cmd.h"
#include "data/importers.h"
#include "data/outdir.h"
#include "data/refine.h"
#include "data/tally.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "trace/attrmap.h"
#include "trace/decode.h"
#include "trace/join.h"
#include "trace/records.h"

#define HOLD_MEMORY ((size_t)8 << 20)
#define SHOWN_BAD 20		/* bad lines named one by one */
#define MAX_RULES 16

/*
 * Records for standard output wait until their document has proved well
 * formed: what is written there cannot be taken back. JSON Lines need not.
 */
struct hold {
	struct buf mem;
	int fd;			/* what does not fit in memory; -1 none */
	uint64_t in_file;
};

struct convert {
	struct ctx *c;
	struct attrmap *map;
	struct labels *labels;
	struct score_rule rules[MAX_RULES];
	const char **alias, **redact;
	struct records_opts ro;
	struct refine *refine;		/* of the importers */
	struct records **workers;
	unsigned n_workers;
	struct join *join;
	struct tally *tally;
	struct stream_out *out;
	struct outdir *dir;
	struct hold hold;
	bool holding;			/* output is stdout */
	atomic_bool lines;		/* the document at hand is JSON Lines */
	bool dedupe;
	const char *file;		/* being read */
	struct stream_in *in;
	uint64_t bad, duplicates, bytes, other_shard;
	struct import_stats imported;
	char first_bad[384];
	struct buf line;
};

/* --- output --- */

static int
hold_add(struct hold *h, const void *p, size_t n, struct err *e)
{
	if (h->mem.len + n > HOLD_MEMORY) {
		if (h->fd < 0 && (h->fd = io_tmpfile(e)) < 0)
			return -1;
		if (io_write_full(h->fd, h->mem.p, h->mem.len, e) < 0)
			return err_wrap(e, "temporary file");
		h->in_file += h->mem.len;
		buf_reset(&h->mem);
	}
	buf_add(&h->mem, p, n);
	return buf_ok(&h->mem, e);
}

/* Write what waited, and begin anew. */
static int
hold_release(struct hold *h, struct stream_out *out, struct err *e)
{
	char chunk[65536];
	size_t got;

	if (h->fd >= 0) {
		if (lseek(h->fd, 0, SEEK_SET) < 0)
			return err_sys(e, ERR_IO, "temporary file");
		while (h->in_file > 0) {
			size_t n = h->in_file < sizeof chunk ? (size_t)h->in_file : sizeof chunk;

			if (io_read_full(h->fd, chunk, n, &got, e) < 0)
				return -1;
			if (got == 0)
				return err_set(e, ERR_IO, "temporary file: shorter than written");
			if (stream_out_write(out, chunk, got, e) < 0)
				return -1;
			h->in_file -= got;
		}
		if (lseek(h->fd, 0, SEEK_SET) < 0)
			return err_sys(e, ERR_IO, "temporary file");
	}
	if (h->mem.len > 0 && stream_out_write(out, h->mem.p, h->mem.len, e) < 0)
		return -1;
	buf_reset(&h->mem);
	return 0;
}

static uint64_t
identity(const struct join_item *it)
{
	uint64_t id[4] = { it->trace[0], it->trace[1], it->span, 0 };

	if (id[0] == 0 && id[1] == 0 && id[2] == 0) {
		id[0] = it->query;
		id[1] = map_hash(it->model.p, it->model.n, 1);
		id[3] = 1;
	}
	return map_hash(id, sizeof id, 2);
}

/* A record's own member is told from text that looks like one by its unescaped quotes. */
static bool
has_decision(struct slice line)
{
	static const char key[] = "\"strategy_name\":";
	const char *p = line.p, *end = line.p + line.n;

	while ((p = memchr(p, '"', (size_t)(end - p))) != NULL) {
		if ((size_t)(end - p) >= sizeof key && memcmp(p, key, sizeof key - 1) == 0)
			return true;
		p++;
	}
	return false;
}

/* Every record that leaves passes here, in order. */
static int
emit(void *ctx, const struct join_item *it, struct err *e)
{
	struct convert *v = ctx;
	uint32_t index;
	int seen;

	if (v->dedupe) {
		if ((seen = tally_seen(v->tally, identity(it), e)) < 0)
			return -1;
		if (seen > 0) {
			v->duplicates++;
			return 0;
		}
	}
	if (tally_add(v->tally, it->query, it->model, it->performance, &index, e) < 0)
		return -1;
	if (v->dir != NULL)
		return outdir_add(v->dir, it->line, it->query, index,
			has_decision(it->line), e);
	if (v->holding && !atomic_load_explicit(&v->lines, memory_order_relaxed))
		return hold_add(&v->hold, it->line.p, it->line.n, e);
	return stream_out_write(v->out, it->line.p, it->line.n, e);
}

/* --- traces --- */

static int
on_work(void *ctx, unsigned worker, const struct span_batch *b, struct buf *out, struct err *e)
{
	struct convert *v = ctx;

	if (b->line > 0)
		atomic_store_explicit(&v->lines, true, memory_order_relaxed);
	return records_batch(v->workers[worker], b, out, e);
}

static int
on_output(void *ctx, struct buf *out, struct err *e)
{
	struct convert *v = ctx;
	const char *p = out->p, *end = out->p + out->len;
	struct join_item it;

	while (join_get(&p, end, &it)) {
		if (join_add(v->join, &it, e) < 0)
			return -1;
	}
	progress_show(&v->c->progress, "convert", (double)stream_in_consumed(v->in),
		(double)stream_in_size(v->in), "B");
	return 0;
}

static void
name_bad(struct convert *v, const char *msg)
{
	if (v->bad++ == 0)
		(void)snprintf(v->first_bad, sizeof v->first_bad, "%.380s", msg);
	if (v->bad <= SHOWN_BAD)
		log_warn(&v->c->log, "%s", msg);
	else if (v->bad == SHOWN_BAD + 1)
		log_warn(&v->c->log, "more bad lines are counted but not shown");
}

static int
on_bad_piece(void *ctx, const struct err *what, struct err *e)
{
	struct convert *v = ctx;
	struct err named = *what;

	(void)e;
	err_wrap(&named, "%s", v->file);
	name_bad(v, named.msg);
	return 0;
}

static enum trace_format
format_of(const char *from)
{
	return strcmp(from, "jaeger") == 0 ? TRACE_JAEGER :
		strcmp(from, "protobuf") == 0 ? TRACE_OTLP_PROTOBUF : TRACE_AUTO;
}

static int
convert_traces(struct convert *v, struct err *e)
{
	struct decode_stats stats = { 0 };
	struct decode_opts o = {
		.format = format_of(opt_str(v->c, "from")),
		.want = attrmap_want(v->map),
		.max_piece_bytes = (size_t)opt_bytes(v->c, "max-trace-bytes"),
		.threads = v->n_workers,
		.on_work = on_work, .on_output = on_output, .on_bad = on_bad_piece,
		.ctx = v, .cancel = v->c->cancel,
	};

	if (decode_stream(v->in, &o, &stats, e) < 0)
		return e->code == ERR_INPUT ? err_wrap(e, "%s", v->file) : -1;
	v->bytes += stats.bytes;
	return 0;
}

/* --- imports --- */

static int
on_record(void *ctx, struct record *r, struct err *e)
{
	struct convert *v = ctx;
	struct join_item it = { .kind = JOIN_DONE };

	refine_reset(v->refine);
	if (refine_record(v->refine, r, &it.query, e) < 0)
		return -1;
	if (v->ro.shards > 1 && it.query % v->ro.shards != v->ro.shard) {
		v->other_shard++;
		return 0;
	}
	if (v->dir != NULL)
		r->embedding_id = RECORD_NO_INT;
	if (r->trace_id.n > 0)
		it.trace[1] = map_hash(r->trace_id.p, r->trace_id.n, 3);
	if (r->span_id.n > 0)
		it.span = map_hash(r->span_id.p, r->span_id.n, 4);
	it.model = r->model_name;
	it.performance = r->performance;
	buf_reset(&v->line);
	record_format(r, &v->line);
	if (buf_ok(&v->line, e) < 0)
		return -1;
	it.line = (struct slice){ v->line.p, v->line.len };
	return emit(v, &it, e);
}

static int
on_bad_row(void *ctx, const struct err *what, struct err *e)
{
	(void)e;
	name_bad(ctx, what->msg);
	return 0;
}

static int
convert_import(struct convert *v, enum import_kind kind, struct err *e)
{
	struct import_stats s;
	struct import_opts o = {
		.on_record = on_record, .on_bad = on_bad_row, .ctx = v, .cancel = v->c->cancel,
	};

	if (kind != IMPORT_DCROUTER)
		atomic_store(&v->lines, true);
	if (importers_read(kind, v->in, v->file, &o, &s, e) < 0)
		return -1;
	v->imported.rows += s.rows;
	v->imported.records += s.records;
	v->imported.decisions += s.decisions;
	v->imported.no_query += s.no_query;
	v->imported.missing += s.missing;
	return 0;
}

static int
convert_file(struct convert *v, const char *path, struct err *e)
{
	enum import_kind kind = importers_kind(opt_str(v->c, "from"));
	int r;

	v->file = strcmp(path, "-") == 0 ? "standard input" : path;
	atomic_store(&v->lines, false);
	if ((v->in = stream_in_open(path, e)) == NULL)
		return -1;
	r = kind == IMPORT_NONE ? convert_traces(v, e) : convert_import(v, kind, e);
	stream_in_close(v->in);
	v->in = NULL;
	if (r == 0 && v->holding)
		r = hold_release(&v->hold, v->out, e);
	return r;
}

/* --- set up --- */

static int
parse_shard(struct convert *v, struct err *e)
{
	const char *s = opt_str(v->c, "shard"), *slash;
	long long i, n;

	if (s == NULL)
		return 0;
	slash = strchr(s, '/');
	if (slash == NULL || !slice_int((struct slice){ s, (size_t)(slash - s) }, &i) ||
	    !slice_int(slice_str(slash + 1), &n) || n < 1 || i < 0 || i >= n)
		return err_set(e, ERR_USAGE, "--shard %s: I/N expected, with I in 0..N-1", s);
	v->ro.shard = (uint64_t)i;
	v->ro.shards = (uint64_t)n;
	return 0;
}

static enum message_pick
pick_of(const char *s)
{
	return strcmp(s, "first-user") == 0 ? MESSAGE_FIRST_USER :
		strcmp(s, "conversation") == 0 ? MESSAGE_CONVERSATION :
		strcmp(s, "all") == 0 ? MESSAGE_ALL : MESSAGE_LAST_USER;
}

static const char **
gather(const struct ctx *c, const char *name, size_t *n, struct err *e)
{
	const char **v;

	*n = opt_count(c, name);
	if ((v = mem_calloc(*n + 1, sizeof *v, e)) == NULL)
		return NULL;
	for (size_t i = 0; i < *n; i++)
		v[i] = opt_nth(c, name, i);
	return v;
}

static int
load_labels(struct convert *v, struct err *e)
{
	struct redact *redact = NULL;

	if (opt_str(v->c, "labels") == NULL)
		return 0;
	if (v->ro.refine.n_redact > 0 &&
	    (redact = redact_new(v->redact, v->ro.refine.n_redact, e)) == NULL)
		return -1;
	v->labels = labels_load(opt_str(v->c, "labels"), redact, e);
	redact_free(redact);
	v->ro.refine.labels = v->labels;
	return v->labels != NULL ? 0 : -1;
}

static int
set_options(struct convert *v, struct err *e)
{
	struct refine_opts *f = &v->ro.refine;
	size_t n = opt_count(v->c, "score");

	if (opt_given(v->c, "out-dir") && opt_given(v->c, "output"))
		return err_set(e, ERR_USAGE, "--out-dir and --output: give one of them");
	if (!opt_given(v->c, "out-dir") && opt_given(v->c, "test-split"))
		return err_set(e, ERR_USAGE, "--test-split needs --out-dir");
	if (n > MAX_RULES)
		return err_set(e, ERR_USAGE, "--score: more than %d rules", MAX_RULES);
	for (size_t i = 0; i < n; i++) {
		if (score_parse(opt_nth(v->c, "score", i), &v->rules[i], e) < 0)
			return -1;
	}
	f->rules = v->rules;
	f->n_rules = n;
	if ((v->alias = gather(v->c, "alias", &f->n_alias, e)) == NULL ||
	    (v->redact = gather(v->c, "redact", &f->n_redact, e)) == NULL)
		return -1;
	f->alias = v->alias;
	f->redact = v->redact;
	f->strip_provider = opt_flag(v->c, "strip-provider");
	f->hash_users = opt_flag(v->c, "hash-users");
	f->user_salt = getenv("LLMR_USER_SALT");
	v->dedupe = opt_flag(v->c, "dedupe");
	v->ro.pick = pick_of(opt_str(v->c, "prompt"));
	v->ro.keep_zero_cost = opt_flag(v->c, "keep-zero-cost");
	if (parse_shard(v, e) < 0 || load_labels(v, e) < 0 ||
	    (v->map = attrmap_open(opt_str(v->c, "map"), e)) == NULL)
		return -1;
	v->ro.map = v->map;
	return 0;
}

static int
make_parts(struct convert *v, struct err *e)
{
	struct join_opts jo = {
		.window = (size_t)opt_int(v->c, "join-window"), .emit = emit, .ctx = v,
	};

	v->n_workers = v->c->threads > 0 ? v->c->threads : 1;
	if ((v->workers = mem_calloc(v->n_workers, sizeof(void *), e)) == NULL)
		return -1;
	for (unsigned i = 0; i < v->n_workers; i++) {
		if ((v->workers[i] = records_new(&v->ro, e)) == NULL)
			return -1;
	}
	if ((v->refine = refine_new(&v->ro.refine, e)) == NULL ||
	    (v->join = join_new(&jo, e)) == NULL || (v->tally = tally_new(e)) == NULL)
		return -1;
	return 0;
}

static int
open_output(struct convert *v, struct err *e)
{
	const char *path = opt_str(v->c, "output");

	if (opt_given(v->c, "out-dir")) {
		v->dir = outdir_open(opt_str(v->c, "out-dir"), opt_num(v->c, "test-split"),
			(uint64_t)opt_int(v->c, "seed"), e);
		return v->dir != NULL ? 0 : -1;
	}
	v->holding = strcmp(path, "-") == 0;
	v->out = stream_out_open(path, e);
	return v->out != NULL ? 0 : -1;
}

/* --- the summary --- */

struct summary {
	uint64_t n[RECORDS_N];
	struct refine_counts refined;
	const struct join_counts *joined;
	struct tally_totals t;
	uint64_t decisions_joined, decisions_unjoined;
};

static void
add_up(const struct convert *v, struct summary *s)
{
	memset(s, 0, sizeof *s);
	for (unsigned i = 0; i < v->n_workers; i++) {
		const uint64_t *n = records_counts(v->workers[i]);

		for (int k = 0; k < RECORDS_N; k++)
			s->n[k] += n[k];
		refine_counts_add(&s->refined, records_refine_counts(v->workers[i]));
	}
	refine_counts_add(&s->refined, refine_counts(v->refine));
	s->n[RECORDS_OTHER_SHARD] += v->other_shard;
	s->n[RECORDS_NO_PROMPT] += v->imported.no_query;
	s->n[RECORDS_DECISIONS] += v->imported.decisions;
	s->joined = join_counts(v->join);
	s->t = tally_totals(v->tally);
	s->decisions_joined = s->n[RECORDS_DECISIONS_JOINED] + s->joined->joined;
	s->decisions_unjoined = s->n[RECORDS_DECISIONS] - s->decisions_joined;
}

static double
share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : NAN;
}

static const enum records_count dropped[] = {
	RECORDS_REJECTED, RECORDS_NO_PROMPT, RECORDS_NO_MODEL, RECORDS_OTHER_OPERATION,
	RECORDS_REPEATED, RECORDS_OTHER_SHARD,
};

static void
kcount(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_uint(w, v);
}

static void
json_summary(const struct convert *v, const struct summary *s, struct buf *b)
{
	struct jsonw w;
	uint64_t n;

	jsonw_init(&w, b);
	jsonw_object(&w);
	kcount(&w, "bytes", v->bytes);
	/* Only Jaeger's documents tell where a trace ends. */
	jsonw_key(&w, "traces");
	if (s->n[RECORDS_TRACES] > 0 || s->n[RECORDS_SPANS] == 0)
		jsonw_uint(&w, s->n[RECORDS_TRACES]);
	else
		jsonw_null(&w);
	kcount(&w, "spans", s->n[RECORDS_SPANS]);
	kcount(&w, "rows", v->imported.rows);
	kcount(&w, "records", s->t.records);
	jsonw_key(&w, "dropped");
	jsonw_object(&w);
	for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
		kcount(&w, records_count_name(dropped[i]), s->n[dropped[i]]);
	kcount(&w, "missing_score", v->imported.missing);
	jsonw_end_object(&w);
	jsonw_key(&w, "duplicates");
	if (v->dedupe)
		jsonw_uint(&w, v->duplicates);
	else
		jsonw_null(&w);
	kcount(&w, "bad", v->bad);
	kcount(&w, "queries", s->t.queries);
	jsonw_key(&w, "models");
	jsonw_object(&w);
	for (size_t i = 0; i < tally_models(v->tally); i++) {
		struct slice name = tally_model(v->tally, i, &n);

		jsonw_key_n(&w, name.p, name.n);
		jsonw_uint(&w, n);
	}
	jsonw_end_object(&w);
	kcount(&w, "labelled", s->t.labelled);
	jsonw_kdouble(&w, "label_coverage", share(s->t.labelled, s->t.records));
	kcount(&w, "comparable_queries", s->t.comparable);
	jsonw_kdouble(&w, "tie_rate", share(s->t.tied, s->t.comparable));
	kcount(&w, "errors", s->n[RECORDS_ERRORS]);
	kcount(&w, "decisions", s->n[RECORDS_DECISIONS]);
	kcount(&w, "decisions_joined", s->decisions_joined);
	kcount(&w, "decisions_without_record", s->decisions_unjoined);
	kcount(&w, "bad_decisions", s->n[RECORDS_BAD_DECISIONS]);
	kcount(&w, "evaluations", s->n[RECORDS_EVALUATIONS]);
	kcount(&w, "alias_only", s->n[RECORDS_ALIAS_ONLY]);
	kcount(&w, "zero_cost", s->n[RECORDS_ZERO_COST]);
	kcount(&w, "other_parts", s->n[RECORDS_OTHER_PARTS]);
	kcount(&w, "redactions", s->refined.redactions);
	kcount(&w, "bad_labels", s->refined.bad_labels);
	kcount(&w, "labels_unused", v->labels != NULL ? labels_unused(v->labels) : 0);
	jsonw_end_object(&w);
	buf_byte(b, '\n');
}

static void
text_summary(const struct convert *v, const struct summary *s)
{
	const struct ctx *c = v->c;
	struct buf b = BUF_INIT;

	if (v->imported.rows > 0)
		buf_printf(&b, "%llu rows", (unsigned long long)v->imported.rows);
	else
		buf_printf(&b, "%llu spans", (unsigned long long)s->n[RECORDS_SPANS]);
	if (s->n[RECORDS_TRACES] > 0)
		buf_printf(&b, " of %llu traces", (unsigned long long)s->n[RECORDS_TRACES]);
	say(c, "%s: %llu records, %llu queries, %llu models", buf_cstr(&b),
		(unsigned long long)s->t.records, (unsigned long long)s->t.queries,
		(unsigned long long)s->t.models);
	buf_reset(&b);
	for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++) {
		if (s->n[dropped[i]] > 0)
			buf_printf(&b, "%s%llu %s", b.len > 0 ? ", " : "",
				(unsigned long long)s->n[dropped[i]],
				records_count_name(dropped[i]));
	}
	if (v->imported.missing > 0)
		buf_printf(&b, "%s%llu missing_score", b.len > 0 ? ", " : "",
			(unsigned long long)v->imported.missing);
	if (v->duplicates > 0)
		buf_printf(&b, "%s%llu duplicates", b.len > 0 ? ", " : "",
			(unsigned long long)v->duplicates);
	if (v->bad > 0)
		buf_printf(&b, "%s%llu bad", b.len > 0 ? ", " : "", (unsigned long long)v->bad);
	if (b.len > 0)
		say(c, "left out: %s", buf_cstr(&b));
	if (s->t.records > 0)
		say(c, "performance known: %llu of %llu records (%.1f %%)%s",
			(unsigned long long)s->t.labelled, (unsigned long long)s->t.records,
			100 * share(s->t.labelled, s->t.records),
			s->t.labelled == 0 ? "; see --labels and --score" : "");
	if (s->t.comparable > 0)
		say(c, "queries with two scored models or more: %llu, best shared in %.1f %%",
			(unsigned long long)s->t.comparable,
			100 * share(s->t.tied, s->t.comparable));
	if (s->n[RECORDS_DECISIONS] > 0)
		say(c, "decisions: %llu, of which %llu met their call",
			(unsigned long long)s->n[RECORDS_DECISIONS],
			(unsigned long long)s->decisions_joined);
	if (s->refined.redactions > 0)
		say(c, "redacted: %llu places", (unsigned long long)s->refined.redactions);
	buf_finish(&b);
}

static void
warn(const struct convert *v, const struct summary *s)
{
	const struct log *l = &v->c->log;

	if (s->n[RECORDS_ALIAS_ONLY] > 0)
		log_warn(l, "%llu records name the model by the gateway's alias: the trace has no "
			"litellm.provider.model; --alias A=B can rename it",
			(unsigned long long)s->n[RECORDS_ALIAS_ONLY]);
	if (s->n[RECORDS_NO_PROMPT] > 0 && s->t.records == 0 && v->imported.rows == 0 &&
	    s->n[RECORDS_DECISIONS] > 0)
		log_warn(l, "these spans tell of decisions, not of calls: convert them together with "
			"the traces of the calls");
	else if (s->n[RECORDS_NO_PROMPT] > 0 && s->t.records == 0 && v->imported.rows == 0)
		log_warn(l, "no call keeps its prompt: turn content capture on in the gateway "
			"(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only)");
	if (s->n[RECORDS_ZERO_COST] > 0)
		log_warn(l, "%llu calls cost 0 by their trace, which gateways write for models "
			"whose price they do not know: %s",
			(unsigned long long)s->n[RECORDS_ZERO_COST], v->ro.keep_zero_cost ?
			"kept, as asked" : "taken as unknown (--keep-zero-cost keeps it)");
	if (s->refined.bad_labels > 0)
		log_warn(l, "%llu performance labels in the data lie outside 0..1 and were not used",
			(unsigned long long)s->refined.bad_labels);
	if (v->labels != NULL && labels_unused(v->labels) > 0)
		log_warn(l, "%llu of %llu labels met no record",
			(unsigned long long)labels_unused(v->labels),
			(unsigned long long)labels_rows(v->labels));
	if (s->t.records == 0)
		log_warn(l, "no records");
}

static void
summarize(const struct convert *v)
{
	struct summary s;
	struct buf b = BUF_INIT;

	add_up(v, &s);
	warn(v, &s);
	if (!v->c->json) {
		text_summary(v, &s);
		return;
	}
	json_summary(v, &s, &b);
	if (v->holding)
		(void)fwrite(b.p, 1, b.len, stderr);
	else
		out_write(b.p, b.len);
	buf_finish(&b);
}

static void
finish(struct convert *v)
{
	for (unsigned i = 0; v->workers != NULL && i < v->n_workers; i++)
		records_free(v->workers[i]);
	free((void *)v->workers);
	refine_free(v->refine);
	join_free(v->join);
	tally_free(v->tally);
	stream_in_close(v->in);
	stream_out_abort(v->out);
	outdir_free(v->dir);
	labels_free(v->labels);
	attrmap_free(v->map);
	free((void *)v->alias);
	free((void *)v->redact);
	buf_finish(&v->line);
	buf_finish(&v->hold.mem);
	if (v->hold.fd >= 0)
		(void)close(v->hold.fd);
}

static int
convert_all(struct convert *v, struct err *e)
{
	struct stream_out *out;

	for (size_t i = 0; i < (v->c->n_args > 0 ? v->c->n_args : 1); i++) {
		if (convert_file(v, v->c->n_args > 0 ? v->c->args[i] : "-", e) < 0)
			return -1;
	}
	if (join_flush(v->join, e) < 0 ||
	    (v->holding && hold_release(&v->hold, v->out, e) < 0))
		return -1;
	if (v->dir != NULL)
		return outdir_commit(v->dir, v->tally, e);
	out = v->out;
	v->out = NULL;
	return stream_out_commit(out, e);
}

int
cmd_convert(struct ctx *c)
{
	struct convert v = { .c = c, .hold = { .mem = BUF_INIT, .fd = -1 } };
	struct err *e = &c->err;
	long long max_bad = opt_int(c, "max-bad");
	int r = -1;

	if (set_options(&v, e) == 0 && make_parts(&v, e) == 0 && open_output(&v, e) == 0)
		r = convert_all(&v, e);
	if (r == 0) {
		summarize(&v);
		if (v.bad > (uint64_t)max_bad)
			r = err_set(e, ERR_INPUT, "%llu bad lines (--max-bad %lld), the first: %s",
				(unsigned long long)v.bad, max_bad, v.first_bad);
	}
	finish(&v);
	return r;
}
