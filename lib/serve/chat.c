#include "serve/chat.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "net/httprelay.h"
#include "serve/arm.h"
#include "serve/observe.h"
#include "serve/reply.h"
#include "serve/route.h"
#include "serve/switching.h"
#include "serve/telemetry.h"
#include "serve/usage.h"

#define MAX_ANSWER ((size_t)32 << 20)
#define MAX_TRIED 32
#define MAX_HOPS 5		/* fallback groups, as LiteLLM */
#define CONNECT_SECONDS 10.0

/* One request on its way. Owned by whoever runs its next callback; gone with the answer. */
struct chat {
	struct gateway *g;
	struct generation *n;		/* held */
	struct exchange *x;
	pthread_mutex_t lock;		/* over call */
	struct relay_call *call;	/* that runs; NULL none */
	char id[72], group[256];
	struct tracectx trace;
	bool stream, begun, hopped;
	unsigned retries, hops;
	const struct backend *tried[MAX_TRIED];
	size_t n_tried;
	struct decision d;		/* score and cost are not kept */
	const struct arm *arm;		/* that decides it, retries included */
	long status;
	struct relay_head head;
	char type[96];
	struct buf answer;		/* of a whole answer, or of an error */
	struct usage usage;
	int64_t start_ns, sent_ns;
	double ttft, decision_seconds;
	enum relay_end end;		/* of the last attempt */
	struct err e;			/* why the last attempt failed */
};

/* ---- the body that is sent on ---- */

static bool
ours(struct slice key)
{
	static const char *const names[] = {
		"max_cost", "max_latency", "cost_weight", "latency_weight", "capabilities", "request_id"
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (slice_is(key, names[i]))
			return true;
	}
	return false;
}

bool
chat_rewrite(const char *p, size_t n, const char *model, struct buf *out)
{
	struct jread r;
	struct slice key, value;
	bool any = false, named = false;

	jread_init(&r, p, n);
	buf_byte(out, '{');
	(void)jread_object(&r);
	while (jread_member(&r, &key)) {
		(void)jread_peek(&r);
		if (!jread_skip_raw(&r, &value))
			break;
		if (ours(key) || (named && slice_is(key, "model")))
			continue;
		if (any)
			buf_byte(out, ',');
		any = true;
		buf_byte(out, '"');
		buf_add(out, key.p, key.n);
		buf_str(out, "\":");
		if (slice_is(key, "model")) {
			jsonw_quote(out, model, strlen(model));
			named = true;
		} else
			buf_add(out, value.p, value.n);
	}
	if (!named) {
		buf_str(out, any ? ",\"model\":" : "\"model\":");
		jsonw_quote(out, model, strlen(model));
	}
	buf_byte(out, '}');
	return !out->failed;
}

/* ---- the end ---- */

static void
chat_free(struct chat *c)
{
	usage_finish(&c->usage);
	buf_finish(&c->answer);
	pthread_mutex_destroy(&c->lock);
	generation_unref(c->n);
	free(c);
}

/* The prompt again, for logs and spans that were asked to carry it. */
static struct slice
prompt_of(struct chat *c)
{
	struct gateway_worker *k = c->g->prompts ? gateway_worker(c->g) : NULL;
	struct slice text = exchange_body(c->x);
	struct err e = ERR_INIT;
	struct body b;

	if (k == NULL || body_read(text.p, text.n, true, &k->scratch, &b, &e) < 0)
		return SLICE_NONE;
	return b.prompt;
}

static void
tell(struct chat *c, unsigned status, const char *error)
{
	int64_t now = clock_mono_ns();
	double total = (double)(now - c->start_ns) / 1e9;

	observe(c->g, &(struct event){ .path = "/v1/chat/completions", .request_id = c->id, .group = c->group,
		.generation = c->n, .d = &c->d, .prompt = prompt_of(c), .trace = c->trace, .status = status,
		.error = error, .forwarded = c->sent_ns != 0,
		.stream = c->stream, .retries = c->retries, .hops = c->hops,
		.start_us = clock_wall_us() - (int64_t)(total * 1e6), .total_seconds = total,
		.decision_seconds = c->decision_seconds,
		.upstream_seconds = c->sent_ns == 0 ? NAN : (double)(now - c->sent_ns) / 1e9, .ttft_seconds = c->ttft,
		.prompt_tokens = c->usage.prompt_tokens, .completion_tokens = c->usage.completion_tokens });
}

