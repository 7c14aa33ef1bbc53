/*
 * servetool - what the tests of serve need around it: an upstream that
 * misbehaves on request, and clients that count what they are given.
 *
 *   servetool upstream               prints its port; the first folder of a path says how it behaves:
 *       ok, slow (a stream of 2 s), cut (breaks off half-way), early (closes after the head), reset,
 *       stall (never answers), drip (a byte every 2 ms), html, notjson, 429, 500, once500 (500 to every other request)
 *   servetool load PORT SECONDS RATE CONNECTIONS [KEY]   POST /v1/route at so many a second in all
 *   servetool streams PORT N MODEL [KEY]                 N streamed chat completions at once
 *   servetool idle PORT N            makes N connections idle after a request, says so, holds them until
 *                                    standard input ends
 *   servetool mutate IN OUT SEED     a copy of IN with random damage
 *
 * load prints  sent=N ok=N failed=N closed=N p50_us=N p99_us=N models=NAME:N,...
 * SIGINT ends a load early. closed counts keep-alive connections that the server ended; streams prints  whole=N cut=N refused=N.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long long
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void
sleep_us(long long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (us > 0 && nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static bool
put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0)
			return false;
		p += w;
		n -= (size_t)w;
	}
	return true;
}

/* A whole message: head, and a body of Content-Length or chunked. Its length, 0 at the end, -1 broken. */
static ssize_t
get(int fd, char *p, size_t max)
{
	size_t n = 0, head = 0, want = 0;
	bool chunked = false;

	for (;;) {
		ssize_t r;

		p[n] = '\0';
		if (head == 0) {
			char *end = strstr(p, "\r\n\r\n"), *l;

			if (end != NULL) {
				head = (size_t)(end - p) + 4;
				l = strcasestr(p, "\r\ncontent-length:");
				want = head + (l != NULL && l < end ? strtoul(l + 17, NULL, 10) : 0);
				l = strcasestr(p, "\r\ntransfer-encoding: chunked");
				chunked = l != NULL && l < end;
			}
		}
		if (head > 0 && (chunked ? n >= head + 5 && memcmp(p + n - 5, "0\r\n\r\n", 5) == 0 : n >= want))
			return (ssize_t)n;
		if (n + 1 >= max || (r = recv(fd, p + n, max - n - 1, 0)) < 0)
			return -1;
		if (r == 0)
			return n == 0 ? 0 : -1;
		n += (size_t)r;
	}
}

/* ---- the upstream ---- */

#define ANSWER "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," \
	"\"message\":{\"role\":\"assistant\",\"content\":\"Hello from %s\"},\"finish_reason\":\"stop\"}]," \
	"\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}}"

static atomic_uint turn;

static bool
reply(int fd, const char *status, const char *type, const char *body)
{
	char head[256];

	snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, type,
		strlen(body));
	return put(fd, head, strlen(head)) && put(fd, body, strlen(body));
}

static bool
chunk(int fd, const char *text)
{
	char b[512];

	snprintf(b, sizeof b, "%zx\r\n%s\r\n", strlen(text), text);
	return put(fd, b, strlen(b));
}

static bool
stream(int fd, int pieces, long long pause_us, bool cut)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

	if (!put(fd, head, sizeof head - 1))
		return false;
	for (int i = 0; i < pieces; i++) {
		if (!chunk(fd, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n"))
			return false;
		sleep_us(pause_us);
		if (cut && i == pieces / 2)
			return false;
	}
	return chunk(fd, "data: [DONE]\n\n") && put(fd, "0\r\n\r\n", 5);
}

static bool
misbehave(int fd, const char *mode, bool streamed, const char *answer)
{
	char head[256];

	if (strcmp(mode, "429") == 0)
		return reply(fd, "429 Too Many Requests", "application/json", "{\"error\":{\"message\":\"slow down\"}}");
	if (strcmp(mode, "500") == 0 || (strcmp(mode, "once500") == 0 && atomic_fetch_add(&turn, 1) % 2 == 0))
		return reply(fd, "500 Internal Server Error", "application/json", "{\"error\":{\"message\":\"broken\"}}");
	if (strcmp(mode, "html") == 0)
		return reply(fd, "200 OK", "text/html", "<html><body>Sign in</body></html>");
	if (strcmp(mode, "notjson") == 0)
		return reply(fd, "200 OK", "application/json", "{\"choices\":[");
	if (strcmp(mode, "stall") == 0) {
		sleep_us(60000000);
		return false;
	}
	if (strcmp(mode, "reset") == 0) {
		struct linger l = { 1, 0 };

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		return false;
	}
	if (strcmp(mode, "early") == 0) {
		snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n");
		put(fd, head, strlen(head));
		return false;
	}
	if (strcmp(mode, "cut") == 0) {
		if (streamed)
			return stream(fd, 6, 1000, true);
		snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			strlen(answer));
		put(fd, head, strlen(head));
		put(fd, answer, strlen(answer) / 2);
		return false;
	}
	if (strcmp(mode, "drip") == 0) {
		snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			strlen(answer));
		put(fd, head, strlen(head));
		for (const char *p = answer; *p != '\0'; p++, sleep_us(2000))
			if (!put(fd, p, 1))
				return false;
		return true;
	}
	if (streamed)
		return stream(fd, strcmp(mode, "slow") == 0 ? 40 : 5, strcmp(mode, "slow") == 0 ? 50000 : 1000, false);
	return reply(fd, "200 OK", "application/json", answer);
}

