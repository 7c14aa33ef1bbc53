#include "common/froms3.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hosts.h"
#include "common/httpsource.h"
#include "common/pulling.h"
#include "net/awsconf.h"
#include "net/logobjects.h"

#define CONCURRENCY 16

struct froms3 {
	struct ctx *c;
	const char *url;
	struct hosts hosts;
	struct awsconf *conf;
	struct s3 *bucket;
	struct pull pull;
	struct logobjects_stats st;
	struct buf line;
};

static const char *
look_up(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static int
open_bucket(struct froms3 *x)
{
	struct ctx *c = x->c;
	struct s3_opts o = { .retry = retry_default(), .log = &c->log };
	struct awsconf_opts a = { .lookup = look_up, .profile = opt_str(c, "profile"),
		.region = opt_str(c, "region"), .endpoint = opt_str(c, "endpoint-url"),
		.ca_file = opt_str(c, "ca-file"), .ca_only = opt_flag(c, "ca-only"), .cancel = c->cancel };

	if (hosts_read(c, &x->hosts) < 0)
		return -1;
	o.http = (struct http_opts){ .ca_file = a.ca_file, .ca_only = a.ca_only, .cancel = c->cancel,
		.connect_timeout = opt_duration(c, "connect-timeout"), .total_timeout = opt_duration(c, "timeout"),
		.stall_timeout = opt_duration(c, "timeout"), .allowed_hosts = x->hosts.name,
		.n_allowed_hosts = x->hosts.n };
	a.allowed_hosts = x->hosts.name;
	a.n_allowed_hosts = x->hosts.n;
	o.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	if ((x->conf = awsconf_open(&a, &c->err)) == NULL)
		return -1;
	return (x->bucket = s3_open(x->url, &o, x->conf, &c->err)) == NULL ? -1 : 0;
}

static int
open_output(struct froms3 *x)
{
	struct jsonw w;

	pull_query(&x->pull, &w);
	jsonw_kstr(&w, "from", "s3");
	jsonw_kstr(&w, "url", x->url);
	jsonw_kstr(&w, "endpoint", awsconf_endpoint(x->conf));
	jsonw_kstr(&w, "service", opt_str(x->c, "service"));
	return pull_query_end(&x->pull, &w) < 0 ? -1 : pull_open(&x->pull);
}

static int
keep_call(void *ctx, const uint8_t id[16], const struct callspan *call, struct err *e)
{
	struct froms3 *x = ctx;

	buf_reset(&x->line);
	if (callspan_line(call, opt_str(x->c, "service"), &x->line, e) < 0)
		return -1;
	return pull_keep(&x->pull, id, 1, x->line.p, x->line.len, e);
}

static int
reach(void *ctx, int64_t upto_us, struct err *e)
{
	return pull_upto(&((struct froms3 *)ctx)->pull, upto_us, e);
}

static int
fetch(struct froms3 *x)
{
	struct ctx *c = x->c;
	struct logobjects_opts o = { .bucket = x->bucket, .start_us = x->pull.at.start_us,
		.end_us = x->pull.at.end_us, .from_us = x->pull.at.upto_us,
		.concurrency = opt_given(c, "concurrency") ? (unsigned)opt_int(c, "concurrency") : CONCURRENCY,
		.max_object_bytes = (size_t)opt_bytes(c, "max-trace-bytes"), .seen = &x->pull.seen,
		.log = &c->log, .cancel = c->cancel, .on_call = keep_call, .on_upto = reach, .ctx = x };

	if (o.from_us >= o.end_us)
		return 0;
	return logobjects_run(&o, &x->st, &c->err);
}

static void
summary(const struct froms3 *x)
{
	const struct logobjects_stats *s = &x->st;
	double seconds = pull_seconds(&x->pull);
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!x->c->json) {
		say(x->c, "%" PRIu64 " calls; %" PRIu64 " folders of days, %" PRIu64 " objects, %" PRIu64
			" fetched, %.1f MB, %.1f s, %.0f calls/s", x->pull.at.traces, s->folders, s->listed, s->fetched,
			(double)s->bytes / 1e6, seconds,
			seconds > 0 ? (double)(x->pull.at.traces - x->pull.before) / seconds : 0);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "calls", (int64_t)x->pull.at.traces);
	jsonw_kint(&w, "resumed_calls", (int64_t)x->pull.before);
	jsonw_kint(&w, "folders", (int64_t)s->folders);
	jsonw_kint(&w, "objects", (int64_t)s->listed);
	jsonw_kint(&w, "fetched", (int64_t)s->fetched);
	jsonw_kint(&w, "other_objects", (int64_t)s->other);
	jsonw_kint(&w, "gone", (int64_t)s->gone);
	jsonw_kint(&w, "bad_objects", (int64_t)s->bad);
	jsonw_kint(&w, "bytes_received", (int64_t)s->bytes);
	jsonw_kdouble(&w, "seconds", seconds);
	jsonw_end_object(&w);
	pull_json(&x->pull, &b);
	buf_finish(&b);
}

static int
run(struct froms3 *x)
{
	if (open_bucket(x) < 0 || open_output(x) < 0)
		return -1;
	if (fetch(x) < 0)
		return pull_cut_short(&x->pull);
	if (pull_commit(&x->pull) < 0)
		return -1;
	summary(x);
	if (x->st.bad > 0)
		return err_set(&x->c->err, ERR_INPUT, "%" PRIu64
			" objects were left out: too large (--max-trace-bytes) or malformed", x->st.bad);
	return pull_judge(&x->pull, "no logged calls in this time range",
		" (is --url the place in front of the folders of days? see --since)");
}

int
froms3_run(struct ctx *c)
{
	struct froms3 x = { .c = c };
	int r;

	if (c->n_args > 0)
		return err_set(&c->err, ERR_USAGE, "'%s': files are read with --from file", c->args[0]);
	x.url = httpsource_own(c, "url", "LLMR_URL");
	if (x.url == NULL || strncmp(x.url, "s3://", 5) != 0)
		return err_set(&c->err, ERR_USAGE, "--url: s3://BUCKET[/PREFIX] is needed with --from s3");
	pull_init(&x.pull, c, "calls");
	r = run(&x);
	pull_finish(&x.pull);
	buf_finish(&x.line);
	s3_free(x.bucket);
	awsconf_free(x.conf);
	hosts_finish(&x.hosts);
	return r;
}
