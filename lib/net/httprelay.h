/*
 * httprelay - many requests at once on one thread, their answers passed on as they arrive.
 *
 * For a gateway: callbacks run on the relay's thread, connections are kept
 * open and shared, an answer whose reader is slow is paused. http and https
 * alone; redirects are not followed.
 * Depends on: net/httpcurl.  Threads: submit, cancel and resume from any thread.
 */
#ifndef LLMR_NET_HTTPRELAY_H
#define LLMR_NET_HTTPRELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct relay;
struct relay_call;

struct relay_opts {
	const char *ca_file;		/* PEM, trusted beside the system's; NULL none */
	bool ca_only;			/* trust it alone */
	const char *const *allowed_hosts;	/* NULL: any */
	size_t n_allowed_hosts;
	size_t max_connections;		/* 0: 512 */
};

struct relay_head {
	long status;
	const char *content_type;	/* "" unknown */
	double retry_after;		/* seconds, negative: none */
	const char *request_id;		/* the upstream's, "" none */
};

enum relay_end {
	RELAY_OK,		/* the answer came whole, whatever its status */
	RELAY_CONNECT,		/* no connection: nothing was sent */
	RELAY_TIMEOUT,
	RELAY_CUT,		/* reset or cut short */
	RELAY_CANCELLED,
	RELAY_REFUSED		/* the URL is forbidden or malformed */
};

struct relay_request {
	const char *url;
	const char *const *headers;	/* "Name: value" */
	size_t n_headers;
	const void *body;		/* posted; copied */
	size_t n_body;
	double connect_timeout, total_timeout;	/* seconds */
	double first_byte_timeout;	/* to the answer's header; 0: total_timeout */
	double delay;			/* seconds to wait before it is sent */
	/* The answer's header is whole. */
	void (*on_head)(void *ctx, const struct relay_head *);
	/* Bytes of its body. False: pause, until relay_resume. */
	bool (*on_body)(void *ctx, const void *p, size_t n);
	/* The last callback; the call is gone after it. why: for people, "" when RELAY_OK. */
	void (*on_done)(void *ctx, enum relay_end, const char *why);
	void *ctx;
};

/* Strings of opts are copied. NULL and ERR_CONFIG when libcurl is missing. */
struct relay *relay_start(const struct relay_opts *, struct err *e);
/* Cancels what runs (its on_done is called), then ends. NULL is fine. */
void relay_stop(struct relay *);
/* Everything is copied. The call lives until its on_done. NULL and err when memory lacks (no callback comes). */
struct relay_call *relay_submit(struct relay *, const struct relay_request *, struct err *e);
/* Ask for an early end; on_done follows. Only before on_done. */
void relay_cancel(struct relay_call *);
/* Go on with a paused call. Only before on_done. */
void relay_resume(struct relay_call *);

#endif
