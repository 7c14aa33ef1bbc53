#include "serve/strategyname.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
	"simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing",
	"usage-based-routing-v2", "weighted-round-robin", "llmrouter"
};

const char *
strategy_name(enum strategy s)
{
	return names[s];
}

const char *
strategy_ml_kind(const char *s)
{
	static const char *const kinds[] = { "knn", "svm", "mlp", "mf", "hybrid", "ridge", "kridge", "trees", "custom" };

	if (strncmp(s, "llmrouter-", 10) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(s + 10, kinds[i]) == 0)
			return kinds[i];
	}
	return NULL;
}

bool
strategy_parse(const char *s, enum strategy *out)
{
	if (strcmp(s, "usage-based-routing") == 0) {
		*out = STRATEGY_USAGE;
		return true;
	}
	for (size_t i = 0; i < STRATEGY_ML; i++) {
		if (strcmp(s, names[i]) == 0) {
			*out = (enum strategy)i;
			return true;
		}
	}
	return false;
}