static void
set_number(struct exchange *x, const char *name, double v)
{
	char text[40];

	(void)snprintf(text, sizeof text, "%.6g", v);
	exchange_set(x, name, text);
}

static void
set_headers(struct chat *c)
{
	const struct deployment *d = c->d.deployment;
	struct exchange *x = c->x;

	exchange_set(x, "x-llmr-request-id", c->id);
	exchange_set(x, "x-litellm-call-id", c->id);
	set_number(x, "x-litellm-attempted-retries", c->retries);
	set_number(x, "x-litellm-attempted-fallbacks", c->hops);
	if (d == NULL)
		return;
	exchange_set(x, "x-llmr-model", d->group);
	exchange_set(x, "x-llmr-upstream-model", d->model);
	exchange_set(x, "x-llmr-deployment", d->id);
	exchange_set(x, "x-llmr-strategy", c->d.strategy);
	if (c->d.model != NULL)
		exchange_set(x, "x-llmr-model-sha256", c->d.model->sha256);
	if (c->arm != NULL)
		exchange_set(x, "x-llmr-model-version", c->arm->version);
	if (c->d.fallback != NULL)
		exchange_set(x, "x-llmr-fallback", c->d.fallback);
	set_number(x, "x-llmr-propensity", c->d.propensity);
	exchange_set(x, "x-litellm-model-id", d->id);
	exchange_set(x, "x-litellm-model-group", d->group);
	if (d->api_base != NULL)
		exchange_set(x, "x-litellm-model-api-base", d->api_base);
	if (!c->stream)
		set_number(x, "x-litellm-response-duration-ms", (double)(clock_mono_ns() - c->start_ns) / 1e6);
}

/* Answer with an error of ours, unless something went out already. */
static void
fail(struct chat *c, unsigned status, const char *why)
{
	exchange_on_gone(c->x, NULL, NULL);
	tell(c, status, c->end == RELAY_TIMEOUT ? "timeout" : c->end == RELAY_CONNECT ? "connect" :
		c->end == RELAY_CANCELLED ? "cancelled" : c->sent_ns == 0 ? "none_available" : "upstream");
	if (c->begun)
		exchange_end(c->x, true);
	else {
		set_headers(c);
		if (status == 429 && c->head.retry_after > 0)
			set_number(c->x, "Retry-After", ceil(c->head.retry_after));
		reply_error(c->x, status, NULL, NULL, why);
	}
	chat_free(c);
}

/* The upstream's own answer, whatever its status. */
static void
pass_on(struct chat *c)
{
	const char *type = c->type[0] == '\0' ? "application/json" : c->type;

	if (!c->begun && c->status >= 400 && strncmp(type, "application/json", 16) != 0) {
		fail(c, (unsigned)c->status, "the upstream answered with an error that is not JSON");
		return;
	}
	exchange_on_gone(c->x, NULL, NULL);
	tell(c, (unsigned)c->status, c->status < 300 ? NULL : "upstream");
	if (c->begun)
		exchange_end(c->x, false);
	else {
		set_headers(c);
		if (c->status == 429 && c->head.retry_after > 0)
			set_number(c->x, "Retry-After", ceil(c->head.retry_after));
		exchange_reply(c->x, (unsigned)c->status, type, c->answer.p, c->answer.len);
	}
	chat_free(c);
}

/* ---- attempts ---- */

static int attempt(struct chat *c, struct gateway_worker *k, double delay, struct err *e);

/* Which kind of failure the last attempt was. */
static bool
may_retry(const struct chat *c, enum relay_end end)
{
	if (c->begun || exchange_gone(c->x))
		return false;
	if (end != RELAY_OK)
		return end != RELAY_CANCELLED && end != RELAY_REFUSED;
	return c->status == 408 || c->status == 409 || c->status == 429 || c->status >= 500;
}

static bool
context_too_small(const struct chat *c)
{
	const char *text = buf_cstr(&c->answer);

	return c->status == 400 && (strstr(text, "context_length_exceeded") != NULL ||
		strstr(text, "maximum context length") != NULL);
}

