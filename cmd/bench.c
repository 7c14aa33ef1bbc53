/* llmr bench - how long a router's whole decision takes, measured in process. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd.h"
#include "fmt/hash.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "common/limits.h"
#include "common/load.h"
#include "math/hist.h"

#define MAX_LINE ((size_t)16 * 1024 * 1024)
#define MAX_QUERIES 1000000
#define DEFAULT_BUDGET 0.050
#define OVERHEAD_ROUNDS 20000
#define MAX_THREADS 256
/* That clock is a system call of half a microsecond, so only some requests pay for it. */
#define CPU_EVERY 8

/* CPU: what the thread itself used, free of the waits that other programs cause. */
enum { TOTAL, TOKENIZE, EMBED, SCORE, POLICY, CPU, STAGES };
static const char *const stage_name[STAGES] = { "total", "tokenize", "embed", "score", "policy",
	"cpu time" };

struct prompts {
	struct slice *text;
	size_t n, cap;
	struct arena arena;
};

/* What the threads of one run share. */
struct run {
	const struct router *router;
	const struct policy *policy;
	const struct prompts *prompts;
	uint64_t requests;		/* stop after so many */
	int64_t start_ns, end_ns;	/* end_ns 0: no limit of time */
	double interval_ns;		/* between due requests; 0: closed loop */
	atomic_ullong next;
	struct cancel *cancel;
	bool dry;			/* everything but the decision: our own overhead */
};

struct worker {
	struct run *run;
	struct router_scratch *scratch;
	struct hist hist[STAGES];
	uint64_t done, failed, late;	/* late: began more than 1 ms after it was due */
	unsigned char *sweep;		/* NULL unless --cold */
	size_t sweep_bytes;
	int64_t finished_ns;
};

/* ---- prompts ---- */

/* The query of a JSON object line; false when the line is something else. */
static bool
json_query(const char *line, size_t n, struct arena *a, struct slice *out)
{
	struct jread r;
	struct slice key;

	*out = SLICE_NONE;
	jread_init(&r, line, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return false;
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if ((slice_is(key, "query") || slice_is(key, "prompt")) &&
			    jread_peek(&r) == JREAD_STRING)
				jread_string(&r, a, out);
			else
				jread_skip(&r);
		}
	return jread_done(&r, NULL) == 0 && out->p != NULL;
}

static int
add_prompt(struct prompts *p, const char *line, size_t n, struct err *e)
{
	struct slice text;
	void *v = p->text;
	char *copy;

	if (!json_query(line, n, &p->arena, &text)) {
		if (p->n == 0 && slice_starts(slice_trim((struct slice){ line, n }), "["))
			return err_set(e, ERR_INPUT, "a JSON array, but lines are needed: plain prompts, or "
			    "records as 'llmr convert' writes them");
		text = (struct slice){ line, n };
	}
	/* Records repeat a query once for each model. */
	if (slice_trim(text).n == 0 || (p->n > 0 && slice_eq(p->text[p->n - 1], text)))
		return 0;
	if (p->n >= MAX_QUERIES)
		return 0;
	if (mem_grow(&v, &p->cap, p->n + 1, sizeof *p->text, e) < 0)
		return -1;
	p->text = v;
	copy = arena_dup(&p->arena, text.p, text.n, e);
	if (copy == NULL)
		return -1;
	p->text[p->n++] = (struct slice){ copy, text.n };
	return 0;
}

static int
read_prompts(struct prompts *p, const char *path, struct err *e)
{
	struct stream_in *in = stream_in_open(path, e);
	struct stream_lines *lines = NULL;
	uint64_t number = 0;
	const char *line;
	size_t n;
	int r = -1;

	if (in == NULL)
		return -1;
	lines = stream_lines_new(in, MAX_LINE, e);
	if (lines != NULL)
		while ((r = stream_lines_next(lines, &line, &n, &number, e)) > 0)
			if ((r = add_prompt(p, line, n, e)) < 0)
				break;
	stream_lines_free(lines);
	stream_in_close(in);
	if (r < 0)
		return err_wrap(e, "%s", path);
	return p->n > 0 ? 0 : err_set(e, ERR_INPUT, "%s: no prompts", path);
}

/* ---- running ---- */

static uint64_t
ns_of(double us)
{
	return us > 0 ? (uint64_t)(us * 1e3) : 0;
}

/* Wait until a request is due: sleep most of it, spin the rest. */
static void
wait_until(int64_t due)
{
	int64_t left;

	while ((left = due - clock_mono_ns()) > 0)
		if (left > 200000)
			clock_sleep_ns(left - 100000);
}

