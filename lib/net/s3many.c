#include "net/s3many.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct batch {
	const struct s3many *m;
	pthread_mutex_t lock;
	size_t next;
	bool over;
	enum s3_outcome outcome;	/* the first that was not taken */
	struct err err;
};

/* Under the lock. */
static void
stop(struct batch *b, enum s3_outcome out, const struct err *e)
{
	b->over = true;
	if (b->outcome == S3_OK) {
		b->outcome = out;
		b->err = *e;
	}
}

static void *
batch_worker(void *arg)
{
	struct batch *b = arg;
	const struct s3many *m = b->m;
	struct err e = ERR_INIT;
	void *slot = mem_calloc(1, m->slot_bytes, &e);

	for (;;) {
		enum s3_outcome out;
		size_t i;
		int r = 0;

		e = (struct err)ERR_INIT;
		pthread_mutex_lock(&b->lock);
		i = b->next;
		if (slot == NULL && !b->over) {
			err_nomem(&e);
			stop(b, S3_FAILED, &e);
		}
		if (!b->over) {
			memset(slot, 0, m->slot_bytes);
			r = m->next(m->ctx, i, slot, &e);
			if (r > 0)
				b->next++;
			else if (r < 0)
				stop(b, S3_FAILED, &e);
			else
				b->over = true;
		}
		pthread_mutex_unlock(&b->lock);
		if (r <= 0)
			break;
		out = m->work(m->ctx, slot, &e);
		pthread_mutex_lock(&b->lock);
		if (m->done(m->ctx, i, out, slot, &e) != 0)
			stop(b, out == S3_OK ? S3_FAILED : out, &e);
		pthread_mutex_unlock(&b->lock);
	}
	free(slot);
	return NULL;
}

enum s3_outcome
s3many_run(const struct s3many *m, struct err *e)
{
	struct batch b = { .m = m, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread[S3_PARALLEL];
	unsigned n = 0;

	while (n + 1 < m->threads && n < S3_PARALLEL && pthread_create(&thread[n], NULL, batch_worker, &b) == 0)
		n++;
	(void)batch_worker(&b);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&b.lock);
	if (b.outcome != S3_OK)
		*e = b.err;
	return b.outcome;
}
