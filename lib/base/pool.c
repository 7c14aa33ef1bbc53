#define _GNU_SOURCE	/* sched_getaffinity */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

struct worker {
	struct pool *pool;
	unsigned id;
	pthread_t thread;
};

struct pool {
	unsigned threads;
	struct worker *workers;		/* [threads - 1], numbered from 1 */
	unsigned started;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	unsigned long round;		/* raised for each pool_run */
	unsigned busy;
	bool stop;
	void (*fn)(void *, size_t, unsigned);
	void *arg;
	size_t parts;
	atomic_size_t next;
};

static void
take_parts(struct pool *p, unsigned id)
{
	size_t i;

	while ((i = atomic_fetch_add(&p->next, 1)) < p->parts)
		p->fn(p->arg, i, id);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	unsigned long seen = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->stop && p->round == seen)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stop)
			break;
		seen = p->round;
		pthread_mutex_unlock(&p->lock);
		take_parts(p, w->id);
		pthread_mutex_lock(&p->lock);
		if (--p->busy == 0)
			pthread_cond_signal(&p->idle);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct pool *
pool_new(unsigned n, struct err *e)
{
	struct pool *p = mem_calloc(1, sizeof *p, e);

	if (p == NULL)
		return NULL;
	p->threads = n == 0 ? 1 : n;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	p->workers = mem_calloc(p->threads, sizeof *p->workers, e);
	if (p->workers == NULL)
		goto fail;
	for (unsigned i = 1; i < p->threads; i++) {
		struct worker *w = &p->workers[i - 1];

		w->pool = p;
		w->id = i;
		if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
			err_set(e, ERR_TEMPFAIL, "cannot start thread %u of %u: try fewer --threads", i,
				p->threads);
			goto fail;
		}
		p->started++;
	}
	return p;
fail:
	pool_free(p);
	return NULL;
}

void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->started; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->idle);
	free(p->workers);
	free(p);
}

unsigned
pool_threads(const struct pool *p)
{
	return p == NULL ? 1 : p->threads;
}

void
pool_run(struct pool *p, size_t parts, void (*fn)(void *, size_t, unsigned), void *arg)
{
	if (p == NULL || p->threads == 1 || parts < 2) {
		for (size_t i = 0; i < parts; i++)
			fn(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	p->parts = parts;
	atomic_store(&p->next, 0);
	p->busy = p->started;
	p->round++;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	take_parts(p, 0);
	pthread_mutex_lock(&p->lock);
	while (p->busy > 0)
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* The CPU limit in a cgroup file as cores rounded up, 0 when there is none. */
static unsigned
quota_cores(double quota, double period)
{
	if (quota <= 0 || period <= 0)
		return 0;
	return (unsigned)(quota / period + 0.999);
}

static unsigned
cgroup_cores(void)
{
	double quota = 0, period = 0;
	char text[32] = "";
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

	if (f != NULL) {
		if (fscanf(f, "%31s %lf", text, &period) != 2 || text[0] == 'm')
			period = 0;
		(void)fclose(f);
		return quota_cores(strtod(text, NULL), period);
	}
	if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re")) == NULL)
		return 0;
	if (fscanf(f, "%lf", &quota) != 1)
		quota = 0;
	(void)fclose(f);
	if ((f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re")) == NULL)
		return 0;
	if (fscanf(f, "%lf", &period) != 1)
		period = 0;
	(void)fclose(f);
	return quota_cores(quota, period);
}

unsigned
pool_cores(void)
{
	cpu_set_t set;
	long n = 1;
	unsigned limit;

	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		n = CPU_COUNT(&set);
	else
		n = sysconf(_SC_NPROCESSORS_ONLN);
	if (n < 1)
		n = 1;
	limit = cgroup_cores();
	if (limit > 0 && limit < (unsigned)n)
		return limit;
	return (unsigned)n;
}
