/*
 * s3fault - a small S3 store in memory that misbehaves on request.
 *
 *   s3fault [-l LOG] [RULE ...]
 *
 * Keeps objects by path, with ETags, conditions, ranges, lists and uploads in
 * parts; checks no signature. Prints its port on standard output and serves
 * until it is killed. The log gets a line a request: number, method and path,
 * "auth" where an Authorization header came, "token" where a session token
 * came, the range, the conditions.
 *
 * A RULE is "WHEN ACTION [ARGUMENT]"; WHEN is a request number (from 1), a
 * range "3-5", "7-" or "*". The first that fits decides. Actions:
 *   error STATUS CODE [TEXT]   an <Error>; TEXT is put in as it is
 *   skew                       403 RequestTimeTooSkewed, Date of 2001
 *   status N, html N           without a body, with a web page
 *   slow SECONDS               503 SlowDown with Retry-After
 *   moved URL, region NAME     307 with Location, 301 with x-amz-bucket-region
 *   okerror CODE               200 with an <Error>
 *   lost                       does what was asked, then closes without an answer
 *   reset, resethead           resets before or within the head of an answer
 *   half, longer, flip         body cut, too long, one bit wrong
 *   stall, silent              stops within the body, says nothing at all
 *   noetag, weaketag           an answer without an ETag, with a weak one
 *   body TEXT                  200 with this body
 */
#define _POSIX_C_SOURCE 200809L
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct text { char *p; size_t n, cap; };

struct object {
	char path[512];		/* with "?N" for part N of an upload */
	char *p;
	size_t n;
	unsigned version;
	char meta[65];		/* x-amz-meta-llmr-sha256 */
	struct object *next;
};

struct rule {
	long from, to;
	char action[16];
	const char *arg;
};

static struct {
	struct rule rules[64];
	size_t n_rules;
	struct object *objects;
	unsigned versions;
	char meta[65];		/* of the upload in parts that is open */
	FILE *log;
	pthread_mutex_t lock;
	long requests;
} srv = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct request {
	char head[16384], method[8], path[512], query[1024];
	char *body;
	size_t n;
	const struct rule *rule;
	int fd;
};

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

static const char *
header(const struct request *rq, const char *name, char *out, size_t cap)
{
	const char *p = rq->head;
	size_t k = strlen(name);

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, name, k) == 0 && p[k] == ':') {
			p += k + 1;
			p += strspn(p, " ");
			snprintf(out, cap, "%.*s", (int)strcspn(p, "\r"), p);
			return out;
		}
	}
	return NULL;
}

static int
is(const struct request *rq, const char *action)
{
	return rq->rule != NULL && strcmp(rq->rule->action, action) == 0;
}

