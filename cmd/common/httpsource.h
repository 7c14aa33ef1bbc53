/* httpsource - the HTTP client of a source: address, credentials, trust. */
#ifndef LLMR_CMD_HTTPSOURCE_H
#define LLMR_CMD_HTTPSOURCE_H

#include "cmd.h"
#include "common/hosts.h"
#include "net/http.h"

struct httpsource {
	struct http *http;
	char *user, *password, *token;
	struct hosts hosts;
};

/*
 * An option's value when llmr was given it: on the command line, in a settings
 * file or by its LLMR_ variable; not by default, and not by a variable that it
 * shares with Jaeger's tools or curl. NULL otherwise.
 */
const char *httpsource_own(struct ctx *, const char *name, const char *variable);
/*
 * A client for url with --auth-file, --token-file or the variables
 * LLMR_(env)_USER, _PASSWORD, _TOKEN; borrows nothing from the caller but the
 * options. Release with httpsource_finish, on failure too.
 */
int httpsource_open(struct ctx *, const char *url, const char *env, struct httpsource *);
void httpsource_finish(struct httpsource *);

#endif