/* Go over to the next fallback group. False when there is none left. */
static bool
hop(struct chat *c, bool context)
{
	const struct router_settings *s = &c->n->config->router;
	const struct fallback *f = context ? config_fallback(&s->context_fallbacks, c->group) : NULL;

	if (f == NULL)
		f = config_fallback(&s->fallbacks, c->group);
	if (f == NULL || c->hops >= f->n || c->hops >= MAX_HOPS)
		return false;
	c->hops++;
	c->hopped = true;
	c->n_tried = 0;
	return true;
}

/* The group that is asked now: the client's, or the fallback it has come to. */
static const char *
group_now(const struct chat *c)
{
	const struct router_settings *s = &c->n->config->router;
	const struct fallback *f;

	if (!c->hopped)
		return c->group;
	f = config_fallback(&s->fallbacks, c->group);
	if (f == NULL || c->hops > f->n)
		f = config_fallback(&s->context_fallbacks, c->group);
	return f == NULL ? c->group : f->to[c->hops - 1];
}

/* Seconds before the next try: none while others are at hand, else what the upstream asked for, or growing. */
static double
pause_before(struct chat *c, struct gateway_worker *k)
{
	double least = c->n->config->router.retry_after, s = fmin(fmax(0.5 * pow(2, c->retries), least), 8);

	if (!c->d.alone)
		return 0;
	if (c->head.retry_after > 0 && c->head.retry_after <= 60)
		s = c->head.retry_after;
	return s + 0.75 * rng_double(&k->choose.rng);
}

static bool
again(struct chat *c, bool context)
{
	struct gateway_worker *k = gateway_worker(c->g);
	struct err e = ERR_INIT;

	if (k == NULL)
		return false;
	if (!context && c->retries < c->n->config->router.num_retries) {
		double wait = pause_before(c, k);

		c->retries++;
		if (c->d.alone)
			c->n_tried = 0;
		if (attempt(c, k, wait, &e) == 0)
			return true;
	}
	while (hop(c, context)) {
		if (attempt(c, k, 0, &e) == 0)
			return true;
	}
	return false;
}

static void
note_outcome(struct chat *c, enum relay_end end)
{
	int64_t now = clock_mono_ns();
	struct outcome o = {
		.ok = end == RELAY_OK && c->status >= 200 && c->status < 300, .timed_out = end == RELAY_TIMEOUT,
		.status = (unsigned)c->status, .seconds = (double)(now - c->sent_ns) / 1e9, .ttft_seconds = c->ttft,
		.tokens = c->usage.total_tokens, .completion_tokens = c->usage.completion_tokens, .alone = c->d.alone,
	};

	/* What the client asked wrongly is not the deployment's fault. */
	if (end == RELAY_CANCELLED || (end == RELAY_OK && c->status >= 400 && c->status < 500 && c->status != 429 &&
	    c->status != 401 && c->status != 404 && c->status != 408))
		o.ok = true;
	backend_end(c->d.backend, &c->n->config->router, &o);
}

static void
give_up(struct chat *c, enum relay_end end, const char *why)
{
	char text[600];

	(void)snprintf(text, sizeof text, "%s: %s", c->d.deployment == NULL ? c->group : c->d.deployment->group, why);
	switch (end) {
	case RELAY_OK:
		pass_on(c);
		return;
	case RELAY_TIMEOUT:
		fail(c, 504, text);
		return;
	case RELAY_CANCELLED:
		fail(c, exchange_gone(c->x) ? 499 : 503, "cancelled");
		return;
	default:
		fail(c, 502, text);
	}
}

static void
on_head(void *ctx, const struct relay_head *h)
{
	struct chat *c = ctx;

	c->status = h->status;
	c->head = *h;
	(void)snprintf(c->type, sizeof c->type, "%s", h->content_type);
}

/* A sign-in page, or what a proxy says: no answer of a model, whatever its status. */
static bool
is_page(const struct chat *c)
{
	return strncmp(c->type, "text/html", 9) == 0;
}

static bool
is_object(const struct buf *b)
{
	struct jread r;

	jread_init(&r, b->p == NULL ? "" : b->p, b->len);
	return jread_peek(&r) == JREAD_OBJECT && jread_skip(&r) && jread_done(&r, NULL) == 0;
}

static void
on_drain(void *ctx)
{
	struct chat *c = ctx;

	pthread_mutex_lock(&c->lock);
	if (c->call != NULL)
		relay_resume(c->call);
	pthread_mutex_unlock(&c->lock);
}

