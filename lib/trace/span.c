#include "trace/span.h"

#include <string.h>

const struct attr *
attrs_find(struct attrs a, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < a.n; i++)
		if (a.v[i].key.n == n && memcmp(a.v[i].key.p, key, n) == 0)
			return &a.v[i];
	return NULL;
}
