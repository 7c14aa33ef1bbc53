/*
 * http - requests over libcurl, with a limit on everything.
 *
 * libcurl is loaded by dlopen at http_new, so that a command which needs no
 * network pays nothing for it. Only http and https; every request has a
 * connect, a stall and a total deadline and a limit on the answer's bytes;
 * gzip is asked for and undone. Redirects are followed on the same origin
 * only when credentials are set, and never from https to http. The host is
 * checked against allowed_hosts before anything is resolved.
 * Depends on: libcurl >= 7.68 at run time, base.  Threads: one struct http may
 * be used by many threads; each running request borrows a connection of its own.
 */
#ifndef LLMR_NET_HTTP_H
#define LLMR_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct http;

struct http_opts {
	const char *ca_file;		/* PEM, trusted beside the system's, NULL none */
	bool ca_only;			/* trust ca_file alone */
	const char *user, *password;	/* basic authentication when user is set */
	const char *bearer;		/* token, when set; excludes user */
	const char *unix_socket;	/* connect to this socket, whatever the URL's host; NULL none */
	double connect_timeout;		/* seconds; 0: 10 */
	double stall_timeout;		/* seconds without a byte; 0: 60 */
	double total_timeout;		/* seconds for one request; 0: 300 */
	const char *proxy;		/* URL of a proxy, "" none; NULL: as libcurl finds it (https_proxy, http_proxy) */
	const char *no_proxy;		/* hosts reached without it, by comma; NULL: as libcurl finds it */
	const char *const *allowed_hosts;	/* NULL: any host */
	size_t n_allowed_hosts;
	struct cancel *cancel;
};

/*
 * A client. Strings are copied; allowed_hosts and cancel are borrowed for its
 * life. NULL and ERR_CONFIG when libcurl cannot be loaded, is too old or the
 * options contradict each other.
 */
struct http *http_new(const struct http_opts *, struct err *e);
void http_free(struct http *);		/* NULL is fine; no request may be running */
/* Version of the libcurl that was loaded, borrowed. */
const char *http_version(const struct http *);

struct http_request {
	const char *method;		/* NULL: GET, or POST with a body */
	const char *url;
	const char *const *headers;	/* "Name: value" lines beside ours */
	size_t n_headers;
	const void *body;		/* NULL none */
	size_t n_body;
	uint64_t max_bytes;		/* of the answer, decoded; 0: 64 MiB */
	/* Bytes of a 2xx answer in order, decoded. Nonzero stops the request with that error. */
	int (*on_body)(void *ctx, const void *p, size_t n, struct err *e);
	/* A redirect was followed: throw away what on_body got. NULL is fine. */
	int (*on_restart)(void *ctx, struct err *e);
	/* Each header line of an answer without its line end, the status line first. NULL is fine. */
	void (*on_header)(void *ctx, const char *line, size_t n);
	/*
	 * A body that is not in memory: up to n bytes of it from offset at, the number
	 * given or -1 and err. Used when body is NULL and n_body is its length.
	 */
	ptrdiff_t (*read)(void *ctx, void *p, size_t n, uint64_t at, struct err *e);
	void *ctx;
	/*
	 * Signed requests: sent exactly as given. The path is not tidied, no gzip is
	 * asked for, no Expect is sent, no redirect is followed and no credentials of
	 * http_opts go along.
	 */
	bool verbatim;
	bool ignore_cancel;		/* clearing up after a cancel */
	double total_timeout;		/* seconds; 0: that of http_opts */
	size_t buffer_bytes;		/* for a large body, either way; 0: libcurl's 16 KiB in and 64 KiB out */
};

/* What became of the transfer itself, for deciding about a retry. */
enum http_fault {
	HTTP_OK,		/* an answer came whole, whatever its status */
	HTTP_TRANSIENT,		/* refused, reset, cut short, stalled: may go better next time */
	HTTP_TOO_LARGE,		/* more than max_bytes */
	HTTP_FATAL		/* name, TLS trust, forbidden host, cancelled, local */
};

#define HTTP_HEAD_BYTES 2048
struct http_response {
	enum http_fault fault;
	long status;			/* of the last answer, 0 when none came */
	double retry_after;		/* seconds, from Retry-After; negative when absent */
	char content_type[96];		/* lower case, as sent; "" when absent */
	char head[HTTP_HEAD_BYTES + 1];	/* first bytes of the answer, NUL-terminated */
	size_t n_head;
	uint64_t bytes;			/* of the answer, decoded */
};

/*
 * Send one request and wait for its answer. 0 when an answer came whole (any
 * status); -1 and err otherwise, with res->fault saying of which kind: time-out,
 * DNS, TLS and cut answers are ERR_UNAVAILABLE, a refused host or redirect
 * ERR_NOPERM, cancelling ERR_INTR.
 */
int http_do(struct http *, const struct http_request *, struct http_response *, struct err *e);

/*
 * 0 when the URL is http or https with a host, carries no user or password, and
 * its host is one of allowed (exact, or "*.example.com" for any name below; no
 * port; letters in either case). allowed NULL: any. ERR_USAGE, or ERR_NOPERM
 * for a host that is not on the list.
 */
int http_check_url(const char *url, const char *const *allowed, size_t n_allowed, struct err *e);

#endif
