#include "common/httpsource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "opt.h"

#define MAX_SECRET ((size_t)64 * 1024)

/* First line of a small file without its line end. */
static char *
read_secret(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	char *out = NULL;

	if (io_read_file(path, MAX_SECRET, &b, e) == 0) {
		size_t n = strcspn(buf_cstr(&b), "\r\n");

		if (n == 0)
			err_set(e, ERR_CONFIG, "%s: the first line is empty", path);
		else
			out = mem_dup(b.p, n, e);
	}
	if (b.p != NULL)
		explicit_bzero(b.p, b.len);
	buf_finish(&b);
	return out;
}

/* "user:password" into its two halves. */
static int
read_auth_file(struct ctx *c, struct httpsource *x, const char *path)
{
	struct err *e = &c->err;
	char *colon;

	if ((x->user = read_secret(path, e)) == NULL)
		return -1;
	if ((colon = strchr(x->user, ':')) == NULL)
		return err_set(e, ERR_CONFIG, "%s: not user:password", path);
	if ((x->password = mem_strdup(colon + 1, e)) == NULL)
		return -1;
	explicit_bzero(colon, strlen(colon));
	return 0;
}

/* LLMR_(env)_(what), when it is set and not empty, copied into *out. */
static int
from_env(const char *env, const char *what, char **out, struct err *e)
{
	char name[64];
	const char *v;

	(void)snprintf(name, sizeof name, "LLMR_%s_%s", env, what);
	v = getenv(name);
	if (v == NULL || v[0] == '\0')
		return 0;
	return (*out = mem_strdup(v, e)) == NULL ? -1 : 0;
}

/* A file named on the command line beats the environment. */
static int
find_credentials(struct ctx *c, const char *env, struct httpsource *x)
{
	const char *auth = opt_str(c, "auth-file"), *token = opt_str(c, "token-file");
	struct err *e = &c->err;

	if (auth != NULL && token != NULL)
		return err_set(e, ERR_USAGE, "--auth-file and --token-file exclude each other");
	if (auth != NULL)
		return read_auth_file(c, x, auth);
	if (token != NULL)
		return (x->token = read_secret(token, e)) == NULL ? -1 : 0;
	if (from_env(env, "TOKEN", &x->token, e) < 0)
		return -1;
	if (x->token != NULL)
		return 0;
	if (from_env(env, "USER", &x->user, e) < 0 || from_env(env, "PASSWORD", &x->password, e) < 0)
		return -1;
	return 0;
}

static bool
is_loopback(const char *url)
{
	const char *p = strstr(url, "://");

	p = p == NULL ? url : p + 3;
	return strncmp(p, "localhost", 9) == 0 || strncmp(p, "127.", 4) == 0 ||
		strncmp(p, "[::1]", 5) == 0;
}

const char *
httpsource_own(struct ctx *c, const char *name, const char *variable)
{
	const struct opt_value *v = opt_lookup(c->opts, name);
	const char *own = getenv(variable);

	if (v->origin == ORIGIN_ARG || v->origin == ORIGIN_SETTINGS ||
	    (v->origin == ORIGIN_ENV && own != NULL && own[0] != '\0'))
		return opt_str(c, name);
	return NULL;
}

int
httpsource_open(struct ctx *c, const char *url, const char *env, struct httpsource *x)
{
	struct http_opts o = { .cancel = c->cancel };

	*x = (struct httpsource){ .http = NULL };
	if (find_credentials(c, env, x) < 0 || hosts_read(c, &x->hosts) < 0 ||
	    http_check_url(url, x->hosts.name, x->hosts.n, &c->err) < 0)
		return -1;
	o.ca_file = opt_str(c, "ca-file");
	o.ca_only = opt_flag(c, "ca-only");
	o.user = x->user;
	o.password = x->password;
	o.bearer = x->token;
	o.connect_timeout = opt_duration(c, "connect-timeout");
	o.total_timeout = opt_duration(c, "timeout");
	o.stall_timeout = o.total_timeout;
	o.allowed_hosts = x->hosts.name;
	o.n_allowed_hosts = x->hosts.n;
	if ((x->user != NULL || x->token != NULL) && strncmp(url, "https", 5) != 0 && !is_loopback(url))
		log_warn(&c->log, "the credentials go unencrypted to %s", url);
	return (x->http = http_new(&o, &c->err)) == NULL ? -1 : 0;
}

static void
wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void
httpsource_finish(struct httpsource *x)
{
	http_free(x->http);
	wipe(x->user);
	wipe(x->password);
	wipe(x->token);
	hosts_finish(&x->hosts);
	*x = (struct httpsource){ .http = NULL };
}
