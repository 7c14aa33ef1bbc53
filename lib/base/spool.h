/*
 * spool - bytes of unknown number, in memory while few, in a file when many.
 *
 * The file is unlinked at birth (TMPDIR, base/io), so nothing stays behind.
 * Depends on: base/buf, base/io.  Threads: one thread at a time.
 */
#ifndef LLMR_BASE_SPOOL_H
#define LLMR_BASE_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct spool {
	struct buf mem;		/* everything, while fd is -1; else not yet written bytes */
	int fd;			/* the file, or -1 */
	uint64_t len;		/* bytes in all */
	size_t max_memory;	/* bytes kept before a file is made; 0: 4 MiB */
};
#define SPOOL_INIT { BUF_INIT, -1, 0, 0 }

int spool_write(struct spool *, const void *p, size_t n, struct err *e);
/* Copy n bytes from offset at; the caller keeps within len. */
int spool_read(struct spool *, uint64_t at, void *p, size_t n, struct err *e);
/* Make the descriptor (when there is one) hold everything and stand at its start. */
int spool_rewind(struct spool *, struct err *e);
/* Forget the contents. */
void spool_reset(struct spool *);
void spool_finish(struct spool *);

#endif
