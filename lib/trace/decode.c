#include "trace/decode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fmt/jscan.h"
#include "trace/gather.h"
#include "trace/jaeger.h"
#include "trace/otlpjson.h"
#include "trace/protobuf.h"
#include "trace/split.h"

#define HEAD_BYTES ((size_t)64 * 1024)
#define BAD_KEPT 256		/* messages of bad pieces kept for one chunk */
#define MAX_THREADS 256u

const char *
trace_format_name(enum trace_format f)
{
	switch (f) {
	case TRACE_JAEGER:
		return "jaeger";
	case TRACE_OTLP_V3:
		return "jaeger-v3";
	case TRACE_OTLP_JSON:
		return "otlp-json";
	case TRACE_OTLP_JSONL:
		return "otlp-jsonl";
	case TRACE_OTLP_PROTOBUF:
		return "otlp-protobuf";
	case TRACE_AUTO:
		break;
	}
	return "auto";
}

enum job_state { JOB_FREE, JOB_FULL, JOB_RUNNING, JOB_DONE };

/* A chunk on its way: filled, worked on, handed over in order. */
struct job {
	enum job_state state;
	struct chunk c;
	struct buf out;
	struct err *bad;		/* [n_bad], the last stands for bad_more others */
	size_t n_bad, bad_cap;
	uint64_t bad_more, pieces, spans;
	struct err fatal;
};

struct run {
	const struct decode_opts *o;
	struct want *want;
	struct splitter *split;		/* either */
	struct protobuf *proto;
	struct gather *gathers;		/* [threads] */
	struct job *jobs;		/* a ring of n_jobs */
	size_t n_jobs;
	unsigned threads;
	bool parallel;			/* on_work is used */
	struct decode_stats stats;

	pthread_mutex_t lock;
	pthread_cond_t work, done;
	size_t take;			/* the oldest job not yet taken by a worker */
	bool stop;
};

static int
add_bad(struct job *j, const struct err *what, struct err *e)
{
	void *p = j->bad;

	if (j->n_bad == BAD_KEPT) {
		j->bad_more++;
		return 0;
	}
	if (mem_grow(&p, &j->bad_cap, j->n_bad + 1, sizeof *j->bad, e) < 0)
		return -1;
	j->bad = p;
	j->bad[j->n_bad++] = *what;
	return 0;
}

/* What the scan saw inside strings makes the whole piece bad. */
static int
check_bytes(const struct chunk *c, const struct piece *x, struct err *e)
{
	unsigned long long start = (unsigned long long)x->offset;
	size_t n = x->end - x->start, from = x->high_from, to = x->high_to < n ? x->high_to : n, bad;

	if (x->control > 0)
		return err_set(e, ERR_INPUT, "trace at byte %llu: a raw control byte in a string at byte %llu",
			start, start + x->control - 1);
	if (from >= to)
		return 0;
	/* Both ends lie between an ASCII byte and another, or inside a broken character. */
	bad = jscan_utf8(c->text + x->start + from, to - from);
	if (bad < to - from)
		return err_set(e, ERR_INPUT, "trace at byte %llu: invalid UTF-8 at byte %llu", start,
			start + from + bad);
	return 0;
}

static int
decode_piece(struct run *r, struct gather *g, const struct chunk *c, const struct piece *x,
	struct err *e)
{
	if (r->proto != NULL)
		return protobuf_decode(g, c, x, e);
	if (check_bytes(c, x, e) < 0)
		return -1;
	if (x->kind == PIECE_JAEGER)
		return jaeger_decode(g, c, x, e);
	if (x->kind == PIECE_OTLP)
		return otlpjson_decode(g, c, x, e);
	return err_set(e, ERR_INPUT, "element at byte %llu is neither a Jaeger trace nor OTLP resource spans",
		(unsigned long long)x->offset);
}

/* Decode a piece and call back. 0, or -1 when the run must end. */
static int
work_piece(struct run *r, struct job *j, const struct piece *x, unsigned worker)
{
	struct gather *g = &r->gathers[worker];
	struct err bad = ERR_INIT;
	struct span_batch batch = { .line = x->line, .offset = x->offset };

	gather_reset(g);
	if (decode_piece(r, g, &j->c, x, &bad) < 0) {
		if (bad.code == ERR_INPUT) {
			if (x->line > 0)
				err_wrap(&bad, "line %llu", (unsigned long long)x->line);
			return add_bad(j, &bad, &j->fatal);
		}
		j->fatal = bad;
		return -1;
	}
	batch.spans = g->spans;
	batch.n = g->n_spans;
	batch.seen = g->seen;
	batch.traces_seen = batch.trace_whole = x->kind == PIECE_JAEGER;
	j->pieces++;
	j->spans += g->seen;
	if (r->parallel)
		return r->o->on_work(r->o->ctx, worker, &batch, &j->out, &j->fatal);
	return r->o->on_batch(r->o->ctx, &batch, &j->fatal);
}

