#include "serve/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "serve/httpdlib.h"
#include "serve/listen.h"

#define STREAM_HIGH ((size_t)256 * 1024)	/* a writer is asked to wait above this */
#define MAX_SET 32
#define MAX_LINES 128		/* of a header */
#define TICK_MS 100
#define NEVER INT64_MAX
#define SPARE_CONNECTIONS 64	/* beyond max_connections: for probes, and to say 503 to the rest */

enum phase { HEADER, BODY, BUSY, IDLE, DEAD };

/* One connection: what the timer needs to know of it. */
struct conn {
	struct conn *prev, *next;
	int fd;
	enum phase phase;
	int64_t deadline;
	int64_t idle_since;
	struct exchange *watched;	/* whose client's hanging up is told; under watch_lock */
};

struct header {
	char *name, *value;
};

struct exchange {
	struct httpd *h;
	struct MHD_Connection *c;
	struct conn *conn;
	const char *method, *path;
	struct buf body;
	int64_t started_ns;
	void *slot;
	char peer[INET6_ADDRSTRLEN + 8];
	bool seen, refused;
	struct header set[MAX_SET];
	size_t n_set;

	pthread_mutex_t lock;		/* over all below */
	bool deferred, suspended, ready, gone, streaming, ended, truncated, full;
	unsigned status;
	char *type;
	struct buf out;			/* the whole answer, or what a stream has not sent */
	size_t out_at;
	uint64_t sent;
	void (*on_drain)(void *), (*on_gone)(void *);
	void *drain_ctx, *gone_ctx;
};

struct httpd {
	struct httpd_opts o;
	struct httpdlib lib;
	struct MHD_Daemon *d;
	char *unix_path;
	unsigned port;
	int watch;			/* epoll over the sockets of deferred exchanges */
	pthread_mutex_t watch_lock;
	pthread_t timer;
	bool timing;
	atomic_bool stop, draining;
	atomic_size_t in_flight;
	atomic_uint_fast64_t accepted, refused, timed_out, evicted;
	pthread_mutex_t lock;		/* over the list of connections */
	struct conn *first;
	size_t open, dead;		/* of them those that are shut already */
	struct buf cert, key;
};

static int64_t
after(double seconds)
{
	return clock_mono_ns() + (int64_t)(seconds * 1e9);
}

/* ---- connections and their deadlines ---- */

static void
set_phase(struct httpd *h, struct conn *k, enum phase p, int64_t deadline)
{
	pthread_mutex_lock(&h->lock);
	if (k->phase != DEAD) {
		k->phase = p;
		k->deadline = deadline;
		if (p == IDLE)
			k->idle_since = clock_mono_ns();
	}
	pthread_mutex_unlock(&h->lock);
}

static void
on_connection(void *cls, struct MHD_Connection *c, void **slot, enum MHD_ConnectionNotificationCode code)
{
	struct httpd *h = cls;
	struct conn *k = *slot;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		if ((k = calloc(1, sizeof *k)) == NULL)
			return;
		k->fd = h->lib.get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		k->phase = HEADER;
		k->deadline = after(h->o.header_seconds);
		pthread_mutex_lock(&h->lock);
		k->next = h->first;
		if (h->first != NULL)
			h->first->prev = k;
		h->first = k;
		h->open++;
		pthread_mutex_unlock(&h->lock);
		atomic_fetch_add(&h->accepted, 1);
		*slot = k;
		return;
	}
	if (k == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	if (k->prev != NULL)
		k->prev->next = k->next;
	else
		h->first = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	h->open--;
	h->dead -= k->phase == DEAD;
	pthread_mutex_unlock(&h->lock);
	*slot = NULL;
	free(k);
}

