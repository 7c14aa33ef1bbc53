#include "net/mlflow.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "fmt/jflat.h"
#include "fmt/jsonw.h"

#define API "/api/2.0/mlflow/"
#define MAX_ANSWER ((uint64_t)16 << 20)
#define MAX_KEY 250
/* Of one log-batch request, by the API's documentation. */
#define BATCH_METRICS 1000
#define BATCH_PARAMS 100
#define BATCH_TAGS 100

struct call {
	const struct mlflow_server *s;
	struct buf url, body, answer;
	long status;
};

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

static void
add_escaped(struct buf *b, const char *s)
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

static void
find(struct slice json, const char *name, char *out, size_t size)
{
	struct wanted w = { name, out, size };

	out[0] = '\0';
	(void)jflat_each(json, pick, &w, NULL);
}

/* An answer that is not 2xx, in the server's words where it has any. */
static int
refused(const char *what, const struct http_response *res, struct err *e)
{
	struct slice head = { res->head, res->n_head };
	enum err_code code = res->status == 401 || res->status == 403 ? ERR_NOPERM :
	    retry_status(res->status) ? ERR_UNAVAILABLE : ERR_INPUT;
	char word[256];

	find(head, "message", word, sizeof word);
	if (word[0] == '\0')
		find(head, "error_code", word, sizeof word);
	return err_set(e, code, "%s: the server answered %ld%s%s", what, res->status,
	    word[0] != '\0' ? ": " : "", word);
}

/*
 * Send c->body (GET when empty) to the API's path in c->url, with retries;
 * again: a request may be sent twice though the first may have been heard.
 * 0 for any answer that does not ask for a retry.
 */
static int
ask(struct call *c, const char *what, bool again, struct http_response *res, struct err *e)
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
			return r < 0 ? err_wrap(e, "%s", what) : refused(what, res, e);
		if (retry_sleep(wait, c->s->cancel, e) < 0)
			return -1;
	}
}

static void
begin(struct call *c, const char *path, struct jsonw *w)
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
static int
expect(struct call *c, const char *what, struct jsonw *w, bool again, struct err *e)
{
	struct http_response res;

	if (w != NULL)
		jsonw_end_object(w);
	if (ask(c, what, again, &res, e) < 0)
		return -1;
	c->status = res.status;
	if (res.status < 200 || res.status > 299)
		return refused(what, &res, e);
	return 0;
}

