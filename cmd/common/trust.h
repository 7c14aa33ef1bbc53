/* trust - keys and passwords as the command line names them, and models that must be signed. */
#ifndef LLMR_CMD_TRUST_H
#define LLMR_CMD_TRUST_H

#include "base/buf.h"
#include "cmd.h"
#include "trust/crypto.h"
#include "trust/key.h"
#include "trust/keyring.h"
#include "trust/manifest.h"

/*
 * A password from --password-file, --password-fd, LLMR_PASSWORD or the
 * terminal (without echo), in that order. Into buf; its length or -1. confirm:
 * on a terminal it is asked for twice.
 */
int trust_password(struct ctx *, const char *prompt, bool confirm, char *buf, size_t cap, struct err *e);
/* The same as lib/trust wants it; the context is *ctx of the struct. */
struct key_password trust_passwords(struct ctx *);

/*
 * The keys that count: --public-key and --public-key-b64, else those of the
 * trust folder; --revoked keys are left out. ERR_CONFIG when a named one cannot
 * be read. May come out empty.
 */
int trust_keys(struct ctx *, struct keyring *out);
/* Folder of trusted keys: --trusted-dir, $XDG_CONFIG_HOME/llmr/trusted. To be freed; NULL and err. */
char *trust_dir(struct ctx *);
/* The HMAC secret of --hmac-secret-file or LLMROUTER_MODEL_HMAC_SECRET; empty when there is none. */
int trust_hmac(struct ctx *, struct buf *out);

/*
 * Whether n bytes, which were read from path, are signed as this command line
 * asks for: by PATH.minisig, or listed in the signed manifest (--manifest, or
 * manifest.json beside it). ERR_NOPERM when they are not.
 */
int trust_check_bytes(struct ctx *, const char *path, const void *p, size_t n);

/* realpath of a file's folder, with its name: the path whole. To be freed; NULL and err. */
char *trust_whole_path(const char *path, struct err *e);
/* path relative to root when it lies below; else NULL. Both whole; borrowed from path. */
const char *trust_below(const char *path, const char *root);
/* Folder of a path, to be freed. */
char *trust_folder(const char *path, struct err *e);

#endif