/* Push everything out of the caches by reading and writing something larger. */
static void
clear_caches(struct worker *w)
{
	for (size_t i = 0; i < w->sweep_bytes; i += 64)
		((volatile unsigned char *)w->sweep)[i]++;
}

static int64_t
thread_cpu_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		return 0;
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
one_request(struct worker *w, uint64_t i, int64_t due)
{
	const struct run *r = w->run;
	struct policy_choice choice = { .propensity = 1 };
	bool sampled = w->sweep != NULL || i % CPU_EVERY == 0;
	int64_t cpu = sampled ? thread_cpu_ns() : 0, begin = clock_mono_ns(), end;
	const struct router_times *t = &w->scratch->times;

	if (!r->dry)
		router_route(r->router, r->policy, r->prompts->text[i % r->prompts->n], w->scratch,
		    &choice);
	end = clock_mono_ns();
	if (sampled)
		hist_add(&w->hist[CPU], (uint64_t)(thread_cpu_ns() - cpu));
	if (due == 0)
		due = begin;
	else if (begin - due > 1000000)
		w->late++;
	if (choice.model == POLICY_NONE)
		w->failed++;
	w->done++;
	hist_add(&w->hist[TOTAL], (uint64_t)(end - due));
	hist_add(&w->hist[TOKENIZE], ns_of(t->tokenize));
	hist_add(&w->hist[EMBED], ns_of(t->embed));
	hist_add(&w->hist[SCORE], ns_of(t->score));
	hist_add(&w->hist[POLICY], ns_of(t->policy));
	w->finished_ns = end;
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct run *r = w->run;

	for (;;) {
		uint64_t i = atomic_fetch_add(&r->next, 1);
		int64_t due = 0;

		if (i >= r->requests || (r->cancel != NULL && atomic_load(&r->cancel->flag)))
			break;
		if (r->interval_ns > 0) {
			due = r->start_ns + (int64_t)((double)i * r->interval_ns);
			if (r->end_ns != 0 && due >= r->end_ns)
				break;
			wait_until(due);
		} else if (r->end_ns != 0 && clock_mono_ns() >= r->end_ns)
			break;
		if (w->sweep != NULL)
			clear_caches(w);
		one_request(w, i, due);
	}
	return NULL;
}

static int
run_workers(struct run *r, struct worker *w, unsigned n, struct err *e)
{
	pthread_t id[MAX_THREADS];
	unsigned started = 1;
	int r0 = 0;

	atomic_store(&r->next, 0);
	for (unsigned i = 0; i < n; i++) {
		w[i].run = r;
		w[i].done = w[i].failed = w[i].late = 0;
		for (size_t s = 0; s < STAGES; s++)
			hist_init(&w[i].hist[s]);
	}
	for (; started < n; started++)
		if (pthread_create(&id[started], NULL, work, &w[started]) != 0) {
			r0 = err_set(e, ERR_TEMPFAIL, "cannot start %u threads", n);
			break;
		}
	work(&w[0]);
	for (unsigned i = 1; i < started; i++)
		(void)pthread_join(id[i], NULL);
	return r0;
}

/* What one request costs beside the decision, in microseconds. */
static double
own_overhead(struct run *r, struct worker *w, struct err *e)
{
	struct run dry = { .router = r->router, .prompts = r->prompts, .dry = true,
		.requests = OVERHEAD_ROUNDS };
	unsigned char *sweep = w->sweep;
	int64_t t0 = clock_mono_ns();

	w->sweep = NULL;
	(void)run_workers(&dry, w, 1, e);
	w->sweep = sweep;
	return (double)(clock_mono_ns() - t0) / 1e3 / OVERHEAD_ROUNDS;
}

/* ---- report ---- */

struct report {
	struct hist hist[STAGES];
	uint64_t done, failed, late;
	double seconds, overhead_us, budget_s, target_rate;
	unsigned threads;
	char sha256[65], cpu[128];
	bool enforced, passed, cold;
};

/* "model name" of /proc/cpuinfo, or "unknown". */
static void
cpu_name(char *out, size_t cap)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	(void)snprintf(out, cap, "unknown");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || colon == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(out, cap, "%.120s", colon + 2);
		break;
	}
	if (f != NULL)
		(void)fclose(f);
}

