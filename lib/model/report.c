#include "model/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/chart.h"

#define WIDTH 430.0		/* of every figure, in units of which type is 12 high */
#define MAX_MATRIX 24		/* models in the matrix of choices */
#define PER 1000.0		/* costs are shown for so many queries */
#define LOG_ABOVE 20.0		/* dearest to cheapest: beyond it the axis is logarithmic */

static const char style[] =
"<style>"
":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;"
"--card:#f6f8fa;--router:#1f6fb4;--single:#bc4c00;--oracle:#6e7781;--good:#1a7f37;"
"--bad:#b42318}"
"@media (prefers-color-scheme:dark){"
":root{--bg:#12161b;--fg:#e6e9ed;--soft:#a3adb8;--line:#39424c;--card:#1a2027;"
"--router:#62aef0;--single:#f29a5b;--oracle:#98a3ae;--good:#5ecb77;--bad:#ff8a80}}"
"*{box-sizing:border-box}"
"body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}"
"main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 3rem}"
"h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}"
"h2{font-size:1.1rem;margin:0 0 .25rem}"
"p{margin:.25rem 0 .75rem}"
".soft{color:var(--soft);font-size:.875rem}"
".good{color:var(--good)}"
".bad{color:var(--bad)}"
"b{font-weight:600}"
".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.5rem;"
"margin:1rem 0}"
".tile{background:var(--card);border:1px solid var(--line);border-radius:6px;"
"padding:.5rem .75rem}"
".tile div{font-size:.8125rem;color:var(--soft)}"
".tile strong{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}"
".grid{columns:2 26rem;column-gap:2rem;margin:1.5rem 0}"
"section{min-width:0;margin:0 0 1.75rem;break-inside:avoid}"
"section.wide{column-span:all}"
"figure{margin:0}"
"svg{display:block;width:100%;height:auto;max-width:44rem}"
"svg text{font:12px system-ui,sans-serif;fill:var(--fg)}"
"svg .tick,svg .label{fill:var(--soft)}"
"svg .tick{font-size:11px}"
"svg .num{font-size:10px}"
"svg .grid{stroke:var(--line);stroke-width:.5}"
"svg .axis{stroke:var(--soft);stroke-width:1}"
"svg polyline{fill:none}"
"svg .hull{stroke:var(--router);stroke-width:2}"
"svg .shull{stroke:var(--single);stroke-width:1.5;stroke-dasharray:5 3}"
"svg .level{stroke-width:1;stroke-dasharray:1 3}"
"svg .p{fill:var(--router);fill-opacity:.45}"
"svg .now{fill:var(--router);stroke:var(--fg);stroke-width:1.5}"
"svg .s{fill:var(--bg);stroke:var(--single);stroke-width:1.5}"
"svg .sname{font-size:10px;fill:var(--single)}"
"svg .o{fill:var(--bg);stroke:var(--oracle);stroke-width:2}"
"svg .bar{fill:var(--router);fill-opacity:.55}"
"svg .whisker{stroke:var(--fg);stroke-width:1.5}"
"svg .best{stroke:var(--single);stroke-width:3}"
"svg .top{stroke:var(--oracle);stroke-width:2;stroke-dasharray:2 2}"
"svg .ideal{stroke:var(--oracle);stroke-dasharray:4 4}"
"svg .cell{fill:var(--router)}"
"svg .frame{fill:none;stroke:var(--line)}"
"svg .count{fill:var(--oracle);fill-opacity:.35}"
".key span{display:inline-block;white-space:nowrap;margin-right:1rem}"
".key i{display:inline-block;width:1.5rem;height:0;vertical-align:middle;margin-right:.35rem;"
"border-top:3px solid}"
".scroll{overflow-x:auto}"
"table{border-collapse:collapse;width:100%;font-size:.875rem;"
"font-variant-numeric:tabular-nums}"
"th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--line);"
"white-space:nowrap}"
"th.l,td.l{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:8rem}"
"thead th{color:var(--soft);font-weight:600}"
"code{font:.875em ui-monospace,monospace;overflow-wrap:anywhere}"
"footer{margin-top:2rem;border-top:1px solid var(--line);padding-top:.75rem}"
"@media (max-width:32rem){"
".tiles{grid-template-columns:1fr 1fr}"
".tile{padding:.4rem .5rem}}"
"@media print{"
":root{color-scheme:light;--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--card:#fff;"
"--router:#1f6fb4;--single:#bc4c00;--oracle:#666;--good:#1a7f37;--bad:#b42318}"
"tr,.tile{break-inside:avoid}"
"h2{break-after:avoid}"
"html{font-size:9pt}"
"body{font-size:9pt}"
"main{max-width:none;padding:0}"
".grid{columns:2}"
".tiles{grid-template-columns:repeat(6,1fr)}"
"section{margin-bottom:1rem}"
"*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}"
"@page{margin:14mm}"
"</style>\n";

