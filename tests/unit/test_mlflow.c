#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/map.h"
#include "fmt/jflat.h"
#include "net/mlflow.h"

/* ---- a server that answers from a script and remembers what it was asked ---- */

struct answer {
	const char *method, *path;	/* path without the query */
	int status;
	const char *body;
	int times;			/* that it may be given; 0 any */
};

#define ASKED 64

static struct {
	int fd, port;
	pthread_t thread;
	struct answer *answers;
	size_t n_answers;
	char line[ASKED][256];		/* "METHOD PATH?QUERY" */
	char *body[ASKED], auth[256];
	size_t asked;
} srv;

static void
reply(int fd, int status, const char *body)
{
	char head[128];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n", status, strlen(body));

	(void)!write(fd, head, (size_t)n);
	(void)!write(fd, body, strlen(body));
}

static void
respond(int fd, const char *method, const char *path)
{
	size_t n = strcspn(path, "?");

	for (size_t i = 0; i < srv.n_answers; i++) {
		struct answer *a = &srv.answers[i];

		if (strcmp(a->method, method) != 0 || strlen(a->path) != n ||
		    strncmp(a->path, path, n) != 0 || a->times < 0)
			continue;
		if (a->times > 0 && --a->times == 0)
			a->times = -1;
		reply(fd, a->status, a->body);
		return;
	}
	reply(fd, 404, "{}");
}

static void
handle(int fd)
{
	static char in[1 << 20];
	size_t n = 0, want = 0;
	char method[16] = "", path[200] = "", *end = NULL, *p;
	ssize_t got;

	while ((end == NULL || n < want) && (got = read(fd, in + n, sizeof in - 1 - n)) > 0) {
		n += (size_t)got;
		in[n] = '\0';
		if (end == NULL && (end = strstr(in, "\r\n\r\n")) != NULL) {
			p = strstr(in, "Content-Length: ");
			want = (size_t)(end - in) + 4 + (p != NULL ? (size_t)atol(p + 16) : 0);
		}
	}
	if (end == NULL || sscanf(in, "%15s %199s", method, path) != 2 || srv.asked == ASKED)
		return;
	(void)snprintf(srv.line[srv.asked], sizeof srv.line[0], "%s %s", method, path);
	srv.body[srv.asked++] = strdup(end + 4);
	if ((p = strstr(in, "Authorization: ")) != NULL)
		(void)snprintf(srv.auth, sizeof srv.auth, "%.*s", (int)strcspn(p, "\r"), p);
	respond(fd, method, path);
}

static void *
serve(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(srv.fd, NULL, NULL)) >= 0) {
		handle(fd);
		(void)close(fd);
	}
	return NULL;
}

static void
start(struct answer *answers, size_t n)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	srv.answers = answers;
	srv.n_answers = n;
	srv.fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert(bind(srv.fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(srv.fd, 8) == 0);
	cr_assert_eq(getsockname(srv.fd, (struct sockaddr *)&a, &len), 0);
	srv.port = ntohs(a.sin_port);
	cr_assert_eq(pthread_create(&srv.thread, NULL, serve, NULL), 0);
	(void)setenv("no_proxy", "127.0.0.1", 1);
}

static void
stop(void)
{
	(void)shutdown(srv.fd, SHUT_RDWR);
	(void)pthread_join(srv.thread, NULL);
	(void)close(srv.fd);
	for (size_t i = 0; i < srv.asked; i++)
		free(srv.body[i]);
}

/* ---- the client against it ---- */

#define P "/api/2.0/mlflow/"
#define EXPERIMENT "{\"experiment\": {\"experiment_id\": \"1\", \"name\": \"llmr\", \"lifecycle_stage\": \"active\"}}"
#define NO_EXPERIMENT "{\"error_code\": \"RESOURCE_DOES_NOT_EXIST\", \"message\": \"Could not find experiment\"}"
#define RUN "{\"run\": {\"info\": {\"run_uuid\": \"5a4a55\", \"experiment_id\": \"1\", \"run_id\": \"5a4a55\"}}}"

static const struct mlflow_text params[] = { { "k", "5" }, { "a/b:c\"d", "x" } };
static const struct mlflow_text tags[] = { { ".hidden", "y" } };
static const struct mlflow_number metrics[] = { { "acc", 0.71 }, { "auc", NAN } };
static const struct mlflow_run sample = { .name = "knn", .user = "ci", .start_ms = 1000,
	.end_ms = 2000, .status = "FINISHED", .params = params, .n_params = 2, .tags = tags, .n_tags = 1,
	.metrics = metrics, .n_metrics = 2 };

