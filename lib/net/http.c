#include "net/http.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/httpcurl.h"
#include "net/retry.h"

#define MAX_REDIRECTS 5
#define POLL_MS 100
#define DEFAULT_MAX_BYTES ((uint64_t)64 << 20)

/* A connection of its own for one running request, kept open for the next. */
struct slot {
	CURL *easy;
	CURLM *multi;
	struct slot *next;
};

struct http {
	struct httpcurl fn;
	struct http_opts o;		/* strings owned */
	const char *version;		/* libcurl's */
	const char *ca_path;		/* the system's folder of certificates, borrowed from libcurl */
	char agent[64];
	pthread_mutex_t lock;
	struct slot *idle;
};

/* One request while it runs: what the callbacks see. */
struct run {
	struct http *h;
	const struct http_request *rq;
	struct http_response *rs;
	struct err *e;
	CURL *easy;
	uint64_t max;
	uint64_t sent;			/* of a body that is read piece by piece */
	int64_t moved_ns;		/* when the last byte came or went */
	bool stalled;
	bool stopped;			/* on_body, read or the limit ended it; err is set */
};

static int
load_curl(struct http *h, struct err *e)
{
	const curl_version_info_data *v;

	if (httpcurl_open(&h->fn, e) < 0)
		return -1;
	v = h->fn.version_info(CURLVERSION_NOW);
	h->version = v->version;
	if (v->version_num >= 0x074600 && v->age >= CURLVERSION_SEVENTH)
		h->ca_path = v->capath;
	return 0;
}

static int
copy_string(const char **to, struct err *e)
{
	if (*to != NULL && (*to = mem_strdup(*to, e)) == NULL)
		return -1;
	return 0;
}

static int
copy_opts(struct http *h, const struct http_opts *o, struct err *e)
{
	const char **strings[] = { &h->o.ca_file, &h->o.user, &h->o.password, &h->o.bearer, &h->o.proxy,
		&h->o.no_proxy, &h->o.unix_socket };
	int r = 0;

	h->o = *o;
	for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
		if (r < 0)
			*strings[i] = NULL;	/* not ours to free */
		else if (copy_string(strings[i], e) < 0)
			r = -1;
	}
	if (h->o.connect_timeout <= 0)
		h->o.connect_timeout = 10;
	if (h->o.stall_timeout <= 0)
		h->o.stall_timeout = 60;
	if (h->o.total_timeout <= 0)
		h->o.total_timeout = 300;
	return r;
}

