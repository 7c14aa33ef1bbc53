#include "net/awsconf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/awscred.h"
#include "net/http.h"

#define MAX_FILE ((size_t)1 << 20)
#define EARLY_US ((int64_t)300 * 1000000)	/* fetched anew this long before the end */
#define ECS_BASE "http://169.254.170.2"
#define IMDS_BASE "http://169.254.169.254"

enum source { NONE, FIXED, PROCESS, CONTAINER, INSTANCE };

struct awsconf {
	enum source source;
	char *region, *endpoint, *profile;
	bool region_known, anonymous, ca_only;
	char *process;			/* command line */
	char *container_url, *container_token, *container_token_file;
	char *instance_base;
	char *ca_file;
	const char *const *allowed_hosts;
	size_t n_allowed_hosts;
	struct cancel *cancel;
	pthread_mutex_t lock;		/* of what follows */
	struct aws_credentials cred;
	bool have;
	struct http *http;
};

/* ---- files ---------------------------------------------------------------- */

/* Next line without its end; false at the end of the text. */
static bool
next_line(const char **p, const char *end, struct slice *line)
{
	const char *nl;

	if (*p >= end)
		return false;
	nl = memchr(*p, '\n', (size_t)(end - *p));
	*line = (struct slice){ *p, (size_t)((nl == NULL ? end : nl) - *p) };
	*p = nl == NULL ? end : nl + 1;
	return true;
}

/* "[profile  x ]" is section when blanks do not count. */
static bool
section_is(struct slice line, const char *section)
{
	const char *close = memchr(line.p, ']', line.n), *want = section;
	struct slice s;

	if (close == NULL)
		return false;
	s = slice_trim((struct slice){ line.p + 1, (size_t)(close - line.p) - 1 });
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\t' || s.p[i] == ' ') {
			if (i > 0 && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
				continue;
			if (*want++ != ' ')
				return false;
		} else if (*want == '\0' || *want++ != s.p[i])
			return false;
	}
	return *want == '\0';
}

bool
awsconf_lookup(const char *text, size_t n, const char *section, const char *key, struct slice *out)
{
	const char *p = text, *end = text + n;
	bool inside = false, found = false;
	struct slice line;

	while (n > 0 && next_line(&p, end, &line)) {
		const char *eq;
		struct slice value;

		/* A line that begins with a blank belongs to a nested table, which we do not read. */
		if (line.n == 0 || line.p[0] == ' ' || line.p[0] == '\t' || line.p[0] == '#' || line.p[0] == ';')
			continue;
		if (line.p[0] == '[') {
			inside = section_is(line, section);
			if (inside && key == NULL)
				found = true;
			continue;
		}
		if (!inside || key == NULL || (eq = memchr(line.p, '=', line.n)) == NULL ||
		    !slice_is(slice_trim((struct slice){ line.p, (size_t)(eq - line.p) }), key))
			continue;
		value = (struct slice){ eq + 1, line.n - (size_t)(eq + 1 - line.p) };
		for (size_t i = 1; i < value.n; i++) {
			if ((value.p[i] == '#' || value.p[i] == ';') && (value.p[i - 1] == ' ' || value.p[i - 1] == '\t'))
				value.n = i;
		}
		*out = slice_trim(value);
		found = true;
	}
	return found;
}

/* ---- finding out ---------------------------------------------------------------- */

struct finder {
	struct awsconf *c;
	const struct awsconf_opts *o;
	struct buf credentials, config;		/* the files' texts */
	char *credentials_path, *config_path;
	char section[160];			/* of the config file */
};

/* A variable that is set and not empty. */
static const char *
var(const struct finder *f, const char *name)
{
	const char *v = f->o->lookup == NULL ? NULL : f->o->lookup(f->o->ctx, name);

	return v == NULL || v[0] == '\0' ? NULL : v;
}

static const char *
var2(const struct finder *f, const char *a, const char *b)
{
	const char *v = var(f, a);

	return v != NULL ? v : var(f, b);
}

static int
keep(char **to, const char *v, struct err *e)
{
	return v == NULL || (*to = mem_strdup(v, e)) != NULL ? 0 : -1;
}

