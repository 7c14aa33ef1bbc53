/* serve - answer "which model?", and forward there. Ends by a signal: SIGTERM drains, SIGHUP reloads. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "cmd.h"
#include "common/state.h"
#include "common/trust.h"
#include "serve/gateway.h"
#include "serve/listen.h"
#include "serve/source.h"

#define DEFAULT_CONFIG "/app/config/config.yaml"

static const char *
variable(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static const char *
find_config(struct ctx *c)
{
	const char *path = opt_str(c, "config");

	if (path != NULL)
		return path;
	if (io_exists(DEFAULT_CONFIG))
		return DEFAULT_CONFIG;
	err_set(&c->err, ERR_USAGE, "a config is needed: --config FILE, LITELLM_CONFIG_PATH or %s", DEFAULT_CONFIG);
	return NULL;
}

/* Anybody may ask a gateway without a key; beyond this machine that must be said. */
static int
check_exposure(struct ctx *c, struct gateway *g, const char *address)
{
	const struct generation *n = atomic_load(&g->live.value);

	if (n->config->general.master_key != NULL || g->o.no_auth || listen_local(address))
		return 0;
	return err_set(&c->err, ERR_CONFIG, "%s reaches beyond this machine: set general_settings.master_key "
		"(or LITELLM_MASTER_KEY), or say --no-auth", address);
}

static void
wait_for_signals(struct gateway *g, const sigset_t *set)
{
	int sig;

	while (sigwait(set, &sig) == 0 && sig == SIGHUP) {
		struct err e = ERR_INIT;

		(void)gateway_reload(g, &e);	/* it logs what became of it */
	}
}

static int
serve(struct ctx *c, struct gateway *g, const sigset_t *set)
{
	size_t cut;

	if (check_exposure(c, g, opt_str(c, "listen")) < 0 || gateway_start(g, &c->err) < 0)
		return -1;
	if (httpd_port(g->http) != 0)
		say(c, "listening on port %u", httpd_port(g->http));
	else
		say(c, "listening on %s", opt_str(c, "listen"));
	wait_for_signals(g, set);
	if ((cut = gateway_drain(g, opt_duration(c, "drain-timeout"))) > 0)
		return err_set(&c->err, ERR_TEMPFAIL, "%zu requests were still in flight after --drain-timeout", cut);
	return 0;
}

/* What is trusted, and how much memory there is. */
static int
read_policy(struct ctx *c, struct gateway_opts *o, struct keyring *keys, struct buf *hmac)
{
	if (trust_keys(c, keys) < 0 || trust_hmac(c, hmac) < 0)
		return -1;
	o->keys = keys;
	o->hmac = (struct slice){ hmac->p, hmac->len };
	o->require_signature = opt_flag(c, "require-signature");
	o->grace_seconds = opt_duration(c, "signature-grace");
	o->memory_limit = opt_given(c, "memory-limit") ? opt_bytes(c, "memory-limit") : source_memory_limit();
	return 0;
}

static bool
is_true(const char *name)
{
	const char *s = getenv(name);

	return s != NULL && (strcasecmp(s, "true") == 0 || strcmp(s, "1") == 0 || strcasecmp(s, "yes") == 0);
}

int
cmd_serve(struct ctx *c)
{
	struct keyring keys = { 0 };
	struct buf hmac = BUF_INIT, state = BUF_INIT;
	struct gateway_opts o = { .log = c->log, .no_auth = opt_flag(c, "no-auth"), .source = { .env = variable } };
	struct gateway *g;
	sigset_t set;
	int r = 0;

	if ((o.config_path = find_config(c)) == NULL)
		return -1;
	if (read_policy(c, &o, &keys, &hmac) < 0) {
		r = -1;
		goto out;
	}
	o.state_dir = state_folder(c, &state) ? buf_cstr(&state) : NULL;
	o.test = opt_flag(c, "test");
	o.watch_config = is_true("CONFIG_HOT_RELOAD");
	o.source.name = o.config_path;
	o.http.listen = opt_str(c, "listen");
	o.http.listen_fd = listen_inherited(getenv("LISTEN_PID"), getenv("LISTEN_FDS"));
	o.http.threads = c->threads;
	o.http.tls_cert = opt_str(c, "tls-cert");
	o.http.tls_key = opt_str(c, "tls-key");
	o.http.max_body_bytes = (size_t)opt_bytes(c, "max-body");
	o.http.header_seconds = opt_duration(c, "header-timeout");
	o.http.body_seconds = opt_duration(c, "body-timeout");
	o.http.idle_seconds = opt_duration(c, "idle-timeout");
	o.http.max_connections = (size_t)opt_int(c, "max-connections");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if ((g = gateway_new(&o, &c->err)) == NULL) {
		r = -1;
		goto out;
	}
	if (opt_flag(c, "test"))
		say(c, "%s: well", o.config_path);
	else
		r = serve(c, g, &set);
	gateway_free(g);
out:
	keyring_free(&keys);
	if (hmac.p != NULL)
		explicit_bzero(hmac.p, hmac.cap);
	buf_finish(&hmac);
	buf_finish(&state);
	return r;
}
