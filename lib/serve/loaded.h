/*
 * loaded - a router in service: the artifact's private copy, and working memory for each server thread.
 *
 * Judged by content, never by its name: a safetensors file named .pt loads, a
 * pickle or a zip is refused with the command that makes an artifact of it.
 * Depends on: model/artifact, fmt/safetensors.  Threads: counted references;
 * scratch of one thread each.
 */
#ifndef LLMR_SERVE_LOADED_H
#define LLMR_SERVE_LOADED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/router.h"
#include "serve/live.h"

struct loaded {
	struct router *router;
	struct router_scratch *scratch[LIVE_READERS];	/* made by each thread at its first use */
	atomic_uint refs;
	char sha256[65];
	char *origin;			/* path or reference, for people */
	char *version;			/* name of the version, "" when it has none */
	const void *data;		/* the artifact's bytes, the router's own */
	uint64_t bytes;
	bool is_signed;			/* its signature was verified */
	int64_t loaded_us;		/* wall clock */
	double load_seconds;
	_Atomic int64_t slow_until_ns;	/* monotone: a decision missed its deadline, others are spared until then */
	_Atomic float outlier_below;	/* similarity to the nearest training row; NAN: no bound is known (serve/outlier) */
};

/* What is wanted of an artifact, and what it may need. */
struct loaded_opts {
	const char *kind;		/* "knn"; NULL or "custom" for any */
	const char *embedder;		/* where an encoder lies that artifacts may name: "bert:PATH"; NULL: nowhere */
};

/*
 * From n bytes at p, 64-byte aligned, that were verified already: owns p in
 * any case. The artifact's probe runs. An encoder that it names is opened for
 * it alone, read into private memory and checked by its digest. NULL and
 * ERR_INPUT; what encoder_open gives where that lies nowhere.
 */
struct loaded *loaded_take(void *p, size_t n, const struct loaded_opts *, const char *origin, struct err *e);
/*
 * The bytes of a regular file in private memory, as loaded_take wants them; to
 * be freed. At most max (0: no limit; more is ERR_TEMPFAIL). Never blocks on a FIFO.
 */
void *loaded_bytes(const char *path, uint64_t max, size_t *n, struct err *e);
/* Both, without a look at signatures. */
struct loaded *loaded_read(const char *path, const struct loaded_opts *, uint64_t max, struct err *e);
/* Write its bytes to a private file, atomically. */
int loaded_save(const struct loaded *, const char *path, struct err *e);
struct loaded *loaded_ref(struct loaded *);
void loaded_unref(struct loaded *);		/* NULL is fine; the last one frees */
/* Working memory of server thread i; NULL when memory lacks. */
struct router_scratch *loaded_scratch(struct loaded *, unsigned i);

#endif
