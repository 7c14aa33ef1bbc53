/* Any bytes as a training recipe: a recipe or one error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "data/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const kinds[] = { NULL, "knn", "nothing" };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct err e = ERR_INIT;
		struct recipe *r = recipe_parse((const char *)data, size, "recipe", kinds[i], &e);

		if (r == NULL && e.code != ERR_CONFIG)
			abort();
		for (size_t k = 0; r != NULL && k < r->n; k++)
			if (r->items[k].name[0] == '\0')
				abort();
		recipe_free(r);
	}
	return 0;
}
