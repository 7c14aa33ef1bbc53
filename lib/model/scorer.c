#include "model/scorer.h"

#include <stdio.h>

#include "model/hybrid.h"
#include "model/knn.h"
#include "model/kridge.h"
#include "model/linear.h"
#include "model/mf.h"
#include "model/mlp.h"
#include "model/ridge.h"
#include "model/svm.h"
#include "model/trees.h"

const struct scorer_kind *const scorer_kinds[] = {
	&knn_kind, &svm_kind, &mlp_kind, &mf_kind, &linear_kind, &ridge_kind,
	&kridge_kind, &trees_kind, &hybrid_kind, NULL
};

const char *
scorer_tensor(char out[SCORER_NAME], const char *prefix, const char *name)
{
	(void)snprintf(out, SCORER_NAME, "%s%s", prefix, name);
	return out;
}

const struct scorer_kind *
scorer_find(const char *name, size_t n)
{
	const struct slice want = { name, n };

	for (size_t i = 0; scorer_kinds[i] != NULL; i++)
		if (slice_is(want, scorer_kinds[i]->name))
			return scorer_kinds[i];
	return NULL;
}
