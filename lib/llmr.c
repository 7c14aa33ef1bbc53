#include "llmr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmt/hash.h"
#include "model/artifact.h"

struct llmr_router {
	struct router *router;
	char sha256[65];
};

struct llmr_scratch {
	struct router_scratch *s;
	bool *allowed;		/* [m] of the last call */
};

static void
tell(const struct err *from, struct llmr_error *to)
{
	if (to == NULL)
		return;
	to->code = (int)from->code;
	(void)snprintf(to->message, sizeof to->message, "%s", from->msg);
}

struct llmr_router *
llmr_router_open(const char *path, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct llmr_router *r = mem_calloc(1, sizeof *r, &e);
	uint8_t digest[32];

	if (r == NULL || (r->router = artifact_load(path, &e)) == NULL) {
		tell(&e, err);
		free(r);
		return NULL;
	}
	tensorfile_digest(r->router->file, digest);
	hex_format(digest, 32, r->sha256);
	return r;
}

void
llmr_router_free(struct llmr_router *r)
{
	if (r == NULL)
		return;
	router_free(r->router);
	free(r);
}

size_t
llmr_model_count(const struct llmr_router *r)
{
	return r->router->models.len;
}

const char *
llmr_model_name(const struct llmr_router *r, size_t i)
{
	return i < r->router->models.len ? r->router->models.keys[i] : NULL;
}

const char *
llmr_router_sha256(const struct llmr_router *r)
{
	return r->sha256;
}

struct llmr_scratch *
llmr_scratch_new(const struct llmr_router *r, struct llmr_error *err)
{
	struct err e = ERR_INIT;
	struct llmr_scratch *s = mem_calloc(1, sizeof *s, &e);

	if (s != NULL) {
		s->s = router_scratch_new(r->router, &e);
		s->allowed = mem_calloc(r->router->models.len, sizeof *s->allowed, &e);
	}
	if (s == NULL || s->s == NULL || s->allowed == NULL) {
		tell(&e, err);
		llmr_scratch_free(s);
		return NULL;
	}
	return s;
}

void
llmr_scratch_free(struct llmr_scratch *s)
{
	if (s == NULL)
		return;
	router_scratch_free(s->s);
	free(s->allowed);
	free(s);
}

int
llmr_route(const struct llmr_router *r, struct llmr_scratch *s, const char *prompt, size_t n,
	const struct llmr_limits *limits, struct llmr_decision *d, struct llmr_error *err)
{
	const struct router_times *t = &s->s->times;
	struct policy policy = POLICY_INIT;
	struct policy_choice c;
	struct err e = ERR_INIT;

	if (limits != NULL) {
		policy.cost_weight = limits->cost_weight;
		if (limits->max_cost > 0)
			policy.max_cost = limits->max_cost;
		if (limits->allowed != NULL) {
			for (size_t j = 0; j < r->router->models.len; j++)
				s->allowed[j] = limits->allowed[j] != 0;
			policy.allowed = s->allowed;
		}
	}
	router_route(r->router, &policy, (struct slice){ prompt, n }, s->s, &c);
	*d = (struct llmr_decision){ llmr_model_name(r, c.model), llmr_model_name(r, c.runner_up),
		c.model, c.runner_up, c.model == POLICY_NONE ? 0 : c.propensity, s->s->score,
		s->s->cost, t->tokenize, t->embed, t->score, t->policy, t->total };
	if (c.model != POLICY_NONE)
		return 0;
	err_set(&e, ERR_NO, "no model meets the limits");
	tell(&e, err);
	return -1;
}

const char *
llmr_version(void)
{
	return LLMR_VERSION;
}
