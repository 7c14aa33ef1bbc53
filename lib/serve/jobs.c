#include "serve/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

struct job {
	struct job *next;
	void (*fn)(void *);
	void *ctx;
};

struct jobs {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	bool stop;
};

static void *
run(void *arg)
{
	struct jobs *q = arg;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct job *j = q->first;

		if (j == NULL) {
			if (q->stop)
				break;
			pthread_cond_wait(&q->more, &q->lock);
			continue;
		}
		if ((q->first = j->next) == NULL)
			q->last = &q->first;
		pthread_mutex_unlock(&q->lock);
		j->fn(j->ctx);
		free(j);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

struct jobs *
jobs_start(struct err *e)
{
	struct jobs *q = mem_calloc(1, sizeof *q, e);

	if (q == NULL)
		return NULL;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->more, NULL);
	if ((errno = pthread_create(&q->thread, NULL, run, q)) == 0)
		return q;
	err_sys(e, ERR_TEMPFAIL, "thread");
	free(q);
	return NULL;
}

int
jobs_ask(struct jobs *q, void (*fn)(void *ctx), void *ctx, struct err *e)
{
	struct job *j = mem_calloc(1, sizeof *j, e);

	if (j == NULL)
		return -1;
	j->fn = fn;
	j->ctx = ctx;
	pthread_mutex_lock(&q->lock);
	*q->last = j;
	q->last = &j->next;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
	return 0;
}

void
jobs_stop(struct jobs *q)
{
	if (q == NULL)
		return;
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_signal(&q->more);
	pthread_mutex_unlock(&q->lock);
	(void)pthread_join(q->thread, NULL);
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
	free(q);
}