static void
open_section(struct buf *b, bool wide, const char *title)
{
	buf_printf(b, "<section%s><h2>%s</h2>\n", wide ? " class=\"wide\"" : "", title);
}

static void
put_key(struct buf *b, const char *colour, const char *dash, const char *name)
{
	buf_printf(b, "<span><i style=\"border-color:var(--%s);border-top-style:%s\"></i>%s</span>\n",
	    colour, dash, name);
}

/* "0.1234 [0.1000, 0.1500]" or a dash. */
static void
put_figure(struct buf *b, const struct bootstrap_ci *ci, bool percent, bool sign)
{
	double f = percent ? 100 : 1;
	int d = percent ? 1 : 4;

	if (isnan(ci->value)) {
		buf_str(b, "\xe2\x80\x93");
		return;
	}
	if (sign)
		buf_printf(b, "%+.*f%s [%+.*f, %+.*f]", d, f * ci->value, percent ? " %" : "", d,
		    f * ci->lo, d, f * ci->hi);
	else
		buf_printf(b, "%.*f%s [%.*f, %.*f]", d, f * ci->value, percent ? " %" : "", d,
		    f * ci->lo, d, f * ci->hi);
}

static void
put_tile(struct buf *b, const char *name, const struct bootstrap_ci *ci, bool percent, bool sign)
{
	double f = percent ? 100 : 1;
	int d = percent ? 1 : 4;

	if (isnan(ci->value))
		return;
	buf_printf(b, "<div class=\"tile\"><div>%s</div><strong>", name);
	buf_printf(b, sign ? "%+.*f%s" : "%.*f%s", d, f * ci->value, percent ? " %" : "");
	buf_printf(b, sign ? "</strong><div>%+.*f to %+.*f</div></div>\n" :
	    "</strong><div>%.*f to %.*f</div></div>\n", d, f * ci->lo, d, f * ci->hi);
}

static void
put_cost(struct buf *b, double usd)
{
	if (isnan(usd))
		buf_str(b, "\xe2\x80\x93");
	else
		buf_printf(b, "%.4g", PER * usd);
}

static void
put_head(const struct report *r, struct buf *b)
{
	buf_str(b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
	    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	    "style-src 'unsafe-inline'\">\n<title>Evaluation of ");
	chart_escape(b, r->artifact);
	buf_str(b, "</title>\n");
	buf_str(b, style);
	buf_str(b, "</head>\n<body>\n<main>\n<h1>Evaluation of ");
	chart_escape(b, r->artifact);
	buf_printf(b, "</h1>\n<p class=\"soft\">%zu queries judged of %zu, %zu dropped as seen in "
	    "training</p>\n", r->v->result.full, r->queries, r->leaks);
}

static void
put_verdict(const struct report *r, struct buf *b)
{
	const struct bootstrap_ci *d = &r->v->result.delta;

	buf_printf(b, "<p><b class=\"%s\">", d->lo > 0 ? "good" : d->hi < 0 ? "bad" : "");
	buf_str(b, d->lo > 0 ? "The router beats the best single model." :
	    d->hi < 0 ? "The router is worse than the best single model." :
	    "The router and the best single model are within noise of each other.");
	buf_printf(b, "</b> It scores %.4f; <code>", r->v->result.router);
	chart_escape(b, r->model[r->best_single]);
	buf_printf(b, "</code> alone %.4f; the best choice for each query %.4f; a random one "
	    "%.4f.</p>\n",
	    r->v->result.best, r->v->result.oracle, r->v->result.random);
	buf_str(b, "<p>How it chooses: ");
	chart_escape(b, r->mode != NULL ? r->mode : "the highest predicted score");
	buf_str(b, ".</p>\n");
	if (r->gate == NULL)
		return;
	buf_printf(b, "<p><b class=\"%s\">Gate %s:</b> <code>", r->missed == NULL ? "good" : "bad",
	    r->missed == NULL ? "met" : "missed");
	chart_escape(b, r->gate);
	buf_str(b, "</code>");
	if (r->missed != NULL) {
		buf_str(b, " \xe2\x80\x94 failed: <code>");
		chart_escape(b, r->missed);
		buf_str(b, "</code>");
	}
	buf_str(b, "</p>\n");
}

