/*
 * yaml - a YAML 1.1 document as a small read-only tree with line numbers. The only caller of libyaml.
 *
 * For settings, recipes and maps, not for data: at most YAML_MAX_NODES nodes,
 * YAML_MAX_DEPTH deep, one document. Two equal keys in a mapping are refused;
 * keys are scalars. An alias is the anchored node itself (shared, not copied),
 * and cannot stand inside what it names. Tags are ignored: the caller decides
 * what a scalar means.
 * Depends on: base/buf, base/mem, libyaml.  Threads: a finished tree is immutable.
 */
#ifndef LLMR_FMT_YAML_H
#define LLMR_FMT_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define YAML_MAX_NODES 1000000
#define YAML_MAX_DEPTH 64

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_type type;
	size_t line;				/* from 1 */
	const char *text;			/* scalar: NUL-terminated UTF-8, else NULL */
	size_t len;
	bool quoted;				/* scalar was written in quotes or as a block: a string */
	size_t n;				/* list: items; map: pairs */
	const struct yaml_node **items;		/* list: items; map: values */
	const struct yaml_node **keys;		/* map: keys, scalars, in the order written */
};

struct yaml;

/*
 * Parse n bytes; name is put before messages ("NAME:LINE: ..."). An empty
 * document is a null scalar. NULL and err (ERR_CONFIG) on failure.
 */
struct yaml *yaml_parse(const char *p, size_t n, const char *name, struct err *e);
/* Parse a file of at most 16 MiB. */
struct yaml *yaml_load(const char *path, struct err *e);
const struct yaml_node *yaml_root(const struct yaml *);
const char *yaml_name(const struct yaml *);
void yaml_free(struct yaml *);				/* NULL is fine */

/* Value of a key, NULL when absent, node is NULL or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *, const char *key);
/* True for an unquoted null, ~ or nothing, and for NULL. */
bool yaml_is_null(const struct yaml_node *);
/* Text of a scalar that is not null; else NULL. */
const char *yaml_text(const struct yaml_node *);
/* true|yes|on, false|no|off (unquoted, any case): 1, 0; else -1. */
int yaml_bool(const struct yaml_node *);

#endif
