#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define BACKLOG 1024
#define FIRST_FD 3

/* Split "HOST:PORT"; host gets "" for all addresses. */
static int
split(const char *address, char host[256], char port[8])
{
	const char *colon = strrchr(address, ':'), *from = address;
	size_t n;

	if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -1;
	n = (size_t)(colon - address);
	if (n > 1 && from[0] == '[' && from[n - 1] == ']') {
		from++;
		n -= 2;
	} else if (memchr(from, ':', n) != NULL)
		return -1;
	if (n > 255 || strtol(colon + 1, NULL, 10) > 65535)
		return -1;
	memcpy(host, from, n);
	host[n] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

/* A socket file whose server is gone is in the way; any other file is not ours to remove. */
static void
unlink_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int fd;

	if (stat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	if (connect(fd, (const void *)a, sizeof *a) < 0 && errno == ECONNREFUSED)
		(void)unlink(a->sun_path);
	(void)close(fd);
}

static int
open_unix(const char *name, char **path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd;

	if (name[0] == '\0' || strlen(name) >= sizeof a.sun_path)
		return err_set(e, ERR_USAGE, "unix:%s: a path of 1 to %zu bytes is needed", name,
			sizeof a.sun_path - 1);
	strcpy(a.sun_path, name);
	unlink_stale(&a);
	if ((*path = mem_strdup(name, e)) == NULL)
		return -1;
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
	    bind(fd, (const void *)&a, sizeof a) < 0 || chmod(name, 0660) < 0 || listen(fd, BACKLOG) < 0) {
		err_sys(e, ERR_UNAVAILABLE, "unix:%s", name);
		if (fd >= 0)
			(void)close(fd);
		free(*path);
		*path = NULL;
		return -1;
	}
	return fd;
}

int
listen_open(const char *address, char **path, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list, *a;
	char host[256], port[8];
	int fd = -1, on = 1, r;

	*path = NULL;
	if (strncmp(address, "unix:", 5) == 0)
		return open_unix(address + 5, path, e);
	if (split(address, host, port) < 0)
		return err_set(e, ERR_USAGE, "%s: an address is HOST:PORT, [V6]:PORT, :PORT or unix:PATH", address);
	if ((r = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &list)) != 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", address, gai_strerror(r));
	for (a = list; a != NULL && fd < 0; a = a->ai_next) {
		if ((fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
			err_sys(e, ERR_UNAVAILABLE, "%s", address);
			(void)close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0 && e != NULL && e->code == ERR_NONE)
		err_sys(e, ERR_UNAVAILABLE, "%s", address);
	return fd;
}

unsigned
listen_port(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;

	if (getsockname(fd, (void *)&a, &n) < 0)
		return 0;
	if (a.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)(void *)&a)->sin_port);
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)(void *)&a)->sin6_port);
	return 0;
}

bool
listen_local(const char *address)
{
	char host[256], port[8];
	struct in_addr v4;

	if (strncmp(address, "unix:", 5) == 0)
		return true;
	if (split(address, host, port) < 0)
		return false;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

bool
listen_local_fd(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;

	if (getsockname(fd, (void *)&a, &n) < 0)
		return false;
	if (a.ss_family == AF_INET)
		return (ntohl(((struct sockaddr_in *)(void *)&a)->sin_addr.s_addr) >> 24) == 127;
	if (a.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)(void *)&a)->sin6_addr);
	return a.ss_family == AF_UNIX;
}

int
listen_inherited(const char *pid, const char *fds, int *fd, struct err *e)
{
	int type = 0, listening = 0, flags;
	socklen_t n = sizeof type;

	*fd = -1;
	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != (long)getpid() || strtol(fds, NULL, 10) < 1)
		return 0;
	if (getsockopt(FIRST_FD, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM ||
	    getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 || !listening)
		return err_set(e, ERR_CONFIG, "LISTEN_FDS: descriptor %d is not a listening stream socket", FIRST_FD);
	/* A thread that waits in accept for a client that another thread took would never come back. */
	if ((flags = fcntl(FIRST_FD, F_GETFL)) < 0 || fcntl(FIRST_FD, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, ERR_CONFIG, "LISTEN_FDS: descriptor %d", FIRST_FD);
	*fd = FIRST_FD;
	return 0;
}