static void
put_tiles(const struct report *r, struct buf *b)
{
	const struct evaluation *v = r->v;

	buf_str(b, "<div class=\"tiles\">\n");
	put_tile(b, "Router \xe2\x88\x92 best single", &v->result.delta, false, true);
	put_tile(b, "Gap closed", &v->result.gap, true, true);
	put_tile(b, "Regret", &v->all.regret, false, false);
	put_tile(b, "Agreement with oracle", &v->all.agreement, true, false);
	put_tile(b, "Performance gain", &v->all.perf_gain, true, true);
	put_tile(b, "Cost saved", &v->all.cost_save, true, true);
	put_tile(b, "Calibration error", &v->calibration.ece, false, false);
	if (v->frontier.known) {
		put_tile(b, "AIQ", &v->frontier.aiq, false, false);
		put_tile(b, "AIQ \xe2\x88\x92 single models", &v->frontier.delta, false, true);
	}
	if (v->has_pair) {
		put_tile(b, "APGR", &v->pair.apgr, false, false);
		put_tile(b, "CPT(50 %)", &v->pair.cpt50, true, false);
		put_tile(b, "CPT(80 %)", &v->pair.cpt80, true, false);
	}
	buf_str(b, "</div>\n<p class=\"soft\">Small figures: 95 % intervals, bootstrap by "
	    "query.</p>\n");
}

/* A little room around what is drawn; a range of nothing becomes one. */
static void
pad_range(double *lo, double *hi)
{
	double room = *hi > *lo ? (*hi - *lo) * .06 : .05;

	*lo -= room;
	*hi += room;
}

static void
frontier_ranges(const struct report *r, struct chart *c)
{
	const struct evaluation *v = r->v;
	double lo = INFINITY, hi = 0;

	c->y0 = INFINITY;
	c->y1 = -INFINITY;
	for (size_t k = 0; k < FRONTIER_POINTS; k++) {
		chart_reach(&lo, &hi, PER * v->frontier.point[k].cost);
		chart_reach(&c->y0, &c->y1, v->frontier.point[k].score);
	}
	for (size_t j = 0; j < r->m; j++) {
		chart_reach(&lo, &hi, PER * v->all.model_cost[j]);
		chart_reach(&c->y0, &c->y1, v->all.model_score[j]);
	}
	chart_reach(&lo, &hi, PER * v->all.oracle_cost);
	chart_reach(&c->y0, &c->y1, v->all.oracle);
	pad_range(&c->y0, &c->y1);
	c->log_x = lo > 0 && hi / lo > LOG_ABOVE;
	c->x0 = c->log_x ? lo / 1.2 : 0;
	c->x1 = c->log_x ? hi * 1.2 : hi * 1.06;
}

/*
 * A hull, level to the right edge; in many short pieces, since straight lines
 * of cost and score bend on a logarithmic axis.
 */
static void
draw_hull(const struct chart *c, const char *class, const struct frontier_xy *p, size_t n)
{
	int pieces = c->log_x ? 24 : 1;
	char level[24];

	buf_printf(c->b, "<polyline class=\"%s\" points=\"%.1f,%.1f", class, chart_x(c, p[0].x),
	    chart_y(c, p[0].y));
	for (size_t k = 1; k < n; k++)
		for (int i = 1; i <= pieces; i++) {
			double part = (double)i / pieces;

			buf_printf(c->b, " %.1f,%.1f",
			    chart_x(c, p[k - 1].x + part * (p[k].x - p[k - 1].x)),
			    chart_y(c, p[k - 1].y + part * (p[k].y - p[k - 1].y)));
		}
	buf_str(c->b, "\"/>\n");
	(void)snprintf(level, sizeof level, "%s level", class);
	chart_line(c, level, chart_x(c, p[n - 1].x), chart_y(c, p[n - 1].y), c->w - c->right,
	    chart_y(c, p[n - 1].y));
}

