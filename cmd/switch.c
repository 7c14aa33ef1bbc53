/* llmr switch - drive the switching of versions of a running gateway. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cmd.h"
#include "common/hosts.h"
#include "fmt/jflat.h"
#include "fmt/jsonw.h"
#include "net/http.h"

#define POLL_NS 500000000LL
#define MAX_ANSWER ((uint64_t)16 << 20)

struct remote {
	struct ctx *c;
	struct hosts hosts;
	struct http *http;
	const char *base;	/* URL without a slash at its end */
	struct buf answer;
};

/* ---- the server ---- */

static int
on_body(void *ctx, const void *p, size_t n, struct err *e)
{
	struct remote *r = ctx;

	buf_add(&r->answer, p, n);
	return buf_ok(&r->answer, e);
}

static int
remote_open(struct remote *r)
{
	struct ctx *c = r->c;
	const char *url = opt_str(c, "url"), *key = getenv("LITELLM_MASTER_KEY");
	struct http_opts o = { .cancel = c->cancel, .connect_timeout = 5, .total_timeout = 120, .stall_timeout = 120,
		.ca_file = opt_str(c, "ca-file"), .ca_only = opt_flag(c, "ca-only"),
		.bearer = key == NULL || key[0] == '\0' ? NULL : key };

	if (strncmp(url, "unix:", 5) == 0) {
		o.unix_socket = url + 5;
		r->base = "http://localhost";
	} else {
		r->base = url;
		if (hosts_read(c, &r->hosts) < 0 || http_check_url(url, r->hosts.name, r->hosts.n, &c->err) < 0)
			return -1;
		o.allowed_hosts = r->hosts.name;
		o.n_allowed_hosts = r->hosts.n;
	}
	return (r->http = http_new(&o, &c->err)) == NULL ? -1 : 0;
}

static void
remote_close(struct remote *r)
{
	http_free(r->http);
	hosts_finish(&r->hosts);
	buf_finish(&r->answer);
}

struct wanted {
	const char *name;
	struct buf *out;
	bool found;
};

static int
want_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct wanted *w = ctx;

	(void)e;
	if (!w->found && type != JREAD_NULL && strcmp(name, w->name) == 0) {
		buf_add(w->out, text.p, text.n);
		w->found = true;
	}
	return 0;
}

/* A leaf of a JSON text by its dotted name, "" when it is not there; in b, which is emptied first. */
static const char *
leaf(const char *json, const char *name, struct buf *b)
{
	struct wanted w = { name, b, false };

	buf_reset(b);
	(void)jflat_each(slice_str(json), want_leaf, &w, NULL);
	return buf_cstr(b);
}

/* An answer that is no success, as an error with the server's own word. refusal: what 409 means here. */
static int
refused(struct remote *r, const struct http_response *s, enum err_code refusal)
{
	enum err_code code = s->status == 401 || s->status == 403 ? ERR_NOPERM : s->status == 404 ? ERR_NOINPUT
		: s->status == 409 ? refusal : s->status == 400 ? ERR_USAGE : s->status == 422 ? ERR_INPUT
		: s->status == 503 ? ERR_TEMPFAIL : ERR_UNAVAILABLE;
	struct buf b = BUF_INIT;
	const char *why = leaf(s->head, "error.message", &b);

	if (code == ERR_NOPERM && getenv("LITELLM_MASTER_KEY") == NULL)
		err_set(&r->c->err, code, "the server wants its key: set LITELLM_MASTER_KEY");
	else
		err_set(&r->c->err, code, "%s", why[0] != '\0' ? why : "the server answered with an error");
	if (why[0] == '\0')
		err_wrap(&r->c->err, "status %ld", s->status);
	buf_finish(&b);
	return -1;
}

