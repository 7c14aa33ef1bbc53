#include "net/httprelay.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http.h"
#include "net/httpcurl.h"

#define POLL_MS 1000

struct relay_call {
	struct relay *r;
	struct relay_call *next;	/* in the list of those that are new, waiting or running */
	struct relay_request q;
	CURL *easy;
	struct curl_slist *headers;
	int64_t due_ns, head_by_ns;
	bool running, headed, answering;
	atomic_bool cancel, paused, resume;
	struct relay_head head;
	char type[96], id[128];
};

struct relay {
	struct httpcurl c;
	struct relay_opts o;
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t lock;		/* over added and stop */
	struct relay_call *added;
	struct relay_call *calls;	/* the thread's own */
	bool stop, started;
	CURL *idle[64];
	size_t n_idle;
};

/* ---- callbacks of libcurl ---- */

static bool
named(const char *p, size_t n, const char *name)
{
	size_t k = strlen(name);

	return n > k && p[k] == ':' && strncasecmp(p, name, k) == 0;
}

static void
value(const char *p, size_t n, size_t skip, char *out, size_t cap)
{
	size_t k = 0;

	for (p += skip, n -= skip; n > 0 && (*p == ' ' || *p == '\t'); p++, n--)
		;
	while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
		n--;
	for (; k < n && k + 1 < cap; k++)
		out[k] = (p[k] >= 32 && p[k] < 127) ? p[k] : '?';
	out[k] = '\0';
}

static size_t
on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct relay_call *k = ctx;
	char text[32];
	double d;

	(void)size;
	if (n > 5 && memcmp(p, "HTTP/", 5) == 0) {	/* of a 100, too: what counts comes last */
		k->type[0] = k->id[0] = '\0';
		k->head.retry_after = -1;
		k->answering = true;
	} else if (named(p, n, "content-type"))
		value(p, n, 13, k->type, sizeof k->type);
	else if (named(p, n, "x-request-id"))
		value(p, n, 13, k->id, sizeof k->id);
	else if (named(p, n, "retry-after")) {
		value(p, n, 12, text, sizeof text);
		if (str_double("", text, 0, 1e6, &d, NULL) == 0)
			k->head.retry_after = d;
	}
	return n;
}

static void
tell_head(struct relay_call *k)
{
	if (k->headed)
		return;
	k->headed = true;
	k->r->c.easy_getinfo(k->easy, CURLINFO_RESPONSE_CODE, &k->head.status);
	k->head.content_type = k->type;
	k->head.request_id = k->id;
	k->q.on_head(k->q.ctx, &k->head);
}

static size_t
on_write(char *p, size_t size, size_t n, void *ctx)
{
	struct relay_call *k = ctx;

	(void)size;
	if (atomic_load(&k->cancel))
		return 0;
	if (atomic_load(&k->paused))
		return CURL_WRITEFUNC_PAUSE;
	tell_head(k);
	/* What was handed over is taken; only what comes next waits. */
	if (n > 0 && !k->q.on_body(k->q.ctx, p, n))
		atomic_store(&k->paused, true);
	return n;
}

static int
on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	struct relay_call *k = ctx;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	if (atomic_load(&k->cancel))
		return 1;
	return !k->headed && k->head_by_ns > 0 && clock_mono_ns() > k->head_by_ns && !k->answering ? 2 : 0;
}

/* ---- calls ---- */

static void
call_free(struct relay_call *k)
{
	if (k->headers != NULL)
		k->r->c.slist_free_all(k->headers);
	if (k->easy != NULL) {
		if (k->r->n_idle < sizeof k->r->idle / sizeof k->r->idle[0]) {
			k->r->c.easy_reset(k->easy);
			k->r->idle[k->r->n_idle++] = k->easy;
		} else
			k->r->c.easy_cleanup(k->easy);
	}
	free((void *)(uintptr_t)k->q.url);
	free((void *)(uintptr_t)k->q.body);
	free(k);
}

