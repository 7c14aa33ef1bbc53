#include "serve/switchapi.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "serve/reply.h"
#include "serve/switching.h"
#include "serve/switchstats.h"

#define MAX_METADATA 16384

/* ---- bodies ---- */

/* Fields by their names, the seeds' beside ours. */
static const char **
text_field(struct switchapi_body *b, struct slice key)
{
	struct { const char *name; const char **at; } fields[] = {
		{ "name", &b->name }, { "model_id", &b->name }, { "router", &b->name }, { "version", &b->version },
		{ "target_version", &b->version }, { "ref", &b->ref }, { "strategy", &b->strategy },
		{ "strategy_type", &b->strategy }, { "reason", &b->reason }, { "request_id", &b->request_id },
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		if (slice_is(key, fields[i].name))
			return fields[i].at;
	}
	return NULL;
}

static int
wrong(struct err *e, struct slice key, const char *what)
{
	return err_set(e, ERR_USAGE, "%.*s: %s", (int)(key.n > 60 ? 60 : key.n), key.p, what);
}

static int
read_object(struct jread *r, struct slice key, struct arena *a, const char **out, struct err *e)
{
	struct slice raw;

	if (jread_peek(r) == JREAD_NULL)
		return jread_null(r) ? 0 : -1;
	if (jread_peek(r) != JREAD_OBJECT || !jread_skip_raw(r, &raw) || raw.n > MAX_METADATA)
		return wrong(e, key, "an object of at most 16 KiB is needed");
	*out = arena_dup(a, raw.p, raw.n, e);
	return *out == NULL ? -1 : 0;
}

static int
read_field(struct jread *r, struct slice key, struct arena *a, struct switchapi_body *b, struct err *e)
{
	const char **at = text_field(b, key);
	struct slice s;
	bool yes;

	if (at != NULL) {
		if (jread_peek(r) == JREAD_NULL)
			return jread_null(r) ? 0 : -1;
		if (jread_peek(r) != JREAD_STRING || !jread_string(r, a, &s) || s.n > 4096 || memchr(s.p, '\0', s.n) != NULL)
			return wrong(e, key, "a text is needed");
		*at = arena_dup(a, s.p, s.n, e);
		return *at == NULL ? -1 : 0;
	}
	if (slice_is(key, "metadata"))
		return read_object(r, key, a, &b->metadata, e);
	if (slice_is(key, "strategy_config") || slice_is(key, "config"))
		return read_object(r, key, a, &b->config, e);
	if (slice_is(key, "success")) {
		if (!jread_bool(r, &yes))
			return wrong(e, key, "true or false is needed");
		b->success = yes;
		return 0;
	}
	if (slice_is(key, "latency_ms"))
		return jread_double(r, &b->latency_ms) && b->latency_ms >= 0 ? 0
			: wrong(e, key, "a number of 0 or more is needed");
	if (slice_is(key, "score"))
		return jread_double(r, &b->score) && b->score >= 0 && b->score <= 1 ? 0
			: wrong(e, key, "a number from 0 to 1 is needed");
	return wrong(e, key, "no such key");
}

int
switchapi_read(struct slice body, struct arena *a, struct switchapi_body *b, struct err *e)
{
	struct jread r;
	struct slice key;
	int code;

	*b = (struct switchapi_body){ .success = -1, .latency_ms = NAN, .score = NAN };
	if (body.n == 0)
		return 0;
	jread_init(&r, body.p, body.n);
	if (!jread_object(&r))
		return err_set(e, ERR_USAGE, "Invalid JSON payload: an object is needed");
	while (jread_member(&r, &key)) {
		if ((code = read_field(&r, key, a, b, e)) < 0 && jread_well(&r))
			return code;
		if (code < 0)
			break;
	}
	if (jread_done(&r, e) == 0)
		return 0;
	err_wrap(e, "Invalid JSON payload");
	e->code = ERR_USAGE;
	return -1;
}

/* ---- on the background thread ---- */

struct call {
	struct gateway *g;
	struct exchange *x;
	struct switcher *engine;
	struct arena arena;
	struct switchapi_body body;
	struct jsonw w;
	unsigned status;
	int (*run)(struct call *, struct err *);
};

static unsigned
status_of(const struct err *e)
{
	switch (e->code) {
	case ERR_USAGE:
		return 400;
	case ERR_NOPERM:
		return 403;
	case ERR_NOINPUT:
		return 404;
	case ERR_NO:
		return 409;
	case ERR_INPUT:
	case ERR_CONFIG:
		return 422;
	case ERR_TEMPFAIL:
		return 503;
	default:
		return 500;
	}
}