static bool
has_control(const char *s)
{
	for (; s != NULL && *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

struct http *
http_new(const struct http_opts *o, struct err *e)
{
	struct http *h;

	if (o->user != NULL && o->bearer != NULL) {
		err_set(e, ERR_CONFIG, "both a user name and a bearer token are set: keep one of them");
		return NULL;
	}
	if (o->ca_only && o->ca_file == NULL) {
		err_set(e, ERR_CONFIG, "--ca-only needs --ca-file");
		return NULL;
	}
	if (has_control(o->user) || has_control(o->password) || has_control(o->bearer) ||
	    has_control(o->proxy) || has_control(o->no_proxy)) {
		err_set(e, ERR_CONFIG, "a user name, password, token or proxy holds a control byte");
		return NULL;
	}
	if ((h = mem_calloc(1, sizeof *h, e)) == NULL)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	if (copy_opts(h, o, e) < 0 || load_curl(h, e) < 0) {
		http_free(h);
		return NULL;
	}
	memcpy(h->agent, "llmr/" LLMR_VERSION, sizeof "llmr/" LLMR_VERSION);
	return h;
}

static void
wipe(const char *s)
{
	if (s != NULL)
		explicit_bzero((char *)(uintptr_t)s, strlen(s));
	free((void *)(uintptr_t)s);
}

static void
free_slot(struct http *h, struct slot *s)
{
	if (s->easy != NULL)
		h->fn.easy_cleanup(s->easy);
	if (s->multi != NULL)
		(void)h->fn.multi_cleanup(s->multi);
	free(s);
}

void
http_free(struct http *h)
{
	struct slot *s;

	if (h == NULL)
		return;
	while ((s = h->idle) != NULL) {
		h->idle = s->next;
		free_slot(h, s);
	}
	wipe(h->o.ca_file);
	wipe(h->o.user);
	wipe(h->o.password);
	wipe(h->o.bearer);
	wipe(h->o.proxy);
	wipe(h->o.no_proxy);
	wipe(h->o.unix_socket);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

const char *
http_version(const struct http *h)
{
	return h->version;
}

/* A slot from the idle list, or a new one. */
static struct slot *
take_slot(struct http *h, struct err *e)
{
	struct slot *s;

	pthread_mutex_lock(&h->lock);
	if ((s = h->idle) != NULL)
		h->idle = s->next;
	pthread_mutex_unlock(&h->lock);
	if (s != NULL)
		return s;
	if ((s = mem_calloc(1, sizeof *s, e)) == NULL)
		return NULL;
	s->easy = h->fn.easy_init();
	s->multi = h->fn.multi_init();
	if (s->easy == NULL || s->multi == NULL) {
		free_slot(h, s);
		err_nomem(e);
		return NULL;
	}
	return s;
}

static void
give_slot(struct http *h, struct slot *s)
{
	h->fn.easy_reset(s->easy);	/* it points into the ended request */
	pthread_mutex_lock(&h->lock);
	s->next = h->idle;
	h->idle = s;
	pthread_mutex_unlock(&h->lock);
}

/* "http://host:port" of a checked URL, for messages and for comparing origins. */
static struct slice
origin_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p == NULL ? url : p + 3;
	return (struct slice){ url, (size_t)(p - url) + strcspn(p, "/?#") };
}

/* Origin and path: queries hold names that a log need not show. */
static struct slice
place_of(const char *url)
{
	return (struct slice){ url, strcspn(url, "?#") };
}

static bool
host_listed(struct slice host, const char *const *allowed, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *a = allowed[i];
		size_t len = strlen(a);

		if (len == host.n && strncasecmp(a, host.p, len) == 0)
			return true;
		if (len > 2 && a[0] == '*' && a[1] == '.' && host.n > len - 1 &&
		    strncasecmp(a + 1, host.p + host.n - (len - 1), len - 1) == 0)
			return true;
	}
	return false;
}

/*
 * Host of "host[:port]" or "[v6][:port]"; n == 0 when it is neither. Strict, so
 * that libcurl cannot read it differently.
 */
static struct slice
host_of(struct slice authority)
{
	struct slice host = authority, none = { NULL, 0 };
	const char *end = authority.p + authority.n, *p = authority.p;
	long port = 0;

	if (p < end && *p == '[') {
		for (p++; p < end && (isxdigit((unsigned char)*p) || *p == ':' || *p == '.'); p++)
			;
		if (p == end || *p != ']')
			return none;
		host = (struct slice){ authority.p + 1, (size_t)(p - authority.p) - 1 };
		p++;
	} else {
		while (p < end && (isalnum((unsigned char)*p) || strchr("-._", *p) != NULL))
			p++;
		host.n = (size_t)(p - authority.p);
	}
	if (p == end)
		return host;
	if (*p++ != ':' || p == end)
		return none;
	for (; p < end && isdigit((unsigned char)*p) && port < 65536; p++)
		port = port * 10 + (*p - '0');
	return p == end && port > 0 && port < 65536 ? host : none;
}

int
http_check_url(const char *url, const char *const *allowed, size_t n_allowed, struct err *e)
{
	struct slice authority, host;
	const char *p;

	if (strncasecmp(url, "http://", 7) == 0)
		p = url + 7;
	else if (strncasecmp(url, "https://", 8) == 0)
		p = url + 8;
	else
		return err_set(e, ERR_USAGE, "'%s': only http:// and https:// URLs are taken", url);
	authority = (struct slice){ p, strcspn(p, "/?#") };
	/* Not echoed: what stands before the @ may be a password. */
	if (memchr(authority.p, '@', authority.n) != NULL)
		return err_set(e, ERR_USAGE,
			"the URL holds a user name or password: give them by environment or file");
	for (p = url; *p != '\0'; p++) {
		if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '\\')
			return err_set(e, ERR_USAGE, "'%s': a blank or control byte in a URL", url);
	}
	host = host_of(authority);
	if (host.n == 0)
		return err_set(e, ERR_USAGE, "'%s': no valid host and port in the URL", url);
	if (allowed != NULL && !host_listed(host, allowed, n_allowed))
		return err_set(e, ERR_NOPERM, "%.*s: not one of the allowed hosts", (int)host.n, host.p);
	return 0;
}