/* Shut a connection whose time is over. The library sees the end of the stream and cleans up. h->lock is held. */
static void
shut(struct httpd *h, struct conn *k, bool say)
{
	static const char late[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

	if (say && h->o.tls_cert == NULL)
		(void)send(k->fd, late, sizeof late - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(k->fd, SHUT_RDWR);
	h->dead += k->phase != DEAD;
	k->phase = DEAD;
	k->deadline = NEVER;
}

/* The longest idle connection gives way; false when none is idle. h->lock is held. */
static bool
evict_one(struct httpd *h)
{
	struct conn *oldest = NULL;

	for (struct conn *k = h->first; k != NULL; k = k->next) {
		if (k->phase == IDLE && (oldest == NULL || k->idle_since < oldest->idle_since))
			oldest = k;
	}
	if (oldest == NULL)
		return false;
	shut(h, oldest, false);
	atomic_fetch_add(&h->evicted, 1);
	return true;
}

/* More connections than there may be, beside those that are shut already? */
static bool
crowded(const struct httpd *h)
{
	return h->open - h->dead > h->o.max_connections;
}

/* When draining, every idle connection is in the way. */
static void
evict(struct httpd *h)
{
	for (struct conn *k = h->first; k != NULL && atomic_load(&h->draining); k = k->next) {
		if (k->phase == IDLE) {
			shut(h, k, false);
			atomic_fetch_add(&h->evicted, 1);
		}
	}
}

static void
check_deadlines(struct httpd *h)
{
	int64_t now = clock_mono_ns();

	pthread_mutex_lock(&h->lock);
	for (struct conn *k = h->first; k != NULL; k = k->next) {
		if (k->deadline > now)
			continue;
		if (k->phase != IDLE)
			atomic_fetch_add(&h->timed_out, 1);
		shut(h, k, k->phase == HEADER || k->phase == BODY);
	}
	evict(h);
	pthread_mutex_unlock(&h->lock);
}

/* ---- clients that hang up while their answer is awaited ---- */

/* From the moment an exchange is deferred until it is over. */
static void
watch(struct exchange *x)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET, .data = { .fd = x->conn->fd } };

	pthread_mutex_lock(&x->h->watch_lock);
	x->conn->watched = x;
	(void)epoll_ctl(x->h->watch, EPOLL_CTL_ADD, x->conn->fd, &ev);
	pthread_mutex_unlock(&x->h->watch_lock);
}

static void
unwatch(struct exchange *x)
{
	pthread_mutex_lock(&x->h->watch_lock);
	x->conn->watched = NULL;
	(void)epoll_ctl(x->h->watch, EPOLL_CTL_DEL, x->conn->fd, NULL);
	pthread_mutex_unlock(&x->h->watch_lock);
}

/* watch_lock is held, so the exchange lives on. */
static void
client_gone(struct exchange *x)
{
	void (*fn)(void *) = NULL;

	pthread_mutex_lock(&x->lock);
	if (!x->gone) {
		x->gone = true;
		fn = x->on_gone;
	}
	pthread_mutex_unlock(&x->lock);
	if (fn != NULL)
		fn(x->gone_ctx);
}

static void *
timer_main(void *arg)
{
	struct httpd *h = arg;
	struct epoll_event ev[64];

	while (!atomic_load(&h->stop)) {
		int n = epoll_wait(h->watch, ev, 64, TICK_MS);

		for (int i = 0; i < n; i++) {
			struct exchange *x = NULL;

			pthread_mutex_lock(&h->watch_lock);
			pthread_mutex_lock(&h->lock);
			for (struct conn *k = h->first; k != NULL && x == NULL; k = k->next) {
				if (k->fd == ev[i].data.fd)
					x = k->watched;
			}
			pthread_mutex_unlock(&h->lock);
			if (x != NULL)
				client_gone(x);
			pthread_mutex_unlock(&h->watch_lock);
		}
		check_deadlines(h);
	}
	return NULL;
}

/* ---- answers ---- */

void
exchange_set(struct exchange *x, const char *name, const char *value)
{
	if (x->n_set == MAX_SET)
		BUG("more than %d headers set", MAX_SET);
	x->set[x->n_set].name = mem_strdup(name, NULL);
	x->set[x->n_set].value = mem_strdup(value, NULL);
	if (x->set[x->n_set].name == NULL || x->set[x->n_set].value == NULL) {
		free(x->set[x->n_set].name);
		free(x->set[x->n_set].value);
		return;
	}
	x->n_set++;
}

