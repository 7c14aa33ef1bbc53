#include "common/reg.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/trust.h"
#include "fmt/hash.h"
#include "registry/store_dir.h"
#include "registry/store_s3.h"

static const char *
variable(const char *name)
{
	const char *v = getenv(name);

	return v == NULL || v[0] == '\0' ? NULL : v;
}

static const char *
look_up(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static struct store *
open_bucket(struct ctx *c, const char *url, struct hosts *h)
{
	const struct http_opts http = { .ca_file = opt_str(c, "ca-file"), .ca_only = opt_flag(c, "ca-only"),
		.allowed_hosts = h->name, .n_allowed_hosts = h->n, .cancel = c->cancel,
		.connect_timeout = opt_duration(c, "connect-timeout"),
		.stall_timeout = opt_duration(c, "timeout") };
	struct s3_opts o = { .http = http, .retry = retry_default(), .log = &c->log };
	const struct awsconf_opts a = { .lookup = look_up, .profile = opt_str(c, "profile"),
		.region = opt_str(c, "region"), .endpoint = opt_str(c, "endpoint-url"),
		.allowed_hosts = h->name, .n_allowed_hosts = h->n, .ca_file = opt_str(c, "ca-file"),
		.ca_only = opt_flag(c, "ca-only"), .cancel = c->cancel };
	struct awsconf *conf;

	o.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	conf = awsconf_open(&a, &c->err);
	return conf == NULL ? NULL : store_s3_open(url, &o, conf, &c->err);
}

struct store *
reg_store(struct ctx *c, const char *url, bool create, struct hosts *h)
{
	if (strncmp(url, "s3://", 5) == 0) {
		if (hosts_read(c, h) < 0)
			return NULL;
		return open_bucket(c, url, h);
	}
	if (strncmp(url, "dir:", 4) == 0 && url[4] != '\0')
		return store_dir_open(url + 4, create, c->cancel, &c->err);
	err_set(&c->err, ERR_USAGE, "'%s' is not a registry: dir:PATH or s3://BUCKET/PREFIX", url);
	return NULL;
}

int
reg_split(struct ctx *c, const char *url, struct buf *store, struct buf *key)
{
	size_t head = strncmp(url, "s3://", 5) == 0 ? 5 : strncmp(url, "dir:", 4) == 0 ? 4 : 0;
	const char *slash = head == 5 ? strchr(url + head, '/') : strrchr(url, '/');

	if (head == 0 || slash == NULL || slash[1] == '\0' || slash == url + head)
		return err_set(&c->err, ERR_USAGE, "'%s' names no object: give --name for a registry", url);
	buf_add(store, url, (size_t)(slash - url));
	buf_str(key, slash + 1);
	return buf_ok(store, &c->err) < 0 ? -1 : buf_ok(key, &c->err);
}

static int
folder(struct ctx *c, const char *given, const char *xdg, const char *below_home, struct buf *out)
{
	const char *home = variable("HOME");

	if (given != NULL)
		buf_str(out, given);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(out, "%s/llmr", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(out, "%s/%s/llmr", home, below_home);
	else
		return err_set(&c->err, ERR_CONFIG, "no folder for state and cache: set HOME, or --state-dir and "
		    "--cache-dir");
	return buf_ok(out, &c->err);
}

int
reg_state_dir(struct ctx *c, struct buf *out)
{
	return folder(c, opt_str(c, "state-dir"), variable("XDG_STATE_HOME"), ".local/state", out);
}

int
reg_cache_dir(struct ctx *c, struct buf *out)
{
	return folder(c, opt_str(c, "cache-dir"), variable("XDG_CACHE_HOME"), ".cache", out);
}

/* "HOST-PID", such characters as a name may have. */
static void
name_owner(char out[LAYOUT_NAME])
{
	char host[40] = "host";

	(void)gethostname(host, sizeof host - 1);
	host[sizeof host - 1] = '\0';
	for (char *p = host; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && (p == host || strchr("._-", *p) == NULL))
			*p = '0';
	(void)snprintf(out, LAYOUT_NAME, "%s-%ld", host[0] == '\0' ? "host" : host, (long)getpid());
}

int
reg_keys(struct ctx *c, enum reg_use use, struct reg *g)
{
	const struct key_password password = trust_passwords(c);
	const char *file = use >= REG_SIGN ? opt_str(c, "secret-key") : NULL;
	struct public_key k;

	g->enforce = opt_flag(c, "require-signature");
	if (trust_keys(c, &g->ring) < 0)
		return -1;
	if (file != NULL) {
		if ((g->secret = secret_key_read(file, &password, &c->err)) == NULL)
			return -1;
		secret_key_public(g->secret, &k);
		if (keyring_add(&g->ring, &k, file, &c->err) < 0)
			return -1;
	}
	g->r.trust.keys = g->ring.keys;
	g->r.trust.n = g->ring.n;
	g->r.key = g->secret;
	g->r.allow_unsigned = opt_flag(c, "allow-unsigned") && !g->enforce;
	g->r.trust.allow_unsigned = g->r.allow_unsigned;
	if (opt_flag(c, "allow-unsigned") && g->enforce)
		return err_set(&c->err, ERR_NOPERM, "--allow-unsigned: signatures are enforced here "
		    "(--require-signature or LLMROUTER_ENFORCE_SIGNED_MODELS)");
	return 0;
}

int
reg_open(struct ctx *c, const char *url, enum reg_use use, struct reg *g)
{
	struct buf state = BUF_INIT;
	int r = -1;

	*g = (struct reg){ .hosts = { .n = 0 } };
	if (url == NULL)
		url = opt_str(c, "registry");
	if (url == NULL)
		return err_set(&c->err, ERR_USAGE, "no registry: give --registry, such as dir:/srv/models or "
		    "s3://BUCKET/PREFIX");
	name_owner(g->owner);
	if (reg_keys(c, use, g) < 0 || reg_state_dir(c, &state) < 0)
		goto out;
	g->store = use == REG_OFFLINE && strncmp(url, "dir:", 4) == 0 ? store_closed(url, &c->err) :
		reg_store(c, url, use == REG_WRITE, &g->hosts);
	if (g->store == NULL)
		goto out;
	if ((g->known = known_open(buf_cstr(&state), store_name(g->store), &c->err)) == NULL)
		goto out;
	g->r.store = g->store;
	g->r.known = g->known;
	g->r.no_cas = use >= REG_SIGN && opt_flag(c, "no-cas");
	g->r.log = &c->log;
	g->r.cancel = c->cancel;
	r = registry_open(&g->r, opt_str(c, "registry-id"), &c->err);
out:
	buf_finish(&state);
	return r;
}

void
reg_close(struct reg *g)
{
	store_free(g->store);
	known_free(g->known);
	secret_key_free(g->secret);
	keyring_free(&g->ring);
	hosts_finish(&g->hosts);
	*g = (struct reg){ .hosts = { .n = 0 } };
}

const char *
reg_name(struct ctx *c, const char *text)
{
	if (text == NULL) {
		err_set(&c->err, ERR_USAGE, "--name: which model?");
		return NULL;
	}
	if (strncmp(text, "dir:", 4) == 0 || strncmp(text, "s3://", 5) == 0) {
		err_set(&c->err, ERR_USAGE, "'%s': the name of a model is expected here: give the registry by "
		    "--registry", text);
		return NULL;
	}
	return layout_check("name of the model", text, ERR_USAGE, &c->err) < 0 ? NULL : text;
}

const char *
reg_channel(struct ctx *c)
{
	const char *text = opt_str(c, "channel");

	return layout_check("--channel", text, ERR_USAGE, &c->err) < 0 ? NULL : text;
}

int64_t
reg_expires(struct ctx *c)
{
	double s = opt_duration(c, "expires");

	return s > 0 ? clock_wall_us() + (int64_t)(s * 1e6) : 0;
}

void
reg_pointer_json(struct jsonw *w, const struct pointer *p)
{
	char hex[65], text[28];

	hex_format(p->manifest_sha256, 32, hex);
	jsonw_kstr(w, "channel", p->channel);
	jsonw_kstr(w, "version", p->version);
	jsonw_kstr(w, "manifest_sha256", hex);
	jsonw_kstr(w, "previous", p->previous[0] == '\0' ? NULL : p->previous);
	jsonw_key(w, "seq");
	jsonw_uint(w, p->seq);
	jsonw_key(w, "fence");
	jsonw_uint(w, p->fence);
	str_iso8601(p->updated_us, text);
	jsonw_kstr(w, "updated_at", text);
	str_iso8601(p->expires_us, text);
	jsonw_kstr(w, "expires_at", p->expires_us == 0 ? NULL : text);
	jsonw_kstr(w, "registry_id", p->registry_id);
	jsonw_kstr(w, "key_id", p->key_id[0] == '\0' ? NULL : p->key_id);
}
