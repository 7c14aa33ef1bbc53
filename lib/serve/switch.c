#include "serve/switch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fmt/jread.h"
#include "serve/switchstats.h"

#define SAVE_US 2000000
#define WINDOW_US 300000000	/* over which a version that no switch concerns is watched */
#define ALERT_SAMPLES 20

struct routed {
	char name[65], active[65], previous[65];
	bool is_default;
	struct switch_op *op;		/* that runs; NULL none */
	int64_t window_us;		/* of the counters, while none runs */
};

struct switcher {
	struct switchdb *db;
	struct switch_hooks h;
	struct switch_settings set;
	struct routed **router;
	size_t n_routers, cap_routers;
	struct arm_stats **stats;
	size_t n_stats, cap_stats;
	struct switch_op **op;
	size_t n_ops, cap_ops;
	struct { char name[65]; unsigned weight; } standing[SWITCH_ARMS];
	size_t n_standing;
	int64_t last_us, saved_us;
	struct rng rng;
};

const char *
switch_state_name(enum switch_state s)
{
	static const char *const names[] = { "running", "done", "rolled_back", "aborted", "failed" };

	return names[s];
}

const char *
switch_alert_name(enum switch_alert_kind k)
{
	static const char *const names[] = { "error_rate", "latency_p95", "rolled_back", "failed" };

	return names[k];
}

static void
set_name(char out[65], const char *s)
{
	(void)snprintf(out, 65, "%s", s);
}

/* ---- counters ---- */

struct arm_stats *
switcher_stats(struct switcher *s, const char *router, const char *version, struct err *e)
{
	struct arm_stats *a;

	if (version[0] == '\0')
		return NULL;	/* a router that had none yet */
	for (size_t i = 0; i < s->n_stats; i++) {
		if (strcmp(s->stats[i]->router, router) == 0 && strcmp(s->stats[i]->version, version) == 0)
			return s->stats[i];
	}
	if (mem_grow((void **)&s->stats, &s->cap_stats, s->n_stats + 1, sizeof *s->stats, e) < 0 ||
	    (a = arm_stats_new(router, version, e)) == NULL)
		return NULL;
	return s->stats[s->n_stats++] = a;
}

size_t
switcher_n_stats(const struct switcher *s)
{
	return s->n_stats;
}

struct arm_stats *
switcher_nth_stats(const struct switcher *s, size_t i)
{
	return s->stats[i];
}

static void
reset(struct switcher *s, const struct routed *r, bool run)
{
	const struct switch_op *o = r->op;
	const char *of[] = { o == NULL ? r->active : o->from, o == NULL ? "" : o->to };

	for (int i = 0; i < 2; i++) {
		struct arm_stats *a = switcher_stats(s, r->name, of[i], NULL);

		if (a != NULL)
			arm_reset(a, run);
	}
}

/* ---- what is remembered ---- */

static void
save_router(struct switcher *s, const struct routed *r)
{
	if (s->db != NULL)
		(void)switchdb_put_router(s->db, &(struct switchdb_router){ r->name, r->active, r->previous }, NULL);
}

static void
save_op(struct switcher *s, const struct switch_op *o)
{
	struct buf config = BUF_INIT, counts = BUF_INIT;
	struct jsonw w;

	if (s->db == NULL)
		return;
	jsonw_init(&w, &config);
	rollout_write(&w, &o->rollout);
	if (o->state == SWITCH_RUNNING)
		switchstats_save(&counts, switcher_stats(s, o->router, o->from, NULL),
			switcher_stats(s, o->router, o->to, NULL));
	(void)switchdb_put_op(s->db, &(struct switchdb_op){ .id = o->id, .router = o->router, .from = o->from, .to = o->to,
		.strategy = rollout_name(o->rollout.kind), .config = buf_cstr(&config), .state = switch_state_name(o->state),
		.reason = o->reason, .report = o->report, .stage = (int64_t)o->stage, .elapsed_us = o->elapsed_us,
		.started_us = o->started_us, .ended_us = o->ended_us, .counts = counts.len > 0 ? buf_cstr(&counts) : NULL },
		NULL);
	buf_finish(&config);
	buf_finish(&counts);
}

