/*
 * upstream - an OpenAI-like model server that misbehaves as its models' names say.
 *
 *   upstream LOG
 *
 * Prints its port and serves until it is killed. Each request is a line of LOG:
 * "MODEL AUTHORIZATION", and "gone MODEL" when the client hung up on an answer.
 * Models:
 *   ok            a whole answer; as a stream, five pieces 20 ms apart
 *   long          a stream of 40 pieces, 50 ms apart
 *   status-N      that status with a JSON error
 *   retry-N       429 with Retry-After: N
 *   html          502 with a page
 *   garbage       200 with half of a JSON text, connection closed well
 *   context       400 context_length_exceeded
 *   fail-N-TAG    500 for the first N requests of this name, then ok
 *   stall         nothing at all
 *   late          the header after 3 s
 *   cut           half of an answer of known length, or half a stream, then a reset
 *   drip          a whole answer, byte by byte, 20 ms apart
 */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static FILE *record;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { char name[64]; int n; } seen[64];

static const char usage[] = "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}";

static void __attribute__((format(printf, 1, 2)))
note(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	va_start(ap, fmt);
	(void)vfprintf(record, fmt, ap);
	va_end(ap);
	(void)fflush(record);
	pthread_mutex_unlock(&lock);
}

static int
times_asked(const char *name)
{
	int n = 0;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < 64; i++) {
		if (seen[i].name[0] == '\0')
			(void)snprintf(seen[i].name, sizeof seen[i].name, "%s", name);
		if (strcmp(seen[i].name, name) == 0) {
			n = ++seen[i].n;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static void
pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
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

/* Has the client closed its side? */
static bool
gone(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool
answer(int fd, int status, const char *headers, const char *type, const char *body)
{
	char head[512];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %d Status\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n", status,
		type, headers, strlen(body));

	return put(fd, head, (size_t)n) && put(fd, body, strlen(body));
}

static bool
whole(int fd, const char *model, long drip_ms, bool cut)
{
	char body[512], head[256];
	int n = snprintf(body, sizeof body, "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"%s\",\"choices\":"
		"[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hello from %s\"},\"finish_reason\":\"stop\"}],%s}", model,
		model, usage);
	int h = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n);

	if (!put(fd, head, (size_t)h))
		return false;
	if (cut) {
		(void)put(fd, body, (size_t)n / 2);
		return false;
	}
	for (int i = 0; drip_ms > 0 && i < n; i++) {
		if (!put(fd, body + i, 1))
			return false;
		pause_ms(drip_ms);
	}
	return drip_ms > 0 || put(fd, body, (size_t)n);
}

static bool
chunk(int fd, const char *text)
{
	char b[700];
	int n = snprintf(b, sizeof b, "%zx\r\n%s\r\n", strlen(text), text);

	return put(fd, b, (size_t)n);
}

static bool
stream(int fd, const char *model, int pieces, long ms, bool cut)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	char b[400];

	if (!put(fd, head, sizeof head - 1))
		return false;
	for (int i = 0; i < pieces; i++) {
		(void)snprintf(b, sizeof b, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"%s\",\"choices\":"
			"[{\"index\":0,\"delta\":{\"content\":\"%d \"},\"finish_reason\":null}]}\n\n", model, i);
		if (gone(fd) || !chunk(fd, b)) {
			note("gone %s\n", model);
			return false;
		}
		if (cut && i == pieces / 2)
			return false;
		pause_ms(ms);
	}
	(void)snprintf(b, sizeof b, "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"%s\",\"choices\":"
		"[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],%s}\n\n", model, usage);
	return chunk(fd, b) && chunk(fd, "data: [DONE]\n\n") && put(fd, "0\r\n\r\n", 5);
}

