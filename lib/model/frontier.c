#include "model/frontier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DECADES 3		/* each way from the dearest model's mean cost */
#define MAX_WORK 4e9		/* additions in the bootstrap */
#define MIN_DRAWS 100

/* A row's choice changes at few prices: only the changes are kept. */
struct event {
	float score, cost;	/* by how much the row's outcome changes there */
	uint8_t point;
};

struct sweep {
	const struct eval_table *t;
	const float *prior;
	double wtp[FRONTIER_POINTS];
	size_t *start;		/* [n + 1] into event */
	struct event *event;
	size_t n_events, cap;
	double *sum;		/* [workers x 2m] means of the single models */
	struct frontier_xy *xy;	/* [workers x m] */
};

static int
by_x(const void *a, const void *b)
{
	const struct frontier_xy *p = a, *q = b;

	if (p->x != q->x)
		return p->x < q->x ? -1 : 1;
	return (p->y > q->y) - (p->y < q->y);
}

size_t
frontier_hull(struct frontier_xy *p, size_t n)
{
	size_t k = 0;

	qsort(p, n, sizeof *p, by_x);
	for (size_t i = 0; i < n; i++) {
		struct frontier_xy c = p[i];

		if (k > 0 && c.y <= p[k - 1].y)
			continue;
		if (k > 0 && c.x == p[k - 1].x)
			k--;
		while (k > 1 && (p[k - 1].y - p[k - 2].y) * (c.x - p[k - 2].x) <=
		    (c.y - p[k - 2].y) * (p[k - 1].x - p[k - 2].x))
			k--;
		p[k++] = c;
	}
	return k;
}

/* Area under the line from a to b, as far as it lies in lo..hi. */
static double
under(struct frontier_xy a, struct frontier_xy b, double lo, double hi)
{
	double from = a.x > lo ? a.x : lo, to = b.x < hi ? b.x : hi, slope;

	if (!(from < to))
		return 0;
	slope = (b.y - a.y) / (b.x - a.x);
	return (to - from) * (a.y + slope * ((from + to) / 2 - a.x));
}

double
frontier_area(const struct frontier_xy *hull, size_t n, double lo, double hi)
{
	struct frontier_xy nothing = { 0, 0 }, end = { hi, hull[n - 1].y };
	double area;

	if (!(lo < hi))
		return NAN;
	area = under(nothing, hull[0], lo, hi);
	for (size_t i = 1; i < n; i++)
		area += under(hull[i - 1], hull[i], lo, hi);
	if (hull[n - 1].x < hi)
		area += under(hull[n - 1], end, lo, hi);
	return area / (hi - lo);
}

static size_t
choose(const struct sweep *s, size_t i, double wtp, double unknown)
{
	const struct eval_table *t = s->t;
	const float *score = t->predicted + i * t->m, *cost = t->expected + i * t->m;
	size_t best = (size_t)-1;
	double top = 0;

	for (size_t j = 0; j < t->m; j++) {
		double c = isnan(cost[j]) ? unknown : (double)cost[j];
		double v = isinf(wtp) ? (double)score[j] : wtp * (double)score[j] - c;

		if (!t->candidate[j])
			continue;
		if (best == (size_t)-1 || v > top || (v == top && s->prior[j] > s->prior[best])) {
			best = j;
			top = v;
		}
	}
	return best;
}

static int
add_event(struct sweep *s, struct event ev, struct err *e)
{
	void *p = s->event;

	if (mem_grow(&p, &s->cap, s->n_events + 1, sizeof *s->event, e) < 0)
		return -1;
	s->event = p;
	s->event[s->n_events++] = ev;
	return 0;
}