/* Pieces of a stream for the library: what there is, the end, or wait. */
static ssize_t
read_stream(void *cls, uint64_t pos, char *p, size_t max)
{
	struct exchange *x = cls;
	ssize_t r = 0;
	size_t n;

	(void)pos;
	pthread_mutex_lock(&x->lock);
	n = x->out.len - x->out_at;
	if (n > 0) {
		n = n > max ? max : n;
		memcpy(p, x->out.p + x->out_at, n);
		x->out_at += n;
		x->sent += n;
		if (x->out_at == x->out.len) {
			buf_reset(&x->out);
			x->out_at = 0;
		}
		if (x->full && x->out.len - x->out_at < STREAM_HIGH / 2) {
			x->full = false;
			/* Under the lock, so that the writer cannot end and go away meanwhile. */
			if (x->on_drain != NULL)
				x->on_drain(x->drain_ctx);
		}
		r = (ssize_t)n;
	} else if (x->ended) {
		r = x->truncated ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		x->suspended = true;
		x->h->lib.suspend_connection(x->c);
	}
	pthread_mutex_unlock(&x->lock);
	return r;
}

/* Hand the answer to the library; on a server thread. */
static enum MHD_Result
queue(struct exchange *x)
{
	struct MHD_Response *r;
	enum MHD_Result ok;

	if (x->streaming)
		r = x->h->lib.create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, x, NULL);
	else
		r = x->h->lib.create_response_from_buffer(x->out.len, x->out.p, MHD_RESPMEM_PERSISTENT);
	if (r == NULL)
		return MHD_NO;
	if (x->type != NULL)
		(void)x->h->lib.add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, x->type);
	for (size_t i = 0; i < x->n_set; i++)
		(void)x->h->lib.add_response_header(r, x->set[i].name, x->set[i].value);
	/* After a request that was not understood nobody knows where the next one begins. */
	if (x->refused || x->status == 400 || atomic_load_explicit(&x->h->draining, memory_order_relaxed))
		(void)x->h->lib.add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	ok = x->h->lib.queue_response(x->c, x->status, r);
	x->h->lib.destroy_response(r);
	return ok;
}

/* The answer is known: wake the connection if it sleeps. x->lock is held. */
static void
wake(struct exchange *x)
{
	x->ready = true;
	if (x->suspended) {
		x->suspended = false;
		x->h->lib.resume_connection(x->c);
	}
}

static void
begin(struct exchange *x, unsigned status, const char *type)
{
	if (x->status != 0)
		BUG("answered twice: %u after %u", status, x->status);
	x->status = status;
	x->type = type == NULL ? NULL : mem_strdup(type, NULL);
}

void
exchange_reply(struct exchange *x, unsigned status, const char *type, const void *body, size_t n)
{
	pthread_mutex_lock(&x->lock);
	begin(x, status, type);
	buf_add(&x->out, body, n);
	x->sent = x->out.len;
	wake(x);
	pthread_mutex_unlock(&x->lock);
}

void
exchange_defer(struct exchange *x)
{
	x->deferred = true;
}

void
exchange_stream(struct exchange *x, unsigned status, const char *type, void (*on_drain)(void *), void *ctx)
{
	pthread_mutex_lock(&x->lock);
	begin(x, status, type);
	x->streaming = true;
	x->on_drain = on_drain;
	x->drain_ctx = ctx;
	wake(x);
	pthread_mutex_unlock(&x->lock);
}

bool
exchange_write(struct exchange *x, const void *p, size_t n)
{
	bool more;

	pthread_mutex_lock(&x->lock);
	if (!x->gone)
		buf_add(&x->out, p, n);
	x->full = x->out.len - x->out_at > STREAM_HIGH;
	more = !x->full;
	wake(x);
	pthread_mutex_unlock(&x->lock);
	return more;
}

void
exchange_end(struct exchange *x, bool truncated)
{
	pthread_mutex_lock(&x->lock);
	x->ended = true;
	x->on_drain = NULL;
	x->truncated = truncated || x->out.failed;
	wake(x);
	pthread_mutex_unlock(&x->lock);
}

bool
exchange_gone(const struct exchange *x)
{
	struct exchange *y = (struct exchange *)(uintptr_t)x;
	bool gone;

	pthread_mutex_lock(&y->lock);
	gone = y->gone;
	pthread_mutex_unlock(&y->lock);
	return gone;
}

void
exchange_on_gone(struct exchange *x, void (*fn)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&x->h->watch_lock);
	x->on_gone = fn;
	x->gone_ctx = ctx;
	pthread_mutex_unlock(&x->h->watch_lock);
}

/* ---- requests ---- */

/* What the library lets through and RFC 9112 does not. */
struct strict {
	unsigned lengths, codings, hosts, lines;
	const char *why;
};

