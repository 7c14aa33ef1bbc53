#include "net/mlflowreg.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/mlflowapi.h"

#define FILES "/api/2.0/mlflow-artifacts/artifacts/"
#define SCHEME "mlflow-artifacts:/"

/* A path below FILES from a URI that the server gave; it goes into requests, so its form is checked. */
static int
take_root(const char *uri, char root[MLFLOWREG_URI], struct err *e)
{
	const char *p = uri + sizeof SCHEME - 1;

	if (strncmp(uri, SCHEME, sizeof SCHEME - 1) != 0)
		return err_set(e, ERR_CONFIG, "artifacts are at '%.100s', and llmr takes them from servers alone that "
		    "serve them (mlflow server --serve-artifacts)", uri);
	p += strspn(p, "/");
	if (p[0] == '\0' || strstr(p, "..") != NULL)
		return err_set(e, ERR_INPUT, "artifacts are at '%.100s', which is no place", uri);
	memcpy(root, p, strlen(p) + 1);
	return 0;
}

int
mlflowreg_run_root(const struct mlflow_server *s, const char *run, char root[MLFLOWREG_URI], struct err *e)
{
	struct mlflowapi_call c = { .s = s };
	char uri[MLFLOWREG_URI];
	int r;

	mlflowapi_begin(&c, "runs/get?run_id=", NULL);
	mlflowapi_escape(&c.url, run);
	r = mlflowapi_expect(&c, "runs/get", NULL, true, e);
	if (r == 0) {
		mlflowapi_find((struct slice){ buf_cstr(&c.answer), c.answer.len }, "run.info.artifact_uri", uri,
		    sizeof uri);
		r = take_root(uri, root, e);
	}
	mlflowapi_finish(&c);
	return r;
}

static void
file_url(const struct mlflow_server *s, const char *root, const char *path, struct buf *out)
{
	size_t n = strlen(s->url);

	while (n > 0 && s->url[n - 1] == '/')
		n--;
	buf_add(out, s->url, n);
	buf_str(out, FILES);
	for (const char *parts[] = { root, "/", path, NULL }, **p = parts; *p != NULL; p++)
		for (const char *t = *p; *t != '\0'; t++) {
			char one[2] = { *t, '\0' };

			if (*t == '/')
				buf_byte(out, '/');
			else
				mlflowapi_escape(out, one);
		}
}

static ptrdiff_t
read_file(void *ctx, void *p, size_t n, uint64_t at, struct err *e)
{
	ssize_t k;

	do
		k = pread(*(int *)ctx, p, n, (off_t)at);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		err_sys(e, ERR_IO, "read");
	return (ptrdiff_t)k;
}

/* Send until an answer came that asks for no retry. */
static int
send_file(const struct mlflow_server *s, const struct http_request *q, const char *path, struct err *e)
{
	struct http_response res;
	struct rng rng;

	rng_seed(&rng, (uint64_t)clock_mono_ns());
	for (unsigned tries = 1;; tries++) {
		int r = http_do(s->http, q, &res, e);
		bool transient = r == 0 ? retry_status(res.status) : res.fault == HTTP_TRANSIENT;
		double wait;

		if (r == 0 && res.status >= 200 && res.status <= 299)
			return 0;
		if (r == 0 && res.status == 404)
			return err_set(e, ERR_NOINPUT, "%s: there is no such file", path);
		wait = transient ? retry_delay(&s->retry, tries, res.retry_after, &rng) : -1;
		if (wait < 0)
			return r < 0 ? err_wrap(e, "%s", path) : mlflowapi_refused(path, &res, e);
		if (retry_sleep(wait, s->cancel, e) < 0)
			return -1;
		/* What came of an answer that broke off is thrown away. */
		if (q->on_restart != NULL && q->on_restart(q->ctx, e) != 0)
			return -1;
	}
}

int
mlflowreg_put(const struct mlflow_server *s, const char *root, const char *path, const void *p, size_t n,
	int fd, uint64_t size_bytes, struct err *e)
{
	const char *const headers[] = { "Content-Type: application/octet-stream" };
	struct http_request q = { .method = "PUT", .headers = headers, .n_headers = 1 };
	struct buf url = BUF_INIT;
	int r;

	file_url(s, root, path, &url);
	q.url = buf_cstr(&url);
	q.body = fd < 0 ? p : NULL;
	q.n_body = fd < 0 ? n : (size_t)size_bytes;
	if (fd >= 0) {
		q.read = read_file;
		q.ctx = &fd;
	}
	r = buf_ok(&url, e);
	if (r == 0)
		r = send_file(s, &q, path, e);
	buf_finish(&url);
	return r;
}

