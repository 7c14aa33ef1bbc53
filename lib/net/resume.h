/*
 * resume - an output file that grows in steps and outlives a crash.
 *
 * OUT.partial grows by pieces (each a gzip member or Zstandard frame of its own
 * when OUT's name says so); the state file beside it is a journal whose lines
 * say up to which time everything is in, how long the file was then and which
 * trace ids came: JSON Lines, each synced after the bytes that it speaks of.
 * After a crash the file is cut back to the last line's length and the work
 * goes on from its time. At the end OUT.partial takes OUT's name and the state
 * goes away. Standard output, pipes and devices are written straight through,
 * without state.
 * Depends on: base, fmt/stream, fmt/jread.  Threads: one thread at a time.
 */
#ifndef LLMR_NET_RESUME_H
#define LLMR_NET_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idset.h"

struct resume;

struct resume_opts {
	const char *out;	/* path, "-" for standard output */
	const char *state;	/* path; NULL: OUT.state */
	const char *query;	/* what the work is; another text in the state file is refused */
	int64_t start_us, end_us;	/* range of a new run */
	bool restart;		/* throw away what an earlier run left */
	size_t piece_bytes;	/* before compression; 0: 4 MiB */
	double seconds;		/* between two journal lines at most, 0: 1 */
};

/* Where the work stands. */
struct resume_point {
	bool resumed;
	int64_t start_us, end_us;	/* the range of the first run */
	int64_t upto_us;		/* go on from here */
	uint64_t traces, spans;		/* in the file already */
};

/*
 * Open or go on. The ids that are in already are added to seen. NULL and
 * ERR_USAGE when the state belongs to another query, ERR_INPUT when state and
 * partial file do not fit each other, ERR_TEMPFAIL when another process works
 * on it, ERR_CANTCREAT.
 */
struct resume *resume_open(const struct resume_opts *, struct idset *seen, struct resume_point *,
	struct err *e);
/* One trace. */
int resume_add(struct resume *, const uint8_t id[16], uint64_t spans, const void *line, size_t n,
	struct err *e);
/* All before upto_us was added: a point to go on from. */
int resume_upto(struct resume *, int64_t upto_us, struct err *e);
/* The work is done: the file gets its name, the state goes. Closes, also on failure. */
int resume_commit(struct resume *, struct err *e);
/*
 * The work ends early: journal the last point and close, leaving both files.
 * *kept is the number of traces that the next run starts with; with none, both
 * files are removed.
 */
int resume_keep(struct resume *, uint64_t *kept, struct err *e);

#endif
