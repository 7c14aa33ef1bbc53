#include "model/fitbeside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/outoffold.h"

#define TABLE_CELLS ((size_t)1 << 18)
#define TABLE_FEWEST ((size_t)64)

/* Rows are in order of digest, so the first are a sample of all. */
static size_t
table_rows(size_t n, size_t m)
{
	size_t most = TABLE_CELLS / m;

	most = most > MODE_ROWS ? MODE_ROWS : most < TABLE_FEWEST ? TABLE_FEWEST : most;
	return n < most ? n : most;
}

uint64_t
fitbeside_memory(const struct dataset *ds, size_t d)
{
	return expect_memory(ds->n, d, ds->m) + 8 * (uint64_t)table_rows(ds->n, ds->m) * ds->m;
}

static int
fill_table(const struct fit_params *p, const struct dataset *ds, const struct scorer_data *data,
	const void *model, struct router *r, struct err *e)
{
	size_t n = table_rows(ds->n, ds->m), cells = n * ds->m;
	float *score;

	if ((r->table_owned = mem_calloc(cells, 2 * sizeof *r->table_owned, e)) == NULL)
		return -1;
	score = r->table_owned + cells;
	if (outoffold_scores(p->kind, p->scorer, model, data, n, r->table_owned, e) < 0)
		return -1;
	/* True scores, though the scorer may have learned labels; -1 missing, as in the artifact. */
	for (size_t i = 0; i < cells; i++)
		score[i] = isnan(ds->score[i]) ? -1 : ds->score[i];
	r->table = (struct mode_table){ n, ds->m, r->table_owned, score };
	return 0;
}

int
fitbeside_run(const struct fit_params *p, const struct dataset *ds, const struct scorer_data *data,
	const void *model, struct router *r, struct err *e)
{
	bool asked = mode_asked(&p->mode);

	if (!p->scores_alone &&
	    expect_fit(ds, data->x, data->d, data->pool, data->cancel, &r->expect, e) < 0)
		return -1;
	r->mode_params = p->mode;
	if ((asked || (!p->scores_alone && (ds->m == 2 || outoffold_cheap(p->kind, model)))) &&
	    fill_table(p, ds, data, model, r, e) < 0)
		return -1;
	return mode_resolve(&p->mode, &r->table, &r->models, NULL, r->score_mean, &r->mode, e);
}