static enum MHD_Result
check_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t n_name, const char *value,
	size_t n_value)
{
	static const char token[] = "!#$%&'*+-.^_`|~";
	struct strict *s = cls;

	(void)kind;
	s->lines++;
	for (size_t i = 0; i < n_name; i++) {
		unsigned char c = (unsigned char)name[i];

		if (!(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z') &&
		    (c == 0 || strchr(token, c) == NULL))
			s->why = "a header's name is no token";
	}
	if (n_name == 0)
		s->why = "a header without a name";
	for (size_t i = 0; i < n_value; i++) {
		unsigned char c = (unsigned char)value[i];

		if ((c < 32 && c != '\t') || c == 127)
			s->why = "a control byte in a header";
	}
	if (strcasecmp(name, "Content-Length") == 0)
		s->lengths++;
	else if (strcasecmp(name, "Host") == 0)
		s->hosts++;
	else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		s->codings++;
		if (n_value != 7 || strcasecmp(value, "chunked") != 0)
			s->why = "a transfer coding that is not chunked";
	}
	return MHD_YES;
}

static const char *
ambiguous(const struct exchange *x, const char *version, unsigned *lines)
{
	struct strict s = { 0 };

	x->h->lib.get_connection_values_n(x->c, MHD_HEADER_KIND, check_header, &s);
	*lines = s.lines;
	if (s.lengths + s.codings > 1)
		return "more than one length of the body";
	if (s.hosts > 1 || (s.hosts == 0 && strcmp(version, "HTTP/1.0") != 0))
		return "one Host is needed";
	return s.why;
}

static enum MHD_Result
refuse(struct exchange *x, unsigned status, const char *why)
{
	struct buf b = BUF_INIT;

	atomic_fetch_add(&x->h->refused, 1);
	x->refused = true;
	buf_printf(&b, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,"
		"\"code\":\"%u\"}}", why, status);
	begin(x, status, "application/json");
	x->out = b;
	return queue(x);
}