/* Close so that the peer gets a reset. */
static void
reset(int fd)
{
	struct linger l = { 1, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

/* Answer one request; false when the connection ends with it. */
static bool
serve(int fd, const char *m, bool streaming)
{
	static const char error[] = "{\"error\":{\"message\":\"as asked\",\"type\":\"test\",\"param\":null,\"code\":null}}";
	char header[64];
	bool ok = false;

	if (strcmp(m, "stall") == 0)
		for (int i = 0; i < 1000 && !gone(fd); i++)
			pause_ms(20);
	else if (strncmp(m, "status-", 7) == 0)
		ok = answer(fd, atoi(m + 7), "", "application/json", error);
	else if (strncmp(m, "retry-", 6) == 0) {
		(void)snprintf(header, sizeof header, "Retry-After: %.8s\r\n", m + 6);
		ok = answer(fd, 429, header, "application/json", error);
	} else if (strcmp(m, "html") == 0)
		ok = answer(fd, 502, "", "text/html", "<html>bad gateway</html>");
	else if (strcmp(m, "garbage") == 0)
		ok = answer(fd, 200, "", "application/json", "{\"id\":\"c1\",\"choi");
	else if (strcmp(m, "context") == 0)
		ok = answer(fd, 400, "", "application/json", "{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}");
	else if (strncmp(m, "fail-", 5) == 0 && times_asked(m) <= atoi(m + 5))
		ok = answer(fd, 500, "", "application/json", error);
	else if (strcmp(m, "cut") == 0) {
		(void)(streaming ? stream(fd, m, 6, 20, true) : whole(fd, m, 0, true));
		reset(fd);
	} else {
		if (strcmp(m, "late") == 0)
			pause_ms(3000);
		ok = streaming ? stream(fd, m, strcmp(m, "long") == 0 ? 40 : 5, strcmp(m, "long") == 0 ? 50 : 20, false)
			: whole(fd, m, strcmp(m, "drip") == 0 ? 20 : 0, false);
	}
	return ok;
}

/* A text value in the JSON that a well-behaved gateway sends. */
static void
value(const char *body, const char *key, char *out, size_t cap)
{
	const char *p = strstr(body, key);
	size_t n = 0;

	out[0] = '\0';
	if (p == NULL || (p = strchr(p + strlen(key), '"')) == NULL)
		return;
	for (p++; *p != '\0' && *p != '"' && n + 1 < cap; p++)
		out[n++] = *p;
	out[n] = '\0';
}

static void *
connection(void *arg)
{
	int fd = (int)(long)arg;
	char *b = malloc(1 << 20), model[64], auth[128] = "";
	size_t n = 0;
	bool ok = b != NULL;

	while (ok) {
		char *end = NULL, *p;
		size_t length = 0, head;
		ssize_t k;

		n = 0;
		b[0] = '\0';
		while ((end = strstr(b, "\r\n\r\n")) == NULL || n < (size_t)(end + 4 - b) + length) {
			if ((k = recv(fd, b + n, ((size_t)1 << 20) - 1 - n, 0)) <= 0)
				goto out;
			n += (size_t)k;
			b[n] = '\0';
			if ((end = strstr(b, "\r\n\r\n")) != NULL && (p = strstr(b, "Content-Length: ")) != NULL && p < end)
				length = strtoul(p + 16, NULL, 10);
		}
		head = (size_t)(end + 4 - b);
		if ((p = strstr(b, "Authorization: ")) != NULL && p < end)
			(void)snprintf(auth, sizeof auth, "%.*s", (int)strcspn(p + 15, "\r"), p + 15);
		value(b + head, "\"model\"", model, sizeof model);
		note("%s %s\n", model, auth);
		ok = serve(fd, model, strstr(b + head, "\"stream\":true") != NULL || strstr(b + head, "\"stream\": true") != NULL);
	}
out:
	free(b);
	close(fd);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0), c;
	pthread_t t;

	if (argc != 2 || (record = fopen(argv[1], "a")) == NULL)
		return 64;
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 256) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return 69;
	printf("%u\n", ntohs(a.sin_port));
	fflush(stdout);
	while ((c = accept(fd, NULL, NULL)) >= 0) {
		if (pthread_create(&t, NULL, connection, (void *)(long)c) == 0)
			pthread_detach(t);
	}
	return 0;
}