/* Value of header line "name: value" when it has that name. */
static bool
header_value(const char *line, size_t n, const char *name, char *out, size_t cap)
{
	size_t k = strlen(name);
	struct slice v;

	if (n <= k || strncasecmp(line, name, k) != 0 || line[k] != ':')
		return false;
	v = slice_trim((struct slice){ line + k + 1, n - k - 1 });
	if (v.n >= cap)
		v.n = cap - 1;
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return true;
}

static size_t
on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct run *r = ctx;
	struct http_response *rs = r->rs;
	char text[96];
	double wait;

	(void)size;
	r->moved_ns = clock_mono_ns();
	if (r->rq->on_header != NULL) {
		size_t k = n;

		while (k > 0 && (line[k - 1] == '\n' || line[k - 1] == '\r'))
			k--;
		if (k > 0)
			r->rq->on_header(r->rq->ctx, line, k);
	}
	if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
		rs->retry_after = -1;
		rs->content_type[0] = '\0';
	} else if (header_value(line, n, "retry-after", text, sizeof text)) {
		if (retry_after_parse(text, clock_wall_us(), &wait))
			rs->retry_after = wait;
	} else if (header_value(line, n, "content-type", text, sizeof text)) {
		for (char *p = text; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
		memcpy(rs->content_type, text, sizeof text);
	}
	return n;
}

static size_t
on_bytes(char *p, size_t size, size_t n, void *ctx)
{
	struct run *r = ctx;
	struct http_response *rs = r->rs;
	size_t k = HTTP_HEAD_BYTES - rs->n_head;
	long status = 0;

	(void)size;
	r->moved_ns = clock_mono_ns();
	rs->bytes += n;
	if (rs->bytes > r->max) {
		rs->fault = HTTP_TOO_LARGE;
		r->stopped = true;
		err_set(r->e, ERR_INPUT, "the answer is larger than %llu bytes",
			(unsigned long long)r->max);
		return 0;
	}
	if (k > n)
		k = n;
	memcpy(rs->head + rs->n_head, p, k);
	rs->n_head += k;
	rs->head[rs->n_head] = '\0';
	(void)r->h->fn.easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	if (r->rq->on_body != NULL && status >= 200 && status < 300 &&
	    r->rq->on_body(r->rq->ctx, p, n, r->e) != 0) {
		rs->fault = HTTP_FATAL;
		r->stopped = true;
		return 0;
	}
	return n;
}

static size_t
on_read(char *p, size_t size, size_t n, void *ctx)
{
	struct run *r = ctx;
	uint64_t left = r->rq->n_body - r->sent;
	ptrdiff_t got = 0;

	(void)size;
	r->moved_ns = clock_mono_ns();
	if (n > left)
		n = (size_t)left;
	if (n > 0)
		got = r->rq->read(r->rq->ctx, p, n, r->sent, r->e);
	if (got < 0 || (size_t)got > n) {
		r->rs->fault = HTTP_FATAL;
		r->stopped = true;
		return CURL_READFUNC_ABORT;
	}
	r->sent += (uint64_t)got;
	return (size_t)got;
}