static int
talk(struct mlflow_server s, const struct http_opts *o, const struct mlflow_run *run,
	char id[MLFLOW_ID], struct err *e)
{
	char url[64];
	int r;

	(void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", srv.port);
	s.url = url;
	s.retry = (struct retry_policy){ 2, 0.001, 0.001, 1 };
	if (s.experiment == NULL)
		s.experiment = "llmr";
	s.http = http_new(o, e);
	cr_assert_not_null(s.http, "%s", e->msg);
	r = mlflow_log(&s, run, id, e);
	http_free(s.http);
	return r;
}

static void
expect_asked(const char *const *lines)
{
	size_t n = 0;

	for (; lines[n] != NULL; n++) {
		cr_assert_lt(n, srv.asked, "not asked: %s", lines[n]);
		cr_expect_str_eq(srv.line[n], lines[n]);
	}
	cr_expect_eq(srv.asked, n, "asked %zu times", srv.asked);
}

Test(mlflow, makes_fills_and_ends_a_run)
{
	struct answer a[] = {
		{ "GET", P "experiments/get-by-name", 404, NO_EXPERIMENT, 0 },
		{ "POST", P "experiments/create", 200, "{\n \"experiment_id\": \"1\"\n}", 0 },
		{ "POST", P "runs/create", 200, RUN, 0 },
		{ "POST", P "runs/log-batch", 503, "{}", 1 },
		{ "POST", P "runs/log-batch", 200, "{}", 0 },
		{ "POST", P "runs/update", 200, "{}", 0 },
	};
	static const char *const expected[] = {
		"GET " P "experiments/get-by-name?experiment_name=my%20%2F%25",
		"POST " P "experiments/create", "POST " P "runs/create", "POST " P "runs/log-batch",
		"POST " P "runs/log-batch", "POST " P "runs/update", NULL };
	const struct http_opts o = { .user = "ci", .password = "secret" };
	struct err e = ERR_INIT;
	char id[MLFLOW_ID];

	start(a, sizeof a / sizeof a[0]);
	cr_assert_eq(talk((struct mlflow_server){ .experiment = "my /%" }, &o, &sample, id, &e), 0, "%s",
	    e.msg);
	cr_expect_str_eq(id, "5a4a55");
	expect_asked(expected);
	cr_expect_str_eq(srv.auth, "Authorization: Basic Y2k6c2VjcmV0");
	cr_expect_str_eq(srv.body[1], "{\"name\":\"my /%\"}");
	cr_expect_str_eq(srv.body[4], "{\"run_id\":\"5a4a55\",\"params\":[{\"key\":\"k\",\"value\":\"5\"},"
	    "{\"key\":\"a_b_c_d\",\"value\":\"x\"}],\"tags\":[{\"key\":\"_hidden\",\"value\":\"y\"}],"
	    "\"metrics\":[{\"key\":\"acc\",\"value\":0.71,\"timestamp\":2000,\"step\":0},"
	    "{\"key\":\"auc\",\"value\":\"NaN\",\"timestamp\":2000,\"step\":0}]}");
	cr_expect_str_eq(srv.body[5], "{\"run_id\":\"5a4a55\",\"status\":\"FINISHED\",\"end_time\":2000}");
	stop();
}

Test(mlflow, joins_a_run_and_leaves_it_running)
{
	struct answer a[] = { { "GET", P "runs/get", 200, RUN, 0 },
		{ "POST", P "runs/log-batch", 200, "{}", 0 } };
	static const char *const expected[] = { "GET " P "runs/get?run_id=5a4a55",
		"POST " P "runs/log-batch", NULL };
	const struct http_opts o = { .bearer = "tok" };
	struct err e = ERR_INIT;
	char id[MLFLOW_ID];

	start(a, 2);
	cr_assert_eq(talk((struct mlflow_server){ .run_id = "5a4a55" }, &o, &sample, id, &e), 0, "%s",
	    e.msg);
	expect_asked(expected);
	cr_expect_str_eq(srv.auth, "Authorization: Bearer tok");
	stop();
}

Test(mlflow, large_runs_go_in_batches)
{
	struct answer a[] = { { "GET", P "experiments/get-by-name", 200, EXPERIMENT, 0 },
		{ "POST", P "runs/create", 200, RUN, 0 }, { "POST", P "runs/log-batch", 200, "{}", 0 },
		{ "POST", P "runs/update", 200, "{}", 0 } };
	static struct mlflow_number many[1700];
	static struct mlflow_text texts[250];
	static char value[2001];
	struct mlflow_run run = sample;
	const struct http_opts o = { 0 };
	struct err e = ERR_INIT;
	char id[MLFLOW_ID];

	for (size_t i = 0; i < 1000; i++)
		memcpy(value + 2 * i, "\xc3\xa9", 2);	/* a cut may fall inside a character */
	for (size_t i = 0; i < 1700; i++)
		many[i] = (struct mlflow_number){ "m", (double)i };
	for (size_t i = 0; i < 250; i++)
		texts[i] = (struct mlflow_text){ "p", value + 1 };
	value[1] = 'a';
	run.metrics = many;
	run.n_metrics = 1700;
	run.params = texts;
	run.n_params = 250;
	start(a, 4);
	cr_assert_eq(talk((struct mlflow_server){ 0 }, &o, &run, id, &e), 0, "%s", e.msg);
	cr_expect_eq(srv.asked, 6, "%zu", srv.asked);
	for (size_t i = 2; i < 5; i++) {
		size_t members = 0;

		cr_expect_eq(utf8_valid(srv.body[i], strlen(srv.body[i])), strlen(srv.body[i]));
		cr_expect_null(strstr(srv.body[i], "\xef\xbf\xbd"), "a character was cut in two");
		for (const char *p = srv.body[i]; (p = strstr(p, "\"key\"")) != NULL; p++)
			members++;
		cr_expect(members > 0 && members <= 1000, "batch of %zu", members);
	}
	stop();
}

Test(mlflow, faults_are_told_in_the_servers_words)
{
	static const struct { struct answer a[3]; enum err_code code; const char *says; size_t asked; } cases[] = {
		{ { { "GET", P "experiments/get-by-name", 401, "{}", 0 } }, ERR_NOPERM, "answered 401", 1 },
		{ { { "GET", P "experiments/get-by-name", 500, "<html>", 0 } }, ERR_UNAVAILABLE, "500", 2 },
		{ { { "GET", P "experiments/get-by-name", 200, "<html>hello", 0 } }, ERR_INPUT,
		    "is this an MLflow server", 1 },
		{ { { "GET", P "experiments/get-by-name", 200, "{\"experiment\":{\"experiment_id\":\"1/../x\"}}",
		    0 } }, ERR_INPUT, "no experiment.experiment_id", 1 },
		{ { { "GET", P "experiments/get-by-name", 200,
		    "{\"experiment\":{\"experiment_id\":\"1\",\"lifecycle_stage\":\"deleted\"}}", 0 } },
		    ERR_INPUT, "was deleted", 1 },
		{ { { "GET", P "experiments/get-by-name", 200, EXPERIMENT, 0 },
		    { "POST", P "runs/create", 400, "{\"error_code\":\"X\",\"message\":\"no \\u0007room\"}", 0 } },
		    ERR_INPUT, "runs/create: the server answered 400: no \\x07room", 2 },
		/* The run exists: it is ended though its figures were refused. */
		{ { { "GET", P "experiments/get-by-name", 200, EXPERIMENT, 0 },
		    { "POST", P "runs/create", 200, RUN, 0 },
		    { "POST", P "runs/log-batch", 400, "{\"error_code\":\"INVALID_PARAMETER_VALUE\"}", 0 } },
		    ERR_INPUT, "INVALID_PARAMETER_VALUE", 4 },
	};
	const struct http_opts o = { 0 };

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct answer a[3];
		struct err e = ERR_INIT;
		char id[MLFLOW_ID];
		size_t n = 0;

		memcpy(a, cases[i].a, sizeof a);
		while (n < 3 && a[n].method != NULL)
			n++;
		srv.asked = 0;
		start(a, n);
		cr_expect_eq(talk((struct mlflow_server){ 0 }, &o, &sample, id, &e), -1, "case %zu", i);
		cr_expect_eq(e.code, cases[i].code, "case %zu: %s", i, e.msg);
		cr_expect_not_null(strstr(e.msg, cases[i].says), "case %zu: %s", i, e.msg);
		cr_expect_eq(srv.asked, cases[i].asked, "case %zu: asked %zu times", i, srv.asked);
		stop();
	}
}