static void
run_job(void *ctx)
{
	struct call *a = ctx;
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	int r = 0;

	jsonw_init(&a->w, &out);
	pthread_mutex_lock(&a->g->reloading);
	if ((a->engine = switching_engine(a->g)) == NULL)
		r = err_set(&e, ERR_NO, "model switching is off: set model_switching.enabled or "
			"VLLM_MODEL_SWITCHING_ENABLED=true");
	else if ((r = switchapi_read(exchange_body(a->x), &a->arena, &a->body, &e)) == 0)
		r = a->run(a, &e);
	pthread_mutex_unlock(&a->g->reloading);
	if (r == 0)
		reply_json(a->x, a->status, &out);
	else {
		buf_finish(&out);
		reply_error(a->x, status_of(&e), NULL, NULL, e.msg);
	}
	arena_finish(&a->arena);
	free(a);
}

static void
ask(struct gateway *g, struct exchange *x, unsigned status, int (*run)(struct call *, struct err *))
{
	struct call *a = calloc(1, sizeof *a);
	struct err e = ERR_INIT;

	if (a == NULL) {
		reply_error(x, 503, NULL, NULL, "out of memory");
		return;
	}
	a->g = g;
	a->x = x;
	a->status = status;
	a->run = run;
	exchange_defer(x);
	if (jobs_ask(g->jobs, run_job, a, &e) < 0) {
		free(a);
		reply_error(x, 503, NULL, NULL, e.msg);
	}
}

/* ---- versions ---- */

static void
write_time(struct jsonw *w, const char *key, int64_t us)
{
	char text[28];

	str_iso8601(us, text);
	jsonw_kstr(w, key, us == 0 ? NULL : text);
}

static void
write_version(struct call *a, const struct model_version *v)
{
	const char *active = switcher_active(a->engine, v->name);
	struct jsonw *w = &a->w;

	jsonw_object(w);
	jsonw_kstr(w, "model_id", v->name);
	jsonw_kstr(w, "name", v->name);
	jsonw_kstr(w, "version", v->version);
	jsonw_kstr(w, "ref", v->ref);
	jsonw_kstr(w, "kind", v->kind);
	jsonw_kstr(w, "sha256", v->sha256);
	jsonw_kint(w, "bytes", (int64_t)v->bytes);
	jsonw_kbool(w, "signed", v->is_signed);
	jsonw_kbool(w, "cached", v->cached);
	jsonw_kbool(w, "active", active != NULL && strcmp(active, v->version) == 0);
	write_time(w, "registered", v->registered_us);
	jsonw_key(w, "metadata");
	if (v->metadata == NULL)
		jsonw_null(w);
	else
		jsonw_raw(w, v->metadata, strlen(v->metadata));
	jsonw_end_object(w);
}

static const char *
default_router(struct call *a)
{
	struct switch_view v;

	for (size_t i = 0; i < switcher_views(a->engine); i++) {
		switcher_view(a->engine, i, &v);
		if (v.is_default)
			return v.router;
	}
	return "";
}

static int
do_register(struct call *a, struct err *e)
{
	const struct generation *live = atomic_load(&a->g->live.value);
	struct switchapi_body *b = &a->body;
	const struct model_version *v;

	if (b->name == NULL)
		b->name = default_router(a);
	if (b->version == NULL || b->ref == NULL)
		return err_set(e, ERR_USAGE, "%s: missing", b->version == NULL ? "version" : "ref");
	if (!versions_is_name(slice_str(b->name)) || !versions_is_name(slice_str(b->version)))
		return err_set(e, ERR_USAGE, "name and version: 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first");
	if (strcmp(b->version, SWITCH_CONFIGURED) == 0)
		return err_set(e, ERR_USAGE, "version: '" SWITCH_CONFIGURED "' is the config's own");
	if (generation_group(live, b->name) != NULL)
		return err_set(e, ERR_NO, "name: '%s' is a model of model_list", b->name);
	if (versions_register(switching_versions(a->g), b->name, b->version, b->ref, b->metadata, clock_wall_us(), &v,
	    e) < 0)
		return -1;
	switching_evict(a->g);
	write_version(a, v);
	return 0;
}

static int
do_versions(struct call *a, struct err *e)
{
	const struct versions *s = switching_versions(a->g);

	(void)e;
	jsonw_object(&a->w);
	jsonw_key(&a->w, "versions");
	jsonw_array(&a->w);
	for (size_t i = 0; i < versions_count(s); i++)
		write_version(a, versions_nth(s, i));
	jsonw_end_array(&a->w);
	jsonw_end_object(&a->w);
	return 0;
}

