#include "settings.h"

#include <stddef.h>

int
settings_open(const struct opt_value *named, struct settings **out, struct err *e)
{
	(void)named;
	(void)e;
	*out = NULL;
	return 0;
}

const char *
settings_get(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return NULL;
}

void
settings_free(struct settings *s)
{
	(void)s;
}
