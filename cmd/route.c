/* llmr route - choose a model for a prompt, or for each line of standard input. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cmd.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "common/limits.h"
#include "common/load.h"

#define MAX_LINE ((size_t)16 * 1024 * 1024)
#define SHOWN_NEIGHBORS 5

struct routing {
	struct router *router;
	struct router_scratch *scratch;
	struct dataset *data;		/* for the texts of neighbours; NULL */
	struct limits limits;
	struct policy policy;		/* of limits, with the request of the line */
	struct policy_choice choice;	/* of the last decision */
	struct slice request;		/* --request-id */
	struct buf out;
	bool explain, json;
	size_t unmet;			/* decisions for which no model met the limits */
};

struct neighbor {
	uint32_t row;
	float sim;
};

static int
nearer(const void *a, const void *b)
{
	const struct neighbor *x = a, *y = b;

	if (x->sim != y->sim)
		return x->sim > y->sim ? -1 : 1;
	return (x->row > y->row) - (x->row < y->row);
}

/* The nearest neighbours of the last decision, best first. Returns how many: 0 unless the router is a knn. */
static size_t
nearest(const struct routing *g, struct neighbor out[SHOWN_NEIGHBORS])
{
	const struct knn_scratch *s = router_knn_scratch(g->router, g->scratch);
	size_t n = 0;

	for (size_t i = 0; s != NULL && i < s->k; i++) {
		struct neighbor x = { s->index[i], s->near[i] };

		if (n == SHOWN_NEIGHBORS && nearer(&x, &out[n - 1]) >= 0)
			continue;
		if (n < SHOWN_NEIGHBORS)
			n++;
		out[n - 1] = x;
		qsort(out, n, sizeof *out, nearer);
	}
	return n;
}

/* Text of a training query from the artifact, else from --data; SLICE_NONE when neither has it. */
static struct slice
text_of(const struct routing *g, uint32_t row)
{
	struct slice t = router_query_text(g->router, row);
	char id[17];

	if (t.p != NULL || g->data == NULL)
		return t;
	router_query_id(g->router, row, id);
	for (size_t i = 0; i < g->data->n; i++)
		if (strcmp(g->data->query_id[i], id) == 0)
			return g->data->query[i];
	return SLICE_NONE;
}