static void
set_trust(const struct relay *r, CURL *easy)
{
	if (r->o.ca_file != NULL) {
		r->c.easy_setopt(easy, CURLOPT_CAINFO, r->o.ca_file);
		if (r->o.ca_only)
			r->c.easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
}

static void
prepare(struct relay_call *k)
{
	const struct relay *r = k->r;
	CURL *easy = k->easy;

	r->c.easy_setopt(easy, CURLOPT_URL, k->q.url);
	r->c.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	r->c.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	r->c.easy_setopt(easy, CURLOPT_POST, 1L);
	r->c.easy_setopt(easy, CURLOPT_POSTFIELDS, k->q.body);
	r->c.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)k->q.n_body);
	r->c.easy_setopt(easy, CURLOPT_HTTPHEADER, k->headers);
	r->c.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	r->c.easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	r->c.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(k->q.connect_timeout * 1000));
	r->c.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(k->q.total_timeout * 1000));
	r->c.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	r->c.easy_setopt(easy, CURLOPT_HEADERDATA, k);
	r->c.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	r->c.easy_setopt(easy, CURLOPT_WRITEDATA, k);
	r->c.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	r->c.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	r->c.easy_setopt(easy, CURLOPT_XFERINFODATA, k);
	r->c.easy_setopt(easy, CURLOPT_PRIVATE, k);
	set_trust(r, easy);
}

static void
finish(struct relay_call *k, CURLcode code)
{
	enum relay_end end = RELAY_CUT;
	long connected = 0;
	const char *why = code == CURLE_OK ? "" : k->r->c.easy_strerror(code);

	if (code == CURLE_OK) {
		tell_head(k);
		end = RELAY_OK;
	} else if (atomic_load(&k->cancel))
		end = RELAY_CANCELLED;
	else if (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) {
		end = RELAY_TIMEOUT;
		why = "no answer in time";
	} else if (k->r->c.easy_getinfo(k->easy, CURLINFO_NUM_CONNECTS, &connected) == CURLE_OK &&
	    (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_SSL_CONNECT_ERROR ||
	    code == CURLE_PEER_FAILED_VERIFICATION))
		end = RELAY_CONNECT;
	k->q.on_done(k->q.ctx, end, why);
	call_free(k);
}

/* Give a call that is due to libcurl. */
static void
start(struct relay_call *k)
{
	struct relay *r = k->r;

	k->easy = r->n_idle > 0 ? r->idle[--r->n_idle] : r->c.easy_init();
	if (k->easy == NULL)
		return;		/* tried again at the next turn */
	prepare(k);
	if (k->q.first_byte_timeout > 0)
		k->head_by_ns = clock_mono_ns() + (int64_t)(k->q.first_byte_timeout * 1e9);
	if (r->c.multi_add_handle(r->multi, k->easy) == CURLM_OK)
		k->running = true;
}

static void
unlink_call(struct relay *r, struct relay_call *k)
{
	struct relay_call **at = &r->calls;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
}

/* Start what is due, end what was cancelled, wake what was paused. Milliseconds to the next due one. */
static int
turn(struct relay *r)
{
	int64_t now = clock_mono_ns(), next = now + (int64_t)POLL_MS * 1000000;
	struct relay_call *k, *after;

	for (k = r->calls; k != NULL; k = after) {
		after = k->next;
		if (!k->running && atomic_load(&k->cancel)) {
			unlink_call(r, k);
			k->q.on_done(k->q.ctx, RELAY_CANCELLED, "cancelled");
			call_free(k);
			continue;
		}
		if (!k->running && k->due_ns <= now)
			start(k);
		if (!k->running && k->due_ns < next)
			next = k->due_ns > now ? k->due_ns : now + 1000000;
		if (k->running && atomic_exchange(&k->resume, false)) {
			atomic_store(&k->paused, false);
			r->c.easy_pause(k->easy, CURLPAUSE_CONT);
		}
		if (k->running && atomic_load(&k->cancel)) {
			unlink_call(r, k);
			r->c.multi_remove_handle(r->multi, k->easy);
			finish(k, CURLE_ABORTED_BY_CALLBACK);
		}
	}
	return (int)((next - now) / 1000000) + 1;
}

