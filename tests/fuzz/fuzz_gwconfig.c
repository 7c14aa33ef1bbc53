/* Any bytes as the gateway's YAML, local and remote: a config, or one error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
env(void *ctx, const char *name)
{
	(void)ctx;
	return name[0] == 'A' ? "value" : NULL;
}

static void
nothing(void *ctx, const char *key, const char *value)
{
	(void)ctx;
	if (strlen(key) == 0 || value == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int remote = 0; remote < 2; remote++) {
		struct config_source src = { .name = "c.yaml", .env = env, .remote = remote == 1 };
		struct err e = ERR_INIT;
		struct config *c = config_read((const char *)data, size, &src, &e);

		if (c == NULL) {
			if (e.code == ERR_NONE)
				abort();
			continue;
		}
		if (remote == 1 && (c->general.master_key != NULL && strcmp(c->general.master_key, "value") != 0))
			abort();
		for (size_t i = 0; i < c->n; i++) {
			if (config_group(c, c->deployment[i].group) == NULL || c->deployment[i].id[0] == '\0')
				abort();
		}
		for (size_t i = 0; i < c->n_groups; i++)
			(void)config_fallback(&c->router.fallbacks, c->group[i]);
		config_defaults(c, nothing, NULL);
		config_free(c);
	}
	return 0;
}
