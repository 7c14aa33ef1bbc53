#include "common/fromjaeger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "common/httpsource.h"
#include "common/pulling.h"
#include "net/jaegerclient.h"
#include "net/tempoquery.h"

#define SECOND INT64_C(1000000)

/* Everything of one extraction from a server. */
struct extract {
	struct ctx *c;
	bool tempo;
	const char *url;
	struct httpsource source;
	struct pull pull;
	struct jaegerclient_stats st;
	struct tempoquery question;
	const char **tags;
	size_t n_tags;
};

/* What the state file must agree on: the options as they were written. */
static int
describe_query(struct extract *x)
{
	struct ctx *c = x->c;
	struct jsonw w;

	pull_query(&x->pull, &w);
	if (x->tempo)
		jsonw_kstr(&w, "from", "tempo");
	jsonw_kstr(&w, "url", x->url);
	jsonw_kstr(&w, "service", opt_str(c, "service"));
	jsonw_kstr(&w, "operation", opt_str(c, "operation"));
	jsonw_key(&w, "tags");
	jsonw_array(&w);
	for (size_t i = 0; i < x->n_tags; i++)
		jsonw_string(&w, x->tags[i]);
	jsonw_end_array(&w);
	if (x->tempo) {
		jsonw_kstr(&w, "query", opt_str(c, "query"));
		jsonw_kstr(&w, "tenant", opt_str(c, "tenant"));
	}
	return pull_query_end(&x->pull, &w);
}

static int
keep_trace(void *ctx, const struct jaegertrace *t, const char *line, struct err *e)
{
	struct extract *x = ctx;

	return pull_keep(&x->pull, t->id, t->spans, line, t->n_bytes, e);
}

static int
reach(void *ctx, int64_t upto_us, struct err *e)
{
	return pull_upto(&((struct extract *)ctx)->pull, upto_us, e);
}

static int
ask_tempo(struct extract *x, struct jaegerclient_opts *o)
{
	struct ctx *c = x->c;

	x->question = (struct tempoquery){ .http = x->source.http, .url = x->url,
		.service = opt_str(c, "service"), .operation = opt_str(c, "operation"), .tags = x->tags,
		.n_tags = x->n_tags, .query = opt_str(c, "query"), .tenant = opt_str(c, "tenant"),
		.max_trace_bytes = (size_t)opt_bytes(c, "max-trace-bytes"), .cancel = c->cancel };
	o->ask = tempoquery_ask;
	o->ask_ctx = &x->question;
	o->unit_us = SECOND;
	/* Tempo counts in seconds. */
	o->start_us -= o->start_us % SECOND;
	o->end_us += (SECOND - o->end_us % SECOND) % SECOND;
	return tempoquery_check(&x->question, &c->err);
}

static int
fetch(struct extract *x)
{
	struct ctx *c = x->c;
	struct jaegerclient_opts o = {
		.query = { .http = x->source.http, .url = x->url, .service = opt_str(c, "service"),
			.operation = opt_str(c, "operation"), .tags = x->tags, .n_tags = x->n_tags,
			.max_trace_bytes = (size_t)opt_bytes(c, "max-trace-bytes"), .cancel = c->cancel },
		.start_us = x->pull.at.upto_us, .end_us = x->pull.at.end_us,
		.limit = (uint64_t)opt_int(c, "limit"),
		.concurrency = (unsigned)opt_int(c, "concurrency"),
		.retry = retry_default(), .seed = (uint64_t)clock_mono_ns(), .log = &c->log,
		.seen = &x->pull.seen, .on_trace = keep_trace, .on_upto = reach, .ctx = x,
	};

	o.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	if (o.start_us >= o.end_us)
		return 0;	/* a run that was killed between its last window and its end */
	if (x->tempo && ask_tempo(x, &o) < 0)
		return -1;
	return jaegerclient_run(&o, &x->st, &c->err);
}

