#include "serve/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"

struct outbox {
	struct outbox_opts o;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, rested;
	struct buf in;			/* filled */
	struct buf out;			/* delivered; the thread's own */
	size_t records;
	uint64_t dropped;
	uint64_t asked, done;		/* rounds of outbox_flush */
	bool stop, hurry;
};

/* Until it is time, or somebody is in a hurry. Locked. */
static void
rest(struct outbox *b)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)b->o.interval;
	until.tv_nsec += (long)((b->o.interval - (double)(time_t)b->o.interval) * 1e9);
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (!b->stop && !b->hurry && pthread_cond_timedwait(&b->more, &b->lock, &until) != ETIMEDOUT)
		continue;
}

static void *
run(void *arg)
{
	struct outbox *b = arg;
	bool last = false;

	pthread_mutex_lock(&b->lock);
	while (!last) {
		struct buf full;
		size_t records;
		uint64_t dropped, round;

		rest(b);
		last = b->stop;
		full = b->in;
		b->in = b->out;
		b->out = full;
		records = b->records;
		dropped = b->dropped;
		round = b->asked;
		b->records = 0;
		b->dropped = 0;
		b->hurry = false;
		pthread_mutex_unlock(&b->lock);
		if (records > 0 || dropped > 0 || b->o.always)
			b->o.deliver(b->o.ctx, buf_cstr(&b->out), b->out.len, records, dropped);
		buf_reset(&b->out);
		pthread_mutex_lock(&b->lock);
		b->done = round;
		pthread_cond_broadcast(&b->rested);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

struct outbox *
outbox_start(const struct outbox_opts *o, struct err *e)
{
	struct outbox *b = mem_calloc(1, sizeof *b, e);
	pthread_condattr_t a;

	if (b == NULL)
		return NULL;
	b->o = *o;
	if (b->o.max_bytes == 0)
		b->o.max_bytes = (size_t)4 << 20;
	if (!(b->o.interval > 0))
		b->o.interval = 0.2;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&a);
	(void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&b->more, &a);
	pthread_cond_init(&b->rested, NULL);
	pthread_condattr_destroy(&a);
	if ((errno = pthread_create(&b->thread, NULL, run, b)) == 0)
		return b;
	err_sys(e, ERR_TEMPFAIL, "thread");
	free(b);
	return NULL;
}

bool
outbox_put(struct outbox *b, const char *p, size_t n)
{
	bool fits;

	pthread_mutex_lock(&b->lock);
	fits = n <= b->o.max_bytes && b->in.len <= b->o.max_bytes - n && buf_reserve(&b->in, n);
	if (fits) {
		buf_add(&b->in, p, n);
		b->records++;
	} else
		b->dropped++;
	if (b->in.len > b->o.max_bytes / 2 && !b->hurry) {
		b->hurry = true;
		pthread_cond_signal(&b->more);
	}
	pthread_mutex_unlock(&b->lock);
	return fits;
}

void
outbox_flush(struct outbox *b)
{
	uint64_t round;

	pthread_mutex_lock(&b->lock);
	round = ++b->asked;
	b->hurry = true;
	pthread_cond_signal(&b->more);
	while (b->done < round) {
		pthread_cond_wait(&b->rested, &b->lock);
		b->hurry = true;
		pthread_cond_signal(&b->more);
	}
	pthread_mutex_unlock(&b->lock);
}

void
outbox_stop(struct outbox *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_signal(&b->more);
	pthread_mutex_unlock(&b->lock);
	(void)pthread_join(b->thread, NULL);
	buf_finish(&b->in);
	buf_finish(&b->out);
	pthread_cond_destroy(&b->more);
	pthread_cond_destroy(&b->rested);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
