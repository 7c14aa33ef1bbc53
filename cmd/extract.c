/* llmr extract - traces out of a Jaeger server or files, as OTLP JSON Lines. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/idset.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "cmd.h"
#include "common/hosts.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "net/http.h"
#include "net/jaegerclient.h"
#include "net/resume.h"
#include "net/retry.h"
#include "trace/decode.h"
#include "trace/otlpwrite.h"

#define MAX_SECRET ((size_t)64 * 1024)

/* Everything of one extraction from a server. */
struct extract {
	struct ctx *c;
	struct http *http;
	struct resume *out;
	struct resume_point at;
	struct jaegerclient_stats st;
	struct idset seen;
	char *user, *password, *token;
	struct hosts hosts;
	struct buf query;
	const char **tags;
	size_t n_tags;
	uint64_t before;		/* traces in the output when this run began */
	int64_t begun_ns;
};

/* First line of a small file without its line end. */
static char *
read_secret(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	char *out = NULL;

	if (io_read_file(path, MAX_SECRET, &b, e) == 0) {
		size_t n = strcspn(buf_cstr(&b), "\r\n");

		if (n == 0)
			err_set(e, ERR_CONFIG, "%s: the first line is empty", path);
		else
			out = mem_dup(b.p, n, e);
	}
	if (b.p != NULL)
		explicit_bzero(b.p, b.len);
	buf_finish(&b);
	return out;
}

/* "user:password" into its two halves. */
static int
read_auth_file(struct extract *x, const char *path)
{
	struct err *e = &x->c->err;
	char *colon;

	if ((x->user = read_secret(path, e)) == NULL)
		return -1;
	if ((colon = strchr(x->user, ':')) == NULL)
		return err_set(e, ERR_CONFIG, "%s: not user:password", path);
	if ((x->password = mem_strdup(colon + 1, e)) == NULL)
		return -1;
	explicit_bzero(colon, strlen(colon));
	return 0;
}

/* An environment variable that is set and not empty, copied into *out. */
static int
from_env(const char *name, char **out, struct err *e)
{
	const char *v = getenv(name);

	if (v == NULL || v[0] == '\0')
		return 0;
	return (*out = mem_strdup(v, e)) == NULL ? -1 : 0;
}

/* A file named on the command line beats the environment. */
static int
find_credentials(struct extract *x)
{
	const char *auth = opt_str(x->c, "auth-file"), *token = opt_str(x->c, "token-file");
	struct err *e = &x->c->err;

	if (auth != NULL && token != NULL)
		return err_set(e, ERR_USAGE, "--auth-file and --token-file exclude each other");
	if (auth != NULL)
		return read_auth_file(x, auth);
	if (token != NULL)
		return (x->token = read_secret(token, e)) == NULL ? -1 : 0;
	if (from_env("LLMR_JAEGER_TOKEN", &x->token, e) < 0)
		return -1;
	if (x->token != NULL)
		return 0;
	if (from_env("LLMR_JAEGER_USER", &x->user, e) < 0 ||
	    from_env("LLMR_JAEGER_PASSWORD", &x->password, e) < 0)
		return -1;
	return 0;
}

static bool
is_loopback(const char *url)
{
	const char *p = strstr(url, "://");

	p = p == NULL ? url : p + 3;
	return strncmp(p, "localhost", 9) == 0 || strncmp(p, "127.", 4) == 0 ||
		strncmp(p, "[::1]", 5) == 0;
}

static int
connect_client(struct extract *x)
{
	struct ctx *c = x->c;
	const char *url = opt_str(c, "url");
	struct http_opts o = { .cancel = c->cancel };

	if (find_credentials(x) < 0 || hosts_read(c, &x->hosts) < 0 ||
	    http_check_url(url, x->hosts.name, x->hosts.n, &c->err) < 0)
		return -1;
	o.ca_file = opt_str(c, "ca-file");
	o.ca_only = opt_flag(c, "ca-only");
	o.user = x->user;
	o.password = x->password;
	o.bearer = x->token;
	o.connect_timeout = opt_duration(c, "connect-timeout");
	o.total_timeout = opt_duration(c, "timeout");
	o.stall_timeout = o.total_timeout;
	o.allowed_hosts = x->hosts.name;
	o.n_allowed_hosts = x->hosts.n;
	if ((x->user != NULL || x->token != NULL) && strncmp(url, "https", 5) != 0 && !is_loopback(url))
		log_warn(&c->log, "the credentials go unencrypted to %s", url);
	return (x->http = http_new(&o, &c->err)) == NULL ? -1 : 0;
}