static int
sweep_row(struct sweep *s, size_t i, struct err *e)
{
	const struct eval_table *t = s->t;
	const float *score = t->score + i * t->m, *cost = t->cost + i * t->m;
	double unknown = 0;
	size_t last = 0;

	for (size_t j = 0; j < t->m; j++)
		if ((double)t->expected[i * t->m + j] > unknown)
			unknown = (double)t->expected[i * t->m + j];
	for (size_t k = 0; k < FRONTIER_POINTS; k++) {
		size_t now = choose(s, i, s->wtp[k], unknown);
		struct event ev = { score[now], cost[now], (uint8_t)k };

		if (k > 0 && now == last)
			continue;
		if (k > 0) {
			ev.score -= score[last];
			ev.cost -= cost[last];
		}
		if (add_event(s, ev, e) < 0)
			return -1;
		last = now;
	}
	s->start[i + 1] = s->n_events;
	return 0;
}

/* The points of a resample. */
static void
points_of(const struct sweep *s, const uint32_t *count, struct frontier_xy p[FRONTIER_POINTS])
{
	double n = (double)s->t->n, x = 0, y = 0;

	memset(p, 0, FRONTIER_POINTS * sizeof *p);
	for (size_t i = 0; i < s->t->n; i++)
		for (size_t k = s->start[i]; k < s->start[i + 1]; k++) {
			const struct event *ev = &s->event[k];

			p[ev->point].x += (double)count[i] * (double)ev->cost;
			p[ev->point].y += (double)count[i] * (double)ev->score;
		}
	for (size_t k = 0; k < FRONTIER_POINTS; k++) {
		x += p[k].x;
		y += p[k].y;
		p[k] = (struct frontier_xy){ x / n, y / n };
	}
}

/* The single models of a resample as points; how many. */
static size_t
singles_of(const struct sweep *s, const uint32_t *count, double *sum, struct frontier_xy *xy)
{
	const struct eval_table *t = s->t;
	size_t m = t->m, k = 0;

	memset(sum, 0, 2 * m * sizeof *sum);
	for (size_t i = 0; i < t->n; i++) {
		double c = count[i];

		if (count[i] == 0)
			continue;
		for (size_t j = 0; j < m; j++) {
			sum[j] += c * (double)t->cost[i * m + j];
			sum[m + j] += c * (double)t->score[i * m + j];
		}
	}
	for (size_t j = 0; j < m; j++)
		if (t->candidate[j])
			xy[k++] = (struct frontier_xy){ sum[j] / (double)t->n,
				sum[m + j] / (double)t->n };
	return k;
}

static void
areas(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	const struct sweep *s = arg;
	struct frontier_xy router[FRONTIER_POINTS], *single = s->xy + worker * s->t->m;
	double lo = INFINITY, hi = 0;
	size_t n, k;

	n = singles_of(s, count, s->sum + worker * 2 * s->t->m, single);
	for (size_t j = 0; j < n; j++) {
		lo = single[j].x < lo ? single[j].x : lo;
		hi = single[j].x > hi ? single[j].x : hi;
	}
	points_of(s, count, router);
	k = frontier_hull(router, FRONTIER_POINTS);
	n = frontier_hull(single, n);
	out[0] = frontier_area(router, k, lo, hi);
	out[1] = frontier_area(single, n, lo, hi);
	out[2] = out[0] - out[1];
}

static void
reach(struct frontier *f, double target, double yardstick, struct frontier_target *out)
{
	*out = (struct frontier_target){ target, NAN, NAN, NAN, NAN };
	for (size_t k = 0; k < FRONTIER_POINTS; k++) {
		const struct frontier_point *p = &f->point[k];

		if (p->score < target - 1e-12 || p->cost >= out->cost)
			continue;
		*out = (struct frontier_target){ target, p->score, p->cost,
			yardstick > 0 ? p->cost / yardstick : NAN, 1 / p->wtp };
	}
}

static void
describe(const struct sweep *s, const struct eval_group *all, const uint32_t *one,
	struct frontier *f)
{
	struct frontier_xy p[FRONTIER_POINTS], hull[FRONTIER_POINTS];
	size_t n, best = f->strongest;

