#include "serve/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

int
notify_send(const char *socket_name, const char *state, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = socket_name == NULL ? 0 : strlen(socket_name);
	ssize_t sent;
	int fd;

	if (n == 0)
		return 0;
	if ((socket_name[0] != '/' && socket_name[0] != '@') || n < 2 || n >= sizeof a.sun_path)
		return err_set(e, ERR_CONFIG, "NOTIFY_SOCKET=%s: not an absolute path and no abstract name", socket_name);
	memcpy(a.sun_path, socket_name, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return err_sys(e, ERR_UNAVAILABLE, "NOTIFY_SOCKET");
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const void *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	if (sent < 0)
		err_sys(e, ERR_UNAVAILABLE, "NOTIFY_SOCKET=%s", socket_name);
	(void)close(fd);
	return sent < 0 ? -1 : 0;
}

int
notify_reloading(const char *socket_name, struct err *e)
{
	char state[64];

	(void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_mono_ns() / 1000));
	return notify_send(socket_name, state, e);
}