/* The file that variable names, else ~/.aws/rest; absent is empty unless it was named. */
static int
read_one(struct finder *f, const char *variable, const char *rest, struct buf *text, char **path, struct err *e)
{
	const char *named = var(f, variable), *home = var(f, "HOME");
	struct buf b = BUF_INIT;

	if (named != NULL && strncmp(named, "~/", 2) == 0 && home != NULL)
		buf_printf(&b, "%s%s", home, named + 1);
	else if (named != NULL)
		buf_str(&b, named);
	else if (home != NULL)
		buf_printf(&b, "%s/.aws/%s", home, rest);
	else
		return 0;
	if ((*path = buf_take(&b, e)) == NULL)
		return -1;
	if (!io_exists(*path))
		return 0;
	if (io_read_file(*path, MAX_FILE, text, e) < 0) {
		e->code = ERR_CONFIG;
		return -1;
	}
	return 0;
}

/* A key of the profile: credentials file first. */
static bool
profile_key(const struct finder *f, const char *key, struct slice *out)
{
	return awsconf_lookup(buf_cstr(&f->credentials), f->credentials.len, f->c->profile, key, out) ||
		awsconf_lookup(buf_cstr(&f->config), f->config.len, f->section, key, out);
}

static int
keep_key(const struct finder *f, char **to, const char *key, struct err *e)
{
	struct slice v;

	if (*to != NULL || !profile_key(f, key, &v) || v.n == 0)
		return 0;
	return (*to = mem_dup(v.p, v.n, e)) == NULL ? -1 : 0;
}

static int
take(char *to, size_t cap, struct slice v, const char *what, struct err *e)
{
	if (v.n >= cap || v.n == 0)
		return err_set(e, ERR_CONFIG, "%s is %s", what, v.n == 0 ? "empty" : "too long");
	for (size_t i = 0; i < v.n; i++) {
		if ((unsigned char)v.p[i] <= 0x20 || (unsigned char)v.p[i] > 0x7e)
			return err_set(e, ERR_CONFIG, "%s holds a blank or control byte", what);
	}
	memcpy(to, v.p, v.n);
	to[v.n] = '\0';
	return 0;
}

static int
take_keys(struct awsconf *c, struct slice id, struct slice secret, struct slice token, struct err *e)
{
	if (take(c->cred.key_id, sizeof c->cred.key_id, id, "the access key id", e) < 0 ||
	    take(c->cred.secret, sizeof c->cred.secret, secret, "the secret access key", e) < 0 ||
	    (token.n > 0 && take(c->cred.token, sizeof c->cred.token, token, "the session token", e) < 0))
		return -1;
	c->source = FIXED;
	c->have = true;
	return 0;
}

static int
from_variables(struct finder *f, struct err *e)
{
	const char *id = var(f, "AWS_ACCESS_KEY_ID"), *secret = var(f, "AWS_SECRET_ACCESS_KEY");

	if (f->o->profile != NULL || (id == NULL && secret == NULL))
		return 0;
	if (id == NULL || secret == NULL)
		return err_set(e, ERR_CONFIG, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
	return take_keys(f->c, slice_str(id), slice_str(secret), slice_str(var(f, "AWS_SESSION_TOKEN")), e);
}

static int
from_profile(struct finder *f, bool named, struct err *e)
{
	static const char *const others[] = { "sso_session", "sso_start_url", "role_arn", "web_identity_token_file",
		"login_session" };
	struct slice id, secret, token = SLICE_NONE, v;
	bool has_id = profile_key(f, "aws_access_key_id", &id);

	if (has_id != profile_key(f, "aws_secret_access_key", &secret))
		return err_set(e, ERR_CONFIG, "profile '%s': of aws_access_key_id and aws_secret_access_key only one is set",
			f->c->profile);
	(void)profile_key(f, "aws_session_token", &token);
	if (has_id) {
		if (take_keys(f->c, id, secret, token, e) == 0)
			return 0;
		return err_wrap(e, "profile '%s'", f->c->profile);
	}
	if (keep_key(f, &f->c->process, "credential_process", e) < 0)
		return -1;
	if (f->c->process != NULL) {
		f->c->source = PROCESS;
		return 0;
	}
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (profile_key(f, others[i], &v))
			return err_set(e, ERR_CONFIG, "profile '%s' uses %s, which is not supported: "
				"set credential_process = aws configure export-credentials --profile %s",
				f->c->profile, others[i], f->c->profile);
	}
	if (named && !awsconf_lookup(buf_cstr(&f->credentials), f->credentials.len, f->c->profile, NULL, &v) &&
	    !awsconf_lookup(buf_cstr(&f->config), f->config.len, f->section, NULL, &v))
		return err_set(e, ERR_CONFIG, "profile '%s' is neither in %s nor in %s", f->c->profile,
			f->credentials_path == NULL ? "~/.aws/credentials" : f->credentials_path,
			f->config_path == NULL ? "~/.aws/config" : f->config_path);
	return 0;
}