static bool
on_body(void *ctx, const void *p, size_t n)
{
	struct chat *c = ctx;

	if (isnan(c->ttft))
		c->ttft = (double)(clock_mono_ns() - c->sent_ns) / 1e9;
	if (!c->stream || c->status < 200 || c->status >= 300 || is_page(c)) {
		if (c->answer.len + n <= MAX_ANSWER)
			buf_add(&c->answer, p, n);
		else
			c->answer.failed = true;
		return true;
	}
	usage_feed(&c->usage, p, n);
	if (!c->begun) {
		c->begun = true;
		set_headers(c);
		exchange_set(c->x, "Cache-Control", "no-cache");
		exchange_set(c->x, "X-Accel-Buffering", "no");
		exchange_stream(c->x, (unsigned)c->status, c->type[0] == '\0' ? "text/event-stream" : c->type, on_drain, c);
	}
	return exchange_write(c->x, p, n);
}

static void
on_done(void *ctx, enum relay_end end, const char *why)
{
	struct chat *c = ctx;

	pthread_mutex_lock(&c->lock);
	c->call = NULL;
	pthread_mutex_unlock(&c->lock);
	if (end == RELAY_OK && c->answer.failed) {
		end = RELAY_CUT;
		why = "the answer is too large";
	}
	if (end == RELAY_OK && c->status >= 200 && c->status < 300 && !c->begun && (is_page(c) || !is_object(&c->answer))) {
		end = RELAY_CUT;
		why = "the upstream's answer is not a JSON object";
	}
	if (end == RELAY_OK && c->status < 300 && !c->stream)
		usage_read(&c->usage, c->answer.p == NULL ? "" : c->answer.p, c->answer.len);
	c->end = end;
	note_outcome(c, end);
	if (end == RELAY_OK && context_too_small(c)) {
		if (again(c, true))
			return;
	} else if (may_retry(c, end) && again(c, false))
		return;
	give_up(c, end, why);
}

/* ---- sending ---- */

static int
submit(struct chat *c, double delay, struct err *e)
{
	const struct deployment *d = c->d.deployment;
	const struct router_settings *s = &c->n->config->router;
	struct slice body = exchange_body(c->x);
	const char *headers[64];
	char url[2048], auth[1024], trace[13 + TRACECTX_HEADER] = "traceparent: ";
	struct buf out = BUF_INIT;
	struct relay_call *call;
	size_t n = 0, base = strlen(d->api_base);
	struct relay_request q = { .url = url, .headers = headers, .connect_timeout = CONNECT_SECONDS, .delay = delay,
		.on_head = on_head, .on_body = on_body, .on_done = on_done, .ctx = c };

	while (base > 0 && d->api_base[base - 1] == '/')
		base--;
	(void)snprintf(url, sizeof url, "%.*s/chat/completions", (int)base, d->api_base);
	headers[n++] = "Content-Type: application/json";
	headers[n++] = c->stream ? "Accept: text/event-stream" : "Accept: application/json";
	if (d->api_key != NULL) {
		(void)snprintf(auth, sizeof auth, "Authorization: Bearer %s", d->api_key);
		headers[n++] = auth;
	}
	if ((c->trace.trace_hi | c->trace.trace_lo) != 0) {
		tracectx_header(&c->trace, trace + 13);
		headers[n++] = trace;
	}
	for (size_t i = 0; i < d->n_headers && n < 64; i++)
		headers[n++] = d->headers[i];
	q.n_headers = n;
	q.total_timeout = d->timeout > 0 ? d->timeout : s->timeout;
	if (c->stream)
		q.first_byte_timeout = d->stream_timeout > 0 ? d->stream_timeout : s->stream_timeout;
	if (!chat_rewrite(body.p, body.n, d->upstream_model, &out)) {
		buf_finish(&out);
		return err_nomem(e);
	}
	q.body = out.p;
	q.n_body = out.len;
	c->status = 0;
	c->head = (struct relay_head){ .retry_after = -1 };
	c->type[0] = '\0';
	buf_reset(&c->answer);
	c->ttft = NAN;
	backend_begin(c->d.backend);
	c->sent_ns = clock_mono_ns() + (int64_t)(delay * 1e9);
	pthread_mutex_lock(&c->lock);
	call = c->call = relay_submit(c->g->relay, &q, e);
	pthread_mutex_unlock(&c->lock);
	buf_finish(&out);
	if (call != NULL)
		return 0;	/* from here on c may be gone already */
	note_outcome(c, RELAY_REFUSED);
	return -1;
}

