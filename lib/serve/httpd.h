/*
 * httpd - an HTTP/1.1 server: libmicrohttpd, hardened. Its only caller.
 *
 * Each complete request is handed to one handler, on the server's threads.
 * The answer is made at once (httpd_reply), or later from any thread
 * (httpd_defer, then httpd_reply or the httpd_stream calls), so that waiting
 * for an upstream holds no thread.
 *
 * What the library lets through is refused here before a handler sees it: two
 * lengths (RFC 9112, 6.3: Content-Length twice, or beside Transfer-Encoding),
 * any transfer coding but chunked, no Host or several, names that are no
 * tokens, control bytes in values. A whole header and a whole body each have a
 * deadline of their own, kept by a timer that shuts the socket: a byte now and
 * then does not hold a slot.
 * Depends on: libmicrohttpd >= 0.9.75, base.  Threads: as said per function.
 */
#ifndef LLMR_SERVE_HTTPD_H
#define LLMR_SERVE_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct httpd;
struct exchange;		/* one request and its answer */

struct httpd_opts {
	const char *listen;		/* "127.0.0.1:4000", "[::1]:4000", "unix:PATH"; ignored with listen_fd */
	int listen_fd;			/* a listening socket to take over (socket activation); -1 none */
	const char *tls_cert, *tls_key;	/* PEM files; NULL: no TLS */
	unsigned threads;		/* 0: 1 */
	size_t max_header_bytes;	/* 0: 16 KiB */
	size_t max_body_bytes;		/* 0: 1 MiB */
	size_t max_connections;		/* 0: 4096; idle ones give way beyond it */
	double header_seconds;		/* from a connection's start to the end of its header; 0: 5 */
	double body_seconds;		/* from there to the end of the body; 0: 10 */
	double idle_seconds;		/* between requests; 0: 75 */
	/* Called on a server thread with a whole request; must reply, stream or defer. */
	void (*handle)(void *ctx, struct exchange *);
	/* The exchange is over (answered, or its client is gone); may be NULL. The last use of it. */
	void (*done)(void *ctx, struct exchange *);
	bool (*exempt)(const char *path);	/* answered even beyond max_connections (probes); NULL none */
	void *ctx;
};

/* What became of connections and of requests that no handler saw; monotone but for open. */
struct httpd_counts {
	uint64_t open, accepted, refused, timed_out, evicted;
};

/* Bind, listen, start the threads. Strings are copied. ERR_UNAVAILABLE when the address cannot be had. */
struct httpd *httpd_start(const struct httpd_opts *, struct err *e);
/* The port that was bound (for ":0"), 0 for a unix socket. */
unsigned httpd_port(const struct httpd *);
/* Accept no more; what is open goes on, but closes after the answer in flight. */
void httpd_quiesce(struct httpd *);
/* Requests between their header and the end of their answer. */
size_t httpd_in_flight(const struct httpd *);
void httpd_counts(const struct httpd *, struct httpd_counts *);
/* Stop and release; every deferred exchange must have been answered. NULL is fine. */
void httpd_stop(struct httpd *);

/* ---- the request; valid from handle to done ---- */
const char *exchange_method(const struct exchange *);
const char *exchange_path(const struct exchange *);		/* decoded, without the query */
const char *exchange_query(const struct exchange *, const char *name);	/* value of a parameter, NULL absent */
const char *exchange_header(const struct exchange *, const char *name);	/* NULL absent; on the server thread only */
struct slice exchange_body(const struct exchange *);
const char *exchange_peer(struct exchange *);		/* address as text, "unix" for a local socket */
int64_t exchange_started_ns(const struct exchange *);		/* monotone, when its header was read */
void **exchange_slot(struct exchange *);			/* a pointer of the handler's own, NULL at first */

/* ---- the answer ---- */
/* A header of the answer, before it is begun; both copied. */
void exchange_set(struct exchange *, const char *name, const char *value);
/* The whole answer; the bytes are copied. type NULL: none. */
void exchange_reply(struct exchange *, unsigned status, const char *type, const void *body, size_t n);
/* Answer later: nothing else may be done with x on this thread after it. */
void exchange_defer(struct exchange *);
/*
 * A deferred exchange's answer in pieces. write appends (copied) and says
 * whether more is welcome: false means wait for on_drain. end closes it; a
 * cut answer (truncated = true) closes the connection, so that nobody takes it for whole.
 */
void exchange_stream(struct exchange *, unsigned status, const char *type,
	void (*on_drain)(void *ctx), void *ctx);	/* on_drain must call nothing of exchange_ */
bool exchange_write(struct exchange *, const void *p, size_t n);
void exchange_end(struct exchange *, bool truncated);
/* Has the client hung up? Deferred exchanges still have to be answered then. */
bool exchange_gone(const struct exchange *);
/*
 * Called (once, on another thread) when the client of a deferred exchange hangs
 * up. Set before exchange_defer; taken back (fn NULL) before the answer, after
 * which it is neither running nor called again.
 */
void exchange_on_gone(struct exchange *, void (*fn)(void *ctx), void *ctx);
unsigned exchange_status(const struct exchange *);	/* of the answer, 0 before it */
uint64_t exchange_sent_bytes(const struct exchange *);	/* of the body, so far */

#endif
