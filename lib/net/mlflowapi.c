#include "net/mlflowapi.h"

#include <ctype.h>
#include <string.h>

#include "fmt/jflat.h"

#define API "/api/2.0/mlflow/"
#define MAX_ANSWER ((uint64_t)16 << 20)

static int
take_bytes(void *ctx, const void *p, size_t n, struct err *e)
{
	struct buf *b = ctx;

	buf_add(b, p, n);
	return buf_ok(b, e);
}

static int
throw_away(void *ctx, struct err *e)
{
	(void)e;
	buf_reset(ctx);
	return 0;
}

void
mlflowapi_escape(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (isalnum((unsigned char)*s) || strchr("-._~", *s) != NULL)
			buf_byte(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
}

/* The member of that dotted name, a string, into out; "" when absent or too long. */
struct wanted {
	const char *name;
	char *out;
	size_t size;
};

static int
pick(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct wanted *w = ctx;

	(void)e;
	if (type != JREAD_STRING || strcmp(name, w->name) != 0 || text.n >= w->size)
		return 0;
	memcpy(w->out, text.p, text.n);
	w->out[text.n] = '\0';
	return 0;
}

void
mlflowapi_find(struct slice json, const char *name, char *out, size_t size)
{
	struct wanted w = { name, out, size };

	out[0] = '\0';
	(void)jflat_each(json, pick, &w, NULL);
}

/* An answer that is not 2xx, in the server's words where it has any. */
int
mlflowapi_refused(const char *what, const struct http_response *res, struct err *e)
{
	struct slice head = { res->head, res->n_head };
	enum err_code code = res->status == 401 || res->status == 403 ? ERR_NOPERM :
	    retry_status(res->status) ? ERR_UNAVAILABLE : ERR_INPUT;
	char word[256];

	mlflowapi_find(head, "message", word, sizeof word);
	if (word[0] == '\0')
		mlflowapi_find(head, "error_code", word, sizeof word);
	return err_set(e, code, "%s: the server answered %ld%s%s", what, res->status,
	    word[0] != '\0' ? ": " : "", word);
}

/*
 * Send c->body (GET when empty) to the API's path in c->url, with retries;
 * again: a request may be sent twice though the first may have been heard.
 * 0 for any answer that does not ask for a retry.
 */
static int
ask(struct mlflowapi_call *c, const char *what, bool again, struct http_response *res, struct err *e)
{
	const char *const headers[] = { "Content-Type: application/json" };
	const struct http_request q = { .url = buf_cstr(&c->url), .headers = headers,
		.n_headers = c->body.len > 0 ? 1 : 0, .body = c->body.len > 0 ? c->body.p : NULL,
		.n_body = c->body.len, .max_bytes = MAX_ANSWER, .on_body = take_bytes,
		.on_restart = throw_away, .ctx = &c->answer };
	struct rng rng;

	if (buf_ok(&c->url, e) < 0 || buf_ok(&c->body, e) < 0)
		return -1;
	rng_seed(&rng, (uint64_t)clock_mono_ns());
	for (unsigned tries = 1;; tries++) {
		double wait;
		bool transient;
		int r;

		buf_reset(&c->answer);
		r = http_do(c->s->http, &q, res, e);
		if (r == 0 && !retry_status(res->status))
			return 0;
		transient = r == 0 || (again && res->fault == HTTP_TRANSIENT);
		wait = transient ? retry_delay(&c->s->retry, tries, res->retry_after, &rng) : -1;
		if (wait < 0)
			return r < 0 ? err_wrap(e, "%s", what) : mlflowapi_refused(what, res, e);
		if (retry_sleep(wait, c->s->cancel, e) < 0)
			return -1;
	}
}

void
mlflowapi_begin(struct mlflowapi_call *c, const char *path, struct jsonw *w)
{
	size_t n = strlen(c->s->url);

	while (n > 0 && c->s->url[n - 1] == '/')
		n--;
	buf_reset(&c->url);
	buf_reset(&c->body);
	buf_add(&c->url, c->s->url, n);
	buf_str(&c->url, API);
	buf_str(&c->url, path);
	if (w == NULL)
		return;
	jsonw_init(w, &c->body);
	jsonw_object(w);
}

/* The body is ready: send it, 2xx is expected. */
int
mlflowapi_expect(struct mlflowapi_call *c, const char *what, struct jsonw *w, bool again, struct err *e)
{
	struct http_response res;

	if (w != NULL)
		jsonw_end_object(w);
	if (ask(c, what, again, &res, e) < 0)
		return -1;
	c->status = res.status;
	if (res.status < 200 || res.status > 299)
		return mlflowapi_refused(what, &res, e);
	return 0;
}

/* An id out of the last answer: it goes into requests, so its form is checked. */
int
mlflowapi_take_id(const struct mlflowapi_call *c, const char *what, const char *name, char id[MLFLOW_ID],
	struct err *e)
{
	mlflowapi_find((struct slice){ buf_cstr(&c->answer), c->answer.len }, name, id, MLFLOW_ID);
	for (const char *p = id; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			id[0] = '\0';
	if (id[0] == '\0')
		return err_set(e, ERR_INPUT, "%s: no %s in the answer: is this an MLflow server?", what,
		    name);
	return 0;
}

void
mlflowapi_finish(struct mlflowapi_call *c)
{
	buf_finish(&c->url);
	buf_finish(&c->body);
	buf_finish(&c->answer);
}
