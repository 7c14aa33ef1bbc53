/*
 * configkeys - keys of the gateway's YAML that others use and llmr does not, with what that means.
 *
 * One table, for warnings and for llmr-serve(1).
 * Depends on: nothing.  Threads: constant.
 */
#ifndef LLMR_SERVE_CONFIGKEYS_H
#define LLMR_SERVE_CONFIGKEYS_H

#include <stdbool.h>
#include <stddef.h>

struct config_key {
	const char *path;	/* "litellm_settings.cache"; a trailing ".*" takes all below */
	const char *means;	/* "answers are not cached" */
};
/* Ends with path NULL. */
extern const struct config_key config_keys[];
/* What a key that llmr does not use means, NULL when it is not known at all. */
const char *config_key_means(const char *path);
/* Is the value of a key (its last part) one that must not be shown? */
bool config_key_is_secret(const char *key);
/* The base URL that a provider's name implies; NULL: every other one needs api_base. */
const char *config_provider_base(const char *provider);

#endif