static int
from_container(struct finder *f, struct err *e)
{
	const char *rel = var(f, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = var(f, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct buf url = BUF_INIT;

	if (rel == NULL && full == NULL)
		return 0;
	if (rel != NULL && rel[0] != '/')
		return err_set(e, ERR_CONFIG, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
	buf_printf(&url, "%s%s", rel != NULL ? ECS_BASE : "", rel != NULL ? rel : full);
	if ((f->c->container_url = buf_take(&url, e)) == NULL)
		return -1;
	if (!awscred_url_ok(f->c->container_url))
		return err_set(e, ERR_CONFIG, "AWS_CONTAINER_CREDENTIALS_FULL_URI: credentials are taken by https, "
			"or from this machine");
	if (keep(&f->c->container_token, var(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN"), e) < 0 ||
	    keep(&f->c->container_token_file, var(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), e) < 0)
		return -1;
	f->c->source = CONTAINER;
	return 0;
}

static bool
is_true(const char *v)
{
	return v != NULL && (strcmp(v, "true") == 0 || strcmp(v, "True") == 0 || strcmp(v, "TRUE") == 0);
}

static int
find_source(struct finder *f, bool named, struct err *e)
{
	struct awsconf *c = f->c;
	const char *base = var(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT");

	if (c->anonymous)
		return 0;
	if (from_variables(f, e) < 0 || (c->source == NONE && from_profile(f, named, e) < 0) ||
	    (c->source == NONE && from_container(f, e) < 0))
		return -1;
	if (c->source == NONE && !is_true(var(f, "AWS_EC2_METADATA_DISABLED"))) {
		size_t n;

		if (keep(&c->instance_base, base == NULL ? IMDS_BASE : base, e) < 0)
			return -1;
		n = strlen(c->instance_base);
		if (n > 0 && c->instance_base[n - 1] == '/')
			c->instance_base[n - 1] = '\0';
		c->source = INSTANCE;
	}
	return 0;
}

static int
find_places(struct finder *f, struct err *e)
{
	struct awsconf *c = f->c;
	bool ignore = is_true(var(f, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"));
	const char *region = f->o->region != NULL ? f->o->region : var2(f, "AWS_REGION", "AWS_DEFAULT_REGION");
	const char *endpoint = f->o->endpoint;

	if (endpoint == NULL && !ignore)
		endpoint = var2(f, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
	if (keep(&c->region, region, e) < 0 || keep(&c->endpoint, endpoint, e) < 0 ||
	    keep_key(f, &c->region, "region", e) < 0 ||
	    (!ignore && keep_key(f, &c->endpoint, "endpoint_url", e) < 0))
		return -1;
	c->region_known = c->region != NULL;
	if (!c->region_known)
		return keep(&c->region, "us-east-1", e);
	for (const char *p = c->region; *p != '\0'; p++) {
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p > 0x7e || *p == '/')
			return err_set(e, ERR_CONFIG, "region '%s' holds a byte that no region has", c->region);
	}
	return 0;
}

static int
find_out(struct finder *f, struct err *e)
{
	const char *profile = f->o->profile != NULL ? f->o->profile : var2(f, "AWS_PROFILE", "AWS_DEFAULT_PROFILE");
	struct awsconf *c = f->c;

	if (keep(&c->profile, profile == NULL ? "default" : profile, e) < 0 || keep(&c->ca_file, f->o->ca_file, e) < 0)
		return -1;
	if (strlen(c->profile) > 128)
		return err_set(e, ERR_CONFIG, "the profile's name is longer than 128 bytes");
	snprintf(f->section, sizeof f->section, "%s%s", strcmp(c->profile, "default") == 0 ? "" : "profile ",
		c->profile);
	if (read_one(f, "AWS_SHARED_CREDENTIALS_FILE", "credentials", &f->credentials, &f->credentials_path, e) < 0 ||
	    read_one(f, "AWS_CONFIG_FILE", "config", &f->config, &f->config_path, e) < 0)
		return -1;
	return find_source(f, profile != NULL, e) < 0 || find_places(f, e) < 0 ? -1 : 0;
}

struct awsconf *
awsconf_open(const struct awsconf_opts *o, struct err *e)
{
	struct awsconf *c = mem_calloc(1, sizeof *c, e);
	struct finder f = { .c = c, .o = o, .credentials = BUF_INIT, .config = BUF_INIT };
	int r;

	if (c == NULL)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->anonymous = o->anonymous;
	c->allowed_hosts = o->allowed_hosts;
	c->n_allowed_hosts = o->n_allowed_hosts;
	c->cancel = o->cancel;
	c->ca_only = o->ca_only;
	r = find_out(&f, e);
	if (f.credentials.p != NULL)
		explicit_bzero(f.credentials.p, f.credentials.len);
	if (f.config.p != NULL)
		explicit_bzero(f.config.p, f.config.len);
	buf_finish(&f.credentials);
	buf_finish(&f.config);
	free(f.credentials_path);
	free(f.config_path);
	if (r == 0)
		return c;
	awsconf_free(c);
	return NULL;
}

void
awsconf_free(struct awsconf *c)
{
	if (c == NULL)
		return;
	http_free(c->http);
	if (c->container_token != NULL)
		explicit_bzero(c->container_token, strlen(c->container_token));
	free(c->region);
	free(c->endpoint);
	free(c->profile);
	free(c->process);
	free(c->container_url);
	free(c->container_token);
	free(c->container_token_file);
	free(c->instance_base);
	free(c->ca_file);
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof *c);
	free(c);
}

const char *
awsconf_region(const struct awsconf *c)
{
	return c->region;
}

const char *
awsconf_endpoint(const struct awsconf *c)
{
	return c->endpoint;
}

bool
awsconf_anonymous(const struct awsconf *c)
{
	return c->anonymous;
}

bool
awsconf_region_known(const struct awsconf *c)
{
	return c->region_known;
}

/* ---- fetching ---------------------------------------------------------------- */

/* Metadata is on this machine or its host: no proxy, no patience. */
static int
need_http(struct awsconf *c, struct err *e)
{
	struct http_opts o = { .connect_timeout = 1, .stall_timeout = 5, .total_timeout = 10, .proxy = "",
		.ca_file = c->ca_file, .ca_only = c->ca_only, .allowed_hosts = c->allowed_hosts,
		.n_allowed_hosts = c->n_allowed_hosts, .cancel = c->cancel };

	return c->http != NULL || (c->http = http_new(&o, e)) != NULL ? 0 : -1;
}

static int
fetch_container(struct awsconf *c, struct aws_credentials *out, struct err *e)
{
	struct buf token = BUF_INIT;
	const char *value = c->container_token;
	int r = -1;

	/* The file is read each time: its content changes. */
	if (c->container_token_file != NULL) {
		if (io_read_file(c->container_token_file, 8192, &token, e) < 0) {
			e->code = ERR_CONFIG;
			return err_wrap(e, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
		}
		while (token.len > 0 && strchr("\r\n ", token.p[token.len - 1]) != NULL)
			token.p[--token.len] = '\0';
		value = buf_cstr(&token);
	}
	if (need_http(c, e) == 0)
		r = awscred_container(c->http, c->container_url, value, out, e);
	if (token.p != NULL)
		explicit_bzero(token.p, token.len);
	buf_finish(&token);
	return r;
}

static int
no_credentials(const struct awsconf *c, struct err *e)
{
	return err_set(e, ERR_NOPERM, "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
		"profile '%s' in ~/.aws/credentials; neither a container nor an instance gives any", c->profile);
}

static int
fetch(struct awsconf *c, struct aws_credentials *out, struct err *e)
{
	switch (c->source) {
	case PROCESS:
		return awscred_process(c->process, c->cancel, out, e);
	case CONTAINER:
		return fetch_container(c, out, e);
	case INSTANCE:
		if (need_http(c, e) == 0 && awscred_instance(c->http, c->instance_base, out, e) == 0)
			return 0;
		return e->code == ERR_NOINPUT || e->code == ERR_NOPERM ? no_credentials(c, e) : -1;
	default:
		return no_credentials(c, e);
	}
}

int
awsconf_get(struct awsconf *c, bool fresh, struct aws_credentials *out, struct err *e)
{
	struct aws_credentials got;
	struct err second = ERR_INIT;
	int64_t left;
	int r = 0;

	if (c->anonymous)
		return err_set(e, ERR_NOPERM, "no credentials: requests go unsigned");
	pthread_mutex_lock(&c->lock);
	left = c->cred.expires_us == 0 ? INT64_MAX : c->cred.expires_us - clock_wall_us();
	if (c->source != FIXED && (!c->have || fresh || left < EARLY_US)) {
		r = fetch(c, &got, &second);
		if (r == 0) {
			c->cred = got;
			c->have = true;
		} else if (c->have && !fresh && left > 0) {
			r = 0;	/* they still hold: the source may be back before they end */
		} else if (e != NULL) {
			*e = second;
		}
		explicit_bzero(&got, sizeof got);
	}
	if (r == 0)
		*out = c->cred;
	pthread_mutex_unlock(&c->lock);
	return r;
}