/* ---- routers and switches ---- */

static struct routed *
find_router(const struct switcher *s, const char *name)
{
	for (size_t i = 0; i < s->n_routers; i++) {
		if (name == NULL ? s->router[i]->is_default : strcmp(s->router[i]->name, name) == 0)
			return s->router[i];
	}
	return NULL;
}

static struct routed *
add_router(struct switcher *s, const char *name, struct err *e)
{
	struct routed *r = find_router(s, name);

	if (r != NULL)
		return r;
	if (mem_grow((void **)&s->router, &s->cap_routers, s->n_routers + 1, sizeof *s->router, e) < 0 ||
	    (r = mem_calloc(1, sizeof *r, e)) == NULL)
		return NULL;
	set_name(r->name, name);
	return s->router[s->n_routers++] = r;
}

static void
op_free(struct switch_op *o)
{
	if (o != NULL)
		free(o->report);
	free(o);
}

/* Append, the oldest that ended forgotten when there are too many. */
static int
add_op(struct switcher *s, struct switch_op *o, struct err *e)
{
	if (mem_grow((void **)&s->op, &s->cap_ops, s->n_ops + 1, sizeof *s->op, e) < 0)
		return -1;
	for (size_t i = 0; s->n_ops >= SWITCH_HISTORY && i < s->n_ops; i++) {
		if (s->op[i]->state == SWITCH_RUNNING)
			continue;
		op_free(s->op[i]);
		memmove(s->op + i, s->op + i + 1, (s->n_ops - i - 1) * sizeof *s->op);
		s->n_ops--;
		break;
	}
	s->op[s->n_ops++] = o;
	return 0;
}

size_t
switcher_ops(const struct switcher *s)
{
	return s->n_ops;
}

const struct switch_op *
switcher_nth_op(const struct switcher *s, size_t i)
{
	return s->op[i];
}

static struct switch_op *
find_op(const struct switcher *s, const char *id)
{
	for (size_t i = 0; i < s->n_ops; i++) {
		if (strcmp(s->op[i]->id, id) == 0)
			return s->op[i];
	}
	return NULL;
}

const struct switch_op *
switcher_op(const struct switcher *s, const char *id)
{
	return find_op(s, id);
}

const char *
switcher_active(const struct switcher *s, const char *router)
{
	const struct routed *r = find_router(s, router);

	return r == NULL ? NULL : r->active;
}

const char *
switcher_previous(const struct switcher *s, const char *router)
{
	const struct routed *r = find_router(s, router);

	return r == NULL ? NULL : r->previous;
}

bool
switcher_needs(const struct switcher *s, const char *router, const char *version)
{
	const struct routed *r = find_router(s, router);

	for (size_t i = 0; r != NULL && r->is_default && i < s->n_standing; i++) {
		if (strcmp(s->standing[i].name, version) == 0)
			return true;
	}
	return r != NULL && (strcmp(r->active, version) == 0 || (r->op != NULL && strcmp(r->op->to, version) == 0));
}

/* ---- life ---- */

static int
remembered_router(void *ctx, const struct switchdb_router *d, struct err *e)
{
	struct routed *r = add_router(ctx, d->name, e);

	if (r == NULL)
		return -1;
	set_name(r->active, d->active);
	set_name(r->previous, d->previous);
	return 0;
}

