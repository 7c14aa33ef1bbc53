#include "serve/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SETTLE_LOOK_MS 200

/* What a file is told by. All zero: it is not there. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct watched {
	char *path;
	struct stamp seen;	/* as it was last acted on */
};

struct watch {
	struct watch_opts o;
	pthread_t thread;
	pthread_mutex_t lock;	/* over all below */
	struct watched file[WATCH_MAX];
	size_t n;
	double interval;
	bool stop;
	int notify, wake[2];
};

static struct stamp
look(const char *path)
{
	struct stamp s;
	struct stat st;

	memset(&s, 0, sizeof s);
	if (stat(path, &st) < 0)
		return s;
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.size = st.st_size;
	s.mtime = st.st_mtim;
	s.ctime = st.st_ctim;
	return s;
}

static bool
alike(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
		a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec &&
		a->ctime.tv_nsec == b->ctime.tv_nsec;
}

/* How the files are now; true when any differs from what was acted on. */
static bool
differs(struct watch *w, struct stamp now[WATCH_MAX])
{
	bool any = false;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++) {
		now[i] = look(w->file[i].path);
		any = any || !alike(&now[i], &w->file[i].seen);
	}
	pthread_mutex_unlock(&w->lock);
	return any;
}

static bool
same_all(const struct stamp *a, const struct stamp *b)
{
	for (size_t i = 0; i < WATCH_MAX; i++) {
		if (!alike(&a[i], &b[i]))
			return false;
	}
	return true;
}

/* Is it a name that we watch, or the link by which a mounted volume is swapped? */
static bool
ours(struct watch *w, const char *name)
{
	bool found = strcmp(name, "..data") == 0;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n && !found; i++) {
		const char *slash = strrchr(w->file[i].path, '/');

		found = strcmp(slash == NULL ? w->file[i].path : slash + 1, name) == 0;
	}
	pthread_mutex_unlock(&w->lock);
	return found;
}

/* Read what inotify has to tell; true when a file of ours was renamed into place. */
static bool
drain(struct watch *w)
{
	_Alignas(struct inotify_event) char b[8192];
	bool moved = false;
	ssize_t n;

	while (w->notify >= 0 && (n = read(w->notify, b, sizeof b)) > 0) {
		for (char *p = b; p < b + n; ) {
			const struct inotify_event *v = (const void *)p;

			if ((v->mask & IN_MOVED_TO) != 0 && v->len > 0 && ours(w, v->name))
				moved = true;
			p += sizeof *v + v->len;
		}
	}
	return moved;
}

/* Wait for inotify, a wake-up or ms. -1 when it is time to end; 1 when a file was renamed into place. */
static int
wait_for(struct watch *w, int64_t ms)
{
	struct pollfd p[2] = { { w->wake[0], POLLIN, 0 }, { w->notify, POLLIN, 0 } };
	char b[64];
	bool stop;

	(void)poll(p, w->notify >= 0 ? 2 : 1, ms > 3600000 ? 3600000 : (int)ms);
	while (read(w->wake[0], b, sizeof b) > 0)
		;
	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop ? -1 : drain(w) ? 1 : 0;
}

/* Wait until nothing has changed for so long. 0; -1 to end. */
static int
settle(struct watch *w, struct stamp now[WATCH_MAX])
{
	int64_t need = (int64_t)(w->o.settle_seconds * 1e9), since = clock_mono_ns();
	struct stamp next[WATCH_MAX];
	int moved;

	memset(next, 0, sizeof next);
	while (clock_mono_ns() - since < need) {
		if ((moved = wait_for(w, SETTLE_LOOK_MS)) < 0)
			return -1;
		(void)differs(w, next);
		if (!same_all(now, next))
			since = clock_mono_ns();
		memcpy(now, next, sizeof next);
		if (moved > 0)
			break;
	}
	return 0;
}

static void
mark_seen(struct watch *w, const struct stamp now[WATCH_MAX])
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++)
		w->file[i].seen = now[i];
	pthread_mutex_unlock(&w->lock);
}