static void
work_job(struct run *r, struct job *j, unsigned worker)
{
	struct chunk *c = &j->c;
	size_t note = 0;

	for (size_t i = 0; i <= c->n_pieces; i++) {
		for (; note < c->n_notes && c->notes[note].before <= i; note++)
			if (add_bad(j, &c->notes[note].what, &j->fatal) < 0)
				return;
		if (i < c->n_pieces && work_piece(r, j, &c->pieces[i], worker) != 0) {
			if (j->fatal.code == ERR_NONE)
				err_set(&j->fatal, ERR_BUG, "a callback failed without a word");
			return;
		}
	}
}

static void
clear_job(struct job *j)
{
	buf_reset(&j->out);
	j->n_bad = 0;
	j->bad_more = j->pieces = j->spans = 0;
	j->fatal.code = ERR_NONE;
}

static int
tell_bad(struct run *r, const struct err *what, struct err *e)
{
	r->stats.bad++;
	if (r->o->on_bad != NULL)
		return r->o->on_bad(r->o->ctx, what, e) != 0 ? -1 : 0;
	if (e != NULL)
		*e = *what;
	return -1;
}

/* Hand the outcome of a job over, in the calling thread. */
static int
commit_job(struct run *r, struct job *j, struct err *e)
{
	r->stats.bytes += j->c.bytes;
	r->stats.pieces += j->pieces;
	r->stats.spans += j->spans;
	if (j->out.failed)
		return err_nomem(e);
	if (j->out.len > 0 && r->o->on_output(r->o->ctx, &j->out, e) != 0)
		return -1;
	for (size_t i = 0; i < j->n_bad; i++)
		if (tell_bad(r, &j->bad[i], e) < 0)
			return -1;
	for (uint64_t i = 0; i < j->bad_more; i++)
		if (tell_bad(r, &j->bad[j->n_bad - 1], e) < 0)
			return -1;
	if (j->fatal.code != ERR_NONE) {
		if (e != NULL)
			*e = j->fatal;
		return -1;
	}
	return 0;
}

static int
fill_job(struct run *r, struct job *j, struct err *e)
{
	clear_job(j);
	if (cancel_check(r->o->cancel, e) < 0)
		return -1;
	return r->proto != NULL ? protobuf_next(r->proto, &j->c, e) : split_next(r->split, &j->c, e);
}

static int
run_serial(struct run *r, struct err *e)
{
	struct job *j = &r->jobs[0];
	int more;

	while ((more = fill_job(r, j, e)) > 0) {
		work_job(r, j, 0);
		if (commit_job(r, j, e) < 0)
			return -1;
	}
	return more;
}

/* Take the oldest full job; NULL when there is none. Lock held. */
static struct job *
take_job(struct run *r)
{
	struct job *j = &r->jobs[r->take % r->n_jobs];

	if (j->state != JOB_FULL)
		return NULL;
	j->state = JOB_RUNNING;
	r->take++;
	return j;
}

struct helper {
	struct run *r;
	unsigned worker;
	pthread_t thread;
};

