/*
 * lastgood - the last model that served well, kept on disk for a start without a usable one.
 *
 * STATE/last-good/SHA256.safetensors with its signature, and last-good.json
 * beside them, which is replaced last and by rename, so that a crash leaves
 * either pair whole. What is read back is verified as any model is.
 * Depends on: serve/loaded, serve/proof.  Threads: one at a time for each state folder.
 */
#ifndef LLMR_SERVE_LASTGOOD_H
#define LLMR_SERVE_LASTGOOD_H

#include "base/err.h"
#include "serve/loaded.h"
#include "serve/proof.h"

/* Keep a model's bytes; nothing is written when they are kept already. */
int lastgood_keep(const char *state_dir, const struct loaded *, const struct proof *, struct err *e);
/* The kept one, verified again; ERR_NOINPUT when there is none. */
struct loaded *lastgood_load(const char *state_dir, const struct loaded_opts *, const struct proof_trust *,
	struct err *e);

#endif
