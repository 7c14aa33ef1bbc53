/*
 * listen - listening sockets: TCP, unix, or handed over by the service manager.
 *
 * Depends on: base.  Threads: pure.
 */
#ifndef LLMR_SERVE_LISTEN_H
#define LLMR_SERVE_LISTEN_H

#include <stdbool.h>

#include "base/err.h"

/*
 * "HOST:PORT", "[V6]:PORT", ":PORT" (all addresses) or "unix:PATH" (mode 0660;
 * a socket that nobody answers on is replaced). For a unix socket *path gets
 * its name, to be unlinked and freed by the caller; else NULL. -1 and
 * ERR_USAGE for a bad address, ERR_UNAVAILABLE when it cannot be had.
 */
int listen_open(const char *address, char **path, struct err *e);
/* The port that a socket is bound to, 0 for a unix one. */
unsigned listen_port(int fd);
/* Does the address reach this machine alone (loopback or unix)? A malformed one does not. */
bool listen_local(const char *address);
/* The first socket that the service manager hands over (sd_listen_fds(3)); LISTEN_PID, LISTEN_FDS. -1 none. */
int listen_inherited(const char *pid, const char *fds);

#endif
