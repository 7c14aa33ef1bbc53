/*
 * faultserver - a small trace store over HTTP that misbehaves on request.
 *
 *   faultserver [-n TRACES] [-s START_US] [-w WIDTH_US] [-m SAME] [-l LOG] [RULE ...]
 *
 * Answers GET .../api/traces as Jaeger does, with TRACES made traces of two
 * spans each, spread over WIDTH_US; the last SAME of them begin within one
 * microsecond. As in Jaeger, which ones a limit keeps is arbitrary. Prints its
 * port on standard output and serves until it is killed.
 *
 * A RULE is "WHEN ACTION [ARGUMENT]"; WHEN is a request number (from 1), a
 * range "3-5", "7-" or "*". The first that fits decides, else the answer is
 * an honest one. Actions:
 *   html, notjson, empty, text (honest, as text/plain), gzip (honest, packed),
 *   rawgzip (packed without saying so), status N, retry N (429, Retry-After: N),
 *   retrydate N (the same as a date), half (half of a body of known length),
 *   cut (half of a body of unknown length), stall (head, then nothing),
 *   silent (nothing at all), reset, depth N (500 for limits above N),
 *   partial (data and errors), redirect URL, everything (ignores start and
 *   end), auth TEXT (401 unless the request holds TEXT), bad (one malformed
 *   trace in front), big N (one trace of N MiB in front), badgzip, decoy (keys
 *   that make an answer look as if it held more traces)
 *
 * GET .../api/search, .../api/v2/traces/ID and .../api/traces/ID are answered
 * as Grafana Tempo documents it, with ids in base64 and each span in a batch of
 * its own; its actions beside those above: old (404 for version 2), jobs (a
 * search that was not done), part (traces that are PARTIAL), lost (404 for each
 * trace), most N (400 for limits above N)
 */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

struct text {
	char *p;
	size_t n, cap;
};

struct rule {
	long from, to;
	char action[16];
	const char *arg;
};

static struct {
	long traces, same;
	long long start, width;
	struct rule rules[64];
	size_t n_rules;
	FILE *log;
	pthread_mutex_t lock;
	long requests;
} srv = { .traces = 100, .width = 3600000000LL, .lock = PTHREAD_MUTEX_INITIALIZER };

static void
add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	for (;;) {
		va_start(ap, fmt);
		n = vsnprintf(t->p + t->n, t->cap - t->n, fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < t->cap - t->n)
			break;
		t->cap = t->cap * 2 + (size_t)n + 1024;
		if ((t->p = realloc(t->p, t->cap)) == NULL)
			abort();
	}
	t->n += (size_t)n;
}