static int64_t
interval_ms(struct watch *w)
{
	double s;

	pthread_mutex_lock(&w->lock);
	s = w->n == 0 ? 3600 : w->interval;
	pthread_mutex_unlock(&w->lock);
	return s > 3600 ? 3600000 : s < 0.1 ? 100 : (int64_t)(s * 1000);
}

static void *
run(void *arg)
{
	struct watch *w = arg;
	struct stamp now[WATCH_MAX];
	int64_t last = 0;	/* when the grace of an incomplete set is over; 0: it is complete */
	int moved = 0;

	memset(now, 0, sizeof now);
	for (;;) {
		int64_t left = last == 0 ? INT64_MAX : (last - clock_mono_ns()) / 1000000 + 1, ms = interval_ms(w);

		if (moved == 0 && (moved = wait_for(w, left < ms ? (left < 0 ? 0 : left) : ms)) < 0)
			return NULL;
		if (!differs(w, now)) {
			moved = 0;
			if (last != 0 && clock_mono_ns() >= last) {
				last = 0;
				(void)w->o.changed(w->o.ctx, true);
			}
			continue;
		}
		if (moved == 0 && settle(w, now) < 0)
			return NULL;
		moved = 0;
		if (!differs(w, now))
			continue;
		mark_seen(w, now);
		if (w->o.changed(w->o.ctx, false))
			last = 0;
		else if (last == 0)
			last = clock_mono_ns() + (int64_t)(w->o.grace_seconds * 1e9);
	}
}

void
watch_set(struct watch *w, const char *const *path, size_t n, double interval_seconds)
{
	char folder[4096];

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->n; i++)
		free(w->file[i].path);
	w->n = 0;
	w->interval = interval_seconds;
	for (size_t i = 0; i < n && w->n < WATCH_MAX; i++) {
		const char *slash = strrchr(path[i], '/');
		struct watched *f = &w->file[w->n];

		if ((f->path = mem_strdup(path[i], NULL)) == NULL)
			continue;
		f->seen = look(path[i]);
		w->n++;
		(void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : slash == path[i] ? 1 : (int)(slash - path[i]),
			slash == NULL ? "." : path[i]);
		/* A folder that is watched already stays so; one that is not there yet is left to the interval. */
		if (w->notify >= 0)
			(void)inotify_add_watch(w->notify, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE |
				IN_MOVED_FROM | IN_ATTRIB | IN_MODIFY);
	}
	pthread_mutex_unlock(&w->lock);
	(void)!write(w->wake[1], "", 1);
}

static int
open_pipe(int fd[2])
{
	if (pipe(fd) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		(void)fcntl(fd[i], F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

struct watch *
watch_start(const struct watch_opts *o, struct err *e)
{
	struct watch *w = mem_calloc(1, sizeof *w, e);

	if (w == NULL)
		return NULL;
	w->o = *o;
	if (w->o.settle_seconds <= 0)
		w->o.settle_seconds = 1;
	if (w->o.grace_seconds <= 0)
		w->o.grace_seconds = 60;
	pthread_mutex_init(&w->lock, NULL);
	if (open_pipe(w->wake) < 0) {
		err_sys(e, ERR_TEMPFAIL, "pipe");
		free(w);
		return NULL;
	}
	w->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if ((errno = pthread_create(&w->thread, NULL, run, w)) == 0)
		return w;
	err_sys(e, ERR_TEMPFAIL, "thread");
	(void)close(w->wake[0]);
	(void)close(w->wake[1]);
	if (w->notify >= 0)
		(void)close(w->notify);
	free(w);
	return NULL;
}

void
watch_stop(struct watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	(void)!write(w->wake[1], "", 1);
	(void)pthread_join(w->thread, NULL);
	for (size_t i = 0; i < w->n; i++)
		free(w->file[i].path);
	(void)close(w->wake[0]);
	(void)close(w->wake[1]);
	if (w->notify >= 0)
		(void)close(w->notify);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