/* The header is whole. */
static enum MHD_Result
on_header(struct exchange *x, const char *version)
{
	struct httpd *h = x->h;
	unsigned lines;
	const char *why = ambiguous(x, version, &lines);
	const union MHD_ConnectionInfo *size = x->h->lib.get_connection_info(x->c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	const char *length = x->h->lib.lookup_connection_value(x->c, MHD_HEADER_KIND, "Content-Length");
	bool full;

	if (why != NULL)
		return refuse(x, 400, why);
	if (lines > MAX_LINES || (size != NULL && size->header_size > h->o.max_header_bytes))
		return refuse(x, 431, "the header is too large");
	if (length != NULL && strtoull(length, NULL, 10) > h->o.max_body_bytes)
		return refuse(x, 413, "the body is too large");
	pthread_mutex_lock(&h->lock);
	full = crowded(h) && !evict_one(h);
	pthread_mutex_unlock(&h->lock);
	if (full && (h->o.exempt == NULL || !h->o.exempt(x->path)))
		return refuse(x, 503, "too many connections");
	set_phase(h, x->conn, BODY, after(h->o.body_seconds));
	return MHD_YES;
}

/* The request is whole: ask the handler, and sleep when it answers later. */
static enum MHD_Result
on_request(struct exchange *x)
{
	set_phase(x->h, x->conn, BUSY, NEVER);
	if (x->deferred || x->status != 0) {		/* woken: the answer is there */
		return queue(x);
	}
	x->h->o.handle(x->h->o.ctx, x);
	if (x->deferred)
		watch(x);
	pthread_mutex_lock(&x->lock);
	if (x->deferred && !x->ready) {
		x->suspended = true;
		x->h->lib.suspend_connection(x->c);
		pthread_mutex_unlock(&x->lock);
		return MHD_YES;
	}
	pthread_mutex_unlock(&x->lock);
	if (x->status == 0)
		BUG("%s %s was not answered", x->method, x->path);
	return queue(x);
}

static struct exchange *
exchange_new(struct httpd *h, struct MHD_Connection *c, const char *path, const char *method)
{
	const union MHD_ConnectionInfo *i = h->lib.get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *x = i->socket_context == NULL ? NULL : calloc(1, sizeof *x);

	if (x == NULL)
		return NULL;
	x->h = h;
	x->c = c;
	x->conn = i->socket_context;
	x->method = method;
	x->path = path;
	x->started_ns = clock_mono_ns();
	pthread_mutex_init(&x->lock, NULL);
	atomic_fetch_add(&h->in_flight, 1);
	return x;
}

static enum MHD_Result
on_access(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
	const char *data, size_t *n, void **slot)
{
	struct httpd *h = cls;
	struct exchange *x = *slot;

	if (x == NULL) {
		if ((x = exchange_new(h, c, url, method)) == NULL)
			return MHD_NO;
		*slot = x;
		return on_header(x, version);
	}
	if (*n > 0) {
		if (x->status == 0 && x->body.len + *n > h->o.max_body_bytes)
			x->refused = true;
		if (!x->refused)
			buf_add(&x->body, data, *n);
		*n = 0;
		return MHD_YES;
	}
	if (x->status == 0 && (x->refused || x->body.failed))
		return refuse(x, 413, "the body is too large");
	return on_request(x);
}

static void
on_completed(void *cls, struct MHD_Connection *c, void **slot, enum MHD_RequestTerminationCode code)
{
	struct httpd *h = cls;
	struct exchange *x = *slot;

	(void)c;
	(void)code;
	if (x == NULL)
		return;
	if (x->deferred) {
		unwatch(x);
		/* Whoever answered it and woke us may not have let go of the lock yet. */
		pthread_mutex_lock(&x->lock);
		pthread_mutex_unlock(&x->lock);
	}
	if (!x->refused && h->o.done != NULL)
		h->o.done(h->o.ctx, x);
	set_phase(h, x->conn, IDLE, after(h->o.idle_seconds));
	for (size_t i = 0; i < x->n_set; i++) {
		free(x->set[i].name);
		free(x->set[i].value);
	}
	free(x->type);
	buf_finish(&x->body);
	buf_finish(&x->out);
	pthread_mutex_destroy(&x->lock);
	free(x);
	*slot = NULL;
	atomic_fetch_sub(&h->in_flight, 1);
}

const char *
exchange_method(const struct exchange *x)
{
	return x->method;
}

const char *
exchange_path(const struct exchange *x)
{
	return x->path;
}

const char *
exchange_query(const struct exchange *x, const char *name)
{
	return x->h->lib.lookup_connection_value(x->c, MHD_GET_ARGUMENT_KIND, name);
}

const char *
exchange_header(const struct exchange *x, const char *name)
{
	return x->h->lib.lookup_connection_value(x->c, MHD_HEADER_KIND, name);
}

struct slice
exchange_body(const struct exchange *x)
{
	return (struct slice){ x->body.p, x->body.len };
}

const char *
exchange_peer(struct exchange *x)
{
	const union MHD_ConnectionInfo *i;

	if (x->peer[0] != '\0')
		return x->peer;
	i = x->h->lib.get_connection_info(x->c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	strcpy(x->peer, "unix");
	if (i != NULL && i->client_addr != NULL && i->client_addr->sa_family == AF_INET)
		(void)inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)i->client_addr)->sin_addr, x->peer,
			sizeof x->peer);
	else if (i != NULL && i->client_addr != NULL && i->client_addr->sa_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)i->client_addr)->sin6_addr, x->peer,
			sizeof x->peer);
	return x->peer;
}

int64_t
exchange_started_ns(const struct exchange *x)
{
	return x->started_ns;
}

void **
exchange_slot(struct exchange *x)
{
	return &x->slot;
}

unsigned
exchange_status(const struct exchange *x)
{
	return x->status;
}

uint64_t
exchange_sent_bytes(const struct exchange *x)
{
	return x->sent;
}

/* ---- the server ---- */

static void
fill_defaults(struct httpd_opts *o)
{
#define DEFAULT(f, v) if (o->f == 0) o->f = (v)
	DEFAULT(threads, 1);
	DEFAULT(max_header_bytes, 16 * 1024);
	DEFAULT(max_body_bytes, 1024 * 1024);
	DEFAULT(max_connections, 4096);
	if (o->header_seconds <= 0)
		o->header_seconds = 5;
	if (o->body_seconds <= 0)
		o->body_seconds = 10;
	if (o->idle_seconds <= 0)
		o->idle_seconds = 75;
#undef DEFAULT
}