static unsigned long long
mix(unsigned long long x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static long long
trace_start(long i)
{
	if (i >= srv.traces - srv.same)
		return srv.start + srv.width / 3;
	return srv.start + (long long)(mix((unsigned long long)i + 1) % (unsigned long long)srv.width);
}

static void
add_span(struct text *t, long i, int which)
{
	add(t, "{\"traceID\":\"%016llx%016lx\",\"spanID\":\"%016llx\",\"operationName\":\"chat\","
		"\"references\":[],\"startTime\":%lld,\"duration\":1500,\"tags\":[{\"key\":\"number\","
		"\"type\":\"int64\",\"value\":%ld}],\"logs\":[],\"processID\":\"p1\",\"warnings\":null}",
		mix((unsigned long long)i), (unsigned long)i,
		mix((unsigned long long)i * 2 + (unsigned long long)which),
		trace_start(i) + (which ? srv.width / 50 : 0), i);
}

static void
add_trace(struct text *t, long i, int decoy)
{
	add(t, "{\"traceID\":\"%016llx%016lx\",\"spans\":[", mix((unsigned long long)i),
		(unsigned long)i);
	add_span(t, i, 0);
	add(t, ",");
	add_span(t, i, 1);
	add(t, "],%s\"processes\":{\"p1\":{\"serviceName\":\"litellm-gateway\",\"tags\":[]}}}",
		decoy ? "\"note\":{\"processes\":{},\"x\":{\"processes\":{}}}," : "");
}

static long long
parameter(const char *head, const char *name, long long dflt)
{
	const char *p = strstr(head, name);

	return p == NULL ? dflt : atoll(p + strlen(name));
}

/* The honest answer, with extras on request. */
static void
honest(struct text *t, const char *head, const struct rule *r, long number)
{
	long long a = parameter(head, "start=", 0), b = parameter(head, "end=", 1LL << 62);
	long limit = (long)parameter(head, "limit=", 100), n = 0, first = 0;
	const char *action = r == NULL ? "" : r->action;

	if (srv.traces > 0)
		first = (long)(mix((unsigned long long)number) % (unsigned long long)srv.traces);
	add(t, "{\"data\":[");
	if (strcmp(action, "bad") == 0) {
		add(t, "{\"traceID\":\"zz\",\"spans\":[{\"traceID\":\"zz\"}],\"processes\":{}}");
		n++;
	}
	if (strcmp(action, "big") == 0) {
		add(t, "{\"traceID\":\"abcdef\",\"spans\":[{\"traceID\":\"abcdef\",\"spanID\":\"1\","
			"\"operationName\":\"chat\",\"startTime\":%lld,\"duration\":1,\"tags\":[{\"key\":\"k\","
			"\"type\":\"string\",\"value\":\"", a);
		for (long i = 0; i < atol(r->arg) * 16; i++)
			add(t, "%065536d", 0);
		add(t, "\"}],\"logs\":[],\"processID\":\"p1\"}],\"processes\":{\"p1\":{\"serviceName\":\"s\"}}}");
		n++;
	}
	for (long k = 0; k < srv.traces && n < limit; k++) {
		long i = (first + k * 7919) % srv.traces;
		long long s = trace_start(i), s2 = s + srv.width / 50;

		/* 7919 is prime: with a count that it does not divide, all are visited. */
		if (strcmp(action, "everything") != 0 && !(s >= a && s < b) && !(s2 >= a && s2 < b))
			continue;
		add(t, n++ > 0 ? "," : "");
		add_trace(t, i, strcmp(action, "decoy") == 0);
	}
	add(t, "],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":%s}",
		strcmp(action, "partial") == 0 ?
		"[{\"code\":500,\"msg\":\"shard 3 is away\",\"traceID\":\"00ff\"}]" : "null");
}

/* --- Tempo --- */

static void
add_base64(struct text *t, const unsigned char *p, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		add(t, "%c%c%c%c", digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
			i + 2 < n ? digits[v & 63] : '=');
	}
}

static void
big_endian(unsigned char *p, unsigned long long v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (unsigned char)v;
}

static void
add_tempo_batch(struct text *t, long i, int which)
{
	unsigned char id[16], span[8];
	long long ns = (trace_start(i) + (which ? srv.width / 50 : 0)) * 1000;

	big_endian(id, mix((unsigned long long)i));
	big_endian(id + 8, (unsigned long long)i);
	big_endian(span, mix((unsigned long long)i * 2 + (unsigned long long)which));
	add(t, "{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":"
		"\"litellm-gateway\"}},{\"key\":\"pod\",\"value\":{\"stringValue\":\"p%d\"}}]},\"scopeSpans\":[{\"scope\":"
		"{},\"spans\":[{\"traceId\":\"", which);
	add_base64(t, id, 16);
	add(t, "\",\"spanId\":\"");
	add_base64(t, span, 8);
	add(t, "\",\"name\":\"chat\",\"kind\":\"SPAN_KIND_CLIENT\",\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":"
		"\"%lld\",\"attributes\":[{\"key\":\"number\",\"value\":{\"intValue\":\"%ld\"}}],\"status\":{\"code\":"
		"\"STATUS_CODE_OK\"}}]}]}", ns, ns + 1500000, i);
}

