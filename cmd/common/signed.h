/* signed - what sign and verify agree on: which files belong together, and where their signatures lie. */
#ifndef LLMR_CMD_SIGNED_H
#define LLMR_CMD_SIGNED_H

#include <stdbool.h>

#include "base/err.h"

enum signed_form { FORM_MINISIG, FORM_MANIFEST, FORM_OMS };

#define SIGNED_MANIFEST "manifest.json"
#define SIGNED_BUNDLE "model.sig"

/* NAME.yaml beside NAME.safetensors where it exists; to be freed. NULL without err when there is none. */
char *signed_sidecar(const char *path, struct err *e);
/* A tree_skip: the signatures that lie at the top of a folder. */
bool signed_skip(const void *ctx, const char *path);
bool signed_is_dir(const char *path);
/* What model_signing leaves out of a model by itself: git's files. */
extern const char *const signed_git_paths[4];

#endif