static void
collect(struct report *rep, const struct worker *w, unsigned n, const struct run *r)
{
	int64_t last = r->start_ns;

	for (size_t s = 0; s < STAGES; s++)
		hist_init(&rep->hist[s]);
	for (unsigned i = 0; i < n; i++) {
		for (size_t s = 0; s < STAGES; s++)
			hist_merge(&rep->hist[s], &w[i].hist[s]);
		rep->done += w[i].done;
		rep->failed += w[i].failed;
		rep->late += w[i].late;
		if (w[i].done > 0 && w[i].finished_ns > last)
			last = w[i].finished_ns;
	}
	rep->seconds = (double)(last - r->start_ns) / 1e9;
	rep->threads = n;
	rep->passed = hist_quantile(&rep->hist[TOTAL], 0.99) <= rep->budget_s * 1e9;
	cpu_name(rep->cpu, sizeof rep->cpu);
}

static double
us_at(const struct hist *h, double q)
{
	return round(hist_quantile(h, q) / 10) / 100;
}

static void
put_hist(struct jsonw *w, const char *key, const struct hist *h)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kdouble(w, "p50", us_at(h, 0.5));
	jsonw_kdouble(w, "p90", us_at(h, 0.9));
	jsonw_kdouble(w, "p99", us_at(h, 0.99));
	jsonw_kdouble(w, "p999", us_at(h, 0.999));
	jsonw_kdouble(w, "max", us_at(h, 1));
	jsonw_end_object(w);
}

static void
report_json(const struct report *rep, size_t prompts)
{
	struct buf b = BUF_INIT;
	struct jsonw w;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "requests", (int64_t)rep->done);
	jsonw_kint(&w, "failed", (int64_t)rep->failed);
	put_hist(&w, "latency_us", &rep->hist[TOTAL]);
	jsonw_key(&w, "stages_us");
	jsonw_object(&w);
	for (size_t s = TOKENIZE; s < CPU; s++)
		put_hist(&w, stage_name[s], &rep->hist[s]);
	jsonw_end_object(&w);
	put_hist(&w, "cpu_us", &rep->hist[CPU]);
	jsonw_kdouble(&w, "rate", rep->seconds > 0 ? (double)rep->done / rep->seconds : NAN);
	jsonw_kdouble(&w, "target_rate", rep->target_rate);
	jsonw_kstr(&w, "mode", rep->target_rate > 0 ? "open" : "closed");
	jsonw_kbool(&w, "cold", rep->cold);
	jsonw_kint(&w, "prompts", (int64_t)prompts);
	jsonw_kint(&w, "late", (int64_t)rep->late);
	jsonw_kdouble(&w, "seconds", rep->seconds);
	jsonw_kdouble(&w, "overhead_us", round(rep->overhead_us * 1e3) / 1e3);
	jsonw_kdouble(&w, "budget_p99_us", rep->budget_s * 1e6);
	jsonw_kbool(&w, "passed", rep->passed);
	jsonw_kstr(&w, "model_sha256", rep->sha256);
	jsonw_kstr(&w, "cpu", rep->cpu);
	jsonw_kint(&w, "threads", rep->threads);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	out_write(b.p, b.len);
	buf_finish(&b);
}

static void
report_people(const struct report *rep)
{
	out_printf("%llu requests, %llu failed, %u thread%s, %s loop%s, %.0f a second\n",
	    (unsigned long long)rep->done, (unsigned long long)rep->failed, rep->threads,
	    rep->threads == 1 ? "" : "s", rep->target_rate > 0 ? "open" : "closed",
	    rep->cold ? ", cold caches" : "",
	    rep->seconds > 0 ? (double)rep->done / rep->seconds : 0);
	if (rep->late > 0)
		out_printf("%llu requests began more than 1 ms late; their wait is counted\n",
		    (unsigned long long)rep->late);
	out_printf("%-10s %9s %9s %9s %9s %9s  us\n", "", "P50", "P90", "P99", "P99.9", "max");
	for (size_t s = 0; s < STAGES; s++) {
		const struct hist *h = &rep->hist[s];

		out_printf("%-10s %9.1f %9.1f %9.1f %9.1f %9.1f\n", stage_name[s], us_at(h, 0.5),
		    us_at(h, 0.9), us_at(h, 0.99), us_at(h, 0.999), us_at(h, 1));
	}
	out_printf("%s: P99 %.3f ms, budget %.3g ms%s\n", rep->passed ? "pass" : "FAIL",
	    us_at(&rep->hist[TOTAL], 0.99) / 1e3, rep->budget_s * 1e3,
	    rep->enforced ? "" : " (shown only; --budget-p99 enforces)");
	out_printf("bench's own cost: %.2f us a request, not counted above\n", rep->overhead_us);
}

/* ---- the command ---- */

static void
free_workers(struct worker *w, unsigned n)
{
	for (unsigned i = 0; w != NULL && i < n; i++) {
		router_scratch_free(w[i].scratch);
		free(w[i].sweep);
	}
	free(w);
}