/* One request; the answer's text is in r->answer. body NULL: GET. */
static int
call(struct remote *r, const char *path, const struct buf *body, enum err_code refusal)
{
	static const char *const headers[] = { "Content-Type: application/json" };
	struct buf url = BUF_INIT;
	struct http_response s;
	struct http_request q = { .headers = headers, .n_headers = 1, .max_bytes = MAX_ANSWER, .on_body = on_body,
		.ctx = r };
	size_t n = strlen(r->base);
	int code;

	while (n > 0 && r->base[n - 1] == '/')
		n--;
	buf_printf(&url, "%.*s%s", (int)n, r->base, path);
	q.url = buf_cstr(&url);
	if (body != NULL) {
		q.body = body->p == NULL ? "" : body->p;
		q.n_body = body->len;
		q.method = "POST";
	}
	buf_reset(&r->answer);
	code = buf_ok(&url, &r->c->err);
	if (code == 0)
		code = http_do(r->http, &q, &s, &r->c->err);
	if (code == 0 && (s.status < 200 || s.status > 299))
		code = refused(r, &s, refusal);
	buf_finish(&url);
	return code;
}

/* ---- what is shown ---- */

/* Members of list[i], tab-separated, for each i; "-" where there is none. */
struct row {
	const char *list;
	const char *const *member;
	size_t n, at;
	char (*cell)[96];
	bool any;
};

static void
end_row(struct row *t)
{
	for (size_t i = 0; t->any && i < t->n; i++)
		out_printf("%s%s", t->cell[i][0] == '\0' ? "-" : t->cell[i], i + 1 < t->n ? "\t" : "\n");
	for (size_t i = 0; i < t->n; i++)
		t->cell[i][0] = '\0';
	t->any = false;
}

static int
row_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	struct row *t = ctx;
	size_t n = strlen(t->list), at;
	char *end;

	(void)e;
	if (strncmp(name, t->list, n) != 0 || name[n] != '.')
		return 0;
	at = strtoul(name + n + 1, &end, 10);
	if (*end != '.')
		return 0;
	if (at != t->at)
		end_row(t);
	t->at = at;
	t->any = true;
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(end + 1, t->member[i]) == 0 && type != JREAD_NULL)
			(void)snprintf(t->cell[i], sizeof t->cell[i], "%.*s", (int)text.n, text.p);
	}
	return 0;
}

