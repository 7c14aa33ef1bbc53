#include "model/predict.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BATCH 32

struct run {
	const struct router *router;
	const struct policy *policy;
	const struct slice *text;
	struct predict *out;
	struct router_scratch **scratch;	/* by worker */
};

static void
run_batch(void *arg, size_t part, unsigned worker)
{
	struct run *r = arg;
	struct predict *out = r->out;
	struct router_scratch *s = r->scratch[worker];
	size_t m = out->m, end = (part + 1) * BATCH < out->n ? (part + 1) * BATCH : out->n;
	struct policy_choice c;

	for (size_t i = part * BATCH; i < end; i++) {
		router_route(r->router, r->policy, r->text[i], s, &c);
		out->choice[i] = c.model;
		memcpy(out->score + i * m, s->score, m * sizeof *s->score);
		memcpy(out->cost + i * m, s->cost, m * sizeof *s->cost);
		out->time_us[i] = (float)s->times.total;
	}
}

static int
allocate(struct predict *p, struct err *e)
{
	size_t cells;

	if (!mem_mul(p->n, p->m, &cells))
		return err_nomem(e);
	p->choice = mem_calloc(p->n, sizeof *p->choice, e);
	p->score = mem_calloc(cells, sizeof *p->score, e);
	p->cost = mem_calloc(cells, sizeof *p->cost, e);
	p->time_us = mem_calloc(p->n, sizeof *p->time_us, e);
	return p->choice == NULL || p->score == NULL || p->cost == NULL || p->time_us == NULL ?
	    -1 : 0;
}

int
predict_run(const struct router *router, const struct policy *policy, const struct slice *text,
	size_t n, struct pool *pool, struct predict *out, struct err *e)
{
	struct run r = { router, policy, text, out, NULL };
	unsigned workers = pool_threads(pool);
	int status = -1;

	out->n = n;
	out->m = router->models.len;
	if (allocate(out, e) < 0)
		return -1;
	r.scratch = mem_calloc(workers, sizeof *r.scratch, e);
	if (r.scratch == NULL)
		return -1;
	for (unsigned i = 0; i < workers; i++)
		if ((r.scratch[i] = router_scratch_new(router, e)) == NULL)
			goto out;
	pool_run(pool, (n + BATCH - 1) / BATCH, run_batch, &r);
	status = 0;
out:
	for (unsigned i = 0; i < workers; i++)
		router_scratch_free(r.scratch[i]);
	free(r.scratch);
	return status;
}

void
predict_finish(struct predict *p)
{
	free(p->choice);
	free(p->score);
	free(p->cost);
	free(p->time_us);
	*p = (struct predict){ 0 };
}