/* The range asked for, in µs. */
static int
find_range(struct ctx *c, int64_t *start, int64_t *end)
{
	int64_t now = clock_wall_us();
	char from[28], to[28];

	if (str_time("--end", opt_str(c, "end"), now, end, &c->err) < 0)
		return -1;
	if (opt_str(c, "start") == NULL)
		*start = *end - (int64_t)(opt_duration(c, "since") * 1e6);
	else if (opt_given(c, "since"))
		return err_set(&c->err, ERR_USAGE, "--since and --start exclude each other");
	else if (str_time("--start", opt_str(c, "start"), now, start, &c->err) < 0)
		return -1;
	if (*start < 0)
		*start = 0;
	if (*start < *end)
		return 0;
	str_iso8601(*start, from);
	str_iso8601(*end, to);
	return err_set(&c->err, ERR_USAGE, "the time range is empty: %s is not before %s", from, to);
}

/* What the state file must agree on: the options as they were written. */
static int
describe_query(struct extract *x)
{
	struct ctx *c = x->c;
	struct jsonw w;

	jsonw_init(&w, &x->query);
	jsonw_object(&w);
	jsonw_kstr(&w, "url", opt_str(c, "url"));
	jsonw_kstr(&w, "service", opt_str(c, "service"));
	jsonw_kstr(&w, "operation", opt_str(c, "operation"));
	jsonw_key(&w, "tags");
	jsonw_array(&w);
	for (size_t i = 0; i < x->n_tags; i++)
		jsonw_string(&w, x->tags[i]);
	jsonw_end_array(&w);
	jsonw_kstr(&w, opt_str(c, "start") != NULL ? "start" : "since",
		opt_str(c, opt_str(c, "start") != NULL ? "start" : "since"));
	jsonw_kstr(&w, "end", opt_str(c, "end"));
	jsonw_end_object(&w);
	return buf_ok(&x->query, &c->err);
}

static int
open_output(struct extract *x)
{
	struct resume_opts o = { .out = opt_str(x->c, "output"), .state = opt_str(x->c, "state"),
		.restart = opt_flag(x->c, "restart") };

	if (find_range(x->c, &o.start_us, &o.end_us) < 0 || describe_query(x) < 0)
		return -1;
	o.query = x->query.p;
	if ((x->out = resume_open(&o, &x->seen, &x->at, &x->c->err)) == NULL)
		return -1;
	x->before = x->at.traces;
	if (x->at.resumed) {
		char upto[28];

		str_iso8601(x->at.upto_us, upto);
		say(x->c, "going on from %s with %" PRIu64 " traces already there", upto, x->at.traces);
	}
	return 0;
}

static int
keep_trace(void *ctx, const struct jaegertrace *t, const char *line, struct err *e)
{
	struct extract *x = ctx;

	x->at.traces++;
	x->at.spans += t->spans;
	return resume_add(x->out, t->id, t->spans, line, t->n_bytes, e);
}

static int
reach(void *ctx, int64_t upto_us, struct err *e)
{
	struct extract *x = ctx;

	x->at.upto_us = upto_us;
	progress_show(&x->c->progress, "extract", (double)(x->at.traces - x->before), 0, "traces");
	return resume_upto(x->out, upto_us, e);
}

