#include "common/frompostgres.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hosts.h"
#include "common/httpsource.h"
#include "common/pulling.h"
#include "fmt/stream.h"
#include "net/spendjoin.h"
#include "net/spendlogs.h"
#include "opt.h"

struct frompostgres {
	struct ctx *c;
	const char *url;		/* NULL: libpq's own variables */
	bool on_command_line;
	struct hosts hosts;
	struct spendlogs *log;
	struct pull pull;
	struct buf line;
	uint64_t no_prompt, bad;
	const char *path;		/* of the traces being joined */
	struct stream_out *out;
};

/* --url, else LiteLLM's own variable, else what libpq finds. */
static void
find_url(struct frompostgres *x)
{
	const char *env = getenv("DATABASE_URL");

	x->url = httpsource_own(x->c, "url", "LLMR_URL");
	x->on_command_line = x->url != NULL && opt_lookup(x->c->opts, "url")->origin == ORIGIN_ARG;
	if (x->url == NULL && env != NULL && env[0] != '\0')
		x->url = env;
}

static int
open_log(struct frompostgres *x)
{
	struct ctx *c = x->c;
	struct spendlogs_opts o = {
		.server = { .url = x->url, .url_may_hold_password = !x->on_command_line,
			.ca_file = httpsource_own(c, "ca-file", "LLMR_CA_FILE"),
			.connect_timeout = opt_duration(c, "connect-timeout"),
			.timeout = opt_duration(c, "timeout"), .log = &c->log, .cancel = c->cancel },
		.retry = retry_default(), .seed = (uint64_t)clock_mono_ns() };

	if (hosts_read(c, &x->hosts) < 0)
		return -1;
	o.server.allowed_hosts = x->hosts.name;
	o.server.n_allowed_hosts = x->hosts.n;
	o.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	return (x->log = spendlogs_open(&o, &c->err)) == NULL ? -1 : 0;
}

/* --- rows as spans --- */

static int
open_output(struct frompostgres *x)
{
	struct jsonw w;

	pull_query(&x->pull, &w);
	jsonw_kstr(&w, "from", "postgres");
	/* Only what the command line said: nothing of a variable that may hold a password. */
	jsonw_kstr(&w, "url", x->on_command_line ? x->url : NULL);
	jsonw_kstr(&w, "service", opt_str(x->c, "service"));
	return pull_query_end(&x->pull, &w) < 0 ? -1 : pull_open(&x->pull);
}

static int
keep_row(void *ctx, const struct callspan *call, struct err *e)
{
	struct frompostgres *x = ctx;
	uint8_t id[16];

	callspan_id(call->id, id);
	if (x->pull.at.resumed && idset_has(&x->pull.seen, id))
		return 0;
	buf_reset(&x->line);
	if (callspan_line(call, opt_str(x->c, "service"), &x->line, e) < 0)
		return -1;
	if (x->line.len > opt_bytes(x->c, "max-trace-bytes")) {
		if (x->bad++ < 20)
			log_warn(&x->c->log, "request %.*s is larger than --max-trace-bytes",
				(int)(call->id.n < 100 ? call->id.n : 100), call->id.p);
		return 0;
	}
	x->no_prompt += !callspan_holds_text(call->messages) && !callspan_holds_text(call->request);
	return pull_keep(&x->pull, id, 1, x->line.p, x->line.len, e);
}

static int
reach(void *ctx, int64_t upto_us, struct err *e)
{
	return pull_upto(&((struct frompostgres *)ctx)->pull, upto_us, e);
}

static int
fetch(struct frompostgres *x)
{
	struct spendlogs_read o = { .start_us = x->pull.at.upto_us, .end_us = x->pull.at.end_us,
		.rows = (size_t)opt_int(x->c, "limit"), .on_call = keep_row, .on_upto = reach, .ctx = x };

	return o.start_us >= o.end_us ? 0 : spendlogs_read(x->log, &o, &x->c->err);
}

static void
summary(const struct frompostgres *x)
{
	const struct spendlogs_stats *s = spendlogs_stats(x->log);
	double seconds = pull_seconds(&x->pull);
	struct buf b = BUF_INIT;
	struct jsonw w;

	if (!x->c->json) {
		say(x->c, "%" PRIu64 " calls, %" PRIu64 " without a prompt; %" PRIu64 " statements, %.1f MB, %.1f s, "
			"%.0f calls/s", x->pull.at.traces, x->no_prompt, s->statements, (double)s->bytes / 1e6, seconds,
			seconds > 0 ? (double)(x->pull.at.traces - x->pull.before) / seconds : 0);
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "calls", (int64_t)x->pull.at.traces);
	jsonw_kint(&w, "resumed_calls", (int64_t)x->pull.before);
	jsonw_kint(&w, "no_prompt", (int64_t)x->no_prompt);
	jsonw_kint(&w, "bad_rows", (int64_t)x->bad);
	jsonw_kint(&w, "statements", (int64_t)s->statements);
	jsonw_kint(&w, "retries", (int64_t)s->retries);
	jsonw_kint(&w, "bytes_received", (int64_t)s->bytes);
	jsonw_kdouble(&w, "seconds", seconds);
	jsonw_end_object(&w);
	pull_json(&x->pull, &b);
	buf_finish(&b);
}