static void *
upstream_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *p = malloc(1 << 20), mode[32], answer[1024];

	while (p != NULL && get(fd, p, 1 << 20) > 0) {
		const char *path = strchr(p, '/');
		size_t n = path == NULL ? 0 : strcspn(path + 1, "/ ");

		snprintf(mode, sizeof mode, "%.*s", (int)n, path == NULL ? "" : path + 1);
		snprintf(answer, sizeof answer, ANSWER, mode);
		if (!misbehave(fd, mode, strstr(p, "\"stream\":true") != NULL, answer))
			break;
	}
	free(p);
	close(fd);
	return NULL;
}

static int
detach(void *(*fn)(void *), void *arg)
{
	pthread_attr_t a;
	pthread_t t;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256 * 1024);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	return pthread_create(&t, &a, fn, arg);
}

static int
upstream(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), c;

	if (bind(fd, (void *)&a, sizeof a) < 0 || listen(fd, 1024) < 0 || getsockname(fd, (void *)&a, &n) < 0)
		return 1;
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		if ((c = accept(fd, NULL, NULL)) < 0)
			continue;
		if (detach(upstream_one, (void *)(intptr_t)c) != 0)
			close(c);
	}
}

/* ---- clients ---- */

static atomic_bool enough;

static void
on_int(int sig)
{
	(void)sig;
	atomic_store(&enough, true);
}

