/*
 * proof - the signature that lies beside a model's file, and whether it is over the bytes that were read.
 *
 * FILE.minisig, else the folder's manifest.json that lists it. The model's bytes
 * come from memory that nobody else can change, so that what was verified is
 * what serves.
 * Depends on: trust.  Threads: pure functions.
 */
#ifndef LLMR_SERVE_PROOF_H
#define LLMR_SERVE_PROOF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "trust/keyring.h"

enum proof_form { PROOF_NONE, PROOF_MINISIG, PROOF_MANIFEST };
const char *proof_form_name(enum proof_form);	/* "none", "minisig", "manifest" */

struct proof {
	enum proof_form form;
	struct buf doc;			/* the signature file */
	struct buf listed;		/* of a manifest: the model's path in it */
};
void proof_finish(struct proof *);

/* Whose signatures count. Borrowed. */
struct proof_trust {
	const struct keyring *keys;
	struct slice hmac;		/* secret of manifests; n 0: none */
	bool required;			/* refuse what none of them signed */
};

/* Read what lies beside a file; PROOF_NONE when nothing does. Release with proof_finish, on failure too. */
int proof_read(const char *path, struct proof *, struct err *e);
/*
 * Is it a trusted signature over n bytes? *is_signed tells. -1: ERR_NOPERM when
 * it is by a trusted key but not over these bytes, or when a signature is
 * required and there is none that counts. Where none is required, a signature
 * that is unreadable or by somebody unknown counts as none.
 */
int proof_check(const struct proof *, const struct proof_trust *, const char *path, const void *p, size_t n,
	bool *is_signed, struct err *e);

#endif
