#include "serve/diskcheck.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"

#define ROOM_BYTES ((uint64_t)16 << 20)
#define FRESH_NS ((int64_t)5000000000)		/* an answer counts as long as this */
#define SILENT_NS ((int64_t)30000000000)	/* a look that takes longer has hung */

const char *
disk_state_name(enum disk_state s)
{
	static const char *const names[] = { "not_needed", "healthy", "full", "read_only", "missing", "silent" };

	return names[s];
}

static enum disk_state
look(const char *dir)
{
	struct statvfs s;

	if (dir == NULL)
		return DISK_NOT_NEEDED;
	if (statvfs(dir, &s) < 0)
		return errno == ENOENT ? DISK_NOT_NEEDED : DISK_MISSING;	/* made with the first that is kept */
	if (access(dir, W_OK | X_OK) < 0)
		return DISK_READ_ONLY;
	return (uint64_t)s.f_bavail * s.f_frsize < ROOM_BYTES ? DISK_FULL : DISK_HEALTHY;
}

static void
look_now(void *ctx)
{
	struct diskcheck *d = ctx;

	atomic_store(&d->state, (int)look(d->dir));
	atomic_store(&d->looked_ns, clock_mono_ns());
	atomic_store(&d->asked_ns, 0);
}

void
diskcheck_init(struct diskcheck *d, const char *dir)
{
	d->dir = dir;
	look_now(d);
}

enum disk_state
diskcheck_state(struct diskcheck *d, struct jobs *jobs)
{
	int64_t now = clock_mono_ns(), asked = atomic_load(&d->asked_ns);
	int_fast64_t none = 0;

	if (d->dir == NULL)
		return DISK_NOT_NEEDED;
	if (asked != 0)
		return now - asked > SILENT_NS ? DISK_SILENT : (enum disk_state)atomic_load(&d->state);
	if (now - atomic_load(&d->looked_ns) > FRESH_NS && jobs != NULL &&
	    atomic_compare_exchange_strong(&d->asked_ns, &none, now)) {
		struct err e = ERR_INIT;

		if (jobs_ask(jobs, look_now, d, &e) < 0)
			atomic_store(&d->asked_ns, 0);
	}
	return (enum disk_state)atomic_load(&d->state);
}
