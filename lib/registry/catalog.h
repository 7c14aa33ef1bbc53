/*
 * catalog - what a registry holds, as lists.
 *
 * Depends on: registry/store, layout.  Threads: a finished catalog is immutable.
 */
#ifndef LLMR_REGISTRY_CATALOG_H
#define LLMR_REGISTRY_CATALOG_H

#include "base/clock.h"
#include "registry/layout.h"

enum catalog_kind { CATALOG_CHANNEL, CATALOG_ALIAS, CATALOG_VERSION };

struct catalog_item {
	enum catalog_kind kind;
	char name[LAYOUT_NAME], item[LAYOUT_NAME];
	int64_t modified_us;
};

struct catalog {
	struct catalog_item *v;	/* [n] by name, kind, item */
	size_t n, cap;
	struct cancel *cancel;	/* borrowed while it is read */
};

/* name NULL: of every model. Documents are not opened. Release with catalog_finish, on failure too. */
int catalog_read(struct store *, const char *name, struct cancel *, struct catalog *out, struct err *e);
void catalog_finish(struct catalog *);

#endif
