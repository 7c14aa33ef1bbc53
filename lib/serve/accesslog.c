#include "serve/accesslog.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fmt/jsonw.h"
#include "serve/observe.h"
#include "serve/outbox.h"

/* One of the two files. */
struct channel {
	struct accesslog *a;
	const char *path;		/* NULL: not kept */
	int fd;				/* under lock */
	pthread_mutex_t lock;
	struct outbox *box;
	bool failing;			/* the last write failed, and that was told */
};

struct accesslog {
	struct accesslog_opts o;
	struct channel access, decision;
};

static int
channel_open(const char *path, struct err *e)
{
	int fd;

	if (strcmp(path, "-") == 0)
		fd = dup(STDERR_FILENO);
	else
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
	return fd < 0 ? err_sys(e, ERR_CANTCREAT, "%s", path) : fd;
}

static void
deliver(void *ctx, const char *p, size_t n, size_t records, uint64_t dropped)
{
	struct channel *c = ctx;
	struct metrics *m = c->a->o.metrics;
	struct err e = ERR_INIT;
	bool written = true;

	pthread_mutex_lock(&c->lock);
	if (n > 0)
		written = io_write_full(c->fd, p, n, &e) == 0;
	pthread_mutex_unlock(&c->lock);
	if (!written && !c->failing)
		log_at(&c->a->o.log, LOG_ERROR, "%s: lines of the log are lost: %s", c->path, e.msg);
	c->failing = !written;
	if (records > 0)
		metrics_add(m, M_LOG_LINES, (const char *[]){ written ? "written" : "failed" }, (double)records);
	if (dropped > 0)
		metrics_add(m, M_LOG_LINES, (const char *[]){ "dropped" }, (double)dropped);
}

static int
channel_start(struct accesslog *a, struct channel *c, const char *path, struct err *e)
{
	const struct outbox_opts o = { .deliver = deliver, .ctx = c };

	c->a = a;
	c->fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	if ((c->path = path) == NULL)
		return 0;
	if ((c->fd = channel_open(path, e)) < 0 || (c->box = outbox_start(&o, e)) == NULL)
		return -1;
	return 0;
}

static void
channel_stop(struct channel *c)
{
	outbox_stop(c->box);
	if (c->fd >= 0)
		(void)close(c->fd);
	pthread_mutex_destroy(&c->lock);
}

static int
channel_reopen(struct channel *c, struct err *e)
{
	int fd, old;

	if (c->path == NULL)
		return 0;
	outbox_flush(c->box);
	if ((fd = channel_open(c->path, e)) < 0)
		return -1;
	pthread_mutex_lock(&c->lock);
	old = c->fd;
	c->fd = fd;
	pthread_mutex_unlock(&c->lock);
	(void)close(old);
	return 0;
}

struct accesslog *
accesslog_new(const struct accesslog_opts *o, struct err *e)
{
	struct accesslog *a = mem_calloc(1, sizeof *a, e);

	if (a == NULL)
		return NULL;
	a->o = *o;
	if (channel_start(a, &a->access, o->access, e) == 0 && channel_start(a, &a->decision, o->decision, e) == 0)
		return a;
	accesslog_free(a);
	return NULL;
}

int
accesslog_reopen(struct accesslog *a, struct err *e)
{
	int r = channel_reopen(&a->access, e);

	return channel_reopen(&a->decision, e) < 0 ? -1 : r;
}

void
accesslog_flush(struct accesslog *a)
{
	if (a->access.box != NULL)
		outbox_flush(a->access.box);
	if (a->decision.box != NULL)
		outbox_flush(a->decision.box);
}

void
accesslog_free(struct accesslog *a)
{
	if (a == NULL)
		return;
	if (a->access.a != NULL)
		channel_stop(&a->access);
	if (a->decision.a != NULL)
		channel_stop(&a->decision);
	free(a);
}

/* ---- the lines ---- */

static void
write_time(struct jsonw *w, int64_t us)
{
	char when[28];

	str_iso8601(us, when);
	jsonw_kstr(w, "time", when);
}

/* Whole microseconds: finer than the clock is true, and quick to print. */
static void
write_us(struct jsonw *w, const char *key, double seconds)
{
	if (!isnan(seconds))
		jsonw_kint(w, key, (int64_t)llround(seconds * 1e6));
}

