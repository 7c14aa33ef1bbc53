/*
 * httpcases - what an HTTP server answers to requests that it should not trust, over raw sockets.
 *
 *   httpcases SOCKET table     each case of the table below against the server, as TAP
 *   httpcases SOCKET idle N    N connections that have asked once and stay; then a probe and a request
 *
 * SOCKET is the path of a unix socket. The server runs with a header time-out
 * of 1 s, a body time-out of 1.5 s and an idle time-out of 2 s.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BODY "{\"prompt\":\"hi\"}"
#define POST "POST /v1/route HTTP/1.1\r\nHost: x\r\n"
#define LEN "Content-Length: 15\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define CHUNKS "f\r\n" BODY "\r\n0\r\n\r\n"

enum after { OPEN, CLOSED };
struct test {
	const char *name, *head, *body;
	size_t fill;		/* times that fill_with is put between the two */
	const char *fill_with;
	const char *want;	/* statuses in order, blank between them */
	enum after after;
	size_t drip;		/* bytes of head that are sent one by one, 0.2 s apart */
	double least, most;	/* seconds until it is closed; 0: not looked at */
};
static const struct test tests[] = {
	{ "a plain request", POST LEN "\r\n", BODY, 0, "", "200", OPEN, 0, 0, 0 },
	{ "Content-Length and Transfer-Encoding", POST LEN CHUNKED "\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Transfer-Encoding and Content-Length", POST CHUNKED LEN "\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "two Content-Lengths", POST LEN "Content-Length: 5\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "the same Content-Length twice", POST LEN LEN "\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Content-Length: +15", POST "Content-Length: +15\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Content-Length: -1", POST "Content-Length: -1\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Content-Length: 15, 15", POST "Content-Length: 15, 15\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Content-Length: 0x0f", POST "Content-Length: 0x0f\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Content-Length of 1e20", POST "Content-Length: 100000000000000000000\r\n\r\n", BODY, 0, "", "413", CLOSED, 0, 0, 0 },
	{ "Content-Length of 1e12", POST "Content-Length: 1000000000000\r\n\r\n", BODY, 0, "", "413", CLOSED, 0, 0, 0 },
	{ "an empty name", POST LEN ": v\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "a blank before the colon", POST LEN "a : v\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "a control byte in a value", POST LEN "a: x\001y\r\n\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "no Host", "POST /v1/route HTTP/1.1\r\n" LEN "\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "two Hosts", POST "Host: y\r\n" LEN "\r\n", BODY, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Transfer-Encoding: gzip", POST "Transfer-Encoding: gzip\r\n\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Transfer-Encoding: gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Transfer-Encoding: xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "Transfer-Encoding twice", POST CHUNKED CHUNKED "\r\n", CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "chunked", POST CHUNKED "\r\n", CHUNKS, 0, "", "200", OPEN, 0, 0, 0 },
	{ "a chunk's size that is no number", POST CHUNKED "\r\n", "zz\r\n" CHUNKS, 0, "", "400", CLOSED, 0, 0, 0 },
	{ "a chunk of 2^72", POST CHUNKED "\r\n", "ffffffffffffffffff\r\n" BODY, 0, "", "413", CLOSED, 0, 0, 0 },
	{ "three requests in one go", POST LEN "\r\n" BODY POST LEN "\r\n" BODY POST LEN "\r\n", BODY, 0, "", "200 200 200", OPEN, 0, 0, 0 },
	{ "Expect: 100-continue", POST LEN "Expect: 100-continue\r\n\r\n", BODY, 0, "", "100 200", OPEN, 0, 0, 0 },
	{ "a header of 20 KiB", POST LEN "a: ", "\r\n\r\n" BODY, 20000, "x", "431", CLOSED, 0, 0, 0 },
	{ "a header of 100 KiB", POST LEN "a: ", "\r\n\r\n" BODY, 100000, "x", "431", CLOSED, 0, 0, 0 },
	{ "a thousand headers", POST LEN, "\r\n" BODY, 1000, "h: x\r\n", "431", CLOSED, 0, 0, 0 },
	{ "a body of 2 MB", POST "Content-Length: 2000000\r\n\r\n", "", 2000000, "x", "413", CLOSED, 0, 0, 0 },
	{ "a chunked body of 2 MB", POST CHUNKED "\r\n", "0\r\n\r\n", 200000, "a\r\n0123456789\r\n", "413", CLOSED, 0, 0, 0 },
	{ "a method in small letters", "post /v1/route HTTP/1.1\r\nHost: x\r\n" LEN "\r\n", BODY, 0, "", "405", OPEN, 0, 0, 0 },
	{ "HTTP/0.9", "GET /\r\n\r\n", "", 0, "", "400", CLOSED, 0, 0, 0 },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", "", 0, "", "505", CLOSED, 0, 0, 0 },
	{ "HTTP/1.0 closes", "POST /v1/route HTTP/1.0\r\n" LEN "\r\n", BODY, 0, "", "200", CLOSED, 0, 0, 0 },
	{ "Connection: close closes", POST LEN "Connection: close\r\n\r\n", BODY, 0, "", "200", CLOSED, 0, 0, 0 },
	{ "a header that drips", POST LEN "a: xxxxxxxxxxxxxxxxxxxx\r\n\r\n", BODY, 0, "", "408", CLOSED, 60, 0.9, 2.5 },
	{ "a body that stalls", POST "Content-Length: 100\r\n\r\n", BODY, 0, "", "408", CLOSED, 0, 1.4, 3 },
	{ "a connection that says nothing", "", "", 0, "", "408", CLOSED, 0, 0.9, 2.5 },
	{ "an idle connection", POST LEN "\r\n", BODY, 0, "", "200", CLOSED, 0, 1.9, 3.5 },
	/* What the library does not let us refuse; the man page says so. */
	{ "a folded line passes", POST LEN "a: x\r\n y\r\n\r\n", BODY, 0, "", "200", OPEN, 0, 0, 0 },
	{ "bare LF passes", "POST /v1/route HTTP/1.1\nHost: x\nContent-Length: 15\n\n", BODY, 0, "", "200", OPEN, 0, 0, 0 },
};
#define N_TESTS (sizeof tests / sizeof tests[0])