static void
draw_singles(const struct report *r, const struct chart *c)
{
	const struct eval_group *g = &r->v->all;
	char number[24];

	for (size_t j = 0; j < r->m; j++) {
		double x, y;

		if (isnan(g->model_score[j]))
			continue;
		x = chart_x(c, PER * g->model_cost[j]);
		y = chart_y(c, g->model_score[j]);
		(void)snprintf(number, sizeof number, "%zu", j + 1);
		chart_rect(c, "s", x - 4, y - 4, 8, 8, r->model[j]);
		chart_text(c, "sname", "start", x + 7, y + 4, number, 0);
	}
}

static void
put_frontier(const struct report *r, struct buf *b)
{
	const struct evaluation *v = r->v;
	struct chart c = { .b = b, .w = WIDTH, .h = 330, .left = 44, .right = 20, .top = 24,
	    .bottom = 36 };
	struct frontier_xy hull[FRONTIER_POINTS], *single;
	size_t n = 0;

	if (!v->frontier.known)
		return;
	single = mem_calloc(r->m, sizeof *single, NULL);
	if (single == NULL) {
		b->failed = true;
		return;
	}
	frontier_ranges(r, &c);
	open_section(b, false, "Score and cost");
	chart_begin(&c, "Cost-quality frontier: mean score against mean cost of router and single "
	    "models");
	chart_axes(&c, c.log_x ? "USD for 1000 queries, logarithmic" : "USD for 1000 queries", "mean "
	    "score");
	for (size_t k = 0; k < FRONTIER_POINTS; k++)
		hull[k] = (struct frontier_xy){ PER * v->frontier.point[k].cost,
		    v->frontier.point[k].score };
	for (size_t k = 0; k < FRONTIER_POINTS; k++)
		chart_dot(&c, "p", chart_x(&c, hull[k].x), chart_y(&c, hull[k].y), 3, NULL);
	for (size_t j = 0; j < r->m; j++)
		if (!isnan(v->all.model_score[j]))
			single[n++] = (struct frontier_xy){ PER * v->all.model_cost[j],
				v->all.model_score[j] };
	draw_hull(&c, "shull", single, frontier_hull(single, n));
	draw_hull(&c, "hull", hull, frontier_hull(hull, FRONTIER_POINTS));
	draw_singles(r, &c);
	chart_dot(&c, "o", chart_x(&c, PER * v->all.oracle_cost), chart_y(&c, v->all.oracle), 5,
	    "oracle");
	chart_dot(&c, "now", chart_x(&c, PER * v->all.router_cost), chart_y(&c, v->all.router), 5,
	    "the router at the cost weight of this evaluation");
	chart_end(&c);
	buf_str(b, "<p class=\"key soft\">");
	put_key(b, "router", "solid", "router at 61 prices, and its hull");
	put_key(b, "single", "dashed", "single models (numbers: the table below)");
	put_key(b, "oracle", "solid", "oracle (ring)");
	buf_str(b, "<span>Framed dot: the router as evaluated.</span></p></section>\n");
	free(single);
}

static void
draw_task(const struct chart *c, size_t row, const char *name, const struct eval_group *g)
{
	double y = c->top + (double)row * 26, zero = chart_x(c, 0), a, z;
	char tip[160];

	(void)snprintf(tip, sizeof tip, "%zu queries: router %.4f [%.4f, %.4f], best single %.4f, "
	    "oracle %.4f", g->n, g->router, g->score.lo, g->score.hi, g->best, g->oracle);
	chart_text(c, "", "end", c->left - 8, y + 14, name[0] != '\0' ? name : "(none)", 20);
	chart_rect(c, "bar", zero, y + 3, chart_x(c, g->router) - zero, 15, tip);
	a = chart_x(c, g->score.lo);
	z = chart_x(c, g->score.hi);
	if (!isnan(g->score.lo)) {
		chart_line(c, "whisker", a, y + 10.5, z, y + 10.5);
		chart_line(c, "whisker", a, y + 6.5, a, y + 14.5);
		chart_line(c, "whisker", z, y + 6.5, z, y + 14.5);
	}
	chart_line(c, "best", chart_x(c, g->best), y + 1, chart_x(c, g->best), y + 20);
	chart_line(c, "top", chart_x(c, g->oracle), y + 1, chart_x(c, g->oracle), y + 20);
}

