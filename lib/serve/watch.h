/*
 * watch - tells when one of a few files has become another one, once it is whole.
 *
 * A file is compared by device, inode, size, mtime and ctime: any difference
 * counts, an older mtime too, and a file that came or went. inotify(7) on the
 * folders says when to look, and without it (network file systems, links) the
 * interval does. A file counts once it is whole: nothing of it changed for a
 * second, or it was renamed into place.
 * Depends on: base.  Threads: one of its own, which calls changed.
 */
#ifndef LLMR_SERVE_WATCH_H
#define LLMR_SERVE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define WATCH_MAX 8

struct watch_opts {
	double settle_seconds;	/* 0: 1 */
	double grace_seconds;	/* how long an incomplete set may stay so; 0: 60 */
	/*
	 * Something changed. False: what is there does not fit together yet; it is
	 * called again at the next change, and with last = true when the grace is over.
	 */
	bool (*changed)(void *ctx, bool last);
	void *ctx;
};

struct watch;
struct watch *watch_start(const struct watch_opts *, struct err *e);
void watch_stop(struct watch *);		/* NULL is fine; not from changed */
/*
 * Watch these paths (copied, at most WATCH_MAX) from how they are now, looking
 * each interval at the latest. Called before the files are read, so that no
 * change can fall between; also from changed.
 */
void watch_set(struct watch *, const char *const *path, size_t n, double interval_seconds);

#endif