static void
reset(int fd)
{
	struct linger l = { 1, 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
}

/* One answer, with the misbehaviour that concerns the wire. Nonzero: close the connection. */
static int
reply(struct request *rq, int status, const char *extra, const char *body, size_t n)
{
	int no_body = strcmp(rq->method, "HEAD") == 0 || status == 304 || status == 204;
	struct text h = { 0 };
	char date[64];
	time_t now = is(rq, "skew") ? 1000000000 : time(NULL);
	struct tm tm;
	char *copy = NULL;

	if (is(rq, "lost"))
		return 1;
	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	add(&h, "HTTP/1.1 %d X\r\nDate: %s\r\nx-amz-request-id: R%ld\r\n%s", status, date, srv.requests, extra);
	if (status != 204)
		add(&h, "Content-Length: %zu\r\n", n);
	add(&h, "\r\n");
	if (is(rq, "resethead")) {
		send_all(rq->fd, h.p, 20);
		(void)nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
		reset(rq->fd);
		free(h.p);
		return 1;
	}
	send_all(rq->fd, h.p, h.n);
	free(h.p);
	if (no_body)
		return 0;
	if (is(rq, "flip") && n > 0 && (copy = malloc(n)) != NULL) {
		memcpy(copy, body, n);
		copy[n / 2] ^= 1;
		body = copy;
	}
	if (is(rq, "half") || is(rq, "stall")) {
		char c;

		send_all(rq->fd, body, n / 2);
		while (is(rq, "stall") && recv(rq->fd, &c, 1, 0) > 0)
			;
		return 1;
	}
	send_all(rq->fd, body, n);
	if (is(rq, "longer"))
		send_all(rq->fd, "more than was said", 18);
	free(copy);
	return is(rq, "longer");
}

static int
error(struct request *rq, int status, const char *code, const char *more)
{
	struct text t = { 0 };
	int r;

	add(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>as the test "
		"wants &amp; says</Message>%s<RequestId>1</RequestId></Error>", code, more);
	r = reply(rq, status, "Content-Type: application/xml\r\n", t.p, t.n);
	free(t.p);
	return r;
}

/* Rules that answer by themselves; -1 when this is none. */
static int
scripted(struct request *rq)
{
	static const char page[] = "<!doctype html><title>Proxy</title>";
	const char *arg = rq->rule == NULL ? "" : rq->rule->arg;
	char code[64], extra[600];
	int status = 0, used = 0, r;

	if (is(rq, "error")) {
		if (sscanf(arg, "%d %63s %n", &status, code, &used) < 2)
			abort();
		return error(rq, status, code, arg + used);
	}
	if (is(rq, "skew"))
		return error(rq, 403, "RequestTimeTooSkewed", "");
	if (is(rq, "status"))
		return reply(rq, atoi(arg), "", "", 0);
	if (is(rq, "html"))
		return reply(rq, atoi(arg), "Content-Type: text/html\r\n", page, sizeof page - 1);
	if (is(rq, "slow")) {
		snprintf(extra, sizeof extra, "Retry-After: %s\r\n", arg);
		return reply(rq, 503, extra, "<Error><Code>SlowDown</Code></Error>", 36);
	}
	if (is(rq, "moved")) {
		snprintf(extra, sizeof extra, "Location: %s\r\n", arg);
		return reply(rq, 307, extra, "", 0);
	}
	if (is(rq, "region")) {
		snprintf(extra, sizeof extra, "x-amz-bucket-region: %s\r\n", arg);
		return reply(rq, 301, extra, "", 0);
	}
	if (is(rq, "okerror"))
		return error(rq, 200, arg, "");
	if (is(rq, "body"))
		return reply(rq, 200, "", arg, strlen(arg));
	if (is(rq, "reset")) {
		reset(rq->fd);
		return 1;
	}
	if (is(rq, "silent")) {
		while ((r = (int)recv(rq->fd, extra, sizeof extra, 0)) > 0)
			;
		return 1;
	}
	return -1;
}

/* ---- the store ---------------------------------------------------------------- */

static struct object *
find(const char *path)
{
	for (struct object *o = srv.objects; o != NULL; o = o->next)
		if (strcmp(o->path, path) == 0)
			return o;
	return NULL;
}

static struct object *
store(const char *path, const char *p, size_t n)
{
	struct object *o = find(path), **at = &srv.objects;

	if (o == NULL) {
		if ((o = calloc(1, sizeof *o)) == NULL)
			abort();
		snprintf(o->path, sizeof o->path, "%s", path);
		while (*at != NULL && strcmp((*at)->path, path) < 0)
			at = &(*at)->next;
		o->next = *at;
		*at = o;
	}
	free(o->p);
	if ((o->p = malloc(n + 1)) == NULL)
		abort();
	memcpy(o->p, p, n);
	o->n = n;
	o->version = ++srv.versions;
	return o;
}

static void
drop(const char *path)
{
	for (struct object **at = &srv.objects; *at != NULL; at = &(*at)->next) {
		struct object *o = *at;

		if (strcmp(o->path, path) == 0) {
			*at = o->next;
			free(o->p);
			free(o);
			return;
		}
	}
}

static void
etag_line(const struct request *rq, const struct object *o, char *out)
{
	snprintf(out, 128, "ETag: %s\"v%u\"\r\n", is(rq, "weaketag") ? "W/" : "", o->version);
	if (is(rq, "noetag"))
		out[0] = '\0';
}

/* 0 when the conditions hold, else the status. */
static int
conditions(const struct request *rq, const struct object *o)
{
	char v[128], tag[32];

	snprintf(tag, sizeof tag, "\"v%u\"", o == NULL ? 0 : o->version);
	if (header(rq, "if-match", v, sizeof v) != NULL) {
		if (o == NULL)
			return 404;
		if (strcmp(v, tag) != 0)
			return 412;
	}
	if (header(rq, "if-none-match", v, sizeof v) != NULL && o != NULL &&
	    (strcmp(v, "*") == 0 || strcmp(v, tag) == 0))
		return rq->method[0] == 'G' || rq->method[0] == 'H' ? 304 : 412;
	return 0;
}

static int
list(struct request *rq)
{
	const char *prefix = strstr(rq->query, "prefix="), *max = strstr(rq->query, "max-keys=");
	const char *token = strstr(rq->query, "continuation-token=");
	char want[1600], after[512] = "";
	long limit = max == NULL ? 1000 : atol(max + 9), n = 0;
	struct text t = { 0 };
	const char *last = "";
	int more = 0, r;

	snprintf(want, sizeof want, "%s/%.*s", rq->path, prefix == NULL ? 0 : (int)strcspn(prefix + 7, "&"),
		prefix == NULL ? "" : prefix + 7);
	/* Keys are kept as they were sent; only "/" is told apart. */
	for (char *p; (p = strstr(want, "%2F")) != NULL;) {
		*p = '/';
		memmove(p + 1, p + 3, strlen(p + 3) + 1);
	}
	if (token != NULL)
		snprintf(after, sizeof after, "%.*s", (int)strcspn(token + 19, "&"), token + 19);
	for (char *p; (p = strstr(after, "%2F")) != NULL;) {
		*p = '/';
		memmove(p + 1, p + 3, strlen(p + 3) + 1);
	}
	add(&t, "<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType>");
	for (struct object *o = srv.objects; o != NULL; o = o->next) {
		if (strchr(o->path, '?') != NULL || strncmp(o->path, want, strlen(want)) != 0 ||
		    strcmp(o->path, after) <= 0)
			continue;
		if (n == limit) {
			more = 1;
			break;
		}
		last = o->path;
		add(&t, "<Contents><Key>%s</Key><Size>%zu</Size><ETag>&quot;v%u&quot;</ETag>"
			"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>",
			o->path + strlen(rq->path) + 1, o->n, o->version);
		n++;
	}
	add(&t, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
	if (more)
		add(&t, "<NextContinuationToken>%s</NextContinuationToken>", last);
	add(&t, "</ListBucketResult>");
	r = reply(rq, 200, "Content-Type: application/xml\r\n", t.p, t.n);
	free(t.p);
	return r;
}

static int
get(struct request *rq)
{
	struct object *o = find(rq->path);
	char extra[400], tag[256], range[64];
	size_t a = 0, n;
	int status = conditions(rq, o);
	unsigned long long x, y;

	if (o == NULL)
		return error(rq, 404, "NoSuchKey", "");
	etag_line(rq, o, tag);
	if (o->meta[0] != '\0')
		snprintf(tag + strlen(tag), sizeof tag - strlen(tag), "x-amz-meta-llmr-sha256: %s\r\n", o->meta);
	if (status == 304)
		return reply(rq, 304, tag, "", 0);
	if (status != 0)
		return error(rq, status, "PreconditionFailed", "");
	n = o->n;
	snprintf(extra, sizeof extra, "%s", tag);
	status = 200;
	if (header(rq, "range", range, sizeof range) != NULL) {
		int k = sscanf(range, "bytes=%llu-%llu", &x, &y);

		if (k < 1 || x >= o->n)
			return error(rq, 416, "InvalidRange", "");
		a = (size_t)x;
		if (k < 2 || y >= o->n)
			y = o->n - 1;
		n = (size_t)(y - x + 1);
		status = 206;
		snprintf(extra, sizeof extra, "%sContent-Range: bytes %llu-%llu/%zu\r\n", tag, x, y, o->n);
	}
	return reply(rq, status, extra, o->p + a, n);
}

static int
put(struct request *rq)
{
	const char *part = strstr(rq->query, "partNumber=");
	char path[600], tag[128];
	struct object *o;
	int status;

	snprintf(path, sizeof path, "%s", rq->path);
	if (part != NULL)
		snprintf(path, sizeof path, "%s?%05d", rq->path, atoi(part + 11));
	else if ((status = conditions(rq, find(path))) != 0)
		return error(rq, status, status == 404 ? "NoSuchKey" : "PreconditionFailed", "");
	o = store(path, rq->body, rq->n);
	(void)header(rq, "x-amz-meta-llmr-sha256", o->meta, sizeof o->meta);
	etag_line(rq, o, tag);
	return reply(rq, 200, tag, "", 0);
}

/* Join the parts; they are gone afterwards, as is the upload. */
static int
complete(struct request *rq)
{
	struct text all = { 0 };
	char path[600], xml[300];
	int status = conditions(rq, find(rq->path)), n = 0;
	struct object *o;

	if (status != 0)
		return error(rq, status, "PreconditionFailed", "");
	for (int i = 1; snprintf(path, sizeof path, "%s?%05d", rq->path, i), (o = find(path)) != NULL; i++, n++) {
		if (all.n + o->n + 1 > all.cap && (all.p = realloc(all.p, all.cap = (all.n + o->n) * 2 + 1)) == NULL)
			abort();
		memcpy(all.p + all.n, o->p, o->n);
		all.n += o->n;
		drop(path);
	}
	if (n == 0)
		return error(rq, 404, "NoSuchUpload", "");
	o = store(rq->path, all.p, all.n);
	free(all.p);
	memcpy(o->meta, srv.meta, sizeof o->meta);
	snprintf(xml, sizeof xml, "<CompleteMultipartUploadResult><ETag>&quot;v%u&quot;</ETag>"
		"</CompleteMultipartUploadResult>", o->version);
	return reply(rq, 200, "Content-Type: application/xml\r\n", xml, strlen(xml));
}

static int
honest(struct request *rq)
{
	static const char begun[] = "<InitiateMultipartUploadResult><UploadId>u1</UploadId>"
		"</InitiateMultipartUploadResult>";
	static const char none[] = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
		"</ListMultipartUploadsResult>";

	if (strcmp(rq->method, "POST") == 0 && strncmp(rq->query, "uploads", 7) == 0) {
		(void)header(rq, "x-amz-meta-llmr-sha256", srv.meta, sizeof srv.meta);
		return reply(rq, 200, "", begun, sizeof begun - 1);
	}
	if (strcmp(rq->method, "POST") == 0)
		return complete(rq);
	if (strcmp(rq->method, "PUT") == 0)
		return put(rq);
	if (strcmp(rq->method, "DELETE") == 0) {
		char path[600];

		for (int i = 1; i < 100 && strstr(rq->query, "uploadId") != NULL; i++) {
			snprintf(path, sizeof path, "%s?%05d", rq->path, i);
			drop(path);
		}
		if (rq->query[0] == '\0')
			drop(rq->path);
		return reply(rq, 204, "", "", 0);
	}
	if (strstr(rq->query, "list-type=2") != NULL)
		return list(rq);
	if (strncmp(rq->query, "uploads", 7) == 0)
		return reply(rq, 200, "", none, sizeof none - 1);
	return get(rq);
}

/* ---- connections ---------------------------------------------------------------- */

static int
read_request(struct request *rq)
{
	char length[32], target[1536], *q;
	size_t n = 0, got = 0;

	rq->body = NULL;
	rq->n = 0;
	while (n + 1 < sizeof rq->head) {
		if (recv(rq->fd, rq->head + n, 1, 0) != 1)
			return 0;
		rq->head[++n] = '\0';
		if (n >= 4 && memcmp(rq->head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	if (sscanf(rq->head, "%7s %1535s", rq->method, target) != 2)
		return 0;
	if ((q = strchr(target, '?')) != NULL)
		*q++ = '\0';
	snprintf(rq->path, sizeof rq->path, "%.500s", target);
	snprintf(rq->query, sizeof rq->query, "%.1000s", q == NULL ? "" : q);
	if (header(rq, "content-length", length, sizeof length) != NULL)
		rq->n = (size_t)strtoull(length, NULL, 10);
	if ((rq->body = malloc(rq->n + 1)) == NULL)
		abort();
	while (got < rq->n) {
		ssize_t k = recv(rq->fd, rq->body + got, rq->n - got, 0);

		if (k <= 0)
			return 0;
		got += (size_t)k;
	}
	return 1;
}

static void
note(const struct request *rq)
{
	char v[4096], range[64], im[128], inm[128];

	if (srv.log == NULL)
		return;
	fprintf(srv.log, "%ld %s %s%s%s%s%s range=%s if-match=%s if-none-match=%s\n", srv.requests, rq->method,
		rq->path, rq->query[0] != '\0' ? "?" : "", rq->query,
		header(rq, "authorization", v, sizeof v) != NULL ? " auth" : "",
		header(rq, "x-amz-security-token", v, sizeof v) != NULL ? " token" : "",
		header(rq, "range", range, sizeof range) != NULL ? range : "-",
		header(rq, "if-match", im, sizeof im) != NULL ? im : "-",
		header(rq, "if-none-match", inm, sizeof inm) != NULL ? inm : "-");
	fflush(srv.log);
}

static void *
serve(void *arg)
{
	struct request *rq = calloc(1, sizeof *rq);
	int done = 0;

	if (rq == NULL)
		abort();
	rq->fd = *(int *)arg;
	free(arg);
	while (!done && read_request(rq)) {
		pthread_mutex_lock(&srv.lock);
		srv.requests++;
		rq->rule = NULL;
		for (size_t i = 0; i < srv.n_rules && rq->rule == NULL; i++)
			if (srv.requests >= srv.rules[i].from && srv.requests <= srv.rules[i].to)
				rq->rule = &srv.rules[i];
		note(rq);
		/* A stalled or silent answer may not hold the others up. */
		if (is(rq, "stall") || is(rq, "silent")) {
			pthread_mutex_unlock(&srv.lock);
			if ((done = scripted(rq)) < 0)
				done = honest(rq);
		} else {
			if ((done = scripted(rq)) < 0)
				done = honest(rq);
			pthread_mutex_unlock(&srv.lock);
		}
		free(rq->body);
	}
	close(rq->fd);
	free(rq);
	return NULL;
}

static void
parse_rule(const char *text)
{
	struct rule *r = &srv.rules[srv.n_rules++];
	char *end;
	int used = 0;

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
	if (sscanf(text, " %15s %n", r->action, &used) != 1 || srv.n_rules == 64) {
		fprintf(stderr, "s3fault: bad rule\n");
		exit(64);
	}
	r->arg = text + used;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof a;
	int listener, opt, on = 1;

	while ((opt = getopt(argc, argv, "l:")) != -1) {
		if (opt != 'l' || (srv.log = fopen(optarg, "w")) == NULL)
			return 64;
	}
	for (int i = optind; i < argc; i++)
		parse_rule(argv[i]);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
	    listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&a, &len) != 0) {
		perror("s3fault");
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