static void
explain_json(const struct routing *g, struct jsonw *w)
{
	struct neighbor near[SHOWN_NEIGHBORS];
	size_t n = nearest(g, near);
	char id[17];

	jsonw_key(w, "neighbors");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		struct slice t = text_of(g, near[i].row);

		router_query_id(g->router, near[i].row, id);
		jsonw_object(w);
		jsonw_kstr(w, "query_id", id);
		jsonw_kdouble(w, "similarity", round((double)near[i].sim * 1e6) / 1e6);
		if (t.p != NULL)
			jsonw_kstr_n(w, "query", t.p, t.n);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void
put_times(struct jsonw *w, const struct router_times *t)
{
	jsonw_key(w, "timings_us");
	jsonw_object(w);
	jsonw_kdouble(w, "tokenize", round(t->tokenize * 10) / 10);
	jsonw_kdouble(w, "embed", round(t->embed * 10) / 10);
	jsonw_kdouble(w, "score", round(t->score * 10) / 10);
	jsonw_kdouble(w, "policy", round(t->policy * 10) / 10);
	jsonw_kdouble(w, "total", round(t->total * 10) / 10);
	jsonw_end_object(w);
}

static void
put_by_model(const struct routing *g, struct jsonw *w, const char *key, const float *v)
{
	jsonw_key(w, key);
	jsonw_object(w);
	for (size_t j = 0; j < g->router->models.len; j++) {
		jsonw_key_n(w, g->router->models.keys[j], g->router->models.key_len[j]);
		jsonw_double(w, (double)v[j]);
	}
	jsonw_end_object(w);
}

static const char *
name_of(const struct routing *g, size_t model)
{
	return model == POLICY_NONE ? NULL : g->router->models.keys[model];
}

static void
decision_json(struct routing *g)
{
	struct jsonw w;

	jsonw_init(&w, &g->out);
	jsonw_object(&w);
	jsonw_kstr(&w, "model", name_of(g, g->choice.model));
	jsonw_key(&w, "scores");
	jsonw_object(&w);
	for (size_t j = 0; j < g->router->models.len; j++) {
		jsonw_key_n(&w, g->router->models.keys[j], g->router->models.key_len[j]);
		jsonw_double(&w, round((double)g->scratch->score[j] * 1e6) / 1e6);
	}
	jsonw_end_object(&w);
	jsonw_kstr(&w, "runner_up", name_of(g, g->choice.runner_up));
	jsonw_kdouble(&w, "propensity", g->choice.model == POLICY_NONE ? NAN : g->choice.propensity);
	if (policy_explores(&g->policy))
		jsonw_kbool(&w, "explored", g->choice.explored);
	put_times(&w, &g->scratch->times);
	put_by_model(g, &w, "costs", g->scratch->cost);
	put_by_model(g, &w, "latencies", g->scratch->latency);
	if (g->explain)
		explain_json(g, &w);
	jsonw_end_object(&w);
	buf_byte(&g->out, '\n');
}

/* One line of a prompt, cut to fit, control bytes as blanks. */
static void
put_excerpt(struct buf *b, struct slice t)
{
	size_t n = t.n < 70 ? t.n : 70;

	while (n < t.n && n > 0 && ((unsigned char)t.p[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		buf_byte(b, (unsigned char)t.p[i] < 0x20 || t.p[i] == 0x7f ? ' ' : t.p[i]);
	if (n < t.n)
		buf_str(b, "...");
}

static void
explain_people(struct routing *g)
{
	const struct router *r = g->router;
	struct neighbor near[SHOWN_NEIGHBORS];
	size_t n = nearest(g, near);
	char id[17];

	for (size_t j = 0; j < r->models.len; j++) {
		const char *mark = j == g->choice.model ? "*" : j == g->choice.runner_up ? "2" : " ";

		buf_printf(&g->out, "  %s %.4f  ", mark, (double)g->scratch->score[j]);
		if (!isnan(g->scratch->cost[j]))
			buf_printf(&g->out, "$%.6f  ", (double)g->scratch->cost[j]);
		if (!isnan(g->scratch->latency[j]))
			buf_printf(&g->out, "%.2f s  ", (double)g->scratch->latency[j]);
		buf_printf(&g->out, "%s\n", r->models.keys[j]);
	}
	if (n == 0 && router_knn(r) != NULL)
		buf_str(&g->out, "  no known term in the prompt: the scores are overall means\n");
	else if (n > 0)
		buf_printf(&g->out, "  nearest of the %zu training queries that count:\n",
		    router_knn_scratch(g->router, g->scratch)->k);
	for (size_t i = 0; i < n; i++) {
		struct slice t = text_of(g, near[i].row);

		router_query_id(r, near[i].row, id);
		buf_printf(&g->out, "  %7.4f  %s  ", (double)near[i].sim, id);
		put_excerpt(&g->out, t);
		buf_byte(&g->out, '\n');
	}
}

/* Decide and append the answer: one line, and with --explain some more. */
static void
decide(struct routing *g, struct slice text)
{
	const char *model;

	router_route(g->router, &g->policy, text, g->scratch, &g->choice);
	if (g->choice.model == POLICY_NONE)
		g->unmet++;
	if (g->json) {
		decision_json(g);
		return;
	}
	model = name_of(g, g->choice.model);
	buf_printf(&g->out, "%s\n", model == NULL ? "" : model);
	if (g->explain)
		explain_people(g);
}

/* "query" or "prompt" of a JSON object, and its "request_id" where there is one. */
static int
query_of(const char *line, size_t n, struct arena *a, struct slice *out, struct slice *request,
	struct err *e)
{
	struct jread r;
	struct slice key;

	*out = SLICE_NONE;
	jread_init(&r, line, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return err_set(e, ERR_INPUT, "not a JSON object");
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if ((slice_is(key, "query") || slice_is(key, "prompt")) &&
			    jread_peek(&r) == JREAD_STRING)
				jread_string(&r, a, out);
			else if (slice_is(key, "request_id") && jread_peek(&r) == JREAD_STRING)
				jread_string(&r, a, request);
			else
				jread_skip(&r);
		}
	if (jread_done(&r, e) < 0)
		return -1;
	return out->p == NULL ? err_set(e, ERR_INPUT, "no \"query\" of text") : 0;
}

/* A line that cannot be read still gets its line of output, so that both stay side by side. */
static void
refuse(struct ctx *c, struct routing *g, uint64_t number, const struct err *why)
{
	struct jsonw w;

	log_warn(&c->log, "line %llu: %s", (unsigned long long)number, why->msg);
	if (g->json) {
		jsonw_init(&w, &g->out);
		jsonw_object(&w);
		jsonw_key(&w, "model");
		jsonw_null(&w);
		jsonw_kstr(&w, "error", why->msg);
		jsonw_end_object(&w);
	}
	buf_byte(&g->out, '\n');
}

static int
flush(struct ctx *c, struct routing *g)
{
	if (buf_ok(&g->out, &c->err) < 0)
		return -1;
	out_write(g->out.p, g->out.len);
	buf_reset(&g->out);
	/* Whoever asks line by line gets the answer now; when nobody reads any more, that is the end. */
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(&c->err, ERR_IO, "standard output");
	return 0;
}

static int
route_lines(struct ctx *c, struct routing *g, struct stream_lines *lines)
{
	struct arena a = ARENA_INIT;
	bool jsonl = opt_flag(c, "jsonl");
	uint64_t number = 0, bad = 0, done = 0;
	const char *line;
	size_t n;
	int r;

	while ((r = stream_lines_next(lines, &line, &n, &number, &c->err)) > 0) {
		struct slice text = { line, n };
		struct err why = ERR_INIT;

		if ((r = cancel_check(c->cancel, &c->err)) < 0)
			break;
		arena_reset(&a);
		g->policy.request = g->request;
		if (jsonl && query_of(line, n, &a, &text, &g->policy.request, &why) < 0) {
			bad++;
			refuse(c, g, number, &why);
		} else
			decide(g, text);
		done++;
		if ((r = flush(c, g)) < 0)
			break;
	}
	arena_finish(&a);
	if (r < 0)
		return -1;
	if (bad > 0)
		return err_set(&c->err, ERR_INPUT, "%llu of %llu lines could not be read",
		    (unsigned long long)bad, (unsigned long long)done);
	return 0;
}

static int
route_stdin(struct ctx *c, struct routing *g)
{
	struct stream_in *in = stream_in_open("-", &c->err);
	struct stream_lines *lines;
	int r = -1;

	if (in == NULL)
		return -1;
	lines = stream_lines_new(in, MAX_LINE, &c->err);
	if (lines != NULL && (r = route_lines(c, g, lines)) < 0 && c->err.code == ERR_INPUT)
		err_wrap(&c->err, "standard input");
	stream_lines_free(lines);
	stream_in_close(in);
	return r;
}

static int
route_one(struct ctx *c, struct routing *g)
{
	struct slice text;
	struct arena a = ARENA_INIT;
	int r = 0;

	text = slice_str(c->args[0]);
	if (opt_flag(c, "jsonl"))
		r = query_of(text.p, text.n, &a, &text, &g->policy.request, &c->err);
	if (r == 0) {
		decide(g, text);
		r = flush(c, g);
	}
	arena_finish(&a);
	return r;
}

static int
setup(struct ctx *c, struct routing *g)
{
	g->explain = opt_flag(c, "explain");
	g->json = c->json;
	g->router = load_router(c);
	if (g->router == NULL)
		return -1;
	if (limits_read(c, g->router, true, &g->limits) < 0)
		return -1;
	g->policy = g->limits.policy;
	g->policy.request = g->request = slice_str(opt_str(c, "request-id"));
	if (g->explain && opt_count(c, "data") > 0 && (g->data = load_data(c, "records")) == NULL)
		return -1;
	g->scratch = router_scratch_new(g->router, &c->err);
	return g->scratch == NULL ? -1 : 0;
}

int
cmd_route(struct ctx *c)
{
	struct routing g = { .out = BUF_INIT };
	bool one = c->n_args > 0 && strcmp(c->args[0], "-") != 0;
	int r = setup(c, &g);

	if (r == 0)
		r = one ? route_one(c, &g) : route_stdin(c, &g);
	if (r == 0 && g.unmet > 0 && (g.limits.allowed != NULL || opt_given(c, "max-latency")))
		r = err_set(&c->err, ERR_NO, "no model meets the limits and requirements "
		    "(%zu prompts)", g.unmet);
	else if (r == 0 && g.unmet > 0)
		r = err_set(&c->err, ERR_NO, "no model is expected to cost at most %g USD "
		    "(%zu prompts)", g.policy.max_cost, g.unmet);
	limits_finish(&g.limits);
	buf_finish(&g.out);
	router_scratch_free(g.scratch);
	router_free(g.router);
	dataset_free(g.data);
	return r;
}
