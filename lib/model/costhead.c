#include "model/costhead.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/ridge.h"
#include "model/target.h"

int
costhead_fit(struct costhead *h, const struct scorer_data *d, struct err *e)
{
	struct scorer_data costs = *d;
	struct ridge_params params;
	size_t cells, known = 0;
	float *score;

	*h = (struct costhead){ .m = d->m };
	if (d->cost == NULL)
		return 0;
	if (!mem_mul(d->n, d->m, &cells))
		return err_nomem(e);
	if ((score = mem_calloc(cells, sizeof *score, e)) == NULL)
		return -1;
	/* Stand-ins known where costs are, so that ridge has one pattern of missing cells to solve for. */
	for (size_t i = 0; i < cells; i++) {
		known += isnan(d->cost[i]) ? 0 : 1;
		score[i] = isnan(d->cost[i]) ? NAN : 0;
	}
	costs.score = score;
	ridge_kind.params_init(&params);
	if (known > 0)
		h->ridge = ridge_kind.fit(&params, &costs, e);
	free(score);
	return known > 0 && h->ridge == NULL ? -1 : 0;
}

uint64_t
costhead_memory(size_t n, size_t d, size_t m)
{
	struct ridge_params params;

	ridge_kind.params_init(&params);
	return ridge_kind.memory(&params, n, d, m) + 4 * (uint64_t)n * m;
}

void
costhead_finish(struct costhead *h)
{
	ridge_kind.free(h->ridge);
	h->ridge = NULL;
}

int
costhead_save(const struct costhead *h, const char *prefix, const char *name,
	struct tensorfile_writer *w, struct err *e)
{
	char inner[TARGET_NAME];

	if (h->ridge == NULL)
		return 0;
	return ridge_kind.save(h->ridge, target_name(inner, prefix, name, ".cost."), w, e);
}

int
costhead_load(struct costhead *h, const struct tensorfile *f, const char *prefix,
	const char *name, size_t m, size_t d, struct err *e)
{
	char inner[TARGET_NAME], weight[TARGET_NAME];

	*h = (struct costhead){ .m = m };
	target_name(inner, prefix, name, ".cost.");
	if (tensorfile_find(f, target_name(weight, prefix, name, ".cost.ridge.weight")) == NULL)
		return 0;
	h->ridge = ridge_kind.load(f, inner, m, d, SLICE_LIT("{}"), e);
	return h->ridge == NULL ? -1 : 0;
}

int
costhead_scratch_init(struct costhead_scratch *s, const struct costhead *h, struct err *e)
{
	*s = (struct costhead_scratch){ NULL, NULL };
	if (h->ridge == NULL)
		return 0;
	s->ridge = ridge_kind.scratch_new(h->ridge, e);
	s->score = mem_calloc(h->m, sizeof *s->score, e);
	return s->ridge == NULL || s->score == NULL ? -1 : 0;
}

void
costhead_scratch_finish(struct costhead_scratch *s)
{
	ridge_kind.scratch_free(s->ridge);
	free(s->score);
	*s = (struct costhead_scratch){ NULL, NULL };
}

void
costhead_score(const struct costhead *h, const float *q, struct costhead_scratch *s, float *cost)
{
	if (h->ridge != NULL) {
		ridge_kind.score(h->ridge, q, SCORER_NO_ROW, s->ridge, s->score, cost);
		return;
	}
	for (size_t j = 0; j < h->m; j++)
		cost[j] = NAN;
}