static void
put_tasks(const struct report *r, struct buf *b)
{
	const struct evaluation *v = r->v;
	size_t rows = v->n_tasks == 1 ? 1 : v->n_tasks + 1;
	struct chart c = { .b = b, .w = WIDTH, .h = 64 + 26 * (double)rows, .left = 136, .right = 14,
		.top = 24, .bottom = 36, .x0 = 0, .x1 = 1, .y0 = 0, .y1 = 1 };

	open_section(b, false, v->n_tasks > 1 ? "Score by task" : "Score");
	chart_begin(&c, "Mean score of the router with its interval, for each task");
	for (int k = 0; k <= 5; k++) {
		double x = chart_x(&c, k / 5.0);
		char text[8];

		(void)snprintf(text, sizeof text, "%.1f", k / 5.0);
		chart_line(&c, "grid", x, c.top, x, c.h - c.bottom);
		chart_text(&c, "tick", "middle", x, c.h - c.bottom + 14, text, 0);
	}
	chart_text(&c, "label", "middle", (c.left + c.w - c.right) / 2, c.h - 4, "mean score", 0);
	draw_task(&c, 0, "all queries", &v->all);
	for (size_t k = 0; v->n_tasks > 1 && k < v->n_tasks; k++)
		draw_task(&c, k + 1, v->task[k].name, &v->task[k].group);
	chart_end(&c);
	buf_str(b, "<p class=\"key soft\">");
	put_key(b, "router", "solid", "router, with its 95 % interval");
	put_key(b, "single", "solid", "best single");
	put_key(b, "oracle", "dotted", "oracle");
	buf_str(b, "</p></section>\n");
}

static void
put_reliability(const struct report *r, struct buf *b)
{
	const struct calibration *cal = &r->v->calibration;
	struct chart c = { .b = b, .w = WIDTH, .h = 330, .left = 44, .right = 14, .top = 24,
	    .bottom = 36,
		.x0 = 0, .x1 = 1, .y0 = 0, .y1 = 1 };
	double most = 0, step = (c.w - c.left - c.right) / CALIBRATION_BINS, xa = 0, ya = 0;
	bool first = true;
	char tip[96];

	for (size_t k = 0; k < CALIBRATION_BINS; k++)
		most = fmax(most, (double)cal->bin[k].n);
	open_section(b, false, "Are its predictions true?");
	chart_begin(&c, "Reliability diagram: true against predicted score of the chosen models");
	chart_axes(&c, "predicted score of the chosen model", "true mean score");
	chart_line(&c, "ideal", chart_x(&c, 0), chart_y(&c, 0), chart_x(&c, 1), chart_y(&c, 1));
	for (size_t k = 0; k < CALIBRATION_BINS; k++) {
		double h = most > 0 ? 50 * (double)cal->bin[k].n / most : 0;

		(void)snprintf(tip, sizeof tip, "%zu queries", cal->bin[k].n);
		chart_rect(&c, "count", c.left + (double)k * step + 1, c.h - c.bottom - h, step - 2, h,
		    tip);
	}
	for (size_t k = 0; k < CALIBRATION_BINS; k++) {
		double x = chart_x(&c, cal->bin[k].predicted), y = chart_y(&c, cal->bin[k].actual);

		if (cal->bin[k].n == 0)
			continue;
		if (!first)
			chart_line(&c, "hull", xa, ya, x, y);
		(void)snprintf(tip, sizeof tip, "%zu queries: predicted %.4f, true %.4f", cal->bin[k].n,
		    cal->bin[k].predicted, cal->bin[k].actual);
		chart_dot(&c, "now", x, y, 3 + 5 * sqrt((double)cal->bin[k].n / most), tip);
		first = false;
		xa = x;
		ya = y;
	}
	chart_end(&c);
	buf_str(b, "<p class=\"soft\">On the dashed line a predicted score of 0.7 means 0.7. Dots "
	    "grow, and "
	    "grey bars rise, with the number of queries. Expected calibration error ");
	put_figure(b, &cal->ece, false, false);
	buf_str(b, ".</p></section>\n");
}