/* The status: 200, 400, 404. */
static int
tempo_trace(struct text *t, const char *id, int version, const char *action)
{
	char digits[17];
	long i;

	if (strlen(id) < 32 || strcmp(action, "lost") == 0 || (version == 2 && strcmp(action, "old") == 0)) {
		add(t, "404 page not found\n");
		return 404;
	}
	memcpy(digits, id + 16, 16);
	digits[16] = '\0';
	i = strtol(digits, NULL, 16);
	add(t, version == 2 ? "{\"trace\":{\"resourceSpans\":[" : "{\"batches\":[");
	add_tempo_batch(t, i, 0);
	add(t, ",");
	add_tempo_batch(t, i, 1);
	add(t, "]}");
	if (version == 2 && strcmp(action, "part") == 0)
		add(t, ",\"status\":\"PARTIAL\",\"message\":\"too large\"}");
	else if (version == 2)
		add(t, ",\"metrics\":{}}");
	return 200;
}

static int
tempo_search(struct text *t, const char *head, const struct rule *r, long number)
{
	long long a = parameter(head, "start=", 0) * 1000000, b = parameter(head, "end=", 1LL << 40) * 1000000;
	long limit = (long)parameter(head, "limit=", 20), n = 0, first = 0;
	const char *action = r == NULL ? "" : r->action;

	if (strcmp(action, "most") == 0 && limit > atol(r->arg)) {
		add(t, "limit %ld exceeds max limit %s\n", limit, r->arg);
		return 400;
	}
	if (srv.traces > 0)
		first = (long)(mix((unsigned long long)number) % (unsigned long long)srv.traces);
	add(t, "{\"traces\":[");
	for (long k = 0; k < srv.traces && n < limit; k++) {
		long i = (first + k * 7919) % srv.traces;
		long long s = trace_start(i), s2 = s + srv.width / 50;

		if (strcmp(action, "everything") != 0 && !(s >= a && s < b) && !(s2 >= a && s2 < b))
			continue;
		add(t, "%s{\"traceID\":\"%llx%016lx\",\"rootServiceName\":\"litellm-gateway\",\"rootTraceName\":\"chat\","
			"\"startTimeUnixNano\":\"%lld\",\"durationMs\":%lld,\"spanSets\":[{\"spans\":[{\"spanID\":\"1\"}],"
			"\"matched\":2}]}", n++ > 0 ? "," : "", mix((unsigned long long)i), (unsigned long)i, s * 1000,
			srv.width / 50000 + 1);
	}
	add(t, "],\"metrics\":{\"inspectedTraces\":%ld,\"inspectedBytes\":\"1\",\"completedJobs\":%d,\"totalJobs\":4}}", n,
		strcmp(action, "jobs") == 0 ? 3 : 4);
	return 200;
}

/* Is it a request of Tempo's? Then its answer is in t, and its status returned; else 0. */
static int
tempo(struct text *t, const char *head, const struct rule *r, long number)
{
	const char *action = r == NULL ? "" : r->action, *p;
	char path[200];
	size_t n = strcspn(head, "\r\n?");

	(void)snprintf(path, sizeof path, "%.*s", (int)n, head);
	if ((p = strstr(path, " HTTP/")) != NULL)
		path[p - path] = '\0';
	if ((p = strstr(path, "/api/v2/traces/")) != NULL)
		return tempo_trace(t, p + 15, 2, action);
	if ((p = strstr(path, "/api/traces/")) != NULL)
		return tempo_trace(t, p + 12, 1, action);
	return strstr(path, "/api/search") != NULL ? tempo_search(t, head, r, number) : 0;
}

static void
send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

static void
reply(int fd, int status, const char *type, const char *extra, const char *body, size_t n)
{
	struct text head = { 0 };

	add(&head, "HTTP/1.1 %d X\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n", status, type,
		extra, n);
	send_all(fd, head.p, head.n);
	send_all(fd, body, n);
	free(head.p);
}

