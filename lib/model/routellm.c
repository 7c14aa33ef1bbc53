#include "model/routellm.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* One query; kept in descending order of lead. */
struct row {
	double lead, weak, strong;
	size_t at;		/* its number in the input */
};

struct rows {
	struct row *row;	/* [n] */
	size_t n;
};

struct curve {
	double share[ROUTELLM_STEPS + 1], score[ROUTELLM_STEPS + 1], weak, strong;
};

static int
by_lead(const void *a, const void *b)
{
	const struct row *p = a, *q = b;

	if (p->lead != q->lead)
		return p->lead > q->lead ? -1 : 1;
	return (p->at > q->at) - (p->at < q->at);
}

/* The lead of the sample's row of rank RANK (0 the lowest), rows counted as often as drawn. */
struct cursor {
	const struct rows *r;
	const uint32_t *count;
	size_t i, below;	/* rows of index > i (lower leads) hold `below' draws */
};

static double
lead_at(struct cursor *c, size_t rank)
{
	while (c->below + c->count[c->r->row[c->i].at] <= rank) {
		c->below += c->count[c->r->row[c->i].at];
		c->i--;
	}
	return c->r->row[c->i].lead;
}

/* Quantiles by linear interpolation between ranks, ascending. */
static void
thresholds(const struct rows *r, const uint32_t *count, double out[ROUTELLM_STEPS + 1])
{
	struct cursor c = { r, count, r->n - 1, 0 };

	for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
		double at = (double)(r->n - 1) * (double)k / ROUTELLM_STEPS;
		size_t rank = (size_t)at;
		double low = lead_at(&c, rank);
		struct cursor next = c;
		double high = rank + 1 < r->n ? lead_at(&next, rank + 1) : low;

		out[k] = low + (at - (double)rank) * (high - low);
	}
}

/* From the highest threshold, no strong call but beyond it, down to the lowest, all strong. */
static void
trace(const struct rows *r, const uint32_t *count, struct curve *c)
{
	double at[ROUTELLM_STEPS + 1], score = 0, n = (double)r->n;
	size_t i = 0, strong = 0;

	thresholds(r, count, at);
	c->weak = c->strong = 0;
	for (size_t k = 0; k < r->n; k++) {
		c->weak += count[r->row[k].at] * r->row[k].weak;
		c->strong += count[r->row[k].at] * r->row[k].strong;
	}
	score = c->weak;
	for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
		double t = at[ROUTELLM_STEPS - k];

		for (; i < r->n && (k == 0 ? r->row[i].lead > t : r->row[i].lead >= t); i++) {
			uint32_t times = count[r->row[i].at];

			strong += times;
			score += times * (r->row[i].strong - r->row[i].weak);
		}
		c->share[k] = (double)strong / n;
		c->score[k] = score / n;
	}
	c->weak /= n;
	c->strong /= n;
}

/* Share at which the curve first reaches weak + part * (strong - weak). */
static double
crossing(const struct curve *c, double part)
{
	double want = c->weak + part * (c->strong - c->weak);

	for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
		if (c->score[k] < want - 1e-12)
			continue;
		if (k == 0 || c->score[k] == c->score[k - 1])
			return c->share[k];
		return c->share[k - 1] + (c->share[k] - c->share[k - 1]) *
		    (want - c->score[k - 1]) / (c->score[k] - c->score[k - 1]);
	}
	return NAN;
}

static void
metrics(void *arg, const uint32_t *count, unsigned worker, double *out)
{
	struct curve c;
	double area = 0;

	(void)worker;
	trace(arg, count, &c);
	for (size_t k = 1; k <= ROUTELLM_STEPS; k++)
		area += (c.share[k] - c.share[k - 1]) * (c.score[k] + c.score[k - 1]) / 2;
	if (!(c.strong - c.weak > 1e-9)) {
		out[0] = out[1] = out[2] = NAN;
		return;
	}
	out[0] = (area - c.weak) / (c.strong - c.weak);
	out[1] = crossing(&c, 0.5);
	out[2] = crossing(&c, 0.8);
}

static int
describe(const struct rows *r, struct routellm *out, struct err *e)
{
	uint32_t *one = mem_calloc(r->n, sizeof *one, e);
	struct curve c;

	if (one == NULL)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		one[i] = 1;
	trace(r, one, &c);
	out->weak = c.weak;
	out->strong = c.strong;
	for (size_t k = 0; k <= ROUTELLM_STEPS; k++) {
		out->curve[k].share = c.share[k];
		out->curve[k].score = c.score[k];
	}
	free(one);
	return 0;
}

int
routellm_run(const double *lead, const double *weak, const double *strong, size_t n, size_t draws,
	uint64_t seed, struct pool *pool, struct routellm *out, struct err *e)
{
	struct rows r = { mem_calloc(n, sizeof *r.row, e), n };
	struct bootstrap_ci ci[3];
	int status = -1;

	*out = (struct routellm){ .apgr = { NAN, NAN, NAN }, .cpt50 = { NAN, NAN, NAN },
		.cpt80 = { NAN, NAN, NAN } };
	if (r.row == NULL || n == 0) {
		free(r.row);
		return n == 0 ? 0 : -1;
	}
	for (size_t i = 0; i < n; i++)
		r.row[i] = (struct row){ lead[i], weak[i], strong[i], i };
	qsort(r.row, n, sizeof *r.row, by_lead);
	if (describe(&r, out, e) == 0 &&
	    bootstrap_stats(metrics, &r, n, 3, draws, seed, pool, ci, NULL, e) == 0) {
		out->apgr = ci[0];
		out->cpt50 = ci[1];
		out->cpt80 = ci[2];
		status = 0;
	}
	free(r.row);
	return status;
}
