/*
 * diskcheck - can the state directory be written, and has it room?
 *
 * Asked for on the background thread, so that a disk that hangs holds up no
 * probe: who wants to know gets the last answer.
 * Depends on: serve/jobs.  Threads: safe.
 */
#ifndef LLMR_SERVE_DISKCHECK_H
#define LLMR_SERVE_DISKCHECK_H

#include <stdatomic.h>
#include <stdint.h>

#include "serve/jobs.h"

enum disk_state { DISK_NOT_NEEDED, DISK_HEALTHY, DISK_FULL, DISK_READ_ONLY, DISK_MISSING, DISK_SILENT };

struct diskcheck {
	const char *dir;		/* borrowed; NULL: nothing is kept */
	atomic_int state;		/* as of the last look */
	atomic_int_fast64_t asked_ns;	/* a look that is under way, 0 none */
	atomic_int_fast64_t looked_ns;
};

/* The first look, at once. */
void diskcheck_init(struct diskcheck *, const char *dir);
/* The last answer; asks for a new one when it is older than a few seconds. jobs may be NULL. */
enum disk_state diskcheck_state(struct diskcheck *, struct jobs *);
const char *disk_state_name(enum disk_state);

#endif