/* ---- switches ---- */

static void
write_op(struct call *a, const struct switch_op *o)
{
	struct jsonw *w = &a->w;
	int64_t until = o->ended_us != 0 ? o->ended_us : clock_wall_us();
	bool runs = o->state == SWITCH_RUNNING;

	jsonw_object(w);
	jsonw_kstr(w, "operation_id", o->id);
	jsonw_kstr(w, "status", switch_state_name(o->state));
	jsonw_kstr(w, "name", o->router);
	jsonw_kstr(w, "from_version", o->from[0] == '\0' ? NULL : o->from);
	jsonw_kstr(w, "target_version", o->to);
	jsonw_kstr(w, "strategy_type", rollout_name(o->rollout.kind));
	jsonw_key(w, "strategy_config");
	rollout_write(w, &o->rollout);
	jsonw_kdouble(w, "traffic_percentage", runs ? o->rollout.percent[o->stage] : NAN);
	jsonw_kint(w, "stage", (int64_t)o->stage + 1);
	jsonw_kint(w, "stages", (int64_t)o->rollout.n_stages);
	jsonw_kdouble(w, "stage_elapsed_seconds", (double)o->elapsed_us / 1e6);
	jsonw_kdouble(w, "stage_seconds", o->rollout.stage_seconds);
	write_time(w, "started", o->started_us);
	write_time(w, "ended", o->ended_us);
	jsonw_kdouble(w, "seconds", (double)(until - o->started_us) / 1e6);
	jsonw_kstr(w, "reason", o->reason[0] == '\0' ? NULL : o->reason);
	jsonw_key(w, "report");
	if (o->report != NULL)
		jsonw_raw(w, o->report, strlen(o->report));
	else
		jsonw_null(w);
	jsonw_end_object(w);
}