static void
write_text(struct jsonw *w, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0')
		jsonw_kstr(w, key, value);
}

static void
write_chosen(struct jsonw *w, const struct decision *d)
{
	if (d->deployment != NULL) {
		jsonw_kstr(w, "model", d->deployment->group);
		jsonw_kstr(w, "upstream_model", d->deployment->model);
		jsonw_kstr(w, "deployment", d->deployment->id);
	}
	jsonw_kstr(w, "strategy", d->strategy);
	write_text(w, "fallback", d->fallback);
	jsonw_kdouble(w, "propensity", d->propensity);
	if (d->explored)
		jsonw_kbool(w, "explored", true);
	if (d->outlier)
		jsonw_kbool(w, "out_of_distribution", true);
	if (d->model == NULL || d->label == POLICY_NONE)
		return;
	jsonw_kstr(w, "label", d->model->router->models.keys[d->label]);
	write_text(w, "runner_up", d->runner_up_name);
	jsonw_kstr(w, "model_sha256", d->model->sha256);
	write_text(w, "model_version", d->model->version);
	if (d->score != NULL)
		jsonw_kdouble(w, "score", d->score[d->label]);
	if (d->cost != NULL)
		jsonw_kdouble(w, "expected_cost", d->cost[d->label]);
}

void
accesslog_write(const struct event *v, bool prompt, struct buf *out)
{
	struct jsonw w;
	char trace[33];

	jsonw_init(&w, out);
	jsonw_object(&w);
	write_time(&w, v->start_us);
	write_text(&w, "request_id", v->request_id);
	if ((v->trace.trace_hi | v->trace.trace_lo) != 0) {
		tracectx_trace_hex(&v->trace, trace);
		jsonw_kstr(&w, "trace_id", trace);
	}
	jsonw_kstr(&w, "path", v->path);
	write_text(&w, "requested_model", v->group);
	jsonw_kint(&w, "status", v->status);
	write_text(&w, "error", v->error);
	write_chosen(&w, v->d);
	write_us(&w, "decision_us", v->decision_seconds);
	write_us(&w, "duration_us", v->total_seconds);
	write_us(&w, "upstream_us", v->upstream_seconds);
	write_us(&w, "ttft_us", v->ttft_seconds);
	if (v->prompt_tokens > 0)
		jsonw_kdouble(&w, "prompt_tokens", v->prompt_tokens);
	if (v->completion_tokens > 0)
		jsonw_kdouble(&w, "completion_tokens", v->completion_tokens);
	if (v->stream)
		jsonw_kbool(&w, "stream", true);
	if (v->retries > 0)
		jsonw_kint(&w, "retries", v->retries);
	if (v->hops > 0)
		jsonw_kint(&w, "fallbacks", v->hops);
	write_text(&w, "user", v->user);
	if (prompt && v->prompt.p != NULL)
		jsonw_kstr_n(&w, "prompt", v->prompt.p, v->prompt.n);
	jsonw_end_object(&w);
}

void
accesslog_decision(struct accesslog *a, const struct event *v)
{
	struct buf b = BUF_INIT;

	if (a->decision.box == NULL)
		return;
	(void)buf_reserve(&b, 640);
	accesslog_write(v, a->o.prompts, &b);
	buf_byte(&b, '\n');
	if (!b.failed)
		(void)outbox_put(a->decision.box, b.p, b.len);
	buf_finish(&b);
}

void
accesslog_answer(struct accesslog *a, struct exchange *x)
{
	double seconds = (double)(clock_mono_ns() - exchange_started_ns(x)) / 1e9;
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (a->access.box == NULL)
		return;
	(void)buf_reserve(&b, 320);
	jsonw_init(&w, &b);
	jsonw_object(&w);
	write_time(&w, clock_wall_us() - (int64_t)(seconds * 1e6));
	jsonw_kstr(&w, "peer", exchange_peer(x));
	jsonw_kstr(&w, "method", exchange_method(x));
	jsonw_kstr(&w, "path", exchange_path(x));
	jsonw_kint(&w, "status", exchange_status(x));
	jsonw_kint(&w, "bytes", (int64_t)exchange_sent_bytes(x));
	jsonw_kint(&w, "duration_us", (int64_t)(seconds * 1e6));
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	if (!b.failed)
		(void)outbox_put(a->access.box, b.p, b.len);
	buf_finish(&b);
}
