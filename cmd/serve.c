/* serve - answer "which model?", and forward there. Ends by a signal: SIGTERM drains, SIGHUP reloads. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/io.h"
#include "cmd.h"
#include "common/statedir.h"
#include "common/trust.h"
#include "serve/gateway.h"
#include "serve/listen.h"
#include "serve/notify.h"
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
check_exposure(struct ctx *c, struct gateway *g)
{
	const struct generation *n = atomic_load(&g->live.value);
	const char *address = g->o.http.listen_fd >= 0 ? "the socket of LISTEN_FDS" : g->o.http.listen;
	bool local = g->o.http.listen_fd >= 0 ? listen_local_fd(g->o.http.listen_fd) : listen_local(address);

	if (n->config->general.master_key != NULL || g->o.no_auth || local)
		return 0;
	return err_set(&c->err, ERR_CONFIG, "%s reaches beyond this machine: set general_settings.master_key "
		"(or LITELLM_MASTER_KEY), or say --no-auth", address);
}

/* Whether the service manager hears it changes nothing here. */
static void
tell_manager(struct ctx *c, const char *state)
{
	struct err e = ERR_INIT;

	if (notify_send(getenv("NOTIFY_SOCKET"), state, &e) < 0)
		log_debug(&c->log, "%s", e.msg);
}

static void
reload(struct ctx *c, struct gateway *g)
{
	struct err e = ERR_INIT;

	(void)notify_reloading(getenv("NOTIFY_SOCKET"), &e);
	e = (struct err)ERR_INIT;
	if (g->logs != NULL && accesslog_reopen(g->logs, &e) < 0) {
		log_at(&g->o.log, LOG_ERROR, "the old log file is written on: %s", e.msg);
		e = (struct err)ERR_INIT;
	}
	(void)gateway_reload(g, &e);	/* it logs what became of it */
	tell_manager(c, e.code == ERR_NONE ? "READY=1\nSTATUS=reloaded" :
		"READY=1\nSTATUS=reload refused, the old config and model serve on");
}

static void
wait_for_signals(struct ctx *c, struct gateway *g, const sigset_t *set)
{
	int sig;

	while (sigwait(set, &sig) == 0 && sig == SIGHUP)
		reload(c, g);
}

/* Let what is in flight finish, until the time is over or a second signal asks for the end. */
static size_t
drain(struct ctx *c, struct gateway *g, const sigset_t *set)
{
	static const struct timespec tick = { .tv_nsec = 20000000 };
	int64_t until = clock_mono_ns() + (int64_t)(opt_duration(c, "drain-timeout") * 1e9);
	size_t left = gateway_drain(g, 0);

	while (left > 0 && clock_mono_ns() < until) {
		int sig = sigtimedwait(set, NULL, &tick);

		left = httpd_in_flight(g->http);
		if (sig == SIGTERM || sig == SIGINT)
			break;
	}
	return left;
}

static void
say_where(struct ctx *c, const struct gateway *g)
{
	if (httpd_port(g->http) != 0)
		say(c, "listening on port %u", httpd_port(g->http));
	else
		say(c, "listening on %s", g->o.http.listen_fd >= 0 ? "the socket of LISTEN_FDS" : g->o.http.listen);
}

static int
serve(struct ctx *c, struct gateway *g, const sigset_t *set)
{
	size_t cut;

	if (check_exposure(c, g) < 0 || gateway_start(g, &c->err) < 0)
		return -1;
	say_where(c, g);
	tell_manager(c, "READY=1");
	wait_for_signals(c, g, set);
	tell_manager(c, "STOPPING=1");
	if ((cut = drain(c, g, set)) > 0)
		return err_set(&c->err, ERR_TEMPFAIL, "%zu request%s still in flight when the drain ended", cut,
			cut == 1 ? " was" : "s were");
	return 0;
}

/* Connections, and as many towards the upstreams, and some for files. */
static void
raise_files(struct ctx *c, size_t connections)
{
	rlim_t need = (rlim_t)(2 * connections + 256);
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= need)
		return;
	r.rlim_cur = r.rlim_max < need ? r.rlim_max : need;
	if (setrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < connections + 256)
		log_warn(&c->log, "%llu open files are permitted, too few for --max-connections %zu",
			(unsigned long long)r.rlim_cur, connections);
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

static int
fill(struct ctx *c, struct gateway_opts *o, struct buf *state)
{
	if ((o->config_path = find_config(c)) == NULL || statedir_find(c, state) < 0 ||
	    listen_inherited(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), &o->http.listen_fd, &c->err) < 0)
		return -1;
	o->state_dir = state->len == 0 ? NULL : buf_cstr(state);
	o->embedder = opt_str(c, "embedder");
	o->source.name = o->config_path;
	o->http.listen = opt_str(c, "listen");
	o->http.threads = c->threads;
	o->http.tls_cert = opt_str(c, "tls-cert");
	o->http.tls_key = opt_str(c, "tls-key");
	o->http.max_body_bytes = (size_t)opt_bytes(c, "max-body");
	o->http.header_seconds = opt_duration(c, "header-timeout");
	o->http.body_seconds = opt_duration(c, "body-timeout");
	o->http.idle_seconds = opt_duration(c, "idle-timeout");
	o->test = opt_flag(c, "test");
	o->watch_config = is_true("CONFIG_HOT_RELOAD");
	o->http.max_connections = (size_t)opt_int(c, "max-connections");
	o->logs = (struct accesslog_opts){ .access = opt_str(c, "access-log"), .decision = opt_str(c, "decision-log"),
		.prompts = opt_flag(c, "log-prompts") };
	raise_files(c, o->http.max_connections);
	if (telemetry_settings(&o->telemetry, variable, NULL, &c->err) < 0)
		return -1;
	if (o->telemetry.ca_file == NULL)
		o->telemetry.ca_file = opt_str(c, "ca-file");
	return 0;
}

int
cmd_serve(struct ctx *c)
{
	struct gateway_opts o = { .log = c->log, .no_auth = opt_flag(c, "no-auth"), .source = { .env = variable } };
	struct keyring keys = { 0 };
	struct buf hmac = BUF_INIT, state = BUF_INIT;
	struct gateway *g = NULL;
	sigset_t set;
	int r = -1;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (fill(c, &o, &state) == 0 && read_policy(c, &o, &keys, &hmac) == 0 && (g = gateway_new(&o, &c->err)) != NULL) {
		r = 0;
		if (opt_flag(c, "test"))
			say(c, "%s: well", o.config_path);
		else
			r = serve(c, g, &set);
	}
	gateway_free(g);
	keyring_free(&keys);
	if (hmac.p != NULL)
		explicit_bzero(hmac.p, hmac.cap);
	buf_finish(&hmac);
	buf_finish(&state);
	return r;
}