static int
read_tls(struct httpd *h, struct err *e)
{
	if (h->o.tls_cert == NULL && h->o.tls_key != NULL)
		return err_set(e, ERR_CONFIG, "%s: a key needs its certificate", h->o.tls_key);
	if (h->o.tls_cert == NULL)
		return 0;
	if (h->o.tls_key == NULL)
		return err_set(e, ERR_CONFIG, "%s: a certificate needs its key", h->o.tls_cert);
	if (io_read_file(h->o.tls_cert, 1 << 20, &h->cert, e) < 0 ||
	    io_read_file(h->o.tls_key, 1 << 20, &h->key, e) < 0)
		return -1;
	return 0;
}

static int
start_daemon(struct httpd *h, int fd, struct err *e)
{
	/* A connection's memory holds its header, its answer's header, and what of a body came with it. */
	struct MHD_OptionItem opts[16] = {
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)(h->o.max_header_bytes + 16384), NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, (intptr_t)(h->o.max_connections + SPARE_CONNECTIONS), NULL },
		{ MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, h },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, h },
		{ MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
	};
	/* Above the library's default, which still speaks TLS 1.0. */
	static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	unsigned flags = MHD_USE_EPOLL_INTERNALLY | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
	size_t n = 6;

	if (h->o.threads > 1)
		opts[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)h->o.threads, NULL };
	if (h->o.tls_cert != NULL) {
		flags |= MHD_USE_TLS;
		opts[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert.p };
		opts[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, h->key.p };
		opts[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)priorities };
	}
	opts[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	h->d = h->lib.start_daemon(flags, 0, NULL, NULL, on_access, h, MHD_OPTION_ARRAY, opts, MHD_OPTION_END);
	if (h->d == NULL)
		return err_set(e, ERR_CONFIG, h->o.tls_cert != NULL ? "%s: certificate or key is not usable"
			: "%s: the server did not start", h->o.tls_cert != NULL ? h->o.tls_cert : h->o.listen);
	return 0;
}

struct httpd *
httpd_start(const struct httpd_opts *o, struct err *e)
{
	struct httpd *h = mem_calloc(1, sizeof *h, e);
	int fd = o->listen_fd;

	if (h == NULL)
		return NULL;
	h->o = *o;
	h->watch = -1;
	fill_defaults(&h->o);
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->watch_lock, NULL);
	if (httpdlib_open(&h->lib, e) < 0 || read_tls(h, e) < 0 ||
	    (fd < 0 && (fd = listen_open(o->listen, &h->unix_path, e)) < 0))
		goto fail;
	h->port = listen_port(fd);
	if ((h->watch = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
	    (errno = pthread_create(&h->timer, NULL, timer_main, h)) != 0) {
		err_sys(e, ERR_IO, "server");
		(void)close(fd);
		goto fail;
	}
	h->timing = true;
	if (start_daemon(h, fd, e) == 0)
		return h;
	(void)close(fd);
fail:
	httpd_stop(h);
	return NULL;
}

unsigned
httpd_port(const struct httpd *h)
{
	return h->port;
}

void
httpd_quiesce(struct httpd *h)
{
	int fd;

	atomic_store(&h->draining, true);
	if ((fd = h->lib.quiesce_daemon(h->d)) >= 0)
		(void)close(fd);
}

size_t
httpd_in_flight(const struct httpd *h)
{
	return atomic_load(&h->in_flight);
}

void
httpd_counts(const struct httpd *h, struct httpd_counts *c)
{
	struct httpd *k = (struct httpd *)(uintptr_t)h;

	pthread_mutex_lock(&k->lock);
	c->open = k->open;
	pthread_mutex_unlock(&k->lock);
	c->accepted = atomic_load(&h->accepted);
	c->refused = atomic_load(&h->refused);
	c->timed_out = atomic_load(&h->timed_out);
	c->evicted = atomic_load(&h->evicted);
}

void
httpd_stop(struct httpd *h)
{
	if (h == NULL)
		return;
	if (h->d != NULL)
		h->lib.stop_daemon(h->d);
	atomic_store(&h->stop, true);
	if (h->timing)
		(void)pthread_join(h->timer, NULL);
	if (h->watch >= 0)
		(void)close(h->watch);
	if (h->unix_path != NULL)
		(void)unlink(h->unix_path);
	free(h->unix_path);
	buf_finish(&h->cert);
	buf_finish(&h->key);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->watch_lock);
	free(h);
}
