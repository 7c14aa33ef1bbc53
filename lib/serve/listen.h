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
/*
 * The first socket that the service manager hands over (sd_listen_fds(3)), made
 * non-blocking, when pid (LISTEN_PID) is this process and fds (LISTEN_FDS) says
 * that there is one: 0 and *fd, which is -1 when none is handed over. -1 and
 * ERR_CONFIG when it is not a listening stream socket.
 */
int listen_inherited(const char *pid, const char *fds, int *fd, struct err *e);
/* Does what the socket is bound to reach this machine alone? */
bool listen_local_fd(int fd);

#endif
