#include "serve/route.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fmt/jsonw.h"
#include "serve/arm.h"
#include "serve/observe.h"
#include "serve/reply.h"
#include "serve/switching.h"
#include "serve/telemetry.h"

void
route_want(const struct body *b, struct slice id, struct want *w)
{
	*w = (struct want){
		.prompt = b->prompt, .input_tokens = body_tokens(b), .stream = b->stream, .max_cost = b->max_cost,
		.max_latency = b->max_latency, .cost_weight = b->cost_weight, .latency_weight = b->latency_weight,
		.require = b->require, .n_require = b->n_require,
		.request_id = b->request_id.p != NULL ? b->request_id : id, .user = b->user, .tenant = b->tenant,
	};
}

/* To the tenth, which is finer than the clock is true. */
static void
write_us(struct jsonw *w, const char *key, double us)
{
	jsonw_kdouble(w, key, round(us * 10) / 10);
}

static void
write_times(struct jsonw *w, const struct router_times *t)
{
	jsonw_key(w, "timings_us");
	jsonw_object(w);
	write_us(w, "tokenize", t->tokenize);
	write_us(w, "embed", t->embed);
	write_us(w, "score", t->score);
	write_us(w, "policy", t->policy);
	write_us(w, "total", t->total);
	jsonw_end_object(w);
}

static void
write_scores(struct jsonw *w, const struct decision *d)
{
	const struct map *models = &d->model->router->models;

	jsonw_key(w, "scores");
	jsonw_object(w);
	for (size_t i = 0; i < models->len; i++)
		jsonw_kdouble(w, models->keys[i], d->score[i]);
	jsonw_end_object(w);
	jsonw_kdouble(w, "expected_cost", d->cost == NULL ? NAN : (double)d->cost[d->label]);
	jsonw_kdouble(w, "expected_latency", d->latency == NULL ? NAN : (double)d->latency[d->label]);
	jsonw_kstr(w, "model_sha256", d->model->sha256);
	jsonw_kstr(w, "model_version", d->model->version[0] == '\0' ? NULL : d->model->version);
}

static void
write_decision(struct jsonw *w, const struct decision *d, const struct slice *id, double total_us)
{
	struct router_times t = d->times;

	t.total = total_us;
	jsonw_object(w);
	jsonw_kstr(w, "model", d->deployment->group);
	jsonw_kstr(w, "label", d->model != NULL ? d->model->router->models.keys[d->label] : NULL);
	jsonw_kstr(w, "deployment", d->deployment->id);
	jsonw_kstr(w, "upstream_model", d->deployment->model);
	jsonw_kstr(w, "strategy", d->strategy);
	jsonw_kstr(w, "fallback", d->fallback);
	jsonw_kstr(w, "runner_up", d->runner_up_name);
	jsonw_kdouble(w, "propensity", d->propensity);
	jsonw_kbool(w, "explored", d->explored);
	if (d->arm != NULL) {
		jsonw_kstr(w, "router", d->arm->stats->router);
		jsonw_kstr(w, "version", d->arm->version);
	}
	if (d->score != NULL)
		write_scores(w, d);
	jsonw_kstr_n(w, "request_id", id->p, id->n);
	write_times(w, &t);
	jsonw_end_object(w);
}

/* Decide, answer, and tell of it, with the generation held. */
static void
answer(struct gateway *g, struct gateway_worker *k, struct exchange *x, struct want *want, int64_t start)
{
	const struct generation *n = gateway_enter(g, k);
	const struct lineup *lineup = n->n_lineups == 0 ? NULL : arm_lineup(n, want->group);
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	struct decision d;
	struct jsonw w;
	char id[72];
	double seconds;
	unsigned status;
	struct tracectx trace;
	int r;

	arm_choose(lineup, want);
	r = decide(&k->choose, n, &n->active, want, &d, &e);
	seconds = (double)(clock_mono_ns() - start) / 1e9;
	telemetry_begin(g->telemetry, exchange_header(x, "traceparent"), &trace);
	status = r < 0 ? reply_status(&e) : 200;
	(void)snprintf(id, sizeof id, "%.*s", (int)(want->request_id.n > 71 ? 71 : want->request_id.n), want->request_id.p);
	observe(g, &(struct event){ .path = "/v1/route", .request_id = id, .group = want->group, .generation = n, .d = &d,
		.prompt = want->prompt, .status = status, .error = r < 0 ? "none_available" : NULL,
		.start_us = clock_wall_us() - (int64_t)(seconds * 1e6), .total_seconds = seconds,
		.decision_seconds = seconds, .upstream_seconds = NAN, .ttft_seconds = NAN,
		.trace = trace });
	if (r == 0) {
		jsonw_init(&w, &out);
		write_decision(&w, &d, &want->request_id, seconds * 1e6);
	}
	if (lineup != NULL && lineup->shadow != NULL)
		switching_shadow(g, &k->choose, n, want, &d);
	gateway_leave(g, k);
	if (r == 0)
		reply_json(x, 200, &out);
	else
		reply_error(x, status, NULL, e.code == ERR_NOINPUT ? "model" : NULL, e.msg);
}

void
route_post(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const char *id = exchange_header(x, "x-request-id");
	int64_t start = clock_mono_ns();
	struct slice body = exchange_body(x);
	struct err e = ERR_INIT;
	struct body b;
	struct want want;
	char own[24], group[256];

	if (body_read(body.p == NULL ? "" : body.p, body.n, false, &k->scratch, &b, &e) < 0) {
		reply_error(x, 400, NULL, b.param, e.msg);
		return;
	}
	(void)snprintf(own, sizeof own, "%016llx", (unsigned long long)rng_u64(&k->choose.rng));
	route_want(&b, slice_str(id != NULL ? id : own), &want);
	if (b.model.p != NULL && b.model.n < sizeof group) {
		memcpy(group, b.model.p, b.model.n);
		group[b.model.n] = '\0';
		want.group = group;
	}
	answer(g, k, x, &want, start);
}

void
route_models(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const struct generation *n = gateway_enter(g, k);
	const struct config *c = n->config;
	struct buf out = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &out);
	jsonw_object(&w);
	jsonw_kstr(&w, "object", "list");
	jsonw_key(&w, "data");
	jsonw_array(&w);
	for (size_t i = 0; i < c->n_groups + c->router.n_aliases; i++) {
		jsonw_object(&w);
		jsonw_kstr(&w, "id", i < c->n_groups ? c->group[i] : c->router.alias[i - c->n_groups].alias);
		jsonw_kstr(&w, "object", "model");
		jsonw_kint(&w, "created", g->started_us / 1000000);
		jsonw_kstr(&w, "owned_by", "llmr");
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	gateway_leave(g, k);
	reply_json(x, 200, &out);
}
