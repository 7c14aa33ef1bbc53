/*
 * notify - tell the service manager where the service is in its life.
 *
 * The protocol of sd_notify(3): one datagram of NAME=VALUE lines to the unix
 * socket that NOTIFY_SOCKET names; '@' in front means the abstract name space.
 * Depends on: base.  Threads: pure.
 */
#ifndef LLMR_SERVE_NOTIFY_H
#define LLMR_SERVE_NOTIFY_H

#include "base/err.h"

/*
 * Send state ("READY=1", "STOPPING=1", "STATUS=...") to the socket. NULL or ""
 * is no socket: nothing is sent, 0. Never waits: a full or missing socket is -1
 * and err, which a caller may well ignore.
 */
int notify_send(const char *socket_name, const char *state, struct err *e);
/* RELOADING=1 with the monotone time that Type=notify-reload asks for; READY=1 ends it. */
int notify_reloading(const char *socket_name, struct err *e);

#endif
