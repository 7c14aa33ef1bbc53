#include "net/jaegerclient.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

#define MAX_PIECES 8		/* of one cut */
#define MAX_LIMIT ((uint64_t)1 << 20)
#define PARTIAL_TRIES 3

enum window_state { WINDOW_WAITING, WINDOW_RUNNING, WINDOW_READY };

/* A span of time, in µs, both ends asked for; the next window begins where this one ends. */
struct window {
	int64_t a, b;
	unsigned depth;			/* cuts above it */
	enum window_state state;
	bool truncated;
	struct jaegeranswer answer;	/* when ready */
	struct window *next;
};

/* A run. What follows the lock is guarded by it. */
struct run {
	const struct jaegerclient_opts *o;
	struct idset own_seen, *seen;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct window *head;		/* in order of time */
	size_t ready;
	uint64_t limit;			/* halved when the server refuses it */
	uint64_t refused;		/* the smallest limit it refused, UINT64_MAX none */
	bool stop;
	struct err err;			/* the first failure */
	struct jaegerclient_stats st;
	struct buf line;
};

static int64_t
unit_of(const struct run *r)
{
	return r->o->unit_us > 0 ? r->o->unit_us : 1;
}

/* The smallest window, in words. */
static const char *
unit_name(const struct run *r)
{
	return unit_of(r) == 1 ? "microsecond" : "second";
}

static void
free_window(struct window *w)
{
	jaegeranswer_finish(&w->answer);
	free(w);
}

static struct window *
new_window(int64_t a, int64_t b, unsigned depth, struct window *next, struct err *e)
{
	struct window *w = mem_calloc(1, sizeof *w, e);

	if (w == NULL)
		return NULL;
	w->a = a;
	w->b = b;
	w->depth = depth;
	w->next = next;
	jaegeranswer_init(&w->answer);
	return w;
}

static int
by_time(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a > b) - (a < b);
}

static int
by_start(const void *x, const void *y)
{
	const struct jaegertrace *a = x, *b = y;

	if (a->start_us != b->start_us)
		return a->start_us < b->start_us ? -1 : 1;
	return memcmp(a->id, b->id, sizeof a->id);
}

/*
 * Times at which to cut a..b (b - a > unit, a multiple of it) into at most `pieces`, strictly inside
 * and rising. The sample holds times of traces that came back; the answer's
 * choice being arbitrary, each cut is kept a 64th of the width off the ends, so
 * that every piece gets smaller whatever the sample says.
 */
static size_t
choose_cuts(const struct window *w, int64_t unit, const int64_t *sample, size_t n, unsigned pieces,
	int64_t *cuts)
{
	int64_t margin = (w->b - w->a) / 64, last = w->a;
	size_t k = 0;

	if (margin < unit)
		margin = unit;
	for (unsigned i = 1; i < pieces; i++) {
		int64_t c = sample[n * i / pieces];

		if (c < w->a + margin)
			c = w->a + margin;
		if (c > w->b - margin)
			c = w->b - margin;
		c -= (c - w->a) % unit;
		if (c > last)
			cuts[k++] = last = c;
	}
	return k;
}

/* Put smaller windows in the place of w, whose answer is in `a`. The lock is held. */
static int
cut_window(struct run *r, struct window *w, const struct jaegeranswer *a, struct err *e)
{
	unsigned pieces = w->depth < 2 ? 2u << w->depth : MAX_PIECES;
	int64_t cuts[MAX_PIECES], *sample = mem_calloc(a->n + 1, sizeof *sample, e), end = w->b;
	size_t n = 0, k;
	struct window *more;

	if (sample == NULL)
		return -1;
	for (size_t i = 0; i < a->n; i++) {
		if (a->traces[i].hit_us != INT64_MIN)
			sample[n++] = a->traces[i].hit_us;
	}
	if (n == 0) {
		/* Nothing to go by: an answer that was too large to read. */
		sample[n++] = w->a + (w->b - w->a) / 2;
		pieces = 2;
	}
	qsort(sample, n, sizeof *sample, by_time);
	k = choose_cuts(w, unit_of(r), sample, n, pieces, cuts);
	free(sample);
	while (k > 0) {
		if ((more = new_window(cuts[k - 1], end, w->depth + 1, w->next, e)) == NULL)
			return -1;
		w->next = more;
		end = cuts[--k];
		w->b = end;
	}
	w->depth++;
	w->state = WINDOW_WAITING;
	r->st.full++;
	return 0;
}

/* The server takes no limit this large: use half from now on. -1 when there is none left. */
static int
lower_limit(struct run *r, uint64_t limit)
{
	int out = 0;

	pthread_mutex_lock(&r->lock);
	if (limit < r->refused)
		r->refused = limit;
	if (limit <= 1)
		out = -1;
	else if (r->limit >= limit) {
		r->limit = limit / 2;
		log_info(r->o->log, "the server refuses a limit of %" PRIu64 ", going on with %" PRIu64,
			limit, r->limit);
	}
	pthread_mutex_unlock(&r->lock);
	return out;
}