static const char *socket_path;

struct outcome {
	char status[64];	/* those of the lines that begin an answer */
	bool closed;
	double seconds;
};

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(a.sun_path, socket_path, sizeof a.sun_path - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Statuses of the answers in a text whose bodies hold no status line. */
static void
read_statuses(const char *text, char out[64])
{
	out[0] = '\0';
	for (const char *p = text; (p = strstr(p, "HTTP/1.1 ")) != NULL; p += 9) {
		if (strlen(out) + 5 >= 64 || (p != text && p[-1] != '\n' && p[-1] != '}'))
			continue;
		if (out[0] != '\0')
			strcat(out, " ");
		strncat(out, p + 9, 3);
	}
}

/* Read until the peer closes, seconds have passed, or (once) something came; more is read into text as it fits. */
static void
drain(int fd, double seconds, bool once, char *text, size_t cap, size_t *n, struct outcome *o)
{
	double until = now() + seconds;
	char b[65536];

	while (!o->closed && now() < until) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t k;

		if (poll(&p, 1, (int)((until - now()) * 1000) + 1) <= 0)
			continue;
		k = recv(fd, b, sizeof b, 0);
		if (k <= 0) {
			o->closed = true;
			break;
		}
		if (*n + (size_t)k < cap) {
			memcpy(text + *n, b, (size_t)k);
			*n += (size_t)k;
			text[*n] = '\0';
		}
		if (once)
			return;
	}
}

static bool
put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

struct job {
	const struct test *t;
	struct outcome o;
	pthread_t thread;
};