static int
fetch(struct extract *x)
{
	struct ctx *c = x->c;
	struct jaegerclient_opts o = {
		.query = { .http = x->http, .url = opt_str(c, "url"), .service = opt_str(c, "service"),
			.operation = opt_str(c, "operation"), .tags = x->tags, .n_tags = x->n_tags,
			.max_trace_bytes = (size_t)opt_bytes(c, "max-trace-bytes"), .cancel = c->cancel },
		.start_us = x->at.upto_us, .end_us = x->at.end_us,
		.limit = (uint64_t)opt_int(c, "limit"),
		.concurrency = (unsigned)opt_int(c, "concurrency"),
		.retry = retry_default(), .seed = (uint64_t)clock_mono_ns(), .log = &c->log,
		.seen = &x->seen, .on_trace = keep_trace, .on_upto = reach, .ctx = x,
	};

	o.retry.tries = (unsigned)opt_int(c, "retries") + 1;
	if (o.start_us >= o.end_us)
		return 0;	/* a run that was killed between its last window and its end */
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
	jsonw_kint(&w, "traces", (int64_t)x->at.traces);
	jsonw_kint(&w, "spans", (int64_t)x->at.spans);
	jsonw_kint(&w, "resumed_traces", (int64_t)x->before);
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
	if (strcmp(opt_str(x->c, "output"), "-") == 0)
		say(x->c, "%s", buf_cstr(&b));
	else
		out_printf("%s\n", buf_cstr(&b));
	buf_finish(&b);
}

static void
summary(const struct extract *x)
{
	double seconds = (double)(clock_mono_ns() - x->begun_ns) / 1e9;
	const struct jaegerclient_stats *s = &x->st;

	if (x->c->json) {
		summary_json(x, seconds);
		return;
	}
	say(x->c, "%" PRIu64 " traces, %" PRIu64 " spans; %" PRIu64 " requests (%" PRIu64
		" full, %" PRIu64 " retried), %.1f MB, %.1f s, %.0f traces/s", x->at.traces, x->at.spans,
		s->requests, s->full, s->retries, (double)s->bytes / 1e6, seconds,
		seconds > 0 ? (double)(x->at.traces - x->before) / seconds : 0);
}

/* The run ended early with c->err: keep what can be gone on from, and say so. */
static int
cut_short(struct extract *x)
{
	struct err first = x->c->err, e = ERR_INIT;
	uint64_t kept = 0;

	/* An output that already failed will fail again: once is enough to say it. */
	if (resume_keep(x->out, &kept, &e) < 0 && first.code != ERR_IO)
		log_warn(&x->c->log, "%s", e.msg);
	x->out = NULL;
	x->c->err = first;
	if (kept == 0 && (x->at.traces == 0 || strcmp(opt_str(x->c, "output"), "-") != 0))
		return -1;
	if (first.code == ERR_UNAVAILABLE)
		x->c->err.code = ERR_TEMPFAIL;
	if (kept == 0)
		return err_wrap(&x->c->err, "cut short after %" PRIu64 " traces", x->at.traces);
	return err_wrap(&x->c->err, "cut short after %" PRIu64
		" traces (run the same command again to go on)", kept);
}

/* The output is there; is it everything? */
static int
judge(struct extract *x)
{
	struct ctx *c = x->c;

	if (x->st.truncated > 0 || x->st.partial > 0)
		return err_set(&c->err, ERR_TEMPFAIL, "incomplete: %" PRIu64
			" windows were truncated and %" PRIu64 " answers came with errors", x->st.truncated,
			x->st.partial);
	if (x->st.bad > 0)
		return err_set(&c->err, ERR_INPUT, "%" PRIu64
			" traces were left out: too large (--max-trace-bytes) or malformed", x->st.bad);
	if (x->at.traces > 0)
		return 0;
	if (opt_flag(c, "fail-empty"))
		return err_set(&c->err, ERR_NO, "no traces of service '%s' in this time range",
			opt_str(c, "service"));
	log_warn(&c->log, "no traces of service '%s' in this time range (see --service, --since)",
		opt_str(c, "service"));
	return 0;
}

static int
run_jaeger(struct extract *x)
{
	if (connect_client(x) < 0 || open_output(x) < 0)
		return -1;
	if (fetch(x) < 0)
		return cut_short(x);
	if (resume_commit(x->out, &x->c->err) < 0) {
		x->out = NULL;
		return -1;
	}
	x->out = NULL;
	summary(x);
	return judge(x);
}