/* One more failed try: wait, or give up with err as it is. */
static int
wait_for_retry(struct run *r, unsigned *tries, double retry_after, struct rng *rng, struct err *e)
{
	double wait = retry_delay(&r->o->retry, ++*tries, retry_after, rng);
	struct err none;

	if (wait < 0) {
		if (retry_after > r->o->retry.max_wait)
			return err_wrap(e, "the server asks to wait %.0f s, giving up", retry_after);
		return *tries > 1 ? err_wrap(e, "gave up after %u tries", *tries) : -1;
	}
	log_info(r->o->log, "%s; trying again in %.1f s", e->msg, wait);
	if (retry_sleep(wait, r->o->query.cancel, &none) < 0) {
		*e = none;
		return -1;
	}
	pthread_mutex_lock(&r->lock);
	r->st.retries++;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static uint64_t
current_limit(struct run *r)
{
	uint64_t limit;

	pthread_mutex_lock(&r->lock);
	limit = r->limit;
	r->st.requests++;
	pthread_mutex_unlock(&r->lock);
	return limit;
}

/* A larger limit than `limit` that the server has not refused, or 0. */
static uint64_t
larger_limit(struct run *r, uint64_t limit)
{
	uint64_t next = limit * 2;

	pthread_mutex_lock(&r->lock);
	if (next > MAX_LIMIT || next >= r->refused)
		next = 0;
	pthread_mutex_unlock(&r->lock);
	return next;
}

enum fetched { FETCHED_ALL, FETCHED_FULL, FETCHED_TRUNCATED, FETCHED_ERROR };

/* What to do with an answer that holds as many traces as were asked for. */
static enum fetched
judge_full(struct run *r, const struct window *w, uint64_t *limit, uint64_t *larger,
	const struct jaegeranswer *a, struct err *e)
{
	size_t inside = 0;

	for (size_t i = 0; i < a->n; i++)
		inside += a->traces[i].hit_us != INT64_MIN;
	if (a->n > 0 && inside == 0) {
		err_set(e, ERR_UNAVAILABLE,
			"the server answers traces that lie outside of the time asked for: does it honour start and end?");
		return FETCHED_ERROR;
	}
	if (w->b - w->a > unit_of(r))
		return FETCHED_FULL;
	if ((*larger = larger_limit(r, *limit)) != 0)
		return FETCHED_ALL;	/* ask again with it */
	log_warn(r->o->log,
		"more than %" PRIu64 " traces begin within one %s (%" PRId64
		"), and the server gives no more at a time: some are missing",
		*limit, unit_name(r), w->a);
	return FETCHED_TRUNCATED;
}

static enum jaegeroutcome
ask(struct run *r, const struct window *w, uint64_t limit, struct jaegeranswer *a, double *retry_after,
	struct err *e)
{
	if (r->o->ask != NULL)
		return r->o->ask(r->o->ask_ctx, w->a, w->b, limit, a, retry_after, e);
	return jaegerquery_ask(&r->o->query, w->a, w->b, limit, a, retry_after, e);
}

/* Ask for a window until there is something to decide. */
static enum fetched
fetch_window(struct run *r, const struct window *w, struct jaegeranswer *a, struct rng *rng,
	struct err *e)
{
	uint64_t limit, larger = 0;
	unsigned tries = 0, partial = 0;
	double retry_after;
	enum fetched f;

	for (;;) {
		limit = current_limit(r);
		if (larger > limit)
			limit = larger;
		switch (ask(r, w, limit, a, &retry_after, e)) {
		case JAEGER_AGAIN:
			if (wait_for_retry(r, &tries, retry_after, rng, e) < 0)
				return FETCHED_ERROR;
			continue;
		case JAEGER_LOWER_LIMIT:
			larger = 0;
			if (lower_limit(r, limit) < 0)
				return FETCHED_ERROR;
			continue;
		case JAEGER_SPLIT:
			if (w->b - w->a > unit_of(r))
				return FETCHED_FULL;
			err_wrap(e, "traces of one %s (%" PRId64 ")", unit_name(r), w->a);
			return FETCHED_ERROR;
		case JAEGER_FAILED:
			return FETCHED_ERROR;
		case JAEGER_DONE:
			break;
		}
		if (a->partial && ++partial < PARTIAL_TRIES) {
			err_set(e, ERR_UNAVAILABLE, "%s", a->partial_why);
			if (wait_for_retry(r, &tries, -1, rng, e) == 0)
				continue;
			if (e->code == ERR_INTR)
				return FETCHED_ERROR;
		}
		if (a->found < limit)
			return FETCHED_ALL;
		if ((f = judge_full(r, w, &limit, &larger, a, e)) != FETCHED_ALL)
			return f;
	}
}

/* Deliver the traces of a finished window. The lock is held. */
static int
deliver(struct run *r, struct window *w, struct err *e)
{
	struct jaegeranswer *a = &w->answer;
	bool added;

	if (a->n > 0)
		qsort(a->traces, a->n, sizeof *a->traces, by_start);
	for (size_t i = 0; i < a->n; i++) {
		const struct jaegertrace *t = &a->traces[i];

		if (idset_add(r->seen, t->id, &added, e) < 0)
			return -1;
		if (!added) {
			r->st.duplicates++;
			continue;
		}
		buf_reset(&r->line);
		if (!buf_reserve(&r->line, t->n_bytes))
			return err_nomem(e);
		if (spool_read(&a->lines, t->at, r->line.p, t->n_bytes, e) < 0)
			return -1;
		r->st.traces++;
		r->st.spans += t->spans;
		if (r->o->on_trace(r->o->ctx, t, r->line.p, e) != 0)
			return -1;
	}
	if (a->bad > 0)
		log_warn(r->o->log, "%" PRIu64 " traces left out: %s", a->bad, a->bad_why);
	if (a->partial)
		log_warn(r->o->log, "the server reports errors beside its data: %s", a->partial_why);
	r->st.bad += a->bad;
	r->st.partial += a->partial;
	r->st.truncated += w->truncated;
	r->st.windows++;
	return r->o->on_upto == NULL ? 0 : r->o->on_upto(r->o->ctx, w->b, e);
}

/* Deliver what stands ready at the head of the line. The lock is held. */
static int
deliver_ready(struct run *r, struct err *e)
{
	struct window *w;

	while ((w = r->head) != NULL && w->state == WINDOW_READY) {
		if (deliver(r, w, e) < 0)
			return -1;
		r->head = w->next;
		r->ready--;
		free_window(w);
	}
	return 0;
}

/*
 * The next window to fetch: the earliest that waits, but not further ahead of
 * the one that everybody waits for than a few answers. NULL when all are
 * taken. The lock is held.
 */
static struct window *
next_window(struct run *r)
{
	for (;;) {
		struct window *w = r->head;

		if (r->stop || w == NULL)
			return NULL;
		while (w != NULL && w->state != WINDOW_WAITING)
			w = w->next;
		if (w != NULL && (w == r->head || r->ready < 2 * (size_t)r->o->concurrency))
			return w;
		pthread_cond_wait(&r->changed, &r->lock);
	}
}

/* Fetch one window and put its outcome in place. The lock is held at both ends. */
static int
work_on(struct run *r, struct window *w, struct rng *rng, struct err *e)
{
	struct jaegeranswer a;
	enum fetched f;
	int out = 0;

	w->state = WINDOW_RUNNING;
	pthread_mutex_unlock(&r->lock);
	jaegeranswer_init(&a);
	f = fetch_window(r, w, &a, rng, e);
	pthread_mutex_lock(&r->lock);
	r->st.bytes += a.bytes;
	if (f == FETCHED_ERROR) {
		out = -1;
	} else if (f == FETCHED_FULL) {
		out = cut_window(r, w, &a, e);
	} else {
		w->truncated = f == FETCHED_TRUNCATED;
		w->answer = a;
		jaegeranswer_init(&a);
		w->state = WINDOW_READY;
		r->ready++;
		if (!r->stop)
			out = deliver_ready(r, e);
	}
	jaegeranswer_finish(&a);
	return out;
}

static void
worker(void *arg, size_t part, unsigned thread)
{
	struct run *r = arg;
	struct rng rng = rng_split(r->o->seed, part);
	struct err e = ERR_INIT;
	struct window *w;

	(void)thread;
	pthread_mutex_lock(&r->lock);
	while ((w = next_window(r)) != NULL) {
		if (work_on(r, w, &rng, &e) < 0 && !r->stop) {
			r->stop = true;
			r->err = e;
		}
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
}

int
jaegerclient_run(const struct jaegerclient_opts *o, struct jaegerclient_stats *st, struct err *e)
{
	struct run r = { .o = o, .limit = o->limit, .refused = UINT64_MAX, .err = ERR_INIT };
	struct pool *pool = NULL;
	struct window *w;
	int out = -1;

	*st = (struct jaegerclient_stats){ .limit = o->limit };
	r.seen = o->seen != NULL ? o->seen : &r.own_seen;
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.changed, NULL);
	if (o->ask == NULL && jaegerquery_check(&o->query, e) < 0)
		goto out;
	if (o->start_us >= o->end_us) {
		err_set(e, ERR_USAGE, "the time range is empty: --start is not before --end");
		goto out;
	}
	if ((r.head = new_window(o->start_us, o->end_us, 0, NULL, e)) == NULL ||
	    (pool = pool_new(o->concurrency, e)) == NULL)
		goto out;
	pool_run(pool, o->concurrency, worker, &r);
	*st = r.st;
	st->limit = r.limit;
	if (r.stop)
		*e = r.err;
	else
		out = 0;
out:
	pool_free(pool);
	while ((w = r.head) != NULL) {
		r.head = w->next;
		free_window(w);
	}
	idset_finish(&r.own_seen);
	buf_finish(&r.line);
	pthread_cond_destroy(&r.changed);
	pthread_mutex_destroy(&r.lock);
	return out;
}
