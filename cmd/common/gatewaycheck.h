/*
 * gatewaycheck - is all that a gateway's config leans on in order?
 *
 * Reads the config, the files that it names and the variables that it asks
 * for; changes nothing, and asks nobody over the network.
 */
#ifndef LLMR_CMD_COMMON_GATEWAYCHECK_H
#define LLMR_CMD_COMMON_GATEWAYCHECK_H

#include "base/err.h"

enum check_result { CHECK_OK, CHECK_WARN, CHECK_FAIL };
typedef void (*check_sink)(void *ctx, const char *what, enum check_result, enum err_code, const char *detail);
/* Tell each check; detail is borrowed for the call. */
void gatewaycheck(const char *path, check_sink, void *ctx);

#endif