static int
dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { 20, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	a.sin_port = htons((uint16_t)port);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (void *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

struct client {
	pthread_t thread;
	int port;
	long long until, gap_us;
	const char *request;
	size_t sent, ok, failed, closed, whole, cut, refused, n_us;
	uint32_t *us;
	char model[8][96];
	size_t count[8];
};

static void
tally(struct client *c, const char *answer)
{
	const char *m = strstr(answer, "\"model\":\"");
	size_t n = m == NULL ? 0 : strcspn(m + 9, "\"");

	for (int i = 0; m != NULL && n < 96 && i < 8; i++) {
		if (c->count[i] == 0)
			snprintf(c->model[i], sizeof c->model[i], "%.*s", (int)n, m + 9);
		if (strncmp(c->model[i], m + 9, n) == 0 && c->model[i][n] == '\0') {
			c->count[i]++;
			return;
		}
	}
}

static void *
load_one(void *arg)
{
	struct client *c = arg;
	char *p = malloc(1 << 16);
	long long next = now_us();
	int fd = -1;

	while (now_us() < c->until && !atomic_load(&enough)) {
		long long t;
		bool fresh = false;
		ssize_t n;

		sleep_us(next - now_us());
		next += c->gap_us;
		if (fd < 0) {
			fd = dial(c->port);
			fresh = true;
		}
		t = now_us();
		c->sent++;
		if (fd < 0 || !put(fd, c->request, strlen(c->request)) || (n = get(fd, p, 1 << 16)) <= 0) {
			c->failed++;
			c->closed += !fresh;
			if (fd >= 0)
				close(fd);
			fd = -1;
			continue;
		}
		if (strncmp(p, "HTTP/1.1 200", 12) != 0)
			c->failed++;
		else {
			c->ok++;
			tally(c, p);
			if (c->n_us < 1000000)
				c->us[c->n_us++] = (uint32_t)(now_us() - t);
		}
		if (strcasestr(p, "\r\nconnection: close") != NULL) {
			c->closed++;
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	free(p);
	return NULL;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
load(int port, double seconds, double rate, int n, const char *key)
{
	static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Write a Python function that reverses a string\"}]}";
	struct client *c = calloc((size_t)n, sizeof *c), all = { 0 };
	uint32_t *us = malloc((size_t)n * 1000000 * sizeof *us);
	char request[1024];

	signal(SIGINT, on_int);
	snprintf(request, sizeof request, "POST /v1/route HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
		"Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s", key, sizeof body - 1, body);
	for (int i = 0; i < n; i++) {
		c[i] = (struct client){ .port = port, .until = now_us() + (long long)(seconds * 1e6), .request = request,
			.gap_us = (long long)(1e6 * n / rate), .us = us + (size_t)i * 1000000 };
		pthread_create(&c[i].thread, NULL, load_one, &c[i]);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(c[i].thread, NULL);
		all.sent += c[i].sent;
		all.ok += c[i].ok;
		all.failed += c[i].failed;
		all.closed += c[i].closed;
		memmove(us + all.n_us, c[i].us, c[i].n_us * sizeof *us);
		all.n_us += c[i].n_us;
		for (int k = 0; k < 8; k++)
			for (int j = 0; j < 8 && c[i].count[k] > 0; j++)
				if (all.count[j] == 0 || strcmp(all.model[j], c[i].model[k]) == 0) {
					strcpy(all.model[j], c[i].model[k]);
					all.count[j] += c[i].count[k];
					break;
				}
	}
	qsort(us, all.n_us, sizeof *us, by_value);
	printf("sent=%zu ok=%zu failed=%zu closed=%zu p50_us=%u p99_us=%u models=", all.sent, all.ok, all.failed, all.closed,
		all.n_us == 0 ? 0 : us[all.n_us / 2], all.n_us == 0 ? 0 : us[all.n_us * 99 / 100]);
	for (int j = 0; j < 8 && all.count[j] > 0; j++)
		printf("%s%s:%zu", j == 0 ? "" : ",", all.model[j], all.count[j]);
	printf("\n");
	return all.failed > 0;
}

static void *
stream_one(void *arg)
{
	struct client *c = arg;
	char *p = malloc(1 << 20);
	int fd = dial(c->port);

	if (fd < 0 || !put(fd, c->request, strlen(c->request)))
		c->refused = 1;
	else if (get(fd, p, 1 << 20) <= 0 || strstr(p, "[DONE]") == NULL)
		c->cut = 1;
	else
		c->whole = 1;
	if (fd >= 0)
		close(fd);
	free(p);
	return NULL;
}

static int
streams(int port, int n, const char *model, const char *key)
{
	struct client *c = calloc((size_t)n, sizeof *c), all = { 0 };
	char request[1024], body[512];

	snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", model);
	snprintf(request, sizeof request, "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
		"Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s", key, strlen(body), body);
	for (int i = 0; i < n; i++) {
		c[i] = (struct client){ .port = port, .request = request };
		pthread_create(&c[i].thread, NULL, stream_one, &c[i]);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(c[i].thread, NULL);
		all.whole += c[i].whole;
		all.cut += c[i].cut;
		all.refused += c[i].refused;
	}
	printf("whole=%zu cut=%zu refused=%zu\n", all.whole, all.cut, all.refused);
	return all.whole != (size_t)n;
}

static int
idle(int port, int n)
{
	struct rlimit r = { (rlim_t)n + 64, (rlim_t)n + 64 };
	int open = 0;

	setrlimit(RLIMIT_NOFILE, &r);
	for (int i = 0; i < n; i++) {
		static const char request[] = "GET /_health/live HTTP/1.1\r\nHost: t\r\n\r\n";
		char answer[1024];
		int fd = dial(port);

		open += fd >= 0 && put(fd, request, sizeof request - 1) && get(fd, answer, sizeof answer) > 0;
	}
	printf("%d\n", open);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

static int
mutate(const char *in, const char *out, unsigned seed)
{
	FILE *f = fopen(in, "rb");
	unsigned char *p = malloc(1 << 26);
	size_t n = f == NULL ? 0 : fread(p, 1, 1 << 26, f), at;
	long times;

	if (n == 0)
		return 1;
	srandom(seed);
	at = (size_t)random() % n;
	switch (random() % 6) {
	case 0:
		n = at;
		break;
	case 1:		/* in the head, where the meaning is */
		p[(size_t)random() % (n < 4096 ? n : 4096)] = (unsigned char)random();
		break;
	case 2:
		for (times = 1 + random() % 64; times > 0; times--)
			p[(size_t)random() % n] ^= (unsigned char)(1U << random() % 8);
		break;
	case 3:
		memset(p + at, (int)(random() % 256), (n - at) < 4096 ? n - at : 4096);
		break;
	case 4:
		memmove(p + at, p + at / 2, n - at);
		break;
	default:	/* the length that comes first */
		p[random() % 8] = (unsigned char)random();
	}
	fclose(f);
	if ((f = fopen(out, "wb")) == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		return 1;
	return 0;
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "upstream") == 0)
		return upstream();
	if (strcmp(what, "load") == 0 && argc >= 6)
		return load(atoi(argv[2]), atof(argv[3]), atof(argv[4]), atoi(argv[5]), argc > 6 ? argv[6] : "");
	if (strcmp(what, "streams") == 0 && argc >= 5)
		return streams(atoi(argv[2]), atoi(argv[3]), argv[4], argc > 5 ? argv[5] : "");
	if (strcmp(what, "idle") == 0 && argc == 4)
		return idle(atoi(argv[2]), atoi(argv[3]));
	if (strcmp(what, "mutate") == 0 && argc == 5)
		return mutate(argv[2], argv[3], (unsigned)atol(argv[4]));
	fprintf(stderr, "usage: see the head of servetool.c\n");
	return 64;
}