static int
remembered_op(void *ctx, const struct switchdb_op *d, struct err *e)
{
	struct switcher *s = ctx;
	struct switch_op *o = mem_calloc(1, sizeof *o, e);
	enum rollout_kind kind;
	struct routed *r;

	if (o == NULL)
		return -1;
	(void)snprintf(o->id, sizeof o->id, "%s", d->id);
	(void)snprintf(o->reason, sizeof o->reason, "%s", d->reason);
	set_name(o->router, d->router);
	set_name(o->from, d->from);
	set_name(o->to, d->to);
	while (strcmp(switch_state_name(o->state), d->state) != 0 && o->state < SWITCH_FAILED)
		o->state++;
	o->stage = (size_t)d->stage;
	o->elapsed_us = d->elapsed_us;
	o->started_us = d->started_us;
	o->ended_us = d->ended_us;
	if ((d->report != NULL && (o->report = mem_strdup(d->report, e)) == NULL) ||
	    !rollout_parse(slice_str(d->strategy), &kind) ||
	    rollout_read(&o->rollout, kind, &s->set.rollout, slice_str(d->config), e) < 0 || add_op(s, o, e) < 0) {
		op_free(o);
		return err_wrap(e, "switch %s", d->id);
	}
	if (o->state != SWITCH_RUNNING)
		return 0;
	if (o->stage >= o->rollout.n_stages)
		o->stage = o->rollout.n_stages - 1;
	if ((r = add_router(s, o->router, e)) == NULL)
		return -1;
	r->op = o;
	return d->counts == NULL ? 0 : switchstats_load(d->counts, switcher_stats(s, o->router, o->from, e),
		switcher_stats(s, o->router, o->to, e));
}

struct switcher *
switcher_new(struct switchdb *db, const struct switch_hooks *h, const struct switch_settings *set, struct err *e)
{
	struct switcher *s = mem_calloc(1, sizeof *s, e);

	if (s == NULL)
		return NULL;
	s->db = db;
	s->h = *h;
	s->last_us = s->saved_us = h->mono_us(h->ctx);
	rng_seed(&s->rng, (uint64_t)h->wall_us(h->ctx) ^ (uint64_t)clock_mono_ns());
	s->set = *set;
	if (db != NULL && (switchdb_each_router(db, remembered_router, s, e) < 0 ||
	    switchdb_each_op(db, SWITCH_HISTORY, remembered_op, s, e) < 0)) {
		s->db = NULL;
		switcher_free(s);
		return NULL;
	}
	switcher_set(s, set);
	return s;
}

void
switcher_free(struct switcher *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_routers; i++) {
		if (s->router[i]->op != NULL)
			save_op(s, s->router[i]->op);
		free(s->router[i]);
	}
	for (size_t i = 0; i < s->n_ops; i++)
		op_free(s->op[i]);
	for (size_t i = 0; i < s->n_stats; i++)
		arm_stats_free(s->stats[i]);
	free(s->router);
	free(s->op);
	free(s->stats);
	free(s);
}

void
switcher_set(struct switcher *s, const struct switch_settings *set)
{
	struct routed *r;

	s->set = *set;
	for (size_t i = 0; i < s->n_routers; i++) {
		r = s->router[i];
		r->is_default = strcmp(r->name, set->router) == 0;
		/* Another is the config's own now: this one has only what was registered. */
		if (!r->is_default && strcmp(r->active, SWITCH_CONFIGURED) == 0)
			r->active[0] = '\0';
		if (!r->is_default && r->op != NULL && strcmp(r->op->from, SWITCH_CONFIGURED) == 0)
			r->op->from[0] = '\0';
	}
	if ((r = add_router(s, set->router, NULL)) == NULL)
		return;
	r->is_default = true;
	if (r->active[0] == '\0')
		set_name(r->active, SWITCH_CONFIGURED);
}

int
switcher_weights(struct switcher *s, const char *json, struct err *e)
{
	struct jread r;
	struct slice key;
	double total = 0, v;

	s->n_standing = 0;
	if (json == NULL || json[0] == '\0')
		return 0;
	jread_init(&r, json, strlen(json));
	(void)jread_object(&r);
	while (jread_member(&r, &key)) {
		if (s->n_standing == SWITCH_ARMS || key.n == 0 || key.n > 64 || !jread_double(&r, &v) || v < 0 || v > 1e6 ||
		    fmod(v, 1) != 0)
			break;
		memcpy(s->standing[s->n_standing].name, key.p, key.n);
		s->standing[s->n_standing].name[key.n] = '\0';
		s->standing[s->n_standing++].weight = (unsigned)v;
		total += v;
	}
	if (jread_done(&r, NULL) == 0 && total > 0)
		return 0;
	s->n_standing = 0;
	return err_set(e, ERR_CONFIG, "LLMROUTER_STRATEGY_WEIGHTS: an object of names to whole weights is needed, as in "
		"{\"baseline\": 90, \"candidate\": 10}");
}

