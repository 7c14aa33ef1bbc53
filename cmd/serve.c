/* serve - answer "which model?", and forward there. Ends by a signal: SIGTERM drains, SIGHUP reloads. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "cmd.h"
#include "serve/gateway.h"
#include "serve/listen.h"

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

		if (g->logs != NULL && accesslog_reopen(g->logs, &e) < 0) {
			log_at(&g->o.log, LOG_ERROR, "the old log file is written on: %s", e.msg);
			e = (struct err)ERR_INIT;
		}
		if (gateway_reload(g, &e) < 0)
			log_at(&g->o.log, LOG_ERROR, "reload refused, the old config and model serve on: %s", e.msg);
		else
			log_info(&g->o.log, "reloaded");
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

int
cmd_serve(struct ctx *c)
{
	struct gateway_opts o = { .log = c->log, .no_auth = opt_flag(c, "no-auth"), .source = { .env = variable } };
	struct gateway *g;
	sigset_t set;
	int r = 0;

	if ((o.config_path = find_config(c)) == NULL)
		return -1;
	o.source.name = o.config_path;
	o.http.listen = opt_str(c, "listen");
	o.http.listen_fd = listen_inherited(getenv("LISTEN_PID"), getenv("LISTEN_FDS"));
	o.http.threads = c->threads;
	o.http.tls_cert = opt_str(c, "tls-cert");
	o.http.tls_key = opt_str(c, "tls-key");
	o.http.max_body_bytes = (size_t)opt_bytes(c, "max-body");
	o.http.max_connections = (size_t)opt_int(c, "max-connections");
	o.logs = (struct accesslog_opts){ .access = opt_str(c, "access-log"), .decision = opt_str(c, "decision-log"),
		.prompts = opt_flag(c, "log-prompts") };
	if (telemetry_settings(&o.telemetry, variable, NULL, &c->err) < 0)
		return -1;
	if (o.telemetry.ca_file == NULL)
		o.telemetry.ca_file = opt_str(c, "ca-file");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if ((g = gateway_new(&o, &c->err)) == NULL)
		return -1;
	if (opt_flag(c, "test"))
		say(c, "%s: well", o.config_path);
	else
		r = serve(c, g, &set);
	gateway_free(g);
	return r;
}
