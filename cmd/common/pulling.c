#include "common/pulling.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

void
pull_init(struct pull *p, struct ctx *c, const char *what)
{
	*p = (struct pull){ .c = c, .what = what, .begun_ns = clock_mono_ns() };
}

void
pull_finish(struct pull *p)
{
	struct err e = ERR_INIT;
	uint64_t kept;

	if (p->out != NULL)
		(void)resume_keep(p->out, &kept, &e);
	p->out = NULL;
	idset_finish(&p->seen);
	buf_finish(&p->query);
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

void
pull_query(struct pull *p, struct jsonw *w)
{
	jsonw_init(w, &p->query);
	jsonw_object(w);
}

int
pull_query_end(struct pull *p, struct jsonw *w)
{
	const char *begin = opt_str(p->c, "start") != NULL ? "start" : "since";

	jsonw_kstr(w, begin, opt_str(p->c, begin));
	jsonw_kstr(w, "end", opt_str(p->c, "end"));
	jsonw_end_object(w);
	return buf_ok(&p->query, &p->c->err);
}

int
pull_open(struct pull *p)
{
	struct resume_opts o = { .out = opt_str(p->c, "output"), .state = opt_str(p->c, "state"),
		.restart = opt_flag(p->c, "restart") };

	if (find_range(p->c, &o.start_us, &o.end_us) < 0)
		return -1;
	o.query = p->query.p;
	if ((p->out = resume_open(&o, &p->seen, &p->at, &p->c->err)) == NULL)
		return -1;
	p->before = p->at.traces;
	if (p->at.resumed) {
		char upto[28];

		str_iso8601(p->at.upto_us, upto);
		say(p->c, "going on from %s with %" PRIu64 " %s already there", upto, p->at.traces, p->what);
	}
	return 0;
}

int
pull_keep(struct pull *p, const uint8_t id[16], uint64_t spans, const char *line, size_t n,
	struct err *e)
{
	p->at.traces++;
	p->at.spans += spans;
	return resume_add(p->out, id, spans, line, n, e);
}

int
pull_upto(struct pull *p, int64_t upto_us, struct err *e)
{
	p->at.upto_us = upto_us;
	progress_show(&p->c->progress, "extract", (double)(p->at.traces - p->before), 0, p->what);
	return resume_upto(p->out, upto_us, e);
}

int
pull_cut_short(struct pull *p)
{
	struct err *e = &p->c->err, first = *e, again = ERR_INIT;
	uint64_t kept = 0;

	/* An output that already failed will fail again: once is enough to say it. */
	if (resume_keep(p->out, &kept, &again) < 0 && first.code != ERR_IO)
		log_warn(&p->c->log, "%s", again.msg);
	p->out = NULL;
	*e = first;
	if (kept == 0 && (p->at.traces == 0 || strcmp(opt_str(p->c, "output"), "-") != 0))
		return -1;
	if (first.code == ERR_UNAVAILABLE)
		e->code = ERR_TEMPFAIL;
	if (kept == 0)
		return err_wrap(e, "cut short after %" PRIu64 " %s", p->at.traces, p->what);
	return err_wrap(e, "cut short after %" PRIu64 " %s (run the same command again to go on)", kept,
		p->what);
}

int
pull_commit(struct pull *p)
{
	int r = resume_commit(p->out, &p->c->err);

	p->out = NULL;
	return r;
}

double
pull_seconds(const struct pull *p)
{
	return (double)(clock_mono_ns() - p->begun_ns) / 1e9;
}

void
pull_json(const struct pull *p, const struct buf *json)
{
	if (strcmp(opt_str(p->c, "output"), "-") == 0)
		say(p->c, "%s", buf_cstr(json));
	else
		out_printf("%s\n", buf_cstr(json));
}

int
pull_judge(struct pull *p, const char *none, const char *hint)
{
	if (p->at.traces > 0)
		return 0;
	if (opt_flag(p->c, "fail-empty"))
		return err_set(&p->c->err, ERR_NO, "%s", none);
	log_warn(&p->c->log, "%s%s", none, hint);
	return 0;
}