static void *
helper_main(void *arg)
{
	struct helper *h = arg;
	struct run *r = h->r;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		struct job *j = take_job(r);

		if (j == NULL) {
			pthread_cond_wait(&r->work, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		work_job(r, j, h->worker);
		pthread_mutex_lock(&r->lock);
		j->state = JOB_DONE;
		pthread_cond_signal(&r->done);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/*
 * The calling thread hands finished jobs over in order, keeps the others busy
 * by filling jobs, and works on one itself when enough are waiting.
 */
static int
run_parallel(struct run *r, struct err *e)
{
	size_t filled = 0, committed = 0;
	bool end = false;
	struct err failed = ERR_INIT;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (rc == 0 && (!end || committed < filled)) {
		struct job *oldest = &r->jobs[committed % r->n_jobs], *j;

		if (committed < filled && oldest->state == JOB_DONE) {
			pthread_mutex_unlock(&r->lock);
			rc = commit_job(r, oldest, e);
			pthread_mutex_lock(&r->lock);
			oldest->state = JOB_FREE;
			committed++;
		} else if (!end && filled - committed < r->n_jobs &&
		    filled - r->take <= r->threads) {
			int more;

			j = &r->jobs[filled % r->n_jobs];
			pthread_mutex_unlock(&r->lock);
			more = fill_job(r, j, &failed);
			pthread_mutex_lock(&r->lock);
			end = more <= 0;
			if (more > 0) {
				j->state = JOB_FULL;
				filled++;
				pthread_cond_signal(&r->work);
			}
		} else if ((j = take_job(r)) != NULL) {
			pthread_mutex_unlock(&r->lock);
			work_job(r, j, 0);
			pthread_mutex_lock(&r->lock);
			j->state = JOB_DONE;
		} else
			pthread_cond_wait(&r->done, &r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	if (rc == 0 && failed.code != ERR_NONE) {
		if (e != NULL)
			*e = failed;
		return -1;
	}
	return rc;
}

static int
run_threads(struct run *r, struct err *e)
{
	struct helper *helpers = mem_calloc(r->threads, sizeof *helpers, e);
	unsigned started = 0;
	int rc = -1;

	if (helpers == NULL)
		return -1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	pthread_cond_init(&r->done, NULL);
	for (unsigned i = 1; i < r->threads; i++) {
		helpers[started] = (struct helper){ .r = r, .worker = i };
		/* Fewer threads than asked for are no error: the rest does the work. */
		if (pthread_create(&helpers[started].thread, NULL, helper_main, &helpers[started]) != 0)
			break;
		started++;
	}
	rc = run_parallel(r, e);
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(helpers[i].thread, NULL);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->work);
	pthread_cond_destroy(&r->done);
	free(helpers);
	return rc;
}

/* The first bytes of the stream, to tell the format by. */
static int
read_head(struct stream_in *in, char *head, size_t *n, struct err *e)
{
	size_t got;

	*n = 0;
	do {
		if (stream_in_read(in, head + *n, HEAD_BYTES - *n, &got, e) < 0)
			return -1;
		*n += got;
	} while (got > 0 && *n < HEAD_BYTES);
	return 0;
}

/*
 * Protocol buffer or JSON? A request begins with the tag of field 1, which is a
 * newline in text; but its first bytes hold tags and lengths that no text has.
 */
static bool
is_binary(const char *p, size_t n)
{
	for (size_t i = 0; i < n && i < 64; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c < 0x20 && c != '\n' && c != '\r' && c != '\t')
			return true;
	}
	return false;
}

static int
detect(const char *head, size_t n, enum trace_format asked, bool *proto, struct err *e)
{
	struct slice text = slice_trim((struct slice){ head, n });

	*proto = asked == TRACE_OTLP_PROTOBUF;
	if (n == 0)
		return err_set(e, ERR_INPUT, "the input is empty");
	if (asked != TRACE_AUTO)
		return 0;
	if (head[0] == '\n' && is_binary(head, n)) {
		*proto = true;
		return 0;
	}
	if (text.n == 0)
		return n < HEAD_BYTES ? err_set(e, ERR_INPUT, "the input is empty") : 0;
	if (text.p[0] == '{' || text.p[0] == '[')
		return 0;
	if (text.p[0] == '<')
		return err_set(e, ERR_INPUT, "the input is HTML or XML, not a trace document");
	return err_set(e, ERR_INPUT, "the input is not a trace document (Jaeger or OTLP JSON, OTLP protobuf)");
}

static int
start(struct run *r, struct stream_in *in, struct err *e)
{
	const struct decode_opts *o = r->o;
	char *head = mem_realloc(NULL, HEAD_BYTES, 1, e);
	const char *p = head;
	size_t n;
	bool proto;
	int rc = -1;

	if (head == NULL || read_head(in, head, &n, e) < 0 ||
	    (r->want = want_new(o->want, e)) == NULL)
		goto out;
	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3;		/* a byte order mark */
		n -= 3;
	}
	if (detect(p, n, o->format, &proto, e) < 0)
		goto out;
	if (proto)
		r->proto = protobuf_new(in, p, n, o->max_piece_bytes, e);
	else
		r->split = split_new(in, p, n, r->want, o->max_piece_bytes, jscan_best(), e);
	if (r->proto == NULL && r->split == NULL)
		goto out;
	if (o->format == TRACE_OTLP_JSONL)
		split_set_lines(r->split);
	r->gathers = mem_calloc(r->threads, sizeof *r->gathers, e);
	r->jobs = mem_calloc(r->n_jobs, sizeof *r->jobs, e);
	if (r->gathers == NULL || r->jobs == NULL)
		goto out;
	for (unsigned i = 0; i < r->threads; i++)
		r->gathers[i].want = r->want;
	rc = 0;
out:
	free(head);
	return rc;
}

static void
finish(struct run *r)
{
	for (size_t i = 0; r->jobs != NULL && i < r->n_jobs; i++) {
		chunk_finish(&r->jobs[i].c);
		buf_finish(&r->jobs[i].out);
		free(r->jobs[i].bad);
	}
	for (unsigned i = 0; r->gathers != NULL && i < r->threads; i++)
		gather_finish(&r->gathers[i]);
	free(r->jobs);
	free(r->gathers);
	split_free(r->split);
	protobuf_free(r->proto);
	want_free(r->want);
}

int
decode_stream(struct stream_in *in, const struct decode_opts *o, struct decode_stats *stats,
	struct err *e)
{
	struct run r = { .o = o, .parallel = o->on_work != NULL };
	int rc;

	r.threads = !r.parallel || o->threads == 0 ? 1 : o->threads;
	if (r.threads > MAX_THREADS)
		r.threads = MAX_THREADS;
	r.n_jobs = r.threads == 1 ? 1 : (size_t)3 * r.threads;
	rc = start(&r, in, e);
	if (rc == 0)
		rc = r.threads == 1 ? run_serial(&r, e) : run_threads(&r, e);
	r.stats.format = r.proto != NULL ? TRACE_OTLP_PROTOBUF : r.split != NULL ?
		split_format(r.split) : TRACE_AUTO;
	if (stats != NULL)
		*stats = r.stats;
	finish(&r);
	return rc < 0 ? -1 : 0;
}