/* How often each model was chosen or best: the ones worth a row. */
struct ranked { size_t model, times; };

static int
by_times(const void *a, const void *b)
{
	const struct ranked *p = a, *q = b;

	if (p->times != q->times)
		return p->times < q->times ? 1 : -1;
	return (p->model > q->model) - (p->model < q->model);
}

static int
by_model(const void *a, const void *b)
{
	const struct ranked *p = a, *q = b;

	return (p->model > q->model) - (p->model < q->model);
}

/* The models of the matrix in shown, how many; place [m] their position or SIZE_MAX. */
static size_t
pick_models(const struct report *r, struct ranked *all, size_t *place)
{
	const struct eval_table *t = &r->v->table;
	size_t n = 0;

	for (size_t j = 0; j < r->m; j++)
		all[j] = (struct ranked){ j, 0 };
	for (size_t i = 0; i < t->n; i++) {
		all[t->choice[i]].times++;
		all[t->oracle[i]].times++;
	}
	qsort(all, r->m, sizeof *all, by_times);
	while (n < r->m && n < MAX_MATRIX && all[n].times > 0)
		n++;
	qsort(all, n, sizeof *all, by_model);
	for (size_t j = 0; j < r->m; j++)
		place[j] = (size_t)-1;
	for (size_t k = 0; k < n; k++)
		place[all[k].model] = k;
	return n;
}

static void
draw_matrix(const struct report *r, const struct chart *c, const struct ranked *shown, size_t n,
	const size_t *cell)
{
	double side = (c->w - c->left - c->right) / (double)n;
	size_t most = 1;
	char text[32];

	for (size_t k = 0; k < n * n; k++)
		most = cell[k] > most ? cell[k] : most;
	for (size_t a = 0; a < n; a++) {
		double y = c->top + (double)a * 20;

		(void)snprintf(text, sizeof text, "%zu ", shown[a].model + 1);
		chart_text(c, "sname", "start", 2, y + 14, text, 0);
		chart_text(c, "num", "start", 18, y + 14, r->model[shown[a].model], 20);
		(void)snprintf(text, sizeof text, "%zu", shown[a].model + 1);
		chart_text(c, "sname", "middle", c->left + ((double)a + .5) * side, c->top - 5, text, 0);
		for (size_t k = 0; k < n; k++) {
			size_t times = cell[a * n + k];
			double x = c->left + (double)k * side;

			buf_printf(c->b, "<rect class=\"cell\" fill-opacity=\"%.3f\" x=\"%.1f\" y=\"%.1f\" "
			    "width=\"%.1f\" height=\"20\"/>\n", .5 * (double)times / (double)most, x, y,
			    side);
			chart_rect(c, "frame", x, y, side, 20, NULL);
			(void)snprintf(text, sizeof text, "%zu", times);
			if (times > 0)
				chart_text(c, "num", "middle", x + side / 2, y + 14, text, 0);
		}
	}
}

static void
put_choices(const struct report *r, struct buf *b)
{
	const struct eval_table *t = &r->v->table;
	struct ranked *all = mem_calloc(r->m, sizeof *all, NULL);
	size_t *place = mem_calloc(r->m, sizeof *place, NULL), *cell = NULL, n = 0, left_out = 0;
	struct chart c = { .b = b, .w = WIDTH, .left = 150, .right = 6, .top = 44 };

	if (all != NULL && place != NULL)
		n = pick_models(r, all, place);
	cell = mem_calloc(n * n + 1, sizeof *cell, NULL);
	if (n == 0 || cell == NULL) {
		b->failed = true;
		goto out;
	}
	for (size_t i = 0; i < t->n; i++) {
		size_t x = place[t->choice[i]], y = place[t->oracle[i]];

		if (x == (size_t)-1 || y == (size_t)-1)
			left_out++;
		else
			cell[y * n + x]++;
	}
	c.h = c.top + 20 * (double)n + 6;
	open_section(b, false, "What it chose, what was best");
	chart_begin(&c, "Matrix of choices: best model in rows, the router's choice in columns");
	chart_text(&c, "label", "middle", (c.left + c.w - c.right) / 2, 16, "chosen by the router", 0);
	chart_text(&c, "label", "start", 2, c.top - 5, "best of all", 0);
	draw_matrix(r, &c, all, n, cell);
	chart_end(&c);
	buf_str(b, "<p class=\"soft\">Queries by the model that was best (rows; of equals the cheapest, "
	    "else the first by name) and the one chosen "
	    "(columns). Off the diagonal is not always wrong: several models may score the same.");
	if (left_out > 0)
		buf_printf(b, " %zu queries of rarer models are not shown.", left_out);
	buf_str(b, "</p></section>\n");
out:
	free(all);
	free(place);
	free(cell);
}