/* Decide and send; deployments that cannot be forwarded to are passed over. */
static int
attempt(struct chat *c, struct gateway_worker *k, double delay, struct err *e)
{
	struct slice text = exchange_body(c->x);
	struct body b;
	struct want w;
	int64_t start;
	int r;

	if (body_read(text.p, text.n, true, &k->scratch, &b, e) < 0)
		return -1;
	route_want(&b, slice_str(c->id), &w);
	for (;;) {
		w.group = group_now(c);
		w.tried = c->tried;
		w.n_tried = c->n_tried;
		w.arm = c->arm;
		start = clock_mono_ns();
		r = decide(&k->choose, c->n, &c->n->active, &w, &c->d, e);
		c->decision_seconds = (double)(clock_mono_ns() - start) / 1e9;
		if (r < 0)
			return -1;
		if (c->n_tried == 0 && c->hops == 0)
			switching_shadow(c->g, &k->choose, c->n, &w, &c->d);
		c->d.score = c->d.cost = c->d.latency = NULL;
		if (c->n_tried < MAX_TRIED)
			c->tried[c->n_tried++] = c->d.backend;
		if (c->d.deployment->api_base != NULL && c->d.deployment->unset == NULL)
			return submit(c, delay, e);
		if (c->d.deployment->unset != NULL)
			(void)err_set(e, ERR_UNAVAILABLE, "%s: variable %s, its key, is not set", c->d.deployment->group,
				c->d.deployment->unset);
		else
			(void)err_set(e, ERR_UNAVAILABLE, "%s: provider '%s' has no known address: give api_base",
				c->d.deployment->group, c->d.deployment->provider);
		if (c->n_tried == MAX_TRIED || c->d.alone)
			return -1;
	}
}

static void
on_gone(void *ctx)
{
	struct chat *c = ctx;

	pthread_mutex_lock(&c->lock);
	if (c->call != NULL)
		relay_cancel(c->call);
	pthread_mutex_unlock(&c->lock);
}

static void
choose_arm(struct chat *c, const struct body *b)
{
	struct want w;

	if (c->n->n_lineups == 0)
		return;
	route_want(b, slice_str(c->id), &w);
	w.group = c->group;
	arm_choose(arm_lineup(c->n, c->group), &w);
	c->arm = c->d.arm = w.arm;
}

void
chat_post(struct gateway *g, struct gateway_worker *k, struct exchange *x)
{
	const char *id = exchange_header(x, "x-request-id");
	struct slice text = exchange_body(x);
	struct err e = ERR_INIT;
	struct chat *c;
	struct body b;

	if (body_read(text.p == NULL ? "" : text.p, text.n, true, &k->scratch, &b, &e) < 0) {
		reply_error(x, 400, NULL, b.param, e.msg);
		return;
	}
	if (b.model.n >= sizeof c->group || (c = calloc(1, sizeof *c)) == NULL) {
		reply_error(x, 400, NULL, "model", "the name is too long");
		return;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->g = g;
	c->x = x;
	c->n = generation_ref(gateway_enter(g, k));
	gateway_leave(g, k);
	c->start_ns = exchange_started_ns(x);
	c->stream = b.stream;
	c->ttft = NAN;
	usage_init(&c->usage, b.stream);
	if (b.model.p != NULL)
		memcpy(c->group, b.model.p, b.model.n);
	else
		strcpy(c->group, "auto");
	if (id != NULL)
		(void)snprintf(c->id, sizeof c->id, "%.71s", id);
	else
		(void)snprintf(c->id, sizeof c->id, "%016llx", (unsigned long long)rng_u64(&k->choose.rng));
	telemetry_begin(g->telemetry, exchange_header(x, "traceparent"), &c->trace);
	choose_arm(c, &b);
	exchange_on_gone(x, on_gone, c);
	exchange_defer(x);
	if (attempt(c, k, 0, &e) == 0)
		return;
	while (hop(c, false)) {
		if (attempt(c, k, 0, &e) == 0)
			return;
	}
	fail(c, c->d.why == NONE_LIMIT && e.code == ERR_NO ? 429 : reply_status(&e), e.msg);
}
