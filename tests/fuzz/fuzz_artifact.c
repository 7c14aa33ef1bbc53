/* Any bytes load as a router or give one error; a router that loads can route. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/artifact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct policy policy = POLICY_INIT;
	struct policy_choice c;
	struct router_scratch *s;
	struct err e = ERR_INIT;
	struct tensorfile *f;
	struct router *r;
	void *p;

	if (posix_memalign(&p, 64, n == 0 ? 1 : n) != 0)
		return 0;
	if (n > 0)
		memcpy(p, data, n);
	if ((f = tensorfile_take(p, n, &e)) == NULL) {
		free(p);
		return 0;
	}
	if ((r = artifact_take(f, &e)) == NULL) {
		if (e.code == ERR_NONE || e.msg[0] == '\0')
			abort();
		tensorfile_free(f);
		return 0;
	}
	s = router_scratch_new(r, &e);
	if (s != NULL) {
		router_route(r, &policy, SLICE_LIT("how do I sort a list in python?"), s, &c);
		if (c.model >= r->models.len)
			abort();
		policy = router_policy(r);
		policy.epsilon = 0.5;
		policy.cost_weight = policy.latency_weight = 1;
		router_route(r, &policy, SLICE_LIT("how do I sort a list in python?"), s, &c);
		if (c.model >= r->models.len || !(c.propensity > 0 && c.propensity <= 1))
			abort();
	}
	for (size_t i = 0; i < r->n_queries; i++) {
		struct slice t = router_query_text(r, i);

		if (t.n > 0 && memchr(t.p, 1, t.n) == data)
			abort();
	}
	router_scratch_free(s);
	router_free(r);
	return 0;
}
