/*
 * openloop - requests at a fixed rate over kept-alive connections, with reloads in between.
 *
 *   openloop PORT RATE SECONDS RELOADS [KEY]
 *
 * Each request has its time in the schedule, and its latency is counted from
 * there, so that a server that stalls is not spared. 64 connections, a thread
 * each. RELOADS times, evenly spread, POST /router/reload is asked beside them.
 * Failures are counted by kind; an idle connection that was found closed before
 * sending is counted apart and opened again, once. Prints one line:
 * sent, ok, kinds of failures, closed, P50 and P99 near a reload (300 ms) and else.
 */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS 64
#define NEAR_NS 300000000LL

struct one {
	long long due, took;	/* ns; took < 0: failed */
};
static struct {
	unsigned short port;
	double rate;
	long n, reloads;
	const char *key;
	long long start, reload_at[1000];
	struct one *v;
	long connect, reset, status, closed[CONNS];
	pthread_mutex_t lock;
} run = { .lock = PTHREAD_MUTEX_INITIALIZER };

static long long
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
until(long long due)
{
	struct timespec t = { due / 1000000000, due % 1000000000 };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int
dial(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(run.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Send, read one whole answer; its status, 0 on a reset. */
static int
ask(int fd, const char *request, size_t n)
{
	char b[16384], *end, *p;
	size_t got = 0, length = 0;

	if (send(fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
		return 0;
	for (;;) {
		ssize_t k = recv(fd, b + got, sizeof b - 1 - got, 0);

		if (k <= 0)
			return 0;
		got += (size_t)k;
		b[got] = '\0';
		if ((end = strstr(b, "\r\n\r\n")) == NULL)
			continue;
		if ((p = strstr(b, "Content-Length: ")) != NULL)
			length = strtoul(p + 16, NULL, 10);
		if (got >= (size_t)(end + 4 - b) + length)
			return atoi(b + 9);
	}
}

static void
count(long *what)
{
	pthread_mutex_lock(&run.lock);
	++*what;
	pthread_mutex_unlock(&run.lock);
}

static void *
work(void *arg)
{
	long k = (long)arg;
	char request[2048], body[1024], pad[901], c;
	int n, fd = -1, status;

	memset(pad, 'x', sizeof pad - 1);
	pad[sizeof pad - 1] = '\0';
	n = snprintf(body, sizeof body, "{\"prompt\":\"a question number 7 of 49\",\"metadata\":{\"pad\":\"%s\"}}", pad);
	n = snprintf(request, sizeof request, "POST /v1/route HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
		"Content-Length: %d\r\n\r\n%s", run.key, n, body);
	for (long i = k; i < run.n; i += CONNS) {
		struct one *o = &run.v[i];

		o->due = run.start + (long long)((double)i / run.rate * 1e9);
		o->took = -1;
		until(o->due);
		if (fd >= 0 && recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
			run.closed[k]++;
			close(fd);
			fd = -1;
		}
		if (fd < 0 && (fd = dial()) < 0) {
			count(&run.connect);
			continue;
		}
		if ((status = ask(fd, request, (size_t)n)) == 200)
			o->took = now() - o->due;
		else {
			count(status == 0 ? &run.reset : &run.status);
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

static double
quantile(long long *v, size_t n, double q)
{
	return n == 0 ? 0 : (double)v[(size_t)((double)(n - 1) * q)] / 1e3;
}

static bool
near_reload(long long t)
{
	for (long i = 0; i < run.reloads; i++) {
		if (t >= run.reload_at[i] && t < run.reload_at[i] + NEAR_NS)
			return true;
	}
	return false;
}

int
main(int argc, char **argv)
{
	double seconds;
	long good = 0, reloaded = 0, closed = 0;
	pthread_t t[CONNS];
	char request[256];
	long long *near, *far;
	size_t n_near = 0, n_far = 0;

	if (argc < 5)
		return 64;
	run.port = (unsigned short)atoi(argv[1]);
	run.rate = atof(argv[2]);
	seconds = atof(argv[3]);
	run.reloads = atol(argv[4]);
	run.key = argc > 5 ? argv[5] : "none";
	run.n = (long)(run.rate * seconds);
	run.v = calloc((size_t)run.n + 1, sizeof *run.v);
	near = calloc((size_t)run.n + 1, sizeof *near);
	far = calloc((size_t)run.n + 1, sizeof *far);
	if (run.v == NULL || near == NULL || far == NULL || run.reloads > 1000)
		return 69;
	run.start = now() + 200000000;
	for (long k = 0; k < CONNS; k++) {
		if (pthread_create(&t[k], NULL, work, (void *)k) != 0)
			return 69;
	}
	for (long i = 0; i < run.reloads; i++) {
		int n = snprintf(request, sizeof request, "POST /router/reload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
			"Content-Length: 0\r\n\r\n", run.key), fd;

		until(run.start + (long long)((seconds * ((double)i + 0.5) / (double)run.reloads) * 1e9));
		run.reload_at[i] = now();
		if ((fd = dial()) >= 0) {
			reloaded += ask(fd, request, (size_t)n) == 200;
			close(fd);
		}
	}
	for (int k = 0; k < CONNS; k++)
		(void)pthread_join(t[k], NULL);
	for (int k = 0; k < CONNS; k++)
		closed += run.closed[k];
	for (long i = 0; i < run.n; i++) {
		if (run.v[i].took < 0)
			continue;
		good++;
		if (near_reload(run.v[i].due))
			near[n_near++] = run.v[i].took;
		else
			far[n_far++] = run.v[i].took;
	}
	qsort(near, n_near, sizeof *near, compare);
	qsort(far, n_far, sizeof *far, compare);
	printf("{\"sent\":%ld,\"ok\":%ld,\"connect\":%ld,\"reset\":%ld,\"status\":%ld,\"idle_closed\":%ld,\"reloaded\":%ld,"
		"\"near_p50_us\":%.0f,\"near_p99_us\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", run.n, good, run.connect, run.reset,
		run.status, closed, reloaded, quantile(near, n_near, 0.5), quantile(near, n_near, 0.99), quantile(far, n_far, 0.5),
		quantile(far, n_far, 0.99));
	return 0;
}
