/* llmr drift - how far new queries lie from what a router was trained on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "cmd.h"
#include "data/record.h"
#include "embed/shape.h"
#include "fmt/jread.h"
#include "fmt/jsonw.h"
#include "fmt/stream.h"
#include "common/load.h"
#include "model/drift.h"

#define MAX_LINE ((size_t)64 << 20)
#define SHOWN 5

struct queries {
	struct slice *text;
	size_t n, cap;
	struct map seen;	/* ids: a record stands for one call, its query may come again */
	struct arena arena, line;
};

static int
add_query(struct queries *q, struct slice text, struct err *e)
{
	void *p = q->text;
	bool added;
	char id[17], *copy;

	if (slice_trim(text).n == 0)
		return 0;
	record_query_id(text, id);
	if (map_intern(&q->seen, id, 16, &added, e) == MAP_NONE)
		return -1;
	if (!added)
		return 0;
	copy = arena_dup(&q->arena, text.p, text.n, e);
	if (copy == NULL || mem_grow(&p, &q->cap, q->n + 1, sizeof *q->text, e) < 0)
		return -1;
	q->text = p;
	q->text[q->n++] = (struct slice){ copy, text.n };
	return 0;
}

static int
add_line(struct queries *q, bool plain, const char *line, size_t n, uint64_t number, struct err *e)
{
	struct jread r;
	struct slice key, text = SLICE_NONE;

	if (slice_trim((struct slice){ line, n }).n == 0)
		return 0;
	if (plain)
		return add_query(q, (struct slice){ line, n }, e);
	arena_reset(&q->line);
	jread_init(&r, line, n);
	if (jread_peek(&r) != JREAD_OBJECT)
		return err_set(e, ERR_INPUT, "line %llu: not a JSON object: --text reads plain lines",
		    (unsigned long long)number);
	if (jread_object(&r))
		while (jread_member(&r, &key)) {
			if (slice_is(key, "query") && jread_peek(&r) == JREAD_STRING)
				jread_string(&r, &q->line, &text);
			else
				jread_skip(&r);
		}
	if (jread_done(&r, e) < 0)
		return err_wrap(e, "line %llu", (unsigned long long)number);
	if (text.p == NULL)
		return err_set(e, ERR_INPUT, "line %llu: no query", (unsigned long long)number);
	return add_query(q, text, e);
}

static int
read_queries(struct ctx *c, struct queries *q, const char *path)
{
	struct stream_in *in = stream_in_open(path, &c->err);
	struct stream_lines *lines = in == NULL ? NULL : stream_lines_new(in, MAX_LINE, &c->err);
	bool plain = opt_flag(c, "text");
	const char *line;
	uint64_t number;
	size_t n;
	int r = -1;

	if (lines != NULL)
		while ((r = stream_lines_next(lines, &line, &n, &number, &c->err)) > 0)
			if ((r = cancel_check(c->cancel, &c->err)) < 0 ||
			    (r = add_line(q, plain, line, n, number, &c->err)) < 0)
				break;
	stream_lines_free(lines);
	stream_in_close(in);
	if (r < 0 && in != NULL && c->err.code != ERR_INTR)
		return err_wrap(&c->err, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
	return r;
}

/* ---- report ---- */

static const char *
feature_name(const struct drift *d, const struct drift_feature *f, char buf[32])
{
	if (d->shapes)
		return shape_name(f->index);
	(void)snprintf(buf, 32, "vector[%zu]", f->index);
	return buf;
}

/* What is above its bound, one phrase each; "" when nothing is. */
static void
verdict(const struct ctx *c, const struct drift *d, struct buf *out)
{
	double bound = opt_num(c, "threshold"), most = opt_num(c, "max-ood");
	const struct drift_feature *f = &d->feature[0];
	char name[32];

	if (drift_in_similarity(d, bound))
		buf_printf(out, "; similarity has a PSI of %.3g", d->psi);
	if (drift_in_features(d, bound))
		buf_printf(out, "; '%s' has a PSI of %.3g", feature_name(d, f, name), f->psi);
	if (d->ood > most)
		buf_printf(out, "; %.1f %% of the queries are out of distribution", 100 * d->ood);
}

static void
put_summary(struct jsonw *w, const char *key, const struct drift_summary *s)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_kdouble(w, "mean", s->mean);
	jsonw_kdouble(w, "p01", s->p01);
	jsonw_kdouble(w, "p05", s->p05);
	jsonw_kdouble(w, "p50", s->p50);
	jsonw_kdouble(w, "p95", s->p95);
	jsonw_end_object(w);
}