static void
wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static int
extract_jaeger(struct ctx *c)
{
	struct extract x = { .c = c, .begun_ns = clock_mono_ns() };
	int r = -1;

	if (c->n_args > 0)
		return err_set(&c->err, ERR_USAGE, "'%s': files are read with --from file", c->args[0]);
	x.n_tags = opt_count(c, "tag");
	if ((x.tags = mem_calloc(x.n_tags, sizeof *x.tags, &c->err)) == NULL)
		return -1;
	for (size_t i = 0; i < x.n_tags; i++)
		x.tags[i] = opt_nth(c, "tag", i);
	r = run_jaeger(&x);
	http_free(x.http);
	idset_finish(&x.seen);
	wipe(x.user);
	wipe(x.password);
	wipe(x.token);
	hosts_finish(&x.hosts);
	buf_finish(&x.query);
	free(x.tags);
	return r;
}

/* --from file: one pass over the inputs. */
struct copying {
	struct ctx *c;
	const char *path;
	struct stream_out *out;
	struct buf line;
	uint64_t lines, spans, bad;
};

static int
copy_batch(void *ctx, const struct span_batch *b, struct err *e)
{
	struct copying *k = ctx;

	if (b->n == 0)
		return 0;
	buf_reset(&k->line);
	if (otlpwrite_line(b->spans, b->n, &k->line, e) < 0)
		return -1;
	k->lines++;
	k->spans += b->n;
	return stream_out_write(k->out, k->line.p, k->line.len, e);
}

static int
count_bad(void *ctx, const struct err *what, struct err *e)
{
	struct copying *k = ctx;

	(void)e;
	k->bad++;
	log_warn(&k->c->log, "%s: %s", k->path, what->msg);
	return 0;
}

static int
copy_file(struct copying *k, const char *path)
{
	struct ctx *c = k->c;
	struct decode_opts o = { .on_batch = copy_batch, .on_bad = count_bad, .ctx = k,
		.cancel = c->cancel, .max_piece_bytes = (size_t)opt_bytes(c, "max-trace-bytes") };
	struct stream_in *in = stream_in_open(path, &c->err);
	int r;

	if (in == NULL)
		return -1;
	k->path = strcmp(path, "-") == 0 ? "standard input" : path;
	r = decode_stream(in, &o, NULL, &c->err);
	stream_in_close(in);
	return r < 0 ? err_wrap(&c->err, "%s", k->path) : 0;
}

static int
extract_files(struct ctx *c)
{
	struct copying k = { .c = c };
	int r = 0;

	if ((k.out = stream_out_open(opt_str(c, "output"), &c->err)) == NULL)
		return -1;
	if (c->n_args == 0)
		r = copy_file(&k, "-");
	for (size_t i = 0; i < c->n_args && r == 0; i++)
		r = copy_file(&k, c->args[i]);
	buf_finish(&k.line);
	if (r < 0) {
		stream_out_abort(k.out);
		return -1;
	}
	if (stream_out_commit(k.out, &c->err) < 0)
		return -1;
	if (c->json && strcmp(opt_str(c, "output"), "-") != 0)
		out_printf("{\"lines\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n", k.lines,
			k.spans, k.bad);
	else
		say(c, "%" PRIu64 " lines, %" PRIu64 " spans, %" PRIu64 " bad pieces", k.lines, k.spans,
			k.bad);
	if (k.bad > 0)
		return err_set(&c->err, ERR_INPUT, "%" PRIu64 " pieces could not be read", k.bad);
	if (k.spans > 0)
		return 0;
	if (opt_flag(c, "fail-empty"))
		return err_set(&c->err, ERR_NO, "no spans in the input");
	log_warn(&c->log, "no spans in the input");
	return 0;
}

int
cmd_extract(struct ctx *c)
{
	if (strcmp(opt_str(c, "from"), "file") == 0)
		return extract_files(c);
	return extract_jaeger(c);
}