static void
reply_gzip(int fd, const struct text *t, const char *extra, int spoil)
{
	z_stream z = { 0 };
	size_t cap = t->n + 1024;
	unsigned char *out = malloc(cap);

	if (out == NULL || deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = (unsigned char *)t->p;
	z.avail_in = (uInt)t->n;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	(void)deflate(&z, Z_FINISH);
	if (spoil)
		memset(out + z.total_out / 2, 0x55, 20);
	reply(fd, 200, "application/json", extra, (char *)out, z.total_out);
	(void)deflateEnd(&z);
	free(out);
}

static void
reply_retry(int fd, const struct rule *r)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	time_t at = time(NULL) + atol(r->arg);
	struct text extra = { 0 };
	struct tm tm;

	if (strcmp(r->action, "retry") == 0)
		add(&extra, "Retry-After: %s\r\n", r->arg);
	else {
		gmtime_r(&at, &tm);
		add(&extra, "Retry-After: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday],
			tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	}
	reply(fd, 429, "text/plain", extra.p, "slow down\n", 10);
	free(extra.p);
}

static void
wait_for_close(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
}

/* Actions that break the connection; 0 when it is another action. */
static int
broken(int fd, const char *action, const struct text *body)
{
	struct text head = { 0 };

	if (strcmp(action, "silent") == 0) {
		wait_for_close(fd);
	} else if (strcmp(action, "stall") == 0) {
		send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"data\":[", 50);
		wait_for_close(fd);
	} else if (strcmp(action, "half") == 0) {
		add(&head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body->n);
		send_all(fd, head.p, head.n);
		send_all(fd, body->p, body->n / 2);
		free(head.p);
	} else if (strcmp(action, "cut") == 0) {
		send_all(fd, "HTTP/1.0 200 OK\r\n\r\n", 19);
		send_all(fd, body->p, body->n / 2);
	} else if (strcmp(action, "reset") == 0) {
		struct linger l = { 1, 0 };

		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	} else
		return 0;
	return 1;
}

#define ERRORS(code, msg) "{\"data\":null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":" code ",\"msg\":\"" msg "\"}]}"

/* Answer one request; nonzero when the connection is to be closed. */
static int
answer(int fd, const char *head, const struct rule *r, const struct text *body)
{
	static const char html[] = "<!doctype html>\n<title>Jaeger UI</title>\n";
	static const char depth[] = ERRORS("500",
		"search depth must be greater than 0 and less than max traces");
	const char *action = r == NULL ? "" : r->action;

	if (broken(fd, action, body))
		return 1;
	if (strcmp(action, "html") == 0)
		reply(fd, 200, "text/html; charset=utf-8", "", html, sizeof html - 1);
	else if (strcmp(action, "notjson") == 0)
		reply(fd, 200, "application/json", "", "hello\n", 6);
	else if (strcmp(action, "empty") == 0)
		reply(fd, 200, "application/json", "", "", 0);
	else if (strcmp(action, "status") == 0)
		reply(fd, atoi(r->arg), "text/plain", "", ERRORS("1", "no such luck"),
			sizeof ERRORS("1", "no such luck") - 1);
	else if (strncmp(action, "retry", 5) == 0)
		reply_retry(fd, r);
	else if (strcmp(action, "depth") == 0 && parameter(head, "limit=", 0) > atol(r->arg))
		reply(fd, 500, "text/plain", "", depth, sizeof depth - 1);
	else if (strcmp(action, "auth") == 0 && strstr(head, r->arg) == NULL)
		reply(fd, 401, "text/plain", "", "no basic auth provided\n", 23);
	else if (strcmp(action, "redirect") == 0) {
		struct text extra = { 0 };

		add(&extra, "Location: %s\r\n", r->arg);
		reply(fd, 302, "text/plain", extra.p, "", 0);
		free(extra.p);
	} else if (strcmp(action, "gzip") == 0)
		reply_gzip(fd, body, "Content-Encoding: gzip\r\n", 0);
	else if (strcmp(action, "badgzip") == 0)
		reply_gzip(fd, body, "Content-Encoding: gzip\r\n", 1);
	else if (strcmp(action, "rawgzip") == 0)
		reply_gzip(fd, body, "", 0);
	else
		reply(fd, 200, strcmp(action, "text") == 0 ? "text/plain" : "application/json", "",
			body->p, body->n);
	return 0;
}

