/*
 * artifact - a router in one safetensors file.
 *
 * Format: llmr-artifact(5). Data only, never code. The loader believes nothing:
 * kind, label count, shapes against each other, ranges, finite values, order of
 * digests, and a probe text whose stored scores must come out again. Any bytes
 * either load or give one error.
 * Depends on: model/router, fmt/safetensors, fmt/yamlw.  Threads: safe.
 */
#ifndef LLMR_MODEL_ARTIFACT_H
#define LLMR_MODEL_ARTIFACT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "model/router.h"

#define ARTIFACT_FORMAT "1"
/* Stored scores of the probe text must come out again this closely; or this, where CPUs differ (embed_varies). */
#define ARTIFACT_PROBE_TOLERANCE 1e-4
#define ARTIFACT_PROBE_TOLERANCE_ROUGH 2e-2

struct artifact_info {
	const struct dataset *data;	/* what it was trained on: digests and texts of its queries */
	bool store_queries;		/* keep the texts too */
	const char *hparams;		/* JSON object */
	const char *training;		/* JSON object: see llmr-artifact(5); holds best_single */
};

/*
 * Write PATH and, beside it, the same metadata as YAML (".safetensors" becomes
 * ".yaml"; none for "/dev/..."). Both appear whole or not at all. digest is the
 * SHA-256 of PATH.
 */
int artifact_save(const struct router *, const struct artifact_info *, const char *path,
	uint8_t digest[32], struct err *e);

/*
 * Read a file into private memory and check everything. NULL and err
 * (ERR_INPUT, ERR_NOINPUT) on failure.
 */
struct router *artifact_load(const char *path, struct err *e);
/* The same for a parsed file; owns it on success only. */
struct router *artifact_take(struct tensorfile *, struct err *e);
/* Does the artifact name an encoder, without which it does not load? */
bool artifact_names_encoder(const struct tensorfile *);
/*
 * The same for an artifact that may name an encoder: this one, which must be
 * the very same and live as long as the router (NULL: none at hand).
 */
struct router *artifact_load_with(const char *path, struct encoder *, struct err *e);
struct router *artifact_take_with(struct tensorfile *, struct encoder *, struct err *e);

#endif