int
mlflowreg_register(const struct mlflow_server *s, const char *model, const char *run, const char *folder,
	char version[MLFLOW_ID], struct err *e)
{
	struct mlflowapi_call c = { .s = s };
	struct buf source = BUF_INIT;
	char word[64];
	struct jsonw w;
	int r;

	mlflowapi_begin(&c, "registered-models/create", &w);
	jsonw_kstr(&w, "name", model);
	r = mlflowapi_expect(&c, "registered-models/create", &w, true, e);
	mlflowapi_find((struct slice){ buf_cstr(&c.answer), c.answer.len }, "error_code", word, sizeof word);
	/* One that is there is what we want; the server's answer to a refusal is in the error's text alone. */
	if (r < 0 && (c.status == 400 || c.status == 409) && (strstr(e->msg, "exist") != NULL ||
	    strcmp(word, "RESOURCE_ALREADY_EXISTS") == 0))
		r = 0;
	buf_printf(&source, "runs:/%s/%s", run, folder);
	if (r == 0)
		r = buf_ok(&source, e);
	if (r == 0) {
		mlflowapi_begin(&c, "model-versions/create", &w);
		jsonw_kstr(&w, "name", model);
		jsonw_kstr(&w, "source", source.p);
		jsonw_kstr(&w, "run_id", run);
		r = mlflowapi_expect(&c, "model-versions/create", &w, false, e);
	}
	if (r == 0)
		r = mlflowapi_take_id(&c, "model-versions/create", "model_version.version", version, e);
	buf_finish(&source);
	mlflowapi_finish(&c);
	return r;
}

int
mlflowreg_set_alias(const struct mlflow_server *s, const char *model, const char *alias,
	const char *version, struct err *e)
{
	struct mlflowapi_call c = { .s = s };
	struct jsonw w;
	int r;

	mlflowapi_begin(&c, "registered-models/alias", &w);
	jsonw_kstr(&w, "name", model);
	jsonw_kstr(&w, "alias", alias);
	jsonw_kstr(&w, "version", version);
	r = mlflowapi_expect(&c, "registered-models/alias", &w, true, e);
	mlflowapi_finish(&c);
	return r;
}

/* Where "runs:/RUN/FOLDER" or "mlflow-artifacts:/..." is. */
static int
resolve(const struct mlflow_server *s, char *uri, char root[MLFLOWREG_URI], struct err *e)
{
	char run[MLFLOW_ID];
	size_t n;

	if (strncmp(uri, "runs:/", 6) != 0)
		return take_root(uri, root, e);
	n = strcspn(uri + 6, "/");
	if (n == 0 || n >= sizeof run || strstr(uri, "..") != NULL)
		return err_set(e, ERR_INPUT, "the model is at '%.100s', which is no place", uri);
	memcpy(run, uri + 6, n);
	run[n] = '\0';
	if (mlflowreg_run_root(s, run, root, e) < 0)
		return -1;
	if (strlen(root) + strlen(uri + 6 + n) >= MLFLOWREG_URI)
		return err_set(e, ERR_INPUT, "the model is at '%.100s...', which is too long", uri);
	memcpy(root + strlen(root), uri + 6 + n, strlen(uri + 6 + n) + 1);
	return 0;
}

int
mlflowreg_find(const struct mlflow_server *s, const char *model, const char *alias,
	char version[MLFLOW_ID], char root[MLFLOWREG_URI], struct err *e)
{
	struct mlflowapi_call c = { .s = s };
	char uri[MLFLOWREG_URI];
	int r;

	mlflowapi_begin(&c, "registered-models/alias?name=", NULL);
	mlflowapi_escape(&c.url, model);
	buf_str(&c.url, "&alias=");
	mlflowapi_escape(&c.url, alias);
	c.status = 0;
	r = mlflowapi_expect(&c, "registered-models/alias", NULL, true, e);
	if (r < 0 && (c.status == 404 || (c.status == 400 && strstr(e->msg, "not found") != NULL)))
		e->code = ERR_NOINPUT;
	if (r == 0)
		r = mlflowapi_take_id(&c, "registered-models/alias", "model_version.version", version, e);
	if (r == 0) {
		mlflowapi_begin(&c, "model-versions/get-download-uri?name=", NULL);
		mlflowapi_escape(&c.url, model);
		buf_str(&c.url, "&version=");
		mlflowapi_escape(&c.url, version);
		r = mlflowapi_expect(&c, "model-versions/get-download-uri", NULL, true, e);
	}
	if (r == 0) {
		mlflowapi_find((struct slice){ buf_cstr(&c.answer), c.answer.len }, "artifact_uri", uri, sizeof uri);
		r = resolve(s, uri, root, e);
	}
	mlflowapi_finish(&c);
	return r;
}

int
mlflowreg_get(const struct mlflow_server *s, const char *root, const char *path, uint64_t max_bytes,
	int (*on_body)(void *ctx, const void *p, size_t n, struct err *e),
	int (*on_restart)(void *ctx, struct err *e), void *ctx, struct err *e)
{
	struct http_request q = { .max_bytes = max_bytes, .on_body = on_body, .on_restart = on_restart,
		.ctx = ctx };
	struct buf url = BUF_INIT;
	int r;

	file_url(s, root, path, &url);
	q.url = buf_cstr(&url);
	r = buf_ok(&url, e);
	if (r == 0)
		r = send_file(s, &q, path, e);
	buf_finish(&url);
	return r;
}