static void
put_pair(const struct report *r, struct buf *b)
{
	const struct routellm *p = &r->v->pair;
	struct chart c = { .b = b, .w = WIDTH, .h = 300, .left = 44, .right = 14, .top = 24,
	    .bottom = 36,
		.x0 = 0, .x1 = 100, .y0 = INFINITY, .y1 = -INFINITY };

	if (!r->v->has_pair)
		return;
	for (size_t k = 0; k <= ROUTELLM_STEPS; k++)
		chart_reach(&c.y0, &c.y1, p->curve[k].score);
	pad_range(&c.y0, &c.y1);
	open_section(b, false, "Weak and strong model");
	chart_begin(&c, "Mean score against the share of calls to the strong model");
	chart_axes(&c, "calls to the strong model, %", "mean score");
	chart_line(&c, "ideal", chart_x(&c, 0), chart_y(&c, p->weak), chart_x(&c, 100),
	    chart_y(&c, p->strong));
	for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
		double x = chart_x(&c, 100 * p->curve[k].share), y = chart_y(&c, p->curve[k].score);

		if (k > 0)
			chart_line(&c, "hull", chart_x(&c, 100 * p->curve[k - 1].share),
			    chart_y(&c, p->curve[k - 1].score), x, y);
		chart_dot(&c, "now", x, y, 3.5, NULL);
	}
	chart_end(&c);
	buf_str(b, "<p class=\"soft\">Weak: <code>");
	chart_escape(b, r->model[r->weak]);
	buf_str(b, "</code>; strong: <code>");
	chart_escape(b, r->model[r->strong]);
	buf_str(b, "</code>. The dashed line is chance. APGR ");
	put_figure(b, &p->apgr, false, false);
	buf_str(b, "; strong calls that recover half of the difference ");
	put_figure(b, &p->cpt50, true, false);
	buf_str(b, ", 80 % of it ");
	put_figure(b, &p->cpt80, true, false);
	buf_str(b, ".</p></section>\n");
}

static void
put_latency(const struct report *r, struct buf *b)
{
	const struct { const char *name; double us; } at[] = { { "P50", r->v->p50_us },
		{ "P90", r->v->p90_us }, { "P99", r->v->p99_us } };
	struct chart c = { .b = b, .w = WIDTH, .h = 90, .left = 44, .right = 80, .top = 6, .bottom = 6,
		.x0 = 0, .x1 = r->v->p99_us > 0 ? r->v->p99_us : 1, .y0 = 0, .y1 = 1 };
	char text[48];

	if (isnan(r->v->p50_us))
		return;
	open_section(b, false, "Time of a decision");
	chart_begin(&c, "Latency of a decision: P50, P90, P99");
	for (size_t k = 0; k < 3; k++) {
		double y = c.top + 26 * (double)k, x = chart_x(&c, at[k].us);

		chart_text(&c, "", "end", c.left - 8, y + 15, at[k].name, 0);
		chart_rect(&c, "bar", c.left, y + 3, x - c.left, 16, NULL);
		(void)snprintf(text, sizeof text, at[k].us < 1000 ? "%.0f \xc2\xb5s" : "%.2f ms",
		    at[k].us < 1000 ? at[k].us : at[k].us / 1000);
		chart_text(&c, "", "start", x + 6, y + 15, text, 0);
	}
	chart_end(&c);
	buf_str(b, "<p class=\"soft\">Text to choice, as it went during this evaluation, other threads "
	    "working beside it; llmr bench measures with care.</p></section>\n");
}

