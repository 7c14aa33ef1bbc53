#include "common/trainnotes.h"

#include <string.h>

#include "cmd.h"
#include "model/hybridparams.h"
#include "model/knn.h"
#include "model/kridge.h"
#include "model/svm.h"

/* The hyperparameters of a kind, alone or within a hybrid; NULL when it is not trained. */
static const void *
params_of(const struct fit_params *p, const struct scorer_kind *kind)
{
	if (p->kind == kind)
		return p->scorer;
	return p->kind == &hybrid_kind ? hybridparams_member(p->scorer, kind) : NULL;
}

static void
note_neighbors(struct ctx *c, const struct knn_params *p, size_t n)
{
	size_t k = p->n_neighbors, used = knn_neighbors(p, n);

	if (p->given && k > n)
		log_warn(&c->log, "n_neighbors %zu lowered to the %zu queries there are", k, n);
	else if (p->given && k < KNN_FEW_NEIGHBORS)
		log_warn(&c->log, "n_neighbors %zu: with fewer than %d neighbours a router usually "
		    "loses to the best single model", k, KNN_FEW_NEIGHBORS);
	else if (used < k)
		say(c, "n_neighbors %zu: %s, since they are few (200 otherwise)", used,
		    used == n ? "all queries" : used == KNN_FEW_NEIGHBORS ? "the fewest that serve" :
		    "a seventh of the queries");
}

static void
note_svm(struct ctx *c, const struct svm_params *p, size_t n)
{
	if (n <= p->exact_rows)
		return;
	if (p->kernel == KERNEL_LINEAR)
		say(c, "svm: of more than %zu queries (exact_rows), a ridge regression stands for the machines",
		    p->exact_rows);
	else
		say(c, "svm: of more than %zu queries (exact_rows), the kernel is approximated by %zu random "
		    "Fourier features (n_components)", p->exact_rows, p->n_components);
}

static void
note_kridge(struct ctx *c, const struct kridge_params *p, size_t n)
{
	if (n > p->max_rows)
		say(c, "kridge: %zu of the %zu queries (max_rows), drawn by the seed, stand for all",
		    p->max_rows, n);
}

/* Values of a grid count as given; the members may be among them, and then nothing can be said. */
static int
note_idle(struct ctx *c, const struct fit_params *p, const struct search_grid *grid)
{
	struct fit_params with = *p;
	const char *idle;

	for (size_t a = 0; grid != NULL && a < grid->n; a++)
		if (strcmp(grid->axis[a].name, "members") == 0)
			return 0;
	if (grid != NULL && search_apply(grid, 0, &with, &c->err) < 0)
		return -1;
	if ((idle = hybridparams_idle(with.scorer)) != NULL)
		log_warn(&c->log, "hyperparameters of %s have no effect: it is not among the members "
		    "(--hparam members=...,%s)", idle, idle);
	return 0;
}

int
trainnotes(struct ctx *c, const struct fit_params *p, const struct search_grid *grid,
	const struct dataset *ds)
{
	const struct svm_params *svm = params_of(p, &svm_kind);
	const struct kridge_params *kridge = params_of(p, &kridge_kind);

	if (p->kind == &knn_kind)
		note_neighbors(c, (const struct knn_params *)(const void *)p->scorer, ds->n);
	if (svm != NULL)
		note_svm(c, svm, ds->n);
	if (kridge != NULL)
		note_kridge(c, kridge, ds->n);
	return p->kind == &hybrid_kind ? note_idle(c, p, grid) : 0;
}