static void
put_features(struct jsonw *w, const struct drift *d)
{
	char name[32];

	jsonw_key(w, "features");
	jsonw_object(w);
	jsonw_kstr(w, "of", d->shapes ? "shape" : "vector");
	jsonw_kdouble(w, "noise", d->feature_noise);
	jsonw_key(w, "psi");
	jsonw_array(w);
	for (size_t i = 0; i < d->n_features; i++) {
		const struct drift_feature *f = &d->feature[i];

		jsonw_object(w);
		jsonw_kstr(w, "name", feature_name(d, f, name));
		jsonw_kdouble(w, "psi", f->psi);
		jsonw_kdouble(w, "training_mean", f->train_mean);
		jsonw_kdouble(w, "new_mean", f->new_mean);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	jsonw_end_object(w);
}

static int
report_json(struct ctx *c, const struct drift *d, bool drifted)
{
	struct buf b = BUF_INIT;
	struct jsonw w;
	int r;

	jsonw_init(&w, &b);
	jsonw_object(&w);
	jsonw_kint(&w, "queries", (int64_t)d->n);
	jsonw_kint(&w, "known", (int64_t)d->known);
	jsonw_kint(&w, "empty", (int64_t)d->empty);
	jsonw_kint(&w, "reference", (int64_t)d->reference);
	jsonw_kbool(&w, "held_out", d->held_out);
	jsonw_key(&w, "similarity");
	jsonw_object(&w);
	put_summary(&w, "training", &d->train);
	put_summary(&w, "new", &d->fresh);
	jsonw_kdouble(&w, "psi", d->psi);
	jsonw_kdouble(&w, "noise", d->noise);
	jsonw_end_object(&w);
	jsonw_key(&w, "out_of_distribution");
	jsonw_object(&w);
	jsonw_kdouble(&w, "below", d->ood_below);
	jsonw_kdouble(&w, "share", d->ood);
	jsonw_end_object(&w);
	put_features(&w, d);
	jsonw_kdouble(&w, "threshold", opt_num(c, "threshold"));
	jsonw_kdouble(&w, "max_ood", opt_num(c, "max-ood"));
	jsonw_kbool(&w, "drift", drifted);
	jsonw_end_object(&w);
	buf_byte(&b, '\n');
	r = buf_ok(&b, &c->err);
	if (r == 0)
		out_write(b.p, b.len);
	buf_finish(&b);
	return r;
}

static void
report_people(const struct drift *d)
{
	char name[32];

	out_printf("%zu queries (%zu of them in training, %zu without a known term) against %zu%s\n",
	    d->n, d->known, d->empty, d->reference, d->held_out ? " held out of training" : "");
	out_printf("%-24s %9s %9s %9s %9s\n", "nearest training query", "training", "new", "PSI", "noise");
	out_printf("%-24s %9.3f %9.3f %9.3f %9.3f\n", "  similarity, median", d->train.p50, d->fresh.p50,
	    d->psi, d->noise);
	out_printf("%-24s %9.3f %9.3f\n", "  lowest twentieth below", d->train.p05, d->fresh.p05);
	out_printf("%-24s %8.1f%% %8.1f%%   similarity below %.3f\n", "out of distribution",
	    100 * DRIFT_OOD, 100 * d->ood, d->ood_below);
	out_printf("%s\n", d->shapes ? "shape of the text" : "places of the vector");
	for (size_t i = 0; i < d->n_features && i < SHOWN; i++) {
		const struct drift_feature *f = &d->feature[i];

		out_printf("  %-22s %9.3f %9.3f %9.3f %9.3f\n", feature_name(d, f, name), f->train_mean,
		    f->new_mean, f->psi, d->feature_noise);
	}
}

static int
judge(struct ctx *c, const struct drift *d)
{
	struct buf why = BUF_INIT;
	int r = 0;

	verdict(c, d, &why);
	if (d->n < DRIFT_FEW)
		log_warn(&c->log, "only %zu queries: the figures are rough", d->n);
	if (d->learned)
		log_warn(&c->log, "without the texts of the training set (--data) only queries that lie "
		    "further away count as drift");
	if (c->json)
		r = report_json(c, d, why.len > 0);
	else
		report_people(d);
	if (r == 0 && why.len > 0)
		r = err_set(&c->err, ERR_NO, "drift: %s", buf_cstr(&why) + 2);
	buf_finish(&why);
	return r;
}

/* ---- the command ---- */

static int
compare(struct ctx *c, const struct router *router, const struct queries *q)
{
	struct dataset *train = NULL;
	struct pool *pool = NULL;
	struct drift d = { 0 };
	int r = -1;

	if (opt_count(c, "data") > 0 && (train = load_data(c, opt_str(c, "from"))) == NULL)
		return -1;
	pool = pool_new(c->threads, &c->err);
	if (pool != NULL && drift_run(router, q->text, q->n, train == NULL ? NULL : train->query,
	    train == NULL ? 0 : train->n, pool, c->cancel, &d, &c->err) == 0)
		r = judge(c, &d);
	drift_finish(&d);
	pool_free(pool);
	dataset_free(train);
	return r;
}

int
cmd_drift(struct ctx *c)
{
	struct router *router = load_router(c);
	struct queries q = { 0 };
	int r = -1;

	if (router == NULL)
		return -1;
	r = c->n_args == 0 ? read_queries(c, &q, "-") : 0;
	for (size_t i = 0; i < c->n_args && r == 0; i++)
		r = read_queries(c, &q, c->args[i]);
	if (r == 0 && q.n == 0)
		r = err_set(&c->err, ERR_INPUT, "no queries in the input");
	if (r == 0)
		r = compare(c, router, &q);
	free(q.text);
	map_finish(&q.seen);
	arena_finish(&q.arena);
	arena_finish(&q.line);
	router_free(router);
	return r;
}
