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
 * The address to ask: --url, its LLMR_URL or a settings file; for all but
 * Jaeger, which has a variable of its own, else dflt.
 */
const char *httpsource_url(struct ctx *, const char *dflt);
/*
 * A client for url with --auth-file, --token-file or the variables
 * LLMR_(env)_USER, _PASSWORD, _TOKEN; borrows nothing from the caller but the
 * options. Release with httpsource_finish, on failure too.
 */
int httpsource_open(struct ctx *, const char *url, const char *env, struct httpsource *);
void httpsource_finish(struct httpsource *);

#endif