static void *
ask(void *arg)
{
	struct job *j = arg;
	const struct test *t = j->t;
	char *text = calloc(1, 1 << 16);
	size_t n = 0, head = strlen(t->head), fill = strlen(t->fill_with);
	double start = now();
	int fd = dial();
	bool ok = fd >= 0 && text != NULL;

	if (!ok) {
		free(text);
		return NULL;
	}
	for (size_t i = 0; i < t->drip && !j->o.closed && ok; i++) {
		ok = put(fd, t->head + i, 1);
		drain(fd, 0.2, false, text, 1 << 16, &n, &j->o);
	}
	if (t->drip == 0) {
		char *block = malloc(fill * 1000 + 1);

		ok = put(fd, t->head, head);
		for (size_t i = 0; block != NULL && i < 1000; i++)
			memcpy(block + i * fill, t->fill_with, fill);
		for (size_t i = 0; block != NULL && ok && i < t->fill; i += 1000)
			ok = put(fd, block, fill * (t->fill - i < 1000 ? t->fill - i : 1000));
		ok = ok && put(fd, t->body, strlen(t->body));
		free(block);
	}
	drain(fd, t->after == OPEN ? 0.7 : 5, false, text, 1 << 16, &n, &j->o);
	j->o.seconds = now() - start;
	read_statuses(text, j->o.status);
	close(fd);
	free(text);
	return NULL;
}

static int
table(void)
{
	static struct job jobs[N_TESTS];
	int failed = 0;

	for (size_t i = 0; i < N_TESTS; i++) {
		jobs[i].t = &tests[i];
		if (pthread_create(&jobs[i].thread, NULL, ask, &jobs[i]) != 0)
			return 99;
	}
	for (size_t i = 0; i < N_TESTS; i++) {
		const struct test *t = &tests[i];
		const struct outcome *o = &jobs[i].o;
		bool ok;

		(void)pthread_join(jobs[i].thread, NULL);
		/* The library answers some of what it refuses by itself twice over. */
		ok = strncmp(o->status, t->want, strlen(t->want)) == 0 && (t->after == CLOSED) == o->closed &&
			(strlen(o->status) == strlen(t->want) || strncmp(o->status + strlen(t->want) + 1, t->want, 3) == 0) &&
			(t->most <= 0 || (o->seconds >= t->least && o->seconds <= t->most + 3));
		printf("%sok - %s: %s, %s\n", ok ? "" : "not ", t->name, t->want, t->after == OPEN ? "open" : "closed");
		if (!ok)
			printf("# got '%s', %s after %.2f s\n", o->status, o->closed ? "closed" : "open", o->seconds);
		failed += !ok;
	}
	return failed > 0;
}

/* One request on an open connection; the answer's status, 0 none within two seconds. */
static int
status_of(int fd, const char *request)
{
	char text[8192] = "", status[64];
	struct outcome o = { .closed = false };
	size_t n = 0;
	double until = now() + 2;

	if (!put(fd, request, strlen(request)))
		return 0;
	while (!o.closed && now() < until && strstr(text, "}") == NULL)
		drain(fd, until - now(), true, text, sizeof text, &n, &o);
	read_statuses(text, status);
	return atoi(status);
}

static int
idle(long many)
{
	static const char probe[] = "GET /_health/ready HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char route[] = POST LEN "\r\n" BODY;
	long opened = 0, answered = 0;
	double start;
	int fd, code;

	for (; opened < many; opened++) {
		if ((fd = dial()) < 0)
			break;
		answered += status_of(fd, route) == 200;
	}
	printf("%sok - %ld of %ld connections were opened\n", opened == many ? "" : "not ", opened, many);
	printf("%sok - %ld of them were answered\n", answered == opened ? "" : "not ", answered);
	start = now();
	fd = dial();
	code = fd < 0 ? 0 : status_of(fd, probe);
	printf("%sok - a probe beside them is answered within 2 s: %d after %.0f ms\n", code == 200 ? "" : "not ", code,
		(now() - start) * 1e3);
	fd = dial();
	code = fd < 0 ? 0 : status_of(fd, route);
	printf("%sok - and a request: %d\n", code == 200 ? "" : "not ", code);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	socket_path = argv[1];
	return strcmp(argv[2], "table") == 0 ? table() : idle(argc > 3 ? atol(argv[3]) : 1000);
}