/* ---- what is to be in service ---- */

size_t
switcher_views(const struct switcher *s)
{
	return s->n_routers;
}

void
switcher_view(const struct switcher *s, size_t i, struct switch_view *v)
{
	const struct routed *r = s->router[i];
	const struct switch_op *o = r->op;

	*v = (struct switch_view){ .router = r->name, .is_default = r->is_default };
	for (size_t k = 0; r->is_default && k < s->n_standing; k++) {
		v->version[v->n] = s->standing[k].name;
		v->weight[v->n++] = s->standing[k].weight;
	}
	if (v->n > 0 || (r->active[0] == '\0' && o == NULL))
		return;
	if (r->active[0] != '\0') {
		v->version[v->n] = o == NULL ? r->active : o->from;
		v->weight[v->n++] = 1;
	}
	if (o == NULL)
		return;
	if (o->rollout.kind == ROLLOUT_SHADOW) {
		v->shadow = o->to;
		return;
	}
	/* The old one first: buckets go over to the new one from the end, each user once. */
	v->version[v->n] = o->to;
	v->weight[v->n] = (unsigned)lround(o->rollout.percent[o->stage] * rollout_total(&o->rollout) / 100);
	if (v->n == 1)
		v->weight[0] = rollout_total(&o->rollout) - v->weight[1];
	v->n++;
}

static int
publish(struct switcher *s, struct err *e)
{
	return s->h.publish(s->h.ctx, e);
}

static void
alert(struct switcher *s, enum switch_alert_kind kind, const char *router, const char *version,
	const struct switch_op *o, const char *text)
{
	if (s->h.alert != NULL)
		s->h.alert(s->h.ctx, &(struct switch_alert){ kind, router, version, o == NULL ? NULL : o->id, text });
}

/* ---- begin and end ---- */

static void
finish(struct switcher *s, struct routed *r, enum switch_state state, bool stays, const char *reason)
{
	struct switch_op *o = r->op;
	struct err e = ERR_INIT;

	o->state = state;
	o->ended_us = s->h.wall_us(s->h.ctx);
	(void)snprintf(o->reason, sizeof o->reason, "%s", reason);
	free(o->report);
	o->report = switchstats_report(o, switcher_stats(s, r->name, o->from, NULL),
		switcher_stats(s, r->name, o->to, NULL));
	if (stays) {
		set_name(r->previous, o->from);
		set_name(r->active, o->to);
	}
	r->op = NULL;
	r->window_us = 0;
	save_op(s, o);
	save_router(s, r);
	reset(s, r, false);
	/* Both versions are loaded, so only lack of memory can stand against it; the arms stay as they were then. */
	if (publish(s, &e) < 0)
		alert(s, SWITCH_ALERT_FAILED, r->name, o->to, o, e.msg);
	if (state == SWITCH_ROLLED_BACK)
		alert(s, SWITCH_ALERT_ROLLBACK, r->name, o->to, o, o->reason);
	if (s->h.ended != NULL)
		s->h.ended(s->h.ctx, o);
}

/* What stands against a start. */
static int
may_start(struct switcher *s, const struct routed *r, const struct switch_request *q, enum rollout_kind kind,
	struct err *e)
{
	if (!s->h.exists(s->h.ctx, r->name, q->version))
		return err_set(e, ERR_NOINPUT, "%s has no version %s", r->name, q->version);
	if (r->op != NULL)
		return err_set(e, ERR_NO, "switch %s of %s is still running; abort it first", r->op->id, r->name);
	if (r->is_default && s->n_standing > 0)
		return err_set(e, ERR_NO, "LLMROUTER_STRATEGY_WEIGHTS divides the traffic of %s", r->name);
	if (strcmp(r->active, q->version) == 0)
		return err_set(e, ERR_NO, "%s %s is in service already", r->name, q->version);
	if (r->active[0] == '\0' && kind != ROLLOUT_IMMEDIATE)
		return err_set(e, ERR_NO, "no version of %s is in service yet; the first switch is immediate", r->name);
	return 0;
}