static void
collect(struct relay *r)
{
	CURLMsg *m;
	int left;

	while ((m = r->c.multi_info_read(r->multi, &left)) != NULL) {
		struct relay_call *k;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		r->c.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &k);
		r->c.multi_remove_handle(r->multi, m->easy_handle);
		unlink_call(r, k);
		finish(k, code);
	}
}

static void *
run(void *arg)
{
	struct relay *r = arg;
	bool stop = false;
	int running, wait;

	while (!stop || r->calls != NULL) {
		pthread_mutex_lock(&r->lock);
		while (r->added != NULL) {
			struct relay_call *k = r->added;

			r->added = k->next;
			k->next = r->calls;
			r->calls = k;
		}
		stop = r->stop;
		pthread_mutex_unlock(&r->lock);
		for (struct relay_call *k = r->calls; stop && k != NULL; k = k->next)
			atomic_store(&k->cancel, true);
		wait = turn(r);
		r->c.multi_perform(r->multi, &running);
		collect(r);
		if (!stop)
			r->c.multi_poll(r->multi, NULL, 0, wait, NULL);
	}
	return NULL;
}

/* ---- the relay ---- */

struct relay *
relay_start(const struct relay_opts *o, struct err *e)
{
	struct relay *r = mem_calloc(1, sizeof *r, e);

	if (r == NULL)
		return NULL;
	r->o = *o;
	r->o.ca_file = NULL;
	pthread_mutex_init(&r->lock, NULL);
	if ((o->ca_file != NULL && (r->o.ca_file = mem_strdup(o->ca_file, e)) == NULL) || httpcurl_open(&r->c, e) < 0)
		goto fail;
	if ((r->multi = r->c.multi_init()) == NULL) {
		err_nomem(e);
		goto fail;
	}
	r->c.multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)(o->max_connections == 0 ? 512 : o->max_connections));
	if ((errno = pthread_create(&r->thread, NULL, run, r)) == 0) {
		r->started = true;
		return r;
	}
	err_sys(e, ERR_TEMPFAIL, "thread");
fail:
	relay_stop(r);
	return NULL;
}

void
relay_stop(struct relay *r)
{
	if (r == NULL)
		return;
	if (r->started) {
		pthread_mutex_lock(&r->lock);
		r->stop = true;
		pthread_mutex_unlock(&r->lock);
		r->c.multi_wakeup(r->multi);
		(void)pthread_join(r->thread, NULL);
	}
	while (r->n_idle > 0)
		r->c.easy_cleanup(r->idle[--r->n_idle]);
	if (r->multi != NULL)
		r->c.multi_cleanup(r->multi);
	free((void *)(uintptr_t)r->o.ca_file);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct relay_call *
relay_submit(struct relay *r, const struct relay_request *q, struct err *e)
{
	struct relay_call *k;

	if (http_check_url(q->url, r->o.allowed_hosts, r->o.n_allowed_hosts, e) < 0 ||
	    (k = mem_calloc(1, sizeof *k, e)) == NULL)
		return NULL;
	k->r = r;
	k->q = *q;
	k->head.retry_after = -1;
	k->q.url = mem_strdup(q->url, e);
	k->q.body = mem_dup(q->body, q->n_body, e);
	k->due_ns = clock_mono_ns() + (int64_t)(q->delay * 1e9);
	for (size_t i = 0; i < q->n_headers; i++)
		k->headers = r->c.slist_append(k->headers, q->headers[i]);
	k->headers = r->c.slist_append(k->headers, "Expect:");
	if (k->q.url == NULL || k->q.body == NULL || k->headers == NULL) {
		call_free(k);
		return NULL;
	}
	pthread_mutex_lock(&r->lock);
	k->next = r->added;
	r->added = k;
	pthread_mutex_unlock(&r->lock);
	r->c.multi_wakeup(r->multi);
	return k;
}

void
relay_cancel(struct relay_call *k)
{
	atomic_store(&k->cancel, true);
	k->r->c.multi_wakeup(k->r->multi);
}

void
relay_resume(struct relay_call *k)
{
	atomic_store(&k->resume, true);
	k->r->c.multi_wakeup(k->r->multi);
}