/* A router: what is in service, and the figures of each of its arms. */
static void
write_router(struct call *a, const struct switch_view *v)
{
	const char *previous = switcher_previous(a->engine, v->router);
	struct jsonw *w = &a->w;
	unsigned total = 0;

	for (size_t i = 0; i < v->n; i++)
		total += v->weight[i];
	jsonw_object(w);
	jsonw_kstr(w, "name", v->router);
	jsonw_kbool(w, "default", v->is_default);
	jsonw_kstr(w, "active_version", switcher_active(a->engine, v->router));
	jsonw_kstr(w, "previous_version", previous == NULL || previous[0] == '\0' ? NULL : previous);
	jsonw_kstr(w, "shadow_version", v->shadow);
	jsonw_key(w, "arms");
	jsonw_array(w);
	for (size_t i = 0; i < v->n + (v->shadow != NULL); i++) {
		struct arm_stats *s = switcher_stats(a->engine, v->router, i < v->n ? v->version[i] : v->shadow, NULL);

		jsonw_object(w);
		jsonw_kstr(w, "version", i < v->n ? v->version[i] : v->shadow);
		jsonw_kdouble(w, "traffic_percentage", i < v->n && total > 0 ? 100.0 * v->weight[i] / total : 0);
		jsonw_kint(w, "in_flight", s == NULL ? 0 : (int64_t)atomic_load(&s->in_flight));
		jsonw_key(w, "figures");
		if (s != NULL)
			switchstats_write(w, s);
		else
			jsonw_null(w);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	jsonw_end_object(w);
}

static void
write_routers(struct call *a)
{
	struct switch_view v;

	jsonw_key(&a->w, "routers");
	jsonw_array(&a->w);
	for (size_t i = 0; i < switcher_views(a->engine); i++) {
		switcher_view(a->engine, i, &v);
		write_router(a, &v);
	}
	jsonw_end_array(&a->w);
}

static int
do_start(struct call *a, struct err *e)
{
	struct switchapi_body *b = &a->body;
	struct switch_request q = { .router = b->name, .version = b->version, .config = slice_str(b->config) };
	const struct switch_op *o;

	if (b->version == NULL)
		return err_set(e, ERR_USAGE, "target_version: missing");
	if (b->strategy != NULL) {
		q.has_kind = true;
		if (!rollout_parse(slice_str(b->strategy), &q.kind))
			return err_set(e, ERR_USAGE, "strategy_type: '%.40s' is none of immediate, gradual, canary, ab_test, "
				"shadow", b->strategy);
	}
	if (switcher_start(a->engine, &q, &o, e) < 0)
		return -1;
	write_op(a, o);
	return 0;
}

static int
do_status(struct call *a, struct err *e)
{
	(void)e;
	jsonw_object(&a->w);
	write_routers(a);
	jsonw_key(&a->w, "operations");
	jsonw_array(&a->w);
	for (size_t i = switcher_ops(a->engine); i-- > 0;)
		write_op(a, switcher_nth_op(a->engine, i));
	jsonw_end_array(&a->w);
	jsonw_end_object(&a->w);
	return 0;
}

/* The ID of /router/switch/ID, or of /router/switch/ID/abort. */
static int
path_id(struct call *a, const char *action, char id[65], struct err *e)
{
	const char *p = exchange_path(a->x) + strlen("/router/switch/"), *slash = strchr(p, '/');
	size_t n = slash == NULL ? strlen(p) : (size_t)(slash - p);

	if (n == 0 || n > 64 || (action == NULL) != (slash == NULL) || (action != NULL && strcmp(slash + 1, action) != 0))
		return err_set(e, ERR_NOINPUT, "Not Found");
	memcpy(id, p, n);
	id[n] = '\0';
	return 0;
}

static int
write_id(struct call *a, const char *id, struct err *e)
{
	const struct switch_op *o = switcher_op(a->engine, id);

	if (o == NULL)
		return err_set(e, ERR_NOINPUT, "there is no switch %s", id);
	write_op(a, o);
	return 0;
}

static int
do_operation(struct call *a, struct err *e)
{
	char id[65];

	return path_id(a, NULL, id, e) < 0 ? -1 : write_id(a, id, e);
}

static int
do_abort(struct call *a, struct err *e)
{
	char id[65];

	if (path_id(a, "abort", id, e) < 0 || switcher_abort(a->engine, id, a->body.reason, e) < 0)
		return -1;
	return write_id(a, id, e);
}

static int
do_rollback(struct call *a, struct err *e)
{
	const struct switch_op *o;

	if (switcher_rollback(a->engine, a->body.name, a->body.reason, &o, e) < 0)
		return -1;
	write_op(a, o);
	return 0;
}

static int
do_stats(struct call *a, struct err *e)
{
	size_t by_state[SWITCH_FAILED + 1] = { 0 };
	struct jsonw *w = &a->w;

	(void)e;
	for (size_t i = 0; i < switcher_ops(a->engine); i++)
		by_state[switcher_nth_op(a->engine, i)->state]++;
	jsonw_object(w);
	jsonw_key(w, "switches");
	jsonw_object(w);
	jsonw_kint(w, "total", (int64_t)switcher_ops(a->engine));
	for (int i = 0; i <= SWITCH_FAILED; i++)
		jsonw_kint(w, switch_state_name((enum switch_state)i), (int64_t)by_state[i]);
	jsonw_end_object(w);
	jsonw_key(w, "versions");
	jsonw_array(w);
	for (size_t i = 0; i < switcher_n_stats(a->engine); i++) {
		struct arm_stats *s = switcher_nth_stats(a->engine, i);

		jsonw_object(w);
		jsonw_kstr(w, "name", s->router);
		jsonw_key(w, "figures");
		switchstats_write(w, s);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	jsonw_end_object(w);
	return 0;
}

static int
do_feedback(struct call *a, struct err *e)
{
	const struct switchapi_body *b = &a->body;
	struct switching_feedback f = { .request_id = slice_str(b->request_id), .success = b->success,
		.latency_seconds = b->latency_ms / 1000, .score = b->score };

	if (b->request_id == NULL)
		return err_set(e, ERR_USAGE, "request_id: missing");
	if (b->success < 0 && isnan(b->score))
		return err_set(e, ERR_USAGE, "success or score is needed");
	if (switching_feedback(a->g, &f, e) < 0)
		return -1;
	jsonw_object(&a->w);
	jsonw_kstr(&a->w, "status", "accepted");
	jsonw_end_object(&a->w);
	return 0;
}

/* ---- endpoints ---- */

#define ENDPOINT(name, status, run) \
	void switchapi_##name(struct gateway *g, struct gateway_worker *k, struct exchange *x) \
	{ \
		(void)k; \
		ask(g, x, status, run); \
	}
ENDPOINT(register, 201, do_register)
ENDPOINT(versions, 200, do_versions)
ENDPOINT(start, 202, do_start)
ENDPOINT(status, 200, do_status)
ENDPOINT(operation, 200, do_operation)
ENDPOINT(abort, 200, do_abort)
ENDPOINT(rollback, 200, do_rollback)
ENDPOINT(stats, 200, do_stats)
ENDPOINT(feedback, 202, do_feedback)