static struct switch_op *
make_op(struct switcher *s, const struct routed *r, const struct switch_request *q, enum rollout_kind kind,
	struct err *e)
{
	struct switch_op *o = mem_calloc(1, sizeof *o, e);

	if (o == NULL || rollout_read(&o->rollout, kind, &s->set.rollout, q->config, e) < 0) {
		free(o);
		return NULL;
	}
	(void)snprintf(o->id, sizeof o->id, "%016llx", (unsigned long long)rng_u64(&s->rng));
	set_name(o->router, r->name);
	set_name(o->from, r->active);
	set_name(o->to, q->version);
	o->started_us = s->h.wall_us(s->h.ctx);
	if (add_op(s, o, e) == 0)
		return o;
	op_free(o);
	return NULL;
}

int
switcher_start(struct switcher *s, const struct switch_request *q, const struct switch_op **out, struct err *e)
{
	enum rollout_kind kind = q->has_kind ? q->kind : s->set.kind;
	struct routed *r = find_router(s, q->router);
	struct switch_op *o;

	if (r == NULL && (q->router == NULL || !s->h.exists(s->h.ctx, q->router, q->version)))
		return err_set(e, ERR_NOINPUT, "%s has no version %s", q->router == NULL ? "" : q->router, q->version);
	if (r == NULL && (r = add_router(s, q->router, e)) == NULL)
		return -1;
	if (may_start(s, r, q, kind, e) < 0 || (o = make_op(s, r, q, kind, e)) == NULL)
		return -1;
	*out = o;
	r->op = o;
	reset(s, r, true);
	if (publish(s, e) < 0) {
		r->op = NULL;
		o->state = SWITCH_FAILED;
		o->ended_us = s->h.wall_us(s->h.ctx);
		(void)snprintf(o->reason, sizeof o->reason, "%.190s", e == NULL ? "" : e->msg);
		save_op(s, o);
		if (s->h.ended != NULL)
			s->h.ended(s->h.ctx, o);
		return -1;
	}
	if (kind == ROLLOUT_IMMEDIATE && o->rollout.stage_seconds <= 0)
		finish(s, r, SWITCH_DONE, true, "immediate");
	else
		save_op(s, o);
	return 0;
}

int
switcher_abort(struct switcher *s, const char *id, const char *reason, struct err *e)
{
	struct switch_op *o = find_op(s, id);

	if (o == NULL)
		return err_set(e, ERR_NOINPUT, "there is no switch %s", id);
	if (o->state != SWITCH_RUNNING)
		return err_set(e, ERR_NO, "switch %s ended already: %s", id, switch_state_name(o->state));
	finish(s, find_router(s, o->router), SWITCH_ABORTED, false, reason == NULL ? "aborted" : reason);
	return 0;
}

int
switcher_rollback(struct switcher *s, const char *router, const char *reason, const struct switch_op **out,
	struct err *e)
{
	struct routed *r = find_router(s, router);
	char back[65];

	if (r == NULL)
		return err_set(e, ERR_NOINPUT, "there is no router %s", router);
	if (r->op != NULL) {
		*out = r->op;
		finish(s, r, SWITCH_ROLLED_BACK, false, reason == NULL ? "rolled back by request" : reason);
		return 0;
	}
	if (r->previous[0] == '\0')
		return err_set(e, ERR_NO, "%s had no version before %s", r->name, r->active);
	set_name(back, r->previous);
	return switcher_start(s, &(struct switch_request){ .router = r->name, .version = back, .has_kind = true,
		.kind = ROLLOUT_IMMEDIATE }, out, e);
}

void
switcher_give_up(struct switcher *s, const char *router, const char *version, const char *reason)
{
	struct routed *r = find_router(s, router);

	if (r == NULL)
		return;
	if (r->op != NULL && strcmp(r->op->to, version) == 0) {
		r->op->state = SWITCH_FAILED;
		r->op->ended_us = s->h.wall_us(s->h.ctx);
		(void)snprintf(r->op->reason, sizeof r->op->reason, "%s", reason);
		save_op(s, r->op);
		r->op = NULL;
	} else {
		set_name(r->active, r->is_default ? SWITCH_CONFIGURED : "");
		if (r->op != NULL)
			set_name(r->op->from, r->active);
	}
	alert(s, SWITCH_ALERT_FAILED, router, version, NULL, reason);
}