static void
summary_json(const struct extract *x, double seconds)
{
	const struct jaegerclient_stats *s = &x->st;
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "traces", (int64_t)x->pull.at.traces);
	jsonw_kint(&w, "spans", (int64_t)x->pull.at.spans);
	jsonw_kint(&w, "resumed_traces", (int64_t)x->pull.before);
	jsonw_kint(&w, "duplicates", (int64_t)s->duplicates);
	jsonw_kint(&w, "windows", (int64_t)s->windows);
	jsonw_kint(&w, "full_windows", (int64_t)s->full);
	jsonw_kint(&w, "truncated_windows", (int64_t)s->truncated);
	jsonw_kint(&w, "partial_answers", (int64_t)s->partial);
	jsonw_kint(&w, "bad_traces", (int64_t)s->bad);
	jsonw_kint(&w, "requests", (int64_t)s->requests);
	jsonw_kint(&w, "retries", (int64_t)s->retries);
	jsonw_kint(&w, "limit", (int64_t)s->limit);
	jsonw_kint(&w, "bytes_received", (int64_t)s->bytes);
	jsonw_kdouble(&w, "seconds", seconds);
	jsonw_end_object(&w);
	pull_json(&x->pull, &b);
	buf_finish(&b);
}

static void
summary(const struct extract *x)
{
	double seconds = pull_seconds(&x->pull);
	const struct jaegerclient_stats *s = &x->st;

	if (x->c->json) {
		summary_json(x, seconds);
		return;
	}
	say(x->c, "%" PRIu64 " traces, %" PRIu64 " spans; %" PRIu64 " requests (%" PRIu64
		" full, %" PRIu64 " retried), %.1f MB, %.1f s, %.0f traces/s", x->pull.at.traces, x->pull.at.spans,
		s->requests, s->full, s->retries, (double)s->bytes / 1e6, seconds,
		seconds > 0 ? (double)(x->pull.at.traces - x->pull.before) / seconds : 0);
}

/* The output is there; is it everything? */
static int
judge(struct extract *x)
{
	struct ctx *c = x->c;
	struct err none = ERR_INIT;

	if (x->st.truncated > 0 || x->st.partial > 0)
		return err_set(&c->err, ERR_TEMPFAIL, "incomplete: %" PRIu64
			" windows were truncated and %" PRIu64 " answers came with errors", x->st.truncated,
			x->st.partial);
	if (x->st.bad > 0)
		return err_set(&c->err, ERR_INPUT, "%" PRIu64
			" traces were left out: too large (--max-trace-bytes) or malformed", x->st.bad);
	err_set(&none, ERR_NO, "no traces of service '%s' in this time range", opt_str(c, "service"));
	return pull_judge(&x->pull, none.msg, " (see --service, --since)");
}

static int
run(struct extract *x)
{
	if (httpsource_open(x->c, x->url, x->tempo ? "TEMPO" : "JAEGER", &x->source) < 0 ||
	    describe_query(x) < 0 || pull_open(&x->pull) < 0)
		return -1;
	if (fetch(x) < 0)
		return pull_cut_short(&x->pull);
	if (pull_commit(&x->pull) < 0)
		return -1;
	summary(x);
	return judge(x);
}

int
fromjaeger_run(struct ctx *c, bool tempo)
{
	struct extract x = { .c = c, .tempo = tempo };
	int r = -1;

	if (c->n_args > 0)
		return err_set(&c->err, ERR_USAGE, "'%s': files are read with --from file", c->args[0]);
	x.url = tempo ? httpsource_own(c, "url", "LLMR_URL") : opt_str(c, "url");
	if (x.url == NULL)
		x.url = "http://127.0.0.1:3200";
	pull_init(&x.pull, c, "traces");
	x.n_tags = opt_count(c, "tag");
	if ((x.tags = mem_calloc(x.n_tags, sizeof *x.tags, &c->err)) == NULL)
		return -1;
	for (size_t i = 0; i < x.n_tags; i++)
		x.tags[i] = opt_nth(c, "tag", i);
	r = run(&x);
	httpsource_finish(&x.source);
	pull_finish(&x.pull);
	free(x.tags);
	return r;
}