/* A kept-alive connection turned out to be closed: libcurl begins the body again on a new one. */
static int
on_seek(void *ctx, curl_off_t at, int origin)
{
	struct run *r = ctx;

	if (origin != SEEK_SET || at < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	r->sent = (uint64_t)at;
	return CURL_SEEKFUNC_OK;
}

static void
set_credentials(struct http *h, CURL *c)
{
	__typeof__(curl_easy_setopt) *set = h->fn.easy_setopt;

	if (h->o.user != NULL) {
		(void)set(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		(void)set(c, CURLOPT_USERNAME, h->o.user);
		(void)set(c, CURLOPT_PASSWORD, h->o.password == NULL ? "" : h->o.password);
	} else if (h->o.bearer != NULL) {
		(void)set(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		(void)set(c, CURLOPT_XOAUTH2_BEARER, h->o.bearer);
	}
}

/* Options whose failure would weaken a limit or TLS are checked; false when one was refused. */
static bool
set_limits(struct http *h, CURL *c, double total_timeout)
{
	__typeof__(curl_easy_setopt) *set = h->fn.easy_setopt;
	bool ok = true;

	if (total_timeout <= 0)
		total_timeout = h->o.total_timeout;

#if LIBCURL_VERSION_NUM >= 0x075500
	ok &= set(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
	ok &= set(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) == CURLE_OK;
#endif
	ok &= set(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= set(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= set(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(h->o.connect_timeout * 1000)) == CURLE_OK;
	ok &= set(c, CURLOPT_TIMEOUT_MS, (long)(total_timeout * 1000)) == CURLE_OK;
	ok &= set(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	ok &= set(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	if (h->o.ca_file != NULL) {
		ok &= set(c, CURLOPT_CAINFO, h->o.ca_file) == CURLE_OK;
		if (h->o.ca_only)
			ok &= set(c, CURLOPT_CAPATH, (char *)NULL) == CURLE_OK;
		else if (h->ca_path != NULL)
			(void)set(c, CURLOPT_CAPATH, h->ca_path);
	}
	if (h->o.proxy != NULL)
		ok &= set(c, CURLOPT_PROXY, h->o.proxy) == CURLE_OK;
	if (h->o.no_proxy != NULL)
		ok &= set(c, CURLOPT_NOPROXY, h->o.no_proxy) == CURLE_OK;
	if (h->o.unix_socket != NULL)
		ok &= set(c, CURLOPT_UNIX_SOCKET_PATH, h->o.unix_socket) == CURLE_OK;
	return ok;
}

static void
set_body(struct run *r)
{
	__typeof__(curl_easy_setopt) *set = r->h->fn.easy_setopt;
	const struct http_request *rq = r->rq;
	CURL *c = r->easy;

	if (rq->body != NULL) {
		(void)set(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->n_body);
		(void)set(c, CURLOPT_POSTFIELDS, rq->body);
	} else if (rq->read != NULL) {
		(void)set(c, CURLOPT_UPLOAD, 1L);
		(void)set(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->n_body);
		(void)set(c, CURLOPT_READFUNCTION, on_read);
		(void)set(c, CURLOPT_READDATA, r);
		(void)set(c, CURLOPT_SEEKFUNCTION, on_seek);
		(void)set(c, CURLOPT_SEEKDATA, r);
	}
	if (rq->buffer_bytes > 0) {
		(void)set(c, CURLOPT_BUFFERSIZE, (long)rq->buffer_bytes);
		(void)set(c, CURLOPT_UPLOAD_BUFFERSIZE, (long)rq->buffer_bytes);
	}
}

static int
set_request(struct run *r, const char *url, struct curl_slist *headers, char *text, struct err *e)
{
	__typeof__(curl_easy_setopt) *set = r->h->fn.easy_setopt;
	const struct http_request *rq = r->rq;
	CURL *c = r->easy;

	if (!set_limits(r->h, c, rq->total_timeout) ||
	    (rq->verbatim && set(c, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK))
		return err_set(e, ERR_CONFIG, "libcurl %s refuses a safety option: too old", r->h->version);
	if (!rq->verbatim) {
		set_credentials(r->h, c);
		(void)set(c, CURLOPT_ACCEPT_ENCODING, "gzip");
	}
	(void)set(c, CURLOPT_URL, url);
	(void)set(c, CURLOPT_USERAGENT, r->h->agent);
	(void)set(c, CURLOPT_ERRORBUFFER, text);
	(void)set(c, CURLOPT_HTTPHEADER, headers);
	(void)set(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)set(c, CURLOPT_HEADERDATA, r);
	(void)set(c, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)set(c, CURLOPT_WRITEDATA, r);
	set_body(r);
	if (rq->method != NULL && strcmp(rq->method, "HEAD") == 0)
		(void)set(c, CURLOPT_NOBODY, 1L);
	else if (rq->method != NULL)
		(void)set(c, CURLOPT_CUSTOMREQUEST, rq->method);
	return 0;
}

/*
 * Has no byte moved for too long? libcurl's own measure is a mean over five
 * seconds. The time of connecting does not count: it has its own limit.
 */
static bool
has_stalled(struct run *r)
{
	double connected = 0;

	if (r->moved_ns == 0) {
		(void)r->h->fn.easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME, &connected);
		if (connected > 0)
			r->moved_ns = clock_mono_ns();
		return false;
	}
	r->stalled = (double)(clock_mono_ns() - r->moved_ns) > r->h->o.stall_timeout * 1e9;
	return r->stalled;
}

/* Drive the transfer, looking at the cancel flag ten times a second. */
static CURLcode
drive(struct run *r, struct slot *s, struct err *e)
{
	struct httpcurl *fn = &r->h->fn;
	CURLcode out = CURLE_FAILED_INIT;
	CURLMcode m;
	CURLMsg *msg;
	int running = 1, left;

	if (fn->multi_add_handle(s->multi, s->easy) != CURLM_OK)
		return out;
	for (;;) {
		if (!r->rq->ignore_cancel && cancel_check(r->h->o.cancel, e) < 0) {
			r->stopped = true;
			r->rs->fault = HTTP_FATAL;
			out = CURLE_ABORTED_BY_CALLBACK;
			break;
		}
		m = fn->multi_perform(s->multi, &running);
		if (m != CURLM_OK || running == 0)
			break;
		if (has_stalled(r)) {
			out = CURLE_OPERATION_TIMEDOUT;
			break;
		}
		m = fn->multi_poll(s->multi, NULL, 0, POLL_MS, NULL);
		if (m != CURLM_OK)
			break;
	}
	while ((msg = fn->multi_info_read(s->multi, &left)) != NULL) {
		if (msg->msg == CURLMSG_DONE)
			out = msg->data.result;
	}
	(void)fn->multi_remove_handle(s->multi, s->easy);
	return out;
}

/* Fill fault and err from libcurl's code. */
static int
explain(struct run *r, CURLcode code, const char *url, const char *text)
{
	struct slice at = place_of(url);
	const char *why = r->stalled ? "timed out: no byte came or went" : text[0] != '\0' ? text :
		r->h->fn.easy_strerror(code);
	enum err_code kind = ERR_UNAVAILABLE;

	r->rs->fault = HTTP_TRANSIENT;
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		r->rs->fault = HTTP_FATAL;
		return err_set(r->e, kind, "%.*s: %s (a private authority? see --ca-file)", (int)at.n,
			at.p, why);
	case CURLE_SSL_CACERT_BADFILE:
		r->rs->fault = HTTP_FATAL;
		return err_set(r->e, ERR_CONFIG, "--ca-file %s: %s",
			r->h->o.ca_file == NULL ? "" : r->h->o.ca_file, why);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		r->rs->fault = HTTP_FATAL;
		kind = ERR_USAGE;
		break;
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
		r->rs->fault = HTTP_FATAL;
		kind = ERR_TEMPFAIL;
		break;
	default:
		break;
	}
	return err_set(r->e, kind, "%.*s: %s", (int)at.n, at.p, why);
}

static void
clear_response(struct http_response *rs)
{
	*rs = (struct http_response){ .fault = HTTP_OK, .retry_after = -1 };
}

/* One transfer without redirects. *next gets the target of one (to be freed), else NULL. */
static int
transfer(struct http *h, const struct http_request *rq, const char *url, struct http_response *rs,
	char **next, struct err *e)
{
	struct run r = { .h = h, .rq = rq, .rs = rs, .e = e, .max = rq->max_bytes };
	struct curl_slist *headers = NULL, *more;
	struct slot *s = take_slot(h, e);
	char text[CURL_ERROR_SIZE] = "";
	const char *target = NULL;
	CURLcode code;
	int out = -1;

	*next = NULL;
	clear_response(rs);
	if (s == NULL) {
		rs->fault = HTTP_FATAL;
		return -1;
	}
	r.easy = s->easy;
	if (r.max == 0)
		r.max = DEFAULT_MAX_BYTES;
	for (size_t i = 0; i < rq->n_headers + (rq->verbatim ? 1 : 0); i++, headers = more) {
		/* An empty Expect: libcurl would ask before it sends a large body. */
		more = h->fn.slist_append(headers, i < rq->n_headers ? rq->headers[i] : "Expect:");
		if (more == NULL) {
			rs->fault = HTTP_FATAL;
			err_nomem(e);
			goto out;
		}
	}
	if (set_request(&r, url, headers, text, e) < 0) {
		rs->fault = HTTP_FATAL;
		goto out;
	}
	code = drive(&r, s, e);
	(void)h->fn.easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &rs->status);
	if (r.stopped)
		goto out;
	if (code != CURLE_OK) {
		explain(&r, code, url, text);
		goto out;
	}
	out = 0;
	(void)h->fn.easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &target);
	if (target != NULL && rs->status >= 301 && rs->status <= 308 && rs->status != 304 &&
	    (*next = mem_strdup(target, e)) == NULL)
		out = -1;
out:
	h->fn.slist_free_all(headers);
	give_slot(h, s);
	return out;
}

/* May a request for url go on to next? */
static int
check_redirect(struct http *h, const char *url, const char *next, struct err *e)
{
	struct slice from = origin_of(url), to = origin_of(next);

	if (http_check_url(next, h->o.allowed_hosts, h->o.n_allowed_hosts, e) < 0)
		return err_wrap(e, "redirect from %.*s", (int)from.n, from.p);
	if (strncasecmp(url, "https:", 6) == 0 && strncasecmp(next, "https:", 6) != 0)
		return err_set(e, ERR_NOPERM, "%.*s redirects to plain http: refused", (int)from.n, from.p);
	if ((h->o.user != NULL || h->o.bearer != NULL) &&
	    (from.n != to.n || strncasecmp(from.p, to.p, to.n) != 0))
		return err_set(e, ERR_NOPERM,
			"%.*s redirects to %.*s: credentials are not sent to another host", (int)from.n,
			from.p, (int)to.n, to.p);
	return 0;
}

int
http_do(struct http *h, const struct http_request *rq, struct http_response *rs, struct err *e)
{
	char *url = NULL, *next = NULL;
	int r = -1;

	clear_response(rs);
	rs->fault = HTTP_FATAL;
	if (http_check_url(rq->url, h->o.allowed_hosts, h->o.n_allowed_hosts, e) < 0 ||
	    (url = mem_strdup(rq->url, e)) == NULL)
		return -1;
	for (unsigned n = 0; n <= MAX_REDIRECTS; n++) {
		if (transfer(h, rq, url, rs, &next, e) < 0)
			goto out;
		if (next == NULL || rq->body != NULL || rq->read != NULL || rq->verbatim) {
			r = 0;
			goto out;
		}
		rs->fault = HTTP_FATAL;
		if (check_redirect(h, url, next, e) < 0 ||
		    (rq->on_restart != NULL && rq->on_restart(rq->ctx, e) != 0))
			goto out;
		free(url);
		url = next;
		next = NULL;
	}
	err_set(e, ERR_UNAVAILABLE, "%s: more than %d redirects", rq->url, MAX_REDIRECTS);
out:
	free(url);
	free(next);
	return r;
}