/* ---- the exchange recorded from MLflow's own client ---- */

struct recorded {
	struct answer a[ASKED];
	char *request[ASKED], *text[ASKED][3];
	size_t n;
};

struct line {
	char *method, *path, *request, *response;
	int status;
};

static int
line_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct line *l = ctx;
	char **to = strcmp(name, "method") == 0 ? &l->method : strcmp(name, "path") == 0 ? &l->path :
	    strcmp(name, "request") == 0 ? &l->request : strcmp(name, "response") == 0 ? &l->response : NULL;

	(void)type;
	if (to != NULL)
		*to = mem_dup(text.n > 0 ? text.p : "", text.n, e);
	if (strcmp(name, "status") == 0)
		l->status = atoi(text.p);
	return 0;
}

/* Names of a request's members, their numbers in lists made one. */
static int
member(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	char plain[256];
	size_t n = 0;

	(void)type, (void)text;
	for (; *name != '\0' && n < sizeof plain - 1; name++)
		if (*name < '0' || *name > '9')
			plain[n++] = *name;
	return map_intern(ctx, plain, n, NULL, e) == MAP_NONE ? -1 : 0;
}

Test(mlflow, says_what_the_stock_client_says)
{
	const char *root = getenv("LLMR_SHARED");
	static struct recorded rec;
	char path[512];
	struct buf all = BUF_INIT;
	struct err e = ERR_INIT;
	const struct http_opts o = { 0 };
	char id[MLFLOW_ID];

	(void)snprintf(path, sizeof path, "%s/fixtures/mlflow-rest/trace.jsonl",
	    root != NULL ? root : "../shared");
	if (!io_exists(path))
		cr_skip_test("LLMR_SHARED is not here");
	cr_assert_eq(io_read_file(path, 1 << 24, &all, &e), 0, "%s", e.msg);
	for (char *p = all.p, *nl; (nl = strchr(p, '\n')) != NULL && rec.n < ASKED; p = nl + 1) {
		struct line l = { 0 };

		cr_assert_eq(jflat_each((struct slice){ p, (size_t)(nl - p) }, line_leaf, &l, &e), 0, "%s",
		    e.msg);
		l.path[strcspn(l.path, "?")] = '\0';
		rec.a[rec.n] = (struct answer){ l.method, l.path, l.status, l.response, 0 };
		rec.request[rec.n++] = l.request;
	}
	cr_assert_geq(rec.n, 20);
	start(rec.a, rec.n);
	cr_assert_eq(talk((struct mlflow_server){ 0 }, &o, &sample, id, &e), 0, "%s", e.msg);
	cr_expect_str_eq(id, "5a4a55aabb62422faa217ea4a62210cb");
	for (size_t i = 0; i < srv.asked; i++) {
		struct map ours = MAP_INIT, theirs = MAP_INIT;
		size_t seen = 0;

		for (size_t k = 0; k < rec.n; k++) {
			char want[300];
			size_t n = strcspn(srv.line[i], "?");

			(void)snprintf(want, sizeof want, "%s %s", rec.a[k].method, rec.a[k].path);
			if (strlen(want) != n || strncmp(want, srv.line[i], n) != 0)
				continue;
			seen++;
			if (rec.request[k][0] == '{')
				cr_assert_eq(jflat_each(slice_str(rec.request[k]), member, &theirs, &e), 0);
		}
		cr_expect_gt(seen, 0, "nobody asked %s", srv.line[i]);
		if (srv.body[i][0] == '{')
			cr_assert_eq(jflat_each(slice_str(srv.body[i]), member, &ours, &e), 0, "%s", e.msg);
		for (size_t k = 0; k < ours.len; k++)
			/* The recorded client set its tag by another call. */
			if (strstr(ours.keys[k], "tags.") == NULL)
				cr_expect_neq(map_find(&theirs, ours.keys[k], ours.key_len[k]), MAP_NONE,
				    "%s: member %s", srv.line[i], ours.keys[k]);
		map_finish(&ours);
		map_finish(&theirs);
	}
	stop();
	buf_finish(&all);
}
