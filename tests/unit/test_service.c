/* What a service manager asks of serve: notifications, and sockets that it hands over. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve/listen.h"
#include "serve/notify.h"

static int
receiver(const char *name, size_t n)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(a.sun_path, name, n);
	cr_assert_eq(bind(fd, (const void *)&a, (socklen_t)(sizeof a.sun_family + n)), 0);
	return fd;
}

static const char *
received(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

Test(notify, path_and_abstract_sockets)
{
	char dir[] = "/tmp/llmr-notify-XXXXXX", path[64], name[64];
	struct err e = ERR_INIT;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/n", dir);
	fd = receiver(path, strlen(path));
	cr_assert_eq(notify_send(path, "READY=1", &e), 0, "%s", e.msg);
	cr_assert_str_eq(received(fd), "READY=1");
	cr_assert_eq(notify_reloading(path, &e), 0);
	cr_assert_eq(strncmp(received(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	close(fd);
	unlink(path);
	rmdir(dir);
	snprintf(name, sizeof name, "@llmr-notify-%ld", (long)getpid());
	name[0] = '\0';
	fd = receiver(name, 1 + strlen(name + 1));
	name[0] = '@';
	cr_assert_eq(notify_send(name, "STOPPING=1", &e), 0, "%s", e.msg);
	cr_assert_str_eq(received(fd), "STOPPING=1");
	close(fd);
}

Test(notify, no_socket_and_bad_ones)
{
	struct err e = ERR_INIT;

	cr_assert_eq(notify_send(NULL, "READY=1", &e), 0);
	cr_assert_eq(notify_send("", "READY=1", &e), 0);
	cr_assert_eq(notify_send("relative", "READY=1", &e), -1);
	cr_assert_eq(e.code, ERR_CONFIG);
	e = (struct err)ERR_INIT;
	cr_assert_eq(notify_send("/nonexistent/socket", "READY=1", &e), -1);
	cr_assert_eq(e.code, ERR_UNAVAILABLE);
}

/* In a child, with fd (-1: nothing) as descriptor 3: what listen_inherited says. */
static int
inherited(int fd, const char *fds, bool mine)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct err e = ERR_INIT;
		char me[24];
		int got = 7;

		snprintf(me, sizeof me, "%ld", (long)getpid() + !mine);
		if (fd < 0)
			close(3);
		else if (fd != 3)
			dup2(fd, 3);
		if (listen_inherited(me, fds, &got, &e) < 0)
			_exit(e.code);
		if (got == 3 && (fcntl(3, F_GETFL) & O_NONBLOCK) == 0)
			_exit(99);
		_exit(got == 3 ? (listen_local_fd(3) ? 4 : 3) : got == -1 ? 0 : 98);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

Test(listen, sockets_handed_over)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int loop = socket(AF_INET, SOCK_STREAM, 0), all = socket(AF_INET, SOCK_STREAM, 0);
	int idle = socket(AF_INET, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0);

	cr_assert_eq(bind(loop, (const void *)&a, sizeof a) | listen(loop, 1), 0);
	a.sin_addr.s_addr = htonl(INADDR_ANY);
	cr_assert_eq(bind(all, (const void *)&a, sizeof a) | listen(all, 1), 0);
	cr_assert_eq(inherited(loop, "1", true), 4, "a loopback socket, made non-blocking");
	cr_assert_eq(inherited(all, "1", true), 3, "a socket for all addresses is not local");
	cr_assert_eq(inherited(loop, "1", false), 0, "for another process");
	cr_assert_eq(inherited(loop, "0", true), 0, "none");
	cr_assert_eq(inherited(idle, "1", true), ERR_CONFIG, "not listening");
	cr_assert_eq(inherited(datagram, "1", true), ERR_CONFIG, "no stream");
	cr_assert_eq(inherited(-1, "1", true), ERR_CONFIG, "not open");
	close(loop);
	close(all);
	close(idle);
	close(datagram);
}
