/*
 * reg - what the registry commands share: the registry that options name, keys, folders.
 *
 * A registry is "dir:PATH" or "s3://BUCKET/PREFIX": an operand, or --registry.
 */
#ifndef LLMR_CMD_REG_H
#define LLMR_CMD_REG_H

#include "base/buf.h"
#include "cmd.h"
#include "common/hosts.h"
#include "fmt/jsonw.h"
#include "registry/lease.h"
#include "registry/registry.h"
#include "trust/keyring.h"

enum reg_use {
	REG_OFFLINE,	/* what is remembered of it alone */
	REG_READ,	/* must be there */
	REG_SIGN,	/* as REG_READ; --secret-key signs */
	REG_WRITE	/* as REG_SIGN; a folder is made where it is absent */
};

struct reg {
	struct registry r;
	struct store *store;
	struct known *known;
	struct keyring ring;
	struct secret_key *secret;
	struct hosts hosts;
	char owner[LAYOUT_NAME];	/* this process, for leases */
	bool enforce;			/* nothing unsigned, whatever --allow-unsigned says */
};

/*
 * Open the store that url names (NULL: --registry), with keys and memory.
 * Release with reg_close, on failure too. -1 and ctx->err.
 */
int reg_open(struct ctx *, const char *url, enum reg_use, struct reg *);
void reg_close(struct reg *);

/* Keys alone: those of common/trust.h, and the public half of --secret-key. */
int reg_keys(struct ctx *, enum reg_use, struct reg *);
/* A store alone. */
struct store *reg_store(struct ctx *, const char *url, bool create, struct hosts *);
/* "s3://BUCKET/PREFIX/KEY" or "dir:PATH/KEY" into the store above and the key; -1 when it has no key. */
int reg_split(struct ctx *, const char *url, struct buf *store, struct buf *key);

/* Folders: --state-dir or XDG's; --cache-dir or XDG's. ERR_CONFIG when nothing tells. */
int reg_state_dir(struct ctx *, struct buf *out);
int reg_cache_dir(struct ctx *, struct buf *out);

/* --name, or the operand: checked. NULL and ERR_USAGE. */
const char *reg_name(struct ctx *, const char *text);
/* --channel, checked. */
const char *reg_channel(struct ctx *);
/* --expires as a time, 0 none. */
int64_t reg_expires(struct ctx *);
/* Members of an object that tell of a pointer. */
void reg_pointer_json(struct jsonw *, const struct pointer *);

#endif
