/*
 * source - from where the config says to a verified model in private memory.
 *
 * A model_path is a file, or a folder that holds one artifact. Its bytes are
 * read once; signature, digest, kind and probe are judged on that copy. A model
 * that would not fit beside what the process holds already is refused before
 * it is read.
 * Depends on: serve/loaded, serve/proof, serve/config.  Threads: pure functions.
 */
#ifndef LLMR_SERVE_SOURCE_H
#define LLMR_SERVE_SOURCE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "serve/config.h"
#include "serve/loaded.h"
#include "serve/proof.h"

/* The file that a model_path means, appended. ERR_NOINPUT naming what a folder should hold. */
int source_file(const char *model_path, struct buf *out, struct err *e);
/* Bytes of memory that this process may use by its cgroup (v2, then v1); 0: no limit. */
uint64_t source_memory_limit(void);
/*
 * Refuse (ERR_TEMPFAIL, both sizes in the message) a model of so many bytes that does
 * not fit under limit (0: none) beside what the process holds; active_bytes is
 * the size of the model in service, for the message.
 */
int source_fits(const char *path, uint64_t bytes, uint64_t limit, uint64_t active_bytes, struct err *e);

/* What was read, until it was kept. */
struct source_model {
	struct loaded *model;		/* counted */
	struct proof proof;
};
/* Load by the settings; NULL model and err when it is refused. Release proof with proof_finish in any case. */
int source_load(const struct router_settings *, const char *embedder, const struct proof_trust *, uint64_t memory_limit,
	uint64_t active_bytes, struct source_model *out, struct err *e);

#endif