static size_t
sweep_size(void)
{
	long l3 = 0;

#ifdef _SC_LEVEL3_CACHE_SIZE
	l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
	return l3 > 0 && l3 < 1L << 30 ? 2 * (size_t)l3 : (size_t)64 * 1024 * 1024;
}

static struct worker *
make_workers(const struct router *r, unsigned n, bool cold, struct err *e)
{
	struct worker *w = mem_calloc(n, sizeof *w, e);

	for (unsigned i = 0; w != NULL && i < n; i++) {
		w[i].scratch = router_scratch_new(r, e);
		w[i].sweep_bytes = sweep_size();
		if (cold)
			w[i].sweep = mem_aligned(w[i].sweep_bytes, 1, e);
		if (w[i].scratch == NULL || (cold && w[i].sweep == NULL)) {
			free_workers(w, n);
			return NULL;
		}
	}
	return w;
}

static int
measure(struct ctx *c, struct run *r, struct report *rep, unsigned threads)
{
	struct worker *w = make_workers(r->router, threads, rep->cold, &c->err);
	struct run warm = { .router = r->router, .policy = r->policy, .prompts = r->prompts, .cancel = c->cancel,
		.requests = (uint64_t)opt_int(c, "warmup") };
	int status = -1;

	if (w == NULL)
		return -1;
	if (run_workers(&warm, w, threads, &c->err) < 0)
		goto out;
	rep->overhead_us = own_overhead(r, w, &c->err);
	r->start_ns = clock_mono_ns();
	if (opt_given(c, "duration"))
		r->end_ns = r->start_ns + (int64_t)(opt_duration(c, "duration") * 1e9);
	if (run_workers(r, w, threads, &c->err) < 0 || cancel_check(c->cancel, &c->err) < 0)
		goto out;
	collect(rep, w, threads, r);
	status = 0;
out:
	free_workers(w, threads);
	return status;
}

static void
set_limits(struct ctx *c, struct run *r, struct report *rep)
{
	r->requests = r->prompts->n > 1000 ? r->prompts->n : 1000;
	if (opt_given(c, "requests"))
		r->requests = (uint64_t)opt_int(c, "requests");
	else if (opt_given(c, "duration"))
		r->requests = UINT64_MAX;
	rep->target_rate = opt_given(c, "rate") ? opt_num(c, "rate") : NAN;
	r->interval_ns = opt_given(c, "rate") ? 1e9 / opt_num(c, "rate") : 0;
	rep->cold = opt_flag(c, "cold");
	rep->enforced = opt_given(c, "budget-p99");
	rep->budget_s = rep->enforced ? opt_duration(c, "budget-p99") : DEFAULT_BUDGET;
}

int
cmd_bench(struct ctx *c)
{
	struct prompts prompts = { 0 };
	struct report *rep = mem_calloc(1, sizeof *rep, &c->err);
	struct run run = { .prompts = &prompts, .cancel = c->cancel };
	struct router *router = NULL;
	struct limits limits = { .allowed = NULL };
	unsigned threads = opt_given(c, "threads") ? c->threads : 1;
	uint8_t digest[32];
	int r = -1;

	if (rep == NULL)
		return -1;
	if (opt_str(c, "queries") == NULL) {
		err_set(&c->err, ERR_USAGE, "no prompts: give --queries FILE");
		goto out;
	}
	if (opt_flag(c, "cold") && opt_given(c, "rate")) {
		err_set(&c->err, ERR_USAGE, "--cold and --rate do not go together: "
		    "clearing the caches takes longer than a request");
		goto out;
	}
	if ((router = load_router(c)) == NULL || limits_read(c, router, true, &limits) < 0 ||
	    read_prompts(&prompts, opt_str(c, "queries"), &c->err) < 0)
		goto out;
	run.router = router;
	run.policy = &limits.policy;
	tensorfile_digest(router->file, digest);
	hex_format(digest, 32, rep->sha256);
	set_limits(c, &run, rep);
	if (measure(c, &run, rep, threads > MAX_THREADS ? MAX_THREADS : threads) < 0)
		goto out;
	if (c->json)
		report_json(rep, prompts.n);
	else
		report_people(rep);
	r = rep->enforced && !rep->passed ? err_set(&c->err, ERR_NO,
	    "P99 %.3f ms is above the budget of %.3g ms", us_at(&rep->hist[TOTAL], 0.99) / 1e3,
	    rep->budget_s * 1e3) : 0;
out:
	free(rep);
	free(prompts.text);
	arena_finish(&prompts.arena);
	limits_finish(&limits);
	router_free(router);
	return r;
}