/* An id out of the last answer: it goes into requests, so its form is checked. */
static int
take_id(const struct call *c, const char *what, const char *name, char id[MLFLOW_ID],
	struct err *e)
{
	find((struct slice){ buf_cstr(&c->answer), c->answer.len }, name, id, MLFLOW_ID);
	for (const char *p = id; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			id[0] = '\0';
	if (id[0] == '\0')
		return err_set(e, ERR_INPUT, "%s: no %s in the answer: is this an MLflow server?", what,
		    name);
	return 0;
}

static int
get_experiment(struct call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "experiments/get-by-name";
	char stage[32];

	begin(c, "experiments/get-by-name?experiment_name=", NULL);
	add_escaped(&c->url, c->s->experiment);
	c->status = 0;
	if (expect(c, what, NULL, true, e) < 0)
		return -1;
	find((struct slice){ buf_cstr(&c->answer), c->answer.len }, "experiment.lifecycle_stage", stage,
	    sizeof stage);
	if (strcmp(stage, "deleted") == 0)
		return err_set(e, ERR_INPUT, "experiment '%s' was deleted on the server: restore it or "
		    "name another", c->s->experiment);
	return take_id(c, what, "experiment.experiment_id", id, e);
}

static int
find_experiment(struct call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "experiments/create";
	struct jsonw w;

	if (c->s->experiment_id != NULL) {
		(void)strncpy(id, c->s->experiment_id, MLFLOW_ID - 1);
		id[MLFLOW_ID - 1] = '\0';
		return 0;
	}
	if (get_experiment(c, id, e) == 0)
		return 0;
	if (c->status != 404)
		return -1;
	begin(c, what, &w);
	jsonw_kstr(&w, "name", c->s->experiment);
	if (expect(c, what, &w, true, e) == 0)
		return take_id(c, what, "experiment_id", id, e);
	/* Somebody else was quicker. */
	return c->status == 400 || c->status == 409 ? get_experiment(c, id, e) : -1;
}

static void
put_key(struct jsonw *w, const char *key)
{
	char clean[MAX_KEY + 1];
	size_t n = 0;

	for (; key[n] != '\0' && n < MAX_KEY; n++)
		clean[n] = isalnum((unsigned char)key[n]) || strchr("_-. ", key[n]) != NULL ? key[n] : '_';
	clean[n] = '\0';
	if (clean[0] == '.')
		clean[0] = '_';
	jsonw_kstr(w, "key", clean);
}

static void
put_texts(struct jsonw *w, const char *what, const struct mlflow_text *t, size_t n)
{
	jsonw_key(w, what);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(t[i].value);

		if (len > MLFLOW_VALUE) {
			for (len = MLFLOW_VALUE; len > 0 && (t[i].value[len] & 0xc0) == 0x80;)
				len--;
		}
		jsonw_object(w);
		put_key(w, t[i].key);
		jsonw_kstr_n(w, "value", t[i].value, len);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_metrics(struct jsonw *w, const struct mlflow_number *m, size_t n, int64_t when_ms)
{
	jsonw_key(w, "metrics");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		put_key(w, m[i].key);
		if (isfinite(m[i].value))
			jsonw_kdouble(w, "value", m[i].value);
		else
			jsonw_kstr(w, "value", isnan(m[i].value) ? "NaN" : m[i].value > 0 ? "Infinity" :
			    "-Infinity");
		jsonw_kint(w, "timestamp", when_ms);
		jsonw_kint(w, "step", 0);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static int
create_run(struct call *c, const struct mlflow_run *run, char id[MLFLOW_ID], struct err *e)
{
	const struct mlflow_text tags[] = { { "mlflow.user", run->user },
		{ "mlflow.source.name", "llmr" }, { "mlflow.source.type", "LOCAL" },
		{ "mlflow.runName", run->name } };
	static const char what[] = "runs/create";
	char experiment[MLFLOW_ID];
	struct jsonw w;

	if (find_experiment(c, experiment, e) < 0)
		return -1;
	begin(c, what, &w);
	jsonw_kstr(&w, "experiment_id", experiment);
	jsonw_kstr(&w, "user_id", run->user);
	jsonw_kstr(&w, "run_name", run->name);
	jsonw_kint(&w, "start_time", run->start_ms);
	put_texts(&w, "tags", tags, sizeof tags / sizeof tags[0]);
	/* Not sent twice: a lost answer would leave a run behind that nobody ends. */
	if (expect(c, what, &w, false, e) < 0)
		return -1;
	return take_id(c, what, "run.info.run_id", id, e);
}

static int
join_run(struct call *c, char id[MLFLOW_ID], struct err *e)
{
	static const char what[] = "runs/get";

	begin(c, "runs/get?run_id=", NULL);
	add_escaped(&c->url, c->s->run_id);
	if (expect(c, what, NULL, true, e) < 0)
		return err_wrap(e, "run '%s'", c->s->run_id);
	return take_id(c, what, "run.info.run_id", id, e);
}

static size_t
slice_of(size_t n, size_t most, size_t batch, size_t *from)
{
	*from = batch * most < n ? batch * most : n;
	return n - *from < most ? n - *from : most;
}

static int
log_batches(struct call *c, const struct mlflow_run *run, const char *id, struct err *e)
{
	static const char what[] = "runs/log-batch";

	for (size_t i = 0;; i++) {
		size_t p, t, m;
		size_t np = slice_of(run->n_params, BATCH_PARAMS, i, &p);
		size_t nt = slice_of(run->n_tags, BATCH_TAGS, i, &t);
		/* All together at most 1000. */
		size_t nm = slice_of(run->n_metrics, BATCH_METRICS - BATCH_PARAMS - BATCH_TAGS, i, &m);
		struct jsonw w;

		if (np + nt + nm == 0)
			return 0;
		begin(c, what, &w);
		jsonw_kstr(&w, "run_id", id);
		put_texts(&w, "params", run->params + p, np);
		put_texts(&w, "tags", run->tags + t, nt);
		put_metrics(&w, run->metrics + m, nm, run->end_ms);
		if (expect(c, what, &w, true, e) < 0)
			return -1;
	}
}

static int
end_run(struct call *c, const struct mlflow_run *run, const char *id, struct err *e)
{
	static const char what[] = "runs/update";
	struct jsonw w;

	begin(c, what, &w);
	jsonw_kstr(&w, "run_id", id);
	jsonw_kstr(&w, "status", run->status);
	jsonw_kint(&w, "end_time", run->end_ms);
	return expect(c, what, &w, true, e);
}

int
mlflow_log(const struct mlflow_server *s, const struct mlflow_run *run, char id[MLFLOW_ID],
	struct err *e)
{
	struct call c = { .s = s };
	struct err second = ERR_INIT;
	int r;

	r = s->run_id != NULL ? join_run(&c, id, e) : create_run(&c, run, id, e);
	if (r == 0) {
		r = log_batches(&c, run, id, e);
		if (s->run_id == NULL && end_run(&c, run, id, r == 0 ? e : &second) < 0)
			r = -1;
	}
	buf_finish(&c.url);
	buf_finish(&c.body);
	buf_finish(&c.answer);
	return r;
}