static int
show_list(struct remote *r, const char *list, const char *const *member, size_t n)
{
	char cell[10][96] = { { 0 } };
	struct row t = { list, member, n, 0, cell, false };

	if (r->c->json) {
		out_printf("%s\n", buf_cstr(&r->answer));
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		out_printf("%s%s", member[i], i + 1 < n ? "\t" : "\n");
	if (jflat_each(slice_str(buf_cstr(&r->answer)), row_leaf, &t, &r->c->err) < 0)
		return -1;
	end_row(&t);
	return 0;
}

static int
show_leaf(void *ctx, const char *name, enum jread_type type, struct slice text, struct err *e)
{
	(void)ctx;
	(void)e;
	if (type != JREAD_NULL)
		out_printf("%s\t%.*s\n", name, (int)text.n, text.p);
	return 0;
}

/* The whole answer: JSON, or a line for each leaf. */
static int
show_all(struct remote *r)
{
	if (r->c->json) {
		out_printf("%s\n", buf_cstr(&r->answer));
		return 0;
	}
	return jflat_each(slice_str(buf_cstr(&r->answer)), show_leaf, NULL, &r->c->err);
}

/* ---- subcommands ---- */

static void
put_option(struct jsonw *w, struct ctx *c, const char *key, const char *option)
{
	if (opt_str(c, option) != NULL)
		jsonw_kstr(w, key, opt_str(c, option));
}

/* A value as JSON: a number, true, false, a list of numbers, else a text. */
static void
put_value(struct jsonw *w, const char *v)
{
	char *end;
	const char *p = v;

	if (strcmp(v, "true") == 0 || strcmp(v, "false") == 0) {
		jsonw_bool(w, v[0] == 't');
		return;
	}
	if (v[0] == '\0' || strspn(v, "0123456789.,eE+-") != strlen(v)) {
		jsonw_string(w, v);
		return;
	}
	if (strchr(v, ',') == NULL) {
		jsonw_double(w, strtod(v, NULL));
		return;
	}
	jsonw_array(w);
	for (; *p != '\0'; p = *end == ',' ? end + 1 : end) {
		double d = strtod(p, &end);

		if (end == p)
			break;
		jsonw_double(w, d);
	}
	jsonw_end_array(w);
}

static int
put_config(struct jsonw *w, struct ctx *c)
{
	if (opt_count(c, "set") == 0)
		return 0;
	jsonw_key(w, "strategy_config");
	jsonw_object(w);
	for (size_t i = 0; i < opt_count(c, "set"); i++) {
		const char *s = opt_nth(c, "set", i), *eq = strchr(s, '=');

		if (eq == NULL || eq == s)
			return err_set(&c->err, ERR_USAGE, "--set %s: NAME=VALUE is needed", s);
		jsonw_key_n(w, s, (size_t)(eq - s));
		put_value(w, eq + 1);
	}
	jsonw_end_object(w);
	return 0;
}

/* Poll until the switch has ended. 0 done; -1 with ERR_NO when it went back. */
static int
wait_for(struct remote *r, const char *id)
{
	double limit = opt_duration(r->c, "timeout");
	int64_t begin = clock_mono_ns();
	struct buf path = BUF_INIT, state = BUF_INIT, why = BUF_INIT;
	int code = 0;

	buf_printf(&path, "/router/switch/%s", id);
	while (code == 0) {
		if ((code = call(r, buf_cstr(&path), NULL, ERR_UNAVAILABLE)) < 0 ||
		    strcmp(leaf(buf_cstr(&r->answer), "status", &state), "running") != 0)
			break;
		if (limit > 0 && (double)(clock_mono_ns() - begin) / 1e9 >= limit)
			code = err_set(&r->c->err, ERR_TEMPFAIL, "switch %s still runs after --timeout", id);
		else if ((code = cancel_check(r->c->cancel, &r->c->err)) == 0)
			clock_sleep_ns(POLL_NS);
	}
	if (code == 0 && (code = show_all(r)) == 0 && strcmp(buf_cstr(&state), "done") != 0)
		code = err_set(&r->c->err, ERR_NO, "switch %s: %s: %s", id, buf_cstr(&state),
			leaf(buf_cstr(&r->answer), "reason", &why));
	buf_finish(&path);
	buf_finish(&state);
	buf_finish(&why);
	return code;
}

static int
run_start(struct remote *r, const char *version)
{
	struct ctx *c = r->c;
	struct buf body = BUF_INIT, id = BUF_INIT;
	struct jsonw w;
	int code;

	jsonw_init(&w, &body);
	jsonw_object(&w);
	jsonw_kstr(&w, "target_version", version);
	put_option(&w, c, "name", "name");
	put_option(&w, c, "strategy_type", "strategy");
	code = put_config(&w, c);
	jsonw_end_object(&w);
	if (code == 0 && (code = call(r, "/router/switch", &body, ERR_NO)) == 0) {
		(void)leaf(buf_cstr(&r->answer), "operation_id", &id);
		if (opt_flag(c, "wait"))
			code = wait_for(r, buf_cstr(&id));
		else if (c->json)
			code = show_all(r);
		else
			out_printf("%s\n", buf_cstr(&id));
	}
	buf_finish(&body);
	buf_finish(&id);
	return code;
}

static int
run_register(struct remote *r, const char *version, const char *ref)
{
	struct buf body = BUF_INIT;
	const char *metadata = opt_str(r->c, "metadata");
	struct jsonw w;
	int code;

	jsonw_init(&w, &body);
	jsonw_object(&w);
	put_option(&w, r->c, "name", "name");
	jsonw_kstr(&w, "version", version);
	jsonw_kstr(&w, "ref", ref);
	if (metadata != NULL) {
		jsonw_key(&w, "metadata");
		jsonw_raw(&w, metadata, strlen(metadata));
	}
	jsonw_end_object(&w);
	code = call(r, "/router/versions", &body, ERR_NO);
	buf_finish(&body);
	return code < 0 ? -1 : show_all(r);
}

/* POST with the reason, and the router's name where one is asked for. */
static int
run_back(struct remote *r, const char *path, bool named)
{
	struct buf body = BUF_INIT;
	struct jsonw w;
	int code;

	jsonw_init(&w, &body);
	jsonw_object(&w);
	if (named)
		put_option(&w, r->c, "name", "name");
	put_option(&w, r->c, "reason", "reason");
	jsonw_end_object(&w);
	code = call(r, path, &body, ERR_NO);
	buf_finish(&body);
	return code < 0 ? -1 : show_all(r);
}

static bool
is_id(const char *s)
{
	return s[0] != '\0' && strlen(s) <= 64 && strspn(s, "0123456789abcdef") == strlen(s);
}

static int
run_on(struct remote *r, const char *what, const char *id)
{
	struct buf path = BUF_INIT;
	bool stop = strcmp(what, "abort") == 0;
	int code;

	if (!is_id(id))
		return err_set(&r->c->err, ERR_USAGE, "'%s' is no id of a switch; llmr switch list shows them", id);
	if (strcmp(what, "wait") == 0)
		return wait_for(r, id);
	buf_printf(&path, "/router/switch/%s%s", id, stop ? "/abort" : "");
	if (stop)
		code = run_back(r, buf_cstr(&path), false);
	else if ((code = call(r, buf_cstr(&path), NULL, ERR_UNAVAILABLE)) == 0)
		code = show_all(r);
	buf_finish(&path);
	return code;
}

static int
run(struct remote *r, const char *what, const char *const *arg, size_t n)
{
	static const char *const ops[] = { "operation_id", "status", "name", "from_version", "target_version",
		"strategy_type", "traffic_percentage", "started", "reason" };
	static const char *const versions[] = { "name", "version", "kind", "active", "cached", "bytes", "sha256", "ref" };

	if (strcmp(what, "start") == 0 && n == 1)
		return run_start(r, arg[0]);
	if (strcmp(what, "register") == 0 && n == 2)
		return run_register(r, arg[0], arg[1]);
	if (strcmp(what, "rollback") == 0 && n == 0)
		return run_back(r, "/router/rollback", true);
	if ((strcmp(what, "abort") == 0 || strcmp(what, "wait") == 0 || strcmp(what, "status") == 0) && n == 1)
		return run_on(r, what, arg[0]);
	if (strcmp(what, "status") == 0 && n == 0)
		return call(r, "/router/switch", NULL, ERR_UNAVAILABLE) < 0 ? -1 : show_all(r);
	if (strcmp(what, "list") == 0 && n == 0)
		return call(r, "/router/switch", NULL, ERR_UNAVAILABLE) < 0 ? -1
			: show_list(r, "operations", ops, sizeof ops / sizeof ops[0]);
	if (strcmp(what, "versions") == 0 && n == 0)
		return call(r, "/router/versions", NULL, ERR_UNAVAILABLE) < 0 ? -1
			: show_list(r, "versions", versions, sizeof versions / sizeof versions[0]);
	if (strcmp(what, "stats") == 0 && n == 0)
		return call(r, "/router/switch/stats", NULL, ERR_UNAVAILABLE) < 0 ? -1 : show_all(r);
	return err_set(&r->c->err, ERR_USAGE, "start VERSION, status [ID], list, wait ID, abort ID, rollback, "
		"register VERSION REF, versions or stats is expected");
}

int
cmd_switch(struct ctx *c)
{
	struct remote r = { .c = c };
	int code = remote_open(&r);

	if (code == 0)
		code = run(&r, c->args[0], c->args + 1, c->n_args - 1);
	remote_close(&r);
	return code;
}
