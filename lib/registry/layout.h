/*
 * layout - names and keys of a registry (llmr-registry(5)).
 *
 *	registry.json                               id of the registry
 *	objects/sha256/ab/abcd...                   contents, by their digest
 *	models/NAME/versions/VERSION/manifest.json  what a version consists of, .minisig beside it
 *	models/NAME/aliases/ALIAS                   a second name of a version, with metadata
 *	models/NAME/channels/CHANNEL                signed pointer to a version
 *	models/NAME/locks/LOCK                      lease
 *	models/NAME/current/FILE                    plain copy for who polls one key
 *
 * Depends on: base/str.  Threads: pure.
 */
#ifndef LLMR_REGISTRY_LAYOUT_H
#define LLMR_REGISTRY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "registry/store.h"

#define LAYOUT_NAME 65		/* a name and its NUL */
#define LAYOUT_ROOT "registry.json"
#define LAYOUT_OBJECTS "objects/sha256/"
#define LAYOUT_PROBE "probe/"

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
bool layout_name_ok(struct slice name);
/* 0, or -1 with "WHAT: ..." and the given code. */
int layout_check(const char *what, const char *name, enum err_code code, struct err *e);
/* A relative path of one or more parts, none of them empty, "." or "..", no backslash or control byte. */
bool layout_path_ok(struct slice path);

/* Keys into out[STORE_KEY_MAX]; names must be good. */
void layout_object(const uint8_t sha256[32], char *out);
void layout_manifest(const char *name, const char *version, char *out);
void layout_minisig(const char *name, const char *version, char *out);
void layout_pointer(const char *name, const char *channel, char *out);
void layout_alias(const char *name, const char *alias, char *out);
void layout_lease(const char *name, const char *lock, char *out);
void layout_current(const char *name, const char *file, char *out);
/* "models/NAME/WHAT/", WHAT such as "channels"; name NULL: "models/". */
void layout_prefix(const char *name, const char *what, char *out);

/* 64 lower hexadecimal digits, no more. */
bool layout_hex(struct slice text, uint8_t out[32]);

/*
 * What a key is: its parts into name and item (each LAYOUT_NAME) for
 * models/NAME/WHAT/ITEM[/REST]; false when it is not of that form. rest (may be
 * NULL) points into key, "" when there is none.
 */
bool layout_parse(const char *key, const char *what, char *name, char *item, const char **rest);

#endif
