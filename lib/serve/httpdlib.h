/*
 * httpdlib - libmicrohttpd, opened when a server starts.
 *
 * It brings GnuTLS and what that needs with it: two milliseconds that the
 * commands which serve nothing need not spend.
 * Depends on: libmicrohttpd >= 0.9.75 at run time, base.  Threads: safe.
 */
#ifndef LLMR_SERVE_HTTPDLIB_H
#define LLMR_SERVE_HTTPDLIB_H

#include <microhttpd.h>

#include "base/err.h"

struct httpdlib {
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_create_response_from_callback) *create_response_from_callback;
	__typeof__(MHD_destroy_response) *destroy_response;
	__typeof__(MHD_get_connection_info) *get_connection_info;
	__typeof__(MHD_get_connection_values_n) *get_connection_values_n;
	__typeof__(MHD_lookup_connection_value) *lookup_connection_value;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_quiesce_daemon) *quiesce_daemon;
	__typeof__(MHD_resume_connection) *resume_connection;
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
	__typeof__(MHD_suspend_connection) *suspend_connection;
};

/* ERR_CONFIG when it is missing or too old. It stays loaded. */
int httpdlib_open(struct httpdlib *, struct err *e);

#endif