static int
run_rows(struct frompostgres *x)
{
	if (open_log(x) < 0 || open_output(x) < 0)
		return -1;
	if (fetch(x) < 0)
		return pull_cut_short(&x->pull);
	if (pull_commit(&x->pull) < 0)
		return -1;
	summary(x);
	if (x->bad > 0)
		return err_set(&x->c->err, ERR_INPUT, "%" PRIu64 " rows were left out: too large (--max-trace-bytes)",
			x->bad);
	if (x->pull.at.traces > 0 && x->no_prompt == x->pull.at.traces - x->pull.before && x->no_prompt > 0)
		log_warn(&x->c->log, "no row holds a prompt (store_prompts_in_spend_logs is off by default): "
			"name files of traces to join the rows to");
	return pull_judge(&x->pull, "no rows in this time range", " (see --since)");
}

/* --- traces with what the rows say --- */

static int
write_lines(void *ctx, const char *p, size_t n, struct err *e)
{
	return stream_out_write(((struct frompostgres *)ctx)->out, p, n, e);
}

static int
count_bad(void *ctx, const struct err *what, struct err *e)
{
	struct frompostgres *x = ctx;

	(void)e;
	x->bad++;
	log_warn(&x->c->log, "%s: %s", x->path, what->msg);
	return 0;
}

static int
join_file(struct frompostgres *x, const char *path, struct spendjoin_stats *st)
{
	struct ctx *c = x->c;
	const struct spendjoin_opts o = { .log = x->log, .cancel = c->cancel,
		.max_trace_bytes = (size_t)opt_bytes(c, "max-trace-bytes"), .on_lines = write_lines,
		.on_bad = count_bad, .ctx = x };
	struct stream_in *in = stream_in_open(path, &c->err);
	int r;

	if (in == NULL)
		return -1;
	x->path = strcmp(path, "-") == 0 ? "standard input" : path;
	r = spendjoin_run(&o, in, st, &c->err);
	stream_in_close(in);
	return r < 0 ? err_wrap(&c->err, "%s", x->path) : 0;
}

static int
run_join(struct frompostgres *x)
{
	struct ctx *c = x->c;
	struct spendjoin_stats st = { .lines = 0 };
	int r = 0;

	if (open_log(x) < 0 || (x->out = stream_out_open(opt_str(c, "output"), &c->err)) == NULL)
		return -1;
	for (size_t i = 0; i < c->n_args && r == 0; i++)
		r = join_file(x, c->args[i], &st);
	if (r < 0) {
		stream_out_abort(x->out);
		return -1;
	}
	if (stream_out_commit(x->out, &c->err) < 0)
		return -1;
	if (c->json && strcmp(opt_str(c, "output"), "-") != 0)
		out_printf("{\"lines\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"calls\":%" PRIu64 ",\"joined\":%" PRIu64
			",\"other_time\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n", st.lines, st.spans, st.calls, st.joined,
			st.other_time, x->bad);
	else
		say(c, "%" PRIu64 " lines, %" PRIu64 " spans; %" PRIu64 " calls with a request id, %" PRIu64
			" joined to a row, %" PRIu64 " bad pieces", st.lines, st.spans, st.calls, st.joined, x->bad);
	if (x->bad > 0)
		return err_set(&c->err, ERR_INPUT, "%" PRIu64 " pieces could not be read", x->bad);
	if (st.joined > 0)
		return 0;
	if (opt_flag(c, "fail-empty"))
		return err_set(&c->err, ERR_NO, "no call of the traces is in the spend log");
	log_warn(&c->log, "no call of the traces is in the spend log");
	return 0;
}

int
frompostgres_run(struct ctx *c)
{
	struct frompostgres x = { .c = c };
	int r;

	pull_init(&x.pull, c, "calls");
	find_url(&x);
	r = c->n_args > 0 ? run_join(&x) : run_rows(&x);
	pull_finish(&x.pull);
	spendlogs_free(x.log);
	hosts_finish(&x.hosts);
	buf_finish(&x.line);
	return r;
}
