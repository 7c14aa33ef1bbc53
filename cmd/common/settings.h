/*
 * settings - llmr's own settings file: option names and values in YAML.
 *
 * Looked up as --settings, LLMR_SETTINGS, $XDG_CONFIG_HOME/llmr/settings.yaml
 * (or ~/.config), /etc/llmr/settings.yaml; the first that exists is used.
 */
#ifndef LLMR_CMD_SETTINGS_H
#define LLMR_CMD_SETTINGS_H

#include "base/err.h"
#include "opt.h"

struct settings;

/*
 * *out is NULL when there is no settings file; a named one that is missing, and
 * an unknown key in any, is ERR_CONFIG naming the line. Keys under the
 * command's name count before those at the top.
 */
int settings_open(const struct opt_value *named, const char *command, struct settings **out,
	struct err *e);
/* Value of an option's name and its line, NULL when absent; ctx is a struct settings or NULL. */
const char *settings_get(void *ctx, const char *name, size_t *line);
/* Path that was read, NULL none. */
const char *settings_path(const struct settings *);
void settings_free(struct settings *);

#endif