static void
put_models(const struct report *r, struct buf *b)
{
	const struct eval_group *g = &r->v->all;

	open_section(b, true, "Models");
	buf_str(b, "<div class=\"scroll\"><table><thead><tr><th>#</th><th "
	    "class=\"l\">model</th><th>score</th>"
	    "<th>USD / 1000</th><th>chosen</th></tr></thead><tbody>\n");
	for (size_t j = 0; j < r->m; j++) {
		if (isnan(g->model_score[j]))
			continue;
		buf_printf(b, "<tr><td>%zu</td><td class=\"l\">", j + 1);
		chart_escape(b, r->model[j]);
		buf_printf(b, "%s</td><td>%.4f</td><td>", j == r->best_single ? " <b>(best "
		    "single)</b>" : "",
		    g->model_score[j]);
		put_cost(b, g->model_cost[j]);
		buf_printf(b, "</td><td>%.1f %%</td></tr>\n", 100 * (double)g->chosen[j] / (double)g->n);
	}
	buf_printf(b, "<tr><td></td><td class=\"l\"><b>router</b></td><td><b>%.4f</b></td><td>",
	    g->router);
	put_cost(b, g->router_cost);
	buf_printf(b, "</td><td></td></tr>\n<tr><td></td><td "
	    "class=\"l\">oracle</td><td>%.4f</td><td>", g->oracle);
	put_cost(b, g->oracle_cost);
	buf_str(b, "</td><td></td></tr></tbody></table></div></section>\n");
}

static void
put_task_table(const struct report *r, struct buf *b)
{
	if (r->v->n_tasks == 0)
		return;
	open_section(b, true, "Tasks");
	buf_str(b, "<div class=\"scroll\"><table><thead><tr><th "
	    "class=\"l\">task</th><th>queries</th><th>router</th>"
	    "<th>best single</th><th>oracle</th><th>router \xe2\x88\x92 best single</th>"
	    "<th>gap closed</th><th>agreement</th></tr></thead><tbody>\n");
	for (size_t k = 0; k < r->v->n_tasks; k++) {
		const struct eval_group *g = &r->v->task[k].group;

		buf_str(b, "<tr><td class=\"l\">");
		chart_escape(b, r->v->task[k].name[0] != '\0' ? r->v->task[k].name : "(none)");
		buf_printf(b, "</td><td>%zu</td><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>", g->n,
		    g->router,
		    g->best, g->oracle);
		put_figure(b, &g->delta, false, true);
		buf_str(b, "</td><td>");
		if (isnan(g->gap.value))
			buf_str(b, "\xe2\x80\x93");
		else
			buf_printf(b, "%+.1f %%", 100 * g->gap.value);
		buf_printf(b, "</td><td>%.1f %%</td></tr>\n", 100 * g->agreement.value);
	}
	buf_str(b, "</tbody></table></div></section>\n");
}

static void
put_against(const struct report *r, struct buf *b)
{
	const struct evaluation_against *a = &r->v->against;

	if (r->against == NULL || !r->v->has_against || a->n == 0)
		return;
	open_section(b, true, "Against another router");
	buf_str(b, "<p><code>");
	chart_escape(b, r->against);
	buf_printf(b, "</code> scores %.4f on the same %zu queries. This router less that one: <b>",
	    a->score,
	    a->n);
	put_figure(b, &a->delta, false, true);
	buf_printf(b, "</b>, p = %.3g by paired bootstrap. Better on %zu queries, worse on %zu, "
	    "equal on %zu "
	    "(sign test p = %.3g).</p></section>\n", a->p, a->wins, a->losses, a->ties, a->sign_p);
}

void
report_write(const struct report *r, struct buf *b)
{
	put_head(r, b);
	if (!r->v->result.compared)
		buf_str(b, "<p><b>Too few queries have every model's score: nothing could be "
		    "compared.</b></p>\n");
	else {
		put_verdict(r, b);
		put_tiles(r, b);
		put_against(r, b);
		buf_str(b, "<div class=\"grid\">\n");
		put_frontier(r, b);
		put_tasks(r, b);
		put_pair(r, b);
		put_reliability(r, b);
		put_choices(r, b);
		put_latency(r, b);
		put_models(r, b);
		put_task_table(r, b);
		buf_str(b, "</div>\n");
	}
	buf_str(b, "<footer class=\"soft\">Best single was chosen on the training data. Data <code>");
	chart_escape(b, r->data_digest);
	buf_str(b, "</code>. llmr ");
	chart_escape(b, r->version);
	buf_str(b, ".</footer>\n</main>\n</body>\n</html>\n");
}