/* Read up to the blank line. 0 at the end of the connection. */
static int
read_head(int fd, char *head, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap) {
		if (recv(fd, head + n, 1, 0) != 1)
			return 0;
		head[++n] = '\0';
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			return 1;
	}
	return 0;
}

static const struct rule *
find_rule(long number)
{
	for (size_t i = 0; i < srv.n_rules; i++)
		if (number >= srv.rules[i].from && number <= srv.rules[i].to)
			return &srv.rules[i];
	return NULL;
}

static void *
serve(void *arg)
{
	int fd = *(int *)arg, done = 0, code;
	char head[16384];

	free(arg);
	while (!done && read_head(fd, head, sizeof head)) {
		struct text body = { 0 };
		const struct rule *r;
		const char *auth = strstr(head, "Authorization:");
		long number;

		pthread_mutex_lock(&srv.lock);
		number = ++srv.requests;
		if (srv.log != NULL) {
			fprintf(srv.log, "%ld %.*s %.*s\n", number, (int)strcspn(head, "\r\n"), head,
				auth == NULL ? 1 : (int)strcspn(auth, "\r\n"), auth == NULL ? "-" : auth);
			fflush(srv.log);
		}
		pthread_mutex_unlock(&srv.lock);
		r = find_rule(number);
		if ((code = tempo(&body, head, r, number)) == 0)
			honest(&body, head, r, number);
		if (code <= 200)
			done = answer(fd, head, r, &body);
		else
			reply(fd, code, "text/plain", "", body.p, body.n);
		free(body.p);
	}
	close(fd);
	return NULL;
}

static void
parse_rule(const char *text)
{
	struct rule *r = &srv.rules[srv.n_rules];
	char *end;
	int used = 0;

	if (srv.n_rules == sizeof srv.rules / sizeof srv.rules[0])
		abort();
	r->from = 1;
	r->to = 1L << 40;
	if (*text != '*') {
		r->from = r->to = strtol(text, &end, 10);
		if (*end == '-') {
			r->to = strtol(end + 1, &end, 10);
			if (r->to == 0)
				r->to = 1L << 40;
		}
		text = end;
	} else
		text++;
	if (sscanf(text, " %15s %n", r->action, &used) != 1) {
		fprintf(stderr, "faultserver: bad rule\n");
		exit(64);
	}
	r->arg = text + used;
	srv.n_rules++;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof a;
	int listener, opt, on = 1;

	srv.start = ((long long)time(NULL) - 7200) * 1000000;
	while ((opt = getopt(argc, argv, "n:s:w:m:l:")) != -1) {
		switch (opt) {
		case 'n': srv.traces = atol(optarg); break;
		case 's': srv.start = atoll(optarg); break;
		case 'w': srv.width = atoll(optarg); break;
		case 'm': srv.same = atol(optarg); break;
		case 'l': srv.log = fopen(optarg, "w"); break;
		default: return 64;
		}
	}
	for (int i = optind; i < argc; i++)
		parse_rule(argv[i]);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
	    listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0) {
		perror("faultserver");
		return 69;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int *fd = malloc(sizeof *fd);
		pthread_t t;

		if (fd == NULL)
			return 71;
		*fd = accept(listener, NULL, NULL);
		(void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		if (*fd < 0 || pthread_create(&t, NULL, serve, fd) != 0) {
			free(fd);
			continue;
		}
		pthread_detach(t);
	}
}
