#include "common/trainmode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "data/candidates.h"
#include "model/fittable.h"

int
trainmode_read(struct ctx *c, struct fit_params *p)
{
	static const char *const option[] = { "weak", "strong", "strong-share" };
	static const char *const name[] = { "weak", "strong", "strong_share" };

	for (size_t i = 0; i < sizeof option / sizeof option[0]; i++)
		if (opt_given(c, option[i]) &&
		    mode_params_set(&p->mode, name[i], opt_str(c, option[i]), &c->err) < 0)
			return err_wrap(&c->err, "--%s", option[i]);
	return 0;
}

int
trainmode_check(struct ctx *c, const struct fit_params *p, const struct dataset *ds)
{
	if (mode_check(&p->mode, &ds->models, &c->err) < 0)
		return -1;
	if (fittable_wanted(p, ds))
		say(c, "%zu more fits without a part of the queries calibrate the choice",
		    fittable_fits(ds));
	return 0;
}

struct newcomer {
	const char *name;
	float score;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct newcomer *)a)->name, ((const struct newcomer *)b)->name);
}

static int
widen(struct ctx *c, struct router *r, struct newcomer *v, size_t n)
{
	const char **name = mem_calloc(n, sizeof *name, &c->err);
	float *score = mem_calloc(n, sizeof *score, &c->err);
	int status = -1;

	if (name != NULL && score != NULL) {
		qsort(v, n, sizeof *v, by_name);
		for (size_t i = 0; i < n; i++) {
			name[i] = v[i].name;
			score[i] = v[i].score;
			say(c, "'%s' has no data: its quality_score %g stands for it", name[i],
			    (double)score[i]);
		}
		status = router_widen(r, name, score, n, &c->err);
	}
	free(name);
	free(score);
	return status;
}

int
trainmode_widen(struct ctx *c, struct router *r)
{
	const char *path = opt_str(c, "candidates");
	struct candidates *all;
	struct newcomer *v;
	size_t n = 0;
	int status = -1;

	if (path == NULL)
		return 0;
	all = candidates_load(path, &c->err);
	v = all == NULL ? NULL : mem_calloc(all->names.len, sizeof *v, &c->err);
	if (v == NULL)
		goto out;
	for (size_t i = 0; i < all->names.len; i++) {
		if (map_find(&r->models, all->names.keys[i], all->names.key_len[i]) != MAP_NONE)
			continue;
		if (isnan(all->v[i].quality_score))
			log_warn(&c->log, "%s: '%s' is left out: it has neither data nor a quality_score",
			    path, all->names.keys[i]);
		else
			v[n++] = (struct newcomer){ all->names.keys[i], (float)all->v[i].quality_score };
	}
	if (r->models.len + n > DATASET_MAX_MODELS)
		err_set(&c->err, ERR_INPUT, "%s: more than %d models in all", path, DATASET_MAX_MODELS);
	else
		status = n == 0 ? 0 : widen(c, r, v, n);
out:
	free(v);
	candidates_free(all);
	return status;
}

void
trainmode_say(const struct ctx *c, const struct router *r)
{
	const struct policy_mode *m = &r->mode;

	if (m->pair)
		say(c, "%s: '%s' is expected to get %.1f %% of the calls, '%s' the others",
		    mode_kind_name(r->mode_params.kind), r->models.keys[m->strong],
		    100 * mode_share(m, &r->table, r->column), r->models.keys[m->weak]);
	else if (m->draw)
		say(c, "%s: drawn by a softmax of the scores over %.4g",
		    mode_kind_name(r->mode_params.kind), m->temperature);
}
