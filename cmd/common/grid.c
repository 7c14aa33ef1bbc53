#include "common/grid.h"

#include <math.h>

int
grid_open(struct ctx *c, const struct fit_params *p, struct search_grid *g, bool *wanted)
{
	size_t n = opt_count(c, "grid");

	*wanted = opt_flag(c, "search") || n > 0;
	for (size_t i = 0; i < n; i++)
		if (search_grid_add(g, opt_nth(c, "grid", i), p, &c->err) < 0)
			return err_wrap(&c->err, "--grid");
	if (*wanted && n == 0 && search_grid_default(g, p, &c->err) < 0)
		return err_wrap(&c->err, "--search");
	return 0;
}

static void
say_candidate(const struct ctx *c, const struct search_grid *g, const struct search_result *r,
	size_t candidate, const char *mark)
{
	struct buf line = BUF_INIT, name = BUF_INIT;

	search_name(g, candidate, &name);
	for (size_t i = 0; i < r->n_cells; i++)
		if (r->cell[i].candidate == candidate) {
			if (isnan(r->cell[i].score))
				buf_str(&line, "  failed");
			else
				buf_printf(&line, "  %.4f", r->cell[i].score);
		}
	say(c, "%s %s%s", mark, buf_cstr(&name), buf_cstr(&line));
	buf_finish(&line);
	buf_finish(&name);
}

void
grid_say(const struct ctx *c, const struct search_grid *g, const struct search_result *r)
{
	struct buf rungs = BUF_INIT;
	size_t rung = (size_t)-1;

	for (size_t i = 0; i < r->n_cells; i++)
		if (r->cell[i].rung != rung) {
			rung = r->cell[i].rung;
			buf_printf(&rungs, "%s%zu", rung > 0 ? ", " : "", r->cell[i].queries);
		}
	say(c, "search: %zu candidates, %s on %s queries", g->candidates,
	    r->by_error ? "negated squared error" : "mean score", buf_cstr(&rungs));
	buf_finish(&rungs);
	say_candidate(c, g, r, r->winner, "  *");
	for (size_t i = 0; i < g->candidates; i++)
		if (i != r->winner)
			say_candidate(c, g, r, i, "   ");
	say(c, "%-26s %.4f  (the best of many: too good; the figure that counts is that of the folds)",
	    "the chosen one's search", r->score);
}

static void
write_candidate(const struct search_grid *g, size_t i, struct jsonw *w)
{
	jsonw_object(w);
	search_write_candidate(g, i, w);
	jsonw_end_object(w);
}

void
grid_json(const struct search_grid *g, const struct search_result *r, const struct crossval *cv,
	struct buf *out)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_kstr(&w, "metric", r->by_error ? "negated_squared_error" : "score");
	jsonw_key(&w, "chosen");
	write_candidate(g, r->winner, &w);
	jsonw_kdouble(&w, "selected_score", r->score);
	jsonw_key(&w, "candidates");
	jsonw_array(&w);
	for (size_t k = 0; k < g->candidates; k++) {
		jsonw_object(&w);
		jsonw_key(&w, "hparams");
		write_candidate(g, k, &w);
		jsonw_key(&w, "rungs");
		jsonw_array(&w);
		for (size_t i = 0; i < r->n_cells; i++)
			if (r->cell[i].candidate == k) {
				jsonw_object(&w);
				jsonw_kint(&w, "queries", (int64_t)r->cell[i].queries);
				jsonw_kdouble(&w, "score", r->cell[i].score);
				jsonw_end_object(&w);
			}
		jsonw_end_array(&w);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_key(&w, "folds_chosen");
	jsonw_array(&w);
	for (size_t k = 0; k < cv->folds; k++)
		write_candidate(g, cv->chosen[k], &w);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
}