	points_of(s, one, p);
	memcpy(hull, p, sizeof hull);
	n = frontier_hull(hull, FRONTIER_POINTS);
	for (size_t k = 0; k < FRONTIER_POINTS; k++) {
		f->point[k] = (struct frontier_point){ s->wtp[k], p[k].y, p[k].x, false };
		for (size_t h = 0; h < n; h++)
			if (p[k].x == hull[h].x && p[k].y == hull[h].y)
				f->point[k].hull = true;
	}
	reach(f, 0.95 * all->model_score[best], all->model_cost[best], &f->at95);
	reach(f, all->best, all->best_cost, &f->at_best);
}

/* Range of costs and the strongest model; false when there is no frontier to speak of. */
static bool
survey(const struct eval_table *t, const struct eval_group *all, struct frontier *f)
{
	size_t best = (size_t)-1;

	*f = (struct frontier){ .lo = INFINITY, .aiq = { NAN, NAN, NAN }, .single = { NAN, NAN, NAN },
		.delta = { NAN, NAN, NAN }, .at95 = { NAN, NAN, NAN, NAN, NAN },
		.at_best = { NAN, NAN, NAN, NAN, NAN } };
	if (t->n == 0 || !t->costs)
		return false;
	for (size_t j = 0; j < t->m; j++) {
		double cost = all->model_cost[j];

		if (!t->candidate[j])
			continue;
		f->lo = cost < f->lo ? cost : f->lo;
		f->hi = cost > f->hi ? cost : f->hi;
		if (best == (size_t)-1 || all->model_score[j] > all->model_score[best])
			best = j;
	}
	f->strongest = best;
	return f->known = f->lo < f->hi;
}

static int
sweep_make(struct sweep *s, double scale, size_t workers, struct err *e)
{
	size_t n = s->t->n, m = s->t->m, last = FRONTIER_POINTS - 1;

	s->start = mem_calloc(n + 1, sizeof *s->start, e);
	s->sum = mem_calloc(workers * 2 * m, sizeof *s->sum, e);
	s->xy = mem_calloc(workers * m, sizeof *s->xy, e);
	if (s->start == NULL || s->sum == NULL || s->xy == NULL)
		return -1;
	for (size_t k = 1; k < last; k++)
		s->wtp[k] = scale * pow(10, -DECADES + 2.0 * DECADES * (double)(k - 1) /
		    (double)(last - 2));
	s->wtp[last] = INFINITY;
	for (size_t i = 0; i < n; i++)
		if (sweep_row(s, i, e) < 0)
			return -1;
	return 0;
}

int
frontier_run(const struct eval_table *t, const struct eval_group *all, const float *prior,
	size_t draws, uint64_t seed, struct pool *pool, struct frontier *f, struct err *e)
{
	struct sweep s = { .t = t, .prior = prior };
	struct bootstrap_ci ci[3];
	uint32_t *one = NULL;
	double most;
	int r = -1;

	if (!survey(t, all, f))
		return 0;
	if (sweep_make(&s, f->hi, pool_threads(pool), e) < 0 ||
	    (one = mem_calloc(t->n, sizeof *one, e)) == NULL)
		goto out;
	for (size_t i = 0; i < t->n; i++)
		one[i] = 1;
	describe(&s, all, one, f);
	most = MAX_WORK / (double)(2 * t->n * t->m + s.n_events);
	f->draws = (double)draws <= most ? draws : most < MIN_DRAWS ? MIN_DRAWS : (size_t)most;
	if (bootstrap_stats(areas, &s, t->n, 3, f->draws, seed, pool, ci, NULL, e) < 0)
		goto out;
	f->aiq = ci[0];
	f->single = ci[1];
	f->delta = ci[2];
	r = 0;
out:
	free(one);
	free(s.start);
	free(s.event);
	free(s.sum);
	free(s.xy);
	return r;
}
