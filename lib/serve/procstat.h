/*
 * procstat - what the process uses, as its system says.
 *
 * Depends on: base.  Threads: safe.
 */
#ifndef LLMR_SERVE_PROCSTAT_H
#define LLMR_SERVE_PROCSTAT_H

#include <stdint.h>

struct procstat {
	double cpu_seconds;		/* user and system */
	double start_seconds;		/* of the process, since 1970; 0 unknown */
	uint64_t resident_bytes, virtual_bytes, open_fds, max_fds;	/* 0 unknown */
};
/* What cannot be learned is 0. */
void procstat_read(struct procstat *);

#endif