/* ---- time passes ---- */

static void
look(struct arm_stats *a, struct rollout_sample *out)
{
	pthread_mutex_lock(&a->lock);
	out->n = a->stage.n;
	out->errors = a->stage.errors;
	out->p95_seconds = (double)hist_quantile(&a->stage.latency, 0.95) / 1e6;
	pthread_mutex_unlock(&a->lock);
}

static void
advance(struct switcher *s, struct routed *r, int64_t dt_us)
{
	struct switch_op *o = r->op;
	struct arm_stats *a = switcher_stats(s, r->name, o->to, NULL);
	struct rollout_sample sample = { 0 };
	char why[ROLLOUT_WHY] = "";
	struct err e = ERR_INIT;

	o->elapsed_us += dt_us;
	if (a != NULL)
		look(a, &sample);
	switch (rollout_judge(&o->rollout, o->stage, (double)o->elapsed_us / 1e6, &sample, why)) {
	case ROLLOUT_STAY:
		return;
	case ROLLOUT_NEXT:
		o->stage++;
		o->elapsed_us = 0;
		if (publish(s, &e) < 0) {
			o->stage--;
			alert(s, SWITCH_ALERT_FAILED, r->name, o->to, o, e.msg);
			return;
		}
		reset(s, r, false);
		save_op(s, o);
		return;
	case ROLLOUT_PROMOTE:
		finish(s, r, SWITCH_DONE, true, why);
		return;
	case ROLLOUT_RETURN:
		finish(s, r, SWITCH_DONE, false, why);
		return;
	case ROLLOUT_BACK:
		finish(s, r, SWITCH_ROLLED_BACK, false, why);
		return;
	}
}

/* Tell when a version's figures cross a line of the config, once each time. */
static void
watch(struct switcher *s, const struct switch_op *o, struct arm_stats *a)
{
	struct rollout_sample v;
	char text[160];
	double rate;

	look(a, &v);
	if (v.n < ALERT_SAMPLES)
		return;
	rate = (double)v.errors / (double)v.n;
	if (rate > s->set.alert_error_rate && !a->rate_alert) {
		(void)snprintf(text, sizeof text, "error rate %.4g of %llu requests is above %.4g", rate,
			(unsigned long long)v.n, s->set.alert_error_rate);
		alert(s, SWITCH_ALERT_ERROR_RATE, a->router, a->version, o, text);
	}
	if (v.p95_seconds > s->set.alert_p95_seconds && s->set.alert_p95_seconds > 0 && !a->latency_alert) {
		(void)snprintf(text, sizeof text, "P95 %.4g s of %llu requests is above %.4g s", v.p95_seconds,
			(unsigned long long)v.n, s->set.alert_p95_seconds);
		alert(s, SWITCH_ALERT_LATENCY, a->router, a->version, o, text);
	}
	a->rate_alert = rate > s->set.alert_error_rate;
	a->latency_alert = s->set.alert_p95_seconds > 0 && v.p95_seconds > s->set.alert_p95_seconds;
}

void
switcher_tick(struct switcher *s)
{
	int64_t now = s->h.mono_us(s->h.ctx), dt = now - s->last_us;
	bool save = now - s->saved_us >= SAVE_US;

	s->last_us = now;
	for (size_t i = 0; i < s->n_stats; i++) {
		const struct routed *r = find_router(s, s->stats[i]->router);

		if (s->set.rollout.watched)
			watch(s, r == NULL ? NULL : r->op, s->stats[i]);
	}
	for (size_t i = 0; i < s->n_routers; i++) {
		struct routed *r = s->router[i];

		if (r->op != NULL)
			advance(s, r, dt);
		else if ((r->window_us += dt) >= WINDOW_US) {
			r->window_us = 0;
			reset(s, r, false);
		}
		if (r->op != NULL && save)
			save_op(s, r->op);
	}
	if (save)
		s->saved_us = now;
}
